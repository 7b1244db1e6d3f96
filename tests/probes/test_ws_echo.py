"""The WebSocket echo: what it dials, what it accepts, and what each kind of broken peer costs."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import errno
import gc
import itertools
import os
import resource
import socket
from typing import Any

import pytest
from probes.fixtures import Authority
from probes.servers import (
    BINARY,
    CLOSE,
    HOST,
    PING,
    PONG,
    TEXT,
    answering,
    echo,
    echo_frames,
    frame,
    head,
    header_of,
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

from t3probe.observation import Observation

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


def reasons(seen: Observation) -> list[str]:
    return [drop.reason for drop in seen.drops]


# -- a leg that works ----------------------------------------------------------------------


async def test_beats_at_once_and_passes() -> None:
    async with serve(echo) as server:
        seen = await probe(ws_leg(server))
    assert (seen.outcome, seen.reason, seen.connected) == ("passed", None, True)
    assert len(seen.beats) == 1
    assert server.connections == 1
    assert seen.beats[0].tcp is not None
    assert {"resolve", "connect", "upgrade", "first_echo"} <= set(seen.phases)
    assert seen.address == server.pin


async def test_works_with_a_real_websocket_server() -> None:
    from websockets.asyncio.server import ServerConnection
    from websockets.asyncio.server import serve as serve_websockets

    async def handler(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve_websockets(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        leg = ws_leg(url=f"ws://{HOST}/ws", pin=f"127.0.0.1:{port}")
        seen = await probe(leg, hold=0.3)
    assert seen.outcome == "passed"
    assert len(seen.beats) >= 2
    assert {beat.conn for beat in seen.beats} == {0}


async def test_a_fresh_nonce_every_beat() -> None:
    async with serve(echo) as server:
        seen = await probe(ws_leg(server), hold=0.5)
    nonces = [beat.nonce for beat in seen.beats]
    assert len(nonces) > 2
    assert len(set(nonces)) == len(nonces)
    assert all(len(bytes.fromhex(nonce)) == 16 for nonce in nonces)
    assert server.connections == 1


async def test_keeps_the_host_name_while_dialling_the_address(authority: Authority) -> None:
    context = authority.context(HOST)
    asked: list[str | None] = []
    context.sni_callback = lambda sock, name, old: asked.append(name)
    async with serve(echo, tls=context) as server:
        leg = ws_leg(server, url=f"wss://{HOST}/ws")
        seen = await probe(leg, ca=authority.file)
    assert seen.outcome == "passed", seen.detail
    assert asked == [HOST]
    assert header_of(server.requests[0], "host") == HOST
    assert header_of(server.requests[0], "cookie") is None
    assert seen.address == server.pin
    assert seen.cert_not_after is not None
    assert seen.phases["tls"] > 0


async def test_another_host_header_leaves_sni_alone(authority: Authority) -> None:
    context = authority.context(HOST)
    asked: list[str | None] = []
    context.sni_callback = lambda sock, name, old: asked.append(name)
    async with serve(echo, tls=context) as server:
        leg = ws_leg(server, url=f"wss://{HOST}/ws", host_header="other.example")
        seen = await probe(leg, ca=authority.file)
    assert seen.outcome == "passed", seen.detail
    assert asked == [HOST]
    hosts = [
        line for line in server.requests[0].split(b"\r\n") if line.lower().startswith(b"host:")
    ]
    assert hosts == [b"Host: other.example"]


async def test_a_certificate_of_another_host_fails(authority: Authority) -> None:
    async with serve(echo, tls=authority.context("other.example")) as server:
        seen = await probe(ws_leg(server, url=f"wss://{HOST}/ws"), ca=authority.file)
    assert (seen.outcome, seen.reason) == ("failed", "tls_failed")
    assert "certificate" in seen.detail
    assert server.requests == []


async def test_a_certificate_nobody_trusts_fails(authority: Authority) -> None:
    async with serve(echo, tls=authority.context(HOST)) as server:
        seen = await probe(ws_leg(server, url=f"wss://{HOST}/ws"))
    assert (seen.outcome, seen.reason) == ("failed", "tls_failed")


async def test_an_expired_certificate_still_says_when_it_expired(authority: Authority) -> None:
    end = datetime.datetime(2020, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
    async with serve(echo, tls=authority.context(HOST, expires_at=end)) as server:
        seen = await probe(ws_leg(server, url=f"wss://{HOST}/ws"), ca=authority.file)
    assert (seen.outcome, seen.reason) == ("failed", "tls_failed")
    assert "expired" in seen.detail
    assert seen.cert_not_after == end.timestamp()


async def test_an_expired_certificate_of_another_host_says_nothing(authority: Authority) -> None:
    end = datetime.datetime(2020, 2, 3, tzinfo=datetime.UTC)
    context = authority.context("other.example", expires_at=end)
    async with serve(echo, tls=context) as server:
        seen = await probe(ws_leg(server, url=f"wss://{HOST}/ws"), ca=authority.file)
    assert seen.reason == "tls_failed"
    assert seen.cert_not_after is None


async def test_proxy_variables_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(silent) as proxy, serve(echo) as server:
        for name in ("http_proxy", "https_proxy", "ws_proxy", "wss_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://{proxy.pin}")
            monkeypatch.setenv(name.upper(), f"http://{proxy.pin}")
        monkeypatch.delenv("no_proxy", raising=False)
        seen = await probe(ws_leg(server))
    assert seen.outcome == "passed"
    assert proxy.connections == 0


async def test_pings_of_the_server_are_no_problem() -> None:
    pongs: list[bytes] = []

    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        while True:
            writer.write(frame(PING, b"hello") + frame(PONG, b"unasked"))
            opcode, payload = await read_frame(reader)
            if opcode == PONG:
                pongs.append(payload)
            elif opcode == TEXT:
                writer.write(frame(TEXT, payload[:5], final=False) + frame(PING, b"inside"))
                writer.write(frame(0, payload[5:]))
            else:
                return

    async with serve(handler) as server:
        seen = await probe(ws_leg(server), hold=0.3)
    assert seen.outcome == "passed", seen.detail
    assert b"hello" in pongs
    assert len(seen.beats) >= 2


# -- several addresses ---------------------------------------------------------------------


def knows(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let the system's resolver answer these."""

    async def answer(host: str, port: int, limit: float) -> list[str]:
        return list(addresses)

    monkeypatch.setattr("t3probe.resolve._system", answer)


