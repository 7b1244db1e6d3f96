"""Counts of failed tries out of many runs, or out of a case.

Over several runs each run is one try of a leg: failed if it failed in any incident, good if it
cleared in every one; anything else is no try. `t3probe.verdict.repeated.posterior` says what a try
is within one run. What counts forget is which legs failed together: the verdicts of the single runs
know that, and `Repetition.convicted_in` says how many of them convict each segment.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from t3probe.observation import Observation, RunRecord, of_old, parts_said
from t3probe.text import distinct, fold
from t3probe.text.words import count, glossed, listed, percent, utc
from t3probe.verdict.exact.case import Case
from t3probe.verdict.incident.run import RunVerdict, judge_run
from t3probe.verdict.limits.found import Histories, Limit, histories
from t3probe.verdict.repeated.posterior import CONVICTS_OVER, Posterior, posterior, tries_of

_HANG = " " * 14


class Recorded(Protocol):
    """One run, as `t3probe.record.Recording` has it."""

    @property
    def run(self) -> RunRecord: ...
    @property
    def observations(self) -> tuple[Observation, ...]: ...


class Repetition(msgspec.Struct, frozen=True, kw_only=True):
    """What several runs of one deployment and vantage saw."""

    runs: int
    first: float
    """When the earliest of them started, in Unix seconds."""
    last: float
    segments: tuple[str, ...]
    legs: dict[str, tuple[str, ...]]
    """A leg that had another path in another run stands there once for each."""
    counts: dict[str, tuple[int, int]]
    """Of each leg how many tries failed, and how many there were."""
    convicted_in: dict[str, int]
    """How many runs' own exact verdicts convict each segment; those with none are left out."""
    parts: str = ""
    """Which shards these are, and what is not in them; empty when the runs are not split."""
    gloss: dict[str, str] = {}
    """What the runs' files add to the names of segments."""
    limits: tuple[Limit, ...] = ()
    """Ages and silences at which connections die; their times are Unix seconds."""
    old: str = ""
    """What has to be said about runs that an earlier version recorded."""

    def posterior(self) -> Posterior:
        """What all runs together say."""
        return posterior(self.segments, self.legs, self.counts)

    def _limits(self) -> list[dict[str, Any]]:
        return [one.to_dict(0.0, self.gloss) for one in self.limits]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: the runs, the counts, then the posterior's keys."""
        return {
            "runs": self.runs,
            "first": utc(self.first),
            "last": utc(self.last),
            **({"parts": self.parts} if self.parts else {}),
            "counts": {leg: list(one) for leg, one in self.counts.items()},
            "convicted_in": self.convicted_in,
            **({"limits": self._limits()} if self.limits else {}),
            **self.posterior().to_dict(),
        }


def of_case(case: Case) -> Posterior:
    """The posterior of a case; one without counts has nothing but priors."""
    return posterior(case.segments, case.legs, case.counts or {}, priors=case.priors)


def from_runs(recordings: Iterable[Recorded]) -> Repetition:
    """Count over runs, each recording one run; of a run that is there twice the later counts.

    Raises ValueError, one sentence, when there is none, and for runs of more than one deployment
    or vantage: a segment of one network is not that of another with its name.
    """
    # Only what is counted is kept: a day has 1,440 runs, and a run may have 10,000 upstreams.
    runs: dict[tuple[float, int], _Run] = {}
    known: dict[_Way, int] = {}
    alike: dict[tuple[str, ...], tuple[str, ...]] = {}
    parts: dict[tuple[int | None, int | None], RunRecord] = {}
    versions: dict[tuple[float, int], int] = {}
    gloss: dict[str, str] = {}
    lived = Histories()
    spread: dict[str, None] = {}
    origin: tuple[str, str] | None = None
    for one in recordings:
        found = one.run.deployment, one.run.vantage
        if origin is not None and found != origin:
            raise ValueError(
                "expected runs of one deployment and vantage, found "
                f"{_origin(origin)} and {_origin(found)}; give them apart"
            )
        origin = found
        key = one.run.started_at, -1 if one.run.shard is None else one.run.shard
        if key not in runs:
            lived.add(histories(one.observations, one.run.started_at))
        runs[key] = _run(judge_run(one.run, one.observations), known, alike)
        versions[key] = one.run.version
        spread.update(dict.fromkeys(one.run.spread))
        gloss |= one.run.gloss
        parts.setdefault((one.run.shard, one.run.shards), one.run)
    if not runs:
        raise ValueError("expected at least one run, found none; name files with runs")
    segments: dict[str, None] = {}
    legs: dict[str, tuple[str, ...]] = {}
    counts: dict[str, tuple[int, int]] = {}
    convicted_in: dict[str, int] = {}
    ways = list(known)
    for _, run in sorted(runs.items()):
        segments.update(dict.fromkeys(run.segments))
        for number in run.tries:
            (leg, path), failed = ways[number >> 1], number & 1
            name = _named(leg, path, legs)
            fails, tries = counts.get(name, (0, 0))
            counts[name] = fails + failed, tries + 1
        for name in run.convicted:
            convicted_in[name] = convicted_in.get(name, 0) + 1
    return Repetition(
        runs=len(runs),
        first=min(runs)[0],
        last=max(runs)[0],
        segments=tuple(segments),
        legs=legs,
        counts=counts,
        convicted_in=convicted_in,
        parts=parts_said(parts.values()),
        gloss=gloss,
        limits=lived.limits(spread),
        old=of_old(*versions.values()),
    )


