"""The job in the image: read-only, without rights, against the lab on loopback."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deliver.delivery_programs import RealGateway
from image_runs import PEAK_KIB, Ended, Image, Started, changed, stamps
from prometheus_client.parser import text_string_to_metric_families

from t3probe.config import load
from t3probe.deliver.metrics import zeros
from t3probe.lab.process import LabProcess
from t3probe.record.facts import Recording
from t3probe.record.reading import read_recording

Start = Callable[..., Started]
TOLD_SECONDS = 8
"""From SIGTERM to SIGKILL, as in the manifests."""
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def lab() -> Iterator[LabProcess]:
    with LabProcess(timing={"hold": "2s"}) as one:
        yield one


@pytest.fixture
def deployment(lab: LabProcess, tmp_path: Path) -> Iterator[Path]:
    """The lab's file where the user may read it, with its certificate beside it."""
    folder = tmp_path / "etc"
    folder.mkdir()
    file = shutil.copy(lab.deployment_path, folder / "t3.toml")
    found = load(str(file), {}, now=0.0)
    assert found.tls_ca
    shutil.copy(found.tls_ca, folder / "ca.pem")
    for one in folder.iterdir():
        one.chmod(0o444)
    yield folder / "t3.toml"
    lab.clear()


def environment(url: str, **more: str) -> dict[str, str]:
    ours = {
        "T3PROBE__DELIVERY__GATEWAY": url,
        "T3PROBE__TLS_CA": "/etc/t3probe/ca.pem",
        "T3PROBE_VANTAGE": "cluster",
    }
    return {**ours, **more}


def record_of(ended: Ended) -> Recording:
    return read_recording(str(ended.results / "junit.xml"))


def group(gateway: RealGateway) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of the job's group, without the group's own labels."""
    return {
        (
            sample.name,
            tuple(
                sorted(
                    (key, value)
                    for key, value in sample.labels.items()
                    if key not in {"job", "instance", "vantage"}
                )
            ),
        ): sample.value
        for family in text_string_to_metric_families(gateway.exposition())
        for sample in family.samples
        if sample.labels.get("job") == "t3-probe" and sample.labels.get("vantage") == "cluster"
    }


def test_a_run_delivers_and_writes_nothing_beside_its_results(
    image: Image,
    start: Start,
    gateway: RealGateway,
    deployment: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = stamps(image.root)
    ended = start(deployment=deployment, env=environment(gateway.url)).end()
    assert ended.code == 0, ended
    assert ended.complained == ""
    assert changed(before, stamps(image.root)) == []
    assert ended.disk_bytes == 0
    assert ended.peak_kib < PEAK_KIB
    assert {"junit.xml", "verdict.json"} <= {one.name for one in ended.results.iterdir()}
    recording = record_of(ended)
    assert recording.run.complete
    assert {one.outcome for one in recording.observations} == {"passed"}
    lines = [line for line in ended.said.splitlines() if line.startswith('{"t3probe":')]
    assert len(lines) == 1
    with capsys.disabled():
        size = sum(one.stat().st_size for one in ended.results.iterdir())
        print(
            f"\na run in the image: {ended.cpu_seconds:.2f} s of CPU, "
            f"{ended.peak_kib / 1024:.1f} MiB at its peak, {size / 1024:.0f} KiB of results"
        )


def test_the_group_in_the_gateway_is_complete(
    start: Start, gateway: RealGateway, deployment: Path
) -> None:
    assert start(deployment=deployment, env=environment(gateway.url)).end().code == 0
    found = group(gateway)
    loaded = load(str(deployment), {}, now=0.0)
    for name, family in zeros(loaded, "cluster").items():
        suffix = "_bucket" if family.kind == "histogram" else ""
        assert any(one == name + suffix for one, _ in found), name
    assert found["t3probe_run_complete", ()] == 1
    connected = {dict(labels)["leg"] for name, labels in found if name == "t3probe_connected"}
    assert {"cloudflare", "internal", "dispatch", "t3serve"} <= connected
    state = {
        dict(labels)["segment"]
        for (name, labels), value in found.items()
        if name == "t3probe_segment_state" and value and dict(labels)["state"] == "exonerated"
    }
    assert state == set(loaded.segments)


def test_a_broken_segment_is_shown_and_does_not_fail_the_job(
    start: Start, gateway: RealGateway, deployment: Path, lab: LabProcess
) -> None:
    lab.switch(["tunnel:blackhole"])
    ended = start(deployment=deployment, env=environment(gateway.url)).end()
    assert ended.code == 0, ended
    state = ("segment", "tunnel"), ("state", "convicted")
    assert group(gateway)["t3probe_segment_state", state] == 1
    assert ended.peak_kib < PEAK_KIB


def test_a_gateway_that_is_down_fails_the_job_and_loses_no_record(
    start: Start, deployment: Path
) -> None:
    ended = start(deployment=deployment, env=environment(NOBODY)).end()
    assert ended.code == 1, ended
    assert f"the gateway at {NOBODY} refuses connections".replace("http://", "") in ended.said
    assert record_of(ended).run.complete


@pytest.mark.parametrize("later", [0.0, 0.05, 0.15, 0.3])
def test_told_to_end_in_its_first_moments(
    start: Start,
    gateway: RealGateway,
    deployment: Path,
    later: float,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From as early as process 1 can hear at all: before its handler is there, the kernel throws
    a signal away. Later ones come while it imports."""
    job = start(deployment=deployment, env=environment(gateway.url, T3PROBE__TIMING__HOLD="60s"))
    assert job.pid
    began = time.monotonic()
    while not job.hears(signal.SIGTERM):
        assert job.process.poll() is None, job.process.communicate()
        time.sleep(0.001)
    deaf = time.monotonic() - began
    time.sleep(later)
    job.tell()
    ended = job.end(TOLD_SECONDS)
    assert ended.code == 0, ended
    recording = record_of(ended)
    assert recording.run.interrupted
    assert not recording.run.complete
    assert group(gateway)["t3probe_run_complete", ()] == 0
    if later:
        return
    with capsys.disabled():
        print(f"\nit hears signals {1000 * deaf:.0f} ms after its process was forked")


