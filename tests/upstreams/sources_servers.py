"""HTTP servers on loopback that answer what a test wants."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Answer = Callable[[bytes], bytes]


@contextmanager
def serving(answer: Answer) -> Iterator[tuple[str, list[bytes]]]:
    """A server whose answer to each request is whatever bytes `answer` makes of its head; its
    URL, and the heads so far. An empty answer holds the connection open and says nothing."""
    heads: list[bytes] = []
    held: list[socket.socket] = []

    def talk(sock: socket.socket) -> None:
        head = b""
        try:
            while b"\r\n\r\n" not in head:
                piece = sock.recv(65536)
                if not piece:
                    return
                head += piece
            heads.append(head)
            said = answer(head)
            if not said:
                held.append(sock)
                return
            sock.sendall(said)
        except OSError:
            pass
        if sock not in held:
            sock.close()

    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    sock, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=talk, args=(sock,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", heads
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for sock in held:
                sock.close()


def ok(body: bytes, status: str = "200 OK") -> bytes:
    """A whole answer."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def target(head: bytes) -> str:
    """What a request asked for."""
    return head.split(b" ", 2)[1].decode()
