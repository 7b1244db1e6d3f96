"""The head of a request in, the bytes of an answer out (RFC 9112, RFC 6455 section 4.2). Pure.

Kept by hand because `websockets.server.ServerProtocol` (17.4) hangs up without a word on a request
that it cannot read, where section 4.2.1 asks for an answer, and refuses another version without the
`Sec-WebSocket-Version` of section 4.4.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from t3probe.exchange.bounds import ECHO_HEADER_LINES

ECHO_PATH = "/probe/ws"
HEALTH_PATH = "/probe/healthz"
NONCE_FIELD = "t3probe-nonce"
"""What a request carries to be told from every other: at most 64 hexadecimal digits."""
MARK_FIELD = "t3probe-echo"
"""What every answer carries: the request's nonce, so that no cache can have made it."""
NO_NONCE = "-"
"""The mark of an answer to a request without a nonce, or with one that is none."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/(\d)\.(\d)")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*+([^\x00-\x08\x0a-\x1f\x7f]*)")
_ABSOLUTE = re.compile(r"https?://[^/?]*", re.IGNORECASE)
_NONCE = re.compile(r"[0-9A-Fa-f]{1,64}", re.ASCII)


class Refusal(Exception):
    """An answer other than the one that was asked for."""

    def __init__(self, status: int, text: str, *fields: str) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text
        self.fields = fields
        """Further header lines."""

    def __str__(self) -> str:
        return f"{self.status} {self.text}"


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `fields` maps lower-case names to their values in order."""

    method: str
    path: str
    """Without the query."""
    fields: dict[str, list[str]]

    def tokens(self, name: str) -> list[str]:
        """The comma-separated words of a field, lower case."""
        values = ",".join(self.fields.get(name, ()))
        return [one.strip().lower() for one in values.split(",") if one.strip()]

    @property
    def mark(self) -> str:
        """The mark of the answer to this request."""
        return mark(self.fields.get(NONCE_FIELD, ()))

    def only(self, name: str) -> str:
        """The value of a field that has to stand exactly once. Raises Refusal."""
        values = self.fields.get(name, [])
        if len(values) != 1:
            raise Refusal(400, f"expected one {name}, found {len(values)}")
        return values[0]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with a content of its own."""

    status: int
    content: bytes
    kind: str
    """Its Content-Type."""
    fields: tuple[str, ...] = ()
    """Further header lines."""


def parse(head: bytes) -> Request:
    """The request whose head, without the empty line, is `head`. Raises Refusal."""
    first, *lines = head.split(b"\r\n")
    found = _LINE.fullmatch(first)
    if found is None:
        raise Refusal(400, "not a request line of HTTP/1.1")
    if found[3] != b"1" or found[4] != b"1":
        raise Refusal(505, "HTTP/1.1 only")
    if len(lines) > ECHO_HEADER_LINES:
        raise Refusal(431, f"more than {ECHO_HEADER_LINES} header fields")
    fields: dict[str, list[str]] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise Refusal(400, "a broken header field")
        value = field[2].decode("latin-1").rstrip(" \t")
        fields.setdefault(field[1].decode("ascii").lower(), []).append(value)
    target = found[2].decode("ascii")
    path = _ABSOLUTE.sub("", target, count=1) if target[0] != "/" else target
    request = Request(found[1].decode("ascii"), path.partition("?")[0], fields)
    request.only("host")
    return request


def mark(nonces: Sequence[str]) -> str:
    """The mark of the answer to a request whose nonce fields have these values.

    Whatever is not one nonce is not returned, not even in part.
    """
    if len(nonces) == 1 and _NONCE.fullmatch(nonces[0]):
        return nonces[0]
    return NO_NONCE


def upgrade(request: Request) -> bytes:
    """The 101 that turns `request` into a WebSocket; no extension, no subprotocol.

    Raises Refusal: 405, 426 or 400.
    """
    if request.method != "GET":
        raise Refusal(405, "GET only", "Allow: GET")
    if "websocket" not in request.tokens("upgrade") or "upgrade" not in request.tokens(
        "connection"
    ):
        raise Refusal(426, "a WebSocket is spoken here", "Upgrade: websocket")
    if request.only("sec-websocket-version") != "13":
        raise Refusal(426, "WebSocket version 13 only", "Sec-WebSocket-Version: 13")
    key = request.only("sec-websocket-key")
    try:
        nonce = base64.b64decode(key.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        nonce = b""
    if len(nonce) != 16:
        raise Refusal(400, "expected 16 bytes in base64 as sec-websocket-key")
    if "transfer-encoding" in request.fields or request.fields.get("content-length", ["0"]) != [
        "0"
    ]:
        raise Refusal(400, "an upgrade has no body")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()  # noqa: S324
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n{MARK_FIELD}: {request.mark}\r\n\r\n"
    ).encode()


def answer(
    status: int,
    text: str,
    wall: float,
    fields: tuple[str, ...] = (),
    *,
    mark: str = NO_NONCE,
    body: bool = True,
) -> bytes:
    """A whole answer after which the connection ends. `wall` is Unix seconds, for its Date."""
    plain = Reply(status, f"{text}\n".encode(), "text/plain; charset=utf-8", fields)
    return written(plain, wall, mark=mark, body=body)


def written(reply: Reply, wall: float, *, mark: str = NO_NONCE, body: bool = True) -> bytes:
    """The same for a content of its own."""
    status = reply.status
    date = datetime.fromtimestamp(wall, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Date: {date}",
        f"Content-Type: {reply.kind}",
        f"Content-Length: {len(reply.content)}",
        "Cache-Control: no-store",
        f"{MARK_FIELD}: {mark}",
        "Connection: " + ", ".join(["close", *(["upgrade"] if status == 426 else [])]),
        *reply.fields,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + (reply.content if body else b"")
