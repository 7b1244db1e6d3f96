"""The CDN's edge: ends the public TLS, answers its own page, passes the rest to the tunnel."""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl

from t3probe.lab.answers import wrong_answer
from t3probe.lab.board import Board
from t3probe.lab.http import MAX_HEAD_BYTES, Client, Head, Hop, HttpApp, forward
from t3probe.lab.streams import FaultRule, Keeper, Stream

TRACE = "/cdn-cgi/trace"
COLO = "LAB"


class Edge(HttpApp):
    """Every response carries `cf-ray` and `server: cloudflare`, its own errors too."""

    def __init__(
        self,
        board: Board,
        keeper: Keeper,
        listener: socket.socket,
        tls: ssl.SSLContext,
        tunnel: tuple[str, int],
        client_tls: ssl.SSLContext,
        host: str,
    ) -> None:
        """`tunnel`: where the tunnel begins; `client_tls` and `host`: for the TLS through it."""
        super().__init__(keeper, listener, tls)
        self._board = board
        self._tunnel = tunnel
        self._client_tls = client_tls
        self._host = host
        self._own = FaultRule(board, silent=("cf-edge",))
        # The tunnel is bytes inside TLS: only here can it be silent after the 101.
        self._hop = Hop("tunnel", self._dial, FaultRule(board, silent=("cf-edge", "tunnel")))

    def own_fields(self) -> list[tuple[str, str]]:
        return [("cf-ray", f"{secrets.token_hex(8)}-{COLO}"), ("server", "cloudflare")]

    async def answer(self, client: Client, head: Head) -> bool:
        if wrong := wrong_answer(self._board, "cf-edge", head.target, client.accepted_at):
            return await self.respond_wrongly(client, head, wrong)
        if head.target.partition("?")[0] == TRACE:
            await self._board.while_blocked(self._own.held_back)
            page = f"fl=lab\nh={self._host}\nip=127.0.0.1\ncolo={COLO}\nhttp=http/1.1\n"
            return await self.respond(client, head, 200, page.encode("ascii"))
        # The edge speaks for the tunnel, so the client's connection to the edge is what counts.
        if wrong := wrong_answer(self._board, "tunnel", head.target, client.accepted_at):
            return await self.respond_wrongly(client, head, wrong)
        return await forward(self, client, head, self._hop)

    async def _dial(self) -> Stream:
        stream = await asyncio.open_connection(
            *self._tunnel,
            limit=MAX_HEAD_BYTES,
            ssl=self._client_tls,
            server_hostname=self._host,
            ssl_shutdown_timeout=1.0,
        )
        return self.keeper.keep(stream)
