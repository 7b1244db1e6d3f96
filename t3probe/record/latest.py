"""The latest runs of thousands: all are counted, and only these are looked into."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from t3probe.observation import RunRecord
from t3probe.record.facts import Recording
from t3probe.record.reading import (
    Damage,
    RunKey,
    key_of,
    read_recordings,
    read_runs,
    record_files,
)

__all__ = ["LatestRuns", "Rank", "newest_since"]


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
