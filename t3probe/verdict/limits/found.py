"""Limits on the age and on the silence of connections, from how these lived and died. Pure.

**What is one.** Some connections of a leg died at the same age, or after the same silence, and none
of the leg lived beyond it. "The same" is within `near`: 2 %, and below 50 s up to 5 %, at most
1 s. Three deaths at three different times are the least: what dies together was seen once. They
must also be no accident. If connections died at random, at the rate at which the leg's others do
(over all their lives or, where that is higher, shortly before that age; and one death more, since
nobody knows it well), all but the first of these would lie as close with probability
`p ** (n - 1)`. That, times the number of places that were looked at, is at most `CHANCE`. So three
are enough where they lie close together on a leg that drops for no other reason, and many are asked
for on one that flaps. Measured with `bench/limits.py`, in 10,000 random histories each: deaths at
any age alike make no finding, nor do restarts of everything; ages spread evenly up to an end make
18, and ages around a usual one 65. Of true limits on age 98 in 100 are found, beside other drops.

**What does not count.** Deaths while we stood still; drops that were no cut; what died within a
second of something else on the same segments: of a connection that was as old, or as silent, alone
may the limit be the cause of both, so a restart is none. A death that is not known to within `near`
(what is silent dies between two beats) is none at that age. What an idle connection that got no
answer shows is that silence kills at that length *at the most*.

**Which of the two.** A beating connection is never silent for long, so what it dies of is age, and
what it outlives is none. A silence that was survived, be it between two beats, was no limit. Where
all that died were as old, and as silent, both would do: `either`.

**Where.** Another leg clears what it shares with the leg when it held a connection to a greater
age, or through a longer silence, after the first of these deaths: before its TCP connection ends
whatever it speaks, at that segment and behind only if both are WebSockets, or both HTTP: a proxy
has one limit for each. Up to where the leg's own connection ends both must have the same
address. `spread` segments are not cleared. What is left is the suspect set, and of the sets of all
legs with this limit the smallest ones count.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from t3probe.observation import OPEN_SOCKETS, Observation, RunRecord
from t3probe.text.words import count, glossed, listed, span, utc
from t3probe.verdict.incident.drops import ONE_EVENT_SECONDS
from t3probe.verdict.limits.lives import Life, lives_of

Kind = Literal["age", "silence", "either"]
FEWEST = 3
"""So many deaths, each at another time, make a limit at the least."""
CHANCE = 2e-5
"""How probable it may be that chance made a leg's deaths look so."""
BAND = 10
"""So many times `near` before a limit it is looked how often connections die otherwise."""

MOST_KEPT = 512
"""So many lives of a leg, at least, are kept of many runs."""

Names = tuple[str, ...]
_Kept = TypeVar("_Kept")


def near(seconds: float) -> float:
    """How far apart two ages or silences may be that count as the same, in seconds."""
    return max(0.02 * seconds, min(1.0, 0.05 * seconds))


