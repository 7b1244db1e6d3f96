"""Every hop answers end to end, with real TLS verification, and as it should."""

from __future__ import annotations

import asyncio
import socket

import dns.message
import dns.rcode
import pytest
from labclient import HOST, LONG, Http, Site, outcome, question

from t3probe.lab.machine import WALLED_TEXT

SESSION = "Cookie: a=b; lab_session=valid\r\n"


async def test_the_edge_answers_its_own_page_kept_alive(site: Site) -> None:
    async with site.connect(site.edge) as http:
        rays = set()
        for _ in range(3):
            answer = await http.get("/cdn-cgi/trace")
            assert answer.status == 200
            assert b"\ncolo=LAB\n" in answer.body
            assert answer.fields["server"] == "cloudflare"
            rays.add(answer.fields["cf-ray"])
    assert len(rays) == 3
    assert all(ray.endswith("-LAB") for ray in rays)


async def test_the_edge_answers_on_ipv6_where_there_is_any(site: Site) -> None:
    answers = (await site.resolve(kind="AAAA")).answer
    if not answers:
        pytest.skip("this machine has no IPv6 loopback")
    assert answers[0][0].to_text() == "::1"
    assert await outcome(site.connect(site.edge6), "/cdn-cgi/trace") == "200"


@pytest.mark.parametrize("text", ["hello", b"\x00\xff bytes", "", "x" * 60000])
async def test_an_echo_through_every_hop(site: Site, text: str | bytes) -> None:
    async with site.echo(site.edge) as connection:
        for _ in range(2):
            await connection.send(text)
            assert await connection.recv() == text
        assert connection.response
        assert connection.response.headers["cf-ray"].endswith("-LAB")
        assert connection.response.headers["server"] == "cloudflare"


async def test_the_internal_echo_has_no_ray(site: Site) -> None:
    async with site.echo(site.balancer) as connection:
        await connection.send("hello")
        assert await connection.recv() == "hello"
        assert connection.response
        assert "cf-ray" not in connection.response.headers


async def test_the_direct_echo(site: Site) -> None:
    async with site.echo(site.dispatch, None) as connection:
        await connection.send("hello")
        assert await connection.recv() == "hello"


@pytest.mark.parametrize("provider", [0, 1])
async def test_doh_answers_with_the_public_addresses(site: Site, provider: int) -> None:
    answer = (await site.resolve(provider)).answer
    assert [item.to_text() for item in answer[0]] == ["127.0.0.2"]
    other = await site.resolve(provider, name="other.lab.test")
    assert other.rcode() == dns.rcode.NXDOMAIN
    assert (await site.resolve(provider, kind="TXT")).rcode() == dns.rcode.NOERROR


async def test_doh_by_post_on_one_connection_with_get(site: Site) -> None:
    address = site.providers[0]
    query = dns.message.make_query(HOST, "A")
    kind = "Content-Type: application/dns-message\r\n"
    async with site.connect(address, address[0]) as http:
        answer = await http.get("/dns-query", fields=kind, method="POST", body=query.to_wire())
        assert answer.fields["content-type"] == "application/dns-message"
        reply = dns.message.from_wire(answer.body)
        assert query.is_response(reply)
        assert reply.answer
        assert (await http.get(question())).status == 200


@pytest.mark.parametrize(
    ("method", "target", "fields", "body", "status"),
    [
        ("GET", "/dns-query", "", b"", 400),
        ("GET", "/dns-query?dns=!!!", "", b"", 400),
        ("GET", "/dns-query?dns=AAAA", "", b"", 400),
        ("GET", "/elsewhere", "", b"", 404),
        ("PUT", "/dns-query", "", b"", 405),
        ("POST", "/dns-query", "", b"x", 415),
        ("POST", "/dns-query", "Content-Type: application/dns-message\r\n", b"x", 400),
    ],
)
async def test_doh_refuses_what_is_no_query(
    site: Site, method: str, target: str, fields: str, body: bytes, status: int
) -> None:
    address = site.providers[0]
    async with site.connect(address, address[0]) as http:
        answer = await http.get(target, fields=fields, method=method, body=body)
        assert answer.status == status


