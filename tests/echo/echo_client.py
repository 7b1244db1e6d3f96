"""What the responder's tests share: raw clients, a responder in this process, one in a child."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t3probe.echo import Limits, Proxies, Responder
from t3probe.echo.site import PageSite
from t3probe.timing import FakeClock

ROOT = Path(__file__).resolve().parents[2]
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = b"\x01\x02\x03\x04"


def masked(
    kind: int, data: bytes = b"", *, final: bool = True, size: int | None = None, mask: bool = True
) -> bytes:
    """A client's frame; `size` lies about the length of `data`."""
    length = len(data) if size is None else size
    start = bytes([(0x80 if final else 0) | kind])
    bit = 0x80 if mask else 0
    if length < 126:
        start += bytes([bit | length])
    elif length < 65536:
        start += bytes([bit | 126]) + length.to_bytes(2, "big")
    else:
        start += bytes([bit | 127]) + length.to_bytes(8, "big")
    if not mask:
        return start + data
    return start + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(data))


def request(path: str = "/probe/ws", *fields: str, method: str = "GET") -> bytes:
    """A request; an upgrade when it goes to the echo."""
    upgrade = [
        "Upgrade: websocket", "Connection: keep-alive, Upgrade", f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
    ]  # fmt: skip
    lines = [f"{method} {path} HTTP/1.1", "Host: app.example", *fields]
    return "\r\n".join([*lines, *(upgrade if path == "/probe/ws" else []), "", ""]).encode()


class Peer:
    """A client that can do everything wrong."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *data: bytes) -> None:
        self.writer.writelines(data)

    async def status(self) -> int:
        """The status of the answer; its head is kept in `head`."""
        self.head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        return int(self.head.split()[1])

    async def open(self, *fields: str) -> int:
        self.send(request("/probe/ws", *fields))
        return await self.status()

    async def frame(self) -> tuple[int, bytes]:
        """The next frame; kind and payload. Raises IncompleteReadError at the end."""
        kind, size = await self.reader.readexactly(2)
        assert kind & 0xF0 == 0x80, "one whole frame, no reserved bits"
        assert size < 128, "a server does not mask"
        if size >= 126:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
        return kind & 15, await self.reader.readexactly(size)

    async def echo(self, data: bytes, kind: int = TEXT) -> bytes:
        self.send(masked(kind, data))
        answer = await self.frame()
        assert answer[0] == kind
        return answer[1]

    async def code(self) -> int:
        """The code of the close frame that comes next, and that the connection then ends."""
        kind, data = await self.frame()
        assert kind == CLOSE, (kind, data[:40])
        assert await self.reader.read() == b""
        return int.from_bytes(data[:2], "big")

    async def gone(self) -> bool:
        """Whether the connection ends without another byte."""
        try:
            return await self.reader.read() == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.writer.transport.abort()


@dataclass
class Served:
    """A responder in this process."""

    responder: Responder
    clock: FakeClock
    port: int
    peers: list[Peer]
    said: list[str]

    async def dial(self, source: str = "127.0.0.1") -> Peer:
        streams = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(source, 0), limit=1 << 20
        )
        self.peers.append(Peer(*streams))
        return self.peers[-1]

    async def websocket(self, *fields: str, source: str = "127.0.0.1") -> Peer:
        peer = await self.dial(source)
        assert await peer.open(*fields) == 101, peer.head
        return peer

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(20):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.005)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.responder.sweep()


@contextlib.asynccontextmanager
async def serving(
    limits: Limits | None = None, proxies: Sequence[str] = (), site: PageSite | None = None
) -> AsyncIterator[Served]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    clock, said = FakeClock(), list[str]()
    responder = Responder(
        listener, limits or Limits(), Proxies(proxies), site=site, clock=clock, say=said.append
    )
    responder.start()
    served = Served(responder, clock, listener.getsockname()[1], [], said)
    try:
        async with asyncio.timeout(60):
            yield served
    finally:
        for peer in served.peers:
            peer.close()
        responder.stop()
        await asyncio.sleep(0)
        assert responder.held == 0, "everything that was held is let go of"


@dataclass
class Child:
    """`t3probe echo` in a process of its own."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/probe/ws"

    def peak_mib(self) -> float:
        """The largest resident size so far (VmHWM)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        return int(found[1]) / 1024

    def files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def terminate(self) -> str:
        """SIGTERM; what it said. Raises TimeoutExpired after 15 s."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=15)[1]


PATIENT = """
import sys
from functools import partial

from t3probe.cli import main
from t3probe.echo import __main__ as echo

echo.Limits = partial(echo.Limits, handshake=float(sys.argv.pop(1)))
sys.exit(main(sys.argv[1:]))
"""


@contextlib.contextmanager
def child(
    *words: str, listen: str = "127.0.0.1:0", handshake: float | None = None
) -> Iterator[Child]:
    """`handshake`: how many seconds a client has for its request, in place of the usual ten."""
    module = ["-m", "t3probe.cli"] if handshake is None else ["-c", PATIENT, str(handshake)]
    process = subprocess.Popen(
        # A low soft limit, as most systems have it: the responder raises its own.
        ["sh", "-c", 'ulimit -Sn 1024; exec "$@"', "sh", sys.executable, *module,
         "echo", "--listen", listen, *words],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
        # What it costs is measured: no coverage in it.
        env={name: value for name, value in os.environ.items() if "COVERAGE" not in name},
    )  # fmt: skip
    try:
        assert process.stderr is not None
        first = process.stderr.readline()
        found = re.search(r"listening on \S+:(\d+),", first)
        assert found, first + process.stderr.read()
        yield Child(process, int(found[1]))
    finally:
        process.kill()
        process.communicate()
