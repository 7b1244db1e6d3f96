"""The same questions to a folder of runs and to a real Prometheus, and their answers."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from explain_asking import ask
from explain_history import COLLAPSE, DEPLOYMENT, DISPATCH, at
from explain_questions import QUESTIONS, Asked

from t3probe.ask.explain.report import ANSWERED, Report, to_dict, to_lines

each_question = pytest.mark.parametrize("asked", QUESTIONS, ids=lambda one: one.name)


def answers(asked: Asked, report: Report) -> None:
    told = report.told
    text = "\n".join(to_lines(report))
    assert told.finding == asked.finding, text
    assert (told.convicted or told.suspects if told.outage else ()) == asked.blamed, text
    if asked.uncleared:
        assert told.uncleared == asked.uncleared
    then = {one.name: one for one in told.legs}
    assert {leg: then[leg].state for leg in asked.legs} == asked.legs
    for leg, seconds in asked.seconds.items():
        assert then[leg].seconds == pytest.approx(seconds, abs=2.0), leg
    for leg, number in asked.drops.items():
        assert sum(one.count for one in then[leg].drops) == number, leg
    for word in asked.words:
        assert word in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


@each_question
def test_from_the_runs(asked: Asked, runs_folder: Path) -> None:
    answers(asked, ask("--at", asked.time, "--runs", str(runs_folder)))


@each_question
def test_from_prometheus(asked: Asked, metrics_url: str) -> None:
    words = ("--prometheus", metrics_url, "--deployment", str(DEPLOYMENT))
    answers(asked, ask("--at", asked.time, *words))


@each_question
def test_without_a_deployment_nobody_else_is_blamed(asked: Asked, metrics_url: str) -> None:
    """The published states alone give the same answer where they can, and never another."""
    told = ask("--at", asked.time, "--prometheus", metrics_url).told
    if asked.finding == "ours":
        assert (told.finding, told.convicted) == (asked.finding, asked.blamed)
    elif asked.finding == "ours_one_of":
        assert told.finding == "ours_one_of"
        assert set(asked.blamed) <= set(told.suspects)
    else:
        assert told.finding in (asked.finding, "unclear")
        assert (told.finding == "last_mile") <= (asked.finding == "last_mile")


def test_there_are_enough_questions() -> None:
    assert len(QUESTIONS) >= 12
    assert {one.finding for one in QUESTIONS} == {
        "ours", "ours_one_of", "last_mile", "unclear", "not_observed"
    }  # fmt: skip


def test_three_people_at_once_are_a_blind_spot(runs_folder: Path, metrics_url: str) -> None:
    people = ("--user", "user-1", "--user", "user-2", "--user", "user-3")
    when = str(int(at(10)))
    for source in (
        ("--runs", str(runs_folder)),
        ("--prometheus", metrics_url, "--deployment", str(DEPLOYMENT)),
    ):
        report = ask("--at", when, *people, *source)
        assert report.told.finding == "shared_blind_spot"
        assert report.told.verdict.minimal_sets[0] == ("shared-network",)
        text = " ".join("\n".join(to_lines(report)).split())
        assert "between them and the edge: a network that they share" in text
        assert "the 50 s of the window in which no leg was looking" in text
        assert "Hello user-1, user-2 and user-3," in text


def test_three_people_and_a_segment_that_nobody_looked_at(runs_folder: Path) -> None:
    when = str(int(at(COLLAPSE.start + 1, 10)))
    report = ask("--at", when, "--people", "3", "--runs", str(runs_folder))
    assert report.told.finding == "shared_blind_spot"
    assert "tunnel: on no leg" in "\n".join(to_lines(report))


def test_three_people_in_an_outage_are_ours(runs_folder: Path) -> None:
    report = ask("--at", str(int(at(32))), "--people", "3", "--runs", str(runs_folder))
    assert (report.told.finding, report.told.convicted) == ("ours", ("cf-edge",))
    assert set(report.told.verdict.masked) >= {"shared-network", "last-mile-1"}


def test_two_people_may_be_two_last_miles(runs_folder: Path) -> None:
    report = ask("--at", str(int(at(10))), "--people", "2", "--runs", str(runs_folder))
    assert report.told.finding == "last_mile"
    assert "or a network that both share" in " ".join("\n".join(to_lines(report)).split())


def test_the_pressure_of_the_serving_machine(metrics_url: str, runs_folder: Path) -> None:
    words = ("--runs", str(runs_folder), "--prometheus", metrics_url)
    hard = ask("--at", str(int(at(DISPATCH.start + 1, 30))), *words)
    (machine,) = hard.machines or ()
    assert machine.instance == "10.0.10.10:9100"
    assert machine.io_stalled == pytest.approx(0.61, abs=0.02)
    assert machine.io_stalled_peak == pytest.approx(0.61, abs=0.02)
    assert machine.memory_stalled == 0
    assert machine.swap_free_bytes == 2**28
    assert machine.hard_pressed == ("io", "swap")
    text = "\n".join(to_lines(hard))
    assert "61%, peak 61%" in text
    assert "256 MiB of 8 GiB" in text
    assert "short of I/O and swap space" in " ".join(text.split())
    easy = ask("--at", str(int(at(10))), *words)
    assert [one.hard_pressed for one in easy.machines or ()] == [()]
    assert "short of" not in "\n".join(to_lines(easy))


def test_pressure_of_a_machine_that_prometheus_does_not_know(metrics_url: str) -> None:
    words = ("--at", str(int(at(61))), "--prometheus", metrics_url, "--machine", "attic")
    report = ask(*words)
    assert report.machines == []
    assert "no node_pressure_* or swap series" in "\n".join(to_lines(report))


def test_another_job_has_no_runs(metrics_url: str) -> None:
    report = ask("--at", str(int(at(10))), "--prometheus", metrics_url, "--job", "nobody's")
    assert report.told.finding == "not_observed"
    assert 'no t3probe series with job="nobody\'s"' in report.notes[0]


def test_the_vantage_is_asked_for(metrics_url: str) -> None:
    words = ("--at", str(int(at(10))), "--prometheus", metrics_url)
    assert ask(*words, "--vantage", "cluster").told.runs
    assert not ask(*words, "--vantage", "attic").told.runs


def test_says_how_fine_it_is(metrics_url: str, runs_folder: Path) -> None:
    when = str(int(at(10)))
    assert "a run's minute" in ask("--at", when, "--prometheus", metrics_url).resolution
    assert "exact" in ask("--at", when, "--runs", str(runs_folder)).resolution


def test_an_outage_is_told_from_its_first_run_to_the_one_that_worked(runs_folder: Path) -> None:
    told = ask("--at", str(int(at(32))), "--runs", str(runs_folder)).told
    assert told.outage is not None
    assert told.outage.began == pytest.approx(at(30), abs=1)
    assert told.outage.ended == at(35, 1.03), "its first good beat"


def test_between_two_broken_runs_it_was_still_broken(runs_folder: Path) -> None:
    when = str(int(at(31, 47)))
    told = ask("--at", when, "--window", "5s", "--runs", str(runs_folder)).told
    assert told.finding == "ours"
    assert told.convicted == ("cf-edge",)


def test_the_time_apart_is_said(runs_folder: Path) -> None:
    report = ask("--at", str(int(at(45, 50))), "--runs", str(runs_folder))
    assert report.told.finding == "ours"
    text = " ".join("\n".join(to_lines(report)).split())
    assert "that was 35 s before the time that was named" in text


def test_what_failed_near_is_told(runs_folder: Path) -> None:
    text = "\n".join(to_lines(ask("--at", str(int(at(38))), "--runs", str(runs_folder))))
    assert "Nothing failed in the window" in text
    assert "cf-edge is convicted" in text


def test_a_leg_stands_for_the_way(runs_folder: Path) -> None:
    """Someone inside the network does not cross the CDN."""
    words = ("--at", str(int(at(32))), "--runs", str(runs_folder))
    inside = ask(*words, "--leg", "internal").told
    assert "cf-edge" not in inside.way.segments
    assert inside.finding == "last_mile"
    assert [one.finding for one in inside.outages]
    assert ask(*words, "--leg", "cloudflare").told.finding == "ours"


def test_now_the_runs_of_that_minute_may_not_be_in(runs_folder: Path) -> None:
    report = ask("--at", str(int(at(10))), "--runs", str(runs_folder), now=at(10, 40))
    assert "ask again in two minutes" in "\n".join(to_lines(report))
    assert report.told.question.ended == at(10, 40)


@each_question
def test_the_json_is_the_whole(asked: Asked, runs_folder: Path) -> None:
    report = ask("--at", asked.time, "--user", "Zoë", "--runs", str(runs_folder))
    told = to_dict(report)
    assert told["finding"] == asked.finding
    assert told["answered"] == (asked.finding in ANSWERED)
    assert told["at_utc"].startswith(datetime.fromtimestamp(told["at"], UTC).isoformat()[:19])
    assert told["source"]["kind"] == "runs"
    assert told["users"] == ["Zoë"]
    assert told["send_back"].startswith("Hello Zoë,")
    assert {one["leg"] for one in told["legs"] if one["clears"]} <= {
        one["leg"] for one in told["legs"] if not one["drops"]
    }
    assert (told["incident"] is not None) == asked.finding.startswith("ours")
    if asked.finding == "last_mile":
        assert told["verdict"]["convicted"] == ["last-mile"]
        assert told["way"]["not_cleared"] == []


@pytest.mark.parametrize(("minute", "code"), [(10, 0), (32, 0), (105, 1), (156, 1)])
def test_exit_codes_and_output(minute: int, code: int, runs_folder: Path) -> None:
    words = ["--at", str(int(at(minute))), "--user", "user-1\x1b[31m", "--runs", str(runs_folder)]
    done = subprocess.run(
        [sys.executable, "-m", "t3probe.cli", "explain", *words],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, "")
    assert "Send back:" in done.stdout
    assert "\x1b" not in done.stdout
    assert "user-1?[31m" in done.stdout
