"""What one run costs, as ratios measured in one go.

The lab runs in a process of its own; each figure is the median over several rounds, the
kinds taken in turn so that a busy moment of the machine hits all alike.

    python bench/run_cost.py [ROUNDS]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from t3probe.lab.process import LabProcess

ROOT = Path(__file__).resolve().parent.parent
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
IMPORTS = """
import dns.message, msgspec, prometheus_client, pytest_asyncio, pytest_timeout
import websockets.asyncio.client
import argparse, asyncio, difflib, ipaddress, json, ssl, tomllib, urllib.parse
"""
ASKED = {"cpu_empty": 2.5, "cpu_imports": 1.35, "peak_mib": 64.0, "wall": 0.8}


def measure(command: list[str], folder: Path) -> tuple[float, float, float]:
    """CPU seconds, wall seconds and peak MiB of one command."""
    environ = {
        **os.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "T3PROBE_LOOPBACK_ONLY": "1",
        "NO_COLOR": "1",
        "PYTHONDONTWRITEBYTECODE": "",  # as in the image, where bytecode is compiled
    }
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    if process.returncode != 0:
        sys.exit(f"{command} failed:\n{output.decode()}")
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as name, LabProcess() as lab:
        folder = Path(name)
        empty, imports = folder / "empty", folder / "imports"
        for one, text in ((empty, ""), (imports, IMPORTS)):
            one.mkdir()
            (one / "pytest.ini").write_text("[pytest]\n")
            (one / "conftest.py").write_text(text)
            (one / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        run = [
            *PYTEST, "-p", "pytest_asyncio", "-p", "pytest_timeout",
            "--deployment", str(lab.deployment_path), "--hold", "0",
            "--results", str(folder / "results"), "checks",
        ]  # fmt: skip
        kinds = {
            "empty": (PYTEST, empty),
            "imports": (PYTEST, imports),
            "run": (run, ROOT),
        }
        seen: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in kinds}
        for _ in range(rounds + 1):
            for kind, (command, where) in kinds.items():
                seen[kind].append(measure(command, where))
        median = {
            kind: [statistics.median(column) for column in zip(*rows[1:], strict=True)]
            for kind, rows in seen.items()
        }
    for kind, (cpu, wall, peak) in median.items():
        print(f"{kind:<8} {cpu:6.3f} s CPU  {wall:6.3f} s wall  {peak:6.1f} MiB")
    figures = {
        "cpu_empty": median["run"][0] / median["empty"][0],
        "cpu_imports": median["run"][0] / median["imports"][0],
        "peak_mib": median["run"][2],
        "wall": median["run"][1],
    }
    words = {
        "cpu_empty": "CPU of a run / an empty pytest run",
        "cpu_imports": "CPU of a run / an empty run with its imports",
        "peak_mib": "peak memory, MiB",
        "wall": "wall over the hold, s (the whole of a run with hold 0)",
    }
    for key, value in figures.items():
        verdict = "ok" if value <= ASKED[key] else "OVER"
        print(f"{words[key]:<56} {value:6.2f}  asked <= {ASKED[key]:g}  {verdict}")


if __name__ == "__main__":
    main()
