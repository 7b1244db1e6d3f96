"""t3probe: which segment of the path broke, and which can be cleared, with data."""

__version__ = "0.2.0"
"""As in pyproject.toml; a test holds that."""
AGENT = f"t3probe/{__version__}"
"""How every request of ours names itself (RFC 9110, section 10.1.5)."""
