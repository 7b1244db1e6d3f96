"""Bytes to lines, in bounded memory whatever the file holds.

Compression and encoding are told by the first bytes: gzip, xz and bzip2 are unpacked, UTF-16 is
read as text. What is packed otherwise is named with the command that unpacks it.
"""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from t3probe.exchange.bounds import LOG_LINE_BYTES as LONGEST_LINE
from t3probe.exchange.bounds import UNPACKED_TIMES, XZ_MEMORY_BYTES
from t3probe.exchange.files import HEAD_BYTES, Utf8, encoding_of

__all__ = ["CHUNK_BYTES", "LONGEST_LINE", "Damaged", "Lines"]

CHUNK_BYTES = 1 << 18
_BEGINNING_BYTES = 256 << 20
HEAD = 16
BOM = b"\xef\xbb\xbf"
HOLE = re.compile(rb"\0{16,}")
"""What a file has at its beginning that was emptied while its writer went on."""
UNREAD = (
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc {name}"),
    (b"\x04\x22\x4d\x18", "lz4", "lz4 -dc {name}"),
    (b"PK\x03\x04", "zip", "unzip -p {name}"),
    (b"\x1f\x9d", "compress", "zcat {name}"),
    (b"7z\xbc\xaf\x27\x1c", "7z", "7z x -so {name}"),
    (b"LPKSHHRH", "systemd as a binary journal", "journalctl --file {name} -o short-iso"),
)
"""How what is not read begins, what wrote it, and what reads it."""


class Damaged(Exception):
    """Content that cannot be unpacked: it breaks off, makes no sense, or is of another kind."""


class ByteSource(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


class Lines:
    """The lines of one source, in lists."""

    def __init__(self, source: ByteSource, name: str = "FILE") -> None:
        """`name` stands in the advice about what cannot be unpacked."""
        self._source = source
        self._name = name
        self.cut = 0
        """How many lines were longer than `LONGEST_LINE`."""
        self.holes = 0
        """Bytes of zeros that were left out."""
        self.encoding = ""
        """What it was decoded from; empty: nothing had to be."""
        self._text: Utf8 | None = None

    @property
    def replaced(self) -> int:
        """How many characters could not be decoded."""
        return 0 if self._text is None else self._text.replaced

    def __iter__(self) -> Iterator[list[bytes]]:
        """Lists of lines without their line feeds. Raises Damaged, OSError."""
        tail = b""
        skipping = False
        for chunk in self._whole():
            if skipping:
                _, feed, chunk = chunk.partition(b"\n")
                if not feed:
                    continue
                skipping = False
            lines = (tail + chunk).split(b"\n")
            tail = lines.pop()
            if len(tail) > LONGEST_LINE:
                lines.append(tail)
                tail, skipping = b"", True
            if any(len(line) > LONGEST_LINE for line in lines):
                self.cut += sum(len(line) > LONGEST_LINE for line in lines)
                lines = [line[:LONGEST_LINE] for line in lines]
            yield lines
        if tail:
            yield [tail]

    def _whole(self) -> Iterator[bytes]:
        """Chunks without the holes that emptied files have."""
        for chunk in self._decoded():
            if b"\0" * 16 in chunk:
                whole = HOLE.sub(b"", chunk)
                self.holes += len(chunk) - len(whole)
                chunk = whole
            if chunk:
                yield chunk

    def _decoded(self) -> Iterator[bytes]:
        chunks = self._chunks()
        head = b""
        while len(head) < HEAD_BYTES and (more := next(chunks, b"")):
            head += more
        self.encoding = encoding_of(head)
        if self.encoding:
            self._text = Utf8(head, _Joined(chunks), self.encoding)
            while chunk := self._text.read(CHUNK_BYTES) or b"":
                yield chunk
            return
        yield head.removeprefix(BOM)
        yield from chunks

    def _chunks(self) -> Iterator[bytes]:
        first = self._source.read(CHUNK_BYTES) or b""
        while 0 < len(first) < HEAD and (more := self._source.read(CHUNK_BYTES)):
            first += more
        for magic, what, unpacks in UNREAD:
            if first.startswith(magic):
                told = unpacks.format(name=self._name)
                raise Damaged(f"it was written by {what}, which is not read: {told} | ...")
        for begins, unpacker in UNPACKERS:
            if begins.match(first):
                yield from self._unpacked(first, unpacker)
                return
        while first:
            yield first
            first = self._source.read(CHUNK_BYTES) or b""

    def _unpacked(self, data: bytes, unpacker: Callable[[], _Unpacker]) -> Iterator[bytes]:
        unpack = unpacker()
        packed, plain = len(data), 0
        while True:
            if unpack.eof:
                # Zeros may fill the end; anything else must be one more member.
                more = b"" if unpack.unused_data else self._source.read(CHUNK_BYTES) or b""
                packed += len(more)
                data = (unpack.unused_data or more).lstrip(b"\0")
                if not data:
                    return
                unpack = unpacker()
            try:
                out = unpack.decompress(data, CHUNK_BYTES)
            except (zlib.error, lzma.LZMAError, OSError, ValueError) as error:
                raise Damaged(str(error)) from error
            if out:
                yield out
            plain += len(out)
            if plain > _BEGINNING_BYTES and plain > UNPACKED_TIMES * packed:
                raise Damaged(
                    f"it unpacks to more than {UNPACKED_TIMES} times its size, as no log does"
                )
            if unpack.eof:
                continue
            data = b""
            if unpack.needs_input:
                data = self._source.read(CHUNK_BYTES) or b""
                packed += len(data)
                if not data and not out:
                    raise Damaged("the compressed data breaks off")


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gzip:
    """zlib's object with the manners of the other two."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        out = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        # What is still inside zlib comes out with the next call, even without more input.
        self.needs_input = not self._inner.unconsumed_tail and len(out) < max_length
        return out


def _xz() -> _Unpacker:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)


UNPACKERS: tuple[tuple[re.Pattern[bytes], Callable[[], _Unpacker]], ...] = (
    (re.compile(rb"\x1f\x8b"), _Gzip),
    (re.compile(rb"\xfd7zXZ\0"), _xz),
    (re.compile(rb"BZh[1-9]1AY&SY"), bz2.BZ2Decompressor),
)


class _Joined:
    """Chunks as a stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def read(self, size: int, /) -> bytes:
        return next(self._chunks, b"")
