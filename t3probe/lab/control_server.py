"""The lab's side of the control socket; see `t3probe.lab.control` for its language."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import Sequence
from typing import Protocol

from t3probe.exchange.bounds import CONTROL_LINE_BYTES, CONTROL_ORDER_SECONDS
from t3probe.lab.faults import Fault, FaultError, parse_fault
from t3probe.lab.streams import Keeper, Stream
from t3probe.text import keep

_EXPECTED = 'one of {"faults": [...]}, {"add": [...]}, {"clear": true} and {"status": true}'


class Switchable(Protocol):
    """What can be controlled: a lab."""

    async def switch(self, faults: Sequence[Fault | str]) -> None: ...

    async def add(self, faults: Sequence[Fault | str]) -> None: ...

    async def clear(self) -> None: ...

    def status(self) -> dict[str, object]: ...


class ControlServer:
    """A loopback listener that takes orders, a line each."""

    def __init__(self, lab: Switchable, keeper: Keeper) -> None:
        self._lab = lab
        self._keeper = keeper
        self._server: asyncio.Server | None = None
        self.token = keep(secrets.token_urlsafe(24))
        """What an order must hold."""

    async def start(self) -> tuple[str, int]:
        """Listen on a free port and return the address."""
        self._server = await asyncio.start_server(
            self._accepted, "127.0.0.1", 0, limit=CONTROL_LINE_BYTES
        )
        name = self._server.sockets[0].getsockname()
        return (name[0], name[1])

    async def close(self) -> None:
        """Stop listening; the keeper ends the connections."""
        if self._server:
            self._server.close()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._keeper.spawn(self._serve(self._keeper.keep((reader, writer))))

    async def _serve(self, stream: Stream) -> None:
        try:
            while True:
                async with asyncio.timeout(CONTROL_ORDER_SECONDS):
                    order = _order(await stream.reader.readline())
                if order is None:
                    break  # gone, or it does not speak our language: a web page, say
                answer = await self._obey(order)
                stream.writer.write(json.dumps(answer).encode("ascii") + b"\n")
                await stream.writer.drain()
        except (OSError, TimeoutError, ValueError):  # gone, silent, or a line beyond the limit
            pass
        finally:
            stream.writer.close()

    async def _obey(self, order: dict[str, object]) -> dict[str, object]:
        token = order.pop("token", "")
        if not isinstance(token, str) or not hmac.compare_digest(
            token.encode("utf-8", "replace"), self.token.encode("ascii")
        ):
            return {"ok": False, "error": "expected the token that the lab's file holds."}
        if len(order) != 1:
            return {"ok": False, "error": f"expected {_EXPECTED}, got {len(order)} orders."}
        ((name, value),) = order.items()
        try:
            if name in ("faults", "add"):
                faults = [parse_fault(text) for text in _texts(value)]
                await (self._lab.switch(faults) if name == "faults" else self._lab.add(faults))
            elif name == "clear":
                await self._lab.clear()
            elif name != "status":
                return {"ok": False, "error": f"expected {_EXPECTED}, got {name!r}."}
        except (FaultError, TypeError) as error:
            return {"ok": False, "error": str(error)}
        return {"ok": True, **self._lab.status()}


def _order(line: bytes) -> dict[str, object] | None:
    try:
        order = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return order if isinstance(order, dict) else None


def _texts(value: object) -> list[str]:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return value
    raise TypeError(f"expected a list of faults as text, got {json.dumps(value)[:80]}.")
