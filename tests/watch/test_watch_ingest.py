"""An ingest gate in the held mode: open, and closed again."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from probes.fixtures import Authority, authority, no_stalls
from probes.ingest_programs import TOKEN
from probes.test_ingest import TAKEN, deployment, gate, gated, is_write
from watch_helpers import Kept, disconnects

from t3probe.config.table import Duration

__all__ = ["authority", "no_stalls"]


async def until(kept: Kept, name: str, value: float) -> None:
    """Wait for a series to have this value."""
    async with asyncio.timeout(20):
        while kept.snapshot is None or kept.series().get(name) != value:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_an_open_gate_shows_at_once_and_until_it_is_closed(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T3PROBE_INGEST_METRICS_TOKEN", TOKEN)
    now = {"open": False}

    def rule(head: bytes) -> bytes | None:
        return TAKEN if now["open"] and is_write(head) else gate(head)

    async with gated(rule, authority) as server:
        made = deployment(server, authority)
        timing = msgspec.structs.replace(made.timing, sweep_interval=Duration(0.5))
        kept = Kept(msgspec.structs.replace(made, timing=timing))
        serving = asyncio.create_task(kept.watch.serve())
        paths, strangers = (
            f't3probe_ingest_gate{{check="{check}",gate="metrics"}}'
            for check in ("paths", "no_token")
        )
        await until(kept, paths, 1)
        assert kept.series()[strangers] == 1
        now["open"] = True
        await until(kept, strangers, 0)
        state = 't3probe_segment_state{segment="gate",state="convicted"}'
        await until(kept, state, 1)
        assert kept.series()['t3probe_connected{leg="ingest-metrics"}'] == 1
        now["open"] = False
        await until(kept, strangers, 1)
        await until(kept, 't3probe_connected{leg="ingest-metrics-gate"}', 1)
        assert disconnects(kept.series()) == {("ingest-metrics-gate", "gate_open"): 1}
        kept.watch.stop()
        await serving
        assert not [name for name in kept.watch.held.probing.once if TOKEN in name]
