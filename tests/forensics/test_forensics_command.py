"""The command: what it prints, and its mistakes in one sentence."""

from __future__ import annotations

import argparse
import gzip
import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from forensics_help import AT, NOW, access, gone, lost, quiet, refused
from test_forensics_runs import broken

from t3probe.cli import main
from t3probe.commands.forensics import add, forensics
from t3probe.record.facts import leg_property, run_property
from t3probe.record.log import record_line

Capture = pytest.CaptureFixture[str]
DOWN = [*(lost(AT, n) for n in range(4)), *[gone(AT)] * 9, *[access(AT - 600, 101, 600_000)] * 6]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "all.log"
    path.write_text("\n".join([*quiet(AT - 300, AT + 300), *DOWN, "whatever 17"]) + "\n")
    return path


def test_the_runs_tell_what_names_of_segments_mean(
    tmp_path: Path, log: Path, capsys: Capture
) -> None:
    recording = broken(AT - 20)
    run = msgspec.structs.replace(recording.run, gloss={"tunnel": "or the CDN"})
    file = tmp_path / "run.log"
    file.write_text(record_line(run, recording.observations) + "\n")
    main(["forensics", str(log), "--timezone", "UTC", "--runs", str(file)])
    said = " ".join(capsys.readouterr().out.split())
    assert "points at wan/cf-edge/tunnel (or the CDN) (sure)" in said
    assert "both point at tunnel (or the CDN)" in said


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    import xml.etree.ElementTree as Tree

    folder = tmp_path / "results"
    folder.mkdir()
    recording = broken(AT - 20)
    suite = Tree.Element("testsuite")
    rows = Tree.SubElement(suite, "properties")
    for name, value in (
        run_property(recording.run), *(leg_property(one) for one in recording.observations)
    ):  # fmt: skip
        Tree.SubElement(rows, "property", name=name, value=value)
    Tree.ElementTree(suite).write(folder / "junit.xml")
    later = broken(AT + 100)
    (folder / "job.log").write_text(record_line(later.run, later.observations) + "\n")
    (folder / "notes.txt").write_text("no run\n")
    return folder


def answer(*words: object, capsys: Capture) -> Any:
    assert main(["forensics", "--timezone", "UTC", "--json", *map(str, words)]) == 0
    return json.loads(capsys.readouterr().out)


def text(*words: object, capsys: Capture) -> str:
    assert main(["forensics", "--timezone", "UTC", *map(str, words)]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    return out


def test_the_short_text(log: Path, runs: Path, capsys: Capture) -> None:
    out = " ".join(text(log, "--runs", runs, capsys=capsys).split())
    for said in (
        "141 lines of 1 source: 140 known, of them 13 tell of a fault; 1 unknown",
        "1 BURST 2026-11-20 14:03:07 +0000, 1 s",
        "=> one shared segment broke: wan, cf-edge or tunnel (sure)",
        "tunnel, 4: a connection to the CDN fell silent",
        "dispatch, 9: the client side went away",
        "runs: the probe at the same time: cloudflare was down: tunnel is convicted",
        "both point at tunnel",
        "so wan and cf-edge carried the probe; left: tunnel",
        "6 ended WebSockets: lived 10 min to 10 min",
        "whatever #",
        "run not read:",
    ):
        assert said in out


def test_the_whole_as_json(log: Path, runs: Path, capsys: Capture) -> None:
    whole = answer(log, "--runs", runs, capsys=capsys)
    assert whole["lines"] == whole["known"] + whole["unknown"] == 141
    (burst,) = whole["bursts"]
    assert burst["began"] == "2026-11-20T14:03:07.000Z"
    assert burst["suspects"] == ["wan", "cf-edge", "tunnel"]
    assert burst["runs"]["incidents"][0]["convicted"] == ["tunnel"]
    assert whole["runs"]["count"] == 2
    assert len(whole["runs"]["unread"]) == 1
    assert whole["websockets"]["count"] == 6
    assert {one["kind"]: one["count"] for one in whole["kinds"]} == {
        "tunnel_silent": 4, "dispatch_client_gone": 9, "traefik_websocket_ended": 6,
        "traefik_served": 121,
    }  # fmt: skip


def test_standard_input_and_gzip(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    packed = gzip.compress(log.read_bytes())
    (tmp_path / "all.log.gz").write_bytes(packed)
    plain = answer(log, capsys=capsys)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(packed)))
    for given in ("-", tmp_path / "all.log.gz"):
        other = answer(given, capsys=capsys)
        assert {**other, "files": 0} == {**plain, "files": 0}


def test_files_in_any_order(log: Path, tmp_path: Path, capsys: Capture) -> None:
    other = tmp_path / "other.log"
    other.write_text("\n".join([refused(AT)] * 4) + "\n")
    assert answer(log, other, capsys=capsys) == answer(other, log, capsys=capsys)


def test_a_file_by_several_names_is_read_once(log: Path, tmp_path: Path, capsys: Capture) -> None:
    """As /var/log/containers links to /var/log/pods: three lines twice would be a burst."""
    linked = tmp_path / "linked.log"
    linked.symlink_to(log)
    assert main(["forensics", str(log), "--timezone", "UTC", "--json"]) == 0
    once = capsys.readouterr().out
    names = [str(log), f"{log.parent}/./{log.name}", str(linked)]
    assert main(["forensics", *names, "--timezone", "UTC", "--json"]) == 0
    assert capsys.readouterr().out == once


