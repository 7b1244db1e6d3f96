"""What collectors put before a line: journald, the container runtimes, docker, kubectl.

`Reader.peel` takes that off, layer by layer, and keeps the time and the name of the process.
Forms read: `journalctl -o short`, `short-precise`, `short-iso`, `short-iso-precise` and `json`
(journalctl(1), systemd.journal-fields(7)), CRI log lines (`TIME stdout F ...`), docker's
json-file objects, `docker compose logs` and `kubectl logs --prefix --timestamps`.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from t3probe.forensics.stamps import Stamps

__all__ = ["Journal", "Peeled", "Reader"]

LAYERS = 4
"""How many prefixes may stand before one another."""

_ISO = re.compile(
    rb"(\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d)(?:[.,]\d{1,9})?(Z|[+-]\d\d:?\d\d)? ?"
)
_SHORT = re.compile(rb"([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)(?:\.\d{1,9})? ")
_FROM = re.compile(rb"(?!proxy error: )[\w.-]+ ([\w.@:/-]{1,80}?)(?:\[\d{1,10}\])?: ")
"""journald's `host unit[pid]: `; a message's own first words look the same."""
_CRI = re.compile(rb"std(?:out|err) [FP] ")
_KUBECTL = re.compile(rb"\[pod/([^\]\s]{1,200})\] ")
_COMPOSE = re.compile(rb"([\w.-]{1,80}) +\| ")
_LEVELS = frozenset((b"INF ", b"WRN ", b"ERR ", b"DBG ", b"FTL "))
_DIGITS = frozenset(b"0123456789")
_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Journal(msgspec.Struct):
    """The fields of JSON lines that matter here: journald's, docker's, Traefik's, a logger's.

    All are untyped: a field of an unexpected kind must not hide the others.
    """

    realtime: Any = msgspec.field(default=None, name="__REALTIME_TIMESTAMP")
    entry: Any = msgspec.field(default=None, name="MESSAGE")
    unit: Any = msgspec.field(default=None, name="_SYSTEMD_UNIT")
    user_unit: Any = msgspec.field(default=None, name="_SYSTEMD_USER_UNIT")
    identifier: Any = msgspec.field(default=None, name="SYSLOG_IDENTIFIER")
    log: Any = None
    time: Any = None
    ts: Any = None
    method: Any = msgspec.field(default=None, name="RequestMethod")
    status: Any = msgspec.field(default=None, name="DownstreamStatus")
    duration: Any = msgspec.field(default=None, name="Duration")
    start: Any = msgspec.field(default=None, name="StartUTC")


class Peeled(NamedTuple):
    """A line without what was put before it."""

    when: int | None
    """Unix seconds."""
    who: bytes
    """The unit, container or identifier it came from; empty when nothing said so."""
    body: bytes
    row: Journal | None
    """The JSON object that the body is, when it is one."""


class Reader:
    """Peels the lines of one file."""

    def __init__(self, stamps: Stamps) -> None:
        self.stamps = stamps
        self._decode = msgspec.json.Decoder(Journal).decode

    def peel(self, line: bytes) -> Peeled:
        """Never raises, whatever the bytes are."""
        when: int | None = None
        zoned = False
        who = b""
        at = 0
        stamps = self.stamps
        for _ in range(LAYERS):
            first = line[at] if at < len(line) else 0
            if first in _DIGITS:
                found = _ISO.match(line, at)
                if found is None:
                    if b" | " not in line[at : at + 90]:
                        break
                else:
                    text, zone = found.groups()
                    # The collector's own time is the better one, unless only the inner one
                    # says its zone.
                    if when is None or (zone and not zoned):
                        when, zoned = stamps.iso(text, zone), bool(zone)
                    at = found.end()
                    if not who and text[4] == 0x2D and b": " in line[at : at + 180]:
                        at, who = self._from(line, at)
                    elif line[at : at + 3] == b"std" and (cri := _CRI.match(line, at)):
                        at = cri.end()
                    continue
            elif first == 0x7B:  # {
                return self._json(line[at:] if at else line, when, zoned, who)
            elif first in _LETTERS and (found := _SHORT.match(line, at)):
                if when is None:
                    when = stamps.short(found[1])
                at = found.end()
                at, who = self._from(line, at, who)
                continue
            elif first == 0x5B and (found := _KUBECTL.match(line, at)):  # [
                who, at = found[1], found.end()
                continue
            found = _COMPOSE.match(line, at)
            if found is None:
                break
            who, at = found[1], found.end()
        return Peeled(when, who, line[at:] if at else line, None)

    def _from(self, line: bytes, at: int, who: bytes = b"") -> tuple[int, bytes]:
        if line[at : at + 4] in _LEVELS:  # the tunnel's own words, not a host and a unit
            return at, who
        if found := _CRI.match(line, at):
            return found.end(), who
        found = _FROM.match(line, at)
        return (at, who) if found is None else (found.end(), found[1])

    def _json(self, text: bytes, when: int | None, zoned: bool, who: bytes) -> Peeled:
        try:
            row = self._decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return Peeled(when, who, text, None)
        if row.entry is not None or row.realtime is not None:
            return self._journal(row, when, who)
        own = row.time if row.time is not None else row.ts
        if isinstance(row.log, str) and isinstance(row.time, str):  # docker's json-file
            inner = self._inner(row.log)
            return inner._replace(when=self._own(own, when, zoned) or inner.when)
        if row.duration is not None:  # an access log has better times of its own
            return Peeled(when, who, text, row)
        return Peeled(self._own(own, when, zoned), who, text, row)

    def _own(self, own: object, when: int | None, zoned: bool) -> int | None:
        """An object's own time, where nothing better stood before it."""
        if when is not None and zoned:
            return when
        seconds: int | None = None
        if isinstance(own, str) and (found := _ISO.match(own.encode(errors="replace"))):
            seconds = self.stamps.iso(found[1], found[2])
        elif isinstance(own, (int, float)) and 1 < own < 1e14:
            seconds = int(own / 1000 if own > 1e11 else own)
        return when if seconds is None else seconds

    def _journal(self, row: Journal, when: int | None, who: bytes) -> Peeled:
        try:
            when = int(str(row.realtime)) // 1_000_000
        except ValueError:
            pass  # without it the inner line may still have a time
        for name in (row.unit, row.user_unit, row.identifier):
            # Units such as init.scope and user@1000.service are where everybody lives.
            if isinstance(name, str) and name and not name.startswith(("init.", "user@")):
                who = name.encode(errors="replace")
                break
        text = row.entry
        if isinstance(text, list):  # journald writes what is not plain text as numbers
            try:
                inner = self._inner(bytes(text))
            except (TypeError, ValueError):
                inner = Peeled(None, b"", b"", None)
        else:
            inner = self._inner(text if isinstance(text, str) else "")
        return inner._replace(when=inner.when if when is None else when, who=who or inner.who)

    def _inner(self, text: str | bytes) -> Peeled:
        raw = text.encode(errors="replace") if isinstance(text, str) else text
        raw = raw.rstrip(b"\r\n")
        # An object inside an object is left as it is: one layer of JSON around a line is all
        # that collectors write.
        if raw[:1] == b"{":
            try:
                row = self._decode(raw)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                return Peeled(None, b"", raw, None)
            return Peeled(self._own(row.time or row.ts, None, False), b"", raw, row)
        return self.peel(raw)
