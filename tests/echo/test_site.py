"""The page and the store over HTTP, in this process: what is answered, and to whom."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from echo.echo_client import Peer, Served, request, serving

from t3probe.echo import Limits
from t3probe.echo.page import page
from t3probe.echo.records import Records
from t3probe.echo.site import PageSite
from t3probe.exchange.bounds import ECHO_RECORD_BYTES

PROXY = ["127.0.0.0/8"]
RECORD = json.dumps({"t3probe_client": 1, "browser": "Firefox 150"}).encode()
ORIGIN = "Origin: https://app.example"
JSON = "Content-Type: application/json"
TOKEN = b"0123456789abcdef"


def site(*, token: bytes | None = None, records: bool = True) -> PageSite:
    shown = page(10, 20, records=records)
    if token is None:
        return PageSite(shown, Records() if records else None)
    return PageSite(shown, Records(), token=lambda: token)


def post(*fields: str, length: int | str | None = None, body: bytes = RECORD) -> bytes:
    """A record's request, as a browser writes it."""
    size = f"Content-Length: {len(body) if length is None else length}"
    return request("/probe/records", *(fields or (ORIGIN, JSON)), size, method="POST") + body


async def asked(served: Served, sent: bytes, source: str = "127.0.0.1") -> tuple[int, bytes, Peer]:
    """Status and body of one answer."""
    peer = await served.dial(source)
    peer.send(sent)
    status = await peer.status()
    return status, await peer.reader.read(), peer


def client(address: str) -> str:
    return f"X-Forwarded-For: {address}"


async def sent(served: Served, *fields: str) -> str:
    """The code of a record that was taken."""
    status, body, _ = await asked(served, post(ORIGIN, JSON, *fields))
    assert status == 201, body
    found: dict[str, Any] = json.loads(body)
    assert found["expires_seconds"] == 3600
    return str(found["code"])


# -- the page -------------------------------------------------------------------------------


async def test_the_page_and_its_headers() -> None:
    async with serving(site=site()) as served:
        status, body, peer = await asked(served, request("/probe/?x", "T3Probe-Nonce: beef"))
        assert (status, body) == (200, page(10, 20, records=True).content)
        for line in (
            "Content-Type: text/html; charset=utf-8", "Cache-Control: no-store",
            "Referrer-Policy: no-referrer", "X-Content-Type-Options: nosniff",
            "Content-Security-Policy: default-src 'none';", "t3probe-echo: beef",
            f"Content-Length: {len(body)}",
        ):  # fmt: skip
            assert f"\r\n{line}" in peer.head, line
        status, body, peer = await asked(served, request("/probe/", method="HEAD"))
        assert (status, body) == (200, b"")
        assert "Content-Security-Policy" in peer.head
        status, _, peer = await asked(served, request("/probe"))
        assert status == 308
        assert "\r\nLocation: /probe/\r\n" in peer.head
        status, _, peer = await asked(served, request("/probe/", method="POST"))
        assert status == 405
        assert "\r\nAllow: GET, HEAD\r\n" in peer.head


@pytest.mark.parametrize("path", ["/probe/", "/probe", "/probe/records", "/probe/records/K7M2QX9D"])
async def test_without_it_nothing_changes(path: str) -> None:
    async with serving() as served:
        status, body, peer = await asked(served, request(path))
        assert (status, body) == (404, b"not found\n")
        assert "nosniff" not in peer.head
        peer = await served.dial()
        peer.send(request("/probe/healthz"))
        assert await peer.status() == 200
        assert "limited" not in peer.head


async def test_the_page_without_the_store_takes_nothing() -> None:
    async with serving(site=site(records=False)) as served:
        assert (await asked(served, post()))[0] == 404
        assert (await asked(served, request("/probe/records/K7M2QX9D")))[0] == 404
        assert b"records=no" in (await asked(served, request("/probe/")))[1]


async def test_loads_are_limited_by_address() -> None:
    async with serving(None, PROXY, site()) as served:
        ask = request("/probe/", client("203.0.113.6"), method="HEAD")
        statuses = [(await asked(served, ask))[0] for _ in range(62)]
        assert statuses == [200] * 60 + [429] * 2
        assert (await asked(served, request("/probe/", client("203.0.113.7"))))[0] == 200
        served.pass_time(1)
        assert (await asked(served, ask))[0] == 200


