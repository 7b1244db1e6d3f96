"""Twice as much foreign text costs about twice the time, whatever stands in it.

Each pattern of the package reads text that is crafted from the pattern itself, and each parser
what is hard for it. The measure is a ratio of CPU time, the least of five.
"""

from __future__ import annotations

import gzip
import io
import re
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import dns.message
import dns.rrset
import pytest
from linear_patterns import Use, crafted, made, uses

from t3probe.ask.explain.moment import TimeError, read_moment
from t3probe.config.types import Sso, UpstreamSource
from t3probe.deliver.sinks.gateway import Groups, NotMetricsError
from t3probe.echo import frames, head
from t3probe.exchange.bounds import DNS_MESSAGE_BYTES, HTTP_HEADERS_BYTES
from t3probe.exchange.terminal import Terminal
from t3probe.probes.doh import read_message
from t3probe.probes.facts import ProbeError
from t3probe.probes.http_wire import AnswerReader, Headers, as_text, decoded
from t3probe.probes.marks import from_a_cache
from t3probe.probes.redirects import Cookies, Url, host_of, onward, resolve
from t3probe.probes.sso import sso_answer, wants
from t3probe.probes.tls import refusal, spoken
from t3probe.probes.ws_echo import answers, described
from t3probe.text import masked, showable
from t3probe.upstreams.envoy import Dump
from t3probe.upstreams.envoy_hosts import Clusters
from t3probe.upstreams.nodes import Routes
from t3probe.upstreams.sources import SourceError

MOST = 3.0
TRIES = 5
SMALL = 1024
OWN = {
    "config.load": "the TOML library's sentence about the operator's own file",
}
"""Modules whose patterns read our own text alone, and which text."""


def grows(call: Callable[[Any], object], small: Any, large: Any) -> float:
    """How many times as long the large one takes; the least of some tries."""
    least = float("inf")
    for _ in range(TRIES):
        least = min(least, _took(call, large) / max(_took(call, small), 1))
        if least <= MOST:
            break
    return least


def _took(call: Callable[[Any], object], text: Any) -> int:
    began = time.thread_time_ns()
    call(text)
    return time.thread_time_ns() - began


def foreign() -> list[Use]:
    return [one for one in uses() if one.name.rpartition(".")[0].partition(":")[0] not in OWN
            and one.name.partition(":")[0] not in OWN]  # fmt: skip


def slow(use: Use) -> str:
    """The first recipe for which the pattern takes more than linear time; empty for none."""
    for recipe in crafted(use.pattern):
        small, large = (made(recipe, size, use.pattern) for size in (SMALL, 2 * SMALL))
        # A second doubling: a limit of the pattern's own is no growth.
        if grows(use.read, small, large) > MOST:
            larger = made(recipe, 4 * SMALL, use.pattern)
            if grows(use.read, large, larger) > MOST:
                return f"{use.name} ({use.method}): {[one[:40] for one in recipe]}"
    return ""


def test_no_pattern_takes_more_than_linear_time() -> None:
    found = foreign()
    assert len(found) > 120  # those of the whole package
    assert [words for words in map(slow, found) if words] == []


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"<input\b[^>]*\btype\s*=\s*[\"']?password", "search"),
        (r"\s*\(([^()]*)\)", "search"),
        (r"[a-z]+:[ \t]*([^\x00]*)", "fullmatch"),
        (r"(?=[0-9a-f]*\d)[0-9a-f]{1,64}", "sub"),
    ],
)
def test_one_that_does_is_found(pattern: str, method: str) -> None:
    assert slow(Use("made up", re.compile(pattern), method))


# -- parsers -----------------------------------------------------------------------------------

SSO = Sso(hosts=("sso.example",), login_markers=("/flow/login",))
HTML = Headers([("content-type", "text/html")])
BASE = Url("https", "app.example", 443, "/")
OK = b"HTTP/1.1 200 OK\r\n"


def _page(body: bytes) -> None:
    sso_answer(200, HTML, as_text(HTML, body), SSO, BASE)
    refusal(400, body)


def _answer(data: bytes) -> None:
    AnswerReader().feed(data)


def _bytewise(data: bytes) -> None:
    reader = AnswerReader()
    for at in range(len(data)):
        reader.feed(data[at : at + 1])


