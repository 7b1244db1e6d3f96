"""The parts of probes that need no server: words, reasons, routes, and whose answer it is."""

from __future__ import annotations

import asyncio
import errno
import socket
from types import SimpleNamespace
from typing import Any

import pytest
from probe_parts import FOUR, SIX, answer, probing
from probes.servers import HOST, SSO, http_leg

from t3probe.config.types import Leg
from t3probe.probes import dial
from t3probe.probes.base import check_route
from t3probe.probes.facts import (
    Collapsed,
    Facts,
    ProbeError,
    Target,
    http_reason,
    reason_of_os_error,
)
from t3probe.probes.http import HttpLine
from t3probe.probes.http_client import HttpAnswer
from t3probe.probes.marks import Marks
from t3probe.probes.sso import is_html, sso_answer
from t3probe.timing import FakeClock

# -- reasons -------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("number", "target", "unroutable", "conclusive"),
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
        (errno.EPERM, FOUR, False, False),
        (errno.EPERM, SIX, False, False),
        (errno.EACCES, SIX, False, True),  # a firewall on the way says so (RFC 4443, code 1)
    ],
)
def test_what_a_failed_connect_says(
    number: int, target: Target, unroutable: bool, conclusive: bool
) -> None:
    failed = dial.connect_error(OSError(number, "x"), target)
    assert (failed.unroutable, failed.conclusive, failed.stage) == (
        unroutable,
        conclusive,
        "connect",
    )
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
    check_route(leg(), {"cf-ray": ray}, facts, Marks(), "")
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
        check_route(one, headers, Facts(), Marks(), "")
        return
    with pytest.raises(Collapsed, match=words):
        check_route(one, headers, Facts(), Marks(), "")


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


def test_errors_in_words() -> None:
    assert str(ProbeError("io_error", "ask", "it broke")) == "it broke"
    assert str(Collapsed("elsewhere")) == "elsewhere"


@pytest.mark.parametrize(("first", "seconds"), [(1.25, 0.25), (1.0, 0.0), (0.5, 0.0)])
async def test_how_long_the_first_byte_took(
    first: float, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = HttpLine(leg(), FOUR, probing())
    found = answer()
    found.sent, found.first_byte, found.ended = 1.0, first, 2.0

    async def exchange() -> HttpAnswer:
        return found

    monkeypatch.setattr(line, "exchange", exchange)
    echo = await line.beat()
    await line.close()
    assert (echo.sent, echo.ended, echo.first_byte_seconds) == (1.0, 2.0, seconds)


async def test_a_connection_that_we_saw_too_late_is_our_own_doing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel has what our loop did not get to in time."""
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def late(sock: socket.socket, address: Any) -> None:
        await connect(sock, address)
        await asyncio.Event().wait()

    monkeypatch.setattr(loop, "sock_connect", late)
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = Target(HOST, "127.0.0.1", server.getsockname()[1])
        with pytest.raises(ProbeError) as caught:
            await dial.connect(target, probing(), Facts(), 0.1)
    assert (caught.value.reason, caught.value.conclusive) == ("prober_stalled", False)


def test_a_reset_is_of_a_connection_that_stood() -> None:
    """Linux refuses a connect; what it calls a reset came after the handshake."""
    for error, stage in ((ConnectionResetError(), "ask"), (ConnectionRefusedError(), "connect")):
        assert dial.connect_error(error, FOUR).stage == stage
