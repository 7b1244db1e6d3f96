"""t3probe: which segment of the path broke, and which can be cleared, with data."""
