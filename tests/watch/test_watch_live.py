"""Against the lab: the held mode and runs agree, and nothing is left over by beats."""

from __future__ import annotations

import asyncio
import gc
import os
from asyncio.sslproto import SSLProtocol
from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest
from steady_lab import SteadyLab
from watch_helpers import Kept, disconnects

from t3probe.config.table import Duration
from t3probe.config.types import Deployment
from t3probe.run.controller import Run
from t3probe.timing import RunClock


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SteadyLab]:
    with SteadyLab(tmp_path_factory.mktemp("lab"), {}, pace=4.0) as one:
        yield one


def test_closed_tls_connections_leave_no_large_buffers(
    lab: SteadyLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SSLProtocol, "max_size", 1 << 18)
    deployment = deployed(lab, heartbeat=0.3, sweep_interval=0.3)

    async def main() -> list[int]:
        kept = Kept(deployment, clock=lab.loop.clock)
        serving = asyncio.create_task(kept.watch.serve())
        await asyncio.sleep(1)
        sizes = [len(one._ssl_buffer) for one in gc.get_objects() if type(one) is SSLProtocol
                 and one._sslcontext is kept.watch.held.probing.tls.context()]  # fmt: skip
        kept.watch.stop()
        await serving
        return sizes

    sizes = lab.run(main())
    assert sizes
    assert max(sizes) <= 1 << 14


def deployed(lab: SteadyLab, **times: float) -> Deployment:
    made = lab.deployment()
    changes = {name: Duration(value) for name, value in times.items()}
    return msgspec.structs.replace(made, timing=msgspec.structs.replace(made.timing, **changes))


# What happens in each of the runs, with the seconds it lasts. All of it is over, and every leg
# works again, before the run's hold ends, so that each run and the held mode see the same.
STORIES: list[list[tuple[str, float]]] = [
    [],
    [("tunnel:cut@0s", 0.1), ("dispatch:cut@0s", 0.1)],
    [("dispatch:reset", 0.7)],
    [("tunnel:stall", 1.6), ("serve:http502", 0.8)],
    [("traefik:refuse", 0.9)],
]


@pytest.mark.timeout(300)  # a third of a minute of CPU
def test_runs_and_the_held_mode_count_the_same_drops(lab: SteadyLab) -> None:
    deployment = deployed(
        lab, heartbeat=0.3, watchdog=1.0, backoff=0.3, backoff_max=0.3, sweep_interval=0.3
    )
    counted: Counter[tuple[str, str]] = Counter()

    async def main() -> Kept:
        clock = lab.loop.clock
        kept = Kept(deployment, clock=clock)
        serving = asyncio.create_task(kept.watch.serve())
        await asyncio.sleep(1)
        for story in STORIES:
            hold = 1.2 + 2 * sum(lasts for _, lasts in story)
            run = Run(deployment, deployment.legs, hold=hold, clock=RunClock(clock))
            measuring = asyncio.create_task(run.measure())
            await asyncio.sleep(0.7)
            for fault, lasts in story:
                await lab.switch(fault)
                await asyncio.sleep(lasts)
                await lab.switch()
                await asyncio.sleep(0.4)
            for seen in await measuring:
                for drop in seen.drops:
                    assert not drop.stalled
                    if not seen.leg.startswith("envoy-"):
                        counted[seen.leg, drop.reason] += 1
            await asyncio.sleep(0.5)
        await asyncio.sleep(1.5)
        kept.watch.stop()
        await serving
        return kept

    kept = lab.run(main())
    held = disconnects(kept.series())
    assert counted, "no fault was seen at all"
    assert held == dict(counted)
    legs = {leg for leg, _ in counted}
    assert {"cloudflare", "internal", "dispatch", "traefik", "t3serve"} <= legs
    drops = [one for one in kept.lines("drop") if not one["leg"].startswith("envoy-")]
    assert Counter((one["leg"], one["reason"]) for one in drops) == counted


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.timeout(300)  # half a minute of CPU
def test_hundreds_of_beats_leave_no_descriptor_and_no_task(lab: SteadyLab) -> None:
    beat = 0.02
    times = {"sweep_interval": 0.1, "backoff": 0.05, "backoff_max": 0.1}
    deployment = deployed(lab, heartbeat=beat, **times)

    async def main() -> Kept:
        kept = Kept(deployment, clock=lab.loop.clock)
        serving = asyncio.create_task(kept.watch.serve())
        books = kept.watch.held.books.values()

        async def fewest(most: tuple[int, int] = (10_000, 10_000)) -> tuple[int, int]:
            """Descriptors and tasks between two connects of one-shot legs, at last at `most`."""
            gc.collect()
            files, tasks = descriptors(), len(asyncio.all_tasks())
            for _ in range(100):
                await asyncio.sleep(beat / 3)
                if not any(book.down for book in books):
                    files, tasks = min(files, descriptors()), min(tasks, len(asyncio.all_tasks()))
                if most[0] < 10_000 and files <= most[0] and tasks <= most[1]:
                    break
            return files, tasks

        await asyncio.sleep(50 * beat)
        assert all(book.beats for book in books)
        before = await fewest()
        faults = ("tunnel:cut@0s", "dispatch:reset", "doh:refuse")
        for fault in faults:
            await lab.switch(fault)
            await asyncio.sleep(0.3)
            await lab.switch()
        await asyncio.sleep(200 * beat)
        # Of the two fewest one may have been met between more connects than the other.
        spare = len(faults) - 1
        most = before[0] + spare, before[1] + spare
        later = await fewest(most)
        assert not any(book.down for book in books)
        assert (later[0] <= most[0], later[1] <= most[1]) == (True, True), (before, later)
        kept.watch.stop()
        await serving
        return kept

    assert lab.run(main()).lines("drop")
