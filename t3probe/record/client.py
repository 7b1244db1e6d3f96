"""The record that a person's browser makes of its own connection, as the page at `/probe/` saves
it: read, checked and put on the server's clock.

It is foreign input, and anybody can write one. What is read of it is bounded, and of the rest
nothing is kept. Every time in it is on the page's own timeline; `clock` says what to add.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec.structs import replace

from t3probe.exchange.bounds import CLIENT_RECORD_BYTES, CLIENT_RECORD_ENTRIES
from t3probe.observation import Fact, Reason, Symptom
from t3probe.record.facts import RecordError
from t3probe.text import showable
from t3probe.text.words import size

VERSION = 1
LATEST = 2.0**35
"""Unix seconds; a later time is not to be believed."""
LAST_CLOSE_CODE = 0xFFFF
"""They have two bytes (RFC 6455, section 5.5.1)."""
GapKind = Literal["slept", "frozen", "late", "hidden", "offline", "network", "stepped"]
STOOD_STILL: frozenset[GapKind] = frozenset({"slept", "frozen", "late"})
"""The page itself did not run: what it did not see then is its own doing."""
_NO_FRAME = 1006
"""What a browser says where there was no close frame (RFC 6455, section 7.1.5)."""
_COLO = re.compile(r"[A-Z0-9]{2,8}", re.ASCII)
_ADVICE = "ask the person to save it again, or fetch it again"
_LOOKS = "a record that the page at /probe/ saved"


class ClientClock(Fact, frozen=True):
    """How the page's clock stands to the server's."""

    offset_seconds: float
    """What to add to a time of the page."""
    within_seconds: float
    """The true offset lies so near to that one."""


class ClientDrop(Fact, frozen=True):
    """An interval in which the page's connection, or its tries for a new one, did not work."""

    began: float
    """The last good beat's answer, or the start of the attempt."""
    noticed: float
    ended: float | None = None
    """The first good beat after it; None: there was none until the record was made."""
    strand: Literal["held", "fresh", "both"] = "held"
    symptom: Symptom = "unknown"
    reason: Reason = "io_error"
    code: int | None = None
    """Of the close frame (RFC 6455, section 7.4); 1006: there was none."""
    age_seconds: float | None = None
    """How old the connection was that died."""
    edge_answered: bool | None = None
    """Whether a short request to the CDN's edge was answered meanwhile; None: none was made."""

    @property
    def new_alone(self) -> bool:
        """Whether only tries for a new connection are known to have failed."""
        unsure = self.symptom == "unknown" and self.strand == "fresh"
        return self.symptom == "refusing" or unsure

    @property
    def closed_in_words(self) -> bool:
        """Whether a close frame ended it: that came from the far end, through the last mile."""
        return self.reason == "closed_by_peer" and self.code not in (None, _NO_FRAME)


class ClientGap(Fact, frozen=True):
    """Something about the device itself."""

    began: float
    kind: GapKind
    ended: float | None = None
    """None: it went on when the record was made."""
    seconds: float | None = None
    """How late a timer came, or by how much the clock was set."""


class ClientEdge(Fact, frozen=True):
    """Which place of the CDN the page reached from a moment on."""

    at: float
    colo: str | None = None
    family: Literal[4, 6] | None = None
    """Of the person's address."""


class ClientHeld(Fact, frozen=True):
    """One connection that the page held, or tried to open."""

    began: float
    opened: float | None = None
    """None: it did not open."""
    last_good: float | None = None
    ended: float | None = None


class ClientLeftOut(Fact, frozen=True):
    """How many older entries the page did not keep."""

    connections: int = 0
    beats: int = 0
    drops: int = 0
    gaps: int = 0
    edges: int = 0


class ClientNetwork(Fact, frozen=True):
    """What the responder that kept the record added."""

    at: float = 0.0
    family: int = 0
    network: str = ""


Trip = float | None
ClientBeat = tuple[float, Trip, Trip]
"""When it was sent, and the round trips of the held and the fresh strand in milliseconds: negative
when it failed, None when none was made or nobody can tell."""


class ClientRecord(Fact, frozen=True):
    """What one page saw. All times are Unix seconds."""

    version: int = msgspec.field(name="t3probe_client")
    began: float
    made: float
    page: str = ""
    browser: str = ""
    heartbeat_seconds: float = 10.0
    watchdog_seconds: float = 20.0
    clock: ClientClock | None = None
    connections: tuple[ClientHeld, ...] = ()
    beats: tuple[ClientBeat, ...] = ()
    drops: tuple[ClientDrop, ...] = ()
    gaps: tuple[ClientGap, ...] = ()
    edges: tuple[ClientEdge, ...] = ()
    left_out: ClientLeftOut = ClientLeftOut()
    seen: ClientNetwork | None = None

    def edge_at(self, at: float) -> ClientEdge | None:
        """The place of the CDN that it reached then; None: it never learned one."""
        known = [one for one in self.edges if one.at <= at]
        if not known and self.edges and not self.left_out.edges:
            # The page asks as it begins, and may have dropped before the answer.
            known = [one for one in self.edges[:1] if one.at <= at + self.heartbeat_seconds]
        return known[-1] if known else None

    @property
    def known_from(self) -> float:
        """Since when it tells of every drop."""
        if not self.left_out.drops:
            return self.began
        return self.drops[0].began if self.drops else self.made


