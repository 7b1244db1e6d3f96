"""A WebSocket that does not echo: what is asked of it, what answers, and what that clears."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from probes.servers import HOST, frame, probe, read_frame, serve, upgrade
from probes.ws_helpers import Reader, Writer
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets

from t3probe.config.types import Leg
from t3probe.probes.ws import Expected, glob

TEXT, PING, PONG = 1, 9, 10
Handler = Callable[[ServerConnection], Awaitable[None]]
PATH = ("edge", "proxy", "app")


def leg(port: int, **more: Any) -> Leg:
    kind = "ws" if more.get("send") or more.get("ping") else "ws_upgrade"
    more = {"kind": kind, "name": "ws", "path": PATH, "tcp_ends_at": "edge"} | more
    return Leg(url=f"ws://{HOST}:{port}/ws", pin="127.0.0.1", **more)


@asynccontextmanager
async def app(handler: Handler, **options: Any) -> AsyncIterator[int]:
    """A real server of `websockets`; its port."""
    async with serve_websockets(handler, "127.0.0.1", 0, **options) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def asked(connection: ServerConnection) -> None:
    """An application that answers each of its orders, and says hello."""
    await connection.send('{"type":"hello"}')
    async for message in connection:
        order = json.loads(message)
        await connection.send(json.dumps({"op": "pong", "id": order["id"], "at": 12.5}))


async def deaf(connection: ServerConnection) -> None:
    """One that hangs, while its library answers pings."""
    async for _ in connection:
        pass


ASKING = {"send": '{"op":"ping","id":"{nonce}"}', "expect": '{"op":"pong","id":"{nonce}"}'}


async def test_an_answer_with_our_nonce_clears_the_whole_path() -> None:
    async with app(asked) as port:
        seen = await probe(leg(port, **ASKING), hold=0.3)
    assert (seen.outcome, seen.drops, seen.clears) == ("passed", (), None), seen.detail
    assert (seen.kind, seen.level) == ("ws", "hold")
    assert {beat.strand for beat in seen.beats} == {"held", "fresh"}
    assert not seen.evidence, "what an application says by itself is nothing strange"


async def test_an_application_that_hangs_is_down_though_it_upgrades_and_pongs() -> None:
    async with app(deaf) as port:
        seen = await probe(leg(port, **ASKING), watchdog=0.3)
        pinged = await probe(leg(port, ping=True), hold=0.3)
        upgraded = await probe(leg(port), hold=0.3)
    assert (seen.outcome, seen.reason) == ("failed", "rtt_timeout")
    assert "no message that expect describes" in seen.detail
    for other in (pinged, upgraded):
        assert other.outcome == "passed", other.detail
        assert other.clears == ("edge",), "neither shows that the application does its work"


async def test_another_answer_than_ours_is_none() -> None:
    async def other(connection: ServerConnection) -> None:
        async for _ in connection:
            await connection.send('{"op":"pong","id":"0123456789abcdef0123456789abcdef"}')

    async with app(other) as port:
        seen = await probe(leg(port, **ASKING), watchdog=0.3)
    assert (seen.outcome, seen.reason) == ("failed", "rtt_timeout")


async def test_what_comes_without_being_asked_for_clears_no_more_than_a_pong() -> None:
    async def chatting(connection: ServerConnection) -> None:
        async for _ in connection:
            await connection.send("tick 1")
            await connection.send("tick 2")

    async def answering(connection: ServerConnection) -> None:
        async for _ in connection:
            await connection.send("tick")

    ticking = {"send": "hello", "expect": "tick*"}
    async with app(chatting) as port:
        seen = await probe(leg(port, **ticking), hold=0.5)
    assert (seen.outcome, seen.clears) == ("passed", ("edge",))
    async with app(answering) as port:
        seen = await probe(leg(port, **ticking), hold=0.3)
    assert (seen.outcome, seen.clears) == ("passed", None)


async def test_a_chatty_application_is_not_cut() -> None:
    async def flooding(connection: ServerConnection) -> None:
        async for message in connection:
            for _ in range(1500):
                await connection.send("news")
            await connection.send(message)

    nonced = {"send": "{nonce}", "expect": "{nonce}"}
    async with app(flooding) as port:
        seen = await probe(leg(port, **nonced))
    assert seen.outcome == "passed", seen.detail


def of_pings(answers: bool) -> Callable[[Reader, Writer], Awaitable[None]]:
    """A server that answers pings, or not; and never a message."""

    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        while True:
            opcode, payload = await read_frame(reader)
            if opcode == PING and answers:
                writer.write(frame(PONG, payload))
                await writer.drain()

    return handler


async def test_pings_alone() -> None:
    async with serve(of_pings(True)) as server:
        seen = await probe(leg(server.port, ping=True), hold=0.3)
    assert seen.outcome == "passed", seen.detail
    assert all(beat.ok for beat in seen.beats)
    async with serve(of_pings(False)) as server:
        seen = await probe(leg(server.port, ping=True), watchdog=0.3)
    assert (seen.outcome, seen.reason) == ("failed", "rtt_timeout")
    assert "no pong" in seen.detail


async def test_a_connection_that_ends_under_a_ping_is_one_drop_each_time() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        for _ in range(2):
            _, payload = await read_frame(reader)
            writer.write(frame(PONG, payload))
            await writer.drain()
        await read_frame(reader)

    async with serve(handler) as server:
        seen = await probe(leg(server.port, ping=True), hold=0.4, backoff=5, backoff_max=5)
    assert {(one.reason, one.symptom) for one in seen.drops} == {("closed_by_peer", "cut")}
    ended = [one.noticed for one in seen.drops]
    assert len(ended) == len(set(ended)) <= 2, "that connection, and the one of its second look"


async def test_only_the_upgrade_holds_nothing() -> None:
    async with app(deaf) as port:
        seen = await probe(leg(port), hold=0.4)
    assert (seen.outcome, seen.level) == ("passed", "ask")
    assert len(seen.beats) > 1
    assert {beat.strand for beat in seen.beats} == {"fresh"}


@pytest.mark.parametrize("takes", [True, False])
async def test_origin_and_subprotocol(takes: bool) -> None:
    origin = "https://app.example.org"
    options: dict[str, Any] = {"origins": [origin]}
    if takes:
        options["subprotocols"] = ["v2.app"]
    async with app(asked, **options) as port:
        seen = await probe(leg(port, origin=origin, subprotocol="v2.app", **ASKING))
        other = await probe(leg(port, origin="https://else.example.org", **ASKING))
    assert (other.outcome, other.reason) == ("failed", "upgrade_rejected")
    if takes:
        assert seen.outcome == "passed", seen.detail
    else:
        assert (seen.outcome, seen.reason) == ("failed", "protocol_error")
        assert "does not take the subprotocol v2.app" in seen.detail


# -- what must come back -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expect", "message", "fits"),
    [
        ("pong", "pong", True),
        ("pong", "pong!", False),
        ("*pong*", "a pong!", True),
        ("a*b*c", "a-c-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("ab*ba", "aba", False),
        ('{"op":"pong"}', '{"op":"pong","more":[1]}', True),
        ('{"op":"pong"}', '{"op":"ping"}', False),
        ('{"op":"p*g"}', '{"op":"pong"}', True),
        ('{"n":1}', '{"n":true}', False),
        ('{"n":1}', '{"n":1.0}', False),
        ('[{"a":null},"*"]', '[{"a":null,"b":0},"x"]', True),
        ('[{"a":null}]', '[{"a":null},1]', False),
        ('{"a":{}}', "[]", False),
        ('{"a":1}', "no JSON", False),
        ("{nonce}*", "0af3, thanks", True),
        ("{nonce}*", "0af4, thanks", False),
        ('{"id":"{nonce}"}', '{"id":"0af3"}', True),
    ],
)
def test_what_fits(expect: str, message: str, fits: bool) -> None:
    assert Expected(expect).is_in(message, "0af3") is fits
    assert Expected(expect).is_in(message.encode(), "0af3") is fits


def test_what_no_message_should_do_to_us() -> None:
    assert not Expected('{"a":1}').is_in("[" * 60_000, "")
    assert not Expected('{"a":1}').is_in(b"\xff\xfe", "")
    deep = '{"a":' * 600 + "1" + "}" * 600
    Expected(deep).is_in(deep, "")
    pattern = "*" + "*".join(["a" * 100 + "b"] * 30) + "*"
    began = time.process_time()
    assert not glob(pattern, "a" * 65_536)
    assert time.process_time() - began < 5, "no pattern costs more than its length times the text's"


@given(st.lists(st.text("ab", max_size=3), min_size=1, max_size=5), st.text("ab", max_size=12))
def test_a_glob_is_what_a_pattern_says(pieces: list[str], text: str) -> None:
    import re

    expected = re.fullmatch(".*".join(map(re.escape, pieces)), text) is not None
    assert glob("*".join(pieces), text) is expected
