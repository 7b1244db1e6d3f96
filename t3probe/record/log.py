"""Record lines out of logs, whatever wrapped them on their way.

What is understood, mixed as they come:

- a plain line, also with anything before the record: `kubectl logs` with `--timestamps` or
  `--prefix`, stern, compose, journald;
- the files of containerd and CRI-O, whose long lines are in parts of 16 KiB: `TIME stdout P PART`,
  the last one `F` (Kubernetes' CRI log format; parts of stdout and stderr may alternate);
- Docker's json-file driver: `{"log":"PART","stream":"stdout",...}`, the last one ends in a line
  feed;
- a line inside a string of a JSON object on one line: `logcli query -o jsonl`, fluent-bit,
  `journalctl -o json`.

The log is streamed: only a line that holds a record is kept, up to `MAX_RECORD_BYTES` of it.

The record as one line of a log, for a pod whose files are gone when it is.

The line is ASCII JSON without a space outside its strings:

    {"t3probe":{"record":1,"counts":{"legs":L,"beats":B,"drops":D},"run":{...},"legs":{NAME:{...}}}}

`record` is the form's version. `run` and each of `legs` are the values of the JUnit properties
`t3probe.run` and `t3probe.leg.NAME`, in the same order. `counts` says how many legs, beats and
drops follow: agents that cut long lines into parts may lose one from the middle, and what is
left can still be JSON. A reader takes a line without `counts` as it is, ignores fields it does
not know, and refuses a version that it does not know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import IO, Any, NamedTuple

import msgspec

from t3probe.exchange.bounds import DOCKER_LINE_BYTES, RECORD_VALUES
from t3probe.observation import Observation, RunRecord
from t3probe.record import facts
from t3probe.record.facts import Recording, Wanted, ascii_json, finite

VERSION = 1
MARKER = '{"t3probe":{"record":'
"""How a record begins, whatever a log put before it."""
LEGS_MARKER = ',"legs":{'
"""What follows the run. It cannot stand inside a string of the run, whose own quotation marks have
a backslash before them."""
_NEAR_THE_END = 40
"""Characters. An error this near to the end is the end's own; some agents add a mark to what
they cut, Loki's is `<_truncated>`."""


class DamagedLineError(Exception):
    """A line that begins as a record and cannot be read as one; says why in some words."""


class _Head(msgspec.Struct):
    record: int
    run: RunRecord


class _HeadLine(msgspec.Struct):
    t3probe: _Head


class _Whole(_Head):
    legs: dict[str, Observation]
    counts: Any = None


class _WholeLine(msgspec.Struct):
    t3probe: _Whole


def run_of(text: str) -> RunRecord | None:
    """The run of a record line, of which `text` is all up to its legs; None when it cannot be
    read, and the whole line has to be."""
    try:
        head = msgspec.json.decode(text + "}}", type=_HeadLine).t3probe
    except (UnicodeError, RecursionError, msgspec.MsgspecError):
        return None
    return head.run if head.record == VERSION else None


def record_line(run: RunRecord, observations: Iterable[Observation]) -> str:
    """The record of a run as one ASCII line, without the line's end."""
    legs = {seen.leg: seen for seen in observations}
    return ascii_json(
        {
            "t3probe": {
                "record": VERSION,
                "counts": _counts(legs.values()),
                "run": run,
                "legs": legs,
            }
        }
    )


def _counts(observations: Iterable[Observation]) -> dict[str, int]:
    seen = list(observations)
    return {
        "legs": len(seen),
        "beats": sum(len(one.beats) for one in seen),
        "drops": sum(len(one.drops) for one in seen),
    }


def parse_record(text: str) -> Recording:
    """The record at the beginning of `text`; what follows it is ignored.

    Raises DamagedLineError.
    """
    try:
        whole = msgspec.json.decode(text, type=_WholeLine).t3probe
    except (UnicodeError, RecursionError, msgspec.MsgspecError):
        pass  # it has something after it, or lone surrogates, or whatever is said below
    else:
        seen = whole.legs.values()
        if whole.record == VERSION and whole.counts == _counts(seen):
            return Recording.read(whole.run, seen)
    return _parse_slowly(text)