class LegHistory(NamedTuple):
    """A leg and its connections."""

    leg: str
    path: Names
    clears: Names
    """What a pass of it clears."""
    tcp_ends_at: str
    speaks: bool
    """WebSocket; else HTTP."""
    lives: Sequence[Life]
    troubles: Sequence[tuple[float, float]] = ()
    """When something was wrong with it that was no cut."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """Connections die at one age, or after one silence."""

    kind: Kind
    legs: Names
    seconds: float
    """The age or the silence: the middle one of those seen."""
    spread_seconds: float
    """How far those that were seen lie apart."""
    deaths: int
    """How often it was seen, each time at another moment."""
    at_most: bool = False
    """It may be shorter: nobody saw when these died."""
    polite: bool = False
    """A server closed kept-alive connections between requests: normal, and no fault."""
    one_of: tuple[Names, ...] = ()
    """Where it can lie: in each of these sets is a segment with it."""
    cleared_by: dict[str, float] = {}
    """Legs that clear segments of it, and how old, or silent, a connection of theirs became."""
    first: float
    """When the first of these died, in the times that were given."""
    last: float
    every_seconds: float | None = None
    """They died by the clock, so often: what happens so often would look the same."""

    @property
    def at(self) -> str:
        """The one segment it lies at; empty where that cannot be told."""
        return self.one_of[0][0] if len(self.one_of) == 1 and len(self.one_of[0]) == 1 else ""

    def text(self, gloss: Mapping[str, str]) -> str:
        """What it is, where it is, and what it rests on, without a full stop."""
        after = ("at most " if self.at_most else "") + span(self.seconds)
        where = "at a place that these legs cannot tell"
        if self.one_of:
            sets = [listed(glossed(one, gloss), word="or") for one in self.one_of[:3]]
            where = f"at {' and at '.join(sets)}"
        legs = listed(self.legs)
        if self.polite:
            what = (
                f"a kept-alive connection of {legs} that is silent for {after} is closed politely"
            )
            what += f" {where}: a keep-alive timeout, and no fault"
        elif self.kind == "silence" and self.at_most:
            what = f"what is silent on {legs} is dead after {after}, and nobody is told: a limit on"
            what += f" silence {where}"
        elif self.kind == "silence":
            what = f"what is silent for {after} on {legs} is cut {where}"
        elif self.kind == "age":
            through = f"through {self.at}" if self.at else f"of {legs}"
            what = f"each connection {through} ends after {after}"
            what += f" (seen on {legs})" if self.at else f": a limit on age {where}"
        else:
            what = f"each connection of {legs} ends at one age, {after} after it last spoke: a"
            what += f" limit on age or on silence {where}"
        seen = f"seen {count(self.deaths, 'time')}"
        apart = f", {span(self.spread_seconds)} apart at most" if self.spread_seconds else ""
        what += f"; {seen}{apart}"
        if self.cleared_by:
            longer = "stayed silent longer" if self.kind == "silence" else "lived longer"
            what += f"; {longer}: {listed(self.cleared_by)}"
        if self.every_seconds is not None:
            what += f"; a restart every {span(self.every_seconds)} would look the same"
        return what

    def to_dict(self, started_at: float, gloss: Mapping[str, str]) -> dict[str, Any]:
        """The JSON form, with `text`; `started_at` in Unix seconds is added to the times."""
        found = msgspec.to_builtins(self)
        for name in ("first", "last"):
            found[name] = utc(started_at + found[name])
        return {**found, "at": self.at, "text": self.text(gloss)}


class _Death(NamedTuple):
    life: Life
    since: float
    by: float

    def interval(self, kind: Kind) -> tuple[float, float]:
        """The age or the silence at which it died, at the least and at the most."""
        start = self.life.opened if kind == "age" else self.life.last
        return self.since - start, self.by - start


def _aged_too(silence: _Cluster, deaths: Iterable[_Death]) -> bool:
    """Whether beating connections died at the very age of these silent ones, at that time: then
    their silence is not what killed them, whatever lives longer today."""
    ages = [one.interval("age")[1] for one in silence.deaths if not one.life.held]
    if not ages:
        return False
    least, most = min(ages) - near(min(ages)), max(ages) + near(max(ages))
    last = silence.moments[-1] + ONE_EVENT_SECONDS
    return any(
        one.life.held
        and silence.first - most <= one.by <= last
        and least <= one.interval("age")[1] <= most
        for one in deaths
    )


class _Around:
    """What died, or was wrong, on legs that share a segment with one."""

    def __init__(self, legs: Sequence[LegHistory]) -> None:
        self._deaths = sorted((one for leg in legs for one in _deaths(leg)), key=_by)
        self._longest = max((one.by - one.since for one in self._deaths), default=0.0)
        self._troubles = [one for leg in legs for one in leg.troubles]

    def alone(self, kind: Kind, death: _Death, apart: float) -> bool:
        """Whether nothing else broke over these segments when it died, but for what was as old, or
        as silent, to within `apart` seconds."""
        since, by = death.since - ONE_EVENT_SECONDS, death.by + ONE_EVENT_SECONDS
        if any(began <= by and noticed >= since for began, noticed in self._troubles):
            return False
        least, most = death.interval(kind)
        for one in self._deaths[bisect_left(self._deaths, since, key=_by) :]:
            if one.by > by + self._longest:
                break
            if one.life is death.life or one.since > by:
                continue
            its_least, its_most = one.interval(kind)
            if its_least > most + apart or its_most < least - apart:
                return False
        return True


class _Cluster(NamedTuple):
    kind: Kind
    deaths: tuple[_Death, ...]
    at_most: bool = False

    @property
    def values(self) -> list[float]:
        return sorted(one.interval("age" if self.kind == "age" else "silence")[1]
                      for one in self.deaths)  # fmt: skip

    @property
    def seconds(self) -> float:
        return self.values[len(self.values) // 2]

    @property
    def first(self) -> float:
        return min(one.by for one in self.deaths)

    @property
    def moments(self) -> list[float]:
        return _moments(self.deaths)


def histories(observations: Iterable[Observation], offset: float = 0.0) -> list[LegHistory]:
    """The legs of one run that hold connections; times are the run's, and `offset` seconds."""
    found = []
    for seen in observations:
        if seen.connections:
            lives = lives_of(seen)
            found.append(history(seen, lives.known(offset), lives.troubles(offset)))
    return found


