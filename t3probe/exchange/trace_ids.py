"""The ids of a trace and of its spans: made from what the record holds, so that both name each
other, and whoever reads a record can make the same trace again. Pure.

Ids are those of W3C Trace Context: 16 and 8 bytes in lower-case hex, never all zeros.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable


def trace_id(
    deployment: str, vantage: str, shard: int | None, started_at: float, *more: object
) -> str:
    """32 hex digits. `started_at` is Unix time in seconds; of it the microseconds count."""
    return _hex([deployment, vantage, shard, round(started_at * 1e6), *more], 16)


def span_id(trace: str, *what: object) -> str:
    """16 hex digits: of the span in this trace that `what` names."""
    return _hex([trace, *what], 8)


def _hex(parts: list[object], size: int) -> str:
    made = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[: 2 * size]
    return made if made.strip("0") else "1".zfill(2 * size)


class Parents:
    """Names the span that is the parent of a request, another one for each of them.

    In a run all are of the run's trace. The held mode has no end: there each request has a trace of
    its own, and the incident's trace links to it.
    """

    def __init__(self, trace: Callable[[], str], *, sampled: bool, apart: bool = False) -> None:
        """`trace` gives the id of the trace; `apart`: each request gets one of its own in it."""
        self._trace, self._apart = trace, apart
        self._flags = "01" if sampled else "00"
        self._asked: Counter[str] = Counter()

    def new(self, leg: str) -> str:
        """`TRACE-SPAN` for the next request of this leg."""
        self._asked[leg] += 1
        trace, number = self._trace(), self._asked[leg]
        if self._apart:
            trace = trace_id(trace, leg, None, number)
        return f"{trace}-{span_id(trace, leg, 'request', number)}"

    def header(self, parent: str) -> str:
        """The value of `traceparent` for it (W3C Trace Context, section 3.2)."""
        return f"00-{parent}-{self._flags}"
