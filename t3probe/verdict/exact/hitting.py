"""All inclusion-minimal hitting sets of a family, smallest first.

A hitting set holds at least one element of every set of the family: one possible explanation
of the failed legs. Parts that share no element are solved apart and combined lazily. Within a
part, an element that lies in every set is an explanation by itself and in no other; taking
such elements out often splits the part further, and so trees of racks and rooms never need a
search.

What remains is searched best first, and elements that lie in the same sets as one; they are told
apart only in the result. A state has elements that are in, elements still free, and the sets not
hit yet; every element that is in keeps a set that it alone hits, else nothing minimal can follow.
Branching takes the smallest open set: its first element is in; or out and its second in; and so
on, so each hitting set is reached once. (The criterion and the branching are those of Murakami and
Uno, "Efficient algorithms for dualizing large-scale hypergraphs", 2014.) A state's bound is its
size plus a greedy number of disjoint open sets: states leave the heap by bound, so hitting sets
come out smallest first.

The work is bounded by counting steps, never by time, so that equal input gives equal output.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from t3probe.verdict.exact.sets import members, minimal_only, split, unions

LIMIT = 4096
"""How many hitting sets are listed at most."""
STEPS = 1_200_000
"""How many steps a search may take: one step is one look at one set."""
DEEPEST = 150
"""How often a part may be taken apart before it is searched as it stands."""
CROWDED = 4
"""With fewer disjoint open sets than this a second bound is worth its price."""


class StepBudget:
    """A count of steps that runs out."""

    __slots__ = ("left",)

    def __init__(self, steps: int = STEPS) -> None:
        self.left = steps

    def spend(self, steps: int) -> bool:
        """Take `steps`; False when there were not that many left."""
        self.left -= steps
        return self.left >= 0


class Options(NamedTuple):
    """The smallest hitting sets, by size and then lexicographically."""

    masks: list[int]
    floor: int | None
    """None when the list is complete, else a size below which nothing is missing. With the
    budget spent the list may even be empty."""


def hitting_sets(
    family: Iterable[int],
    width: int,
    *,
    limit: int = LIMIT,
    budget: StepBudget | None = None,
    smallest_only: bool = False,
) -> Options:
    """The first `limit` inclusion-minimal hitting sets of a family of non-empty sets.

    With `smallest_only` those of the least size only; `floor` is then None when all of these
    are listed.
    """
    asked = _Asked(width, limit, budget or StepBudget(), smallest_only)
    return _whole(minimal_only(family, width), asked, 0)


class _Asked(NamedTuple):
    width: int
    limit: int
    budget: StepBudget
    smallest_only: bool


def _whole(family: list[int], asked: _Asked, depth: int) -> Options:
    """Of an inclusion-minimal family."""
    fixed = 0
    rest: list[int] = []
    for one in family:
        if one.bit_count() == 1:
            fixed |= one
        else:
            rest.append(one)
    answers = [Options([fixed], None)] if fixed or not rest else []
    answers += [_part(part, asked, depth) for part in split(rest, asked.width)]
    return answers[0] if len(answers) == 1 else _product(answers, asked)


def _part(part: list[int], asked: _Asked, depth: int) -> Options:
    """Of a connected, inclusion-minimal family of sets of two or more."""
    width, limit = asked.width, asked.limit
    common = part[0]
    for one in part:
        common &= one
    if not common:
        return _best_first(part, width, limit, asked.budget, smallest_only=asked.smallest_only)
    masks = [1 << (width - 1 - at) for at in members(common, width)]
    if len(masks) > limit:
        return Options(masks[:limit], 1)
    if len(part) == 1 or asked.smallest_only:
        return Options(masks, None)
    asked.budget.spend(len(part))
    if len(masks) == limit or depth >= DEEPEST or asked.budget.left < 0:
        return Options(masks, 2)
    inner = _whole(minimal_only((one & ~common for one in part), width), asked, depth + 1)
    masks += inner.masks
    if len(masks) > limit:
        return Options(masks[:limit], masks[limit - 1].bit_count())
    return Options(masks, inner.floor)


def _product(answers: list[Options], asked: _Asked) -> Options:
    """Combine the answers of parts that share no element.

    Where a part's list was cut, combinations larger than anything it may lack are left out:
    what is listed stays the true beginning.
    """
    least = 0
    slack: int | None = None
    for masks, floor in answers:
        size = masks[0].bit_count() if masks else floor or 0
        least += size
        if floor is not None:
            slack = floor - size if slack is None else min(slack, floor - size)
    ceiling = None if slack is None else least + slack
    if not all(answer.masks for answer in answers):
        return Options([], ceiling)
    lists = [answer.masks for answer in answers]
    out: list[int] = []
    for mask in unions(lists, asked.width):
        size = mask.bit_count()
        if asked.smallest_only and size > least:
            break
        if ceiling is not None and size > ceiling:
            return Options(out, ceiling)
        if len(out) == asked.limit:
            return Options(out, out[-1].bit_count())
        out.append(mask)
    return Options(out, ceiling)


# -- the search


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
    def __init__(self, family: list[int], width: int, budget: StepBudget) -> None:
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


def _best_first(
    family: list[int], width: int, limit: int, budget: StepBudget, *, smallest_only: bool
) -> Options:
    """The first `limit` minimal hitting sets of a connected family."""
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
