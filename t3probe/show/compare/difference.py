"""Two recorded runs, compared. Pure: the runs may be minutes apart and from different machines.

A segment regressed when it was exonerated before and is not exonerated after. That is not the
same as broken: what cannot be cleared any more is a regression, too, and says so. A segment that
was broken before is no regression. One that no leg looked at, before or after, cannot be
told: it is no regression, and it does not open a gate either.

A leg's round trip changed when its medians differ by more than the runs' own noise: three
standard errors of the difference, each from the median absolute deviation (which a few outliers
do not move), and at least a millisecond. A phase such as `tls` was timed once in each run, so
beyond the noise of the round trips nothing can be said about it: neither worse nor the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from t3probe.observation import Observation, median, of_old
from t3probe.record.facts import Recording
from t3probe.text import showable
from t3probe.text.words import listed
from t3probe.verdict.gate import label_of
from t3probe.verdict.incident.run import RunVerdict, judge_run

FLOOR_SECONDS = 0.001
"""Less than this is never called a change."""
ERRORS = 3.0
"""How many standard errors the noise is."""
COLO_CHARACTERS = 12
"""A place has three."""
FEWEST = 4
"""With fewer round trips in a run its noise is not known."""
MAD_TO_SIGMA = 1.4826
"""From the median absolute deviation to the standard deviation of a normal distribution."""
MEDIAN_TO_MEAN = 1.2533
"""By how much the median's standard error exceeds the mean's: the root of pi/2."""

Course = Literal["worse", "better", "same"]
RANK = {"exonerated": 0, "unobserved": 1, "masked": 1, "ambiguous": 1, "convicted": 2}
"""What cannot be told lies between cleared and convicted, whatever its name."""


class SegmentChange(msgspec.Struct, frozen=True, kw_only=True):
    """One segment's labels before and after."""

    segment: str
    before: str
    after: str
    course: Course
    gated: bool
    regression: bool
    """Exonerated before and not after."""
    untold: bool
    """Not exonerated after, and whether it got worse cannot be told: no leg that gave evidence
    crossed it in one of the runs, or the runs are of different deployments."""


class TimeChange(msgspec.Struct, frozen=True, kw_only=True):
    """A time before and after, in seconds."""

    what: str
    """`round trip`, or the name of a phase."""
    before_seconds: float
    after_seconds: float
    difference_seconds: float
    noise_seconds: float | None
    """What the runs' own noise explains; None when it is not known."""
    exceeds_noise: bool | None
    """None: it cannot be told."""


class LegChange(msgspec.Struct, frozen=True, kw_only=True):
    """One leg before and after; an empty outcome means that it did not run."""

    leg: str
    before: str
    after: str
    drops_before: int
    drops_after: int
    colo_before: str = ""
    """The CDN's place that answered last; empty where none was named."""
    colo_after: str = ""
    paces: tuple[TimeChange, ...]

    @property
    def moved(self) -> bool:
        """Whether another place of the CDN answered: what differs may be that place's."""
        return bool(self.colo_before and self.colo_after) and self.colo_before != self.colo_after


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that two runs have to say about each other."""

    segments: tuple[SegmentChange, ...]
    legs: tuple[LegChange, ...]
    gate: tuple[str, ...]
    """The segments whose regression counts."""
    named: bool
    """Whether somebody named them; otherwise they are all there are."""
    warnings: tuple[str, ...]
    gloss: dict[str, str]
    """What the deployment files add to the names of segments."""
    before_status: str
    after_status: str
    interrupted: bool = False
    """Whether the run after was, so that nobody looked to its end: it opens no gate."""

    @property
    def regressions(self) -> tuple[SegmentChange, ...]:
        """The regressions of gated segments."""
        return tuple(one for one in self.segments if one.gated and one.regression)

    @property
    def untold(self) -> tuple[SegmentChange, ...]:
        """What keeps a gate closed and is no regression. Without a gate, nothing does."""
        return tuple(one for one in self.segments if self.named and one.gated and one.untold)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        out: dict[str, Any] = msgspec.to_builtins(self)
        out["regressed"] = [one.segment for one in self.regressions]
        out["untold"] = [one.segment for one in self.untold]
        return out


def compare(before: Recording, after: Recording, gate: Sequence[str] = ()) -> Comparison:
    """Compare two runs. An empty `gate` means every segment that the runs' deployments declare."""
    judged = judge_run(before.run, before.observations), judge_run(after.run, after.observations)
    segments = tuple(dict.fromkeys((*before.run.segments, *after.run.segments)))
    gated = tuple(gate) or segments
    shown = tuple(dict.fromkeys((*segments, *_own(before, after, judged), *gated)))
    same = before.run.deployment == after.run.deployment
    return Comparison(
        segments=tuple(_segment(one, judged, one in gated, same) for one in shown),
        legs=tuple(_legs(before.observations, after.observations)),
        gate=gated,
        named=bool(gate),
        warnings=tuple(_warnings(before, after)),
        gloss=before.run.gloss | after.run.gloss,
        before_status=judged[0].verdict.status,
        after_status=judged[1].verdict.status,
        interrupted=after.run.interrupted,
    )


