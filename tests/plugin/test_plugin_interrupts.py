"""A run that is told to end, at any moment: record, push, counts, exit code."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from deliver.delivery_programs import RealGateway
from deliver.delivery_servers import serving
from plugin_runner import Recorded, Runner
from plugin_tries import (
    SlowGateway,
    Try,
    children,
    differences,
    finished,
    gateway_counts,
    recorded_counts,
    run_complete,
    start,
    takes_signals,
)

from t3probe.deliver.sinks.gateway import Gateway
from t3probe.deliver.sinks.recording import push_recording
from t3probe.record.facts import RecordError
from t3probe.record.junit import read_junit

TRIES = 10
"""For each of two signals."""
AT_ONCE = 4
SEED = 3
HOLD = "1s"
GATEWAY_SECONDS = 0.25
"""How long the gateway takes for each answer, so that a fair part of a run is its push."""


def seeded(checks: Runner, gateway: RealGateway, url: str) -> tuple[Path, float]:
    """The record of a run that nobody told to end, and how long it lived with its plugin."""
    whole = Try(0, 60.0, (), scheduled=True)
    life = whole.run(checks, url, HOLD)
    assert whole.result is not None
    assert whole.result.code == 0, whole.result.output
    assert run_complete(gateway, whole.job, whole.vantage) == 1
    record = whole.result.results / "junit.xml"
    assert not differences(
        gateway_counts(gateway, whole.job, whole.vantage), recorded_counts(read_junit(record))
    )
    return record, life


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_random_moments(checks: Runner, gateway: RealGateway, kind: signal.Signals) -> None:
    checks.lab.switch(["dispatch:refuse"])
    slow = SlowGateway(gateway, GATEWAY_SECONDS)
    problems: list[str] = []
    with serving(slow.handler()) as server:
        record, life = seeded(checks, gateway, server.url)
        base = recorded_counts(read_junit(record))
        dice = random.Random(SEED + kind)
        tries = [
            Try(
                number=number,
                moment=(number - dice.random()) * life / TRIES,
                signals=(kind,),
                scheduled=number % 2 == 0,
            )
            for number in range(1, TRIES + 1)
        ]
        for one in tries:
            there = Gateway(gateway.url, one.job, one.vantage)
            assert push_recording(record, there).ok
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda one: one.run(checks, server.url, HOLD), tries))
        for one in tries:
            problems += [f"{one}: {problem}" for problem in wrong(one, gateway, slow, base)]
    assert not problems, "\n".join(problems)
    told = [read_junit(one.result.results / "junit.xml").run.interrupted for one in tries
            if one.result is not None]  # fmt: skip
    assert told.count(True) >= TRIES / 2


def wrong(one: Try, gateway: RealGateway, slow: SlowGateway, base: dict) -> Iterator[str]:
    """Sentences about what is not as it should be."""
    done = one.result
    assert done is not None
    if "Traceback" in done.output or "INTERNALERROR" in done.output:
        yield done.output
    try:
        recording = done.recording
    except RecordError as error:
        yield f"{error}\n{done.output}"
        return
    run = recording.run
    pushed = max(at for path, at in slow.answered.items() if one.vantage in path.split("/"))
    if one.told_at is not None and one.told_at < pushed and not run.interrupted:
        yield "told to end before the push was done, and the record does not say so"
    if run.complete == run.interrupted:
        yield f"complete is {run.complete}, interrupted {run.interrupted}"
    outcome = 2 if run.interrupted else 1  # dispatch refuses
    if done.code != (0 if one.scheduled else outcome):
        yield f"exit code {done.code}\n{done.output}"
    if run_complete(gateway, one.job, one.vantage) != float(run.complete):
        yield f"the record's complete is {run.complete}, and the gateway has another one"
    longest = run.duration_seconds + 0.001
    if any(seen.observed_seconds > longest for seen in recording.observations):
        yield f"legs were observed longer than {longest} s"
    yield from differences(
        gateway_counts(gateway, one.job, one.vantage), base, recorded_counts(recording)
    )
    left = [str(path) for path in done.results.rglob("*.partial")]
    left += [str(path) for path in done.results.rglob("batch-*")]
    if left:
        yield f"left behind {left}"


@pytest.mark.timeout(300)
def test_a_second_signal_spoils_nothing(checks: Runner, gateway: RealGateway) -> None:
    checks.lab.switch(["dispatch:refuse"])
    slow = SlowGateway(gateway, GATEWAY_SECONDS)
    with serving(slow.handler()) as server:
        record, life = seeded(checks, gateway, server.url)
        old = record.read_bytes()
        base = recorded_counts(read_junit(record))
        dice = random.Random(SEED)
        tries = []
        for number in range(1, 9):
            signals = (signal.SIGINT, dice.choice([signal.SIGTERM, signal.SIGINT]))
            one = Try(number, dice.random() * life, signals, scheduled=True)
            assert push_recording(record, Gateway(gateway.url, one.job, one.vantage)).ok
            (checks.folder / one.vantage).mkdir()
            (checks.folder / one.vantage / "junit.xml").write_bytes(old)
            tries.append(one)
        gaps = [dice.random() / 2 for _ in tries]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda one, gap: one.run(checks, server.url, HOLD, gap), tries, gaps))
        for one in tries:
            assert one.result is not None
            found = one.result.results / "junit.xml"
            own = {} if found.read_bytes() == old else recorded_counts(read_junit(found))
            wrong = differences(gateway_counts(gateway, one.job, one.vantage), base, own)
            assert not wrong, f"{one}\n{wrong}\n{one.result.output}"
            assert not list(found.parent.rglob("*.partial")), one


OWN = """
import threading
from pathlib import Path

