"""How the bytes of an answer are read; no server."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.exchange.bounds import HTTP_BODY_BYTES, HTTP_HEADERS_BYTES
from t3probe.probes.http_wire import (
    BODY_BYTES,
    AnswerReader,
    Headers,
    values,
    values_of,
)

BODY = b"Content-Length: 2\r\n\r\nok"


def read(*pieces: bytes, end: bool = False) -> AnswerReader:
    reader = AnswerReader()
    for one in pieces:
        reader.feed(one)
    if end:
        reader.eof()
    return reader


@pytest.mark.parametrize(
    ("start", "status", "version"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\n", 503, (1, 1)),
        (b"HTTP/1.0 503 Service Unavailable\r\n", 503, (1, 0)),
        (b"HTTP/1.1 503\r\n", 503, (1, 1)),
        (b"HTTP/1.1 503 \r\n", 503, (1, 1)),
        (b"HTTP/1.1 503 N\xc3\xa4chster \x00\xff\r\n", 503, (1, 1)),
        (b"HTTP/1.1 503Oops\r\n", 503, (1, 1)),
        (b"HTTP/1.1   503 Oops\r\n", 503, (1, 1)),
        (b"HTTP/1.1\t503 Oops\r\n", 503, (1, 1)),
        (b"http/1.1 503 Oops\r\n", 503, (1, 1)),
        (b"HTTP/2 503\r\n", 503, (2, 0)),
        (b"HTTP/2.0 503\r\n", 503, (2, 0)),
        (b"HTTP/3 503\r\n", 503, (3, 0)),
        (b"HTTP/0.9 503\r\n", 503, (0, 9)),
        (b"HTTP 503 Oops\r\n", 503, (1, 0)),
        (b"HTTP/1.1 600 Odd\r\n", 600, (1, 1)),
        (b"HTTP/1.1 999\r\n", 999, (1, 1)),
        (b"\r\n\r\nHTTP/1.1 503 Oops\r\n", 503, (1, 1)),
        (b"HTTP/1.1 503 Oops\n", 503, (1, 1)),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503\r\n", 503, (1, 1)),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + b"HTTP/1.1 503\r\n", 503, (1, 1)),
    ],
)
def test_a_status_is_read_whatever_stands_around_it(
    start: bytes, status: int, version: tuple[int, int]
) -> None:
    reader = read(start + BODY)
    assert (reader.status, reader.version, bytes(reader.body)) == (status, version, b"ok")
    assert (reader.whole, reader.flaw, reader.no_http, reader.beyond) == (True, "", "", "")


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH",
        b"x",
        b"\x15\x03\x01\x00\x02\x02",
        b"<html>",
        b"HTTP/9.9 200 OK\r\n",
        b"HTTP/1.1 abc\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1 099 Low\r\n",
        b"HTTP/1.1\r\n",
        b"HTTPS/1.1 200\r\n",
        b"\r\n\r\njunk",
        b"HTTP/1.1 100 Continue\r\n\r\njunk",
    ],
)
def test_what_is_not_http_is_known_at_once(data: bytes) -> None:
    reader = read(data)
    assert (reader.over, reader.status) == (True, 0)
    assert reader.no_http.startswith("the answer begins with '")
    assert reader.no_http.isascii()


def test_headers_as_they_are() -> None:
    reader = read(
        b"HTTP/1.1 200 OK\r\nA: b: c\r\nx-Y:z\nFolded: one\r\n\t two\r\n three\r\nSpaced : x \r\n"
        b"Bytes: \xe4\r\nTwice: 1\r\ntwice: 2\r\nEmpty:\r\n" + BODY
    )
    assert reader.flaw == ""
    assert dict(reader.headers) == {
        "a": "b: c", "x-y": "z", "folded": "one two three", "spaced": "x", "bytes": "\xe4",
        "twice": "1, 2", "empty": "", "content-length": "2",
    }  # fmt: skip
    assert values(reader.headers, "twice") == ["1", "2"]
    assert values(reader.headers, "none") == []
    assert values({"twice": "3"}, "twice") == ["3"]
    assert values_of(Headers([("T", "a, b"), ("t", ",c,")]), "t") == ["a", " b", "c"]


@pytest.mark.parametrize(
    ("line", "flaw"),
    [
        (b"bad header", "a header line without a name"),
        (b": x", "a header line without a name"),
        (b"Content-Length: -5", "a Content-Length that is none"),
        (b"Content-Length: 1e3", "a Content-Length that is none"),
        (b"Content-Length: 5, 6", "a Content-Length that is none"),
        (b"Content-Length: 5\r\nContent-Length: 6", "a Content-Length that is none"),
        (b"Content-Length: 5\r\nContent-Length: 5", ""),
        (b"Content-Length: 5, 5", ""),
        (b"Content-Length: 9\r\nTransfer-Encoding: chunked", ""),
        (b"Content-Length: 9\r\nTransfer-Encoding: identity", ""),
    ],
)
def test_a_wrong_head_is_a_flaw_and_its_status_known(line: bytes, flaw: str) -> None:
    reader = read(b"HTTP/1.1 503 Oops\r\n" + line + b"\r\n\r\n")
    assert (reader.status, reader.flaw) == (503, flaw)


LINE = b"A: " + b"x" * 995 + b"\r\n"


@pytest.mark.parametrize("pieces", [1, 7])
def test_heads_up_to_256_kib_are_read_and_no_more(pieces: int) -> None:
    def head(size: int) -> bytes:
        start, end = b"HTTP/1.1 204 No\r\n", b"\r\n"
        room = size - len(start) - len(end)
        lines = LINE * (room // len(LINE))
        last = b"B: " + b"y" * (room - len(lines) - 5) + b"\r\n"
        return start + lines + last + end

    assert HTTP_HEADERS_BYTES == 262144
    for size, fits in ((HTTP_HEADERS_BYTES, True), (HTTP_HEADERS_BYTES + 1, False)):
        data = head(size)
        assert len(data) == size
        step = len(data) // pieces + 1
        reader = read(*(data[at : at + step] for at in range(0, size, step)))
        assert (reader.status == 204) is fits
        assert reader.beyond == ("" if fits else "headers of more than 256 KiB")
        assert reader.over


@pytest.mark.parametrize(
    "flood",
    [
        b"A: b\r\n" * 60_000,
        b"A: " + b"x" * 300_000,
        b"\r\n\r\nHTTP/1.1 100 Continue\r\n" + b"HTTP/1.1 100 Go\r\n\r\n" * 30_000,
    ],
)
def test_endless_heads_end_at_our_limit(flood: bytes) -> None:
    start = b"" if flood.startswith(b"\r") else b"HTTP/1.1 503 Oops\r\n"
    reader = read(start + flood)
    many = flood.startswith(b"\r")
    assert reader.beyond == (
        "more than 4,096 header lines" if many else "headers of more than 256 KiB"
    )
    assert reader.over
    assert reader.no_http == ""


CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "plain", "rest"),
    [
        (b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", b"abcde", b""),
        (b"1\r\na\r\n0\r\n\r\nHTTP", b"a", b"HTTP"),
        (b"A ; x\r\n0123456789\r\n000\r\nTrailer: x\r\n\r\n", b"0123456789", b""),
        (b"3\nabc\n0\n\n", b"abc", b""),
    ],
)
def test_chunks(body: bytes, plain: bytes, rest: bytes) -> None:
    for pieces in ([body], [body[at : at + 1] for at in range(len(body))]):
        reader = read(CHUNKS, *pieces)
        assert (bytes(reader.body), reader.whole, reader.flaw) == (plain, True, "")
        assert reader.rest == rest
        assert reader.keeps is not bool(rest)


@pytest.mark.parametrize(
    ("body", "plain", "flaw"),
    [
        (b"zz\r\n", b"", "a chunk without a size"),
        (b"-1\r\nabc", b"", "a chunk without a size"),
        (b"3\r\nabc\r\nzz\r\nde", b"abc", "a chunk without a size"),
        (b"f" * 20 + b"\r\n", b"", "a chunk without a size"),
        (b"2\r\nokXX0\r\n\r\n", b"ok", "a chunk longer than it says"),
        (b"2\r\nokXX", b"ok", "a chunk longer than it says"),
        (b"5\r\nab", b"ab", ""),
    ],
)
def test_broken_chunks(body: bytes, plain: bytes, flaw: str) -> None:
    reader = read(CHUNKS + body, end=True)
    assert (bytes(reader.body), reader.flaw, reader.over) == (plain, flaw, bool(flaw))
    assert (reader.whole, reader.keeps) == (False, False)


@pytest.mark.parametrize(
    ("body", "beyond"),
    [
        (b"1;" + b"x" * 70_000, "chunk extensions of more than 64 KiB"),
        (b"0\r\n" + b"a: b\r\n" * 20_000, "trailers of more than 64 KiB"),
        (b"1;" + b"x" * 60_000 + b"\r\na\r\n0\r\n\r\n", ""),
    ],
)
def test_what_is_long_in_chunks_is_our_limit(body: bytes, beyond: str) -> None:
    reader = read(CHUNKS + body)
    assert (reader.status, reader.beyond, reader.over) == (200, beyond, True)


@pytest.mark.parametrize(
    ("head", "bodiless"),
    [(b"204 No", True), (b"304 Same", True), (b"200 OK", False), (b"101 Go", True)],
)
def test_bodies_end_where_the_head_says_or_with_the_connection(head: bytes, bodiless: bool) -> None:
    reader = read(b"HTTP/1.1 " + head + b"\r\n\r\n")
    assert reader.whole is bodiless
    reader.eof()
    assert reader.whole
    assert reader.keeps is (bodiless and not head.startswith(b"101"))


def test_a_body_that_is_cut_is_not_whole() -> None:
    reader = read(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", end=True)
    assert (reader.whole, reader.over, bytes(reader.body)) == (False, False, b"half")


@pytest.mark.parametrize("framing", [b"", b"Content-Length: 9999999\r\n"])
def test_of_a_long_body_the_beginning_is_kept(framing: bytes) -> None:
    reader = read(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n", *[b"x" * 65536] * 16)
    assert (len(reader.body), reader.over) == (BODY_BYTES, False)
    reader.feed(b"x")
    assert (reader.enough, reader.over, reader.whole, reader.keeps) == (True, True, False, False)
    assert HTTP_BODY_BYTES == 1 << 20


ANSWERS = [
    b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 5\r\n\r\nhello",
    CHUNKS + b"3;x\r\nabc\r\n2\r\nde\r\n0\r\nT: x\r\n\r\n",
    b"HTTP/1.0 404\n\nnothing here",
    b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\n\r\n\x81\x02hi",
]


@given(st.sampled_from(ANSWERS), st.lists(st.integers(0, 90), max_size=8))
def test_it_does_not_matter_in_which_pieces_it_comes(answer: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(one for one in cuts if one < len(answer)), len(answer)]
    pieces = [answer[a:b] for a, b in itertools.pairwise(places)]
    one, two = read(answer, end=True), read(*pieces, end=True)
    for name in ("status", "headers", "body", "whole", "flaw", "rest", "keeps"):
        assert getattr(one, name) == getattr(two, name), name


@given(st.lists(st.binary(max_size=60), max_size=6), st.sampled_from([b"", *ANSWERS, CHUNKS]))
def test_no_bytes_break_it(pieces: list[bytes], start: bytes) -> None:
    reader = read(start, *pieces, end=True)
    assert reader.no_http.isascii()
    assert len(reader.body) <= BODY_BYTES


@pytest.mark.parametrize("size", [200, 253, 300, 5000])
@pytest.mark.parametrize("at", [0, 4, 255, 260])
def test_a_long_first_line_that_is_no_status_is_not_http(size: int, at: int) -> None:
    """Longer than what is looked at before its end is there."""
    data = b"HTTP" + b"[" * size + b"\r\n" + BODY
    reader = read(data[:at], data[at:])
    assert (reader.status, reader.over) == (0, True)
    assert reader.no_http.startswith("the answer begins with 'HTTP[[[")
    assert reader.begins.startswith(b"HTTP[[[")
