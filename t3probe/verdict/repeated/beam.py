"""The bounded sum over sets of broken groups, where enumerating all of them is too much.

A beam search (Lowerre, "The Harpy Speech Recognition System", 1976): from the set without a
fault on, the best sets of each size are extended by every group that some failure speaks for.
The best sets found stand for all; each group's probability is the mean over them of its own,
given the rest of the set. What the beam never saw is missing, so that the answer ranks
suspects and convicts nobody.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

__all__ = ["CANDIDATES", "FAULTS", "KEPT", "WIDTH", "search"]

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
