"""The command line: wrong usage, and what people see."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from explain_asking import ask
from explain_history import DEPLOYMENT, at, recordings
from hypothesis import given, settings
from hypothesis import strategies as st

from t3probe.ask.explain.report import to_dict, to_lines
from t3probe.cli import main
from t3probe.record.log import record_line

WHEN = str(int(at(10)))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "expected --runs FOLDER or --prometheus URL, found neither"),
        (["--runs", "nowhere.xml"], "nowhere.xml: cannot be read"),
        (["--runs", ".", "--window", "60"], "--window: expected a duration"),
        (["--runs", ".", "--window", "2h"], "expected 1s to 1h"),
        (["--runs", ".", "--window", "0.5s"], "expected 1s to 1h"),
        (["--runs", ".", "--people", "0"], "--people: expected at least 1"),
        (["--runs", ".", "--user", "a", "--user", "b", "--people", "1"], "at least 2, found 1"),
        (["--runs", ".", "--user", " \t"], "--user: expected a name"),
        (["--runs", ".", "--timezone", "Mars"], "expected a time zone"),
        (["--runs", ".", "--deployment", "nowhere.toml"], "nowhere.toml"),
        (["--runs", ".", "--leg", "nobody"], "--leg: expected the name of a leg"),
        (["--prometheus", "127.0.0.1:9090"], "expected a URL that starts with http"),
        (["--prometheus", "http://127.0.0.1:1"], "127.0.0.1:1 refuses connections"),
    ],
)
def test_wrong_usage_is_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["explain", "--at", WHEN, *words]) == 4
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err.startswith("t3probe: explain: ")
    assert sentence in out.err
    assert out.err.count("\n") == 1


def test_a_time_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["explain", "--runs", "."])
    assert left.value.code == 4
    assert "--at" in capsys.readouterr().err


def test_help_tells_times_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["explain", "--help"])
    text = capsys.readouterr().out
    assert "exit codes:" in text
    assert "5 minutes ago" in text


def test_a_folder_without_runs(tmp_path: Path) -> None:
    report = ask("--at", WHEN, "--runs", str(tmp_path))
    assert report.told.finding == "not_observed"
    assert report.told.verdict.convicted == ()
    assert report.told.verdict.at_least_one_of == (("last-mile", "our-side"),)
    assert report.notes == ("no run was found there",)


def test_other_files_in_the_folder_are_noted(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    for number in range(9):
        (tmp_path / f"bad-{number}.xml").write_text("<half")
    report = ask("--at", WHEN, "--runs", str(tmp_path))
    assert report.notes == (
        f"10 of 10 files in {tmp_path} were no records",
        "no run was found there",
    )


def test_a_record_beside_another_file(runs_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(runs_folder, tmp_path / "runs")
    (tmp_path / "runs" / "notes.txt").write_text("nothing")
    files = sum(one.is_file() for one in (tmp_path / "runs").rglob("*"))
    report = ask("--at", WHEN, "--runs", str(tmp_path / "runs"))
    assert f"1 of {files} files in {tmp_path / 'runs'} was no record" in report.notes


def test_runs_of_another_day_are_said(runs_folder: Path) -> None:
    report = ask("--at", str(int(at(-3000))), "--runs", str(runs_folder))
    assert report.told.finding == "not_observed"
    assert report.notes == (
        "what is there is of another time: 170 runs, 2026-11-20 10:00:00 UTC to "
        "2026-11-20 12:59:36 UTC",
    )


def test_a_run_that_was_written_twice_is_one(tmp_path: Path) -> None:
    one = recordings()[10]
    line = record_line(one.run, one.observations)
    (tmp_path / "a.log").write_text(f"{line}\n{line}\n")
    (tmp_path / "b.log").write_text(f"{line}\n")
    report = ask("--at", WHEN, "--runs", str(tmp_path))
    assert len(report.told.runs) == 1
    assert report.told.legs[0].seconds == pytest.approx(35, abs=1)


def test_names_appear_in_the_output_only(runs_folder: Path) -> None:
    before = {one: one.read_bytes() for one in runs_folder.iterdir()}
    report = ask("--at", WHEN, "--user", "user-1\nB\u202eob\x1b[0m", "--runs", str(runs_folder))
    assert report.users == ("user-1 B?ob?[0m",)
    assert {one: one.read_bytes() for one in runs_folder.iterdir()} == before


def test_what_a_record_holds_cannot_steer_a_terminal(tmp_path: Path) -> None:
    one = recordings()[10]
    first, *others = one.observations
    evil = msgspec.structs.replace(
        first, leg="a\x1b[2Jb\nc", outcome="inconclusive", detail="x\x07\u202e\ny"
    )
    (tmp_path / "runs.log").write_text(record_line(one.run, [evil, *others]))
    report = ask("--at", WHEN, "--runs", str(tmp_path))
    lines = list(to_lines(report))
    assert "a?[2Jb c" in "\n".join(lines)
    assert all(line.isprintable() for line in lines)


def test_the_same_name_twice_is_one_person(runs_folder: Path) -> None:
    words = ("--user", "user-1", "--user", "user-1", "--runs", str(runs_folder))
    assert ask("--at", WHEN, *words).told.question.people == 1


def test_the_answer_says_how_the_time_was_read(runs_folder: Path) -> None:
    words = ("--at", "11:10", "--timezone", "Europe/Berlin", "--runs", str(runs_folder))
    report = ask(*words)
    first = next(to_lines(report))
    assert first == "asked   11:10, read as 2026-11-20 11:10:00 CET (10:10:00 UTC), 3 h 20 min ago"
    assert to_dict(report)["at_local"] == "2026-11-20T11:10:00+01:00"
    assert "at about" not in to_dict(report)["send_back"]
    assert "11:10 CET (10:10 UTC) on 2026-11-20" in to_dict(report)["send_back"]


def test_the_deployment_names_the_way(runs_folder: Path) -> None:
    words = ("--at", WHEN, "--runs", str(runs_folder))
    by_runs = ask(*words).told.way
    by_file = ask(*words, "--deployment", str(DEPLOYMENT)).told.way
    assert by_runs == by_file
    assert by_file.source == "the way of the leg cloudflare"


def test_another_encoding_does_not_end_it(
    runs_folder: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io
    import sys

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert main(["explain", "--at", WHEN, "--user", "Zoë", "--runs", str(runs_folder)]) == 0
    sys.stdout.flush()
    assert b"Hello Zo?," in raw.getvalue()


@settings(max_examples=30, deadline=None)
@given(st.text(min_size=1, max_size=200), st.integers(0, 179), st.integers(1, 4))
def test_every_line_fits_and_is_printable(name: str, minute: int, people: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        near = [one for one in recordings() if abs(one.run.started_at - at(minute)) < 300]
        lines = [record_line(one.run, one.observations) for one in near]
        Path(folder, "runs.log").write_text("\n".join(lines))
        report = ask(
            "--at", str(int(at(minute))), f"--user=.{name}", "--people", str(people),
            "--runs", folder,
        )  # fmt: skip
    for line in to_lines(report):
        assert len(line) <= 80
        assert line == "" or line.isprintable()
