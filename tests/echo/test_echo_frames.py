"""Frames of a client: what is read of them, however they are cut, and what is refused."""

from __future__ import annotations

import pytest
from echo.echo_client import masked
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from t3probe.echo import frames
from t3probe.echo.frames import BINARY, CLOSE, PART, PING, PONG, TEXT, Event, FrameReader, Violation


def read(*data: bytes, most: int = 65536) -> list[Event]:
    reader, found = FrameReader(most), []
    for one in data:
        reader.feed(one)
        while event := reader.next():
            found.append(event)
    return found


def complaint(*data: bytes, most: int = 65536) -> int:
    with pytest.raises(Violation) as caught:
        read(*data, most=most)
    return caught.value.code


MESSAGES = st.one_of(
    st.tuples(st.just(TEXT), st.text(max_size=300).map(str.encode)),
    st.tuples(st.sampled_from([BINARY]), st.binary(max_size=70_000)),
    st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)),
)


@given(st.lists(MESSAGES, max_size=6), st.lists(st.integers(1, 5000), max_size=20))
def test_reads_what_the_library_writes_however_it_is_cut(messages, cuts) -> None:
    wire = b"".join(Frame(Opcode(kind), data).serialize(mask=True) for kind, data in messages)
    pieces = []
    for cut in cuts:
        pieces.append(wire[:cut])
        wire = wire[cut:]
    assert read(*pieces, wire, most=70_000) == messages


@given(st.text(max_size=50).map(str.encode), st.lists(st.integers(0, 20), max_size=8))
def test_pieces_are_one_message_whatever_comes_between(data, cuts) -> None:
    kind, wire, rest = TEXT, b"", data
    for cut in cuts:
        wire += masked(kind, rest[:cut], final=False) + masked(PING, b"x")
        kind, rest = 0, rest[cut:]
    found = read(wire + masked(kind, rest))
    assert [one for one in found if one.kind not in (PING, PART)] == [(TEXT, data)]
    assert len(found) == 2 * len(cuts) + 1


@given(st.binary(max_size=400))
def test_garbage_is_read_or_refused_and_never_piles_up(data: bytes) -> None:
    reader = FrameReader(100)
    reader.feed(data)
    code = 1002
    try:
        while reader.next():
            pass
    except Violation as violation:
        code = violation.code
    assert code in (1002, 1007, 1009)
    assert reader.held <= len(data)


@given(st.sampled_from([TEXT, BINARY, PING, PONG]), st.binary(max_size=125))
def test_what_is_written_the_library_reads(kind: int, data: bytes) -> None:
    from websockets.client import ClientProtocol
    from websockets.protocol import State
    from websockets.uri import parse_uri

    client = ClientProtocol(parse_uri("ws://app.example/"), state=State.OPEN)
    client.receive_data(frames.frame(kind, data))
    (event,) = client.events_received()
    assert isinstance(event, Frame)
    assert (event.opcode, bytes(event.data), event.fin) == (kind, data, True)


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_lengths(size: int) -> None:
    assert read(masked(BINARY, b"x" * size)) == [(BINARY, b"x" * size)]
    assert read(b"\x82" + bytes([0x80 | frames.frame(2, b"x" * size)[1]])) == []
    # Ours, made a client's with an empty mask, comes back.
    wire = bytearray(frames.frame(BINARY, b"x" * size))
    wire[1] |= 0x80
    offset = {126: 4, 127: 10}.get(wire[1] & 127, 2)
    wire[offset:offset] = bytes(4)
    assert read(bytes(wire)) == [(BINARY, b"x" * size)]


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        pytest.param(masked(TEXT, b"x", mask=False), 1002, id="not masked"),
        pytest.param(b"\xc1\x80" + bytes(4), 1002, id="reserved bit: compressed"),
        pytest.param(masked(3), 1002, id="unknown kind"),
        pytest.param(masked(11), 1002, id="unknown control"),
        pytest.param(masked(0, b"x"), 1002, id="nothing to continue"),
        pytest.param(masked(1, final=False) + masked(1), 1002, id="a message in a message"),
        pytest.param(masked(PING, final=False), 1002, id="a ping in pieces"),
        pytest.param(masked(PING, b"x" * 126), 1002, id="a long ping"),
        pytest.param(b"\x82\xfe\x00\x05" + bytes(4), 1002, id="length in two bytes too many"),
        pytest.param(b"\x82\xff" + (5).to_bytes(8, "big"), 1002, id="length in eight"),
        pytest.param(masked(BINARY, size=65537), 1009, id="one byte too long"),
        pytest.param(masked(BINARY, size=1 << 63), 1009, id="2^63 bytes"),
        pytest.param(masked(BINARY, size=(1 << 64) - 1), 1009, id="2^64-1 bytes"),
        pytest.param(
            masked(BINARY, b"x" * 40000, final=False) + masked(0, size=40000), 1009, id="in pieces"
        ),
        pytest.param(masked(TEXT, b"ab\xff"), 1007, id="invalid UTF-8"),
        pytest.param(masked(TEXT, b"\xed\xa0\x80"), 1007, id="a surrogate"),
        pytest.param(masked(TEXT, b"\xe2\x82"), 1007, id="half a character"),
        pytest.param(
            masked(TEXT, b"\xe2\x82", final=False) + masked(0, b"\x41"), 1007, id="UTF-8 in pieces"
        ),
    ],
)
def test_violations(wire: bytes, code: int) -> None:
    assert complaint(wire) == code


