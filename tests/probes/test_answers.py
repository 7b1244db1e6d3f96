"""An answer is judged by its status: odd heads, bodies that do not end, and limits of our own.

The same answers are given to an HTTP leg and to the upgrade of a WebSocket leg.
"""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest
from probes.servers import (
    HOST,
    Handler,
    answering,
    deployment,
    echo_frames,
    head,
    http_leg,
    probe,
    reset,
    response,
    serve,
    silent,
    upgrade,
    ws_leg,
)
from probes.ws_helpers import Reader, Writer

from t3probe.config.types import Leg, Sso
from t3probe.observation import Observation
from t3probe.run.controller import Run

LEGS = pytest.mark.parametrize("make", [http_leg, ws_leg], ids=["http", "ws"])
WATCHDOG = 5
"""Seconds on the tests' own clock, on which only waiting takes time."""


def said(data: bytes, then: Any = silent) -> Handler:
    """Answers once with these bytes, and goes on as told."""

    async def handler(reader: Reader, writer: Writer) -> None:
        await head(reader, writer)
        writer.write(data)
        await writer.drain()
        if then is not None:
            await then(reader, writer)

    return handler


def took(seen: Observation) -> float:
    """How long the first look took, in seconds."""
    (drop,) = seen.drops
    assert drop.asked is not None
    return drop.noticed - drop.asked


ODD_HEADS = [
    b"HTTP/1.0 503 Service Unavailable\r\n",
    b"HTTP/1.1 503\r\n",
    b"HTTP/1.1 503 \xe4\xff\x00\r\n",
    b"HTTP/2 503\r\n",
    b"http/1.1 503 Oops\n",
    b"HTTP/1.1 503 Oops\r\nFolded: a\r\n b\r\n",
    b"HTTP/1.1 503 Oops\r\nno header\r\n",
    b"HTTP/1.1 503 Oops\r\nContent-Length: -1\r\n",
    b"HTTP/1.1 503 Oops\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 503 Oops\r\n",
]


@LEGS
@pytest.mark.parametrize("start", ODD_HEADS)
async def test_an_odd_head_is_judged_by_its_status(start: bytes, make: Any) -> None:
    async with serve(said(start + b"\r\nbody", None)) as server:
        seen = await probe(make(server))
    reason = "http_5xx" if make is http_leg else "upgrade_rejected"
    assert (seen.outcome, seen.reason) == ("failed", reason), seen.detail
    assert "HTTP 503" in seen.detail
    assert seen.drops[0].answered
    assert seen.drops[0].accused == "front"  # nobody says where it came from: it may be anybody


