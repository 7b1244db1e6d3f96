"""One case: which sets of faults explain it, and what each segment's label is."""
