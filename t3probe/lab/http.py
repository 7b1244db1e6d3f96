"""HTTP/1.1 as far as the lab's hops need it (RFC 9112): heads, bodies, kept-alive servers.

Heads keep their bytes, so that a hop passes a request target on byte for byte. Every head is
bounded by 64 KiB; bodies pass through in chunks and are never held whole.

`forward` passes one request on to the next hop, as the edge and the load balancer do.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from email.utils import formatdate
from typing import Any

from t3probe.lab.answers import WrongAnswer
from t3probe.lab.streams import CHUNK_BYTES, Carried, FaultRule, Keeper, Pipe, Stream
from t3probe.timing import SystemClock

MAX_HEAD_BYTES = 65536
MAX_BODY_BYTES = 1 << 20
"""The longest request body that an app reads itself."""

TLS_SECONDS = 10.0

_PHRASES = {
    200: "OK",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    431: "Request Header Fields Too Large",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
Fields = Iterable[tuple[str, str]]


class HttpError(Exception):
    """A message that cannot be understood; `status` is the answer it deserves."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Head:
    """The start line and header fields of a message, and their bytes."""

    def __init__(self, raw: bytes) -> None:
        """`raw` ends with the empty line. Lines without a colon are passed over."""
        self.raw = raw
        first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        self.start = first
        self.fields: list[tuple[str, str]] = []
        for line in lines:
            name, colon, value = line.partition(":")
            if colon:
                self.fields.append((name.strip().lower(), value.strip()))

    def get(self, name: str) -> str:
        """The first value of a field, by its lower-case name; empty when it is absent."""
        return next((value for field, value in self.fields if field == name), "")

    def has(self, name: str, token: str) -> bool:
        """Whether a comma-separated field lists `token`, whatever its case."""
        values = ",".join(value for field, value in self.fields if field == name)
        return token in [part.strip().lower() for part in values.split(",")]

    @property
    def method(self) -> str:
        return self.start.split(" ", 1)[0]

    @property
    def target(self) -> str:
        """The request target as it stands, spaces included."""
        rest = self.start.partition(" ")[2]
        before, space, version = rest.rpartition(" ")
        return before if space and version.startswith("HTTP/") else rest

    @property
    def status(self) -> int:
        """The status of a response. Raises HttpError (502) when there is none."""
        parts = self.start.split(" ", 2)
        if len(parts) < 2 or not parts[0].startswith("HTTP/") or not parts[1].isdecimal():
            raise HttpError(502)
        return int(parts[1])

    @property
    def keep_alive(self) -> bool:
        """Whether the sender wants the connection to stay (RFC 9112 section 9.3)."""
        return "HTTP/1.1" in self.start and not self.has("connection", "close")

    def body(self, answers: str = "") -> int | None:
        """Bytes of the body that follows; -1: chunked; None: all until the connection ends.

        `answers` is the method of the request when this is a response (RFC 9112 section 6.3).
        """
        if answers and (answers == "HEAD" or self.status in (204, 304) or self.status < 200):
            return 0
        if self.has("transfer-encoding", "chunked"):
            return -1
        length = self.get("content-length")
        if length:
            if not (length.isascii() and length.isdecimal()):
                raise HttpError(502 if answers else 400)
            return int(length)
        return None if answers else 0

    def with_fields(self, fields: Fields) -> bytes:
        """The head's bytes with `fields` in place of those of the same name."""
        wanted = list(fields)
        names = {name.lower() for name, _ in wanted}
        first, *lines = self.raw.rstrip(b"\r\n").split(b"\r\n")
        kept = [one for one in lines if _name(one) not in names]
        added = [f"{name}: {value}".encode("latin-1") for name, value in wanted]
        return b"\r\n".join([first, *kept, *added, b"", b""])


