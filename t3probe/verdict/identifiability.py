"""What the legs can tell apart, and the one leg more that would tell the most.

Segments that lie on exactly the same legs cannot be told apart by any outcome of these legs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from t3probe.verdict.bits import mask_of

__all__ = ["best_extra_leg", "same_legs"]


def same_legs(width: int, legs: Iterable[Sequence[int]]) -> list[list[int]]:
    """All segments, grouped by the set of `legs` they lie on, in order of first segments."""
    on: list[list[int]] = [[] for _ in range(width)]
    for number, leg in enumerate(legs):
        for at in leg:
            on[at].append(number)
    groups: dict[tuple[int, ...], list[int]] = {}
    for at, numbers in enumerate(on):
        groups.setdefault(tuple(numbers), []).append(at)
    return list(groups.values())


def best_extra_leg(
    width: int,
    paths: Iterable[Sequence[int]],
    legs: Iterable[Sequence[int]],
    groups: Iterable[Sequence[int]],
    convicted: Iterable[int],
    exonerated: Iterable[int],
) -> list[int] | None:
    """The contiguous part of a path that splits the most pairs inside `groups`.

    A pair is split when exactly one of the two is in the part; one that lies in two of the groups
    counts twice, since it is split in both. Parts that hold a convicted
    segment, or the same segments as one of `legs`, do not count. Ties: the fewest segments
    that are neither exonerated nor in the groups, then the shortest, then the first path and
    the first start. None when nothing splits a pair.
    """
    from t3probe.verdict.windows import Windows

    targets = [group for group in groups if len(group) > 1]
    if not targets:
        return None
    calm = set(exonerated).union(*targets)
    windows = Windows(
        width,
        targets,
        others=mask_of([at for at in range(width) if at not in calm], width),
        taken={mask_of(set(leg), width) for leg in legs},
    )
    barred = set(convicted)
    for number, path in enumerate(paths):
        begin = 0
        for at, segment in enumerate(path):
            if segment in barred:
                windows.add(path[begin:at], (number, begin))
                begin = at + 1
        windows.add(path[begin:], (number, begin))
    return windows.best