async def test_every_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    knows(monkeypatch, "127.0.0.2", "127.0.0.3", "::1")
    async with (
        serve(echo, address="127.0.0.2") as one,
        serve(echo, address="127.0.0.3", port=one.port) as two,
        serve(echo, address="::1", port=one.port) as three,
    ):
        seen = await probe(ws_leg(url=f"ws://{HOST}:{one.port}/ws"))
    assert seen.outcome == "passed"
    assert [server.connections for server in (one, two, three)] == [1, 1, 1]
    assert seen.answered == (3, 3)
    assert [one.address for one in seen.addresses][2] == f"[::1]:{three.port}"


async def test_k_of_n_is_degraded(monkeypatch: pytest.MonkeyPatch) -> None:
    knows(monkeypatch, "127.0.0.2", "127.0.0.3", "::1")
    async with serve(echo, address="127.0.0.3") as server:
        seen = await probe(ws_leg(url=f"ws://{HOST}:{server.port}/ws"))
    assert (seen.outcome, seen.reason) == ("degraded", "connect_refused")
    assert seen.detail.startswith("1 of 3 addresses answered")
    assert seen.answered == (1, 3)
    assert seen.address == server.pin


async def test_none_of_n_is_one_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    knows(monkeypatch, "127.0.0.2", "127.0.0.3")
    async with serve(echo) as server:
        port = server.port
    seen = await probe(ws_leg(url=f"ws://{HOST}:{port}/ws"))
    assert (seen.outcome, seen.reason) == ("failed", "connect_refused")
    assert len(seen.drops) == 1


def without_route(monkeypatch: pytest.MonkeyPatch, number: int = errno.ENETUNREACH) -> None:
    """Let connects over IPv6 fail as they do on a machine that has none."""
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def no_route(sock: Any, address: Any) -> None:
        if ":" in address[0]:
            raise OSError(number, os.strerror(number))
        await connect(sock, address)

    monkeypatch.setattr(loop, "sock_connect", no_route)


async def test_an_address_without_a_route_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    knows(monkeypatch, "127.0.0.2", "::1")
    without_route(monkeypatch)
    async with serve(echo, address="127.0.0.2") as server:
        seen = await probe(ws_leg(url=f"ws://{HOST}:{server.port}/ws"))
    assert seen.outcome == "passed"
    assert seen.answered == (1, 1)
    assert [one.skipped for one in seen.addresses] == [False, True]


