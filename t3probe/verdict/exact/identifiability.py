"""What the legs can tell apart, and the one leg more that would tell the most.

Segments that lie on exactly the same legs cannot be told apart by any outcome of these legs. The
leg more is a contiguous part of a path: all are scored by how many pairs inside some groups each
splits. A path of n segments has n(n + 1)/2 parts, so scores are carried from one part to the next.
With v put in front of a part W, the score grows by v's number of partners minus twice the number of
them in W.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, repeat
from operator import add

from t3probe.verdict.exact.sets import mask_of


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


Place = tuple[int, int]
"""The number of a path and a position in it."""


class Windows:
    """Keeps the best part of all paths added so far."""

    def __init__(
        self,
        width: int,
        groups: Iterable[Sequence[int]],
        others: int,
        taken: set[int],
    ) -> None:
        """`others`: the segments that count against a part. `taken`: the sets of segments that
        are no candidates."""
        self.best: list[int] | None = None
        self._key = (0, 0, 0, 0, 0)
        self._top = width - 1
        self._groups: dict[int, list[Sequence[int]]] = {}
        for group in groups:
            for at in group:
                self._groups.setdefault(at, []).append(group)
        self._partners: dict[int, tuple[int, dict[int, int]]] = {}
        self._others = others
        self._taken = taken
        self._seen: set[tuple[int, ...]] = set()

    def add(self, run: Sequence[int], place: Place) -> None:
        """Look at all parts of `run`, a part of some path that begins at `place`."""
        if tuple(run) in self._seen:
            return  # in an earlier place
        self._seen.add(tuple(run))
        if len(set(run)) < len(run):
            self._one_by_one(run, place)
            return
        bits = [1 << (self._top - at) for at in run]
        before = [0, *accumulate(bits, int.__or__)]
        scores: list[int] = []  # of all parts with one start, by their end
        for start in range(len(run) - 1, -1, -1):
            degree, pairs = self._pairs(run[start])
            if degree:
                changes = accumulate(map(pairs.get, run[start + 1 :], repeat(0)), initial=degree)
                scores = list(map(add, changes, chain((0,), scores)))
            else:
                scores.insert(0, 0)
            least = max(1, -self._key[0])
            if max(scores) < least:
                continue
            left = scores.copy()
            while (score := max(left)) >= least:
                end = left.index(score)  # the first is the shortest, and has the fewest others
                found = before[start + end + 1] ^ before[start]
                if found not in self._taken:
                    self._offer(score, found, slice(start, start + end + 1), run, place)
                    break
                left[end] = 0

    def _one_by_one(self, run: Sequence[int], place: Place) -> None:
        """The same for a path that crosses a segment twice."""
        for start in range(len(run)):
            score = inside = 0
            members: list[int] = []
            for end in range(start, len(run)):
                at = run[end]
                bit = 1 << (self._top - at)
                if not inside & bit:
                    degree, pairs = self._pairs(at)
                    score += degree + sum(pairs.get(one, 0) for one in members)
                    members.append(at)
                    inside |= bit
                if score and -score <= self._key[0] and inside not in self._taken:
                    self._offer(score, inside, slice(start, end + 1), run, place)

    def _pairs(self, at: int) -> tuple[int, dict[int, int]]:
        """How many pairs a segment makes; and for each other one what the score of a part that
        holds it changes by: minus two for each pair that is split no more."""
        found = self._partners.get(at)
        if found is None:
            groups = self._groups.get(at, [])
            together = Counter(chain.from_iterable(groups))
            changes = {other: -2 * count for other, count in together.items()}
            found = self._partners[at] = sum(map(len, groups)) - len(groups), changes
        return found

    def _offer(self, score: int, inside: int, part: slice, run: Sequence[int], at: Place) -> None:
        """Keep this part of `run` if it is the best so far; `inside` is its set."""
        path, begin = at
        others = (inside & self._others).bit_count()
        key = (-score, others, part.stop - part.start, path, begin + part.start)
        if key < self._key:
            self._key = key
            self.best = list(run[part])
