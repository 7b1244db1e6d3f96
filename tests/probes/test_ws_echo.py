"""The WebSocket echo: what it dials, what it accepts, and what each kind of broken peer costs."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import errno
import os
import resource
import socket
from typing import Any

import pytest
from probes.fixtures import Authority
from probes.servers import (
    HOST,
    PING,
    PONG,
    TEXT,
    deployment,
    echo,
    frame,
    header_of,
    made_run,
    one_is_held,
    probe,
    read_frame,
    serve,
    silent,
    upgrade,
    ws_leg,
)
from probes.ws_helpers import Reader, Writer

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
    held, fresh = one_is_held(seen)
    assert min(len(held), len(fresh)) >= 2


async def test_a_fresh_nonce_every_beat() -> None:
    async with serve(echo) as server:
        seen = await probe(ws_leg(server), hold=0.5)
    nonces = [beat.nonce for beat in seen.beats]
    assert len(nonces) > 2
    assert len(set(nonces)) == len(nonces)
    assert all(len(bytes.fromhex(nonce)) == 16 for nonce in nonces)
    held, fresh = one_is_held(seen)
    assert min(len(held), len(fresh)) > 2
    assert server.connections == len(fresh)


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

    monkeypatch.setattr("t3probe.probes.resolve._system", answer)


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
        leg = ws_leg(url=f"ws://{HOST}/ws", pin=f"127.0.0.1:{listener.getsockname()[1]}")
        run = made_run(deployment([leg]), [leg], hold=0)  # it imports what it needs now
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        taken: list[int] = []
        try:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            for spare in spares:
                os.close(taken.pop(-1 - spare))
            (seen,) = await run.measure()
        finally:
            for one in taken:
                os.close(one)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (seen.outcome, seen.reason) == ("inconclusive", "connect_failed")
