"""Heads and bodies of HTTP/1.1 messages, without sockets."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labclient import Sink

from t3probe.lab.http import MAX_HEAD_BYTES, Head, HttpError, copy_body, read_head


def reader(data: bytes) -> asyncio.StreamReader:
    stream = asyncio.StreamReader(limit=MAX_HEAD_BYTES)
    stream.feed_data(data)
    stream.feed_eof()
    return stream


def head(text: str) -> Head:
    return Head(text.replace("\n", "\r\n").encode("latin-1"))


def test_fields_are_found_whatever_their_case_and_damage() -> None:
    found = head("GET /a b HTTP/1.1\nHOST: x \nno colon here\nConnection: Foo, CLOSE\n\n")
    assert (found.method, found.target, found.get("host")) == ("GET", "/a b", "x")
    assert found.has("connection", "close")
    assert not found.keep_alive
    assert not head("GET / HTTP/1.0\n\n").keep_alive
    assert head("GET / HTTP/1.1\n\n").keep_alive
    assert head("GET /only\n\n").target == "/only"


@given(st.text(st.characters(min_codepoint=33, max_codepoint=255), min_size=1))
def test_a_target_is_kept_byte_for_byte(target: str) -> None:
    found = Head(f"GET {target} HTTP/1.1\r\nA: b\r\n\r\n".encode("latin-1"))
    assert found.target == target
    assert found.with_fields([("c", "d")]).startswith(f"GET {target} ".encode("latin-1"))


def test_fields_are_put_in_place_of_those_of_the_same_name() -> None:
    found = head("HTTP/1.1 200 OK\nServer: one\nX: y\nSERVER: two\n\n")
    assert found.with_fields([("server", "cloudflare")]) == (
        b"HTTP/1.1 200 OK\r\nX: y\r\nserver: cloudflare\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("text", "answers", "length"),
    [
        ("GET / HTTP/1.1\n\n", "", 0),
        ("POST / HTTP/1.1\nContent-Length: 7\n\n", "", 7),
        ("POST / HTTP/1.1\nTransfer-Encoding: gzip, Chunked\nContent-Length: 7\n\n", "", -1),
        ("HTTP/1.1 200 OK\n\n", "GET", None),
        ("HTTP/1.1 200 OK\nContent-Length: 7\n\n", "GET", 7),
        ("HTTP/1.1 200 OK\nContent-Length: 7\n\n", "HEAD", 0),
        ("HTTP/1.1 304 Not Modified\nContent-Length: 7\n\n", "GET", 0),
        ("HTTP/1.1 101 Switching Protocols\n\n", "GET", 0),
    ],
)
def test_how_long_a_body_is(text: str, answers: str, length: int | None) -> None:
    assert head(text).body(answers) == length


@pytest.mark.parametrize(
    ("text", "answers", "status"),
    [
        ("POST / HTTP/1.1\nContent-Length: -7\n\n", "", 400),
        ("POST / HTTP/1.1\nContent-Length: \u00b2\n\n", "", 400),
        ("HTTP/1.1 200 OK\nContent-Length: x\n\n", "GET", 502),
        ("nonsense\n\n", "GET", 502),
        ("HTTP/1.1 two OK\n\n", "GET", 502),
    ],
)
def test_what_cannot_be_understood(text: str, answers: str, status: int) -> None:
    with pytest.raises(HttpError) as caught:
        head(text).body(answers)
    assert caught.value.status == status


async def test_reading_heads() -> None:
    stream = reader(b"\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n\r\n")
    first, second = await read_head(stream), await read_head(stream)
    assert first
    assert second
    assert (first.target, second.target) == ("/", "/2")
    assert await read_head(stream) is None
    with pytest.raises(ConnectionError):
        await read_head(reader(b"GET / HT"))
    with pytest.raises(HttpError) as caught:
        await read_head(reader(b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD_BYTES))
    assert caught.value.status == 431


CHUNKED = b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "length", "passed_on"),
    [
        (b"abcdef", 3, b"abc"),
        (b"abcdef", 0, b""),
        (b"abcdef", None, b"abcdef"),
        (CHUNKED + b"next", -1, CHUNKED),
    ],
)
async def test_bodies_pass_on(data: bytes, length: int | None, passed_on: bytes) -> None:
    sink = Sink()
    await copy_body(reader(data), sink, length)
    assert sink.data == passed_on


@pytest.mark.parametrize(
    ("data", "length", "error"),
    [
        (b"ab", 3, ConnectionError),
        (b"3\r\nab", -1, ConnectionError),
        (b"3\r\nabc\r\n", -1, ConnectionError),
        (b"x\r\n", -1, HttpError),
        (b"1" * 70_000, -1, HttpError),
    ],
)
async def test_bodies_that_break_off(data: bytes, length: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        await copy_body(reader(data), Sink(), length)
