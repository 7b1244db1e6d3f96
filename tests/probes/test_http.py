"""HTTP beats: one kept-alive connection, and what its ends mean."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from probes.fixtures import Authority
from probes.http_servers import OK, Reader, Writer, conns
from probes.servers import (
    HOST,
    answering,
    head,
    header_of,
    http_leg,
    one_is_held,
    probe,
    reset,
    response,
    serve,
    silent,
    target_of,
    until,
)

from t3probe.probes.http_client import HttpAnswer, HttpClient
from t3probe.run import controller

# -- one connection ------------------------------------------------------------------------


async def test_one_connection_carries_all_beats() -> None:
    async with serve(answering(OK)) as server:
        seen = await probe(http_leg(server), hold=0.5)
    assert seen.outcome == "passed", seen.detail
    held, fresh = one_is_held(seen)
    assert min(len(held), len(fresh)) > 3
    assert server.connections == len(fresh)
    assert all(beat.first_byte_seconds is not None for beat in seen.beats)
    assert all(beat.tcp is not None and beat.tcp.state == 1 for beat in seen.beats)


async def test_over_tls_with_the_host_name_kept(authority: Authority) -> None:
    context = authority.context(HOST)
    asked: list[str | None] = []
    context.sni_callback = lambda sock, name, old: asked.append(name)
    async with serve(answering(OK), tls=context) as server:
        leg = http_leg(server, url=f"https://{HOST}/health", host_header="nowhere.example")
        seen = await probe(leg, ca=authority.file, hold=0.3)
    assert seen.outcome == "passed", seen.detail
    held, fresh = one_is_held(seen)
    assert min(len(held), len(fresh)) > 1
    assert server.connections == len(fresh)
    assert asked == [HOST] * len(fresh)
    assert {header_of(one, "host") for one in server.requests} == {"nowhere.example"}
    assert seen.cert_not_after is not None
    assert {"connect", "tls", "first_echo"} <= set(seen.phases)


async def test_a_certificate_of_another_host_fails(authority: Authority) -> None:
    async with serve(answering(OK), tls=authority.context("other.example")) as server:
        leg = http_leg(server, url=f"https://{HOST}/health")
        seen = await probe(leg, ca=authority.file)
    assert (seen.outcome, seen.reason) == ("failed", "tls_failed")
    assert server.requests == []


async def test_proxy_variables_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(silent) as proxy, serve(answering(OK)) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{proxy.pin}")
        monkeypatch.delenv("no_proxy", raising=False)
        seen = await probe(http_leg(server))
    assert seen.outcome == "passed"
    assert proxy.connections == 0


async def test_cookies_are_not_kept() -> None:
    async with serve(answering(response(headers=[("Set-Cookie", "session=1; Path=/")]))) as server:
        await probe(http_leg(server), hold=0.3)
    assert len(server.requests) > 1
    assert all(header_of(one, "cookie") is None for one in server.requests)


RAW = ["/a%2fb/../c", "/%2E%2e/x", "//x//y", "/x;a=b/", "/x?a=%20&b=+", "/%c3%bc", "/a%00b"]


@pytest.mark.parametrize("target", RAW)
async def test_targets_are_kept_byte_for_byte(target: str) -> None:
    async with serve(answering(OK)) as server:
        await probe(http_leg(server, url=f"http://{HOST}{target}"))
    asked = target_of(server.requests[0])
    assert asked.split("?t3probe=")[0] == target


# -- polite closes -------------------------------------------------------------------------


def closing_after(times: int, *, polite: bool = True, delay: float = 0.0) -> Any:
    """Answers `times` requests on a connection, then closes it, or resets it."""

    async def handler(reader: Reader, writer: Writer) -> None:
        for _ in range(times):
            await head(reader, writer)
            writer.write(OK)
            await writer.drain()
        await asyncio.sleep(delay)
        if not polite:
            reset(writer)

    return handler


@pytest.mark.parametrize("secure", [False, True])
async def test_a_polite_close_between_beats_is_no_drop(secure: bool, authority: Authority) -> None:
    tls = authority.context(HOST) if secure else None
    async with serve(closing_after(2), tls=tls) as server:
        leg = http_leg(server, url=f"http{'s' * secure}://{HOST}/health")
        seen = await probe(leg, ca=authority.file, hold=0.65)
    assert (seen.outcome, seen.drops) == ("passed", ()), seen.detail
    good = len(conns(seen))
    assert good >= 4
    assert server.connections == max(conns(seen)) + 1
    assert server.connections <= good // 2 + 1  # no storm: two beats for each connection


@pytest.mark.parametrize("waits", [False, True])
async def test_a_tls_server_that_hangs_up_all_at_once_is_polite(
    waits: bool, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kernel answers our close_notify with a reset, which is no drop either. Without a FIN
    before it, when the server's end of the connection held our close_notify already."""
    context = authority.context(HOST)
    import select
    import socket
    import threading

    listener = socket.create_server(("127.0.0.1", 0))
    over, idle = threading.Event(), threading.Event()
    ask = HttpClient.ask

    async def asks(*given: Any, **more: Any) -> HttpAnswer:
        answer = await ask(*given, **more)
        idle.set()
        return answer

    monkeypatch.setattr(HttpClient, "ask", asks)
    accepted = 0

    def work() -> None:
        nonlocal accepted
        listener.settimeout(0.05)
        while not over.is_set():
            try:
                plain, _ = listener.accept()
            except TimeoutError:
                continue
            accepted += 1
            plain.settimeout(5)
            with context.wrap_socket(plain, server_side=True) as sock:
                sock.recv(65536)
                idle.clear()
                sock.sendall(OK)
                sock.settimeout(0)
                if waits:
                    idle.wait(5)
                try:
                    sock.unwrap()  # sends close_notify, and the descriptor closes at once
                except OSError:
                    pass
                if waits:
                    select.select([sock], [], [], 5)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        leg = http_leg(url=f"https://{HOST}/", pin=f"127.0.0.1:{listener.getsockname()[1]}")
        seen = await probe(leg, ca=authority.file, hold=1, heartbeat=0.05)
    finally:
        over.set()
        thread.join()
        listener.close()
    assert (seen.outcome, seen.drops) == ("passed", ()), seen.detail
    assert accepted > 5 - 3 * waits