async def test_a_leg_we_have_no_route_to_convicts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    knows(monkeypatch, "::1")
    without_route(monkeypatch)
    seen = await probe(ws_leg(url=f"ws://{HOST}:9/ws"))
    assert (seen.outcome, seen.reason) == ("inconclusive", "connect_failed")
    assert seen.drops == ()


async def test_a_kernel_without_ipv6_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    knows(monkeypatch, "127.0.0.1", "::1")
    make = socket.socket

    def refuse(family: int = -1, *rest: Any, **more: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return make(family, *rest, **more)

    async with serve(echo) as server:
        monkeypatch.setattr("t3probe.probes.dial.socket.socket", refuse)
        seen = await probe(ws_leg(url=f"ws://{HOST}:{server.port}/ws"))
        monkeypatch.undo()
    assert seen.outcome == "passed", seen.detail
    assert seen.answered == (1, 1)


@pytest.mark.parametrize("spares", [[], [0]])
async def test_running_out_of_descriptors_convicts_nobody(spares: list[int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pin = f"127.0.0.1:{listener.getsockname()[1]}"
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        taken: list[int] = []
        try:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            for spare in spares:
                os.close(taken.pop(-1 - spare))
            seen = await probe(ws_leg(url=f"ws://{HOST}/ws", pin=pin))
        finally:
            for one in taken:
                os.close(one)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (seen.outcome, seen.reason) == ("inconclusive", "connect_failed")


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
        (b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "protocol_error"),
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
    assert drop.carried_at is not None


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


async def test_a_new_attempt_follows_silence_at_once() -> None:
    """Closing politely would wait a second for a peer that says nothing."""

    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        if writer.server.connections == 1:  # type: ignore[attr-defined]
            await silent(reader, writer)
        await echo_frames(reader, writer)

    async with serve(handler) as server:
        seen = await probe(ws_leg(server), watchdog=1)
    (drop,) = seen.drops
    assert drop.symptom == "cut"
    assert drop.attempt is not None
    assert drop.noticed - seen.beats[0].sent < 1.9  # the watchdog's second, no other
    assert drop.attempt.started - drop.noticed < 0.9
    assert seen.connected


async def test_silence_in_the_tls_handshake(authority: Authority) -> None:
    async with serve(silent) as server:
        leg = ws_leg(server, url=f"wss://{HOST}/ws", tcp_ends_at="back")
        seen = await probe(leg, ca=authority.file, connect_timeout=0.3)
    assert seen.reason == "tls_failed"
    assert "no TLS within 0.3 s" in seen.detail
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


# -- peers that break later ----------------------------------------------------------------


def sends(answer: bytes, then: Any, asked: bool) -> Any:
    """A server that sends `answer` in place of an echo, or unasked after the first echo."""

    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        if asked:
            await read_frame(reader)
        else:
            await echo_frames(reader, writer, 1)
        writer.write(answer)
        await writer.drain()
        await then(reader, writer)

    return handler


async def misbehaving(answer: bytes, *, then: Any = silent, asked: bool = True) -> Observation:
    async with serve(sends(answer, then, asked)) as server:
        return await probe(ws_leg(server), hold=0 if asked else 0.2, watchdog=3, backoff=5)


@pytest.mark.parametrize(
    "answer",
    [
        frame(TEXT, b"0" * 32),
        frame(TEXT, b""),
        frame(BINARY, b"\xff\x00"),
    ],
)
async def test_a_wrong_echo(answer: bytes) -> None:
    seen = await misbehaving(answer)
    assert (seen.outcome, seen.reason) == ("failed", "wrong_echo")


async def test_the_right_bytes_as_a_binary_frame_are_no_echo() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        _, payload = await read_frame(reader)
        writer.write(frame(BINARY, payload))
        await silent(reader, writer)

    async with serve(handler) as server:
        seen = await probe(ws_leg(server))
    assert seen.reason == "wrong_echo"


BROKEN = [
    frame(TEXT, b"x" * 65537),
    frame(TEXT, b"", size=2**40),
    frame(TEXT, b"\xff\xfe\xfd"),
    frame(3, b"reserved"),
    frame(PING, b"", size=200) + b"x" * 200,
    b"\xff\xff\xff\xff",
    frame(0, b"goes on with nothing"),
    frame(TEXT, b"a", final=False) + frame(TEXT, b"b"),
    frame(TEXT, b"", final=False) + frame(0, b"", final=False) * 1000,
]


@pytest.mark.parametrize("asked", [True, False])
async def test_broken_frames(asked: bool) -> None:
    async with contextlib.AsyncExitStack() as stack:
        legs = []
        for number, answer in enumerate(BROKEN):
            server = await stack.enter_async_context(serve(sends(answer, silent, asked)))
            legs.append(ws_leg(server, name=f"ws{number}"))
        seen = await probe_all(legs, hold=0 if asked else 0.2, watchdog=3, backoff=5)
    for answer, leg in zip(BROKEN, seen.values(), strict=True):
        assert (leg.outcome, leg.reason) == ("failed", "protocol_error"), (answer, leg.detail)


async def test_a_message_of_64_kib_is_still_read() -> None:
    assert (await misbehaving(frame(TEXT, b"x" * 65536))).reason == "wrong_echo"


async def test_an_unsolicited_frame() -> None:
    seen = await misbehaving(frame(TEXT, b"news"), asked=False)
    assert seen.reason == "protocol_error"
    assert seen.detail == "a frame nobody asked for"


async def test_two_echoes_are_one_too_many() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        _, payload = await read_frame(reader)
        writer.write(frame(TEXT, payload) * 2)
        await silent(reader, writer)

    async with serve(handler) as server:
        seen = await probe(ws_leg(server), hold=0.05, backoff=5)
    assert seen.beats[0].ok
    assert seen.drops[0].reason == "protocol_error"


def resident() -> int:
    """Bytes of memory in use."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


PIECE = b"x" * (1 << 20)


async def flood_one_frame(reader: Reader, writer: Writer) -> None:
    await upgrade(reader, writer)
    await read_frame(reader)
    writer.write(frame(TEXT, b"", size=200 << 20))
    for _ in range(200):
        writer.write(PIECE)
        await writer.drain()


async def flood_fragments(reader: Reader, writer: Writer) -> None:
    await upgrade(reader, writer)
    await read_frame(reader)
    writer.write(frame(TEXT, b"", final=False))
    empty = frame(0, b"", final=False) * 5000
    for _ in range(200):
        writer.write(empty)
        await writer.drain()


async def flood_pings(reader: Reader, writer: Writer) -> None:
    await upgrade(reader, writer)
    await read_frame(reader)
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    pings = frame(PING, b"x" * 125) * 500
    for _ in range(400):
        writer.write(pings)
        await writer.drain()
    await asyncio.sleep(30)


@pytest.mark.parametrize("flood", [flood_one_frame, flood_fragments, flood_pings])
async def test_floods_cost_no_memory(flood: Any) -> None:
    before = resident()
    most = before

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, resident())
            await asyncio.sleep(0.02)

    async with serve(flood) as server:
        watching = asyncio.create_task(watch())
        seen = await probe(ws_leg(server), watchdog=10)
        watching.cancel()
    assert seen.reason == "protocol_error", seen.detail
    # One read of empty fragments becomes many small objects; none of it may add up.
    assert most - before < (64 << 20 if flood is flood_fragments else 16 << 20)


async def test_a_close_frame() -> None:
    seen = await misbehaving(frame(CLOSE, b"\x03\xe9going away"), asked=False)
    assert (seen.outcome, seen.reason) == ("failed", "closed_by_peer")
    assert "going away" in seen.detail
    assert seen.drops[0].stage == "hold"


async def test_closed_without_a_close_frame() -> None:
    async def leave(reader: Reader, writer: Writer) -> None:
        return

    assert (await misbehaving(b"", then=leave, asked=False)).reason == "closed_by_peer"
    assert (await misbehaving(b"", then=leave)).reason == "closed_by_peer"


@pytest.mark.parametrize("asked", [True, False])
async def test_a_reset(asked: bool) -> None:
    async def cut(reader: Reader, writer: Writer) -> None:
        reset(writer)

    seen = await misbehaving(b"", then=cut, asked=asked)
    assert (seen.outcome, seen.reason) == ("failed", "connection_reset")
    assert seen.drops[0].carried == ()


async def test_a_reset_is_noticed_between_two_beats() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        await echo_frames(reader, writer, 2)  # the first beat and the first common one
        reset(writer)

    async with serve(handler) as server:
        seen = await probe(ws_leg(server), hold=0.5, heartbeat=60, backoff=60, backoff_max=60)
    assert reasons(seen)[0] == "connection_reset"
    assert seen.drops[0].symptom == "cut"


HOSTILE = "\x1b[31mred\r\nFAKE: line\x00\u202e" + "z" * 60


async def test_hostile_close_reasons_are_made_harmless() -> None:
    seen = await misbehaving(frame(CLOSE, b"\x03\xe9" + HOSTILE.encode()), asked=False)
    assert seen.reason == "closed_by_peer"
    for text in [seen.detail, *(drop.detail for drop in seen.drops)]:
        assert text.isascii()
        assert text.isprintable()
        assert len(text) < 300


async def test_hostile_headers_are_made_harmless() -> None:
    nasty = "\x1b]0;x\x07" + "é" * 3000
    answers = [
        response("302 Found", b"", [("Location", "https://sso.example/" + nasty)]),
        response("302 Found", b"", [("Location", "https://" + nasty + "@sso.example:x/")]),
        f"HTTP/1.1 404 {nasty}\r\nContent-Length: 0\r\n\r\n".encode("latin-1"),
        response("101 Switching Protocols", b"", [("Upgrade", nasty), ("Connection", nasty)]),
        response("404 Not", b"", [("cf-ray", nasty)]),
        response("200 OK", b"", [("Location", "http://[::1"), ("cf-mitigated", nasty)]),
    ]
    for answer in answers:
        async with serve(answering(answer)) as server:
            seen = await probe(ws_leg(server))
        assert seen.outcome == "failed", (answer, seen.detail)
        for text in (seen.detail, seen.cf_ray, seen.colo):
            assert text.isascii()
            assert text.isprintable() or not text
            assert len(text) < 300


# -- the leg's own route -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "collapsed"),
    [("", True), ("CF-Ray: 8f00-FRA\r\n", False), ("cf-ray: 8f00-FRA\r\nvia: in\r\n", True)],
)
async def test_headers_prove_the_route(extra: str, collapsed: bool) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer, extra)
        await echo_frames(reader, writer)

    async with serve(handler) as server:
        leg = ws_leg(server, headers_present=("CF-Ray",), headers_absent=("Via",))
        seen = await probe(leg)
    if collapsed:
        assert (seen.outcome, seen.reason) == ("inconclusive", "leg_collapsed")
    else:
        assert (seen.outcome, seen.cf_ray, seen.colo) == ("passed", "8f00-FRA", "FRA")


async def test_a_rejection_from_another_route_is_a_collapse() -> None:
    async with serve(answering(response("404 Not Found"))) as server:
        seen = await probe(ws_leg(server, headers_present=("cf-ray",)))
    assert (seen.outcome, seen.reason) == ("inconclusive", "leg_collapsed")


# -- flapping ------------------------------------------------------------------------------


async def closes_after_each_echo(reader: Reader, writer: Writer) -> None:
    await upgrade(reader, writer)
    await echo_frames(reader, writer, 1)


async def test_a_flapping_server_sees_a_bounded_number_of_connections() -> None:
    async with serve(closes_after_each_echo) as server:
        seen = await probe(ws_leg(server), hold=0.7, backoff=0.2, backoff_max=0.3)
    # At most two for each pause of at least 0.2 s, and the first three.
    assert 3 <= server.connections <= 3 + 2 * 6
    assert set(reasons(seen)) == {"closed_by_peer"}
    assert seen.outcome == "failed"


async def test_back_off_grows_to_its_bound() -> None:
    moments: list[float] = []

    async def handler(reader: Reader, writer: Writer) -> None:
        moments.append(asyncio.get_running_loop().time())

    async with serve(handler) as server:
        await probe(ws_leg(server), hold=1.2, backoff=0.1, backoff_max=0.3)
    # The first and the immediate second, then pauses of 1, 2, 3, 3, 3, ... times 0.1 s.
    pauses = [b - a for a, b in itertools.pairwise(moments)]
    for pause, least in zip(pauses, [0, 0.1, 0.2, 0.3, 0.3, 0.3], strict=False):
        assert pause >= least - 0.005
    assert 3 <= len(moments) <= 8
