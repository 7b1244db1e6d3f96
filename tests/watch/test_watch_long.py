"""A day in which a leg flaps, and an outage of two days: nothing grows, nobody else is troubled,
and what was so in the last minute is what is told."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

import pytest
from probes.servers import deployment
from test_watch_held import connected, state, ws
from watch_clock import JumpClock, Script, Trouble, run, use_scripts
from watch_helpers import Kept, disconnects

from t3probe.watch import held, service

HOUR, DAY = 3600.0, 86400.0
HEARTBEAT = 60.0
"""Times are a sixth as dense as in a deployment, so that a day takes seconds."""
TIMES = {
    "heartbeat": HEARTBEAT, "watchdog": 20, "backoff": 3, "backoff_max": 180, "sweep_interval": 60,
}  # fmt: skip
LEGS = [
    ws("whole", "front", "tunnel", "back"),
    ws("front", "front"),
    ws("back", "back"),
]
SAMPLES = 64 * 1024
"""So many bytes may be more at the end: samples of a clock, counts that became longer."""


class Long:
    """The held mode for a long time, looked at now and then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
        self.scripts = {one.name: Script() for one in LEGS} | {"whole": script}
        self.states: dict[float, str] = {}
        self.memory: dict[float, int] = {}
        self.tasks: dict[float, int] = {}
        self.calls: dict[float, int] = {}
        self.clock = JumpClock()
        self.kept: Kept = None  # type: ignore[assignment]
        use_scripts(monkeypatch, self.scripts)
        monkeypatch.setattr("t3probe.run.footing.stall_threshold", lambda timing: 1e9)
        monkeypatch.setattr(held, "FOOTING_STEP_SECONDS", 30.0)
        monkeypatch.setattr(service, "TICK_SECONDS", 6.0)
        monkeypatch.setattr(service, "PUBLISH_SECONDS", 60.0)

    def live(self, *moments: float) -> None:
        tracemalloc.start()
        try:
            run(self.clock, self._live(moments))
        finally:
            tracemalloc.stop()

    async def _live(self, moments: tuple[float, ...]) -> None:
        self.kept = kept = Kept(deployment(LEGS, **TIMES), clock=self.clock)
        serving = asyncio.create_task(kept.watch.serve())
        for at in moments:
            await asyncio.sleep(at - self.clock.monotonic())
            self.states[at] = state(kept, "tunnel")
            gc.collect()
            own = kept.paper.size
            for script in self.scripts.values():
                own += sum(one.__sizeof__() + 24 * len(one) for one in (script.sent, script.trips))
            self.memory[at] = tracemalloc.get_traced_memory()[0] - own
            self.tasks[at] = len(asyncio.all_tasks())
            self.calls[at] = kept.watch.held.call_number
        kept.watch.stop()
        await serving


@pytest.mark.parametrize(("apart", "lasts", "calls"), [(43.8, 0.0, 4), (43.8, 12.0, 4)])
def test_a_leg_that_flaps_for_a_day(
    monkeypatch: pytest.MonkeyPatch, apart: float, lasts: float, calls: int
) -> None:
    """It is never well for a heartbeat, so it calls its three common beats and then none."""
    times = [60.0 + apart * at for at in range(int((DAY - 60) / apart))]
    script = Script([Trouble(at, "connection_reset", lasts=lasts) for at in times])
    day = Long(monkeypatch, script)
    over = DAY + 300.0
    day.live(50.0, 2 * HOUR, 12 * HOUR, DAY, over)
    assert list(day.states.values()) == ["exonerated", *["convicted"] * 3, "exonerated"]
    assert day.calls[over] <= calls
    assert day.tasks[2 * HOUR] == day.tasks[over]
    assert day.memory[over] - day.memory[2 * HOUR] < SAMPLES, day.memory
    assert len(day.kept.watch.held.books["whole"].drops) <= 200
    # The others beat on both strands in every heartbeat, as ever, and no more than that.
    for name in ("front", "back"):
        sent = day.scripts[name].sent
        assert 2 * DAY / HEARTBEAT - 10 < len(sent) < 2 * (DAY + 300) / HEARTBEAT + 10
    counts = disconnects(day.kept.series())
    lines = [one for one in day.kept.lines("drop") if one["counted"]]
    assert set(counts) == {("whole", "connection_reset")}
    assert counts["whole", "connection_reset"] == len(lines) > 1000


def test_an_outage_of_two_days(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script([Trouble(1000.3, "connection_reset", lasts=2 * DAY)])
    long = Long(monkeypatch, script)
    ends = 1000.3 + 2 * DAY
    found: dict[float, float | None] = {}
    original = state

    def looked(kept: Kept, segment: str) -> str:
        found[kept.watch.clock.now()] = connected(kept)
        return original(kept, segment)

    monkeypatch.setitem(globals(), "state", looked)
    long.live(900.0, 2 * HOUR, DAY, 2 * DAY, ends + 70.0, ends + 200.0)
    assert list(long.states.values()) == ["exonerated", *["convicted"] * 4, "exonerated"]
    assert list(found.values()) == [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]
    assert long.memory[2 * DAY] - long.memory[2 * HOUR] < SAMPLES, long.memory
    assert long.calls[2 * DAY] == 2, "one drop, whatever its attempts"
    # Nobody reconnects faster than every heartbeat when it is long.
    assert len(script.sent) < 3 * (2 * DAY + 1000) / HEARTBEAT + 500
    assert disconnects(long.kept.series()) == {("whole", "connection_reset"): 1}
    drop, recovery = (one for one in long.kept.lines() if one["event"] in ("drop", "recovery"))
    assert (drop["symptom"], drop["verdict"]["convicted"]) == ("down", ["tunnel"])
    assert 2 * DAY < recovery["down_seconds"] < 2 * DAY + 200
