"""Walled paths and the ways out of a public prefix."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from probes.fixtures import Authority
from probes.servers import (
    HOST,
    SSO,
    answering,
    head,
    header_of,
    probe,
    response,
    serve,
    target_of,
)
from probes.walls import TO_SSO, WALLS, Reader, Writer, walled

from t3probe.probes.sso import sso_answer
from t3probe.probes.walls import ways_out

# -- walled paths --------------------------------------------------------------------------


class Proxy:
    """A server with the wall, a public prefix, and perhaps a leak.

    `leak` says what path a public request really reaches; the walled application answers
    there. Everything else under the prefix is the public backend's.
    """

    def __init__(
        self,
        leak: Callable[[str], str] = lambda target: target,
        backend: Callable[[str], bytes] = lambda target: response("404 Not Found"),
        app: bytes = response("200 OK", b"<html>the secret app</html>"),
        wall: bytes = TO_SSO,
    ) -> None:
        self.leak, self.backend, self.app, self.wall = leak, backend, app, wall

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        while True:
            request = await head(reader, writer)
            target = target_of(request)
            if not target.startswith("/probe"):
                writer.write(self.wall)
            elif self.leak(target).rstrip("?") == "/app":
                writer.write(self.app)
            else:
                writer.write(self.backend(target))
            await writer.drain()
            if header_of(request, "connection") == "close":
                return


@pytest.mark.parametrize("answer", [one for _, one in WALLS], ids=[name for name, _ in WALLS])
async def test_a_wall_that_stands(answer: bytes) -> None:
    async with serve(Proxy(wall=answer)) as server:
        seen = await probe(walled(server))
    assert seen.outcome == "passed", seen.detail
    assert seen.evidence == ()


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "405 No", "204 No Content"])
async def test_a_refusal_serves_nothing(status: str) -> None:
    answer = response(status, b"" if status.startswith("204") else b"nothing here")
    async with serve(Proxy(wall=answer)) as server:
        seen = await probe(walled(server))
    assert seen.outcome == "passed", seen.detail


async def test_a_walled_path_that_is_served_fails() -> None:
    async with serve(answering(response("200 OK", b"the app"))) as server:
        seen = await probe(walled(server))
    assert (seen.outcome, seen.reason) == ("failed", "not_walled")
    assert "/app" in seen.detail


async def test_a_walled_path_served_after_a_redirect_fails() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            target = target_of(await head(reader, writer))
            onward = response("302 Found", b"", [("Location", f"http://{HOST}/app/home")])
            writer.write(onward if target == "/app" else response("200 OK", b"the app"))

    async with serve(handler) as server:
        seen = await probe(walled(server))
    assert (seen.outcome, seen.reason) == ("failed", "not_walled")
    assert "/app/home" in seen.detail


def dots(target: str) -> str:
    """Resolve dot segments as RFC 3986 section 5.2.4 does."""
    out: list[str] = []
    for part in target.split("/")[1:]:
        if part == "..":
            if out:
                out.pop()
        elif part != ".":
            out.append(part)
    return "/" + "/".join(out)


def squeezed(target: str) -> str:
    return re.sub("/+", "/", target)


LEAKS: dict[str, Callable[[str], str]] = {
    "dot segments": dots,
    "encoded dots": lambda t: dots(t.replace("%2e", ".")) if "/%2e%2e/" in t else t,
    "upper-case encoded dots": lambda t: dots(t.replace("%2E", ".")) if "%2E" in t else t,
    "half-encoded dots": lambda t: dots(t.replace(".%2e", "..")) if "/.%2e" in t else t,
    "encoded slash after dots": lambda t: dots(t.replace("%2f", "/")) if "..%2f" in t else t,
    "encoded slash before dots": lambda t: (
        dots(t.replace("%2f", "/")) if t.startswith("/probe%2f..") else t
    ),
    "all encoded": lambda t: dots(unquote(t)) if "%2f%2e%2e%2f" in t else t,
    "doubly encoded dots": lambda t: dots(unquote(unquote(t))) if "%25" in t else t,
    "doubled slashes": lambda t: dots(squeezed(t)) if t.startswith("/probe//") else t,
    "path parameter after dots": lambda t: dots(re.sub(";[^/]*", "", t)) if "..;/" in t else t,
    "path parameter with a value": lambda t: dots(re.sub(";[^/]*", "", t)) if "..;a" in t else t,
    "path parameter after the prefix": lambda t: (
        dots(t.replace("/probe;", "/probe")) if "/probe;" in t else t
    ),
    "single dots": lambda t: dots(t) if "/./" in t else t,
    "backslash": lambda t: dots(unquote(t).replace("\\", "/")) if "%5c" in t else t,
    "trailing question mark": lambda t: dots(t[:-1]) if t.endswith("?") else t,
}


@pytest.mark.parametrize("name", LEAKS)
async def test_each_way_out_is_found(name: str) -> None:
    async with serve(Proxy(leak=LEAKS[name])) as server:
        seen = await probe(walled(server))
    assert (seen.outcome, seen.reason) == ("failed", "not_walled"), seen.detail
    assert "leads past the wall" in seen.detail
    if name != "dot segments":
        assert f"({name})" in seen.detail


@pytest.mark.parametrize("name", ["absolute form", "upper case", "doubled slash in front"])
async def test_ways_out_that_begin_otherwise(name: str) -> None:
    def leaks(target: str) -> bool:
        if name == "absolute form":
            return (
                target.startswith("http://") and dots(target[len("http://app.example") :]) == "/app"
            )
        return target.startswith("/PROBE" if name == "upper case" else "//probe")

    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            target = target_of(await head(reader, writer))
            if leaks(target):
                writer.write(response("200 OK", b"the secret app"))
            else:
                writer.write(response("404 No") if target.startswith("/probe") else TO_SSO)
            await writer.drain()

    async with serve(handler) as server:
        seen = await probe(walled(server))
    assert (seen.outcome, seen.reason) == ("failed", "not_walled"), seen.detail
    assert f"({name})" in seen.detail


async def test_the_targets_reach_the_server_byte_for_byte() -> None:
    async with serve(Proxy()) as server:
        await probe(walled(server))
    sent = [target_of(one) for one in server.requests]
    for name, target in ways_out("/probe", "/app").items():
        assert target in sent, name
    assert f"http://{HOST}/probe/../app" in sent
    for one in server.requests:
        assert header_of(one, "host") == HOST
        assert header_of(one, "cookie") is None


async def test_the_ways_out_are_tried_once_in_a_run() -> None:
    async with serve(Proxy()) as server:
        seen = await probe(walled(server), hold=0.35)
    assert len(seen.beats) > 2
    targets = [target_of(one) for one in server.requests]
    assert targets.count("/probe/../app") == 1
    assert targets.count("/app") == len(seen.beats)


def chunked(body: bytes) -> bytes:
    half = len(body) // 2
    parts = b"".join(b"%x;x=y\r\n%s\r\n" % (len(p), p) for p in (body[:half], body[half:]) if p)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"


CATCH_ALLS: dict[str, Callable[[str], bytes]] = {
    "same": lambda target: response("200 OK", b"<html>public page</html>"),
    "chunked": lambda target: chunked(b"<html>public page</html>"),
    "path": lambda target: response("200 OK", f"no such page: {target}, sorry".encode()),
    "path decoded": lambda target: response("200 OK", f"nothing at {unquote(target)}".encode()),
    "nonce": lambda target: response(
        "200 OK", f"<script nonce={secrets.token_hex(9)}>a page of ours</script>".encode()
    ),
    "all new": lambda target: response("200 OK", secrets.token_hex(16).encode()),
    "empty": lambda target: response("200 OK", b" \n"),
}


@pytest.mark.parametrize("name", CATCH_ALLS)
async def test_a_catch_all_backend_is_no_leak(name: str) -> None:
    async with serve(Proxy(backend=CATCH_ALLS[name])) as server:
        seen = await probe(walled(server))
    assert seen.outcome == "passed", seen.detail
    assert seen.evidence == ()


@pytest.mark.parametrize("broken", range(3))
async def test_a_catch_all_backend_that_is_broken_some_of_the_time_is_no_leak(broken: int) -> None:
    """One of two machines is gone, and the balancer says 503 in its place."""
    asked = 0

    def backend(target: str) -> bytes:
        nonlocal asked
        asked += 1
        page = response("200 OK", b"<html>public page</html>")
        return response("503 Gone", b"no healthy upstream") if asked == broken + 1 else page

    async with serve(Proxy(backend=backend)) as server:
        seen = await probe(walled(server))
    assert seen.outcome == "passed", seen.detail
    assert "not all tried: HTTP 503" in seen.evidence[0]


@pytest.mark.parametrize("name", [name for name in CATCH_ALLS if name != "all new"])
async def test_a_leak_beside_a_catch_all_backend_is_found(name: str) -> None:
    async with serve(Proxy(leak=dots, backend=CATCH_ALLS[name])) as server:
        seen = await probe(walled(server))
    assert (seen.outcome, seen.reason) == ("failed", "not_walled")


async def test_a_backend_that_cleans_the_path_itself_is_no_leak() -> None:
    def clean(target: str) -> bytes:
        return response("200 OK", b"index") if target == "/probe/" else response("404 No")

    def backend(target: str) -> bytes:
        return clean("/probe/" if ".." in target else target)

    async with serve(Proxy(backend=backend)) as server:
        seen = await probe(walled(server))
    assert seen.outcome == "passed", seen.detail


async def test_a_server_that_closes_after_each_answer_is_tried_whole() -> None:
    proxy = Proxy(leak=LEAKS["backslash"])

    async def handler(reader: Reader, writer: Writer) -> None:
        target = target_of(await head(reader, writer))
        if not target.startswith("/probe"):
            writer.write(TO_SSO)
        else:
            writer.write(proxy.app if proxy.leak(target) == "/app" else response("404 No"))

    async with serve(handler) as server:
        seen = await probe(walled(server))
    assert (seen.outcome, seen.reason) == ("failed", "not_walled"), seen.detail
    assert "(backslash)" in seen.detail


async def test_a_slow_look_for_ways_out_ends_with_one_watchdog() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            target = target_of(await head(reader, writer))
            if target != "/app":
                await asyncio.sleep(0.3)
            writer.write(TO_SSO)

    async with serve(handler) as server:
        seen = await probe(walled(server), watchdog=1)
    assert seen.outcome == "passed"
    assert "not all tried" in seen.evidence[0]
    assert len(server.requests) < 8


async def test_over_tls_the_absolute_form_too(authority: Authority) -> None:
    async with serve(Proxy(), tls=authority.context(HOST)) as server:
        seen = await probe(walled(server, url=f"https://{HOST}/app"), ca=authority.file)
    assert seen.outcome == "passed", seen.detail
    assert seen.evidence == ()
    assert f"https://{HOST}/probe/../app" in [target_of(one) for one in server.requests]


async def test_no_password_of_the_url_lets_us_in_or_is_shown() -> None:
    async with serve(Proxy(leak=dots)) as server:
        seen = await probe(walled(server, url=f"http://user:hunter2@{HOST}/app"))
    assert seen.reason == "not_walled"
    assert "hunter2" not in repr(seen)
    for one in server.requests:
        assert header_of(one, "authorization") is None
        assert b"hunter2" not in one


# -- pure ----------------------------------------------------------------------------------

SEGMENT = st.text("abcdefgh-_0123", min_size=1, max_size=8)
PATH = st.lists(SEGMENT, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


def meant(target: str) -> str:
    """The most forgiving reading of a target: decoded twice, parameters off, dots resolved."""
    path = unquote(unquote(target.partition("?")[0])).replace("\\", "/")
    return dots(squeezed(re.sub(";[^/]*", "", path)))


@given(prefix=PATH, goal=PATH)
def test_every_way_out_starts_public_and_means_the_walled_path(prefix: str, goal: str) -> None:
    ways = ways_out(prefix, goal)
    letters = any(one.isalpha() for one in prefix)  # digits have no upper case
    assert len(set(ways.values())) == len(ways) - (not letters)
    for name, target in ways.items():
        assert target.lower().lstrip("/").startswith(prefix.lower().lstrip("/")), name
        assert meant(target) == goal, name
        assert target.isascii()
        assert " " not in target


@given(prefix=PATH, goal=PATH)
def test_slashes_at_the_ends_do_not_matter(prefix: str, goal: str) -> None:
    assert ways_out(prefix + "/", goal) == ways_out(prefix, goal)


@given(st.integers(100, 599), st.text(), st.binary(max_size=200))
def test_no_answer_breaks_the_judgement(status: int, location: str, body: bytes) -> None:
    words = sso_answer(status, {"location": location, "content-type": "text/html"}, body, SSO)
    assert words is None or (words.isascii() and words.isprintable())