class Histories:
    """The legs of many runs, whose times are on one clock. Of each leg the newest lives are kept;
    one that has another path, or another protocol, is another leg."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], LegHistory] = {}

    def add(self, some: Iterable[LegHistory]) -> None:
        """Take the legs of one run."""
        for one in some:
            key = one.leg, one.path, one.clears, one.tcp_ends_at, one.speaks
            if key not in self._known:
                self._known[key] = one._replace(lives=[], troubles=[])
            known = self._known[key]
            _extend(known.lives, one.lives, lambda life: life.seen)
            _extend(known.troubles, one.troubles, lambda both: both[1])

    def limits(self, spread: Iterable[str] = ()) -> tuple[Limit, ...]:
        """What all of them show."""
        return limits(list(self._known.values()), spread)


def _extend(known: Sequence[_Kept], some: Sequence[_Kept], when: Callable[[_Kept], float]) -> None:
    """Add to a list, and keep its newest when it is long."""
    assert isinstance(known, list)
    known.extend(some)
    if len(known) > 2 * MOST_KEPT:
        known[:] = sorted(known, key=when)[-MOST_KEPT:]


def history(
    seen: Observation, lives: Sequence[Life], troubles: Sequence[tuple[float, float]]
) -> LegHistory:
    """A leg with these connections."""
    path = seen.path
    clears = path if seen.clears is None else tuple(one for one in path if one in seen.clears)
    speaks = seen.kind in OPEN_SOCKETS
    return LegHistory(seen.leg, path, clears, seen.tcp_ends_at, speaks, lives, troubles)


def limits_of_run(record: RunRecord, observations: Iterable[Observation]) -> tuple[Limit, ...]:
    """The limits that one run saw; their times are the run's."""
    return limits(histories(observations), record.spread)


def limits(legs: Sequence[LegHistory], spread: Iterable[str] = ()) -> tuple[Limit, ...]:
    """The limits that show in these legs, the shortest first."""
    many = frozenset(spread)
    found: list[tuple[Limit, LegHistory]] = []
    for leg in legs:
        if sum(one.dead_by is not None for one in leg.lives) >= FEWEST:
            own = [one for one in legs if not set(leg.path).isdisjoint(one.path)]
            clusters = _clusters(leg, own)
            found += [(_located(one, leg, own, many), leg) for one in clusters]
    groups: list[list[tuple[Limit, LegHistory]]] = []
    for one, leg in found:
        for group in groups:
            other, its = group[0]
            alike = (one.kind, one.at_most, one.polite) == (other.kind, other.at_most, other.polite)
            apart = abs(one.seconds - other.seconds)
            if alike and apart <= near(other.seconds) and set(its.path) & set(leg.path):
                group.append((one, leg))
                break
        else:
            groups.append([(one, leg)])
    return tuple(sorted((_merged(one) for one in groups), key=lambda one: one.seconds))


def _clusters(leg: LegHistory, beside: Sequence[LegHistory]) -> list[_Cluster]:
    """What one leg shows."""
    deaths = _deaths(leg)
    around = _Around(beside)
    ages = _sharp("age", leg, deaths, around)
    silences = _sharp("silence", leg, deaths, around)
    out: list[_Cluster] = []
    explained: set[int] = set()
    for age in ages:
        mine = {id(one.life) for one in age.deaths}
        same = [one for one in silences if mine & {id(two.life) for two in one.deaths}]
        if any({id(two.life) for two in one.deaths} > mine for one in same):
            continue  # a silence explains these, and more
        if any({id(two.life) for two in one.deaths} == mine for one in same):
            age = age._replace(kind="either")
        explained |= mine
        out.append(age)
    silences = [one for one in silences if not {id(two.life) for two in one.deaths} & explained]
    out += [one for one in silences if not _aged_too(one, deaths)]
    if all(one.kind == "age" for one in out):
        rest = [one for one in deaths if id(one.life) not in explained]
        out += _unanswered(leg, rest, around)
    return out


def _deaths(leg: LegHistory) -> list[_Death]:
    return [
        _Death(life, life.dead_from, life.dead_by)
        for life in leg.lives
        if life.dead_from is not None and life.dead_by is not None
    ]


def _by(one: _Death) -> float:
    return one.by


