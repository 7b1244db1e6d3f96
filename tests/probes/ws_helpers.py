"""What several tests of the WebSocket echo share."""

from __future__ import annotations

import asyncio

from t3probe.observation import Observation

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


def reasons(seen: Observation) -> list[str]:
    return [drop.reason for drop in seen.drops]
