"""A stand-in for Prometheus on loopback that answers what a test tells it to."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Samples = list[tuple[float, float]]


class StandIn(ThreadingHTTPServer):
    """Answers every question alike, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.body = status, body
        self.paths: list[str] = []
        self.asked: list[dict[str, list[str]]] = []
        self.headers: list[dict[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_GET(self) -> None:
        self.server.paths.append(urlsplit(self.path).path)
        self.server.asked.append(parse_qs(urlsplit(self.path).query))
        self.server.headers.append(dict(self.headers.items()))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(self.server.body)

    def log_message(self, *words: Any) -> None:
        pass


@contextlib.contextmanager
def answering(body: bytes | dict[str, Any], status: int = 200) -> Iterator[StandIn]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with StandIn(status, raw) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def matrix(*series: tuple[dict[str, str], Samples], **more: Any) -> dict[str, Any]:
    """Prometheus' answer to a range selector."""
    result = [
        {"metric": labels, "values": [[at, repr(value)] for at, value in samples]}
        for labels, samples in series
    ]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}, **more}
