"""Runs over the lab's remote rigs: each fault, and the whole verdict of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest

from t3probe.config import Deployment, Duration, load
from t3probe.lab.process import LabProcess
from t3probe.lab.rig_faults import RIG_FAULTS, environment
from t3probe.observation import Observation, RunRecord
from t3probe.run.session import Session
from t3probe.upstreams.experiments.in_run import RunExperiments
from t3probe.upstreams.experiments.seen import ServiceTry, service_legs, service_seen
from t3probe.verdict.incident.run import RunVerdict, judge_run

NUMBER = 3
RIGS = [f"spin0{n}" for n in range(1, NUMBER + 1)]
STREAMS = [f"stream-{rig}-{one}" for rig in RIGS for one in ("data", "video")]
JUMPS = [f"jump-{rig}" for rig in RIGS]
SERVICES = ["relay-api", "jump-api", "book"]
EVERY = {*SERVICES, "relay", "jump", *(f"rig-{one}" for one in RIGS), *STREAMS}


@pytest.fixture(scope="module")
def lab() -> Iterator[LabProcess]:
    with LabProcess(experiments=NUMBER) as started:
        yield started


class Ran(NamedTuple):
    session: Session
    judged: RunVerdict

    @property
    def verdict(self) -> Any:
        return self.judged.verdict

    def of(self, leg: str) -> Observation:
        return self.session.observations[leg]

    def outcomes(self, *legs: str) -> set[str]:
        return {self.of(one).outcome for one in legs}


def deployed(lab: LabProcess) -> Deployment:
    """The lab reports twice a second: nobody need wait long for what it does not say."""
    found = load(lab.deployment_path, {}, now=0)
    assert found.experiments is not None
    table = msgspec.structs.replace(found.experiments, reported=Duration(3))
    return msgspec.structs.replace(found, experiments=table)


def ran(lab: LabProcess, *faults: str, names: list[str] | None = None) -> Ran:
    """A run over the rigs' legs alone, or over those of these names."""
    lab.switch(faults)
    try:
        found = RunExperiments(deployed(lab), environment())
        session = Session(found.deployment, vantage="", hold=0)
        session.reporting = found
        legs = [one.name for one in session.available if one.kind in ("service", "stream", "jump")]
        session.measure(legs if names is None else names, None)
    finally:
        lab.clear()
    return Ran(session, judge_run(session.record(), session.recorded()))


def test_all_is_well(lab: LabProcess) -> None:
    run = ran(lab)
    assert {one.leg for one in run.session.recorded()} == {*SERVICES, *STREAMS, *JUMPS}
    assert run.outcomes(*SERVICES, *STREAMS, *JUMPS) == {"passed"}
    assert {*run.verdict.exonerated} == EVERY
    assert run.of("stream-spin02-video").labels == {"experiment": "spin02", "stream": "video"}
    assert run.of("stream-spin02-video").trips == []
    assert len(run.of("relay-api").trips) == 1
    record = run.session.record()
    assert set(record.segments) >= {*SERVICES, "relay", "jump"}
    assert not any(one.startswith(("rig-", "stream-")) for one in record.segments)


ONE_RIG = {
    "rig-spin01:stall": ("rig-spin01", "stream_silent", "jump_absent"),
    "rig-spin01:gone": ("rig-spin01", "stream_absent", ""),
    "rig-spin01:no-jump": ("rig-spin01", "", "jump_absent"),
    "stream-spin01-video:stale": ("stream-spin01-video", "stream_silent", ""),
    "stream-spin01-video:absent": ("stream-spin01-video", "stream_absent", ""),
}


