"""What one answer may cost, and whether its connection is kept, against a real server."""

from __future__ import annotations

import pytest
from probe_parts import probing
from probes.servers import HOST, Server, answering, response, serve

from t3probe.probes.base import Facts, ProbeError, Target
from t3probe.probes.http_client import Answer, HttpClient
from t3probe.probes.sso import BODY_BYTES

MIB = 1 << 20


async def asked(server: Server, times: int = 1) -> tuple[HttpClient, list[Answer]]:
    client = HttpClient(Target(HOST, server.address, server.port), probing(), Facts())
    try:
        answers = [
            await client.ask("GET", f"http://{HOST}:{server.port}/", limit=60) for _ in range(times)
        ]
    finally:
        await client.close()
    return client, answers


@pytest.mark.parametrize(("size", "kept"), [(MIB, True), (MIB + 1, False)])
async def test_a_body_of_a_mebibyte_keeps_its_connection(size: int, kept: bool) -> None:
    async with serve(answering(response(body=b"x" * size))) as server:
        client, (answer,) = await asked(server)
    assert client.closed_by_peer is not kept
    assert answer.body == b"x" * BODY_BYTES


@pytest.mark.parametrize("size", [0, 1, BODY_BYTES - 1, BODY_BYTES, BODY_BYTES + 1])
async def test_of_a_body_the_beginning_is_kept(size: int) -> None:
    body = bytes(at % 251 for at in range(size))
    async with serve(answering(response(body=body))) as server:
        client, answers = await asked(server, 2)
    assert [one.body for one in answers] == [body[:BODY_BYTES]] * 2
    assert (server.connections, client.closed_by_peer) == (1, False)
    assert BODY_BYTES == 65536


@pytest.mark.parametrize(
    ("version", "words", "kept"),
    [
        ("1.1", None, True),
        ("1.1", "close", False),
        ("1.1", "Keep-Alive, Close", False),
        ("1.1", "keep-alive", True),
        ("1.0", None, False),
        ("1.0", "keep-alive", True),
        ("1.0", "close", False),
    ],
)
async def test_whether_the_connection_is_kept(version: str, words: str | None, kept: bool) -> None:
    headers = [] if words is None else [("Connection", words)]
    answer = response(headers=headers).replace(b"HTTP/1.1", f"HTTP/{version}".encode())
    async with serve(answering(answer)) as server:
        client, _ = await asked(server)
    assert client.closed_by_peer is not kept


async def test_a_request_has_no_cookie_and_says_who_asks() -> None:
    answer = response(headers=[("Set-Cookie", "a=b")])
    async with serve(answering(answer)) as server:
        await asked(server, 2)
    for request in server.requests:
        lines = request.decode().lower().split("\r\n")
        assert "user-agent: t3probe" in lines
        assert "accept-encoding: identity" in lines
        assert not [one for one in lines if one.startswith("cookie")]


async def test_a_second_connection_only_after_renew() -> None:
    async with serve(answering(response(headers=[("Connection", "close")]))) as server:
        client = HttpClient(Target(HOST, server.address, server.port), probing(), Facts())
        url = f"http://{HOST}:{server.port}/"
        try:
            await client.ask("GET", url, limit=60)
            with pytest.raises(ProbeError):
                await client.ask("GET", url, limit=60)
            assert (server.connections, client.renewed) == (1, False)
            client.renew()
            await client.ask("GET", url, limit=60)
            assert (server.connections, client.renewed) == (2, True)
        finally:
            await client.close()
