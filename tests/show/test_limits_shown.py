"""A limit on age or silence is told wherever a run is told, and changes nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from record.record_values import junit_of

from t3probe.ask.explain.from_runs import run_seen
from t3probe.ask.explain.judge import explain
from t3probe.ask.explain.moment import read_moment
from t3probe.ask.explain.report import Report, to_dict, to_lines
from t3probe.ask.explain.seen import Way
from t3probe.ask.explain.window import Question
from t3probe.cli import main
from t3probe.deliver.metrics import families, rendered
from t3probe.observation import (
    Attempt,
    Beat,
    Connection,
    Drop,
    Observation,
    RunRecord,
    Silence,
)
from t3probe.record.facts import Recording
from t3probe.show.markdown import run_markdown
from t3probe.show.page.history import History
from t3probe.show.page.page import render_page
from t3probe.show.summary import render
from t3probe.verdict.incident.run import judge_run
from t3probe.verdict.repeated.repetition import from_runs
from t3probe.verdict.repeated.repetition import render as render_many

START = 1_800_000_000.0
HOST = "192.0.2.1:443"
SEGMENTS = ("tunnel", "hop")
SILENT = "what is silent for 5 s on public is cut at tunnel"
OLD = "each connection through tunnel ends after 20.1 s"


def run(number: int = 0) -> RunRecord:
    return RunRecord(
        version=2, deployment="d", segments=SEGMENTS, paths=(SEGMENTS,), duration_seconds=35.0,
        started_at=START + 61.0 * number + number * number, hold_seconds=35.0,
    )  # fmt: skip


def beats(conn: int, opened: float, until: float) -> tuple[Beat, ...]:
    """The opening of a held connection, and a beat at each multiple of ten seconds."""
    at = [opened, *(ten for ten in (10.0, 20.0, 30.0) if opened < ten < until)]
    return tuple(
        Beat(
            sent=one,
            ended=one + 0.1,
            ok=True,
            conn=conn,
            strand="held" if one > opened else "fresh",
        )
        for one in at
    )


def leg(name: str, *path: str) -> Observation:
    """One that was well, on one connection."""
    return Observation(
        leg=name, kind="ws_echo", path=path, outcome="passed", level="hold", tcp_ends_at=path[0],
        ended=35.0, observed_seconds=35.0, connected=True, accepting=True, address=HOST,
        connections=(Connection(conn=0, opened=0.0, remote_address=HOST),),
        beats=beats(0, 0.0, 35.0),
    )  # fmt: skip


def quiet(*dies: float) -> tuple[Silence, ...]:
    """Idle connections that die after 5 s each, the first question of each answered at once."""
    return tuple(
        Silence(
            conn=at, opened=one - 5.1, began=one - 5.0, ended=one, end="closed",
            reason="closed_by_peer", remote_address=HOST,
        )
        for at, one in enumerate(dies)
    )  # fmt: skip


INSIDE = replace(
    leg("inside", "hop"),
    silences=(
        Silence(
            conn=0, opened=0.0, began=0.1, ended=25.0, end="answered", remote_address=HOST
        ),
    ),
)  # fmt: skip
PUBLIC = replace(leg("public", *SEGMENTS), silences=quiet(5.1, 13.1, 21.1, 29.1))
WELL = [leg("public", *SEGMENTS), INSIDE]


def aged(at: float = 20.05) -> Observation:
    """The public leg, its connection closed at this age, and another one at once."""
    second = Attempt(started=at, ended=at + 0.1, ok=True)
    drop = Drop(
        began=10.1, noticed=at, reason="closed_by_peer", symptom="cut", stage="hold", call=1,
        strand="held", asked=at, answered=True, conn=0, connection_age_seconds=at,
        remote_address=HOST, recovered=at + 0.1, attempt=second,
    )  # fmt: skip
    return replace(
        leg("public", *SEGMENTS),
        outcome="failed",
        reason="closed_by_peer",
        drops=(drop,),
        connections=(
            Connection(conn=0, opened=0.0, remote_address=HOST),
            Connection(conn=1, opened=at, remote_address=HOST),
        ),
        beats=(*beats(0, 0.0, 15.0), *beats(1, at, 35.0)),
    )


MANY = [Recording(run(number), (aged(20.05 + number / 100), INSIDE)) for number in range(4)]


def test_one_run_tells_it_in_every_form() -> None:
    seen, record = [PUBLIC, INSIDE], run()
    judged = judge_run(record, seen)
    found = json.loads(json.dumps(judged.to_dict()))["limits"]
    assert [(one["kind"], one["legs"], one["at"], one["deaths"]) for one in found] == [
        ("silence", ["public"], "tunnel", 4)
    ]
    assert found[0]["text"].startswith(SILENT)
    assert found[0]["first"].startswith("2027-01-15T08:00:05.100")
    lines = " ".join(" ".join(line.split()) for _, line in render(record, seen, judged))
    assert f"limit {SILENT}" in lines
    assert any(SILENT in line for line in run_markdown(record, seen, judged))
    page = render_page(History.of([Recording(record, tuple(seen))])).decode()
    assert "What is silent for 5 s on public is cut at tunnel" in page
    text = rendered(families(record, seen, judged)).decode()
    assert 't3probe_connection_limit_seconds{kind="silence",leg="public"} 5.0' in text


def test_it_changes_nothing_else() -> None:
    judged, plain = judge_run(run(), [PUBLIC, INSIDE]), judge_run(run(), WELL)
    told = judged.to_dict()
    del told["limits"]
    assert told == plain.to_dict()
    assert (judged.verdict, judged.incidents) == (plain.verdict, ())
    assert "limits" not in plain.to_dict()
    assert "limit" not in " ".join(line for _, line in render(run(), WELL, plain))


def test_a_polite_close_is_no_series() -> None:
    polite = tuple(replace(one, polite=True, reason=None) for one in PUBLIC.silences)
    seen = [replace(PUBLIC, kind="http", silences=polite), INSIDE]
    judged = judge_run(run(), seen)
    assert "a keep-alive timeout, and no fault" in judged.limit_texts[0]
    text = rendered(families(run(), seen, judged)).decode()
    assert "t3probe_connection_limit_seconds{" not in text


def test_what_stalled_or_is_planned_or_told_nothing_shows_none() -> None:
    late = tuple(replace(one, stalled=True) for one in PUBLIC.silences)
    for changed in (
        replace(PUBLIC, silences=late),
        replace(PUBLIC, planned="until noon"),
        replace(PUBLIC, outcome="inconclusive"),
        replace(PUBLIC, silences=PUBLIC.silences[:2]),
    ):
        assert judge_run(run(), [changed, INSIDE]).limits == ()


def test_many_runs_show_an_age_that_one_does_not() -> None:
    assert all(judge_run(one.run, one.observations).limits == () for one in MANY)
    found = from_runs(MANY)
    assert [one.at for one in found.limits] == ["tunnel"]
    assert found.to_dict()["limits"][0]["text"].startswith(OLD)
    assert OLD in " ".join(" ".join(line.split()) for line in render_many(found))
    assert from_runs([*MANY[:2], *MANY[:2]]).limits == ()
    assert "Over all runs, each connection through tunnel" in render_page(History.of(MANY)).decode()


def test_explain_says_that_a_person_meets_it_too() -> None:
    at = MANY[3].run.started_at + 10.0
    way = Way(segments=SEGMENTS, source="a test")
    question = Question(at=at, window=60.0, now=at + 600.0)
    told = explain(question, [run_seen(one) for one in MANY], way)
    when = read_moment(str(int(at)), at + 600.0)
    report = Report(told, when, (), "runs", "here", None, ())
    lines = " ".join(" ".join(line.split()) for line in to_lines(report))
    assert OLD in lines
    assert "a connection of the person so old is cut there, too" in lines
    assert to_dict(report)["limits"][0]["at"] == "tunnel"
    elsewhere = explain(question, [run_seen(one) for one in MANY], Way(segments=("x",), source=""))
    assert elsewhere.limits == ()


def test_a_record_keeps_silences_and_the_command_reads_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.xml"
    file.write_text(junit_of(run(), [PUBLIC, INSIDE]))
    assert main(["verdict", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["limits"][0]["text"].startswith(SILENT)
    assert main(["verdict", "--text", str(file)]) == 0
    assert "limit" in capsys.readouterr().out
