"""What runs on the development machine: its metrics page, dispatch and serve."""

from __future__ import annotations

import logging
import socket
from http import HTTPStatus

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from t3probe.echo.head import MARK_FIELD, NONCE_FIELD, mark
from t3probe.lab.answers import wrong_answer
from t3probe.lab.board import Board
from t3probe.lab.http import Client, Head, HttpApp
from t3probe.lab.streams import Keeper

ECHO_PATH = "/probe/ws"
HEALTH_PATH = "/probe/healthz"
SESSION_PATH = "/api/auth/session"
WALLED_TEXT = "Only somebody who has signed on may read this."
"""Text of every walled page of the lab."""

MAX_FRAME_BYTES = 65536

_PAGE = b"""# HELP node_load1 1m load average.
# TYPE node_load1 gauge
node_load1 0.25
"""
_WALLED_PAGE = f"<!doctype html><title>Home</title><p>{WALLED_TEXT}</p>\n".encode()

_QUIET = logging.getLogger("t3probe.lab.dispatch")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


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
    """The dispatch process: a WebSocket echo and its health page. Each of its answers returns the
    request's nonce as its mark."""

    def __init__(self, board: Board, listener: socket.socket) -> None:
        self._board = board
        self._listener = listener
        self._server: Server | None = None
        self.port: int = listener.getsockname()[1]

    async def start(self) -> None:
        self._server = await serve(
            self._echo,
            sock=self._listener,
            process_request=self._process,
            process_response=_marked,
            compression=None,
            server_header=None,
            ping_interval=None,  # what is silent must stay silent
            close_timeout=0.5,
            max_size=MAX_FRAME_BYTES,
            max_queue=4,
            logger=_QUIET,
        )

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server:
            self._server.close()
            await self._server.wait_closed()
        self._listener.close()

    def _process(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer whatever is no upgrade of the echo's path."""
        path = request.path.partition("?")[0]
        # A connection carries one request here, so each is new.
        if wrong := wrong_answer(self._board, "dispatch", request.path):
            answer = connection.respond(HTTPStatus(wrong.status), wrong.body.decode("ascii"))
            for name, value in wrong.fields:
                answer.headers[name] = value
            return answer
        if path == HEALTH_PATH:
            return connection.respond(HTTPStatus.OK, "ok\n")
        if path != ECHO_PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, "Not Found\n")
        return None

    async def _echo(self, connection: ServerConnection) -> None:
        try:
            async for message in connection:
                wrong = self._board.find("dispatch", "wrong-echo")
                await connection.send(_altered(message) if wrong else message)
        except ConnectionClosed:
            return


def _marked(_: ServerConnection, request: Request, answer: Response) -> None:
    """Add the mark of dispatch to every answer, the upgrade's too."""
    answer.headers[MARK_FIELD] = mark(request.headers.get_all(NONCE_FIELD))


def _altered(message: str | bytes) -> str | bytes:
    """Another message of the same kind and length; of length one when it was empty."""
    if isinstance(message, str):
        return ("!" if message[:1] != "!" else "?") + message[1:]
    first = message[0] ^ 0xFF if message else 0
    return bytes([first]) + message[1:]
