"""Standard output that may be gone: a run goes on, and what it found stays as it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO, cast

from t3probe.observation import Observation, RunRecord

__all__ = ["RecordLog", "let_go", "put_line"]


class RecordLog:
    """The record of a run as a line of standard output, where that is wanted.

    Where it is, nobody may be reading any more: from here on that is no error.
    """

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        if wanted and sys.stdout is not None:
            sys.stdout = cast(TextIO, _Steady(sys.stdout))

    def put(self, run: RunRecord, observations: Iterable[Observation]) -> None:
        """Write the line, at once."""
        if self.wanted:
            from t3probe.record import record_line

            put_line(record_line(run, observations))


def put_line(text: str) -> bool:
    """Write `text` as one line of its own to standard output, at once; False when it is gone.

    Whatever wrote before need not have ended its line, so a line feed comes first.
    """
    stream = sys.stdout
    if stream is None:
        return False
    try:
        stream.write(f"\n{text}\n")
        stream.flush()
    except (OSError, ValueError):  # a reader that left; a closed file
        let_go(stream)
        return False
    return True


class _Steady:
    """A text stream whose reader may leave."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            let_go(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            let_go(self._stream)


def let_go(stream: TextIO) -> None:
    """Give the descriptor to nobody, so that what is still buffered, and Python at its end, do
    not fail again."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError):
        return
