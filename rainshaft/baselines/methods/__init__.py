"""The methods. Each file is one baseline, and its name is the name of the file with hyphens for underscores."""
