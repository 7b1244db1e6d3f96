"""Text that is not UTF-8: what PowerShell's `>` and some editors write, as UTF-8 bytes.

`encoding_of` knows it by its byte order mark, or by the zeros that plain ASCII has in it.
"""

from __future__ import annotations

import codecs
import io
from typing import Any, Protocol

__all__ = ["HEAD_BYTES", "Utf8", "encoding_of"]

HEAD_BYTES = 4
"""How many first bytes `encoding_of` needs, unless there are no more."""
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Readable(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


def encoding_of(head: bytes) -> str:
    """`utf-16-le` and its like, or empty: UTF-8, or nobody knows."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if len(head) >= HEAD_BYTES and head[:4].count(0) == 2:
        if head[1] == head[3] == 0:
            return "utf-16-le"
        if head[0] == head[2] == 0:
            return "utf-16-be"
    return ""


class Utf8(io.RawIOBase):
    """A stream in another encoding, read as UTF-8 without a byte order mark.

    What cannot be decoded becomes U+FFFD, and `replaced` counts it.
    """

    def __init__(self, head: bytes, rest: Readable, encoding: str) -> None:
        """`head` was read already; `rest` is what follows."""
        self._head, self._rest = head, rest
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._ready = b""
        self._over = False
        self._first = True
        self.replaced = 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as one piece goes; 0 at the end."""
        size = len(buffer)
        while not self._ready and not self._over:
            raw = self._head or self._rest.read(size) or b""
            self._head, self._over = b"", not raw
            text = self._decoder.decode(raw, final=self._over)
            if self._first and text:
                text, self._first = text.removeprefix("\ufeff"), False
            self.replaced += text.count("\ufffd")
            self._ready = text.encode("utf-8", "replace")
        data = self._ready[:size]
        self._ready = self._ready[size:]
        buffer[: len(data)] = data
        return len(data)
