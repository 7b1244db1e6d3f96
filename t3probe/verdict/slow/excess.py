"""Which segments' delays explain by how much each leg is slow. Pure; exact for small sets.

A slow segment adds its delay to every leg over it, so a leg's excess is the sum of the delays on
its path. No delay is negative, and a leg that is not slow has none on its path. What is measured
is known only within bounds; an explanation is a set of segments whose delays can be chosen so
that every leg's sum lies within its bounds. The smallest ones are sought, of up to three.

Whether a set can explain is a system of linear inequalities in at most three unknowns. It is
solved by Fourier-Motzkin elimination, which also gives the range of each delay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import msgspec

from t3probe.observation import median

MOST = 3
"""More slow segments at once are not told apart."""
CLASSES_LIMIT = 40
"""With more groups of suspects than this, only pairs are tried."""
EPSILON = 1e-9
"""Seconds. Sums of floats are not exact."""

Names = tuple[str, ...]
Row = tuple[tuple[int, ...], float]
"""Coefficients and a bound: their product with the delays is at most the bound."""


class Span(msgspec.Struct, frozen=True):
    """One leg: the segments on it, and the bounds of its excess in seconds."""

    path: Names
    low: float
    high: float


class Delay(msgspec.Struct, frozen=True):
    """What one of these segments adds. Several lie on the same legs: they cannot be told apart."""

    segments: Names
    seconds: float
    low: float
    high: float


class Explanations(msgspec.Struct, frozen=True):
    """The smallest explanations."""

    explanations: tuple[tuple[Delay, ...], ...]
    """Each names as few groups as possible; none when more than three would be needed, or the
    excesses contradict each other."""
    sure: tuple[Delay, ...]
    """Those that are in every explanation: the least that one of these says, and the range over
    all of them."""
    unexplained: Names
    """Slow legs all of whose segments are cleared: what answers at their end is slow."""


def explain(
    segments: Sequence[str],
    slow: Mapping[str, Span],
    cleared: Iterable[str],
    bounded: Iterable[Span] = (),
) -> Explanations:
    """Explain the slow legs. `bounded` are legs of which only the upper bound is known."""
    free = set(cleared)
    rows: dict[frozenset[str], tuple[float, float]] = {}
    unexplained = []
    middles: list[float] = []
    for leg, span in slow.items():
        left = frozenset(span.path) - free
        if not left:
            unexplained.append(leg)
            continue
        low, high = rows.get(left, (0.0, float("inf")))
        rows[left] = max(low, span.low), min(high, span.high)
        middles.append((span.low + span.high) / 2)
    suspects = frozenset().union(*rows)
    for span in bounded:
        left = frozenset(span.path) & suspects
        if left:
            low, high = rows.get(left, (0.0, float("inf")))
            rows[left] = low, min(high, span.high)
    groups = _groups([one for one in segments if one in suspects], rows)
    found = _smallest(groups, rows)
    explanations = tuple(
        tuple(
            Delay(group, _point(low, high, middles if len(one) == 1 else ()), low, high)
            for group, (low, high) in one
        )
        for one in found
    )
    return Explanations(explanations, _sure(explanations), tuple(unexplained))


def _point(low: float, high: float, told: Sequence[float]) -> float:
    """The most likely delay: the legs' median where all tell the same one."""
    return min(max(median(told), low), high) if told else (low + high) / 2


def _sure(explanations: Sequence[Sequence[Delay]]) -> tuple[Delay, ...]:
    out = []
    for one in explanations[0] if explanations else ():
        same = [other for each in explanations for other in each if other.segments == one.segments]
        if len(same) == len(explanations):
            low, high = min(each.low for each in same), max(each.high for each in same)
            out.append(Delay(one.segments, min(each.seconds for each in same), low, high))
    return tuple(out)


def _groups(suspects: Sequence[str], rows: Iterable[frozenset[str]]) -> list[Names]:
    """Suspects by the legs they lie on, in the order of their first segments."""
    legs = list(rows)
    found: dict[tuple[bool, ...], list[str]] = {}
    for one in suspects:
        found.setdefault(tuple(one in leg for leg in legs), []).append(one)
    return [tuple(one) for one in found.values()]


Ranged = tuple[tuple[Names, tuple[float, float]], ...]


def _smallest(
    groups: Sequence[Names], rows: Mapping[frozenset[str], tuple[float, float]]
) -> list[Ranged]:
    most = MOST if len(groups) <= CLASSES_LIMIT else MOST - 1
    for count in range(1, min(most, len(groups)) + 1):
        found = [
            tuple(zip(chosen, ranges, strict=True))
            for chosen in combinations(groups, count)
            if (ranges := _ranges(chosen, rows)) is not None
        ]
        if found:
            return found
    return []


def _ranges(
    chosen: Sequence[Names], rows: Mapping[frozenset[str], tuple[float, float]]
) -> list[tuple[float, float]] | None:
    """The range of each group's delay, if these groups alone can explain all rows."""
    # By the chosen groups that are on them most legs are alike: the tightest bounds are enough.
    sums: dict[tuple[int, ...], tuple[float, float]] = {}
    for left, (low, high) in rows.items():
        on = tuple(int(group[0] in left) for group in chosen)
        if any(on):
            least, most = sums.get(on, (0.0, float("inf")))
            sums[on] = max(low, least), min(high, most)
        elif low > EPSILON:
            return None
    width = len(chosen)
    system: list[Row] = [
        (tuple(-int(at == other) for other in range(width)), 0.0) for at in range(width)
    ]
    for on, (low, high) in sums.items():
        if low > high + EPSILON:
            return None
        system += [(on, high), (tuple(-one for one in on), -low)]
    ranges = []
    for at in range(width):
        reduced = system
        for other in range(width):
            if other != at:
                reduced = _without(reduced, other)
        # What is left without any unknown says that 0 is at most the bound.
        if any(bound < -EPSILON for on, bound in reduced if not any(on)):
            return None
        low = max((bound / on[at] for on, bound in reduced if on[at] < 0), default=0.0)
        high = min((bound / on[at] for on, bound in reduced if on[at] > 0), default=float("inf"))
        if low > high + EPSILON:
            return None
        ranges.append((low, max(low, high)))
    return ranges


def _without(system: Iterable[Row], at: int) -> list[Row]:
    """The same inequalities without one unknown (Fourier-Motzkin)."""
    upper: list[Row] = []
    lower: list[Row] = []
    kept: dict[tuple[int, ...], float] = {}

    def keep(on: tuple[int, ...], bound: float) -> None:
        kept[on] = min(bound, kept.get(on, float("inf")))

    for on, bound in system:
        if on[at] > 0:
            upper.append((on, bound))
        elif on[at] < 0:
            lower.append((on, bound))
        else:
            keep(on, bound)
    for above, top in upper:
        for below, floor in lower:
            up, down = -below[at], above[at]
            keep(
                tuple(a * up + b * down for a, b in zip(above, below, strict=True)),
                top * up + floor * down,
            )
    return list(kept.items())
