"""A plain client of the lab's hops: what a socket sees, as one word."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
import tomllib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import dns.message
import websockets.asyncio.client

from t3probe.lab.faults import FAULTS
from t3probe.lab.process import LabProcess

HOST = "t3.lab.test"
SHORT = 0.25
"""Seconds of silence that count as silence."""
LONG = 8.0
"""Seconds after which a test gives up on what must come."""

SESSION_PAGE = "/api/auth/session"
Address = tuple[str, int]


class Silent(Exception):
    """Nothing came within the given time; the argument says where."""


class Site:
    """The addresses of one running lab, read from the file that it wrote."""

    def __init__(self, lab: LabProcess) -> None:
        self.lab = lab
        self.file: dict[str, Any] = tomllib.loads(Path(lab.deployment_path).read_text("utf-8"))
        legs = {leg["name"]: leg for leg in self.file["leg"]}
        self.balancer = _address(legs["internal"]["pin"])
        self.edge: Address = ("127.0.0.2", self.balancer[1])
        self.edge6: Address = ("::1", self.balancer[1])
        self.providers = [_address(url.split("/")[2]) for url in legs["resolver"]["doh"]]
        self.node = _address(legs["devvm"]["url"].split("/")[2])
        self.dispatch = _address(legs["dispatch"]["url"].split("/")[2])
        self.serve = _address(legs["t3serve"]["url"].split("/")[2])
        self.upstreams = {one["name"]: _address(one["address"]) for one in self.file["upstream"]}
        self.tls = ssl.create_default_context(cafile=self.file["tls_ca"])

    def connect(self, address: Address, host: str | None = HOST) -> Http:
        """A connection not yet opened; `host` None: without TLS."""
        return Http(address, self.tls if host else None, host or address[0])

    @contextlib.asynccontextmanager
    async def echo(
        self, address: Address, host: str | None = HOST
    ) -> AsyncIterator[websockets.asyncio.client.ClientConnection]:
        """An established WebSocket to the echo."""
        name = host or address[0]
        async with websockets.asyncio.client.connect(
            f"{'wss' if host else 'ws'}://{name}:{address[1]}/probe/ws",
            host=address[0],
            port=address[1],
            ssl=self.tls if host else None,
            proxy=None,
            compression=None,
            ping_interval=None,
            close_timeout=0.1,
            open_timeout=LONG,
        ) as connection:
            yield connection

    async def resolve(
        self, provider: int = 0, kind: str = "A", name: str = HOST
    ) -> dns.message.Message:
        """One DoH query by GET."""
        address = self.providers[provider]
        async with self.connect(address, address[0]) as http:
            answer = await http.get(question(name, kind))
            assert answer.status == 200
            return dns.message.from_wire(answer.body)


def question(name: str = HOST, kind: str = "A") -> str:
    """The target of a DoH query by GET (RFC 8484)."""
    wire = dns.message.make_query(name, kind, id=0).to_wire()
    return "/dns-query?dns=" + base64.urlsafe_b64encode(wire).rstrip(b"=").decode()


class Answer:
    """One HTTP response."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        self.body = body


