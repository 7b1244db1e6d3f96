"""One lab for the whole matrix; each case switches its faults and runs every leg once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from t3probe.config import Deployment, load
from t3probe.lab.process import LabProcess
from t3probe.observation import Observation
from t3probe.run import footing
from t3probe.session import Session
from t3probe.timing import SystemClock
from t3probe.verdict import judge_run

TIMING = {
    "heartbeat": "400ms",
    "watchdog": "1200ms",
    "connect_timeout": "1s",
    "backoff": "300ms",
    "backoff_max": "1s",
}
"""Scaled down so that a case takes about two seconds, and no further: a good answer on a busy
machine must still arrive within the watchdog."""
STOOD_STILL_SECONDS = 0.25
RUNS_AT_MOST = 3


@dataclass(frozen=True)
class Seen:
    """What one run over the lab gave."""

    verdict: dict[str, Any]
    legs: dict[str, Observation]

    def label(self, segment: str) -> str:
        """The segment's one label."""
        labels = ("exonerated", "convicted", "ambiguous", "masked", "unobserved")
        (found,) = [one for one in labels if segment in self.verdict[one]]
        return found

    @property
    def trouble(self) -> str:
        """What did not pass, a line each: for the message of an assertion."""
        return "\n".join(
            f"{one.leg}: {one.outcome} {one.reason} {one.detail} {one.drops}"
            for one in self.legs.values()
            if one.outcome != "passed" or one.drops
        )

    def outcomes(self, *names: str) -> list[str]:
        return [self.legs[name].outcome for name in names]


class Field:
    """Runs every leg against the lab under given faults."""

    def __init__(self, lab: LabProcess) -> None:
        self.lab = lab
        self.deployment: Deployment = load(
            lab.deployment_path, os.environ, now=SystemClock().wall()
        )

    def run(self, faults: Sequence[str] = (), hold: float = 0.0, legs: Sequence[str] = ()) -> Seen:
        """Every leg, or only these, once; anew when the machine stood still meanwhile.

        A run with such a loop lag would be inconclusive by itself, were it not for `steady`.
        """
        for _ in range(RUNS_AT_MOST):
            self.lab.switch(list(faults))
            try:
                session = Session(self.deployment, vantage="", hold=hold)
                session.measure(legs or [leg.name for leg in self.deployment.legs], None)
            finally:
                self.lab.clear()
            if session.loop_lag_seconds < STOOD_STILL_SECONDS:
                break
        seen = session.recorded()
        judged = judge_run(session.record(), seen)
        return Seen(judged.to_dict(), {one.leg: one for one in seen})


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not turn a verdict into "we stood still": that has tests of its own."""
    monkeypatch.setattr(footing, "stall_threshold", lambda timing: 1e9)


@pytest.fixture(scope="session")
def field() -> Iterator[Field]:
    with LabProcess(timing=TIMING) as lab:
        yield Field(lab)
