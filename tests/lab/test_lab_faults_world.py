"""Faults as the world has them: what open connections see of them, and what new ones see.

What a first request meets at each segment stands in `test_lab_faults_live`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys

import pytest
import websockets.exceptions
from labclient import (
    HOST,
    LONG,
    SHORT,
    UPGRADE,
    Http,
    Silent,
    Site,
    outcome,
    pairs,
    route,
)
from websockets.asyncio.client import ClientConnection

from t3probe.lab import streams
from t3probe.lab.faults import NEW
from t3probe.lab.stack import Lab
from t3probe.lab.streams import Carried
from t3probe.timing import FakeClock

KEPT_ALIVE = {
    "doh": None,
    "cf-edge": None,
    "tunnel": "/",
    "traefik": None,
    "wall": None,
    "serve": None,
}
"""Segments that a kept-alive request shows, and its target if it is not the route's own. What
dispatch answers over HTTP ends the connection."""
GOOD = {"tunnel": "302"}
HELD = ["cf-edge", "tunnel", "traefik", "carve-out", "dispatch"]
"""Segments that a WebSocket through the edge crosses, but the network and the machine."""
UPSTREAM = "upstream-orders"


def refused_as(segment: str) -> str:
    """What a refusing segment looks like from outside: the edge answers for the tunnel."""
    return "502" if segment == "tunnel" else "refused"


async def ask(http: Http, segment: str, site: Site) -> str:
    """One request on a connection that is open."""
    return str((await http.get(KEPT_ALIVE[segment] or route(site, segment).target)).status)


def good(segment: str, site: Site) -> str:
    return GOOD.get(segment) or route(site, segment).good


async def echoes(connection: ClientConnection) -> bool:
    await connection.send("still there?")
    async with asyncio.timeout(LONG):
        return await connection.recv() == "still there?"


def among(kind: str, segments: object) -> list[str]:
    """The segments of these that this kind can befall."""
    assert isinstance(segments, dict | list)
    return [segment for segment, _ in pairs(kind) if segment in segments]


async def until_good(site: Site, segment: str) -> list[str]:
    """What new connections see until one is served."""
    way = route(site, segment)
    seen: list[str] = []
    async with asyncio.timeout(LONG):
        while not seen or seen[-1] != (way.good or "200"):
            if way.target:
                seen.append(await outcome(way.connect(site), way.target))
            else:
                with contextlib.suppress(ConnectionRefusedError):
                    async with way.connect(site):
                        seen.append("200")
    return seen


# exit: the process is gone, then back


@pytest.mark.parametrize("segment", [one for one, _ in pairs("exit") if one != "tunnel"])
async def test_a_process_that_ends_closes_what_is_open_and_refuses_the_rest(
    site: Site, segment: str
) -> None:
    way = route(site, segment)
    async with way.connect(site) as http:
        if way.target:
            fields = UPGRADE if segment == "dispatch" else ""
            target = "/probe/ws" if segment == "dispatch" else way.target
            assert (await http.get(target, fields=fields)).status in (101, 200, 302)
        site.lab.switch([f"{segment}:exit"])
        assert await http.ended() == "closed"
    with pytest.raises(ConnectionRefusedError):
        async with site.connect(way.address, None):
            pass


@pytest.mark.parametrize("segment", among("exit", HELD))
async def test_an_echo_over_a_process_that_ends_is_closed_without_a_close_frame(
    site: Site, segment: str
) -> None:
    async with site.echo(site.edge) as connection:
        assert await echoes(connection)
        site.lab.switch([f"{segment}:exit"])
        with pytest.raises(websockets.exceptions.ConnectionClosedError) as caught:
            async with asyncio.timeout(LONG):
                await connection.recv()
        assert caught.value.rcvd is None
    site.lab.clear()
    async with site.echo(site.edge) as connection:
        assert await echoes(connection)


async def test_the_edge_outlives_a_tunnel_that_ends(site: Site) -> None:
    async with site.connect(site.edge) as http, site.connect(site.edge) as other:
        assert (await http.get("/")).status == 302
        assert (await other.get("/cdn-cgi/trace")).status == 200
        site.lab.switch(["tunnel:exit"])
        assert (await http.get("/")).status == 502
        assert (await other.get("/cdn-cgi/trace")).status == 200


@pytest.mark.parametrize("segment", [one for one, _ in pairs("exit")])
async def test_a_process_that_ends_for_a_while_starts_again_on_its_port(
    site: Site, segment: str
) -> None:
    site.lab.switch([f"{segment}:exit@1ms+200ms"])
    ended = {refused_as(segment), "reset", "closed"}  # or it was inside when it ended
    assert {*(await until_good(site, segment))[:-1]} <= {*ended, "200", "302"}
    async with asyncio.timeout(LONG):
        while site.lab.status()["faults"]:
            await until_good(site, segment)
    assert await until_good(site, segment) == [route(site, segment).good or "200"]


async def test_a_machine_outlives_its_process(site: Site) -> None:
    async with site.connect(site.node, None) as http:
        assert (await http.get("/metrics")).status == 200
        site.lab.switch(["dispatch:exit", "serve:exit"])
        assert (await http.get("/metrics")).status == 200
        assert await outcome(site.connect(site.node, None), "/metrics") == "200"


async def test_nothing_refuses_in_a_dark_network(site: Site) -> None:
    site.lab.switch(["wan:blackhole", "cf-edge:exit", "doh:exit"])
    for address in (site.edge, site.providers[0]):
        assert await outcome(site.connect(address), "/", SHORT) == "connect silent"
    site.lab.switch(["cf-edge:exit", "doh:exit"])
    for address in (site.edge, site.providers[0]):
        assert await outcome(site.connect(address), "/") == "refused"


@pytest.mark.parametrize(
    ("dark", "segment"), [("wan", "cf-edge"), ("wan", "doh"), ("devvm", "dispatch")]
)
async def test_no_end_comes_through_the_dark(site: Site, dark: str, segment: str) -> None:
    way = route(site, segment)
    async with way.connect(site) as http:
        if segment == "dispatch":
            assert (await http.get("/probe/ws", fields=UPGRADE)).status == 101
        else:
            assert await ask(http, segment, site) == good(segment, site)
        site.lab.switch([f"{dark}:blackhole"])
        site.lab.switch([f"{dark}:blackhole", f"{segment}:exit"])
        with pytest.raises(Silent):
            await http.ended(SHORT)
        site.lab.switch([f"{segment}:exit"])
        assert await http.ended() == "reset"


# drain: open ones live on


@pytest.mark.parametrize("segment", among("drain", KEPT_ALIVE))
async def test_a_drained_segment_serves_kept_alive_connections(site: Site, segment: str) -> None:
    way = route(site, segment)
    async with way.connect(site) as http:
        assert await ask(http, segment, site) == good(segment, site)
        site.lab.switch([f"{segment}:drain"])
        assert await outcome(way.connect(site), way.target) == refused_as(segment)
        assert await ask(http, segment, site) == good(segment, site)
        site.lab.clear()
        assert await ask(http, segment, site) == good(segment, site)
        assert await outcome(way.connect(site), way.target) == way.good


@pytest.mark.parametrize("segment", among("drain", HELD))
async def test_an_echo_lives_on_over_a_drained_segment(site: Site, segment: str) -> None:
    way = route(site, segment)
    async with site.echo(site.edge) as connection:
        assert await echoes(connection)
        site.lab.switch([f"{segment}:drain"])
        assert await outcome(way.connect(site), way.target) == refused_as(segment)
        assert await echoes(connection)
        site.lab.clear()
        assert await echoes(connection)


async def test_a_drained_upstream_keeps_what_is_connected(site: Site) -> None:
    way = route(site, UPSTREAM)
    async with way.connect(site) as http:
        site.lab.switch([f"{UPSTREAM}:drain"])
        with pytest.raises(ConnectionRefusedError):
            async with way.connect(site):
                pass
        with pytest.raises(Silent):
            await http.ended(SHORT)


async def test_who_was_connected_when_the_drain_began_is_served(site: Site) -> None:
    way = route(site, "serve")
    async with way.connect(site) as http:  # and has said nothing yet
        site.lab.switch(["serve:drain"])
        assert (await http.get(way.target)).status == 200


async def test_a_drained_process_can_end(site: Site) -> None:
    way = route(site, "serve")
    async with way.connect(site) as http:
        assert await ask(http, "serve", site) == "200"
        site.lab.switch(["serve:drain"])
        site.lab.switch(["serve:drain", "serve:exit"])
        assert await http.ended() == "closed"
    site.lab.clear()
    assert await outcome(way.connect(site), way.target) == "200"


# new-502, new-404, new-sso: by the age of the connection

STATUS = {"new-502": "502", "new-404": "404", "new-sso": "302"}


@pytest.mark.parametrize(
    ("segment", "kind"), [pair for pair in pairs(*NEW) if pair[0] in KEPT_ALIVE]
)
async def test_a_kept_alive_connection_gets_good_answers_and_a_new_one_does_not(
    site: Site, segment: str, kind: str
) -> None:
    way = route(site, segment)
    async with way.connect(site) as old, way.connect(site) as new:
        assert await ask(old, segment, site) == good(segment, site)
        site.lab.switch([f"{segment}:{kind}"])
        assert await ask(old, segment, site) == good(segment, site)
        await new.close()
        await new.open()
        for _ in range(2):  # it is kept alive, and stays one of the new ones
            answer = await new.get(KEPT_ALIVE[segment] or way.target)
            assert str(answer.status) == STATUS[kind]
        assert ("location" in answer.fields) == (kind == "new-sso")
        if kind == "new-sso":
            assert answer.fields["location"].startswith("https://sso.lab.test/login?rd=https%3A")
        site.lab.clear()
        assert await ask(new, segment, site) == good(segment, site)
        assert await ask(old, segment, site) == good(segment, site)


@pytest.mark.parametrize(("segment", "kind"), [pair for pair in pairs(*NEW) if pair[0] in HELD])
async def test_an_echo_lives_on_while_new_ones_are_turned_away(
    site: Site, segment: str, kind: str
) -> None:
    async with site.echo(site.edge) as connection:
        assert await echoes(connection)
        site.lab.switch([f"{segment}:{kind}"])
        async with site.connect(site.edge) as http:
            answer = await http.get("/probe/ws", fields=UPGRADE + "T3Probe-Nonce: 0a\r\n")
            assert str(answer.status) == STATUS[kind]
            assert "cf-ray" in answer.fields  # whoever answers, the edge passes it on
            assert answer.fields.get("t3probe-echo") == ("0a" if segment == "dispatch" else None)
        assert await echoes(connection)


async def test_the_carve_out_serves_a_connection_of_the_load_balancer_that_is_older(
    site: Site,
) -> None:
    async with site.connect(site.balancer) as old:
        assert (await old.get("/")).status == 302
        site.lab.switch(["carve-out:new-404"])
        assert await outcome(site.connect(site.balancer), "/probe/healthz") == "404"
        assert await outcome(site.connect(site.balancer), "/") == "302"  # the wall's
        assert (await old.get("/probe/healthz")).status == 200


async def test_what_the_cdn_does_with_the_apps_path_leaves_its_own_page_alone(site: Site) -> None:
    for kind in NEW:
        site.lab.switch([f"tunnel:{kind}"])
        assert await outcome(site.connect(site.edge), "/cdn-cgi/trace") == "200"
        assert await outcome(site.connect(site.balancer), "/probe/healthz") == "200"


async def test_a_fault_that_is_named_again_does_not_begin_again(site: Site) -> None:
    site.lab.switch(["serve:new-502"])
    async with site.connect(site.serve, None) as http:
        assert await ask(http, "serve", site) == "502"
        site.lab.switch(["serve:new-502", "doh:empty"])
        assert await ask(http, "serve", site) == "502"


async def test_new_ones_are_turned_away_at_one_provider_only(site: Site) -> None:
    site.lab.switch(["doh:new-502:2"])
    assert (await site.resolve(0)).answer
    address = site.providers[1]
    way = route(site, "doh")
    assert await outcome(site.connect(address, address[0]), way.target) == "502"


# idle: silence ends it


@pytest.mark.parametrize("segment", among("idle", KEPT_ALIVE))
async def test_a_silent_connection_is_closed_in_its_time(site: Site, segment: str) -> None:
    if segment == "tunnel":
        return  # the client's connection is the edge's
    way = route(site, segment)
    async with way.connect(site) as http:
        assert await ask(http, segment, site) == good(segment, site)
        site.lab.switch([f"{segment}:idle:1h"])
        assert await ask(http, segment, site) == good(segment, site)
        site.lab.switch([f"{segment}:idle:1ms"])
        assert await http.ended() == "closed"
        site.lab.switch([f"{segment}:idle:10ms"])
        async with site.connect(way.address, None) as new:  # one that never says a word, too
            assert await new.ended() == "closed"
    site.lab.clear()
    assert await outcome(way.connect(site), way.target) == way.good


@pytest.mark.parametrize("segment", among("idle", HELD))
async def test_a_silent_echo_is_closed(site: Site, segment: str) -> None:
    async with site.echo(site.edge) as connection:
        assert await echoes(connection)
        site.lab.switch([f"{segment}:idle:1h"])
        assert await echoes(connection)
        site.lab.switch([f"{segment}:idle:1ms"])
        with pytest.raises(websockets.exceptions.ConnectionClosedError) as caught:
            async with asyncio.timeout(LONG):
                await connection.recv()
        assert caught.value.rcvd is None


async def test_the_edge_dials_anew_after_an_idle_tunnel(site: Site) -> None:
    async with site.connect(site.edge) as http, site.echo(site.edge) as connection:
        assert (await http.get("/")).status == 302
        site.lab.switch(["tunnel:idle:1ms"])
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            await connection.recv()
        site.lab.clear()
        assert (await http.get("/")).status == 302


async def test_only_silence_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(streams, "_CLOCK", clock)
    carried = Carried()
    carried.task = asyncio.create_task(asyncio.sleep(3600))
    carried.close_when_idle(0.02)
    for _ in range(3):  # its timer fires, and some byte has come
        clock.advance(0.019)
        carried.moved()
        await asyncio.sleep(0.05)
    assert not carried.task.done()
    assert carried.ending == "abort"
    clock.advance(0.02)
    with pytest.raises(asyncio.CancelledError):
        await carried.task
    assert carried.ending == "polite"
    carried.keep_open()


# half: one of two machines is broken


@pytest.mark.parametrize("segment", [one for one, _ in pairs("half")])
async def test_every_second_new_connection_meets_silence(site: Site, segment: str) -> None:
    way = route(site, segment)
    silent = "tls silent" if segment == "traefik" else "silent"
    async with site.echo(site.edge) as connection:
        assert await echoes(connection)
        for _ in range(2):  # each time it begins, the first is served
            site.lab.switch([f"{segment}:half"])
            for expected in (way.good, silent, way.good):
                patience = LONG if expected == way.good else SHORT
                assert await outcome(way.connect(site), way.target, patience) == expected
            site.lab.clear()
        assert await outcome(way.connect(site), way.target) == way.good
        assert await echoes(connection)


async def test_the_balancer_takes_the_connect_of_a_broken_machine(site: Site) -> None:
    way = route(site, "dispatch")
    site.lab.switch(["dispatch:half"])
    async with way.connect(site) as served, way.connect(site) as lost:
        assert (await served.get("/probe/ws", fields=UPGRADE)).status == 101
        with pytest.raises(Silent, match="answer"):
            await lost.get("/probe/ws", SHORT, UPGRADE)
        site.lab.clear()
        assert await lost.ended() == "reset"
        with pytest.raises(Silent):
            await served.ended(SHORT)


async def test_the_edge_waits_for_a_broken_machine_of_the_tunnel(site: Site) -> None:
    site.lab.switch(["tunnel:half"])
    async with site.connect(site.edge) as served, site.connect(site.edge) as lost:
        assert (await served.get("/")).status == 302
        with pytest.raises(Silent, match="answer"):
            await lost.get("/", SHORT)
        assert (await served.get("/")).status == 302


# Marks


@pytest.mark.parametrize(
    ("fields", "mark"),
    [
        ("", "-"),
        ("T3Probe-Nonce: 00ffAB\r\n", "00ffAB"),
        (f"t3probe-nonce: {'a' * 64}\r\n", "a" * 64),
        (f"t3probe-nonce: {'a' * 65}\r\n", "-"),
        ("t3probe-nonce: \r\n", "-"),
        ("t3probe-nonce: a\r\nt3probe-nonce: b\r\n", "-"),
        ("t3probe-nonce: <b>\r\n", "-"),
        ("t3probe-nonce: a, b\r\n", "-"),
    ],
)
async def test_dispatch_returns_the_nonce_in_its_mark(site: Site, fields: str, mark: str) -> None:
    for address, host in ((site.edge, HOST), (site.balancer, HOST), (site.dispatch, None)):
        for target, more in (("/probe/ws", UPGRADE), ("/probe/healthz", ""), ("/probe/x", "")):
            async with site.connect(address, host) as http:
                answer = await http.get(target, fields=more + fields)
                assert answer.fields["t3probe-echo"] == mark, target
                assert ("cf-ray" in answer.fields) == (address == site.edge)


async def test_whoever_is_before_dispatch_has_no_mark_of_it(site: Site) -> None:
    nonce = "T3Probe-Nonce: 0a\r\n"
    for address, host, target in (
        (site.edge, HOST, "/cdn-cgi/trace"),
        (site.edge, HOST, "/"),
        (site.balancer, "unrouted.lab.test", "/"),
        (site.serve, None, "/api/auth/session"),
        (site.node, None, "/metrics"),
    ):
        async with site.connect(address, None if host is None else HOST) as http:
            http.host = host or http.host
            assert "t3probe-echo" not in (await http.get(target, fields=nonce)).fields
    for fault in ("tunnel:http502", "dispatch:refuse", "carve-out:sso"):
        site.lab.switch([fault])
        async with site.connect(site.edge) as http:
            answer = await http.get("/probe/healthz", fields=nonce)
            assert answer.status in (302, 502)
            assert "t3probe-echo" not in answer.fields


# Who has connected in the kernel's eyes, and in no program's yet


@pytest.mark.parametrize(("kind", "seen"), [("drain", "200"), ("exit", "reset")])
async def test_a_connect_that_nobody_has_accepted_yet(kind: str, seen: str) -> None:
    """The kernel took it. A drain serves it; a process that ends takes it along."""
    lab = Lab()
    await lab.start()
    try:
        host, _, port = lab.places.serve.rpartition(":")
        with socket.create_connection((host, int(port))) as sock:  # the lab has no turn meanwhile
            await lab.switch([f"serve:{kind}"])
            sock.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=sock)
            writer.write(b"GET /api/auth/session HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                async with asyncio.timeout(LONG):
                    line = await reader.readline()
                got = line.decode().split(" ")[1] if line else "closed"
            except ConnectionError:
                got = "reset"
            assert got == seen
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    finally:
        await lab.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
async def test_these_faults_leave_no_task_and_no_socket() -> None:
    warm = Lab()
    await warm.start()
    await warm.stop()
    tasks, files = asyncio.all_tasks(), len(os.listdir("/proc/self/fd"))
    lab = Lab(["dispatch:half", "serve:idle:1h", "tunnel:drain@1h", "wall:new-404+1h"])
    await lab.start()
    opened = []
    for place in [lab.places.dispatch] * 4 + [lab.places.serve] * 2:
        host, _, port = place.rpartition(":")
        opened.append(await asyncio.open_connection(host, int(port)))
        opened[-1][1].write(b"GET / HTTP/1.1\r\n")
    await lab.add(["traefik:exit", "doh:drain", "upstream-orders:exit", "serve:drain"])
    await asyncio.sleep(0)
    await lab.stop()
    for _, writer in opened:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    assert asyncio.all_tasks() == tasks
    assert len(os.listdir("/proc/self/fd")) == files


async def test_a_gate_counts_silence_from_the_last_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(streams, "_CLOCK", clock)
    lab = Lab()
    await lab.start()
    try:
        host, _, port = lab.places.dispatch.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /probe/ws HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n".encode())
        async with asyncio.timeout(LONG):
            await reader.readuntil(b"\r\n\r\n")
            clock.advance(0.9)
            writer.write(b"\x81\x84\x00\x00\x00\x00lab?")
            assert await reader.readexactly(6) == b"\x81\x04lab?"
            clock.advance(0.9)
            await lab.switch(["dispatch:idle:1s"])
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SHORT):
                    await reader.read(1)
            clock.advance(0.1)
            await lab.switch(["dispatch:idle:1s", "doh:empty"])  # the gate looks again
            assert await reader.read(1) == b""
        writer.transport.abort()
    finally:
        await lab.stop()
