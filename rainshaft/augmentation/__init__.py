"""Synthetic days for the training set of another model, and what they are worth."""
