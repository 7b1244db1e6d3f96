"""Limits on the age and the silence of connections: found, and located. Pure."""
