"""Requests: which are understood, which are refused and how."""

from __future__ import annotations

import re

import pytest
from echo.echo_client import KEY, request
from hypothesis import given
from hypothesis import strategies as st

from t3probe.echo import head
from t3probe.echo.head import Refusal

HEAD = request()[:-4]


def refused(data: bytes) -> Refusal:
    with pytest.raises(Refusal) as caught:
        head.upgrade(head.parse(data))
    return caught.value


def test_a_request() -> None:
    found = head.parse(b"GET /probe/ws?a=/b HTTP/1.1\r\nHost: x\r\nA:  1\t \r\na: 2,, 3")
    assert (found.method, found.path) == ("GET", "/probe/ws")
    assert found.fields["a"] == ["1", "2,, 3"]
    assert found.tokens("a") == ["1", "2", "3"]


def test_the_whole_url_as_target() -> None:
    assert head.parse(b"GET http://x:1/probe/healthz?q HTTP/1.1\r\nHost: x").path == (
        "/probe/healthz"
    )


def test_the_accept_key_of_the_rfc() -> None:
    said = head.upgrade(head.parse(HEAD)).decode()
    assert said.startswith("HTTP/1.1 101 ")
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in said
    assert "xtension" not in said


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        ("GET ", "POST ", 405),
        ("HTTP/1.1", "HTTP/1.0", 505),
        ("HTTP/1.1", "HTTP/2.0", 505),
        ("GET ", "GET  ", 400),
        ("Host: app.example\r\n", "", 400),
        ("Host: app.example", "Host: a\r\nHost: b", 400),
        ("Host: app.example", "Host : a", 400),
        ("Host: app.example", "Host: a\r\n folded", 400),
        ("Host: app.example", "Host: a\x00b", 400),
        ("Host: app.example", "Host: a\r\n" + "A: b\r\n" * 100 + "C: d", 431),
        ("Upgrade: websocket", "Upgrade: h2c", 426),
        ("keep-alive, Upgrade", "keep-alive", 426),
        ("Version: 13", "Version: 8", 426),
        ("Version: 13", "Version: 13\r\nContent-Length: 5", 400),
        ("Version: 13", "Version: 13\r\nTransfer-Encoding: chunked", 400),
        (KEY, "short", 400),
        (KEY, "ä", 400),
        (KEY, KEY + "\r\nSec-WebSocket-Key: " + KEY, 400),
    ],
)
def test_refusals(old: str, new: str, status: int) -> None:
    assert old in HEAD.decode()
    assert refused(HEAD.decode().replace(old, new, 1).encode()).status == status


def test_another_version_is_told_which_is_spoken_here() -> None:
    refusal = refused(HEAD.replace(b"Version: 13", b"Version: 8"))
    assert (refusal.status, refusal.fields) == (426, ("Sec-WebSocket-Version: 13",))


def test_http_2_is_told_what_is_spoken_here() -> None:
    with pytest.raises(Refusal) as caught:
        head.parse(b"PRI * HTTP/2.0")
    assert str(caught.value) == "505 HTTP/1.1 only"


@given(st.binary(max_size=200))
def test_nothing_else_is_raised(data: bytes) -> None:
    for one in (data, HEAD[:30] + data, HEAD + b"\r\n" + data):
        status = 101
        try:
            head.upgrade(head.parse(one))
        except Refusal as refusal:
            status = refusal.status
            assert head.answer(status, refusal.text, 0, refusal.fields)  # noqa: PT017
        assert status in (101, 400, 405, 426, 431, 505)


def test_an_answer() -> None:
    assert head.answer(404, "not found", 784111777.0) == (
        b"HTTP/1.1 404 Not Found\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 10\r\n"
        b"Cache-Control: no-store\r\nt3probe-echo: -\r\nConnection: close\r\n\r\nnot found\n"
    )
    assert head.answer(405, "x", 0, ("Allow: GET",), body=False).endswith(b"\r\nAllow: GET\r\n\r\n")
    assert b"\r\nConnection: close, upgrade\r\n" in head.answer(426, "x", 0, ("Upgrade: w",))


@pytest.mark.parametrize(
    ("nonces", "mark"),
    [
        ((), "-"),
        (("0aF9",), "0aF9"),
        (("a" * 64,), "a" * 64),
        (("a" * 65,), "-"),
        (("",), "-"),
        (("a", "a"), "-"),
        (("a, b",), "-"),
        (("a b",), "-"),
        (("0x1",), "-"),
        (("a\n",), "-"),
        (("a\r\nx: y",), "-"),
        (("\u0661",), "-"),
        (("<script>",), "-"),
    ],
)
def test_a_mark_is_a_nonce_or_none(nonces: tuple[str, ...], mark: str) -> None:
    assert head.mark(nonces) == mark


@given(st.lists(st.binary(max_size=80), max_size=3))
def test_nothing_but_a_nonce_is_returned(values: list[bytes]) -> None:
    data = HEAD + b"".join(b"\r\nT3Probe-Nonce: " + value for value in values)
    try:
        asked = head.parse(data)
    except Refusal:
        return
    assert re.fullmatch(r"-|[0-9A-Fa-f]{1,64}", asked.mark)
    said = f"\r\nt3probe-echo: {asked.mark}\r\n"
    try:
        switched = head.upgrade(asked).decode()
    except Refusal:
        return
    assert switched.count(said) == 1
    assert switched.replace(said, "\r\n") == head.upgrade(head.parse(HEAD)).decode().replace(
        "\r\nt3probe-echo: -\r\n", "\r\n"
    )
