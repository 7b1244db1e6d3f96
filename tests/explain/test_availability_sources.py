"""Three hours told by records and by a real Prometheus: the same, and the coarser never better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import explain_history as history
import pytest
from explain_server import answering, matrix

from t3probe.ask.availability import looks_from
from t3probe.ask.explain.prometheus import Prometheus
from t3probe.cli import main
from t3probe.config.secrets import login_of
from t3probe.exchange.client import Login
from t3probe.record.reading import read_runs, run_key
from t3probe.show.availability import Availability, Looks, Row, look_of
from t3probe.timing import FakeClock, SystemClock

LATER = history.END + 3600.0
"""An hour after the last run: its series are gone by then."""


@pytest.fixture(scope="module")
def recorded(runs_folder: Path) -> Availability:
    looks = Looks()
    for one in read_runs([str(runs_folder)], []):
        looks.add(run_key(one), look_of(one))
    return looks.between(history.START, LATER)


@pytest.fixture(scope="module")
def measured(metrics_url: str) -> Availability:
    looks = Looks()
    prometheus = Prometheus(metrics_url, login_of("prometheus", {}), SystemClock())
    for key, look in looks_from(prometheus, history.START - 600, LATER, job=history.JOB):
        looks.add(key, look)
    return looks.between(history.START, LATER)


def rows(whole: Availability) -> dict[str, Row]:
    (place,) = whole.places
    assert place.vantage == history.VANTAGE
    return {f"leg {one.name}": one for one in place.legs} | {
        f"segment {one.name}": one for one in place.segments
    }


def seconds(row: Row) -> list[int]:
    return [round(one.seconds) for one in row.incidents]


def test_the_records_are_exact(recorded: Availability) -> None:
    """By hand, from the script."""
    found = rows(recorded)
    runs = history.MINUTES - len(history.SILENCE)
    stalled, partial = len(history.STALL), len(history.PARTIAL)
    whole = (runs - stalled - partial) * history.HOLD + partial * 8.0
    egress = found["leg egress"]
    assert egress.observed_seconds == pytest.approx(whole)
    assert (egress.good_share, egress.incidents) == (1.0, [])
    # Nobody could tell while it had collapsed: that is not bad.
    collapsed = len(history.COLLAPSE) * history.HOLD
    cloudflare = found["leg cloudflare"]
    assert cloudflare.observed_seconds == pytest.approx(whole - collapsed)
    # Down over five runs, and over three: an incident each. The cuts: one each.
    assert seconds(found["leg edge"]) == [274, 4]
    assert seconds(cloudflare) == [274, 4, 154, 4, 34]
    assert seconds(found["segment cf-edge"]) == [274]
    assert found["segment cf-edge"].by_length == (0, 0, 1, 0, 0, 0)
    down = len(history.CDN) * (history.HOLD - 0.5)
    assert found["segment cf-edge"].bad_seconds == pytest.approx(down)
    assert seconds(found["segment dispatch"]) == seconds(found["leg dispatch"]) == [154]
    assert seconds(found["segment serve"]) == [4]
    # The cut of the way out is one of several suspects: not observed, and not bad.
    cut = found["segment wan"]
    assert (cut.bad_seconds, cut.incidents) == (0.0, [])
    assert whole - cut.observed_seconds == pytest.approx(3.67, abs=0.01)


def test_what_nobody_saw_is_apart_from_what_was_bad(recorded: Availability) -> None:
    (place,) = recorded.places
    for row in place.legs:
        rest = row.observed_seconds + recorded.unobserved(row)
        assert rest == pytest.approx(recorded.seconds)
    silent = len(history.SILENCE) * 60.0 + LATER - history.END
    assert recorded.unobserved(rows(recorded)["leg egress"]) > silent


def test_prometheus_tells_the_same_and_never_better(
    recorded: Availability, measured: Availability
) -> None:
    exact, coarse = rows(recorded), rows(measured)
    assert coarse.keys() == exact.keys()
    for name, row in exact.items():
        other = coarse[name]
        # Of its first run nobody knows what the counters held before. A run with suspects is not
        # observed whole.
        less = row.observed_seconds - other.observed_seconds
        assert less == pytest.approx(history.HOLD, abs=history.HOLD + 5), name
        assert len(other.incidents) == len(row.incidents), name
        assert other.bad_seconds >= row.bad_seconds, name
        assert other.bad_seconds <= row.bad_seconds + history.HOLD * len(row.incidents), name
        assert (other.good_share or 0) <= (row.good_share or 0) + 1e-9, name


def ask(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(SystemClock, "wall", lambda self: LATER)
    return main(["availability", *words])


def test_the_command_on_prometheus(
    metrics_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(monkeypatch, "--prometheus", metrics_url, "--days", "30") == 0
    text = capsys.readouterr().out
    assert "(30 d)" in text
    assert "no finer than a run" in text
    line = next(one for one in text.splitlines() if one.startswith("dispatch"))
    assert "98.18" in line
    assert "29 d 22 h" in line  # not observed: before there was a prober
    assert ask(monkeypatch, "--prometheus", metrics_url, "--vantage", "attic") == 1
    assert "no new runs with job" in capsys.readouterr().out


def test_the_command_on_records(
    runs_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(monkeypatch, "--runs", str(runs_folder), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    (place,) = found["vantages"]
    edge = next(one for one in place["legs"] if one["name"] == "edge")
    assert [one["seconds"] for one in edge["longest"]] == [274.5, 3.67]
    assert edge["longest"][0]["began"] == "2026-11-20T10:30:00.500Z"
    assert edge["incidents"] == sum(one["incidents"] for one in edge["incidents_by_length"]) == 2
    assert edge["good_seconds"] + edge["bad_seconds"] == pytest.approx(edge["observed_seconds"])
    assert ask(monkeypatch, "--runs", str(runs_folder), "--days", "0.01", "--json") == 0
    later = json.loads(capsys.readouterr().out)
    assert later["seconds"] == pytest.approx(864)
    assert later["vantages"][0]["looks"] == 14


def test_no_run_at_all_has_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--runs", str(tmp_path), "--days", "3", "--vantage", "attic"]
    assert ask(monkeypatch, *words) == 1
    said = capsys.readouterr().out
    assert said == f'from {tmp_path}\nno run of the vantage "attic" was found there\n'
    assert ask(monkeypatch, *words, "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["began"], found["ended"], found["seconds"]) == (None, None, 0.0)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "expected --prometheus URL or --runs FOLDER, found neither"),
        (["--runs", "x", "--prometheus", "http://127.0.0.1:9"], "found both"),
        (["--prometheus", "nonsense"], "--prometheus: "),
        (["--prometheus", "http://127.0.0.1:9", "--days", "0"], "--days: expected more than 0"),
        (["--prometheus", "http://127.0.0.1:9", "--days", "nan"], "--days: expected more than 0"),
        (["--prometheus", "http://127.0.0.1:9"], "--prometheus: 127.0.0.1:9 "),
        (["--runs", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["availability", *words]) == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert sentence in said.err
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize("body", [b"<html>", {"status": "error", "error": "too many points"}])
def test_what_answers_and_is_no_prometheus(
    body: bytes | dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(body) as server:
        assert main(["availability", "--prometheus", server.url]) == 4
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_group_that_is_only_still_scraped_tells_of_nothing() -> None:
    """A Pushgateway shows the last run for ever; a job that has ended is not observed."""
    labels = {"job": "t3-probe", "vantage": "here"}
    times = [60.0 * n for n in range(1, 11)]
    stamps = [(at, min(at - 20.0, 220.0)) for at in times]
    looked = [(at, min(35.0 * n, 35.0 * 4)) for n, at in enumerate(times, 1)]

    def one(name: str, samples: list[tuple[float, float]], **more: str) -> Any:
        return {"__name__": name, **labels, **more}, samples

    answer = matrix(
        one("t3probe_run_timestamp_seconds", stamps),
        one("t3probe_run_duration_seconds", [(at, 36.0) for at in times]),
        one("t3probe_observed_seconds_total", looked, leg="ws"),
        one("t3probe_connected", [(at, 0.0) for at in times], leg="ws"),
    )
    with answering(answer) as server:
        prometheus = Prometheus(server.url, Login(), FakeClock())
        found = list(looks_from(prometheus, 0.0, 600.0, job="t3-probe"))
    assert [round(look.ended) for _, look in found] == [40, 100, 160, 220]
    assert [look.legs["ws"].observed_seconds for _, look in found] == [0, 35, 35, 35]
