"""Pushing files: runs of this suite, and other suites' JUnit files."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest
from delivery_programs import RealGateway
from delivery_runs import DEAD, Scraper
from msgspec.structs import replace

from t3probe.deliver.metrics.carry import DISCONNECTS
from t3probe.deliver.sinks.gateway import Gateway, Wire
from t3probe.deliver.sinks.recording import push_recording
from t3probe.observation import Beat, Drop, Observation, RunRecord
from t3probe.record.facts import RecordError, Recording, leg_property, run_property
from t3probe.record.log import record_line

OTHER = """<?xml version="1.0"?>
<testsuites><testsuite name="s" tests="5"><properties/>
<testcase classname="a.B" name="good" time="1.5"/>
<testcase classname="a.B" name="bad" time="0.25"><failure message="x">y</failure></testcase>
<testcase classname="a.B" name="worse" time="nan"><error/><system-out>z</system-out></testcase>
<testcase classname="a.B" name="left"><skipped/></testcase>
<testcase name="again" time="1"/><testcase name="again" time="1,000.5"><failure/></testcase>
</testsuite></testsuites>
"""


def made(
    started: float, drops: int, leg: str = "internal", vantage: str = "", seconds: float = 30
) -> Recording:
    drop = Drop(began=1, noticed=2, reason="rtt_timeout", symptom="cut", stage="hold", call=1)
    seen = Observation(
        leg=leg,
        kind="ws_echo",
        path=("traefik",),
        outcome="failed" if drops else "passed",
        connected=True,
        observed_seconds=30,
        beats=(Beat(sent=0, ended=0.02, ok=True, conn=0),),
        drops=(drop,) * drops,
    )
    run = RunRecord(
        segments=("traefik",), started_at=started, duration_seconds=seconds, vantage=vantage
    )
    return Recording(run, (seen,))


def junit(folder: Path, started: float, drops: int) -> Path:
    """A file as the suite writes it."""
    one = made(started, drops)
    pairs = (run_property(one.run), *(leg_property(seen) for seen in one.observations))
    text = "".join(f"<property name={quoteattr(n)} value={quoteattr(v)}/>" for n, v in pairs)
    file = folder / f"run-{started}.xml"
    file.write_text(
        f"<testsuites><testsuite><properties>{text}</properties></testsuite></testsuites>"
    )
    return file


def log(folder: Path, *runs: Recording, more: str = "") -> Path:
    """The output of these runs in one log."""
    file = folder / "pods.log"
    lines = [record_line(one.run, one.observations) for one in runs]
    file.write_text("\n".join(["a log", *lines, more, "its end"]))
    return file


def group(gateway: RealGateway | None, job: str = "by-hand") -> Gateway:
    return Gateway(DEAD if gateway is None else gateway.url, job, "laptop")


def test_runs_are_pushed_once_and_in_order(tmp_path: Path, gateway: RealGateway) -> None:
    scraper = Scraper()
    first, second = junit(tmp_path, 100.0, 2), junit(tmp_path, 200.0, 1)
    for file, words in (
        (first, "wrote"),
        (first, "holds this run already"),
        (second, "wrote"),
        (first, "holds a newer run already"),
    ):
        assert words in push_recording(file, group(gateway)).sentence
        scraper.scrape(gateway.exposition())
    values = [v for (name, _), v in scraper.last.items() if name == DISCONNECTS]
    assert sum(values) == 3
    assert scraper.of(DISCONNECTS) == 1
    assert 'job="by-hand"' in gateway.exposition()


def counted(gateway: RealGateway, **labels: str) -> float:
    """All drops that the gateway holds with these labels."""
    scraper = Scraper()
    scraper.scrape(gateway.exposition())
    return sum(
        value
        for (name, have), value in scraper.last.items()
        if name == DISCONNECTS and labels.items() <= dict(have).items()
    )


@pytest.fixture
def puts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The vantages of the groups that were written whole."""
    seen: list[str] = []
    write = Wire.write

    def noted(wire: Wire, method: str, key: Mapping[str, str], *rest: Any) -> None:
        if method == "PUT":
            seen.append(key.get("vantage", ""))
        write(wire, method, key, *rest)

    monkeypatch.setattr(Wire, "write", noted)
    return seen


