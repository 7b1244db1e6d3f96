"""Does every hop of a lab answer, end to end? Asked once, before a lab calls itself ready."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Coroutine, Sequence

import dns.message

from t3probe.lab.control import LabError
from t3probe.lab.deployment import HOST
from t3probe.lab.doh import DNS_MESSAGE, DNS_PATH
from t3probe.lab.edge import TRACE
from t3probe.lab.http import HttpError, read_head
from t3probe.lab.machine import ECHO_PATH, HEALTH_PATH, SESSION_PATH
from t3probe.lab.streams import Stream

Address = tuple[str, int]
READY_SECONDS = 10.0
_PLAIN_HOST = "127.0.0.1"
"""The machine's own ports speak no TLS."""

# A masked text frame "lab?" with the mask 0, and the echo of it (RFC 6455 section 5.2).
_PING = b"\x81\x84\x00\x00\x00\x00lab?"
_PONG = b"\x81\x04lab?"


class LabSite:
    """Where the hops of one lab listen."""

    def __init__(
        self,
        edges: Sequence[Address],
        balancer: Address,
        providers: Sequence[Address],
        node: Address,
        dispatch: Address,
        serve: Address,
        upstreams: Sequence[Address],
    ) -> None:
        self.edges = edges
        self.balancer = balancer
        self.providers = providers
        self.node = node
        self.dispatch = dispatch
        self.serve = serve
        self.upstreams = upstreams


async def wait_until_ready(site: LabSite, tls: ssl.SSLContext) -> None:
    """Return when every hop has answered as it should. Raises LabError naming one that has not."""

    async def ask(address: Address, host: str, target: str, status: int) -> None:
        secure = tls if host != _PLAIN_HOST else None
        async with _open(address, secure, host) as stream:
            await _exchange(stream, host, target, status)

    async def echo(address: Address, host: str) -> None:
        secure = tls if host != _PLAIN_HOST else None
        async with _open(address, secure, host) as stream:
            await _exchange(stream, host, ECHO_PATH, 101, _UPGRADE)
            stream.writer.write(_PING)
            if await stream.reader.readexactly(len(_PONG)) != _PONG:
                raise ConnectionError("another echo came back")

    async def connect(address: Address) -> None:
        async with _open(address, None, ""):
            return

    query = dns.message.make_query(HOST, "A", id=0).to_wire()
    wire = base64.urlsafe_b64encode(query).rstrip(b"=").decode("ascii")
    question = f"{DNS_PATH}?dns={wire}"
    checks: dict[str, Coroutine[None, None, None]] = {
        "the wall": ask(site.balancer, HOST, "/", 302),
        "internal": echo(site.balancer, HOST),
        "dispatch": echo(site.dispatch, _PLAIN_HOST),
        "devvm": ask(site.node, _PLAIN_HOST, "/metrics", 200),
        "serve": ask(site.serve, _PLAIN_HOST, SESSION_PATH, 200),
    }
    for provider in site.providers:
        checks[f"doh at port {provider[1]}"] = ask(provider, provider[0], question, 200)
    for edge in site.edges:
        checks[f"cf-edge at {edge[0]}"] = ask(edge, HOST, TRACE, 200)
        checks[f"the carve-out behind {edge[0]}"] = ask(edge, HOST, HEALTH_PATH, 200)
        checks[f"the echo behind {edge[0]}"] = echo(edge, HOST)
    for upstream in site.upstreams:
        checks[f"the upstream at port {upstream[1]}"] = connect(upstream)
    judged = (_judge(name, check) for name, check in checks.items())
    for problem in await asyncio.gather(*judged):
        if problem:
            raise LabError(f"the lab did not come up: {problem}; try again.")


_UPGRADE = (
    "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    "sec-websocket-key: bGFiIGlzIHJlYWR5ISEhIQ==\r\n"
)


async def _judge(name: str, check: Coroutine[None, None, None]) -> str:
    """What is wrong with one hop; empty when nothing is."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            await check
    except (OSError, asyncio.IncompleteReadError, HttpError) as error:
        return f"{name} does not answer ({str(error) or type(error).__name__})"
    return ""


@contextlib.asynccontextmanager
async def _open(address: Address, tls: ssl.SSLContext | None, host: str) -> AsyncIterator[Stream]:
    name = host if tls else None
    stream = Stream(*await asyncio.open_connection(*address, ssl=tls, server_hostname=name))
    try:
        yield stream
    finally:
        stream.writer.transport.abort()


async def _exchange(stream: Stream, host: str, target: str, status: int, fields: str = "") -> None:
    request = f"GET {target} HTTP/1.1\r\nhost: {host}\r\naccept: {DNS_MESSAGE}, */*\r\n{fields}\r\n"
    stream.writer.write(request.encode("ascii"))
    head = await read_head(stream.reader)
    if head is None or head.status != status:
        got = head.start if head else "no answer"
        raise ConnectionError(f"expected {status} to {target}, got {got}")
