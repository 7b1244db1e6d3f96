"""Secrets that are planted, servers that quote every request in every place, and who looks."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

ATTACKS = ("::error::obeyed", "##[error]obeyed", "##vso[task.complete]obeyed")
OBEYED = re.compile(r"^(?:\s|\x1b\[[\d;]*m)*::\S|\#\#\w*\[|section_(?:start|end):\d", re.MULTILINE)


def canary(name: str) -> str:
    """A secret that nothing else is, with characters that are written in several ways."""
    return f"{name}/7f3a9c+{hashlib.sha256(name.encode()).hexdigest()[:12]}?=Z"


def ways(secret: str) -> Iterator[bytes]:
    """How it may have got out; of base64 what does not depend on what stands around it."""
    yield secret.encode()
    yield quote(secret, safe="").encode()
    yield quote(secret, safe="").lower().encode()
    yield quote(secret).encode()
    yield json.dumps(secret)[1:-1].replace("/", "\\/").encode()
    for before in range(3):
        inside = base64.b64encode(b"." * before + secret.encode() + b"..").decode()[4:]
        inside = inside[: 4 * ((before + len(secret)) // 3) - 4]
        yield inside.encode()
        yield inside.replace("+", "-").replace("/", "_").encode()
    # What the cut of a line, or of a text, may leave of it.
    yield secret[: len(secret) // 2 + 6].encode()


def escaped(found: bytes, secrets: Iterable[str]) -> list[str]:
    """Which of the secrets stand in what came out."""
    return [one for one in secrets if any(way in found for way in ways(one))]


def obeyed(output: bytes) -> list[str]:
    """What a CI runner would obey in it."""
    text = output.decode("utf-8", "replace").replace("\r", "\n")
    return [line for line in text.split("\n") if OBEYED.search(line)]


def everything(folder: Path) -> bytes:
    """All files below a folder, with their names."""
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    return b"\n".join(str(one).encode() + b"\n" + one.read_bytes() for one in files)


class Quoting:
    """A server that says what it was told: in reasons, headers, bodies, cookies, redirects and
    close reasons, as it came and in other ways of writing."""

    def __init__(self, cookie: str, kind: bool = False) -> None:
        self.cookie, self.kind = cookie, kind
        self.asked: list[bytes] = []
        self.port = 0

    def answer(self, request: bytes) -> bytes:
        """One whole answer to a whole request."""
        head, _, _ = request.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        target = lines[0].split(" ")[1] if " " in lines[0] else "/"
        said = [one for one in lines[1:] if one.lower().startswith(("auth", "cookie", "x-"))]
        values = " ".join(one.partition(" ")[2] for one in said)
        if self.kind and target.startswith(("/api/v1/metrics", "/metrics")):
            body = '{"status":"success","data":[]}' if "api" in target else ""
            return _http("200 OK", [], body)
        if "/go" in target:
            place = target.replace("/go", "/round")
            return _http("302 Found", self._quoted(values, lines, place), "")
        if "/round" in target:
            away = f"{target.replace('/round', '/over')}?seen={quote(values)}&{values}"
            return _http(f"302 {values}", self._quoted(values, lines, away), "")
        if "sec-websocket-key" in head.decode("latin-1").lower() and "/close" in target:
            return _close(head.decode("latin-1"), f"{ATTACKS[1]} {values}")
        body = json.dumps({"status": "error", "error": f"{ATTACKS[0]}\n{lines}\n{values}"})
        body = f"{ATTACKS[0]} {values} {lines} {body} {base64.b64encode(request).decode()}"
        return _http(f"400 {ATTACKS[1]} {values}", self._quoted(values, lines, ""), body)

    def _quoted(self, values: str, lines: list[str], place: str) -> list[str]:
        whole = " ".join(lines)
        return [
            *([f"Location: {place}"] if place else []),
            f"Set-Cookie: sid={self.cookie}; Path=/",
            f"X-Quoted: {ATTACKS[2]} {whole}",
            f"X-Coded: {base64.urlsafe_b64encode(whole.encode()).decode()}",
            f'WWW-Authenticate: Basic realm="{ATTACKS[1]} {values}"',
        ]


def _http(status: str, headers: list[str], body: str) -> bytes:
    raw = body.encode("latin-1", "replace")
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(raw)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + raw


def _close(head: str, reason: str) -> bytes:
    key = re.search(r"(?i)sec-websocket-key: (\S+)", head)
    assert key is not None
    digest = hashlib.sha1((key[1] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    payload = (4001).to_bytes(2) + reason.encode()[:120]
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        + bytes([0x88, len(payload)]) + payload
    )  # fmt: skip


@contextmanager
def quoting(
    cookie: str, kind: bool = False, tls: ssl.SSLContext | None = None
) -> Iterator[Quoting]:
    """Such a server on a free loopback port."""
    server = Quoting(cookie, kind)
    listener = socket.create_server(("127.0.0.1", 0))
    server.port = listener.getsockname()[1]
    threads: list[threading.Thread] = []

    def one(sock: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.closing(sock):
            sock.settimeout(20)
            if tls is not None:
                sock = tls.wrap_socket(sock, server_side=True)
            data = b""
            while b"\r\n\r\n" not in data and (chunk := sock.recv(65536)):
                data += chunk
            head, _, body = data.partition(b"\r\n\r\n")
            size = re.search(rb"(?i)content-length: (\d+)", head)
            while size and len(body) < int(size[1]):
                body += sock.recv(65536)
            server.asked.append(head)
            sock.sendall(server.answer(data))
            if tls is not None:
                sock.close()  # what is to be read has its length
                return
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=one, args=(sock,)))
            threads[-1].start()

    main = threading.Thread(target=accept)
    main.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        main.join()
        for thread in threads:
            thread.join()
