"""The protocol as streamable HTTP on loopback, for any number of clients.

The package checks Host and Origin: no web page can reach it through a name that it made to lead
to loopback. What it does not bound is bounded here: connections that say nothing, bodies that
never end, streams that never say anything.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.transport_security import TransportSecuritySettings
from uvicorn.protocols.http.h11_impl import H11Protocol

from t3probe.ask.mcp_server.tools import CALL_SECONDS
from t3probe.exchange.bounds import (
    MCP_CONNECTIONS,
    MCP_IDLE_SECONDS,
    MCP_REQUEST_BYTES,
    SERVED_BACKLOG,
)
from t3probe.exchange.room import Room

PATH = "/mcp"
REQUEST_SECONDS = CALL_SECONDS + 10.0
"""From a request's headers to the end of its answer."""
END_SECONDS = 2
"""How long open requests may take to end after SIGTERM."""

_Event = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Event]]
_Send = Callable[[_Event], Awaitable[None]]
_Application = Callable[[_Event, _Receive, _Send], Awaitable[None]]


class _Connection(H11Protocol):
    """Closed when it idles, or when it is the oldest that does and another one comes."""

    room: Room[_Connection]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.room.enter(self)
        self.room.heed_descriptors(self.loop)
        self.loop.call_later(MCP_IDLE_SECONDS, self._look, None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.room.leave(self)
        super().connection_lost(exc)

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def _look(self, before: object) -> None:
        if self.transport.is_closing():
            return
        if self.idle and self.cycle is before:
            self.transport.abort()
        else:
            self.loop.call_later(MCP_IDLE_SECONDS, self._look, self.cycle)


def serve_http(server: Server[Any], listening: socket.socket) -> int:
    """Serve every client of a listening socket until a signal.

    uvicorn handles signals itself, and raises the one that ended it once more for the caller's
    own handler, which has to end the process with 0.
    """
    host, port = listening.getsockname()[:2]
    literal = f"[{host}]" if ":" in host else host
    # Clients leave out the port that a scheme has by itself (RFC 9110, section 4.2.3).
    ends = [f":{port}", ""] if port == 80 else [f":{port}"]
    hosts = [f"{name}{end}" for name in dict.fromkeys((literal, "localhost")) for end in ends]
    application = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=MCP_REQUEST_BYTES,
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=hosts,
            allowed_origins=[f"http://{one}" for one in hosts],
        ),
    )
    _Connection.room = Room(
        MCP_CONNECTIONS, idle=lambda one: one.idle, end=lambda one: one.transport.abort()
    )
    config = uvicorn.Config(
        _bounded(application), loop="asyncio", http=_Connection, ws="none", log_config=None,
        access_log=False, server_header=False, backlog=SERVED_BACKLOG,
        timeout_keep_alive=30, timeout_graceful_shutdown=END_SECONDS,
    )  # fmt: skip
    print(f"t3probe: mcp: serving at http://{hosts[0]}{PATH}", file=sys.stderr, flush=True)
    uvicorn.Server(config).run(sockets=[listening])
    return 0


def _bounded(application: _Application) -> _Application:
    """`application`, its requests bounded in time, and without streams that it only listens on:
    there is nothing to say in them, and each would hold a connection for ever."""

    async def bounded(scope: _Event, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        if scope["method"] == "GET":
            await _said(send, 405, b"expected POST; there is no stream to listen on", b"POST")
            return
        begun = False

        async def sending(event: _Event) -> None:
            nonlocal begun
            begun = True
            await send(event)

        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                await application(scope, receive, sending)
        except TimeoutError:
            if not begun:
                await _said(send, 408, b"the request took too long; send it again")

    return bounded


async def _said(send: _Send, status: int, words: bytes, allow: bytes = b"") -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(words)).encode()),
        (b"connection", b"close"),
    ]
    headers += [(b"allow", allow)] if allow else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": words})