def test_a_character_may_be_cut_between_pieces() -> None:
    wire = masked(TEXT, b"\xe2\x82", final=False) + masked(0, b"\xac")
    assert read(wire)[-1] == (TEXT, "€".encode())


def test_a_ping_has_room_in_a_message_that_is_almost_full() -> None:
    ping = masked(PING, b"p" * 125)
    found = read(masked(TEXT, b"x" * 99, final=False) + ping + masked(0, b"x"), most=100)
    assert found == [(PART, b""), (PING, b"p" * 125), (TEXT, b"x" * 100)]


def test_a_frame_whose_head_has_come_is_unfinished() -> None:
    reader = FrameReader(100)
    reader.feed(masked(BINARY, size=100))
    assert reader.next() is None
    assert reader.unfinished


def test_binary_may_hold_anything() -> None:
    assert read(masked(BINARY, b"\xff\xfe")) == [(BINARY, b"\xff\xfe")]


def test_a_giant_frame_is_refused_before_it_comes() -> None:
    reader = FrameReader(100)
    reader.feed(masked(BINARY, size=101)[:4])
    with pytest.raises(Violation):
        reader.next()
    assert reader.held < 10


def test_held_and_unfinished() -> None:
    reader = FrameReader(100)
    assert (reader.held, reader.unfinished, reader.in_message) == (0, False, False)
    reader.feed(masked(TEXT, b"abc", final=False))
    assert reader.next() == (PART, b"")
    assert (reader.held, reader.unfinished, reader.in_message) == (3, True, True)
    reader.feed(b"\x80")
    assert reader.next() is None
    assert reader.held == 4
    reader.feed(b"\x80" + bytes(4))
    assert reader.next() == (TEXT, b"abc")
    assert (reader.held, reader.unfinished, reader.in_message) == (0, False, False)


@pytest.mark.parametrize(("data", "code"), [(b"", None), (b"\x03\xe8", 1000), (b"\x0f\xa0x", 4000)])
def test_close_codes(data: bytes, code: int | None) -> None:
    assert frames.close_code(data) == code


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"\x03", 1002), (b"\x00\x00", 1002), (b"\x03\xed", 1002), (b"\xff\xff", 1002),
     (b"\x03\xe8\xff", 1007)],
)  # fmt: skip
def test_bad_close_codes(data: bytes, code: int) -> None:
    with pytest.raises(Violation) as caught:
        frames.close_code(data)
    assert caught.value.code == code


def test_closing() -> None:
    assert frames.closing(1001, "idle") == b"\x88\x06\x03\xe9idle"
    assert read(masked(CLOSE, b"\x03\xe9")) == [(CLOSE, b"\x03\xe9")]
