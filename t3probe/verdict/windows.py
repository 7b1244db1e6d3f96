"""Scores all contiguous parts of paths: how many pairs of partners each part splits.

A path of n segments has n(n + 1)/2 parts, so scores are carried from one part to the next.
With v put in front of a part W, the score grows by v's number of partners minus twice the
number of them in W. On long paths this is done for all ends at once: the scores of all parts
with one start lie side by side as 16-bit lanes of one integer.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

__all__ = ["Windows"]

LONG = 24
"""From this length on lanes are faster than a plain loop."""
TARGETS = 255
"""Lanes need an own byte for each target; then no score exceeds 2 ** 15."""


Place = tuple[int, int]
"""The number of a path and a position in it."""


class Windows:
    """Keeps the best part of all paths added so far."""

    def __init__(
        self,
        width: int,
        partners: Mapping[int, int],
        others: int,
        taken: set[int],
    ) -> None:
        """`partners`: for each target segment the set of its partners. `others`: those that
        count against a part. `taken`: the sets of segments that are no candidates.
        """
        self.best: list[int] | None = None
        self._key = (0, 0, 0, 0, 0)
        self._width = width
        self._partners = partners
        self._degree = {at: mask.bit_count() for at, mask in partners.items()}
        self._others = others
        self._taken = taken
        self._short: set[tuple[int, ...]] = set()
        self._long: list[str] = []
        self._byte: dict[int, int] = {}
        self._table: dict[int, bytes] = {}
        if len(partners) <= TARGETS:
            self._byte = {at: number for number, at in enumerate(partners)}

    def add(self, run: Sequence[int], place: Place) -> None:
        """Look at all parts of `run`, a part of some path that begins at `place`."""
        if len(run) < LONG:
            if tuple(run) not in self._short:
                self._short.add(tuple(run))
                self._plain(run, place)
            return
        # All parts of a part of an earlier run have been seen, in an earlier place.
        text = "".join(map(chr, run)) if self._width < 0xD800 else ""
        if text and any(text in earlier for earlier in self._long):
            return
        self._long.append(text)
        if self._byte and len(set(run)) == len(run):
            self._lanes(run, place)
        else:
            self._plain(run, place)

    def _offer(self, score: int, inside: int, part: slice, run: Sequence[int], at: Place) -> None:
        """Keep this part of `run` if it is the best so far; `inside` is its set."""
        path, begin = at
        others = (inside & self._others).bit_count()
        key = (-score, others, part.stop - part.start, path, begin + part.start)
        if key < self._key:
            self._key = key
            self.best = list(run[part])

    def _plain(self, run: Sequence[int], place: Place) -> None:
        """Part by part, for short paths and for those that cross a segment twice."""
        partners, degree, top = self._partners, self._degree, self._width - 1
        for start in range(len(run)):
            score = inside = 0
            seen = 0
            for end in range(start, len(run)):
                at = run[end]
                bit = 1 << (top - at)
                if not inside & bit:
                    if at in degree:
                        score += degree[at] - 2 * (partners[at] & inside).bit_count()
                    inside |= bit
                # Of two parts with one start and one score the first is the better.
                if score > seen and -score <= self._key[0] and inside not in self._taken:
                    seen = score
                    self._offer(score, inside, slice(start, end + 1), run, place)

    def _lanes(self, run: Sequence[int], place: Place) -> None:
        """All ends at once, for each start from the last to the first."""
        length = len(run)
        top = self._width - 1
        byte = self._byte
        text = b"".join(bytes((byte.get(at, TARGETS), TARGETS)) for at in run)
        ones = int.from_bytes(b"\x01\x00" * length, "little")
        before = [0]
        for at in run:
            before.append(before[-1] | 1 << (top - at))
        row = 0
        for start in range(length - 1, -1, -1):
            at = run[start]
            lanes = length - start
            row <<= 16
            if at in byte:
                row += self._degree[at] * (ones & ((1 << (16 * lanes)) - 1))
                partners = text[2 * start + 2 :].translate(self._is_partner(at))
                counts = int.from_bytes(partners, "little")
                # Sums over all lanes so far, by doubling.
                shift = 16
                while shift < 16 * lanes:
                    counts += counts << shift
                    shift *= 2
                counts &= (1 << (16 * (lanes - 1))) - 1
                row -= counts << 17
            least = max(1, -self._key[0])
            raised = row + (0x8000 - least) * (ones & ((1 << (16 * lanes)) - 1))
            if not raised & (0x8000 * ones):
                continue
            scores = list(struct.unpack(f"<{lanes}H", row.to_bytes(2 * lanes, "little")))
            while (score := max(scores)) >= least:
                end = scores.index(score)
                inside = before[start + end + 1] ^ before[start]
                if inside not in self._taken:
                    self._offer(score, inside, slice(start, start + end + 1), run, place)
                    break
                scores[end] = 0

    def _is_partner(self, at: int) -> bytes:
        """A table for `bytes.translate`: 1 for the byte of each partner, else 0."""
        table = self._table.get(at)
        if table is None:
            mask, top = self._partners[at], self._width - 1
            flags = bytearray(256)
            for other, number in self._byte.items():
                flags[number] = mask >> (top - other) & 1
            table = self._table[at] = bytes(flags)
        return table
