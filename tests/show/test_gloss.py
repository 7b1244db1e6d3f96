"""A segment's gloss stands in every sentence that names it, unless it says that it is cleared."""

from __future__ import annotations

import argparse
import re
from datetime import UTC
from pathlib import Path

import msgspec
import pytest

from t3probe.ask.explain.from_prometheus import _found as states_found
from t3probe.ask.explain.from_runs import run_seen
from t3probe.ask.explain.judge import explain
from t3probe.ask.explain.moment import Moment
from t3probe.ask.explain.report import Report
from t3probe.ask.explain.report import to_lines as explained
from t3probe.ask.explain.seen import Way
from t3probe.ask.explain.sentences import blind_spots, doubts, headline, send_back
from t3probe.ask.explain.window import Question
from t3probe.ask.forensics.beside import Beside
from t3probe.ask.forensics.bursts import Burst
from t3probe.ask.forensics.report import beside_text, cause
from t3probe.ask.mcp_server.of_group import OfGroup
from t3probe.cli import main
from t3probe.commands.mcp import _sources
from t3probe.commands.mcp import add as add_mcp
from t3probe.config import load
from t3probe.deliver.metrics.carry import Family
from t3probe.observation import RECORD_VERSION, Beat, Drop, Observation, RunRecord
from t3probe.record.facts import Recording
from t3probe.record.log import record_line
from t3probe.setup.init import _tell_about
from t3probe.show.annotations import of_comparison
from t3probe.show.compare.difference import compare
from t3probe.show.markdown import run_markdown
from t3probe.show.page.history import History
from t3probe.show.page.page import render_page
from t3probe.show.summary import render
from t3probe.text.words import glossed
from t3probe.verdict.gate import sentences as gate_sentences
from t3probe.verdict.incident.run import judge_run
from t3probe.verdict.repeated.repetition import from_runs
from t3probe.verdict.repeated.repetition import render as render_repetition
from t3probe.verdict.slow.excess import Delay, Explanations
from t3probe.verdict.slow.latency import Latency
from t3probe.verdict.slow.slowness import _said as slowness_said

