"""Runs that wait for one receiver of remote write, in a folder: a file each, sent oldest first.

A file is the very request, written before it is sent and deleted when it was taken. To send it
twice changes nothing: its times are in it. So a request whose answer nobody saw is sent again, and
a process that is killed leaves nothing undone. A file's name says when its run
began and ended (Unix milliseconds), whose series are in it, and how many drops: to count what is
lost, none is opened.

What falls out is counted exactly once, killed processes included. `state.json` has the number of
drops that no run has told of, which files they come from, and the file in which a run tells of
them: whoever is killed between two writes leaves enough to finish.

Files are not synced to the disk: they survive a killed process, not a power cut.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from t3probe.deliver.sinks.spool import Number, SpoolError, locked
from t3probe.exchange.bounds import REMOTE_ASIDE_FILES, SPOOL_FILE_BYTES, SPOOL_FILES
from t3probe.exchange.client import Budget
from t3probe.exchange.files import clear, read_regular, write_whole

STATE = "state.json"
ENDING, ASIDE = ".rw", ".refused"
MOST_SERIES = 64
"""Sets of labels whose last run is remembered: jobs, vantages and shards that share a folder."""
_NAME = re.compile(r"(\d{14})-(\d{14})-([0-9a-f]{8})-(\d{1,12})\.rw")


def whose(labels: Mapping[str, str]) -> str:
    """A short word for whoever writes series with these labels."""
    text = "\0".join(f"{name}\1{value}" for name, value in sorted(labels.items()) if value)
    return f"{zlib.crc32(text.encode('utf-8', 'backslashreplace')):08x}"


class Waiting(NamedTuple):
    """One run's request in the folder."""

    began_ms: int
    ended_ms: int
    whose: str
    drops: int
    """How many drops are lost with it, those it tells of as lost included."""
    bytes: int = 0

    @property
    def name(self) -> str:
        """The file's name; names sort by when runs began."""
        return f"{self.began_ms:014d}-{self.ended_ms:014d}-{self.whose}-{self.drops}{ENDING}"


class _State(msgspec.Struct):
    sent: dict[str, Number] = {}
    """Whose series -> the end of the newest run that was taken, Unix milliseconds."""
    passed: dict[str, Number] = {}
    """Whose series -> the end of the newest run that went by age or for room, Unix milliseconds,
    while the clock went on as before."""
    untold: Number = 0
    """Drops that were lost and of which no run has told."""
    going: list[str] = []
    """Files whose drops are in `untold`, and which may still be there."""
    telling: str = ""
    """The file that tells of `untold`, if it is there."""
    sending: str = ""
    """The file that the receiver may have: nobody saw the answer."""


def _newer(ends: dict[str, Number], run: Waiting) -> None:
    ends[run.whose] = max(ends.pop(run.whose, 0), run.ended_ms)
    for who in list(ends)[:-MOST_SERIES]:
        del ends[who]