def _parse_slowly(text: str) -> Recording:
    try:
        data, _ = json.JSONDecoder(parse_constant=finite, parse_float=finite).raw_decode(text)
    except json.JSONDecodeError as error:
        cut = error.msg.startswith("Unterminated") or error.pos >= len(text) - _NEAR_THE_END
        raise DamagedLineError(
            f"cut off after {len(text)} characters"
            if cut
            else f"damaged at character {error.pos + 1} of {len(text)}"
        ) from error
    except (RecursionError, ValueError) as error:
        raise DamagedLineError(f"damaged: {error}") from error
    record = data.get("t3probe")
    if not isinstance(record, dict) or record.get("record") != VERSION:
        found = str(record.get("record") if isinstance(record, dict) else record)[:20]
        raise DamagedLineError(f"of version {found!r}, and {VERSION} is known")
    try:
        run = msgspec.convert(record.get("run"), RunRecord)
        seen = msgspec.convert(record.get("legs"), dict[str, Observation]).values()
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise DamagedLineError(f"damaged: {error}") from error
    there = _counts(seen)
    if record.get("counts", there) != there:
        raise DamagedLineError(
            f"lost a part: {_told(record['counts'])} written, {_told(there)} left"
        )
    return Recording.read(run, seen)


def _told(counts: object) -> str:
    if not isinstance(counts, dict):
        return "an unknown number"
    return ", ".join(f"{str(counts.get(one))[:20]} {one}" for one in ("legs", "beats", "drops"))


_PLAIN = MARKER.encode("ascii")
_ESCAPED = _PLAIN.replace(b'"', b'\\"')
_LEGS = LEGS_MARKER.encode("ascii")
_ESCAPED_LEGS = _LEGS.replace(b'"', b'\\"')
_CRI = re.compile(
    rb"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) (stdout|stderr) ([PF])(?::\S*)?(?: |(?=\r?\n)|$)"
)
_DOCKER = b'{"log":"'
_PIECE_BYTES = 64 << 10


class FoundLine(NamedTuple):
    """A line that holds a record."""

    number: int
    """In the log, counted from 1; of its first part when it came in parts."""
    content: bytes
    """From the record's beginning on, with whatever followed it."""
    escaped: bool
    """Whether it stands inside a JSON string."""
    too_long: bool
    asked: bool = False
    """Whether somebody was asked already if the run is wanted, and wanted it."""

    def parse(self) -> Recording:
        """The record in it. Raises DamagedLineError."""
        if self.content.count(b",") > RECORD_VALUES:
            raise DamagedLineError(f"of more than {RECORD_VALUES:,} values")
        text = self.content.decode("utf-8", "replace").rstrip()
        try:
            return parse_record(_unescaped(text) if self.escaped else text)
        except DamagedLineError as error:
            if self.too_long:
                limit = facts.MAX_RECORD_BYTES >> 20
                raise DamagedLineError(f"longer than {limit} MiB") from error
            raise


def _unescaped(text: str) -> str:
    try:
        value, _ = json.JSONDecoder().raw_decode(f'"{text}')
    except ValueError as error:
        raise DamagedLineError(f"cut off after {len(text)} characters") from error
    return str(value)


