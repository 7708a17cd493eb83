"""Frozen slices, fingerprints, logs, signals and the cluster: what belongs to the workflow and not to the science."""
