"""What programs said of themselves at the time, and the colo of each leg: in the answer, and no
part of the judgement."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
from explain_history import at
from explain_server import Samples
from test_explain_across_runs import run
from test_explain_prometheus import LOOKED, RUN, scrapes, series
from test_explain_prometheus import runs as metrics_runs

from t3probe.ask.explain.from_runs import run_seen
from t3probe.ask.explain.judge import Explained, explain
from t3probe.ask.explain.moment import Moment
from t3probe.ask.explain.report import Report, to_dict, to_lines
from t3probe.ask.explain.seen import way_of
from t3probe.ask.explain.window import Question
from t3probe.observation import OpinionView
from t3probe.record.facts import Recording
from t3probe.record.log import record_line

replace = msgspec.structs.replace
SERVE = OpinionView(
    name="lb", segment="serve", kind="traefik", opinion="healthy", steady=True,
    detail="app@file: 2 of 2 servers up", at=36.0,
)  # fmt: skip


def made(recording: Recording, *opinions: OpinionView, **colos: str) -> Recording:
    legs = tuple(replace(one, colo=colos.get(one.leg, one.colo)) for one in recording.observations)
    return Recording(replace(recording.run, opinions=opinions), legs)


def asked(*recordings: Recording, moment: float = at(1, 20)) -> Explained:
    runs = [run_seen(one) for one in recordings]
    question = Question(moment, 60.0, moment + 3600)
    return explain(question, runs, way_of(None, runs, (("devvm", "serve"),), "t3serve"))


def report(told: Explained) -> Report:
    when = Moment(told.question.at, None, "then")
    return Report(told, when, (), "runs", "x.log", None, ())


def text(told: Explained) -> str:
    lines = list(to_lines(report(told)))
    assert max(map(len, lines)) <= 80
    return " ".join(" ".join(lines).split())


DOWN = run(1, 1.0, 11.0, lost_at=15.0)
CLEAN = run(1, 1.0, 11.0, 21.0, 31.0)


def test_it_says_what_was_said_then_and_what_was_against_it() -> None:
    said = text(asked(made(DOWN, SERVE)))
    assert "What they said of themselves, which is no evidence:" in said
    assert "lb calls serve well (app@file: 2 of 2 servers up), and the run suspects it" in said
    assert "of themselves" not in text(asked(DOWN))
    elsewhere = made(run(9, 1.0, 11.0), SERVE)
    assert "of themselves" not in text(asked(DOWN, elsewhere)), "not of that time"


def test_the_json_form_has_both() -> None:
    told: dict[str, Any] = to_dict(report(asked(made(DOWN, SERVE, t3serve="FRA"))))
    (one,) = json.loads(json.dumps(told["opinions"]))
    assert (one["name"], one["opinion"], one["disagreement"]) == ("lb", "healthy", "opinion_only")
    assert one["at"] == at(1, 36)
    assert {leg["leg"]: leg["colos"] for leg in told["legs"]} == {"t3serve": ["FRA"], "devvm": []}


def test_no_opinion_changes_the_answer() -> None:
    for recording in (DOWN, CLEAN):
        for opinion in ("healthy", "degraded", "unhealthy", "unknown"):
            view = replace(SERVE, opinion=opinion)
            told, plain = (to_dict(report(asked(made(recording, *one)))) for one in ((view,), ()))
            assert told.pop("opinions")
            assert plain.pop("opinions") == []
            assert told == plain


def test_the_colo_of_each_leg_and_its_changes_are_said() -> None:
    assert "colo FRA: t3serve, devvm" in text(asked(made(CLEAN, t3serve="FRA", devvm="FRA")))
    assert "colo" not in text(asked(CLEAN))
    moved = text(
        asked(
            made(run(0, 1.0, 11.0, 21.0, 31.0), t3serve="FRA", devvm="FRA"),
            made(CLEAN, t3serve="AMS", devvm="FRA"),
            moment=at(1, 0),
        )
    )
    assert "colo FRA, then AMS: t3serve; FRA: devvm" in moved


def test_foreign_words_do_nothing() -> None:
    view = replace(SERVE, detail="\x1b[31m" + "word " * 999, name="\x1b")
    said = text(asked(made(DOWN, *[view] * 60, t3serve="\x1b[31mFRA" + "x" * 99)))
    assert "\x1b" not in said
    assert "and 52 more" in said


def test_the_command_shows_a_recorded_run(tmp_path: Path) -> None:
    one = made(DOWN, SERVE, t3serve="FRA")
    log = tmp_path / "run.log"
    log.write_text(record_line(one.run, one.observations) + "\n")
    done = subprocess.run(
        [
            sys.executable, "-m", "t3probe.cli", "explain", "--runs", str(log),
            "--at", str(int(at(1, 20))), "--leg", "t3serve",
        ],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    said = " ".join(done.stdout.split())
    assert "lb calls serve well (app@file: 2 of 2 servers up)" in said, done.stderr + done.stdout
    assert "colo FRA: t3serve" in said


def test_the_metrics_tell_of_them_too() -> None:
    def said(name: str, samples: Samples, **more: str) -> tuple[dict[str, str], Samples]:
        return series(name, samples, opinion="lb", segment="serve", **more)

    first, second, third = metrics_runs(
        series(RUN, scrapes(20, 80, 140)),
        series(LOOKED, scrapes(5, 40, 70), leg="t3serve"),
        said("t3probe_opinion_healthy", [(30.0, 1), (60.0, 0)]),
        said("t3probe_opinion_disagreement", scrapes(1, 0, 0), kind="opinion_only"),
        said("t3probe_opinion_disagreement", scrapes(0, 1, 0), kind="probe_only"),
    )
    (one,), (two,) = first.opinions, second.opinions
    assert (one.opinion, one.disagreement, one.at) == ("healthy", "opinion_only", 20)
    assert one.sentence == "lb calls serve well, and the run does not clear it"
    assert two.sentence == "lb calls serve broken, and the run clears it"
    assert third.opinions == ()  # it could not be had