class Backlog:
    """The folder. Everything but `put` needs `locked`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[str] = []
        """Sentences about what is wrong with its files."""
        self.unsure = ""
        """A file that the receiver may have. It is not lost before it was sent again."""
        self._state = _State()
        self._kept = b""
        """The state as the file has it."""

    def locked(self, budget: Budget) -> AbstractContextManager[None]:
        """Nobody else uses the folder meanwhile. Raises SpoolError, and its BusyError."""
        return locked(self.folder, budget)

    def opened(self) -> list[Waiting]:
        """What waits, oldest first, after whatever a killed process left was finished."""
        self._state = state = self._read()
        for name in filter(_NAME.fullmatch, state.going):
            with suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)
        state.going = []
        waiting = self.waiting()
        if state.telling:
            # It cannot have been sent: that comes after it was noted that it tells.
            if state.telling in {one.name for one in waiting}:
                state.untold = 0
            state.telling = ""
        clear(self.folder / STATE)
        if state.sending in {one.name for one in waiting}:
            self.unsure = state.sending
        return waiting

    def waiting(self) -> list[Waiting]:
        """What waits, oldest first."""
        found = []
        with suppress(OSError):
            for path in self.folder.iterdir():
                match = _NAME.fullmatch(path.name)
                if match is not None:
                    began, ended, who, drops = match.groups()
                    with suppress(OSError):
                        size = path.lstat().st_size
                        found.append(Waiting(int(began), int(ended), who, int(drops), size))
        return sorted(found, key=lambda one: one.name)

    @property
    def untold(self) -> int:
        """Drops that were lost and of which no run has told."""
        return self._state.untold

    def sent_ms(self, who: str) -> int:
        """When the newest run of these series that was taken had ended; 0: nobody knows."""
        return self._state.sent.get(who, 0)

    def passed_ms(self, who: str) -> int:
        """Up to when our clock is known to have gone on as before: there the newest run had ended
        that was taken, or that `pass_over` was told of."""
        return max(self.sent_ms(who), self._state.passed.get(who, 0))

    def pass_over(self, who: str, runs: Sequence[Waiting]) -> None:
        """Before these are lost: those of `who` leave no gap in what is known of our clock."""
        for one in runs:
            if one.whose == who:
                _newer(self._state.passed, one)

    def put(self, run: Waiting, body: bytes) -> None:
        """Write one run's request. Raises SpoolError."""
        self._write(self.folder / run.name, body)

    def tell(self, run: Waiting, body: bytes) -> None:
        """The same for a request that tells of all that was untold. Raises SpoolError; then it is
        not there, and all is untold still."""
        state, untold = self._state, self._state.untold
        state.telling = run.name
        try:
            self._keep_state()
            self.put(run, body)
            state.untold, state.telling = 0, ""
            self._keep_state()
        except SpoolError:
            state.untold, state.telling = untold, ""
            self._unlink(run)
            raise

    def body(self, run: Waiting) -> bytes:
        """The request. Raises OSError, with a `strerror`."""
        return read_regular(self.folder / run.name, SPOOL_FILE_BYTES)

    def taken(self, run: Waiting) -> None:
        """The receiver has it."""
        _newer(self._state.sent, run)
        self._unlink(run)

    def begin(self, run: Waiting) -> None:
        """From now on the receiver may have this one."""
        self._state.sending = run.name
        self._save()

    def settled(self, run: Waiting) -> None:
        """It is known, or will never be, whether the receiver has it."""
        if run.name == self.unsure:
            self.unsure = ""

    def close(self) -> None:
        """Keep what is known now, `unsure` too."""
        self._state.sending = self.unsure
        self._save()

    def _save(self) -> None:
        try:
            self._keep_state()
        except SpoolError as error:
            problem = f"{self.folder / STATE} {error}"
            if problem not in self.problems:
                self.problems.append(problem)

    def lose(self, runs: Sequence[Waiting], *, aside: bool = False) -> None:
        """Take these out and count their drops as lost. `aside`: the newest of the files stay to be
        looked at. Raises SpoolError; then nothing is lost, and all are there."""
        if not runs:
            return
        before = self._state.untold
        self._state.untold += sum(one.drops for one in runs)
        self._state.going = [one.name for one in runs]
        try:
            self._keep_state()
        except SpoolError:
            self._state.untold, self._state.going = before, []
            raise
        for one in runs:
            if aside:
                path = self.folder / one.name
                with suppress(OSError):
                    path.replace(path.with_suffix(ASIDE))
            self._unlink(one)
        self._state.going = []
        if aside:
            old = sorted(self.folder.glob(f"*{ASIDE}"))[:-REMOTE_ASIDE_FILES]
            for path in old:
                with suppress(OSError):
                    path.unlink()

    def over(self, runs: Sequence[Waiting], most_bytes: int) -> list[Waiting]:
        """The oldest of `runs` that have to go so that no more than `most_bytes` wait."""
        total, number = sum(one.bytes for one in runs), len(runs)
        gone = []
        for one in runs:
            if total <= most_bytes and number < SPOOL_FILES:
                break
            if one.name == self.unsure:
                continue
            gone.append(one)
            total, number = total - one.bytes, number - 1
        return gone

    def _unlink(self, run: Waiting) -> None:
        try:
            (self.folder / run.name).unlink(missing_ok=True)
        except OSError as error:
            self.problems.append(f"{self.folder / run.name} cannot be deleted ({error.strerror})")

    def _read(self) -> _State:
        try:
            self._kept = read_regular(self.folder / STATE, SPOOL_FILE_BYTES)
            return msgspec.json.decode(self._kept, type=_State)
        except FileNotFoundError:
            return _State()
        except (OSError, ValueError, msgspec.MsgspecError, RecursionError):
            self.problems.append(
                f"{self.folder / STATE} cannot be read; what it knew of lost drops is lost"
            )
            return _State()

    def _keep_state(self) -> None:
        state = msgspec.json.encode(self._state)
        if state != self._kept:
            self._write(self.folder / STATE, state)
            self._kept = state

    def _write(self, path: Path, content: bytes) -> None:
        try:
            write_whole(path, content, mode=0o600)
        except OSError as error:
            raise SpoolError(f"cannot be written ({error.strerror})") from None
