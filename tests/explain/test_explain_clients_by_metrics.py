"""A person's record beside metrics, which know no beats: what was looked at for the whole of it."""

from __future__ import annotations

import msgspec
from explain_records import START, client_record, drop
from verdict.simulated_world import PAGE, PEOPLE

from t3probe.ask.explain.clients import client_at
from t3probe.ask.explain.judge import Explained, explain
from t3probe.ask.explain.seen import DropSeen, LegSeen, RunSeen, way_of
from t3probe.ask.explain.window import Question
from t3probe.record.client import read_client

WAY = tuple(PEOPLE[PAGE].path.split()[1:])


def told(*drops: DropSeen, ended: float = 60.0) -> Explained:
    """The answer to a cut after 20 s, where the public leg was looked at until `ended`."""
    leg = LegSeen(
        name="cloudflare", path=WAY, kind="ws_echo", began=START, ended=START + ended,
        seconds=ended, connected=True, drops=drops,
    )  # fmt: skip
    run = RunSeen(
        began=START, ended=START + ended, vantage="", complete=True, lag_seconds=0.0,
        segments=WAY, legs=(leg,), incidents=(),
    )  # fmt: skip
    record = client_record(drops=[drop(18.0, 20.0, 20.3)])
    at = START + 20.0
    client = client_at("one", read_client(msgspec.json.encode(record), "it"), at, 60.0, (0.0, 0.0))
    question = Question(at, 60.0, at + 4000.0)
    return explain(question, [run], way_of(None, [run], (), None), [client])


def test_a_leg_that_was_looked_at_all_the_time_leaves_the_last_mile_unproven() -> None:
    found = told()
    assert (found.finding, found.proven) == ("last_mile", False)
    assert found.verdict.convicted == ("last-mile",)


def test_a_run_that_ended_meanwhile_tells_nothing() -> None:
    found = told(ended=19.0)
    assert found.finding in ("unclear", "not_observed")
    assert "last-mile" not in found.verdict.convicted


def test_a_leg_that_dropped_clears_nothing() -> None:
    fell = DropSeen(reason="io_error", began=START + 40.0, ended=START + 41.0)
    found = told(fell)
    assert found.finding == "unclear"
    assert "last-mile" not in found.verdict.convicted
