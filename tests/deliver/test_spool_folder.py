"""The spool's folder: what lies in it, in which order, and what happens when it cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from delivery_runs import LEGS, REASONS, run_families, spool

from t3probe.deliver.metrics import carry as going
from t3probe.deliver.metrics.carry import LOST, Group, Histogram
from t3probe.deliver.sinks import spool as spooling
from t3probe.deliver.sinks.spool import Spool, SpoolError
from t3probe.exchange.client import Budget
from t3probe.timing import SystemClock

DROP = (LEGS[0], REASONS[0])


def counts(drops: int = 2, trips: int = 1) -> Group:
    return run_families({DROP: drops}, {LEGS[0]: [0.25] * trips})


def test_counts_come_back_as_they_were(tmp_path: Path) -> None:
    written = spool(tmp_path).add(counts())
    (read,) = spool(tmp_path).waiting()
    assert written is not None
    assert (read.folder, read.number, read.path) == (written.folder, written.number, written.path)
    assert {name: one.series for name, one in read.counts.items()} == {
        name: one.series for name, one in going.counts(counts()).items()
    }
    assert {name: one.kind for name, one in read.counts.items()} == {
        "t3probe_disconnects_total": "counter",
        "t3probe_rtt_seconds": "histogram",
    }


def test_a_file_of_a_former_version_is_read(tmp_path: Path) -> None:
    series = [
        ["t3probe_disconnects_total", [["leg", "x"], ["reason", "y"]], 2.0],
        ["t3probe_rtt_seconds", [["leg", "x"]], 0.5, [0.1, 1.0], [0.0, 1.0], 1.0, True],
    ]
    content = {"folder": 7, "number": 3, "series": series}
    (tmp_path / "batch-00000000000007-0000000003.json").write_text(json.dumps(content))
    (read,) = spool(tmp_path).waiting()
    assert (read.folder, read.number, going.drops(read.counts)) == (7, 3, 2)
    (value,) = read.counts["t3probe_rtt_seconds"].series.values()
    assert value == Histogram((0.1, 1.0), (0.0, 1.0), 1.0, 0.5)


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"folder":1,"number":2}', '{"folder":1,"number":2,"series":[["n",[],1,[1]]]}'],
)
def test_a_damaged_file_is_put_aside_once(text: str, tmp_path: Path) -> None:
    memory = spool(tmp_path)
    memory.add(counts())
    (tmp_path / "batch-1.json").write_text(text)
    assert len(memory.waiting()) == 1
    assert memory.problems == [
        f"{tmp_path}/batch-1.json: expected kept counts, found something else; it was put aside "
        "and its counts are lost"
    ]
    again = spool(tmp_path)
    assert len(again.waiting()) == 1
    assert again.problems == []


def test_a_file_too_large_to_be_counts_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = spool(tmp_path)
    batch = memory.add(counts())
    assert batch is not None
    size = batch.path.stat().st_size
    monkeypatch.setattr(spooling, "SPOOL_FILE_BYTES", size)
    assert len(memory.waiting()) == 1
    monkeypatch.setattr(spooling, "SPOOL_FILE_BYTES", size - 1)
    assert memory.waiting() == []
    assert len(memory.problems) == 1


def test_files_wait_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    memory = spool(tmp_path)
    for drops in (1, 2, 3):
        memory.add(counts(drops))
    waiting = memory.waiting()
    assert [one.number for one in waiting] == [1, 2, 3]
    assert [going.drops(one.counts) for one in waiting] == [1, 2, 3]
    memory.remove(waiting[:2])
    assert [one.number for one in memory.waiting()] == [3]
    memory.remove(waiting)  # twice is no problem
    assert (memory.waiting(), memory.problems) == ([], [])


def test_what_cannot_be_deleted_is_said(tmp_path: Path) -> None:
    memory = spool(tmp_path)
    batch = memory.add(counts())
    assert batch is not None
    batch.path.unlink()
    batch.path.mkdir()
    memory.remove([batch])
    (problem,) = memory.problems
    assert problem.startswith(f"{batch.path}: cannot be deleted (")


def test_nothing_to_keep_writes_nothing(tmp_path: Path) -> None:
    assert spool(tmp_path).add(counts(0, 0)) is None
    assert spool(tmp_path, False).add(counts(0, 1)) is None
    assert list(tmp_path.iterdir()) == []
    assert spool(tmp_path).add(counts(0, 1)) is not None


def test_without_keep_only_the_number_of_losses_is_kept(tmp_path: Path) -> None:
    memory = spool(tmp_path, False)
    batch = memory.add(going.added(counts(2), going.counter(LOST, 3.0)))
    assert batch is not None
    assert set(batch.counts) == {LOST}
    assert going.total(batch.counts, LOST) == 5


def test_the_bound_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooling, "SPOOL_FILES", 1)
    memory = spool(tmp_path)
    memory.add(counts(1))
    assert memory.problems == []
    memory.add(counts(2))
    assert memory.problems == [
        f"{tmp_path} holds 1 runs already, so of this run only the number of lost drops is kept"
    ]
    losing = spool(tmp_path, False)
    losing.add(counts(4))
    assert losing.problems == []  # it keeps no counts anyway
    assert sum(going.total(one.counts, LOST) for one in memory.waiting()) == 6


# -- what was sent -------------------------------------------------------------------------------


def added(memory: Spool, count: int) -> list[spooling.WaitingCounts]:
    batches = [memory.add(counts()) for _ in range(count)]
    return [one for one in batches if one is not None]


def test_only_what_was_sent_is_doubtful(tmp_path: Path) -> None:
    memory = spool(tmp_path)
    batches = added(memory, 3)
    assert [memory.doubtful(one, {}) for one in batches] == [False] * 3
    assert memory.sending(batches[:2]) == 0
    assert [memory.doubtful(one, {}) for one in batches] == [True, True, False]
    # A gateway that knows the folder knows what it has.
    assert [memory.doubtful(one, {one.folder: 1}) for one in batches] == [False] * 3
    assert memory.sending(batches) == 2
    assert memory.doubtful(batches[2], {})
    memory.not_sent(2)
    assert [memory.doubtful(one, {}) for one in batches] == [True, True, False]
    assert [spool(tmp_path).doubtful(one, {}) for one in batches] == [True, True, False]


def test_what_another_folder_sent_is_doubtful(tmp_path: Path) -> None:
    """The folder's own state is gone: nobody knows what became of the file."""
    (batch,) = added(spool(tmp_path), 1)
    (tmp_path / "state.json").unlink()
    assert spool(tmp_path).doubtful(batch, {})


