"""The file in which a process leaves what it told last of each rig: a restart is no event."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from t3probe.exchange.bounds import RIG_STATE_BYTES
from t3probe.exchange.files import NotAFileError, clear, open_regular, write_whole
from t3probe.upstreams.experiments.events import RigState

FILE = "rigs.json"
LOCK = "rigs.lock"


class _Remembered(msgspec.Struct):
    """The whole file."""

    version: int
    rigs: dict[str, RigState]


_DECODER = msgspec.json.Decoder(_Remembered)


class RigMemory:
    """The file in a folder, and the lock that says who writes."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / FILE
        self._lock: int | None = None
        self._written: Mapping[str, RigState] | None = None
        clear(self._file)

    def alone(self) -> bool:
        """Whether no other process uses this folder; from the first True on none may. Raises
        OSError."""
        if self._lock is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            lock = os.open(self._file.with_name(LOCK), flags, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return False
            self._lock = lock
        return True

    def read(self) -> tuple[dict[str, RigState], str]:
        """What was told last of each rig, and a sentence where that cannot be known."""
        try:
            with open_regular(self._file) as stream:
                data = stream.read(RIG_STATE_BYTES + 1)
        except FileNotFoundError:
            return {}, ""
        except (OSError, NotAFileError) as error:
            why = getattr(error, "strerror", None) or "it is no file"
            return {}, f"{self._file} cannot be read: {why}; every rig is seen for the first time"
        try:
            found = _DECODER.decode(data) if len(data) <= RIG_STATE_BYTES else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = None
        if found is None or found.version != 1:
            return {}, (
                f"{self._file}: expected the states of rigs, found something else; every rig is "
                "seen for the first time, and the file is written anew"
            )
        self._written = found.rigs
        return found.rigs, ""

    def write(self, rigs: Mapping[str, RigState]) -> None:
        """Leave this behind, when it is not there yet. Raises OSError."""
        if rigs == self._written:
            return
        data = msgspec.json.encode(_Remembered(1, dict(sorted(rigs.items()))))
        write_whole(self._file, data, mode=0o600)
        self._written = dict(rigs)

    def close(self) -> None:
        """Let others use the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
