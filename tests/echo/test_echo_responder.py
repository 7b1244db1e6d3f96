"""The responder in this process: what it serves, its limits, its deadlines. Time is a fake's."""

from __future__ import annotations

import asyncio
import socket

import pytest
from echo.echo_client import BINARY, CLOSE, PING, PONG, TEXT, masked, request, serving

from t3probe.echo import Limits
from t3probe.echo.connection import Phase

# -- what it serves -------------------------------------------------------------------------


async def test_echoes_text_and_binary_byte_for_byte() -> None:
    async with serving() as served:
        peer = await served.websocket()
        assert await peer.echo("grüß".encode()) == "grüß".encode()
        assert await peer.echo(b"") == b""
        assert await peer.echo(bytes(range(256)) * 256, BINARY) == bytes(range(256)) * 256
        peer.send(masked(TEXT, b"a", final=False), masked(PING, b"p"), masked(0, b"b"))
        assert await peer.frame() == (PONG, b"p")
        assert await peer.frame() == (TEXT, b"ab")
        peer.send(masked(PONG, b"nobody asked"), masked(TEXT, b"last"), masked(CLOSE, b"\x0f\xa0x"))
        assert await peer.frame() == (TEXT, b"last")
        assert await peer.code() == 4000


async def test_a_close_without_a_code_is_answered_in_kind() -> None:
    async with serving() as served:
        peer = await served.websocket()
        peer.send(masked(CLOSE))
        assert await peer.frame() == (CLOSE, b"")
        assert await peer.gone()
        await served.until(lambda: not served.responder.open)


async def test_frames_may_come_with_the_request_and_in_any_pieces() -> None:
    async with serving() as served:
        peer = await served.dial()
        for byte in request() + masked(TEXT, b"one") + masked(TEXT, b"two"):
            peer.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await peer.status() == 101
        assert [await peer.frame(), await peer.frame()] == [(TEXT, b"one"), (TEXT, b"two")]
        other = await served.dial()
        other.send(request() + masked(TEXT, b"at once"))
        assert await other.status() == 101
        assert await other.frame() == (TEXT, b"at once")


async def test_no_compression_even_when_offered() -> None:
    async with serving() as served:
        peer = await served.websocket("Sec-WebSocket-Extensions: permessage-deflate")
        assert "extensions" not in peer.head.lower()
        assert "protocol:" not in peer.head.lower()


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        (request("/probe/healthz"), 200, b"ok\n"),
        (request("/probe/healthz?full"), 200, b"ok\n"),
        (request("/probe/healthz", method="HEAD"), 200, b""),
        (request("/probe/healthz", method="POST"), 405, b"GET only\n"),
        (request("/"), 404, b"not found\n"),
        (request("/", method="HEAD"), 404, b""),
        (request("/probe/ws/"), 404, b"not found\n"),
        (request("/probe/../etc/passwd"), 404, b"not found\n"),
        (request("/probe/ws", method="POST"), 405, b"GET only\n"),
        (b"GET /probe/ws HTTP/1.1\r\nHost: x\r\n\r\n", 426, b"a WebSocket is spoken here\n"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, b"HTTP/1.1 only\n"),
        (b"\x16\x03\x01\x02\x00 a TLS hello \r\n\r\n", 400, b"not a request line of HTTP/1.1\n"),
    ],
)
async def test_plain_answers_end_the_connection(asked: bytes, status: int, body: bytes) -> None:
    async with serving() as served:
        peer = await served.dial()
        peer.send(asked)
        assert await peer.status() == status
        assert await peer.reader.read() == body
        assert "close" in peer.head
        assert "no-store" in peer.head


@pytest.mark.parametrize(
    ("path", "status"),
    [("/probe/ws", 101), ("/probe/healthz", 200), ("/elsewhere", 404)],
)
async def test_each_answer_returns_the_nonce_of_its_request(path: str, status: int) -> None:
    async with serving() as served:
        for fields, mark in (
            (["T3Probe-Nonce: 00ffAB"], "00ffAB"),
            ([], "-"),
            (["T3Probe-Nonce: 1", "T3Probe-Nonce: 2"], "-"),
            (["T3Probe-Nonce: " + "1" * 65], "-"),
        ):
            peer = await served.dial()
            peer.send(request(path, *fields))
            assert await peer.status() == status
            assert f"\r\nt3probe-echo: {mark}\r\n" in peer.head


