"""Legs that differ in nothing but a group of their own: of ten thousand upstreams on a few hosts
most are such twins.

A group on one leg alone can be summed out at once, and twins leave the same behind. So all but
one of each kind become one factor over what they share, and have the probability of the one that
is kept. This changes no sum; it only saves doing the same thing thousands of times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from t3probe.verdict.factors import Factor, Sums, log_sum

__all__ = ["Twins", "twins"]

One = tuple[frozenset[int], float, tuple[float, ...]]
"""A leg: its groups, and what its count says when nothing on it is broken, and when something is,
in each regime."""


class _Kind(NamedTuple):
    kept: int
    """The number of the leg that stands for all."""
    rest: frozenset[int]
    chance: float
    group: int
    """The own group of that leg."""
    others: list[int]
    """The own groups of its twins."""


class Twins:
    """The legs of one part, sorted into those that are kept and their twins."""

    def __init__(self, groups: Sequence[frozenset[int]], kept: list[int], kinds: list[_Kind]):
        self._groups, self._kept, self._kinds = groups, kept, kinds

    def factors(self, misses: Sequence[float], hits: Sequence[float]) -> list[Factor]:
        """The factors of one regime, in which leg number n says `misses[n]` or `hits[n]`."""
        out = [Factor(self._groups[at], hits[at], misses[at]) for at in self._kept]
        for kept, rest, chance, _, others in self._kinds:
            times, hit, miss = len(others), hits[kept], misses[kept]
            none = log_sum([math.log(chance) + hit, math.log1p(-chance) + miss])
            out.append(Factor(rest, times * hit, times * none))
        return out

    def spread(self, sums: Sums) -> Sums:
        """The sums with the twins' own groups in them."""
        for _, _, _, group, others in self._kinds:
            sums.broken.update(dict.fromkeys(others, sums.broken[group]))
        return sums


def twins(legs: Sequence[One], chances: Sequence[float]) -> Twins:
    """Sort the legs of a part. `chances[g]` is how probable it is that group g is broken."""
    on: dict[int, int] = {}
    for groups, _, _ in legs:
        for one in groups:
            on[one] = on.get(one, 0) + 1
    kept: list[int] = []
    kinds: dict[object, _Kind] = {}
    for at, (groups, miss, hits) in enumerate(legs):
        own = [one for one in groups if on[one] == 1] if len(groups) > 1 else []
        if len(own) != 1:
            kept.append(at)
            continue
        (group,) = own
        rest = groups - {group}
        key = rest, miss, hits, chances[group]
        kind = kinds.get(key)
        if kind is None:
            kinds[key] = _Kind(at, rest, chances[group], group, [])
            kept.append(at)
        else:
            kind.others.append(group)
    several = [one for one in kinds.values() if one.others]
    return Twins([groups for groups, _, _ in legs], kept, several)
