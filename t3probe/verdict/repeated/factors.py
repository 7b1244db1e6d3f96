"""Sums over all sets of broken groups, when each leg only says "hit" or "not hit".

A factor is a leg's evidence: a set of groups, the log likelihood of its counts when one of
them is broken (`hit`) and when none is (`miss`). This form survives rewritings that lose
nothing: factors over the same groups add up, one over a single group belongs to its odds, and
a group that lies on one factor alone can be summed out of it (variable elimination, as in any
text on Bayesian networks; each such sum is again a factor of this form). Racks below rooms, and
thousands of upstreams that each have a part of their own, vanish that way. What is left is
enumerated, all 2 ** n sets of it at once, or searched within a bound
(`search`).

Legs that differ in nothing but a group of their own are twins: of ten thousand upstreams on a few
hosts most are. All but one of each kind become one factor over what they share, and have the
probability of the one that is kept. This changes no sum; it only saves doing the same thing
thousands of times.

All numbers are natural logarithms.

Where enumerating all of them is too much, the sum is bounded: a beam search (Lowerre, "The Harpy
Speech Recognition System", 1976): from the set without a fault on, the best sets of each size are
extended by every group that some failure speaks for. The best sets found stand for all; each
group's probability is the mean over them of its own, given the rest of the set. What the beam never
saw is missing, so that the answer ranks suspects and convicts none.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from operator import add
from typing import NamedTuple

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
    beside: float
    """The probability that the group is broken when something of the rest is."""
    alone: float
    """The same when nothing of the rest is."""


class _Left(NamedTuple):
    """What nothing more can be summed out of."""

    factors: list[Factor]
    odds: dict[int, float]
    """Of each group that is left, with what speaks of it alone."""
    constant: float
    gone: list[_Gone]
    """In the order in which they went."""


def log_sum(values: Iterable[float]) -> float:
    """log(sum(exp(values))) without overflow."""
    values = list(values)
    top = max(values)
    return top + math.log(math.fsum(math.exp(one - top) for one in values))


def _log_add(one: float, other: float) -> float:
    return max(one, other) + math.log1p(math.exp(-abs(one - other)))


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
    core, chances, constant, gone = _sum_out(factors, prior)
    left = sorted(chances)
    place = {group: at for at, group in enumerate(left)}
    odds = [chances[group] for group in left]
    constant += math.fsum(one.miss for one in core)
    gains = [(_mask(one.groups, place), one.hit - one.miss) for one in core]
    inside = [one.rest for one in gone if len(one.rest) > 1 and place.keys() >= one.rest]
    exact = len(left) <= EXACT_GROUPS
    asked = [_mask(one, place) for one in inside]
    total, broken, missed = (_enumerate if exact else search)(odds, gains, asked)
    posterior = dict(zip(left, broken, strict=True))
    clear: dict[Groups, float] = dict(zip(inside, missed, strict=True))
    # The last one that went knows its rest: what went later, or what is left.
    for one in reversed(gone):
        if len(one.rest) > 1:
            none = clear[one.rest]
        else:
            none = math.prod(1 - posterior[group] for group in one.rest)
        posterior[one.group] = (1 - none) * one.beside + none * one.alone
        clear[one.rest | {one.group}] = none * (1 - one.alone)
    return Sums(total + constant, posterior, exact)


def _mask(groups: Groups, place: dict[int, int]) -> int:
    return sum(1 << place[one] for one in groups)


def _sum_out(factors: Iterable[Factor], prior: Sequence[float]) -> _Left:
    """Merge factors over equal groups, take what speaks of one group alone into its odds, and
    sum out groups on one factor, while there are any."""
    by_groups: dict[Groups, tuple[float, float]] = {}
    on: dict[int, set[Groups]] = {}
    weight: dict[int, tuple[float, float]] = {}

    def put(groups: Groups, hit: float, miss: float) -> None:
        for one in groups:
            if one not in weight:
                weight[one] = math.log(prior[one]), math.log1p(-prior[one])
                on[one] = set()
        if len(groups) == 1:
            (group,) = groups
            broken, good = weight[group]
            weight[group] = broken + hit, good + miss
        elif groups in by_groups:
            old = by_groups[groups]
            by_groups[groups] = old[0] + hit, old[1] + miss
        else:
            by_groups[groups] = hit, miss
            for one in groups:
                on[one].add(groups)

    for factor in factors:
        put(*factor)
    constant = 0.0
    gone: list[_Gone] = []
    waiting = sorted((one for one in on if len(on[one]) < 2), reverse=True)
    while waiting:
        group = waiting.pop()
        if len(on.get(group, (0, 0))) > 1:
            continue
        broken, good = weight.pop(group)
        groups = next(iter(on.pop(group)), frozenset((group,)))
        rest = groups - {group}
        hit, miss = by_groups.pop(groups) if rest else (0.0, 0.0)
        either = _log_add(broken, good)
        none = _log_add(broken + hit, good + miss)
        gone.append(_Gone(group, rest, math.exp(broken - either), math.exp(broken + hit - none)))
        if not rest:
            constant += none
            continue
        for one in rest:
            on[one].discard(groups)
        put(rest, hit + either, none)
        waiting += sorted((one for one in rest if len(on[one]) < 2), reverse=True)
    odds = {}
    for group, (broken, good) in weight.items():
        odds[group] = broken - good
        constant += good
    return _Left(
        [Factor(groups, *both) for groups, both in by_groups.items()], odds, constant, gone
    )


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


WIDTH = 8
"""How many sets of each size are extended."""
CANDIDATES = 128
"""How many groups a set is extended by at most: those that explain most by themselves."""
FAULTS = 64
"""No set of more faults is looked at."""
KEPT = 16
"""How many of the best sets stand for all."""
PATIENCE = 3
"""After so many sizes without a better set the search ends."""

Set = tuple[float, int, int]
"""Score, groups, factors hit."""


def search(
    odds: Sequence[float], gains: Sequence[tuple[int, float]], asked: Sequence[int]
) -> tuple[float, list[float], list[float]]:
    """As `t3probe.verdict.repeated.factors._enumerate`, over the best sets alone."""
    columns: list[list[int]] = [[] for _ in odds]
    for number, (mask, _) in enumerate(gains):
        while mask:
            low = mask & -mask
            columns[low.bit_length() - 1].append(number)
            mask ^= low
    gain = [one for _, one in gains]
    alone = [own + sum(gain[f] for f in column) for own, column in zip(odds, columns, strict=True)]
    useful = [at for at, column in enumerate(columns) if any(gain[f] > 0 for f in column)]
    candidates = heapq.nlargest(CANDIDATES, useful, key=lambda at: (alone[at], -at))
    best = _sets(odds, gain, columns, candidates)
    top = best[0][0]
    weights = [math.exp(score - top) for score, _, _ in best]
    total = math.fsum(weights)
    shares = [0.0] * len(odds)
    for weight, (_, groups, _) in zip(weights, best, strict=True):
        for at, own in enumerate(_given(groups, odds, gain, columns)):
            shares[at] += own * weight / total
    missed = [
        math.fsum(w for w, one in zip(weights, best, strict=True) if not one[1] & mask) / total
        for mask in asked
    ]
    return top + math.log(total), [min(1.0, one) for one in shares], [min(1.0, m) for m in missed]


def _sets(
    odds: Sequence[float],
    gain: Sequence[float],
    columns: Sequence[Sequence[int]],
    candidates: Sequence[int],
) -> list[Set]:
    """The best sets found, best first."""
    level: list[Set] = [(0.0, 0, 0)]
    best: list[Set] = list(level)
    stale = 0
    for _ in range(FAULTS):
        larger: dict[int, Set] = {}
        for score, groups, hit in level:
            for at in candidates:
                if groups >> at & 1 or groups | 1 << at in larger:
                    continue
                more, now = score + odds[at], hit
                for factor in columns[at]:
                    if not hit >> factor & 1:
                        more += gain[factor]
                        now |= 1 << factor
                larger[groups | 1 << at] = (more, groups | 1 << at, now)
        if not larger:
            break
        before = best[0][0]
        best = heapq.nlargest(KEPT, (*best, *larger.values()))
        level = heapq.nlargest(WIDTH, larger.values())
        stale = 0 if best[0][0] > before else stale + 1
        if stale >= PATIENCE:
            break
    return best


def _given(
    groups: int, odds: Sequence[float], gain: Sequence[float], columns: Sequence[Sequence[int]]
) -> list[float]:
    """Each group's probability when all others are as in this set."""
    times = [0] * len(gain)
    for at, column in enumerate(columns):
        if groups >> at & 1:
            for factor in column:
                times[factor] += 1
    out = []
    for at, column in enumerate(columns):
        own = groups >> at & 1
        score = odds[at] + sum(gain[f] for f in column if times[f] == own)
        out.append(1 / (1 + math.exp(-score)) if score > -700 else 0.0)
    return out