def _headers(lines: list[tuple[str, str]]) -> None:
    headers = Headers(lines)
    from_a_cache(headers)
    wants(headers)
    Cookies().take(headers, BASE)
    onward(200, headers, b"", BASE)


def _dns(body: bytes) -> None:
    try:
        read_message(body, "a.example")
    except ProbeError:
        pass


def _aliases(count: int) -> bytes:
    query = dns.message.make_query("a.example", "A")
    query.id = 0
    answer = dns.message.make_response(query)
    names = ["a.example.", *(f"{n}." for n in range(count))]
    for name, to in pairwise(names):
        answer.answer.append(dns.rrset.from_text(name, 1, "IN", "CNAME", to))
    return answer.to_wire()


def _pointers(size: int) -> bytes:
    """A chain of compression pointers, and records whose name is its end."""
    query = dns.message.make_query("a.example", "A")
    query.id = 0
    wire = bytearray(dns.message.make_response(query).to_wire())
    links = size // 4
    wire += b"\0\0\x10\0\1\0\0\0\0" + (2 * links).to_bytes(2, "big")
    at = 12
    for _ in range(links):
        here = len(wire)
        wire += (0xC000 | at).to_bytes(2, "big")
        at = here
    count = 1
    while len(wire) < size:
        wire += (
            (0xC000 | at).to_bytes(2, "big")
            + b"\0\1\0\1\0\0\0\0\0\4\x7f\0\0"
            + bytes([count % 250])
        )
        count += 1
    wire[6:8] = count.to_bytes(2, "big")
    return bytes(wire[:size])


def _moment(text: str) -> None:
    try:
        read_moment(text, 1_700_000_000.0)
    except TimeError:
        pass


def _request(text: bytes) -> None:
    try:
        head.parse(text)
    except head.Refusal:
        pass


def _frames(data: bytes) -> None:
    reader = frames.FrameReader(65536)
    reader.feed(data)
    while reader.next():
        pass


def _json(body: bytes, step: int = 1 << 16) -> None:
    """Each reader of JSON, as far as it takes the text."""
    source = UpstreamSource(name="a", kind="nodes", url="http://127.0.0.1:1", node="a")
    for answer in (Dump(), Clusters(), Routes(source), Groups({"job": "a"}, heads=True)):
        try:
            for at in range(0, len(body), step):
                answer.feed(body[at : at + step])
        except (SourceError, NotMetricsError):
            pass


def _json_bytewise(body: bytes) -> None:
    _json(body, 1)


