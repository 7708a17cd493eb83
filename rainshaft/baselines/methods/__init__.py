"""The methods, one a file: a file here is a baseline, its name is that of the file with hyphens."""
