"""Counts of what lines said, in bounded memory, the same whatever the order of the files."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from t3probe.ask.forensics.kinds import CONN_CODES, KINDS

MOST_SECONDS = 120_000
"""How many pairs of a second and a kind are kept: the newest ones."""
CODE_BITS = 7
MOST_SHAPES = 128
EXAMPLE_CHARACTERS = 200
AGES = (1, 10, 30, 60, 300, 900, 3600, 14_400, 86_400)
"""Bounds of the WebSockets' lifetimes, seconds."""
TOOK = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60)
"""Bounds of the requests' durations, seconds."""
LAST_SECOND = 253_402_300_799
"""9999-12-31T23:59:59Z."""

assert len(KINDS) + len(CONN_CODES) <= 1 << CODE_BITS

_NUMBERS = re.compile(rb"(?=[0-9a-fA-F]{0,63}\d)[0-9a-fA-F]{1,64}|\d+")


class Distribution:
    """Counts under bounds, and the extremes."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.least = float("inf")
        self.most = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        if value < self.least:
            self.least = value
        if value > self.most:
            self.most = value

    def merge(self, other: Distribution) -> None:
        """Add another's counts."""
        self.counts = [one + two for one, two in zip(self.counts, other.counts, strict=True)]
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)

    @property
    def count(self) -> int:
        """How many values."""
        return sum(self.counts)

    def quantile(self, part: float) -> float:
        """The bound under which that part of the values lies; the most when beyond all."""
        wanted = part * self.count
        running = 0
        for bound, count in zip((*self.bounds, self.most), self.counts, strict=True):
            running += count
            if running >= wanted:
                return min(float(bound), self.most)
        return self.most


class Tally:
    """What the lines of one file, or of several, said."""

    def __init__(self) -> None:
        self.lines = self.known = self.outside = self.untimed = 0
        """All lines; those of a known kind; known ones outside the asked time; faults whose
        line bears no time that can be read."""
        self.timeless = self.others = self.aside = self.folded = 0
        """Known lines without a time that can be read; unknown ones of other programs, which tell
        nothing here; unknown ones outside the asked time; lines that were part of an entry of
        several, which is counted as one."""
        self.remarks: dict[str, int] = {}
        """What could not be read or told, and in how many lines: sentences of this program."""
        self.counts = [0] * len(KINDS)
        """Lines per kind, inside the asked time."""
        self.first: list[tuple[int, bytes] | None] = [None] * len(KINDS)
        """Each kind's first moment and its line."""
        self.last = [0] * len(KINDS)
        self.cells: dict[int, int] = {}
        """(second << CODE_BITS | code) to a count: what bursts are found in."""
        self.forgotten = -1
        """The newest second that was let go; -1: none was."""
        self.began: int | None = None
        """The first and the last moment of any known line, Unix seconds."""
        self.ended = 0
        self.lived = Distribution(AGES)
        self.took = Distribution(TOOK)
        self.shapes: dict[bytes, int] = {}
        """Unknown lines with their numbers taken out: samples, not a full count."""

    @property
    def unknown(self) -> int:
        """Lines that no rule knows."""
        return self.lines - self.known

    @property
    def unread(self) -> int:
        """Lines that could not be read, as far as they may lie in the asked time."""
        return self.unknown - self.others - self.aside

    @property
    def cannot_tell(self) -> bool:
        """Whether more than half of what was asked for could not be read or has no time."""
        asked = self.lines - self.outside - self.aside
        return 2 * (self.unread + self.timeless) > asked or bool(self.lines and not asked)

    def remark(self, sentence: str) -> None:
        """Count a line about which something has to be said."""
        self.remarks[sentence] = self.remarks.get(sentence, 0) + 1

    def at(self, when: int) -> None:
        """Widen the time that the lines cover."""
        if self.began is None or when < self.began:
            self.began = when
        if when > self.ended:
            self.ended = when

    def fault(self, kind: int, when: int, line: bytes, extra: int = -1) -> None:
        """Count a fault at a moment; `extra` is a second code for the same line."""
        first = self.first[kind]
        if first is None or when < first[0]:
            self.first[kind] = (when, line[:EXAMPLE_CHARACTERS])
        if when > self.last[kind]:
            self.last[kind] = when
        if when <= self.forgotten:
            return
        cells = self.cells
        key = when << CODE_BITS | kind
        cells[key] = cells.get(key, 0) + 1
        if extra >= 0:
            key = when << CODE_BITS | extra
            cells[key] = cells.get(key, 0) + 1
        if len(cells) > 2 * MOST_SECONDS:
            self.prune()

    def prune(self) -> None:
        """Keep the newest cells, by whole seconds.

        What is let go would never come back among the newest, so neither the order of lines
        nor that of files matters.
        """
        if len(self.cells) <= MOST_SECONDS and self.forgotten < 0:
            return
        oldest_kept = sorted(self.cells)[-MOST_SECONDS:][0] >> CODE_BITS
        self.forgotten = max(self.forgotten, oldest_kept - 1)
        self.cells = {
            key: count for key, count in self.cells.items() if key >> CODE_BITS > self.forgotten
        }

    def shape(self, line: bytes) -> None:
        """Remember what an unknown line looks like."""
        shape = _NUMBERS.sub(b"#", line[:80]).strip()
        count = self.shapes.get(shape)
        if count is None and len(self.shapes) >= MOST_SHAPES:
            return
        self.shapes[shape] = (count or 0) + 1

    def merge(self, other: Tally) -> None:
        """Add another's counts."""
        for name in (
            "lines", "known", "outside", "untimed", "timeless", "others", "aside", "folded",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.counts = [one + two for one, two in zip(self.counts, other.counts, strict=True)]
        self.last = [max(one, two) for one, two in zip(self.last, other.last, strict=True)]
        self.first = [
            min((one for one in pair if one is not None), default=None)
            for pair in zip(self.first, other.first, strict=True)
        ]
        for key, count in other.cells.items():
            self.cells[key] = self.cells.get(key, 0) + count
        self.forgotten = max(self.forgotten, other.forgotten)
        self.cells = {
            key: count for key, count in self.cells.items() if key >> CODE_BITS > self.forgotten
        }
        if len(self.cells) > 2 * MOST_SECONDS:
            self.prune()
        if other.began is not None:
            self.at(other.began)
            self.at(other.ended)
        self.lived.merge(other.lived)
        self.took.merge(other.took)
        for sentence, count in other.remarks.items():
            self.remarks[sentence] = self.remarks.get(sentence, 0) + count
        for shape, count in other.shapes.items():
            self.shapes[shape] = self.shapes.get(shape, 0) + count

    def series(self, codes: Iterable[int]) -> dict[int, dict[int, int]]:
        """For each second in which one of these codes occurred: its counts by code."""
        wanted = set(codes)
        out: dict[int, dict[int, int]] = {}
        for key, count in self.cells.items():
            one = key & ((1 << CODE_BITS) - 1)
            if one in wanted:
                out.setdefault(key >> CODE_BITS, {})[one] = count
        return out
