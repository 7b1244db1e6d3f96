"""What single segments add to a round trip, from legs that differ in known segments. Pure.

A round trip is what the segments on the way take, and the work of whatever answers at the end.
Only where that work cancels out, or is none, is anything said:

- Two legs of one kind that end in the same segment are answered by the same thing. What one has
  more on its path is the difference of their medians: `cloudflare` less `internal` is what
  `wan`, `cf-edge` and `tunnel` add.
- A TCP handshake is answered by a kernel, with no work worth counting. So the median of a leg of
  handshakes is what its path takes; and the difference between it and a leg that crosses all of
  its segments and more is what the others add, the work of answering in the last one included:
  `edge` less `egress` is the CDN with the page it makes.

Everything else, such as two pages of two servers, is not compared. The differences are a system
of linear equations; what they determine is said, alone or as the sum of a group, and nothing
else. A handshake to one address stands for the network to another one: that is the bias to keep
in mind where a leg's own provider is nearer than the CDN.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from math import gcd
from typing import Any, NamedTuple

import msgspec

from t3probe.observation import Observation, median
from t3probe.verdict.incident.evidence import takes_part
from t3probe.verdict.slow.baseline import MIN_TRIPS

NOISE_SECONDS = 0.0005
"""What two medians may differ by without a reason, beyond the spread of their beats."""
LEGS_LIMIT = 32
"""More legs are not compared: the first ones stand for all."""

Names = tuple[str, ...]


class Latency(msgspec.Struct, frozen=True):
    """What is known of the segments' own latency, in seconds."""

    segments: dict[str, float] = {}
    groups: tuple[tuple[Names, float], ...] = ()
    """Segments of which only the sum is known."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "segments": {name: round(value, 6) for name, value in self.segments.items()},
            "groups": [
                {"segments": list(names), "seconds": round(value, 6)}
                for names, value in self.groups
            ],
        }


class LegTimes(msgspec.Struct, frozen=True):
    """One leg's round trips."""

    kind: str
    path: Names
    handshake: bool
    """It only connects."""
    seconds: float
    """Their median."""
    spread: float
    """The median distance from it."""


class _Equation(NamedTuple):
    """Whole multiples of segments, what they sum up to, and by how much that may be wrong."""

    on: list[int]
    seconds: float
    noise: float

    def without(self, at: int, other: _Equation) -> _Equation:
        """What is left when `other`, which has the segment `at`, is taken away from it."""
        mine, its = other.on[at], self.on[at]
        on = [mine * one - its * two for one, two in zip(self.on, other.on, strict=True)]
        seconds = mine * self.seconds - its * other.seconds
        noise = abs(mine) * self.noise + abs(its) * other.noise
        shared = gcd(*on) or 1
        return _Equation([one // shared for one in on], seconds / shared, noise / shared)


def spread(trips: Sequence[float]) -> float:
    """The median distance from the median."""
    middle = median(trips)
    return median(abs(one - middle) for one in trips)


def latency(segments: Sequence[str], seen: Mapping[str, Observation]) -> Latency:
    """What the legs that passed tell of these segments; legs that cross others are left out."""
    known = set(segments)
    paces: list[LegTimes] = []
    for one in seen.values():
        path = set(one.path)
        if one.outcome != "passed" or not takes_part(one) or not path <= known:
            continue
        if one.clears is not None:
            continue  # its round trips are of a part of its path
        trips = one.trips
        if (
            path
            and len(path) == len(one.path)
            and len(trips) >= MIN_TRIPS
            and len(paces) < LEGS_LIMIT
        ):
            handshake = one.level == "connect"
            paces.append(LegTimes(one.kind, one.path, handshake, median(trips), spread(trips)))
    return solve(segments, paces)


def solve(segments: Sequence[str], paces: Sequence[LegTimes]) -> Latency:
    """Solve the equations that these legs give."""
    single: dict[str, float] = {}
    groups: list[tuple[Names, float]] = []
    for row in _reduced(segments, _differences(paces)):
        factors = {one for one in row.on if one}
        if len(factors) > 1:
            continue  # some less others: no sum
        factor = factors.pop()
        names = tuple(name for name, on in zip(segments, row.on, strict=True) if on)
        seconds = row.seconds / factor
        if seconds < -row.noise / abs(factor) - NOISE_SECONDS:
            continue
        if len(names) == 1:
            single[names[0]] = max(0.0, seconds)
        else:
            groups.append((names, max(0.0, seconds)))
    return Latency({name: single[name] for name in segments if name in single}, tuple(groups))


def _differences(paces: Sequence[LegTimes]) -> Iterator[tuple[frozenset[str], float, float]]:
    """Sets of segments, what they take together, and the noise of that."""
    for one in paces:
        if one.handshake:
            yield frozenset(one.path), one.seconds, one.spread
    for one, other in combinations(paces, 2):
        longer, shorter = (one, other) if len(one.path) > len(other.path) else (other, one)
        more = frozenset(longer.path) - frozenset(shorter.path)
        if not more or not set(shorter.path) <= set(longer.path):
            continue
        alike = longer.kind == shorter.kind and longer.path[-1] == shorter.path[-1]
        if alike or (shorter.handshake and not longer.handshake):
            yield more, longer.seconds - shorter.seconds, longer.spread + shorter.spread


def _reduced(
    segments: Sequence[str], sums: Iterable[tuple[frozenset[str], float, float]]
) -> list[_Equation]:
    """The reduced row echelon form: a segment that is determined has a row of its own.

    Sums of fewer segments come first, and of those the least noisy; an equation that says
    nothing new is left out, so where two disagree the more direct one holds.
    """
    rows: dict[int, _Equation] = {}
    done: set[frozenset[str]] = set()
    for names, seconds, noise in sorted(sums, key=lambda one: (len(one[0]), one[2])):
        if names in done:
            continue
        done.add(names)
        equation = _Equation([int(name in names) for name in segments], seconds, noise)
        for at, row in rows.items():
            if equation.on[at]:
                equation = equation.without(at, row)
        lead = next((at for at, on in enumerate(equation.on) if on), None)
        if lead is None:
            continue
        for at, row in rows.items():
            if row.on[lead]:
                rows[at] = row.without(lead, equation)
        rows[lead] = equation
    return [rows[at] for at in sorted(rows)]