def test_all_runs_of_a_log_are_counted_once_and_written_at_once(
    tmp_path: Path, gateway: RealGateway, puts: list[str]
) -> None:
    runs = [made(300.0, 4), made(100.0, 2), made(200.0, 1)]
    file = log(tmp_path, *runs, runs[1])
    report = push_recording(file, group(gateway))
    assert report.ok
    assert f"3 of 3 runs of {file}: the gateway at" in report.sentence
    assert counted(gateway) == 7
    assert puts == ["laptop"]
    assert "t3probe_run_timestamp_seconds" in gateway.exposition()
    again = push_recording(file, group(gateway))
    assert again.ok
    assert "holds the newest of its runs already; nothing was pushed" in again.sentence
    older = push_recording(log(tmp_path, *runs[1:]), group(gateway))
    assert not older.ok
    assert "holds a newer run than all of its already" in older.sentence
    mixed = push_recording(log(tmp_path, *runs, made(400.0, 1)), group(gateway))
    assert mixed.ok
    assert mixed.sentence.startswith(f"1 of 4 runs of {file}: ")
    assert counted(gateway) == 8


def test_a_log_gives_what_its_runs_one_by_one_give(tmp_path: Path, gateway: RealGateway) -> None:
    for number, drops in enumerate([2, 3, 0]):
        push_recording(junit(tmp_path, 100.0 * (number + 1), drops), group(gateway, "one-by-one"))
    runs = [made(100.0 * (n + 1), drops) for n, drops in enumerate([2, 3, 0])]
    push_recording(log(tmp_path, *runs), group(gateway, "at-once"))
    jobs: dict[str, dict[object, float]] = {"one-by-one": {}, "at-once": {}}
    scraper = Scraper()
    scraper.scrape(gateway.exposition())
    for (name, labels), value in scraper.last.items():
        rest = dict(labels)
        if not name.startswith("push_") and (job := rest.pop("job", "")):
            jobs[job][name, tuple(sorted(rest.items()))] = value
    assert len(jobs["at-once"]) > 50
    assert jobs["at-once"] == jobs["one-by-one"]


def test_a_run_that_was_corrected_is_counted_once(tmp_path: Path, gateway: RealGateway) -> None:
    first, later = made(100.0, 2), made(100.0, 2, seconds=31)
    push_recording(log(tmp_path, first), group(gateway))
    assert (
        "nothing was pushed" in push_recording(log(tmp_path, first, later), group(gateway)).sentence
    )
    push_recording(log(tmp_path, first, later), group(gateway, "anew"))
    assert (counted(gateway, job="by-hand"), counted(gateway, job="anew")) == (2, 2)


def test_runs_go_to_the_group_of_their_vantage(
    tmp_path: Path, gateway: RealGateway, puts: list[str]
) -> None:
    file = log(tmp_path, made(100.0, 1, vantage="attic"), made(200.0, 2, vantage="cellar"))
    assert push_recording(file, replace(group(gateway), vantage="")).ok
    assert (counted(gateway, vantage="attic"), counted(gateway, vantage="cellar")) == (1, 2)
    assert puts == ["attic", "cellar"]
    assert push_recording(file, group(gateway)).ok
    assert counted(gateway, vantage="laptop") == 3


def test_runs_go_to_the_group_of_their_shard(tmp_path: Path, gateway: RealGateway) -> None:
    """Shard 1 ends later and has no legs: it neither replaces shard 0's gauges nor keeps its
    counts out."""
    first, second = made(100.0, 1), made(101.0, 2, leg="serve")
    first = Recording(replace(first.run, shard=0, shards=2), first.observations)
    second = Recording(replace(second.run, shard=1, shards=2), second.observations)
    for file in (log(tmp_path, second), log(tmp_path, first), log(tmp_path, first, second)):
        assert push_recording(file, group(gateway)).ok
    assert (counted(gateway, shard="0"), counted(gateway, shard="1")) == (1, 2)
    text = gateway.exposition()
    assert 't3probe_connected{instance="",job="by-hand",leg="internal",shard="0"' in text
    states = [one for one in text.splitlines() if one.startswith("t3probe_segment_state{")]
    assert states
    assert all('shard="0"' in one for one in states)