def _sharp(
    kind: Kind,
    leg: LegHistory,
    deaths: Sequence[_Death],
    around: _Around,
) -> list[_Cluster]:
    """Deaths whose age, or silence, is known and is the same; those of other causes left out."""
    known: list[tuple[float, float, _Death]] = []
    for one in deaths:
        least, most = one.interval(kind)
        apart = near(most)
        if most > 0 and most - least <= apart and around.alone(kind, one, apart):
            known.append((most, least, one))
    known.sort(key=lambda one: -one[0])
    sure = {id(one.life) for _, _, one in known}
    out: list[_Cluster] = []
    taken: set[int] = set()
    for at, (most, _, _) in enumerate(known):
        least = most - near(most)
        end = at
        while end < len(known) and known[end][0] >= least:
            end += 1
        cluster = [
            one
            for _, its_least, one in known[at:end]
            if its_least >= least and id(one.life) not in taken
        ]
        if len(cluster) < FEWEST or len(moments := _moments(cluster)) < FEWEST:
            continue
        first, held = moments[0], {one.life.held for one in cluster}
        polite = {one.life.polite for one in cluster}
        if len(polite) > 1:
            continue
        mine = {id(one.life) for one in cluster}
        # What died so as well, and beside something else, says neither yes nor no.
        unsure = {
            id(one.life)
            for one in deaths
            if id(one.life) not in sure and abs(one.interval(kind)[1] - most) <= near(most)
        }
        rest = [
            one for one in leg.lives
            if max(one.last, one.dead_by or one.last) >= first and id(one) not in mine | unsure
            and (kind == "age" or one.held in held)
        ]  # fmt: skip
        if kind == "silence" and any(
            life.quiet > least for life in (*rest, *(one.life for one in cluster))
        ):
            continue  # the same silence was survived
        # A few of many may have been seen late, as on a busy machine.
        late = {
            id(one.life)
            for its_most, _, one in known[:at]
            if id(one.life) not in mine and its_most <= most + near(most)
        }
        if len(late) > len(cluster) // 4 or any(
            _outlives(kind, one, most, first) for one in rest if id(one) not in late
        ):
            continue
        if _chance(kind, cluster, rest, len(moments)) * len(known) <= CHANCE:
            out.append(_Cluster(kind, tuple(cluster)))
            taken |= mine
    return out


def _chance(kind: Kind, cluster: Sequence[_Death], rest: Sequence[Life], times: int) -> float:
    """How probable it is that deaths at random come so close together. Their rate is that of the
    leg's other connections: over all their lives or, where that is higher, shortly before."""
    values = sorted(one.interval(kind)[1] for one in cluster)
    most, apart = values[-1], values[-1] - values[0]
    band = most - BAND * near(most)
    whole, short = 0.0, 0.0
    died, lately = 1, 1
    for life in [*rest, *(one.life for one in cluster)]:
        whole += life.reach
        grew = life.reach if kind == "age" else life.stayed
        short += max(0.0, min(grew, most) - max(band, 0.0))
    for life in rest:
        if life.dead_from is not None:
            grew = life.dead_from - (life.opened if kind == "age" else life.last)
            died += 1
            lately += grew >= band
    rate = max(died / max(whole, 1e-9), lately / max(short, 1e-9))
    return float(min(1.0, rate * max(apart, near(most) / 20)) ** (times - 1))


def _unanswered(
    leg: LegHistory,
    deaths: Sequence[_Death],
    around: _Around,
) -> list[_Cluster]:
    """Idle connections that were dead when they were asked, while the beating one lived."""
    found = []
    for one in deaths:
        least, most = one.interval("silence")
        vague = most - least > near(most) and not one.life.held
        if vague and around.alone("silence", one, 0.0):
            found.append(one)
    moments = _moments(found)
    if len(moments) < FEWEST:
        return []
    longest = max(one.interval("silence")[1] for one in found)
    shortest = min(one.interval("silence")[1] for one in found)
    if longest - shortest > near(longest) or any(
        not one.held and one.quiet >= shortest - near(shortest) and one.quiet_at >= moments[0]
        for one in leg.lives
    ):
        return []
    held = [one for one in leg.lives if one.held and one.last >= moments[0]]
    lived = sum(one.reach for one in held)
    died = sum(one.dead_from is not None for one in held)
    chance = min(1.0, (died + 1) / max(lived, 1e-9) * longest)
    if chance ** len(moments) > CHANCE:
        return []
    return [_Cluster("silence", tuple(found), at_most=True)]


def _outlives(kind: Kind, life: Life, seconds: float, since: float) -> bool:
    """Whether it was alive at a greater age, or after a longer silence, and not before `since`."""
    if kind == "age":
        return life.seen >= since and life.reach > seconds
    if kind == "silence":
        at = life.quiet_at if life.quiet >= life.seen - life.last else life.seen
        return at >= since and life.stayed > seconds
    return _outlives("age", life, seconds, since) and _outlives("silence", life, seconds, since)