async def drips(reader: Reader, writer: Writer) -> None:
    while True:
        writer.write(b"1\r\nx\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def floods(reader: Reader, writer: Writer) -> None:
    while True:
        writer.write(b"8000\r\n" + b"x" * 32768 + b"\r\n")
        await writer.drain()


async def resets(reader: Reader, writer: Writer) -> None:
    await asyncio.sleep(0.05)
    reset(writer)


START = b"HTTP/1.1 403 Forbidden\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"
BODIES: dict[str, tuple[bytes, Any]] = {
    "never begins": (START + b"Content-Length: 10\r\n\r\n", silent),
    "stops": (START + b"Content-Length: 10\r\n\r\nhalf", silent),
    "has no length and stays open": (START + b"\r\nhalf", silent),
    "is cut": (START + b"Content-Length: 10\r\n\r\nhalf", None),
    "is reset": (START + b"Content-Length: 10\r\n\r\nhalf", resets),
    "is longer than it says": (START + b"Content-Length: 2\r\n\r\nmore than two", silent),
    "drips for ever": (CHUNKED, drips),
    "floods for ever": (CHUNKED, floods),
    "has broken chunks": (CHUNKED + b"zz\r\n", silent),
    "has chunks that lie": (CHUNKED + b"1\r\nxyz\r\n", silent),
    "says gzip and is none": (START + b"Content-Encoding: gzip\r\n\r\nplain", None),
}


@LEGS
@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_is_wrong_or_does_not_end_costs_no_watchdog(name: str, make: Any) -> None:
    data, then = BODIES[name]
    async with serve(said(data, then)) as server:
        seen = await probe(make(server, tcp_ends_at="back"), watchdog=WATCHDOG)
    reason = "http_4xx" if make is http_leg else "upgrade_rejected"
    assert (seen.outcome, seen.reason) == ("failed", reason), seen.detail
    assert seen.detail.startswith("HTTP 403")
    assert took(seen) < WATCHDOG / 2
    (drop,) = seen.drops
    assert (drop.answered, drop.accused, drop.carried) == (True, "back", ("front",))


@LEGS
async def test_a_head_that_comes_late_is_an_answer_too(make: Any) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await head(reader, writer)
        await asyncio.sleep(0.9 * WATCHDOG)
        writer.write(START + b"Content-Length: 10\r\n\r\nhalf")
        await silent(reader, writer)

    async with serve(handler) as server:
        seen = await probe(make(server), watchdog=WATCHDOG)
    reason = "http_4xx" if make is http_leg else "upgrade_rejected"
    assert (seen.outcome, seen.reason) == ("failed", reason), seen.detail


@LEGS
async def test_half_a_head_is_something(make: Any) -> None:
    """It is late; but nobody says that the far end took our bytes and did not answer."""
    async with serve(said(b"HTTP/1.1 200 OK\r\nA: b")) as server:
        seen = await probe(make(server, tcp_ends_at="back"), watchdog=0.4)
    assert (seen.outcome, seen.reason) == ("failed", "rtt_timeout")
    assert "did not answer" not in seen.drops[0].evidence
    assert seen.drops[0].carried == ("front",)


@pytest.mark.parametrize(
    ("status", "expected", "outcome"),
    [("302 Found", (), "passed"), ("403 No", (403,), "failed"), ("200 OK", (), "failed")],
)
async def test_a_good_status_wants_its_body(
    status: str, expected: tuple[int, ...], outcome: str
) -> None:
    """A path that lets the head through and not the rest is no good path."""
    start = f"HTTP/1.1 {status}\r\nLocation: /x\r\nContent-Length: 9\r\n\r\nhalf".encode()
    async with serve(said(start)) as server:
        seen = await probe(http_leg(server, expect_status=expected), watchdog=0.4)
    assert seen.outcome == outcome, seen.detail
    if outcome == "failed":
        assert seen.reason == "rtt_timeout"
        assert seen.detail == f"HTTP {status[:3]}, and no end of it within 400 ms"


LOGIN = b"<html><a href='/flow/login'>"


@LEGS
async def test_the_body_of_a_refusal_still_tells_the_sso(make: Any) -> None:
    page = b"HTTP/1.0 403 Forbidden\r\nContent-Length: 999\r\n\r\n" + LOGIN
    async with serve(said(page)) as server:
        seen = await probe(make(server))
    assert (seen.outcome, seen.reason) == ("failed", "walled_off")


# -- 101 -----------------------------------------------------------------------------------------

OK_101 = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (OK_101, "Sec-WebSocket-Accept"),
        (OK_101 + "Sec-WebSocket-Accept: wrong\r\n", "invalid Sec-WebSocket-Accept header: wrong"),
        (OK_101 + "Sec-WebSocket-Accept: \x00\r\n", "invalid HTTP header value"),
        (OK_101.replace("Upgrade: websocket\r\n", ""), "missing Upgrade header"),
        (OK_101.replace("websocket", "h2c"), "invalid Upgrade header: h2c"),
        (OK_101.replace("Connection: Upgrade", "Connection: close"), "Connection header: close"),
        (OK_101.replace("HTTP/1.1", "HTTP/1.0"), "HTTP/1.0 knows no upgrade"),
        (OK_101.replace("websocket", "(\x7f"), "invalid HTTP header value"),
        ("HTTP/1.1 101 \xe4\r\nbroken line\r\n", "missing Connection header"),
    ],
)
async def test_a_broken_101_is_an_answer_and_said_at_once(answer: str, words: str) -> None:
    async with serve(said(answer.encode("latin-1") + b"\r\n")) as server:
        seen = await probe(ws_leg(server, tcp_ends_at="back"), watchdog=WATCHDOG)
    assert (seen.outcome, seen.reason) == ("failed", "protocol_error")
    assert "broken answer to the upgrade: HTTP 101, " in seen.detail
    assert words in seen.detail
    assert took(seen) < 1
    (drop,) = seen.drops
    assert (drop.answered, drop.accused, drop.carried) == (True, "back", ("front",))


