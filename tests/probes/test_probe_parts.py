"""The parts of probes that need no server: words, reasons, routes, walls and who asks again."""

from __future__ import annotations

import asyncio
import errno
import socket
from types import SimpleNamespace
from typing import Any

import pytest
from probes.servers import HOST, SSO, http_leg

from t3probe.config.types import Duration, Leg, Timing
from t3probe.probes import dial
from t3probe.probes.base import (
    Collapsed,
    Facts,
    ProbeError,
    Probing,
    Target,
    check_route,
    http_reason,
    printable,
    reason_of_os_error,
)
from t3probe.probes.http import HttpLine
from t3probe.probes.http_client import Answer
from t3probe.probes.sso import is_html, sso_answer
from t3probe.probes.walls import WalledLine, WalloffLine, _parse, _unchunked, served_alike
from t3probe.resolve import MAX_ADDRESSES, ResolveError, Resolver, is_address, targets
from t3probe.timing import FakeClock, RunClock
from t3probe.tls import TlsStore

# -- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words", "plain words"),
        ("a\x1b[31m\nb\x7fé", "a?[31m?b??"),
        ("token=abc rest", "token=*** rest"),
        ("x-api-key: abc, more", "x-api-key: ***, more"),
        ("Authorization: Bearer abc; more", "Authorization: Bearer ***; more"),
        ("the password is 'token': 'abc'", "the password is 'token': ***"),
        ("a bearer abc", "a bearer ***"),
        ("Basic dXNlcg==", "Basic ***"),
        ("go to https://me:geheim@h/path", "go to https://***@h/path"),
        ("x" * 120, "x" * 120),
        ("x" * 121, "x" * 117 + "..."),
    ],
)
def test_text_from_the_network_is_made_harmless(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_limit_is_the_length_at_most() -> None:
    assert printable("abcdef", 5) == "ab..."
    assert printable("abcde", 5) == "abcde"


@pytest.mark.parametrize(
    ("status", "reason"),
    [(399, "http_other"), (400, "http_4xx"), (499, "http_4xx"), (500, "http_5xx"),
     (599, "http_5xx"), (600, "http_other"), (200, "http_other"), (302, "http_other")],
)  # fmt: skip
def test_reasons_of_statuses(status: int, reason: str) -> None:
    assert http_reason(status) == reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(), "connect_refused"),
        (TimeoutError(), "connect_timeout"),
        (ConnectionResetError(), "connection_reset"),
        (OSError(errno.EHOSTUNREACH, "x"), "connect_failed"),
    ],
)
def test_reasons_of_errors(error: OSError, reason: str) -> None:
    assert reason_of_os_error(error) == reason


FOUR, SIX = Target(HOST, "127.0.0.1", 80), Target(HOST, "::1", 80)


@pytest.mark.parametrize(
    ("number", "target", "unroutable", "tells"),
    [
        (errno.ENETUNREACH, SIX, True, True),
        (errno.EAFNOSUPPORT, SIX, True, True),
        (errno.EADDRNOTAVAIL, SIX, True, True),
        (errno.ENETUNREACH, FOUR, False, True),
        (errno.EADDRNOTAVAIL, FOUR, False, False),
        (errno.ECONNREFUSED, SIX, False, True),
        (errno.ECONNREFUSED, FOUR, False, True),
        (errno.EMFILE, FOUR, False, False),
        (errno.EMFILE, SIX, False, False),
        (errno.ENOBUFS, FOUR, False, False),
    ],
)
def test_what_a_failed_connect_says(
    number: int, target: Target, unroutable: bool, tells: bool
) -> None:
    failed = dial.connect_error(OSError(number, "x"), target)
    assert (failed.unroutable, failed.tells, failed.stage) == (unroutable, tells, "connect")
    assert str(target) in failed.detail


def test_a_connect_that_failed_without_a_number() -> None:
    failed = dial.connect_error(OSError("odd"), FOUR)
    assert failed.detail == "TCP connect to 127.0.0.1:80: failed"


def test_targets_in_words() -> None:
    assert (str(FOUR), str(SIX)) == ("127.0.0.1:80", "[::1]:80")
    assert (FOUR.family, SIX.family) == (socket.AF_INET, socket.AF_INET6)


# -- routes --------------------------------------------------------------------------------------


def leg(**changes: Any) -> Leg:
    return http_leg(url=f"http://{HOST}/", **changes)


