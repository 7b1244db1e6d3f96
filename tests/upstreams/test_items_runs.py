"""Whole runs of the checks over many upstreams: record, verdict, metrics, interrupts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from made_once import made_once
from sweep_help import Places, alive, places

from t3probe.record.facts import Recording
from t3probe.record.junit import read_junit

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "tests" / "plugin" / "xunit2.xsd"


class Suite:
    """The checks over made-up upstreams, fifty of them, ten to a rack."""

    def __init__(self, folder: Path, here: Places) -> None:
        self.folder, self.here = folder, here
        self.good, self.bad = here.answering(), here.refusing()
        self.results = folder / "results"

    def deployment(self, other: dict[int, str], more: str = "") -> Path:
        racks = ", ".join(f'"rack-{at}"' for at in range(5))
        tables = [
            f'[[upstream]]\nname = "orders-{at}"\naddress = "{other.get(at, self.good)}"\n'
            f'route = "orders"\nlisten_port = 8443\nshares = ["rack-{at // 10}"]\n'
            for at in range(50)
        ]
        textfile = f'[delivery]\ntextfile = "{self.folder / "t3.prom"}"\n'
        head = f'name = "d"\nsegments = [{racks}]\n{more}{textfile}'
        file = self.folder / "d.toml"
        file.write_text(head + "".join(tables))
        return file

    def command(self, file: Path, *words: str) -> list[str]:
        mine = [f"--deployment={file}", f"--results={self.results}", "--hold", "0"]
        return [sys.executable, "-m", "pytest", *mine, *words]

    @property
    def environ(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("T3PROBE", "PYTEST", "COV_"))
        }
        more = {"T3PROBE_LOOPBACK_ONLY": "1", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
        return {**kept, **more}

    def __call__(self, other: dict[int, str], *words: str, more: str = "") -> tuple[int, str]:
        done = subprocess.run(
            self.command(self.deployment(other, more), *words),
            cwd=ROOT, env=self.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=100, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout.decode()

    @property
    def recording(self) -> Recording:
        return read_junit(self.results / "junit.xml")

    @property
    def verdict(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.results / "verdict.json").read_text())
        return found


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[Suite]:
    with places() as here:
        yield Suite(tmp_path, here)


@pytest.fixture
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run over good ones, made once: what it wrote, and its `said`."""

    def make(folder: Path) -> None:
        with places() as here:
            code, output = Suite(folder, here)({}, "--push")
        (folder / "said").write_text(f"{output}\nexit {code}")

    return made_once(tmp_path_factory, "clean-upstreams", make)


def test_a_clean_run_of_many(clean: Path) -> None:
    output = (clean / "said").read_text()
    assert output.endswith("\nexit 0"), output
    assert "50 passed" in output
    assert "... and 50 TCP legs that passed" not in output  # so few are shown one by one
    verdict = json.loads((clean / "results" / "verdict.json").read_text())
    assert verdict["status"] == "clean"
    junit = clean / "results" / "junit.xml"
    report = etree.parse(junit)
    etree.XMLSchema(etree.parse(SCHEMA)).assertValid(report)
    assert len(report.findall(".//testcase")) == 50
    seen = read_junit(junit).observations
    assert [one.leg for one in seen] == [f"envoy-orders-{at}" for at in range(50)]
    assert {one.outcome for one in seen} == {"passed"}
    assert len({one.beats[0].sent for one in seen}) > 25  # swept, one after another
    text = (clean / "t3.prom").read_text()
    assert text.count("t3probe_backend_reachable{") == 50
    assert text.count("t3probe_backend_connect_seconds{") == 50


