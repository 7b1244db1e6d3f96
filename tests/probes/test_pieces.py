"""What is parsed between two turns of the event loop is small, however much a peer sends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from probes.fixtures import Authority
from probes.servers import HOST, echo_frames, head, http_leg, probe, serve, upgrade, ws_leg
from probes.walls import Reader, Writer
from websockets.client import ClientProtocol

from t3probe.exchange.bounds import HTTP_PIECE_BYTES, WS_PIECE_BYTES
from t3probe.observation import Observation
from t3probe.probes.http_wire import AnswerReader

FLOOD = 1 << 18


class Turns:
    """How many bytes one parser was given in each of the loop's turns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        self.sizes: dict[int, int] = {}
        self._turn = 0
        real = getattr(owner, name)

        def counted(parser: Any, data: bytes) -> Any:
            self.sizes[self._turn] = self.sizes.get(self._turn, 0) + len(data)
            return real(parser, data)

        monkeypatch.setattr(owner, name, counted)

    def __enter__(self) -> Turns:
        self._next()
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.cancel()

    def _next(self) -> None:
        self._turn += 1
        self._handle = asyncio.get_running_loop().call_soon(self._next)


async def _seen(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, secure: bool, ws: bool
) -> tuple[Observation, Turns]:
    async def page(reader: Reader, writer: Writer) -> None:
        await head(reader, writer)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"1\r\na\r\n" * (FLOOD // 6) + b"0\r\n\r\n")
        await writer.drain()

    async def pings(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        writer.write(b"\x8a\0" * (FLOOD // 2))
        await echo_frames(reader, writer)

    owner, name = (ClientProtocol, "receive_data") if ws else (AnswerReader, "feed")
    turns = Turns(monkeypatch, owner, name)
    tls = authority.context(HOST) if secure else None
    async with serve(pings if ws else page, tls=tls) as server:
        made = ws_leg if ws else http_leg
        leg = made(server, **({"url": f"{'wss' if ws else 'https'}://{HOST}/x"} if secure else {}))
        with turns:
            seen = await probe(leg, ca=authority.file if secure else None)
    return seen, turns


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize(("ws", "most"), [(False, HTTP_PIECE_BYTES), (True, WS_PIECE_BYTES)])
async def test_a_turn_of_the_loop_parses_one_piece(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, ws: bool, most: int, secure: bool
) -> None:
    seen, turns = await _seen(monkeypatch, authority, secure, ws)
    assert seen.outcome == "passed", seen.detail
    assert sum(turns.sizes.values()) >= FLOOD
    # One whole piece, and the end of what is there, which is shorter than one.
    assert max(turns.sizes.values()) < 2 * most, sorted(turns.sizes.values())[-5:]