@pytest.mark.parametrize(
    ("ray", "kept", "colo"),
    [
        ("8f0-FRA", "8f0-FRA", "FRA"),
        ("8f0", "8f0", ""),
        ("8f0\x1b", "", ""),
        ("x" * 64, "x" * 64, ""),
        ("x" * 65, "", ""),
        ("", "", ""),
    ],
)
def test_the_ray_is_noted_when_it_is_one(ray: str, kept: str, colo: str) -> None:
    facts = Facts()
    check_route(leg(), {"cf-ray": ray}, facts)
    assert (facts.cf_ray, facts.colo) == (kept, colo)


@pytest.mark.parametrize(
    ("present", "absent", "headers", "words"),
    [
        ((), (), {}, ""),
        (("CF-Ray",), (), {"cf-ray": "a"}, ""),
        (("CF-Ray",), (), {}, "lacks the header 'CF-Ray'"),
        (("a", "b"), (), {"a": ""}, "lacks the header 'b'"),
        ((), ("Via",), {}, ""),
        ((), ("Via",), {"via": "x"}, "has the header 'Via'"),
        (("a",), ("a",), {"b": ""}, "lacks"),
    ],
)
def test_a_header_tells_the_route(
    present: tuple[str, ...], absent: tuple[str, ...], headers: dict[str, str], words: str
) -> None:
    one = leg(headers_present=present, headers_absent=absent)
    if not words:
        check_route(one, headers, Facts())
        return
    with pytest.raises(Collapsed, match=words):
        check_route(one, headers, Facts())


# -- whose answer --------------------------------------------------------------------------------

HTML = {"content-type": "text/html"}
LOGIN = b'<form><input name="p" type="password"></form>'
CHALLENGE = b"<title>Just a moment...</title>"


@pytest.mark.parametrize(
    ("status", "headers", "body", "words"),
    [
        (200, {}, b"ok", None),
        (302, {"location": "https://SSO.example/x"}, b"", "HTTP 302 to the SSO at sso.example"),
        (299, {"location": "https://sso.example/x"}, b"", None),
        (400, {"location": "https://sso.example/x"}, b"", None),
        (302, {"location": "/elsewhere/flow/login?x"}, b"", "HTTP 302 to a login page"),
        (302, {"location": "https://other.example/"}, b"", None),
        (302, {"location": "https://[bad"}, b"", None),
        (302, {}, b"", None),
        (401, {}, b"", "HTTP 401 from the forward-auth"),
        (403, {}, b"", None),
        (403, {"cf-mitigated": "Challenge"}, b"", "HTTP 403 with a challenge page"),
        (200, {"cf-mitigated": "challenge"}, b"", "HTTP 200 with a challenge page"),
        (403, {}, CHALLENGE, "HTTP 403 with a challenge page"),
        (429, {}, CHALLENGE, "HTTP 429 with a challenge page"),
        (503, {}, CHALLENGE, "HTTP 503 with a challenge page"),
        (200, {}, CHALLENGE, None),
        (200, {}, b"go to /flow/login", "a login page with HTTP 200"),
        (299, {}, b"go to /flow/login", "a login page with HTTP 299"),
        (300, {}, b"go to /flow/login", None),
        (404, {}, b"go to /flow/login", "a login page with HTTP 404"),
        (400, {}, b"go to /flow/login", "a login page with HTTP 400"),
        (500, {}, b"go to /flow/login", None),
        (200, HTML, LOGIN, "a login page with HTTP 200"),
        (200, {}, LOGIN, None),
        (404, HTML, LOGIN, None),
    ],
)
def test_whose_answer_it_is(
    status: int, headers: dict[str, str], body: bytes, words: str | None
) -> None:
    assert sso_answer(status, headers, body, SSO) == words


def test_what_calls_itself_html() -> None:
    assert is_html({"content-type": "application/XHTML+xml"})
    assert not is_html({"content-type": "text/plain"})
    assert not is_html({})


# -- judging an answer ---------------------------------------------------------------------------


def probing(fake: FakeClock | None = None) -> Probing:
    return Probing(
        clock=RunClock(fake or FakeClock()),
        timing=Timing(watchdog=Duration(1), connect_timeout=Duration(1)),
        sso=SSO,
        tls=TlsStore(None),
        resolver=Resolver(),
        crowd=asyncio.Semaphore(1),
    )


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Answer:
    return Answer(status, headers, body)


