"""What users chain: environment, streams, expressions, windows; it becomes a plan."""
