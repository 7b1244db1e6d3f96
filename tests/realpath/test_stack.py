"""A path comes up, goes back to health, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from realpath.conftest import needs_programs
from realpath.faults import kill, rules, stop
from realpath.programs import until
from realpath.stack import Stack

TESTS = Path(__file__).resolve().parents[1]
STARTS = """
import sys, time
from pathlib import Path
from realpath.stack import Stack
Stack(Path(sys.argv[1])).start()
print("up", flush=True)
time.sleep(600)
"""


def living(folder: Path) -> list[str]:
    """The commands of the processes that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(process / "cwd")) == folder:
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def test_whatever_befell_a_path_it_goes_back_to_health_and_ends(tmp_path: Path) -> None:
    needs_programs()
    stack = Stack(tmp_path / "path")
    try:
        stack.start()
        kill("nginx", "dispatch").begin(stack)
        stop("envoy", "dnsdist-1").begin(stack)
        stack.reset(both=True)
        rules("no wall", walled={"route": {"cluster": "serve"}}).begin(stack)
        stack.reset()
        assert all(one.running for one in stack.programs.values())
    finally:
        stack.close()
    assert living(stack.folder) == []


def test_a_path_ends_when_whoever_started_it_is_killed(tmp_path: Path) -> None:
    needs_programs()
    folder = (tmp_path / "path").resolve()
    process = subprocess.Popen(
        [sys.executable, "-c", STARTS, str(folder)],
        env={**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert len(living(folder)) >= 10
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    until(lambda: not living(folder), "the programs to end")


def test_two_paths_at_once_do_not_meet(tmp_path: Path) -> None:
    needs_programs()
    first, second = Stack(tmp_path / "first"), Stack(tmp_path / "second")
    try:
        assert first.places.net != second.places.net
        first.start()
        second.start()
        kill("envoy").begin(first)
        second.reset()
    finally:
        first.close()
        second.close()


def test_a_path_that_does_not_come_up_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_programs()
    stack = Stack(tmp_path / "path")
    stack.programs["haproxy"].command = [sys.executable, "-c", "pass"]
    monkeypatch.setattr("realpath.stack.HEALTHY_SECONDS", 2.0)
    with pytest.raises(TimeoutError, match="waited 2 s for"):
        stack.start()
    assert living(stack.folder) == []
