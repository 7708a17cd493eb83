"""The networks, and trained models on disk."""
