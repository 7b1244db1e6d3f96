"""Redirects of public and walled paths, followed as a browser follows them."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from probes.servers import (
    HOST,
    Handler,
    Server,
    head,
    header_of,
    probe,
    response,
    serve,
    silent,
    target_of,
)
from probes.walls import TO_SSO, Reader, Writer, public, walled

from t3probe.config.types import Leg
from t3probe.observation import Observation

Pages = Mapping[str, bytes | Callable[[bytes], bytes]]


def to(
    location: str,
    status: str = "302 Found",
    more: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
) -> bytes:
    return response(status, body, [("Location", location), *more])


SERVED = response("200 OK", b"<html>the app</html>")
NOT_THERE = response("404 Not Found", b"no such page")


def site(pages: Pages, closes: bool = False) -> Handler:
    """A server with these pages, by path; every other one is not there."""

    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            request = await head(reader, writer)
            page = pages.get(target_of(request).split("?")[0], NOT_THERE)
            writer.write(page if isinstance(page, bytes) else page(request))
            await writer.drain()
            if closes:
                return

    return handler


async def looked_at(
    make: Callable[..., Leg], pages: Pages, *, closes: bool = False, **changes: Any
) -> tuple[Observation, list[str], Server]:
    """What the leg says about the site, and the targets that it asked for."""
    async with serve(site(pages, closes)) as server:
        leg = (
            make(server, **changes)
            if make is public
            else walled(server, **{"public_prefixes": (), **changes})
        )
        seen = await probe(leg)
    return seen, [target_of(one) for one in server.requests], server


INSIDE = [
    ("app/", "/app/"),
    ("./app/", "/app/"),
    ("/app/", "/app/"),
    ("/x/../app/", "/app/"),
    ("/x/%2e%2e/app/", "/app/"),
    ("\\app/", "/app/"),
    ("/app/#top", "/app/"),
    (f"//{HOST}/app/", "/app/"),
    (f"\\\\{HOST}\\app/", "/app/"),
    (f"http://{HOST.upper()}/app/", "/app/"),
    (f"HTTP://{HOST}:80/app/", "/app/"),
    (f"http:/{HOST}/app/", "/app.example/app/"),
    (f"http://{HOST}./app/", "/app/"),
    (f"http://me:secret@{HOST}/app/", "/app/"),
    (f"http://sso.example@{HOST}/app/", "/app/"),
    ("  app/\t", "/app/"),
    ("?in", "/app?in"),
]


@pytest.mark.parametrize(("location", "target"), INSIDE)
@pytest.mark.parametrize("status", ["301 Moved", "302 F", "303 See", "307 T", "308 P"])
async def test_what_a_redirect_within_the_origin_serves_is_served(
    location: str, target: str, status: str
) -> None:
    def app(request: bytes) -> bytes:
        return SERVED if target_of(request) == target else to(location, status)

    seen, asked, _ = await looked_at(walled, {"/app": app, target: SERVED})
    assert (seen.outcome, seen.reason) == ("failed", "not_walled"), seen.detail
    assert asked[:2] == ["/app", target]
    assert "secret" not in repr(seen)


@pytest.mark.parametrize("closes", [False, True])
async def test_a_chain_to_the_sso_is_a_wall(closes: bool) -> None:
    pages: Pages = {"/app": to("/in"), "/in": to("start?rd=x"), "/start": TO_SSO}
    seen, asked, _ = await looked_at(walled, pages, closes=closes)
    assert seen.outcome == "passed", seen.detail
    assert asked == ["/app", "/in", "/start?rd=x"]
    assert seen.clears is None


@pytest.mark.parametrize(
    "start", ["/outpost.goauthentik.io/start?rd=x", "/oauth2/start?rd=%2F", "../oauth2/start"]
)
@pytest.mark.parametrize("closes", [False, True])
async def test_a_public_path_sent_to_the_sso_by_an_outpost_on_its_host_is_walled_off(
    start: str, closes: bool
) -> None:
    pages: Pages = {
        "/probe/healthz": to(start),
        "/outpost.goauthentik.io/start": TO_SSO,
        "/oauth2/start": TO_SSO,
    }
    seen, _, _ = await looked_at(public, pages, closes=closes)
    assert (seen.outcome, seen.reason) == ("failed", "walled_off"), seen.detail
    assert seen.detail == "HTTP 302 to the SSO at sso.example"


async def test_an_outpost_that_only_the_upgrade_meets() -> None:
    def healthz(request: bytes) -> bytes:
        return to("/oauth2/start") if header_of(request, "upgrade") else response()

    seen, _, _ = await looked_at(public, {"/probe/healthz": healthz, "/oauth2/start": TO_SSO})
    assert (seen.outcome, seen.reason) == ("failed", "walled_off")
    assert seen.detail.startswith("the WebSocket upgrade: ")


@pytest.mark.parametrize("where", ["/probe/", "//app.example/probe/", "."])
async def test_a_public_path_that_moves_within_its_origin_is_public(where: str) -> None:
    pages: Pages = {"/probe/healthz": to(where), "/probe/": response()}
    seen, asked, _ = await looked_at(public, pages)
    assert (seen.outcome, seen.evidence) == ("passed", ()), seen.detail
    assert asked[1] == "/probe/"


# -- the end of a chain --------------------------------------------------------------------------


def endless(request: bytes) -> bytes:
    """Always one page further."""
    count = int(target_of(request).partition("n=")[2] or 0)
    return to(f"?n={count + 1}")


ENDLESS: dict[str, Pages] = {
    "to itself": {"/app": to("/app"), "/probe/healthz": to("healthz")},
    "there and back": {
        "/app": to("/b"), "/probe/healthz": to("/b"), "/b": to("/c"), "/c": to("/b"),
    },
    "ever new": {"/app": endless, "/probe/healthz": endless},
    "by a page": {
        "/app": response("200 OK", b"on", [("Refresh", "0; url=/c")]),
        "/probe/healthz": response("200 OK", b"on", [("Refresh", "0; url=/c")]),
        "/c": response("200 OK", b"on", [("Refresh", "0; url=/app")]),
    },
}  # fmt: skip


@pytest.mark.parametrize("make", [public, walled])
@pytest.mark.parametrize("name", [*ENDLESS])
async def test_redirects_without_an_end_prove_neither(name: str, make: Callable[..., Leg]) -> None:
    seen, asked, _ = await looked_at(make, ENDLESS[name])
    assert (seen.outcome, seen.reason) == ("inconclusive", "http_other"), seen.detail
    assert seen.detail.startswith("redirects without an end")
    assert "proves neither" in seen.detail
    assert seen.drops == ()
    assert len(asked) <= 21


@pytest.mark.parametrize(("hops", "outcome"), [(20, "failed"), (21, "inconclusive")])
async def test_as_many_redirects_as_a_browser_follows(hops: int, outcome: str) -> None:
    def app(request: bytes) -> bytes:
        done = int(target_of(request).partition("n=")[2] or 0)
        return to(f"?n={done + 1}") if done < hops else SERVED

    seen, _, _ = await looked_at(walled, {"/app": app})
    assert seen.outcome == outcome, seen.detail


NOWHERE = {
    "no Location": response("302 Found"),
    "an empty one": to(""),
    "two of them": to("/in", more=[("Location", "/out")]),
    "no URL": to("http://[/"),
    "another scheme": to("myapp://open"),
    "a script": to("javascript:alert(1)"),
    "no port": to(f"http://{HOST}:99999/"),
}


@pytest.mark.parametrize("make", [public, walled])
@pytest.mark.parametrize("name", NOWHERE)
async def test_a_redirect_to_nowhere_proves_neither(name: str, make: Callable[..., Leg]) -> None:
    pages: Pages = {"/app": NOWHERE[name], "/probe/healthz": NOWHERE[name]}
    seen, _, _ = await looked_at(make, pages)
    assert (seen.outcome, seen.reason) == ("inconclusive", "http_other")
    assert "HTTP 302 names no place to go to: it proves neither" in seen.detail


@pytest.mark.parametrize("make", [public, walled])
@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (response("500 Oops"), "http_5xx"),
        (response("503 Later", headers=[("Retry-After", "1")]), "http_5xx"),
        (response("429 Later"), "http_4xx"),
        (b"junk\r\n\r\n", "protocol_error"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50_000, "protocol_error"),
    ],
    ids=["500", "503", "429", "junk", "long"],
)
async def test_a_chain_that_ends_in_no_answer_proves_neither(
    end: bytes, reason: str, make: Callable[..., Leg]
) -> None:
    pages: Pages = {"/app": to("/in"), "/probe/healthz": to("/in"), "/in": end}
    seen, _, _ = await looked_at(make, pages)
    assert (seen.outcome, seen.reason) == ("inconclusive", reason), seen.detail


@pytest.mark.parametrize("make", [public, walled])
async def test_a_chain_that_falls_silent_proves_neither(make: Callable[..., Leg]) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await head(reader, writer)
        writer.write(to("/in"))
        await silent(reader, writer)

    async with serve(handler) as server:
        seen = await probe(make(server), watchdog=0.4)
    assert seen.outcome == "inconclusive", seen.detail


# -- to another origin ---------------------------------------------------------------------------

AWAY = [
    "https://other.example/app/",
    "//other.example/app/",
    f"http://{HOST}:8080/app/",
    f"https://{HOST}/app/",
    f"//{HOST}.other.example/app/",
    f"http://{HOST}@other.example/app/",
    "http://other.example\\@app.example/app/",
    "https://sso.example.evil.example/",
]


@pytest.mark.parametrize("make", [public, walled])
@pytest.mark.parametrize("location", AWAY)
async def test_another_origin_is_not_followed_and_clears_little(
    location: str, make: Callable[..., Leg]
) -> None:
    pages: Pages = {"/app": to(location), "/probe/healthz": to(location), "/app/": SERVED}
    seen, asked, _ = await looked_at(make, pages)
    assert seen.outcome == "passed", seen.detail
    assert seen.clears == ("edge",)
    assert len(asked) == (2 if make is public else 1)


@pytest.mark.parametrize("status", ["300 Choose", "305 Proxy", "306 Unused"])
@pytest.mark.parametrize("location", [None, "/in"])
async def test_a_3xx_that_leads_nobody_on_clears_little(status: str, location: str | None) -> None:
    page = to(location, status) if location else response(status, b"")
    pages: Pages = {"/app": page, "/probe/healthz": page, "/in": SERVED}
    for make in (public, walled):
        seen, asked, _ = await looked_at(make, pages)
        assert (seen.outcome, seen.clears) == ("passed", ("edge",)), seen.detail
        assert "/in" not in asked


@pytest.mark.parametrize(
    "location",
    [
        "https://SSO.example/start",
        "//sso.example:443/start",
        "https://sso.example./start",
        "\\\\sso.example\\start",
        "https:sso.example/start",
        "https://%73so.example/start",
        "https://app.example@sso.example/start",
        "/flow/login?next=x",
        "/flow%2Flogin",
        "/flow/x/../login",
        "https://other.example/flow/login",
    ],
)
@pytest.mark.parametrize("make", [public, walled])
async def test_the_sso_is_known_in_every_form(location: str, make: Callable[..., Leg]) -> None:
    pages: Pages = {"/app": to(location), "/probe/healthz": to(location)}
    seen, _, _ = await looked_at(make, pages)
    assert seen.outcome == ("failed" if make is public else "passed"), seen.detail
    assert seen.reason == ("walled_off" if make is public else None)
    assert seen.clears is None


async def test_a_walled_path_that_sends_to_a_public_one_serves_nothing() -> None:
    pages: Pages = {"/app": to("/probe/welcome"), "/probe/welcome": SERVED}
    seen, asked, _ = await looked_at(walled, pages, public_prefixes=("/probe/",))
    assert seen.outcome == "passed", seen.detail
    assert seen.clears == ("edge",)
    assert asked[0] == "/app"
    past: Pages = {"/app": to("/probe/../in"), "/in": SERVED}
    seen, _, _ = await looked_at(walled, past, public_prefixes=("/probe/",))
    assert (seen.outcome, seen.reason) == ("failed", "not_walled")


@pytest.mark.parametrize(
    ("location", "reason"),
    [("/in", None), ("https://other.example/", None), ("/healthz/x", None), ("/o", "walled_off")],
)
async def test_an_expected_redirect_must_not_lead_to_the_sso(
    location: str, reason: str | None
) -> None:
    pages: Pages = {
        "/probe/healthz": to(location), "/in": to("/in"), "/o": TO_SSO,
    }  # fmt: skip
    seen, _, _ = await looked_at(public, pages, expect_status=(302,))
    assert (seen.outcome, seen.reason) == ("failed" if reason else "passed", reason), seen.detail


async def test_who_is_called_by_another_host_is_followed_by_that_name() -> None:
    pages: Pages = {"/app": to("http://inner.example/app/"), "/app/": SERVED}
    seen, asked, server = await looked_at(walled, pages, host_header="inner.example")
    assert (seen.outcome, seen.reason) == ("failed", "not_walled"), seen.detail
    assert asked[:2] == ["/app", "/app/"]
    assert {header_of(one, "host") for one in server.requests} == {"inner.example"}


# -- what else moves a browser -------------------------------------------------------------------

REFRESHES = {
    "header": response("200 OK", b"moved", [("Refresh", "0; url=https://sso.example/")]),
    "meta": response(
        "200 OK",
        b'<html><meta http-equiv="refresh" content="0; URL=https://sso.example/start">',
        [("Content-Type", "text/html")],
    ),
    "within the host": response("200 OK", b"moved", [("Refresh", "0;url=/oauth2/start")]),
}


@pytest.mark.parametrize("make", [public, walled])
@pytest.mark.parametrize("name", REFRESHES)
async def test_a_page_that_refreshes_to_the_sso_is_the_wall(
    name: str, make: Callable[..., Leg]
) -> None:
    pages: Pages = {
        "/app": REFRESHES[name], "/probe/healthz": REFRESHES[name], "/oauth2/start": TO_SSO,
    }  # fmt: skip
    seen, _, _ = await looked_at(make, pages)
    assert seen.reason == ("walled_off" if make is public else None), seen.detail
    assert seen.outcome == ("failed" if make is public else "passed")


async def test_a_page_that_refreshes_later_is_a_page() -> None:
    page = response("200 OK", b"the app", [("Refresh", "60; url=https://sso.example/")])
    seen, _, _ = await looked_at(walled, {"/app": page})
    assert (seen.outcome, seen.reason) == ("failed", "not_walled")


# -- cookies -------------------------------------------------------------------------------------


async def test_a_cookie_set_on_the_way_is_given_back_on_the_way_only() -> None:
    """A page that asks whether cookies work would else send us around for ever."""

    def app(request: bytes) -> bytes:
        if header_of(request, "cookie"):
            return SERVED
        return to("/app", more=[("Set-Cookie", "works=1; Path=/; HttpOnly")])

    async with serve(site({"/app": app})) as server:
        seen = await probe(walled(server, public_prefixes=()))
    assert (seen.outcome, seen.reason) == ("failed", "not_walled"), seen.detail
    sent = [header_of(one, "cookie") for one in server.requests]
    assert sent == [None, "works=1"] * 2
    assert "works=1" not in repr(seen)


async def test_cookies_that_grow_do_not_go_on_for_ever() -> None:
    count = 0

    def app(request: bytes) -> bytes:
        nonlocal count
        count += 1
        return to("/app", more=[("Set-Cookie", f"count={count}")])

    seen, asked, _ = await looked_at(walled, {"/app": app})
    assert seen.outcome == "inconclusive"
    assert len(asked) == 21


# -- bodies --------------------------------------------------------------------------------------

LOGIN = b"<html><a href='/flow/login'>log in</a></html>"
FORM = b"<html><form><input type=password></form></html>"
HTML = ("Content-Type", "text/html")


def packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    "page",
    [
        response("200 OK", packed(LOGIN), [("Content-Encoding", "gzip")]),
        response("200 OK", packed(FORM), [("Content-Encoding", "x-gzip"), HTML]),
        response("403 Forbidden", packed(LOGIN), [("Content-Encoding", "GZIP")]),
        response("200 OK", FORM.decode().encode("utf-16"), [HTML]),
        response("200 OK", LOGIN.decode().encode("utf-16-le"),
                 [("Content-Type", "text/html; charset=utf-16le")]),
        # Wrongly labelled, and known all the same.
        response("200 OK", LOGIN, [("Content-Encoding", "gzip")]),
    ],
    ids=["gzip", "form", "refusal", "bom", "charset", "wrong"],
)  # fmt: skip
@pytest.mark.parametrize("make", [public, walled])
async def test_a_login_page_is_read_before_it_is_judged(
    page: bytes, make: Callable[..., Leg]
) -> None:
    seen, _, _ = await looked_at(make, {"/app": page, "/probe/healthz": page})
    assert seen.outcome == ("failed" if make is public else "passed"), seen.detail
    assert seen.reason == ("walled_off" if make is public else None)


@pytest.mark.parametrize(
    ("make", "status", "outcome"),
    [
        (walled, "200 OK", "inconclusive"),
        (walled, "403 Forbidden", "passed"),
        (walled, "404 Not Found", "passed"),
        (public, "200 OK", "inconclusive"),
        (public, "403 Forbidden", "inconclusive"),
    ],
)
async def test_what_nobody_can_read_proves_neither(
    make: Callable[..., Leg], status: str, outcome: str
) -> None:
    page = response(status, b"\x0b\x02\x80", [("Content-Encoding", "compress"), HTML])
    seen, _, _ = await looked_at(make, {"/app": page, "/probe/healthz": page})
    assert seen.outcome == outcome, seen.detail
    if outcome == "inconclusive":
        assert "compressed with compress: cannot be read: it proves neither" in seen.detail


async def test_a_compressed_page_of_the_app_is_served() -> None:
    page = response("200 OK", packed(b"<html>the app</html>"), [("Content-Encoding", "gzip")])
    seen, _, _ = await looked_at(walled, {"/app": page})
    assert (seen.outcome, seen.reason) == ("failed", "not_walled")


async def test_a_way_out_that_nobody_can_read_is_only_mentioned() -> None:
    def handler_page(request: bytes) -> bytes:
        if ".." in target_of(request):
            return response("200 OK", b"\x1f?", [("Content-Encoding", "br"), HTML])
        return TO_SSO if target_of(request) == "/app" else NOT_THERE

    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            request = await head(reader, writer)
            writer.write(handler_page(request))
            await writer.drain()
            if header_of(request, "connection") == "close":
                return

    async with serve(handler) as server:
        seen = await probe(walled(server))
    assert seen.outcome == "passed", seen.detail
    assert "cannot be read" in seen.evidence[0]


@pytest.mark.parametrize("odd", ["unread", "long", "busy", "endless"])
async def test_one_way_out_that_tells_nothing_hides_no_other(odd: str) -> None:
    """The trailing question mark is asked by hand, the others on one kept-alive connection."""
    strange = {
        "unread": response("200 OK", b"\x1f?", [("Content-Encoding", "br"), HTML]),
        "long": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50_000,
        "busy": response("429 Later"),
        "endless": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nsome of it",
    }[odd]

    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            target = target_of(await head(reader, writer))
            if target == "/app":
                writer.write(TO_SSO)
            elif target in {"/probe/../app", "/probe//..//app"}:
                writer.write(strange)
            else:
                writer.write(SERVED if target.endswith("?") else NOT_THERE)
            await writer.drain()

    async with serve(handler) as server:
        seen = await probe(walled(server))
    assert (seen.outcome, seen.reason) == ("failed", "not_walled"), seen.detail
    assert "(trailing question mark)" in seen.detail


async def test_a_page_that_does_not_end_may_be_the_wall_when_asked_by_hand_too() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            target = target_of(await head(reader, writer))
            page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>"
            leaks = target.endswith("?")
            writer.write(page if leaks else TO_SSO if target == "/app" else NOT_THERE)
            await writer.drain()

    async with serve(handler) as server:
        seen = await probe(walled(server))
    assert seen.outcome == "passed", seen.detail
    assert "a page that does not end" in seen.evidence[0]


@pytest.mark.parametrize(
    "page",
    [
        b"HTTP/1.0 200 OK\r\n\r\nthe app, and it goes on",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nthe app",
        b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nthe app\r\nzz",
    ],
)
async def test_a_way_out_without_an_end_is_one(page: bytes) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            target = target_of(await head(reader, writer))
            leaks = target.endswith("?")
            writer.write(page if leaks else TO_SSO if target == "/app" else NOT_THERE)
            await writer.drain()

    async with serve(handler) as server:
        seen = await probe(walled(server))
    assert (seen.outcome, seen.reason) == ("failed", "not_walled"), seen.detail


@pytest.mark.parametrize(
    ("make", "start", "outcome"),
    [
        (walled, "HTTP/1.1 403 Forbidden\r\n", "passed"),
        (walled, "HTTP/1.0 403\r\n", "passed"),
        (walled, "HTTP/1.1 302 F\r\nLocation: https://sso.example/\r\n", "passed"),
        (walled, "HTTP/1.1 200 OK\r\n", "failed"),
        (walled, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", "inconclusive"),
        (public, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n", "passed"),
        (public, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", "inconclusive"),
        (public, "HTTP/1.0 302\r\nLocation: https://sso.example/\r\n", "failed"),
        (public, "HTTP/1.1 503 Oops\r\n", "inconclusive"),
    ],
)
async def test_a_body_without_an_end_costs_a_wall_no_watchdog(
    make: Callable[..., Leg], start: str, outcome: str
) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await head(reader, writer)
        writer.write(start.encode() + b"\r\nsome of it")
        await silent(reader, writer)

    async with serve(handler) as server:
        leg = public(server) if make is public else walled(server, public_prefixes=())
        loop = asyncio.get_running_loop()
        began = loop.time()
        seen = await probe(leg, watchdog=8)
        took = loop.time() - began
    assert seen.outcome == outcome, seen.detail
    assert took < 8
