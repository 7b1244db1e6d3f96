"""Looks out of a Prometheus, day by day: no finer than a run.

Each new value of `t3probe_run_timestamp_seconds` is a run, as in `t3probe.ask.explain`. What its
counters rose by is what it observed; metrics do not tell when in a run a leg was bad, so a run in
which it dropped counts as bad whole. A group whose last run is long over is still scraped and tells
of nothing new, so it is not observed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from t3probe.ask.explain.from_prometheus import (
    ACCEPTING,
    CONNECTED,
    DROPS,
    DURATION,
    OBSERVED,
    OWN_LABELS,
    RUN,
    SLACK_SECONDS,
    STATE,
)
from t3probe.ask.explain.prometheus import Prometheus, Series, quoted
from t3probe.show.availability import BadSpan, InLook, Look
from t3probe.show.availability.looks import NOTHING

STEP_SECONDS = 60.0
DAY_SECONDS = 86_400.0
"""So much is asked at once."""
_NAMES = (RUN, DURATION, OBSERVED, CONNECTED, ACCEPTING, STATE)

Group = tuple[tuple[str, str], ...]


def looks_from(
    prometheus: Prometheus, began: float, ended: float, *, job: str, vantage: str | None = None
) -> Iterator[tuple[tuple[str, float], Look]]:
    """Each run from `began` to `ended`, Unix seconds, with its key. Raises PrometheusError."""
    more = "" if vantage is None else f",vantage={quoted(vantage)}"
    labels = f"job={quoted(job)}{more}"
    gauges = f'{{__name__=~"{"|".join(_NAMES)}",{labels}}}'
    drops = f"sum without (reason) ({DROPS}{{{labels}}})"
    groups: dict[Group, _Course] = {}
    at = began
    while at < ended:
        until = min(at + DAY_SECONDS, ended)
        found: dict[Group, _Day] = {}
        for name, query in (("", gauges), (DROPS, drops)):
            for one in prometheus.steps(query, at, until, STEP_SECONDS):
                key = tuple(sorted((a, b) for a, b in one.labels.items() if a not in OWN_LABELS))
                found.setdefault(key, _Day()).add(name or one.name, one)
        for key in sorted(found):
            for look in groups.setdefault(key, _Course(key)).looks(found[key]):
                # Two replicas of one Prometheus tell of the same runs.
                yield (look.vantage, round(look.ended, 3)), look
        at = until + STEP_SECONDS


@dataclass
class _Day:
    """The series of one group over one question, by what they tell."""

    runs: list[Series] = field(default_factory=list)
    durations: list[Series] = field(default_factory=list)
    of_leg: dict[tuple[str, str], dict[float, float]] = field(default_factory=dict)
    states: dict[tuple[str, str], dict[float, float]] = field(default_factory=dict)

    def add(self, name: str, one: Series) -> None:
        """Take a series in."""
        if name == RUN:
            self.runs.append(one)
        elif name == DURATION:
            self.durations.append(one)
        elif name == STATE:
            key = one.labels.get("segment", ""), one.labels.get("state", "")
            self.states.setdefault(key, {}).update(one.samples)
        else:
            key = name, one.labels.get("leg", "")
            self.of_leg.setdefault(key, {}).update(one.samples)


class _Course:
    """One group from day to day: what its counters were at the run before."""

    def __init__(self, group: Group) -> None:
        self.vantage = dict(group).get("vantage", "")
        self._stamp: float | None = None
        self._before: dict[tuple[str, str], float] = {}

    def looks(self, day: _Day) -> Iterator[Look]:
        """Its new runs. A group without legs, such as a shard of upstreams, has none."""
        durations = {at: value for one in day.durations for at, value in one.samples}
        stamps = sorted({at: value for one in day.runs for at, value in one.samples}.items())
        for at, stamp in stamps:
            if stamp == self._stamp:
                continue
            before, self._stamp = self._stamp, stamp
            if look := self._look(day, at, before, stamp, durations.get(at)):
                yield look

    def _look(
        self, day: _Day, at: float, before: float | None, stamp: float, lasted: float | None
    ) -> Look | None:
        rises = {key: self._rise(key, values[at])
                 for key, values in day.of_leg.items()
                 if key[0] in (OBSERVED, DROPS) and at in values}  # fmt: skip
        observed = {leg: rise for (name, leg), rise in rises.items() if name == OBSERVED}
        if not observed:
            return None
        began = stamp - (lasted or 0.0)
        most = max((one for one in observed.values() if one is not None), default=0.0)
        if before is not None and before < stamp:
            # Runs of which no scrape told are told with this one.
            began = before if most > stamp - began + SLACK_SECONDS else max(began, before)
        legs = {}
        for leg, seconds in observed.items():
            legs[leg] = NOTHING
            if seconds is not None and seconds > 0:
                down = any(
                    day.of_leg.get((name, leg), {}).get(at) == 0 for name in (CONNECTED, ACCEPTING)
                )
                bad = down or bool(rises.get((DROPS, leg)))
                legs[leg] = InLook(seconds, (BadSpan(began, stamp, True, down),) if bad else ())
        return Look(began, stamp, self.vantage, legs, _segments(day, at, began, stamp, most))

    def _rise(self, key: tuple[str, str], value: float) -> float | None:
        """What a counter rose by since the run before; after a reset it began at 0. None at its
        first sight: what it held is not known."""
        before = self._before.get(key)
        self._before[key] = value
        if before is None:
            return None
        return value - before if value >= before else value


def _segments(
    day: _Day, at: float, began: float, ended: float, seconds: float
) -> dict[str, InLook]:
    """The verdict of that run on each segment: one of several suspects was not observed."""
    found: dict[str, InLook] = {}
    for (segment, state), values in day.states.items():
        found.setdefault(segment, NOTHING)
        if values.get(at) != 1 or seconds <= 0:
            continue
        if state == "exonerated":
            found[segment] = InLook(seconds)
        elif state == "convicted":
            found[segment] = InLook(seconds, (BadSpan(began, ended, True, True),))
    return found