def test_sending_less_takes_nothing_back(tmp_path: Path) -> None:
    memory = spool(tmp_path)
    batches = added(memory, 2)
    memory.sending(batches)
    assert memory.sending(batches[:1]) == 2
    assert memory.sending([]) == 2
    assert memory.doubtful(batches[1], {})


def test_a_folder_that_cannot_be_written_to_says_why(tmp_path: Path) -> None:
    memory = spool(tmp_path)
    added(memory, 1)
    (tmp_path / "state.json").unlink()
    (tmp_path / "state.json").mkdir()
    with pytest.raises(SpoolError, match="cannot be written \\(Is a directory\\)"):
        memory.add(counts())


# -- marks -----------------------------------------------------------------------------------------


def test_marks_are_the_highest_numbers(tmp_path: Path) -> None:
    batches = added(spool(tmp_path), 3)
    folder = batches[0].folder
    assert spooling.marked({}, batches) == {folder: 3}
    assert spooling.marked({folder: 9}, batches) == {folder: 9}
    assert spooling.marked({folder: 2, 5: 1}, batches[:1]) == {folder: 2, 5: 1}
    assert list(spooling.marked({5: 1}, batches)) == [folder, 5]
    assert spooling.marked({5: 1}, []) == {5: 1}
    assert spooling.mark_group({}) == {}


def test_the_folder_holds_more_than_a_day_of_one_run_a_minute(tmp_path: Path) -> None:
    assert 24 * 60 < spooling.SPOOL_FILES < 3 * 24 * 60


def test_the_lock_is_nobody_elses(tmp_path: Path) -> None:
    with spool(tmp_path / "new" / "folder").locked(Budget(SystemClock(), 1)):
        assert (tmp_path / "new" / "folder" / "lock").stat().st_mode & 0o777 == 0o600
