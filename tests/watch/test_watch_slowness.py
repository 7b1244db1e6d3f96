"""The held mode remembers what is usual by itself, and says which segment is slow."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from probes.servers import deployment
from probes.servers import until as servers_until
from steady_lab import SteadyLab
from watch_clock import JumpClock, Script, Trouble, run, use_scripts
from watch_helpers import Kept

from t3probe.config.types import Deployment, Leg
from t3probe.observation import Beat, Observation
from t3probe.verdict.slow.baseline import judged_trips
from t3probe.watch import counts as memory
from t3probe.watch import service
from t3probe.watch.counts import MAX_TRIPS, Memory

FLOOR = 0.02
EXCESS = "t3probe_segment_excess_seconds"


# -- the memory --------------------------------------------------------------------------------


def beat(ended: float, trip: float) -> Beat:
    return Beat(sent=ended - trip, ended=ended, ok=True, conn=0)


def taught(trips: list[float], step: float = 10.0) -> tuple[Memory, Observation]:
    """A memory after these beats, and the leg as it shows it."""
    known = Memory(0.0, FLOOR)
    beats = [beat((at + 1) * step, trip) for at, trip in enumerate(trips)]
    for one in beats:
        known.beat(one)
    seen = Observation(leg="x", kind="http", path=("a",), outcome="passed", beats=tuple(beats))
    return known, msgspec.structs.replace(seen, baseline=known.baseline)


@settings(deadline=None)
@given(st.lists(st.floats(0.001, 3.0), max_size=90), st.floats(0.5, 70.0))
def test_each_beat_is_learned_from_or_judged_and_never_both(
    trips: list[float], step: float
) -> None:
    known, seen = taught(trips, step)
    judged = judged_trips(seen)
    assert known.baseline.beats + len(judged) == len(trips)
    assert judged == pytest.approx(trips[len(trips) - len(judged) :])


def test_what_is_judged_is_not_known_yet() -> None:
    known, seen = taught([0.02] * 60 + [0.5] * 6)
    assert known.baseline.moving_seconds == pytest.approx(0.02)
    assert judged_trips(seen)[-6:] == pytest.approx([0.5] * 6)
    assert len(judged_trips(seen)) <= 13


def test_nothing_is_learned_from_a_minute_with_a_drop() -> None:
    known = Memory(0.0, FLOOR)
    for at in range(1, 6):
        known.beat(beat(at * 10.0, 5.0))
    known.drop()
    for at in range(6, 30):
        known.beat(beat(at * 10.0, 0.02))
    assert known.baseline.moving_seconds == pytest.approx(0.02)


def test_a_minute_of_ten_thousand_beats_is_bounded() -> None:
    known, _ = taught([0.01] * 24_001, 0.005)
    assert known.baseline.beats == MAX_TRIPS


# -- on a clock that jumps ---------------------------------------------------------------------


def ws(name: str, *path: str) -> Leg:
    url = "ws://app.example/"
    return Leg(name=name, kind="ws_echo", path=path, url=url, pin="127.0.0.1:9")


LEGS = [ws("whole", "front", "back"), ws("front", "front")]
CHANGED = [msgspec.structs.replace(LEGS[0], url="ws://app.example/other"), LEGS[1]]


def made(legs: list[Leg], **times: Any) -> Deployment:
    return deployment(legs, heartbeat=10, watchdog=20, backoff=3, backoff_max=30, **times)


def excess(kept: Kept) -> dict[str, float]:
    start = EXCESS + '{segment="'
    return {
        name.removeprefix(start).rstrip('"}'): value
        for name, value in kept.series().items()
        if name.startswith(start)
    }


def held(
    monkeypatch: pytest.MonkeyPatch,
    scripts: dict[str, Script],
    steps: dict[float, Any],
    reloaded: Deployment | None = None,
    **times: Any,
) -> dict[float, dict[str, float]]:
    """What each segment adds at these moments; each then does what it says."""
    use_scripts(monkeypatch, scripts)
    clock, found = JumpClock(), {}
    first = made(LEGS, **times)

    async def main() -> None:
        kept = Kept(first, clock=clock, load=lambda: reloaded or first)
        serving = asyncio.create_task(kept.watch.serve())
        for at in sorted(steps):
            await asyncio.sleep(at - clock.monotonic())
            found[at] = excess(kept)
            steps[at](kept)
        kept.watch.stop()
        await serving

    run(clock, main())
    return found


def nothing(kept: Kept) -> None:
    pass


def test_a_slow_segment_shows_once_something_is_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, front = Script(), Script()

    def slower(kept: Kept) -> None:
        whole.rtt = 0.15

    def as_before(kept: Kept) -> None:
        whole.rtt = 0.02

    found = held(
        monkeypatch,
        {"whole": whole, "front": front},
        {200.0: nothing, 600.0: slower, 800.0: nothing, 1500.0: as_before, 1800.0: nothing},
    )
    assert found[200.0] == {}
    assert found[600.0] == {"front": 0, "back": 0}
    for moment in (800.0, 1500.0):
        assert found[moment] == {"front": 0, "back": pytest.approx(0.13, abs=0.002)}
    assert found[1800.0] == {"front": 0, "back": 0}


def test_what_was_slow_from_the_start_is_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = {"whole": Script(rtt=0.5), "front": Script()}
    assert held(monkeypatch, scripts, {700.0: nothing})[700.0] == {"front": 0, "back": 0}


def test_the_deployments_floor_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Script()

    def slower(kept: Kept) -> None:
        whole.rtt = 0.15

    scripts = {"whole": whole, "front": Script()}
    steps = {600.0: slower, 900.0: nothing}
    found = held(monkeypatch, scripts, steps, slow_floor=0.2)
    assert found[900.0] == {"front": 0, "back": 0}


def test_a_leg_that_leads_elsewhere_learns_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Script()

    def elsewhere(kept: Kept) -> None:
        whole.rtt = 0.15
        kept.watch.reload()

    scripts = {"whole": whole, "front": Script()}
    steps = {600.0: elsewhere, 800.0: nothing, 1400.0: nothing}
    found = held(monkeypatch, scripts, steps, made(CHANGED))
    assert found[800.0] == {"front": 0}
    assert found[1400.0] == {"front": 0, "back": 0}


def test_a_leg_that_is_down_is_not_called_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Script([Trouble(650.3, "connection_reset", lasts=400)])
    scripts = {"whole": whole, "front": Script()}
    states: list[tuple[str, ...]] = []

    def look(kept: Kept) -> None:
        assert kept.snapshot is not None
        states.append(kept.snapshot.judged.verdict.convicted)

    found = held(monkeypatch, scripts, {640.0: look, 900.0: look})
    assert states == [(), ("back",)]
    assert found[900.0] == {"front": 0}


# -- on the lab --------------------------------------------------------------------------------


def test_on_the_lab_the_slow_segment_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MINUTE_SECONDS", 1.0)
    monkeypatch.setattr(service, "PUBLISH_SECONDS", 0.5)
    times = {"heartbeat": "200ms", "sweep_interval": "400ms", "slow_floor": "60ms"}
    with SteadyLab(tmp_path, times) as lab:

        async def main() -> None:
            kept = Kept(lab.deployment(), clock=lab.loop.clock)
            serving = asyncio.create_task(kept.watch.serve())

            named: list[str] = []

            async def until(status: str) -> Any:
                """Wait for this; whoever is named meanwhile is noted."""

                def found() -> bool:
                    if kept.snapshot is None:
                        return False
                    slowness = kept.snapshot.judged.slowness
                    named.extend(name for name, value in slowness.segments.items() if value)
                    return slowness.status == status

                await servers_until(found, 60)

            await until("usual")
            # The legs' minutes begin at moments of their own: at any of these moments some know
            # of what is slow, or of its end, before others do.
            for moment in (3.0, 3.45):
                await asyncio.sleep(moment)
                await lab.switch("cf-edge:slow:200ms")
                await until("localised")
                await asyncio.sleep(2)
                assert excess(kept)["cf-edge"] == pytest.approx(0.2, rel=0.1)
                await lab.switch()
                await until("usual")
            assert set(named) == {"cf-edge"}
            kept.watch.stop()
            await serving

        lab.run(main())
