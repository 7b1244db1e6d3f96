"""What collectors put before a line: journald, syslog, the container runtimes, docker, Loki.

`LineReader.peel` takes that off, layer by layer, and keeps the time and the name of the process.
Forms read: all that `journalctl -o` writes in one line (journalctl(1), systemd.journal-fields(7)),
syslog (RFC 3164 and 5424, with or without the priority), CRI log lines (`TIME stdout F ...`),
docker's json-file objects, `docker compose logs`, `kubectl logs --prefix --timestamps`, logcli's
default and `jsonl`. What takes several lines is `blocks`' business.

Behind it stands a program's own line. `FORMS` tells whose it is by what is in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from t3probe.ask.forensics.access import LineFacts, read_common, read_json
from t3probe.ask.forensics.dnsdist import read_dnsdist
from t3probe.ask.forensics.envoy import read_envoy, read_envoy_json, read_envoy_own
from t3probe.ask.forensics.haproxy import CUSTOM, read_haproxy, read_haproxy_json
from t3probe.ask.forensics.kinds import Source
from t3probe.ask.forensics.nginx import read_clf, read_error, read_nginx_json, read_request
from t3probe.ask.forensics.rows import JsonFields, decoder, own_time
from t3probe.ask.forensics.stamps import Stamps


class Form(NamedTuple):
    """A form of lines."""

    source: Source
    name: str
    begins: tuple[bytes, ...]
    """A line begins with one of these; empty: with anything."""
    holds: bytes
    """A line holds this; what is quick to see comes before what is sure."""
    read: Callable[[bytes, Stamps, float], LineFacts | None]
    """What a line says; slow requests are those of so many seconds or more."""


class JsonForm(NamedTuple):
    """A form of JSON lines."""

    source: Source
    name: str
    read: Callable[[JsonFields, Stamps, float], LineFacts | None]


_HAPROXY_OWN = (
    b"Server ", b"Backup Server ", b"server ", b"backend ", b"proxy ", b"listen ", b"Proxy ",
    b"Stopping ", b"Pausing ", b"soft-stop ", b"Connect from ", b"[NOTICE]", b"[WARNING]",
    b"[ALERT]",
)  # fmt: skip
_DNSDIST = (
    b"Answer to ", b"Packet from ", b"Marking downstream ", b"dnsdist ", b"Dropped query ",
    b"Had a downstream ", b"Error ", b"Invalid health ", b"Timeout while waiting for the health",
    b"Got query ", b"Got answer ", b"Query from ", b"Listening on ", b"Read configuration ",
    b"Added downstream ", b"Adding ", b"ACL allowing ", b"Console ACL ", b"Not validating ",
    b"No downstream ", b"Response code '", b"Polled security ", b"Opened console ",
    b"Closed console ", b"Accepting control ", b"Removing server ", b"Reloaded ",
    b"Unable to ", b"Passing a ",
)  # fmt: skip

FORMS: tuple[Form, ...] = (
    Form("envoy", "access log, the default and what begins like it", (b"[2",), b'Z] "', read_envoy),
    Form("nginx", "error log", (b"[",), b"#", lambda body, stamps, slow: read_error(body)),
    Form("envoy", "its own log", (b"[2",), b"][", lambda body, stamps, slow:
         read_envoy_own(body, stamps)),
    Form("traefik", "access log, common", (), b'] "', read_common),
    Form("haproxy", "tcplog, httplog, httpslog, and a log-format with their timers and state",
         (), b"] ", read_haproxy),
    Form("nginx", "access log: combined, main, common; also haproxy's httplog clf",
         (), b'] "', read_clf),
    Form("nginx", "access log with the request in quotes and the status behind it",
         (), b' HTTP/', lambda body, stamps, slow: read_request(body, slow)),
    Form("haproxy", "its own sentences", _HAPROXY_OWN, b"", read_haproxy),
    Form("dnsdist", "its own sentences, LogAction and LogResponseAction as text",
         _DNSDIST, b"", lambda body, stamps, slow: read_dnsdist(body)),
)  # fmt: skip
"""Tried in this order."""

JSON_FORMS: tuple[JsonForm, ...] = (
    JsonForm("traefik", "access log in JSON", read_json),
    JsonForm("haproxy", "a log-format in JSON with term or termination_state", read_haproxy_json),
    JsonForm("envoy", "access log in JSON with response_flags or flags", read_envoy_json),
    JsonForm("nginx", "access log in JSON by nginx's names", lambda row, stamps, slow:
             read_nginx_json(row, slow)),
)  # fmt: skip

UNREAD_FORMS: dict[str, str] = {
    "haproxy": CUSTOM,
    "nginx": "nginx's, in a form of its own (log_format) that is not read",
    "envoy": "Envoy's, in a form of its own (log_format, --log-format) that is not read",
    "dnsdist": "dnsdist's, in words that are not read",
    "traefik": "Traefik's, and no access log in its common form or in JSON",
    "tunnel": "the tunnel's by its name, and nothing that cloudflared writes",
}
"""What is said of lines whose program is named beside them, and which no form fits."""


LAYERS = 5
"""How many prefixes may stand before one another."""
MONOTONIC = "seconds since the boot, no time of day (journalctl -o short-monotonic, short-delta)"

_ISO = re.compile(
    rb"(\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d)(?:[.,]\d{1,9})?(Z|[+-]\d\d:?\d\d)? ?"
)
_SHORT = re.compile(rb"([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)(?:\.\d{1,9})? ")
_FULL = re.compile(
    rb"[A-Z][a-z]{2} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d{1,9})? ([A-Z]{1,5}|[+-]\d\d(?:\d\d)?) "
)
_UNIX = re.compile(rb"(\d{10})\.\d{3,9} ")
_BOOT = re.compile(rb"\[ {0,8}(\d{1,12})\.\d{3,9}(?: {1,24}| <[ \d.]{1,20}>)?\] ?")
_FROM = re.compile(
    rb"(?!proxy error: )(?:[\w.-]{1,255} ([\w.@:/-]{1,80}?)(?:\[\d{1,10}\])?"
    rb"|([\w.@:/-]{1,80}?)\[\d{1,10}\]): "
)
"""journald's `host unit[pid]: `, and the tag alone; a message's own first words look the same."""
_CRI = re.compile(rb"std(?:out|err) [FP](?::[^ ]{0,20})? ")
_KUBECTL = re.compile(rb"\[pod/([^\]\s]{1,200})\] ")
_COMPOSE = re.compile(rb"([\w.-]{1,80}) +\| ")
_PRIORITY = re.compile(rb"<\d{1,3}>")
_RFC5424 = re.compile(
    rb"1 (\S{1,40}) \S{1,255} (\S{1,48}) \S{1,128} \S{1,32} "
    rb"(?:-|(?:\[(?:[^\]\\]|\\.){0,4000}\])+)(?: (?:\xef\xbb\xbf)?|$)"
)
_LABELS = re.compile(
    rb'\{(?:\}|(?=\w{1,80}=")[^{}"]{0,80}(?:"(?:[^"\\]|\\.){0,500}"[^{}"]{0,80})+\}) *'
)
_LABEL = re.compile(
    rb'(?:container|container_name|unit|systemd_unit|syslog_identifier|app|service_name|job|pod)="'
    rb'([^"]{1,200})"'
)
_LABEL_NAMES = (
    "container", "container_name", "unit", "systemd_unit", "syslog_identifier", "app",
    "service_name", "job", "pod",
)  # fmt: skip
_LOGFMT = re.compile(rb'(?:time|ts|timestamp|t)="?([^" ]{10,40}(?: [\d:.]{8,18})?)"? ')
_COLOUR = re.compile(rb"\x1b\[[\d;]{0,12}m")
LEVELS = frozenset((b"INF ", b"WRN ", b"ERR ", b"DBG ", b"FTL "))
_DIGITS = frozenset(b"0123456789")
_RARE = frozenset(b"[<dt\0\x1e")
_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Peeled(NamedTuple):
    """A line without what was put before it."""

    when: int | None
    """Unix seconds."""
    who: bytes
    """The unit, container or identifier it came from; empty when nothing said so."""
    body: bytes
    row: JsonFields | None
    """The JSON object that the body is, when it is one."""
    zoned: bool = False
    """Whether a time before the body said its zone."""
    outer: int | None = None
    """The time that stood before the body, without what a JSON object says of itself."""
    at: int = 0
    """How many bytes stood before the body."""
    remark: str = ""
    """Why no time could be read, where that is known."""


class LineReader:
    """Peels the lines of one file."""

    def __init__(self, stamps: Stamps) -> None:
        self.stamps = stamps
        self._decode = decoder.decode

    def peel(self, line: bytes) -> Peeled:
        """Never raises, whatever the bytes are."""
        when: int | None = None
        zoned = False
        who = b""
        remark = ""
        at = 0
        if b"\x1b" in line:
            line = _COLOUR.sub(b"", line)
        stamps = self.stamps
        for _ in range(LAYERS):
            first = line[at] if at < len(line) else 0
            if first in _DIGITS:
                found = _ISO.match(line, at)
                if found is not None:
                    text, zone = found.groups()
                    # The collector's own time is the better one, unless only the inner one
                    # says its zone.
                    if when is None or (zone and not zoned):
                        when, zoned = stamps.iso(text, zone), bool(zone)
                    at = found.end()
                    if not who and text[4] == 0x2D and line.find(b": ", at, at + 180) >= 0:
                        at, who = self._from(line, at)
                    elif line.startswith(b"std", at) and (cri := _CRI.match(line, at)):
                        at = cri.end()
                    if line.startswith(b"{", at) and (labels := _LABELS.match(line, at)):
                        if not who and (label := _LABEL.search(line, at, labels.end())):
                            who = label[1]
                        at = labels.end()
                    continue
                if found := _UNIX.match(line, at):
                    if when is None or not zoned:
                        when, zoned = int(found[1]), True
                    at, who = self._from(line, found.end(), who)
                    continue
            elif first == 0x7B:  # {
                return self._json(line[at:] if at else line, when, zoned, who)
            elif first in _LETTERS and line.find(b" ", at + 3, at + 4) >= 0:
                if found := _SHORT.match(line, at):
                    if when is None:
                        when = stamps.short(found[1])
                    at, who = self._from(line, found.end(), who)
                    continue
                if line.find(b"-", at + 8, at + 9) > 0 and (found := _FULL.match(line, at)):
                    if when is None or not zoned:
                        when = stamps.full(found[1], found[2])
                        zoned = when is not None
                    at, who = self._from(line, found.end(), who)
                    continue
            elif first in _RARE and at < len(line):
                if first == 0x5B:  # [
                    if found := _KUBECTL.match(line, at):
                        who, at = found[1], found.end()
                        continue
                    if found := _BOOT.match(line, at):
                        seconds = stamps.number(int(found[1]))
                        if seconds is None:
                            remark = MONOTONIC
                        elif when is None or not zoned:
                            when, zoned = int(seconds), True
                        at, who = self._from(line, found.end(), who)
                        continue
                    break
                if first == 0x3C:  # <
                    if found := _PRIORITY.match(line, at):
                        at = found.end()
                        if found := _RFC5424.match(line, at):
                            seconds = stamps.any(found[1].decode(errors="replace"))
                            if seconds is not None and (when is None or not zoned):
                                when, zoned = int(seconds), stamps.zoned
                            who, at = found[2], found.end()
                        continue
                elif first in (0, 0x1E):  # zeros; RFC 7464
                    at += 1 if first else len(line) - at - len(line[at:].lstrip(b"\0"))
                    continue
                elif line.startswith(b"data: {", at):
                    at += 6
                    continue
                elif when is None and (found := _LOGFMT.match(line, at)):
                    seconds = stamps.any(found[1].decode(errors="replace"))
                    when, zoned = (None, False) if seconds is None else (int(seconds), stamps.zoned)
                    at = found.end()
                    continue
            if line.find(b" | ", at, at + 90) < 0:
                break
            found = _COMPOSE.match(line, at)
            if found is None:
                break
            who, at = found[1], found.end()
        return Peeled(when, who, line[at:] if at else line, None, zoned, when, at, remark)

    def _from(self, line: bytes, at: int, who: bytes = b"") -> tuple[int, bytes]:
        if line[at : at + 4] in LEVELS:  # the tunnel's own words, not a host and a unit
            return at, who
        if found := _CRI.match(line, at):
            return found.end(), who
        found = _FROM.match(line, at)
        return (at, who) if found is None else (found.end(), found[1] or found[2])

    def _json(self, text: bytes, when: int | None, zoned: bool, who: bytes) -> Peeled:
        try:
            row = self._decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return Peeled(when, who, text, None, zoned, when)
        if row.entry is not None or row.realtime is not None:
            return self.journal(row, when, who)
        if row.start_utc is not None and row.duration_ns is not None:
            return Peeled(when, who, text, row, zoned, when)  # it has better times of its own
        own, own_zoned = own_time(row, self.stamps)
        written = when if own is None or (when is not None and zoned) else int(own)
        if isinstance(row.log, str) and isinstance(row.time, str):  # docker's json-file
            return self._wrapped(row.log, written, zoned or own_zoned, who)
        if isinstance(row.line, str):  # Loki
            for name in _LABEL_NAMES:
                label = row.labels.get(name) if isinstance(row.labels, dict) else None
                if not who and isinstance(label, str):
                    who = label.encode(errors="replace")
            return self._wrapped(row.line, written, zoned or own_zoned, who)
        return Peeled(written, who, text, row, zoned, when)

    def _wrapped(self, text: str, when: int | None, zoned: bool, who: bytes) -> Peeled:
        inner = self._inner(text)
        if when is None:
            return inner._replace(who=inner.who or who)
        return inner._replace(when=when, outer=when, zoned=zoned, who=inner.who or who)

    def journal(self, row: JsonFields, when: int | None = None, who: bytes = b"") -> Peeled:
        """An entry of the journal; the times and names of what stood before it."""
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
            inner = self._inner(text if isinstance(text, (str, bytes)) else "")
        _, inside, body, inner_row, _, _, _, _ = inner
        if when is None:
            return inner._replace(who=who or inside)
        return Peeled(when, who or inside, body, inner_row, True, when)

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
            own, _ = own_time(row, self.stamps)
            return Peeled(None if own is None else int(own), b"", raw, row)
        return self.peel(raw)
