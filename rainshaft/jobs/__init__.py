"""What belongs to the workflow: frozen configurations, logs, signals, locks, the cluster."""
