"""The held mode: the same legs and probes as in a run, held for ever, with metrics of its own."""