_Way = tuple[str, tuple[str, ...]]
"""A leg's name and its path."""


class _Run(NamedTuple):
    segments: tuple[str, ...]
    tries: array[int]
    """Twice the number of a leg's way, and one more when it failed."""
    convicted: tuple[str, ...]


def _run(
    judged: RunVerdict, known: dict[_Way, int], alike: dict[tuple[str, ...], tuple[str, ...]]
) -> _Run:
    """`known` numbers the ways of all runs, `alike` holds their lists of segments once."""
    many = max(1, sum(bool(one.tried) for one in judged.incidents))
    tries = array("q")
    for leg, one in tries_of(judged.passed, judged.incidents).items():
        if any(one) or len(one) == many:
            tries.append(2 * known.setdefault((leg, judged.legs[leg]), len(known)) + any(one))
    segments = alike.setdefault(judged.segments, judged.segments)
    return _Run(segments, tries, judged.verdict.convicted)


def _named(leg: str, path: tuple[str, ...], legs: dict[str, tuple[str, ...]]) -> str:
    """The leg's name, with a number when the name stands for another path already."""
    number, name = 1, leg
    while legs.setdefault(name, path) != path:
        number += 1
        name = f"{leg} ({number})"
    return name


def _origin(found: tuple[str, str]) -> str:
    deployment, vantage = found
    return f"{deployment or 'a deployment without a name'}{f' from {vantage}' * bool(vantage)}"


def render(found: Repetition) -> Iterator[str]:
    """The lines for people: legs with their counts, segments with their probabilities."""
    judged = found.posterior()
    yield f"{count(found.runs, 'run')} from {utc(found.first)} to {utc(found.last)}"
    yield from fold(found.parts, indent=_HANG)
    yield from fold(found.old, indent=_HANG)
    yield ""
    yield f"{'leg':<32}{'failed':>8}{'tries':>8}"
    names = distinct(found.counts, 31)
    for leg, (fails, tries) in found.counts.items():
        yield f"{names[leg]:<32}{fails:>8}{tries:>8}"
    yield ""
    yield f"{'segment':<32}{'broken':>8}{'runs that convict it':>24}"
    names = distinct(judged.posterior, 31)
    for name in _ranked(judged.posterior):
        yield (
            f"{names[name]:<32}{percent(judged.posterior[name]):>8}"
            f"{found.convicted_in.get(name, 0) or '-':>24}"
        )
    yield ""
    yield from _sentence(judged, found.gloss)
    for one in found.limits:
        yield from fold(f"  limit       {one.text(found.gloss)}", indent=_HANG)


def _ranked(probability: Mapping[str, float]) -> list[str]:
    return sorted(probability, key=lambda name: -probability[name])


def _sentence(judged: Posterior, gloss: Mapping[str, str]) -> Iterator[str]:
    over = f"more than {percent(CONVICTS_OVER)}"
    if judged.convicted_by_repetition:
        be = "is" if len(judged.convicted_by_repetition) == 1 else "are"
        names = listed(glossed(judged.convicted_by_repetition, gloss))
        head = f"{names} {be} broken, with {over}"
    else:
        head = f"no segment is convicted: none has {over}"
    yield from fold(f"REPETITION  {head}", indent=_HANG)
    if judged.suspects:
        yield from fold(f"  suspects    {', '.join(glossed(judged.suspects, gloss))}", indent=_HANG)
    if judged.truncated:
        yield "  too many segments to sum over all faults: the numbers only rank"
