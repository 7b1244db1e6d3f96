"""Many upstreams at once, by a process of its own."""
