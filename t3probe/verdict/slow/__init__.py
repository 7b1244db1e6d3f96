"""Slowness beside outages: which legs are slower than usual, and where."""
