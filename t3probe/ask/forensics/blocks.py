"""Entries that take several lines: `journalctl -o export`, `verbose` and `json-pretty`.

A block keeps what it needs of an entry and nothing else, and gives up on anything that does not
belong to it, so that no line of another kind is lost.
"""

from __future__ import annotations

import re

from t3probe.ask.forensics.rows import JsonFields
from t3probe.exchange.bounds import LOG_ENTRY_BYTES

_FIELD = re.compile(rb"([A-Z_][A-Z0-9_]{0,63})=")
_NAME = re.compile(rb"[A-Z_][A-Z0-9_]{0,63}")
_WANTED = {
    b"__REALTIME_TIMESTAMP": "realtime", b"MESSAGE": "entry", b"_SYSTEMD_UNIT": "unit",
    b"_SYSTEMD_USER_UNIT": "user_unit", b"SYSLOG_IDENTIFIER": "identifier",
}  # fmt: skip
_HEADER = re.compile(rb"\[s=[0-9a-f]{1,32};i=[0-9a-f]{1,16};")


class Pretty:
    """An object over several lines."""

    def __init__(self, line: bytes) -> None:
        self.lines = [line]
        self._bytes = 0
        self.whole = False
        """Whether it ended as an object does; otherwise its lines are lines like others."""

    def take(self, line: bytes) -> bool:
        """Whether the line belongs to it."""
        if self.whole or self._bytes > LOG_ENTRY_BYTES:
            return False
        text = line.rstrip()
        self.whole = text in (b"}", b"},")
        if not self.whole and line[:1] not in (b" ", b"\t"):
            return False
        self._bytes += len(line)
        self.lines.append(b"}" if self.whole else text)
        return True


class _Entry:
    def __init__(self) -> None:
        self.row = JsonFields()
        self.count = 1
        """Lines that it took."""

    def _keep(self, name: bytes, value: bytes) -> None:
        wanted = _WANTED.get(name)
        if wanted == "entry":
            self.row.entry = value
        elif wanted:
            setattr(self.row, wanted, value.decode(errors="replace"))


class Export(_Entry):
    """An entry of `journalctl -o export`: `NAME=value`, or a name, a size and that many bytes."""

    def __init__(self, line: bytes) -> None:
        super().__init__()
        self._binary = b""
        self._data: bytes | None = None
        self.whole = False
        self.take(line)
        self.count = 1

    def take(self, line: bytes) -> bool:
        """Whether the line belongs to it; the empty line is its last."""
        if self.whole:
            return False
        self.count += 1
        if self._binary:
            self._data = line if self._data is None else self._data + b"\n" + line
            if len(self._data) >= 8:
                size = int.from_bytes(self._data[:8], "little")
                if size > LOG_ENTRY_BYTES or len(self._data) >= 8 + size:
                    self._keep(self._binary, self._data[8 : 8 + size])
                    self._binary, self._data = b"", None
            return True
        if not line:
            self.whole = True
            return True
        if found := _FIELD.match(line):
            self._keep(found[1], line[found.end() :])
            return True
        if _NAME.fullmatch(line):
            self._binary = line
            return True
        self.count -= 1
        return False


class Verbose(_Entry):
    """An entry of `journalctl -o verbose`: a line with its time, then indented fields."""

    def __init__(self, when: int | None) -> None:
        super().__init__()
        self.when = when
        self._last = b""

    def take(self, line: bytes) -> bool:
        """Whether the line belongs to it."""
        if not line.startswith(b"    "):
            return False
        self.count += 1
        text = line.lstrip(b" ")
        if found := _FIELD.match(text):
            self._last = found[1]
            self._keep(found[1], text[found.end() :])
        elif self._last == b"MESSAGE" and len(self.row.entry) < LOG_ENTRY_BYTES:
            self.row.entry += b"\n" + text  # a message of several lines
        return True


def begun(body: bytes, when: int | None) -> Verbose | None:
    """The entry whose header a line is, behind its time; None: it is none."""
    return Verbose(when) if _HEADER.match(body) else None
