"""Members drawn from a trained model, and the pixel threshold."""
