"""Each kind of fault at each segment, as a plain client sees it, and that it goes away."""

from __future__ import annotations

import asyncio

import dns.exception
import dns.message
import dns.rcode
import pytest
import websockets.exceptions
from labclient import (
    HOST,
    LONG,
    SHORT,
    UPGRADE,
    Silent,
    Site,
    outcome,
    pairs,
    question,
    route,
)
from websockets.asyncio.client import ClientConnection

from t3probe.lab.faults import FAULTS
from t3probe.lab.machine import WALLED_TEXT
from t3probe.lab.traefik import LOGIN_MARKER

BROKEN_OFF = (websockets.exceptions.ConnectionClosed, ConnectionError, EOFError)


# What one request comes to. Behind a proxy that answers for itself it is the proxy's word.
AT_THE_DOOR = {
    "refuse": "refused",
    "blackhole": "connect silent",
    "reset": "reset",
    "exit": "refused",
    "drain": "refused",
}
SILENT = "silent"
ELSEWHERE = {
    ("doh", "refuse"): "reset",
    ("doh", "blackhole"): "tls silent",
    ("tunnel", "refuse"): "502",
    ("tunnel", "exit"): "502",
    ("tunnel", "drain"): "502",
    ("tunnel", "blackhole"): SILENT,
    ("tunnel", "reset"): "502",
    ("wan", "slow"): "tls silent",
    ("cf-edge", "slow"): "tls silent",
    ("traefik", "slow"): "tls silent",
    ("doh", "slow"): "tls silent",
}
BY_KIND = {
    **AT_THE_DOOR,
    "stall": SILENT,
    "slow": SILENT,
    "http502": "502",
    "new-502": "502",
    "new-404": "404",
    "new-sso": "302",
    "expired-cert": "expired",
    "wrong-host-cert": "wrong host",
    "sso": "302",
    "login": "200",
    "challenge": "401",
    "unauthorized": "401",
    "open": "200",
}


@pytest.mark.parametrize(("segment", "kind"), pairs(*BY_KIND))
async def test_a_request_meets_the_fault_and_then_works_again(
    site: Site, segment: str, kind: str
) -> None:
    way = route(site, segment)
    late = ":1m" if kind == "slow" else ""
    site.lab.switch([f"{segment}:{kind}{late}"])
    expected = ELSEWHERE.get((segment, kind), BY_KIND[kind])
    patience = SHORT if "silent" in expected else LONG
    assert await outcome(way.connect(site), way.target, patience) == expected
    site.lab.clear()
    if way.target:
        assert await outcome(way.connect(site), way.target) == way.good
    else:
        async with way.connect(site):
            pass


@pytest.mark.parametrize("segment", ["wan", "doh", "dispatch", "carve-out"])
async def test_slow_is_late_and_right(site: Site, segment: str) -> None:
    way = route(site, segment)
    site.lab.switch([f"{segment}:slow:1ms"])
    assert await outcome(way.connect(site), way.target) == way.good


# Connections that stand

HOLDERS = ["wan", "cf-edge", "tunnel", "traefik", "carve-out", "devvm", "dispatch"]
"""Segments that a WebSocket through the edge crosses."""


async def gets_no_echo(connection: ClientConnection) -> bool:
    await connection.send("anyone?")
    try:
        async with asyncio.timeout(SHORT):
            await connection.recv()
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize(("segment", "kind"), pairs("blackhole", "stall", among=HOLDERS))
async def test_an_established_echo_falls_silent_and_lives_on(
    site: Site, segment: str, kind: str
) -> None:
    async with site.echo(site.edge) as connection:
        await connection.send("one")
        assert await connection.recv() == "one"
        site.lab.switch([f"{segment}:{kind}"])
        assert await gets_no_echo(connection)
        site.lab.clear()
        async with asyncio.timeout(LONG):
            assert await connection.recv() == "anyone?"


@pytest.mark.parametrize("segment", [one for one in HOLDERS if one != "wan"])
async def test_a_stall_lets_the_upgrade_through_and_is_silent_then(
    site: Site, segment: str
) -> None:
    site.lab.switch([f"{segment}:stall"])
    async with site.echo(site.edge) as connection:
        assert await gets_no_echo(connection)
        site.lab.clear()  # or closing would wait for the peer's close frame


