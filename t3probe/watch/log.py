"""Lines of JSON on standard output, written by a thread: a reader that does not read, such as a
stuck log collector, must not stop the probing."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from typing import Any, TextIO

from t3probe.exchange.terminal import Terminal, json_text
from t3probe.text.words import utc

__all__ = ["Log"]

MAX_WAITING = 1000
"""Lines that may wait; further ones are dropped, and their number is said."""


class Log:
    """Writes one line per event, ASCII, in the order in which they were said."""

    def __init__(self, wall: Callable[[], float], stream: TextIO | None = None) -> None:
        """`wall` gives Unix time, for events that have no time of their own."""
        self._wall = wall
        stream = sys.stdout if stream is None else stream
        self._stream = stream.raw if isinstance(stream, Terminal) else stream
        self._lines: queue.Queue[str | None] = queue.Queue(MAX_WAITING)
        self._lost = 0
        self._thread = threading.Thread(target=self._write, name="t3probe-log", daemon=True)
        self._thread.start()

    def say(self, event: str, at: float | None = None, **facts: Any) -> None:
        """Say that something happened, `at` in Unix seconds. Never waits."""
        stamp = utc(self._wall() if at is None else at)
        line = {"time": stamp, "event": event, **facts}
        try:
            if self._lost:
                line["lines_lost"] = self._lost
            self._lines.put_nowait(json_text(line))
            self._lost = 0
        except queue.Full:
            self._lost += 1

    def end(self, seconds: float = 1.0) -> None:
        """Wait until all is written, for at most so long."""
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(seconds)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                continue  # nobody reads any more; the metrics go on
