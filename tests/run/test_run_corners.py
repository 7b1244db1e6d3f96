"""Several addresses of which one is dead, and legs under planned downtime, over a whole run."""

from __future__ import annotations

import asyncio

import pytest
from far_end import FINE, Answer, FarEnd, error
from probes.servers import deployment, http_leg, made_run
from strands import REFUSED, Scene, leg

from t3probe.config.types import Leg
from t3probe.observation import RECORD_VERSION, Observation, RunRecord
from t3probe.run.controller import Run
from t3probe.verdict.incident.run import judge_run

DEAD = error("connect_timeout")


async def held(hold: float = 2.5) -> Observation:
    one = http_leg(url="http://app.example/", path=("front", "back"))
    run = made_run(deployment([one], heartbeat=1.0), [one], hold=hold)
    (seen,) = await run.measure()
    return seen


def status(seen: Observation) -> tuple[str, tuple[str, ...]]:
    """Of the run's verdict, with whom it cleared."""
    record = RunRecord(version=RECORD_VERSION, segments=seen.path, paths=(seen.path,))
    verdict = judge_run(record, [seen]).verdict
    return verdict.status, verdict.exonerated


@pytest.mark.parametrize("answers", [(DEAD, FINE), (FINE, DEAD), (DEAD, FINE, REFUSED)])
async def test_a_dead_address_among_good_ones_degrades_and_is_no_drop(
    monkeypatch: pytest.MonkeyPatch, answers: tuple[Answer, ...]
) -> None:
    FarEnd(monkeypatch, *answers)
    seen = await held()
    assert (seen.outcome, seen.reason, seen.drops) == ("degraded", "connect_timeout", ())
    assert seen.detail.startswith(f"1 of {len(answers)} addresses answered")
    assert (seen.connected, seen.accepting, len(seen.connections)) == (True, True, 1)
    assert all(beat.ok for beat in seen.beats)
    assert status(seen) == ("clean", ("front", "back"))


@pytest.mark.parametrize("back", [False, True])
async def test_one_that_dies_in_the_hold_degrades_as_well(
    monkeypatch: pytest.MonkeyPatch, back: bool
) -> None:
    """Every fresh beat dials every address; what is held is another one's."""
    end = FarEnd(monkeypatch, FINE, FINE)
    one = http_leg(url="http://app.example/", path=("front", "back"))
    run = made_run(deployment([one], heartbeat=1.0), [one], hold=3.5)
    loop = asyncio.get_running_loop()
    loop.call_later(1.5, end.answers.update, {"10.0.0.1": DEAD})
    if back:
        loop.call_later(2.5, end.answers.update, {"10.0.0.1": FINE})
    (seen,) = await run.measure()
    assert (seen.outcome, seen.reason, seen.drops) == ("degraded", "connect_timeout", ())
    assert [one.ok for one in seen.addresses] == [True, False]
    assert seen.address == "10.0.0.0:80"
    assert status(seen)[0] == "clean"


@pytest.mark.parametrize(
    ("answers", "refused"),
    [((REFUSED, REFUSED), 2), ((REFUSED, DEAD), 0), ((REFUSED,), 0), ((REFUSED, FINE), None)],
)
async def test_where_every_address_refused_it_is_known(
    monkeypatch: pytest.MonkeyPatch, answers: tuple[Answer, ...], refused: int | None
) -> None:
    FarEnd(monkeypatch, *answers)
    seen = await held(0.5)
    found = [len(one.attempt.refused_at) for one in seen.drops if one.attempt is not None]
    assert found == ([] if refused is None else [refused])


async def test_all_that_are_dead_are_a_drop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    FarEnd(monkeypatch, DEAD, DEAD)
    seen = await held(0.5)
    assert (seen.outcome, seen.drops[0].symptom) == ("failed", "down")


async def test_legs_under_planned_downtime_trouble_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """They call no common beat, nor does one that is not well again for a heartbeat."""
    scene = Scene(monkeypatch, leg("bad"), leg("well"))

    def planned(run: Run, one: Leg) -> str:
        return "new disk" if one.name == "bad" and run.clock.now() < 2.7 else ""

    monkeypatch.setattr(Run, "planned", planned)
    calls: dict[float, int] = {}
    for moment in (0.5, 2.6, 4.0, 6.4):
        scene.at(moment, lambda at=moment: calls.update({at: scene.run.call_number}))  # type: ignore[misc, union-attr]
    scene.set(0.6, "bad", fresh=REFUSED)
    scene.at(0.7, scene.ends["bad"].cut)
    scene.set(2.8, "bad", fresh=FINE)
    scene.at(3.6, scene.ends["bad"].cut)
    scene.at(6.2, scene.ends["bad"].cut)
    seen = await scene.play(6.5, backoff=0.05, backoff_max=0.1)
    drops = seen["bad"].drops
    assert [round(one.noticed, 1) for one in drops] == [0.7, 3.6, 6.2]
    assert [one.call for one in drops[:2]] == [0, 0]
    assert drops[2].call == 2
    assert [one.symptom for one in drops] == ["down", "cut", "cut"]
    assert list(calls.values()) == [1, 1, 1, 2]
    assert {beat.call for beat in seen["well"].beats if beat.sent < 6} <= {0, 1}
