"""Scripted runs: beats of both strands and drops in a few words.

Unless told otherwise, every leg opens its connection at 0 s, beats on both strands at 10, 20 and
30 s, and each answer takes 0.1 s. Most scripts have a drop that is noticed at 15 s: all others
then beat at 15.01 s, and the second look is under way from 15.02 s to 15.2 s.
"""

from __future__ import annotations

from typing import Any

from t3probe.observation import (
    Attempt,
    Beat,
    Connection,
    Drop,
    Observation,
    RunRecord,
    Stage,
    Strand,
)
from t3probe.verdict.incident.run import Incident, RunVerdict, judge_run

HOST = "192.0.2.1:443"
TOOK = 0.1
CALLED = 15.01
"""When the common beat begins that the usual drop calls."""
_FRESH = 1000
"""Fresh beats have connections of their own, numbered from here by their time."""


def held(*sent: float, conn: int = 0, ok: bool = True, **more: Any) -> tuple[Beat, ...]:
    """Beats on the held connection."""
    return _beats("held", sent, ok=ok, conn=conn, **more)


def fresh(*sent: float, ok: bool = True, **more: Any) -> tuple[Beat, ...]:
    """Beats on connections of their own."""
    return _beats("fresh", sent, ok=ok, **more)


def opening(at: float, conn: int = 0, **more: Any) -> tuple[Beat, ...]:
    """The fresh beat whose connection is held from then on."""
    return _beats("fresh", (at,), conn=conn, **more)


def both(*sent: float, conn: int = 0, **more: Any) -> tuple[Beat, ...]:
    """A beat on each strand, at each of these moments."""
    return (*held(*sent, conn=conn, **more), *fresh(*sent, **more))


def usual(*, conn: int = 0, until: float = 35.0, since: float = 0.0) -> tuple[Beat, ...]:
    """The opening, and both strands at every heartbeat; no common beat."""
    return (
        *opening(since, conn),
        *both(*(at for at in (10.0, 20.0, 30.0) if since < at < until), conn=conn),
    )


def well(*called: float, since: float = 0.0) -> tuple[Beat, ...]:
    """A leg that is well all along and answered these common beats, on both strands."""
    return (*usual(since=since), *both(*(called or (CALLED,)), call=1))


def _beats(
    strand: Strand,
    sent: tuple[float, ...],
    *,
    took: float = TOOK,
    ok: bool = True,
    conn: int | None = None,
    **more: Any,
) -> tuple[Beat, ...]:
    return tuple(
        Beat(
            sent=at,
            ended=round(at + took, 6),
            ok=ok,
            conn=_FRESH + round(at * 1000) if conn is None else conn,
            strand=strand,
            **more,
        )
        for at in sent
    )


def down(began: float = 10.1, noticed: float = 15.0, **more: Any) -> Drop:
    """Neither the held connection nor a fresh one works. `stage`, `own`, `reason` and `accused` are
    those of the second look, whose words are the first attempt's too unless `first_...` says more;
    `second` is how long the second look takes, None: there was none."""
    return _failed("down", began, noticed, **more)


def refusing(began: float = 10.1, noticed: float = 15.0, **more: Any) -> Drop:
    """Fresh attempts fail, and the held connection answers."""
    return _failed("refusing", began, noticed, **({"strand": "fresh"} | more))


def _failed(
    symptom: Any,
    began: float,
    noticed: float,
    *,
    strand: Strand = "held",
    stage: Stage = "ask",
    first_stage: Stage | None = None,
    own: str = "",
    first_own: str = "",
    second: float | None = 0.2,
    second_reason: Any = "io_error",
    second_accused: str = "",
    answered: bool = False,
    address: str = HOST,
    **more: Any,
) -> Drop:
    attempt = Attempt(
        started=noticed + 0.02,
        ended=noticed + (second or 0.0),
        ok=False,
        stage=stage,
        reason=second_reason,
        carried=tuple(own.split()),
        accused=second_accused,
        remote_address=address,
    )
    first = first_stage or ("hold" if strand == "held" else stage)
    facts: dict[str, Any] = {"reason": "io_error", "conn": 0 if strand == "held" else None}
    facts |= {"asked": noticed, "call": 1, "remote_address": address}
    return Drop(
        began=began,
        noticed=noticed,
        symptom=symptom,
        stage=first,
        strand=strand,
        answered=answered,
        carried=tuple(first_own.split()),
        attempt=None if second is None else attempt,
        **(facts | more),
    )