def test_told_to_end_in_the_hold(
    start: Start, gateway: RealGateway, deployment: Path, lab: LabProcess
) -> None:
    job = start(deployment=deployment, env=environment(gateway.url, T3PROBE__TIMING__HOLD="60s"))
    while lab.status()["connections"] < 5:
        assert job.process.poll() is None, job.process.communicate()
        time.sleep(0.05)
    job.tell()
    ended = job.end(TOLD_SECONDS)
    assert ended.code == 0, ended
    recording = record_of(ended)
    assert recording.run.interrupted
    assert recording.observations
    assert not [one.leg for one in recording.observations if one.outcome == "failed"]
    assert group(gateway)["t3probe_run_complete", ()] == 0


LISTENING = """
import sys
compiled = []
def hook(event, arguments):
    name = str(arguments[1]) if event == "compile" and len(arguments) > 1 else ""
    if name.endswith(".py"):
        compiled.append(name)
sys.addaudithook(hook)
EXTRA
sys.argv = ["t3probe-job", "--hold", "0"]
from t3probe.job import main
code = main()
print("compiled:", compiled)
sys.exit(code)
"""


@pytest.mark.parametrize("extra", ["", "compile('1', '/opt/t3probe/other.py', 'exec')"])
def test_nothing_is_compiled_at_run_time(
    start: Start, gateway: RealGateway, deployment: Path, extra: str
) -> None:
    words = ["python", "-c", LISTENING.replace("EXTRA", extra)]
    ended = start(args=words, deployment=deployment, env=environment(gateway.url)).end()
    assert ended.code == 0, ended
    expected = "['/opt/t3probe/other.py']" if extra else "[]"
    assert f"compiled: {expected}" in ended.said.splitlines()


@pytest.mark.parametrize("words", [["t3probe-job"], ["t3probe", "check"]])
def test_without_a_deployment_it_says_one_sentence(start: Start, words: list[str]) -> None:
    """The image has no lab."""
    memory = ("/results",) if words == ["t3probe-job"] else ("/tmp",)  # pytest's own capture
    ended = start(args=words, memory=memory).end()
    assert ended.code == 4
    said = ended.complained.strip().splitlines()
    assert len(said) == 1
    assert "expected a deployment file" in said[0]


def test_the_lab_says_what_it_lacks(start: Start) -> None:
    ended = start(args=["t3probe", "lab", "--write", "/tmp/lab.toml"], memory=("/tmp",)).end()
    assert ended.code == 1
    said = ended.complained.strip().splitlines()
    assert len(said) == 1
    assert "pip install 't3probe[lab]'" in said[0]


def test_a_deployment_that_is_not_mounted_is_said_in_one_sentence(start: Start) -> None:
    ended = start(env={"T3PROBE_DEPLOYMENT": "/etc/t3probe/t3.toml"}).end()
    assert ended.code == 4
    assert len(ended.complained.strip().splitlines()) == 1
    assert "/etc/t3probe/t3.toml" in ended.complained


ROOT = Path(__file__).resolve().parents[2]


def test_the_reference_deployment_is_checked_without_a_packet(start: Start) -> None:
    file = ROOT / "deployments" / "t3.toml"
    ended = start(more=["--collect-only", "-q"], deployment=file).end()
    assert ended.code == 0, ended
    assert "test_websocket.py" in ended.said


def test_the_image_collects_what_the_repository_does(start: Start) -> None:
    words = ["-m", "pytest", "--collect-only", "-q", "--deployment=deployments/lab.toml"]
    here = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    words = ["t3probe", "check", "--collect-only", "-q"]
    file = ROOT / "deployments" / "lab.toml"
    there = start(args=words, deployment=file, memory=("/tmp",)).end()
    assert there.code == 0, there

    def checks(text: str) -> list[str]:
        return [line for line in text.splitlines() if "::" in line]

    assert checks(there.said) == checks(here.stdout) != []
