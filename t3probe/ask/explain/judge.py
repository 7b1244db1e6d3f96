"""The answer: what broke when the person dropped. Pure.

The person is one leg more: it failed, over a last mile of its own and the whole way behind it.

- A run's incident near that time is judged again with this leg. Where the incident explains the
  person's drop, it was us: what is convicted on the person's way, or one of the suspects.
- Without such an incident the legs clear what they cross when they had no drop, were looked at for
  at least half of the window, and were looked at when the person dropped, too: a pause between two
  runs clears nothing. What is several machines no leg clears for a person, who may have met another
  one. When the whole way is cleared, the last mile is the only suspect left. Otherwise nothing is
  cleared or blamed.
- Several people are as many legs, each with a last mile of its own and all over one network that
  they may share. From three on the smallest explanation is what they share, so it is never three
  last miles: it is something that the legs do not show.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

from t3probe.ask.explain.seen import (
    DropSeen,
    IncidentSeen,
    LegSeen,
    Outage,
    RunSeen,
    Way,
    outages_of,
)
from t3probe.ask.forensics.kinds import LAST_MILE
from t3probe.verdict.exact.case import Case
from t3probe.verdict.exact.labels import Verdict, solve
from t3probe.verdict.limits.found import Histories, Limit

COVERED_SHARE = 0.5
"""A leg clears its segments when it was looked at for at least this share of the window."""
CLOCK_SECONDS = 5.0
"""By so much a person's clock, or a glance at it, may be wrong."""
READ_SECONDS = 1.0
"""The exactest time is read to the second: it may be any moment of it."""
SEVERAL = 3
"""So many people at once are no coincidence of last miles."""
MOST_PEOPLE = 20
"""More change nothing in the verdict."""
PERSON = "the person"
SHARED = "shared-network"
"""A network that several people share before the edge."""

State = Literal[
    "clean", "dropped", "down", "refusing", "too little", "not then", "told nothing", "planned"
]
Finding = Literal[
    "ours", "ours_one_of", "last_mile", "shared_blind_spot", "unclear", "not_observed"
]
"""`ours`: a segment is convicted; `ours_one_of`: one of several broke; `last_mile`: everything of
ours is cleared; `shared_blind_spot`: several people, and our legs show nothing; `unclear`: not
enough was looked at, or the outcomes contradict each other; `not_observed`: no leg was looking."""


class Question(NamedTuple):
    """What is asked. Times are Unix seconds."""

    at: float
    window: float
    now: float
    people: int = 1
    vague: tuple[float, float] = (0.0, 0.0)
    """How much before and after `at` may be meant."""

    @property
    def began(self) -> float:
        """The window's start."""
        return self.at - self.window

    @property
    def ended(self) -> float:
        """The window's end, which cannot lie in the future."""
        return max(self.began, min(self.at + self.window, self.now))

    @property
    def seconds(self) -> float:
        """The window's length."""
        return self.ended - self.began

    def meant(self, began: float, ended: float) -> bool:
        """Whether this span holds a moment that may be meant."""
        before, after = self.vague
        first = max(self.began, self.at - before - CLOCK_SECONDS)
        return began <= min(self.ended, self.at + after + CLOCK_SECONDS) and ended >= first


class LegThen(NamedTuple):
    """One leg in the window."""

    name: str
    path: tuple[str, ...]
    state: State
    """`down`: it had not come back when it was last seen in the window. `refusing`: nor did it
    accept anything new, and what it held lived on. `not then`: no drop, and looked at for long
    enough, but not at the time that was named."""
    seconds: float
    """How long it was looked at in the window."""
    share: float
    drops: tuple[DropSeen, ...]
    why: str
    """Why it told nothing, or nothing in a part of the window."""
    held_seconds: float | None

    @property
    def clears(self) -> bool:
        """Whether it is evidence that its segments worked."""
        return self.state == "clean"


