"""Small real servers on loopback, and what it takes to run probes against them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from steady_loop import running_clock

from t3probe.config.table import Duration
from t3probe.config.types import Deployment, Leg, Sso, Timing
from t3probe.observation import Beat, Observation
from t3probe.run.book import Book
from t3probe.run.controller import Run
from t3probe.timing import RunClock

HOST = "app.example"
SSO = Sso(hosts=("sso.example",), login_markers=("/flow/login",))
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """A listening server that counts its connections."""

    port: int = 0
    address: str = "127.0.0.1"
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    """Request heads, as they came."""
    closed: int = 0
    """Connections whose peer has gone."""

    @property
    def pin(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


@asynccontextmanager
async def serve(
    handler: Handler,
    *,
    tls: ssl.SSLContext | None = None,
    address: str = "127.0.0.1",
    port: int = 0,
    limit: int = 2**16,
) -> AsyncIterator[Server]:
    """Run `handler` for every connection; at the end everything is cut off."""
    server = Server(address=address)
    writers: set[asyncio.StreamWriter] = set()
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        writer.server = server  # type: ignore[attr-defined]
        try:
            await handler(reader, writer)
        except (OSError, EOFError, asyncio.LimitOverrunError, ValueError):
            pass
        except asyncio.CancelledError:
            pass
        finally:
            server.closed += 1
            writers.discard(writer)
            tasks.discard(task)
            writer.close()

    listener = await asyncio.start_server(accept, address, port, ssl=tls, limit=limit)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        for writer in list(writers):
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def deaf(sock: Any, on: bool = True) -> None:
    """Let the kernel drop every packet for `sock`, as a black hole does, or stop doing so."""
    import ctypes

    if not on:
        sock.setsockopt(socket.SOL_SOCKET, 27, 0)
        return
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    filtering = struct.pack("HL", 1, ctypes.addressof(program))
    sock.setsockopt(socket.SOL_SOCKET, 26, filtering)


# -- HTTP ----------------------------------------------------------------------------------


async def head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """One request's head, noted on the server, and its body thrown away."""
    data = await reader.readuntil(b"\r\n\r\n")
    writer.server.requests.append(data)  # type: ignore[attr-defined]
    return data


def response(
    status: str = "200 OK", body: bytes = b"ok", headers: Sequence[tuple[str, str]] = ()
) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def answering(*answers: bytes) -> Handler:
    """Gives the answers in turn on each connection, the last one for ever."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = list(answers)
        while True:
            await head(reader, writer)
            writer.write(left[0])
            await writer.drain()
            if len(left) > 1:
                left.pop(0)

    return handler


def target_of(request: bytes) -> str:
    """The request target, byte for byte."""
    return request.split(b"\r\n")[0].split(b" ")[1].decode("latin-1")


def header_of(request: bytes, name: str) -> str | None:
    for line in request.decode("latin-1").split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.lower() == name.lower():
            return value.strip()
    return None


# -- WebSocket -----------------------------------------------------------------------------


async def upgrade(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, extra: str = ""
) -> None:
    """Read an upgrade request and accept it."""
    request = await head(reader, writer)
    key = header_of(request, "sec-websocket-key") or ""
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    accept = base64.b64encode(digest).decode()
    writer.write(
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n{extra}\r\n"
        ).encode("latin-1")
    )
    await writer.drain()


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """(opcode, payload) of one masked frame."""
    first, second = await reader.readexactly(2)
    size = second & 0x7F
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    elif size == 127:
        size = int.from_bytes(await reader.readexactly(8), "big")
    mask = await reader.readexactly(4)
    data = await reader.readexactly(size)
    return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


def frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, size: int | None = None
) -> bytes:
    """One unmasked frame; `size` lies about the payload's length."""
    length = len(payload) if size is None else size
    start = bytes([(0x80 if final else 0) | opcode])
    if length < 126:
        return start + bytes([length]) + payload
    if length < 65536:
        return start + b"\x7e" + length.to_bytes(2, "big") + payload
    return start + b"\x7f" + length.to_bytes(8, "big") + payload


TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A faithful echo, with a close handshake."""
    await upgrade(reader, writer)
    await echo_frames(reader, writer)


async def echo_frames(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, times: int = 10**9
) -> None:
    while times > 0:
        opcode, payload = await read_frame(reader)
        if opcode == CLOSE:
            writer.write(frame(CLOSE, payload))
            await writer.drain()
            return
        if opcode in {TEXT, BINARY}:
            writer.write(frame(opcode, payload))
            await writer.drain()
            times -= 1


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes everything, answers nothing."""
    while await reader.read(65536):
        pass


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Wait for `condition`. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


# -- running -------------------------------------------------------------------------------


def timing(**changes: float) -> Timing:
    """Scaled down; a good answer has seconds to arrive."""
    values: dict[str, float] = {
        "heartbeat": 0.1,
        "watchdog": 5,
        "connect_timeout": 5,
        "backoff": 0.1,
        "backoff_max": 0.2,
        **changes,
    }
    return Timing(**{name: Duration(value) for name, value in values.items()})


def ws_leg(server: Server | None = None, /, **changes: Any) -> Leg:
    values: dict[str, Any] = {"name": "ws", "kind": "ws_echo", "path": ("front", "back"), **changes}
    if server is not None:
        values.setdefault("url", f"ws://{HOST}/ws")
        values.setdefault("pin", server.pin)
    return Leg(**values)


def http_leg(server: Server | None = None, /, **changes: Any) -> Leg:
    values: dict[str, Any] = {"name": "http", "kind": "http", "path": ("front", "back"), **changes}
    if server is not None:
        values.setdefault("url", f"http://{HOST}/health")
        values.setdefault("pin", server.pin)
    return Leg(**values)


def deployment(legs: Sequence[Leg], ca: str | None = None, **times: float) -> Deployment:
    segments = tuple(dict.fromkeys(one for leg in legs for one in leg.path))
    return Deployment(
        name="test",
        file="test.toml",
        segments=segments,
        legs=tuple(legs),
        timing=timing(**times),
        sso=SSO,
        tls_ca=ca,
    )


def made_run(deployment: Deployment, legs: Sequence[Leg], **more: Any) -> Run:
    """A run on the clock of the running loop."""
    return Run(deployment, legs, clock=RunClock(running_clock()), **more)


async def probe_all(
    legs: Sequence[Leg], *, hold: float = 0, ca: str | None = None, **times: float
) -> dict[str, Observation]:
    run = made_run(deployment(legs, ca, **times), legs, hold=hold)
    return {seen.leg: seen for seen in await run.measure()}


async def probe(leg: Leg, *, hold: float = 0, ca: str | None = None, **times: float) -> Observation:
    """One leg's observation."""
    return (await probe_all([leg], hold=hold, ca=ca, **times))[leg.name]


def one_is_held(seen: Observation) -> tuple[list[Beat], list[Beat]]:
    """The held beats and the fresh ones, where one connection was held from the opening on: it
    carries every held beat, and every other fresh beat has a connection of its own."""
    held = [beat for beat in seen.beats if beat.strand == "held"]
    fresh = [beat for beat in seen.beats if beat.strand == "fresh"]
    assert len(held) + len(fresh) == len(seen.beats)
    assert [one.conn for one in seen.connections] == [0]
    assert {beat.conn for beat in held} == {0}
    assert sorted(beat.conn for beat in fresh) == list(range(len(fresh)))
    return held, fresh


async def probe_until(
    condition: Callable[[Book], bool], leg: Leg, made: Deployment | None = None, **times: float
) -> Observation:
    """One leg's observation when its book meets `condition`, however long that takes."""
    run = Run(made or deployment([leg], **times), [leg], hold=60)
    measuring = asyncio.ensure_future(run.measure())
    await until(lambda: bool(run.legs) and condition(run.legs[0].book), 30)
    run.stop()
    (seen,) = await measuring
    return seen
