"""Reads one source of lines into a tally."""

from __future__ import annotations

from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from t3probe.ask.forensics.access import ENDED, TOOK, LineFacts, read_common
from t3probe.ask.forensics.blocks import Export, Pretty, Verbose, begun
from t3probe.ask.forensics.classify import LOST, UNKNOWN, classify, connection, source_of
from t3probe.ask.forensics.formats import (
    FORMS,
    JSON_FORMS,
    LEVELS,
    UNREAD_FORMS,
    LineReader,
    Peeled,
)
from t3probe.ask.forensics.kinds import BY_NAME, KINDS
from t3probe.ask.forensics.stamps import Stamps
from t3probe.ask.forensics.stream import Damaged, Lines
from t3probe.ask.forensics.tally import LAST_SECOND, Tally

SHAPES_AT_FIRST = 2_000
SHAPES_LATER = 64
"""The first unknown lines are all looked at, then one in so many."""
FAULTS = [bool(kind.sides) for kind in KINDS]
QUIET = frozenset(at for at, kind in enumerate(KINDS) if kind.name.endswith("_info"))
STARTS = {
    at: BY_NAME[f"{kind.source}_info"]
    for at, kind in enumerate(KINDS)
    if kind.name.endswith("_restarted")
}
"""A program's start, and what it is when nothing of that program stood before it."""
SPECIAL = frozenset((b" ", b"{", b"_"))
OWN_LOGS = frozenset(("", "haproxy", "nginx", "envoy", "dnsdist", "traefik", "tunnel"))
"""Whose processes write the forms of the table."""
OTHER_LOGS = frozenset(("dispatch", "serve"))
"""Whose processes write what they like: an unknown line of theirs was read."""
BLOB = "journalctl left the message out (blob data): take -o json or -o export"
JSON_UNREAD = "JSON that names no program and nothing that is known"


