"""A run, or an incident of the held mode, as one trace: `build` makes it, `wire` writes it."""
