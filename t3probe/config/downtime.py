"""Planned downtime: shown as such, never green, never a failure, until its date."""

from __future__ import annotations

from .errors import quote
from .types import Deployment, Downtime, Leg


def planned(deployment: Deployment, leg: Leg, now: float) -> str:
    """The planned downtime that covers `leg` at `now` (Unix seconds), as a sentence, or "".

    It is the leg's own, or that of any segment on its path; of several, the one that ends
    last.
    """
    running = [
        entry
        for entry in deployment.downtime
        if (entry.leg == leg.name or entry.segment in leg.path) and entry.until.timestamp() > now
    ]
    if not running:
        return ""
    entry = max(running, key=lambda one: one.until.timestamp())
    why = f": {entry.why}" if entry.why else ""
    return f"planned downtime of {_subject(entry)} until {_until(entry)}{why}"


def stale(downtime: tuple[Downtime, ...], file: str, now: float) -> list[str]:
    """A warning for each entry whose date has passed at `now` (Unix seconds)."""
    return [
        f"{file}: downtime[{i}]: the planned downtime of {_subject(entry)} ended "
        f"{_until(entry)}, so it counts again; take the entry out"
        for i, entry in enumerate(downtime)
        if entry.until.timestamp() <= now
    ]


def _subject(entry: Downtime) -> str:
    return f"leg {quote(entry.leg)}" if entry.leg else f"segment {quote(entry.segment or '')}"


def _until(entry: Downtime) -> str:
    # In the zone it was written in: other zones can leave the calendar at its ends.
    return entry.until.isoformat(timespec="minutes")