def test_around_a_time(log: Path, runs: Path, capsys: Capture) -> None:
    words = (log, "--around", "2026-11-20T14:03:20Z", "--runs", runs)
    whole = answer(*words, "--window", "30s", capsys=capsys)
    assert len(whole["bursts"]) == 1
    assert "2026-11-20T14:03:20.000Z" in whole["asked"]
    assert whole["outside"] > 100
    assert whole["around"]["runs"]["observing"]
    whole = answer(*words, "--window", "5s", capsys=capsys)
    assert whole["bursts"] == []
    assert "NOTHING DIED IN BURSTS" in text(*words, "--window", "5s", capsys=capsys)


@pytest.mark.parametrize(
    "time",
    ["Fri 14:03:20 UTC", "20/Nov/2026:14:03:20 +0000", "2026-11-20 15:03:20 CET (14:03:20 UTC)",
     "1795183400123", "Fri, 20 Nov 2026 14:03:20 GMT"],
)  # fmt: skip
def test_around_takes_what_explain_takes(time: str, log: Path, capsys: Capture) -> None:
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    words = ["forensics", str(log), "--around", time, "--timezone", "UTC", "--json"]
    forensics(parser.parse_args(words), NOW)
    assert "was read as 2026-11-20T14:03:20.000Z" in json.loads(capsys.readouterr().out)["asked"]


def test_since_and_until(log: Path, capsys: Capture) -> None:
    whole = answer(log, "--since", "2026-11-20 14:03:08", capsys=capsys)
    assert (whole["faults"], whole["bursts"]) == (0, [])
    whole = answer(
        log, "--since", "2026-11-20 14:00", "--until", "2026-11-20 14:03:07", capsys=capsys
    )
    assert whole["faults"] == 13


def test_no_run_at_that_time_is_said(log: Path, tmp_path: Path, capsys: Capture) -> None:
    recording = broken(AT - 4000)
    file = tmp_path / "job.log"
    file.write_text(record_line(recording.run, recording.observations) + "\n")
    assert "no run was observing then" in text(log, "--runs", file, capsys=capsys)


DEPLOYMENT = """
name = "mine"
segments = ["wan", "cdn", "hole", "lb", "box", "dispatch", "serve"]
paths = [["wan", "cdn", "hole", "lb", "box", "dispatch"]]
[[leg]]
name = "dispatch"
kind = "tcp"
address = "127.0.0.1:1"
path = ["box", "dispatch"]
"""


def test_segments_of_a_deployment(log: Path, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(DEPLOYMENT)
    words = (log, "--deployment", file, "--map", "tunnel=hole", "--map", "traefik=lb")
    assert answer(*words, capsys=capsys)["bursts"][0]["suspects"] == ["wan", "cdn", "hole"]


def test_the_reading_of_times_is_said(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "old.log"
    file.write_text("Nov 20 14:03:07 h dispatch[1]: http: proxy error: EOF\n")
    out = " ".join(text(file, capsys=capsys).split())
    assert "times without a zone were read in UTC" in out
    assert "times without a year were read in the newest year that is not in the future" in out


def test_a_damaged_archive_is_said_and_not_fatal(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("half.gz").write_bytes(gzip.compress(log.read_bytes())[:-30])
    assert "half.gz is damaged: the compressed data breaks off" in text("half.gz", capsys=capsys)


def test_control_characters_never_reach_the_terminal(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "evil.log"
    file.write_bytes((gone(AT) + "\n").encode() * 4 + b"\x1b[2Jhello \x07\xff\n" * 3)
    assert "\x1b" not in text(file, capsys=capsys)
    assert "\x1b" not in json.dumps(answer(file, capsys=capsys), ensure_ascii=False)


def test_an_empty_file(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert "0 lines of 1 source" in text(tmp_path / "empty", capsys=capsys)
    assert answer(tmp_path / "empty", capsys=capsys)["span"] is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere.log"], "nowhere.log: cannot be read: No such file or directory; name a log"),
        (["."], ".: cannot be read: expected a file, found a folder"),
        (["/dev/null", "--around", "noon"], "expected a time such as 14:03"),
        (["/dev/null", "--around", "14:03", "--since", "14:00"], "found both; leave one out"),
        (["/dev/null", "--since", "2026-11-20 15:00", "--until", "2026-11-20 14:00"], "swap them"),
        (["/dev/null", "--window", "60"], "--window: expected a duration such as 60s"),
        (["/dev/null", "--timezone", "Mars/Base"], "expected a time zone such as Europe/Berlin"),
        (["/dev/null", "--timezone", "../../etc/passwd"], "expected a time zone such as"),
        (["/dev/null", "--runs", "nowhere.xml"], "nowhere.xml: cannot be read"),
        (["/dev/null", "--runs", "/dev/null"], "/dev/null: expected a JUnit file"),
        (["/dev/null", "--map", "wan=x"], "--map: expected SOURCE=SEGMENT"),
        (["/dev/null", "--deployment", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_mistakes_are_one_sentence(words: list[str], sentence: str, capsys: Capture) -> None:
    assert main(["forensics", *words]) == 4
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_help_has_examples(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as end:
        main(["forensics", "--help"])
    assert end.value.code == 0
    assert "--around 14:03 --runs results/" in capsys.readouterr().out
