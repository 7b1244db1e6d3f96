"""Progress of a hold: on a terminal redrawn in place, in a log a line every so often."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from t3probe.text import cut
from t3probe.text.words import count, span

if TYPE_CHECKING:
    from t3probe.run.controller import Run

TERMINAL_FROM_SECONDS = 3.0
"""A shorter hold shows nothing on a terminal."""
LOG_FROM_SECONDS = 20.0
"""A shorter hold shows nothing in a log."""
LOG_EVERY_SECONDS = 10.0
LOG_LINES = 10
"""At most so many lines in a log for a hold, however long."""


class Writer(Protocol):
    """Where progress goes; pytest's terminal writer is one."""

    def write(self, msg: str, *, flush: bool = False) -> None: ...


class Shown(Protocol):
    """What a run tells, about twice a second, how far it is."""

    def __call__(self, run: Run) -> None: ...

    def end(self) -> None:
        """The run is over."""


def progress_for(
    writer: Writer, hold: float, *, terminal: bool, environ: Mapping[str, str]
) -> Shown | None:
    """What shows a hold of so many seconds here; None when it is short.

    Only a terminal that can move its cursor is redrawn: `TERM=dumb`, or none, is as a log.
    NO_COLOR (https://no-color.org) asks for no colour; there is none here.
    """
    if terminal and environ.get("TERM", "dumb") != "dumb":
        return Progress(writer) if hold >= TERMINAL_FROM_SECONDS else None
    return LogProgress(writer, hold) if hold >= LOG_FROM_SECONDS else None


def lines(run: Run, width: int, most: int = 13) -> list[str]:
    """What to show now: one line of time, then the legs, as many in a row as fit.

    Of legs that do not fit into `most` lines those that dropped come first.
    """
    left = run.hold - run.clock.now()
    head = f"holding, {span(round(left))} left" if left > 0 else "waiting for open beats"
    cells = []
    for leg in run.legs:
        drops = f" {len(leg.book.drops)} drops" if leg.book.drops else ""
        cells.append(f"{leg.leg.name} {sum(b.ok for b in leg.book.beats)}{drops}")
    rows = _rows(cells, width)
    if len(rows) >= most:
        cells.sort(key=lambda one: not one.endswith(" drops"))
        rows = _rows(cells, width)[: max(0, most - 2)]
        rows.append([f"... and {len(cells) - sum(map(len, rows))} more"])
    return [one[: width - 1] for one in [head, *(f"  {'  '.join(row)} " for row in rows)]][:most]


def _rows(cells: list[str], width: int) -> list[list[str]]:
    rows: list[list[str]] = [[]]
    long = 1
    for cell in cells:
        if long + len(cell) + 2 > width and rows[-1]:
            rows.append([])
            long = 1
        rows[-1].append(cell)
        long += len(cell) + 2
    return rows


def log_line(run: Run) -> str:
    """How far the hold is, in one line of a log."""
    beats = sum(beat.ok for leg in run.legs for beat in leg.book.beats)
    dropped = {leg.leg.name: len(leg.book.drops) for leg in run.legs if leg.book.drops}
    now = run.clock.now()
    head = "waiting for open beats" if now >= run.hold else f"held {now:.0f} of {run.hold:g} s"
    text = f"t3probe: {head}, {len(run.legs)} legs, {beats} good beats"
    if dropped:
        text += f", {count(sum(dropped.values()), 'drop')}: {', '.join(dropped)}"
    return cut(text)


class Progress:
    """Redraws its lines in place."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._drawn = 0

    def __call__(self, run: Run) -> None:
        size = shutil.get_terminal_size()
        # What has scrolled out of sight cannot be taken away again.
        text = lines(run, size.columns, max(1, min(13, size.lines - 1)))
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


class LogProgress:
    """Writes a line now and then, `LOG_LINES` at most and one while open beats are awaited."""

    def __init__(self, writer: Writer, hold: float) -> None:
        self._writer = writer
        self._every = max(LOG_EVERY_SECONDS, hold / LOG_LINES)
        self._next = self._every
        self._over = False

    def __call__(self, run: Run) -> None:
        now = run.clock.now()
        over = now >= run.hold
        if self._over or (now < self._next and not over):
            return
        self._over = over
        while self._next <= now:
            self._next += self._every
        self._writer.write(log_line(run) + "\n", flush=True)

    def end(self) -> None:
        """The lines stay."""
