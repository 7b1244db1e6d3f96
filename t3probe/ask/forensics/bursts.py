"""Many deaths in the same second: what they share is what broke. Pure.

The rule. Lines less than a second apart may bear two neighbouring seconds, so a window is two.
A group of lines bursts in a window that holds at least 5 of them, and 5 more than five times
what two seconds of the minute before held on average (where the logs begin less than 10 s
before it: of the minute after). When lines of two sources come together, 3 each are enough.
Two lost connections of the tunnel are a burst, and one process that died or was stopped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from t3probe.ask.forensics.kinds import AGAIN, CONN_CODES, KINDS, LAST_MILE, Kind, SegmentMap, Sure
from t3probe.ask.forensics.tally import CODE_BITS, Tally

LEAST = 5
LEAST_TOGETHER = 3
TIMES = 5
LOOK_BACK = 60
KNOWN_BEFORE = 10
JOIN_SECONDS = 2
"""Bursting seconds that are no further apart are one burst."""
CONNECTIONS = "tunnel connections"
ALONE = {CONNECTIONS: 2, "died": 1, "stopped": 1, "restarted": 1}
"""Groups in which so many are a burst whatever is usual."""
RULE = (
    f"at least {LEAST} within a second, and {LEAST} more than {TIMES} times the usual of the "
    f"minute before; {LEAST_TOGETHER} each when two sources agree; two lost tunnel connections; "
    "any process that died, was stopped or started anew"
)
SURENESS: tuple[Sure, ...] = ("guess", "likely", "sure")


class Part(NamedTuple):
    """What one group of one source said in a burst."""

    source: str
    group: str
    deaths: int
    """Connections of the tunnel, otherwise lines; two lines about one request are one."""
    kinds: dict[str, int]
    """Lines per kind."""
    segments: tuple[str, ...]
    """Empty: the source's place is not given, or nothing is known there."""
    sure: Sure
    bursting: bool
    """False: seen in these seconds, but not more than usual."""


class Burst(NamedTuple):
    """Seconds in which much died at once."""

    began: int
    ended: int
    """Unix seconds, both included."""
    deaths: int
    parts: tuple[Part, ...]
    suspects: tuple[str, ...]
    """The segments that can explain all bursting parts whose place is known; when none can, all
    that explain one; empty: no place is known."""
    one_cause: bool
    """Whether one segment can explain all of it."""
    perhaps_one_person: bool
    """Whether a last mile could explain all of it too, were it all one person's."""
    sure: Sure
    unplaced: tuple[str, ...] = ()
    """Sources among them whose place is not given."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Whose logs agree."""
        return tuple(dict.fromkeys(part.source for part in self.parts if part.bursting))


Key = tuple[str, str]
"""A group's source and name."""


class _Group:
    """The seconds of one group: how many in each, and what is usual."""

    def __init__(self, name: str, source: str, seconds: dict[int, int]) -> None:
        self.name, self.source = name, source
        self.key: Key = (source, name)
        self.seconds = seconds
        self.at = sorted(seconds)
        running = 0
        self._sums = [0]
        for second in self.at:
            running += seconds[second]
            self._sums.append(running)

    def between(self, began: int, ended: int) -> int:
        """How many from one second on and before the other."""
        return self._sums[bisect_left(self.at, ended)] - self._sums[bisect_left(self.at, began)]

    def usual(self, second: int, first: int, last: int) -> float:
        """What two seconds hold, by the minute before; the logs cover first to last."""
        before = min(LOOK_BACK, second - first)
        if before >= KNOWN_BEFORE:
            return 2 * self.between(second - before, second) / before
        after = min(LOOK_BACK, last - second - 1)
        if after >= KNOWN_BEFORE:
            return 2 * self.between(second + 2, second + 2 + after) / after
        return 0.0

    def hot(self, least: int, first: int, last: int) -> set[int]:
        """The seconds in a window that bursts."""
        out: set[int] = set()
        for second in self.at:
            count = self.seconds[second] + self.seconds.get(second + 1, 0)
            if count >= least:
                alone = self.name in ALONE
                if alone or count >= least + TIMES * self.usual(second, first, last):
                    # A stray line in the other second does not move the onset.
                    out.update(
                        one for one in (second, second + 1) if 5 * self.seconds.get(one, 0) >= count
                    )
        return out


class _Connections(_Group):
    """The tunnel's connections: each counts once in a window."""

    def __init__(self, codes: dict[int, dict[int, int]]) -> None:
        super().__init__(CONNECTIONS, "tunnel", {at: len(one) for at, one in codes.items()})
        self._codes = codes

    def hot(self, least: int, first: int, last: int) -> set[int]:
        out: set[int] = set()
        for second in self.at:
            if len({*self._codes[second], *self._codes.get(second + 1, ())}) >= least:
                out.update(one for one in (second, second + 1) if one in self.seconds)
        return out

    def distinct(self, began: int, ended: int) -> int:
        """How many connections were lost in these seconds."""
        return len({one for at in range(began, ended + 1) for one in self._codes.get(at, ())})


