"""What remote rigs cost a run: CPU, memory and the record beside those of the same run without.

400 rigs of the lab are 1,200 legs, as many as 200 rigs with five streams each.

    python bench/rigs_cost.py [--rigs 400] [--runs 5] [--fault relay:mute]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from t3probe.lab.process import LabProcess
from t3probe.lab.rig_faults import environment

ROOT = Path(__file__).resolve().parents[1]
ASKED_MIB = 64.0
ASKED_TIMES = 1.2


def run(file: str) -> tuple[float, float, float]:
    """CPU seconds, peak MiB, and KiB of results."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", f"--results={folder}", f"--deployment={file}"],
            cwd=ROOT,
            env={
                **os.environ,
                **environment(),
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "T3PROBE_LOOPBACK_ONLY": "1",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        size = sum(one.stat().st_size for one in Path(folder).iterdir())
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, size / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rigs", type=int, default=400)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--fault", action="append", default=[])
    given = parser.parse_args()
    with LabProcess(given.fault, {"hold": "2s"}, experiments=given.rigs) as lab:
        text = Path(lab.deployment_path).read_text()
        start, end = text.index("[experiments]"), text.index("[lab]")
        plain = Path(lab.deployment_path).with_name("plain.toml")
        plain.write_text(text[:start] + text[end:])
        both = [(run(str(plain)), run(lab.deployment_path)) for _ in range(given.runs)]
    for number, (words, unit) in enumerate((("CPU", "s"), ("peak", "MiB"), ("results", "KiB"))):
        without, with_rigs = (
            statistics.median(pair[which][number] for pair in both) for which in (0, 1)
        )
        print(
            f"{words:<8} {without:9.2f} {unit} without, {with_rigs:9.2f} {unit} with rigs", end=""
        )
        asked = {"CPU": f"asked <= {ASKED_TIMES:g} times", "peak": f"asked < {ASKED_MIB:g} MiB"}
        print(f"  {with_rigs / without:5.2f} times  {asked.get(words, '')}")


if __name__ == "__main__":
    main()