class Explained:
    """The answer to a question."""

    def __init__(self, question: Question, runs: Sequence[RunSeen], way: Way) -> None:
        self.question, self.way = question, way
        self._all = tuple(runs)
        self.runs = tuple(
            one for one in runs if one.began < question.ended and one.ended > question.began
        )
        """The runs that overlap the window."""
        self.before = max((one.ended for one in runs if one.ended <= question.began), default=None)
        """When the last run before the window ended; None where none is known."""
        self.after = min((one.began for one in runs if one.began >= question.ended), default=None)
        """When the next one began."""
        self.legs = _legs_then(self.runs, question)
        found = outages_of(runs)
        self.outages: tuple[Outage, ...] = tuple(
            one for one in found if one.overlaps(question.began, question.ended)
        )
        """What failed in the window, whether it explains the drop or not."""
        self.nearby: tuple[Outage, ...] = tuple(one for one in found if one not in self.outages)
        """What failed before and after it."""
        self.gloss: dict[str, str] = {}
        """What the newest run's file adds to the names of segments."""
        for one in runs:
            self.gloss |= one.gloss
        self.spread = frozenset(name for one in runs for name in one.spread)
        """The segments that are several machines: no leg of ours clears them for a person."""
        self._declared = tuple(dict.fromkeys(name for one in runs for name in one.segments))

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """All segments, the people's own first."""
        own = [LAST_MILE] if self.question.people < 2 else [SHARED, *self._last_miles]
        paths = [*(one.path for one in self.legs), *(one.path for one in self.outages)]
        rest = [*self.way.segments, *self._declared, *(name for path in paths for name in path)]
        return tuple(dict.fromkeys([*own, *rest]))

    @cached_property
    def _last_miles(self) -> tuple[str, ...]:
        people = min(self.question.people, MOST_PEOPLE)
        return tuple(f"{LAST_MILE}-{number}" for number in range(1, people + 1))

    @property
    def _people(self) -> frozenset[str]:
        return frozenset((*self._last_miles, LAST_MILE, SHARED))

    def judged(self, failed: Sequence[tuple[str, ...]], cleared: Iterable[str]) -> Verdict:
        """The verdict with the person as one leg more: over what failed and what is cleared."""
        legs = {f"leg {number}": path for number, path in enumerate(failed)}
        if self.question.people < 2:
            legs[PERSON] = (LAST_MILE, *self.way.segments)
        else:
            for number, mile in enumerate(self._last_miles, 1):
                legs[f"person {number}"] = (mile, SHARED, *self.way.segments)
        down = tuple(legs)
        return solve(
            Case(
                segments=self.segments,
                legs={**legs, "evidence": tuple(cleared)},
                failed=down,
                passed=("evidence",),
            )
        )

    @cached_property
    def _by_outage(self) -> list[tuple[Outage, Verdict]]:
        """The outages that can explain the drop, the best explanation first: one of the very time
        goes before a surer one of another."""
        way, at = set(self.way.segments), self.question.at
        early, late = self.question.vague
        found: list[tuple[tuple[bool, bool, bool, float, float], Outage, Verdict]] = []
        for outage in self.outages:
            then = outage.overlaps(at - early, at + max(late, READ_SECONDS))
            for part in outage.parts(self.question.began, self.question.ended):
                if not _touches(part, way):
                    continue
                verdict = self.judged(part.paths, part.exonerated)
                open_ = bool(self._people.intersection(verdict.ambiguous))
                convicted = bool(way.intersection(verdict.convicted))
                key = (open_, not then, not convicted, outage.distance(at), outage.began)
                found.append((key, outage, verdict))
        found.sort(key=lambda one: one[0])
        return [(outage, verdict) for _, outage, verdict in found]

    @cached_property
    def outage(self) -> Outage | None:
        """The one that explains the drop best; None when none can."""
        return self._by_outage[0][0] if self._by_outage else None

    @cached_property
    def verdict(self) -> Verdict:
        """With the person as one leg more."""
        if self._by_outage:
            return self._by_outage[0][1]
        return self.judged((), self.cleared)

    @cached_property
    def cleared(self) -> tuple[str, ...]:
        """The segments of legs that had no drop and were looked at for long enough."""
        found = dict.fromkeys(name for one in self.legs if one.clears for name in one.path)
        if self.runs and not any(one.path for one in self.legs):
            # What a leg crosses is not known: then only what every run's own verdict cleared.
            always = set.intersection(*(set(one.exonerated) for one in self.runs))
            if any(one.clears for one in self.legs):
                found.update(dict.fromkeys(one for one in self.segments if one in always))
        return tuple(one for one in found if one not in self.spread)

    @cached_property
    def uncleared(self) -> tuple[str, ...]:
        """The segments of the person's way that no such leg crosses, or clears by crossing."""
        return tuple(one for one in self.way.segments if one not in self.cleared)

    @cached_property
    def finding(self) -> Finding:
        """The answer in one word."""
        verdict = self.verdict
        if self._by_outage:
            # With contradictions every suspect is ambiguous, the people's own among them.
            if self._people.intersection(verdict.ambiguous):
                return "unclear"
            return "ours" if self.convicted else "ours_one_of"
        if not self.looking_at:
            return "not_observed"
        if self.question.people >= SEVERAL:
            return "shared_blind_spot"
        return "unclear" if self.uncleared else "last_mile"

    @cached_property
    def convicted(self) -> tuple[str, ...]:
        """The convicted segments of the person's way."""
        return tuple(one for one in self.verdict.convicted if one in self.way.segments)

    @cached_property
    def suspects(self) -> tuple[str, ...]:
        """Where nothing of ours is convicted: the smallest set of which one broke."""
        groups = [
            one for one in self.verdict.at_least_one_of if set(one).intersection(self.way.segments)
        ]
        return min(groups, key=len, default=())

    @cached_property
    def looking_at(self) -> tuple[str, ...]:
        """The legs that were being looked at at the time that was named."""
        return tuple(
            dict.fromkeys(
                leg.name
                for run in self.runs
                for leg in run.legs
                if _looked_then(leg, self.question)
            )
        )

    @cached_property
    def paused(self) -> tuple[float | None, float | None] | None:
        """When the run before the time that was named ended, and the next one began; None when a
        leg was looking, or no run is near."""
        if self.looking_at or not self.runs:
            return None
        at = self.question.at
        ended = (leg.ended for run in self.runs for leg in run.legs if leg.ended <= at)
        began = (leg.began for run in self.runs for leg in run.legs if leg.began > at)
        return max(ended, default=self.before), min(began, default=self.after)

    @cached_property
    def limits(self) -> tuple[Limit, ...]:
        """Ages and silences at which our connections died in all these runs, where that may be on
        the person's way. They accuse nobody: a person's connection meets them, too."""
        lived: dict[str, Histories] = {}
        for run in self._all:
            lived.setdefault(run.vantage, Histories()).add(run.lived)
        way = set(self.way.segments)
        return tuple(
            one
            for some in lived.values()
            for one in some.limits(self.spread)
            if not one.polite
            and (not one.one_of or any(way.intersection(two) for two in one.one_of))
        )

    @cached_property
    def held_seconds(self) -> float | None:
        """How old the oldest of our connections in the window became."""
        known = [one.held_seconds for one in self.legs if one.held_seconds is not None]
        return max(known, default=None)


