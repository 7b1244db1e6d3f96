"""A run as the page needs it: facts, its verdict, and where things stand on the time axis."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

from t3probe.observation import SYMPTOMS, Observation, Symptom, badness, median, worst
from t3probe.record.facts import Recording
from t3probe.text.words import clock, offset
from t3probe.verdict.exact.labels import Label
from t3probe.verdict.incident.run import Incident, judge_run

WIDTH = 1000
"""Units of the time axis."""
_STRANDS: dict[Symptom, str] = {
    "down": "down on both strands",
    "refusing": "refused new connections, kept the open one",
    "cut": "cut, accepted a new connection at once",
    "unknown": "lost, without a second look",
    "blip": "one new connection failed, the next one worked",
}
INCIDENTS_SHOWN = 20
"""The worst ones; a run that fails all the time has thousands."""


class LegView:
    """One leg of the run."""

    def __init__(self, name: str, seen: Observation) -> None:
        self.name, self.seen = name, seen
        self.good = seen.trips
        self.drops = seen.counted
        self.stalls = [one for one in seen.drops if one.stalled]

    @property
    def outcome(self) -> str:
        """The outcome's word; `planned` for a leg under planned downtime."""
        return "planned" if self.seen.planned else self.seen.outcome

    @property
    def strands(self) -> str:
        """Which strand failed, in words; empty when none did."""
        found = Counter(one.symptom for one in self.drops)
        return ", ".join(
            f"{_STRANDS[one]}{f' ({found[one]} times)' if found[one] > 1 else ''}"
            for one in SYMPTOMS
            if found[one]
        )

    @property
    def why(self) -> str:
        """Reason and detail, where there are any."""
        return ": ".join(one for one in (self.seen.reason, self.seen.detail) if one)

    @cached_property
    def median(self) -> float | None:
        """The median round trip in seconds."""
        return median(self.good) if self.good else None


class View:
    """A recorded run, judged."""

    def __init__(self, recording: Recording) -> None:
        self.run, seen = recording.run, recording.observations
        self.judged = judge_run(self.run, seen)
        self.verdict = self.judged.verdict
        self.labels: dict[str, Label] = self.verdict.labels()
        names = list(self.judged.legs)
        if len(names) != len(seen):  # two legs of one name, one of them with a number of its own
            names = [one.leg for one in seen]
        every = [LegView(name, one) for name, one in zip(names, seen, strict=True)]
        self.legs = [one for one in every if not one.seen.of_many]
        self.upstreams = [one for one in every if one.seen.upstream]
        self.every = every

    @property
    def incidents(self) -> Sequence[Incident]:
        """Those that are shown, the worst first."""
        return self.judged.listed[:INCIDENTS_SHOWN]

    @cached_property
    def own(self) -> frozenset[str]:
        """Segments that belong to one upstream or one path rule."""
        return frozenset(self.run.own_segments)

    @cached_property
    def span(self) -> float:
        """Seconds on the time axis, from the run's start."""
        ends = [self.run.duration_seconds, self.run.hold_seconds]
        for leg in self.every:
            ends.append(leg.seen.ended)
            ends += [one.noticed for one in leg.seen.drops]
            if leg.seen.beats:
                ends.append(leg.seen.beats[-1].ended)
        longest = max((one for one in ends if math.isfinite(one)), default=0.0)
        return longest if longest >= 1e-6 else 1.0

    def x(self, seconds: float) -> float:
        """Where a moment stands on the axis, 0 to WIDTH."""
        return round(min(1.0, max(0.0, seconds / self.span)) * WIDTH, 1)

    def percent(self, seconds: float) -> str:
        """The same as a percentage of the axis."""
        return f"{self.x(seconds) / WIDTH:.2%}"

    def width(self, began: float, ended: float) -> str:
        """How wide an interval is, as a percentage of the axis; never less than can be seen."""
        return f"{max(2.0, self.x(ended) - self.x(began)) / WIDTH:.2%}"

    def at(self, seconds: float) -> str:
        """A moment in words: UTC, and seconds into the run."""
        return f"{clock(self.run.started_at + seconds)} UTC ({offset(seconds)})"

    def brief(self, seconds: float) -> str:
        """The same without the seconds."""
        return clock(self.run.started_at + seconds)

    @staticmethod
    def drawn(legs: Sequence[LegView], most: int) -> Sequence[LegView]:
        """In their order; of more than `most` the worst."""
        return worst(legs, most, lambda one: badness(one.outcome))

    def leg_names(self, names: Sequence[str], most: int = 30) -> str:
        """Legs in a row; of many upstreams only how many."""
        upstreams = {one.name for one in self.upstreams}
        few = [one for one in names if one not in upstreams]
        many = [one for one in names if one in upstreams]
        if len(many) > 5:
            few, many = [*few, f"{len(many):,} upstreams"], []
        shown = [*few, *many]
        if len(shown) > most:
            shown = [*shown[: most - 1], f"{len(shown) - most + 1:,} more"]
        return ", ".join(shown)
