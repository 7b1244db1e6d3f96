"""What the held mode knows no more: legs that took another way, that told nothing, our own stalls,
and what a new file changes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from msgspec.structs import replace
from probes.servers import deployment
from test_watch_held import FRONT, TIMES, WHOLE, Moments, connected, hold, stall, state, walled, ws
from watch_clock import WALL, JumpClock, Script, Trouble, run, use_scripts
from watch_helpers import Kept, disconnects

from t3probe.config.types import Deployment, Downtime
from t3probe.deliver.notices.change import look_of
from t3probe.probes.base import Probing
from t3probe.probes.facts import Target
from t3probe.probes.resolve import ResolveError, Resolver


class Shown(NamedTuple):
    """The present of `whole`, which crosses front and back."""

    connected: float | None
    back: str
    front: str


def shown(kept: Kept) -> Shown:
    return Shown(connected(kept), state(kept, "back"), state(kept, "front"))


WELL = Shown(1.0, "exonerated", "exonerated")
DOWN = Shown(0.0, "convicted", "exonerated")
UNTOLD = Shown(None, "unobserved", "exonerated")


def test_our_stall_at_the_onset_is_not_held_against_a_leg_that_works_again(
    own_footing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script([Trouble(33.3, "connection_reset", lasts=100)])

    def look(kept: Kept) -> tuple[Shown, bool]:
        assert kept.snapshot is not None
        record, seen, judged, _ = vars(kept.snapshot).values()
        return shown(kept), look_of(record, seen, judged, WALL).stalled

    _, seen = hold(
        monkeypatch, {"whole": script, "front": Script()}, [WHOLE, FRONT],
        {33.2: stall(5), **dict.fromkeys([120.0, 220.0, 900.0], look)},
    )  # fmt: skip
    assert list(seen.values())[1:] == [(DOWN, False), (WELL, False), (WELL, False)]


@pytest.mark.parametrize("kind", ["collapsed_until", "breaks_until"])
def test_a_leg_that_took_another_way_at_its_second_look_is_held_again(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script([Trouble(33.3, "connection_reset")])
    moments: Moments = {33.0: lambda kept: setattr(script, kind, 50.0)}
    moments |= dict.fromkeys([60.0, 160.0, 900.0], shown)
    kept, seen = hold(
        monkeypatch, {"whole": script, "front": Script()}, [WHOLE, FRONT], moments
    )  # fmt: skip
    assert list(seen.values())[2:] == [WELL, WELL]
    assert disconnects(kept.series()) == {("whole", "connection_reset"): 1}
    assert len(script.trips) > 70, "it holds a connection and beats on it"
    assert len(kept.watch.held.books["whole"].connections) == 2


@pytest.mark.parametrize("kind", ["collapsed_until", "breaks_until"])
def test_an_outage_is_not_known_to_go_on_while_the_leg_takes_another_way(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script([Trouble(33.3, "connection_reset", lasts=70)])
    moments: Moments = {100.0: lambda kept: setattr(script, kind, 1000.0)}
    moments |= dict.fromkeys([90.0, 130.0, 200.0, 900.0, 1040.0, 1200.0], shown)
    _, seen = hold(monkeypatch, {"whole": script, "front": Script()}, [WHOLE, FRONT], moments)
    del seen[100.0]
    assert list(seen.values()) == [DOWN, DOWN, UNTOLD, UNTOLD, WELL, WELL]


def test_an_outage_is_not_known_to_go_on_while_answers_tell_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when the far end asks us to come less often: 429."""
    trouble = [
        Trouble(33.3, "connection_reset", lasts=60),
        Trouble(93.3, "http_4xx", lasts=900, conclusive=False),
        Trouble(993.3, "connection_reset", lasts=60),
    ]
    moments: Moments = dict.fromkeys([90.0, 130.0, 200.0, 900.0, 1030.0, 1080.0, 1200.0], shown)
    script = Script(trouble)
    kept, seen = hold(monkeypatch, {"whole": script, "front": Script()}, [WHOLE, FRONT], moments)
    assert list(seen.values()) == [DOWN, DOWN, UNTOLD, UNTOLD, DOWN, (1.0, *DOWN[1:]), WELL]
    (line,) = kept.lines("recovery")
    assert line["down_seconds"] > 990


