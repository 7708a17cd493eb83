"""The loss, the optimiser and the training loop."""
