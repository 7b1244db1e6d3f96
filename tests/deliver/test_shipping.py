"""Which runs deliver, under which job, and what they say, without starting a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from delivery_runs import DEAD

from t3probe.config.delivery import Delivery, Otlp
from t3probe.config.shard import Shard
from t3probe.config.types import Deployment, Leg
from t3probe.deliver import delivery as shipping
from t3probe.deliver.delivery import NOWHERE, Shipping
from t3probe.deliver.sinks import Batch, Receipt
from t3probe.deliver.traces.build import trace_of_run
from t3probe.exchange.client import Budget
from t3probe.observation import Beat, Drop, Observation
from t3probe.run.session import Session
from t3probe.timing import FakeClock
from t3probe.verdict.incident.run import judge_run

LEG = Leg(name="web", kind="http", path=("a",), url="http://127.0.0.1:1/")
FAILED = Observation(
    leg="web", kind="http", path=("a",), level="hold", outcome="failed", reason="rtt_timeout",
    detail="no answer", ended=10.0, beats=(Beat(sent=0.0, ended=0.1, ok=True, conn=0),),
    drops=(
        Drop(began=0.1, noticed=5.0, reason="rtt_timeout", symptom="down", stage="ask", call=1),
    ),
)  # fmt: skip


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.seen: list[Batch] = []
        self.well = True

    def __call__(self, batch: Batch) -> Receipt:
        self.seen.append(batch)
        return Receipt(self.well, f"well {self.well}")


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    one = Kept()
    monkeypatch.setattr("t3probe.deliver.sinks.pushgateway.sink", lambda *_: one)
    return one


class OneRun:
    """A run's session and its shipping."""

    def __init__(
        self,
        tmp_path: Path,
        *,
        scheduled: bool = False,
        told: bool = False,
        gateway: str | None = DEAD,
        environ: Mapping[str, str] | None = None,
        shard: Shard | None = None,
        **delivery: Any,
    ) -> None:
        one = Deployment(
            name="d", file="d.toml", segments=("a",), own_segments=(), paths=(("a",),),
            legs=(LEG,), vantage="cluster", delivery=Delivery(**delivery),
        )  # fmt: skip
        self.clock = FakeClock()
        self.session = Session(one, vantage="", hold=0.0, system=self.clock)
        self.ship = Shipping(
            self.session, scheduled=scheduled, told=told, gateway=gateway,
            environ=environ or {}, results=tmp_path, shard=shard,
        )  # fmt: skip

    def end(self, *seen: Observation) -> None:
        self.session.selected = (LEG,)
        record = self.session.record()
        self.ship.end(record, seen, judge_run(record, seen))

    def correct(self, *seen: Observation) -> None:
        record = self.session.record()
        self.ship.correct(record, seen, judge_run(record, seen))


def names(batch: Batch) -> set[str]:
    return set(batch.families)


@pytest.mark.parametrize(
    ("how", "environ", "job"),
    [
        ({"scheduled": True}, {}, "jobs"),
        ({"scheduled": True}, {"CI": "true"}, "jobs"),
        ({"told": True}, {}, "jobs-manual"),
        ({"told": True}, {"CI": "true"}, "jobs-ci"),
        ({"told": True, "scheduled": True}, {}, "jobs-manual"),
        ({}, {}, None),
    ],
)
def test_under_which_job(
    how: dict[str, bool], environ: dict[str, str], job: str | None, tmp_path: Path
) -> None:
    run = OneRun(tmp_path, environ=environ, job="jobs", **how)
    assert run.ship.wanted == (job is not None)
    gateway = run.ship._gateway
    assert (None if gateway is None else gateway.job) == job
    assert gateway is None or (gateway.url, gateway.shard) == (DEAD, "")


def test_a_run_that_nobody_told_to_deliver_does_nothing(kept: Kept, tmp_path: Path) -> None:
    run = OneRun(tmp_path)
    run.ship.begin(whole=True)
    run.end(FAILED)
    run.correct(FAILED)
    assert (kept.seen, run.ship.sentences, run.ship.delivered) == ([], (), False)


@pytest.mark.parametrize(
    ("whole", "told", "delivers"),
    [(True, False, True), (False, False, False), (False, True, True)],
)
def test_only_a_whole_run_delivers_unless_told(
    whole: bool, told: bool, delivers: bool, kept: Kept, tmp_path: Path
) -> None:
    run = OneRun(tmp_path, scheduled=True, told=told)
    run.ship.begin(whole)
    run.end(FAILED)
    assert bool(kept.seen) == delivers
    assert run.ship.delivered == delivers
    words = "nothing is delivered: this run is only a part of the checks"
    assert (words in run.ship.sentences) == (not delivers)


def test_zeros_first_then_what_was_measured(kept: Kept, tmp_path: Path) -> None:
    run = OneRun(tmp_path, scheduled=True)
    run.ship.begin(whole=True)
    run.end(FAILED)
    start, end = kept.seen
    assert (start.opening, end.opening) == (True, False)
    assert start.seconds is not None
    assert 1 < start.seconds <= 2
    assert end.seconds is not None
    assert 4 < end.seconds <= 5
    assert "t3probe_segment_state" in names(end)
    drops = end.families["t3probe_disconnects_total"].series
    assert [(dict(key)["leg"], value) for key, value in drops.items() if value] == [("web", 1)]
    assert (run.ship.delivered, run.ship.sentences) == (True, ("well True",))


