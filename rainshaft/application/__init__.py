"""Use of a trained model: rain for days that nobody observed, and what it says about the climate."""
