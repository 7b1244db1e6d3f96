"""Marks: how far an answer came, and which answers prove it."""

from __future__ import annotations

import msgspec
import pytest
from probes.http_servers import Reader, Writer
from probes.servers import (
    HOST,
    Handler,
    answering,
    deployment,
    echo_frames,
    head,
    header_of,
    http_leg,
    probe_until,
    response,
    serve,
    target_of,
    upgrade,
    ws_leg,
)
from probes.walls import TO_SSO, public, walled

from t3probe.config.types import Leg
from t3probe.observation import Observation
from t3probe.probes.base import check_route
from t3probe.probes.facts import Collapsed, Facts
from t3probe.probes.marks import Marks, asked_apart, from_a_cache
from t3probe.run.controller import Run

MARKS = {"cf-ray": "edge", "t3probe-echo": "far"}
WAY = ("edge", "tunnel", "proxy", "far")
REAL = ("edge", "tunnel", "proxy", "rule", "far", "behind")
NONCE, OTHER = "a" * 32, "b" * 32


async def marked(leg: Leg) -> Observation:
    """One leg's observation where MARKS are declared."""
    made = msgspec.structs.replace(deployment([leg]), marks=MARKS, paths=(REAL,))
    (seen,) = await Run(made, [leg], hold=0).measure()
    return seen


def returning(status: str, *headers: tuple[str, str], lie: str = "") -> Handler:
    """Answers with the request's nonce, or a lie, in its mark."""

    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            request = await head(reader, writer)
            nonce = lie or header_of(request, "t3probe-nonce") or ""
            writer.write(response(status, b"no", [("T3Probe-Echo", nonce), *headers]))
            await writer.drain()

    return handler


# -- what is sent --------------------------------------------------------------------------


async def test_every_request_has_a_nonce_and_a_query_of_its_own() -> None:
    async with serve(answering(response())) as server:
        await probe_until(lambda book: len(book.beats) > 3, http_leg(server))
    nonces = [header_of(one, "t3probe-nonce") for one in server.requests]
    assert len(nonces) > 1
    assert len({*nonces}) == len(nonces)
    assert {len(one or "") for one in nonces} == {32}
    assert {header_of(one, "cache-control") for one in server.requests} == {"no-cache"}
    expected = [f"/health?t3probe={nonce}" for nonce in nonces]
    assert [target_of(one) for one in server.requests] == expected


async def test_a_query_of_the_file_stays_as_it_is() -> None:
    async with serve(answering(response())) as server:
        await marked(http_leg(server, url=f"http://{HOST}/health?a=%20"))
    assert target_of(server.requests[0]) == "/health?a=%20"
    assert asked_apart("http://h/p?", NONCE) == "http://h/p?"


async def test_an_upgrade_has_a_nonce_and_its_own_target() -> None:
    async with serve(answering(response("404 Not Found"))) as server:
        await marked(ws_leg(server))
    assert len(header_of(server.requests[0], "t3probe-nonce") or "") == 32
    assert target_of(server.requests[0]) == "/ws"


async def test_a_wall_is_asked_for_what_it_protects_and_nothing_else() -> None:
    async with serve(answering(TO_SSO)) as server:
        await marked(walled(server))
    assert target_of(server.requests[0]) == "/app"
    assert not any("t3probe=" in target_of(one) for one in server.requests)
    assert all(len(header_of(one, "t3probe-nonce") or "") == 32 for one in server.requests)


async def test_a_public_path_is_asked_apart() -> None:
    async with serve(answering(response())) as server:
        await marked(public(server))
    targets = [target_of(one) for one in server.requests]
    assert all(one.startswith("/probe/healthz?t3probe=") for one in targets)
    assert len({*targets}) == len(targets) == 2


# -- what an answer proves -----------------------------------------------------------------


async def test_a_mark_shows_how_far_a_failed_request_came() -> None:
    async with serve(returning("500 Oops", ("cf-ray", "1-AMS"))) as server:
        seen = await marked(http_leg(server, path=WAY, tcp_ends_at="edge"))
    (drop,) = seen.drops
    assert drop.carried == ("edge", "tunnel", "proxy")
    assert drop.accused == "far"


async def test_without_the_far_mark_the_last_one_seen_counts() -> None:
    async with serve(answering(response("404 No", b"", [("cf-ray", "1-AMS")]))) as server:
        seen = await marked(ws_leg(server, path=WAY))
    (drop,) = seen.drops
    assert (drop.reason, drop.carried, drop.accused) == ("upgrade_rejected", (), "edge")


async def test_a_gateway_accuses_nobody() -> None:
    async with serve(answering(response("502 Bad", b"", [("cf-ray", "1-AMS")]))) as server:
        seen = await marked(http_leg(server, path=WAY, tcp_ends_at="edge"))
    assert seen.drops[0].accused == ""


async def test_a_rejected_upgrade_says_how_far_it_came() -> None:
    async with serve(returning("404 Not Found")) as server:
        seen = await marked(ws_leg(server, path=WAY, tcp_ends_at="edge"))
    (drop,) = seen.drops
    assert drop.carried == ("edge", "tunnel", "proxy")
    assert drop.accused == "far"


async def test_a_cache_that_replays_marks_proves_nothing() -> None:
    async with serve(returning("500 Oops", lie=OTHER)) as server:
        seen = await marked(http_leg(server, path=WAY, tcp_ends_at="edge"))
    (drop,) = seen.drops
    assert (drop.carried, drop.accused) == ((), "edge")


