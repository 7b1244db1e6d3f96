"""A textfile on a disk that hangs, or may not be written: one sentence, and the run goes on."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugin_runner import Runner
from prometheus_client.parser import text_string_to_metric_families

from t3probe.deliver.metrics.carry import DISCONNECTS, Family, Group, counter
from t3probe.deliver.sinks import Batch, textfile


def drops(number: float) -> Group:
    labels = ("leg", "devvm"), ("reason", "io_error")
    return {**counter(DISCONNECTS, float(number), labels), **complete(1.0)}


def complete(value: float) -> Group:
    return {"t3probe_run_complete": Family("gauge", "Complete.", {(): value})}


def values(file: Path) -> dict[str, float]:
    families = text_string_to_metric_families(file.read_text())
    return {one.name: one.value for family in families for one in family.samples}


@pytest.fixture
def hangs(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The disk does not end its first write before the event is set."""
    free, later = threading.Event(), threading.Event()

    def sync(_: int) -> None:
        if not later.is_set():
            later.set()
            free.wait(60)

    monkeypatch.setattr(os, "fsync", sync)
    yield free
    free.set()
    writers_end()


def writers_end() -> None:
    for thread in threading.enumerate():
        if thread.name == textfile.THREAD:
            thread.join(20)


def test_a_disk_that_hangs_costs_a_bounded_time(tmp_path: Path, hangs: threading.Event) -> None:
    file = tmp_path / "t3probe.prom"
    deliver = textfile.sink(file, {})
    for opening in (True, False):
        report = deliver(Batch(drops(0), opening=opening, seconds=0.05))
        assert report[:2] == (
            False,
            f"{file}: took longer than 50 ms to write; whether it took them is not known; "
            "mend that, or name another file in delivery.textfile",
        )
    assert not file.exists()


def test_zeros_that_were_late_never_replace_counts(tmp_path: Path, hangs: threading.Event) -> None:
    file = tmp_path / "t3probe.prom"
    deliver = textfile.sink(file, {})
    assert not deliver(Batch(drops(0), opening=True, seconds=0.05)).ok
    assert not deliver(Batch(drops(2), seconds=0.05)).ok
    hangs.set()
    writers_end()
    assert values(file)["t3probe_disconnects_total"] == 2


def test_without_time_nothing_is_written(tmp_path: Path) -> None:
    file = tmp_path / "t3probe.prom"
    deliver = textfile.sink(file, {})
    assert not deliver(Batch(drops(0), opening=True, seconds=0.0)).ok
    assert not file.exists()
    assert deliver(Batch(complete(0.0))).ok
    assert values(file)["t3probe_disconnects_total"] == 0


def test_a_correction_replaces_gauges_only(tmp_path: Path) -> None:
    file = tmp_path / "t3probe.prom"
    deliver = textfile.sink(file, {"vantage": "attic"})
    deliver(Batch(drops(0), opening=True))
    deliver(Batch(drops(2)))
    assert deliver(Batch(complete(0.0), correction=True)).ok
    assert values(file) == {"t3probe_disconnects_total": 2, "t3probe_run_complete": 0}
    assert file.read_text().count('vantage="attic"') == 2


def test_what_dead_writers_left_is_cleared(tmp_path: Path) -> None:
    left = tmp_path / ".t3probe.prom.x1.partial"
    other = tmp_path / ".other.prom.x1.partial"
    left.touch()
    other.touch()
    textfile.sink(tmp_path / "t3probe.prom", {})(Batch(drops(0), opening=True))
    assert not left.exists()
    assert other.exists()


def with_textfile(checks: Runner, folder: Path, file: Path) -> str:
    text = Path(checks.lab.deployment_path).read_text()
    deployment = folder / "textfile.toml"
    delivery = f'[delivery]\ntextfile = "{file}"\n\n'
    assert "[delivery]" not in text
    deployment.write_text(text.replace("[timing]", delivery + "[timing]", 1))
    return str(deployment)


def test_a_run_says_in_one_sentence_that_it_cannot_be_written(
    checks: Runner, tmp_path: Path
) -> None:
    file = tmp_path / "nowhere" / "t3probe.prom"
    done = checks("--hold", "0", "--push", deployment=with_textfile(checks, tmp_path, file))
    assert done.code == 0, done.output
    output = re.sub(r"\n {16}", " ", done.output)  # folded to the summary's columns
    said = [line for line in output.splitlines() if str(file) in line]
    assert len(said) == 1
    assert f"expected the folder {file.parent}, found none" in said[0]
    assert "the counts of this run are not in it" in said[0]


def test_a_run_writes_it(checks: Runner, tmp_path: Path) -> None:
    file = tmp_path / "t3probe.prom"
    done = checks("--hold", "0", "--push", deployment=with_textfile(checks, tmp_path, file))
    assert done.code == 0, done.output
    assert values(file)["t3probe_run_complete"] == 1
