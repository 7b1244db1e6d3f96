"""Scripted runs: beats and drops in a few words."""

from __future__ import annotations

from typing import Any

from t3probe.observation import Attempt, Beat, Drop, Observation, RunRecord
from t3probe.verdict import RunVerdict, judge_run


def good(*sent: float, conn: int = 0, call: int = 0) -> tuple[Beat, ...]:
    return tuple(Beat(sent=at, ended=at + 0.1, ok=True, conn=conn, call=call) for at in sent)


def bad(sent: float, conn: int = 0, **more: Any) -> tuple[Beat, ...]:
    return (Beat(sent=sent, ended=sent + 0.1, ok=False, conn=conn, **more),)


def down(began: float, noticed: float, *, stage: Any = "ask", call: int = 1, **more: Any) -> Drop:
    """A drop whose new attempt failed, at `stage`."""
    return Drop(
        began=began,
        noticed=noticed,
        symptom="down",
        stage="hold",
        call=call,
        attempt=Attempt(started=noticed, ended=noticed + 0.2, ok=False, stage=stage),
        **({"conn": 0, "reason": "connection_reset"} | more),
    )


def cut(began: float, noticed: float, *, call: int = 1, **more: Any) -> Drop:
    """A drop whose new attempt worked at once."""
    more = {"recovered": noticed + 0.2, "symptom": "cut", "conn": 0} | more
    more = {"reason": "closed_by_peer"} | more
    return Drop(
        began=began,
        noticed=noticed,
        stage="hold",
        call=call,
        attempt=Attempt(started=noticed, ended=noticed + 0.2, ok=True),
        **more,
    )


def leg(name: str, path: str, *facts: Any, level: Any = "hold", **more: Any) -> Observation:
    """A leg's observation from its beats and drops."""
    drops = tuple(fact for fact in facts if isinstance(fact, Drop))
    beats = tuple(beat for fact in facts if isinstance(fact, tuple) for beat in fact)
    outcome = "failed" if any(not one.stalled for one in drops) else "passed"
    return Observation(
        leg=name,
        path=tuple(path.split()),
        level=level,
        beats=beats,
        drops=drops,
        **({"outcome": outcome, "ended": 35.0, "kind": "http"} | more),
    )


def judge(*seen: Observation, segments: str = "wan a b c", own: str = "") -> RunVerdict:
    record = RunRecord(
        segments=tuple(segments.split()), own_segments=tuple(own.split()), started_at=1_700_000_000
    )
    return judge_run(record, seen)
