"""What several tests of the held mode share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from t3probe.config.types import Deployment
from t3probe.timing import Clock, RunClock, SystemClock
from t3probe.watch.http import SignsOfLife, Snapshot
from t3probe.watch.log import Log
from t3probe.watch.service import Watch


class Paper:
    """A stream that keeps what is written, and knows how much memory that takes."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> None:
        self.lines.append(text)

    def flush(self) -> None: ...

    @property
    def size(self) -> int:
        return sys.getsizeof(self.lines) + sum(map(sys.getsizeof, self.lines))


class Kept:
    """A held mode without a server: its newest snapshot and its lines."""

    def __init__(
        self,
        deployment: Deployment,
        *,
        clock: Clock | None = None,
        load: Callable[[], Deployment] | None = None,
        vantage: str = "",
    ) -> None:
        self.paper = Paper()
        clock = clock or SystemClock()
        self.log = Log(clock.wall, self.paper)  # type: ignore[arg-type]
        self.health = SignsOfLife(clock)
        self.snapshot: Snapshot | None = None
        self.watch = Watch(
            deployment,
            load=load or (lambda: deployment),
            vantage=vantage,
            log=self.log,
            publish=self._publish,
            health=self.health,
            clock=RunClock(clock),
        )

    def _publish(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """Everything said so far, or one kind of it. Ends the log's thread: call it last."""
        self.log.end(5)
        said = [json.loads(line) for line in self.paper.lines]
        return [one for one in said if not event or one["event"] == event]

    def series(self) -> dict[str, float]:
        """The newest snapshot as Prometheus would read it: `name{labels}` and the value."""
        assert self.snapshot is not None
        text = self.snapshot.text().decode()
        rows = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in rows}


def disconnects(series: dict[str, float]) -> dict[tuple[str, str], float]:
    """(leg, reason) -> count, those that are not zero."""
    found = {}
    for name, value in series.items():
        if name.startswith("t3probe_disconnects_total{") and value:
            labels = dict(
                part.split("=", 1) for part in name.partition("{")[2].rstrip("}").split(",")
            )
            found[labels["leg"].strip('"'), labels["reason"].strip('"')] = value
    return found