def cut(began: float = 10.1, noticed: float = 15.0, **more: Any) -> Drop:
    """The held connection died, and a fresh one works at once."""
    facts: dict[str, Any] = {
        "strand": "held",
        "reason": "closed_by_peer",
        "conn": 0,
        "asked": noticed,
        "recovered": noticed + 0.2,
        "remote_address": HOST,
        "connection_age_seconds": noticed,
        "answered": True,
        "attempt": Attempt(started=noticed + 0.02, ended=noticed + 0.2, ok=True),
    }
    own = tuple(more.pop("own", "").split())
    return Drop(
        began=began,
        noticed=noticed,
        symptom="cut",
        stage="hold",
        call=1,
        carried=own,
        **(facts | more),
    )


def blip(began: float = 10.1, noticed: float = 15.0, **more: Any) -> Drop:
    """One fresh attempt fails, by a refusal unless told, and the next one works."""
    facts: dict[str, Any] = {
        "reason": "connect_refused",
        "stage": "connect",
        "asked": noticed - 0.02,
        "answered": True,
        "recovered": noticed + 0.2,
        "remote_address": HOST,
        "attempt": Attempt(started=noticed + 0.02, ended=noticed + 0.2, ok=True),
    }
    own = tuple(more.pop("own", "").split())
    return Drop(
        began=began,
        noticed=noticed,
        symptom="blip",
        call=1,
        strand="fresh",
        carried=own,
        **(facts | more),
    )


def unknown(began: float = 10.1, noticed: float = 15.0, **more: Any) -> Drop:
    """Nobody looked a second time."""
    return _failed("unknown", began, noticed, second=None, **more)


def leg(
    name: str,
    path: str,
    *facts: Any,
    level: Any = "hold",
    ends_at: str = "",
    address: str = HOST,
    opened: float | None = None,
    **more: Any,
) -> Observation:
    """A leg's observation from its beats and drops. Its held connections were opened by their
    first beat, the first one at `opened` where that is told."""
    drops = tuple(fact for fact in facts if isinstance(fact, Drop))
    beats = tuple(beat for fact in facts if isinstance(fact, tuple) for beat in fact)
    first: dict[int, float] = {}
    for beat in sorted(beats, key=lambda one: one.sent):
        if beat.conn < _FRESH:
            first.setdefault(beat.conn, beat.sent)
    if opened is not None and first:
        first[min(first)] = opened
    failed = any(not one.stalled and not one.lone for one in drops)
    lone = any(one.lone for one in drops)
    facts_: dict[str, Any] = {
        "outcome": "failed" if failed else "degraded" if lone else "passed",
        "ended": 35.0,
        "kind": "http",
        "connections": tuple(
            Connection(conn=conn, opened=at, remote_address=address) for conn, at in first.items()
        ),
    }
    return Observation(
        leg=name,
        path=tuple(path.split()),
        level=level,
        tcp_ends_at=ends_at,
        address=address,
        beats=beats,
        drops=drops,
        **(facts_ | more),
    )


def judge(
    *seen: Observation, segments: str = "wan a b c", own: str = "", spread: str = ""
) -> RunVerdict:
    record = RunRecord(
        segments=tuple(segments.split()),
        own_segments=tuple(own.split()),
        spread=tuple(spread.split()),
        started_at=1_700_000_000,
    )
    return judge_run(record, seen)


def only(run: RunVerdict) -> Incident:
    """The one incident of a run."""
    (incident,) = run.incidents
    return incident


def suspects(run: RunVerdict) -> str:
    """The suspect sets of a run's one incident, by drop: `wan|a b`."""
    return " ".join("|".join(one) for one in only(run).suspect_sets)