@pytest.mark.parametrize(
    ("expected", "status", "reason"),
    [
        ((), 200, None),
        ((), 399, None),
        ((), 199, "http_other"),
        ((), 400, "http_4xx"),
        ((), 401, "walled_off"),
        ((), 503, "http_5xx"),
        ((404,), 404, None),
        ((401,), 401, None),
        ((404,), 401, "http_4xx"),
        ((404,), 200, "http_other"),
    ],
)
async def test_which_answer_is_good(
    expected: tuple[int, ...], status: int, reason: str | None
) -> None:
    line = HttpLine(leg(expect_status=expected), FOUR, probing())
    try:
        if reason is None:
            line.judge(answer(status))
        else:
            with pytest.raises(ProbeError) as caught:
                line.judge(answer(status))
            assert (caught.value.reason, caught.value.answered) == (reason, True)
    finally:
        await line.close()


# -- walls ---------------------------------------------------------------------------------------


def wall_leg(kind: Any = "walled", url: str = f"https://{HOST}/app", **more: Any) -> Leg:
    return Leg(name="wall", kind=kind, path=("w",), url=url, **more)


@pytest.mark.parametrize(
    ("status", "location", "onward"),
    [
        (302, "/app/", "/app/"),
        (302, f"https://{HOST}/in", "/in"),
        (302, f"https://{HOST}", "/"),
        (302, "https://other.example/in", None),
        (302, "/app", None),
        (302, "in", None),
        (302, "", None),
        (200, "/in", None),
        (300, "/in", "/in"),
        (399, "/in", "/in"),
        (400, "/in", None),
    ],
)
def test_which_redirects_stay_inside(status: int, location: str, onward: str | None) -> None:
    line = WalledLine(wall_leg(), FOUR, probing())
    assert line._onward(answer(status, location=location)) == onward


def test_a_password_in_the_url_is_not_part_of_the_origin() -> None:
    line = WalledLine(wall_leg(url=f"https://me:geheim@{HOST}:8443"), FOUR, probing())
    assert (line.origin, line.path) == (f"https://{HOST}:8443", "/")


@pytest.mark.parametrize(
    ("status", "body", "leaks"),
    [
        (200, b"secret", True),
        (299, b"secret", True),
        (200, b"  \n", False),
        (199, b"secret", False),
        (300, b"secret", False),
        (401, b"secret", False),
        (200, b"own", False),
    ],
)
def test_which_way_leads_past_the_wall(status: int, body: bytes, leaks: bool) -> None:
    line = WalledLine(wall_leg(), FOUR, probing())
    own = [answer(404), answer(404), answer(200, b"own")]
    if not leaks:
        line._judge_way("dots", "/p/../app", answer(status, body), own)
        return
    with pytest.raises(ProbeError) as caught:
        line._judge_way("dots", "/p/../app", answer(status, body), own)
    assert (caught.value.reason, caught.value.answered) == ("not_walled", True)
    assert caught.value.detail == f"/p/../app (dots) leads past the wall: HTTP {status}"


WORDS = " ".join(f"word{at}" for at in range(10))


@pytest.mark.parametrize(
    ("text", "first", "second", "alike"),
    [
        (WORDS, WORDS, WORDS, True),
        (WORDS.replace("word0", ""), f"{WORDS} n1", f"{WORDS} n2", True),  # nine of ten
        (WORDS.replace("word0 word1", ""), f"{WORDS} n1", f"{WORDS} n2", False),
        (f"{WORDS} n3 n4", f"{WORDS} n1", f"{WORDS} n2", True),  # twice what changes
        (f"{WORDS} n3 n4 n5", f"{WORDS} n1", f"{WORDS} n2", False),
        (f"{WORDS} secret", WORDS, WORDS, False),
        (f"{WORDS} app", WORDS, WORDS, True),  # the path itself, repeated
        (f"{WORDS} n3 n4 n5 n6", f"{WORDS} n1", f"{WORDS} n2 n7", True),
    ],
)
def test_what_a_public_prefix_serves_anyway(
    text: str, first: str, second: str, alike: bool
) -> None:
    own = [answer(200, first.encode()), answer(200, second.encode())]
    assert served_alike("/p/../app", answer(200, text.encode()), own) == alike


def test_nonsense_that_is_not_served_is_no_page() -> None:
    page = WORDS.encode()
    for status in (404, 199, 300):
        own = [answer(200, page + b" x"), answer(status, page), answer(200, b"index")]
        assert not served_alike("/a", answer(200, page), own)
        assert served_alike("/a", answer(200, b"index"), own)
    assert served_alike("/a", answer(200, page), [answer(200, page + b" x")] * 2)


