"""Live progress of a long hold on a terminal: time left, beats and drops per leg."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from t3probe.run.controller import Run

__all__ = ["Progress", "lines"]


class _Writer(Protocol):
    def write(self, msg: str, *, flush: bool = False) -> None: ...


def lines(run: Run, width: int) -> list[str]:
    """What to show now: one line of time, then the legs, as many in a row as fit."""
    left = run.hold - run.clock.now()
    head = f"holding, {left:.0f} s left" if left > 0 else "waiting for open beats"
    cells = []
    for leg in run.legs:
        drops = f" {len(leg.book.drops)} drops" if leg.book.drops else ""
        cells.append(f"{leg.leg.name} {sum(b.ok for b in leg.book.beats)}{drops}")
    rows, row = [], " "
    for cell in cells:
        if len(row) + len(cell) + 2 > width and row.strip():
            rows.append(row)
            row = " "
        row += f" {cell} "
    return [head, *[one[: width - 1] for one in (*rows, row)][:12]]


class Progress:
    """Redraws its lines in place."""

    def __init__(self, writer: _Writer) -> None:
        self._writer = writer
        self._drawn = 0

    def __call__(self, run: Run) -> None:
        width = shutil.get_terminal_size().columns
        text = lines(run, width)
        self._erase()
        self._writer.write("".join(line + "\n" for line in text), flush=True)
        self._drawn = len(text)

    def _erase(self) -> None:
        if self._drawn:
            self._writer.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def end(self) -> None:
        """Take the lines away again."""
        self._erase()
