"""Legs and servers that several tests of a run share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from probes.servers import (
    Server,
    echo_frames,
    frame,
    read_frame,
    response,
    upgrade,
)

from t3probe.config.types import Leg
from t3probe.observation import Observation

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


OK = response()


def tcp_leg(server: Server, **changes: Any) -> Leg:
    values: dict[str, Any] = {"name": "tcp", "kind": "tcp", "path": ("t",), **changes}
    return Leg(address=server.pin, **values)


def good(seen: Observation) -> list[float]:
    return [beat.ended for beat in seen.beats if beat.ok]


def answers_late(delay: float, first: int = 2) -> Callable[[Reader, Writer], Any]:
    """Echoes `first` beats at once, and every later one after `delay`."""

    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        await echo_frames(reader, writer, first)
        while True:
            opcode, payload = await read_frame(reader)
            await asyncio.sleep(delay)
            writer.write(frame(opcode, payload))

    return handler
