"""A day of the held mode: exact counts, beats that do not drift, and nothing that grows."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import Any

import pytest
from probes.servers import deployment
from watch_clock import JumpClock, Script, Trouble, run, use_scripts
from watch_helpers import Kept, disconnects

from t3probe.config.types import Leg
from t3probe.deliver.metrics import BY_NAME
from t3probe.watch import held

HOUR = 3600.0
DAY = 24 * HOUR
HEARTBEAT = 10.0
TIMES: dict[str, Any] = {
    "heartbeat": HEARTBEAT, "watchdog": 20, "backoff": 3, "backoff_max": 30, "sweep_interval": 60,
}  # fmt: skip


def leg(name: str, kind: Any, *path: str) -> Leg:
    if kind == "tcp":
        return Leg(
            name=name, kind=kind, path=path, address="127.0.0.1:9", upstream=name != "egress"
        )
    scheme = "ws" if kind == "ws_echo" else "http"
    return Leg(name=name, kind=kind, path=path, url=f"{scheme}://app.example/", pin="127.0.0.1:9")


LEGS = [
    leg("whole", "ws_echo", "front", "tunnel", "back", "machine"),
    leg("back", "ws_echo", "back", "machine"),
    leg("front", "http", "front"),
    leg("machine", "http", "machine"),
    leg("envoy-a", "tcp", "up-a"),
    leg("egress", "tcp", "out"),
]


def scripts() -> dict[str, Script]:
    made = {one.name: Script() for one in LEGS}
    # Every quarter of an hour a cut, every three hours an outage; never on a beat.
    cuts = [Trouble(at * 900 + 33.3, "connection_reset") for at in range(1, 96)]
    gone = [Trouble(at * 3 * HOUR + 404.4, "closed_by_peer", lasts=300) for at in range(1, 8)]
    made["whole"].trouble = sorted(cuts + gone, key=lambda one: one.at)
    made["back"].trouble = [Trouble(5 * HOUR + 3.3, "io_error")]
    made["egress"].trouble = [Trouble(7 * HOUR + 455.5, "connect_refused", lasts=400)]
    made["front"].slow_every = 100
    return made


class Day:
    """What the soak saw."""

    def __init__(self) -> None:
        self.scripts = scripts()
        self.memory: dict[int, int] = {}
        self.tasks: dict[int, int] = {}
        self.kept: Kept = None  # type: ignore[assignment]

    async def live(self, clock: JumpClock) -> None:
        self.kept = Kept(deployment(LEGS, **TIMES), clock=clock)
        serving = asyncio.create_task(self.kept.watch.serve())
        for hour in range(1, 25):
            await asyncio.sleep(hour * HOUR - clock.monotonic() - 0.05)
            if hour in (2, 24):
                gc.collect()
                own = sum(self._own(one) for one in self.scripts.values())
                own += self.kept.paper.size
                self.memory[hour] = tracemalloc.get_traced_memory()[0] - own
                self.tasks[hour] = len(asyncio.all_tasks())
        self.kept.watch.stop()
        await serving

    @staticmethod
    def _own(script: Script) -> int:
        """Bytes of a script's own lists of floats: the test's memory, not the program's."""
        lists = (script.sent, script.trips)
        return sum(one.__sizeof__() + 24 * len(one) for one in lists)


@pytest.fixture(scope="module")
def day() -> Day:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("t3probe.run.footing.stall_threshold", lambda timing: 1e9)
        patch.setattr(held, "FOOTING_STEP_SECONDS", 2.0)
        seen = Day()
        use_scripts(patch, seen.scripts)
        clock = JumpClock()
        tracemalloc.start()
        try:
            run(clock, seen.live(clock))
        finally:
            tracemalloc.stop()
        return seen


def test_every_drop_is_counted_once_under_its_reason(day: Day) -> None:
    assert disconnects(day.kept.series()) == {
        ("whole", "connection_reset"): 95,
        ("whole", "closed_by_peer"): 7,
        ("back", "io_error"): 1,
        ("egress", "connect_refused"): 1,
    }


@pytest.mark.parametrize("name", ["whole", "back", "front", "machine", "egress"])
def test_every_round_trip_is_in_its_bucket(day: Day, name: str) -> None:
    trips = day.scripts[name].trips
    series = day.kept.series()
    for bound in BY_NAME["t3probe_rtt_seconds"].buckets:
        key = f't3probe_rtt_seconds_bucket{{le="{bound!r}",leg="{name}"}}'
        assert series[key] == sum(one <= bound for one in trips), bound
    assert series[f't3probe_rtt_seconds_count{{leg="{name}"}}'] == len(trips)
    assert series[f't3probe_rtt_seconds_sum{{leg="{name}"}}'] == pytest.approx(sum(trips))
    assert len(trips) > (1400 if name == "egress" else 8400)


@pytest.mark.parametrize("name", ["back", "front", "machine"])
def test_beats_do_not_drift_in_a_day(day: Day, name: str) -> None:
    """Beat k is sent at k times the heartbeat, to the millisecond, from the first to the last."""
    sent = {round(one, 3) for one in day.scripts[name].sent}
    assert [k for k in range(1, 8640) if k * HEARTBEAT not in sent] == []


def test_sweeps_keep_their_own_interval(day: Day) -> None:
    sent = [round(one, 3) for one in day.scripts["envoy-a"].sent]
    regular = {one for one in sent if one % 60 == 0}
    assert len(regular) == 1440 - 1 + (0.0 in regular)
    # All others answered a common beat: one for each drop, and the first.
    assert len(sent) - len(regular) <= 104 + 1


def test_connection_ages_reach_days_and_land_in_their_buckets(day: Day) -> None:
    series = day.kept.series()
    key = 't3probe_connection_age_seconds_bucket{le="%s",leg="back"}'
    assert (series[key % "14400.0"], series[key % "86400.0"]) == (0, 1)
    assert series['t3probe_connection_age_seconds_sum{leg="back"}'] == pytest.approx(
        5 * HOUR + 3.3, abs=1e-5
    )


def test_an_outage_is_not_time_that_nobody_looked(day: Day) -> None:
    series = day.kept.series()
    for name in ("whole", "back", "front", "machine"):
        observed = series[f't3probe_observed_seconds_total{{leg="{name}"}}']
        assert DAY - 2 * HEARTBEAT < observed <= DAY


def test_each_drop_has_its_line_with_a_verdict(day: Day) -> None:
    lines = day.kept.lines()
    drops = [one for one in lines if one["event"] == "drop"]
    assert len(drops) == 104
    whole = [one for one in drops if one["leg"] == "whole"]
    assert {one["symptom"] for one in whole} == {"cut", "down"}
    convicted = [tuple(one["verdict"]["convicted"]) for one in whole]
    # After `back` was cut itself, its connection is younger than one that has lived for longer.
    assert convicted.count(("tunnel",)) >= len(whole) - 1
    assert set(convicted) <= {("tunnel",), ()}
    egress = next(one for one in drops if one["leg"] == "egress")
    assert egress["verdict"]["convicted"] == ["out"]
    recoveries = [one for one in lines if one["event"] == "recovery"]
    assert len(recoveries) == 8
    assert all(200 < one["down_seconds"] < 500 for one in recoveries)


def test_every_connection_was_closed(day: Day) -> None:
    for name, script in day.scripts.items():
        assert script.closed == script.opened, name


def test_memory_and_tasks_do_not_grow(day: Day) -> None:
    assert day.tasks[24] == day.tasks[2]
    grown = day.memory[24] - day.memory[2]
    assert grown < 64 * 1024, f"{grown} bytes in 22 hours"
