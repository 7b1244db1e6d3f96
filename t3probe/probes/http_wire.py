"""An HTTP/1 response, read from its bytes as a browser reads it (RFC 9112). Pure.

A head that can be read is read: an old or odd version, no reason phrase or one in any bytes, bare
line feeds, folded lines. What is wrong with it beyond that is kept as a `flaw`, and what exceeds
this reader's own limits as `beyond`: a limit of ours says nothing about the peer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from t3probe.exchange.bounds import (
    HTTP_BODY_BYTES,
    HTTP_CHUNK_LINE_BYTES,
    HTTP_HEADER_LINES,
    HTTP_HEADERS_BYTES,
)
from t3probe.exchange.bounds import HTTP_LOOKED_AT_BYTES as BODY_BYTES
from t3probe.text.words import size

__all__ = [
    "BODY_BYTES",
    "AnswerReader",
    "Headers",
    "values",
    "values_of",
]

_SHOWN_BYTES = 40

_STATUS_LINE = re.compile(rb"HTTP(?:/([0-3])(?:\.(\d))?)?[ \t]+([1-9]\d\d)(?!\d)", re.IGNORECASE)
_BLANK_LINES = re.compile(rb"[\r\n]*+")
_HEAD_END = re.compile(rb"\n\r?\n")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)


class Headers(dict[str, str]):
    """Header values by lower-case name; the values of a repeated one are joined by commas."""

    def __init__(self, lines: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []
        """Every line as it came, in order: lower-case name and value."""
        joined: dict[str, list[str]] = {}
        for name, value in lines:
            name = name.lower()
            self.lines.append((name, value))
            joined.setdefault(name, []).append(value)
        self.update((name, ", ".join(several)) for name, several in joined.items())


def values(headers: Mapping[str, Any], name: str) -> list[str]:
    """All values of a header, one for each line that it stands on. `name` is lower-case."""
    if isinstance(headers, Headers):
        return [value for one, value in headers.lines if one == name]
    return [str(headers[name])] if name in headers else []


class AnswerReader:
    """Takes the bytes of one response as they come; interim ones (1xx but 101) are skipped."""

    def __init__(self) -> None:
        self.status = 0
        """0 until the head is read."""
        self.version = (1, 1)
        self.headers = Headers()
        self.body = bytearray()
        """Its first `BODY_BYTES`."""
        self.whole = False
        """It came to its end."""
        self.flaw = ""
        """What is wrong with it, though its status is known; a wrong body ends there."""
        self.beyond = ""
        """The limit of ours that it exceeds."""
        self.begins = b""
        """Its first bytes, where it is not HTTP."""
        self.no_http = ""
        """Why it is not HTTP at all."""
        self.enough = False
        """Its body is longer than anybody wants to read."""
        self.rest = b""
        """What came after its end."""
        self._buffer = bytearray()
        self._scanned = 0
        self._head_bytes = self._head_lines = 0
        self._body_bytes = 0
        self._left: int | None = None
        """Bytes that the body, or this chunk of it, still has; None: until the peer closes."""
        self._chunked = False
        self._part = "size"
        """Of a chunked body, what comes next: size, data, end, trailer."""
        self._trailer_bytes = 0
        self._broken = False

    @property
    def begun(self) -> bool:
        """Whether anything of it came."""
        return bool(self.status or self._buffer or self._head_bytes)

    @property
    def over(self) -> bool:
        """Whether nothing more of it is to be read."""
        return bool(self.whole or self.enough or self.beyond or self.no_http) or self._broken

    @property
    def keeps(self) -> bool:
        """Whether the connection stays open after it (RFC 9112 section 9.3)."""
        words = {one.strip().lower() for one in self.headers.get("connection", "").split(",")}
        old = self.version < (1, 1)
        sound = self.whole and not (self.enough or self.flaw or self.rest or self.status == 101)
        ends = not self._chunked and self._left is None
        return sound and not ends and "close" not in words and (not old or "keep-alive" in words)

    def feed(self, data: bytes) -> None:
        """More bytes."""
        if self.over:
            self.rest += data[: HTTP_CHUNK_LINE_BYTES - len(self.rest)]
            return
        self._buffer += data
        waits = self._chunked and self._part in ("size", "trailer") and self._buffer != data
        if waits and b"\n" not in data and len(self._buffer) <= HTTP_CHUNK_LINE_BYTES:
            return  # a line that goes on
        while not self.status and not self.over and self._buffer:
            if not self._read_head():
                return
        if self.status and not self.over:
            self._read_body()

    def eof(self) -> None:
        """The peer sends no more."""
        if self.status and not self._chunked and self._left is None:
            self.whole = True

    # -- the head ----------------------------------------------------------------------

    def _read_head(self) -> bool:
        """Read a head that is there; False when more bytes are needed."""
        buffer = self._buffer
        if buffer[0] in b"\r\n":
            found = _BLANK_LINES.match(buffer)
            blank = found.end() if found else 0
            del buffer[:blank]
            self._head_bytes += blank
            self._scanned = 0
        if not self._could_be_http():
            return False
        found = _HEAD_END.search(buffer, max(0, self._scanned - 3))
        self._scanned = len(buffer)
        length = found.end() if found else len(buffer)
        if self._head_bytes + length > HTTP_HEADERS_BYTES:
            self.beyond = f"headers of more than {size(HTTP_HEADERS_BYTES)}"
            return False
        if found is None:
            return False
        self._head_lines += buffer.count(b"\n", 0, found.end())
        if self._head_lines > HTTP_HEADER_LINES:
            self.beyond = f"more than {HTTP_HEADER_LINES:,} header lines"
            return False
        lines = bytes(buffer[: found.start()]).split(b"\n")
        del buffer[:length]
        self._head_bytes += length
        self._scanned = 0
        start = _STATUS_LINE.match(lines[0])
        if start is None:  # a line so long that its end was not there when it was looked at
            self._not_http(lines[0])
            return False
        status = int(start[3])
        if 100 <= status < 200 and status != 101:
            return True
        self.version = (int(start[1] or 1), int(start[2] or 0))
        self.headers = Headers(self._fields(lines[1:]))
        self.status = status
        self._frame()
        return True

    def _could_be_http(self) -> bool:
        line, newline, _ = self._buffer[:256].partition(b"\n")
        known = b"HTTP"
        begins = line[:4].upper() == known[: len(line[:4])]
        if begins and (not newline or _STATUS_LINE.match(line)):
            return True
        self._not_http(bytes(self._buffer[:_SHOWN_BYTES]))
        return False

    def _not_http(self, begins: bytes) -> None:
        self.begins = begins[:_SHOWN_BYTES]
        shown = self.begins.partition(b"\n")[0].rstrip(b"\r").decode("latin-1")
        self.no_http = f"the answer begins with {shown!a}"

    def _fields(self, lines: Iterable[bytes]) -> list[tuple[str, str]]:
        found: list[tuple[str, list[str]]] = []
        for raw in lines:
            line = raw.rstrip(b"\r").decode("latin-1")
            if line[:1] in " \t" and found:
                found[-1][1].append(line.strip())
                continue
            name, colon, value = line.partition(":")
            if not colon or not name.strip():
                self.flaw = "a header line without a name"
                continue
            found.append((name.strip(), [value.strip(" \t\r")]))
        return [(name, " ".join(parts).strip() if parts[1:] else parts[0]) for name, parts in found]

    def _frame(self) -> None:
        """How the body's end is known (RFC 9112 section 6.3)."""
        if self.status in {101, 204, 304}:
            self._left = 0
            return
        codings = [one.strip().lower() for one in values_of(self.headers, "transfer-encoding")]
        if set(codings) - {"identity"}:
            self._chunked = codings[-1] == "chunked"
            return
        lengths = {one.strip() for one in values_of(self.headers, "content-length")}
        length = min(lengths, default="")
        if len(lengths) == 1 and re.fullmatch(r"\d{1,15}", length, re.ASCII):
            self._left = int(length)
        elif lengths:
            self.flaw = "a Content-Length that is none"

    # -- the body ----------------------------------------------------------------------

    def _read_body(self) -> None:
        data, self._buffer = bytes(self._buffer), bytearray()
        self._body_bytes += len(data)
        if self._chunked:
            self._read_chunks(data)
        elif self._left is None:
            self._keep(data)
        else:
            self._keep(data[: self._left])
            self.rest = data[self._left :]
            self._left = max(0, self._left - len(data))
            self.whole = self._left == 0
        self.enough = self._body_bytes - len(self.rest) > HTTP_BODY_BYTES

    def _keep(self, data: bytes) -> None:
        self.body += data[: max(0, BODY_BYTES - len(self.body))]

    def _read_chunks(self, data: bytes) -> None:
        at = 0
        while at < len(data) and not self._broken and not self.beyond:
            if self._part == "data":
                assert self._left is not None
                piece = data[at : at + self._left]
                self._keep(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._part = "end"
                continue
            end = data.find(b"\n", at)
            line = data[at : end if end >= 0 else len(data)]
            if len(line) + self._trailer_bytes > HTTP_CHUNK_LINE_BYTES:
                what = "trailers" if self._part == "trailer" else "chunk extensions"
                self.beyond = f"{what} of more than {size(HTTP_CHUNK_LINE_BYTES)}"
                return
            if end < 0:
                if self._part == "end" and line not in {b"\r", b""}:
                    self._break("a chunk longer than it says")
                self._buffer = bytearray(line)
                self._body_bytes -= len(line)
                return
            at = end + 1
            self._take_line(line.rstrip(b"\r"))
            if self.whole:
                self.rest = data[at:]
                return

    def _take_line(self, line: bytes) -> None:
        if self._part == "end":
            if line:
                self._break("a chunk longer than it says")
            self._part = "size"
        elif self._part == "trailer":
            self._trailer_bytes += len(line)
            self.whole = not line
        else:
            digits = _CHUNK_SIZE.fullmatch(line)
            if digits is None:
                self._break("a chunk without a size")
                return
            self._left = int(digits[1], 16)
            self._part = "data" if self._left else "trailer"

    def _break(self, flaw: str) -> None:
        self.flaw, self._broken = flaw, True


def values_of(headers: Mapping[str, Any], name: str) -> list[str]:
    """The members of a header that is a list, over all lines that it stands on."""
    return [one for one in ",".join(values(headers, name)).split(",") if one.strip()]
