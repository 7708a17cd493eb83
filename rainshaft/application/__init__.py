"""Rain for days that nobody observed: from predictors to members, their indices and their changes."""
