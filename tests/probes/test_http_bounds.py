"""What one answer may cost, and whether its connection is kept, against a real server."""

from __future__ import annotations

import socket

import pytest
from probe_parts import probing
from probes.servers import HOST, Server, answering, response, serve

from t3probe import AGENT
from t3probe.config.types import Leg
from t3probe.observation import TcpSample
from t3probe.probes import doh
from t3probe.probes.facts import Facts, ProbeError, Target
from t3probe.probes.http_client import HttpAnswer, HttpClient, _Wire
from t3probe.probes.http_wire import BODY_BYTES, AnswerReader
from t3probe.timing import FakeClock

MIB = 1 << 20


async def asked(server: Server, times: int = 1) -> tuple[HttpClient, list[HttpAnswer]]:
    client = HttpClient(Target(HOST, server.address, server.port), probing(), Facts())
    try:
        answers = [
            await client.ask("GET", f"http://{HOST}:{server.port}/", limit=60) for _ in range(times)
        ]
    finally:
        await client.close()
    return client, answers


@pytest.mark.parametrize(("size", "kept"), [(MIB, True), (MIB + 1, False)])
async def test_a_body_of_a_mebibyte_keeps_its_connection(size: int, kept: bool) -> None:
    async with serve(answering(response(body=b"x" * size))) as server:
        client, (answer,) = await asked(server)
    assert client.closed_by_peer is not kept
    assert answer.body == b"x" * BODY_BYTES


@pytest.mark.parametrize("size", [0, 1, BODY_BYTES - 1, BODY_BYTES, BODY_BYTES + 1])
async def test_of_a_body_the_beginning_is_kept(size: int) -> None:
    body = bytes(at % 251 for at in range(size))
    async with serve(answering(response(body=body))) as server:
        client, answers = await asked(server, 2)
    assert [one.body for one in answers] == [body[:BODY_BYTES]] * 2
    assert (server.connections, client.closed_by_peer) == (1, False)
    assert BODY_BYTES == 65536


@pytest.mark.parametrize(
    ("version", "words", "kept"),
    [
        ("1.1", None, True),
        ("1.1", "close", False),
        ("1.1", "Keep-Alive, Close", False),
        ("1.1", "keep-alive", True),
        ("1.0", None, False),
        ("1.0", "keep-alive", True),
        ("1.0", "close", False),
    ],
)
async def test_whether_the_connection_is_kept(version: str, words: str | None, kept: bool) -> None:
    headers = [] if words is None else [("Connection", words)]
    answer = response(headers=headers).replace(b"HTTP/1.1", f"HTTP/{version}".encode())
    async with serve(answering(answer)) as server:
        client, _ = await asked(server)
    assert client.closed_by_peer is not kept


async def test_a_request_has_no_cookie_and_says_who_asks() -> None:
    answer = response(headers=[("Set-Cookie", "a=b")])
    async with serve(answering(answer)) as server:
        await asked(server, 2)
    for request in server.requests:
        lines = request.decode().lower().split("\r\n")
        assert f"user-agent: {AGENT}" in lines
        assert "accept-encoding: identity" in lines
        assert not [one for one in lines if one.startswith("cookie")]


async def test_a_second_connection_only_after_renew() -> None:
    async with serve(answering(response(headers=[("Connection", "close")]))) as server:
        client = HttpClient(Target(HOST, server.address, server.port), probing(), Facts())
        url = f"http://{HOST}:{server.port}/"
        try:
            await client.ask("GET", url, limit=60)
            with pytest.raises(ProbeError):
                await client.ask("GET", url, limit=60)
            assert (server.connections, client.renewed) == (1, False)
            client.renew()
            await client.ask("GET", url, limit=60)
            assert (server.connections, client.renewed) == (2, True)
        finally:
            await client.close()


