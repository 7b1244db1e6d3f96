"""Runs one held leg and says `held` once it beats; then its observation, as one line of JSON.

`python netns_client.py ADDRESS:PORT WATCHDOG drop|resent [FRESH_EVERY]`: it ends when a drop is
decided, or when a good held beat follows a retransmission.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from t3probe.config.table import Duration
from t3probe.config.types import Deployment, Leg, Sso, Timing
from t3probe.guard import install_from_environment
from t3probe.run.controller import Run
from t3probe.run.leg import LegRun


async def main(pin: str, watchdog: float, until: str, fresh_every: int = 1) -> None:
    leg = Leg(
        name="ws",
        kind="ws_echo",
        path=("wan", "edge", "back"),
        tcp_ends_at="edge",
        url="ws://app.example/probe/ws",
        pin=pin,
        fresh_every=fresh_every,
    )
    timing = Timing(
        heartbeat=Duration(0.2),
        watchdog=Duration(watchdog),
        # Where nothing may drop, a connect is given as long as a beat.
        connect_timeout=Duration(watchdog if until == "resent" else 1.0),
        backoff=Duration(0.2),
        backoff_max=Duration(0.4),
    )
    deployment = Deployment(
        name="ns", file="ns.toml", segments=leg.path, legs=(leg,), timing=timing, sso=Sso()
    )
    run = Run(deployment, [leg], hold=30)

    def over(one: LegRun) -> bool:
        if until == "drop":
            return any(drop.attempt is not None for drop in one.book.drops)
        held = [beat for beat in one.book.beats if beat.strand == "held" and beat.ok]
        return any(beat.tcp is not None and beat.tcp.retransmits for beat in held)

    async def watch() -> None:  # what it waits for has no event of its own
        (one,) = run.legs
        while sum(beat.ok for beat in one.book.beats) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        print("held", flush=True)
        while not over(one):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        run.stop()

    watching = asyncio.create_task(watch())
    (seen,) = await run.measure()
    watching.cancel()
    print(msgspec.json.encode(seen).decode(), flush=True)


install_from_environment()
asyncio.run(main(sys.argv[1], float(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:])))