@pytest.mark.parametrize(
    "more",
    [
        "X-Big: " + "x" * 200_000 + "\r\n",
        "".join(f"X-{at}: y\r\n" for at in range(2000)),
        "Folded: a\r\n b\r\n",
        "broken line\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "X: \xe4\x01\r\n",
    ],
    ids=lambda more: more[:8],
)
async def test_a_good_101_may_hold_what_a_browser_takes(more: str) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
        await upgrade(reader, writer, more)
        await echo_frames(reader, writer)

    async with serve(handler) as server:
        seen = await probe(ws_leg(server))
    assert seen.outcome == "passed", seen.detail


async def test_a_frame_that_comes_with_the_101_is_not_lost() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        writer.write(b"\x88\x02\x03\xe9")  # a close frame: 1001
        await silent(reader, writer)

    async with serve(handler) as server:
        seen = await probe(ws_leg(server))
    assert seen.reason == "closed_by_peer"
    assert "1001" in seen.detail


# -- limits of our own ---------------------------------------------------------------------------


@LEGS
@pytest.mark.parametrize("size", [20_000, 250_000])
async def test_large_headers_convict_nobody(size: int, make: Any) -> None:
    line = f"Content-Security-Policy: {'x' * size}\r\n"

    async def handler(reader: Reader, writer: Writer) -> None:
        if make is ws_leg:
            await upgrade(reader, writer, line)
            await echo_frames(reader, writer)
        while True:
            await head(reader, writer)
            writer.write(response().replace(b"\r\n", b"\r\n" + line.encode(), 1))

    async with serve(handler) as server:
        seen = await probe(make(server))
    assert seen.outcome == "passed", seen.detail


@LEGS
@pytest.mark.parametrize("status", ["101 Switching", "200 OK", "503 Oops"])
@pytest.mark.parametrize("flood", [b"A: " + b"x" * 300_000, b"A: b\r\n" * 50_000], ids=len)
async def test_beyond_our_limit_nobody_can_tell(flood: bytes, status: str, make: Any) -> None:
    async with serve(said(f"HTTP/1.1 {status}\r\n".encode() + flood)) as server:
        seen = await probe(make(server), watchdog=WATCHDOG)
    assert (seen.outcome, seen.reason) == ("inconclusive", "protocol_error")
    assert "headers of more than 256 KiB, and t3probe reads no more" in seen.detail
    assert seen.drops == ()


async def test_a_machine_that_says_more_than_we_read_is_there() -> None:
    async with serve(said(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50_000)) as server:
        seen = await probe(http_leg(server, refused_ok=True), watchdog=WATCHDOG)
    assert (seen.outcome, seen.reason) == ("degraded", "protocol_error")
    assert "the machine answers" in seen.detail


async def test_chunk_extensions_beyond_our_limit_convict_nobody() -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 70_000
    async with serve(said(data)) as server:
        seen = await probe(http_leg(server), watchdog=WATCHDOG)
    assert (seen.outcome, seen.reason) == ("inconclusive", "protocol_error")
    assert "chunk extensions of more than 64 KiB" in seen.detail


# -- what is compressed --------------------------------------------------------------------------


async def test_a_compressed_login_page_is_the_sso() -> None:
    page = response("200 OK", gzip.compress(LOGIN), [("Content-Encoding", "GZIP")])
    async with serve(answering(page)) as server:
        seen = await probe(http_leg(server))
    assert (seen.outcome, seen.reason) == ("failed", "walled_off")


@pytest.mark.parametrize(
    ("status", "content_type", "sso", "outcome"),
    [
        ("200 OK", "text/html", True, "inconclusive"),
        ("200 OK", "text/plain", True, "inconclusive"),  # the marker may stand in it
        ("200 OK", "text/html", False, "inconclusive"),  # a password field may
        ("200 OK", "text/plain", False, "passed"),
        ("302 Found", "text/html", True, "passed"),
        ("404 Not Found", "text/html", True, "failed"),
    ],
)
async def test_what_cannot_be_read_is_no_good_beat_where_it_matters(
    status: str, content_type: str, sso: bool, outcome: str
) -> None:
    headers = [("Content-Encoding", "compress"), ("Content-Type", content_type)]
    headers += [("Location", "/on")] * status.startswith("302")
    async with serve(answering(response(status, b"\x1f\x9d?", headers))) as server:
        seen = await probe(http_leg(server)) if sso else await without_sso(http_leg(server))
    assert seen.outcome == outcome, seen.detail
    if outcome == "inconclusive":
        assert (
            seen.detail == "HTTP 200 with a body that is compressed with compress: cannot be read"
        )


