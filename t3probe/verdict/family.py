"""Families of sets: their inclusion-minimal members and their connected parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from t3probe.verdict.bits import members

__all__ = ["minimal_only", "split"]

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