import pytest

@pytest.mark.segments("printer")
def test_printer():
    Path("{began}").touch()
    threading.Event().wait(60)
"""


@pytest.fixture
def began(tmp_path: Path) -> Path:
    """Is there once the check of one's own, in `test_own.py`, has begun; that takes a minute."""
    file = tmp_path / "began"
    (tmp_path / "test_own.py").write_text(OWN.format(began=file))
    return file


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    pause = Event()
    while process.poll() is None and not path.exists():
        pause.wait(0.02)


def test_the_body_of_a_check_is_ended(checks: Runner, began: Path, tmp_path: Path) -> None:
    process = start(checks, tmp_path / "results", "--hold", "0", "checks", str(tmp_path))
    wait_for(began, process)
    process.send_signal(signal.SIGTERM)
    done = finished(process, tmp_path / "results")
    assert done.code == 2, done.output
    assert len(done.legs) == 14
    assert done.recording.run.interrupted


def test_after_a_signal_no_other_check_begins(checks: Runner, began: Path, tmp_path: Path) -> None:
    process = start(checks, tmp_path / "results", "--hold", "60s", "checks", str(tmp_path))
    pause = Event()
    while process.poll() is None and checks.lab.status()["connections"] < 4:
        pause.wait(0.02)
    process.send_signal(signal.SIGINT)
    done = finished(process, tmp_path / "results")
    assert done.code == 2, done.output
    assert not began.exists()
    assert done.legs["test_printer"].outcome == "inconclusive"
    assert "not run: the run was told to end" in done.output


def test_while_the_built_in_lab_starts(checks: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    process = start(checks, folder, "--hold", "60s", deployment=None)
    pause = Event()
    lab: list[int] = []
    while process.poll() is None and not lab:
        lab = children(process.pid)
        pause.wait(0.005)
    assert takes_signals(process.pid)
    process.send_signal(signal.SIGTERM)
    done = finished(process, folder)
    assert done.code == 2, done.output
    assert done.recording.run.interrupted
    assert not any(seen.beats for seen in done.legs.values())
    while any(Path(f"/proc/{pid}").exists() for pid in lab):
        pause.wait(0.02)


@pytest.fixture
def last(checks: Runner, recorded: Recorded) -> Path:
    """The record of an earlier run, where the next one of `checks` will find it."""
    done = recorded("--hold", "0", "-k", "devvm")
    assert done.code == 0, done.output
    shutil.copytree(done.results, checks.folder / "results")
    return checks.folder / "results" / "junit.xml"


@pytest.mark.parametrize("words", [["-k", "nothing"], ["--hold", "bad"], ["--no-such-option"]])
def test_what_probes_nothing_keeps_the_last_record(
    checks: Runner, words: list[str], last: Path
) -> None:
    file = last
    before = file.read_bytes()
    done = checks("--hold", "0", *words)
    assert done.code == (5 if words[0] == "-k" else 4), done.output
    assert file.read_bytes() == before
    assert not list(file.parent.glob("*.partial"))
    assert f"generated xml file: {file}" not in done.output


def test_a_usage_error_while_starting_to_probe_keeps_it_too(
    checks: Runner, last: Path, tmp_path: Path
) -> None:
    before = last.read_bytes()
    text = Path(checks.lab.deployment_path).read_text()
    away = tmp_path / "away.toml"
    away.write_text(text.replace('address = "127.0.0.1:', 'address = "192.0.2.1:'))
    assert checks("--hold", "0", deployment=str(away)).code == 4
    assert last.read_bytes() == before


def test_a_junit_file_that_was_asked_for_is_always_written(checks: Runner, tmp_path: Path) -> None:
    file = tmp_path / "asked.xml"
    done = checks("--hold", "0", "-k", "nothing", f"--junitxml={file}")
    assert done.code == 5
    assert file.read_bytes().endswith(b"</testsuites>")