@pytest.mark.parametrize("fault", ONE_RIG)
def test_one_rig_or_one_stream_is_convicted_alone(lab: LabProcess, fault: str) -> None:
    segment, stream, jump = ONE_RIG[fault]
    run = ran(lab, fault)
    assert run.verdict.convicted == (segment,)
    assert run.verdict.status == "localised"
    mine = {segment, *(f"stream-spin01-{one}" for one in ("data", "video"))}
    assert {*run.verdict.exonerated} >= EVERY - mine
    failed = [one for one in run.session.recorded() if one.outcome == "failed"]
    assert {one.reason for one in failed} >= {one for one in (stream, jump) if one}
    assert all("spin01" in one.leg for one in failed)
    if segment.startswith("stream"):
        assert "rig-spin01" in run.verdict.exonerated


def test_a_silent_stream_is_dated_by_what_the_report_says(lab: LabProcess) -> None:
    (drop,) = ran(lab, "stream-spin01-video:stale").of("stream-spin01-video").drops
    assert 45 <= drop.noticed - drop.began <= 60
    assert drop.asked == drop.noticed
    (drop,) = ran(lab, "stream-spin01-video:absent").of("stream-spin01-video").drops
    assert drop.began == drop.noticed


@pytest.mark.parametrize("fault", ["relay:mute", "relay:lost"])
def test_when_all_streams_are_silent_the_relay_alone_explains_everything(
    lab: LabProcess, fault: str
) -> None:
    run = ran(lab, fault)
    assert run.outcomes(*STREAMS) == {"failed"}
    assert run.verdict.simplest == ("relay",)
    assert run.verdict.minimal_sets[0] == ("relay",)
    assert all(one[0] == "relay" for one in run.verdict.at_least_one_of)
    assert {*run.verdict.exonerated} >= {"relay-api", "jump-api", "jump", "book"}
    assert run.verdict.convicted == ()


def test_when_no_rig_is_logged_in_the_jump_server_alone_explains_everything(
    lab: LabProcess,
) -> None:
    run = ran(lab, "jump:lost")
    assert run.verdict.simplest == ("jump",)
    assert {*run.verdict.exonerated} >= {*SERVICES, "relay", *STREAMS}


UNHEARD = ("refuse", "blackhole", "reset", "silent", "bad-code", "empty", "garbage", "http500")
NOT_ITS_OWN = ("foreign", "unauthorized", "bad-token")


@pytest.mark.parametrize("kind", UNHEARD)
@pytest.mark.parametrize("service", ["relay", "jump"])
def test_a_service_that_does_not_report_is_convicted_and_nothing_is_said_of_its_rigs(
    lab: LabProcess, service: str, kind: str
) -> None:
    run = ran(lab, f"{service}:{kind}")
    assert run.verdict.convicted == (f"{service}-api",)
    mine, others = (STREAMS, JUMPS) if service == "relay" else (JUMPS, STREAMS)
    assert run.outcomes(*mine) == {"inconclusive"}
    assert run.outcomes(*others) == {"passed"}
    assert service in run.verdict.unobserved
    (drop,) = run.of(f"{service}-api").drops
    assert drop.symptom in ("down", "unknown")


@pytest.mark.parametrize("kind", NOT_ITS_OWN)
@pytest.mark.parametrize("service", ["relay", "jump"])
def test_what_may_be_our_own_mistake_convicts_nobody(
    lab: LabProcess, service: str, kind: str
) -> None:
    run = ran(lab, f"{service}:{kind}")
    mine = STREAMS if service == "relay" else JUMPS
    assert run.outcomes(f"{service}-api", *mine) == {"inconclusive"}
    assert run.verdict.convicted == run.verdict.ambiguous == ()


@pytest.mark.parametrize("kind", ["refuse", "blackhole", "reset", "garbage", "http500"])
def test_a_book_that_cannot_be_read_is_never_no_rigs(lab: LabProcess, kind: str) -> None:
    run = ran(lab, f"book:{kind}")
    assert run.verdict.convicted == ("book",)
    assert run.of("book").outcome == "failed"
    assert any("no rig is known" in one for one in run.session.reporting.lines)  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["unauthorized", "bad-token"])
def test_a_book_that_refuses_our_token(lab: LabProcess, kind: str) -> None:
    run = ran(lab, f"book:{kind}")
    assert run.of("book").outcome == "inconclusive"
    assert run.verdict.convicted == ()


