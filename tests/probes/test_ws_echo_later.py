"""The WebSocket echo against peers that break once it is up."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import resource
from typing import Any

import pytest
from probes.servers import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    answering,
    echo_frames,
    frame,
    probe,
    probe_all,
    probe_until,
    read_frame,
    reset,
    response,
    serve,
    silent,
    upgrade,
    ws_leg,
)
from probes.ws_helpers import Reader, Writer, reasons

from t3probe.observation import Observation

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


async def test_a_message_that_nobody_asked_for_is_noted() -> None:
    seen = await misbehaving(frame(TEXT, b"news"), asked=False)
    assert seen.evidence == ('skipped a message that answers no beat: text of 4 characters "news"',)


async def test_the_second_of_two_echoes_is_noted() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        _, payload = await read_frame(reader)
        writer.write(frame(TEXT, payload) * 2)
        await silent(reader, writer)

    async with serve(handler) as server:
        seen = await probe(ws_leg(server), hold=0.05, backoff=5)
    assert seen.beats[0].ok
    assert seen.evidence == ("skipped a second echo of an earlier beat",)


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


@pytest.mark.parametrize(
    ("heartbeat", "most"),
    [
        # The first three; two for each pause of at least 0.2 s, and for the first and the last
        # common beat.
        (60, 3 + 2 * (4 + 2)),
        # A fresh beat comes every heartbeat, whatever the pause, and is held: after each of them,
        # the opening and those two at most two second looks.
        (0.1, 3 * (7 + 3)),
    ],
)
async def test_a_flapping_server_sees_a_bounded_number_of_connections(
    heartbeat: float, most: int
) -> None:
    async with serve(closes_after_each_echo) as server:
        leg, times = ws_leg(server), {"backoff": 0.2, "backoff_max": 0.3}
        seen = await probe(leg, hold=0.7, heartbeat=heartbeat, **times)
    assert 3 <= server.connections <= most
    assert set(reasons(seen)) == {"closed_by_peer"}
    assert seen.outcome == "failed"


async def test_back_off_grows_to_its_bound() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        return

    async with serve(handler) as server:
        leg = ws_leg(server)
        times = {"heartbeat": 60, "backoff": 0.1, "backoff_max": 0.3}
        seen = await probe_until(lambda book: len(book.beats) >= 9, leg, **times)
        assert server.connections == len(seen.beats)
    # The first, its second look and the first common beat, which may count as a failure more; then
    # pauses of at least 1, 2, 3, 3, 3, ... times 0.1 s.
    sent = sorted(beat.sent for beat in seen.beats)
    pauses = [b - a for a, b in itertools.pairwise(sent)]
    for pause, least in zip(pauses, [0, 0, 0.1, 0.2, 0.3, 0.3, 0.3, 0.3], strict=True):
        assert pause >= least - 0.005
