"""The two strands in the held mode: what refuses, what blips, and what is counted of them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from probes.servers import deployment
from test_watch_held import (
    FRONT,
    TIMES,
    WHOLE,
    Moments,
    connected,
    hold,
    state,
    walled,
    ws,
)
from watch_clock import JumpClock, Partial, Script, Trouble, run, use_scripts
from watch_helpers import Kept, disconnects

from t3probe.config.types import Deployment
from t3probe.observation import Observation
from t3probe.probes.facts import Echo
from t3probe.run.controller import Run
from t3probe.timing import RunClock
from t3probe.watch.counts import BESIDE_SECONDS, Blips

SIDE = ws("side", "side")


def refused(at: float, lasts: float) -> Trouble:
    """New connections are refused; what is open lives on."""
    return Trouble(at, "connect_refused", lasts=lasts, only_new=True)


def blip(at: float) -> Trouble:
    """One new connection is refused."""
    return refused(at, 0.005)


def accepting(kept: Kept, leg: str = "whole") -> float | None:
    return kept.series().get(f't3probe_accepting{{leg="{leg}"}}')


def aged(kept: Kept, leg: str = "whole") -> float:
    return kept.series()[f't3probe_connection_age_seconds_count{{leg="{leg}"}}']


def look(kept: Kept) -> tuple[Any, ...]:
    return connected(kept), accepting(kept), state(kept, "back"), disconnects(kept.series())


def test_a_leg_that_refuses_stays_connected_and_is_counted_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = Script([refused(105.0, 400.0)])
    moments: Moments = dict.fromkeys([100.0, 150.0, 480.0, 700.0], look)
    kept, seen = hold(monkeypatch, {"whole": script, "front": Script()}, [WHOLE, FRONT], moments)
    once = {("whole", "connect_refused"): 1.0}
    assert seen[100.0] == (1.0, 1.0, "exonerated", {})
    assert seen[150.0] == (1.0, 0.0, "convicted", once)
    assert seen[480.0] == (1.0, 0.0, "convicted", once)
    assert seen[700.0] == (1.0, 1.0, "exonerated", once)
    assert aged(kept) == 0
    lines = kept.lines()
    (line,) = [one for one in lines if one["event"] == "drop"]
    assert (line["symptom"], line["strand"], line["counted"]) == ("refusing", "fresh", True)
    assert line["age_seconds"] is None
    assert line["verdict"]["convicted"] == ["back"]
    (over,) = [one for one in lines if one["event"] == "recovery"]
    assert over["leg"] == "whole"


def test_a_connection_that_dies_while_new_ones_are_refused_leaves_its_age(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = Script([refused(105.0, 400.0), Trouble(303.3, "connection_reset")])
    kept, seen = hold(
        monkeypatch, {"whole": script, "front": Script()}, [WHOLE, FRONT],
        {250.0: aged, 330.0: look, 331.0: aged},
    )  # fmt: skip
    assert (seen[250.0], seen[331.0]) == (0, 1)
    assert seen[330.0] == (0.0, 0.0, "convicted", {("whole", "connect_refused"): 1.0})
    assert kept.series()['t3probe_connection_age_seconds_sum{leg="whole"}'] == pytest.approx(
        303.3, abs=0.1
    )


def test_a_held_connection_that_fails_too_gives_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """New ones fail first, and the second look finds both down: one drop, as ever."""
    script = Script([Trouble(110.0, "connection_reset", lasts=300.0)])
    kept, _ = hold(monkeypatch, {"whole": script, "front": Script()}, [WHOLE, FRONT], {200.0: look})
    assert disconnects(kept.series()) == {("whole", "connection_reset"): 1.0}
    assert aged(kept) == 1


def test_a_blip_alone_is_shown_and_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = {"whole": Script([blip(110.0)]), "front": Script()}
    kept, seen = hold(monkeypatch, scripts, [WHOLE, FRONT], {140.0: look})
    assert seen[140.0] == (1.0, 1.0, "exonerated", {})
    assert 't3probe_last_disconnect_timestamp{leg="whole"}' not in kept.series()
    (line,) = kept.lines("drop")
    assert (line["symptom"], line["counted"], line["verdict"]) == ("blip", False, None)


def test_two_blips_within_a_minute_on_one_segment_are_drops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scripts = {"whole": Script([blip(110.0)]), "front": Script([blip(150.0)]), "side": Script()}
    kept, seen = hold(monkeypatch, scripts, [WHOLE, FRONT, SIDE], {140.0: look, 165.0: look})
    both = {("whole", "connect_refused"): 1.0, ("front", "connect_refused"): 1.0}
    assert (seen[140.0][-1], seen[165.0][-1]) == ({}, both)
    series = kept.series()
    assert series['t3probe_check_success{check="front"}'] == 0
    whole, front = kept.lines("drop")
    assert (whole["counted"], front["counted"]) == (False, True), "the first was told before"
    assert front["verdict"] is not None


@pytest.mark.parametrize(
    ("other", "at"), [("front", 180.0), ("side", 120.0)], ids=["a minute later", "elsewhere"]
)
def test_blips_that_are_not_beside_one_another_are_none(
    other: str, at: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = {"whole": Script([blip(110.0)]), "front": Script(), "side": Script()}
    scripts[other].trouble.append(blip(at))
    kept, _ = hold(monkeypatch, scripts, [WHOLE, FRONT, SIDE], {220.0: look})
    assert disconnects(kept.series()) == {}
    assert len(kept.lines("drop")) == 2


def test_round_trips_are_those_of_held_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = walled("wall", "front")
    scripts = {"whole": Script(new_rtt=2.0), "wall": Script(new_rtt=2.0)}
    kept, _ = hold(monkeypatch, scripts, [WHOLE, wall], {200.0: look})
    series = kept.series()
    assert series['t3probe_rtt_seconds_count{leg="whole"}'] >= 15
    assert (
        series['t3probe_rtt_seconds_bucket{le="0.025",leg="whole"}']
        == (series['t3probe_rtt_seconds_count{leg="whole"}'])
    )
    assert series['t3probe_rtt_seconds_count{leg="wall"}'] >= 3
    assert series['t3probe_rtt_seconds_bucket{le="1.0",leg="wall"}'] == 0


# -- blips among themselves ---------------------------------------------------------------------


def test_what_falls_short_is_that_of_the_newest_beat() -> None:
    kept = Kept(deployment([WHOLE], **TIMES), clock=JumpClock())
    book = kept.watch.held.legs[0].book

    def beats(at: float, **more: Any) -> tuple[Any, ...]:
        book.good(Echo(sent=at, ended=at + 0.1, **more), 0, 0, None, "fresh")
        seen = book.observation("")
        return seen.outcome, seen.reason

    assert beats(1.0) == ("passed", None)
    silent = ("rtt_timeout", "its page does not answer")
    assert beats(2.0, short=silent) == ("degraded", "rtt_timeout")
    # In a run it would stay so.
    assert beats(3.0) == ("passed", None)


def test_what_a_leg_proved_is_the_least_of_a_time() -> None:
    kept = Kept(deployment([WHOLE], **TIMES), clock=JumpClock())
    book = kept.watch.held.books["whole"]
    for at, clears in ((1.0, None), (2.0, ("front",)), (3.0, ("front", "back")), (4.0, None)):
        echo = Echo(sent=at, ended=at + 0.1, clears=clears)
        book.good(echo, 0, 0, None, "fresh")
    assert book.proved(0.0) == book.proved(2.1) == ("front",)
    assert book.proved(2.2) == ("front", "back")
    assert book.proved(3.2) is None


@pytest.mark.parametrize("lasts", [25.0, 80.0])
def test_a_leg_that_proves_its_whole_path_again_clears_nobody_of_the_outage_before(
    lasts: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public path that somebody before the rule answers meanwhile; within the window it begins,
    or before it."""
    only = Partial(105.0, 105.0 + lasts, ("front",))
    scripts = {
        "whole": Script([refused(105.0, lasts)]), "front": Script(),
        "public": Script(partial=only),
    }  # fmt: skip
    legs = [WHOLE, FRONT, walled("public", "front", "back")]

    def sweeps_often(made: Deployment) -> Deployment:
        return replace(made, timing=replace(made.timing, sweep_interval=10))

    over = 105.0 + lasts
    moments: Moments = dict.fromkeys([100.0, over - 1, over + 15, over + 50, over + 90], look)
    _, seen = hold(monkeypatch, scripts, legs, moments, sweeps_often)
    assert [one[2] for one in seen.values()] == [
        "exonerated", "convicted", "convicted", "convicted", "exonerated"
    ]  # fmt: skip