def _own(
    before: Recording, after: Recording, judged: tuple[RunVerdict, RunVerdict]
) -> Iterable[str]:
    """Segments of single upstreams and rules, where they differ: there may be thousands."""
    for segment in dict.fromkeys((*before.run.own_segments, *after.run.own_segments)):
        if label_of(judged[0].verdict, segment) != label_of(judged[1].verdict, segment):
            yield segment


def _segment(
    segment: str, judged: tuple[RunVerdict, RunVerdict], gated: bool, same: bool
) -> SegmentChange:
    """`same`: both runs are of the same deployment."""
    first, second = (label_of(one.verdict, segment) for one in judged)
    rise = RANK[second] - RANK[first]
    return SegmentChange(
        segment=segment,
        before=first,
        after=second,
        course="worse" if rise > 0 else "better" if rise < 0 else "same",
        gated=gated,
        regression=first == "exonerated" != second,
        untold="exonerated" not in (first, second)
        and ("unobserved" in (first, second) or not same),
    )


def _legs(before: Sequence[Observation], after: Sequence[Observation]) -> Iterable[LegChange]:
    first = {one.leg: one for one in before}
    second = {one.leg: one for one in after}
    for name in dict.fromkeys((*first, *second)):
        a, b = first.get(name), second.get(name)
        yield LegChange(
            leg=name,
            before=_outcome(a),
            after=_outcome(b),
            drops_before=_drops(a),
            drops_after=_drops(b),
            colo_before="" if a is None else showable(a.colo, COLO_CHARACTERS),
            colo_after="" if b is None else showable(b.colo, COLO_CHARACTERS),
            paces=tuple(_paces(a, b)) if a is not None and b is not None else (),
        )


def _outcome(seen: Observation | None) -> str:
    if seen is None:
        return ""
    return "planned" if seen.planned else seen.outcome


def _drops(seen: Observation | None) -> int:
    return 0 if seen is None else len(seen.counted)


def _paces(before: Observation, after: Observation) -> Iterable[TimeChange]:
    trips = [before.trips, after.trips]
    noise = None
    if all(trips):
        errors = [_error(one) for one in trips]
        if all(one is not None for one in errors):
            noise = max(FLOOR_SECONDS, ERRORS * math.hypot(*(one or 0.0 for one in errors)))
        yield _pace("round trip", median(trips[0]), median(trips[1]), noise, sure=True)
    for phase in _both(before.phases, after.phases):
        yield _pace(phase, before.phases[phase], after.phases[phase], noise, sure=False)


def _both(first: Mapping[str, float], second: Mapping[str, float]) -> list[str]:
    return [one for one in first if one in second]


def _pace(what: str, first: float, second: float, noise: float | None, *, sure: bool) -> TimeChange:
    difference = second - first
    exceeds: bool | None = None
    if noise is not None:
        exceeds = abs(difference) > noise
        if exceeds and not sure:
            exceeds = None  # timed once in each run
    return TimeChange(
        what=what,
        before_seconds=round(first, 6),
        after_seconds=round(second, 6),
        difference_seconds=round(difference, 6),
        noise_seconds=None if noise is None else round(noise, 6),
        exceeds_noise=exceeds,
    )


def _error(values: Sequence[float]) -> float | None:
    """The standard error of their median, in seconds; None when there are too few."""
    if len(values) < FEWEST:
        return None
    middle = median(values)
    deviation = MAD_TO_SIGMA * median(abs(one - middle) for one in values)
    return MEDIAN_TO_MEAN * deviation / math.sqrt(len(values))


def _warnings(before: Recording, after: Recording) -> Iterable[str]:
    a, b = before.run, after.run
    if a.deployment != b.deployment:
        yield f"the runs are of different deployments, {a.deployment!r} and {b.deployment!r}"
    if a.vantage != b.vantage:
        yield f"the runs are from different vantages, {a.vantage!r} and {b.vantage!r}"
    if a.started_at > b.started_at:
        yield "the run called before began after the other one"
    for which, run in (("before", a), ("after", b)):
        if run.interrupted:
            yield f"the run {which} was interrupted"
        elif run.partial:
            yield f"the run {which} is only a part of the checks"
        if old := of_old(run.version):
            yield f"the run {which}: {old}"
    here, there = ({one.leg for one in run.observations} for run in (before, after))
    for which, gone in (("before", here - there), ("after", there - here)):
        if gone:
            yield f"only the run {which} has {listed(sorted(gone))}"