T3 = str(Path(__file__).resolve().parents[2] / "deployments" / "t3.toml")
GLOSS = {"tunnel": "or what the CDN does with this path, which nobody can tell from here"}
TUNNEL = f"tunnel ({GLOSS['tunnel']})"
RUN = RunRecord(
    version=RECORD_VERSION,
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
    assert f"At least one of {TUNNEL} or app broke." in pages[1]


def test_explain_says_it() -> None:
    run = run_seen(Recording(RUN, tuple(CONVICTED)))
    question = Question(1.7e9 + 3, 5, 1.7e9 + 100)
    told = explain(question, [run], Way(segments=("wan", "tunnel", "app"), source=""))
    when = Moment(1.7e9 + 3, UTC, "then")
    assert f"It was us: {TUNNEL} broke" in headline(told, when)
    assert GLOSS["tunnel"] in send_back(told, when, [])


def test_the_gate_says_it() -> None:
    def said(*seen: Observation, gate: str = "tunnel") -> list[str]:
        return gate_sentences(judge_run(RUN, seen).verdict, [gate], GLOSS)

    assert said(*CONVICTED) == [f"closed: {TUNNEL} convicted"]
    assert said(*SUSPECT) == [
        f"closed: {TUNNEL} cannot be cleared; app may have broken in their place"
    ]
    assert said(*SUSPECT, gate="app") == [
        f"closed: app cannot be cleared; {TUNNEL} may have broken in their place"
    ]
    assert said(passed("wan"))[0].startswith(f"closed: {TUNNEL} cannot be cleared, no leg")
    assert said(passed("wan", "tunnel")) == ["open: tunnel cleared"]


def test_the_gate_of_a_run_and_of_its_record_say_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.log"
    file.write_text(record_line(RUN, CONVICTED) + "\n")
    assert main(["verdict", str(file), "--text", "--gate", "tunnel"]) == 1
    assert f"gate closed: {TUNNEL} convicted" in one_line(capsys.readouterr().out.splitlines())


def test_what_nobody_saw_or_what_is_behind_says_it() -> None:
    seen = [passed("wan", "app")]
    lines = terminal(*seen)
    assert f"not observed {TUNNEL}" in one_line(lines)
    text = "\n".join(run_markdown(RUN, seen, judge_run(RUN, seen)))
    assert f"| not seen | {TUNNEL} |" in text
    page = render_page(History.of([Recording(RUN, tuple(seen))])).decode()
    assert f"{TUNNEL} (unobserved)" in page
    assert f"unobserved: {TUNNEL} (on no leg" in page


def test_what_is_masked_says_it() -> None:
    seen = [failed("app"), msgspec.structs.replace(failed("tunnel", "app"), leg="whole")]
    assert f"masked {TUNNEL}" in one_line(terminal(*seen))
    page = render_page(History.of([Recording(RUN, tuple(seen))])).decode()
    assert f"<dd>{TUNNEL}</dd>" in page
    run = run_seen(Recording(RUN, tuple(seen)))
    way = Way(segments=("wan", "tunnel", "app"), source="")
    told = explain(Question(1.7e9 + 3, 5, 1.7e9 + 100), [run], way)
    when = Moment(1.7e9 + 3, UTC, "then")
    lines = one_line(list(explained(Report(told, when, (), "runs", "x", None, ()))))
    assert f"masked last-mile, wan, {TUNNEL}" in lines


def test_what_other_incidents_convicted_says_it() -> None:
    app = msgspec.structs.replace(failed("app"), leg="in")
    (drop,) = app.drops
    first = msgspec.structs.replace(app, drops=(msgspec.structs.replace(drop, began=1.0),))
    page = render_page(History.of([Recording(RUN, (first, failed("tunnel")))])).decode()
    assert f"1 more incident in this run, which convicted {TUNNEL}." in page


def test_what_segments_take_says_it() -> None:
    slowness = judge_run(RUN, CONVICTED).slowness
    slowness.__dict__["latency"] = Latency({"tunnel": 0.5}, ((("wan", "tunnel"), 1.0),))
    assert slowness.latency_text == f"{TUNNEL} adds 500 ms, wan + {TUNNEL} add 1 s"


def test_what_init_cannot_tell_apart_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    deployment = load(T3, {}, now=0.0)
    legs = tuple(one for one in deployment.legs if one.name == "cloudflare")
    _tell_about(msgspec.structs.replace(deployment, legs=legs), {}, "-")
    words = deployment.gloss["tunnel"]
    assert f"cf-edge, tunnel ({words}), traefik" in capsys.readouterr().err


def test_a_gateway_is_told_it_by_the_deployment_file() -> None:
    parser = argparse.ArgumentParser()
    add_mcp(parser.add_subparsers())
    asked = ["mcp", "--gateway", "http://127.0.0.1:9", "--deployment", T3]
    assert _sources(parser.parse_args(asked)).gloss == load(T3, {}, now=0.0).gloss


def test_annotations_of_a_comparison_say_it() -> None:
    before, after = Recording(RUN, (passed("wan", "tunnel", "app"),)), Recording(RUN, (*CONVICTED,))
    said = list(of_comparison(compare(before, after, ["app"])))
    assert f"::warning title=tunnel::{TUNNEL}: cleared before, convicted after" in said


def test_slowness_says_it() -> None:
    tunnel, app = Delay(("tunnel",), 1.0, 1.0, 1.0), Delay(("app",), 1.0, 1.0, 1.0)
    slow = Explanations(((tunnel,),), (tunnel,), ())
    assert slowness_said(slow, lambda _: ["public"], GLOSS) == (
        f"{TUNNEL} is slow and adds 1 s to public"
    )
    rest = Explanations(((tunnel,), (app,)), (), ())
    assert slowness_said(rest, lambda _: [], GLOSS) == f"one of {TUNNEL} or app is slow"


def test_repetition_says_it() -> None:
    runs = [
        Recording(msgspec.structs.replace(RUN, started_at=1.7e9 + at), tuple(CONVICTED))
        for at in range(30)
    ]
    assert f"REPETITION {TUNNEL} is broken" in one_line(list(render_repetition(from_runs(runs))))


def test_forensics_says_it() -> None:
    burst = Burst(0, 0, 5, (), ("tunnel", "app"), True, False, "sure")
    assert cause(burst, GLOSS) == f"one shared segment broke: {TUNNEL} or app (sure)"
    assert cause(burst._replace(one_cause=False), GLOSS).endswith(f"{TUNNEL} and app are suspect")
    beside = Beside(("now",), (), {"x": ("app",)})
    assert beside_text(("tunnel", "app"), beside, GLOSS)[-1] == (
        f"so app carried the probe; left: {TUNNEL}"
    )


def test_explain_says_it_of_what_is_not_cleared() -> None:
    looked = msgspec.structs.replace(passed("wan", "app"), ended=10.0, observed_seconds=10.0)
    run = run_seen(Recording(RUN, (looked,)))
    way = Way(segments=("wan", "tunnel", "app"), source="")
    when = Moment(1.7e9 + 3, UTC, "then")
    one = explain(Question(1.7e9 + 3, 5, 1.7e9 + 100), [run], way)
    assert f"but {TUNNEL} was not observed" in headline(one, when)
    assert any(said.startswith(f"{TUNNEL}: ") for said in doubts(one, when))
    three = explain(Question(1.7e9 + 3, 5, 1.7e9 + 100, people=3), [run], way)
    assert blind_spots(three)[0].startswith(f"{TUNNEL}: on no leg")


def test_the_metrics_get_it_from_the_file() -> None:
    assert states_found({"convicted": ("tunnel",), "ambiguous": ()}, GLOSS) == (
        f"{TUNNEL} is convicted"
    )
    key = (("segment", "tunnel"), ("state", "convicted"))
    group = {"t3probe_segment_state": Family("gauge", series={key: 1.0})}
    found = OfGroup("the gateway", "", group, {}, gloss=GLOSS)
    assert found.verdict(found.source(1.7e9)).sentence == f"{TUNNEL} is broken"


def test_a_record_without_it_reads_as_before() -> None:
    plain = msgspec.structs.replace(RUN, gloss={})
    (incident,) = judge_run(plain, CONVICTED).incidents
    assert incident.finding == "public was down: tunnel is convicted"
    assert glossed(["a"], {}) == ["a"]
    assert msgspec.json.decode(msgspec.json.encode(RUN), type=RunRecord).gloss == GLOSS
