"""What a user would pick instead of a model; one file a method."""
