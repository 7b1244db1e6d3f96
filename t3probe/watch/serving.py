"""A small HTTP/1 server in a thread of its own that only ever reads.

The thread has its own event loop, so that it answers while the probing loop stands still.
Connections, request sizes and times are bounded: a client, hostile or not, costs the probing no
more than a little CPU. Each request gets one answer and the end of its connection.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress

from t3probe.exchange.bounds import (
    SERVED_BACKLOG,
    SERVED_CONNECTIONS,
    SERVED_HEAD_BYTES,
    SERVED_REQUEST_SECONDS,
)
from t3probe.exchange.room import Room

PLAIN = "text/plain; charset=utf-8"
_WORDS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    503: "Service Unavailable",
}

Listen = tuple[str, int]
"""Host ("" for all addresses) and port."""


def parse_listen(text: str, option: str = "--listen") -> Listen:
    """`127.0.0.1:9108`, `[::1]:9108` or `:9108`. Raises ValueError, one sentence that begins with
    the option."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise ValueError(
            f"{option}: expected HOST:PORT or :PORT, such as 127.0.0.1:9108, found {text!r}"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def _bound(listen: Listen) -> socket.socket:
    """A listening socket. Raises OSError."""
    host, port = listen
    if not host and socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=SERVED_BACKLOG
            )
        except OSError:
            pass  # the kernel knows IPv6 and this network does not
    six = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=six, backlog=SERVED_BACKLOG)


class ReadOnlyServer:
    """Listens from its making on; answers from `start` to `stop`."""

    def __init__(self, listen: Listen, name: str) -> None:
        """`name`: of its thread. Raises OSError when the address cannot be had."""
        self._asked: set[asyncio.StreamWriter] = set()
        self._room = Room[asyncio.StreamWriter](
            SERVED_CONNECTIONS,
            idle=lambda one: one not in self._asked,
            end=lambda one: one.transport.abort(),
        )
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._socket = _bound(listen)
        host, port = self._socket.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        """Where it listens."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def answer(self, method: str, path: str) -> bytes:
        """A whole response to GET or HEAD; `path` has no query. Called in the thread."""
        raise NotImplementedError

    def unknown(self, path: str) -> bytes:
        """What to say of a path that is not there; empty for one that is."""
        raise NotImplementedError

    def start(self) -> None:
        """Answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering, within half a second."""
        if self._thread.is_alive():
            with suppress(RuntimeError):  # it has ended by itself meanwhile
                self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(0.5)
        elif not self._loop.is_closed():
            self._loop.close()
        self._socket.close()

    # -- in the thread -------------------------------------------------------------------

    def _run(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._serve())
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        finally:
            loop.close()

    async def _serve(self) -> None:
        self._room.heed_descriptors(self._loop)
        listening = await asyncio.start_server(
            self._client, sock=self._socket, limit=SERVED_HEAD_BYTES, backlog=SERVED_BACKLOG
        )
        await self._stopped.wait()
        listening.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._room.enter(writer)
        try:
            async with asyncio.timeout(SERVED_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                self._asked.add(writer)
                writer.write(self._answered(head))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass
        finally:
            self._room.leave(writer)
            self._asked.discard(writer)
            writer.transport.abort()

    def _answered(self, head: bytes) -> bytes:
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return response(400, PLAIN, b"expected an HTTP/1 request\n")
        method, path = words[0], words[1].partition("?")[0]
        unknown = self.unknown(path)
        if unknown:
            return response(404, PLAIN, unknown, method)
        if method not in ("GET", "HEAD"):
            return response(405, PLAIN, b"expected GET or HEAD\n")
        return self.answer(method, path)


def response(status: int, kind: str, body: bytes, method: str = "GET") -> bytes:
    head = (
        f"HTTP/1.1 {status} {_WORDS[status]}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n"
        f"{'Allow: GET, HEAD' + chr(13) + chr(10) if status == 405 else ''}\r\n"
    )
    return head.encode("ascii") + (b"" if method == "HEAD" else body)
