"""Servers that misbehave, each in one way, on loopback."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Handler = Callable[[socket.socket, bytes, "Server"], None]
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Server:
    """What a server saw and did."""

    port: int
    handler: Handler
    requests: list[bytes] = field(default_factory=list)
    sent: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def _request(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = sock.recv(65536)
        if not chunk:
            return data
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    size = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            size = int(value)
    while len(body) < size:
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server that hands every request to `handler` and then closes."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(listener.getsockname()[1], handler)
    threads: list[threading.Thread] = []

    def one(sock: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.closing(sock):
            sock.settimeout(20)
            if tls is not None:
                sock = tls.wrap_socket(sock, server_side=True)
            with contextlib.closing(sock):
                request = _request(sock)
                server.requests.append(request)
                server.handler(sock, request, server)

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=one, args=(sock,))
            threads.append(thread)
            thread.start()

    main = threading.Thread(target=accept)
    main.start()
    try:
        yield server
    finally:
        server.over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        main.join()
        for thread in threads:
            thread.join()


def answering(status: str, body: bytes = b"", *lines: str) -> Handler:
    """Always the same answer."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines])

    def handler(sock: socket.socket, request: bytes, server: Server) -> None:
        sock.sendall(head.encode() + b"\r\n\r\n" + body)

    return handler


def silent(sock: socket.socket, request: bytes, server: Server) -> None:
    """Takes the request and says nothing."""
    server.over.wait(20)


def closing(sock: socket.socket, request: bytes, server: Server) -> None:
    """Takes the request and hangs up."""


def half(sock: socket.socket, request: bytes, server: Server) -> None:
    sock.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"status":')


def half_chunked(sock: socket.socket, request: bytes, server: Server) -> None:
    sock.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n{"st')


def dripping(sock: socket.socket, request: bytes, server: Server) -> None:
    """One header byte after the other: every single read is quick, the whole has no end."""
    sock.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while not server.over.wait(0.02):
        sock.sendall(b"x")


def gigabyte(sock: socket.socket, request: bytes, server: Server) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
    _pour(sock, server, b" " * 65536)


def gigabyte_chunked(sock: socket.socket, request: bytes, server: Server) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    _pour(sock, server, b"10000\r\n" + b" " * 65536 + b"\r\n")


def gigabyte_of_headers(sock: socket.socket, request: bytes, server: Server) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\n")
    _pour(sock, server, b"X-A: " + b"a" * 60000 + b"\r\n")


def gigabyte_of_trailers(sock: socket.socket, request: bytes, server: Server) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    _pour(sock, server, b"X-A: " + b"a" * 60000 + b"\r\n")


def _pour(sock: socket.socket, server: Server, piece: bytes) -> None:
    while server.sent < 1 << 30 and not server.over.is_set():
        sock.sendall(piece)
        server.sent += len(piece)


def forwarding(target: str, *, lose: str = "", drop: bool = False) -> Handler:
    """Passes requests on; the answer to the method `lose` never comes back. With `drop` such a
    request is not even passed on."""

    def handler(sock: socket.socket, request: bytes, server: Server) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
        if drop and method == lose:
            return
        asked = urllib.request.Request(
            target + path,
            data=body or None,
            method=method,
            headers={"Content-Type": "text/plain; version=0.0.4"},
        )
        try:
            with DIRECT.open(asked, timeout=10) as answer:
                status, content = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, content = error.code, error.read()
        if method != lose:
            sock.sendall(
                f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content
            )

    return handler
