"""One run as a look: for how long each leg and each segment was observed, and when it was bad."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from t3probe.observation import Observation
from t3probe.record.facts import Recording
from t3probe.verdict.incident.evidence import takes_part
from t3probe.verdict.incident.run import Incident, RunVerdict, judge_run

EDGE_SECONDS = 1.0
"""What began so soon after the start was there before it."""


class BadSpan(NamedTuple):
    """A time in which something was bad, in Unix seconds."""

    began: float
    ended: float
    from_start: bool
    """Whether the look began with it: it may be older."""
    to_end: bool
    """Whether the look ended with it: it may have gone on."""


class InLook(NamedTuple):
    """One leg or one segment in one look."""

    observed_seconds: float
    """For how long somebody looked and could tell."""
    bad: tuple[BadSpan, ...] = ()


NOTHING = InLook(0.0)


class Look(NamedTuple):
    """What one run saw."""

    began: float
    ended: float
    vantage: str
    legs: dict[str, InLook]
    """Without upstreams and without checks that have a body of their own."""
    segments: dict[str, InLook]
    """The declared ones."""


def look_of(recording: Recording, judged: RunVerdict | None = None) -> Look:
    """A recorded run, exact to the beat. `judged`: its verdict, where it is there already."""
    run = recording.run
    judged = judged or judge_run(run, recording.observations)
    legs = [
        one
        for one in recording.observations
        if not (one.after_hold or one.of_many or one.kind == "source")
    ]
    ended = max((one.ended for one in recording.observations), default=run.duration_seconds)
    return Look(
        began=run.started_at,
        ended=run.started_at + max(ended, run.duration_seconds),
        vantage=run.vantage,
        legs={one.leg: _leg(run.started_at, one) for one in legs},
        segments=_segments(run.started_at, run.segments, recording.observations, judged),
    )


def _leg(start: float, seen: Observation) -> InLook:
    """Inconclusive, or under planned downtime: nothing was told."""
    if not takes_part(seen):
        return NOTHING
    bad = tuple(
        _span(start, drop.began, drop.recovered, seen.started, seen.ended) for drop in seen.counted
    )
    if seen.outcome == "failed" and not bad:  # it failed otherwise, such as at a wall
        bad = (_span(start, seen.started, None, seen.started, seen.ended),)
    return InLook(seen.observed_seconds, bad)


def _span(start: float, began: float, over: float | None, first: float, last: float) -> BadSpan:
    return BadSpan(
        start + began,
        start + (max(began, last) if over is None else over),
        began <= first + EDGE_SECONDS,
        over is None,
    )


def _segments(
    start: float, declared: Iterable[str], legs: Iterable[Observation], judged: RunVerdict
) -> dict[str, InLook]:
    """Bad is a segment while an incident convicts it. While it is one of several suspects, or
    hidden behind one, it is not known: that time is taken from what was observed."""
    verdict = judged.verdict
    told = [one for one in legs if takes_part(one)]
    convicted, unobserved = set(verdict.convicted), set(verdict.unobserved)
    suspects = {*verdict.ambiguous, *verdict.masked}
    found: dict[str, InLook] = {}
    for name in dict.fromkeys(declared):
        over = [one for one in told if name in one.path]
        if name in unobserved or not over:
            found[name] = NOTHING
            continue
        first, last = min(one.started for one in over), max(one.ended for one in over)
        observed = max(one.observed_seconds for one in over)
        bad = list(_of(judged.incidents, name, "convicted"))
        if name in convicted and not bad:  # by several incidents together
            bad = list(_of(judged.incidents, name, "ambiguous"))
        elif name in suspects or name in convicted:
            unclear = [*_of(judged.incidents, name, "ambiguous", "masked")]
            observed -= length((one.began, _end(one, last)) for one in unclear)
        spans = tuple(_span(start, one.began, one.recovered, first, last) for one in bad)
        found[name] = InLook(max(0.0, observed), spans)
    return found


def _of(incidents: Iterable[Incident], name: str, *states: str) -> Iterator[Incident]:
    return (
        one for one in incidents if any(name in getattr(one.verdict, state) for state in states)
    )


def _end(incident: Incident, last: float) -> float:
    return max(incident.began, last) if incident.recovered is None else incident.recovered


def length(spans: Iterable[tuple[float, float]]) -> float:
    """How long all of them last together; what lies in two counts once."""
    total, until = 0.0, float("-inf")
    for began, ended in sorted(spans):
        total += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return total
