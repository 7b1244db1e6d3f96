"""Runs legs: all at once, to the end of the hold, and gives their observations."""
