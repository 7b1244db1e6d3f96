"""A day in which a leg flaps, and an outage of two days: nothing grows, nobody else is troubled,
and what was so in the last minute is what is told."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

import pytest
from probes.servers import deployment
from test_watch_held import connected, state, ws
from watch_clock import JumpClock, Partial, Script, Trouble, run, use_scripts
from watch_helpers import Kept, disconnects

from t3probe.watch import held, service

DAY = 14400.0
HOUR = DAY / 24
HEARTBEAT = 60.0
"""Time is scaled: so many heartbeats are a day, and a script's line follows any of them."""
TIMES = {
    "heartbeat": HEARTBEAT, "watchdog": 20, "backoff": 3, "backoff_max": 10, "sweep_interval": 60,
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

    def __init__(self, monkeypatch: pytest.MonkeyPatch, script: Script, **more: Script) -> None:
        self.legs = [ws(name, "front", "tunnel") for name in more] + LEGS
        self.scripts = {one.name: Script() for one in LEGS} | {"whole": script} | more
        self.states: dict[float, str] = {}
        self.connected: dict[float, float | None] = {}
        self.memory: dict[float, int] = {}
        self.tasks: dict[float, int] = {}
        self.calls: dict[float, int] = {}
        self.clock = JumpClock()
        self.kept: Kept = None  # type: ignore[assignment]
        use_scripts(monkeypatch, self.scripts)
        monkeypatch.setattr("t3probe.run.footing.stall_threshold", lambda timing: 1e9)
        monkeypatch.setattr(held, "FOOTING_STEP_SECONDS", 60.0)
        monkeypatch.setattr(service, "TICK_SECONDS", 20.0)
        monkeypatch.setattr(service, "PUBLISH_SECONDS", 60.0)

    def live(self, *moments: float) -> None:
        tracemalloc.start()
        try:
            run(self.clock, self._live(moments))
        finally:
            tracemalloc.stop()

    async def _live(self, moments: tuple[float, ...]) -> None:
        self.kept = kept = Kept(deployment(self.legs, **TIMES), clock=self.clock)
        serving = asyncio.create_task(kept.watch.serve())
        for at in moments:
            await asyncio.sleep(at - self.clock.monotonic())
            self.states[at] = state(kept, "tunnel")
            self.connected[at] = connected(kept)
            gc.collect()
            own = kept.paper.size
            for script in self.scripts.values():
                own += sum(one.__sizeof__() + 24 * len(one) for one in (script.sent, script.trips))
            self.memory[at] = tracemalloc.get_traced_memory()[0] - own
            self.tasks[at] = len(asyncio.all_tasks())
            self.calls[at] = kept.watch.held.call_number
        kept.watch.stop()
        await serving


def test_a_leg_that_flaps_for_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """For half a day its connection dies every few seconds, then it is down for a while as well: it
    is never well for a heartbeat, so it calls its three common beats and then none."""
    apart = 13.1
    times = [300.0 + apart * at for at in range(int((DAY - 300) / apart))]
    script = Script(
        [Trouble(at, "connection_reset", lasts=4.0 if at > DAY / 2 else 0.0) for at in times]
    )
    day = Long(monkeypatch, script)
    over = DAY + 2 * HEARTBEAT
    day.live(250.0, 2 * HOUR, 12 * HOUR, DAY, over)
    # Without a common beat nobody beat with the second look: the leg's whole way is suspect.
    states = ["exonerated", "convicted", "convicted", "ambiguous", "exonerated"]
    assert list(day.states.values()) == states
    beats = over / HEARTBEAT
    calls = day.calls[over]
    assert calls <= 4
    for name in ("front", "back"):
        # A beat on each strand in every heartbeat, and in every common beat.
        assert 2 * beats - 10 < len(day.scripts[name].sent) <= 2 * (beats + calls) + 10
    assert day.tasks[2 * HOUR] == day.tasks[over]
    assert day.memory[over] - day.memory[2 * HOUR] < SAMPLES, day.memory
    assert len(day.kept.watch.held.books["whole"].drops) <= 200
    counts = disconnects(day.kept.series())
    lines = [one for one in day.kept.lines("drop") if one["counted"]]
    assert set(counts) == {("whole", "connection_reset")}
    assert counts["whole", "connection_reset"] == len(lines) > 500
    assert {name for one in lines for name in one["verdict"]["convicted"]} == {"tunnel"}


def test_an_outage_of_two_days(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script([Trouble(1000.3, "connection_reset", lasts=2 * DAY)])
    long = Long(monkeypatch, script)
    ends = 1000.3 + 2 * DAY
    long.live(900.0, 2 * HOUR, DAY, 2 * DAY, ends + 40.0, ends + 120.0)
    assert list(long.states.values()) == ["exonerated", *["convicted"] * 4, "exonerated"]
    assert list(long.connected.values()) == [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]
    assert long.memory[2 * DAY] - long.memory[2 * HOUR] < SAMPLES, long.memory
    assert long.calls[2 * DAY] == 2, "one drop, whatever its attempts"
    # Nobody reconnects faster than every heartbeat when it is long.
    assert len(script.sent) < 2 * DAY / 10 + 3 * (2 * DAY + 1000) / HEARTBEAT
    assert disconnects(long.kept.series()) == {("whole", "connection_reset"): 1}
    drop, recovery = (one for one in long.kept.lines() if one["event"] in ("drop", "recovery"))
    assert (drop["symptom"], drop["verdict"]["convicted"]) == ("down", ["tunnel"])
    assert 2 * DAY < recovery["down_seconds"] < 2 * DAY + 120


def test_what_met_the_repair_clears_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two legs beat in the moment of the repair: one is refused, the other is answered."""
    repaired = 20 * HEARTBEAT
    late = Script([Trouble(1000.3, "connection_reset", lasts=repaired + 0.01 - 1000.3)])
    beside = Script(partial=Partial(1000.0, repaired - 0.01, ("front",)))
    long = Long(monkeypatch, late, beside=beside)
    long.live(repaired - 30.0, repaired + 5.0, repaired + 30.0, repaired + 55.0, repaired + 150.0)
    assert [*long.states.values()] == [*["convicted"] * 4, "exonerated"]
