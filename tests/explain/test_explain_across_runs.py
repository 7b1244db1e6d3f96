"""Records of runs, one a minute: where one outage ends and the next one begins."""

from __future__ import annotations

from typing import Any

from explain_history import T3, at

from t3probe.ask.explain.from_runs import run_seen
from t3probe.ask.explain.seen import Outage, outages_of
from t3probe.observation import Attempt, Beat, Drop, Observation, RunRecord
from t3probe.record.facts import Recording

RTT = 0.03


def good(*sent: float, conn: int = 0) -> tuple[Beat, ...]:
    return tuple(Beat(sent=one, ended=one + RTT, ok=True, conn=conn, call=1) for one in sent)


def run(minute: int, *sent: float, lost_at: float | None = None) -> Recording:
    """A run in which t3serve answers these beats, and is down from then on. The machine works."""
    drops: tuple[Drop, ...] = ()
    if lost_at is not None:
        drops = (
            Drop(
                began=sent[-1] + RTT if sent else 0.5, noticed=lost_at, reason="connection_reset",
                symptom="down", stage="hold" if sent else "ask", call=2, conn=0 if sent else None,
                attempt=Attempt(started=lost_at, ended=lost_at + 0.1, ok=False, stage="connect"),
            ),
        )  # fmt: skip
    facts: dict[str, Any] = {"kind": "http", "level": "hold", "ended": 35.0}
    facts |= {"observed_seconds": 35.0}
    serve = Observation(
        leg="t3serve", path=("devvm", "serve"), beats=good(*sent), drops=drops,
        outcome="failed" if drops else "passed", connected=not drops, **facts,
    )  # fmt: skip
    called = () if lost_at is None else (lost_at + 0.01,)
    devvm = Observation(
        leg="devvm", path=("devvm",), beats=good(*sorted({1.0, 11.0, 21.0, 31.0, *called})),
        outcome="passed", connected=True, **facts,
    )  # fmt: skip
    record = RunRecord(
        deployment="t3", segments=T3.segments, paths=T3.paths, started_at=at(minute),
        duration_seconds=36.0, hold_seconds=35.0,
    )  # fmt: skip
    return Recording(record, (serve, devvm))


def outages(*runs: Recording) -> list[Outage]:
    return outages_of([run_seen(one) for one in runs])


def test_good_beats_at_the_start_of_the_next_run_end_an_outage() -> None:
    first, second = outages(
        run(0, 1.0, 11.0, 21.0, lost_at=25.0),
        run(1, 1.0, 11.0, lost_at=15.0),
        run(2, 1.0, 11.0, 21.0, 31.0),
    )
    assert (first.began, first.ended) == (at(0, 21 + RTT), at(1, 1 + RTT))
    assert (second.began, second.ended) == (at(1, 11 + RTT), at(2, 1 + RTT))


def test_without_a_good_beat_in_between_it_is_one_outage() -> None:
    (one,) = outages(
        run(0, 1.0, 11.0, 21.0, lost_at=25.0), run(1, lost_at=1.5), run(2, 1.0, 11.0, 21.0, 31.0)
    )
    assert (one.began, one.ended) == (at(0, 21 + RTT), at(2, 1 + RTT))
