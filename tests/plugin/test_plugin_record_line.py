"""The record as a line of a real run's output: whole, in every way a run can go."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from plugin_runner import ENVIRON, ROOT
from test_plugin_signals import when_probing

from t3probe.cli import main
from t3probe.record import log
from t3probe.record.log import MARKER

Verdict = Callable[..., str]


@pytest.fixture
def verdict(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verdict:
    """What `t3probe verdict` prints; its standard input can be given."""

    def ask(*words: str, given: bytes = b"") -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        code = main(["verdict", *words])
        said = capsys.readouterr()
        assert (code, said.err) == (0, "")
        return said.out

    return ask


def record_lines(output: str) -> list[str]:
    found = [one for one in output.splitlines() if "t3probe" in one and '"record":' in one]
    assert all(one.startswith(MARKER) and one.isascii() and one.isprintable() for one in found)
    return found


@pytest.mark.parametrize(
    "words", [(), ("-s",), ("-q",), ("-v", "--color=yes"), ("-x", "--capture=sys")]
)
def test_the_log_says_what_the_junit_file_says(
    checks, verdict: Verdict, words: tuple[str, ...]
) -> None:
    checks.lab.switch(["dispatch:refuse"])
    done = checks("--hold", "1s", "--record-line", *words)
    assert done.code == 1, done.output
    assert len(record_lines(done.output)) == 1
    file = checks.folder / "pod.log"
    file.write_text(done.output)
    for more in ((), ("--text",)):
        answer = verdict(str(file), *more)
        assert answer == verdict(str(done.results / "junit.xml"), *more)
        assert answer == verdict("-", *more, given=file.read_bytes())
    assert json.loads(verdict(str(file)))["convicted"] == ["dispatch"]


def test_other_runs_print_no_record(checks, recorded) -> None:
    done = recorded("--hold", "0", "-k", "devvm")
    assert record_lines(done.output) == []
    assert record_lines(checks("--hold", "0", "-k", "nothing", "--record-line").output) == []


def test_an_interrupted_run_leaves_its_line(checks) -> None:
    process = checks.start("--hold", "60s", "--exit-delivered")
    when_probing(checks, process, 0.5)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    (found,) = log.found_lines(io.BytesIO(output))
    recording = found.parse()
    assert recording.run.interrupted
    assert len(recording.observations) == 14


KILLED = """
import os, signal
from t3probe.deliver.delivery import Shipping

Shipping.end = lambda *words: os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_pod_that_is_killed_while_it_delivers_has_left_its_line(checks) -> None:
    (checks.folder / "killed_plugin.py").write_text(KILLED)
    done = checks(
        "--hold", "0", "--exit-delivered", "-p", "killed_plugin",
        env={"PYTHONPATH": f"{checks.folder}:{ROOT}"},
    )  # fmt: skip
    assert done.code == -signal.SIGKILL
    assert not (done.results / "junit.xml").exists()
    (found,) = log.found_lines(io.BytesIO(done.output.encode()))
    assert len(found.parse().observations) == 14


def test_a_log_that_nobody_reads_changes_nothing(checks) -> None:
    for number, words in enumerate([(), ("-s",)]):
        results = checks.folder / f"results-{number}"
        process = subprocess.Popen(
            [*checks.command("--hold", "0", "--exit-delivered", *words), f"--results={results}"],
            cwd=ROOT, env=ENVIRON, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        process.stderr.close()
        assert (process.wait(timeout=60), said) == (0, b"")
        assert json.loads((results / "verdict.json").read_text())["status"] == "clean"
        assert (results / "junit.xml").exists()


def test_a_reader_that_leaves_costs_neither_the_record_nor_the_exit_code(checks) -> None:
    checks.lab.switch(["dispatch:refuse"])
    for gate, code in (("dispatch", 1), ("wan", 0)):
        results = checks.folder / f"results-{gate}"
        process = subprocess.Popen(
            [*checks.command("--hold", "0", f"--gate={gate}"), f"--results={results}"],
            cwd=ROOT, env=ENVIRON, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        process.stderr.close()
        assert (process.wait(timeout=60), said) == (code, b"")
        assert json.loads((results / "verdict.json").read_text())["convicted"] == ["dispatch"]
        assert (results / "junit.xml").exists()
