"""The fewest outcomes to disbelieve when they cannot all be right.

Choose a fault set F and predict every leg that ran: it fails exactly when it crosses F. The
price of F is the number of legs whose outcome differs, and then its size. `find_repairs`
returns every F of the least price together with the legs to disbelieve.

How it is solved. A segment on no failed leg is in no best F: leaving it out mispredicts no
leg more and makes F smaller. Legs over the same segments count as one with a weight, and
segments on the same legs as one. Parts that share no segment are priced apart. In a part
where every failed leg has a segment that no passed leg crosses nothing must be disbelieved:
the best sets are the smallest hitting sets of those segments. Otherwise one segment is taken
in and then out, which fixes or shortens legs and often splits the part again; equal parts are
solved once. A bound prunes: pay for each failed leg out of the weight of the passed legs that
clear its segments, spending no weight twice.

The search has a fixed number of steps. When they do not suffice, the answer of that part
comes from a descent to a local optimum, and `truncated` says that less may be enough.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from t3probe.verdict.exact.hitting import LIMIT, StepBudget, hitting_sets
from t3probe.verdict.exact.identifiability import same_legs
from t3probe.verdict.exact.sets import mask_of, members, split, unions

STEPS = 1_000_000
"""How many steps the search may take: one step is one look at one segment of a leg."""
ROOM = 2_000_000
"""Options times legs that ran is at most this, so that many legs do not multiply."""
DEEPEST = 150
"""How many segments may be decided one below the other."""

Weights = dict[int, tuple[int, int]]
"""For each set of segments how many legs over exactly these passed, and how many failed."""


class _Best(NamedTuple):
    price: int
    """Legs mispredicted times the number of segments + 1, plus the number of faults."""
    faults: list[int]
    """All best sets, in order, or the first LIMIT of them."""
    cut: bool


class _OutOfSteps(Exception):
    """The budget does not suffice to be sure."""


def find_repairs(
    segments: Sequence[str],
    ran: Mapping[str, Sequence[int]],
    passed: Mapping[str, bool],
    steps: int = STEPS,
) -> dict[str, Any]:
    """`{"flips": n, "options": [{"faults": [...], "disbelieve": [...]}, ...]}`.

    `ran` gives each leg's positions in `segments`, `passed` its outcome. Options are in the
    order of their faults. `"truncated": true` is added when the list was cut (at 4096
    options, or fewer with many legs) or when a smaller repair could not be excluded.
    """
    width = len(segments)
    crossed = {leg: mask_of(path, width) for leg, path in ran.items()}
    limit = max(1, min(LIMIT, ROOM // max(1, len(ran))))
    found = _solve(crossed, passed, width, limit, StepBudget(steps))
    options = []
    flips = 0
    for faults in found.faults:
        wrong = [leg for leg, mask in crossed.items() if passed[leg] == bool(mask & faults)]
        flips = len(wrong)
        named = [segments[at] for at in members(faults, width)]
        options.append({"faults": named, "disbelieve": wrong})
    answer: dict[str, Any] = {"flips": flips, "options": options}
    if found.cut:
        answer["truncated"] = True
    return answer


def _solve(
    crossed: Mapping[str, int],
    passed: Mapping[str, bool],
    width: int,
    limit: int,
    budget: StepBudget,
) -> _Best:
    """The best fault sets over all legs."""
    useful = 0
    for leg, mask in crossed.items():
        if not passed[leg]:
            useful |= mask
    weights = _merge(
        (mask & useful, (1, 0) if passed[leg] else (0, 1)) for leg, mask in crossed.items()
    )
    weights.pop(0, None)
    groups = [
        [1 << (width - 1 - at) for at in group]
        for group in same_legs(width, [members(mask, width) for mask in weights])
    ]
    twins = {group[0]: group for group in groups}
    keep = 0
    for bit in twins:
        keep |= bit
    weights = _merge((mask & keep, weight) for mask, weight in weights.items())

    answers: list[list[int]] = []
    price = 0
    cut = False
    search = _Search(width, limit, budget)
    descent = StepBudget(STEPS)
    # The smallest parts first: they are sure to be priced exactly.
    for part in sorted(split(list(weights), width), key=len):
        own = {mask: weights[mask] for mask in part}
        try:
            best = search.deepen(own)
        except _OutOfSteps:
            best = _descend(own, width, descent)
        price += best.price
        cut = cut or best.cut
        told = _told_apart(best.faults, twins, width, limit)
        cut = cut or len(told) > limit
        answers.append(told)
    out: list[int] = []
    for mask in unions(answers, width):
        if len(out) == limit:
            return _Best(price, out, True)
        out.append(mask)
    return _Best(price, out, cut)


def _merge(legs: Any) -> Weights:
    """Add up the weights of legs over the same segments."""
    out: Weights = {}
    for mask, (good, bad) in legs:
        had = out.get(mask, (0, 0))
        out[mask] = (had[0] + good, had[1] + bad)
    return out


def _told_apart(
    faults: list[int], twins: Mapping[int, list[int]], width: int, limit: int
) -> list[int]:
    """Put each twin in its representative's place; at most limit + 1 sets, in order."""
    streams = []
    for one in faults:
        bits = [1 << (width - 1 - at) for at in members(one, width)]
        streams.append(unions([twins[bit] for bit in bits], width))
    return list(islice(heapq.merge(*streams, key=int.__neg__), limit + 1))


