"""Scores of ensembles, their table, and the verdict."""
