"""A run that is told to end leaves a record of what it saw so far."""

from __future__ import annotations

import select
import signal
import subprocess

import pytest
from plugin_runner import Result

from t3probe.timing import SystemClock

CLOCK = SystemClock()


def when_probing(checks, process: subprocess.Popen[bytes], beats: float) -> None:
    """Return once the run is well into its hold: the lab has carried connections for a while."""
    deadline = CLOCK.monotonic() + 30
    while process.poll() is None and CLOCK.monotonic() < deadline:
        if checks.lab.status()["connections"] >= 6:
            break
        select.select([], [], [], 0.05)
    select.select([], [], [], beats)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_hold_leaves_a_readable_record(checks, number: int) -> None:
    process = checks.start("--hold", "60s")
    when_probing(checks, process, 1.0)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    done = Result(process.returncode, output.decode(), checks.folder / "results")
    assert done.code == 2, done.output
    run = done.recording.run
    assert run.interrupted
    assert not run.complete
    assert run.duration_seconds < 40
    assert len(done.legs) == 14
    held = done.legs["internal"]
    assert held.outcome == "passed"
    assert sum(beat.ok for beat in held.beats) >= 1
    assert 0 < held.observed_seconds < 40
    assert "interrupted: this is what was seen so far" in done.output


def test_a_signal_while_everything_is_silent(checks) -> None:
    checks.lab.switch(["dispatch:stall"])
    process = checks.start("--hold", "60s")
    when_probing(checks, process, 0.3)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    done = Result(process.returncode, output.decode(), checks.folder / "results")
    assert done.code == 2, done.output
    assert done.recording.run.interrupted
