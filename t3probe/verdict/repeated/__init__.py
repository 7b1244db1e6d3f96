"""Many runs: how probable a fault of each segment is."""
