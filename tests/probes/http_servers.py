"""What several tests of the HTTP heartbeat share."""

from __future__ import annotations

import asyncio

from probes.servers import (
    response,
)

from t3probe.observation import Observation

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


OK = response()


def conns(seen: Observation) -> list[int]:
    return [beat.conn for beat in seen.beats if beat.ok]
