"""Kept counts are added exactly once, whenever the process is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from delivery_programs import RealGateway
from delivery_runs import DEAD, LEGS, REASONS, OneRun, Scraper, run_families, spool

from t3probe.deliver.metrics import carry as going
from t3probe.deliver.metrics.carry import DISCONNECTS, LOST
from t3probe.deliver.metrics.table import BY_NAME, CLOSED
from t3probe.deliver.sinks import Batch
from t3probe.deliver.sinks import spool as spooling
from t3probe.deliver.sinks.spool import SLOTS, SpoolError
from t3probe.exchange.client import Budget
from t3probe.timing import SystemClock

DROP = (LEGS[0], REASONS[0])
HERE = Path(__file__).parent
KILLED = """
import os, signal, sys
sys.path[:0] = [{here!r}, {root!r}]
from delivery_runs import OneRun, spool
from pathlib import Path
from t3probe.deliver.sinks.gateway import Wire
from t3probe.deliver.sinks.spool import Spool

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

where = sys.argv[1]
if where == "after the push":
    Spool.remove = die
elif where == "before the push":
    Wire.write = die
elif where == "before the read":
    Wire.read = die
elif where == "in the middle of deleting":
    unlink = Path.unlink
    def once(self, *a, **k):
        unlink(self, *a, **k)
        die()
    Path.unlink = once
