"""The lab's remote rigs: stand-ins for relay, jump and book, message by message.

A stand-in does what its service is known to do: it takes tokens of its own secret and audience
alone, gives an address with a code that is good once, opens a WebSocket to a bad code, too, and
leaves it silent, and reports every connection, its listeners' included, in any order, with echoes
and actions between. Its rigs send all the time; faults of the board change what it reports.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
import socket
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, unquote

from websockets.exceptions import InvalidHandshake
from websockets.http11 import Request
from websockets.server import ServerProtocol

from t3probe.lab.board import Board
from t3probe.lab.faults import Fault
from t3probe.lab.http import Client, Head, HttpApp
from t3probe.lab.rig_faults import SECRETS, STREAMS, rig_names
from t3probe.lab.streams import Keeper
from t3probe.text.names import BOOK, JUMP, RELAY, RIG_SEGMENT, STREAM_SEGMENT
from t3probe.timing import SystemClock

REPORT_SECONDS = 0.5
SILENT_SECONDS = 45.3
"""So long ago a stream that is silent sent something when its fault began."""
CODE_SECONDS = 30.0
_NEVER = "2562047h47m16.854775807s"
_CONNECTED = "2026-03-02T08:15:30.123456789Z"
_EXPIRES = "2026-09-01T00:00:00Z"
_CLOCK = SystemClock()
_JSON = "application/json"


class Rigs:
    """The rigs, and what is the matter with each of them by now."""

    def __init__(self, board: Board, number: int) -> None:
        self.names = rig_names(number)
        self._board = board
        self._since: dict[str, float] = {}

    def connected(self, rig: str) -> bool:
        """Whether it keeps its log-in channel."""
        own = f"{RIG_SEGMENT}{rig}"
        return not any(self._board.find(own, kind) for kind in ("stall", "gone", "no-jump"))

    def age(self, rig: str, stream: str) -> float | None:
        """How long ago a stream sent something, in seconds; None: it is not connected."""
        find, own = self._board.find, f"{STREAM_SEGMENT}{rig}-{stream}"
        if find(f"{RIG_SEGMENT}{rig}", "gone") or find(own, "absent"):
            return None
        stale = find(own, "stale") or find(f"{RIG_SEGMENT}{rig}", "stall") or find(RELAY, "mute")
        if not stale:
            self._since.pop(own, None)
            return random.uniform(0.005, 0.4)
        began = self._since.setdefault(own, _CLOCK.monotonic())
        return SILENT_SECONDS + _CLOCK.monotonic() - began


class _Service(HttpApp):
    """What the three services have in common: base path, tokens, wrong answers."""

    name = ""
    scope = ""

    def __init__(self, board: Board, keeper: Keeper, listener: socket.socket, rigs: Rigs) -> None:
        super().__init__(keeper, listener, None)
        self.board, self.rigs = board, rigs
        self.base = ""
        """Its own URL, as it knows itself; set once its gate has an address."""

    @property
    def path(self) -> str:
        return f"/lab/{self.name}"

    async def json(self, client: Client, head: Head, status: int, value: object) -> bool:
        body = json.dumps(value).encode()
        return await self.respond(client, head, status, body, content_type=_JSON)

    async def problem(self, client: Client, head: Head) -> bool | None:
        """The answer to a token that is not good, or of a fault; None: go on."""
        find = self.board.find
        if find(self.name, "bad-token"):
            message = "token has invalid audience"
            return await self.json(client, head, 500, {"code": 500, "message": message})
        if find(self.name, "http500"):
            return await self.json(client, head, 500, {"code": "500", "message": "it broke"})
        if find(self.name, "garbage"):
            return await self.respond(client, head, 200, b"<html>hello</html>")
        token = head.get("authorization")
        if not token:
            said = "unauthenticated for invalid credentials"
            return await self.json(client, head, 401, {"code": 401, "message": said})
        claims = self._claims(token)
        if claims is None:
            return await self.json(client, head, 500, {"code": 500, "message": "token is invalid"})
        scoped = self.scope in claims.get("scopes", ())
        if find(self.name, "unauthorized") or not scoped or not self.wanted(claims):
            said = "Token scopes do not permit this operation"
            value: object = {"code": "401", "message": said} if self.name != RELAY else said
            return await self.json(client, head, 401, value)
        return None

    def wanted(self, claims: dict[str, Any]) -> bool:
        """Whether a token has the other claims that it must have."""
        return True

    def _claims(self, token: str) -> dict[str, Any] | None:
        import jwt  # only the lab with rigs needs it

        try:
            found: dict[str, Any] = jwt.decode(
                token, SECRETS[self.name], algorithms=["HS256"], audience=self.base
            )
        except jwt.PyJWTError:
            return None
        return found


class _Stats(_Service):
    """relay and jump: an address with a code by POST, and reports at it by a WebSocket."""

    ask = ""
    there = ""
    prefix = ""

    def __init__(self, board: Board, keeper: Keeper, listener: socket.socket, rigs: Rigs) -> None:
        super().__init__(board, keeper, listener, rigs)
        self._codes: dict[str, float] = {}
        self._listening = 0

    def wanted(self, claims: dict[str, Any]) -> bool:
        return claims.get("topic") == "stats" and claims.get("prefix") == self.prefix

    async def answer(self, client: Client, head: Head) -> bool:
        target, _, query = head.target.partition("?")
        if head.method == "POST" and target == self.path + self.ask:
            await client.body(head)
            wrong = await self.problem(client, head)
            return await self._address(client, head) if wrong is None else wrong
        if head.method == "GET" and target == self.path + self.there:
            await self._report_to(client, head, query)
            return False
        await client.body(head)
        return await self.json(client, head, 404, {"code": 404, "message": "not found"})

    async def _address(self, client: Client, head: Head) -> bool:
        code = secrets.token_hex(16)
        if not self.board.find(self.name, "bad-code"):
            now = _CLOCK.monotonic()
            self._codes = {one: at for one, at in self._codes.items() if now - at < CODE_SECONDS}
            self._codes[code] = now
        base = self.base.replace("http://", "ws://")
        if self.board.find(self.name, "foreign"):
            base = f"ws://127.0.0.9:9{self.path}"
        return await self.json(client, head, 200, {"uri": f"{base}{self.there}?code={code}"})

    async def _report_to(self, client: Client, head: Head, query: str) -> None:
        """One WebSocket, to its end. (RFC 6455)"""
        protocol = ServerProtocol()
        protocol.receive_data(head.raw)
        events = protocol.events_received()
        if not events or not isinstance(events[0], Request):
            raise ConnectionResetError("no handshake")
        with contextlib.suppress(InvalidHandshake):
            protocol.send_response(protocol.accept(events[0]))
        writer = client.stream.writer

        async def flush() -> None:
            for data in protocol.data_to_send():
                if data:
                    writer.write(data)
            await writer.drain()

        await flush()
        began = self._codes.pop(parse_qs(query).get("code", [""])[0], None)
        good = began is not None and _CLOCK.monotonic() - began < CODE_SECONDS
        self._listening += 1
        try:
            while not protocol.close_expected():
                if good and not self.board.find(self.name, "silent"):
                    for message in self._messages():
                        protocol.send_text(message)
                    await flush()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(REPORT_SECONDS):
                        data = await client.stream.reader.read(4096)
                        if not data:
                            return
                        protocol.receive_data(data)
                        await flush()
        finally:
            self._listening -= 1

    def _messages(self) -> list[bytes]:
        """What is sent at one moment, a frame each."""
        if self.board.find(self.name, "empty"):
            return [b"[]"]
        entries = self.report()
        random.shuffle(entries)
        return self.framed(json.dumps(entries).encode())

    def framed(self, report: bytes) -> list[bytes]:
        return [report]

    def report(self) -> list[dict[str, Any]]:
        raise NotImplementedError


def go_duration(seconds: float) -> str:
    """A duration as these services write it: `41.2ms`, `1m3.5s`."""
    if seconds < 1:
        return f"{seconds * 1000:.6f}".rstrip("0").rstrip(".") + "ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:.9f}".rstrip("0").rstrip(".") + "s"
    if minutes or hours:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text


class RelayStandIn(_Stats):
    """relay: who is connected to which topic, and when each last sent something."""

    name, scope, prefix = RELAY, "read", "session"
    ask = there = "/session/stats"

    def wanted(self, claims: dict[str, Any]) -> bool:
        return super().wanted(claims) and bool(claims.get("booking_id"))

    def framed(self, report: bytes) -> list[bytes]:
        # Messages that wait are sent in one frame, an echo of a command before a report.
        return [b'{"cmd":"update"}' + report] if random.random() < 0.3 else [report]

    def report(self) -> list[dict[str, Any]]:
        found = [
            self._entry("stats", ["read", "stats", "write"], None, "internal"),
            *(self._entry("stats", ["read"], None) for _ in range(self._listening)),
        ]
        lost = self.board.find(RELAY, "lost")
        for rig in () if lost else self.rigs.names:
            for stream in STREAMS:
                age = self.rigs.age(rig, stream)
                if age is not None:
                    found.append(self._entry(f"{rig}-st-{stream}", ["read", "write", "expt"], age))
            # Somebody looks at it, and sends nothing that counts.
            found.append(self._entry(f"{rig}-st-{STREAMS[0]}", ["read", "write"], 0.3))
        return found

    def _entry(
        self, topic: str, scopes: Sequence[str], age: float | None, address: str = "203.0.113.7"
    ) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "canRead": True,
            "canWrite": "write" in scopes,
            "connected": _CONNECTED,
            "expiresAt": _EXPIRES,
            "remoteAddr": address,
            "scopes": list(scopes),
            "topic": topic,
            "userAgent": "lab",
        }
        if not self.board.find(RELAY, "no-stats"):
            last = "Never" if age is None else go_duration(age)
            entry["stats"] = {
                "tx": {"last": last, "size": 188, "fps": 1.02},
                "rx": {"last": "Never", "size": 0, "fps": 0},
            }
        return entry


class JumpStandIn(_Stats):
    """jump: which rigs keep a log-in channel, and who uses one."""

    name, scope, prefix = JUMP, "stats", "connect"
    ask, there = "/api/v1/connect/stats", "/connect/stats"

    def framed(self, report: bytes) -> list[bytes]:
        noise = {"action": "disconnect", "uri": "", "uuid": secrets.token_hex(8)}
        return [json.dumps(noise).encode(), report] if random.random() < 0.3 else [report]

    def report(self) -> list[dict[str, Any]]:
        found = [
            self._entry("stats", None, "internal"),
            *(self._entry("stats", ["stats", "read", "write"]) for _ in range(self._listening)),
        ]
        lost = self.board.find(JUMP, "lost")
        for rig in () if lost else self.rigs.names:
            if self.rigs.connected(rig):
                found.append(self._entry(rig, ["host", "read", "write"]))
            found.append(self._entry(f"{rig}/{secrets.token_hex(8)}", ["client", "read", "write"]))
        return found

    def _entry(
        self, topic: str, scopes: Sequence[str] | None, address: str = "203.0.113.7"
    ) -> dict[str, Any]:
        scopes = None if scopes is None else list(scopes)
        if self.board.find(JUMP, "camel"):
            return {
                "canRead": True,
                "canWrite": True,
                "connectedAt": _CONNECTED,
                "expiresAt": _EXPIRES,
                "remoteAddress": address,
                "scopes": scopes,
                "statistics": {"last": _NEVER},
                "topic": topic,
                "userAgent": "lab",
            }
        return {
            "can_read": True,
            "can_write": True,
            "connected_at": _CONNECTED,
            "expires_at": _EXPIRES,
            "remote_address": address,
            "scopes": scopes,
            "statistcs": {"last": _NEVER},
            "topic": topic,
            "user_agent": "lab",
        }


class BookStandIn(_Service):
    """book: the rigs, what they need, and whether they are offered."""

    name, scope = BOOK, "booking:admin"

    def __init__(self, board: Board, keeper: Keeper, listener: socket.socket, rigs: Rigs) -> None:
        super().__init__(board, keeper, listener, rigs)
        self._taken_out: dict[str, str] = {}
        self._resources = {f"r-{rig}": rig for rig in rigs.names}
        board.watch(self._changed)

    def _changed(self, begun: Sequence[Fault]) -> None:
        if any(one.segment == BOOK and one.kind == "forget" for one in begun):
            self._taken_out.clear()

    async def answer(self, client: Client, head: Head) -> bool:
        await client.body(head)
        wrong = await self.problem(client, head)
        if wrong is not None:
            return wrong
        target, _, query = head.target.partition("?")
        start = f"{self.path}/api/v1/admin/resources"
        if target == start and head.method == "GET":
            return await self.json(client, head, 200, self._list())
        resource = unquote(target.removeprefix(f"{start}/"))
        if not target.startswith(f"{start}/") or resource not in self._resources:
            return await self.json(client, head, 404, {"code": "404", "message": "not found"})
        if head.method == "GET":
            reason = self._taken_out.get(resource)
            value = {
                "available": reason is None,
                "reason": "" if reason is None else f"unavailable because {reason}",
            }
            return await self.json(client, head, 200, value)
        return await self._put(client, head, resource, query)

    async def _put(self, client: Client, head: Head, resource: str, query: str) -> bool:
        asked = parse_qs(query, keep_blank_values=True)
        if head.method != "PUT" or not {"available", "reason"} <= asked.keys():
            return await self.json(client, head, 422, {"code": 602, "message": "in query"})
        if self.board.find(BOOK, "409"):
            return await self.json(client, head, 409, {"code": "409", "message": "conflict"})
        if not self.board.find(BOOK, "unheeded"):
            if asked["available"][0] == "true":
                self._taken_out.pop(resource, None)
            else:
                self._taken_out[resource] = asked["reason"][0]
        return await self.respond(client, head, 204)

    def _list(self) -> dict[str, Any]:
        return {
            resource: {
                "description": f"d-{resource}",
                "streams": [f"st-{one}" for one in STREAMS],
                "tests": None,
                "topic_stub": rig,
            }
            for resource, rig in self._resources.items()
        }
