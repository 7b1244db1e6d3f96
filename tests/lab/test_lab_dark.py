"""A gate of the lab on a network that carries nothing."""

from __future__ import annotations

import asyncio
import socket
import sys

import pytest
from labclient import LONG

from t3probe.lab import gate as gates
from t3probe.lab.board import Board
from t3probe.lab.faults import parse_fault
from t3probe.lab.gate import Gate, bind
from t3probe.lab.streams import Keeper
from t3probe.probes.tcpinfo import sample


@pytest.mark.skipif(sys.platform != "linux", reason="needs TCP_INFO")
async def test_what_is_accepted_as_the_dark_begins_is_not_acknowledged() -> None:
    """An acknowledgement says that the network carried our bytes: it would clear the dark one."""
    board, keeper = Board(), Keeper()
    gate = Gate(board, keeper, bind("127.0.0.1", 0), None, ("wan",))
    gate.start()
    with socket.create_connection(gate.address) as client:  # nobody has accepted it yet
        board.switch([parse_fault("wan:blackhole")])
        await asyncio.sleep(0.02)
        client.send(b"hello")
        await asyncio.sleep(0.05)
        dark = sample(client)
        board.switch([])
        await asyncio.sleep(0.5)  # it is sent again after 0.2 s
        light = sample(client)
    gate.close()
    await keeper.close()
    assert dark is not None
    assert light is not None
    assert (dark.unacked, light.unacked) == (1, 0)


def cannot(*_: object) -> None:
    raise OSError("not here")


@pytest.mark.skipif(sys.platform != "linux", reason="needs socket filters")
@pytest.mark.parametrize("other", ["_fill", "drop_packets"])
async def test_a_dark_gate_answers_no_connect(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filling a queue takes time, in which the next gate of that network still acknowledges: that
    is the way of systems without filters alone."""
    if other == "_fill":
        monkeypatch.setattr(Gate, "_fill", cannot)
    else:
        monkeypatch.setattr(gates, "drop_packets", cannot)
    board, keeper = Board(), Keeper()
    gate = Gate(board, keeper, bind("127.0.0.1", 0), None, ("wan",))
    gate.start()
    loop = asyncio.get_running_loop()
    board.switch([parse_fault("wan:blackhole")])
    with socket.socket() as client:
        client.setblocking(False)
        connecting = asyncio.ensure_future(loop.sock_connect(client, gate.address))
        await asyncio.wait([connecting], timeout=0.2)
        silent = not connecting.done()
        board.switch([])
        async with asyncio.timeout(LONG):
            await connecting
    gate.close()
    await keeper.close()
    assert silent