class Http:
    """A kept-alive HTTP/1.1 connection; each step has a deadline of its own."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None, host: str) -> None:
        self.address = address
        self.host = host
        self._tls = tls
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def open(self, patience: float = LONG) -> None:
        """Connect, then shake hands. Raises OSError, or Silent("connect") or ("tls")."""
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            async with _patience(patience, "connect"):
                await asyncio.get_running_loop().sock_connect(sock, self.address)
            async with _patience(patience, "tls"):
                self._reader, self._writer = await asyncio.open_connection(
                    sock=sock, ssl=self._tls, server_hostname=self.host if self._tls else None
                )
        except BaseException:
            sock.close()
            raise

    async def get(
        self,
        target: str,
        patience: float = LONG,
        fields: str = "",
        method: str = "GET",
        body: bytes = b"",
    ) -> Answer:
        """One request. Raises OSError, EOFError, or Silent("answer")."""
        assert self._writer
        request = f"{method} {target} HTTP/1.1\r\nHost: {self.host}\r\n{fields}"
        if body:
            request += f"Content-Length: {len(body)}\r\n"
        self._writer.write(request.encode("latin-1") + b"\r\n" + body)
        async with _patience(patience, "answer"):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = Answer(head, b"").fields.get("content-length", "0")
            return Answer(head, await self._reader.readexactly(int(length)))

    async def ended(self, patience: float = LONG) -> str:
        """How the connection ends: `closed` or `reset`. Raises Silent when it does not."""
        async with _patience(patience, "end"):
            try:
                return "more" if await self._reader.read(1) else "closed"
            except ConnectionResetError:
                return "reset"

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        assert self._writer
        self._writer.write(data)

    async def __aenter__(self) -> Http:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Drop the connection."""
        if self._writer:
            self._writer.transport.abort()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()


async def outcome(http: Http, target: str, patience: float = LONG, fields: str = "") -> str:
    """Connect and ask once; one word for what came of it.

    `refused`, `connect silent`, `tls silent`, `silent`, `reset`, `closed`, `expired`,
    `wrong host`, or the status.
    """
    try:
        await http.open(patience)
        return str((await http.get(target, patience, fields)).status)
    except Silent as where:
        return "silent" if str(where) == "answer" else f"{where} silent"
    except ssl.SSLCertVerificationError as error:
        return {10: "expired", 62: "wrong host", 64: "wrong host"}[error.verify_code]
    except ConnectionRefusedError:
        return "refused"
    except (ConnectionError, ssl.SSLError):
        return "reset"
    except EOFError:
        return "closed"
    finally:
        await http.close()


class Route:
    """How a client reaches a segment: where, under which name, asking for what."""

    def __init__(self, address: Address, host: str | None, target: str, good: str) -> None:
        self.address = address
        self.host = host
        self.target = target
        self.good = good

    def connect(self, site: Site) -> Http:
        return site.connect(self.address, self.host)


def route(site: Site, segment: str) -> Route:
    """The request that shows a fault of `segment`, and its outcome without one."""
    provider = site.providers[0]
    routes = {
        "wan": Route(site.edge, HOST, "/cdn-cgi/trace", "200"),
        "doh": Route(provider, provider[0], question(), "200"),
        "cf-edge": Route(site.edge, HOST, "/cdn-cgi/trace", "200"),
        "tunnel": Route(site.edge, HOST, "/probe/healthz", "200"),
        "traefik": Route(site.balancer, HOST, "/", "302"),
        "carve-out": Route(site.balancer, HOST, "/probe/healthz", "200"),
        "wall": Route(site.balancer, HOST, "/", "302"),
        "devvm": Route(site.node, None, "/metrics", "200"),
        "dispatch": Route(site.dispatch, None, "/probe/healthz", "200"),
        "serve": Route(site.serve, None, SESSION_PAGE, "200"),
    }
    if segment in routes:
        return routes[segment]
    return Route(site.upstreams[segment.removeprefix("upstream-")], None, "", "")


def pairs(*kinds: str, among: Iterable[str] = FAULTS) -> list[tuple[str, str]]:
    """Every pair of the table with one of these kinds."""
    return [(segment, kind) for segment in among for kind in FAULTS[segment] if kind in kinds]


UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: bGFiIGlzIHJlYWR5ISEhIQ==\r\n"
)


class Sink(asyncio.StreamWriter):
    """A writer without a connection; it keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""
        self._ended = False

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.data += data

    async def drain(self) -> None:
        """Nothing to wait for."""

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._ended = True

    def is_closing(self) -> bool:
        return self._ended

    def __del__(self) -> None:
        """There is no transport to close."""


@contextlib.asynccontextmanager
async def _patience(seconds: float, where: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise Silent(where) from None


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return (host, int(port))
