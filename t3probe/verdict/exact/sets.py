"""Sets of segments as integers, families of such sets, and their smallest unions.

Position `i` of `width` is the bit `1 << (width - 1 - i)`: the first segment is the highest bit.
Among sets of equal size the lexicographically first is then the largest integer, and `rank` orders
sets by size and then lexicographically while staying additive over disjoint sets. The searches rely
on both. A family is reduced to its inclusion-minimal members and split into its connected parts;
parts that share no segment are solved apart, and `unions` combines their answers, best first, of
which only the first few of possibly very many are ever made.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress

ZERO_ONE = bytes.maketrans(b"01", b"\x00\x01")


def mask_of(positions: Iterable[int], width: int) -> int:
    """The set of these positions."""
    top = width - 1
    mask = 0
    for position in positions:
        mask |= 1 << (top - position)
    return mask


def members(mask: int, width: int) -> list[int]:
    """The positions in a set, ascending."""
    out: list[int] = []
    if mask.bit_count() * 16 <= width:
        top = width - 1
        while mask:
            high = mask.bit_length() - 1
            out.append(top - high)
            mask ^= 1 << high
        return out
    # A dense set: one pass over the digits is cheaper than one big integer per member.
    return list(compress(range(width), f"{mask:0{width}b}".encode().translate(ZERO_ONE)))


def rank(mask: int, width: int) -> int:
    """A number that is lower for smaller sets and, among equal sizes, for earlier ones."""
    return (mask.bit_count() << width) - mask


FEW = 500
"""Up to this many sets comparing each with all parts so far is the fastest."""


def minimal_only(family: Iterable[int], width: int) -> list[int]:
    """The sets that contain no other set of the family, smallest first.

    Each kept set is filed under its rarest element, so that a set is compared only with
    those kept under one of its own elements.
    """
    distinct = sorted(set(family), key=int.bit_count)
    kept: list[int] = []
    singles = 0
    larger: list[int] = []
    for one in distinct:
        if one.bit_count() < 2:
            kept.append(one)
            singles |= one
        elif not one & singles:
            larger.append(one)
    if kept and not kept[0]:
        return [0]
    if len(larger) < 2:
        return kept + larger
    elements = [members(one, width) for one in larger]
    count: dict[int, int] = {}
    for each in elements:
        for element in each:
            count[element] = count.get(element, 0) + 1
    filed: dict[int, list[int]] = {}
    for one, each in zip(larger, elements, strict=True):
        if any(other & one == other for element in each for other in filed.get(element, ())):
            continue
        kept.append(one)
        filed.setdefault(min(each, key=count.__getitem__), []).append(one)
    return kept


def split(family: Sequence[int], width: int) -> list[list[int]]:
    """The family in parts that share no element."""
    if len(family) < 2:
        return [list(family)] if family else []
    if len(family) <= FEW:
        return _split_few(family)
    leader: dict[int, int] = {}

    def find(element: int) -> int:
        root = element
        while leader[root] != root:
            root = leader[root]
        while leader[element] != root:
            leader[element], element = root, leader[element]
        return root

    first: list[int] = []
    for one in family:
        each = members(one, width)
        head = each[0]
        first.append(head)
        leader.setdefault(head, head)
        root = find(head)
        for element in each[1:]:
            if element in leader:
                leader[find(element)] = root
            else:
                leader[element] = root
    parts: dict[int, list[int]] = {}
    for one, head in zip(family, first, strict=True):
        parts.setdefault(find(head), []).append(one)
    return list(parts.values())


def _split_few(family: Sequence[int]) -> list[list[int]]:
    parts: list[tuple[int, list[int]]] = []
    for one in family:
        joined = [part for part in parts if part[0] & one]
        if not joined:
            parts.append((one, [one]))
            continue
        apart = [part for part in parts if not part[0] & one]
        mask, sets = joined[0]
        for other, more in joined[1:]:
            mask |= other
            sets += more
        sets.append(one)
        parts = [*apart, (mask | one, sets)]
    return [sets for _, sets in parts]


def unions(parts: Sequence[Sequence[int]], width: int) -> Iterator[int]:
    """Yield every union of one set per part, by size and then lexicographically.

    Each part is a non-empty list of sets in that order; sets of different parts are disjoint.
    The n-th union costs O(log n). Sorting the parts by the step from their first to their
    second set makes every state's successors no smaller than itself, and gives each
    combination exactly one parent.
    """
    first = 0
    free: list[Sequence[int]] = []
    for part in parts:
        first |= part[0]
        if len(part) > 1:
            free.append(part)
    yield first
    if not free:
        return
    free.sort(key=lambda part: rank(part[1], width) - rank(part[0], width))
    mask = first ^ free[0][0] ^ free[0][1]
    heap = [(rank(mask, width), 0, 1, mask)]
    while heap:
        _, at, chosen, mask = heapq.heappop(heap)
        yield mask
        part = free[at]
        if chosen + 1 < len(part):
            onward = mask ^ part[chosen] ^ part[chosen + 1]
            heapq.heappush(heap, (rank(onward, width), at, chosen + 1, onward))
        if at + 1 < len(free):
            following = free[at + 1]
            onward = mask ^ following[0] ^ following[1]
            heapq.heappush(heap, (rank(onward, width), at + 1, 1, onward))
            if chosen == 1:
                onward ^= part[1] ^ part[0]
                heapq.heappush(heap, (rank(onward, width), at + 1, 1, onward))
