"""A whole run: common beats, the hold and its end, stopping, and our own footing."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from probes.fixtures import Authority
from probes.servers import (
    HOST,
    answering,
    deployment,
    echo,
    echo_frames,
    head,
    http_leg,
    made_run,
    probe,
    probe_all,
    reset,
    serve,
    silent,
    upgrade,
    ws_leg,
)
from run_servers import OK, Reader, Writer, answers_late, tcp_leg

from t3probe.config.types import Leg
from t3probe.timing import next_beat

# -- together ------------------------------------------------------------------------------


async def test_all_legs_start_together() -> None:
    """Nobody is answered before everybody has asked."""
    waiting = 0
    everybody = asyncio.Event()

    async def handler(reader: Reader, writer: Writer) -> None:
        nonlocal waiting
        await head(reader, writer)
        waiting += 1
        if waiting == 5:
            everybody.set()
        await everybody.wait()
        writer.write(OK)
        await silent(reader, writer)

    async with serve(handler) as server:
        legs = [http_leg(server, name=f"h{n}") for n in range(5)]
        seen = await probe_all(legs, watchdog=10)
    assert {leg.outcome for leg in seen.values()} == {"passed"}


async def test_a_drop_makes_all_legs_beat_at_once(authority: Authority) -> None:
    """Long before the next heartbeat, each with the common beat's number."""
    dropped = asyncio.Event()

    async def breaks(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        if writer.server.connections == 1:  # type: ignore[attr-defined]
            await echo_frames(reader, writer, 2)
            await asyncio.sleep(0.2)
            dropped.set()
            reset(writer)
        else:
            await echo_frames(reader, writer)

    async with serve(breaks) as bad, serve(echo) as well, serve(answering(OK)) as web:
        legs = [ws_leg(bad, name="bad"), ws_leg(well), http_leg(web), tcp_leg(web)]
        seen = await probe_all(legs, hold=0.6, heartbeat=60)
    (drop,) = seen["bad"].drops
    assert (drop.reason, drop.symptom, drop.call) == ("connection_reset", "cut", 2)
    assert drop.attempt is not None
    assert drop.attempt.ok
    for name, strands in (("ws", 2), ("http", 2), ("tcp", 1)):
        answers = [beat for beat in seen[name].beats if beat.call == drop.call]
        assert {beat.strand for beat in answers} == set(["fresh", "held"][:strands]), name
        assert len(answers) == strands, name
        assert all(beat.ok for beat in answers)
        assert all(drop.noticed <= beat.sent <= drop.attempt.started for beat in answers)
        # The first beat, the common one once all were up, this one, and one at the hold's end.
        calls = [beat.call for beat in seen[name].beats]
        assert calls == [0, *[1] * strands, *[2] * strands, *[3] * strands]
    assert seen["bad"].connected


async def test_after_an_early_drop_there_is_no_beat_at_the_end_of_the_hold() -> None:
    async def breaks(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        if writer.server.connections == 1:  # type: ignore[attr-defined]
            await echo_frames(reader, writer, 2)
            reset(writer)
        else:
            await echo_frames(reader, writer)

    async with serve(breaks) as bad, serve(echo) as well:
        seen = await probe_all([ws_leg(bad, name="bad"), ws_leg(well)], hold=0.9, heartbeat=0.3)
    (drop,) = seen["bad"].drops
    assert max(beat.call for beat in seen["ws"].beats) == drop.call


async def test_a_leg_whose_held_beat_is_open_answers_the_common_beat_by_a_fresh_one() -> None:
    async def breaks(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        if writer.server.connections == 1:  # type: ignore[attr-defined]
            await echo_frames(reader, writer, 2)
            await asyncio.sleep(0.1)
            reset(writer)
        else:
            await echo_frames(reader, writer)

    async def slow(reader: Reader, writer: Writer) -> None:
        while True:
            await head(reader, writer)
            await asyncio.sleep(0.3)
            writer.write(OK)

    async with serve(breaks) as bad, serve(slow) as busy:
        legs = [ws_leg(bad, name="bad"), http_leg(busy)]
        seen = await probe_all(legs, hold=2, heartbeat=60)
    (drop,) = seen["bad"].drops
    (answer,) = [beat for beat in seen["http"].beats if beat.call == drop.call]
    (open_then,) = [
        beat
        for beat in seen["http"].beats
        if beat.strand == "held" and beat.sent < drop.noticed < beat.ended
    ]
    assert answer.strand == "fresh"
    assert answer.ok
    assert drop.noticed <= answer.sent < open_then.ended
    assert seen["http"].outcome == "passed"


async def test_the_first_common_beat_comes_when_all_are_up() -> None:
    async def late(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        await asyncio.sleep(0.1)
        await echo_frames(reader, writer)

    async with serve(echo) as one, serve(late) as two:
        legs = [ws_leg(one, name="one"), ws_leg(two, name="two")]
        seen = await probe_all(legs, hold=0.6, heartbeat=60)
    first, second = seen["one"].beats, seen["two"].beats
    for beats in (first, second):
        assert [beat.call for beat in beats] == [0, 1, 1]
        assert beats[0].strand == "fresh"  # the opening
        assert {beat.strand for beat in beats[1:]} == {"held", "fresh"}
    assert min(beat.sent for beat in first[1:]) >= second[0].ended


# -- the hold ------------------------------------------------------------------------------


async def test_hold_zero_is_one_beat_a_leg() -> None:
    async with serve(echo) as one, serve(answering(OK)) as two:
        legs = [ws_leg(one), http_leg(two), tcp_leg(two)]
        seen = await probe_all(legs)
    assert [len(leg.beats) for leg in seen.values()] == [1, 1, 1]
    assert one.connections == 1


async def test_hold_zero_has_a_common_beat_after_a_drop() -> None:
    async with serve(silent) as gone:
        leg = ws_leg(gone, name="bad")
    async with serve(echo) as one:
        seen = await probe_all([leg, ws_leg(one)])
    assert [drop.symptom for drop in seen["bad"].drops] == ["down"]
    assert [beat.call for beat in seen["ws"].beats] == [0, 1]


@given(st.floats(0, 1e6), st.floats(0.001, 1e4))
def test_beats_stand_at_multiples_of_the_heartbeat(now: float, heartbeat: float) -> None:
    due = next_beat(now, heartbeat)
    assert due / heartbeat == pytest.approx(round(due / heartbeat), abs=1e-3)
    assert now - 1e-6 * heartbeat <= due <= now + heartbeat * 1.001


async def test_heartbeats_do_not_drift() -> None:
    """However long each answer takes, no beat comes before its time, and none twice."""

    async def slow(reader: Reader, writer: Writer) -> None:
        while True:
            await head(reader, writer)
            await asyncio.sleep(0.07)
            writer.write(OK)

    async with serve(slow) as server:
        seen = await probe(http_leg(server), hold=0.9, heartbeat=0.2)
    for strand in ("held", "fresh"):
        sent = [beat.sent for beat in seen.beats if beat.strand == strand and beat.sent >= 0.15]
        assert sent == pytest.approx([0.2, 0.4, 0.6, 0.8], abs=0.02)


async def test_a_beat_open_at_the_end_of_the_hold_is_awaited() -> None:
    async with serve(answers_late(0.5)) as server:
        seen = await probe(ws_leg(server), hold=0.25, heartbeat=0.2, watchdog=8)
    assert seen.outcome == "passed"
    # The opening, then both strands of the first common beat and of the heartbeat.
    assert [beat.ok for beat in seen.beats] == [True] * 5
    assert seen.ended >= 0.65
    assert seen.observed_seconds >= 0.65


async def test_a_beat_open_at_the_end_of_the_hold_is_awaited_up_to_the_watchdog() -> None:
    async with serve(answers_late(60)) as server:
        seen = await probe(ws_leg(server), hold=0.25, heartbeat=0.2, watchdog=0.3)
    assert (seen.outcome, seen.reason) == ("failed", "rtt_timeout")
    assert seen.drops[0].symptom == "cut"


async def test_a_beat_that_the_deadline_cuts_is_neither_pass_nor_drop() -> None:
    async with serve(answers_late(60)) as server:
        seen = await probe(ws_leg(server), hold=0.35, heartbeat=0.3, watchdog=60, deadline=0.8)
    assert (seen.outcome, seen.drops) == ("passed", ())
    *judged, cut = seen.beats
    assert [beat.ok for beat in judged] == [True] * 4
    assert (cut.ok, cut.conclusive, cut.strand) == (False, False, "held")
    # What was seen ends at the last judged beat, the fresh one of the heartbeat.
    assert (judged[-1].strand, seen.ended) == ("fresh", judged[-1].ended)
    assert seen.ended < cut.ended
    assert seen.observed_seconds == pytest.approx(seen.ended - seen.started, abs=1e-5)


async def test_a_first_beat_that_the_deadline_cuts_says_nothing() -> None:
    async with serve(silent) as server:
        legs = [ws_leg(server), http_leg(server)]
        seen = await probe_all(legs, watchdog=60, connect_timeout=60, deadline=0.3)
    for leg in seen.values():
        assert (leg.outcome, leg.reason, leg.drops) == ("inconclusive", None, ())
        assert [(beat.ok, beat.conclusive) for beat in leg.beats] == [(False, False)]


async def test_a_symptom_that_the_deadline_cuts_is_unknown() -> None:
    async with serve(silent) as server:
        seen = await probe(ws_leg(server), watchdog=0.4, deadline=0.6)
    assert seen.outcome == "failed"
    assert [drop.symptom for drop in seen.drops] == ["unknown"]


async def test_a_collapsed_leg_keeps_nobody_waiting() -> None:
    async with serve(silent) as gone:
        bad = ws_leg(gone, name="bad")
    async with serve(echo) as server:
        legs = [bad, ws_leg(server, name="collapsed", headers_present=("cf-ray",)), ws_leg(server)]
        async with asyncio.timeout(15):
            seen = await probe_all(legs, deadline=60)
    assert seen["collapsed"].reason == "leg_collapsed"
    assert seen["bad"].outcome == "failed"
    assert seen["ws"].outcome == "passed"


# -- stopping ------------------------------------------------------------------------------


async def test_stop_in_the_middle_keeps_what_was_seen(authority: Authority) -> None:
    """Also when every server falls silent, in every phase."""
    async with (
        serve(answers_late(60)) as mute_ws,
        serve(silent) as mute,
        serve(answering(OK)) as web,
    ):
        legs = [
            ws_leg(mute_ws),
            ws_leg(mute, name="upgrade"),
            ws_leg(mute, name="tls", url=f"wss://{HOST}/"),
            http_leg(mute, name="https", url=f"https://{HOST}/"),
            http_leg(mute),
            http_leg(web, name="well"),
            Leg(name="doh", kind="doh", path=("d",), doh=(f"https://{mute.pin}/",), query=HOST),
            ws_leg(name="named", url=f"ws://{HOST}/", doh=(f"https://{mute.pin}/",)),
            Leg(name="walled", kind="walled", path=("w",), url=f"http://{HOST}/", pin=mute.pin),
        ]
        made = deployment(legs, authority.file, watchdog=60, connect_timeout=60)
        run = made_run(made, legs, hold=60)
        loop = asyncio.get_running_loop()
        loop.call_later(0.5, run.stop)
        async with asyncio.timeout(0.5 + 2.5):
            observations = await run.measure()
    assert run.interrupted
    seen = {leg.leg: leg for leg in observations}
    assert seen["well"].outcome == "passed"
    assert len(seen["well"].beats) > 2
    assert seen["ws"].outcome == "passed"
    for name in ("upgrade", "tls", "https", "http", "doh", "named", "walled"):
        assert seen[name].outcome == "inconclusive", name
        assert seen[name].drops == ()


async def test_stop_before_the_start() -> None:
    async with serve(silent) as server:
        leg = ws_leg(server)
        run = made_run(deployment([leg], watchdog=60), [leg], hold=60)
        run.stop()
        async with asyncio.timeout(4):
            (seen,) = await run.measure()
    assert seen.outcome == "inconclusive"


async def test_progress_is_shown_and_ends_with_the_run() -> None:
    calls = []
    async with serve(echo) as server:
        leg = ws_leg(server)
        run = made_run(deployment([leg]), [leg], hold=0.2, progress=calls.append)
        await run.measure()
    assert calls[0] is run
