"""What a leg that holds a connection makes of both its strands, at far ends that are made up."""

from __future__ import annotations

from typing import Any

import pytest
from far_end import ELSEWHERE, FINE, error
from strands import REFUSED, Scene, leg, of

from t3probe.observation import Observation, TcpSample
from t3probe.probes.facts import Facts
from t3probe.run.footing import Footing


def told(seen: Observation) -> tuple[Any, ...]:
    """Of its only drop: strand, reason and symptom."""
    (drop,) = seen.drops
    return drop.strand, drop.reason, drop.symptom


# -- the four symptoms --------------------------------------------------------------------------


async def test_a_leg_that_refuses_what_is_new_and_keeps_what_is_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch, leg("bad"), leg("well"))
    scene.set(0.1, "bad", fresh=REFUSED)
    seen = await scene.play(1.5)
    bad = seen["bad"]
    assert told(bad) == ("fresh", "connect_refused", "refusing")
    assert (bad.outcome, bad.reason) == ("failed", "connect_refused")
    assert (bad.connected, bad.accepting, bad.refuses) == (True, False, True)
    (drop,) = bad.drops
    assert (drop.recovered, drop.conn, drop.connection_age_seconds) == (None, None, None)
    assert (drop.answered, drop.lone) == (True, False)
    assert drop.attempt is not None
    assert (drop.attempt.ok, drop.attempt.reason) == (False, "connect_refused")
    # A held beat that was sent after the notice was answered, and it is one connection.
    assert any(beat.ok and beat.sent >= drop.noticed for beat in of(bad, "held"))
    assert len(bad.connections) == 1
    assert (seen["well"].outcome, seen["well"].connected, seen["well"].accepting) == (
        "passed",
        True,
        True,
    )


async def test_a_leg_that_accepts_again_has_recovered(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, leg("bad"))
    scene.set(0.1, "bad", fresh=REFUSED)
    scene.set(1.3, "bad", fresh=FINE)
    bad = (await scene.play(2.5))["bad"]
    assert told(bad) == ("fresh", "connect_refused", "refusing")
    assert bad.drops[0].recovered is not None
    assert 1.3 <= bad.drops[0].recovered <= 2.1
    assert (bad.outcome, bad.connected, bad.accepting) == ("failed", True, True)
    assert len(bad.connections) == 1


async def test_a_connection_that_dies_alone_is_a_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, leg("bad"), leg("well"))
    scene.at(0.5, scene.ends["bad"].cut)
    seen = await scene.play(0.8)
    bad = seen["bad"]
    assert told(bad) == ("held", "connection_reset", "cut")
    (drop,) = bad.drops
    assert (drop.conn, drop.noticed) == (0, pytest.approx(0.5, abs=0.01))
    assert drop.connection_age_seconds == pytest.approx(0.5, abs=0.01)
    assert drop.began == of(bad, "held")[0].ended  # its last good held beat, the common one
    assert drop.attempt is not None
    assert drop.attempt.ok
    assert drop.recovered == drop.attempt.ended
    assert (bad.outcome, bad.connected, bad.accepting) == ("failed", True, True)
    # What the second look opened is held from then on, and it is no connection of its own beside.
    assert [one.opened for one in bad.connections][1] == drop.attempt.started
    assert seen["well"].drops == ()


async def test_a_leg_of_which_nothing_works_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, leg("bad"))
    scene.set(0.4, "bad", fresh=REFUSED)
    scene.at(0.5, scene.ends["bad"].cut)
    bad = (await scene.play(0.8))["bad"]
    assert told(bad) == ("held", "connection_reset", "down")
    assert (bad.connected, bad.accepting) == (False, False)


