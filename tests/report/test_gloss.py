"""A segment's gloss stands in every sentence that says it broke or may have."""

from __future__ import annotations

import re
from datetime import UTC

import msgspec

from t3probe.explain.from_runs import run_seen
from t3probe.explain.judge import Question, explain
from t3probe.explain.moment import Moment
from t3probe.explain.seen import Way
from t3probe.explain.words import headline, send_back
from t3probe.markdown import run_markdown
from t3probe.observation import Beat, Drop, Observation, RunRecord
from t3probe.record.facts import Recording
from t3probe.report.history import History
from t3probe.report.page import render_page
from t3probe.summary import render
from t3probe.verdict import judge_run
from t3probe.words import glossed

GLOSS = {"tunnel": "or what the CDN does with this path, which nobody can tell from here"}
TUNNEL = f"tunnel ({GLOSS['tunnel']})"
RUN = RunRecord(
    deployment="x",
    segments=("wan", "tunnel", "app"),
    gloss=GLOSS,
    started_at=1.7e9,
    duration_seconds=10.0,
    hold_seconds=10.0,
    heartbeat_seconds=1.0,
    watchdog_seconds=2.0,
)


def failed(*path: str) -> Observation:
    drop = Drop(
        began=2.0,
        noticed=3.0,
        reason="rtt_timeout",
        symptom="down",
        stage="ask",
        call=1,
        strand="held",
    )
    return Observation(
        leg="public", kind="ws_echo", path=path, outcome="failed", drops=(drop,), ended=10.0
    )


def passed(*path: str) -> Observation:
    beats = tuple(
        Beat(sent=float(at), ended=at + 0.1, ok=True, conn=0, strand="held") for at in range(10)
    )
    return Observation(
        leg="other", kind="ws_echo", path=path, outcome="passed", beats=beats, level="hold"
    )


CONVICTED = [failed("tunnel"), passed("wan", "app")]
SUSPECT = [failed("tunnel", "app"), passed("wan")]


def terminal(*seen: Observation) -> list[str]:
    return [line for _, line in render(RUN, seen, judge_run(RUN, seen))]


def one_line(lines: list[str]) -> str:
    return re.sub(r"\s+", " ", " ".join(lines))


def test_the_terminal_says_it_and_fits() -> None:
    lines = terminal(*CONVICTED)
    assert f"VERDICT {TUNNEL} is broken" in one_line(lines)
    assert f"convicted {TUNNEL}" in one_line(lines)
    assert max(map(len, lines)) <= 80
    assert f"one of {TUNNEL}, app" in one_line(terminal(*SUSPECT))
    assert max(map(len, terminal(*SUSPECT))) <= 80


def test_a_cleared_segment_needs_none() -> None:
    said = one_line(terminal(passed("wan", "tunnel", "app")))
    assert "tunnel" in said
    assert "CDN" not in said


def test_findings_of_incidents_say_it() -> None:
    (incident,) = judge_run(RUN, CONVICTED).incidents
    assert incident.finding == f"public was down: {TUNNEL} is convicted"
    (incident,) = judge_run(RUN, SUSPECT).incidents
    assert f"one of {TUNNEL} or app broke" in incident.finding


def test_markdown_says_it() -> None:
    text = "\n".join(run_markdown(RUN, CONVICTED, judge_run(RUN, CONVICTED)))
    assert text.count(TUNNEL) == 2
    text = "\n".join(run_markdown(RUN, SUSPECT, judge_run(RUN, SUSPECT)))
    assert f"| one of | {TUNNEL}, app |" in text


def test_the_page_says_it() -> None:
    pages = [
        render_page(History.of([Recording(RUN, tuple(seen))])).decode()
        for seen in (CONVICTED, SUSPECT)
    ]
    assert f"<h1>{TUNNEL} is broken</h1>" in pages[0]
    assert f"one of {TUNNEL} or app broke." in pages[1]
    assert f"At least one of {TUNNEL}, app broke." in pages[1]


def test_explain_says_it() -> None:
    run = run_seen(Recording(RUN, tuple(CONVICTED)))
    question = Question(1.7e9 + 3, 5, 1.7e9 + 100)
    told = explain(question, [run], Way(segments=("wan", "tunnel", "app"), source=""))
    when = Moment(1.7e9 + 3, UTC, "then")
    assert f"It was us: {TUNNEL} broke" in headline(told, when)
    assert GLOSS["tunnel"] in send_back(told, when, [])


def test_a_record_without_it_reads_as_before() -> None:
    plain = msgspec.structs.replace(RUN, gloss={})
    (incident,) = judge_run(plain, CONVICTED).incidents
    assert incident.finding == "public was down: tunnel is convicted"
    assert glossed(["a"], {}) == ["a"]
    assert msgspec.json.decode(msgspec.json.encode(RUN), type=RunRecord).gloss == GLOSS
