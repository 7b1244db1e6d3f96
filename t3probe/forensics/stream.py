"""Bytes to lines, in bounded memory whatever the file holds."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

__all__ = ["CHUNK_BYTES", "LONGEST_LINE", "Damaged", "Lines"]

CHUNK_BYTES = 1 << 18
LONGEST_LINE = 1 << 15
"""Bytes of a line that are looked at; the rest is skipped."""
GZIP_MAGIC = b"\x1f\x8b"


class Damaged(Exception):
    """Compressed content that breaks off or makes no sense."""


class Source(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


class Lines:
    """The lines of one source, in lists; gzip is told by its first bytes (RFC 1952)."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.cut = 0
        """How many lines were longer than `LONGEST_LINE`."""

    def __iter__(self) -> Iterator[list[bytes]]:
        """Lists of lines without their line feeds. Raises Damaged, OSError."""
        tail = b""
        skipping = False
        for chunk in self._chunks():
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

    def _chunks(self) -> Iterator[bytes]:
        first = self._source.read(CHUNK_BYTES) or b""
        while 0 < len(first) < len(GZIP_MAGIC) and (more := self._source.read(CHUNK_BYTES)):
            first += more
        if first.startswith(GZIP_MAGIC):
            yield from self._unpacked(first)
            return
        while first:
            yield first
            first = self._source.read(CHUNK_BYTES) or b""

    def _unpacked(self, data: bytes) -> Iterator[bytes]:
        unpack = zlib.decompressobj(wbits=31)
        while True:
            if unpack.eof:
                # Zeros may fill the end; anything else must be one more member.
                data = (unpack.unused_data or self._source.read(CHUNK_BYTES) or b"").lstrip(b"\0")
                if not data:
                    return
                unpack = zlib.decompressobj(wbits=31)
            try:
                out = unpack.decompress(data, CHUNK_BYTES)
            except zlib.error as error:
                raise Damaged(str(error)) from error
            if out:
                yield out
            if unpack.eof:
                continue
            data = unpack.unconsumed_tail or (b"" if out else self._source.read(CHUNK_BYTES) or b"")
            if not data and not out:
                raise Damaged("the compressed data breaks off")
