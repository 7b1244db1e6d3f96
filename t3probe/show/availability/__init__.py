"""How much of the observed time was good: looks in, sums and incidents out. Pure.

A look is what one run, or the metrics of one, saw of each leg and each segment. Three things are
kept apart: time that was good, time that was bad, and time in which no run looked or none could
tell. The last is neither, and lowers no share.
"""

from __future__ import annotations

from t3probe.show.availability.looks import BadSpan, InLook, Look, look_of
from t3probe.show.availability.tally import Availability, BadTime, Looks, Place, Row

__all__ = [
    "Availability",
    "BadSpan",
    "BadTime",
    "InLook",
    "Look",
    "Looks",
    "Place",
    "Row",
    "look_of",
]