async def test_a_slow_reader_has_time_for_the_page_and_not_for_ever() -> None:
    async with serving(Limits(close=2, write=10), site=site()) as served:
        slow, quick = await served.dial(), await served.dial()
        slow.send(request("/probe/"))
        assert await slow.status() == 200
        quick.send(request("/probe/healthz"))
        assert await quick.status() == 200
        assert len(served.responder.serving) == len(served.responder.ending) == 1
        served.pass_time(5)
        assert len(served.responder.serving) == 1
        assert not served.responder.ending
        assert len(await slow.reader.read()) == len(page(10, 20).content) + 1  # yes is longer
        served.pass_time(6)
        assert not served.responder.serving


async def test_pages_under_way_push_each_other_out_the_oldest_first() -> None:
    async with serving(Limits(pages=3), site=site()) as served:
        peers = []
        for number in range(5):
            peers.append(await served.dial())
            peers[-1].send(request("/probe/"))
            assert await peers[-1].status() == 200
            assert len(served.responder.serving) == min(3, number + 1)


async def test_the_health_page_says_who_was_refused_for_a_limit() -> None:
    async with serving(Limits(per_address=1), PROXY, site()) as served:
        limited, other = client("203.0.113.6"), client("203.0.113.7")

        async def told(who: str) -> bool:
            _, _, peer = await asked(served, request("/probe/healthz", who, method="HEAD"))
            return "\r\nT3Probe-Limited: 1\r\n" in peer.head

        await served.websocket(limited)
        assert not await told(limited)
        assert await (await served.dial()).open(limited) == 429
        assert await told(limited)
        assert not await told(other)
        served.pass_time(served.responder.limits.told)
        assert not await told(limited)


# -- sending --------------------------------------------------------------------------------


async def test_a_record_is_taken_and_fetched_by_its_code() -> None:
    async with serving(None, PROXY, site()) as served:
        code = await sent(served, client("203.0.113.77"))
        status, body, peer = await asked(served, request(f"/probe/records/{code.lower()}"))
        assert status == 200
        found = json.loads(body)
        assert found["seen"]["network"] == "203.0.113.0/24"
        assert found["browser"] == "Firefox 150"
        assert b"203.0.113.77" not in body
        for line in (
            "Content-Type: application/json",
            f'Content-Disposition: attachment; filename="t3probe-{code}.json"',
            "X-Content-Type-Options: nosniff",
            "Cache-Control: no-store",
        ):
            assert f"\r\n{line}\r\n" in peer.head
        served.pass_time(3600)
        assert (await asked(served, request(f"/probe/records/{code}")))[0] == 404


async def test_a_body_may_come_in_any_pieces_and_is_asked_for() -> None:
    async with serving(site=site()) as served:
        peer = await served.dial()
        head, _, body = post(ORIGIN, JSON, "Expect: 100-continue").partition(b"\r\n\r\n")
        peer.send(head, b"\r\n\r\n")
        assert await peer.status() == 100
        for byte in body:
            peer.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await peer.status() == 201
        # All at once, and with something behind it.
        status, _, _ = await asked(served, post() + b"GET / HTTP/1.1\r\n\r\n")
        assert status == 201


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (request("/probe/records", ORIGIN, JSON, method="POST"), 411),
        (post(ORIGIN, JSON, "Transfer-Encoding: chunked"), 400),
        (request("/probe/records", ORIGIN, JSON, "Transfer-Encoding: chunked", method="POST"), 411),
        (post(length="x"), 400),
        (post(length="-1"), 400),
        (post(length="1, 1"), 400),
        (post(length="²"), 400),
        (post(ORIGIN, JSON, "Content-Length: 3"), 400),
        (post(length=ECHO_RECORD_BYTES + 1), 413),
        (post(length="9" * 100), 413),
        (post(ORIGIN, JSON, "Expect: tea"), 417),
        (post(ORIGIN, "Content-Type: text/plain"), 415),
        (post(ORIGIN), 415),
        (post(JSON), 403),
        (post("Origin: https://evil.example", JSON), 403),
        (post("Origin: null", JSON), 403),
        (post(ORIGIN, ORIGIN, JSON), 403),
        (post(ORIGIN, JSON, "Sec-Fetch-Site: cross-site"), 403),
        (post(body=b"{}"), 400),
        (post(body=b""), 400),
        (post(body=b"[" * 30_000), 400),
        (request("/probe/records", ORIGIN), 405),
        (request("/probe/records", ORIGIN, method="DELETE"), 405),
        (request("/probe/records/", ORIGIN), 404),
        (request("/probe/records/K7M2QX9D/x"), 404),
        (request("/probe/records/K7M2QX9I"), 404),
        (request("/probe/records/K7M2QX9D", method="POST"), 405),
        (request("/probe/recordsX"), 404),
    ],
)  # fmt: skip
async def test_what_is_refused(request_: bytes, status: int) -> None:
    async with serving(site=site()) as served:
        found, body, peer = await asked(served, request_)
        assert found == status
        assert body.count(b"\n") == 1, "one sentence"
        assert "no-store" in peer.head


