"""Clients that mean harm, on plain sockets, and an honest one that measures what it feels."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from echo.echo_client import BINARY, PING, PONG, TEXT, masked, request
from websockets.asyncio.client import connect

BATCH = 100
"""Connections opened before the honest client, in the same loop, gets its turn."""
GIANT = masked(BINARY, size=1 << 63)
FLOODS: dict[str, tuple[bytes, bytes]] = {
    "pings": (b"", masked(PING, b"p" * 125) * 500),
    "pongs": (b"", masked(PONG) * 5000),
    "tiny messages": (b"", masked(TEXT, b"x") * 5000),
    "a message in pieces for ever": (
        masked(TEXT, b"x", final=False), masked(0, final=False) * 5000,
    ),
    "big pieces for ever": (
        masked(BINARY, b"x" * 1000, final=False), masked(0, b"x" * 1000, final=False) * 100,
    ),
    "invalid UTF-8": (b"", masked(TEXT, b"\xc3\x28" * 1000)),
    "2^63 bytes": (GIANT, b"x" * 1_000_000),
    "one byte too many": (masked(BINARY, size=65537), b"x" * 65537),
    "not masked": (b"", masked(TEXT, b"x", mask=False) * 1000),
    "garbage": (b"", bytes(range(256)) * 500),
    "big messages": (b"", masked(BINARY, b"x" * 65536) * 8),
}  # fmt: skip
"""What is sent once after the upgrade, and then over and over."""


class Crowd:
    """Sockets that are opened and written to without ever waiting or reading."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sockets: list[socket.socket] = []

    async def dial(self, source: str) -> socket.socket:
        """One more connection from `source`; on loopback it is made at once."""
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.bind((source, 0))
        one.setblocking(False)
        self.sockets.append(one)
        if one.connect_ex(("127.0.0.1", self.port)) not in (0, errno.EINPROGRESS):
            raise OSError(f"no connection from {source}")
        if len(self.sockets) % BATCH == 0:
            await asyncio.sleep(0.005)
        return one

    async def half_open(self, count: int, addresses: int, network: str, sent: bytes) -> None:
        """`count` connections from `addresses` addresses, each with `sent` and no more."""
        for number in range(count):
            push(await self.dial(f"{network}.{1 + number % addresses}"), sent)

    async def upgraded(self, count: int, addresses: int, network: str) -> list[socket.socket]:
        """WebSockets whose answers nobody reads."""
        first = len(self.sockets)
        await self.half_open(count, addresses, network, request())
        return self.sockets[first:]

    def close(self) -> None:
        for one in self.sockets:
            one.close()


def push(one: socket.socket, data: bytes) -> bool:
    """Write what fits now; False when the connection is gone."""
    try:
        one.send(data)
    except BlockingIOError:
        pass
    except OSError:
        return False
    return True


async def flood(one: socket.socket, times: int, data: bytes) -> bool:
    """Write `data` again and again; whether the connection survived it."""
    for _ in range(times):
        if not push(one, data):
            return False
        await asyncio.sleep(0.01)
    return True


@dataclass
class Honest:
    """Connects, asks for an echo and leaves; notes how long each took, in seconds."""

    url: str
    clock: Callable[[], float]
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    async def visit(self) -> None:
        began = self.clock()
        try:
            async with asyncio.timeout(10):
                async with connect(self.url, proxy=None, compression=None) as peer:
                    await peer.send("honest")
                    assert await peer.recv() == "honest"
                    self.seconds.append(self.clock() - began)
        except Exception as error:
            self.failures.append(repr(error))

    @contextlib.asynccontextmanager
    async def all_the_while(self) -> AsyncIterator[None]:
        async def visits() -> None:
            while True:
                await self.visit()
                await asyncio.sleep(0.15)

        task = asyncio.create_task(visits())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def usual(self) -> float:
        """19 of 20 visits took no longer than this."""
        return sorted(self.seconds)[math.ceil(len(self.seconds) * 0.95) - 1]
