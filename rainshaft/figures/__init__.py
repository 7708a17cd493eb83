"""Every figure, and their common style."""
