"""`t3probe push RUN --remote-write URL`: recorded runs under their own times."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest
from delivery_runs import DEAD
from delivery_servers import answering, serving
from msgspec.structs import replace
from remote_parts import BEGAN, DROPS, Store
from test_shipping import FAILED

from t3probe.deliver.sinks import Receipt
from t3probe.observation import RECORD_VERSION, RunRecord
from t3probe.record.facts import leg_property, run_property
from t3probe.record.log import record_line

RUN = RunRecord(
    version=RECORD_VERSION, deployment="d", segments=("a",), paths=(("a",),), started_at=BEGAN,
    duration_seconds=20.0, hold_seconds=10.0, heartbeat_seconds=1.0, watchdog_seconds=5.0,
    vantage="there", complete=True,
)  # fmt: skip
SUITE = '<testsuite name="s"><testcase name="a" time="1"/></testsuite>'


def junit(file: Path, run: RunRecord = RUN) -> Path:
    pairs = [run_property(run), leg_property(FAILED)]
    text = "".join(f"<property name={quoteattr(n)} value={quoteattr(v)}/>" for n, v in pairs)
    file.write_text(
        f"<testsuites><testsuite><properties>{text}</properties></testsuite></testsuites>"
    )
    return file


def push(*words: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "t3probe.cli", "push", *words], capture_output=True, text=True,
        check=False, env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_a_recorded_run_goes_under_its_own_time_twice_or_once(tmp_path: Path) -> None:
    store, file = Store(), junit(tmp_path / "run.xml")
    with serving(store) as server:
        for _ in range(2):
            code, said = push(str(file), "--remote-write", f"{server.url}/api/v1/write",
                              env={"T3PROBE_REMOTE_WRITE_TOKEN": "a-token-of-ours"})  # fmt: skip
            assert code == 0, said
        assert b"Authorization: Bearer a-token-of-ours\r\n" in server.requests[0]
    assert store.bodies[0] == store.bodies[1]
    assert store.grown(DROPS) == 1
    for labels, samples in store.samples.items():
        assert {"job": "t3-probe-manual", "vantage": "there"}.items() <= dict(labels).items()
        assert {*samples} <= {round(BEGAN * 1000), round((BEGAN + 20) * 1000)}


def test_a_log_of_runs_goes_oldest_first(tmp_path: Path) -> None:
    runs = [replace(RUN, started_at=BEGAN + 60 * number) for number in (2, 0, 1)]
    log = tmp_path / "log"
    log.write_text("".join(f"{record_line(run, [FAILED])}\n" for run in runs))
    store = Store(strict=True)
    with serving(store) as server:
        code, said = push(str(log), "--remote-write", server.url, "--vantage", "v", "--job", "j")
    assert code == 0, said
    assert said.startswith(f"3 runs of {log}: the receiver at 127.0.0.1:")
    assert store.began == [round((BEGAN + 60 * number) * 1000) for number in range(3)]
    assert {dict(one)["vantage"] for one in store.samples} == {"v"}


def test_a_log_that_is_sent_twice_is_harmless_to_prometheus(tmp_path: Path) -> None:
    runs = [replace(RUN, started_at=BEGAN + 60 * number) for number in range(3)]
    log = tmp_path / "log"
    log.write_text("".join(f"{record_line(run, [FAILED])}\n" for run in runs[:2]))
    store = Store(strict=True)
    with serving(store) as server:
        assert push(str(log), "--remote-write", server.url)[0] == 0
        log.write_text("".join(f"{record_line(run, [FAILED])}\n" for run in runs))
        code, said = push(str(log), "--remote-write", server.url)
        assert code == 0, said
        assert "of 2 runs it has these times, or newer ones, already" in said
        one = junit(tmp_path / "run.xml")
        code, said = push(str(one), "--remote-write", server.url)
        assert code == 0, said
        assert "wrote 0 series; of this run it has these times" in said
    assert store.grown(DROPS) == 3


def test_runs_wait_on_the_disk_and_not_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from t3probe.deliver.sinks import remote_recording
    from t3probe.deliver.sinks.receiver import RemoteReceiver, Sender

    runs = [replace(RUN, started_at=BEGAN + 60 * number) for number in (*range(40), 3)]
    log = tmp_path / "log"
    log.write_text("".join(f"{record_line(run, [FAILED])}\n" for run in reversed(runs)))
    monkeypatch.setattr(remote_recording, "RECORDED_MEMORY_BYTES", 1000)
    kept = []
    real = remote_recording._send

    def sending(sender: Sender, runs: remote_recording._Queue, *more: Any) -> Receipt:
        kept.append(runs._file)
        assert runs._file._rolled  # type: ignore[attr-defined]
        return real(sender, runs, *more)

    monkeypatch.setattr(remote_recording, "_send", sending)
    store = Store(strict=True)
    with serving(store) as server:
        report = remote_recording.send_recording(log, Sender(RemoteReceiver(server.url)), {})
    assert report.ok, report.sentence
    assert store.began == [round((BEGAN + 60 * number) * 1000) for number in range(40)]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    report = remote_recording.send_recording(log, Sender(RemoteReceiver(DEAD)), {})
    assert not report.ok
    assert "name another one in TMPDIR" in report.sentence


def test_another_suites_tests_go_as_of_now(tmp_path: Path) -> None:
    file = tmp_path / "suite.xml"
    file.write_text(SUITE)
    store = Store()
    with serving(store) as server:
        code, said = push(str(file), "--remote-write", server.url)
    assert code == 0, said
    assert {dict(one)["__name__"] for one in store.samples} == {
        "t3probe_check_success", "t3probe_check_duration_seconds"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("400 No", "this run: the receiver at 127.0.0.1:PORT refuses it with 400 (out of bounds)"),
        ("503 No", "answers 503 (out of bounds); 0 of 1 runs of"),
        ("401 No", "refuses us with 401; set token_file or T3PROBE_REMOTE_WRITE_TOKEN"),
    ],
)
def test_what_it_says_when_that_does_not_work(status: str, words: str, tmp_path: Path) -> None:
    file = junit(tmp_path / "run.xml")
    with serving(answering(status, b"out of bounds")) as server:
        code, said = push(str(file), "--remote-write", server.url)
    assert code == 1
    assert words.replace("PORT", str(server.port)) in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--remote-write", "nothing"], "--remote-write: expected a URL that starts with http"),
        ([], "add --gateway URL, --remote-write URL or --otlp URL"),
    ],
)
def test_wrong_usage_is_one_sentence(words: list[str], said: str, tmp_path: Path) -> None:
    code, found = push(str(junit(tmp_path / "run.xml")), *words)
    assert code == 4
    assert said in found


def test_a_damaged_record_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "x.xml"
    file.write_text("<testsuites>")
    code, said = push(str(file), "--remote-write", DEAD)
    assert code == 4, said
    assert len(said.strip().splitlines()) == 1