def test_a_run_told_to_end_before_it_began_writes_no_zeros(kept: Kept, tmp_path: Path) -> None:
    run = OneRun(tmp_path, scheduled=True)
    run.session.stop()
    run.clock.advance(100)
    run.ship.begin(whole=True)
    run.end()
    start, end = kept.seen
    assert start.seconds == 0
    assert end.seconds is not None
    assert 0.5 < end.seconds <= 1  # it hurries


@pytest.mark.parametrize(
    ("shard", "states"), [(None, True), (Shard(0, 2), True), (Shard(1, 2), False)]
)
def test_only_the_first_shard_knows_segments(
    shard: Shard | None, states: bool, kept: Kept, tmp_path: Path
) -> None:
    run = OneRun(tmp_path, scheduled=True, shard=shard)
    run.ship.begin(whole=True)
    run.end(FAILED)
    assert any(one.startswith("t3probe_segment_") for one in names(kept.seen[-1])) == states
    assert "t3probe_run_complete" in names(kept.seen[-1])
    assert run.ship._gateway is not None
    assert run.ship._gateway.shard == ("" if shard is None else shard.label)


def test_kuberhealthy_hears_of_failed_legs_only(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[bool, int]] = []

    def report(url: str, ok: bool, errors: Any, *_: Any) -> Receipt:
        told.append((ok, len(errors)))
        return Receipt(True, "told")

    monkeypatch.setattr("t3probe.deliver.sinks.kuberhealthy.report", report)
    unsure = Observation(leg="web", kind="http", path=("a",), level="hold", outcome="inconclusive")
    for seen in ((FAILED,), (unsure,), ()):
        run = OneRun(tmp_path, scheduled=True, environ={"KH_REPORTING_URL": DEAD})
        run.ship.begin(whole=True)
        run.end(*seen)
    assert told == [(False, 1), (True, 0), (True, 0)]


@pytest.mark.parametrize(("told", "gateway"), [(True, None), (True, DEAD), (False, None)])
def test_a_run_told_to_deliver_nowhere_says_so(
    told: bool, gateway: str | None, kept: Kept, tmp_path: Path
) -> None:
    run = OneRun(tmp_path, scheduled=True, told=told, gateway=gateway)
    run.ship.begin(whole=True)
    run.end()
    assert (NOWHERE in run.ship.sentences) == (gateway is None)


def test_a_correction_takes_back_that_the_run_was_complete(kept: Kept, tmp_path: Path) -> None:
    run = OneRun(tmp_path, scheduled=True)
    run.ship.begin(whole=True)
    run.end(FAILED)
    assert run.session.record().complete
    run.session.stop()
    run.clock.advance(100)
    kept.well = False
    run.correct(FAILED)
    last = kept.seen[-1]
    assert last.correction
    assert names(last) == {shipping.RUN_COMPLETE}
    assert last.families[shipping.RUN_COMPLETE].series == {(): 0}
    assert run.ship.sentences == ("well False", "well True")  # what went wrong comes first
    assert last.seconds is not None
    assert 0 < last.seconds <= 0.5


def test_the_run_learns_what_was_usual_from_where_it_delivers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from t3probe.deliver.metrics.carry import Family, Histogram

    trips = Histogram((0.25, 0.5), (0.0, 4.0), 4.0, 1.5)
    usual = {"t3probe_rtt_seconds": Family("histogram", "", {(("leg", "web"),): trips})}
    monkeypatch.setattr(
        "t3probe.deliver.sinks.pushgateway.sink", lambda *_: lambda batch: Receipt(True, "", usual)
    )
    run = OneRun(tmp_path, scheduled=True)
    assert run.session.baselines == {}
    run.ship.begin(whole=True)
    assert {leg: one.beats for leg, one in run.session.baselines.items()} == {"web": 4}


OTLP = Otlp(endpoint=DEAD)


@pytest.mark.parametrize(
    ("how", "shard"), [({"scheduled": True}, None), ({"told": True}, Shard(1, 2)), ({}, None)]
)
def test_the_record_names_the_trace_of_a_run_that_delivers(
    how: dict[str, bool], shard: Shard | None, kept: Kept, tmp_path: Path
) -> None:
    run = OneRun(tmp_path, otlp=OTLP, shard=shard, **how)
    run.ship.begin(whole=True)
    run.session.measure([], None)
    record = run.session.record()
    assert record.trace_id == (trace_of_run(record) if how else "")
    assert len(run.ship.sentences) == 0


def test_a_trace_has_its_part_of_the_time_and_leaves_some_for_those_after_it(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    left: list[float] = []

    def slow(batch: Batch) -> Receipt:
        clock.advance(3.6)
        return Receipt(True, "slow")

    def traces(budget: Budget) -> Receipt:
        left.append(budget.left_seconds)
        return Receipt(False, "no trace")

    for places in ({}, {"heartbeat_url": DEAD}):
        deployment = Deployment(
            name="d", file="d.toml", segments=("a",), legs=(LEG,), delivery=Delivery(**places)
        )
        begun = shipping.Delivering(deployment, {}, clock, sinks=[slow], opened=[Receipt(True, "")])
        ended = shipping.end_of_run(begun, {}, ok=True, traces=traces)
        assert not ended.delivered
        assert ended.sentences[0] == "no trace"
    assert left == pytest.approx([1.2, 1.0])


def test_switched_off_it_is_said(kept: Kept, tmp_path: Path) -> None:
    environ = {"OTEL_SDK_DISABLED": "true"}
    run = OneRun(tmp_path, scheduled=True, otlp=OTLP, environ=environ)
    run.ship.begin(whole=True)
    run.end(FAILED)
    assert run.ship.delivered
    assert run.ship.sentences[-1] == "no trace is sent: OTEL_SDK_DISABLED is set"
    assert run.session.record().trace_id == ""
