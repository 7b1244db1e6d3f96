"""Anybody can write a record: whatever it says, it clears nothing but its own last mile."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from explain_records import START, client_record, drop
from hypothesis import given
from hypothesis import strategies as st
from simulated_person import COLO, Evening
from verdict.simulated_world import Breaks

from t3probe.ask.explain.clients import client_at
from t3probe.ask.explain.from_runs import run_seen
from t3probe.ask.explain.judge import Explained, explain
from t3probe.ask.explain.moment import Moment
from t3probe.ask.explain.report import Report, to_dict, to_lines
from t3probe.ask.explain.seen import way_of
from t3probe.ask.explain.window import Question
from t3probe.record.client import read_client
from t3probe.record.facts import RecordError, Recording

BREAKS = (
    None,
    Breaks("traefik", "gone", 18.0, 24.0),
    Breaks("tunnel", "cut", 20.0, 20.1),
    Breaks("cf-edge", "silence", 16.0, 30.0),
    Breaks("dispatch", "drain", 15.0, 29.0),
)
RUNS: dict[Breaks | None, Recording] = {
    one: Evening([one] if one else [], seed=3).told()[0] for one in BREAKS
}
NAMES = ("slept", "frozen", "late", "hidden", "offline", "network", "stepped")
times = st.floats(-30.0, 70.0).map(lambda at: round(at, 1))
drops = st.builds(
    lambda some, **more: drop(*sorted(some), **more),
    st.lists(times, min_size=3, max_size=3),
    strand=st.sampled_from(["held", "fresh", "both"]),
    symptom=st.sampled_from(["down", "refusing", "cut", "blip", "unknown"]),
    reason=st.sampled_from(["connection_reset", "rtt_timeout", "gate_open", "stream_absent"]),
    age_seconds=st.none() | st.floats(0.0, 4000.0),
    edge_answered=st.sampled_from([None, True, False]),
)
gaps = st.builds(
    lambda kind, began, length: {"kind": kind, "began": START + began,
                                 "ended": None if length is None else START + began + length},
    st.sampled_from(NAMES), times, st.none() | st.floats(0.0, 60.0),
)  # fmt: skip


def in_order(some: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(some, key=lambda one: one["began"])


edges = st.fixed_dictionaries(
    {
        "at": st.just(START),
        "colo": st.sampled_from([COLO, "AMS", None]),
        "family": st.sampled_from([4, 6, None]),
    }
)
clocks = st.fixed_dictionaries(
    {"offset_seconds": st.floats(-9.0, 9.0), "within_seconds": st.floats(0.0, 3.0)}
)
records = st.builds(
    client_record,
    drops=st.lists(drops, max_size=4).map(in_order),
    gaps=st.lists(gaps, max_size=4).map(in_order),
    beats=st.lists(st.tuples(times.map(lambda at: START + at), st.none(), st.just(-1)), max_size=9),
    edges=st.lists(edges, max_size=2),
    clock=st.none() | clocks,
)


def answer(breaks: Breaks | None, at: float, *some: dict[str, Any]) -> Explained:
    """The answer to a question of so many seconds after the run's start."""
    question = Question(START + at, 60.0, START + 4000.0, max(1, len(some)))
    clients = [
        client_at(f"n{number}", read_client(msgspec.json.encode(one), "it"), START + at, 60.0,
                  (0.0, 0.0))
        for number, one in enumerate(some)
    ]  # fmt: skip
    seen = run_seen(RUNS[breaks], clients)
    return explain(question, [seen], way_of(None, [seen], (), None), clients)


@given(st.sampled_from(BREAKS[1:]), st.floats(5.0, 34.0), records)
def test_what_our_legs_convict_at_that_very_time_stays_accused(
    breaks: Breaks, at: float, record: dict[str, Any]
) -> None:
    alone, with_it = answer(breaks, at), answer(breaks, at, record)
    if alone.outage is not None and alone.outage.overlaps(START + at, START + at + 1):
        assert set(alone.convicted) <= set(with_it.convicted) | set(with_it.verdict.ambiguous)
        assert with_it.finding in ("ours", "ours_one_of", "both", "unclear")


@given(st.sampled_from(BREAKS), st.floats(5.0, 34.0), records)
def test_a_record_accuses_nothing_of_ours(
    breaks: Breaks | None, at: float, record: dict[str, Any]
) -> None:
    told = answer(breaks, at, record)
    broken = set() if breaks is None else {breaks.segment}
    assert set(told.verdict.convicted) <= {"last-mile", "shared-network", *broken}
    if told.finding in ("ours", "ours_one_of", "both"):
        assert breaks is not None


@given(st.sampled_from(BREAKS), st.floats(5.0, 34.0), st.lists(records, min_size=1, max_size=4))
def test_every_answer_can_be_told(
    breaks: Breaks | None, at: float, some: list[dict[str, Any]]
) -> None:
    told = answer(breaks, at, *some)
    report = Report(told, Moment(START + at, None, "then"), (), "runs", "here", None, ())
    assert all(len(line) <= 80 for line in to_lines(report))
    assert json.dumps(to_dict(report))


leaves = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9)
json_values: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=9,
)


@given(st.dictionaries(st.sampled_from(list(client_record())), json_values))
def test_what_is_no_record_is_refused_in_a_sentence(changes: dict[str, Any]) -> None:
    content = json.dumps({**client_record(), **changes}).encode()
    said = "expected"
    try:
        read_client(content, "it")
    except RecordError as error:
        said = str(error)
    assert "expected" in said
    assert "\n" not in said


def test_the_worst_that_a_record_can_hold_is_read_in_bounds() -> None:
    beats = [[START, 1, 1]] * 2001
    with pytest.raises(RecordError, match="a list of more than"):
        read_client(json.dumps(client_record(beats=beats)).encode(), "it")
