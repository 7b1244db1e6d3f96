"""The lab's exceptions. Each prints as one sentence for people."""

from __future__ import annotations

__all__ = ["ControlError", "LabError"]


class LabError(Exception):
    """The lab could not be started, or a part of it did not come up."""


class ControlError(Exception):
    """The control socket could not be reached, or refused what it was asked."""