def _name(line: bytes) -> str:
    return line.partition(b":")[0].strip().lower().decode("latin-1")


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next head, or None when the connection ended before one began.

    Raises HttpError when it is too long, ConnectionError when it is cut short.
    """
    while True:
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial.strip():
                raise ConnectionResetError("the head was cut short") from None
            return None
        except asyncio.LimitOverrunError:
            raise HttpError(431) from None
        raw = raw.lstrip(b"\r\n")
        if raw:  # empty lines before a request are skipped (RFC 9112 section 2.2)
            return Head(raw)


async def copy_body(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int | None
) -> None:
    """Pass a body on as it is framed. Raises HttpError or ConnectionError when it breaks off."""
    if length == -1:
        await _copy_chunked(reader, writer)
        return
    left = length
    while left is None or left > 0:
        data = await reader.read(CHUNK_BYTES if left is None else min(left, CHUNK_BYTES))
        if not data:
            if left is None:
                return
            raise ConnectionResetError("the body was cut short")
        if left is not None:
            left -= len(data)
        writer.write(data)
        await writer.drain()


async def _copy_chunked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """RFC 9112 section 7.1, trailers included."""
    while True:
        line = await _line(reader)
        writer.write(line)
        try:
            size = int(line.split(b";", 1)[0], 16)
        except ValueError:
            raise HttpError(400) from None
        if size <= 0:
            break
        await copy_body(reader, writer, size)
        writer.write(await _line(reader))
    while line.strip():
        line = await _line(reader)
        writer.write(line)
    await writer.drain()


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        line = await reader.readline()
    except ValueError:  # longer than the reader's limit
        raise HttpError(400) from None
    if not line.endswith(b"\n"):
        raise ConnectionResetError("the body was cut short")
    return line


class Client(Carried):
    """One client connection of an app, with the upstream connection made for it."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = stream
        self.writers.append(stream.writer)
        self.far: dict[str, Stream] = {}
        """Kept-alive connections to next hops, by the hop's name."""

    async def body(self, head: Head) -> bytes:
        """The request's body. Raises HttpError when it is chunked or too long."""
        length = head.body() or 0
        if not 0 <= length <= MAX_BODY_BYTES:
            raise HttpError(413)
        return await self.stream.reader.readexactly(length) if length else b""


