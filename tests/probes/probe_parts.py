"""What tests of single parts of probes share."""

from __future__ import annotations

import asyncio

from probes.servers import HOST, SSO

from t3probe.config.table import Duration
from t3probe.config.types import Timing
from t3probe.probes.base import Probing
from t3probe.probes.facts import Target
from t3probe.probes.http_client import HttpAnswer
from t3probe.probes.tls import TlsStore
from t3probe.timing import FakeClock, RunClock

FOUR, SIX = Target(HOST, "127.0.0.1", 80), Target(HOST, "::1", 80)


def probing(fake: FakeClock | None = None) -> Probing:
    """What a run lends to its probes, on a clock that stands still."""
    return Probing(
        clock=RunClock(fake or FakeClock()),
        timing=Timing(watchdog=Duration(30), connect_timeout=Duration(30)),
        sso=SSO,
        tls=TlsStore(None),
        crowd=asyncio.Semaphore(1),
    )


def answer(status: int = 200, body: bytes = b"", **headers: str) -> HttpAnswer:
    """A response."""
    return HttpAnswer(status, headers, body)
