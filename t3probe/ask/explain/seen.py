"""What was seen around a time, whichever source told it. All times are Unix seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from t3probe.config.types import Deployment
from t3probe.observation import Stage

__all__ = [
    "UNKNOWN_WAY",
    "DropSeen",
    "IncidentSeen",
    "LegSeen",
    "RunSeen",
    "Way",
    "way_of",
    "way_through",
]

Names = tuple[str, ...]

UNKNOWN_WAY = "our-side"
"""Stands for all segments where none is known: it can never be cleared."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what was seen."""


class DropSeen(Seen, frozen=True):
    """Drops of one leg. From recorded runs one; from metrics those of one run and one reason."""

    reason: str
    began: float
    """When it began at the earliest."""
    ended: float | None
    """When the leg worked again at the latest; None: not before its run ended."""
    noticed: float | None = None
    count: int = 1
    symptom: str = ""
    """Empty where nobody knows: metrics do not tell it."""


class LegSeen(Seen, frozen=True):
    """One leg in one run."""

    name: str
    path: Names
    began: float
    ended: float
    seconds: float
    """How long it was really looked at, between these two; 0 when it told nothing."""
    drops: tuple[DropSeen, ...] = ()
    connected: bool | None = None
    """Whether its held connection worked at the end; of a leg that holds none, its last try."""
    accepting: bool | None = None
    """Whether its newest try on a new connection was good; None where nobody knows."""
    first_good: float | None = None
    """When its first good beat was answered; None where there was none, or nobody knows."""
    why: str = ""
    """Why it told nothing; empty when it told something."""
    kind: str = ""
    level: Stage | None = None
    held_seconds: float | None = None
    """How old its oldest connection became; None where nobody knows."""

    @property
    def refuses(self) -> bool:
        """What it held lived on to the end, and nothing new was accepted."""
        return self.accepting is False and self.connected is not False


class IncidentSeen(Seen, frozen=True):
    """Drops that one run judged together."""

    began: float
    noticed: float | None
    ended: float | None
    """When all its legs worked again; None: not before the run ended."""
    symptom: str
    failed: Names
    """The legs that failed."""
    paths: tuple[Names, ...]
    """What broke lies in each of these: what each failed leg crosses."""
    exonerated: Names
    """What the evidence of that run cleared."""
    finding: str
    """In words, without the times."""


class RunSeen(Seen, frozen=True):
    """One run, or what the metrics tell of one."""

    began: float
    ended: float
    vantage: str
    complete: bool
    lag_seconds: float
    """The longest time the prober itself was late."""
    segments: Names
    legs: tuple[LegSeen, ...]
    incidents: tuple[IncidentSeen, ...]
    exonerated: Names = ()
    """What the run's own verdict cleared; needed only where the legs' paths are not known."""
    gloss: dict[str, str] = {}
    """What the file adds to the names of segments."""
    spread: Names = ()
    """The segments that are several machines: a leg that was well may have met others than the
    person did."""


class Way(Seen, frozen=True):
    """The segments that a person's traffic crosses behind their own last mile."""

    segments: Names
    source: str
    """Where it comes from, in words."""


def way_through(
    paths: Sequence[Names], by_leg: Mapping[str, Names], leg: str, source: str = ""
) -> Way:
    """The way of a leg, with the other ways from end to end that the same person takes: those
    that come in at the same segment and share at least one more with it."""
    segments = dict.fromkeys(by_leg[leg])
    for path in paths:
        if path[:1] == by_leg[leg][:1] and len(set(path).intersection(by_leg[leg])) > 1:
            segments.update(dict.fromkeys(path))
    return Way(segments=tuple(segments), source=source or f"the way of the leg {leg}")


def way_of(
    deployment: Deployment | None, runs: Iterable[RunSeen], paths: Sequence[Names], leg: str | None
) -> Way:
    """Which segments a person's connection crosses.

    `leg` names one that goes the person's way. By default: the deployment file's first ws_echo
    leg with DoH, or its first path. Without a file: the WebSocket leg of the runs that crosses
    most, which is the public one, or the first of `paths`; when only segments are known, all of
    them. Raises LookupError with a sentence when `leg` is no leg.
    """
    if deployment is not None:
        known = {one.name: one.path for one in deployment.legs}
        paths = deployment.paths
        public = [one.name for one in deployment.legs if one.kind == "ws_echo" and one.doh]
    else:
        known = {one.name: one.path for run in runs for one in run.legs if one.path}
        public = sorted(
            {one.name for run in runs for one in run.legs if one.kind == "ws_echo" and one.path},
            key=lambda name: (-len(known[name]), name),
        )
    if leg is not None:
        if leg not in known:
            some = ", ".join(list(known)[:12]) or "none; add --deployment FILE"
            raise LookupError(f"expected the name of a leg ({some}), found {leg[:60]!r}")
        return way_through(paths, known, leg)
    if public:
        return way_through(paths, known, public[0])
    if paths:
        name = "the first of the deployment's paths"
        return way_through(paths, {name: paths[0]}, name, name)
    segments = dict.fromkeys(one for run in runs for one in run.segments)
    if not segments:
        return Way(segments=(UNKNOWN_WAY,), source="unknown: no run and no deployment file")
    return Way(segments=tuple(segments), source="every segment that is known")