async def test_one_failed_attempt_alone_degrades(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, leg("bad"), leg("well"))
    scene.set(0.5, "bad", next=[REFUSED])
    seen = await scene.play(1.5)
    bad = seen["bad"]
    assert told(bad) == ("fresh", "connect_refused", "blip")
    (drop,) = bad.drops
    assert drop.lone
    assert drop.attempt is not None
    assert drop.attempt.ok
    assert drop.recovered == drop.attempt.ended
    assert (bad.outcome, bad.reason) == ("degraded", "connect_refused")
    assert bad.detail == "one attempt failed and the next one worked: it was connect_refused"
    assert (bad.connected, bad.accepting, bad.counted) == (True, True, [])
    assert seen["well"].outcome == "passed"


@pytest.mark.parametrize("shared", [True, False])
async def test_two_blips_on_legs_that_share_a_segment_are_drops(
    shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = ("front", "front") if shared else ("left", "right")
    scene = Scene(monkeypatch, leg("one", paths[0], "a"), leg("two", paths[1], "b"))
    scene.set(0.5, "one", next=[REFUSED])
    scene.set(1.5, "two", next=[error("connect_timeout")])
    seen = await scene.play(2.5)
    assert [told(one)[2] for one in seen.values()] == ["blip", "blip"]
    outcome = "failed" if shared else "degraded"
    assert [one.outcome for one in seen.values()] == [outcome, outcome]
    assert [one.drops[0].lone for one in seen.values()] == [not shared] * 2
    assert [one.reason for one in seen.values()] == ["connect_refused", "connect_timeout"]
    assert seen["one"].connected


async def test_two_blips_of_one_leg_are_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, leg("bad"))
    for moment in (0.5, 1.5):
        scene.set(moment, "bad", next=[REFUSED])
    bad = (await scene.play(2.5))["bad"]
    assert [(drop.symptom, drop.lone) for drop in bad.drops] == [("blip", False)] * 2
    assert bad.outcome == "failed"


# -- one outage, both strands -------------------------------------------------------------------


async def test_the_held_connection_dies_after_new_ones_were_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch, leg("bad"))
    scene.set(0.1, "bad", fresh=REFUSED)
    symptoms: list[str] = []
    scene.at(1.4, lambda: symptoms.append(scene.book("bad").drops[0].symptom))
    scene.at(1.5, scene.ends["bad"].cut)
    bad = (await scene.play(1.8))["bad"]
    assert symptoms == ["refusing"]
    assert told(bad) == ("held", "connection_reset", "down")
    (drop,) = bad.drops
    assert drop.noticed == pytest.approx(1.0, abs=0.01)
    assert (drop.conn, drop.connection_age_seconds) == (0, pytest.approx(1.5, abs=0.01))
    assert drop.attempt is not None
    assert drop.attempt.reason == "connect_refused"
    assert (bad.connected, bad.accepting) == (False, False)
    assert (bad.outcome, bad.reason) == ("failed", "connection_reset")


async def test_the_kernels_numbers_of_the_connection_that_died_second_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Taken before it is closed: afterwards there are none."""
    scene = Scene(monkeypatch, leg("bad"))
    end = scene.ends["bad"]
    sample = TcpSample(state=1, rtt_seconds=0.001, unacked=3)

    def numbers() -> None:
        (line,) = end.open
        monkeypatch.setattr(line, "tcp", lambda: None if line.closed else sample)

    scene.at(0.1, numbers)
    scene.set(0.15, "bad", fresh=REFUSED)
    scene.at(1.5, end.cut)
    (drop,) = (await scene.play(1.8))["bad"].drops
    assert (drop.strand, drop.reason, drop.tcp) == ("held", "connection_reset", sample)


async def test_what_fails_while_a_leg_closes_is_no_drop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A held beat finds another route while a fresh one is open."""
    for fails in (True, False):
        scene = Scene(monkeypatch, leg("bad"))
        end = scene.ends["bad"]
        scene.set(0.9, "bad", held=ELSEWHERE, takes=0.5, fails_when_closed=fails)
        bad = (await scene.play(2.5))["bad"]
        assert (bad.outcome, bad.reason, bad.drops) == ("inconclusive", "leg_collapsed", ())
        last = of(bad, "fresh")[-1]
        assert (last.ok, last.conclusive) == (False, False)
        assert (end.open, end.under_way) == ([], 0)


