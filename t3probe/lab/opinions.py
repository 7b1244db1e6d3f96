"""Stand-ins of cloudflared's metrics server and of Traefik's API, for `[[opinion]]`.

Both answer from the board of faults, and see what the real ones would: cloudflared its own
connections to the edge, so that it is well in its own eyes while the tunnel is slow, stalls, or the
CDN answers 502 in its place; Traefik whether its health check of dispatch would get through.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence

from t3probe.lab.board import Board
from t3probe.lab.edge import COLO
from t3probe.lab.faults import Fault
from t3probe.lab.http import Client, Head, HttpApp
from t3probe.lab.streams import Keeper

CONNECTIONS = 4
SERVICE = "dispatch@file"
_NOTICED = ("refuse", "blackhole", "reset")
"""Faults of the tunnel that end every connection to the edge."""
_FAILS_CHECK = ("refuse", "blackhole", "reset", "stall", "exit", "drain")
"""Faults that no health check gets through."""


class CloudflaredPage(HttpApp):
    """`/ready` and `/metrics` of a cloudflared that holds four connections."""

    def __init__(self, board: Board, keeper: Keeper, listener: socket.socket) -> None:
        super().__init__(keeper, listener, None)
        self._board = board
        self._registered = CONNECTIONS
        self._away = False
        board.watch(self._changed)

    async def answer(self, client: Client, head: Head) -> bool:
        await client.body(head)
        if self._board.find("tunnel", "exit"):
            return False  # its pages are gone with the process
        number = 0 if self._away else CONNECTIONS
        path = head.target.partition("?")[0]
        if path == "/ready":
            status = 200 if number else 503
            told = json.dumps({"status": status, "readyConnections": number})
            return await self.respond(client, head, status, told.encode())
        if path == "/metrics":
            return await self.respond(client, head, 200, self._metrics().encode())
        return await self.respond(client, head, 404, b"Not Found\n")

    def _changed(self, begun: Sequence[Fault]) -> None:
        away = any(self._board.find("tunnel", kind) for kind in _NOTICED)
        cut = any((one.segment, one.kind) == ("tunnel", "cut") for one in begun)
        if cut or (self._away and not away):
            self._registered += CONNECTIONS
        self._away = away

    def _metrics(self) -> str:
        name, where = "cloudflared_tunnel_server_locations", f'edge_location="{COLO}"'
        places = "".join(f'{name}{{connection_id="{at}",{where}}} 1\n' for at in range(CONNECTIONS))
        registered = 'cloudflared_tunnel_tunnel_register_success{rpcName="registerConnection"}'
        return f"{places}{registered} {self._registered}\nprocess_start_time_seconds 1\n"


class TraefikApi(HttpApp):
    """`/api/overview`, and the service that leads to dispatch, whose health it checks."""

    def __init__(self, board: Board, keeper: Keeper, listener: socket.socket) -> None:
        super().__init__(keeper, listener, None)
        self._board = board

    async def answer(self, client: Client, head: Head) -> bool:
        await client.body(head)
        path = head.target.partition("?")[0]
        told: object
        if path == "/api/overview":
            parts = {"total": 2, "warnings": 0, "errors": 0}
            told = {"http": {"routers": parts, "services": parts, "middlewares": parts}}
        elif path == f"/api/http/services/{SERVICE}":
            away = any(self._board.find_any(("devvm", "dispatch"), kind) for kind in _FAILS_CHECK)
            told = {
                "loadBalancer": {"servers": [{"url": "http://lab"}], "healthCheck": {"path": "/"}},
                "status": "enabled",
                "serverStatus": {"http://lab": "DOWN" if away else "UP"},
            }
        else:
            return await self.respond(client, head, 404, b'{"message":"not found"}\n')
        return await self.respond(client, head, 200, json.dumps(told).encode())