async def test_refusals_have_the_mark_too() -> None:
    async with serving(Limits(per_address=1)) as served:
        first, second = await served.dial(), await served.dial()
        assert await first.open() == 101
        assert await second.open("T3Probe-Nonce: beef") == 429
        assert "\r\nt3probe-echo: beef\r\n" in second.head
        broken = await served.dial()
        broken.send(b"GET /probe/ws HTTP/1.0\r\nHost: x\r\nT3Probe-Nonce: beef\r\n\r\n")
        assert await broken.status() == 505
        assert "\r\nt3probe-echo: -\r\n" in broken.head


async def test_a_head_that_is_too_long_is_refused_whether_or_not_it_ends() -> None:
    async with serving(Limits(head_bytes=100)) as served:
        for end in (b"", b"\r\n\r\n"):
            peer = await served.dial()
            peer.send(b"GET / HTTP/1.1\r\nA: " + b"x" * 200 + end)
            assert await peer.status() == 431


async def test_a_body_that_nobody_wants_does_not_hide_the_answer() -> None:
    async with serving() as served:
        peer = await served.dial()
        peer.send(request("/", "Content-Length: 200000", method="POST"), b"x" * 200_000)
        assert await peer.status() == 404
        assert await peer.reader.read() == b"not found\n"


async def test_who_never_stops_sending_after_the_answer_is_cut() -> None:
    async with serving() as served:
        peer = await served.dial()
        peer.send(request("/"), b"x" * 2_000_000)
        await served.until(lambda: not served.responder.ending and not served.responder.waiting)


# -- what breaks the protocol ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ([masked(TEXT, b"\xff")], 1007),
        ([masked(BINARY, size=65537)], 1009),
        ([masked(BINARY, size=1 << 63)], 1009),
        ([masked(TEXT, b"x", mask=False)], 1002),
        ([masked(TEXT, b"x", final=False), masked(TEXT, b"x")], 1002),
        ([masked(CLOSE, b"\x03")], 1002),
        ([masked(BINARY, b"x" * 40_000, final=False), masked(0, b"x" * 40_000)], 1009),
    ],
)
async def test_violations_are_closed_with_their_code(sent: list[bytes], code: int) -> None:
    async with serving() as served:
        honest, peer = await served.websocket(), await served.websocket()
        peer.send(*sent)
        assert await peer.code() == code
        assert await honest.echo(b"still here") == b"still here"


async def test_what_was_right_before_a_violation_is_echoed() -> None:
    async with serving() as served:
        peer = await served.websocket()
        peer.send(masked(TEXT, b"good") + masked(TEXT, b"\xff") + masked(TEXT, b"late"))
        assert await peer.frame() == (TEXT, b"good")
        assert await peer.code() == 1007


# -- deadlines -------------------------------------------------------------------------------


async def test_half_a_request_ends_at_the_deadline() -> None:
    async with serving() as served:
        peer = await served.dial()
        peer.send(b"GET /probe/ws HT")
        await served.until(lambda: served.responder.held)
        served.pass_time(9.9)
        assert served.responder.waiting
        served.pass_time(0.2)
        assert await peer.gone()


async def test_an_idle_websocket_is_closed_with_1001() -> None:
    async with serving() as served:
        busy, idle = await served.websocket(), await served.websocket()
        served.pass_time(60)
        assert await busy.echo(b"x") == b"x"
        served.pass_time(31)
        assert await idle.frame() == (CLOSE, b"\x03\xe9idle")
        idle.send(masked(CLOSE, b"\x03\xe9"))
        assert await idle.gone()
        assert await busy.echo(b"x") == b"x"
        served.pass_time(0)
        busy.send(masked(PING))
        assert await busy.frame() == (PONG, b"")
        served.pass_time(89)
        assert await busy.echo(b"a ping counts") == b"a ping counts"


async def test_who_does_not_answer_the_close_is_cut() -> None:
    async with serving() as served:
        peer = await served.websocket()
        served.pass_time(90)
        assert (await peer.frame())[0] == CLOSE
        peer.send(masked(TEXT, b"not echoed any more"))
        await asyncio.sleep(0.05)
        served.pass_time(2)
        assert await peer.gone()
        assert not served.responder.open