@pytest.mark.parametrize(("segment", "kind"), pairs("cut", "reset", "refuse", among=HOLDERS))
async def test_established_connections_die(site: Site, segment: str, kind: str) -> None:
    async with site.echo(site.edge) as connection:
        site.lab.switch([f"{segment}:{kind}@0s" if kind == "cut" else f"{segment}:{kind}"])
        with pytest.raises(BROKEN_OFF):
            async with asyncio.timeout(LONG):
                await connection.recv()
    if kind != "cut":
        site.lab.clear()
    async with site.echo(site.edge) as connection:  # a new one works at once
        await connection.send("two")
        assert await connection.recv() == "two"


@pytest.mark.parametrize(("segment", "kind"), pairs("cut"))
async def test_a_cut_ends_only_what_is_established(site: Site, segment: str, kind: str) -> None:
    way = route(site, segment)
    async with way.connect(site) as http:
        if segment in ("tunnel", "carve-out", "dispatch"):
            assert (await http.get("/probe/ws", fields=UPGRADE)).status == 101
        else:
            assert str((await http.get(way.target)).status) == way.good
        site.lab.switch([f"{segment}:cut@0s"])
        # At the door it is a reset; a proxy turns a reset behind it into a close.
        assert await http.ended() == ("closed" if segment == "tunnel" else "reset")
    assert await outcome(way.connect(site), way.target) == way.good
    assert site.lab.status()["active"] == []


async def test_a_cut_tunnel_leaves_the_edges_own_connections_alone(site: Site) -> None:
    async with site.connect(site.edge) as http:
        assert (await http.get("/")).status == 302
        site.lab.switch(["tunnel:cut@0s"])
        assert (await http.get("/cdn-cgi/trace")).status == 200
        assert (await http.get("/")).status == 302


async def test_a_cut_carve_out_leaves_the_rest_of_traefik_alone(site: Site) -> None:
    async with site.connect(site.balancer) as other:
        assert (await other.get("/")).status == 302
        async with site.echo(site.balancer) as connection:
            site.lab.switch(["carve-out:cut@0s"])
            with pytest.raises(BROKEN_OFF):
                await connection.recv()
        assert (await other.get("/")).status == 302


async def test_a_cut_carve_out_finds_those_that_are_left(site: Site) -> None:
    async with site.echo(site.balancer) as connection:
        async with site.echo(site.balancer):
            pass
        await connection.send("still here")
        assert await connection.recv() == "still here"
        site.lab.switch(["carve-out:cut@0s"])
        with pytest.raises(BROKEN_OFF):
            async with asyncio.timeout(LONG):
                await connection.recv()


async def test_a_cut_dispatch_leaves_the_machine_alone(site: Site) -> None:
    async with site.connect(site.node, None) as http:
        assert (await http.get("/metrics")).status == 200
        site.lab.switch(["dispatch:cut@0s"])
        assert (await http.get("/metrics")).status == 200


@pytest.mark.parametrize(("segment", "kind"), pairs("close"))
async def test_a_close_is_polite_and_only_when_its_time_has_come(
    site: Site, segment: str, kind: str
) -> None:
    way = route(site, segment)
    target, fields = (
        ("/probe/ws", UPGRADE)
        if segment in ("dispatch", "carve-out", "tunnel")
        else (way.target, "")
    )
    async with way.connect(site) as http:
        first = (await http.get(target, fields=fields)).status
        site.lab.switch([f"{segment}:close:1h"])
        if not fields:
            assert (await http.get(target)).status == first
        site.lab.switch([f"{segment}:close:1ms"])
        assert await http.ended() == "closed"


async def test_a_close_takes_new_connections_too(site: Site) -> None:
    site.lab.switch(["serve:close:10ms"])
    async with site.connect(site.serve, None) as http:
        assert await http.ended() == "closed"


async def test_a_wrong_echo_differs(site: Site) -> None:
    async with site.echo(site.edge) as connection:
        site.lab.switch(["dispatch:wrong-echo"])
        for sent in ("hello", b"hello", "", b""):
            await connection.send(sent)
            got = await connection.recv()
            assert got != sent
            assert type(got) is type(sent)
        site.lab.clear()
        await connection.send("hello")
        assert await connection.recv() == "hello"


# The wall and the carve-out


