"""Sums over all sets of broken groups, when each leg only says "hit" or "not hit".

A factor is a leg's evidence: a set of groups, the log likelihood of its counts when one of
them is broken (`hit`) and when none is (`miss`). This form survives two rewritings that lose
nothing: factors over the same groups add up, and a group that lies on one factor alone can be
summed out of it (variable elimination, as in any text on Bayesian networks; each such sum is
again a factor of this form). Racks below rooms, and thousands of upstreams that each have a
part of their own, vanish that way. What is left is enumerated, all 2 ** n sets of it at once,
or searched within a bound (`t3probe.verdict.beam`).

All numbers are natural logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from operator import add
from typing import NamedTuple

__all__ = ["EXACT_GROUPS", "Factor", "Sums", "log_sum", "parts", "solve_factors"]

EXACT_GROUPS = 14
"""Up to this many groups that cannot be summed out every set is enumerated."""

Groups = frozenset[int]


class Factor(NamedTuple):
    """The evidence of one leg, or of several over the same groups."""

    groups: Groups
    hit: float
    miss: float


class Sums(NamedTuple):
    """What the sum over all sets gave."""

    total: float
    """The log of the evidence's probability."""
    broken: dict[int, float]
    """The probability that each group is broken, given the evidence."""
    exact: bool


class _Gone(NamedTuple):
    """A group that was summed out of a factor."""

    group: int
    rest: Groups
    """What else the factor held."""
    alone: float
    """The probability that the group is broken when none of the rest is."""


def log_sum(values: Iterable[float]) -> float:
    """log(sum(exp(values))) without overflow."""
    values = list(values)
    top = max(values)
    return top + math.log(math.fsum(math.exp(one - top) for one in values))


def parts(factors: Sequence[Groups]) -> list[list[int]]:
    """The positions of these sets, in parts that share no group, each ascending."""
    leader: dict[int, int] = {}

    def find(group: int) -> int:
        root = group
        while leader.setdefault(root, root) != root:
            root = leader[root]
        while leader[group] != root:
            leader[group], group = root, leader[group]
        return root

    for groups in factors:
        first = next(iter(groups))
        for one in groups:
            leader[find(one)] = find(first)
    out: dict[int, list[int]] = {}
    for at, groups in enumerate(factors):
        out.setdefault(find(next(iter(groups))), []).append(at)
    return list(out.values())


def solve_factors(factors: Iterable[Factor], prior: Sequence[float]) -> Sums:
    """Sum over all sets of the groups on these factors.

    `prior[g]` is the probability of group `g`, strictly between 0 and 1. No factor is empty.
    """
    factors = list(factors)
    observed = sorted(set().union(*(one.groups for one in factors)))
    core, constant, gone = _sum_out(factors, prior)
    left = sorted(set().union(*(one.groups for one in core)))
    place = {group: at for at, group in enumerate(left)}
    odds = [math.log(prior[one] / (1 - prior[one])) for one in left]
    constant += math.fsum(math.log(1 - prior[one]) for one in left)
    constant += math.fsum(one.miss for one in core)
    gains = [(_mask(one.groups, place), one.hit - one.miss) for one in core]
    asked = [one.rest for one in gone]
    inside = [one for one in asked if one and place.keys() >= one]
    exact = len(left) <= EXACT_GROUPS
    if exact:
        found = _enumerate(odds, gains, [_mask(one, place) for one in inside])
    else:
        from t3probe.verdict.beam import search

        found = search(odds, gains, [_mask(one, place) for one in inside])
    total, broken, missed = found
    posterior = dict(zip(left, broken, strict=True))
    none: dict[Groups, float] = dict(zip(inside, missed, strict=True))
    none[frozenset()] = 1.0
    # The last one summed out knows its rest: what was taken out later, or what is left.
    for one in reversed(gone):
        clear = none[one.rest]
        posterior[one.group] = (1 - clear) * prior[one.group] + clear * one.alone
        none[one.rest | {one.group}] = clear * (1 - one.alone)
    return Sums(total + constant, {one: posterior[one] for one in observed}, exact)


def _mask(groups: Groups, place: dict[int, int]) -> int:
    return sum(1 << place[one] for one in groups)


def _sum_out(
    factors: Iterable[Factor], prior: Sequence[float]
) -> tuple[list[Factor], float, list[_Gone]]:
    """Merge factors over equal groups and sum out groups on one factor, while there are any."""
    by_groups: dict[Groups, tuple[float, float]] = {}
    on: dict[int, set[Groups]] = {}

    def put(groups: Groups, hit: float, miss: float) -> None:
        if groups in by_groups:
            old = by_groups[groups]
            by_groups[groups] = old[0] + hit, old[1] + miss
            return
        by_groups[groups] = hit, miss
        for one in groups:
            on.setdefault(one, set()).add(groups)

    for factor in factors:
        put(*factor)
    constant = 0.0
    gone: list[_Gone] = []
    waiting = sorted((one for one in on if len(on[one]) == 1), reverse=True)
    while waiting:
        group = waiting.pop()
        if len(on.get(group, ())) != 1:
            continue
        (groups,) = on.pop(group)
        hit, miss = by_groups.pop(groups)
        broken = math.log(prior[group]) + hit
        none = log_sum((broken, math.log(1 - prior[group]) + miss))
        rest = groups - {group}
        gone.append(_Gone(group, rest, math.exp(broken - none)))
        for one in rest:
            on[one].discard(groups)
        if rest:
            put(rest, hit, none)
            waiting += sorted((one for one in rest if len(on[one]) == 1), reverse=True)
        else:
            constant += none
    return [Factor(groups, *both) for groups, both in by_groups.items()], constant, gone


def _enumerate(
    odds: Sequence[float], gains: Sequence[tuple[int, float]], asked: Sequence[int]
) -> tuple[float, list[float], list[float]]:
    """Over all sets: the log of the sum, each position's share, and the share that avoids
    each asked set.

    A set's score is its odds and the gains of the factors it hits: all gains, less those of
    the factors inside its complement. Sums over the subsets of every set at once take n
    rounds; a round folds the lowest position and makes it the highest, so that after n of
    them all stand where they were.
    """
    size = 1 << len(odds)
    inside = [0.0] * size
    for mask, gain in gains:
        inside[mask] -= gain
    inside = _over_subsets(inside, len(odds))
    scores = [math.fsum(gain for _, gain in gains)]
    for one in odds:
        scores += [score + one for score in scores]
    inside.reverse()
    scores = list(map(add, scores, inside))
    top = max(scores)
    weights = [math.exp(score - top) for score in scores]
    total = math.fsum(weights)
    shares: list[float] = []
    folded = weights
    for _ in odds:
        even, odd = folded[0::2], folded[1::2]
        shares.append(min(1.0, sum(odd) / total))
        folded = list(map(add, even, odd))
    missed: list[float] = []
    if asked:
        below = _over_subsets(weights, len(odds))
        missed = [min(1.0, below[size - 1 - mask] / total) for mask in asked]
    return top + math.log(total), shares, missed


def _over_subsets(values: list[float], positions: int) -> list[float]:
    """For each set the sum of `values` over its subsets."""
    for _ in range(positions):
        even = values[0::2]
        values = even + list(map(add, even, values[1::2]))
    return values
