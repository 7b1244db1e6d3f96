"""What relay and jump write about their connections, in every form that is out there. Pure.

A message is a JSON array with an object for each connection: of rigs, of their viewers, of clients
and of whoever listens. Old and new services differ in the spelling of keys and in whether they say
when a connection last sent something. Other messages come between: echoes of commands and actions,
alone or in the same frame, and several arrays one behind the other, of which the last is newest.

A report always names whoever listens, us at least: an array without a single connection is none.
"""

from __future__ import annotations

import math
import re
from typing import Literal

import msgspec

from t3probe.exchange.bounds import RIG_REPORT_CONNECTIONS
from t3probe.exchange.json_stream import Into, JsonError, JsonStream, NotJsonError, typed

Service = Literal["relay", "jump"]

RIG_SCOPE: dict[Service, str] = {"relay": "expt", "jump": "host"}
"""The scope that only the rig's own end of a connection has."""
NEVER_SECONDS = 9_223_372_036.0
"""An age of so long, some 292 years, is the largest that these services can write: never."""
AGE_CHARACTERS = 64
"""An age as text is no longer."""
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60, "h": 3600}
_PART = re.compile(r"([0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(ns|us|µs|μs|ms|s|m|h)")


class LastSent(msgspec.Struct, frozen=True):
    """When a stream last sent something, of all its rig's connections the latest."""

    age_seconds: float = math.inf
    """How long before the report; infinite: never, as far as the report says."""
    unsaid: bool = False
    """A connection is there of which the report does not say it."""

    def fresher(self, other: LastSent) -> LastSent:
        """Of two connections of one topic."""
        return LastSent(min(self.age_seconds, other.age_seconds), self.unsaid or other.unsaid)


class ServiceReport(msgspec.Struct, frozen=True):
    """One report of one service."""

    service: Service
    at: float
    """When it came, in seconds of the listener's clock."""
    rigs: dict[str, LastSent]
    """What rigs' own ends are connected, by topic: of relay their streams, of jump the rigs."""
    connections: int = 0
    """How many connections it names in all."""
    unread: int = 0
    """How many of them could not be read."""
    frame: bytes = b""
    """The message itself, where it is kept."""


class NoReportError(Exception):
    """A message that is no report; `str()` is the end of a sentence about the service."""


class _Entry(msgspec.Struct):
    topic: str
    scopes: list[str] | None = None
    stats: msgspec.Raw = msgspec.Raw()


class _Sent(msgspec.Struct):
    last: str | int | float | None
    never: bool = False


class _Sides(msgspec.Struct):
    tx: _Sent


class _UsualEntry(msgspec.Struct):
    """As most are written; a message with any other is read bit by bit."""

    topic: str
    scopes: list[str] | None = None
    stats: _Sides | None = None


_USUAL = msgspec.json.Decoder(list[_UsualEntry])
_ENTRY = msgspec.json.Decoder(_Entry)
_STATS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LAST = msgspec.json.Decoder(str | int | float | None)
_NEVER = msgspec.json.Decoder(bool)
_NONE = LastSent(unsaid=True)


def age_of(value: str | int | float | None) -> float | None:
    """An age in seconds; infinite: never. None: nothing that says one.

    Text is a duration as Go writes it (`1m3.5s`, `812.5ms`, `12µs`), `Never` or nothing; a number
    is nanoseconds.
    """
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        seconds = value / 1e9
    elif value.strip().lower() in ("never", ""):
        return math.inf
    else:
        found = _go_duration(value)
        if found is None:
            return None
        seconds = found
    if not math.isfinite(seconds) or seconds < 0:
        return None
    return math.inf if seconds >= NEVER_SECONDS else seconds


def _go_duration(text: str) -> float | None:
    if len(text) > AGE_CHARACTERS:
        return None
    text = text.strip().removeprefix("+")
    if text == "0":
        return 0.0
    total, at = 0.0, 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            return None
        total += float(part[1]) * _UNITS[part[2]]
        at = part.end()
    return total if at else None


