"""The standard output of a run. It may be gone: a run goes on, and what it found stays as it is."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TextIO, cast

from t3probe.exchange.terminal import Terminal, disarmed_json, let_go
from t3probe.observation import Observation, RunRecord


class RecordLog:
    """The record of a run as a line of standard output, where that is wanted.

    From here on nothing on standard output is a command to a CI runner
    (`t3probe.exchange.terminal`), and a reader that leaves is no error: the record is kept, and the
    exit code stands. Where the record's line is wanted, nothing that happens to the output is one.
    """

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        if sys.stdout is not None:
            sys.stdout = cast(TextIO, Terminal(sys.stdout, steady=wanted))

    def put(self, run: RunRecord, observations: Iterable[Observation]) -> None:
        """Write the line, at once."""
        if self.wanted:
            from t3probe.record.log import record_line

            put_line(disarmed_json(record_line(run, observations)))


def put_line(text: str) -> bool:
    """Write `text` as one line of its own to standard output, at once; False when it is gone.

    Whatever wrote before need not have ended its line, so a line feed comes first.
    """
    stream = sys.stdout
    if stream is None:
        return False
    if isinstance(stream, Terminal):
        stream = stream.raw
    try:
        stream.write(f"\n{text}\n")
        stream.flush()
    except (OSError, ValueError):  # a reader that left; a closed file
        let_go(stream)
        return False
    return True