async def test_who_does_not_hang_up_is_cut() -> None:
    async with serving() as served:
        peer = await served.websocket()
        peer.send(masked(CLOSE))
        await served.until(lambda: served.responder.ending)
        assert not served.responder.open, "it takes nobody's place"
        served.pass_time(2)
        assert not served.responder.ending


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(masked(BINARY, size=60_000) + b"x" * 9, id="a part of a frame"),
        pytest.param(masked(BINARY, size=60_000), id="the head of a frame alone"),
        pytest.param(masked(TEXT, b"x", final=False), id="a part of a message"),
        pytest.param(b"\x81", id="a byte"),
    ],
)
async def test_a_message_has_to_end_some_time(piece: bytes) -> None:
    async with serving() as served:
        peer = await served.websocket()
        assert await peer.echo(b"x") == b"x"
        peer.send(piece)
        await served.until(lambda: served.responder.held)
        served.pass_time(9)
        if piece[:1] == b"\x01":  # going on, or pings in between, buy no time
            peer.send(masked(0, b"y", final=False), masked(PING))
            assert await peer.frame() == (PONG, b"")
        served.pass_time(1.1)
        assert await peer.code() == 1008


async def test_a_stream_of_messages_cut_at_odd_places_is_no_slow_message() -> None:
    async with serving() as served:
        peer = await served.websocket()
        for kind, answer in ((TEXT, TEXT), (PING, PONG)):
            whole = masked(kind, b"hello")
            peer.send(whole[:3])
            for _ in range(10):
                peer.send(whole[3:] + whole[:3])
                assert await peer.frame() == (answer, b"hello")
                served.pass_time(3)
            peer.send(whole[3:])
            assert await peer.frame() == (answer, b"hello")


async def test_a_slow_reader_is_not_read_from_and_then_cut() -> None:
    async with serving(Limits(messages_burst=100_000)) as served:
        honest = await served.websocket()
        peer = await served.websocket()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        sock: socket.socket = peer.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(100):
            peer.send(masked(BINARY, b"x" * 60_000))
        _, one = served.responder.open
        await served.until(lambda: one.blocked_since is not None)
        await asyncio.sleep(0.1)
        assert one.held < 300_000, "what waits is bounded by one message and one read"
        served.pass_time(9)
        assert await honest.echo(b"x") == b"x"
        assert one in served.responder.open
        served.pass_time(1)
        assert one not in served.responder.open
        assert one.phase is Phase.GONE, "nothing is said to somebody who does not listen"
        assert await honest.echo(b"x") == b"x"


async def test_a_reader_that_catches_up_gets_everything() -> None:
    async with serving(Limits(messages_burst=100_000)) as served:
        peer = await served.websocket()
        transport = peer.writer.transport
        transport.pause_reading()  # type: ignore[attr-defined]
        for number in range(60):
            peer.send(masked(BINARY, bytes([number]) * 60_000))
        (one,) = served.responder.open
        await served.until(lambda: one.blocked_since is not None)
        transport.resume_reading()  # type: ignore[attr-defined]
        for number in range(60):
            assert await peer.frame() == (BINARY, bytes([number]) * 60_000)
        await served.until(lambda: one.blocked_since is None and one.held == 0)


# -- draining --------------------------------------------------------------------------------


async def test_draining_says_so_and_closes_with_1001() -> None:
    async with serving() as served:
        peer = await served.websocket()
        half = await served.dial()
        half.send(b"GET")
        task = asyncio.create_task(served.responder.drain())
        assert await peer.frame() == (CLOSE, b"\x03\xe9going away")
        health, late = await served.dial(), await served.dial()
        health.send(request("/probe/healthz"))
        assert await health.status() == 503
        assert await late.open() == 503
        peer.send(masked(CLOSE, b"\x03\xe9"))
        assert await peer.gone()
        for one in (health, late, half):
            one.close()
        await task
        with pytest.raises(ConnectionRefusedError):
            await served.dial()


async def test_draining_does_not_wait_for_ever() -> None:
    async with serving(Limits(drain=0.05)) as served:
        peer = await served.websocket()
        await served.responder.drain()
        assert (await peer.frame())[0] == CLOSE
        assert not served.responder.open