async def test_the_balancer_routes_by_host_and_rule(site: Site) -> None:
    async with site.connect(site.balancer) as http:
        http.host = "unrouted.lab.test"
        # TLS was under the public name: only the Host is unknown.
        for _ in range(2):
            answer = await http.get("/probe/healthz")
            assert (answer.status, answer.body) == (404, b"404 page not found\n")
        http.host = HOST
        assert (await http.get("/")).fields["location"] == (
            "https://sso.lab.test/login?rd=https%3A%2F%2Ft3.lab.test%2F"
        )
        assert (await http.get(f"https://{HOST}/")).status == 302
        assert (await http.get("https://other.lab.test/")).status == 404
        assert (await http.get("/", fields=SESSION)).body.find(WALLED_TEXT.encode()) > 0
        assert (await http.get("/", fields="Cookie: lab_session=stale\r\n")).status == 302


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/probe/healthz", 200),
        ("https://t3.lab.test/probe/healthz", 200),
        ("/probe/nothing", 404),
        ("/probe/", 200),
        ("/probe", 308),
        ("/probe/../", 302),
        ("/probe/%2e%2e/", 302),
        ("//probe/../", 302),
        ("/PROBE/healthz", 302),
        ("https://t3.lab.test/probe/../", 302),
    ],
)
async def test_raw_targets_pass_the_edge_as_they_are(site: Site, target: str, status: int) -> None:
    async with site.connect(site.edge) as http:
        answer = await http.get(target)
        assert answer.status == status
        assert "cf-ray" in answer.fields
        if status == 302:
            assert "location" in answer.fields


async def test_the_machines_own_ports(site: Site) -> None:
    async with site.connect(site.node, None) as http:
        for _ in range(2):
            assert b"node_load1" in (await http.get("/metrics")).body
        assert (await http.get("/else")).status == 404
    async with site.connect(site.serve, None) as http:
        for _ in range(2):
            assert (await http.get("/api/auth/session")).body == b'{"session":null}\n'
    assert await outcome(site.connect(site.dispatch, None), "/probe/healthz") == "200"
    assert await outcome(site.connect(site.dispatch, None), "/else") == "404"


async def test_upstreams_accept(site: Site) -> None:
    assert list(site.upstreams) == ["orders", "billing", "search"]
    for address in site.upstreams.values():
        async with site.connect(address, None):
            pass


async def test_certificates_are_checked_for_name_and_authority(site: Site) -> None:
    assert await outcome(Http(site.edge, site.tls, "other.lab.test"), "/") == "wrong host"
    assert await outcome(Http(site.balancer, site.tls, "127.0.0.3"), "/") == "wrong host"
    assert await outcome(Http(site.providers[0], site.tls, "127.0.0.3"), "/") == "wrong host"


async def test_a_head_is_bounded(site: Site) -> None:
    async with site.connect(site.edge) as http:
        answer = await http.get("/cdn-cgi/trace", fields=f"X: {'x' * 70_000}\r\n")
        assert answer.status == 431
        assert "cf-ray" in answer.fields
        assert await http.ended() in ("closed", "reset")


@pytest.mark.parametrize("junk", [b"\x16\x03\x01 nonsense\r\n\r\n", b" \r\n\r\n", b"GET\r\n\r\n"])
async def test_junk_does_no_harm(site: Site, junk: bytes) -> None:
    for address in (site.edge, site.balancer, site.providers[0]):
        host = address[0] if address in site.providers else HOST
        async with site.connect(address, host) as http:
            http.send(junk)
            answer = await http.get("/cdn-cgi/trace", fields="Connection: close\r\n")
            assert answer.status in (200, 302, 400, 404)
    assert await outcome(site.connect(site.edge), "/probe/healthz") == "200"


async def test_a_body_passes_through_the_proxies(site: Site) -> None:
    async with site.connect(site.edge) as http:
        for _ in range(2):
            answer = await http.get("/", fields=SESSION, method="POST", body=b"x" * 100_000)
            assert answer.status == 200


async def test_connections_through_one_gate_are_bounded(site: Site) -> None:
    address = site.upstreams["search"]
    held = [socket.create_connection(address) for _ in range(256)]
    over = socket.create_connection(address)
    over.settimeout(LONG)
    with pytest.raises(ConnectionResetError):
        over.recv(1)
    for sock in (*held, over):
        sock.close()
    await asyncio.to_thread(_until_fewer, site, 256)
    async with site.connect(address, None):
        pass


def _until_fewer(site: Site, most: int) -> None:
    """Ask the lab until it has seen that connections are gone."""
    while site.lab.status()["connections"] >= most:
        pass
