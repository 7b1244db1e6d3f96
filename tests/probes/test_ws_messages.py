"""Messages that are no echo: what is skipped, what is said of them, and what ends a connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from probes.servers import BINARY, TEXT, frame, probe, read_frame, serve, silent, upgrade, ws_leg
from probes.ws_helpers import Reader, Writer

from t3probe.probes.ws_echo import answers, described

Handler = Callable[[Reader, Writer], Awaitable[None]]
HELLO = frame(TEXT, b'{"type":"hello"}')
NONCE = "0123456789abcdef0123456789abcdef"


def chatting(before: bytes = b"", with_each: bytes = b"", after: bytes = b"") -> Handler:
    """An echo that says something after the upgrade, before and after each echo."""

    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        writer.write(before)
        while True:
            _, payload = await read_frame(reader)
            writer.write(with_each + frame(TEXT, payload) + after)
            await writer.drain()

    return handler


def answering_with(make: Callable[[bytes], bytes]) -> Handler:
    """A server that answers each message with other bytes."""

    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        while True:
            _, payload = await read_frame(reader)
            writer.write(make(payload))
            await writer.drain()

    return handler


# -- skipped ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "handler",
    [
        chatting(before=HELLO),
        chatting(with_each=HELLO),
        chatting(after=HELLO),
        chatting(before=HELLO * 900),
        chatting(before=frame(BINARY, b"\x00\x01")),
        chatting(before=frame(TEXT, b"")),
        chatting(before=frame(TEXT, b'{"ty', final=False) + frame(0, b'pe":"hello"}')),
    ],
)
async def test_what_answers_no_beat_is_skipped_and_noted(handler: Handler) -> None:
    async with serve(handler) as server:
        seen = await probe(ws_leg(server), hold=0.3)
    assert (seen.outcome, seen.drops) == ("passed", ()), seen.detail
    assert seen.evidence[0].startswith("skipped a message that answers no beat: ")
    assert len(seen.evidence) <= 3


async def test_echoes_of_earlier_beats_are_not_wrong_ones() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        known: list[bytes] = []
        while True:
            _, payload = await read_frame(reader)
            writer.write(b"".join(frame(TEXT, one) for one in (*known, payload)))
            known.append(payload)
            await writer.drain()

    async with serve(handler) as server:
        seen = await probe(ws_leg(server), hold=0.4)
    assert (seen.outcome, seen.drops) == ("passed", ()), seen.detail
    assert "skipped a second echo of an earlier beat" in seen.evidence


async def test_a_late_echo_is_not_in_place_of_another() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        _, first = await read_frame(reader)
        writer.write(frame(TEXT, first))
        await read_frame(reader)
        writer.write(frame(TEXT, first))
        await silent(reader, writer)

    async with serve(handler) as server:
        seen = await probe(ws_leg(server), hold=0.3, watchdog=0.4)
    held = next(one for one in seen.drops if one.strand == "held")
    assert (held.reason, held.detail) == ("rtt_timeout", "no echo within 400 ms")


async def test_the_bound_begins_anew_with_each_echo() -> None:
    async with serve(chatting(with_each=HELLO * 600)) as server:
        seen = await probe(ws_leg(server), hold=0.4)
    assert seen.outcome == "passed", seen.detail
    assert sum(one.strand == "held" for one in seen.beats) > 1


async def test_there_is_a_bound() -> None:
    async with serve(chatting(before=HELLO * 1100)) as server:
        seen = await probe(ws_leg(server), hold=0)
    assert (seen.outcome, seen.reason) == ("failed", "protocol_error")
    assert seen.detail == (
        "more than 1000 messages that answer no beat, the last one text of 16 characters "
        '"{?type?:?hello?}"'.replace("?", '"')
    )


# -- in place of the echo ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda sent: frame(BINARY, sent), 'binary of 32 bytes "'),
        (lambda sent: frame(TEXT, sent.upper()), 'text of 32 characters "'),
        (lambda sent: frame(TEXT, b"you said " + sent), 'text of 41 characters "you said '),
        (lambda sent: frame(TEXT, sent[:-1]), 'text of 31 characters "'),
        (lambda sent: frame(TEXT, b"z" + sent[1:]), 'text of 32 characters "z'),
    ],
)
async def test_a_damaged_echo_is_told_at_once(make: Callable[[bytes], bytes], words: str) -> None:
    async with serve(answering_with(make)) as server:
        seen = await probe(ws_leg(server), hold=0, watchdog=30)
    assert (seen.outcome, seen.reason) == ("failed", "wrong_echo")
    assert "the echo differs from what was sent, a text of 32 characters: " in seen.detail
    assert words in seen.detail


async def test_something_else_in_place_of_the_echo() -> None:
    error = b'{"error":"no","token":"s3cret"}' + b"\x1b" * 50
    async with serve(answering_with(lambda sent: frame(TEXT, error))) as server:
        seen = await probe(ws_leg(server), hold=0, watchdog=0.4)
    assert (seen.outcome, seen.reason) == ("failed", "wrong_echo")
    shown = '{"error":"no","token":***}' + "?" * 14
    assert seen.detail == (
        f'no echo within 400 ms; in its place came text of 81 characters "{shown}"'
    )
    assert seen.drops[0].answered


async def test_nothing_in_place_of_the_echo() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        await silent(reader, writer)

    async with serve(handler) as server:
        seen = await probe(ws_leg(server), hold=0, watchdog=0.4)
    assert (seen.reason, seen.detail) == ("rtt_timeout", "no echo within 400 ms")


# -- named ---------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [frame(TEXT, b"x" * 65537), frame(TEXT, b"", size=2**40)])
@pytest.mark.parametrize("asked", [True, False])
async def test_a_message_longer_than_we_read_convicts_nobody(answer: bytes, asked: bool) -> None:
    handler = answering_with(lambda sent: answer) if asked else chatting(after=answer)
    async with serve(handler) as server:
        seen = await probe(ws_leg(server), hold=0.3, watchdog=30)
    assert (seen.outcome, seen.drops) == ("inconclusive", ())
    assert "a message of more than 65536 bytes, which is more than t3probe reads" in seen.detail


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (
            "Sec-WebSocket-Protocol: graphql-ws",
            "the server picks a subprotocol that was not asked for: graphql-ws",
        ),
        (
            "Sec-WebSocket-Extensions: permessage-deflate",
            "the server picks an extension that was not asked for: permessage-deflate",
        ),
    ],
)
async def test_what_nobody_asked_for(header: str, words: str) -> None:

    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer, f"{header}\r\n")
        await silent(reader, writer)

    async with serve(handler) as server:
        seen = await probe(ws_leg(server), hold=0)
    assert (seen.outcome, seen.reason, seen.detail) == ("failed", "protocol_error", words)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"\x81\x85\x00\x00\x00\x00hello", "incorrect masking"),
        (b"\xc1\x05hello", "reserved bits must be 0"),
        (b"\x83\x05hello", "invalid opcode"),
        (b"\x88\x0b\x03\xf0no entry!", "1008 (policy violation) no entry!"),
        (b"\x88\x06\x10\x00bye!", "4096 (private use) bye!"),
        (b"\x88\x02\x03\xee", "invalid status code"),
    ],
)
async def test_how_a_connection_ended_is_named(answer: bytes, words: str) -> None:
    async with serve(answering_with(lambda sent: answer)) as server:
        seen = await probe(ws_leg(server), hold=0, watchdog=30)
    assert seen.outcome == "failed"
    assert words in seen.detail


# -- pure ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (NONCE, True),
        (NONCE.encode(), True),
        (NONCE.upper(), True),
        ('{"echo":"' + NONCE + '"}', True),
        (NONCE[:20], True),
        (NONCE[:7], False),
        ("0123456789abcdef" + "x" * 16, True),
        ("x" * 17 + NONCE[17:], False),
        ('{"type":"hello","session":"abc"}', False),
        ("", False),
        (b"", False),
        ("ping", False),
        ("deadbeef", False),
    ],
)
def test_what_answers_a_beat(message: str | bytes, expected: bool) -> None:
    assert answers(message, NONCE) is expected


@given(st.text() | st.binary())
def test_any_message_can_be_described(message: str | bytes) -> None:
    told = described(message)
    assert told.isprintable()
    assert len(told) < 100
