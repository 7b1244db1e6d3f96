"""Counts that wait for a push, in a folder, each added exactly once.

Every run writes its counts here *before* it pushes, as one file with the folder's random
number and a running number, and deletes the file when they are delivered. A push always
contains all waiting files in order, and the pushed group carries the highest number it
contains (`t3probe_delivery_mark`). So one number answers, for any file found later, whether a
push whose end was not seen, or after which the process was killed, contained it: it did exactly
when the file's number is not above the mark.

Why this way: an intent file would also be needed to decide what happened to a push whose answer
was lost, and only the gateway knows that; ids of all files in labels would be unbounded, while
a mark per folder is one number, as every push contains a prefix of the folder.

A gateway that loses its state has lost its marks too. A file that was sent before that, with
an end that was not seen, may or may not have been counted: its drops are published as lost, so that
no drop is ever counted twice. `state.json` remembers what was sent.

Files are not synced to the disk: they survive a killed process, not a power cut.
"""

from __future__ import annotations

import fcntl
import math
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec

from t3probe.deliver.metrics.carry import (
    LOST,
    Family,
    Group,
    Histogram,
    Labels,
    counter,
    counts,
    drops,
    total,
)
from t3probe.deliver.metrics.table import BY_NAME, MARK_PARTS, MARK_SLOTS
from t3probe.exchange.bounds import SPOOL_FILE_BYTES, SPOOL_FILES, SPOOL_LOCK_SECONDS
from t3probe.exchange.client import Budget
from t3probe.exchange.files import NotAFileError, TooLargeError, clear, read_regular, write_whole

MARK = "t3probe_delivery_mark"
"""Gauge, labels slot and what: the last file of each known folder that the group contains."""
SLOTS = len(MARK_SLOTS)
STATE = "state.json"

Marks = dict[int, int]
"""Folder -> the highest number of its files that a group contains; newest folder first."""


class SpoolError(Exception):
    """The folder cannot be used; the text ends a sentence."""


class BusyError(SpoolError):
    """Another run uses it."""


@contextmanager
def locked(folder: Path, budget: Budget) -> Iterator[None]:
    """Nobody else uses the folder meanwhile. The kernel lifts the lock of a killed process.

    Raises SpoolError when the folder is unusable, BusyError when another run does not let go in
    time.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        handle = os.open(folder / "lock", flags, 0o600)
    except OSError as error:
        raise SpoolError(f"cannot be written ({error.strerror})") from None
    try:
        wait = budget.part(SPOOL_LOCK_SECONDS)
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if wait.left_seconds <= 0:
                    raise BusyError("is in use by another run") from None
                wait.pause(0.02)
        yield
    finally:
        os.close(handle)


Number = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
"""As a metric's value holds it."""


class SpooledSeries(msgspec.Struct, array_like=True):
    """One series of a group, as a file holds it."""

    name: str
    labels: Labels
    value: float
    bounds: tuple[float, ...] = ()
    cumulative: tuple[float, ...] = ()
    count: float = 0.0
    histogram: bool = False


class _File(msgspec.Struct):
    folder: Number
    number: Number
    series: list[SpooledSeries]


class _State(msgspec.Struct):
    folder: Number
    last: Number
    """The highest number that a file ever had."""
    sent: Number = 0
    """The highest number that was ever sent with an end that may not have been seen."""


class WaitingCounts(msgspec.Struct, frozen=True):
    """The counts of one run that wait."""

    folder: int
    number: int
    counts: Group
    path: Path


