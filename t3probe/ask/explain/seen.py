"""What was seen around a time, by either source. All times are Unix seconds.

Incidents of several runs that are one outage: when it began, and when it was over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from t3probe.config.types import Deployment
from t3probe.observation import OPEN_SOCKETS, Stage
from t3probe.verdict.limits.found import LegHistory

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
    """Empty where that is not known: metrics do not tell it."""


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
    """Whether its newest try on a new connection was good; None where that is not known."""
    first_good: float | None = None
    """When its first good beat was answered; None where there was none, or that is not known."""
    why: str = ""
    """Why it told nothing; empty when it told something."""
    kind: str = ""
    level: Stage | None = None
    held_seconds: float | None = None
    """How old its oldest connection became; None where that is not known."""
    colos: Names = ()
    """Where the CDN answered it, in their order; none where that is not known."""

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


class Compared(Seen, frozen=True):
    """What one run says of the way at the moment of a person's own drop, like with like."""

    proved: Names = ()
    """The segments that our legs cleared of that drop by the rules of evidence."""
    worked: Names = ()
    """With those that a leg crossed in that time without a drop of its own."""
    edge: str = ""
    """The segment at which the public leg's TCP connection ends; empty where nobody knows."""
    edges: tuple[tuple[str, int], ...] = ()
    """Colo and address family (4 or 6) of our legs that cross it."""


class OpinionSeen(Seen, frozen=True):
    """What a program on the path said of itself. No evidence."""

    at: float
    name: str
    segment: str
    opinion: str
    sentence: str
    disagreement: str | None = None
    """With the verdict of its run; None: they agree, or were not compared."""


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
    opinions: tuple[OpinionSeen, ...] = ()
    spread: Names = ()
    """The segments that are several machines: a leg that was well may have met others than the
    person did."""
    compared: dict[str, Compared] = {}
    """By the client's name; only where its drop falls into this run, and the beats are known."""
    lived: tuple[LegHistory, ...] = ()
    """Its legs' connections."""


class Way(Seen, frozen=True):
    """The segments that a person's traffic crosses behind their own last mile."""

    segments: Names
    source: str
    """Where it comes from, in words."""
    page: Names = ()
    """What a page crosses that holds the leg's own connection."""


def way_through(
    paths: Sequence[Names], by_leg: Mapping[str, Names], leg: str, source: str = ""
) -> Way:
    """The way of a leg, with the other ways from end to end that the same person takes: those
    that come in at the same segment and share at least one more with it."""
    segments = dict.fromkeys(by_leg[leg])
    for path in paths:
        if path[:1] == by_leg[leg][:1] and len(set(path).intersection(by_leg[leg])) > 1:
            segments.update(dict.fromkeys(path))
    source = source or f"the way of the leg {leg}"
    return Way(segments=tuple(segments), source=source, page=by_leg[leg])