async def test_a_tunnel_may_change_the_host_where_the_browser_vouches_for_the_page() -> None:
    async with serving(site=site()) as served:
        fields = ("Origin: https://t3.example", JSON, "Sec-Fetch-Site: same-origin")
        assert (await asked(served, post(*fields)))[0] == 201
        assert (await asked(served, post(*fields[1:])))[0] == 403


async def test_a_body_that_does_not_come_ends_as_a_head_that_does_not() -> None:
    async with serving(site=site()) as served:
        peer = await served.dial()
        peer.send(post(length=30_000))
        await served.until(lambda: served.responder.held)
        served.pass_time(served.responder.limits.handshake)
        assert await peer.gone()
        assert served.responder.held == 0


async def test_bodies_count_as_held_and_unfinished_ones_go_first() -> None:
    async with serving(Limits(held_bytes=50_000), site=site()) as served:
        honest = await served.websocket()
        peers = []
        for wanted in (1, 2, 2):
            peers.append(await served.dial())
            peers[-1].send(post(ORIGIN, JSON, length=32_000, body=b"x" * 20_000))
            await served.until(
                lambda wanted=wanted: (
                    sum(one.held >= 20_000 for one in served.responder.waiting) == wanted
                )
            )
        assert await peers[0].gone()
        assert served.responder.held <= 50_000
        assert await honest.echo(b"x") == b"x"


async def test_while_it_drains_nothing_is_taken() -> None:
    async with serving(site=site()) as served:
        served.responder.draining = True
        status, _, peer = await asked(served, post())
        assert status == 503
        assert "Retry-After" in peer.head


async def test_records_are_limited_by_address() -> None:
    async with serving(None, PROXY, site()) as served:
        for _ in range(6):
            await sent(served, client("203.0.113.6"))
        assert (await asked(served, post(ORIGIN, JSON, client("203.0.113.6"))))[0] == 429
        await sent(served, client("198.51.100.6"))
        served.pass_time(20)
        await sent(served, client("203.0.113.6"))


# -- fetching -------------------------------------------------------------------------------


async def test_guessing_is_limited_and_others_are_not() -> None:
    async with serving(None, PROXY, site()) as served:
        code = await sent(served, client("203.0.113.6"))
        guess = request("/probe/records/00000000", client("198.51.100.1"))
        assert [(await asked(served, guess))[0] for _ in range(12)] == [404] * 10 + [429] * 2
        right = request(f"/probe/records/{code}", client("198.51.100.1"))
        assert (await asked(served, right))[0] == 429, "not even the right one is told any more"
        assert (await asked(served, request(f"/probe/records/{code}", client("192.0.2.1"))))[
            0
        ] == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([], 401),
        (["Authorization: Bearer wrong"], 401),
        (["Authorization: Basic 0123456789abcdef"], 401),
        (["Authorization: Bearer"], 401),
        (["Authorization: Bearer 0123456789abcdeé"], 401),
        (["Authorization: Bearer 0123456789abcdef"] * 2, 401),
        (["Authorization: Bearer 0123456789abcdef"], 200),
        (["authorization: bearer 0123456789abcdef"], 200),
    ],
)
async def test_with_a_token_the_code_alone_is_not_enough(fields: list[str], status: int) -> None:
    async with serving(site=site(token=TOKEN)) as served:
        code = await sent(served)
        for path, expected in ((code, status), ("00000000", 404 if status == 200 else status)):
            found, body, peer = await asked(served, request(f"/probe/records/{path}", *fields))
            assert found == expected
            assert TOKEN not in body
            assert (expected == 401) == ("\r\nWWW-Authenticate: Bearer" in peer.head)


async def test_a_token_that_cannot_be_read_any_more_opens_nothing() -> None:
    def gone() -> bytes:
        raise ValueError("it is gone")

    async with serving(site=PageSite(page(10, 20), Records(), token=gone)) as served:
        code = await sent(served)
        status, body, _ = await asked(served, request(f"/probe/records/{code}"))
        assert (status, body) == (503, b"the token cannot be read here\n")