class _Search:
    """Prices parts exactly; raises _OutOfSteps."""

    def __init__(self, width: int, limit: int, budget: StepBudget) -> None:
        self.width = width
        self.unit = width + 1
        """The price of one mispredicted leg: more than any number of faults."""
        self.limit = limit
        self.budget = budget
        self.known: dict[frozenset[tuple[int, tuple[int, int]]], _Best | int] = {}
        """What `part` found out."""

    def deepen(self, weights: Weights) -> _Best:
        """The best sets: allow few mispredicted legs, then a few more, until some suffice."""
        flips = self.floor(weights) // self.unit
        while True:
            best = self.whole(weights, flips * self.unit + self.width, 0)
            if isinstance(best, _Best):
                return best
            flips = max(best // self.unit, flips + 1 + flips // 4)

    def whole(self, weights: Weights, ceiling: int, depth: int) -> _Best | int:
        """The best sets of legs that need not hang together; when these cost more than
        `ceiling`, a price above it that no set can beat."""
        if not self.spend(weights) or depth > DEEPEST:
            raise _OutOfSteps
        useful = 0
        for mask, (_, bad) in weights.items():
            if bad:
                useful |= mask
        weights = _merge((mask & useful, weight) for mask, weight in weights.items())
        price = weights.pop(0, (0, 0))[1] * self.unit
        parts = [
            {mask: weights[mask] for mask in part} for part in split(list(weights), self.width)
        ]
        floors = [self.floor(part) for part in parts]
        price += sum(floors)
        lists: list[list[int]] = []
        cut = False
        for part, floor in zip(parts, floors, strict=True):
            if price > ceiling:
                return price
            best = self.part(part, ceiling - price + floor, depth)
            if not isinstance(best, _Best):
                return price - floor + best
            price += best.price - floor
            cut = cut or best.cut
            lists.append(best.faults)
        if price > ceiling:
            return price
        out: list[int] = []
        for mask in unions(lists, self.width):
            if len(out) == self.limit:
                return _Best(price, out, True)
            out.append(mask)
        return _Best(price, out, cut)

    def part(self, weights: Weights, ceiling: int, depth: int) -> _Best | int:
        """The same of legs that hang together; there is a failed one among them."""
        cleared = 0
        for mask, (good, _) in weights.items():
            if good:
                cleared |= mask
        left = [mask & ~cleared for mask, (_, bad) in weights.items() if bad]
        if all(left):
            return self.free(left)
        key = frozenset(weights.items())
        known = self.known.get(key)
        if isinstance(known, _Best) or (known is not None and known > ceiling):
            return known
        passed, failed = self.count(weights)
        barred = 0
        least = 0
        for at, good in passed.items():
            if good * self.unit >= ceiling:
                barred |= 1 << (self.width - 1 - at)
                least = min(least or good, good)
        best: _Best | int
        if barred:
            less = _merge((mask & ~barred, weight) for mask, weight in weights.items())
            best = self.whole(less, ceiling, depth + 1)
            if not isinstance(best, _Best):
                best = min(best, least * self.unit + 1)
        else:
            # The most contested segment first.
            pick = max(passed.keys() & failed, key=lambda at: (failed[at], passed[at], -at))
            best = self.branch(weights, 1 << (self.width - 1 - pick), ceiling, depth)
        self.known[key] = best
        return best

    def free(self, left: list[int]) -> _Best:
        """The best sets where every failed leg has a segment that no passed leg crosses."""
        found = hitting_sets(
            left, self.width, limit=self.limit, budget=self.budget, smallest_only=True
        )
        if not found.masks:
            raise _OutOfSteps
        return _Best(found.masks[0].bit_count(), found.masks, found.floor is not None)

    def branch(self, weights: Weights, pick: int, ceiling: int, depth: int) -> _Best | int:
        """Take one segment in, and out, the cheaper-looking first."""
        price_in = 1 + self.unit * sum(good for mask, (good, _) in weights.items() if mask & pick)
        legs_in = {mask: weight for mask, weight in weights.items() if not mask & pick}
        legs_out = _merge((mask & ~pick, weight) for mask, weight in weights.items())
        choices = [
            (price_in + self.floor(legs_in), price_in, pick, legs_in),
            (self.floor(legs_out), 0, 0, legs_out),
        ]
        choices.sort(key=lambda choice: choice[0])
        best: _Best | None = None
        beyond = []
        for floor, price, chosen, legs in choices:
            found: _Best | int = floor - price
            if floor <= ceiling:
                found = self.whole(legs, ceiling - price, depth + 1)
            if not isinstance(found, _Best):
                beyond.append(price + found)
                continue
            ceiling = price + found.price
            faults = [mask | chosen for mask in found.faults]
            cut = found.cut
            if best is not None and best.price == ceiling:
                faults = sorted(faults + best.faults, reverse=True)
                cut = cut or best.cut or len(faults) > self.limit
                faults = faults[: self.limit]
            best = _Best(ceiling, faults, cut)
        return min(beyond) if best is None else best

    def spend(self, weights: Weights) -> bool:
        """Pay for one pass over these legs and their segments."""
        return self.budget.spend(sum(map(int.bit_count, weights)) + 3 * len(weights) + 8)

    def count(self, weights: Weights) -> tuple[dict[int, int], dict[int, int]]:
        """For each segment how many legs through it passed, and how many failed."""
        passed: dict[int, int] = {}
        failed: dict[int, int] = {}
        for mask, (good, bad) in weights.items():
            for at in members(mask, self.width):
                if good:
                    passed[at] = passed.get(at, 0) + good
                if bad:
                    failed[at] = failed.get(at, 0) + bad
        return passed, failed

    def floor(self, weights: Weights) -> int:
        """A price that no fault set can beat."""
        if not self.spend(weights):
            raise _OutOfSteps
        cleared = useful = sure = 0
        for mask, (good, bad) in weights.items():
            if good:
                cleared |= mask
            if bad:
                useful |= mask
                if not mask:
                    sure += bad
        # Failed legs that no fault explains for free ...
        costly = [
            (members(mask, self.width), bad)
            for mask, (_, bad) in weights.items()
            if bad and mask and not mask & ~cleared
        ]
        if not costly:
            return sure * self.unit + bool(useful & ~cleared)
        # ... pay with the weight of the passed legs through each of their segments.
        paid_by = 0
        for each, _ in costly:
            paid_by |= mask_of(each, self.width)
        purse: dict[int, float] = {}
        for mask, (good, _) in weights.items():
            share = mask & useful
            if good and share & paid_by:
                each = members(share & paid_by, self.width)
                for at in each:
                    purse[at] = purse.get(at, 0.0) + good / len(each)
        total = 0.0
        for each, bad in sorted(costly, key=lambda one: len(one[0])):
            pays = min(bad, min(purse[at] for at in each))
            total += pays
            for at in each:
                purse[at] -= pays
        whole = int(total)
        return (sure + whole + (total - whole > 1e-6)) * self.unit


def _descend(weights: Weights, width: int, budget: StepBudget) -> _Best:
    """A fault set that no single change improves: take in or out what lowers the price most."""
    unit = width + 1
    where: dict[int, list[int]] = {}
    legs = list(weights.items())
    for number, (mask, _) in enumerate(legs):
        for at in members(mask, width):
            where.setdefault(at, []).append(number)
    hits = [0] * len(legs)
    price = sum(bad for _, (_, bad) in legs) * unit
    inside: set[int] = set()
    while budget.left > 0:
        best = (0, 0)
        for at, numbers in where.items():
            budget.spend(len(numbers))
            out = at in inside
            change = -1 if out else 1
            for number in numbers:
                if hits[number] == out:
                    good, bad = legs[number][1]
                    change += unit * (bad - good if out else good - bad)
            best = min(best, (change, at))
        change, at = best
        if not change:
            break
        inside ^= {at}
        price += change
        for number in where[at]:
            hits[number] += 1 if at in inside else -1
    return _Best(price, [mask_of(inside, width)], True)