async def test_a_collapse_after_a_drop_keeps_the_drop(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, leg("bad"))
    scene.at(0.5, scene.ends["bad"].cut)
    scene.set(0.8, "bad", fresh=ELSEWHERE)
    bad = (await scene.play(2.5))["bad"]
    assert told(bad) == ("held", "connection_reset", "cut")
    assert (bad.outcome, bad.reason) == ("failed", "connection_reset")
    assert bad.ended < 2


async def test_a_collapse_after_a_lone_blip_is_a_collapse(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, leg("bad"))
    scene.set(0.5, "bad", next=[REFUSED])
    scene.set(1.5, "bad", fresh=ELSEWHERE)
    bad = (await scene.play(2.5))["bad"]
    assert (bad.outcome, bad.reason) == ("inconclusive", "leg_collapsed")
    assert [drop.lone for drop in bad.drops] == [True]


async def test_a_collapse_after_a_blip_that_counts_keeps_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch, leg("bad"), leg("other"))
    scene.set(0.5, "bad", next=[REFUSED])
    scene.set(0.5, "other", next=[REFUSED])
    scene.set(1.5, "bad", fresh=ELSEWHERE)
    bad = (await scene.play(2.5))["bad"]
    assert (bad.outcome, bad.reason, bad.detail) == (
        "failed",
        "connect_refused",
        "it was connect_refused",
    )


# -- the second look ----------------------------------------------------------------------------