run = OneRun(sys.argv[2], spool(Path(sys.argv[3]), sys.argv[4] == "True"))
run.end({{("cloudflare", "rtt_timeout"): 3}}, {{"internal": [0.3]}}, 5.0)
"""


def whole_run(url: str, folder: Path, keep: bool, drops: int, stamp: float) -> None:
    run = OneRun(url, spool(folder, keep))
    run.start()
    assert run.end({DROP: drops}, {"internal": [0.3]}, stamp).ok


@pytest.mark.parametrize("keep", [True, False], ids=["spool", "no spool"])
@pytest.mark.parametrize(
    "where",
    ["before the read", "before the push", "after the push", "in the middle of deleting"],
)
def test_killed(where: str, keep: bool, tmp_path: Path, gateway: RealGateway) -> None:
    scraper, folder = Scraper(), tmp_path / "memory"
    run = OneRun(gateway.url, spool(folder, keep))
    run.start()
    scraper.scrape(gateway.exposition())
    run.end({DROP: 1}, {"internal": [0.3]}, 1.0)
    # A push that failed before: two files wait when the process is killed.
    OneRun(DEAD, spool(folder, keep)).end({DROP: 2}, {"internal": [0.3]}, 2.0)
    code = KILLED.format(here=str(HERE), root=str(HERE.parent.parent))
    done = subprocess.run([sys.executable, "-c", code, where, gateway.url, folder, str(keep)])
    assert done.returncode == -signal.SIGKILL
    scraper.scrape(gateway.exposition())
    for stamp in (6.0, 7.0):
        whole_run(gateway.url, folder, keep, 0, stamp)
        scraper.scrape(gateway.exposition())
    taken = where in {"after the push", "in the middle of deleting"}
    lost = 0 if keep else 2 if taken else 5
    assert scraper.total(LOST) == lost
    assert scraper.total(DISCONNECTS) == 6 - lost
    assert scraper.total("t3probe_rtt_seconds_count") == 5 if keep else True
    assert not list(folder.glob("batch-*"))


def test_first_counts_of_a_series_wait_for_one_run(tmp_path: Path, gateway: RealGateway) -> None:
    scraper = Scraper()
    run = OneRun(DEAD, spool(tmp_path / "s")).at(gateway.url)
    assert "new series" in run.end({DROP: 2}, stamp=1.0).sentence
    scraper.scrape(gateway.exposition())
    whole_run(gateway.url, tmp_path / "s", True, 0, 2.0)
    scraper.scrape(gateway.exposition())
    assert scraper.total(DISCONNECTS) == 2


def test_without_a_spool_first_counts_are_lost_and_said(
    tmp_path: Path, gateway: RealGateway
) -> None:
    scraper = Scraper()
    run = OneRun(gateway.url, spool(tmp_path / "s", False))
    assert "2 drops of new series" in run.end({DROP: 2}, stamp=1.0).sentence
    scraper.scrape(gateway.exposition())
    whole_run(gateway.url, tmp_path / "s", False, 0, 2.0)
    scraper.scrape(gateway.exposition())
    assert (scraper.total(DISCONNECTS), scraper.total(LOST)) == (0, 2)


def test_drops_of_a_leg_that_left_are_lost(tmp_path: Path, gateway: RealGateway) -> None:
    scraper, memory = Scraper(), spool(tmp_path / "s")
    whole_run(gateway.url, tmp_path / "s", True, 0, 1.0)
    scraper.scrape(gateway.exposition())
    families = run_families({}, {}, 2.0)
    families[DISCONNECTS].series[("leg", "gone"), ("reason", "x")] = 3.0
    OneRun(DEAD, memory).push(Batch(families))
    whole_run(gateway.url, tmp_path / "s", True, 0, 3.0)
    scraper.scrape(gateway.exposition())
    assert (scraper.total(DISCONNECTS), scraper.total(LOST)) == (0, 3)


def test_a_damaged_file_is_put_aside_and_said(tmp_path: Path, gateway: RealGateway) -> None:
    folder = tmp_path / "s"
    whole_run(gateway.url, folder, True, 1, 1.0)
    (folder / "batch-x.json").write_text("{")
    run = OneRun(gateway.url, spool(folder))
    run.start()
    assert "put aside" in run.end({}, stamp=2.0).sentence
    assert (folder / "batch-x.damaged").exists()


def test_a_folder_that_cannot_be(tmp_path: Path, gateway: RealGateway) -> None:
    (tmp_path / "file").write_text("")
    run = OneRun(gateway.url, spool(tmp_path / "file" / "s"))
    run.start()
    report = run.end({DROP: 2}, stamp=1.0)
    assert report.ok
    assert "cannot be written (Not a directory), so no counts can be kept" in report.sentence
    report = OneRun(DEAD, spool(tmp_path / "file" / "s")).end({DROP: 2})
    assert "the 2 drops of this run are lost" in report.sentence


def test_a_folder_in_use_is_not_waited_for_long(tmp_path: Path) -> None:
    one, two = spool(tmp_path), spool(tmp_path)
    budget = Budget(SystemClock(), 0.1)
    with (
        one.locked(budget),
        pytest.raises(SpoolError, match="in use by another run"),
        two.locked(budget),
    ):
        raise AssertionError("both hold it")
    with two.locked(budget):
        pass


def test_the_folder_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooling, "SPOOL_FILES", 2)
    memory = spool(tmp_path)
    run = run_families({DROP: 2}, {"internal": [1.0]})
    for _ in range(3):
        memory.add(run)
    kept = [one.counts for one in memory.waiting()]
    assert [going.drops(one) for one in kept] == [2, 2, 0]
    assert [going.total(one, LOST) for one in kept] == [0, 0, 2]
    assert "only the number of lost drops" in memory.problems[0]


def test_marks_are_bounded_and_newest_first(tmp_path: Path) -> None:
    marks: spooling.Marks = {}
    for number in range(SLOTS + 2):
        memory = spool(tmp_path / str(number))
        memory.folder.mkdir()
        memory.add(run_families({DROP: 2}))
        marks = spooling.marked(marks, memory.waiting())
        assert next(iter(marks)) == memory.waiting()[0].folder
        assert spooling.read_marks(spooling.mark_group(marks)) == marks
    assert len(marks) == SLOTS
    # What the gateway is sent is in the table, and so on the page of metrics.
    (name, family), spec = *spooling.mark_group(marks).items(), BY_NAME[spooling.MARK]
    assert (name, family.kind, family.help) == (spec.name, spec.type, spec.help)
    for key in family.series:
        assert tuple(label for label, _ in key) == spec.labels
        assert all(value in CLOSED[label] for label, value in key)


def test_no_number_is_used_twice(tmp_path: Path) -> None:
    memory = spool(tmp_path)
    numbers = []
    for _ in range(3):
        batch = memory.add(run_families({DROP: 1}))
        assert batch is not None
        numbers.append(batch.number)
        memory.remove([batch])
    assert numbers == [1, 2, 3]
    os.unlink(tmp_path / "state.json")
    other = memory.add(run_families({DROP: 1}))
    assert other is not None
    assert (other.number, other.folder == batch.folder) == (1, False)