def _pages(unit: bytes) -> Callable[[int], bytes]:
    return lambda size: unit * (size // len(unit))


def _entries(before: bytes, unit: bytes) -> Callable[[int], bytes]:
    return lambda size: before + unit * (size // len(unit))


def _texts(unit: str) -> Callable[[int], str]:
    return lambda size: unit * (size // len(unit))


def _lines(name: str, value: str) -> Callable[[int], list[tuple[str, str]]]:
    return lambda size: [(name, value)] * (size // 16)


PARSERS: dict[str, tuple[Callable[[Any], object], Callable[[int], Any]]] = {
    **{
        f"page of {unit[:24]!r}": (_page, _pages(unit))
        for unit in (
            *(b"<input ", b"<input type", b"<input type= ", b"<input type = 'passwor' ", b"<meta "),
            *(b"<meta http-equiv=refresh ", b"<meta http-equiv =", b"<meta charset= ", b"<title>"),
            *(
                b"<meta http-equiv=refresh content='0;url=/'>",
                b"<",
                b" ",
                b"'",
                b"cf-challeng",
                b"1",
            ),
        )
    },
    "repeated names": (_headers, _lines("a", "b")),
    "cache words": (_headers, _lines("x-cache", "tcp_a_hi, ")),
    "logins": (_headers, _lines("www-authenticate", 'a="b\\')),
    "cookies": (_headers, _lines("set-cookie", "a=b; domain=é.é; path=/; expires=1")),
    "refreshes": (_headers, _lines("refresh", "0; url=/")),
    "one login": (wants, lambda n: {"www-authenticate": 'a"' * (n // 2)}),
    "one long word": (wants, lambda n: {"www-authenticate": "a" * n + '"'}),
    "header lines": (_answer, lambda n: OK + b"a:\n" * (n // 3) + b"\n"),
    "folded lines": (_answer, lambda n: OK + b"a: b\r\n" + b" c\n" * (n // 3) + b"\n"),
    "interim answers": (_answer, _pages(b"HTTP/1.1 100\n\n\n")),
    "blank lines": (_answer, _pages(b"\r\n")),
    "chunks": (
        _answer,
        lambda n: OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * (n // 6),
    ),
    "a chunk's line, bytewise": (
        _bytewise,
        lambda n: OK + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * n,
    ),
    "a head, bytewise": (_bytewise, lambda n: OK + b"a:" + b"b" * n),
    "gzip members": (
        lambda body: decoded({"content-encoding": "gzip"}, body),
        lambda n: gzip.compress(b"") * (n // 20),
    ),
    "a host": (host_of, _texts("é")),
    "marks above letters": (host_of, _texts("a\u0301\u0323")),
    "a URL": (lambda text: resolve(BASE, text), _texts("/%2e%2e\\")),
    "a port": (lambda text: resolve(BASE, "//" + text), _texts("a:1")),
    "a long text": (showable, _texts("token")),
    **{
        f"secrets in {unit!r}": (masked, _texts(unit))
        for unit in (
            *("token", "token=", "token: ", "cookie:", 'token="', "token=\\", "a-", "bearer "),
            *("?code=", "eyJabcdefgh.", "//a", "//a@", "//u:p/", "//u:1/@", "=", ":*** "),
        )
    },
    **{
        f"printed {unit!r}": (lambda text: Terminal(io.StringIO()).write(text), _texts(unit))
        for unit in ("::", " ", " ::\n", "#", "##a", "##a[", "\x1b[1", "\x1b[1m", "section_", "\n")
    },
    "a message": (lambda text: (answers(text, "0" * 32), described(text)), _texts("é ")),
    "aliases": (_dns, lambda n: _aliases(n // 64)),
    "pointers": (_dns, _pointers),
    **{
        f"JSON {before[-24:]!r}{unit!r}": (call, _entries(before, unit))
        for before, unit in (
            (b"", b"["),
            (b"[", b"{},"),
            (b"[", b'"\\"",'),
            (b'["', b"\\\\"),
            (b'{"configs":[', b'{"@type":"a"},'),
            (b'{"configs":[{"static_clusters":[', b'{"cluster":{}},'),
            (b'{"configs":[{"static_listeners":[{"x":"', b"\\n"),
            (b'{"cluster_statuses":[{"host_statuses":[', b"{},"),
            (b'{"data":[{"labels":{"job":"a"},', b'"a":{"type":"GAUGE","metrics":[]},'),
            (b'{"data":[', b'{"labels":{}},'),
            (b'{"data":[{"', b"a"),
        )
        for call in (_json, _json_bytewise)
    },
    "TLS": (spoken, _pages(b"\x16\x03\x01")),
    "a moment": (_moment, _texts("(1 ")),
    "a request": (_request, lambda n: b"GET / HTTP/1.1\r\na: " + b" " * n + b"\0"),
    "request lines": (_request, lambda n: b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (n // 6)),
    "small frames": (_frames, _pages(b"\x89\x80abcd")),
    "pieces": (_frames, lambda n: b"\x01\x81abcda" + b"\x00\x81abcda" * (n // 7)),
}


@pytest.mark.parametrize("name", [*PARSERS])
def test_no_parser_takes_more_than_linear_time(name: str) -> None:
    call, maker = PARSERS[name]
    size = 4096 if call in (_bytewise, _json_bytewise) else 16384
    if maker is _pointers or name == "aliases":
        # Names may point at names: what bounds the work is the message's size.
        size = DNS_MESSAGE_BYTES
        call(maker(size))
        assert grows(call, maker(size), maker(2 * size)) <= MOST
        return
    assert grows(call, maker(size), maker(2 * size)) <= MOST
    assert grows(call, maker(2 * size), maker(4 * size)) <= MOST


def test_a_head_is_bounded() -> None:
    reader = AnswerReader()
    reader.feed(OK + b"a:\n" * (HTTP_HEADERS_BYTES // 4) + b"\n")
    assert reader.beyond == "more than 4,096 header lines"
