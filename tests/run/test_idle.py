"""The idle connection of a leg: what becomes of its silence, and that it is evidence alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest
from far_end import error
from strands import Scene, Way, leg, of

from t3probe.config.types import Duration
from t3probe.observation import Observation, Silence
from t3probe.record.facts import ascii_json, decoded

IDLE = Duration(2.0)


def silent(scene: Scene, name: str = "leg") -> Way:
    """The newest connection that is open and not the held one."""
    held = scene.run.legs[0]._line if scene.run else None  # type: ignore[attr-defined]
    return next(one for one in reversed(scene.ends[name].open) if one is not held)


def dies(scene: Scene, **how: object) -> Callable[[], None]:
    """Let the idle connection die by itself."""

    def happens() -> None:
        line = silent(scene)
        for name, value in how.items():
            setattr(line, name, value)
        line.on_lost()

    return happens


def the(seen: Observation, *ends: str) -> list[Silence]:
    """Its silences that ended so."""
    return [one for one in seen.silences if one.end in ends]


def unharmed(seen: Observation) -> None:
    """The idle connection is no strand: no drop, no call, no beat of it."""
    assert (seen.outcome, seen.drops, seen.connected) == ("passed", (), True)
    assert {one.call for one in seen.beats} <= {0, 1}
    assert all(one.ok for one in seen.beats)
    assert len(seen.connections) == 1


async def test_a_silence_that_is_answered_was_as_long_as_it_was_to_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch, leg(idle=IDLE))
    seen = (await scene.play(7.0))["leg"]
    unharmed(seen)
    answered = the(seen, "answered")
    lengths = [one.ended - one.began for one in answered]
    # The last one is asked a little before the hold ends, and is shorter.
    assert lengths[:3] == [pytest.approx(2.0, abs=0.05)] * 3
    assert 0 < lengths[3] < 1.0
    assert answered[-1].ended == pytest.approx(6.9, abs=0.05)
    assert {one.conn for one in answered} == {0}
    assert answered[0].remote_address == "10.0.0.1:80"
    assert decoded(ascii_json(seen), Observation) == seen


async def test_a_leg_without_idle_has_no_such_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, leg())
    seen = (await scene.play(3.0))["leg"]
    assert seen.silences == ()
    assert "silences" not in ascii_json(seen)
    scene = Scene(monkeypatch, leg(idle=IDLE))
    assert (await scene.play(0.0))["leg"].silences == ()


async def test_a_silence_longer_than_the_hold_is_asked_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch, leg(idle=Duration(300.0)))
    (one,) = the((await scene.play(5.0))["leg"], "answered")
    assert one.ended - one.began == pytest.approx(4.9, abs=0.1)


async def test_its_death_is_no_drop_and_calls_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, leg(idle=IDLE), leg("other"))
    scene.at(1.5, dies(scene, lost=error("closed_by_peer", "hold")))
    seen = await scene.play(6.0)
    unharmed(seen["leg"])
    unharmed(seen["other"])
    (one,) = the(seen["leg"], "closed")
    assert (one.reason, one.polite, one.stalled) == ("closed_by_peer", False, False)
    assert one.ended == pytest.approx(1.5, abs=0.02)
    # Another one is opened after a pause, and lives on.
    assert {one.conn for one in the(seen["leg"], "answered")} == {1}


async def test_a_polite_close_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, leg(idle=IDLE))
    scene.at(1.5, dies(scene, left_politely=True))
    (one,) = the((await scene.play(3.0))["leg"], "closed")
    assert (one.polite, one.reason) == (True, None)


@pytest.mark.parametrize(
    ("reason", "end"),
    [("connection_reset", "unanswered"), ("rtt_timeout", "unanswered"), ("http_5xx", "untold")],
)
async def test_one_that_is_asked_and_does_not_answer(
    reason: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(monkeypatch, leg(idle=IDLE))

    def fails() -> None:
        line = silent(scene)

        async def beat() -> None:
            raise error(reason, "ask")

        line.beat = beat  # type: ignore[assignment, method-assign]

    scene.at(1.0, fails)
    seen = (await scene.play(3.2))["leg"]
    unharmed(seen)
    (one,) = [one for one in seen.silences if one.conn == 0]
    assert (one.end, one.reason) == (end, reason)
    assert one.ended - one.began == pytest.approx(2.0, abs=0.05)


async def test_a_dead_one_waits_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, leg(idle=IDLE))
    for at in range(1, 120):
        scene.at(at / 20, lambda: _all_but_held(scene))
    seen = (await scene.play(6.0, backoff=0.1, backoff_max=2.0))["leg"]
    unharmed(seen)
    opened = [one.opened for one in the(seen, "closed")]
    gaps = [later - one for one, later in pairwise(opened)]
    assert len(gaps) > 2
    assert gaps[-1] > 2 * gaps[0]


def _all_but_held(scene: Scene) -> None:
    held = scene.run.legs[0]._line if scene.run else None  # type: ignore[attr-defined]
    for line in scene.ends["leg"].open:
        if line is not held and line.used and line.lost is None:
            line.lost = error("connection_reset", "hold")
            line.on_lost()


async def test_while_the_leg_holds_nothing_it_opens_none(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, leg(idle=IDLE))
    scene.set(0.5, "leg", fresh=error("connect_refused"))
    scene.at(0.6, scene.ends["leg"].cut)
    seen = (await scene.play(6.0))["leg"]
    assert [one.symptom for one in seen.drops] == ["down"]
    assert len(the(seen, "closed")) == 1
    assert len(seen.silences) == 1
    assert of(seen, "fresh")


async def test_nothing_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, leg(idle=IDLE))
    await scene.play(3.0)
    assert scene.ends["leg"].open == []
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1