def test_a_leg_that_only_older_runs_have_keeps_its_counts(
    tmp_path: Path, gateway: RealGateway
) -> None:
    push_recording(log(tmp_path, made(100.0, 1, "gone"), made(200.0, 2)), group(gateway))
    assert (counted(gateway, leg="gone"), counted(gateway, leg="internal")) == (1, 2)
    text = gateway.exposition()
    assert 't3probe_connected{instance="",job="by-hand",leg="internal"' in text
    assert 't3probe_connected{instance="",job="by-hand",leg="gone"' not in text


def test_damaged_lines_of_a_log_are_said(tmp_path: Path, gateway: RealGateway) -> None:
    one = made(300.0, 1)
    cut = record_line(one.run, one.observations)[:400]
    report = push_recording(log(tmp_path, made(100.0, 1), more=cut), group(gateway))
    assert report.ok
    assert "; 1 record line is not readable (line 3: cut off after 400 " in report.sentence
    with pytest.raises(RecordError, match="1 record line is not readable"):
        push_recording(log(tmp_path, more=cut), group(gateway))


@pytest.mark.parametrize("kind", ["log", "junit", "other"])
def test_standard_input(
    kind: str, tmp_path: Path, gateway: RealGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"log": log(tmp_path, made(100.0, 2)), "junit": junit(tmp_path, 100.0, 2)}
    content = OTHER.encode() if kind == "other" else files[kind].read_bytes()

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(Pipe(content)))
    assert push_recording("-", group(gateway)).ok
    assert counted(gateway) == (0 if kind == "other" else 2)


def test_another_suite(tmp_path: Path, gateway: RealGateway) -> None:
    (tmp_path / "other.xml").write_text(OTHER)
    assert push_recording(tmp_path / "other.xml", group(gateway)).ok
    scraper = Scraper()
    scraper.scrape(gateway.exposition())
    found = {
        (name.removeprefix("t3probe_check_"), dict(labels)["check"]): value
        for (name, labels), value in scraper.last.items()
        if name.startswith("t3probe_check_")
    }
    assert {key: value for key, value in found.items() if key[0] == "success"} == {
        ("success", "a.B.good"): 1,
        ("success", "a.B.bad"): 0,
        ("success", "a.B.worse"): 0,
        ("success", "again"): 0,
    }
    assert found["duration_seconds", "again"] == 1001.5
    assert found["duration_seconds", "a.B.good"] == 1.5


def test_the_failure_of_another_suites_two_thousand_tests_is_pushed(
    tmp_path: Path, gateway: RealGateway
) -> None:
    cases = "".join(f'<testcase name="t{n}" time="1"/>' for n in range(1999))
    (tmp_path / "many.xml").write_text(
        f'<testsuite>{cases}<testcase name="last"><failure/></testcase></testsuite>'
    )
    report = push_recording(tmp_path / "many.xml", group(gateway))
    assert report.sentence.endswith(
        "; of 2,000 tests 1,000 are pushed, those that failed first; 1,000 that passed were left "
        "out"
    )
    scraper = Scraper()
    scraper.scrape(gateway.exposition())
    states = {
        dict(labels)["check"]: value
        for (name, labels), value in scraper.last.items()
        if name == "t3probe_check_success"
    }
    assert (len(states), states["last"]) == (1000, 0)


def test_another_suite_never_replaces_runs(tmp_path: Path, gateway: RealGateway) -> None:
    (tmp_path / "other.xml").write_text(OTHER)
    push_recording(junit(tmp_path, 100.0, 2), group(gateway))
    report = push_recording(tmp_path / "other.xml", group(gateway))
    assert (report.ok, "name another job" in report.sentence) == (False, True)
    assert DISCONNECTS in gateway.exposition()


def test_no_gateway(tmp_path: Path) -> None:
    (tmp_path / "other.xml").write_text(OTHER)
    files = (junit(tmp_path, 100.0, 2), tmp_path / "other.xml", log(tmp_path, made(1.0, 1)))
    for file in files:
        report = push_recording(file, group(None))
        assert not report.ok
        assert report.sentence.endswith(f"nothing of {file} was pushed")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<html/>", "t3probe.run"),
        ("<a", "damaged XML"),
        ("", "found nothing in it"),
        ("a log", "found neither"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_junit_file(content: str | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / "x.xml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(RecordError, match=words):
        push_recording(file, group(None))