def test_what_broke_while_nothing_was_told_is_not_cleared_by_what_was_good_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`back` breaks, answers that tell nothing come, and then `front` breaks."""
    whole = Script(
        [
            Trouble(33.3, "connection_reset", lasts=60),
            Trouble(93.3, "http_4xx", lasts=100, conclusive=False),
            Trouble(193.3, "connection_reset", lasts=300),
        ]
    )
    front = Script([Trouble(203.3, "connection_reset", lasts=290)])
    moments: Moments = dict.fromkeys([202.9, 300.0], lambda kept: shown(kept)[1:])
    _, seen = hold(monkeypatch, {"whole": whole, "front": front}, [WHOLE, FRONT], moments)
    assert list(seen.values()) == [("ambiguous", "ambiguous"), ("masked", "convicted")]


def test_the_next_drop_brings_nothing_back_of_an_outage_that_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was good when a long one began is forgotten, and one that took another way at last was
    over before that."""
    long = Script(
        [
            Trouble(33.3, "connection_reset", lasts=900),
            Trouble(975.3, "connection_reset"),
        ]
    )
    lost = Script(
        [
            Trouble(433.3, "connection_reset", lasts=70),
            Trouble(503.3, "http_4xx", lasts=440, conclusive=False),
            Trouble(975.3, "connection_reset"),
        ]
    )
    legs = [WHOLE, FRONT, ws("other", "side", "end"), ws("side", "side")]
    scripts = {"whole": long, "front": Script(), "other": lost, "side": Script()}

    def look(kept: Kept) -> list[str]:
        assert kept.snapshot is not None
        drops = {one.leg: one.drops for one in kept.snapshot.observations}
        symptoms = [one.symptom for name in ("whole", "other") for one in drops[name]]
        return [state(kept, "back"), state(kept, "front"), *symptoms]

    _, seen = hold(monkeypatch, scripts, legs, {985.0: look})
    assert seen[985.0] == ["convicted", "exonerated", "down", "cut", "cut"]


def test_since_when_a_segment_is_convicted_stays_for_as_long_as_its_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = Script([Trouble(33.3, "connection_reset", lasts=3000)])

    def since(kept: Kept) -> float:
        return kept.series()['t3probe_segment_since_timestamp_seconds{segment="back"}'] - WALL

    def told(kept: Kept) -> float:
        assert kept.snapshot is not None
        record, seen, judged, _ = vars(kept.snapshot).values()
        return look_of(record, seen, judged, WALL + 5000).broken["back"] - WALL

    moments: Moments = dict.fromkeys([50.0, 150.0, 2000.0], since)
    _, seen = hold(
        monkeypatch, {"whole": script, "front": Script()}, [WHOLE, FRONT], {**moments, 2500.0: told}
    )
    assert list(seen.values()) == pytest.approx([30.02] * 4, abs=0.01)


def test_a_name_that_is_found_late_costs_no_observed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No resolver answers when the machine comes up."""

    async def targets(leg: object, probing: Probing, resolver: Resolver) -> list[Target]:
        if probing.clock.now() < 55:
            raise ResolveError("nobody answers")
        return [Target("app.example", "127.0.0.1", 9)]

    monkeypatch.setattr("t3probe.run.attempt.targets", targets)
    kept, _ = hold(
        monkeypatch, {"wall": Script()}, [walled("wall", "front")], {1000.0: lambda kept: None}
    )
    observed = kept.series()['t3probe_observed_seconds_total{leg="wall"}']
    assert 850 < observed < 960


def test_a_reload_brings_the_marks_of_the_new_file() -> None:
    first = deployment([WHOLE], **TIMES)
    kept = Kept(first, clock=JumpClock())
    new = replace(first, marks={"server": "back"}, paths=(("front", "back"),))
    kept.watch.held._use(new)
    marks = kept.watch.held.probing.marks
    assert (marks.segments, marks.paths) == (new.marks, new.paths)


def test_an_outage_that_outlasts_planned_downtime_counts_from_then_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = Script([Trouble(33.3, "connection_reset", lasts=500)])
    until = datetime.fromtimestamp(WALL + 200, UTC)

    def plan(made: Deployment) -> Deployment:
        return replace(made, downtime=(Downtime(until=until, leg="whole"),))

    def look(kept: Kept) -> tuple[Shown, dict[tuple[str, str], float]]:
        return shown(kept), disconnects(kept.series())

    moments: Moments = dict.fromkeys([190.0, 230.0, 700.0], look)
    kept, seen = hold(
        monkeypatch, {"whole": script, "front": Script()}, [WHOLE, FRONT], moments, plan
    )
    once = {("whole", "connection_reset"): 1.0}
    assert list(seen.values()) == [(UNTOLD, {}), (DOWN, once), (WELL, once)]
    last = kept.series()['t3probe_last_disconnect_timestamp{leg="whole"}'] - WALL
    assert last == pytest.approx(200, abs=1)
    planned, counted = kept.lines("drop")
    assert (planned["counted"], planned["verdict"]) == (False, None)
    assert (counted["counted"], counted["verdict"]["convicted"]) == (True, ["back"])
    assert planned["time"] == counted["time"]


def test_a_leg_that_began_anew_tells_no_end_of_what_was_told_of_the_old_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    down, cut = Trouble(33.3, "connection_reset", lasts=90), Trouble(153.3, "connection_reset")
    first = deployment([WHOLE, FRONT], **TIMES)
    changed = replace(first, legs=(replace(WHOLE, url="ws://app.example/else"), FRONT))
    use_scripts(monkeypatch, {"whole": Script([down, cut]), "front": Script()})
    clock = JumpClock()

    async def main() -> Kept:
        kept = Kept(first, clock=clock, load=lambda: changed)
        serving = asyncio.create_task(kept.watch.serve())
        await asyncio.sleep(100)
        down.lasts = 0.0
        kept.watch.reload()
        await asyncio.sleep(100)
        kept.watch.stop()
        await serving
        return kept

    kept = run(clock, main())
    said = [one["event"] for one in kept.lines() if one.get("leg") == "whole"]
    assert said == ["drop", "drop"]