async def test_the_single_sign_on_answers_in_the_carve_outs_place(site: Site) -> None:
    async with site.connect(site.edge) as http:
        site.lab.switch(["carve-out:sso"])
        assert (
            (await http.get("/probe/healthz"))
            .fields["location"]
            .startswith("https://sso.lab.test/login?rd=")
        )
        site.lab.switch(["carve-out:login"])
        assert LOGIN_MARKER in (await http.get("/probe/healthz")).body.decode()
        site.lab.switch(["carve-out:challenge"])
        assert "www-authenticate" in (await http.get("/probe/healthz")).fields
        site.lab.switch(["carve-out:unauthorized"])
        assert "www-authenticate" not in (await http.get("/probe/healthz")).fields
        assert (await http.get("/probe/ws", fields=UPGRADE)).status == 401
        assert (await http.get("/")).status == 302
        site.lab.clear()
        assert (await http.get("/probe/ws", fields=UPGRADE)).status == 101


async def test_an_open_wall_serves_what_is_walled(site: Site) -> None:
    async with site.connect(site.balancer) as http:
        site.lab.switch(["wall:open"])
        assert WALLED_TEXT.encode() in (await http.get("/")).body


@pytest.mark.parametrize("fault", ["wall:too-wide", "carve-out:too-wide"])
async def test_ways_out_of_a_wide_carve_out_reach_what_is_walled(site: Site, fault: str) -> None:
    ways = ["/probe/../", "/probe/%2e%2e/", "//probe/../", "/probe;/../", "/PROBE/../",
            f"https://{HOST}/probe/../"]  # fmt: skip
    async with site.connect(site.balancer) as http:
        for way in ways:
            assert (await http.get(way)).status == 302
        site.lab.switch([fault])
        for way in ways:
            assert WALLED_TEXT.encode() in (await http.get(way)).body
        assert (await http.get("/")).status == 302
        assert (await http.get("/probe/healthz")).body == b"ok\n"


# DoH


@pytest.mark.parametrize(
    ("kind", "code"),
    [("nxdomain", dns.rcode.NXDOMAIN), ("servfail", dns.rcode.SERVFAIL), ("empty", 0)],
)
async def test_doh_answers_without_an_address(site: Site, kind: str, code: int) -> None:
    site.lab.switch([f"doh:{kind}"])
    reply = await site.resolve()
    assert reply.rcode() == code
    assert not reply.answer


async def test_doh_answers_garbage(site: Site) -> None:
    site.lab.switch(["doh:garbage"])
    with pytest.raises(dns.exception.DNSException):
        await site.resolve()


async def test_a_collapsed_leg_really_reaches_the_load_balancer(site: Site) -> None:
    site.lab.switch(["doh:internal"])
    answer = (await site.resolve()).answer
    assert not (await site.resolve(kind="AAAA")).answer
    dialled = (answer[0][0].to_text(), site.edge[1])
    assert dialled == site.balancer
    async with site.connect(dialled) as http:
        answer_there = await http.get("/probe/healthz")
        assert (answer_there.status, answer_there.body) == (200, b"ok\n")
        assert "cf-ray" not in answer_there.fields


@pytest.mark.parametrize(
    "kind", [one for one in FAULTS["doh"] if one not in ("cut", "close", "idle")]
)
async def test_one_provider_of_two(site: Site, kind: str) -> None:
    argument = ":1m" if kind == "slow" else ""
    site.lab.switch([f"doh:{kind}{argument}:2"])
    assert (await site.resolve(0)).answer[0][0].to_text() == "127.0.0.2"
    address = site.providers[1]
    if kind in ("garbage", "nxdomain", "servfail", "internal", "empty"):
        try:
            assert "127.0.0.2" not in (await site.resolve(1)).to_text()
        except dns.exception.DNSException:
            assert kind == "garbage"
    else:
        seen = await outcome(site.connect(address, address[0]), question(), SHORT)
        assert seen == ELSEWHERE.get(("doh", kind), BY_KIND[kind])


async def test_egress_needs_no_doh(site: Site) -> None:
    for kind in ("refuse", "blackhole", "reset"):
        site.lab.switch([f"doh:{kind}"])
        async with site.connect(site.providers[0], None) as http:
            with pytest.raises(Silent):  # it stays connected, rather than being reset
                await http.ended(SHORT)
    site.lab.switch(["wan:blackhole"])
    assert await outcome(site.connect(site.providers[0], None), "/", SHORT) == "connect silent"


async def test_a_reset_comes_without_a_word_from_the_client_too(site: Site) -> None:
    site.lab.switch(["serve:reset"])
    async with site.connect(site.serve, None) as http:
        assert await http.ended() == "reset"
