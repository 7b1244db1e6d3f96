"""What a push to a Pushgateway adds to a run, in CPU seconds and as ratios to the same without.

Needs `prometheus-pushgateway`, which runs on loopback for the time of the measurement. Each
figure is the median over several pairs, with and without the push in turn, so that a busy moment
of the machine hits both alike.

    python bench/push_cost.py [PAIRS]

- Eight legs: whole runs of the checks against the lab, each a process of its own.
- Ten thousand upstreams: probing them would measure the probing. So a made-up recording of the
  eight legs and 10,000 upstreams is read, judged and turned into metrics' input by one process,
  and by another that delivers it too, through the same calls as a run: zeros at its start, all
  metrics at its end. An upstream has two series, so 20,000 are pushed.
"""

from __future__ import annotations

import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from xml.sax.saxutils import quoteattr

from run_cost import PYTEST, ROOT, measure

from t3probe.lab.process import LabProcess
from t3probe.observation import Beat, Observation, RunRecord
from t3probe.record.facts import leg_property, run_property

LEGS = ("egress", "resolver", "edge", "cloudflare", "internal", "traefik", "dispatch", "t3serve")
UPSTREAMS = 10_000
UPSTREAM_SERIES = ("reachable", "connect_seconds")
ASKED = {"legs": 1.03, "upstreams": 1.3}
"""CPU of what is measured with a push, to the same without."""
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
REPLAY = """
import sys
from pathlib import Path
from t3probe.config.types import Deployment, Leg
from t3probe.config.delivery import Delivery
from t3probe.record.junit import read_junit
from t3probe.verdict.incident.run import judge_run

file, url, results = sys.argv[1:]
recording = read_junit(file)
judged = judge_run(recording.run, recording.observations)
judged.to_dict()  # as a run does for its verdict.json
if url:
    from t3probe.deliver.delivery import end_of_run, gateway_of, start_of_run
    from t3probe.deliver.metrics.build import families, zeros

    legs = tuple(
        Leg(name=o.leg, kind=o.kind, path=o.path) for o in recording.observations if not o.upstream
    )
    deployment = Deployment(name="b", file="b", segments=recording.run.segments, legs=legs,
                            delivery=Delivery(gateway=url))
    gateway = gateway_of(deployment, vantage="bench", environ={})
    begun = start_of_run(deployment, gateway, zeros(deployment), vantage="bench",
                         results=Path(results), environ={})
    measured = families(recording.run, recording.observations, judged)
    ended = end_of_run(begun, measured, ok=True)
    print(*ended.sentences)
    sys.exit(not ended.delivered)
"""


@contextmanager
def pushgateway(folder: Path) -> Iterator[str]:
    """The URL of a real one. Ends the bench with one sentence where it is not installed."""
    program = shutil.which("prometheus-pushgateway")
    if program is None:
        print("nothing measured: prometheus-pushgateway is not installed; apt install it")
        sys.exit(0)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{sock.getsockname()[1]}"
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [program, f"--web.listen-address={address}", "--persistence.file="],
            stdout=log,
            stderr=log,
        )
    try:
        for _ in range(500):
            try:
                with DIRECT.open(f"http://{address}/-/ready", timeout=5):
                    break
            except OSError:
                time.sleep(0.02)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait()


def eight_legs(template: str, file: Path) -> Path:
    """The lab's deployment with no more than LEGS."""
    head, *blocks = re.split(r"(?m)^(?=\[\[)", template)
    kept = [one for one in blocks if any(f'name = "{leg}"\n' in one for leg in LEGS)]
    tail = re.search(r"(?ms)^\[lab\].*", blocks[-1])
    file.write_text(head + "".join(kept) + (tail[0] if tail else ""))
    return file


def made_up_recording(file: Path) -> Path:
    """Eight legs and UPSTREAMS upstreams that all passed, as a run leaves them."""

    def seen(leg: str, kind: str, segment: str, **labels: str) -> Observation:
        beats = (Beat(sent=0.0, ended=0.002, ok=True, conn=0),)
        return Observation(
            leg=leg, kind=kind, path=(segment,), outcome="passed", level="hold", ended=0.01,
            observed_seconds=0.01, connected=True, beats=beats, labels=labels,
        )  # fmt: skip

    observations = [seen(leg, "http", "serve") for leg in LEGS]
    for number in range(UPSTREAMS):
        name, route = f"backend-{number:05d}", f"route-{number % 50}"
        labels = {"route": route, "listen_port": str(10_000 + number % 50), "backend": name}
        observations.append(seen(f"envoy-{name}", "tcp", f"upstream-{name}", **labels))
    run = RunRecord(
        deployment="bench", segments=("serve",), started_at=1.7e9, duration_seconds=0.02,
        own_segments=tuple(one.path[0] for one in observations[len(LEGS) :]),
    )  # fmt: skip
    pairs = [run_property(run), *map(leg_property, observations)]
    text = "".join(f"<property name={quoteattr(n)} value={quoteattr(v)}/>" for n, v in pairs)
    file.write_text(
        f"<testsuites><testsuite><properties>{text}</properties></testsuite></testsuites>"
    )
    return file


def held(url: str, metric: str) -> int:
    """How many series of a metric the gateway holds: the proof that something was pushed."""
    with DIRECT.open(f"{url}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return sum(one.startswith(f"{metric}{{") for one in lines)


def compare(
    name: str, what: str, without: Sequence[str], pushed: Sequence[str], folder: Path, pairs: int
) -> None:
    """Run both in turn and print what the second adds. The first pair only warms up."""
    seen = [
        (measure([*without], folder)[0], measure([*pushed], folder)[0]) for _ in range(pairs + 1)
    ][1:]
    base, whole = (statistics.median(column) for column in zip(*seen, strict=True))
    added = statistics.median(with_push - plain for plain, with_push in seen)
    ratio = 1 + added / base
    verdict = "ok" if ratio <= ASKED[name] else "OVER"
    print(what)
    print(
        f"  without {base:6.3f} s CPU  with {whole:6.3f} s CPU  the push adds {added * 1000:.0f} ms"
    )
    print(f"  with the push to without it {ratio:.3f}  asked <= {ASKED[name]:g}  {verdict}")


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with pushgateway(folder) as url, LabProcess() as lab:
            run = [
                *PYTEST, "-p", "pytest_asyncio", "-p", "pytest_timeout", "--hold", "0",
                "--deployment",
                str(eight_legs(Path(lab.deployment_path).read_text(), folder / "eight.toml")),
                "--results", str(folder / "results"), "checks",
            ]  # fmt: skip
            what = f"a whole run of the checks, {len(LEGS)} legs against the lab, hold 0"
            push = [*run, "--exit-delivered", "--gateway", url]
            compare("legs", what, run, push, ROOT, pairs)
            print(f"  the gateway holds the state of {held(url, 't3probe_connected')} legs")
        with pushgateway(folder) as url:
            recording = made_up_recording(folder / "recording.xml")
            replay = [sys.executable, "-c", REPLAY, str(recording)]
            what = (
                f"a made-up recording of {len(LEGS)} legs and {UPSTREAMS} upstreams "
                f"({len(UPSTREAM_SERIES) * UPSTREAMS} series), read and judged; nothing is probed"
            )
            results = str(folder / "results")
            plain, push = [*replay, "", results], [*replay, url, results]
            compare("upstreams", what, plain, push, ROOT, pairs)
            number = sum(held(url, f"t3probe_backend_{one}") for one in UPSTREAM_SERIES)
            print(f"  the gateway holds {number} series of upstreams")


if __name__ == "__main__":
    main()