def explain(question: Question, runs: Sequence[RunSeen], way: Way) -> Explained:
    """Answer a question from the runs near its time; runs before and after it help to tell when
    an outage began and ended."""
    return Explained(question, sorted(runs, key=lambda one: one.began), way)


def _touches(part: IncidentSeen, way: set[str]) -> bool:
    """Whether what failed may lie on the way."""
    suspects = [set(path).difference(part.exonerated) for path in part.paths]
    if all(suspects):
        return any(one & way for one in suspects)
    return not part.paths or any(way.intersection(path) for path in part.paths)


def _legs_then(runs: Sequence[RunSeen], question: Question) -> tuple[LegThen, ...]:
    several = len({one.vantage for one in runs}) > 1
    found: dict[str, list[LegSeen]] = {}
    for run in runs:
        for leg in run.legs:
            name = f"{leg.name}@{run.vantage or '-'}" if several else leg.name
            found.setdefault(name, []).append(leg)
    return tuple(_leg_then(name, seen, question) for name, seen in found.items())


def _leg_then(name: str, seen: Sequence[LegSeen], question: Question) -> LegThen:
    began, ended = question.began, question.ended
    seconds = _covered(seen, began, ended)
    share = seconds / question.seconds if question.seconds > 0 else 0.0
    drops = tuple(
        drop
        for leg in seen
        for drop in leg.drops
        if drop.began < ended and (drop.ended is None or drop.ended > began)
    )
    told = [one for one in seen if one.seconds > 0 or one.drops]
    why = next((one.why for one in seen if one.why), "")
    state: State
    if drops:
        over = drops[-1].ended is not None or not told[-1].drops
        back = told[-1].connected is not False and over
        state = "dropped" if back else "down"
    elif told and told[-1].connected is False:
        state = "down"
    elif any(one.refuses for one in told):
        state = "dropped"
    elif seconds <= 0:
        state = "planned" if why.startswith("planned") else "told nothing"
    else:
        state = "clean" if share >= COVERED_SHARE else "too little"
        if state == "clean" and not any(_looked_then(one, question) for one in seen):
            state = "not then"
    if told and told[-1].refuses:
        state = "refusing"
    ages = [one.held_seconds for one in seen if one.held_seconds is not None]
    path = next((one.path for one in seen if one.path), ())
    return LegThen(name, path, state, seconds, share, drops, why, max(ages, default=None))


def _looked_then(leg: LegSeen, question: Question) -> bool:
    return leg.seconds > 0 and question.meant(leg.began, leg.ended)


def _covered(seen: Iterable[LegSeen], began: float, ended: float) -> float:
    """How many seconds of the window one of these runs of a leg was looking."""
    spans = []
    for leg in seen:
        length = leg.ended - leg.began
        first, last = max(leg.began, began), min(leg.ended, ended)
        if length > 0 and last > first and leg.seconds > 0:
            # Where it stood still is not known: the same share everywhere.
            spans.append((first, first + (last - first) * min(1.0, leg.seconds / length)))
    total, until = 0.0, began
    for first, last in sorted(spans):
        total += max(0.0, last - max(first, until))
        until = max(until, last)
    return total
