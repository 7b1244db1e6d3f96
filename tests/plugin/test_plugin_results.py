"""A results folder that is full, read-only, gone or no folder costs the files and nothing else."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from deliver.delivery_programs import RealGateway, get
from plugin_runner import ENVIRON, Result, Runner

from t3probe.record.results import Results

REFUSES = """
import errno, os
before = os.open
def refuse(path, flags, *more, **named):
    if str(path).endswith(".partial"):
        raise OSError(errno.{name}, os.strerror(errno.{name}), str(path))
    return before(path, flags, *more, **named)
os.open = refuse
"""
GOES = """
import shutil
def pytest_runtest_logreport(report):
    shutil.rmtree({folder!r}, ignore_errors=True)
"""


def with_plugin(checks: Runner, folder: Path, text: str, *words: str) -> Result:
    (folder / "a_hostile_disk.py").write_text(text)
    path = f"{ENVIRON['PYTHONPATH']}{os.pathsep}{folder}"
    return checks("-p", "a_hostile_disk", "--hold", "0", *words, env={"PYTHONPATH": path})


def earlier(folder: Path) -> list[Path]:
    folder.mkdir()
    files = [folder / "junit.xml", folder / "verdict.json"]
    for one in files:
        one.write_text("of an earlier run")
    return files


@pytest.mark.parametrize("name", ["ENOSPC", "EROFS", "EACCES"])
def test_a_folder_that_takes_nothing(name: str, checks: Runner, tmp_path: Path) -> None:
    files = earlier(tmp_path / "results")
    done = with_plugin(checks, tmp_path, REFUSES.format(name=name))
    assert done.code == 0, done.output
    assert "VERDICT" in done.output
    assert "Traceback" not in done.output
    why = os.strerror(getattr(errno, name))
    said = [line for line in done.output.splitlines() if why in line]
    assert len(said) == 1
    assert said[0].startswith(f"the verdict and the record cannot be written: {why} (")
    assert "record: " not in done.output
    assert "generated xml file: none; it cannot be written" in done.output
    for one in files:
        assert not one.exists()
        assert one.with_name(one.name + ".old").read_text() == "of an earlier run"
        assert f"that of an earlier run is now {one}.old" in said[0]


def test_the_exit_code_is_that_of_the_checks_and_of_the_gate(
    checks: Runner, tmp_path: Path
) -> None:
    checks.lab.switch(["dispatch:refuse"])
    text = REFUSES.format(name="ENOSPC")
    assert with_plugin(checks, tmp_path, text).code == 1
    assert with_plugin(checks, tmp_path, text, "--gate=wan").code == 0


def test_a_folder_that_goes_in_mid_run_is_made_anew(checks: Runner, tmp_path: Path) -> None:
    done = with_plugin(checks, tmp_path, GOES.format(folder=str(tmp_path / "results")))
    assert done.code == 0, done.output
    assert done.recording.observations
    assert sorted(one.name for one in done.results.iterdir()) == ["junit.xml", "verdict.json"]


def test_a_file_in_the_place_of_the_folder(checks: Runner, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("mine")
    done = checks("--hold", "0")
    assert done.code == 0, done.output
    assert "VERDICT" in done.output
    assert done.output.count("cannot be written") in (1, 2)
    assert (tmp_path / "results").read_text() == "mine"


def test_a_folder_in_the_place_of_a_file(checks: Runner, tmp_path: Path) -> None:
    (tmp_path / "results" / "junit.xml").mkdir(parents=True)
    done = checks("--hold", "0")
    assert done.code == 0, done.output
    file = tmp_path / "results" / "junit.xml"
    assert "the record cannot be written: Is a directory" in done.output
    assert f"what stands at {file} is not of this run" in done.output
    assert "verdict: " in done.output
    assert sorted(one.name for one in done.results.iterdir()) == ["junit.xml", "verdict.json"]


def test_what_was_delivered_counts(checks: Runner, tmp_path: Path, gateway: RealGateway) -> None:
    (tmp_path / "results").write_text("")
    done = checks("--hold", "0", "--exit-delivered", "--gateway", gateway.url)
    assert done.code == 0, done.output
    assert "t3probe_run_complete" in get(gateway.url + "/metrics").decode()
    assert "VERDICT" in done.output


def test_what_cannot_be_moved_aside_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (verdict,) = earlier(tmp_path / "results")[1:]

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "replace", fail)
    found = Results(verdict.parent)
    found.write_verdict({})
    (record, said) = found.lines("here.xml")
    assert record == "record: here.xml"
    assert said == (
        f"the verdict cannot be written: Read-only file system ({verdict.parent}); name a folder "
        f"that can be written; what stands at {verdict} is of an earlier run"
    )
    assert sorted(os.listdir(verdict.parent)) == ["junit.xml", "verdict.json"]
    monkeypatch.undo()
    found.write_verdict({})  # the last word of a run counts
    assert found.lines("here.xml") == ["record: here.xml", f"verdict: {verdict}"]
