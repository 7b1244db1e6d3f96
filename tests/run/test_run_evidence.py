"""A run: flapping legs, evidence, our own footing, and what is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import ssl
from typing import Any

import msgspec
import pytest
from probes.fixtures import Authority
from probes.servers import (
    HOST,
    Server,
    answering,
    deaf,
    deployment,
    echo,
    echo_frames,
    head,
    http_leg,
    made_run,
    probe,
    probe_all,
    read_frame,
    reset,
    response,
    serve,
    silent,
    until,
    upgrade,
    ws_leg,
)
from run_servers import OK, Reader, Writer, answers_late, tcp_leg
from steady_loop import stand_still

from t3probe.config.types import Leg
from t3probe.observation import Observation, RunRecord
from t3probe.probes import KINDS
from t3probe.probes.base import Probing
from t3probe.verdict.incident.run import judge_run

# -- flapping ------------------------------------------------------------------------------


async def closes_after_each_echo(reader: Reader, writer: Writer) -> None:
    await upgrade(reader, writer)
    await echo_frames(reader, writer, 1)


async def test_flapping_legs_do_not_wake_each_other_for_ever() -> None:
    async with serve(closes_after_each_echo) as server:
        legs = [ws_leg(server, name=f"ws{n}", path=(f"s{n}",)) for n in range(3)]
        made = deployment(legs, heartbeat=1, backoff=0.3, backoff_max=0.5)
        run = made_run(made, legs, hold=1.5)
        seen = await run.measure()
    assert {leg.outcome for leg in seen} == {"failed"}
    # The first common beat, one that each leg calls a second, and the one at the hold's end.
    assert 4 <= run.call_number <= 1 + 3 * 2 + 1
    # Each leg opens one connection at first, one a heartbeat, one a common beat and one a pause,
    # and each of them dies and is followed by a second look.
    assert server.connections <= 3 * 2 * (1 + 1 + run.call_number + 5)


async def test_flapping_one_shot_legs_do_not_wake_each_other_for_ever() -> None:
    turn = 0

    async def every_other(reader: Reader, writer: Writer) -> None:
        nonlocal turn
        await head(reader, writer)
        turn += 1
        writer.write(response("401 Unauthorized") if turn % 2 else OK)

    async with serve(every_other) as server:
        legs = [
            Leg(
                name=f"w{n}", kind="walloff", path=(f"s{n}",),
                url=f"http://{HOST}/p", pin=server.pin,
            )
            for n in range(2)
        ]  # fmt: skip
        seen = await probe_all(legs, hold=0.7, heartbeat=0.5, backoff=0.4, backoff_max=0.5)
    assert "failed" in {leg.outcome for leg in seen.values()}
    assert server.connections <= 60


async def test_hundreds_of_flaps_are_all_one_bounded_story() -> None:
    async with serve(closes_after_each_echo) as server:
        seen = await probe(ws_leg(server), hold=0.4, backoff=0.001, backoff_max=0.001)
    assert len(seen.drops) > 5
    for drop, following in zip(seen.drops, seen.drops[1:], strict=False):
        assert drop.began <= drop.noticed <= following.noticed
        assert drop.recovered is not None
        assert drop.noticed <= drop.recovered


async def test_an_outage_is_one_drop_however_many_attempts_fail() -> None:
    async with serve(echo) as server:
        pin, leg = server.port, ws_leg(server)

        async def come_back() -> None:
            await asyncio.sleep(0.4)
            async with serve(echo, port=pin):
                await asyncio.sleep(0.6)

    back = asyncio.create_task(come_back())
    seen = await probe(leg, hold=0.75)
    await back
    (drop,) = seen.drops
    assert (drop.reason, drop.symptom) == ("connect_refused", "down")
    assert drop.recovered is not None
    assert drop.recovered >= 0.3
    assert seen.connected
    assert sum(not beat.ok for beat in seen.beats) >= 3


# -- evidence ------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [http_leg, ws_leg])
async def test_a_portal_on_the_way_does_not_clear_the_network_it_stands_in(
    make: Any, authority: Authority
) -> None:
    """It answers every connect with a certificate of its own; its kernel acknowledges."""
    scheme = "https" if make is http_leg else "wss"
    async with serve(answering(OK), tls=authority.context("portal.lan")) as portal:
        url, pin = f"{scheme}://{HOST}/", portal.pin
        leg = make(name="edge", url=url, pin=pin, path=("wan", "edge"), tcp_ends_at="edge")
        (seen,) = (await probe_all([leg], hold=0.15, ca=authority.file)).values()
    (drop,) = seen.drops
    assert (drop.reason, drop.carried, drop.evidence) == ("tls_failed", (), "")
    assert drop.attempt is not None
    assert drop.attempt.carried == ()
    run = judge_run(RunRecord(segments=("wan", "edge")), [seen])
    assert run.verdict.at_least_one_of == (("wan", "edge"),)


@pytest.mark.parametrize("end", [None, "front"])
async def test_a_file_that_does_not_say_where_tcp_ends_convicts_nobody_more(end: Any) -> None:
    """The front answers its own page, and forbids what is behind it."""
    own, forbids = answering(response("404 Not Found")), answering(response("403 Forbidden"))
    async with serve(own) as page, serve(forbids) as wrong:
        at_front = http_leg(page, name="front", path=("front",), expect_status=(404,))
        legs = [at_front, http_leg(wrong, tcp_ends_at=end)]
        seen = await probe_all(legs, hold=0.25)
    run = judge_run(RunRecord(segments=("front", "back")), list(seen.values()))
    assert run.verdict.at_least_one_of == (("front", "back"),)


async def test_unacknowledged_bytes_prove_nothing() -> None:
    """A black hole in the middle: the far end's kernel never says a word."""
    sockets: list[Any] = []

    async def hole(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        await echo_frames(reader, writer, 2)
        sockets.append(writer.get_extra_info("socket"))
        deaf(sockets[-1])
        try:
            await silent(reader, writer)
        finally:
            with contextlib.suppress(OSError):
                deaf(sockets[-1], on=False)

    async with serve(hole) as server:
        leg = ws_leg(server, tcp_ends_at="back")
        seen = await probe(leg, hold=0.3, heartbeat=0.25, watchdog=0.5)
    drop = seen.drops[0]
    assert drop.reason == "rtt_timeout"
    assert drop.tcp is not None
    assert drop.tcp.unacked > 0
    assert drop.tcp.retransmits > 0
    assert drop.carried == ()


async def test_acknowledged_bytes_prove_the_path_up_to_the_end_of_tcp() -> None:
    async with serve(answers_late(60)) as server:
        leg = ws_leg(server, path=("a", "b", "c", "d"), tcp_ends_at="c")
        seen = await probe(leg, hold=0.35, heartbeat=0.3, watchdog=0.3)
    drop = seen.drops[0]
    assert drop.carried == ("a", "b")
    assert drop.asked is not None
    assert drop.asked >= 0.29
    assert drop.conn == 0
    assert drop.connection_age_seconds is not None
    assert drop.local_address.startswith("127.0.0.1:")
    assert drop.remote_address == server.pin
    assert drop.family == "ipv4"


# -- our own footing -----------------------------------------------------------------------


async def test_a_drop_during_our_own_stall_convicts_nobody() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        await echo_frames(reader, writer, 2)
        await read_frame(reader)
        stand_still(0.8)
        await silent(reader, writer)

    async with serve(handler) as server:
        seen = await probe(ws_leg(server), hold=0.4, heartbeat=0.3, watchdog=0.6)
    assert (seen.outcome, seen.reason) == ("inconclusive", "prober_stalled")
    assert all(drop.stalled for drop in seen.drops)


async def test_a_stall_is_measured_and_not_counted_as_looking() -> None:
    async with serve(echo) as server:
        leg = ws_leg(server)
        run = made_run(deployment([leg], watchdog=2), [leg], hold=1.2)
        asyncio.get_running_loop().call_later(0.3, stand_still, 0.7)
        (seen,) = await run.measure()
    assert seen.outcome == "passed"
    assert run.footing.worst_seconds >= 0.5
    assert seen.observed_seconds <= seen.ended - seen.started - 0.5


async def test_a_drop_long_after_a_stall_counts() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        if writer.server.connections > 1:  # type: ignore[attr-defined]
            await echo_frames(reader, writer)
            return
        await echo_frames(reader, writer, 2)
        stand_still(0.4)
        await asyncio.sleep(0.5)
        reset(writer)

    async with serve(handler) as server:
        seen = await probe(ws_leg(server), hold=1.1, heartbeat=60, watchdog=1, backoff=60)
    assert (seen.outcome, seen.reason) == ("failed", "connection_reset")
    assert [drop.stalled for drop in seen.drops] == [False]


# -- what nobody foresaw -------------------------------------------------------------------


async def test_a_probe_that_breaks_costs_no_other_leg_its_observation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(leg: Leg, target: Any, probing: Probing) -> Any:
        raise TypeError("a bug, with a secret in it")

    monkeypatch.setattr("t3probe.probes.http.open", broken)
    async with serve(echo) as server:
        seen = await probe_all([http_leg(server), ws_leg(server)], hold=0.2)
    assert seen["http"].outcome == "inconclusive"
    assert "TypeError at test_run_evidence.py:" in seen["http"].detail
    assert "secret" not in seen["http"].detail
    assert seen["ws"].outcome == "passed"
    assert len(seen["ws"].beats) > 1


# -- nothing is left behind ----------------------------------------------------------------


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


async def rude(reader: Reader, writer: Writer) -> None:
    await reader.read(100)
    reset(writer)


async def junk(reader: Reader, writer: Writer) -> None:
    await reader.read(100)
    writer.write(b"junk\r\n\r\n")


async def resets_later(reader: Reader, writer: Writer) -> None:
    await upgrade(reader, writer)
    await echo_frames(reader, writer, 1)
    reset(writer)


HANDLERS = [echo, answering(OK), silent, rude, junk, resets_later, closes_after_each_echo]


def every_kind(server: Server, secure: bool) -> list[Leg]:
    s = "s" * secure
    web = f"http{s}://{HOST}/a"
    return [
        ws_leg(server, url=f"ws{s}://{HOST}/"),
        ws_leg(server, name="route", url=f"ws{s}://{HOST}/", headers_present=("cf-ray",)),
        ws_leg(server, name="app", kind="ws", url=f"ws{s}://{HOST}/", send="{nonce}", expect="*"),
        ws_leg(server, name="pings", kind="ws", url=f"ws{s}://{HOST}/", ping=True),
        ws_leg(server, name="asks", kind="ws_upgrade", url=f"ws{s}://{HOST}/"),
        http_leg(server, url=web),
        http_leg(server, name="collapses", url=web, headers_present=("cf-ray",)),
        Leg(name="doh", kind="doh", path=("d",), doh=(f"https://{server.pin}/",), query=HOST),
        ws_leg(name="named", url=f"ws{s}://{HOST}/", doh=(f"https://{server.pin}/",)),
        tcp_leg(server),
        Leg(name="walloff", kind="walloff", path=("w",), url=web, pin=server.pin),
        Leg(
            name="walled", kind="walled", path=("w",), url=web, pin=server.pin,
            public_prefixes=("/probe",),
        ),
    ]  # fmt: skip


async def run_over_all(tls: ssl.SSLContext, ca: str) -> list[Observation]:
    """Every kind of leg against every kind of server, good and bad, plain and TLS, at once."""
    async with contextlib.AsyncExitStack() as stack:
        legs: list[Leg] = []
        for handler, context in itertools.product(HANDLERS, (None, tls)):
            server = await stack.enter_async_context(serve(handler, tls=context))
            legs += every_kind(server, context is not None)
        legs = [msgspec.structs.replace(leg, name=f"{leg.name}{n}") for n, leg in enumerate(legs)]
        # Gates have servers of their own in tests/probes/test_ingest*.py.
        assert {leg.kind for leg in legs} == set(KINDS) - {"ingest", "ingest_gate"}
        made = deployment(legs, ca, watchdog=0.4, connect_timeout=0.4, deadline=1.2)
        seen = await made_run(made, legs, hold=0.4).measure()
        mine = asyncio.current_task()
        names = {one.get_coro().__qualname__ for one in asyncio.all_tasks() if one is not mine}
        assert all("accept" in name or "connection" in name for name in names), names
    return seen


async def test_no_descriptor_and_no_task_is_left(authority: Authority) -> None:
    tls = authority.context(HOST, "127.0.0.1")
    await run_over_all(tls, authority.file)  # what is made once and kept is made now
    await asyncio.sleep(0.05)
    before = descriptors()
    seen = await run_over_all(tls, authority.file)
    await until(lambda: descriptors() <= before)
    assert len(asyncio.all_tasks()) == 1
    assert {leg.outcome for leg in seen} == {"passed", "failed", "inconclusive"}
    assert not any("itself broke" in leg.detail for leg in seen)


async def test_nobody_listening_leaves_nothing_either(authority: Authority) -> None:
    async with serve(silent) as gone:
        pass
    await probe_all(every_kind(gone, True), ca=authority.file)
    await asyncio.sleep(0.02)
    before = descriptors()
    seen = await probe_all(every_kind(gone, True), ca=authority.file, hold=0.3)
    await asyncio.sleep(0.02)
    assert descriptors() <= before
    assert len(asyncio.all_tasks()) == 1
    assert seen["tcp"].reason == "connect_refused"


async def test_a_stopped_run_leaves_nothing(authority: Authority) -> None:
    tls = authority.context(HOST, "127.0.0.1")
    for handler in (silent, echo):
        async with serve(handler, tls=tls) as server:
            before = 0
            for _ in range(2):
                legs = every_kind(server, True)
                run = made_run(deployment(legs, authority.file), legs, hold=60)
                asyncio.get_running_loop().call_later(0.2, run.stop)
                await run.measure()
                await until(lambda: server.closed == server.connections)
                before = before or descriptors()
        assert descriptors() <= before