@pytest.mark.parametrize(
    "answer",
    [
        response(headers=[("Connection", "close")]),
        response(headers=[("Connection", "Close, TE")]),
        OK.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
@pytest.mark.parametrize("hangs_up", [True, False])
async def test_an_answer_that_ends_the_connection(answer: bytes, hangs_up: bool) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await head(reader, writer)
        writer.write(answer)
        if not hangs_up:
            await silent(reader, writer)

    async with serve(handler) as server:
        seen = await probe(http_leg(server), hold=0.25)
        assert (seen.outcome, seen.drops) == ("passed", ()), seen.detail
        assert server.connections == len(seen.beats)
        assert all(beat.ok for beat in seen.beats)
        await until(lambda: server.closed == server.connections)


async def test_a_server_that_closes_exactly_when_we_ask() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await head(reader, writer)
        writer.write(OK)
        await head(reader, writer)  # closes on the next request, unanswered

    async with serve(handler) as server:
        seen = await probe(http_leg(server), hold=0.25)
    assert (seen.outcome, seen.drops) == ("passed", ()), seen.detail
    crossed = [beat for beat in seen.beats if not beat.ok]
    assert crossed
    assert not any(beat.conclusive for beat in crossed)
    assert server.connections <= len(seen.beats) + 1


async def test_a_fresh_connection_closed_unanswered_is_a_drop() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await head(reader, writer)

    async with serve(handler) as server:
        seen = await probe(http_leg(server))
    assert (seen.outcome, seen.reason) == ("failed", "closed_by_peer")
    assert server.connections == 2


async def test_a_request_that_dies_unanswered_is_never_repeated_in_silence() -> None:
    """A library would ask again on a new connection, and nobody would know."""

    async def handler(reader: Reader, writer: Writer) -> None:
        await head(reader, writer)
        writer.write(OK)
        await head(reader, writer)
        writer.write(OK)  # the first common beat
        await head(reader, writer)
        await asyncio.sleep(0.4)

    async with serve(handler) as server:
        seen = await probe(http_leg(server), hold=0.4, heartbeat=0.2)
    assert (seen.outcome, seen.reason) == ("failed", "closed_by_peer")
    assert seen.drops[0].symptom == "cut"
    assert seen.drops[0].conn == 0


async def test_one_bad_answer_with_a_polite_close_is_still_a_drop() -> None:
    bad = response("502 Bad Gateway", headers=[("Connection", "close")])
    answers = [OK, OK, bad, OK]

    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            await head(reader, writer)
            answer = answers.pop(0) if len(answers) > 1 else OK
            writer.write(answer)
            if answer is bad:
                return

    async with serve(handler) as server:
        seen = await probe(http_leg(server, fresh_every=0), hold=0.5)
    assert (seen.outcome, seen.reason) == ("failed", "http_5xx")
    assert [drop.symptom for drop in seen.drops] == ["cut"]


# -- impolite ends -------------------------------------------------------------------------


@pytest.mark.parametrize("secure", [False, True])
async def test_a_reset_between_beats_is_noticed_at_once(secure: bool, authority: Authority) -> None:
    tls = authority.context(HOST) if secure else None
    async with serve(closing_after(2, polite=False, delay=0.1), tls=tls) as server:
        leg = http_leg(server, url=f"http{'s' * secure}://{HOST}/health")
        seen = await probe(
            leg, ca=authority.file, hold=0.6, heartbeat=60, backoff=60, backoff_max=60
        )
    assert (seen.outcome, seen.reason) == ("failed", "connection_reset")
    assert seen.drops[0].stage == "hold"
    assert seen.drops[0].symptom == "cut"


async def test_a_reset_in_the_middle_of_an_answer() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await head(reader, writer)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        await asyncio.sleep(0.05)
        reset(writer)

    async with serve(handler) as server:
        seen = await probe(http_leg(server))
    assert (seen.outcome, seen.reason) == ("failed", "connection_reset")


async def test_an_answer_that_breaks_off() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await head(reader, writer)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    async with serve(handler) as server:
        seen = await probe(http_leg(server))
    assert (seen.outcome, seen.reason) == ("failed", "io_error")


async def test_nobody_listens() -> None:
    async with serve(answering(OK)) as server:
        leg = http_leg(server)
    seen = await probe(leg)
    assert (seen.outcome, seen.reason) == ("failed", "connect_refused")
    assert seen.drops[0].stage == "connect"


async def test_silence_costs_two_watchdogs_and_no_more() -> None:
    async with serve(silent) as server:
        seen = await probe(http_leg(server, tcp_ends_at="back"), watchdog=0.3)
    assert (seen.outcome, seen.reason) == ("failed", "rtt_timeout")
    assert server.connections == 2
    assert seen.drops[0].symptom == "down"
    assert seen.drops[0].carried == ("front",)


async def test_silence_in_the_tls_handshake(authority: Authority) -> None:
    async with serve(silent) as server:
        leg = http_leg(server, url=f"https://{HOST}/", tcp_ends_at="back")
        seen = await probe(leg, ca=authority.file, connect_timeout=0.3)
    assert (seen.outcome, seen.reason) == ("failed", "tls_failed")
    assert seen.drops[0].carried == ("front",)


async def test_hold_zero_waits_for_a_slow_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await head(reader, writer)
        await asyncio.sleep(0.3)  # longer than a run gives itself to close
        writer.write(OK)
        await silent(reader, writer)

    monkeypatch.setattr(controller, "_CLOSE_SECONDS", 0.05)
    async with serve(handler) as server:
        seen = await probe(http_leg(server), watchdog=8)
    assert seen.outcome == "passed", seen.detail
