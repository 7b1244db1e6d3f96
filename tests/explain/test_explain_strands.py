"""Which strand failed, as `explain` tells it from recorded runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from explain_asking import ask
from msgspec.structs import replace

from t3probe.ask.explain.report import WIDTH, to_dict, to_lines
from t3probe.observation import (
    RECORD_VERSION,
    Attempt,
    Beat,
    Drop,
    Observation,
    RunRecord,
    Symptom,
)
from t3probe.record.log import record_line

START = 1_700_000_000.0
WALL = "2023-11-14T22:13:40Z"


def beats(*sent: float, ok: bool = True, strand: str = "held") -> tuple[Beat, ...]:
    return tuple(
        Beat(sent=at, ended=at + 0.02, ok=ok, conn=0 if strand == "held" else 9, strand=strand)  # type: ignore[arg-type]
        for at in sent
    )


def drop(symptom: Symptom, recovered: float | None, lone: bool = False) -> Drop:
    again = Attempt(started=10.1, ended=10.3, ok=symptom in ("cut", "blip"))
    return Drop(
        began=5.02, noticed=10.02, reason="connect_refused", symptom=symptom, stage="connect",
        call=1, strand="held" if symptom in ("cut", "down") else "fresh", asked=10.0,
        answered=True, attempt=again, recovered=recovered, lone=lone,
    )  # fmt: skip


def run_of(folder: Path, *drops: Drop, accepting: bool = True, connected: bool = True) -> None:
    """One run: `whole` with these drops, and `front` beside it, which was well."""
    lone = all(one.lone for one in drops)
    whole = Observation(
        leg="whole", kind="ws_echo", path=("front", "back"), level="hold", ended=35.0,
        outcome="degraded" if lone else "failed", reason="connect_refused", observed_seconds=35.0,
        connected=connected, accepting=accepting, beats=beats(0.0, 5.0, 15.0, 25.0, 35.0),
        drops=drops,
    )  # fmt: skip
    front = Observation(
        leg="front", kind="http", path=("front",), outcome="passed", level="hold", ended=35.0,
        observed_seconds=35.0, connected=True, accepting=True,
        beats=(*beats(0.0, 5.0, 15.0, 25.0, 35.0), *beats(10.1, strand="fresh")),
    )  # fmt: skip
    run = RunRecord(
        version=RECORD_VERSION, segments=("front", "back"), paths=(("front", "back"),),
        started_at=START, duration_seconds=35.0, hold_seconds=35.0,
    )  # fmt: skip
    (folder / "run.log").write_text(record_line(run, (whole, front)) + "\n")


def told(folder: Path) -> tuple[str, list[str]]:
    """The state of `whole`, and the lines."""
    report = ask("--at", WALL, "--window", "17s", "--runs", str(folder), now=START + 1800)
    state = next(one["state"] for one in to_dict(report)["legs"] if one["leg"] == "whole")
    lines = list(to_lines(report))
    assert max(map(len, lines)) <= WIDTH == 80
    return state, lines


def row(lines: list[str]) -> str:
    return next(one for one in lines if one.startswith("whole "))


def test_a_leg_that_refuses_is_not_clean_and_cannot_be_overlooked(tmp_path: Path) -> None:
    run_of(tmp_path, drop("refusing", None), accepting=False)
    state, lines = told(tmp_path)
    assert state == "refusing"
    assert row(lines).startswith("whole             refusing")
    assert any(line.startswith("It was us: back broke, ") for line in lines)
    assert "accepted no new one" in " ".join(lines)


@pytest.mark.parametrize(
    ("symptom", "word"), [("refusing", "refused new"), ("cut", "was cut"), ("down", "was down")]
)
def test_of_a_leg_that_came_back_the_strand_is_told(
    symptom: Symptom, word: str, tmp_path: Path
) -> None:
    run_of(tmp_path, drop(symptom, 11.0))
    state, lines = told(tmp_path)
    assert state == "dropped"
    assert row(lines).split("  ")[0] == "whole"
    assert f" {word} " in row(lines)


def test_a_blip_that_stands_alone_leaves_a_leg_clean(tmp_path: Path) -> None:
    run_of(tmp_path, drop("blip", 10.3, lone=True))
    state, lines = told(tmp_path)
    assert state == "clean"
    assert row(lines).rstrip().endswith("-")


def test_what_a_legs_own_answer_cleared_counts_for_the_person_too(tmp_path: Path) -> None:
    """One of two legs over the same segments was answered by the first of them."""
    answered, silent = (
        Observation(
            leg=name, kind="ws_echo", path=("front", "back"), level="hold", ended=35.0,
            outcome="failed", reason="connect_refused", observed_seconds=35.0, connected=True,
            accepting=True, beats=beats(0.0, 5.0, 15.0, 25.0, 35.0),
            drops=(replace(drop("down", 14.0), carried=carried),),
        )
        for name, carried in (("answered", ("front",)), ("silent", ()))
    )  # fmt: skip
    run = RunRecord(
        version=RECORD_VERSION, segments=("front", "back"), paths=(("front", "back"),),
        started_at=START, duration_seconds=35.0, hold_seconds=35.0,
    )  # fmt: skip
    (tmp_path / "run.log").write_text(record_line(run, (answered, silent)) + "\n")
    report = ask("--at", WALL, "--window", "17s", "--runs", str(tmp_path), now=START + 1800)
    assert report.told.finding == "ours"
    assert report.told.convicted == ("back",)
