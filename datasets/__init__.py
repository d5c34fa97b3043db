"""Public recordings, made ready: one folder each."""
