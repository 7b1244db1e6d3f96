"""Lines of JSON on standard output, written by a thread: a reader that does not read, such as a
stuck log collector, must not stop the probing.

A drop is one line, with the verdict of that moment. It is written once the common beat that it
called and its second look are over: then its symptom is known, and so is which other legs worked;
and once the next regular beat is, which shows who held through. That is waited for within a bound;
what is not known by then is told as unknown.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TextIO

import msgspec

from t3probe.exchange.terminal import Terminal, json_text
from t3probe.observation import Drop
from t3probe.text.words import utc
from t3probe.verdict.incident.run import Incident, RunVerdict
from t3probe.watch.window import WindowBook

MAX_WAITING = 1000
"""Lines that may wait; further ones are dropped, and their number is said."""


class Log:
    """Writes one line per event, ASCII, in the order in which they were said."""

    def __init__(self, wall: Callable[[], float], stream: TextIO | None = None) -> None:
        """`wall` gives Unix time, for events that have no time of their own."""
        self._wall = wall
        stream = sys.stdout if stream is None else stream
        self._stream = stream.raw if isinstance(stream, Terminal) else stream
        self._lines: queue.Queue[str | None] = queue.Queue(MAX_WAITING)
        self._lost = 0
        self._thread = threading.Thread(target=self._write, name="t3probe-log", daemon=True)
        self._thread.start()

    def say(self, event: str, at: float | None = None, **facts: Any) -> None:
        """Say that something happened, `at` in Unix seconds. Never waits."""
        stamp = utc(self._wall() if at is None else at)
        line = {"time": stamp, "event": event, **facts}
        try:
            if self._lost:
                line["lines_lost"] = self._lost
            self._lines.put_nowait(json_text(line))
            self._lost = 0
        except queue.Full:
            self._lost += 1

    def end(self, seconds: float = 1.0) -> None:
        """Wait until all is written, for at most so long."""
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(seconds)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                continue  # no reader is left; the metrics go on


MAX_PENDING = 500
"""Drops that may wait for their verdict. A further one is told without."""


class Pending(NamedTuple):
    """A drop that is to be told."""

    book: WindowBook
    drop: Drop
    counts: bool
    """Unless it turns out to be a blip that stands alone."""
    late: bool = False
    """It was noticed long ago, in planned downtime, and goes on although that is over."""

    @property
    def decided(self) -> bool:
        """Whether its second look is over, and what followed said what it was."""
        drop = self.book.newest(self.drop)
        return drop.symptom != "unknown" or drop.recovered is not None


class Reports:
    """Drops that wait for their common beat, and the outages that were told as going on."""

    def __init__(self) -> None:
        self.waiting: deque[Pending] = deque()
        self._open: dict[str, float] = {}

    def add(self, pending: Pending) -> bool:
        """Let a drop wait; False when too many do."""
        if len(self.waiting) >= MAX_PENDING:
            return False
        self.waiting.append(pending)
        return True

    def told(self, leg: str, drop: Drop) -> None:
        """This drop's line is written. If it goes on, so will be its recovery's."""
        if drop.recovered is None:
            self._open[leg] = drop.noticed
        else:
            self._open.pop(leg, None)

    def closes(self, leg: str) -> bool:
        """Whether a recovery of this leg is to be told: its drop was told as going on."""
        return self._open.pop(leg, None) is not None

    def keep_only(self, legs: Mapping[str, object]) -> None:
        """Forget what was open on legs that are gone, or began anew."""
        self._open = {leg: at for leg, at in self._open.items() if leg in legs}


def drop_facts(pending: Pending, drop: Drop) -> dict[str, Any]:
    """What the line of a drop says but for its times and its verdict. Plain JSON values."""
    evidence: dict[str, Any] = {
        "local": drop.local_address,
        "remote": drop.remote_address,
        "family": drop.family,
        "cf_ray": drop.cf_ray,
        "colo": drop.colo,
        "carried": list(drop.carried),
        "words": drop.evidence,
        "tcp": None if drop.tcp is None else msgspec.to_builtins(drop.tcp),
    }
    attempt = drop.attempt
    if attempt is not None and not attempt.ok:
        evidence["next_attempt"] = {"reason": attempt.reason, "detail": attempt.detail}
    return {
        "leg": pending.book.leg.name,
        "reason": drop.reason,
        "symptom": drop.symptom,
        "strand": drop.strand,
        "age_seconds": drop.connection_age_seconds,
        "detail": drop.detail,
        "counted": pending.counts and not drop.lone,
        "stalled": drop.stalled,
        "evidence": {key: value for key, value in evidence.items() if value not in ("", [], None)},
    }


def incident_of(judged: RunVerdict, leg: str, drop: Drop) -> Incident | None:
    """The incident that this drop is part of; None when the leg takes no part."""
    for one in judged.incidents:
        if leg in one.failed and (
            one.began <= drop.noticed <= one.noticed
            or any(fault.leg == leg and fault.onset == drop.began for fault in one.faults)
        ):
            return one
    return None


def verdict_facts(incident: Incident | None) -> dict[str, Any] | None:
    """The verdict of one incident, for its line."""
    if incident is None:
        return None
    verdict = incident.verdict
    return {
        "status": verdict.status,
        "text": incident.finding,
        "failed": list(incident.failed),
        "convicted": list(verdict.convicted),
        "exonerated": list(verdict.exonerated),
        "ambiguous": list(verdict.ambiguous),
        "masked": list(verdict.masked),
        "unobserved": list(verdict.unobserved),
        "at_least_one_of": [list(one) for one in verdict.at_least_one_of],
        "cleared_by": dict(incident.cleared_by),
    }
