"""Reads one source of lines into a tally."""

from __future__ import annotations

from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from t3probe.forensics.access import ENDED, SERVED, SLOW, Access, read_common, read_json
from t3probe.forensics.classify import LOST, UNKNOWN, classify, connection, source_of
from t3probe.forensics.formats import Reader
from t3probe.forensics.kinds import KINDS
from t3probe.forensics.stamps import Stamps
from t3probe.forensics.stream import Damaged, Lines
from t3probe.forensics.tally import LAST_SECOND, Tally

__all__ = ["Asked", "FileReport", "read_log"]

SHAPES_AT_FIRST = 2_000
SHAPES_LATER = 64
"""The first unknown lines are all looked at, then one in so many."""
FAULTS = [bool(kind.sides) for kind in KINDS]


class Binary(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


class Asked(NamedTuple):
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


class FileReport(NamedTuple):
    """How the reading of one source went."""

    name: str
    lines: int
    known: int
    cut: int
    """Lines too long to be looked at whole."""
    damaged: str
    """What was wrong with its compression; empty: nothing."""
    no_zone: bool
    no_year: bool
    twice: bool
    """Whether times without zone, without year, and in an hour that comes twice were read."""


class _Log:
    """The state of one source's reading."""

    def __init__(self, name: str, asked: Asked) -> None:
        self.asked = asked
        self.tally = Tally()
        self.stamps = Stamps(asked.now, asked.zone)
        self.reader = Reader(self.stamps)
        self.forced = "" if asked.source == "auto" else asked.source
        hint = source_of(name.rpartition("/")[2].encode(errors="replace"))
        self.hint = "" if hint == "stranger" else hint
        """From the file's name; only used where the lines themselves do not say."""
        self.plain_access = self.forced in ("", "traefik")

    def feed(self, line: bytes) -> None:
        if self.plain_access and b'] "' in line and line.endswith((b"ms", b"ms\r")):
            # Whatever stands before it: such a line bears its own time, with a zone.
            access = read_common(line, self.stamps, self.asked.slow_seconds)
            if access is not None and access.ended is not None:
                self.access(access, None, line)
                return
        when, who, body, row = self.reader.peel(line)
        source = self.forced
        if not source:
            source = source_of(who) if who else self.hint
        if source in ("", "traefik") or not (who or self.forced):
            access = None
            if row is not None:
                if row.duration is not None:
                    access = read_json(row, self.stamps, self.asked.slow_seconds)
            elif b'] "' in body:
                access = read_common(body, self.stamps, self.asked.slow_seconds)
            if access is not None:
                self.access(access, when, line)
                return
        kind = classify(body, source)
        if kind == UNKNOWN and not self.forced and not who and source:
            kind = classify(body, "")  # the file's name was only a hint
        if kind == UNKNOWN:
            tally = self.tally
            unknown = tally.lines - tally.known
            if unknown < SHAPES_AT_FIRST or unknown % SHAPES_LATER == 0:
                tally.shape(body)
            tally.lines += 1
            return
        self.count(kind, when, line, connection(body) if kind in LOST else -1)

    def count(self, kind: int, when: int | None, line: bytes, extra: int = -1) -> bool:
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
        elif FAULTS[kind]:
            tally.untimed += 1
        tally.counts[kind] += 1
        return True

    def access(self, access: Access, when: int | None, line: bytes) -> None:
        if not self.count(access.kind, when if access.ended is None else access.ended, line):
            return
        if access.kind == ENDED:
            self.tally.lived.add(access.seconds)
        elif access.kind in (SERVED, SLOW):
            self.tally.took.add(access.seconds)


def read_log(name: str, source: Binary, asked: Asked) -> tuple[Tally, FileReport]:
    """Read one source to its end. Raises OSError; damaged compression only ends the reading."""
    log = _Log(name, asked)
    lines = Lines(source)
    damaged = ""
    feed = log.feed
    try:
        for some in lines:
            for line in some:
                feed(line)
    except Damaged as error:
        damaged = str(error)
    tally, stamps = log.tally, log.stamps
    report = FileReport(
        name, tally.lines, tally.known, lines.cut, damaged,
        stamps.no_zone > 0, stamps.no_year > 0, stamps.twice > 0,
    )  # fmt: skip
    return tally, report
