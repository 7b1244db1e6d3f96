"""Against the lab: the held mode and runs agree, and nothing is left over by beats."""

from __future__ import annotations

import asyncio
import gc
import os
from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest
from probes.servers import until
from watch_helpers import Kept, disconnects

from t3probe.config import load
from t3probe.config.types import Deployment, Duration
from t3probe.lab.process import LabProcess
from t3probe.run.controller import Run
from t3probe.timing import SystemClock


@pytest.fixture(scope="module")
def lab() -> Iterator[LabProcess]:
    with LabProcess() as one:
        yield one


def deployed(lab: LabProcess, **times: float) -> Deployment:
    made = load(lab.deployment_path, {}, now=SystemClock().wall())
    changes = {name: Duration(value) for name, value in times.items()}
    return msgspec.structs.replace(made, timing=msgspec.structs.replace(made.timing, **changes))


# What happens in each of the runs, with the seconds it lasts. All of it is over, and every leg
# works again, before the run's hold ends, so that each run and the held mode see the same.
STORIES: list[list[tuple[str, float]]] = [
    [],
    [("tunnel:cut@0s", 0.1), ("dispatch:cut@0s", 0.1)],
    [("dispatch:reset", 0.7)],
    [("tunnel:stall", 1.6), ("serve:http502", 0.8)],
    [("devvm:refuse", 0.9)],
]


async def test_runs_and_the_held_mode_count_the_same_drops(lab: LabProcess) -> None:
    deployment = deployed(
        lab, heartbeat=0.3, watchdog=1.0, backoff=0.3, backoff_max=0.3, sweep_interval=0.3
    )
    kept = Kept(deployment)
    serving = asyncio.create_task(kept.watch.serve())
    await asyncio.sleep(1)
    counted: Counter[tuple[str, str]] = Counter()
    for story in STORIES:
        run = Run(deployment, deployment.legs, hold=1.2 + 2 * sum(lasts for _, lasts in story))
        measuring = asyncio.create_task(run.measure())
        await asyncio.sleep(0.7)
        for fault, lasts in story:
            await asyncio.to_thread(lab.switch, [fault])
            await asyncio.sleep(lasts)
            await asyncio.to_thread(lab.clear)
            await asyncio.sleep(0.4)
        for seen in await measuring:
            for drop in seen.drops:
                if not drop.stalled and not seen.leg.startswith("envoy-"):
                    counted[seen.leg, drop.reason] += 1
        await asyncio.sleep(0.5)
    await asyncio.sleep(1.5)
    kept.watch.stop()
    await serving
    held = disconnects(kept.series())
    assert counted, "no fault was seen at all"
    assert held == dict(counted)
    legs = {leg for leg, _ in counted}
    assert {"cloudflare", "internal", "dispatch", "devvm", "t3serve"} <= legs
    drops = [one for one in kept.lines("drop") if not one["leg"].startswith("envoy-")]
    assert Counter((one["leg"], one["reason"]) for one in drops) == counted


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


async def test_hundreds_of_beats_leave_no_descriptor_and_no_task(lab: LabProcess) -> None:
    kept = Kept(deployed(lab, heartbeat=0.02, sweep_interval=0.1, backoff=0.05, backoff_max=0.1))
    serving = asyncio.create_task(kept.watch.serve())

    def beats() -> float:
        return sum(book.beats[-1].ended / 0.02 for book in kept.watch.held.books.values()) / 14

    async def after(number: float) -> tuple[int, int]:
        books = kept.watch.held.books.values()
        await until(lambda: all(book.beats for book in books) and beats() >= number, 60)
        await until(lambda: not any(book.down for book in books), 60)
        await asyncio.sleep(0.2)
        return descriptors(), len(asyncio.all_tasks())

    before, tasks = await after(50)
    for fault in ("tunnel:cut@0s", "dispatch:reset", "doh:refuse"):
        await asyncio.to_thread(lab.switch, [fault])
        await asyncio.sleep(0.3)
        await asyncio.to_thread(lab.clear)
    later, tasks_later = await after(400)
    # One-shot legs may be in the middle of a connection at the moment of counting.
    assert later <= before + 8
    assert tasks_later <= tasks + 8
    kept.watch.stop()
    await serving
    assert len(asyncio.all_tasks()) == 1
    assert kept.lines("drop")
