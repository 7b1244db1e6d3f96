"""Best-first search for the minimal hitting sets of one connected family.

Elements that lie in the same sets are searched as one and told apart only in the result.
A state has elements that are in, elements still free, and the sets not hit yet; every element
that is in keeps a set that it alone hits, else nothing minimal can follow. Branching takes
the smallest open set: its first element is in; or out and its second in; and so on, so each
hitting set is reached once. (The criterion and the branching are those of Murakami and Uno,
"Efficient algorithms for dualizing large-scale hypergraphs", 2014.) A state's bound is its
size plus a greedy number of disjoint open sets: states leave the heap by bound, so hitting
sets come out smallest first.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from t3probe.verdict.bits import members
from t3probe.verdict.hitting import Budget, Options
from t3probe.verdict.unions import unions

__all__ = ["search"]


CROWDED = 4
"""With fewer disjoint open sets than this a second bound is worth its price."""


class _State(NamedTuple):
    bound: int
    """No hitting set that follows is smaller."""
    missing: int
    """bound - size: 0 for a hitting set, and those come first among equal bounds."""
    serial: int
    chosen: tuple[int, ...]
    free: int
    once: int
    """The sets that exactly one chosen element hits, as bits by their number."""
    unhit: int
    """The sets not hit, as bits by their number."""
    open: list[int]
    """The free elements of the sets not hit, smallest first."""


class _Search:
    def __init__(self, family: list[int], width: int, budget: Budget) -> None:
        self.budget = budget
        self.serial = 0
        where: dict[int, list[int]] = {}
        for number, one in enumerate(family):
            for at in members(one, width):
                where.setdefault(at, []).append(number)
        twins: dict[tuple[int, ...], list[int]] = {}
        for at in sorted(where):
            twins.setdefault(tuple(where[at]), []).append(at)
        # The most frequent first: once it is out, the open sets shrink the most.
        order = sorted(twins, key=len, reverse=True)
        self.count = len(order)
        self.classes = [[1 << (width - 1 - at) for at in twins[key]] for key in order]
        self.hits: list[int] = []
        sets = [0] * len(family)
        for element, key in enumerate(order):
            bit = 1 << (self.count - 1 - element)
            hit = 0
            for number in key:
                sets[number] |= bit
                hit |= 1 << number
            self.hits.append(hit)
        self.sets = sorted(sets, key=int.bit_count)

    def start(self) -> _State:
        everything = (1 << self.count) - 1
        unhit = (1 << len(self.sets)) - 1
        bound = self.lacks(self.sets, everything, unhit)
        return _State(bound, bound, 0, (), everything, 0, unhit, self.sets)

    def lacks(self, left: list[int], free: int, unhit: int) -> int:
        """A number of elements that are at least needed to hit the open sets."""
        missing = _disjoint(left)
        if missing < CROWDED and len(left) > 4 * missing:
            # Large sets are seldom disjoint: count how few elements could hit so many.
            self.budget.spend(self.count // 2)
            gains = [(self.hits[at] & unhit).bit_count() for at in members(free, self.count)]
            gains.sort(reverse=True)
            need = len(left)
            for number, gain in enumerate(gains, 1):
                need -= gain
                if need <= 0:
                    return max(missing, number)
        return missing

    def children(self, state: _State) -> list[_State] | None:
        """The states that follow; None when the budget ran out."""
        out: list[_State] = []
        free = state.free
        for element in members(state.open[0], self.count):
            bit = 1 << (self.count - 1 - element)
            if not self.budget.spend(len(state.chosen) + 20):
                return None
            free ^= bit
            child = self._with(state, bit, free)
            if child is not None:
                out.append(child)
        return out

    def _with(self, state: _State, bit: int, free: int) -> _State | None:
        """The state with this element in, and whatever that forces; None for a dead end."""
        hits = self.hits
        chosen = list(state.chosen)
        once, unhit, left = state.once, state.unhit, state.open
        new = bit
        while new:
            for element in members(new, self.count):
                chosen.append(element)
                once = (once & ~hits[element]) | (unhit & hits[element])
                unhit &= ~hits[element]
            free &= ~new
            left = [one & free for one in left if not one & new]
            left.sort(key=int.bit_count)
            if left and not left[0]:
                return None
            new = 0
            for one in left:
                if one.bit_count() > 1:
                    break
                new |= one
            self.budget.spend(len(left))
        for element in chosen:
            if not hits[element] & once:
                return None
        self.serial += 1
        missing = self.lacks(left, free, unhit)
        return _State(
            bound=len(chosen) + missing,
            missing=missing,
            serial=self.serial,
            chosen=tuple(chosen),
            free=free,
            once=once,
            unhit=unhit,
            open=left,
        )


def _disjoint(sets: list[int]) -> int:
    """A greedy number of pairwise disjoint sets: each needs an element of its own."""
    used = 0
    count = 0
    for one in sets:
        if not one & used:
            used |= one
            count += 1
    return count


def search(
    family: list[int], width: int, limit: int, budget: Budget, *, smallest_only: bool
) -> Options:
    """The first `limit` minimal hitting sets; see `t3probe.verdict.hitting.hitting_sets`."""
    work = _Search(family, width, budget)
    heap = [work.start()]
    layers: dict[int, list[tuple[int, ...]]] = {}
    found = 0
    floor: int | None = None
    while heap:
        state = heapq.heappop(heap)
        done = max(layers, default=state.bound)
        if state.bound > done and (smallest_only or found > limit):
            floor = None if smallest_only else done
            break
        if not state.missing:
            layers.setdefault(state.bound, []).append(state.chosen)
            many = 1
            for element in state.chosen:
                many *= len(work.classes[element])
            found += many
            continue
        following = work.children(state)
        if following is None:
            floor = state.bound
            break
        for child in following:
            heapq.heappush(heap, child)
    out: list[int] = []
    for size in sorted(layers):
        out += islice(_told_apart(layers[size], work, width), limit + 1 - len(out))
    if len(out) > limit:
        return Options(out[:limit], out[limit - 1].bit_count())
    return Options(out, floor)


def _told_apart(layer: list[tuple[int, ...]], work: _Search, width: int) -> Iterator[int]:
    """The hitting sets of one size, with each class's elements in turn, in order."""
    streams = [unions([work.classes[element] for element in one], width) for one in layer]
    return streams[0] if len(streams) == 1 else heapq.merge(*streams, key=int.__neg__)
