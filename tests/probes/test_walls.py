"""The wall-off checks, both ways round, and every way out of a carve-out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from probes.servers import (
    answering,
    echo,
    head,
    header_of,
    probe,
    response,
    serve,
    silent,
)
from probes.walls import TO_SSO, WALLS, Reader, Writer, public, walled

from t3probe.config.types import Leg

# -- what is the SSO's answer --------------------------------------------------------------

INTACT: list[tuple[str, bytes]] = [
    ("served", response("200 OK", b"fine")),
    ("404", response("404 Not Found")),
    ("405", response("405 Method Not Allowed")),
    ("426", response("426 Upgrade Required")),
    ("403", response("403 Forbidden", b"no")),
    ("redirect elsewhere", response("302 F", b"", [("Location", "https://other.example/")])),
    ("like the SSO", response("302 F", b"", [("Location", "https://sso.example.evil.example/")])),
    ("SSO in the query", response("302 F", b"", [("Location", "//b.c/x?to=https://sso.example/")])),
    ("no HTML", response("200 OK", b'<input type="password">', [("Content-Type", "text/plain")])),
    ("empty", response("204 No Content", b"")),
]


@pytest.mark.parametrize("answer", [one for _, one in WALLS], ids=[name for name, _ in WALLS])
async def test_a_public_path_behind_the_wall_fails(answer: bytes) -> None:
    async with serve(answering(answer)) as server:
        seen = await probe(public(server))
    assert (seen.outcome, seen.reason) == ("failed", "walled_off"), seen.detail
    assert seen.level == "ask"


@pytest.mark.parametrize("answer", [one for _, one in INTACT], ids=[name for name, _ in INTACT])
async def test_anything_else_shows_that_the_rule_is_intact(answer: bytes) -> None:
    async with serve(answering(answer)) as server:
        seen = await probe(public(server))
    assert seen.outcome == "passed", seen.detail
    assert seen.drops == ()


@pytest.mark.parametrize("status", ["500 Oops", "502 Bad", "504 Late"])
@pytest.mark.parametrize("make", [public, walled])
async def test_a_5xx_says_nothing(status: str, make: Callable[..., Leg]) -> None:
    async with serve(answering(response(status))) as server:
        seen = await probe(make(server))
    assert (seen.outcome, seen.reason) == ("inconclusive", "http_5xx")
    assert seen.drops == ()


@pytest.mark.parametrize("make", [public, walled])
async def test_no_answer_says_nothing(make: Callable[..., Leg]) -> None:
    async with serve(silent) as server:
        leg = make(server)
        seen = await probe(leg, watchdog=0.3)
        assert (seen.outcome, seen.reason) == ("inconclusive", "rtt_timeout")
    seen = await probe(leg)
    assert (seen.outcome, seen.reason) == ("inconclusive", "connect_refused")
    async with serve(answering(b"junk\r\n\r\n")) as server:
        seen = await probe(make(server))
    assert (seen.outcome, seen.reason) == ("inconclusive", "protocol_error")


async def test_an_answer_of_another_route_is_a_collapse() -> None:
    async with serve(answering(TO_SSO)) as server:
        seen = await probe(public(server, headers_present=("cf-ray",)))
    assert (seen.outcome, seen.reason) == ("inconclusive", "leg_collapsed")


async def test_the_upgrade_is_tried_without_cookies() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        request = await head(reader, writer)
        if header_of(request, "upgrade"):
            writer.write(TO_SSO)
        else:
            writer.write(response(headers=[("Set-Cookie", "session=1; Path=/")]))

    async with serve(handler) as server:
        seen = await probe(public(server))
    assert (seen.outcome, seen.reason) == ("failed", "walled_off")
    assert "WebSocket upgrade" in seen.detail
    upgrades = [one for one in server.requests if header_of(one, "upgrade") == "websocket"]
    assert upgrades
    for one in server.requests:
        assert header_of(one, "cookie") is None
        assert header_of(one, "authorization") is None
    for one in upgrades:
        assert len(header_of(one, "sec-websocket-key") or "") == 24


async def test_an_upgrade_that_works_is_left_at_once() -> None:
    async with serve(echo) as server:

        async def handler(reader: Reader, writer: Writer) -> None:
            request = await reader.readuntil(b"\r\n\r\n")
            if header_of(request, "upgrade"):
                writer.write(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
                )
                await silent(reader, writer)
            writer.write(response("426 Upgrade Required"))

        async with serve(handler) as other:
            async with asyncio.timeout(4):
                seen = await probe(public(other), watchdog=60, connect_timeout=60)
    assert server.connections == 0
    assert seen.outcome == "passed"
    assert seen.evidence == ()


async def test_an_upgrade_that_breaks_is_only_mentioned() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        request = await head(reader, writer)
        if not header_of(request, "upgrade"):
            writer.write(response())

    async with serve(handler) as server:
        seen = await probe(public(server))
    assert seen.outcome == "passed"
    assert "WebSocket upgrade" in seen.evidence[0]
