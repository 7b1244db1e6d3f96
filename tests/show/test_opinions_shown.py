"""What programs say of themselves and the colo of each leg, wherever a run is shown."""

from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from report_runs import lab, page_of

from t3probe.observation import OpinionView
from t3probe.record.facts import Recording, run_property
from t3probe.record.junit import parse_junit
from t3probe.record.log import parse_record, record_line
from t3probe.show.markdown import run_markdown
from t3probe.show.summary import render
from t3probe.text.words import at_places
from t3probe.verdict.incident.run import judge_run

replace = msgspec.structs.replace
WELL = OpinionView(
    name="cfd", segment="tunnel", kind="cloudflared", opinion="healthy", steady=True,
    detail="4 connections to the edge, in fra08", colos=("fra08",), at=6.1,
)  # fmt: skip
SILENT = OpinionView(
    name="lb", segment="traefik", kind="traefik", detail="it refuses connections", at=6.1
)


def told(name: str = "tunnel", *views: OpinionView) -> Recording:
    """The lab's tunnel is a black hole in that run."""
    one = lab(name)
    return Recording(replace(one.run, opinions=views or (WELL, SILENT)), one.observations)


def summary(recording: Recording, width: int = 80) -> str:
    judged = judge_run(recording.run, recording.observations)
    found = list(render(recording.run, recording.observations, judged, width))
    assert max(len(line) for _, line in found) <= width
    return " ".join(" ".join(line for _, line in found).split())


def markdown(recording: Recording) -> str:
    run, seen = recording.run, recording.observations
    return "\n".join(run_markdown(run, seen, judge_run(run, seen)))


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.sections: dict[str, list[str]] = {}
        self._in = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "section":
            self._in = dict(attrs).get("id") or ""

    def handle_data(self, data: str) -> None:
        self.sections.setdefault(self._in, []).append(data)


def section(recording: Recording, name: str) -> str:
    parser = _Text()
    parser.feed(page_of(recording).decode())
    return " ".join(" ".join(parser.sections.get(name, [])).split())


def test_the_summary_says_what_they_say_and_what_is_against_it() -> None:
    said = summary(told())
    assert "VERDICT tunnel is broken" in said
    assert (
        "opinion cfd calls tunnel well (4 connections to the edge, in fra08), and the run convicts "
        "it"
    ) in said
    assert "opinion what lb thinks of traefik is not known (it refuses connections)" in said
    clean = summary(told("clean"))
    assert "opinion cfd calls tunnel well (4 connections to the edge, in fra08)" in clean
    assert "the run" not in clean
    assert "opinion" not in summary(lab("clean"))


def test_markdown_says_it_too() -> None:
    said = markdown(told())
    assert "| opinion | segment | no evidence |" in said
    assert "| cfd | tunnel | cfd calls tunnel well (4 connections" in said
    assert "opinion" not in markdown(lab("tunnel"))


def test_the_page_has_a_row_for_each() -> None:
    said = section(told(), "opinions")
    assert "It is no evidence." in said
    assert "cfd tunnel healthy 4 connections to the edge, in fra08 CDN: fra08" in said
    assert "the run convicts it" in said
    assert "lb traefik unknown it refuses connections" in said
    assert "not compared" in said
    assert b'href="#opinions"' in page_of(told())
    assert b"opinions" not in page_of(lab("tunnel"))
    assert "agrees" in section(told("clean"), "opinions")


HOSTILE = OpinionView(
    name="<b>|x\x1b[31m", segment="tunnel\x1b", kind="k", opinion="healthy", steady=True,
    detail="<script>alert(1)</script> | `x` @here " + "long " * 4000, colos=("\x1b[0m" * 99,) * 99,
)  # fmt: skip


def test_foreign_text_does_nothing() -> None:
    one = told("tunnel", *[HOSTILE] * 200)
    said = summary(one)
    assert "\x1b" not in said
    assert b"<script>alert" not in page_of(one)
    assert "\x1b" not in section(one, "opinions")
    shown = markdown(one)
    assert "<script>" not in shown
    assert "@here" not in shown


def test_a_record_keeps_them_in_junit_and_in_a_log() -> None:
    one = told()
    name, value = run_property(one.run)
    file = (
        "<testsuites><testsuite><properties>"
        f"<property name='{name}' value={json.dumps(value).replace(chr(92) + chr(34), '&quot;')}/>"
        "</properties></testsuite></testsuites>"
    )
    import io

    again = parse_junit(io.BytesIO(file.encode()), "x.xml", None)
    assert again is not None
    assert again.run.opinions == (WELL, SILENT)
    log = parse_record(record_line(one.run, one.observations))
    assert log.run.opinions == (WELL, SILENT)
    assert summary(log) == summary(one)


def test_what_was_read_back_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    from t3probe import text

    text.keep("correct-horse-battery")
    one = told("tunnel", replace(SILENT, detail="its password is correct-horse-battery"))
    again = parse_record(record_line(one.run, one.observations))
    assert "correct-horse" not in again.run.opinions[0].detail


@pytest.mark.parametrize("words", [["verdict"], ["verdict", "--text"], ["report"]])
def test_the_commands_show_a_recorded_run(words: list[str], tmp_path: Path) -> None:
    one = told()
    log = tmp_path / "run.log"
    log.write_text(record_line(one.run, one.observations) + "\n")
    page = tmp_path / "page.html"
    more = ["-o", str(page)] if words == ["report"] else []
    done = subprocess.run(
        [sys.executable, "-m", "t3probe.cli", *words, str(log), *more],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    said = page.read_text() if more else done.stdout
    assert "4 connections to the edge, in fra08" in " ".join(said.split()), done.stderr
    if words == ["verdict"]:
        first, second = json.loads(said)["opinions"]
        assert (first["disagreement"], second["opinion"]) == ("opinion_only", "unknown")


# -- the colo of each leg


def with_colos(**colos: str) -> Recording:
    one = lab("clean")
    legs = tuple(replace(seen, colo=colos.get(seen.leg, "")) for seen in one.observations)
    return Recording(one.run, legs)


def test_the_summary_says_the_colo_of_each_leg() -> None:
    assert "colo FRA: edge, cloudflare" in summary(with_colos(edge="FRA", cloudflare="FRA"))
    both = with_colos(edge="FRA", cloudflare="AMS")
    assert "colo FRA: edge; AMS: cloudflare" in summary(both)
    assert " colo " not in summary(with_colos())
    assert "\x1b" not in summary(with_colos(edge="\x1b[31m" + "x" * 999))


def test_the_page_says_the_colo_of_each_leg() -> None:
    said = section(with_colos(edge="FRA", cloudflare="AMS"), "legs")
    assert said.count("CDN: FRA") == 1
    assert said.count("CDN: AMS") == 1


def test_places_in_words() -> None:
    assert at_places([]) == ""
    assert at_places([("a", ""), ("b", "FRA")]) == "FRA: b"
    many = at_places((f"leg{at}", "FRA") for at in range(30))
    assert many.endswith("19 more")
    assert at_places((f"leg{at}", str(at)) for at in range(30)).endswith("19 more")