def _last_sent(stats: msgspec.Raw) -> LastSent:
    """What a relay's `stats` say of what the connection's own end sent."""
    if not bytes(stats):
        return _NONE
    found = typed(stats, _STATS)
    sent = None if found is None or "tx" not in found else typed(found["tx"], _STATS)
    if sent is None:
        return _NONE
    if "never" in sent and typed(sent["never"], _NEVER):
        return LastSent()
    return _of_age(typed(sent["last"], _LAST)) if "last" in sent else _NONE


def _of_age(value: str | int | float | None) -> LastSent:
    age = age_of(value)
    return _NONE if age is None else LastSent(age)


class ReportReader:
    """Reads one message of a service in pieces; of its arrays the last one counts."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._scope = RIG_SCOPE[service]
        self._rigs: dict[str, LastSent] = {}
        self._entries = self._unread = 0
        self._known = False
        root = Into(keys=_passed, item=self._take, opened=self._opened, closed=self._closed)
        self._done: ServiceReport | None = None
        self._empty = False
        self._is_array = False
        self._stream = JsonStream(root, several=True)

    def feed(self, piece: bytes) -> None:
        """Read a piece. Raises NoReportError."""
        try:
            self._stream.feed(piece)
        except JsonError as error:
            raise _unread(error) from None

    def close(self, at: float) -> ServiceReport | None:
        """The report, which came at that time; None: the message is an echo, or an action. Raises
        NoReportError for what is neither."""
        try:
            self._stream.close()
        except JsonError as error:
            raise _unread(error) from None
        if self._done is not None:
            return msgspec.structs.replace(self._done, at=at)
        if self._empty:
            raise NoReportError("reports no connection at all, not even ours")
        return None

    def _opened(self, is_object: bool) -> None:
        self._is_array = not is_object
        if self._is_array:
            self._rigs, self._entries, self._unread = {}, 0, 0

    def _closed(self) -> None:
        if not self._is_array:
            return
        if self._entries == self._unread:
            self._empty = True
            return
        self._done = ServiceReport(self._service, 0.0, self._rigs, self._entries, self._unread)

    def _take(self, raw: bytes) -> None:
        self._entries += 1
        if self._entries > RIG_REPORT_CONNECTIONS:
            raise NoReportError(f"reports more than {RIG_REPORT_CONNECTIONS:,} connections")
        entry = typed(raw, _ENTRY)
        if entry is None:
            self._unread += 1
        elif self._scope in (entry.scopes or ()):
            last = _last_sent(entry.stats) if self._service == "relay" else _NONE
            _add(self._rigs, entry.topic, last)


def _add(rigs: dict[str, LastSent], topic: str, last: LastSent) -> None:
    known = rigs.get(topic)
    rigs[topic] = last if known is None else known.fresher(last)


def read_usual(service: Service, frame: bytes, at: float) -> ServiceReport | None:
    """A message that is one array of entries as most are written, eight times as fast as bit by
    bit; None: it is another one."""
    try:
        entries = _USUAL.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not 0 < len(entries) <= RIG_REPORT_CONNECTIONS:
        return None
    scope, rigs = RIG_SCOPE[service], dict[str, LastSent]()
    for one in entries:
        if scope in (one.scopes or ()):
            last = _NONE
            if service == "relay" and one.stats is not None:
                sent = one.stats.tx
                last = LastSent() if sent.never else _of_age(sent.last)
            _add(rigs, one.topic, last)
    return ServiceReport(service, at, rigs, len(entries))


def _passed(key: str) -> None:
    """An echo's or an action's key: nothing of it is used."""


def _unread(error: JsonError) -> NoReportError:
    what = "something that is not JSON" if isinstance(error, NotJsonError) else str(error)
    return NoReportError(f"reports {what}")


def read_frame(service: Service, frame: bytes, at: float) -> ServiceReport | None:
    """A whole message at once: as `ReportReader.close`."""
    usual = read_usual(service, frame, at)
    if usual is not None:
        return usual
    reader = ReportReader(service)
    reader.feed(frame)
    return reader.close(at)
