"""A leg passes only when what it asked was answered: peers that answer otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from probes.fixtures import Authority
from probes.servers import (
    answering,
    frame,
    head,
    http_leg,
    probe,
    read_frame,
    response,
    serve,
    silent,
    target_of,
    upgrade,
    ws_leg,
)
from probes.test_resolve import doh_leg, provider, records
from probes.walls import TO_SSO, Reader, Writer, public, walled

from t3probe.config.types import Leg
from t3probe.probes.http_client import _Wire

HTML = "Content-Type: text/html\r\n"
NEVER = {
    "its length and no byte": "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n",
    "no chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "half of a chunk's line": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3",
    "spaces, and no more": "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n   ",
}
CUT = {
    "by its length": f"HTTP/1.1 200 OK\r\n{HTML}Content-Length: 999\r\n\r\n<html><form>",
    "inside of a chunk": f"HTTP/1.1 200 OK\r\n{HTML}Transfer-Encoding: chunked\r\n\r\nff\r\n<html>",
    "before the last chunk": (
        f"HTTP/1.1 200 OK\r\n{HTML}Transfer-Encoding: chunked\r\n\r\n6\r\n<html>\r\n"
    ),
    "of a refusal": f"HTTP/1.1 404 None\r\n{HTML}Content-Length: 999\r\n\r\n<html><form>",
}


def saying(answer: str, hangs_up: bool) -> Callable[[Reader, Writer], object]:
    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            await head(reader, writer)
            writer.write(answer.encode())
            await writer.drain()
            if hangs_up:
                return

    return handler


def bare(make: Callable[..., Leg], server: object) -> Leg:
    return make(server) if make is public else make(server, public_prefixes=())


@pytest.mark.parametrize("hangs_up", [True, False])
@pytest.mark.parametrize("name", [*NEVER])
async def test_a_body_that_never_came_is_no_wall(name: str, hangs_up: bool) -> None:
    async with serve(saying(NEVER[name], hangs_up)) as server:  # type: ignore[arg-type]
        seen = await probe(bare(walled, server), watchdog=0.4)
    assert (seen.outcome, seen.drops) == ("inconclusive", ()), seen.detail


@pytest.mark.parametrize("make", [public, walled])
@pytest.mark.parametrize("name", [*CUT])
async def test_a_page_that_was_cut_proves_neither(name: str, make: Callable[..., Leg]) -> None:
    """The login form may have stood in the rest."""
    if make is walled and "refusal" in name:
        pytest.skip("nothing was served, whatever stood in it")
    async with serve(saying(CUT[name], hangs_up=True)) as server:  # type: ignore[arg-type]
        seen = await probe(bare(make, server))
    assert (seen.outcome, seen.drops) == ("inconclusive", ()), seen.detail
    assert "proves neither" in seen.detail


async def test_a_way_out_whose_body_never_came_was_not_tried() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            target = target_of(await head(reader, writer))
            odd = b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"
            wall = TO_SSO if target == "/app" else response("404 None", b"")
            writer.write(odd if target.endswith("?") else wall)
            await writer.drain()
            if target.endswith("?"):
                return

    async with serve(handler) as server:
        seen = await probe(walled(server))
    assert seen.outcome == "passed"
    assert "a body that never came" in seen.evidence[0]


async def test_a_silent_way_out_was_not_tried() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            target = target_of(await head(reader, writer))
            if target.endswith("?"):
                await silent(reader, writer)
            writer.write(TO_SSO if target == "/app" else response("404 None", b""))
            await writer.drain()

    async with serve(handler) as server:
        seen = await probe(walled(server), watchdog=0.4)
    assert seen.outcome == "passed"
    assert "not all tried" in seen.evidence[0]


@pytest.mark.parametrize("status", ["101 Switching", "206 Part", "304 Same", "412 No", "416 No"])
@pytest.mark.parametrize("make", [public, walled])
async def test_what_nobody_asked_for_says_nothing_about_a_rule(
    status: str, make: Callable[..., Leg]
) -> None:
    async with serve(answering(response(status, b""))) as server:
        seen = await probe(bare(make, server))
    assert (seen.outcome, seen.drops) == ("inconclusive", ()), seen.detail
    assert "did not ask for it" in seen.detail


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (response("206 Part", b"x"), "did not ask for it"),
        (response("304 Same", b""), "did not ask for it"),
        (response("301 Moved", b""), "names no place to go to"),
        (response("302 Found", b"", [("Location", "")]), None),
        (response("302 Found", b"", [("Location", "http://[/")]), "names no place to go to"),
        (response("307 T", b"", [("Location", "/a"), ("Location", "/b")]), "names no place"),
    ],
)
async def test_a_heartbeat_that_was_not_answered_is_no_good_one(
    answer: bytes, words: str | None
) -> None:
    async with serve(answering(answer)) as server:
        seen = await probe(http_leg(server))
        said = await probe(http_leg(server, expect_status=(int(answer[9:12]),)))
    assert seen.outcome == "inconclusive", seen.detail
    assert words is None or words in seen.detail
    assert said.outcome == "passed"  # the file says that this is the answer


@pytest.mark.parametrize("name", [*NEVER, *CUT])
async def test_a_heartbeat_that_was_cut_is_no_good_one(name: str) -> None:
    answer = {**NEVER, **CUT}[name]
    async with serve(saying(answer, hangs_up=True)) as server:  # type: ignore[arg-type]
        seen = await probe(http_leg(server))
    assert seen.outcome == "failed", seen.detail


@pytest.mark.parametrize(
    "early", [b"HTTP/1.1 2", b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\nContent-", b"\r\n"]
)
def test_what_came_before_a_question_is_no_part_of_its_answer(early: bytes) -> None:
    class Sink:
        def write(self, data: bytes) -> None:
            pass

    def receive(wire: _Wire, data: bytes) -> None:
        wire.get_buffer(-1)[: len(data)] = data
        wire.buffer_updated(len(data))

    wire = _Wire(lambda: None)
    wire.transport = Sink()  # type: ignore[assignment]
    receive(wire, early)
    assert wire.reader.begun
    reader = wire.ask(b"GET / HTTP/1.1\r\n\r\n")
    assert not reader.begun
    receive(wire, b"00 OK\r\nContent-Length: 0\r\n\r\n")
    assert reader.status == 0
    assert reader.no_http


async def test_an_echo_of_an_earlier_beat_answers_none() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        _, first = await read_frame(reader)
        while True:
            writer.write(frame(1, first))
            await writer.drain()
            await read_frame(reader)

    async with serve(handler) as server:
        seen = await probe(ws_leg(server), hold=1.2, watchdog=0.3, heartbeat=0.2)
    assert seen.outcome == "failed", seen.detail


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "224.0.0.1", "255.255.255.255"])
async def test_an_address_that_is_none_answers_no_question(
    address: str, authority: Authority
) -> None:
    async with provider(authority, records(address)) as one:
        seen = await probe(doh_leg(one), ca=authority.file)
    assert (seen.outcome, seen.reason) == ("inconclusive", "resolver_failed"), seen.detail
    assert address in seen.detail
