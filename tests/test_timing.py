"""Clocks."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.text.words import utc
from t3probe.timing import FakeClock, RunClock, SystemClock


async def test_a_fake_clock_moves_only_when_somebody_sleeps() -> None:
    clock = FakeClock(wall=100.0, monotonic=5.0)
    run = RunClock(clock)
    assert (run.started_at, run.now()) == (100.0, 0.0)
    async with asyncio.timeout(10):
        await clock.sleep(3600)
    assert (run.now(), clock.wall()) == (3600.0, 3700.0)
    await clock.sleep(-5)
    assert run.now() == 3600.0
    await run.sleep_until(4000.5)
    assert run.now() == 4000.5
    await run.sleep_until(1)
    assert run.now() == 4000.5


async def test_a_step_of_the_wall_clock_changes_no_duration() -> None:
    class Stepping(FakeClock):
        steps = 0.0

        def wall(self) -> float:
            return super().wall() + self.steps

    clock = Stepping()
    run = RunClock(clock)
    clock.steps = -1e6
    clock.advance(2)
    assert run.now() == 2.0


def test_a_moment_on_the_wall_follows_a_clock_that_is_set() -> None:
    clock = FakeClock(wall=1_000.0)
    run = RunClock(clock)
    clock.advance(10)
    assert run.wall_at(4.0) == 1_004.0
    clock._wall += 3_600  # somebody set it
    assert run.wall_at(10.0) == 4_610.0


async def test_the_system_clock_sleeps_and_goes_on() -> None:
    run = RunClock(SystemClock())
    first = run.now()
    await run.clock.sleep(0.01)
    await run.clock.sleep(-1)
    assert run.now() >= first + 0.009


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_times_are_whole_microseconds(start: float, later: float) -> None:
    clock = FakeClock(monotonic=start)
    run = RunClock(clock)
    clock.advance(later)
    assert run.now() == round(run.now(), 6)
    assert float(repr(run.now())) == run.now()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000.9996, "2023-11-14T22:13:20.999Z"),
        (1_769_860_800.5, "2026-01-31T12:00:00.500Z"),
    ],
)
def test_utc(seconds: float, text: str) -> None:
    assert utc(seconds) == text