@pytest.mark.parametrize(
    ("head", "status", "headers"),
    [
        (b"HTTP/1.1 200 OK\r\nA: b: c\r\nX-Y:z\r\n\r\n", 200, {"a": "b: c", "x-y": "z"}),
        (b"HTTP/1.1 404\r\n\r\n", 404, {}),
        (b"HTTP/1.1 abc\r\n\r\n", None, {}),
        (b"HTTP/1.1\r\n\r\n", None, {}),
    ],
)
def test_a_head_read_by_hand(head: bytes, status: int | None, headers: dict[str, str]) -> None:
    found = _parse(head)
    assert (None if found is None else found.status) == status
    assert found is None or found.headers == headers


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        (b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"1\r\na\r\n0\r\n\r\n1\r\nb\r\n", b"a"),
        (b"a\r\n0123456789\r\n", b"0123456789"),
        (b"5\r\nab", b"ab"),
        (b"3\r\nabc\r\nzz\r\nde", b"abc"),
        (b"-1\r\nabc", b""),
        (b"", b""),
    ],
)
def test_chunks(body: bytes, whole: bytes) -> None:
    assert _unchunked(body) == whole


@pytest.mark.parametrize(
    ("status", "reason"),
    [(200, None), (404, None), (499, None), (500, "http_5xx"), (401, "walled_off")],
)
def test_what_says_something_about_a_public_path(status: int, reason: str | None) -> None:
    line = WalloffLine(wall_leg("walloff"), FOUR, probing())
    if reason is None:
        line._judge(answer(status), "")
        return
    with pytest.raises(ProbeError) as caught:
        line._judge(answer(status), "what: ")
    assert caught.value.reason == reason
    assert caught.value.detail.startswith("what: HTTP ")


@pytest.mark.parametrize(
    ("reason", "tells"),
    [("walled_off", True), ("not_walled", True), ("http_5xx", False), ("rtt_timeout", False)],
)
async def test_only_the_walls_own_answer_tells(reason: Any, tells: bool) -> None:
    class Fails(WalledLine):
        async def look(self) -> Any:
            raise ProbeError(reason, "ask", "x")

    with pytest.raises(ProbeError) as caught:
        await Fails(wall_leg(), FOUR, probing()).beat()
    assert caught.value.tells == tells


# -- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "known"), [("127.0.0.1", True), ("::1", True), ("h.example", False), ("", False)]
)
def test_what_is_an_address(text: str, known: bool) -> None:
    assert is_address(text) == known


async def found(one: Leg, fake: FakeClock | None = None) -> list[str]:
    return [str(target) for target in await targets(one, probing(fake))]


@pytest.mark.parametrize(
    ("one", "addresses"),
    [
        (http_leg(url="https://h.example/", pin="10.0.0.1"), ["10.0.0.1:443"]),
        (http_leg(url="http://h.example/", pin="10.0.0.1"), ["10.0.0.1:80"]),
        (http_leg(url="http://h.example:8080/", pin="10.0.0.1"), ["10.0.0.1:8080"]),
        (http_leg(url="http://h.example:8080/", pin="[::1]:9"), ["[::1]:9"]),
        (http_leg(url="wss://10.0.0.9/"), ["10.0.0.9:443"]),
        (http_leg(url="ws://[::1]:81/"), ["[::1]:81"]),
        (Leg(name="t", kind="tcp", path=("a",), address="10.0.0.1:5"), ["10.0.0.1:5"]),
        (
            Leg(name="t", kind="tcp", path=("a",), addresses=("10.0.0.1:5", "[::1]:6")),
            ["10.0.0.1:5", "[::1]:6"],
        ),
        (
            Leg(name="d", kind="doh", path=("a",), doh=("https://1.1.1.1/q", "https://[::1]:8/q")),
            ["1.1.1.1:443", "[::1]:8"],
        ),
    ],
)
async def test_where_to_dial(one: Leg, addresses: list[str]) -> None:
    assert await found(one) == addresses


async def test_the_systems_answer_once_each_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def many(host: str, port: int, **more: Any) -> list[Any]:
        return [(0, 0, 0, "", (f"10.0.{at // 250}.{at % 250}", port)) for at in range(300)] * 2

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", many)
    addresses = await found(http_leg(url="http://h.example/"))
    assert len(addresses) == len(set(addresses)) == MAX_ADDRESSES
    assert addresses[0] == "10.0.0.0:80"