def find(tally: Tally, places: SegmentMap) -> list[Burst]:
    """The bursts in what was counted, by onset."""
    groups = _groups(tally)
    first, last = tally.began or 0, tally.ended
    hot: dict[Key, set[int]] = {}
    warm: dict[Key, set[int]] = {}
    for group in groups:
        hot[group.key] = group.hot(ALONE.get(group.name, LEAST), first, last)
        warm[group.key] = group.hot(ALONE.get(group.name, LEAST_TOGETHER), first, last)
    _agree(groups, warm, hot)
    out = []
    for began, ended in _joined({one for seconds in hot.values() for one in seconds}):
        parts = _parts(tally, groups, hot, began, ended, places)
        out.append(_burst(began, ended, parts, places))
    return out


def _groups(tally: Tally) -> list[_Group]:
    out: list[_Group] = []
    for source, name in dict.fromkeys((kind.source, kind.group) for kind in KINDS if kind.group):
        if name.endswith(AGAIN):
            continue
        own = _sums(tally, source, name)
        for second, count in _sums(tally, source, name + AGAIN).items():
            own[second] = max(own.get(second, 0), count)
        if own:
            out.append(_Group(name, source, own))
    connections = tally.series(CONN_CODES)
    if connections:
        out.append(_Connections(connections))
    return out


def _sums(tally: Tally, source: str, name: str) -> dict[int, int]:
    codes = [at for at, kind in enumerate(KINDS) if (kind.source, kind.group) == (source, name)]
    return {at: sum(one.values()) for at, one in tally.series(codes).items()}


def _agree(
    groups: Iterable[_Group], warm: Mapping[Key, set[int]], hot: dict[Key, set[int]]
) -> None:
    """Lower counts of different sources in the same window make each other count."""
    by_source: dict[str, set[int]] = {}
    for group in groups:
        by_source.setdefault(group.source, set()).update(warm[group.key])
    for group in groups:
        others = {
            near
            for source, seconds in by_source.items()
            if source != group.source
            for second in seconds
            for near in (second - 1, second, second + 1)
        }
        hot[group.key] |= warm[group.key] & others


def _joined(seconds: set[int]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for second in sorted(seconds):
        if out and second - out[-1][1] <= JOIN_SECONDS:
            out[-1] = (out[-1][0], second)
        else:
            out.append((second, second))
    return out


LOSSES = [at for at, kind in enumerate(KINDS) if kind.source == "tunnel" and not kind.group
          and kind.sides and kind.name not in ("tunnel_retry", "tunnel_unreachable")]  # fmt: skip


def _parts(
    tally: Tally, groups: Iterable[_Group], hot: Mapping[Key, set[int]],
    began: int, ended: int, places: SegmentMap,
) -> tuple[Part, ...]:  # fmt: skip
    out = []
    for group in groups:
        count = group.between(began, ended + 1)
        if not count:
            continue
        if isinstance(group, _Connections):
            count = group.distinct(began, ended)
            codes = LOSSES
        else:
            codes = [
                at
                for at, kind in enumerate(KINDS)
                if kind.source == group.source and kind.group in (group.name, group.name + AGAIN)
            ]
        kinds = {KINDS[at]: lines for at in codes if (lines := _lines(tally, at, began, ended))}
        segments: dict[str, None] = {}
        # A connection that is lost also writes lines that do not say why.
        telling = [kind for kind in kinds if kind.name != "tunnel_lost"] or kinds
        for kind in telling:
            segments.update(dict.fromkeys(places.segments(kind.source, kind.sides)))
        out.append(
            Part(
                group.source, group.name, count, {kind.name: kinds[kind] for kind in kinds},
                tuple(sorted(segments, key=lambda one: places.order.get(one, 0))),
                _surest(kinds),
                any(began <= second <= ended for second in hot[group.key]),
            )
        )  # fmt: skip
    return tuple(sorted(out, key=lambda part: (not part.bursting, -part.deaths, part.group)))


def _lines(tally: Tally, code: int, began: int, ended: int) -> int:
    return sum(tally.cells.get(at << CODE_BITS | code, 0) for at in range(began, ended + 1))


def _surest(kinds: Mapping[Kind, int]) -> Sure:
    most = max(kinds.values())
    return max(
        (kind.sure for kind, count in kinds.items() if 2 * count >= most), key=SURENESS.index
    )


def _burst(began: int, ended: int, parts: tuple[Part, ...], places: SegmentMap) -> Burst:
    bursting = [part for part in parts if part.bursting]
    # A source whose place is not known explains nothing, and contradicts nothing.
    placed = [part for part in bursting if part.segments]
    unplaced = tuple(
        dict.fromkeys(part.source for part in bursting if not places.placed(part.source))
    )
    shared = [
        one
        for one in (placed[0].segments if placed else ())
        if all(one in part.segments for part in placed)
    ]
    one_cause = bool(shared)
    suspects = shared or list(dict.fromkeys(one for part in placed for one in part.segments))
    # Many at once do not share one person's last mile, unless they were all one person's.
    perhaps_one_person = LAST_MILE in suspects[:1]
    suspects = [one for one in suspects if one != LAST_MILE]
    level = max(SURENESS.index(part.sure) for part in placed or bursting)
    if not one_cause:
        level = min(level, 1)
    elif len({part.source for part in placed}) > 1:
        level = min(level + 1, len(SURENESS) - 1)
    return Burst(
        began, ended, sum(part.deaths for part in bursting), parts,
        tuple(suspects), one_cause and bool(suspects), one_cause and perhaps_one_person,
        SURENESS[level], unplaced,
    )  # fmt: skip
