"""What remote write adds to a run of eight legs, in CPU seconds.

Needs Debian's `victoria-metrics`, which runs on loopback for the time of the measurement. Whole
runs of the checks against the lab, hold 0, each a process of its own: without a receiver and with
one in turn, so that a busy moment of the machine hits both alike. The figure is the median of the
differences of the pairs; what the delivery says of itself, in a process that has imported what such
a run imports, varies less and is the one that counts. Beside it stands what importing pytest costs
here: on a busy machine all are dearer, and what is asked is for one on which that costs 0.13 s.

    python bench/remote_write_cost.py [PAIRS]
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "deliver"))

from push_cost import LEGS, eight_legs
from remote_parts import Victoria
from run_cost import PYTEST, ROOT, measure

from t3probe.lab.process import LabProcess

ASKED_MS = 40
IMPORT_SECONDS = 0.13

PART = """
import sys, time
from pathlib import Path
import asyncio, json, ssl
import pytest, msgspec, websockets.asyncio.client
import t3probe.plugin, t3probe.deliver.delivery, t3probe.deliver.metrics
import t3probe.verdict.incident.run
from t3probe.config import load
from t3probe.deliver.metrics import families, gauges, zeros
from t3probe.deliver.metrics.carry import Family

file, spool = sys.argv[1:]
deployment = load(file, now=time.time())
zero = zeros(deployment)
own = {**zero, **gauges(deployment)}
own["t3probe_run_timestamp_seconds"] = Family("gauge", "", {(): time.time()})
own["t3probe_run_duration_seconds"] = Family("gauge", "", {(): 35.0})
began = time.process_time()
from t3probe.deliver.delivery import end_of_run, remote_of, start_of_run

remote = remote_of(deployment, job="bench", vantage="part", environ={})
run = start_of_run(
    deployment, None, zero, remote=remote, vantage="part", results=Path(spool), environ={}
)
ended = end_of_run(run, own, ok=True)
print(time.process_time() - began, *ended.sentences)
sys.exit(not ended.delivered)
"""


def part(file: str, receiver: str, spool: Path) -> float:
    """CPU seconds of the delivery alone, by its own word."""
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "T3PROBE_LOOPBACK_ONLY": "1"}
    name, _, value = receiver.partition("=")
    environ |= {name: value, "T3PROBE__DELIVERY__SPOOL": str(spool)}
    done = subprocess.run(
        [sys.executable, "-c", PART, file, str(spool)], env=environ, capture_output=True, text=True,
        check=False, cwd=ROOT,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"the delivery failed:\n{done.stdout}{done.stderr}")
    time.sleep(0.05)  # the next one begins after this one ended, 35 s of it made up
    return float(done.stdout.split()[0])


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    if shutil.which("victoria-metrics") is None:
        print("nothing measured: victoria-metrics is not installed; apt install it")
        sys.exit(0)
    with tempfile.TemporaryDirectory() as name, LabProcess() as lab:
        folder = Path(name)
        server = Victoria(folder / "server")
        server.start()
        try:
            run = [
                *PYTEST, "-p", "pytest_asyncio", "-p", "pytest_timeout", "--hold", "0",
                "--exit-delivered", "--deployment",
                str(eight_legs(Path(lab.deployment_path).read_text(), folder / "eight.toml")),
                "--results", str(folder / "results"), "checks",
            ]  # fmt: skip
            named = f'[{{url = "{server.url}{server.write}"}}]'
            receiver = f"T3PROBE__DELIVERY__REMOTE_WRITE={named}"
            spool = f"T3PROBE__DELIVERY__SPOOL={folder / 'spool'}"
            seen = [
                (
                    measure(["env", spool, *run], ROOT)[0],
                    measure(["env", spool, receiver, *run], ROOT)[0],
                    measure([sys.executable, "-c", "import pytest"], ROOT)[0],
                )
                for _ in range(pairs + 1)
            ][1:]
            file = str(folder / "eight.toml")
            parts = [part(file, receiver, folder / f"part-{number}") for number in range(pairs)]
            found = server.query("t3probe_run_timestamp_seconds")
        finally:
            server.stop(signal.SIGKILL)
    without, with_, imports = (statistics.median(column) for column in zip(*seen, strict=True))
    added = statistics.median(after - before for before, after, _ in seen) * 1000
    print(f"a whole run of the checks, {len(LEGS)} legs against the lab, hold 0")
    own = statistics.median(parts) * 1000
    scaled = own * min(1.0, IMPORT_SECONDS / imports)
    print(f"  without {without:.3f} s CPU  with {with_:.3f} s  import pytest {imports:.3f} s")
    print(
        f"  remote write adds {added:.0f} ms to such a run; by its own word it takes {own:.0f} ms, "
        f"{scaled:.0f} ms where that import takes {IMPORT_SECONDS:g} s  asked <= {ASKED_MS}  "
        f"{'ok' if scaled <= ASKED_MS else 'OVER'}; the receiver has {len(found)} vantages"
    )
    sys.exit(scaled > ASKED_MS)


if __name__ == "__main__":
    main()