class Binary(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


class LogQuery(NamedTuple):
    """What of the logs is asked for."""

    now: float
    """Unix seconds; years that are not written are read from it."""
    zone: ZoneInfo | None = None
    """For times without a zone; None: this machine's."""
    source: str = "auto"
    since: float = float("-inf")
    until: float = float("inf")
    """Unix seconds, both included."""
    slow_seconds: float = 10.0
    """From here on a request counts as slow."""

    @property
    def windowed(self) -> bool:
        """Whether only some time is asked for."""
        return self.since > float("-inf") or self.until < float("inf")


class FileReport(NamedTuple):
    """How the reading of one source went."""

    name: str
    lines: int
    known: int
    cut: int
    """Lines too long to be looked at whole."""
    damaged: str
    """Why it was not read to its end; empty: it was."""
    no_zone: bool
    no_year: bool
    twice: bool
    """Whether times without zone, without year, and in an hour that comes twice were read."""
    strange_zone: str = ""
    """A zone's name that was not understood."""
    encoding: str = ""
    """What it was decoded from, when that was no UTF-8."""
    replaced: int = 0
    """Characters that could not be decoded."""
    holes: int = 0
    """Bytes of zeros that were left out."""


class _Log:
    """The state of one source's reading."""

    def __init__(self, asked: LogQuery) -> None:
        self.asked = asked
        self.tally = Tally()
        self.stamps = Stamps(asked.now, asked.zone)
        self.reader = LineReader(self.stamps)
        self.forced = "" if asked.source == "auto" else asked.source
        forced = self.forced
        self.forms = [
            (one.holds, one.begins, one.read) for one in FORMS if forced in ("", one.source)
        ]
        self.firsts = frozenset(one[:1] for _, begins, _ in self.forms for one in begins)
        self.holds = sorted({holds for holds, begins, _ in self.forms if not begins})
        """What a line of the table begins with, or holds."""
        self.json_forms = [one for one in JSON_FORMS if forced in ("", one.source)]
        self.plain_access = forced in ("", "traefik")
        self.told: set[int] = set()
        """Kinds that were read already."""
        self.block: Pretty | Export | Verbose | None = None
        self.before = Peeled(None, b"", b"", None)
        """The last line with something before it: journald indents the rest of a message as far."""

    def feed(self, line: bytes) -> None:
        if self.block is not None:
            if self.block.take(line):
                self.tally.folded += 1
                return
            self.close()
        if line.endswith(b"\r"):
            line = line[:-1]
        if line.endswith(b"ms") and b'] "' in line and self.plain_access:
            # Whatever stands before it: such a line bears its own time, with a zone.
            told = read_common(line, self.stamps, self.asked.slow_seconds)
            if told is not None and told.ended is not None:
                self.tell(told, told.ended, line)
                return
        first = line[:1]
        if first in SPECIAL and self.special(first, line):
            return
        peeled = self.reader.peel(line)
        if peeled.at:
            self.before = peeled
            if not peeled.who and peeled.body.startswith(b"[s="):
                self.block = begun(peeled.body, peeled.when)
                if self.block is not None:
                    return
        self.judge(peeled, line)

    def special(self, first: bytes, line: bytes) -> bool:
        """Whether a line goes on with the one before it, or begins an entry of several."""
        before = self.before
        if first == b" " and before.at > 15 and before.who and line.startswith(b" " * before.at):
            inner = self.reader.peel(line[before.at :])
            self.judge(inner._replace(when=before.when, who=before.who, zoned=before.zoned), line)
            return True
        if first == b"{" and line.rstrip() == b"{":
            self.block = Pretty(line)
            return True
        if first == b"_" and line.startswith((b"__CURSOR=", b"__REALTIME_TIMESTAMP=")):
            self.block = Export(line)
            return True
        return False

    def close(self) -> None:
        """The entry of several lines is over: take it in."""
        block, self.block = self.block, None
        if isinstance(block, Pretty):
            if not block.whole:  # its lines are lines like others
                self.tally.folded -= len(block.lines) - 1
                for line in block.lines:
                    self.judge(self.reader.peel(line), line)
                return
            whole = b"".join(block.lines)
            self.judge(self.reader.peel(whole), whole)
        elif block is not None:
            when = block.when if isinstance(block, Verbose) else None
            text = block.row.entry if isinstance(block.row.entry, bytes) else b""
            self.judge(self.reader.journal(block.row, when), text)

    def judge(self, peeled: Peeled, line: bytes) -> None:
        """Take one line in, without what stood before it."""
        _, who, body, row, _, _, _, _ = peeled
        source = self.forced or (source_of(who) if who else "")
        if source in OWN_LOGS and body[:4] not in LEVELS:
            told = self.program(peeled, source)
            if told is not None:
                when = peeled.when
                if told.begins:
                    when = peeled.outer
                elif told.ended is not None and (told.zoned or not peeled.zoned):
                    when = told.ended
                self.tell(told, when, line, peeled.remark)
                return
        kind = classify(body, source, sure=bool(self.forced))
        if kind == UNKNOWN:
            self.unknown(peeled, source, row is not None)
            return
        self.count(kind, peeled.when, line, connection(body) if kind in LOST else -1, peeled.remark)

    def program(self, peeled: Peeled, source: str) -> LineFacts | None:
        """What a program of the table says in this line; None: it is none's."""
        body, stamps, slow = peeled.body, self.stamps, self.asked.slow_seconds
        if peeled.row is not None:
            for one in self.json_forms:
                told = one.read(peeled.row, stamps, slow)
                if told is not None:
                    return told
            return None
        if body[:1] not in self.firsts:
            for holds in self.holds:
                if holds in body:
                    break
            else:
                return None
        for holds, begins, read in self.forms:
            if holds in body and (not begins or body.startswith(begins)):
                told = read(body, stamps, slow)
                if told is not None:
                    return told
        return None

    def unknown(self, peeled: Peeled, source: str, json: bool) -> None:
        """A line that no rule knows: of others, or one that could not be read."""
        tally, body = self.tally, peeled.body
        unknown = tally.lines - tally.known
        if unknown < SHAPES_AT_FIRST or unknown % SHAPES_LATER == 0:
            tally.shape(body)
        tally.lines += 1
        when = peeled.when
        if when is not None and not self.asked.since <= when <= self.asked.until:
            tally.aside += 1
            return
        if source == "stranger":
            tally.others += 1
            return
        if body.endswith(b"B blob data]"):
            tally.remark(BLOB)
            return
        # Blank, or the rest of what stands before it, or journalctl's own words.
        if source in OTHER_LOGS or not body.strip() or body.startswith((b" ", b"\t", b"-- ")):
            tally.others += 1
            return
        told = UNREAD_FORMS.get(source) or (JSON_UNREAD if json else "")
        if told:
            tally.remark(told)

    def count(
        self, kind: int, when: int | None, line: bytes, extra: int = -1, remark: str = ""
    ) -> bool:
        """Count a line; whether it is one that was asked for."""
        tally = self.tally
        tally.lines += 1
        tally.known += 1
        if when is not None and 0 <= when <= LAST_SECOND:
            if not self.asked.since <= when <= self.asked.until:
                tally.outside += 1
                return False
            tally.at(when)
            if FAULTS[kind]:
                tally.fault(kind, when, line, extra)
        else:
            tally.timeless += 1
            tally.untimed += FAULTS[kind]
            if remark:
                tally.remark(remark)
            if self.asked.windowed:
                return False  # whether it lies in that time is not known
        tally.counts[kind] += 1
        return True

    def tell(self, told: LineFacts, when: int | None, line: bytes, remark: str = "") -> None:
        """Count what a program says."""
        kind, seconds = told.kind, told.seconds
        if told.remark:
            self.tally.remark(told.remark)
        if kind not in self.told:
            first = kind in STARTS and not any(
                KINDS[one].source == KINDS[kind].source and one not in QUIET for one in self.told
            )
            self.told.add(kind)
            if first:
                kind = STARTS[kind]
        if self.count(kind, when, line, -1, remark) and seconds is not None:
            if kind in TOOK:
                self.tally.took.add(seconds)
            elif kind in ENDED:
                self.tally.lived.add(seconds)


def read_log(name: str, source: Binary, asked: LogQuery) -> tuple[Tally, FileReport]:
    """Read one source to its end. Raises OSError; damaged compression only ends the reading."""
    log = _Log(asked)
    lines = Lines(source, name)
    damaged = ""
    feed = log.feed
    try:
        for some in lines:
            for line in some:
                feed(line)
    except Damaged as error:
        damaged = str(error)
    log.close()
    tally, stamps = log.tally, log.stamps
    report = FileReport(
        name, tally.lines, tally.known, lines.cut, damaged,
        stamps.no_zone > 0, stamps.no_year > 0, stamps.twice > 0,
        stamps.strange_zone.decode(errors="replace"), lines.encoding, lines.replaced, lines.holes,
    )  # fmt: skip
    return tally, report