class _Search:
    """Looks for a record in one line, which comes piece by piece."""

    def __init__(self, wanted: Wanted | None) -> None:
        self._wanted = wanted
        self._reset()

    def _reset(self) -> None:
        self._tail = b""
        self._parts: list[bytes] = []
        self._bytes = 0
        self._number = 0
        self._escaped = False
        self._left_out: bool | None = None
        """Whether the run is not wanted; None: not known yet."""
        self._looked = 0
        """How many bytes were searched for the end of the run."""

    @property
    def found(self) -> bool:
        """Whether the line so far holds the beginning of a record."""
        return bool(self._parts)

    def feed(self, piece: bytes, number: int) -> None:
        """Go on with a piece of the line; `number` is that of the log's line it stands in."""
        if not self._parts:
            piece = self._tail + piece
            plain, escaped = piece.find(_PLAIN), piece.find(_ESCAPED)
            if plain < 0 and escaped < 0:
                self._tail = piece[1 - len(_ESCAPED) :]
                return
            self._escaped = plain < 0 or 0 <= escaped < plain
            self._number = number
            piece = piece[escaped if self._escaped else plain :]
        if self._bytes < facts.MAX_RECORD_BYTES and not self._left_out:
            self._parts.append(piece)
        self._bytes += len(piece)
        if self._left_out is None and self._wanted is not None and self._bytes >= 2 * self._looked:
            self._ask(self._wanted)

    def end(self) -> Iterator[FoundLine]:
        """The line is over: what it held."""
        if self._left_out is None and self._wanted is not None and self._parts:
            self._ask(self._wanted)
        if self._parts and not self._left_out:
            too_long = self._bytes > facts.MAX_RECORD_BYTES
            asked = self._left_out is not None
            content = b"".join(self._parts)
            yield FoundLine(self._number, content, self._escaped, too_long, asked)
        self._reset()

    def _ask(self, wanted: Wanted) -> None:
        """Whether the run is wanted, as soon as all of it is there: of what is not wanted nothing
        more is kept."""
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        content, self._looked = self._parts[0], self._bytes
        at = content.find(_ESCAPED_LEGS if self._escaped else _LEGS)
        if at < 0:
            return
        text = content[:at].decode("utf-8", "replace")
        try:
            run = run_of(_unescaped(text + '"') if self._escaped else text)
        except DamagedLineError:
            run = None
        if run is None:
            return  # the whole may tell
        self._left_out = not wanted(run)
        if self._left_out:
            self._parts = [b"-"]  # a record was found


def found_lines(stream: IO[bytes], wanted: Wanted | None = None) -> Iterator[FoundLine]:
    """The record lines of a log, in its order; without those whose run tells, before its legs,
    that it is not wanted. Raises OSError when the log cannot be read."""
    searches = {b"stdout": _Search(wanted), b"stderr": _Search(wanted)}
    whole = _Search(wanted)
    number = 0
    while piece := stream.readline(_PIECE_BYTES):
        number += 1
        parted = None
        if match := _CRI.match(piece):
            search, more = searches[match[1]], match[2] == b"P"
            piece = piece[match.end() :]
        elif piece.startswith(_DOCKER):
            while len(piece) < DOCKER_LINE_BYTES and not piece.endswith(b"\n"):
                if not (rest := stream.readline(_PIECE_BYTES)):
                    break
                piece += rest
            parted = _docker_part(piece)
            search, more = whole, False
        else:
            search, more = whole, False
        if parted is not None:
            name, content = parted
            search, more = searches[name], not content.endswith(b"\n")
            if content.startswith(_PLAIN):
                yield from search.end()  # the one before has lost its last part
            search.feed(content, number)
        else:
            if piece.startswith(_PLAIN):
                yield from search.end()
            search.feed(_without_end(piece, more), number)
            while not piece.endswith(b"\n") and (piece := stream.readline(_PIECE_BYTES)):
                search.feed(_without_end(piece, more), number)
        if not more:
            yield from search.end()
    for search in searches.values():
        yield from search.end()


def _without_end(piece: bytes, more: bool) -> bytes:
    """A part that goes on does not hold the line feed of the log's own line."""
    return piece.removesuffix(b"\n") if more else piece


def _docker_part(line: bytes) -> tuple[bytes, bytes] | None:
    """Stream and content of a line of the json-file driver; None when it is none."""
    text = line.decode("utf-8", "replace")
    try:
        value, end = json.JSONDecoder(strict=False).raw_decode(text, len(_DOCKER) - 1)
    except ValueError:
        return None
    name = b"stderr" if '"stream":"stderr"' in text[end:] else b"stdout"
    return name, value.encode("utf-8", "surrogatepass")