@pytest.mark.parametrize(("slow", "waits"), [(0.0, 0.0), (0.15, 0.15), (5.0, 0.25)])
async def test_a_second_look_waits_for_the_other_legs_fresh_beats(
    slow: float, waits: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leg that asks for its addresses begins its fresh beat later; none waits for it for ever."""
    scene = Scene(monkeypatch, leg("bad"), leg("slow"), leg("well"))
    scene.set(0.5, "slow", resolving=slow)
    scene.at(0.6, scene.ends["bad"].cut)
    seen = await scene.play(0.9, heartbeat=60, resolve_again=0.3, connect_timeout=0.5)
    (drop,) = seen["bad"].drops
    assert drop.attempt is not None
    waited = drop.attempt.started - drop.noticed
    assert waited == pytest.approx(waits, abs=0.01)
    for name, own in (("slow", slow), ("well", 0.0)):
        fresh = [beat for beat in of(seen[name], "fresh") if beat.sent >= drop.noticed]
        assert fresh[0].sent - drop.noticed == pytest.approx(min(own, 0.5), abs=0.01)
        if own <= waits:
            assert fresh[0].sent <= drop.attempt.started


@pytest.mark.parametrize(("takes", "waits"), [(0.1, 0.1), (0.2, 0.2), (0.6, 0.25)])
async def test_a_second_look_waits_until_the_others_were_answered(
    takes: float, waits: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was good by then was good between two failures."""
    scene = Scene(monkeypatch, leg("bad"), leg("slow"))
    scene.set(0.5, "slow", takes=takes)
    scene.set(0.5, "bad", fresh=REFUSED)
    (drop,) = (await scene.play(2.5))["bad"].drops
    assert drop.attempt is not None
    assert drop.attempt.started - drop.noticed == pytest.approx(waits, abs=0.01)


async def test_a_leg_has_only_so_many_fresh_attempts_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one that is over makes room, and nobody's second look waits for it for long."""
    scene = Scene(monkeypatch, leg("bad"), leg("worse"), leg("slow"))
    end = scene.ends["slow"]
    scene.set(0.55, "slow", takes=1.4)
    scene.at(1.52, scene.ends["bad"].cut)
    scene.at(1.85, scene.ends["worse"].cut)
    seen = await scene.play(2.05, heartbeat=0.3)
    assert end.most_under_way == 4
    slow = seen["slow"]
    assert slow.outcome == "passed"
    # The held strand goes on: on every heartbeat, and with the common beat.
    held = [beat.sent for beat in of(slow, "held")]
    assert [at for at in held if 0.55 <= at < 2.05] == pytest.approx(
        [0.6, 0.9, 1.2, 1.5, 1.8, 2.0], abs=0.01
    )
    # At 2.0 the first one makes room for the newest common beat.
    fresh = [beat.sent for beat in of(slow, "fresh") if beat.sent >= 0.55]
    assert fresh[:5] == pytest.approx([0.6, 0.9, 1.2, 1.5, 2.0], abs=0.01)
    for name in ("bad", "worse"):
        (drop,) = seen[name].drops
        assert drop.attempt is not None
        assert drop.attempt.started - drop.noticed == pytest.approx(0.25, abs=0.01)


# -- who may call -------------------------------------------------------------------------------


def callers(monkeypatch: pytest.MonkeyPatch, count: int, heartbeat: float = 60) -> Any:
    from probes.servers import deployment

    from t3probe.run.controller import Run
    from t3probe.timing import FakeClock, RunClock

    legs = [leg(f"leg{n}") for n in range(count)]
    run = Run(deployment(legs, heartbeat=heartbeat), legs, hold=60, clock=RunClock(FakeClock()))
    return run, run.legs


def test_a_leg_calls_one_common_beat_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    run, (one, other) = callers(monkeypatch, 2)
    calls = [run.call_for(one, at) for at in (5.0, 5.0, 5.9, 6.0)]
    assert calls == [1, 0, 0, 2]
    assert run.call_for(other, 6.0) == 3
    assert run.call_number == 3


def test_all_legs_together_call_ten_in_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    run, legs = callers(monkeypatch, 12)
    assert [run.call_for(one, 5.0) for one in legs] == [*range(1, 11), 0, 0]
    assert run.call_for(legs[10], 64.9) == 0
    assert run.call_for(legs[11], 65.0) == 11


def test_a_leg_that_called_three_calls_none_until_it_was_well_for_a_heartbeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, (one, other) = callers(monkeypatch, 2)

    def drops(noticed: float) -> int:
        call = run.call_for(one, noticed)
        one.book.drop(
            error("rtt_timeout", "ask"), began=noticed, sent=noticed, noticed=noticed, call=call,
            strand="held", conn=0, age=1.0, facts=Facts(), tcp=None,
        )  # fmt: skip
        one.book.recover(noticed + 0.5)
        return int(call)

    assert [drops(at) for at in (1.0, 11.0, 21.0)] == [1, 2, 3]
    # The heartbeat of the three is over, and it was never well for one.
    assert [drops(at) for at in (31.0, 80.0, 140.4)] == [0, 0, 0]
    assert run.call_for(other, 141.0) == 4
    assert drops(200.9) == 5
    assert drops(202.0) == 6


def test_with_a_heartbeat_below_a_second_a_leg_calls_one_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, legs = callers(monkeypatch, 12, heartbeat=0.25)
    one = legs[0]
    assert [run.call_for(one, at) for at in (5.0, 5.3, 5.99, 6.0, 7.0, 8.0)] == [1, 0, 0, 2, 3, 4]
    assert not one.muted, "three in a heartbeat are more than it may call at all"
    others = legs[1:]
    assert [run.call_for(leg, 8.1) for leg in others] == [*range(5, 14), 0, 0]
    # Nine of them and its own, 0.1 s earlier: with the next heartbeat there is room again.
    assert [run.call_for(leg, 8.26) for leg in others] == [*[0] * 9, 14, 0]
    assert run.call_for(others[-1], 8.35) == 15


def test_planned_downtime_calls_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    run, (one, other) = callers(monkeypatch, 2)
    run._planned = lambda leg: "away" if leg.name == "leg0" else ""
    assert run.call_for(one, 1.0) == 0
    assert one.muted
    assert run.call_for(other, 1.0) == 1


def test_who_was_muted_by_planned_downtime_calls_when_it_was_well_for_a_heartbeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, (one,) = callers(monkeypatch, 1, heartbeat=0.25)
    run._planned = lambda leg: "away"
    one.book.drop(
        error("rtt_timeout", "ask"), began=1.0, sent=1.0, noticed=1.0, call=0,
        strand="held", conn=0, age=1.0, facts=Facts(), tcp=None,
    )  # fmt: skip
    assert run.call_for(one, 1.0) == 0
    run._planned = lambda leg: ""
    assert run.call_for(one, 1.1) == 0  # still down
    one.book.recover(1.5)
    assert run.call_for(one, 1.7) == 0
    assert one.muted
    assert run.call_for(one, 1.75) == 1
    assert not one.muted


async def test_a_leg_that_keeps_dropping_stops_calling(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, leg("bad"), leg("well"))
    moments = [1.2, 2.4, 3.6, 4.8]
    for moment in moments:
        scene.at(moment, scene.ends["bad"].cut)
    seen = await scene.play(5.0, heartbeat=5.5, backoff=0.01, backoff_max=0.01)
    drops = seen["bad"].drops
    assert [drop.noticed for drop in drops] == pytest.approx(moments, abs=0.01)
    assert [drop.call for drop in drops] == [2, 3, 4, 0]
    # It looks a second time all the same.
    assert [drop.symptom for drop in drops] == ["cut"] * 4
    assert seen["well"].outcome == "passed"


# -- how often fresh beats come -----------------------------------------------------------------


async def test_without_fresh_beats_there_are_openings_and_second_looks_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch, leg("rare", fresh_every=0), leg("other"))
    scene.at(0.55, scene.ends["rare"].cut)
    scene.at(0.75, scene.ends["other"].cut)
    seen = await scene.play(1.25, heartbeat=0.1)
    rare = seen["rare"]
    (drop,) = rare.drops
    assert drop.symptom == "cut"
    assert drop.attempt is not None
    opening, second_look = of(rare, "fresh")
    assert opening.sent == pytest.approx(0.0, abs=0.001)
    assert second_look.sent == drop.attempt.started
    assert len(scene.ends["rare"].lines) == 2
    assert (rare.connected, rare.accepting) == (True, None)
    # It answers the other leg's common beat on its connection.
    called = seen["other"].drops[0].call
    assert called > drop.call
    assert [beat.call for beat in of(rare, "held")].count(called) >= 1
    # And nobody waits for it.
    look = seen["other"].drops[0].attempt
    assert look is not None
    assert look.started - seen["other"].drops[0].noticed < 0.05


