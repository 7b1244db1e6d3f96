"""What `t3probe explain` costs over a week of runs, against the same question over one run.

A CronJob leaves 1,440 runs a day. A folder of JUnit files is made of one made-up run with shifted
times, and a log with a line for each; the question is about one minute of them. Each command runs
as a child, so that its peak memory is its own. CPU seconds stand beside the wall's, for a machine
that is busy with other things.

    python bench/explain_runs.py [RUNS]
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.sax.saxutils import escape

from t3probe.observation import Beat, Observation, RunRecord
from t3probe.record.facts import leg_property, run_property
from t3probe.record.log import record_line

ASKED_SECONDS, ASKED_MIB = 10.0, 150.0
LEGS, BEATS = 12, 60
"""About 75 KB in a JUnit file."""
START, EVERY_SECONDS = 1_700_000_000, 60
SEGMENTS = ("wan", "edge", "tunnel", "dispatch")


def one_run() -> tuple[RunRecord, list[Observation]]:
    """A clean run whose start is a mark to be replaced."""
    beats = tuple(
        Beat(sent=at / 2, ended=at / 2 + 0.012345, ok=True, conn=0, measured_seconds=0.000123)
        for at in range(BEATS)
    )
    legs = [
        Observation(
            leg=f"leg-{number}", kind="ws_echo", path=SEGMENTS[number % 4 :], outcome="passed",
            level="hold", ended=30.0, observed_seconds=30.0, connected=True, beats=beats,
        )
        for number in range(LEGS)
    ]  # fmt: skip
    run = RunRecord(
        deployment="bench", segments=SEGMENTS, started_at=float(START), duration_seconds=35.0,
        hold_seconds=30.0, heartbeat_seconds=0.5, watchdog_seconds=20.0,
    )  # fmt: skip
    return run, legs


def junit(run: RunRecord, legs: list[Observation]) -> str:
    """As pytest writes it: the run comes after its legs."""
    rows = "".join(
        f'<property name="{name}" value="{escape(value, {chr(34): "&quot;"})}" />'
        for name, value in (*map(leg_property, legs), run_property(run))
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite '
        f'name="pytest" tests="{LEGS}"><properties>{rows}</properties></testsuite></testsuites>'
    )


def shifted(text: str) -> tuple[str, str]:
    """What stands before and after the run's start."""
    found = re.search(rf"\b{START}\.0", text)
    assert found is not None
    return text[: found.start()], text[found.end() :]


def asked(runs: Path, at: int) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MiB of one question."""
    command = [sys.executable, "-m", "t3probe.cli", "explain", "--at", str(at), "--runs", str(runs)]
    began = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    wall = time.monotonic() - began
    assert os.waitstatus_to_exitcode(status) in (0, 1), said  # 1: it cannot tell
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    at = START + EVERY_SECONDS * (many // 2) + 15
    with tempfile.TemporaryDirectory() as name:
        folder, log = Path(name, "runs"), Path(name, "pods.log")
        folder.mkdir()
        run, legs = one_run()
        (before, after), (head, rest) = map(shifted, (junit(run, legs), record_line(run, legs)))
        with open(log, "w") as stream:
            for number in range(many):
                start = f"{START + EVERY_SECONDS * number}.0"
                (folder / f"{number:06}.xml").write_text(f"{before}{start}{after}")
                stream.write(f"{head}{start}{rest}\n")
        size = len(before) + len(after)
        one = asked(folder / f"{many // 2:06}.xml", at)
        rows = [(f"a folder of {many:,} files", asked(folder, at)), ("one log", asked(log, at))]
    print(f"{many:,} runs of {size / 1000:.0f} KB, one question about one minute")
    print(f"one run alone: {one[0]:.2f} s wall, {one[1]:.2f} s CPU, {one[2]:.0f} MiB")
    for words, (wall, cpu, mib) in rows:
        verdict = "ok" if wall <= ASKED_SECONDS and mib <= ASKED_MIB else "OVER"
        print(
            f"{words:<28}{wall:7.2f} s wall {cpu:6.2f} s CPU {mib:5.0f} MiB  "
            f"{cpu / one[1]:6.1f} x one run  asked <= {ASKED_SECONDS:g} s, {ASKED_MIB:g} MiB  "
            f"{verdict}"
        )


if __name__ == "__main__":
    main()
