"""When a run ends, what it waits for, and what it numbers, with far ends that are made up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from far_end import ELSEWHERE, FINE, FarEnd, error
from probes.servers import deployment, http_leg, until

from t3probe.config.types import Leg
from t3probe.guard import LoopbackOnlyError
from t3probe.probes.base import Probing
from t3probe.probes.facts import Target
from t3probe.probes.resolve import Resolver
from t3probe.run.controller import Run
from t3probe.timing import FakeClock, RunClock

LEG = http_leg(url="http://app.example/")


def run(hold: float = 0.0, *, times: dict[str, float] | None = None, **more: Any) -> Run:
    return Run(deployment([LEG], **(times or {})), [LEG], hold=hold, **more)


def test_when_it_is_over_at_the_latest() -> None:
    fake = FakeClock()
    clock = RunClock(fake)
    fake.advance(100.0)
    one = run(7.0, times={"watchdog": 3, "connect_timeout": 2}, clock=clock)
    assert one.ends_at == 100.0 + 7.0 + 2 * (3 + 2)
    given = run(7.0, times={"deadline": 9}, clock=clock)
    assert given.ends_at == 109.0


async def test_calls_go_on_from_the_number_that_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    FarEnd(monkeypatch, FINE)
    (seen,) = await run(call=7).measure()
    assert [beat.call for beat in seen.beats] == [7]
    FarEnd(monkeypatch, error("connect_refused"))
    one = run(call=7)
    (seen,) = await one.measure()
    assert [(drop.call, one.call_number) for drop in seen.drops] == [(8, 8)]


async def test_planned_downtime_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    FarEnd(monkeypatch, FINE)
    (seen,) = await run(planned=lambda leg: f"{leg.name} is away").measure()
    assert seen.planned == "http is away"
    (seen,) = await run().measure()
    assert seen.planned == ""


async def test_what_runs_beside_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    FarEnd(monkeypatch, FINE)
    done: list[str] = []

    async def beside(one: Run) -> None:
        for _ in range(50):
            await asyncio.sleep(0)
        done.append("beside")

    (seen,) = await run(beside=beside).measure()
    assert (done, seen.outcome) == (["beside"], "passed")


async def test_what_breaks_beside_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    FarEnd(monkeypatch, FINE)

    async def beside(one: Run) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run(beside=beside).measure()


async def test_of_a_group_of_errors_the_first_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    FarEnd(monkeypatch, FINE)

    async def beside(one: Run) -> None:
        raise ExceptionGroup("outer", [ExceptionGroup("inner", [ZeroDivisionError()])])

    with pytest.raises(ZeroDivisionError):
        await run(beside=beside).measure()


async def test_a_deadline_cuts_what_runs_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    FarEnd(monkeypatch, FINE)
    cut: list[bool] = []

    async def beside(one: Run) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cut.append(True)
            raise

    await run(beside=beside, times={"deadline": 0.2}).measure()
    assert cut == [True]


async def test_a_stop_ends_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    FarEnd(monkeypatch, FINE)
    one = run(3600.0, times={"heartbeat": 3600})
    measuring = asyncio.create_task(one.measure())
    await until(lambda: bool(one.legs[0].book.beats), 60)
    assert not one.interrupted
    one.stop()
    async with asyncio.timeout(60):
        (seen,) = await measuring
    assert one.interrupted
    assert seen.outcome == "passed"


async def test_idle_legs_are_told_to_end_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("t3probe.run.controller._CLOSE_SECONDS", 3600.0)
    FarEnd(monkeypatch, FINE)
    async with asyncio.timeout(60):
        (seen,) = await run().measure()
    assert seen.outcome == "passed"


async def test_it_is_over_when_no_leg_can_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    FarEnd(monkeypatch, ELSEWHERE)
    async with asyncio.timeout(60):
        (seen,) = await run(3600.0, times={"heartbeat": 3600}).measure()
    assert seen.reason == "leg_collapsed"


async def test_one_leg_that_tries_to_leave_loopback_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Leaves(FarEnd):
        async def _targets(self, leg: Leg, probing: Probing, resolver: Resolver) -> list[Target]:
            if leg.name == "bad":
                raise LoopbackOnlyError("it wanted to leave")
            return await super()._targets(leg, probing, resolver)

    Leaves(monkeypatch, FINE)
    legs = [LEG, http_leg(name="bad", url="http://app.example/")]
    one = Run(deployment(legs, heartbeat=3600), legs, hold=3600.0)
    with pytest.raises(LoopbackOnlyError):
        async with asyncio.timeout(60):
            await one.measure()


async def test_it_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    FarEnd(monkeypatch, FINE)
    seen: list[Run] = []
    one = run(progress=seen.append, beside=lambda _: asyncio.sleep(0))
    await one.measure()
    assert seen
    assert set(seen) == {one}


@pytest.mark.parametrize(
    ("hold", "noticed", "finished", "late"),
    [
        (60.0, 149.0, False, False),
        (60.0, 150.0, False, True),
        (60.0, 159.0, False, True),
        (60.0, 159.0, True, False),
        (60.0, None, False, False),
        (0.0, 159.0, False, False),
    ],
)
def test_a_drop_in_the_last_heartbeat_is_late(
    hold: float, noticed: float | None, finished: bool, late: bool
) -> None:
    """Then all beat once more, and connections are seen to outlive the one that was cut."""
    from t3probe.probes.facts import Facts

    fake = FakeClock()
    clock = RunClock(fake)
    fake.advance(100.0)
    one = run(hold, times={"heartbeat": 10}, clock=clock)
    if noticed is not None:
        one.legs[0].book.drop(
            error("rtt_timeout", "ask"), began=noticed, sent=noticed, noticed=noticed, call=1,
            strand="held", conn=0, age=1.0, facts=Facts(), tcp=None,
        )  # fmt: skip
    one.finished = finished
    assert one._dropped_late() == late
