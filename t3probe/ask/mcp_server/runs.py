"""The newest of some recorded runs, read again only where a file changed.

Of each file its newest run's time is kept, and of the newest file the run itself: a month of
files costs no more memory than one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from t3probe.ask.mcp_server.answers import NothingToTellError
from t3probe.ask.mcp_server.of_run import OfRun
from t3probe.exchange.bounds import RUN_FILES as FILES_LIMIT
from t3probe.exchange.client import Budget
from t3probe.observation import RunRecord
from t3probe.record.facts import RecordError
from t3probe.record.latest import Rank, newest_since
from t3probe.record.reading import Damage, record_files

__all__ = ["FILES_LIMIT", "NOTHING", "RunFiles"]

NOTHING = "nothing recorded: run the checks first"
NOTES = 3

_Signature = tuple[int, int, int]


@dataclass
class _File:
    """What is known of one file."""

    signature: _Signature
    rank: Rank | None
    """Of its newest run; None: it holds none that can be read."""
    problem: str = ""


class RunFiles:
    """The recorded runs below some names, which may come and go."""

    def __init__(self, names: Sequence[str], shard: int = 0) -> None:
        """A run of another shard than `shard` answers only when there is no other."""
        self.names = tuple(names)
        self._shard = shard
        self._files: dict[Path, _File] = {}
        self._best: tuple[Path, OfRun] | None = None
        self._lock = threading.Lock()

    def there(self) -> list[str]:
        """Those names that lead to a file or a folder now: a pipe may never end."""
        return [one for one in self.names if os.path.isfile(one) or os.path.isdir(one)]

    def newest(self, budget: Budget) -> tuple[OfRun, list[str]]:
        """The newest run there is now, and sentences about files that cannot be read.

        Raises NothingToTellError: nothing is recorded, nothing can be read, or reading takes
        longer than `budget` before any is; what was read by then need not be read again.
        """
        if not self._lock.acquire(timeout=budget.left_seconds):
            raise NothingToTellError("the recorded runs are still being read; ask again in a while")
        try:
            return self._newest(budget)
        finally:
            self._lock.release()

    def _newest(self, budget: Budget) -> tuple[OfRun, list[str]]:
        there = dict(self._listed())
        self._files = {path: one for path, one in self._files.items() if path in there}
        if self._best is not None and self._best[0] not in there:
            self._best = None
        changed = [
            path
            for path, signature in there.items()
            if path not in self._files or self._files[path].signature != signature
        ]
        # The last written one first: when time runs out, the newest is most likely among the read.
        changed.sort(key=lambda path: there[path], reverse=True)
        unread = ""
        for number, path in enumerate(changed):
            if budget.left_seconds <= 0:
                unread = f"{len(changed) - number} of {len(there)} files are still to be read"
                break
            self._read(path, there[path])
        known = [
            (one.rank, str(path), path) for path, one in self._files.items() if one.rank is not None
        ]
        problems = [one.problem for one in self._files.values() if one.problem]
        if not known and unread:
            raise NothingToTellError(f"{unread}; ask again, or start with fewer --runs")
        if not known:
            raise NothingToTellError(problems[0] if problems else NOTHING)
        best = max(known)[2]
        if self._best is None or self._best[0] != best:
            self._read(best, there[best], keep=True)  # another file held the newest run until now
            if self._best is None or self._best[0] != best:
                raise NothingToTellError("the recorded runs are changing right now; ask again")
        notes = problems[:NOTES]
        if len(problems) > NOTES:
            notes.append(f"{len(problems) - NOTES} more files cannot be read")
        if unread:
            notes.append(f"{unread}, and one of them may hold a newer run; ask again")
        return self._best[1], notes

    def _listed(self) -> Iterator[tuple[Path, _Signature]]:
        paths: list[Path] = []
        for name in self.names:
            try:
                paths += record_files(name)[1]
            except OSError:
                continue
        for path in paths[-FILES_LIMIT:]:
            try:
                stat = path.stat()
            except OSError:
                continue
            yield path, (stat.st_mtime_ns, stat.st_size, stat.st_ino)

    def _read(self, path: Path, signature: _Signature, keep: bool = False) -> None:
        """Look into one file. While it is being written anew, what was read of it stands."""
        damage = Damage()
        held = self._best is not None and self._best[0] == path
        try:
            if not os.path.isfile(path):
                raise RecordError(str(path), "expected a file, found none", "name a JUnit file")
            since = (
                None
                if keep or held or self._best is None
                else self._rank(self._best[1].recording.run)
            )
            rank, recording = newest_since(path, damage, since, self._rank)
        except RecordError as error:
            known = self._files[path].rank if held and path in self._files else None
            more = "; this is the run that it held before" if held else ""
            self._files[path] = _File(signature, known, f"{error}{more}")
            return
        problem = f"{path}: {damage}" if damage.count else ""
        self._files[path] = _File(signature, rank, problem)
        if recording is not None:
            self._best = path, OfRun(recording, str(path))

    def _rank(self, run: RunRecord) -> Rank:
        return run.shard in (None, self._shard), run.started_at