def _moments(deaths: Iterable[_Death]) -> list[float]:
    """When they died, what died together once."""
    out: list[float] = []
    newest = float("-inf")
    for by in sorted(one.by for one in deaths):
        if by - newest > ONE_EVENT_SECONDS:
            out.append(by)
        newest = by
    return out


def _located(
    cluster: _Cluster, leg: LegHistory, legs: Sequence[LegHistory], spread: frozenset[str]
) -> Limit:
    """A leg's limit, with the segments where it can lie."""
    values = cluster.values
    beyond = values[-1] + (-near(values[-1]) if cluster.at_most else near(values[-1]))
    hosts, first = {one.life.host for one in cluster.deaths}, cluster.first
    end = leg.path.index(leg.tcp_ends_at) + 1 if leg.tcp_ends_at in leg.path else None
    close = frozenset(leg.path[:end])
    cleared: set[str] = set()
    by: dict[str, float] = {}
    for other in legs:
        if other is leg:
            continue
        for life in other.lives:
            if not _outlives(cluster.kind, life, beyond, first):
                continue
            mine = {
                name
                for name in _before_or_alike(other, leg)
                if name in leg.path and name not in spread
                and (name not in close or (life.host != "" and hosts == {life.host}))
            }  # fmt: skip
            if mine:
                cleared |= mine
                grew = life.stayed if cluster.kind == "silence" else life.reach
                by[other.leg] = round(max(grew, by.get(other.leg, 0.0)), 3)
    left = tuple(one for one in leg.path if one not in cleared)
    moments = cluster.moments
    return Limit(
        kind=cluster.kind,
        legs=(leg.leg,),
        seconds=round(cluster.seconds, 3),
        spread_seconds=round(values[-1] - values[0], 3),
        deaths=len(moments),
        at_most=cluster.at_most,
        polite=cluster.deaths[0].life.polite,
        one_of=(left,) if left else (),
        cleared_by=by,
        first=moments[0],
        last=moments[-1],
        every_seconds=None if _no_restart(cluster, leg) else _by_the_clock(moments, leg),
    )


def _before_or_alike(other: LegHistory, leg: LegHistory) -> Names:
    """What a connection of the other leg may clear for this one."""
    if other.speaks == leg.speaks:
        return other.clears
    if other.tcp_ends_at not in other.path:
        return ()
    before = other.path[: other.path.index(other.tcp_ends_at)]
    return tuple(one for one in other.clears if one in before)


def _no_restart(cluster: _Cluster, leg: LegHistory) -> bool:
    """Whether some connection of the leg lived on when one of these died."""
    return cluster.kind == "silence" or any(
        one.opened < moment - ONE_EVENT_SECONDS and one.last > moment + ONE_EVENT_SECONDS
        for moment in cluster.moments
        for one in leg.lives
    )


def _by_the_clock(moments: Sequence[float], leg: LegHistory) -> float | None:
    """How often the leg's connections die by the clock, or these alone; None where they do not.
    Of restarts that come by the clock, and now and then do not, many connections are as old."""
    every = [one for one in _moments(_deaths(leg)) if one >= moments[0]]
    return _period(every) or _period(moments)


def _period(moments: Sequence[float]) -> float | None:
    """How often these moments come by the clock; None where they do not."""
    gaps = [later - one for one, later in pairwise(moments)]
    least = min(gaps)
    for gap in gaps:
        if abs(gap - round(gap / least) * least) > max(near(least) / 2, 0.05 * least):
            return None
    return round(least, 3)


def _merged(group: Sequence[tuple[Limit, LegHistory]]) -> Limit:
    """One limit that several legs show."""
    if len(group) == 1:
        return group[0][0]
    some = [one for one, _ in group]
    sets = list(dict.fromkeys(one.one_of[0] for one in some if one.one_of))
    least = [one for one in sets if not any(set(other) < set(one) for other in sets)]
    legs = tuple(dict.fromkeys(name for one in some for name in one.legs))
    by: dict[str, float] = {}
    for one in some:
        by |= {name: max(grew, by.get(name, 0.0)) for name, grew in one.cleared_by.items()}
    middle = sorted(one.seconds for one in some)
    apart = middle[-1] - middle[0]
    most = max(some, key=lambda one: one.deaths)
    return msgspec.structs.replace(
        most,
        legs=legs,
        seconds=middle[len(middle) // 2],
        spread_seconds=round(max(apart, *(one.spread_seconds for one in some)), 3),
        one_of=tuple(least),
        cleared_by=by,
        first=min(one.first for one in some),
        last=max(one.last for one in some),
    )
