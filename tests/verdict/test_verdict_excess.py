"""The smallest explanations of slow legs, against every corner of what the bounds allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t3probe.verdict.slow.excess import MOST, Span, explain

Bound = tuple[list[int], Fraction]
"""The product with the delays is at most this."""


def solved(rows: Sequence[Bound]) -> list[Fraction] | None:
    """The one point at which all of these bounds are met exactly; None when there is not one."""
    system = [[Fraction(one) for one in on] + [bound] for on, bound in rows]
    width = len(rows)
    for at in range(width):
        lead = next((one for one in range(at, width) if system[one][at]), None)
        if lead is None:
            return None
        system[at], system[lead] = system[lead], system[at]
        system[at] = [one / system[at][at] for one in system[at]]
        for other in range(width):
            if other != at:
                times = system[other][at]
                system[other] = [
                    a - times * b for a, b in zip(system[other], system[at], strict=True)
                ]
    return [row[-1] for row in system]


def corners(width: int, bounds: Sequence[Bound]) -> Iterator[list[Fraction]]:
    """The corners of what all bounds allow: none when they contradict each other."""
    for rows in combinations(bounds, width):
        point = solved(rows)
        if point is not None and all(
            sum(a * x for a, x in zip(on, point, strict=True)) <= bound for on, bound in bounds
        ):
            yield point


def smallest(slow: dict[str, Span], bounded: Sequence[Span]) -> dict[Any, list[Any]]:
    """Every smallest set of segment groups with the range of each delay, by brute force."""
    legs = [*slow.values(), *(Span(one.path, 0.0, one.high) for one in bounded)]
    there = sorted({one for span in slow.values() for one in span.path})
    groups: dict[tuple[bool, ...], tuple[str, ...]] = {}
    for one in there:
        key = tuple(one in span.path for span in legs)
        groups[key] = (*groups.get(key, ()), one)
    for count in range(1, MOST + 1):
        found = {}
        for chosen in combinations(groups.values(), count):
            bounds: list[Bound] = [
                ([-int(at == one) for at in range(count)], Fraction(0)) for one in range(count)
            ]
            for span in legs:
                on = [int(group[0] in span.path) for group in chosen]
                bounds += [
                    (on, Fraction(span.high)),
                    ([-one for one in on], -Fraction(span.low)),
                ]
            points = list(corners(count, bounds))
            if points:
                found[frozenset(chosen)] = sorted(
                    (group, float(min(axis)), float(max(axis)))
                    for group, axis in zip(chosen, zip(*points, strict=True), strict=True)
                )
        if found:
            return found
    return {}


PATHS = st.lists(st.sampled_from("abcde"), min_size=1, max_size=4, unique=True)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(PATHS, st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=4),
    st.lists(st.tuples(PATHS, st.integers(0, 4)), max_size=2),
)
def test_it_finds_what_brute_force_finds(legs: list[Any], bounds: list[Any]) -> None:
    slow = {
        f"leg{at}": Span(tuple(path), float(low), float(low + wide))
        for at, (path, low, wide) in enumerate(legs)
    }
    bounded = [Span(tuple(path), 0.0, float(high)) for path, high in bounds]
    found = {
        frozenset(one.segments for one in each): sorted(
            (one.segments, one.low, one.high) for one in each
        )
        for each in explain("abcde", slow, (), bounded).explanations
    }
    wanted = smallest(slow, bounded)
    assert set(found) == set(wanted)
    for key, told in wanted.items():
        for (group, low, high), (same, least, most) in zip(found[key], told, strict=True):
            assert group == same
            assert (low, high) == pytest.approx((least, most), abs=1e-6)


def test_bounds_that_contradict_each_other_explain_nothing() -> None:
    # By a and b alone, both legs would be slow by the same.
    slow = {"x": Span(("a", "b", "c"), 2.2, 2.8), "y": Span(("a", "b", "d"), 1.3, 1.7)}
    more = slow | {"z": Span(("b", "d"), 0.4, 0.6)}
    explained = explain("abcd", more, ()).explanations
    assert explained
    assert {"a", "b"} not in [{one.segments[0] for one in each} for each in explained]
    same = {"x": Span(("a", "b"), 2.2, 2.8), "y": Span(("a", "b"), 1.3, 1.7)}
    assert explain("ab", same, ()).explanations == ()
    # Of three numbers, no two of which are more than 1.1 together, the sum is not 1.9.
    pairs = {"".join(two): Span(tuple(two), 0.9, 1.1) for two in ("ab", "bc", "ac")}
    assert explain("abc", pairs | {"all": Span(tuple("abc"), 1.9, 2.0)}, ()).explanations == ()
    assert explain("abc", pairs | {"all": Span(tuple("abc"), 1.5, 2.0)}, ()).explanations