class HttpApp:
    """A kept-alive HTTP/1.1 server on a loopback port. Subclasses answer."""

    def __init__(self, keeper: Keeper, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        self.keeper = keeper
        self._listener = listener
        self._tls = tls
        self._server: asyncio.Server | None = None
        self.port: int = listener.getsockname()[1]

    async def answer(self, client: Client, head: Head) -> bool:
        """Answer one request; whether the connection stays. Overridden."""
        raise NotImplementedError

    def own_fields(self) -> list[tuple[str, str]]:
        """Header fields that this server adds to every response."""
        return []

    async def start(self) -> None:
        tls = self._tls
        self._server = await asyncio.start_server(
            self._accepted,
            sock=self._listener,
            limit=MAX_HEAD_BYTES,
            ssl=tls,
            ssl_handshake_timeout=TLS_SECONDS if tls else None,
            ssl_shutdown_timeout=1.0 if tls else None,
        )

    async def close(self) -> None:
        """Stop listening; the keeper ends the connections."""
        if self._server:
            self._server.close()
        self._listener.close()

    async def respond(
        self,
        client: Client,
        head: Head | None,
        status: int,
        body: bytes = b"",
        fields: Fields = (),
        content_type: str = "text/plain; charset=utf-8",
    ) -> bool:
        """Send one response; whether the connection stays."""
        keep = head is not None and head.keep_alive
        lines = [
            f"HTTP/1.1 {status} {_PHRASES.get(status, 'Status')}",
            f"date: {formatdate(SystemClock().wall(), usegmt=True)}",
            f"content-type: {content_type}",
            f"content-length: {len(body)}",
            *(f"{name}: {value}" for name, value in (*fields, *self.own_fields())),
            f"connection: {'keep-alive' if keep else 'close'}",
        ]
        message = "\r\n".join([*lines, "", ""]).encode("latin-1")
        if head is None or head.method != "HEAD":
            message += body
        client.stream.writer.write(message)
        await client.stream.writer.drain()
        return keep

    async def respond_wrongly(self, client: Client, head: Head, wrong: WrongAnswer) -> bool:
        """Send what a fault makes of the answer; whether the connection stays. A request with a
        body, which is not read here, ends it."""
        asked = None if head.body() else head
        return await self.respond(client, asked, wrong.status, wrong.body, wrong.fields)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(self.keeper.keep((reader, writer)))
        client.task = self.keeper.spawn(self._serve(client))
        client.task.add_done_callback(functools.partial(self.done, client))

    def done(self, client: Client, _: asyncio.Task[None]) -> None:
        """A connection's task has ended."""
        client.finish()

    async def _serve(self, client: Client) -> None:
        # Of a TLS connection asyncio notices the end even while nobody reads.
        gone = self.keeper.closing(client.stream)
        try:
            while head := await read_head(client.stream.reader):
                if not await _unless(gone, self.answer(client, head)):
                    break
            client.ending = "polite"
        except HttpError as error:
            with contextlib.suppress(OSError):
                await self.respond(client, None, error.status)
            client.ending = "polite"
        except (OSError, asyncio.IncompleteReadError):
            client.ending = "abort"


async def _unless(gone: asyncio.Future[None], work: Awaitable[bool]) -> bool:
    """The result of `work`; False as soon as the client is gone."""
    task = asyncio.ensure_future(work)
    both: set[asyncio.Future[Any]] = {gone, task}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else False
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


DIAL_SECONDS = 10.0
ANSWER_SECONDS = 30.0


class Hop:
    """A next hop: how to reach it, and the faults that its answers obey."""

    def __init__(self, name: str, dial: Callable[[], Awaitable[Stream]], rule: FaultRule) -> None:
        self.name = name
        self.dial = dial
        self.rule = rule


async def forward(
    app: HttpApp, client: Client, head: Head, hop: Hop, raw: bytes | None = None
) -> bool:
    """Pass a request on and its answer back; whether the client's connection stays.

    `raw` replaces the request head's bytes. A hop that refuses, breaks off or talks nonsense
    gives the app's own 502; one that is silent its 504.
    """
    try:
        far, answer = await _ask(client, head, hop, raw or head.raw)
        length = answer.body(head.method)
    except TimeoutError:
        return await app.respond(client, None, 504, b"Gateway Timeout\n")
    except (OSError, HttpError, asyncio.IncompleteReadError):
        return await app.respond(client, None, 502, b"Bad Gateway\n")
    near = client.stream
    added = answer.with_fields(app.own_fields())
    if answer.status == 101:
        near.writer.write(added)
        await near.writer.drain()
        with contextlib.suppress(OSError):  # a proxy turns a reset upstream into a close
            await Pipe(near, far, hop.rule).run()
        client.ending = "polite"
        return False
    if delay := hop.rule.delay():
        await hop.rule.board.later(delay, hop.rule.delay)
    await hop.rule.board.while_blocked(hop.rule.held_back)
    near.writer.write(added)
    await copy_body(far.reader, near.writer, length)
    await near.writer.drain()
    return head.keep_alive and answer.keep_alive and length is not None


async def _ask(client: Client, head: Head, hop: Hop, raw: bytes) -> tuple[Stream, Head]:
    """Send the request to the hop and read the head of its final answer."""
    far = client.far.get(hop.name)
    if far is None or far.reader.at_eof() or far.writer.is_closing():
        if far:
            far.writer.transport.abort()
            client.writers.remove(far.writer)
        async with asyncio.timeout(DIAL_SECONDS):
            far = await hop.dial()
        client.far[hop.name] = far
        client.writers.append(far.writer)
    far.writer.write(raw)
    await copy_body(client.stream.reader, far.writer, head.body())
    await far.writer.drain()
    async with asyncio.timeout(ANSWER_SECONDS):
        while True:
            answer = await read_head(far.reader)
            if answer is None:
                raise ConnectionResetError(f"{hop.name} closed without an answer")
            if answer.status == 101 or answer.status >= 200:
                return far, answer
