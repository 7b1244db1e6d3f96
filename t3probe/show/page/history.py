"""Many runs, each kept in a few numbers: a month of records fits into memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

from t3probe.observation import median
from t3probe.record.facts import Recording
from t3probe.record.reading import RunKey, run_key
from t3probe.show.page.view import View
from t3probe.show.summary import headline
from t3probe.verdict.exact.labels import Label, Status

__all__ = ["BAD", "History", "LegPoint", "RunPoint"]

BAD: tuple[Status, ...] = ("localised", "ambiguous", "inconsistent")
"""The statuses of a run in which something failed."""
GAP_FACTOR = 3.0
"""Runs further apart than this many times the usual interval leave a gap in coverage."""


class LegPoint(NamedTuple):
    """One leg in one run."""

    outcome: str
    drops: int
    median: float | None
    """Seconds."""


class RunPoint(NamedTuple):
    """One run."""

    started_at: float
    duration: float
    deployment: str
    vantage: str
    shard: int | None
    version: int
    """Of its record."""
    status: Status
    said: str
    """The verdict's sentence."""
    incidents: int
    segments: dict[str, Label]
    """The declared ones only."""
    legs: dict[str, LegPoint]
    """Without upstreams."""
    upstreams: tuple[int, int]
    """(k, n): how many passed."""


class History:
    """Runs by their start. Of one that was written twice the later record holds."""

    def __init__(self) -> None:
        self.newest: View | None = None
        """The newest run, whole."""
        self.older = 0
        """How many older runs there are, which are not looked into."""
        self._points: dict[RunKey, RunPoint] = {}

    def add(self, recording: Recording) -> None:
        """Take one run in."""
        view = View(recording)
        self._points[run_key(recording)] = _point(view)
        if self.newest is None or self.newest.run.started_at <= view.run.started_at:
            self.newest = view

    @classmethod
    def of(cls, recordings: Iterable[Recording]) -> History:
        """The history of these runs."""
        out = cls()
        for one in recordings:
            out.add(one)
        return out

    @cached_property
    def runs(self) -> Sequence[RunPoint]:
        """All runs, the oldest first. Add none after this was read."""
        return [self._points[key] for key in sorted(self._points)]

    @cached_property
    def gaps(self) -> dict[int, float]:
        """Before which runs (by position) nobody was looking, and for how many seconds."""
        runs = self.runs
        apart = [b.started_at - a.started_at for a, b in itertools.pairwise(runs)]
        if len(apart) < 3:
            return {}
        # The shards of one run begin together: what lies between these is no interval.
        own = [
            one
            for run, one in zip(runs, apart, strict=False)
            if run.shard is None or one > run.duration
        ]
        usual = median(own or apart)
        return {
            at + 1: one - runs[at].duration
            for at, one in enumerate(apart)
            if usual > 0 and one > GAP_FACTOR * usual
        }

    def names(self, runs: Sequence[RunPoint], what: str) -> list[str]:
        """The `segments` or `legs` of these runs, those of the newest first."""
        return list(dict.fromkeys(name for one in reversed(runs) for name in getattr(one, what)))


def _point(view: View) -> RunPoint:
    run = view.run
    declared = [one for one in view.judged.segments if one not in view.own]
    return RunPoint(
        started_at=run.started_at,
        duration=run.duration_seconds,
        deployment=run.deployment,
        vantage=run.vantage,
        shard=run.shard,
        version=run.version,
        status=view.verdict.status,
        said=headline(view.judged)[1],
        incidents=len(view.judged.incidents),
        segments={name: view.labels[name] for name in declared if name in view.labels},
        legs={
            one.name: LegPoint(one.outcome, len(one.drops), one.median)
            for one in view.legs
            if not one.seen.after_hold
        },
        upstreams=(
            sum(one.outcome == "passed" for one in view.upstreams),
            len(view.upstreams),
        ),
    )