_DECODER = msgspec.json.Decoder(ClientRecord)


def read_client(content: bytes, file: str) -> ClientRecord:
    """The record in `content`, its times on the server's clock where the page learned that.

    `file` names it in sentences. Raises RecordError.
    """
    if len(content) > CLIENT_RECORD_BYTES:
        raise RecordError(
            file, f"expected {_LOOKS}, of at most {size(CLIENT_RECORD_BYTES)}, found more", _ADVICE
        )
    try:
        record = _DECODER.decode(content)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        why = f" ({showable(str(error))})" if isinstance(error, msgspec.ValidationError) else ""
        raise RecordError(file, f"expected {_LOOKS}, found something else{why}", _ADVICE) from error
    if record.version != VERSION:
        raise RecordError(
            file,
            f"expected {_LOOKS}, of version {VERSION}, found version {record.version}",
            "use a t3probe as new as the page, or reload the page",
        )
    if problem := _problem(record):
        raise RecordError(file, f"expected {_LOOKS}, found {problem}", _ADVICE)
    offset = 0.0 if record.clock is None else record.clock.offset_seconds
    return _on_server_clock(record, offset)


def _problem(record: ClientRecord) -> str:
    """What no page writes; empty when all is as it has to be."""
    lists = (record.connections, record.beats, record.drops, record.gaps, record.edges)
    if max(map(len, lists)) > CLIENT_RECORD_ENTRIES:
        return f"a list of more than {CLIENT_RECORD_ENTRIES:,} entries"
    if not all(map(_possible, _times(record))):
        return "a time that is none"
    if record.clock is not None:
        offset = record.clock.offset_seconds
        if not all(_possible(at + offset) for at in _times(record)):
            return "a clock that is none"
    if record.made < record.began:
        return "an end before its start"
    lengths = [record.heartbeat_seconds, record.watchdog_seconds]
    lengths += [one.age_seconds for one in record.drops if one.age_seconds is not None]
    if record.clock is not None:
        lengths.append(record.clock.within_seconds)
    if not all(math.isfinite(one) and 0 <= one < LATEST for one in lengths):
        return "a length of time that is none"
    for drop in record.drops:
        if not drop.began <= drop.noticed <= (drop.noticed if drop.ended is None else drop.ended):
            return "a drop that ends before it begins"
        if drop.code is not None and not 0 <= drop.code <= LAST_CLOSE_CODE:
            return "a close code that is none"
    for gap in record.gaps:
        if gap.ended is not None and gap.ended < gap.began:
            return "a pause that ends before it begins"
    for some in (record.drops, record.gaps):
        starts = [one.began for one in some]
        if starts != sorted(starts):
            return "entries that do not stand in the order of time"
    for edge in record.edges:
        if edge.colo is not None and not _COLO.fullmatch(edge.colo):
            return "a place of the CDN that is none"
    return ""


def _times(record: ClientRecord) -> Iterable[float]:
    yield from (record.began, record.made)
    for beat in record.beats:
        yield beat[0]
    for drop in record.drops:
        yield from (drop.began, drop.noticed, drop.noticed if drop.ended is None else drop.ended)
    for gap in record.gaps:
        yield from (gap.began, gap.began if gap.ended is None else gap.ended)
    for edge in record.edges:
        yield edge.at
    for one in record.connections:
        for at in (one.began, one.opened, one.last_good, one.ended):
            if at is not None:
                yield at


def _possible(at: float) -> bool:
    return math.isfinite(at) and 0 <= at < LATEST


def _on_server_clock(record: ClientRecord, offset: float) -> ClientRecord:
    def moved(at: float | None) -> float | None:
        return None if at is None else at + offset

    return replace(
        record,
        page=showable(record.page),
        browser=showable(record.browser, 60),
        began=record.began + offset,
        made=record.made + offset,
        connections=tuple(
            replace(
                one,
                began=one.began + offset,
                opened=moved(one.opened),
                last_good=moved(one.last_good),
                ended=moved(one.ended),
            )
            for one in record.connections
        ),
        beats=tuple((at + offset, held, fresh) for at, held, fresh in record.beats),
        drops=tuple(
            replace(
                one,
                began=one.began + offset,
                noticed=one.noticed + offset,
                ended=moved(one.ended),
            )
            for one in record.drops
        ),
        gaps=tuple(
            replace(one, began=one.began + offset, ended=moved(one.ended)) for one in record.gaps
        ),
        edges=tuple(replace(one, at=one.at + offset) for one in record.edges),
        seen=None
        if record.seen is None
        else replace(record.seen, network=showable(record.seen.network, 60)),
    )
