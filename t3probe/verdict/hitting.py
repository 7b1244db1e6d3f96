"""All inclusion-minimal hitting sets of a family, smallest first.

A hitting set holds at least one element of every set of the family: one possible explanation
of the failed legs. Parts that share no element are solved apart and combined lazily. Within a
part, an element that lies in every set is an explanation by itself and in no other; taking
such elements out often splits the part further, and so trees of racks and rooms never need a
search. What remains is searched best first (`t3probe.verdict.search`).

The work is bounded by counting steps, never by time, so that equal input gives equal output.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from t3probe.verdict.bits import members
from t3probe.verdict.family import minimal_only, split
from t3probe.verdict.unions import unions

__all__ = ["LIMIT", "STEPS", "Budget", "Options", "hitting_sets"]

LIMIT = 4096
"""How many hitting sets are listed at most."""
STEPS = 1_200_000
"""How many steps a search may take: one step is one look at one set."""
DEEPEST = 150
"""How often a part may be taken apart before it is searched as it stands."""


class Budget:
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
    budget: Budget | None = None,
    smallest_only: bool = False,
) -> Options:
    """The first `limit` inclusion-minimal hitting sets of a family of non-empty sets.

    With `smallest_only` those of the least size only; `floor` is then None when all of these
    are listed.
    """
    asked = _Asked(width, limit, budget or Budget(), smallest_only)
    return _whole(minimal_only(family, width), asked, 0)


class _Asked(NamedTuple):
    width: int
    limit: int
    budget: Budget
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
        from t3probe.verdict.search import search

        return search(part, width, limit, asked.budget, smallest_only=asked.smallest_only)
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
