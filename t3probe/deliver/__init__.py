"""Where results go, and in which order."""