async def test_without_fresh_beats_a_slow_opening_is_the_only_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Heartbeats that come while it is under way open nothing beside it."""
    scene = Scene(monkeypatch, leg("rare", fresh_every=0))
    scene.ends["rare"].takes = 0.35
    rare = (await scene.play(0.95, heartbeat=0.1))["rare"]
    assert len(scene.ends["rare"].lines) == 1
    assert [beat.sent for beat in of(rare, "fresh")] == [pytest.approx(0.0, abs=0.001)]
    assert (rare.outcome, rare.connected) == ("passed", True)


async def test_every_third_heartbeat_a_fresh_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, leg("third", fresh_every=3))
    third = (await scene.play(0.95, heartbeat=0.1))["third"]
    held = [beat.sent for beat in of(third, "held") if beat.sent >= 0.05]
    assert held == pytest.approx([0.1 * n for n in range(1, 10)], abs=0.01)
    fresh = [beat.sent for beat in of(third, "fresh")]
    # The opening, the first common beat, and every third heartbeat.
    assert fresh == pytest.approx([0.0, 0.0, 0.3, 0.6, 0.9], abs=0.01)
    assert third.accepting is True


# -- what is held -------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 0])
async def test_a_polite_close_is_no_drop(every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next heartbeat's fresh beat becomes the held connection."""
    scene = Scene(monkeypatch, leg("bad", fresh_every=every))
    scene.at(1.5, scene.ends["bad"].leave)
    bad = (await scene.play(3.5))["bad"]
    assert (bad.outcome, bad.drops, bad.connected) == ("passed", (), True)
    first, second = bad.connections
    assert (first.conn, second.opened) == (0, pytest.approx(2.0, abs=0.01))
    assert [beat.conn for beat in of(bad, "held")][-1] == second.conn
    assert all(beat.ok for beat in bad.beats)
    at_two = [beat for beat in bad.beats if 1.5 <= beat.sent < 2.5]
    assert [beat.strand for beat in at_two] == ["fresh"]  # a reopening is that heartbeat's


