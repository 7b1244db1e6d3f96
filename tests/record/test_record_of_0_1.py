"""Records of 0.1: they are read, judged no narrower than they were, and said to be such."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from t3probe.ask.explain.from_runs import run_seen
from t3probe.ask.mcp_server.of_run import OfRun
from t3probe.cli import main
from t3probe.config import load
from t3probe.observation import RECORD_VERSION
from t3probe.record.facts import Recording
from t3probe.record.log import record_line
from t3probe.record.reading import read_recording
from t3probe.run.session import Session
from t3probe.show.page.history import History
from t3probe.show.page.page import render_page
from t3probe.verdict.incident.run import judge_run

HERE = Path(__file__).resolve().parent
REAL = {
    "clean": (set[str](), set[str]()),
    "tunnel": ({"cloudflare"}, {"tunnel"}),
    "two_incidents": ({"resolver", "internal", "dispatch"}, {"doh", "dispatch"}),
}
"""Runs of the lab that version 0.1 wrote: which legs failed, and what it convicted."""
SAID = "this record is of 0.1: "


def beats(*sent: float, conn: int = 0) -> list[dict[str, Any]]:
    return [{"sent": at, "ended": at + 0.02, "ok": True, "conn": conn} for at in sent]


def leg(name: str, *path: str, **more: Any) -> dict[str, Any]:
    return {
        "leg": name, "kind": "ws_echo", "path": path, "outcome": "passed", "level": "hold",
        "ended": 30.0, "observed_seconds": 30.0, "connected": True,
        "beats": beats(0.1, 10.0, 12.0, 20.0, 30.0), "address": f"127.0.0.1:{len(name)}", **more,
    }  # fmt: skip


DROPS: dict[str, dict[str, Any]] = {
    "down": {
        "began": 10.02, "noticed": 12.0, "reason": "rtt_timeout", "symptom": "down",
        "stage": "ask", "call": 1, "detail": "no answer", "conn": 0,
        "connection_age_seconds": 11.9, "remote_address": "127.0.0.1:5",
        "attempt": {"started": 12.0, "ended": 14.0, "ok": False, "reason": "rtt_timeout"},
        "carried": ["front"], "carried_at": 11.5, "evidence": "acknowledged and not answered",
    },
    "cut": {
        "began": 10.02, "noticed": 12.0, "reason": "connection_reset", "symptom": "cut",
        "stage": "hold", "call": 1, "recovered": 12.1, "conn": 0,
        "connection_age_seconds": 11.9, "remote_address": "127.0.0.1:5",
        "attempt": {"started": 12.0, "ended": 12.1, "ok": True},
    },
    "unknown": {
        "began": 20.02, "noticed": 30.0, "reason": "rtt_timeout", "symptom": "unknown",
        "stage": "ask", "call": 2, "conn": 0, "connection_age_seconds": 29.9,
        "lost": ["front", "back"], "evidence": "sent again and never acknowledged",
    },
}  # fmt: skip


def old(symptom: str) -> str:
    """A record line as 0.1 wrote it, by hand: `back` broke, and only the leg over it noticed."""
    failed = leg(
        "whole", "front", "back", outcome="failed", reason=DROPS[symptom]["reason"],
        connected=symptom == "cut", drops=[DROPS[symptom]],
        beats=[
            *beats(0.1, 10.0),
            {"sent": 11.5, "ended": 12.0, "ok": False, "conn": 0},
            *(beats(12.05, 20.0, 30.0, conn=1) if symptom == "cut" else []),
        ],
    )  # fmt: skip
    legs = {"whole": failed, "front": leg("front", "front"), "side": leg("side", "side")}
    run = {
        "deployment": "old", "segments": ["front", "back", "side"], "started_at": 1.7e9,
        "duration_seconds": 31.0, "hold_seconds": 30.0, "heartbeat_seconds": 10.0,
        "watchdog_seconds": 20.0,
    }  # fmt: skip
    drops = sum(len(one.get("drops", ())) for one in legs.values())
    counts = {"legs": 3, "beats": sum(len(one["beats"]) for one in legs.values()), "drops": drops}
    whole = {"t3probe": {"record": 1, "counts": counts, "run": run, "legs": legs}}
    return json.dumps(whole, separators=(",", ":")) + "\n"


def read(tmp_path: Path, symptom: str) -> Recording:
    file = tmp_path / f"{symptom}.log"
    file.write_text(old(symptom))
    return read_recording(file)


@pytest.mark.parametrize("symptom", DROPS)
def test_the_verdict_may_be_wider_and_is_never_anothers(symptom: str, tmp_path: Path) -> None:
    run, seen = (one := read(tmp_path, symptom)).run, one.observations
    verdict = judge_run(run, seen).verdict
    assert set(verdict.convicted) <= {"back"}
    assert "back" in {*verdict.convicted, *verdict.ambiguous}
    assert "side" in verdict.exonerated
    assert verdict.status in ("localised", "ambiguous")


@pytest.mark.parametrize("symptom", DROPS)
def test_beats_and_drops_have_strands(symptom: str, tmp_path: Path) -> None:
    whole, front, _ = read(tmp_path, symptom).observations
    assert [one.strand for one in front.beats] == ["fresh", *["held"] * 4]
    again = [one.strand for one in whole.beats if one.conn == 1]
    assert again == (["fresh", "held", "held"] if symptom == "cut" else [])
    (drop,) = whole.drops
    assert (drop.strand, drop.symptom) == ("held", symptom)
    assert drop.asked == (30.0 if symptom == "unknown" else 11.5)
    assert drop.answered is (symptom == "cut")
    assert len(front.trips) == 4, "a connection's first beat is no round trip of a held one"


@pytest.mark.parametrize("name", REAL)
def test_real_records_of_the_lab(name: str) -> None:
    recording = read_recording(HERE / "of_0_1" / f"{name}.log")
    failed, broken = REAL[name]
    judged = judge_run(recording.run, recording.observations)
    assert {leg for one in judged.incidents for leg in one.failed} == failed
    assert set(judged.verdict.convicted) <= broken
    assert broken <= {*judged.verdict.convicted, *judged.verdict.ambiguous}
    assert len(run_seen(recording).legs) == len(recording.observations)


def test_the_answer_says_that_the_record_is_old(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read(tmp_path, "down")
    file = str(tmp_path / "down.log")
    main(["verdict", "--text", file])
    text = capsys.readouterr().out
    assert SAID in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    main(["verdict", file])
    told = capsys.readouterr()
    assert SAID in told.err
    assert "version" not in json.loads(told.out)
    page = render_page(History.of([read_recording(file)])).decode()
    assert "This record is of 0.1: " in page


def test_every_answer_from_old_records_says_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read(tmp_path, "down")
    file, log = str(tmp_path / "down.log"), tmp_path / "serve.txt"
    log.write_text("2023-11-14T22:13:31Z nothing that anybody knows\n")

    def told(*arguments: str) -> str:
        main([*arguments])
        captured = capsys.readouterr()
        return " ".join((captured.out + captured.err).split())

    asked = ("--at", "2023-11-14T22:13:30Z", "--runs", file)
    looked = ("--around", "2023-11-14T22:13:30Z", "--runs", file)
    for more in ((), ("--json",)):
        assert SAID in told("explain", *asked, *more)
        assert SAID in told("forensics", str(log), *looked, *more)
    for form in ("text", "json"):
        assert SAID in told("compare", file, file, "--format", form)
    assert SAID in told("verdict", "--repeat", file)
    assert SAID in told("verdict", "--repeat", "--text", file)
    recording = read_recording(file)
    assert SAID in " ".join(OfRun(recording, "x").source(1.7e9).notes)
    newer = msgspec.structs.replace(
        recording.run, version=RECORD_VERSION, started_at=recording.run.started_at + 60
    )
    page = render_page(History.of([recording, Recording(newer, recording.observations)])).decode()
    assert "1 of 2 records are of 0.1: " in page
    new = tmp_path / "new.log"
    new.write_text(record_line(newer, recording.observations) + "\n")
    assert "1 of 2 records are of 0.1: " in told("verdict", "--repeat", "--text", file, str(new))


def test_a_record_of_today_says_nothing_of_the_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment = load(HERE.parent.parent / "deployments" / "t3.toml", {}, now=0.0)
    run = Session(deployment, vantage="", hold=None).record()
    assert run.version == RECORD_VERSION == 2
    file = tmp_path / "new.log"
    file.write_text(record_line(run, ()) + "\n")
    assert read_recording(file).run == run
    main(["verdict", "--text", str(file)])
    assert SAID not in " ".join(capsys.readouterr().out.split())