@pytest.mark.parametrize("kind", ["forget", "409", "unheeded"])
def test_a_run_writes_nothing_to_book(lab: LabProcess, kind: str) -> None:
    run = ran(lab, f"book:{kind}", "rig-spin01:stall")
    assert run.of("book").outcome == "passed"
    assert run.verdict.convicted == ("rig-spin01",)


def test_a_relay_that_does_not_say_who_sends_claims_no_more_than_it_can(lab: LabProcess) -> None:
    run = ran(lab, "relay:no-stats", "stream-spin02-video:stale")
    assert run.outcomes(*STREAMS) == {"passed"}
    assert "does not say" in run.of("stream-spin02-video").detail
    assert not {*STREAMS} & {*run.verdict.exonerated}
    run = ran(lab, "relay:no-stats", "stream-spin01-video:absent")
    assert run.verdict.convicted == ("stream-spin01-video",)
    assert {"relay", "rig-spin01"} <= {*run.verdict.exonerated}


def test_the_other_spelling_says_the_same(lab: LabProcess) -> None:
    run = ran(lab, "jump:camel", "rig-spin01:stall")
    assert run.verdict.convicted == ("rig-spin01",)


def test_every_fault_is_looked_at() -> None:
    services = {*UNHEARD, *NOT_ITS_OWN, "lost"}
    assert {*RIG_FAULTS["relay"]} == services | {"no-stats", "mute"}
    assert {*RIG_FAULTS["jump"]} == services | {"camel"}


def test_one_rig_alone(lab: LabProcess) -> None:
    names = ["stream-spin02-data", "stream-spin02-video", "jump-spin02"]
    run = ran(lab, "stream-spin02-video:stale", "rig-spin01:gone", names=names)
    assert [one.leg for one in run.session.recorded()] == names
    assert run.verdict.convicted == ("stream-spin02-video",)


def test_without_a_token_nothing_is_claimed(lab: LabProcess) -> None:
    deployment = deployed(lab)
    secrets = environment()
    del secrets["T3PROBE_RELAY_SECRET"]
    found = RunExperiments(deployment, secrets)
    session = Session(found.deployment, vantage="", hold=0)
    session.reporting = found
    session.measure(["relay-api", *STREAMS, *JUMPS], None)
    assert {session.observations[one].outcome for one in ("relay-api", *STREAMS)} == {
        "inconclusive"
    }
    assert "T3PROBE_RELAY_SECRET" in session.observations[STREAMS[0]].detail
    assert {session.observations[one].outcome for one in JUMPS} == {"passed"}


LEG = service_legs()[0]
GOOD = ServiceTry(5.0, 6.0)
BAD = ServiceTry(0.0, 1.0, "connect_refused", "relay refuses connections")
FOREIGN = ServiceTry(0.0, 1.0, "token_refused", "relay answers 401", tells=False)


@pytest.mark.parametrize(
    ("tries", "outcome", "symptom"),
    [
        ([GOOD], "passed", None),
        ([BAD, GOOD], "degraded", None),
        ([BAD, BAD, GOOD], "failed", "down"),
        ([BAD, BAD], "failed", "down"),
        ([BAD], "failed", "unknown"),
        ([], "inconclusive", None),
        ([FOREIGN], "inconclusive", None),
        ([BAD, FOREIGN], "inconclusive", None),
        ([msgspec.structs.replace(BAD, stalled=True)], "inconclusive", None),
        ([msgspec.structs.replace(BAD, stalled=True), GOOD], "degraded", None),
    ],
)
def test_a_service_by_its_attempts(
    tries: list[ServiceTry], outcome: str, symptom: str | None
) -> None:
    seen = service_seen(LEG, tries, "reported 3 connections")
    assert (seen.outcome, seen.symptom) == (outcome, symptom)
    judged = judge_run(RunRecord(), [seen])
    assert judged.verdict.convicted == (LEG.path if outcome == "failed" else ())
