"""The smallest unions of one set from each of several lists, best first.

Used wherever parts that share no segment are solved apart: their answers combine freely, and
only the first few of possibly very many combinations are ever made.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

from t3probe.verdict.bits import rank

__all__ = ["unions"]


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