class Asked:
    """DoH providers that are made up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        self.answer: list[str] | None = ["10.0.0.1"]
        monkeypatch.setattr("t3probe.resolve._ask", self.ask)

    async def ask(self, providers: tuple[str, ...], name: str, probing: Probing) -> list[str]:
        self.times += 1
        await asyncio.sleep(0)
        if self.answer is None:
            raise ResolveError("nobody answers")
        return self.answer


DOH = ("https://10.0.0.53/q",)


@pytest.mark.parametrize(
    ("age", "passed", "times"), [(None, 1e9, 1), (60.0, 59.0, 1), (60.0, 60.0, 2), (60.0, 61.0, 2)]
)
async def test_an_answer_is_asked_for_again_when_it_is_old(
    age: float | None, passed: float, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, fake, resolver = Asked(monkeypatch), FakeClock(), Resolver(age)
    lent = probing(fake)
    together = await asyncio.gather(*(resolver.doh(DOH, HOST, lent) for _ in range(3)))
    assert (asked.times, together) == (1, [["10.0.0.1"]] * 3)
    fake.advance(passed)
    await resolver.doh(DOH, HOST, lent)
    assert asked.times == times
    await resolver.doh(DOH, "other.example", lent)
    assert asked.times == times + 1
    resolver.forget()
    await resolver.doh(DOH, HOST, lent)
    assert asked.times == times + 2


async def test_an_age_begins_anew_with_each_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, fake, resolver = Asked(monkeypatch), FakeClock(), Resolver(60.0)
    lent = probing(fake)
    for passed, times in ((0, 1), (60, 2), (59, 2), (1, 3)):
        fake.advance(passed)
        await resolver.doh(DOH, HOST, lent)
        assert asked.times == times, passed


async def test_a_failure_is_asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, resolver, lent = Asked(monkeypatch), Resolver(), probing()
    asked.answer = None
    with pytest.raises(ResolveError):
        await resolver.doh(DOH, HOST, lent)
    asked.answer = ["10.0.0.2"]
    assert await resolver.doh(DOH, HOST, lent) == ["10.0.0.2"]
    assert asked.times == 2


async def test_the_files_own_addresses_are_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    one = http_leg(url=f"https://{HOST}/", doh=DOH, fallback=("10.0.0.7", "10.0.0.8:99"))
    assert [(str(t), t.from_file) for t in await targets(one, probing())] == [
        ("10.0.0.1:443", False)
    ]
    asked.answer = None
    assert [(str(t), t.from_file) for t in await targets(one, probing())] == [
        ("10.0.0.7:443", True),
        ("10.0.0.8:99", True),
    ]
    with pytest.raises(ResolveError):
        await targets(http_leg(url=f"https://{HOST}/", doh=DOH), probing())


async def test_what_is_still_asked_is_cancelled_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled: list[str] = []

    async def slow(*_: Any) -> list[str]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("yes")
            raise
        return []

    monkeypatch.setattr("t3probe.resolve._ask", slow)
    resolver = Resolver()
    task = asyncio.create_task(resolver.doh(DOH, HOST, probing()))
    for _ in range(3):
        await asyncio.sleep(0)
    resolver.forget()  # not what is still being asked
    await resolver.aclose()
    assert cancelled == ["yes"]
    with pytest.raises(asyncio.CancelledError):
        await task


# -- steps ---------------------------------------------------------------------------------------


async def test_a_step_is_timed_once_and_ends_at_its_limit() -> None:
    fake = FakeClock()
    lent, facts = probing(fake), Facts()
    for seconds in (2.0, 5.0):
        async with lent.step(facts, "tls", 9.0, "tls_failed", "ask", "no TLS"):
            fake.advance(seconds)
    assert facts.phases == {"tls": 2.0}
    with pytest.raises(ProbeError) as caught:
        async with lent.step(facts, "upgrade", 0.0, "rtt_timeout", "hold", "no upgrade"):
            await asyncio.Event().wait()
    error = caught.value
    assert (error.reason, error.stage, error.detail) == (
        "rtt_timeout", "hold", "no upgrade within 0 s",
    )  # fmt: skip
    assert "upgrade" not in facts.phases


def test_both_ends_of_a_socket() -> None:
    facts = Facts(local_address="old")
    gone = SimpleNamespace(
        getsockname=lambda: ("10.0.0.9", 0), getpeername=lambda: (_ for _ in ()).throw(OSError())
    )
    dial.note_addresses(facts, gone, FOUR)  # type: ignore[arg-type]
    assert (facts.family, facts.local_address, facts.remote_address) == (
        "ipv4", "", "127.0.0.1:80",
    )  # fmt: skip
    there = SimpleNamespace(
        getsockname=lambda: ("::2", 5, 0, 0), getpeername=lambda: ("::3", 6, 0, 0)
    )
    dial.note_addresses(facts, there, SIX)  # type: ignore[arg-type]
    assert (facts.family, facts.local_address, facts.remote_address) == (
        "ipv6", "[::2]:5", "[::3]:6",
    )  # fmt: skip