async def test_after_a_polite_close_the_last_fresh_beat_says_whether_it_is_connected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch, leg("bad"))
    scene.at(0.4, scene.ends["bad"].leave)
    scene.set(0.4, "bad", fresh=REFUSED)
    bad = (await scene.play(1.5))["bad"]
    assert told(bad) == ("fresh", "connect_refused", "down")
    assert (bad.connected, bad.accepting) == (False, False)


async def test_a_hold_of_zero_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, leg("bad"), leg("well"))
    scene.ends["bad"].fresh = REFUSED
    seen = await scene.play(0.0)
    well, bad = seen["well"], seen["bad"]
    assert (well.outcome, well.connections, well.connected) == ("passed", (), True)
    assert {beat.strand for beat in well.beats} == {"fresh"}
    assert scene.ends["well"].open == []
    assert told(bad) == ("fresh", "connect_refused", "down")
    assert (bad.connected, bad.accepting) == (False, False)


async def test_a_run_does_not_end_between_a_notice_and_its_second_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The leg that is well comes first: nothing of it is open when the other one notices."""
    scene = Scene(monkeypatch, leg("well"), leg("bad"))
    scene.ends["bad"].next = [REFUSED, REFUSED]
    seen = await scene.play(0)
    (drop,) = seen["bad"].drops
    assert drop.symptom == "down"
    assert drop.attempt is not None


async def test_an_attempt_that_began_in_an_outage_opens_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is slow to fail: meanwhile a later one worked, and the outage is over."""
    scene = Scene(monkeypatch, leg("bad"), leg("well"))
    scene.set(0.5, "bad", fresh=REFUSED, takes=0.45)
    scene.set(1.7, "bad", next=[REFUSED])
    scene.set(1.82, "bad", fresh=FINE, takes=0.0, next=[])
    bad = (await scene.play(3.0, heartbeat=0.3, backoff=0.1, backoff_max=0.1))["bad"]
    (drop,) = bad.drops
    assert drop.recovered is not None
    late = [one for one in bad.beats if not one.ok and one.ended > drop.recovered]
    assert late, "no attempt of the outage ended after it"


async def test_a_beat_whose_close_takes_long_ends_no_later_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The outage begins, and its second look fails, while an earlier beat's line is closing."""
    scene = Scene(monkeypatch, leg("bad"), leg("well"))
    scene.ends["bad"].closing = 1.5
    scene.set(1.1, "bad", fresh=REFUSED)
    bad = (await scene.play(4.5))["bad"]
    assert told(bad) == ("fresh", "connect_refused", "refusing")
    assert bad.drops[0].recovered is None


async def test_an_outage_that_falls_silent_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first attempts were answered; what is silent later may be something else."""
    for later, silent in ((REFUSED, False), (error("rtt_timeout"), True)):
        scene = Scene(monkeypatch, leg("bad"))
        scene.set(0.1, "bad", fresh=REFUSED)
        scene.set(1.3, "bad", fresh=later)
        (drop,) = (await scene.play(2.5))["bad"].drops
        assert drop.fell_silent == silent


async def test_a_second_look_that_got_no_answer_while_we_were_late_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stalled(self: Footing, began: float, ended: float, silent: bool = False) -> bool:
        return silent

    monkeypatch.setattr(Footing, "stalled", stalled)
    for second, symptom in ((REFUSED, "refusing"), (error("rtt_timeout"), "unknown")):
        scene = Scene(monkeypatch, leg("bad"))
        scene.set(0.5, "bad", next=[REFUSED, second])
        (drop,) = (await scene.play(1.5))["bad"].drops
        assert drop.symptom == symptom
