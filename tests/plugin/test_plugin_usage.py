"""Mistakes in how the suite is called: one sentence, exit code 4, nothing probed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from plugin_runner import ENVIRON, ROOT

from t3probe.entry import joined

SPY = """
import os, sys

def hook(event, arguments):
    if event in ("socket.connect", "socket.bind", "subprocess.Popen"):
        with open(os.environ["SPY"], "a") as out:
            print(event, arguments[1:], file=out)

sys.addaudithook(hook)
"""


@pytest.fixture
def spy(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "spy_plugin.py").write_text(SPY)
    return {"PYTHONPATH": f"{tmp_path}:{ROOT}", "SPY": str(tmp_path / "spy.txt")}


def refused(done, sentence: str) -> None:
    assert done.code == 4, done.output
    assert sentence in done.output
    assert "Traceback" not in done.output
    assert not (done.results / "junit.xml").exists()
    assert not (done.results / "verdict.json").exists()


def test_spreading_over_processes_is_refused(checks) -> None:
    pytest.importorskip("xdist")
    refused(checks("-n", "2"), "cannot be spread over processes (-n)")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--hold", "10"], "--hold: expected a duration such as 500ms, 10s or 2m, found '10'"),
        (["--gate", "tunel"], "--gate: expected segments of"),
        (["--fault", "tunnel:cut"], "--fault breaks the built-in lab only"),
        (["--gate", ","], "--gate: expected segments, found none"),
        (["--gate", "tunnel", "--exit-delivered"], "--gate: expected no --exit-delivered beside"),
    ],
)
def test_bad_options(checks, arguments: list[str], sentence: str) -> None:
    refused(checks(*arguments), sentence)


def test_a_fault_that_does_not_exist(checks) -> None:
    refused(checks("--fault", "tunel:cut", deployment=None), "tunel")


def test_a_missing_deployment(checks) -> None:
    refused(checks(deployment="nowhere.toml"), "nowhere.toml: expected a readable deployment file")


def test_a_bad_deployment_is_one_sentence_and_probes_nothing(checks, tmp_path, spy) -> None:
    text = Path(checks.lab.deployment_path).read_text()
    bad = tmp_path / "bad.toml"
    bad.write_text(text.replace('path = ["wan", "doh"]', 'path = ["wan", "dho"]'))
    done = checks("-p", "spy_plugin", deployment=str(bad), env=spy)
    refused(done, 'found "dho"; did you mean "doh"?')
    assert not Path(spy["SPY"]).exists()


@pytest.mark.parametrize("deployment", ["", None])
def test_collecting_opens_no_connection(checks, spy, deployment: str | None) -> None:
    done = checks("--collect-only", "-q", "-p", "spy_plugin", deployment=deployment, env=spy)
    assert done.code == 0, done.output
    assert "[cloudflare]" in done.output
    assert not Path(spy["SPY"]).exists(), Path(spy["SPY"]).read_text()


def test_the_spy_sees_connections_when_there_are_any(checks, spy) -> None:
    checks("--hold", "0", "-k", "devvm", "-p", "spy_plugin", env=spy)
    assert "socket.connect" in Path(spy["SPY"]).read_text()


def test_leaving_loopback_is_refused_before_a_packet(checks, tmp_path: Path) -> None:
    text = Path(checks.lab.deployment_path).read_text()
    away = tmp_path / "away.toml"
    lines = [
        'address = "192.0.2.1:80"' if "127.0.0.1" in line and line.startswith("address") else line
        for line in text.splitlines()
    ]
    away.write_text("\n".join(lines))
    done = checks("--hold", "0", deployment=str(away))
    assert done.code == 4, done.output
    assert "T3PROBE_LOOPBACK_ONLY=1 allows 127.0.0.0/8 and ::1 only" in done.output
    assert "Traceback" not in done.output
    assert not (done.results / "verdict.json").exists()


def test_a_fault_that_would_begin_after_the_hold(checks) -> None:
    done = checks("--fault", "tunnel:cut@3s", "--hold", "2s", deployment=None)
    refused(done, "it begins 3 s after the run and the hold is 2 s")


def test_collecting_keeps_the_last_record(checks, recorded) -> None:
    shutil.copytree(recorded("--hold", "0", "-k", "devvm").results, checks.folder / "results")
    before = (checks.folder / "results" / "junit.xml").read_bytes()
    assert checks("--collect-only", "-q").code == 0
    assert (checks.folder / "results" / "junit.xml").read_bytes() == before


@pytest.mark.parametrize("words", [("--fixtures",), ("--fixtures-per-test",), ("-k", "no_such")])
def test_a_session_that_runs_nothing_keeps_the_last_record(checks, words: tuple[str, ...]) -> None:
    file = checks.folder / "results" / "junit.xml"
    file.parent.mkdir()
    file.write_text("of an earlier run")
    done = checks(*words)
    assert done.code in (0, 5), done.output
    assert file.read_text() == "of an earlier run"
    assert "generated xml file: none; what is there stays" in done.output


def test_options_of_two_words_that_lead_elsewhere(checks, tmp_path: Path) -> None:
    """pytest would look for its configuration beside the deployment file, and miss the checks."""
    words = ["--deployment", checks.lab.deployment_path, "--results", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "--collect-only", "-q"],
        cwd=ROOT, env=ENVIRON, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert b"[cloudflare]" in done.stdout
    one = [f"--deployment={checks.lab.deployment_path}", f"--results={tmp_path}"]
    assert joined(["-q", *words, "-x"], ROOT) == ["-q", *one, "-x"]
    here = ["--deployment", "deployments/lab.toml", "--results"]
    assert joined(here, ROOT) == here