async def test_the_sso_at_the_edge_is_the_edges_answer() -> None:
    answer = response("302 Found", b"", [("Location", "https://sso.example/"), ("cf-ray", "1")])
    async with serve(answering(answer)) as server:
        seen = await marked(public(server, path=("edge", "tunnel"), url=f"http://{HOST}/p"))
    assert (seen.reason, seen.drops[0].accused) == ("walled_off", "edge")


# -- collapses -----------------------------------------------------------------------------


async def test_a_mark_of_another_route_collapses_the_leg() -> None:
    async with serve(returning("200 OK", ("cf-ray", "1-AMS"))) as server:
        seen = await marked(http_leg(server, path=("proxy", "far")))
    assert (seen.outcome, seen.reason) == ("inconclusive", "leg_collapsed")
    assert "'cf-ray', the mark of edge" in seen.detail


async def test_so_does_one_in_a_good_upgrade() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer, "cf-ray: 1\r\n")
        await echo_frames(reader, writer)

    async with serve(handler) as server:
        seen = await marked(ws_leg(server, path=("proxy", "far")))
    assert (seen.outcome, seen.reason) == ("inconclusive", "leg_collapsed")


async def test_a_replayed_mark_of_another_route_does_not() -> None:
    answer = response("200 OK", b"", [("t3probe-echo", OTHER), ("cf-ray", "1")])
    async with serve(answering(answer)) as server:
        seen = await marked(http_leg(server, path=("edge",)))
    assert seen.outcome == "passed"


async def test_what_serves_a_path_does_not_collapse_the_check_of_its_rule() -> None:
    async with serve(returning("200 OK")) as server:
        seen = await marked(public(server, path=("edge", "tunnel"), url=f"http://{HOST}/p"))
        assert seen.outcome == "passed", seen.detail
        open_door = await marked(walled(server, path=("edge", "rule"), url=f"http://{HOST}/p"))
    assert (open_door.outcome, open_door.reason) == ("failed", "not_walled")


async def test_what_comes_before_its_path_does() -> None:
    async with serve(answering(response("403 No", b"", [("cf-ray", "1")]))) as server:
        seen = await marked(walled(server, path=("proxy", "rule"), url=f"http://{HOST}/p"))
    assert (seen.outcome, seen.reason) == ("inconclusive", "leg_collapsed")


# -- the pure part -------------------------------------------------------------------------

CACHED = [
    {"Age": "1"},
    {"age": "86400"},
    {"CF-Cache-Status": "HIT"},
    {"cf-cache-status": "STALE"},
    {"cf-cache-status": "UPDATING"},
    {"X-Cache": "Hit from cloudfront"},
    {"x-cache": "TCP_MEM_HIT:NONE"},
    {"Cache-Status": "ExampleCache; hit; ttl=3"},
    {"x-proxy-cache": "HIT"},
    {"X-Cache-Status": "hit"},
    {"X-Cache": "Error from cloudfront"},
    {"X-Cache": "FunctionGeneratedResponse from cloudfront"},
    {"X-Varnish": "32770 3"},
    {"X-Cache-Hits": "0, 12"},
    {"Server-Timing": "edge; dur=1, cdn-cache; desc=HIT"},
]
MADE_NOW = [
    {},
    {"Age": "0"},
    {"Age": "x"},
    {"cf-cache-status": "DYNAMIC"},
    {"cf-cache-status": "MISS"},
    {"x-cache": "MISS"},
    {"cache-status": "ExampleCache; fwd=uri-miss"},
    {"cache-control": "max-age=1, stale-if-error=3"},
    {"x-cache-hits": "0, 0"},
    {"x-varnish": "32770"},
    {"x-cache": "Miss from cloudfront"},
    {"x-cache": "RefreshHit from cloudfront"},
    {"server-timing": "cdn-cache; desc=MISS, db; desc=hit"},
    {"x-white-list": "hit"},
]


@pytest.mark.parametrize("headers", CACHED)
def test_signs_of_a_cache(headers: dict[str, str]) -> None:
    assert from_a_cache(headers)


@pytest.mark.parametrize("headers", MADE_NOW)
def test_no_signs_of_a_cache(headers: dict[str, str]) -> None:
    assert not from_a_cache(headers)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"cf-ray": "1"}, "edge"),
        ({"cf-ray": "1", "t3probe-echo": NONCE}, "far"),
        ({"cf-ray": "1", "t3probe-echo": OTHER}, ""),
        ({"t3probe-echo": "yes"}, "far"),
        ({"t3probe-echo": "yes", "age": "9"}, ""),
        ({"t3probe-echo": NONCE, "age": "9", "cf-ray": "1"}, "far"),
        ({"cf-ray": "1", "age": "9"}, ""),
        ({}, ""),
    ],
)
def test_the_last_mark_that_counts(headers: dict[str, str], expected: str) -> None:
    leg = Leg(name="leg", kind="http", path=WAY)
    assert check_route(leg, headers, Facts(), Marks(MARKS, (REAL,)), NONCE) == expected


def test_a_leg_that_ends_before_the_mark_collapses() -> None:
    leg = Leg(name="leg", kind="http", path=WAY[:2])
    with pytest.raises(Collapsed):
        check_route(leg, {"t3probe-echo": NONCE}, Facts(), Marks(MARKS, (REAL,)), NONCE)
