"""A run as a trace: its shape, its ids, its bounds, and that the record alone makes it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from trace_receiver import attributes

from t3probe.deliver.traces.build import MOST_LEGS, MOST_SPANS, run_trace, trace_of_run
from t3probe.deliver.traces.span import CLIENT, INTERNAL, Trace, TraceSpan
from t3probe.deliver.traces.wire import encoded
from t3probe.exchange.trace_ids import Parents, span_id, trace_id
from t3probe.observation import (
    REASONS,
    Attempt,
    AttemptPhase,
    Baseline,
    Beat,
    Connection,
    Drop,
    Observation,
    RunRecord,
)
from t3probe.record.facts import decoded, leg_property, run_property
from t3probe.verdict.incident.run import judge_run

RUN = RunRecord(
    version=2, deployment="mine", segments=("front", "back"), paths=(("front", "back"),),
    started_at=1_700_000_000.123456, duration_seconds=12.0, hold_seconds=10.0, vantage="attic",
    heartbeat_seconds=2.0, watchdog_seconds=4.0,
)  # fmt: skip
ZERO = 1_700_000_000_123_456_000
"""The same in nanoseconds."""
PHASES = (
    AttemptPhase(name="resolve", started=0.0, seconds=0.01),
    AttemptPhase(name="connect", started=0.01, seconds=0.02),
    AttemptPhase(name="tls", started=0.03, seconds=0.03),
    AttemptPhase(name="upgrade", started=0.06, seconds=0.04),
)


def beat(sent: float, took: float = 0.01, **more: Any) -> Beat:
    more = {"ok": True, "conn": 0, "strand": "held", **more}
    return Beat(sent=sent, ended=round(sent + took, 6), **more)


def good(leg: str, path: tuple[str, ...], **more: Any) -> Observation:
    opening = beat(0.01, 0.1, strand="fresh", phases=PHASES)
    beats = (opening, *(beat(2.0 * n) for n in range(1, 5)))
    facts = {
        "kind": "ws_echo", "outcome": "passed", "level": "hold", "beats": beats, "ended": 8.01,
        "connections": (Connection(conn=0, opened=0.0, remote_address="10.0.0.5:443"),),
        "address": "10.0.0.5:443", "server": "app.example:443", **more,
    }  # fmt: skip
    return Observation(leg=leg, path=path, **facts)


def failed(leg: str, path: tuple[str, ...]) -> Observation:
    """Cut at 4 s; the second look found nobody."""
    look = Attempt(
        started=4.5, ended=4.6, ok=False, reason="connect_refused", stage="connect",
        detail="TCP connect to 10.0.0.5:443: refused", remote_address="10.0.0.5:443",
    )  # fmt: skip
    refused = AttemptPhase(name="connect", started=4.5, seconds=0.1, failed=True)
    drop = Drop(
        began=2.01, noticed=4.4, reason="connection_reset", symptom="down", stage="hold", call=1,
        strand="held", asked=4.0, answered=True, detail="connection reset", conn=0,
        connection_age_seconds=4.4, remote_address="10.0.0.5:443", attempt=look,
    )  # fmt: skip
    fresh = {"ok": False, "strand": "fresh"}
    beats = (
        beat(0.01, 0.1, strand="fresh", phases=PHASES),
        beat(2.0),
        beat(4.0, 0.4, ok=False, reason="connection_reset"),
        beat(4.5, 0.1, **fresh, conn=1, reason="connect_refused", phases=(refused,)),
        beat(6.0, 0.1, **fresh, conn=2, reason="connect_timeout"),
    )  # fmt: skip
    return good(leg, path, outcome="failed", reason="connection_reset", detail="connection reset",
                beats=beats, drops=(drop,), connected=False, accepting=False)  # fmt: skip


SEEN = [good("whole", ("front", "back")), failed("inside", ("back",))]


def made(*seen: Observation, run: RunRecord = RUN) -> Trace:
    return run_trace(run, seen, judge_run(run, seen))


def by_name(trace: Trace) -> dict[str, TraceSpan]:
    return {one.name: one for one in trace.spans}


def children(trace: Trace, of: TraceSpan) -> list[TraceSpan]:
    return [one for one in trace.spans if one.parent == of.id]


def test_one_span_for_the_run_one_for_each_leg_and_below_them_what_stands_out() -> None:
    trace = made(*SEEN)
    root, *_ = trace.spans
    assert (root.name, root.parent, root.kind) == ("t3probe run", "", INTERNAL)
    assert {one.name for one in children(trace, root)} == {"leg whole", "leg inside"}
    whole, inside = by_name(trace)["leg whole"], by_name(trace)["leg inside"]
    # A leg that is well has its opening's phases, and no beat of its own.
    assert [(one.name, one.kind) for one in children(trace, whole)] == [
        ("resolve", INTERNAL), ("connect", CLIENT), ("tls", CLIENT), ("upgrade", CLIENT)
    ]  # fmt: skip
    assert [one.name for one in whole.events] == ["fresh beat", *["held beat"] * 4]
    beats = [one for one in children(trace, inside) if "beat" in one.name]
    assert [(one.name, one.attributes["error.type"], one.failed) for one in beats] == [
        ("held beat", "connection_reset", "connection reset"),
        ("fresh beat", "connect_refused", "TCP connect to 10.0.0.5:443: refused"),
        ("fresh beat", "connect_timeout", ""),
    ]
    (connect,) = children(trace, beats[1])
    assert (connect.name, connect.started, connect.attributes["error.type"]) == (
        "connect", 4.5, "connect_refused"
    )  # fmt: skip
    assert connect.failed is not None
    (drop,) = (one for one in inside.events if one.name == "drop")
    assert (drop.at, drop.attributes["t3probe.symptom"]) == (4.4, "down")


def test_statuses_reasons_and_the_verdict() -> None:
    maybe = good("maybe", ("front",), outcome="inconclusive", reason="prober_stalled")
    half = good("half", ("front",), outcome="degraded", reason="connect_refused")
    trace = made(*SEEN, maybe, half)
    root, spans = trace.spans[0], by_name(trace)
    assert root.failed is not None
    assert root.attributes["error.type"] == "connection_reset"
    assert root.attributes["test.suite.run.status"] == "failure"
    assert root.attributes["t3probe.verdict.status"] == "localised"
    assert root.attributes["t3probe.verdict.convicted"] == ("back",)
    assert "back is convicted" in str(root.attributes["t3probe.verdict.text"])
    assert spans["leg inside"].failed == "connection_reset: connection reset"
    for leg, result in (("whole", "pass"), ("maybe", "inconclusive"), ("half", "degraded")):
        span = spans[f"leg {leg}"]
        assert span.failed is None  # unset: neither well nor an error
        assert "error.type" not in span.attributes
        assert span.attributes["test.case.result.status"] == result
    assert spans["leg half"].attributes["t3probe.reason"] == "connect_refused"
    assert spans["leg whole"].attributes["server.address"] == "app.example"
    assert spans["leg whole"].attributes["network.peer.port"] == 443


def test_a_planned_leg_is_no_error() -> None:
    planned = replace(failed("inside", ("back",)), planned="the disk is replaced")
    trace = made(SEEN[0], planned)
    assert trace.spans[0].failed is None
    assert by_name(trace)["leg inside"].failed is None


def test_a_slow_beat_has_a_span_and_an_ordinary_one_has_none() -> None:
    slow = good("whole", ("front",), beats=(*(beat(2.0 * n) for n in range(5)), beat(10.0, 0.2)))
    trace = made(slow)
    (span,) = (one for one in trace.spans if one.name == "held beat")
    assert span.started == 10.0
    assert span.failed is None
    usual = replace(slow, baseline=Baseline(moving_seconds=0.2))
    assert not [one for one in made(usual).spans if one.name == "held beat"]


def test_children_lie_within_their_parents() -> None:
    trace = made(*SEEN)
    spans = {one.id: one for one in trace.spans}
    assert len(spans) == len(trace.spans)
    for one in trace.spans[1:]:
        parent = spans[one.parent]
        assert parent.started <= one.started <= one.ended <= parent.ended, one.name


def test_ids_come_from_the_record_and_from_nothing_else() -> None:
    trace = made(*SEEN)
    assert trace.id == trace_of_run(RUN) == trace_id("mine", "attic", None, RUN.started_at)
    text, legs = run_property(RUN)[1], [leg_property(one)[1] for one in SEEN]
    again = [decoded(one, Observation) for one in legs]
    assert encoded(made(*again, run=decoded(text, RunRecord)), {}) == encoded(trace, {})
    others = [
        replace(RUN, deployment="x"), replace(RUN, vantage="x"), replace(RUN, shard=0, shards=2),
        replace(RUN, started_at=RUN.started_at + 1e-6),
    ]  # fmt: skip
    assert len({trace.id, *map(trace_of_run, others)}) == 5


def test_what_the_receiver_reads_is_what_was_meant() -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    trace = made(*SEEN)
    request = ExportTraceServiceRequest.FromString(encoded(trace, {"service.name": "t3probe"}))
    (whole,) = request.resource_spans
    assert attributes(whole.resource) == {"service.name": "t3probe"}
    (scope,) = whole.scope_spans
    assert [one.span_id.hex() for one in scope.spans] == [one.id for one in trace.spans]
    for span, meant in zip(scope.spans, trace.spans, strict=True):
        assert span.trace_id.hex() == trace.id
        assert span.parent_span_id.hex() == meant.parent
        assert span.start_time_unix_nano == ZERO + round(meant.started * 1e6) * 1000
        assert span.status.code == (0 if meant.failed is None else 2)
        assert attributes(span) == {
            name: [*value] if isinstance(value, tuple) else value
            for name, value in meant.attributes.items()
        }


def test_a_named_parent_is_the_beats_own_span() -> None:
    parents = Parents(lambda: trace_of_run(RUN), sampled=True)
    names = [parents.new("whole") for _ in range(3)]
    assert parents.header(names[0]) == f"00-{names[0]}-01"
    beats = tuple(beat(2.0 * n, traced=name) for n, name in enumerate(names))
    trace = made(good("whole", ("front",), beats=beats))
    spans = [one.id for one in trace.spans if one.name == "held beat"]
    assert [f"{trace.id}-{one}" for one in spans] == names
    assert not any(one.link for one in trace.spans)
    apart = Parents(lambda: "ab" * 16, sampled=False, apart=True)
    one, two = apart.new("whole"), apart.new("whole")
    assert one[:32] != two[:32]
    assert apart.header(one).endswith("-00")
    linked = made(good("whole", ("front",), beats=(beat(2.0, traced=one),)))
    assert [span.link for span in linked.spans if span.name == "held beat"] == [one]


def test_ten_thousand_upstreams_that_fail_are_a_bounded_trace() -> None:
    bad = failed("inside", ("back",))
    many = [replace(bad, leg=f"envoy-{n}", outcome="failed" if n % 2 else "passed",
                    drops=bad.drops if n % 2 else ()) for n in range(3000)]  # fmt: skip
    seen = [*many, good("whole", ("front",))]
    trace = run_trace(RUN, seen, judge_run(RUN, seen))
    assert len(trace.spans) <= MOST_SPANS + MOST_LEGS + 1
    legs = [one for one in trace.spans if one.name.startswith("leg ")]
    assert len(legs) == MOST_LEGS
    assert all(one.attributes["t3probe.outcome"] == "failed" for one in legs)
    assert trace.spans[0].attributes["t3probe.legs_left_out"] == len(seen) - MOST_LEGS
    assert len(encoded(trace, {})) < 2 << 20


def test_a_leg_that_flaps_is_bounded_and_says_what_is_left_out() -> None:
    beats = tuple(beat(0.1 * n, ok=n % 2 == 0, reason=None if n % 2 == 0 else "rtt_timeout")
                  for n in range(1000))  # fmt: skip
    trace = made(good("whole", ("front",), beats=beats, outcome="failed", reason="rtt_timeout"))
    leg = by_name(trace)["leg whole"]
    spans = Counter(one.name for one in trace.spans)
    left = leg.attributes["t3probe.beats_left_out"], leg.attributes["t3probe.events_left_out"]
    assert (spans["held beat"] + int(left[0]), len(leg.events) + int(left[1])) == (500, 500)
    starts = [one.started for one in trace.spans if one.name == "held beat"]
    assert (min(starts), max(starts)) == (0.1, 99.9)


NUMBER = st.floats(allow_nan=False, allow_infinity=False, width=32)
BEATS = st.builds(
    Beat, sent=NUMBER, ended=NUMBER, ok=st.booleans(), conn=st.integers(0, 3),
    strand=st.sampled_from(["held", "fresh", None]), conclusive=st.booleans(),
    reason=st.sampled_from([None, *REASONS]), traced=st.sampled_from(
        ["", "-", "x", f"{'ab' * 16}-{'cd' * 8}", f"{'zz' * 16}-{'cd' * 8}"]), phases=st.lists(
        st.builds(AttemptPhase, name=st.sampled_from(["connect", "tls", "\ud800"]), started=NUMBER,
                  seconds=NUMBER, failed=st.booleans()), max_size=3).map(tuple),
)  # fmt: skip


@given(
    beats=st.lists(BEATS, max_size=6),
    words=st.text(max_size=20),
    at=st.sampled_from([0.0, 1.5e9, 1e300, -5.0]),
)
def test_whatever_a_record_holds_it_is_a_trace_or_a_sentence(
    beats: list[Beat], words: str, at: float
) -> None:
    seen = good(words or "x", ("front",), beats=tuple(beats), detail=words, address=words,
                server=words, cert_not_after=at)  # fmt: skip
    run = replace(RUN, started_at=at)
    trace = run_trace(run, [seen], judge_run(run, [seen]))
    spans = {one.id for one in trace.spans}
    assert all(one.parent in spans for one in trace.spans[1:])
    if at in (1e300, -5.0):
        with pytest.raises(ValueError, match="expected a run's start in Unix seconds"):
            encoded(trace, {})
    else:
        assert encoded(trace, {})


@given(st.text(), st.text(), st.none() | st.integers(0, 9), st.floats(0, 4e9))
def test_ids_have_the_form_of_the_w3c(
    deployment: str, vantage: str, shard: int | None, at: float
) -> None:
    trace = trace_id(deployment, vantage, shard, at)
    span = span_id(trace, deployment)
    assert len(bytes.fromhex(trace)) == 16
    assert len(bytes.fromhex(span)) == 8
    assert trace.strip("0")
    assert span.strip("0")
