"""The synthetic weather of the demo, and its raw files."""
