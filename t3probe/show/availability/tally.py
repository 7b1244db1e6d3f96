"""Many looks: sums, and the incidents that run through several of them."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from t3probe.show.availability.looks import BadSpan, InLook, Look, length

JOIN_SECONDS = 300.0
"""A look that ends bad and the next one that begins bad show one incident when no more than this
lies between them: missed runs of five minutes."""
LENGTHS = (10.0, 60.0, 300.0, 1800.0, 7200.0)
"""Upper bounds of the classes into which incidents fall, in seconds; the last class has none."""

Key = tuple[str, str]
"""`leg` or `segment`, and its name."""


class BadTime(NamedTuple):
    """A bad time, in Unix seconds. Between the looks that it runs over it was not seen."""

    began: float
    ended: float
    open: bool
    """Whether the last look ended with it."""

    @property
    def seconds(self) -> float:
        """How long it lasted, as far as it was seen."""
        return self.ended - self.began


@dataclass
class Row:
    """One leg or one segment."""

    name: str
    observed_seconds: float = 0.0
    bad_seconds: float = 0.0
    incidents: list[BadTime] = field(default_factory=list)

    @property
    def good_share(self) -> float | None:
        """The part of the observed time that was good; None: it was not observed."""
        if self.observed_seconds <= 0:
            return None
        return 1.0 - self.bad_seconds / self.observed_seconds

    @property
    def by_length(self) -> tuple[int, ...]:
        """How many incidents fall into each class of `LENGTHS`, and beyond."""
        found = [0] * (len(LENGTHS) + 1)
        for one in self.incidents:
            found[sum(one.seconds >= bound for bound in LENGTHS)] += 1
        return tuple(found)


@dataclass(frozen=True)
class Place:
    """What was seen from one vantage."""

    vantage: str
    looks: int
    legs: tuple[Row, ...]
    segments: tuple[Row, ...]


@dataclass(frozen=True)
class Availability:
    """All of it, from `began` to `ended` in Unix seconds."""

    began: float
    ended: float
    places: tuple[Place, ...]

    @property
    def seconds(self) -> float:
        """How long that is."""
        return self.ended - self.began

    def unobserved(self, row: Row) -> float:
        """For how long of it no run looked, or none could tell."""
        return max(0.0, self.seconds - row.observed_seconds)


class _Packed(NamedTuple):
    """A look in few bytes: a month of them stays in memory."""

    began: float
    ended: float
    vantage: str
    keys: tuple[Key, ...]
    observed: array[float]
    bad: dict[int, tuple[BadSpan, ...]]


class Looks:
    """Looks by their key. Of one that was given twice the later holds."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Packed] = {}
        self._keys: dict[tuple[Key, ...], tuple[Key, ...]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, key: Hashable, look: Look) -> None:
        """Take one look in."""
        rows: dict[Key, InLook] = {("leg", name): seen for name, seen in look.legs.items()}
        rows |= {("segment", name): seen for name, seen in look.segments.items()}
        keys = tuple(rows)
        self._kept[key] = _Packed(
            look.began,
            look.ended,
            look.vantage,
            self._keys.setdefault(keys, keys),
            array("d", (seen.observed_seconds for seen in rows.values())),
            {at: seen.bad for at, seen in enumerate(rows.values()) if seen.bad},
        )

    def between(self, began: float | None = None, ended: float | None = None) -> Availability:
        """What these looks say of a time; by default from the first one's begin to the last
        one's end. A look that begins before the time is no part of it."""
        kept = sorted(
            (
                one
                for one in self._kept.values()
                if (began is None or one.began >= began) and (ended is None or one.began <= ended)
            ),
            key=lambda one: (one.began, one.ended),
        )
        first = min((one.began for one in kept), default=0.0) if began is None else began
        last = max((one.ended for one in kept), default=first) if ended is None else ended
        places = dict.fromkeys(one.vantage for one in kept)
        return Availability(
            first, last, tuple(_place(name, [one for one in kept if one.vantage == name])
                               for name in sorted(places))
        )  # fmt: skip


class _Course:
    """One row while the looks go by in the order of their time."""

    def __init__(self, name: str) -> None:
        self.row = Row(name)
        self._covered = float("-inf")
        self._told: list[tuple[float, float]] = []
        """Bad times that were counted already and that a later look may meet again."""
        self._looks = self._newest = 0
        """How many could tell, and the number of the one among them that ended last."""
        self._spans: list[tuple[BadSpan, int]] = []
        """Each with the number of its look, among those that could tell."""

    def see(self, look: _Packed, observed: float, spans: Iterable[BadSpan]) -> None:
        """Time that an earlier look covered is not counted twice."""
        lasted = look.ended - look.began
        new = look.ended - max(look.began, self._covered)
        share = min(1.0, max(0.0, new) / lasted) if lasted > 0 else float(new >= 0)
        self.row.observed_seconds += observed * share
        self._told = [one for one in self._told if one[1] > look.began]
        bad = [(one.began, one.ended) for one in spans]
        fresh = length((*self._told, *bad)) - length(self._told)
        self.row.bad_seconds += min(observed, fresh)
        self._told += bad
        if observed > 0 or bad:
            self._looks += 1
            if look.ended >= self._covered:
                self._newest = self._looks
            self._covered = max(self._covered, look.ended)
        self._spans += ((one, self._looks) for one in spans)

    def over(self) -> Row:
        """The row at the end."""
        row, before = self.row, 0
        row.bad_seconds = min(row.bad_seconds, row.observed_seconds)
        for span, number in sorted(self._spans):
            last = row.incidents[-1] if row.incidents else None
            # A look in between that was good ends an incident; one that could not tell does not.
            if last is not None and (
                span.began <= last.ended
                or (
                    last.open
                    and span.from_start
                    and number - before <= 1
                    and span.began - last.ended <= JOIN_SECONDS
                )
            ):
                row.incidents.pop()
                to_end = span.to_end if span.ended >= last.ended else last.open
                span = BadSpan(last.began, max(last.ended, span.ended), True, to_end)
            row.incidents.append(BadTime(span.began, span.ended, span.to_end))
            before = max(before, number)
        newest = len(row.incidents) - 1
        goes_on = any(one.to_end and number == self._newest for one, number in self._spans)
        row.incidents = [
            one._replace(open=one.open and at == newest and goes_on)
            for at, one in enumerate(row.incidents)
        ]
        return row


def _place(vantage: str, looks: list[_Packed]) -> Place:
    # In the order of the newest look; what only older ones had comes last.
    keys = dict.fromkeys(key for look in reversed(looks) for key in look.keys)
    courses = {key: _Course(key[1]) for key in keys}
    for look in looks:
        for at, key in enumerate(look.keys):
            courses[key].see(look, look.observed[at], look.bad.get(at, ()))

    def rows(kind: str) -> Iterator[Row]:
        return (one.over() for key, one in courses.items() if key[0] == kind)

    return Place(vantage, len(looks), tuple(rows("leg")), tuple(rows("segment")))
