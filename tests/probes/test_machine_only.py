"""Legs that ask for the machine only (`refused_ok`), and answers that ask to come later."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from probes.http_servers import OK, Reader, Writer
from probes.servers import (
    Server,
    answering,
    deaf,
    head,
    http_leg,
    probe,
    probe_until,
    reset,
    response,
    serve,
    silent,
    ws_leg,
)
from probes.walls import TO_SSO, public, walled

from t3probe.config.types import Leg
from t3probe.observation import Observation
from t3probe.run.book import Book
from t3probe.verdict.incident.evidence import Evidence


def machine(server: Server, **changes: Any) -> Leg:
    return http_leg(server, path=("box",), tcp_ends_at="box", refused_ok=True, **changes)


def beats(number: int) -> Callable[[Book], bool]:
    return lambda book: len(book.beats) >= number


def fine(seen: Observation) -> None:
    assert (seen.outcome, seen.drops) == ("passed", ()), seen.detail
    assert seen.connected
    assert seen.accepting
    assert all(one.ok for one in seen.beats)


async def test_a_refusal_is_an_answer() -> None:
    async with serve(answering(OK)) as server:
        pass
    seen = await probe_until(beats(3), machine(server))
    fine(seen)
    assert all(one.refused for one in seen.beats)
    assert seen.connections == ()  # nothing is held


async def test_without_the_key_it_is_none() -> None:
    async with serve(answering(OK)) as server:
        pass
    seen = await probe(http_leg(server))
    assert (seen.outcome, seen.reason) == ("failed", "connect_refused")


async def test_a_server_that_comes_back_is_held() -> None:
    async with serve(answering(OK)) as gone:
        pass
    leg = machine(gone)
    back = asyncio.Event()

    def refused_then_held(book: Book) -> bool:
        if book.beats:
            back.set()
        return any(one.strand == "held" for one in book.beats)

    async def later() -> None:
        await back.wait()
        async with serve(answering(OK), port=gone.port):
            await asyncio.sleep(60)

    serving = asyncio.ensure_future(later())
    seen = await probe_until(refused_then_held, leg)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert (seen.outcome, seen.drops) == ("passed", ()), seen.detail
    assert len(seen.connections) == 1


def ends(how: Callable[[Writer], None], after: int) -> Any:
    async def handler(reader: Reader, writer: Writer) -> None:
        for _ in range(after):
            await head(reader, writer)
            writer.write(OK)
            await writer.drain()
        if after != 1:
            await head(reader, writer)
        how(writer)

    return handler


@pytest.mark.parametrize("after", [0, 1, 2], ids=["at once", "between beats", "in a beat"])
@pytest.mark.parametrize("how", [reset, lambda writer: writer.close()], ids=["reset", "close"])
async def test_the_end_of_a_connection_is_an_answer(
    how: Callable[[Writer], None], after: int
) -> None:
    async with serve(ends(how, after)) as server:
        seen = await probe_until(lambda book: server.connections > 2, machine(server))
    assert (seen.outcome, seen.drops) == ("passed", ()), seen.detail


async def test_what_ended_a_held_connection_is_no_proof_that_it_held() -> None:
    async with serve(ends(reset, 2)) as server:
        seen = await probe_until(
            lambda book: any(one.refused for one in book.beats), machine(server, fresh_every=0)
        )
    assert [one.refused for one in seen.beats if one.conn == 0] == [False, False, True]
    first, second, last = seen.beats[:3]
    evidence = Evidence([(seen.leg, seen)])
    assert evidence.held_through(first.ended, second.sent) == {seen.leg: seen.path}
    assert not evidence.held_through(first.ended, last.sent)


async def test_the_silence_of_its_page_degrades_it() -> None:
    async with serve(silent) as server:
        seen = await probe(machine(server), watchdog=0.3)
    assert (seen.outcome, seen.reason, seen.drops) == ("degraded", "rtt_timeout", ())
    assert seen.detail == (
        "the machine took our bytes, its page did not answer: no answer within 300 ms"
    )
    (beat,) = seen.beats
    assert beat.ok
    assert beat.refused  # no process answered: it proves what a connect does
    assert beat.rtt_seconds < 0.3  # the kernel's, not the watchdog's


async def test_an_error_of_its_page_degrades_it() -> None:
    async with serve(answering(response("500 Oops"))) as server:
        seen = await probe_until(beats(5), machine(server, fresh_every=0))
    assert (seen.outcome, seen.reason, seen.drops) == ("degraded", "http_5xx", ())
    assert server.connections == 1


async def test_a_silent_kernel_is_a_drop() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await head(reader, writer)
        writer.write(OK)
        await writer.drain()
        deaf(writer.get_extra_info("socket"))
        await asyncio.sleep(60)

    async with serve(handler) as server:
        seen = await probe_until(
            lambda book: bool(book.drops) and not book.undecided,
            machine(server, fresh_every=0),
            watchdog=1,
        )
    assert (seen.outcome, seen.reason) == ("failed", "rtt_timeout")


async def test_a_full_backlog_is_a_drop() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        stuffing = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            stuffing.append(one)
        seen = await probe(machine(Server(port=port)), watchdog=0.5, connect_timeout=0.3)
        for one in stuffing:
            one.close()
    assert (seen.outcome, seen.reason) == ("failed", "connect_timeout")


async def test_the_sso_is_not_the_machine() -> None:
    async with serve(answering(response("401 No"))) as server:
        seen = await probe(machine(server))
    assert (seen.outcome, seen.reason) == ("failed", "walled_off")


# -- come later ----------------------------------------------------------------------------

LATER = [
    response("429 Too Many Requests"),
    response("429 Too Many", b"<title>Just a moment...</title>"),
    response("503 Busy", b"", [("Retry-After", "3")]),
]


@pytest.mark.parametrize("answer", LATER, ids=["429", "challenge", "503"])
@pytest.mark.parametrize("make", [http_leg, ws_leg, public, walled])
async def test_come_later_says_nothing(make: Callable[..., Leg], answer: bytes) -> None:
    async with serve(answering(answer)) as server:
        seen = await probe(make(server))
    assert (seen.outcome, seen.drops) == ("inconclusive", ()), seen.detail
    assert not any(one.conclusive for one in seen.beats)


@pytest.mark.parametrize("answer", LATER[:1])
async def test_in_mid_hold_it_costs_nothing(answer: bytes) -> None:
    async with serve(answering(OK, answer, OK)) as server:
        leg = http_leg(server, fresh_every=0)
        seen = await probe_until(lambda book: len(book.beats) > 3 and book.beats[-1].ok, leg)
    assert (seen.outcome, seen.drops) == ("passed", ()), seen.detail
    assert [one.ok for one in seen.beats[:3]] == [True, False, True]


async def test_a_503_without_more_is_a_failure() -> None:
    async with serve(answering(response("503 Busy"))) as server:
        seen = await probe(http_leg(server))
    assert (seen.outcome, seen.reason) == ("failed", "http_5xx")


async def test_an_expected_429_is_good() -> None:
    async with serve(answering(LATER[0])) as server:
        seen = await probe(http_leg(server, expect_status=(429,)))
    assert seen.outcome == "passed"


# -- what a public path proves -------------------------------------------------------------

NOT_FOUND = response("404 Not Found")
ELSEWHERE = response("302 F", b"", [("Location", "https://elsewhere.example/")])
WAY = ("wan", "edge", "proxy", "rule")


@pytest.mark.parametrize(
    ("answer", "changes", "clears"),
    [
        (OK, {"tcp_ends_at": "edge"}, None),
        (NOT_FOUND, {"tcp_ends_at": "edge"}, ("wan", "edge")),
        (NOT_FOUND, {}, ("wan",)),
        (NOT_FOUND, {"tcp_ends_at": "edge", "expect_status": (404,)}, None),
        (ELSEWHERE, {"tcp_ends_at": "edge"}, ("wan", "edge")),
        (response("403 No", b"x"), {"tcp_ends_at": "edge"}, ("wan", "edge")),
        (response("403 No", b"x"), {"tcp_ends_at": "edge", "expect_status": (403,)}, None),
    ],
    ids=[
        "served",
        "404",
        "404 of somebody",
        "404 as expected",
        "sent elsewhere",
        "403",
        "403 as expected",
    ],
)
async def test_what_a_public_path_clears(
    answer: bytes, changes: dict[str, Any], clears: tuple[str, ...] | None
) -> None:
    async with serve(answering(answer)) as server:
        seen = await probe(public(server, "/probe/x", **{"path": WAY, **changes}))
    assert (seen.outcome, seen.clears) == ("passed", clears), seen.detail


@pytest.mark.parametrize(
    ("answer", "clears"),
    [
        (TO_SSO, None),
        (response("403 No", b"x"), None),
        (NOT_FOUND, ("wan", "edge")),
        (ELSEWHERE, ("wan", "edge")),
    ],
    ids=["the SSO", "refused", "404", "elsewhere"],
)
async def test_what_a_walled_path_clears(answer: bytes, clears: tuple[str, ...] | None) -> None:
    async with serve(answering(answer)) as server:
        seen = await probe(walled(server, path=WAY, tcp_ends_at="edge"))
    assert (seen.outcome, seen.clears) == ("passed", clears), seen.detail


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (NOT_FOUND, "http_4xx"),
        (response("500 Oops"), "http_5xx"),
        (response("200 OK"), "http_other"),
    ],
)
async def test_another_answer_than_expected_fails(answer: bytes, reason: str) -> None:
    async with serve(answering(answer)) as server:
        seen = await probe(public(server, expect_status=(204,)))
    assert (seen.outcome, seen.reason) == ("failed", reason)


async def test_no_answer_says_nothing_whatever_is_expected() -> None:
    async with serve(silent) as server:
        seen = await probe(public(server, expect_status=(200,)), watchdog=0.3)
    assert (seen.outcome, seen.reason) == ("inconclusive", "rtt_timeout")