async def test_a_machine_whose_page_nobody_can_read_is_there() -> None:
    headers = [("Content-Encoding", "compress"), ("Content-Type", "text/html")]
    async with serve(answering(response("200 OK", b"\x1f\x9d?", headers))) as server:
        seen = await probe(http_leg(server, refused_ok=True))
    assert (seen.outcome, seen.reason) == ("passed", None), seen.detail


# -- who speaks first ----------------------------------------------------------------------------


@LEGS
@pytest.mark.parametrize("hangs_up", [True, False])
@pytest.mark.parametrize(
    ("greeting", "reason", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.7\r\n", "protocol_error", "begins with 'SSH-2.0-OpenSSH_9.7'"),
        (b"220 mail.example ESMTP\r\n", "protocol_error", "begins with '220 mail.example ESMTP'"),
        (b"J\0\0\0\n8.0.36\0", "protocol_error", "begins with"),
        (b"HTTP/1.0 503 Full\r\n\r\nlater", "", "HTTP 503"),
    ],
)
async def test_who_speaks_before_it_is_asked_is_heard(
    greeting: bytes, reason: str, words: str, hangs_up: bool, make: Any
) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        writer.write(greeting)
        await writer.drain()
        if hangs_up:
            writer.write_eof()
        await silent(reader, writer)

    async with serve(handler) as server:
        seen = await probe(make(server), watchdog=WATCHDOG)
    reason = reason or ("http_5xx" if make is http_leg else "upgrade_rejected")
    assert (seen.outcome, seen.reason) == ("failed", reason), seen.detail
    assert words in seen.detail


# -- 401 without an SSO --------------------------------------------------------------------------


async def without_sso(leg: Leg) -> Observation:
    import msgspec

    run = Run(msgspec.structs.replace(deployment([leg]), sso=Sso()), [leg], hold=0)
    (seen,) = await run.measure()
    return seen


@LEGS
@pytest.mark.parametrize(
    ("challenges", "words"),
    [
        (['Basic realm="Grafana"'], ': wants Basic (realm "Grafana")'),
        (["basic realm=plain, charset=UTF-8"], ': wants Basic (realm "plain")'),
        (['BASIC REALM = "a \\"b\\", c"'], ': wants Basic (realm "a "b", c")'),
        (["Basic"], ": wants Basic"),
        (["Negotiate", 'Basic realm="x"'], ': wants Negotiate, Basic (realm "x")'),
        (['Negotiate, NTLM, Basic realm="x, y=z", Bearer realm=w, error="e"'],
         ': wants Negotiate, NTLM, Basic (realm "x, y=z"), Bearer (realm "w")'),
        (["Negotiate YIIabc=="], ": wants Negotiate"),
        (['Digest qop="auth", realm="d", nonce="n=="'], ': wants Digest (realm "d")'),
        (["DPoP algs=ES256"], ": wants DPoP"),
        (["A, B, C, D, E, F"], ": wants A, B, C, D, 2 more"),
        (['Basic realm="token=hunter2"'], ': wants Basic (realm "token=***")'),
        (['Basic realm="\x1b[31m\xe4"'], ': wants Basic (realm "?[31m?")'),
        ([f'Basic realm="{"r" * 500}"'], f': wants Basic (realm "{"r" * 37}...")'),
        (['Basic realm="open'], ': wants Basic (realm "open")'),
        ([""], ""),
        ([",,, = \"'"], ""),
        ([], ""),
    ],
)  # fmt: skip
async def test_a_401_is_the_forward_auths_only_where_there_is_an_sso(
    challenges: list[str], words: str, make: Any
) -> None:
    answer = response("401 Unauthorized", b"", [("WWW-Authenticate", one) for one in challenges])
    async with serve(answering(answer)) as server:
        seen = await without_sso(make(server))
        known = await probe(make(server))
    if make is http_leg:
        expected = "http_4xx", f"HTTP 401{words}"
    else:
        expected = "upgrade_rejected", f"HTTP 401 instead of 101{words}"
    assert seen.outcome == "failed"
    assert (seen.reason, seen.detail) == expected
    assert known.reason == "walled_off"
    assert HOST not in seen.detail
