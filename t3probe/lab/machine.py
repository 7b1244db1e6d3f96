"""What runs on the development machine: its metrics page, dispatch and serve."""

from __future__ import annotations

import socket
from functools import partial

from t3probe.echo import Limits, Proxies, Responder
from t3probe.echo.connection import ClientConnection, House
from t3probe.echo.frames import BINARY, TEXT, Event
from t3probe.echo.head import ECHO_PATH, HEALTH_PATH, NONCE_FIELD, Refusal, mark
from t3probe.echo.page import page
from t3probe.echo.records import Records
from t3probe.echo.site import PageSite
from t3probe.lab.answers import wrong_answer
from t3probe.lab.board import Board
from t3probe.lab.http import Client, Head, HttpApp
from t3probe.lab.streams import Keeper

__all__ = ["ECHO_PATH", "HEALTH_PATH", "SESSION_PATH", "WALLED_TEXT", "Dispatch", "Page", "Serve"]

SESSION_PATH = "/api/auth/session"
WALLED_TEXT = "Only somebody who has signed on may read this."
"""Text of every walled page of the lab."""

LIMITS = Limits(
    per_address=2000,
    dials_per_second=1e6,
    dials_burst=1_000_000,
    messages_per_second=1e6,
    messages_burst=1_000_000,
    idle=86_400.0,
)
"""Everybody comes from one address here, and what is silent stays so."""
BACKLOG = 512

_PAGE = b"""# HELP node_load1 1m load average.
# TYPE node_load1 gauge
node_load1 0.25
"""
_WALLED_PAGE = f"<!doctype html><title>Home</title><p>{WALLED_TEXT}</p>\n".encode()


class Page(HttpApp):
    """The machine's node_exporter page."""

    async def answer(self, client: Client, head: Head) -> bool:
        await client.body(head)
        if head.target.partition("?")[0] != "/metrics":
            return await self.respond(client, head, 404, b"Not Found\n")
        return await self.respond(client, head, 200, _PAGE)


class Serve(HttpApp):
    """The serve process: its session page, and walled pages everywhere else."""

    def __init__(self, board: Board, keeper: Keeper, listener: socket.socket) -> None:
        super().__init__(keeper, listener, None)
        self._board = board

    async def answer(self, client: Client, head: Head) -> bool:
        await client.body(head)
        if wrong := wrong_answer(self._board, "serve", head.target, client.accepted_at):
            return await self.respond(client, head, wrong.status, wrong.body, wrong.fields)
        if head.target.partition("?")[0] == SESSION_PATH:
            body, kind = b'{"session":null}\n', "application/json"
        else:
            body, kind = _WALLED_PAGE, "text/html; charset=utf-8"
        return await self.respond(client, head, 200, body, content_type=kind)


class Dispatch:
    """The dispatch process: `t3probe echo --page --accept-records` under the faults of dispatch."""

    def __init__(
        self, board: Board, listener: socket.socket, heartbeat: float, watchdog: float
    ) -> None:
        """`heartbeat` and `watchdog`: of its page, in seconds."""
        self._board = board
        self._listener = listener
        self._site = PageSite(page(heartbeat, watchdog, records=True), Records())
        self._responder: Responder | None = None
        self.port: int = listener.getsockname()[1]

    async def start(self) -> None:
        self._listener.listen(BACKLOG)
        self._responder = Responder(
            self._listener,
            LIMITS,
            Proxies(),
            site=self._site,
            connection=partial(DispatchConnection, self._board),
        )
        self._responder.start()

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._responder:
            self._responder.stop()
        self._listener.close()


class DispatchConnection(ClientConnection):
    """One client of dispatch. It carries one request, so each counts as new."""

    __slots__ = ("_board",)

    def __init__(self, board: Board, house: House, sock: socket.socket, peer: str) -> None:
        self._board = board
        super().__init__(house, sock, peer)

    def _answer(self, head: bytes, rest: bytes) -> None:
        asked = Head(head)
        if wrong := wrong_answer(self._board, "dispatch", asked.target):
            fields = (f"{name}: {value}" for name, value in wrong.fields)
            said = Refusal(wrong.status, wrong.body.decode("ascii").rstrip("\n"), *fields)
            nonces = [value for name, value in asked.fields if name == NONCE_FIELD]
            self.refuse(said, mark=mark(nonces), body=asked.method != "HEAD")
        else:
            super()._answer(head, rest)

    def _handle(self, event: Event) -> None:
        if event.kind in (TEXT, BINARY) and self._board.find("dispatch", "wrong-echo"):
            event = Event(event.kind, _altered(event.kind, event.data))
        super()._handle(event)


def _altered(kind: int, message: bytes) -> bytes:
    """Another message of the same kind and length; of length one when it was empty."""
    if kind == BINARY:
        return bytes([message[0] ^ 0xFF if message else 0]) + message[1:]
    text = message.decode()
    return (("!" if text[:1] != "!" else "?") + text[1:]).encode()
