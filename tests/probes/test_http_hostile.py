"""The HTTP heartbeat: statuses, hostile answers, and the leg's own route."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
from typing import Any

import pytest
from probes.http_servers import OK, Reader, Writer
from probes.servers import (
    HOST,
    answering,
    head,
    http_leg,
    probe,
    probe_all,
    response,
    serve,
    target_of,
    until,
)

from t3probe.probes.http_wire import AnswerReader

# -- statuses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "expected", "outcome"),
    [
        ("200 OK", (), None),
        ("204 No Content", (), None),
        ("404 Not Found", (), "http_4xx"),
        ("404 Not Found", (404,), None),
        ("200 OK", (404,), "http_other"),
        ("401 Unauthorized", (), "walled_off"),
        ("401 Unauthorized", (401,), None),
        ("500 Oops", (), "http_5xx"),
        ("599 Odd", (), "http_5xx"),
        ("600 Odd", (), "http_other"),
    ],
)
async def test_statuses(status: str, expected: tuple[int, ...], outcome: str | None) -> None:
    answer = response(status, b"" if status.startswith("204") else b"ok")
    async with serve(answering(answer)) as server:
        seen = await probe(http_leg(server, expect_status=expected))
    assert seen.reason == outcome, seen.detail
    assert server.connections == (2 if outcome else 1)


async def test_a_redirect_is_never_followed() -> None:
    answer = response("302 Found", b"", [("Location", "/elsewhere")])
    async with serve(answering(answer)) as server:
        seen = await probe(http_leg(server))
    assert seen.outcome == "passed"
    (request,) = server.requests
    assert target_of(request).startswith("/health?t3probe=")


# -- hostile answers -----------------------------------------------------------------------


def resident() -> int:
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


async def endless_body(reader: Reader, writer: Writer) -> None:
    await head(reader, writer)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 209715200\r\n\r\n")
    for _ in range(200):
        writer.write(b"x" * (1 << 20))
        await writer.drain()


async def endless_chunks(reader: Reader, writer: Writer) -> None:
    await head(reader, writer)
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(200):
        writer.write(b"1\r\nx\r\n" * 100_000)
        await writer.drain()


async def endless_headers(reader: Reader, writer: Writer) -> None:
    await head(reader, writer)
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for _ in range(500):
        writer.write(b"a: b\r\n" * 20_000)
        await writer.drain()


async def one_long_header(reader: Reader, writer: Writer) -> None:
    await head(reader, writer)
    writer.write(b"HTTP/1.1 200 OK\r\na: ")
    for _ in range(100):
        writer.write(b"x" * (1 << 20))
        await writer.drain()


@pytest.mark.parametrize(
    ("flood", "outcome"),
    [
        (endless_body, "passed"),
        (endless_chunks, "passed"),
        (endless_headers, "inconclusive"),
        (one_long_header, "inconclusive"),
    ],
)
async def test_floods_cost_no_memory(flood: Any, outcome: str) -> None:
    before = most = resident()

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, resident())
            await asyncio.sleep(0.02)

    async with serve(flood) as server:
        watching = asyncio.create_task(watch())
        seen = await probe(http_leg(server), watchdog=60)
        watching.cancel()
    assert seen.outcome == outcome, seen.detail
    if outcome == "inconclusive":
        assert seen.reason == "protocol_error"
        assert "headers of more than 256 KiB" in seen.detail
    assert most - before < 48 << 20


async def test_a_long_body_costs_the_connection_and_no_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rest must neither keep the event loop spinning nor the server sending."""
    taken = 0
    take = AnswerReader.feed

    def count(reader: AnswerReader, data: bytes) -> None:
        nonlocal taken
        taken += len(data)
        take(reader, data)

    monkeypatch.setattr(AnswerReader, "feed", count)
    async with serve(endless_body) as server:
        running = asyncio.ensure_future(probe(http_leg(server), hold=0.5, heartbeat=60))
        await until(lambda: server.closed > 0)
        seen = await running
    assert seen.outcome == "passed", seen.detail
    assert server.connections <= 3
    assert taken < server.connections * (4 << 20)


async def test_slow_headers_end_with_the_watchdog() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await head(reader, writer)
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"a: b\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with serve(handler) as server:
        seen = await probe(http_leg(server), watchdog=0.4)
    assert seen.reason == "rtt_timeout"
    assert server.connections == 2


GARBAGE = [
    b"\r\n\r\n\r\n",
    b"SSH-2.0-x\r\n",
    b"HTTP/9.9 200 OK\r\n\r\n",
    b"HTTP/1.1 abc OK\r\n\r\n",
    b"HTTP/1.1 99999 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
    b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokXX0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno",
    b"\x00" * 5000 + b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00" + bytes(range(256)) + b"\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + b"junk\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 200 \x1b[31m\r\nLocation: \x1b]0;\x07\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n",
    OK + OK,
    OK + b"junk",
]


def repeating(answer: bytes) -> Any:
    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            await head(reader, writer)
            writer.write(answer)
            await writer.drain()

    return handler


async def test_garbage_ends_in_a_sentence() -> None:
    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(serve(repeating(one))) for one in GARBAGE]
        legs = [http_leg(server, name=f"h{n}") for n, server in enumerate(servers)]
        seen = await probe_all(legs, hold=0.25, watchdog=0.3)
    for garbage, server, leg in zip(GARBAGE, servers, seen.values(), strict=True):
        assert "itself broke" not in leg.detail, garbage
        assert leg.detail.isascii(), garbage
        assert leg.detail == "" or leg.detail.isprintable(), garbage
        # Whether a page that nobody can read, or a place that is none, is the SSO's is not known.
        unread = b"Content-Encoding" in garbage or b"http://[" in garbage
        assert leg.outcome in ({"inconclusive"} if unread else {"passed", "failed"}), garbage
        assert server.connections < 40, garbage


@pytest.mark.parametrize("garbage", [*GARBAGE[1:5], GARBAGE[5], GARBAGE[7], GARBAGE[9]])
async def test_what_is_no_http_is_a_protocol_error(garbage: bytes) -> None:
    async with serve(answering(garbage)) as server:
        seen = await probe(http_leg(server), watchdog=2)
    assert (seen.outcome, seen.reason) == ("failed", "protocol_error"), seen.detail


async def test_a_password_in_the_url_stays_there() -> None:
    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(serve(repeating(one))) for one in GARBAGE]
        url = f"http://user:hunter2@{HOST}/"
        legs = [http_leg(server, name=f"h{n}", url=url) for n, server in enumerate(servers)]
        seen = await probe_all(legs, watchdog=0.3)
    assert "hunter2" not in repr(seen)


# -- the leg's own route -------------------------------------------------------------------


async def test_a_missing_header_is_a_collapse() -> None:
    async with serve(answering(OK)) as server:
        seen = await probe(http_leg(server, headers_present=("cf-ray",)))
    assert (seen.outcome, seen.reason) == ("inconclusive", "leg_collapsed")
    assert "'cf-ray'" in seen.detail


async def test_a_foreign_header_is_a_collapse_also_in_mid_run() -> None:
    foreign = response(headers=[("X-Inside", "yes")])
    async with serve(answering(OK, OK, OK, foreign)) as server:
        seen = await probe(http_leg(server, headers_absent=("x-inside",), fresh_every=0), hold=0.8)
    assert (seen.outcome, seen.reason) == ("inconclusive", "leg_collapsed")
    assert sum(beat.ok for beat in seen.beats) == 3
