"""What the held mode costs: CPU for each 1,000 beats, the CPU of doing nothing, and memory.

`t3probe watch` holds six legs of the lab, each in a process of its own, so that the numbers are
those of the held mode alone. The heartbeat is scaled down until thousands of beats fit into some
seconds; what a beat costs does not depend on how long one waited for it. Between beats the held
mode looks at its own footing and publishes: that is measured with a heartbeat that never comes.

    python bench/watch_cost.py [SECONDS]
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from t3probe.lab.process import LabProcess

LEGS = ("egress", "edge", "cloudflare", "internal", "dispatch", "t3serve")
HEARTBEAT_SECONDS, SWEEP_SECONDS, SCRAPE_SECONDS = 10.0, 60.0, 15.0
"""As deployed; a Prometheus scrapes every 15 s."""
ASKED_CORE_PERCENT, ASKED_MIB = 0.5, 60.0
TICKS = os.sysconf("SC_CLK_TCK")


def six_legs(file: str, heartbeat: str, sweep: str) -> str:
    """The lab's deployment with six of its legs and another heartbeat."""
    head, *tables = re.split(r"(?m)^(?=\[\[)", Path(file).read_text())
    head = re.sub(r"(?m)^heartbeat = .*$", f'heartbeat = "{heartbeat}"', head)
    head = head.replace("[timing]\n", f'[timing]\nsweep_interval = "{sweep}"\n')
    kept = [one for one in tables if re.search(rf'(?m)^name = "({"|".join(LEGS)})"$', one)]
    assert len(kept) == len(LEGS), [one[:40] for one in kept]
    return head + "".join(kept)


class Watching:
    """One `t3probe watch`, and what it has cost so far."""

    def __init__(self, text: str, folder: Path) -> None:
        file = folder / "six.toml"
        file.write_text(text)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "t3probe.cli", "watch", str(file), "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            env={**os.environ, "T3PROBE_LOOPBACK_ONLY": "1"},
        )
        assert self.process.stdout is not None
        lines = map(json.loads, self.process.stdout)  # warnings come before the start
        self.address = next(one["listen"] for one in lines if one["event"] == "start")

    def cpu(self) -> float:
        """CPU seconds, user and system, of all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def mib(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]

    def metrics(self) -> str:
        """One scrape."""
        with urllib.request.urlopen(f"http://{self.address}/metrics") as answer:
            return str(answer.read().decode())

    def beats(self) -> float:
        """Good beats of all legs so far."""
        found = re.findall(r"(?m)^t3probe_rtt_seconds_count\S* (\S+)$", self.metrics())
        return sum(map(float, found))

    def __enter__(self) -> Watching:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait(10)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 15.0
    with tempfile.TemporaryDirectory() as name, LabProcess() as lab:
        folder = Path(name)
        with Watching(six_legs(lab.deployment_path, "50ms", "50ms"), folder) as busy:
            time.sleep(2)
            beats, cpu = busy.beats(), busy.cpu()
            time.sleep(seconds)
            beats, cpu = busy.beats() - beats, busy.cpu() - cpu
            scrapes = round(seconds)
            before, began = busy.cpu(), time.monotonic()
            for _ in range(scrapes):  # as often as something new is published
                time.sleep(1.0)
                busy.metrics()
            lasted = time.monotonic() - began
            scrape = max(0.0, busy.cpu() - before - cpu / seconds * lasted) / scrapes
            full = busy.mib()
        with Watching(six_legs(lab.deployment_path, "1h", "1h"), folder) as idle:
            time.sleep(2)
            before = idle.cpu()
            time.sleep(seconds)
            nothing = (idle.cpu() - before) / seconds

    sweeping = sum(one == "egress" for one in LEGS)
    rate = (len(LEGS) - sweeping) / HEARTBEAT_SECONDS + sweeping / SWEEP_SECONDS
    each = (cpu - nothing * seconds) / beats
    core = 100 * (each * rate + nothing + scrape / SCRAPE_SECONDS)
    print(f"{beats:.0f} beats of {len(LEGS)} legs in {seconds:g} s")
    print(f"{each * 1000:8.3f} s CPU for each 1,000 beats")
    print(f"{nothing * 100:8.3f} % of a core between beats")
    print(f"{scrape * 1000:8.2f} ms CPU for a scrape")
    rows = [
        (f"% of a core at a heartbeat of {HEARTBEAT_SECONDS:g} s", core, ASKED_CORE_PERCENT),
        # Modules take 42 of them, full windows and connections under way 16. The read buffers of
        # closed TLS connections were a third more, before `t3probe.probes.tls.small_buffers`.
        ("resident memory, with more beats in its windows, MiB", full, ASKED_MIB),
    ]
    for words, value, asked in rows:
        verdict = "ok" if value <= asked else "OVER"
        print(f"{words:<56} {value:6.2f}  asked <= {asked:g}  {verdict}")


if __name__ == "__main__":
    main()
