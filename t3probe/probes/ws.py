"""A WebSocket that does not echo (RFC 6455): the application's own.

Its beat is what the file says: a message and what must come back, a ping, or only the upgrade. What
a pass clears is as little as that exercised.

- An answer that returns our nonce was made for us: it clears the whole path. One that matches
  without it does so, too, until such a message comes that nobody asked for: then the server sends
  them by itself, and nothing shows that ours came through.
- A pong shows that whoever speaks WebSocket there lives. A proxy may, and a library answers for an
  application that hangs: it clears what lies before the mark of the upgrade's answer, or up to the
  end of the TCP connection, and never the last segment.
- An upgrade shows the same, and holds nothing: each beat is one of its own. For drops of an open
  WebSocket it is no evidence at all.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.typing import Origin, Subprotocol

from t3probe.config.types import Leg
from t3probe.probes.base import Channel, Probing
from t3probe.probes.credential import certified
from t3probe.probes.facts import Echo, ProbeError, Target
from t3probe.probes.marks import nearby
from t3probe.probes.ws_echo import WsLine, started

NONCE = "{nonce}"


class Expected:
    """What must come back. A message is read once for each piece of text between two `*`, and a
    JSON value is walked along with ours: never longer than their lengths multiplied."""

    def __init__(self, text: str) -> None:
        self.nonced = NONCE in text
        self._text = text
        self._json = _parsed(text) if text.lstrip().startswith(("{", "[")) else None

    def is_in(self, message: str | bytes, nonce: str) -> bool:
        """Whether a message is what the beat that sent this nonce waits for."""
        if isinstance(message, bytes):
            try:
                message = message.decode()
            except UnicodeDecodeError:
                return False
        if self._json is None:
            return glob(self._text.replace(NONCE, nonce), message)
        found = _parsed(message)
        try:
            return found is not None and _holds(found, self._json, nonce)
        except RecursionError:
            return False


def glob(pattern: str, text: str) -> bool:
    """Whether `text` is `pattern`, in which `*` stands for any text."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == first
    *middle, last = rest
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _holds(found: Any, expected: Any, nonce: str) -> bool:
    """Whether a JSON value holds all that is expected: each key of an object, and the items of an
    array in their places."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            key in found and _holds(found[key], one, nonce) for key, one in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(map(_holds, found, expected, [nonce] * len(expected)))
        )
    if isinstance(expected, str):
        return isinstance(found, str) and glob(expected.replace(NONCE, nonce), found)
    return type(found) is type(expected) and bool(found == expected)


class AppLine(WsLine):
    """The application's own WebSocket; a beat is a message and its answer, or a ping."""

    echoes = False

    def __init__(self, leg: Leg, target: Target, probing: Probing) -> None:
        super().__init__(target, probing)
        self.leg = leg
        self.awaited = "pong" if leg.expect is None else "message that expect describes"
        self._expected = None if leg.expect is None else Expected(leg.expect)
        self._unasked = False
        """The server sends by itself what we wait for."""

    def wishes(self, leg: Leg) -> dict[str, Any]:
        wishes: dict[str, Any] = {}
        if leg.origin is not None:
            wishes["origin"] = Origin(leg.origin)
        if leg.subprotocol is not None:
            wishes["subprotocols"] = [Subprotocol(leg.subprotocol)]
        return wishes

    def check_upgrade(self, leg: Leg, ws: ClientConnection) -> None:
        if leg.subprotocol is not None and ws.subprotocol != leg.subprotocol:
            words = f"the server does not take the subprotocol {leg.subprotocol}"
            raise ProbeError("protocol_error", "ask", words).by_answer(101, self.marked)

    async def send(self, ws: ClientConnection, nonce: str) -> None:
        if self.leg.send is not None:
            await ws.send(self.leg.send.replace(NONCE, nonce))
            return
        echo = self._echo

        def ponged(pong: asyncio.Future[float]) -> None:
            if not (pong.cancelled() or pong.exception() or echo is None or echo.done()):
                echo.set_result(nonce)

        pong: Any = await ws.ping(nonce)
        pong.add_done_callback(ponged)

    def is_answer(self, message: str | bytes, nonce: str) -> bool:
        return self._expected is not None and self._expected.is_in(message, nonce)

    def skip(self, message: str | bytes) -> bool:
        """An application says what it likes, as often as it likes."""
        expected = self._expected
        if expected is not None and not expected.nonced and expected.is_in(message, ""):
            self._unasked = True
        return True

    def clears(self) -> tuple[str, ...] | None:
        if self._expected is not None and not self._unasked:
            return None
        return _near(self.leg, self.marked)


class UpgradeLine(Channel):
    """Only the upgrade: each beat makes a connection of its own and closes it."""

    def __init__(self, leg: Leg, target: Target, probing: Probing) -> None:
        super().__init__(target, probing)
        self.leg = leg

    async def beat(self) -> Echo:
        line = AppLine(self.leg, self.target, self.probing)
        self.facts = line.facts
        began = self.probing.clock.now()
        try:
            await line.start(self.leg)
            ended = self.probing.clock.now()
        finally:
            await line.close()
        return Echo(
            sent=began,
            ended=ended,
            measured_seconds=line.facts.phases.get("upgrade"),
            clears=_near(self.leg, line.marked),
        )


def _near(leg: Leg, marked: str) -> tuple[str, ...]:
    """What an answer of whoever speaks WebSocket shows: never that the last segment does its
    work."""
    near = nearby(leg, marked)
    return leg.path[:-1] if near is None else near[: len(leg.path) - 1]


async def open(leg: Leg, target: Target, probing: Probing) -> Channel:
    """The application's WebSocket at `target`, upgraded and proven to be on the leg's own route."""
    return await started(AppLine(leg, target, certified(leg, probing)), leg)


async def open_upgrade(leg: Leg, target: Target, probing: Probing) -> Channel:
    """A line of upgrades to `target`."""
    return UpgradeLine(leg, target, certified(leg, probing))