class Spool:
    """The folder. With `keep` false it keeps no counts, only how many drops were lost."""

    def __init__(self, folder: Path, *, keep: bool) -> None:
        self.folder = folder
        self.keep = keep
        self.problems: list[str] = []
        """Sentences about what is wrong with the folder's files."""

    def locked(self, budget: Budget) -> AbstractContextManager[None]:
        """As `locked` of this module, for this folder."""
        return locked(self.folder, budget)

    def add(self, own: Group) -> WaitingCounts | None:
        """Write a run's counts; None when there is nothing to keep. Raises SpoolError."""
        kept = counts(own)
        full = self.keep and len(self._files()) >= SPOOL_FILES
        if full:
            self.problems.append(
                f"{self.folder} holds {SPOOL_FILES} runs already, so of this run only the number "
                "of lost drops is kept"
            )
        if full or not self.keep:
            lost = drops(kept) + total(kept, LOST)
            kept = counter(LOST, float(lost)) if lost else {}
        if not kept:
            return None
        state = self._next()
        path = self.folder / f"batch-{state.folder:014x}-{state.last:010d}.json"
        self._write(path, _File(state.folder, state.last, listed(kept)))
        return WaitingCounts(state.folder, state.last, kept, path)

    def waiting(self) -> list[WaitingCounts]:
        """All batches in order; a damaged file is put aside and said."""
        found = []
        for path in self._files():
            try:
                content = read_regular(path, SPOOL_FILE_BYTES)
                file = msgspec.json.decode(content, type=_File)
                found.append(WaitingCounts(file.folder, file.number, grouped(file.series), path))
            except FileNotFoundError:
                continue
            except (OSError, msgspec.MsgspecError, ValueError, KeyError, RecursionError) as error:
                self._put_aside(path, error)
        return sorted(found, key=lambda one: (one.folder, one.number))

    def _put_aside(self, path: Path, error: Exception) -> None:
        if isinstance(error, OSError) and not isinstance(error, NotAFileError | TooLargeError):
            self.problems.append(f"{path}: cannot be read ({error.strerror}); it waits")
            return
        what = "it was put aside and its counts are lost"
        try:
            path.replace(path.with_suffix(".damaged"))
        except OSError as problem:
            what = f"it cannot be put aside ({problem.strerror}), and its counts are lost"
        self.problems.append(f"{path}: expected kept counts, found something else; {what}")

    def remove(self, batches: Sequence[WaitingCounts]) -> None:
        """Delete what was delivered."""
        for one in batches:
            try:
                one.path.unlink(missing_ok=True)
            except OSError as error:
                # The mark keeps it from being added again.
                self.problems.append(f"{one.path}: cannot be deleted ({error.strerror})")

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("batch-*.json"))

    def doubtful(self, batch: WaitingCounts, marks: Marks) -> bool:
        """Whether this was sent to a gateway that no longer knows whether it has it."""
        state = self._state()
        return batch.folder not in marks and (
            batch.folder != state.folder or batch.number <= state.sent
        )

    def sending(self, batches: Sequence[WaitingCounts]) -> int:
        """Note that these are about to be sent; what was noted before. Raises SpoolError."""
        state = self._state()
        before = state.sent
        state.sent = max([before, *(o.number for o in batches if o.folder == state.folder)])
        if state.sent != before:
            self._write(self.folder / STATE, state)
        return before

    def not_sent(self, before: int) -> None:
        """Take the last note back: the gateway certainly did not take it. Raises SpoolError."""
        state = self._state()
        if state.sent != before:
            state.sent = before
            self._write(self.folder / STATE, state)

    def _state(self) -> _State:
        try:
            content = read_regular(self.folder / STATE, SPOOL_FILE_BYTES)
            return msgspec.json.decode(content, type=_State)
        except (OSError, ValueError, msgspec.MsgspecError, RecursionError):
            return _State(secrets.randbits(52), 0)

    def _next(self) -> _State:
        """The next number of this folder, which no file of it ever had."""
        state = self._state()
        state.last += 1
        self._write(self.folder / STATE, state)
        return state

    def _write(self, path: Path, content: Any) -> None:
        try:
            clear(path)
            write_whole(path, msgspec.json.encode(content), mode=0o600)
        except OSError as error:
            raise SpoolError(f"cannot be written ({error.strerror})") from None


def listed(group: Group) -> list[SpooledSeries]:
    """The series of a group, as a file holds them."""
    found = []
    for name, family in group.items():
        for key, value in family.series.items():
            if isinstance(value, Histogram):
                one = SpooledSeries(
                    name, key, value.sum, value.bounds, value.cumulative, value.count, True
                )
            else:
                one = SpooledSeries(name, key, value)
            found.append(one)
    return found


def grouped(series: list[SpooledSeries], *, gauges: bool = False) -> Group:
    """The group of such series. Raises ValueError or KeyError when there can be none such."""
    group: Group = {}
    for one in series:
        spec = BY_NAME[one.name]
        numbers = one.value, one.count, *one.bounds, *one.cumulative
        if (
            len(one.bounds) != len(one.cumulative)
            or (spec.type == "histogram") != one.histogram
            or (spec.type == "gauge" and not gauges)
            or not {*spec.labels} <= {name for name, _ in one.labels}
            or not all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]{0,99}", name) for name, _ in one.labels)
            or not all(math.isfinite(number) and number >= 0 for number in numbers)
        ):
            raise ValueError
        family = group.setdefault(one.name, Family(spec.type))
        family.series[one.labels] = (
            Histogram(one.bounds, one.cumulative, one.count, one.value)
            if one.histogram
            else one.value
        )
    return group


def read_marks(group: Group) -> Marks:
    """The marks that a group carries, newest folder first."""
    parts: dict[str, dict[str, float]] = {}
    for key, value in group.get(MARK, Family("gauge")).series.items():
        labels = dict(key)
        if isinstance(value, float) and 0 <= value < 2**53:
            parts.setdefault(labels.get("slot", ""), {})[labels.get("what", "")] = value
    return {
        int(one["folder"]): int(one["number"])
        for _, one in sorted(parts.items())
        if {"folder", "number"} <= one.keys()
    }


def marked(marks: Marks, batches: Sequence[WaitingCounts]) -> Marks:
    """The marks of a group that contains these batches too; bounded, newest folder first."""
    new: Marks = {}
    for one in batches:
        new[one.folder] = max(new.get(one.folder, marks.get(one.folder, 0)), one.number)
    rest = {folder: number for folder, number in marks.items() if folder not in new}
    return dict([*new.items(), *rest.items()][:SLOTS])


def mark_group(marks: Marks) -> Group:
    """The marks as series of a bounded label set."""
    family = Family("gauge", BY_NAME[MARK].help)
    for slot, pair in zip(MARK_SLOTS, marks.items(), strict=False):
        for what, value in zip(MARK_PARTS, pair, strict=True):
            family.series[("slot", slot), ("what", what)] = float(value)
    return {MARK: family} if marks else {}
