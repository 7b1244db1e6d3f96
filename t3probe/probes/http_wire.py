"""An HTTP/1 response, read from its bytes as a browser reads it (RFC 9112). Pure.

A head that can be read is read: an old or odd version, no reason phrase or one in any bytes, bare
line feeds, folded lines. What is wrong with it beyond that is kept as a `flaw`, and what exceeds
this reader's own limits as `beyond`: a limit of ours says nothing about the peer.

What a body says: its encodings taken off, its text as UTF-8. Pure.

A request asks for no encoding, but a server may give one all the same. Bounded: a few kilobytes
can unpack to gigabytes.
"""

from __future__ import annotations

import codecs
import contextlib
import importlib
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from t3probe.exchange.bounds import (
    BODY_ENCODINGS,
    GZIP_MEMBERS,
    HTTP_BODY_BYTES,
    HTTP_CHUNK_LINE_BYTES,
    HTTP_HEADER_LINES,
    HTTP_HEADERS_BYTES,
)
from t3probe.exchange.bounds import HTTP_LOOKED_AT_BYTES as BODY_BYTES
from t3probe.text.words import size

__all__ = ["BODY_BYTES", "AnswerReader", "Headers", "as_text", "decoded", "values", "values_of"]

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


_META_CHARSET = re.compile(rb"<meta\b[^>]{0,200}?\bcharset\s*+=\s*+[\"']?\s*+([\w.:-]{1,40})", re.I)
_CHARSET = re.compile(r"charset\s*+=\s*+[\"']?\s*+([\w.:-]{1,40})", re.IGNORECASE)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_TEXTS = ("utf-8", "utf-16", "utf-32", "iso8859", "cp", "koi8", "gb", "big5", "euc", "shift_jis",
          "mac", "iso2022")  # fmt: skip
"""How the names of Python's codecs begin that are charsets of pages."""


def decoded(headers: Mapping[str, Any], body: bytes) -> tuple[bytes, str]:
    """The first `BODY_BYTES` of a body without its content and transfer encodings, and what cannot
    be read, in words; then the body is as it came. Of a body that was cut, what its beginning
    holds."""
    codings = [one.strip().lower() for one in values_of(headers, "content-encoding")]
    codings += [one.strip().lower() for one in values_of(headers, "transfer-encoding")]
    codings = [one for one in codings if one not in {"identity", "chunked", "none"}]
    if not body or not codings:
        return body, ""
    if len(codings) > BODY_ENCODINGS:
        return body, f"compressed {len(codings)} times: cannot be read"
    plain = body
    for coding in reversed(codings):
        try:
            plain = _DECODERS[coding](plain)
        except Exception:  # of whatever library; a coding or a library that is not there, too
            return body, f"compressed with {_shown(coding)}: cannot be read"
    return plain, ""


def _shown(coding: str) -> str:
    return re.sub(r"[^\w.+-]", "?", coding, flags=re.ASCII)[:20]


def _gzip(data: bytes) -> bytes:
    out, members = bytearray(), 0
    while data and len(out) < BODY_BYTES:
        members += 1
        if members > GZIP_MEMBERS:
            raise ValueError("too many members")
        one = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            out += one.decompress(data, BODY_BYTES - len(out))
        except zlib.error:
            if out:
                break  # as browsers do, what follows the last member is left
            raise
        if not one.eof:
            break
        data = one.unused_data
    return bytes(out)


def _deflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, BODY_BYTES)
    except zlib.error:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, BODY_BYTES)


def _brotli(data: bytes) -> bytes:
    reader = _library("brotli").Decompressor()
    # Older versions of the library do not know this limit, and cannot be bounded.
    return bytes(reader.process(data, output_buffer_limit=BODY_BYTES))[:BODY_BYTES]


def _zstd(data: bytes) -> bytes:
    reader = _library("compression.zstd", "backports.zstd").ZstdDecompressor()
    return bytes(reader.decompress(data, BODY_BYTES))


def _library(*names: str) -> Any:
    for name in names:
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    raise ImportError(names[0])


_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}


def as_text(headers: Mapping[str, Any], body: bytes) -> bytes:
    """A body's text as UTF-8, whatever its charset; as it came where that is not known."""
    name = next((name for bom, name in _BOMS if body.startswith(bom)), "")
    if not name:
        said = _CHARSET.search(str(headers.get("content-type", "")))
        meta = None if said else _META_CHARSET.search(body[:1024])
        name = said[1] if said else meta[1].decode("ascii", "replace") if meta else ""
    try:
        name = codecs.lookup(name).name
    except (LookupError, ValueError):
        return body
    if name == "utf-8" or not name.startswith(_TEXTS):
        return body
    return body.decode(name, "replace").encode("utf-8", "replace")
