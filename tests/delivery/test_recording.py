"""Pushing files: runs of this suite, and other suites' JUnit files."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from delivery_programs import RealGateway
from delivery_runs import DEAD, Scraper

from t3probe.deliver import push_recording
from t3probe.observation import Beat, Drop, Observation, RunRecord
from t3probe.record import RecordError, leg_property, run_property
from t3probe.sinks import recording
from t3probe.sinks.continuation import DISCONNECTS
from t3probe.sinks.gateway_wire import Gateway
from t3probe.sinks.recording import Check, junit_checks

OTHER = """<?xml version="1.0"?>
<testsuites><testsuite name="s" tests="5"><properties/>
<testcase classname="a.B" name="good" time="1.5"/>
<testcase classname="a.B" name="bad" time="0.25"><failure message="x">y</failure></testcase>
<testcase classname="a.B" name="worse" time="nan"><error/><system-out>z</system-out></testcase>
<testcase classname="a.B" name="left"><skipped/></testcase>
<testcase name="again" time="1"/><testcase name="again" time="1,000.5"><failure/></testcase>
</testsuite></testsuites>
"""


def junit(folder: Path, started: float, drops: int) -> Path:
    """A file as the suite writes it."""
    drop = Drop(began=1, noticed=2, reason="rtt_timeout", symptom="cut", stage="hold", call=1)
    seen = Observation(
        leg="internal",
        kind="ws_echo",
        path=("traefik",),
        outcome="failed" if drops else "passed",
        connected=True,
        observed_seconds=30,
        beats=(Beat(sent=0, ended=0.02, ok=True, conn=0),),
        drops=(drop,) * drops,
    )
    run = RunRecord(segments=("traefik",), started_at=started, duration_seconds=30)
    pairs = (run_property(run), leg_property(seen))
    text = "".join(f"<property name={quoteattr(n)} value={quoteattr(v)}/>" for n, v in pairs)
    file = folder / f"run-{started}.xml"
    file.write_text(
        f"<testsuites><testsuite><properties>{text}</properties></testsuite></testsuites>"
    )
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


def test_another_suite_never_replaces_runs(tmp_path: Path, gateway: RealGateway) -> None:
    (tmp_path / "other.xml").write_text(OTHER)
    push_recording(junit(tmp_path, 100.0, 2), group(gateway))
    report = push_recording(tmp_path / "other.xml", group(gateway))
    assert (report.ok, "name another job" in report.sentence) == (False, True)
    assert DISCONNECTS in gateway.exposition()


def test_no_gateway(tmp_path: Path) -> None:
    (tmp_path / "other.xml").write_text(OTHER)
    for file in (junit(tmp_path, 100.0, 2), tmp_path / "other.xml"):
        report = push_recording(file, group(None))
        assert not report.ok
        assert report.sentence.endswith(f"nothing of {file} was pushed")


def test_tests_and_names_are_bounded(tmp_path: Path) -> None:
    file = tmp_path / "many.xml"
    cases = "".join(f'<testcase name="{"x" * 500}{n:05d}" time="1"/>' for n in range(1200))
    file.write_text(f"<testsuite>{cases}</testsuite>")
    checks, left_out = junit_checks(file)
    assert (len(checks), left_out) == (1000, 200)
    assert {len(one.name) for one in checks} == {recording.LONGEST_NAME}
    assert len({one.name for one in checks}) == 1000


def test_control_characters_and_namespaces(tmp_path: Path) -> None:
    file = tmp_path / "odd.xml"
    file.write_text(
        '<testsuite xmlns="urn:x"><testcase name="a&#10;b" time="x"><failure/></testcase>'
        "</testsuite>"
    )
    assert junit_checks(file) == ([Check("a?b", False, 0.0)], 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<html/>", "t3probe.run"),
        ("<a", "damaged XML"),
        ("", "damaged XML"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_junit_file(content: str | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / "x.xml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(RecordError, match=words):
        push_recording(file, group(None))


def test_an_entity_bomb_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bomb.xml"
    levels = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    file.write_text(
        f'<!DOCTYPE x [<!ENTITY a0 "lollollol">{levels}]>'
        "<testsuite><testcase name='a'><failure>&a11;</failure></testcase></testsuite>"
    )
    with pytest.raises(RecordError):
        junit_checks(file)
