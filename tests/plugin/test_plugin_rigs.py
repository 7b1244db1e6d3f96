"""Remote rigs in runs of a real pytest, on the built-in lab."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from plugin_runner import ENVIRON, ROOT, Result

from t3probe.deliver import metrics
from t3probe.record.junit import read_junit
from t3probe.verdict.incident.run import judge_run

RIG = ["stream-spin01-data", "stream-spin01-video", "jump-spin01"]


def check(folder: Path, *words: str) -> Result:
    command = [sys.executable, "-m", "pytest", f"--results={folder / 'results'}", *words]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=ENVIRON,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=100,
        check=False,
    )
    return Result(done.returncode, done.stdout.decode(), folder / "results")


def test_a_rig_that_stalls_is_convicted_and_relay_and_jump_are_cleared(tmp_path: Path) -> None:
    """As `make check ARGS="--experiments 3" FAULT=rig-spin01:stall`, with a short hold."""
    done = check(tmp_path, "--experiments=3", "--fault=rig-spin01:stall", "--hold=1s")
    assert done.code == 1, done.output
    assert done.verdict["convicted"] == ["rig-spin01"]
    assert {"relay", "jump", "relay-api", "jump-api", "book"} <= {*done.verdict["exonerated"]}
    assert "rig-spin01 is broken" in done.output
    assert done.output.count("FAILED checks/test_experiments.py") == len(RIG)
    cases = [
        one.get("name")
        for one in ElementTree.parse(done.results / "junit.xml").iter("testcase")
        if one.find("failure") is not None
    ]
    assert [one.partition("[")[2].rstrip("]") for one in cases if one] == RIG
    # The record alone says the same, and gives no series to each rig and stream.
    recording = read_junit(done.results / "junit.xml")
    judged = judge_run(recording.run, recording.observations)
    assert judged.verdict.convicted == ("rig-spin01",)
    text = metrics.rendered(
        metrics.families(recording.run, recording.observations, judged)
    ).decode()
    assert 'leg="relay-api"' in text
    assert 't3probe_segment_state{segment="relay",state="exonerated"} 1.0' in text
    # A rig has families of its own, and no part in those by leg or segment.
    named = {line.partition("{")[0] for line in text.splitlines() if "spin01" in line}
    assert named == {
        *("t3probe_experiment_healthy", "t3probe_experiment_available", "t3probe_jump_connected"),
        *("t3probe_stream_active", "t3probe_stream_age_seconds"),
    }


def test_one_rig_by_name(tmp_path: Path) -> None:
    done = check(tmp_path, "--experiments=3", "-k", "spin02", "--hold=0")
    assert done.code == 0, done.output
    assert sorted(done.legs) == ["jump-spin02", "stream-spin02-data", "stream-spin02-video"]


def test_what_is_asked_wrongly_is_one_sentence(tmp_path: Path) -> None:
    for words, said in (
        (["--experiments=501"], "--experiments 501: expected a number from 0 to 500"),
        (["--experiments=2", "--fault=rig-spin03:stall"], "there is no rig 'spin03'"),
        (["--fault=relay:silent"], "has no remote rigs; start it with --experiments 3"),
    ):
        done = check(tmp_path, *words, "--hold=0")
        assert done.code == 4, done.output
        assert said in done.output
        assert "Traceback" not in done.output


LOADED = """
import json, sys
import pytest
code = pytest.main(sys.argv[1:])
print("LOADED", json.dumps([one for one in ("jwt", "t3probe.upstreams.experiments.ask")
                            if one in sys.modules]))
"""


@pytest.mark.parametrize(("number", "loaded"), [(0, 0), (2, 2)])
def test_a_run_without_rigs_loads_nothing_for_them(
    tmp_path: Path, number: int, loaded: int
) -> None:
    words = ["checks", "--hold=0", f"--experiments={number}", f"--results={tmp_path / 'results'}"]
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words],
        cwd=ROOT,
        env=ENVIRON,
        capture_output=True,
        timeout=100,
        check=False,
    )
    (line,) = [one for one in done.stdout.decode().splitlines() if one.startswith("LOADED")]
    assert len(json.loads(line.removeprefix("LOADED "))) == loaded
