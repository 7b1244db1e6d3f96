"""Recorded runs out of whatever file holds them: JUnit, a log, or standard input.

What a file is is decided by how it begins, not by its name. UTF-16, which PowerShell's `>` writes,
is read as text.

The latest runs of thousands: all are counted, and only these are looked into.
"""

from __future__ import annotations

import heapq
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

from t3probe.exchange.files import Utf8, encoding_of, open_regular
from t3probe.observation import RunRecord
from t3probe.record import facts
from t3probe.record.facts import RecordError, Recording, Wanted
from t3probe.record.junit import parse_junit
from t3probe.record.log import DamagedLineError, found_lines

RunKey = tuple[float, str, str, int]

_XML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<[?!A-Za-z]")
_HEAD_BYTES = 4096
_DECLARATION = re.compile(rb"\A\s{0,99}<\?xml [^>]{0,200}\?>")
_PACKED = (
    (b"\x1f\x8b", "a gzip file"), (b"\xfd7zXZ", "an xz file"), (b"BZh", "a bzip2 file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"), (b"PK\x03\x04", "a zip file"),
)  # fmt: skip
_EXPECTED = "expected a JUnit file written by this suite, or a log with record lines"
_EXAMPLES = 3


class Damage:
    """The record lines of a log that could not be read: how many, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self._examples: list[str] = []

    def add(self, number: int, problem: str) -> None:
        """Line `number` of the log is `problem`."""
        self.count += 1
        if len(self._examples) < _EXAMPLES:
            self._examples.append(f"line {number}: {problem}")

    def take(self, other: Damage) -> None:
        """Become what `other` is."""
        self.count, self._examples = other.count, list(other._examples)

    def __str__(self) -> str:
        lines = "1 record line is" if self.count == 1 else f"{self.count} record lines are"
        more = ", ..." if self.count > _EXAMPLES else ""
        return f"{lines} not readable ({', '.join(self._examples)}{more})"

    @property
    def advice(self) -> str:
        """What to do about it."""
        return (
            "log agents cut long lines (Loki: max_line_size), so take the pod's own log or let "
            "them be longer"
        )


class RecordFile:
    """An open file, or standard input for `-`. A context manager.

    Raises RecordError, one sentence, when it cannot be opened or read.
    """

    def __init__(self, path: str | Path) -> None:
        self.name = "standard input" if str(path) == "-" else str(path)
        try:
            if str(path) != "-":
                self._stream: IO[bytes] = open_regular(path, pipe=True)
            elif sys.stdin is None:
                raise RecordError(self.name, "cannot be read: it is closed", "name a file")
            else:
                self._stream = sys.stdin.buffer
            self._file = self._stream
            self._start = self._stream.tell() if self._stream.seekable() else None
            self._head = self._stream.read(_HEAD_BYTES)
            self._encoding = encoding_of(self._head)
            if self._encoding:
                decoded = Utf8(self._head, self._file, self._encoding)
                self._stream, self._start = io.BufferedReader(decoded, 1 << 18), None
                self._head = self._stream.read(_HEAD_BYTES)
        except (OSError, ValueError) as error:
            raise _unreadable(self.name, error) from error
        self.xml = _XML.match(self._head) is not None
        """Whether it is XML and no log."""
        self._kept: bytes | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not getattr(sys.stdin, "buffer", None):
            self._file.close()

    def stream(self) -> IO[bytes]:
        """The content from its beginning; what is no file can be had twice only when XML.

        Raises RecordError for XML that is too large, and OSError.
        """
        if self._start is not None:
            if self.xml:
                self._limit(self._stream.seek(0, io.SEEK_END) - self._start)
            self._stream.seek(self._start)
            return self._stream
        if not self.xml:
            return io.BufferedReader(_Rest(self._head, self._stream), 1 << 18)
        if self._kept is None:
            rest = facts.MAX_RECORD_BYTES + 1 - len(self._head)
            self._kept = self._head + self._stream.read(max(0, rest))
            self._limit(len(self._kept))
            if self._encoding:  # it is no longer in the encoding that it declares
                self._kept = _DECLARATION.sub(b"", self._kept, count=1)
        return io.BytesIO(self._kept)

    def _limit(self, size: int) -> None:
        if size > facts.MAX_RECORD_BYTES:
            mib = facts.MAX_RECORD_BYTES >> 20
            raise RecordError(
                self.name,
                f"expected a JUnit file of at most {mib} MiB, found {size} bytes",
                "give a smaller file",
            )

    def nothing(self) -> RecordError:
        """What to raise when no record is in it."""
        for magic, kind in _PACKED:
            if self._head.startswith(magic):
                return RecordError(self.name, f"{_EXPECTED}, found {kind}", "unpack it first")
        return RecordError(
            self.name,
            f"{_EXPECTED}, found {'neither' if self._head.strip() else 'nothing in it'}",
            "name results/junit.xml, or the log of a run with --exit-delivered or --record-line",
        )


class _Rest(io.RawIOBase):
    """What was read already, then the rest of a stream."""

    def __init__(self, head: bytes, stream: IO[bytes]) -> None:
        self._head, self._stream = head, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head[: len(buffer)] or self._stream.read(len(buffer))
        self._head = self._head[len(data) :]
        buffer[: len(data)] = data
        return len(data)


def _unreadable(name: str, error: OSError | ValueError) -> RecordError:
    why = (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
    return RecordError(name, f"cannot be read: {why}", "name the JUnit file or the log of a run")


def read_recordings(
    source: str | Path | RecordFile, damage: Damage | None = None, wanted: Wanted | None = None
) -> Iterator[Recording]:
    """Every run that a JUnit file (one) or a log (any number) holds, in the file's order.

    `wanted` is asked once for each, and what it does not want is left out: of such a run the legs
    are not looked at, so that damage in them is not noticed.

    `source` is a path, or `-` for standard input. Record lines that cannot be read are left out
    and noted in `damage`. Raises RecordError, one sentence, when nothing in it can be read;
    nothing is opened before the first run is asked for.
    """
    if not isinstance(source, RecordFile):
        with RecordFile(source) as opened:
            yield from read_recordings(opened, damage, wanted)
        return
    damage = damage if damage is not None else Damage()
    try:
        if source.xml:
            recording = parse_junit(source.stream(), source.name, wanted)
            if recording is not None:
                yield recording
            return
        good = 0

        def asked(run: RunRecord) -> bool:
            nonlocal good
            good += 1
            return wanted is None or wanted(run)

        for found in found_lines(source.stream(), None if wanted is None else asked):
            try:
                recording = found.parse()
            except DamagedLineError as error:
                damage.add(found.number, str(error))
                good -= found.asked
                continue
            if found.asked or asked(recording.run):
                yield recording
    except OSError as error:
        raise _unreadable(source.name, error) from error
    if good == 0 and damage.count:
        raise RecordError(source.name, str(damage), damage.advice)
    if good == 0:
        raise source.nothing()


def record_files(name: str | Path) -> tuple[bool, list[Path]]:
    """Whether `name` is a folder, and the files in it, at any depth, that may hold runs, by name;
    else `name` itself. A folder may hold other things, too: what is in them is not looked at."""
    folder = Path(name)
    if not os.path.isdir(folder):
        return False, [folder]
    endings = (".xml", ".log", ".jsonl", ".txt")
    found = (Path(at, one) for at, _, names in os.walk(folder) for one in names)
    return True, sorted(one for one in found if one.suffix in endings and os.path.isfile(one))


def read_runs(
    names: Iterable[str],
    notes: list[object],
    wanted: Wanted | None = None,
    *,
    strict: bool = True,
) -> Iterator[Recording]:
    """Every run in these files and folders that is `wanted`. What cannot be read is added to
    `notes`, or raises RecordError: a folder may hold other things, but a file that was named must
    be a run if that is `strict`."""
    for name in names:
        folder, files = (False, [name]) if name == "-" else record_files(name)
        for file in files:
            damage = Damage()
            try:
                yield from read_recordings(file, damage, wanted)
            except RecordError as error:
                if strict and not folder:
                    raise
                notes.append(error)
            else:
                if damage.count:
                    notes.append(f"{file}: {damage}; {damage.advice}")


class Newest(NamedTuple):
    """The newest run of a file."""

    recording: Recording
    runs: int
    """How many runs the file holds; a run that was written twice is one."""
    sure: bool = True
    """Whether no record behind it is unreadable, which may be of a later run."""


def run_key(recording: Recording) -> RunKey:
    """What tells runs apart. A run that is told to end after its record was written writes it
    once more: of the same key the later record is the true one."""
    return key_of(recording.run)


def key_of(run: RunRecord) -> RunKey:
    """The same, from the run alone."""
    return run.started_at, run.deployment, run.vantage, -1 if run.shard is None else run.shard


def newest(recordings: Iterable[Recording], damage: Damage | None = None) -> Newest:
    """The run that started last; of equals the later in the file. `damage`: where the reading
    notes what it cannot read.

    Raises ValueError when there is none.
    """
    best: Recording | None = None
    keys = set()
    damage, before = damage or Damage(), 0
    for one in recordings:
        keys.add(run_key(one))
        if best is None or one.run.started_at >= best.run.started_at:
            best, before = one, damage.count
    if best is None:
        raise ValueError("expected at least one run")
    return Newest(best, len(keys), damage.count == before)


def read_recording(source: str | Path | RecordFile, damage: Damage | None = None) -> Recording:
    """One run: a JUnit file's, or the newest of a log. Raises RecordError, one sentence; also
    where a record behind that run cannot be read: an older run must not stand for it."""
    damage = Damage() if damage is None else damage
    found = newest(read_recordings(source, damage), damage)
    if not found.sure:
        raise unsure(source.name if isinstance(source, RecordFile) else str(source), damage)
    return found.recording


def unsure(name: str, damage: Damage) -> RecordError:
    """What to raise where the run that counts may be among those that cannot be read."""
    return RecordError(name, f"expected readable runs, found that {damage}", damage.advice)


class LatestRuns:
    """The `most` latest runs in some files and folders; more when several began at once.

    Of all others only the time is looked at, and they are counted. Standard input can be read once
    only: its runs are all among the answer. What cannot be read is added to `notes`, or raises
    RecordError, as in `read_runs`.
    """

    def __init__(self, names: Iterable[str], notes: list[object], most: int) -> None:
        self.left_out = 0
        """How many runs are older than these; known when all were had."""
        self._names, self._notes, self._most = list(names), notes, most

    def __iter__(self) -> Iterator[Recording]:
        found: dict[Path, list[RunKey]] = {}
        said: dict[Path, list[object]] = {}
        for name in self._names:
            folder, files = (False, []) if name == "-" else record_files(name)
            for file in files:
                said[file] = []
                found[file] = list(_keys(file, said[file], strict=not folder))
        every = {key for keys in found.values() for key in keys}
        since = min(heapq.nlargest(self._most, (key[0] for key in every)), default=0.0)
        late = {key for key in every if key[0] >= since}
        self.left_out = len(every) - len(late)
        for file, keys in found.items():
            if late.isdisjoint(keys):
                self._notes += said[file]
            else:
                yield from read_runs(
                    [str(file)], self._notes, lambda run: run.started_at >= since, strict=False
                )
        yield from read_runs((one for one in self._names if one == "-"), self._notes)


def _keys(file: Path, notes: list[object], *, strict: bool) -> list[RunKey]:
    """Every run of a file, by its key."""
    keys: list[RunKey] = []

    def note(run: RunRecord) -> bool:
        keys.append(key_of(run))
        return False

    for _ in read_runs([str(file)], notes, note, strict=strict):
        pass
    return keys


Rank = tuple[bool, float]


def newest_since(
    file: str | Path, damage: Damage, since: Rank | None, rank: Callable[[RunRecord], Rank]
) -> tuple[Rank, Recording | None]:
    """The highest rank of a file's runs, and that run, the later of equals, when it is at least
    `since`. Of others only the time is looked at, unless that run turns out to be damaged.

    Raises RecordError, one sentence.
    """
    ranks: list[Rank] = []

    def note(run: RunRecord) -> bool:
        ranks.append(rank(run))
        return False

    unreadable = Damage()
    for _ in read_recordings(file, unreadable, note):
        pass
    highest = max(ranks)  # without any it has raised RecordError
    if since is not None and highest < since:
        damage.take(unreadable)
        return highest, None
    found = list(read_recordings(file, damage, lambda run: rank(run) >= highest))
    if not found:  # that one is damaged: the others are looked into, too
        damage.take(Damage())
        found = sorted(read_recordings(file, damage), key=lambda one: rank(one.run))
    return rank(found[-1].run), found[-1]