def test_a_reload_gives_the_books_the_glosses_of_the_new_file() -> None:
    first = deployment([WHOLE], **TIMES)
    kept = Kept(first, clock=JumpClock())
    kept.watch.held._use(replace(first, gloss={"back": "or what is behind it"}))
    assert kept.watch.held.legs[0].book.gloss == {"back": "or what is behind it"}


def test_a_blip_is_counted_once_however_much_company_it_has() -> None:
    blips, counted = Blips(), list[str]()
    for at, name in ((0.0, "a"), (10.0, "b"), (20.0, "c"), (20.0 + BESIDE_SECONDS + 0.1, "d")):
        blips.add(at, ("wan", name), lambda name=name: counted.append(name))  # type: ignore[misc]
    assert counted == ["a", "b", "c"]


def test_retries_between_two_heartbeats_do_not_hide_who_was_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody else beats between two retries: the attempts before and at a heartbeat tell."""

    def soon(made: Deployment) -> Deployment:
        return replace(made, timing=replace(made.timing, backoff=2.0, backoff_max=2.0))

    script = Script([Trouble(105.0, "connection_reset", lasts=400.0)])
    moments: Moments = dict.fromkeys([247.5, 249.5, 251.0], look)
    _, seen = hold(monkeypatch, {"whole": script, "front": Script()}, [WHOLE, FRONT], moments, soon)
    assert {one[2] for one in seen.values()} == {"convicted"}


# -- what a connection's opening leaves ---------------------------------------------------------


def phase(kept: Kept) -> float:
    return kept.series()['t3probe_phase_seconds{leg="whole",phase="connect"}']


def test_phases_are_of_the_connection_that_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line is a millisecond slower to connect than the one before it."""
    script = Script([Trouble(103.3, "connection_reset")])
    _, seen = hold(monkeypatch, {"whole": script}, [WHOLE], {90.0: phase, 150.0: phase})
    opened = seen[150.0] * 1000
    assert seen[90.0] == 0.001
    assert 10 < opened < script.opened - 3, "of the reopening, and of no fresh beat after it"


def test_fresh_beats_of_a_run_do_not_overwrite_its_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    script, clock = Script(), JumpClock()
    use_scripts(monkeypatch, {"whole": script})
    made = deployment([WHOLE], **TIMES)

    async def main() -> list[Observation]:
        whole = Run(made, [WHOLE], hold=60.0, clock=RunClock(clock))
        return await whole.measure()

    (seen,) = run(clock, main())
    assert script.opened > 5
    assert seen.phases["connect"] == 0.001
    assert (seen.outcome, seen.connected, seen.accepting) == ("passed", True, True)
