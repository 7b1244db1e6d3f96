"""The WebSocket echo against peers that break before, between and after beats."""

from __future__ import annotations

import asyncio

import pytest
from probes.fixtures import Authority
from probes.servers import (
    CLOSE,
    HOST,
    answering,
    echo,
    echo_frames,
    frame,
    head,
    header_of,
    probe,
    read_frame,
    reset,
    response,
    serve,
    silent,
    until,
    upgrade,
    ws_leg,
)
from probes.ws_helpers import Reader, Writer

from t3probe.probes.ws_echo import _Connection

# -- peers that break before the first echo ------------------------------------------------


async def test_nobody_listens() -> None:
    async with serve(echo) as server:
        leg = ws_leg(server)
    seen = await probe(leg)
    assert (seen.outcome, seen.reason) == ("failed", "connect_refused")
    assert seen.drops[0].symptom == "down"
    assert seen.drops[0].stage == "connect"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (response("302 Found", b"", [("Location", "https://sso.example/start")]), "walled_off"),
        (response("302 Found", b"", [("Location", "/ws2")]), "upgrade_rejected"),
        (response("301 Moved", b"", [("Location", f"ws://{HOST}/ws")]), "upgrade_rejected"),
        (response("200 OK", b'<a href="/flow/login">'), "walled_off"),
        (response("401 Unauthorized"), "walled_off"),
        (response("404 Not Found"), "upgrade_rejected"),
        (response("502 Bad Gateway"), "upgrade_rejected"),
        (response("200 OK"), "upgrade_rejected"),
        (response("101 Switching Protocols"), "protocol_error"),
        (
            response("404 Not Found", b"", [("Location", "a"), ("Location", "b")]),
            "upgrade_rejected",
        ),
        (response("404 Not Found", b"", [("cf-ray", "a"), ("cf-ray", "b")]), "upgrade_rejected"),
        (b"SSH-2.0-OpenSSH_9.7\r\n\r\n", "protocol_error"),
        (b"\x00\xff\x16\x03\x01" * 50 + b"\n", "protocol_error"),
        (b"HTTP/1.1 101 \xff\r\n" + b"a: b\r\n" * 500 + b"\r\n", "protocol_error"),
        (b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "upgrade_rejected"),
        (b"x" * 100_000, "protocol_error"),
    ],
)
async def test_other_answers_to_the_upgrade(answer: bytes, reason: str) -> None:
    async with serve(answering(answer)) as server:
        seen = await probe(ws_leg(server))
    assert (seen.outcome, seen.reason) == ("failed", reason), seen.detail
    assert seen.drops[0].symptom == "down"
    assert server.connections == 2  # the attempt and the one that follows at once: none followed
    assert {header_of(one, "host") for one in server.requests} == {HOST}


async def test_a_404_in_chunks_is_an_answer() -> None:
    answer = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"
    async with serve(answering(answer)) as server:
        seen = await probe(ws_leg(server))
    assert seen.reason == "upgrade_rejected"
    assert "404" in seen.detail


async def test_closed_before_answering_the_upgrade() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await head(reader, writer)

    async with serve(handler) as server:
        seen = await probe(ws_leg(server))
    assert seen.reason == "closed_by_peer"


async def test_reset_instead_of_an_answer_to_the_upgrade() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await head(reader, writer)
        reset(writer)

    async with serve(handler) as server:
        seen = await probe(ws_leg(server))
    assert seen.reason == "connection_reset"


async def test_no_tls_at_all(authority: Authority) -> None:
    async def plain(reader: Reader, writer: Writer) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serve(plain) as server:
        seen = await probe(ws_leg(server, url=f"wss://{HOST}/ws"), ca=authority.file)
    assert seen.reason == "tls_failed"


# -- silence -------------------------------------------------------------------------------


async def test_silent_before_the_101_costs_two_watchdogs_and_no_more() -> None:
    async with serve(silent) as server:
        seen = await probe(ws_leg(server, tcp_ends_at="back"), watchdog=0.3)
    assert (seen.outcome, seen.reason) == ("failed", "rtt_timeout")
    (drop,) = seen.drops
    assert drop.symptom == "down"
    assert drop.attempt is not None
    assert drop.attempt.reason == "rtt_timeout"
    assert server.connections == 2
    assert drop.carried == ("front",)  # acknowledged, never answered
    assert drop.evidence.startswith("the far end acknowledged our bytes ")
    assert drop.attempt.carried == ("front",)
    for number in (drop.asked, drop.attempt.started, drop.attempt.ended):
        assert number is not None


async def test_silent_after_the_101_costs_two_watchdogs_and_no_more() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        await silent(reader, writer)

    async with serve(handler) as server:
        seen = await probe(ws_leg(server, tcp_ends_at="back"), watchdog=0.3)
    assert (seen.outcome, seen.reason) == ("failed", "rtt_timeout")
    (drop,) = seen.drops
    assert drop.symptom == "down"
    assert server.connections == 2
    assert drop.carried == ("front",)
    assert drop.tcp is not None
    assert drop.tcp.unacked == 0
    assert len(seen.beats) == 2


@pytest.mark.parametrize(("answers", "symptom"), [(0, "blip"), (2, "cut")])
async def test_a_new_attempt_follows_silence_at_once(answers: int, symptom: str) -> None:
    """Closing politely would wait a second for a peer that says nothing.

    The first connection falls silent, before its first answer or when it is held; all others work.
    """
    first = True

    async def handler(reader: Reader, writer: Writer) -> None:
        nonlocal first
        silenced, first = first, False
        await upgrade(reader, writer)
        if silenced:
            if answers:
                await echo_frames(reader, writer, answers)
            await silent(reader, writer)
        await echo_frames(reader, writer)

    async with serve(handler) as server:
        seen = await probe(ws_leg(server), watchdog=1, hold=1.5 if answers else 0)
    (drop,) = seen.drops
    assert (drop.symptom, drop.reason) == (symptom, "rtt_timeout")
    assert drop.attempt is not None
    assert drop.asked is not None
    assert drop.noticed - drop.asked < 1.9  # the watchdog's second, no other
    assert drop.attempt.started - drop.noticed < 0.9
    assert seen.connected
    # A fresh attempt that fails alone is shown; a connection that dies is a failure.
    assert seen.outcome == ("failed" if answers else "degraded")
    assert drop.conn == (0 if answers else None)


async def test_silence_in_the_tls_handshake(authority: Authority) -> None:
    async with serve(silent) as server:
        leg = ws_leg(server, url=f"wss://{HOST}/ws", tcp_ends_at="back")
        seen = await probe(leg, ca=authority.file, connect_timeout=0.3)
    assert seen.reason == "tls_failed"
    assert "no TLS within 300 ms" in seen.detail
    assert seen.drops[0].carried == ("front",)


async def test_a_peer_that_never_answers_the_close_frame_is_left() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        while True:
            opcode, payload = await read_frame(reader)
            if opcode != CLOSE:
                writer.write(frame(opcode, payload))

    async with serve(handler) as server:
        async with asyncio.timeout(10):
            seen = await probe(ws_leg(server))
        assert seen.outcome == "passed"
        await until(lambda: server.closed == server.connections)


async def test_an_upgrade_that_we_saw_too_late_is_our_own_doing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The 101 is there, and our loop did not get to it within the watchdog."""
    monkeypatch.setattr(_Connection, "_look", lambda self: None)
    async with serve(echo) as server:
        seen = await probe(ws_leg(server), watchdog=0.3)
    assert (seen.outcome, seen.reason) == ("inconclusive", "prober_stalled")
    assert "too late ourselves" in seen.detail