def public_legs(deployment: Deployment) -> list[str]:
    """The legs that go a person's way by the file: over an open WebSocket, found by public DNS."""
    return [one.name for one in deployment.legs if one.kind in OPEN_SOCKETS and one.doh]


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
        public = public_legs(deployment)
    else:
        known = {one.name: one.path for run in runs for one in run.legs if one.path}
        public = sorted(
            {one.name for run in runs for one in run.legs if one.kind in OPEN_SOCKETS and one.path},
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
        unknown = (UNKNOWN_WAY,)
        return Way(segments=unknown, source="unknown: no run and no deployment file", page=unknown)
    every = tuple(segments)
    return Way(segments=every, source="every segment that is known", page=every)


APART_SECONDS = 240.0
"""Runs that lie further apart tell nothing of what was between them."""


class Outage:
    """One incident, or several in consecutive runs of which no leg came back in between.

    Times are Unix seconds.
    """

    def __init__(self, run: RunSeen, incident: IncidentSeen) -> None:
        self.incidents = [incident]
        self.runs = [run]
        self._back: dict[str, float] = {}
        """When legs of it worked again, in runs after those that saw them fail."""

    @property
    def newest(self) -> IncidentSeen:
        """The last of its incidents."""
        return self.incidents[-1]

    @property
    def began(self) -> float:
        """When it began at the earliest."""
        return self.incidents[0].began

    @property
    def ended(self) -> float | None:
        """When its legs worked again at the latest; None when that was not seen."""
        if self.newest.ended is not None:
            return self.newest.ended
        return max(self._back.values()) if self._away == set() else None

    @property
    def _away(self) -> set[str]:
        return {leg for leg in self.newest.failed if leg not in self._back}

    @property
    def last_seen(self) -> float:
        """Until when it is known to have lasted."""
        return self.runs[-1].ended if self.newest.ended is None else self.newest.ended

    @property
    def path(self) -> tuple[str, ...]:
        """Every segment that a failed leg crosses."""
        return tuple(
            dict.fromkeys(name for one in self.incidents for path in one.paths for name in path)
        )

    @property
    def legs(self) -> tuple[str, ...]:
        """The legs that failed in it."""
        return tuple(dict.fromkeys(leg for one in self.incidents for leg in one.failed))

    @property
    def finding(self) -> str:
        """What its runs found, without the times; the last one's when they differ."""
        return self.newest.finding

    def goes_on_in(self, run: RunSeen, taken: set[int]) -> int | None:
        """Take the next run in: the number of its incident that is a part of this outage, because
        a leg had not worked in between; None when it has none."""
        legs = {leg.name: leg for leg in run.legs}
        for number, incident in enumerate(run.incidents):
            same = self._away.intersection(incident.failed)
            if number in taken or all(_worked_before(legs.get(one), incident) for one in same):
                continue
            self.incidents.append(incident)
            self.runs.append(run)
            self._back = {}
            return number
        for leg in self._away:
            seen = legs.get(leg)
            if seen is None or seen.seconds <= 0:
                continue  # this run cannot tell
            if seen.first_good is not None:
                self._back[leg] = seen.first_good
            elif not seen.drops:
                self._back[leg] = run.began
        return None

    def overlaps(self, began: float, ended: float) -> bool:
        """Whether a time falls into it. What no run saw the end of may have lasted to the next
        run that saw its legs work."""
        over = self.ended if self.ended is not None else self.last_seen
        return self.began < ended and over > began

    def parts(self, began: float, ended: float) -> Iterator[IncidentSeen]:
        """Its incidents that fall into a time; those next to it when none does."""
        inside = [
            one
            for one, run in zip(self.incidents, self.runs, strict=True)
            if one.began < ended and (run.ended if one.ended is None else one.ended) > began
        ]
        if inside:
            yield from inside
        else:
            before = [one for one in self.incidents if one.began <= began]
            yield before[-1] if before else self.incidents[0]

    def distance(self, at: float) -> float:
        """How far a time is from it, in seconds; 0 inside."""
        over = self.ended if self.ended is not None else self.last_seen
        return max(0.0, self.began - at, at - over)


def outages_of(runs: Sequence[RunSeen]) -> list[Outage]:
    """The outages of runs that come by their start; each vantage for itself."""
    out: list[Outage] = []
    by_vantage: dict[str, list[RunSeen]] = {}
    for run in runs:
        by_vantage.setdefault(run.vantage, []).append(run)
    for some in by_vantage.values():
        going_on: list[Outage] = []
        for run in some:
            going_on = _one_run(run, going_on, out)
    return sorted(out, key=lambda one: one.began)


def _one_run(run: RunSeen, going_on: Sequence[Outage], out: list[Outage]) -> list[Outage]:
    """Take one run in; the outages that had not ended when it did."""
    still: list[Outage] = []
    taken: set[int] = set()
    for outage in going_on:
        if run.began - outage.runs[-1].ended > APART_SECONDS:
            continue
        number = outage.goes_on_in(run, taken)
        if number is not None:
            taken.add(number)
        if outage.ended is None:
            still.append(outage)
    for number, incident in enumerate(run.incidents):
        if number not in taken:
            outage = Outage(run, incident)
            out.append(outage)
            if incident.ended is None:
                still.append(outage)
    return still


def _worked_before(leg: LegSeen | None, incident: IncidentSeen) -> bool:
    """Whether the leg worked in this run before the incident was noticed."""
    if leg is None or leg.first_good is None:
        return False
    return incident.noticed is None or leg.first_good <= incident.noticed