@pytest.mark.parametrize(
    ("used", "rtt", "waited", "polite"),
    [
        (True, None, 0.04, True),
        (True, None, 0.06, False),
        (True, 1.0, 2.04, True),
        (True, 1.0, 2.06, False),
        (False, 1.0, 0.01, False),
    ],
)
async def test_a_close_that_crossed_our_question_is_polite(
    used: bool, rtt: float | None, waited: float, polite: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two round trips after it was sent nobody can have closed without having read it."""
    fake = FakeClock()
    client, _ = wired(fake)
    sample = None if rtt is None else TcpSample(state=8, rtt_seconds=rtt)
    monkeypatch.setattr(client, "tcp", lambda: sample)
    client.used = used
    fake.advance(waited)
    failed = await client._explain(None, 0.0, 60.0, AnswerReader())
    await client.close()
    assert (failed.reason, failed.stage) == ("closed_by_peer", "ask")
    assert client.closed_by_peer is polite


def wired(fake: FakeClock | None = None) -> tuple[HttpClient, _Wire]:
    """A client whose connection ended."""
    client = HttpClient(Target(HOST, "127.0.0.1", 1), probing(fake or FakeClock()), Facts())
    client._wire = _Wire(lambda: None)
    client._wire.ended = True
    return client, client._wire


def read(data: bytes) -> AnswerReader:
    reader = AnswerReader()
    reader.feed(data)
    return reader


async def test_what_it_said_before_it_was_asked_counts_though_it_hung_up() -> None:
    client, wire = wired()
    wire.reader.feed(b"HTTP/1.0 503 Full\r\n\r\nlater")
    answer = await client.ask("GET", f"http://{HOST}/", limit=60)
    await client.close()
    assert (answer.status, answer.body) == (503, b"later")


PART = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"


@pytest.mark.parametrize(
    ("error", "data", "reason", "words"),
    [
        (None, PART, "io_error", "HTTP 200, but the answer broke off"),
        (ConnectionResetError(), PART, "connection_reset", "HTTP 200, but connection reset"),
        (ConnectionResetError(), b"", "connection_reset", "connection reset"),
        (OSError("odd"), b"", "io_error", "connection lost: odd"),
        (OSError(), b"", "io_error", "connection lost: OSError"),
        (None, b"junk", "protocol_error", "not HTTP: the answer begins with 'junk'"),
        (None, b"HTTP/1.1 200 OK\r\nodd\r\n\r\n", "protocol_error",
         "HTTP 200 with a header line without a name"),
    ],
)  # fmt: skip
async def test_what_went_wrong_in_words(
    error: Exception | None, data: bytes, reason: str, words: str
) -> None:
    client, wire = wired()
    wire.error = error
    failed = await client._explain(None, 0.0, 60.0, read(data))
    await client.close()
    assert (failed.reason, failed.stage, failed.detail) == (reason, "ask", words)


@pytest.mark.parametrize(
    ("dialled", "connected", "data", "reason", "stage"),
    [
        (False, False, b"", "connect_timeout", "connect"),
        (True, False, b"", "tls_failed", "ask"),
        (True, True, b"", "rtt_timeout", "ask"),
        (True, True, PART, "rtt_timeout", "ask"),
    ],
)
async def test_where_the_time_went(
    dialled: bool, connected: bool, data: bytes, reason: str, stage: str
) -> None:
    client, wire = wired()
    with socket.socket() as sock:
        client._copy = sock.dup() if dialled else None
    client._wire = wire if connected else None
    failed = await client._explain(TimeoutError(), 0.0, 60.0, read(data) if data else None)
    await client.close()
    assert (failed.reason, failed.stage) == (reason, stage)
    assert failed.heard is bool(data)


@pytest.mark.parametrize(
    ("port", "url"),
    [(443, "https://10.0.0.53/a"), (8443, "https://10.0.0.53:8443/b"), (1, None)],
)
async def test_which_provider_is_behind_an_address(port: int, url: str | None) -> None:
    leg = Leg(
        name="doh", kind="doh", path=("w",), query=HOST,
        doh=("https://10.0.0.54/x", "https://10.0.0.53/a", "https://10.0.0.53:8443/b"),
    )  # fmt: skip
    target = Target("10.0.0.53", "10.0.0.53", port)
    if url is None:
        with pytest.raises(LookupError, match="is no provider of leg doh"):
            await doh.open(leg, target, probing())
        return
    line = await doh.open(leg, target, probing())
    assert isinstance(line, doh.DohLine)
    assert line._url == url
    await line.close()
