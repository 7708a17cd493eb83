"""Simple methods that a user could take instead of a model. Each method is one file."""