def test_the_record_gives_the_same_verdict_and_metrics(suite: Suite) -> None:
    code, output = suite({3: suite.bad, 17: suite.bad})
    assert code == 1, output
    again = subprocess.run(
        [sys.executable, "-m", "t3probe.cli", "verdict", str(suite.results / "junit.xml")],
        cwd=ROOT, env=suite.environ, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    assert again.stdout.decode() == (suite.results / "verdict.json").read_text()
    assert suite.verdict["convicted"] == ["upstream-orders-3", "upstream-orders-17"]


RACK = range(20, 30)
"""All of the third rack."""
SHORT = '[timing]\nconnect_timeout = "500ms"\n'


def test_all_of_a_rack_that_refuse_at_one_address_convict_themselves(suite: Suite) -> None:
    """A refusal is the far machine's own: who sent it lies behind the rack."""
    code, _ = suite(dict.fromkeys(RACK, suite.bad))
    assert code == 1
    assert suite.verdict["convicted"] == [f"upstream-orders-{at}" for at in RACK]
    assert suite.verdict["status"] == "localised"
    assert {f"rack-{at}" for at in range(5)} <= set(suite.verdict["exonerated"])
    (incident,) = suite.verdict["incidents"]
    assert {incident["cleared_by"][f"envoy-orders-{at}"] for at in RACK} == {"own answer"}


def points_at_the_rack(suite: Suite) -> None:
    """And nobody in the other racks clears it."""
    assert suite.verdict["minimal_sets"][0] == ["rack-2"]
    assert suite.verdict["simplest"] == ["rack-2"]
    assert suite.verdict["status"] == "ambiguous"
    assert {f"rack-{at}" for at in (0, 1, 3, 4)} <= set(suite.verdict["exonerated"])
    assert "rack-2" not in suite.verdict["exonerated"]


def test_all_of_a_rack_that_refuse_at_two_addresses_point_at_the_rack(suite: Suite) -> None:
    """Two machines that refuse at once, and nobody beside them answers: one firewall."""
    other = suite.here.refusing("127.0.0.2")
    code, _ = suite({at: other if at % 2 else suite.bad for at in RACK})
    assert code == 1
    points_at_the_rack(suite)


def test_all_of_a_rack_that_are_silent_point_at_the_rack(suite: Suite) -> None:
    code, _ = suite(dict.fromkeys(RACK, suite.here.silent()), more=SHORT)
    assert code == 1
    points_at_the_rack(suite)


def test_a_rack_of_which_others_answer_at_that_moment_is_cleared(suite: Suite) -> None:
    code, _ = suite(dict.fromkeys(RACK[1:5], suite.here.silent()), more=SHORT)
    assert code == 1
    assert suite.verdict["convicted"] == [f"upstream-orders-{at}" for at in RACK[1:5]]
    assert suite.verdict["status"] == "localised"
    assert "rack-2" in suite.verdict["exonerated"]


def test_a_part_by_name(suite: Suite) -> None:
    code, output = suite({}, "-k", "orders-1 and 8443")
    assert code == 0, output
    assert len(suite.recording.observations) == 11
    assert suite.recording.run.partial


def test_gauges_of_upstreams_are_of_this_run_alone(suite: Suite, clean: Path) -> None:
    text = (clean / "t3.prom").read_text()
    assert 'backend="orders-7"' in text
    gone = text.replace('backend="orders-7"', 'backend="orders-gone"')
    (suite.folder / "t3.prom").write_text(gone)
    suite({4: suite.bad}, "--push")
    text = (suite.folder / "t3.prom").read_text()
    assert "orders-gone" not in text
    assert 't3probe_backend_reachable{backend="orders-4",listen_port="8443",route="orders"} 0' in (
        text
    )


def test_what_was_seen_of_upstreams_stays_while_zeros_are_written(
    suite: Suite, clean: Path
) -> None:
    """A series is missing, so the file is written at the start; the gauges in it are kept."""
    file = suite.folder / "t3.prom"
    before = (clean / "t3.prom").read_text()
    lines = [one for one in before.splitlines() if "t3probe_counts_lost" not in one]
    file.write_text("\n".join(lines) + "\n")
    from t3probe.config import load
    from t3probe.deliver.metrics import zeros
    from t3probe.deliver.sinks import Batch, textfile

    deployment = load(str(suite.deployment({})), {}, now=0.0)
    done = textfile.sink(file, {})(Batch(zeros(deployment), opening=True))
    assert done.ok, done
    text = file.read_text()
    assert text.count("t3probe_backend_reachable{") == 50
    assert "t3probe_counts_lost_total 0" in text


def begun(suite: Suite) -> tuple[subprocess.Popen[bytes], int]:
    """A run whose sweep waits for three that are silent, and the id of the sweep's process."""
    file = suite.deployment({at: suite.here.silent() for at in range(3)})
    process = subprocess.Popen(
        suite.command(file), cwd=ROOT, env=suite.environ, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = children.read_text().split()
        if found and len(os.listdir(f"/proc/{found[0]}/fd")) > 5:
            break  # the child has read its request and holds connections
        time.sleep(0.01)
    time.sleep(0.7)  # a sweep of fifty takes milliseconds, its silent ones six seconds
    return process, int(found[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_was_seen(suite: Suite, number: int) -> None:
    process, child = begun(suite)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)  # as a cluster does
    output = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 2, output
    outcomes = [one.outcome for one in suite.recording.observations]
    assert outcomes == ["inconclusive"] * 3 + ["passed"] * 47
    assert suite.recording.run.interrupted
    assert not alive(child)


def test_a_run_that_is_killed_leaves_no_process(suite: Suite) -> None:
    process, child = begun(suite)
    process.kill()
    process.communicate(timeout=60)
    until = time.monotonic() + 60
    while alive(child) and time.monotonic() < until:
        time.sleep(0.01)
    assert not alive(child)
    assert time.monotonic() < until
