"""What somebody else reports: only the same report clears of it, and it clears of nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from t3probe.observation import Beat, Drop, Observation, Reason, RunRecord
from t3probe.upstreams.experiments.rigs import Rig, RigStream
from t3probe.upstreams.experiments.seen import rig_legs
from t3probe.verdict.incident.run import RunVerdict, judge_run

RIGS = [Rig(name, name, (RigStream("data", "d"), RigStream("video", "v"))) for name in "ab"]
LEGS = {one.name: one for one in rig_legs(RIGS)}


def well(leg: str, at: float = 5.0, *, active: bool = True, age: float = 0.1) -> Observation:
    one = LEGS[leg]
    return Observation(
        leg=leg,
        started=at - age,
        ended=at,
        kind=one.kind,
        path=one.path,
        outcome="passed",
        level="ask" if active else "connect",
        clears=None if active else one.path[:-1],
        beats=(Beat(sent=at, ended=at, ok=True, conn=0, strand="fresh"),),
    )


def bad(leg: str, reason: Reason = "stream_silent", at: float = 5.0, age: float = 0) -> Observation:
    one = LEGS[leg]
    drop = Drop(
        began=at - age,
        noticed=at,
        reason=reason,
        symptom="down",
        stage="ask" if reason == "stream_silent" else "connect",
        call=0,
        strand="fresh",
        asked=at,
        answered=True,
        carried=one.path[:1],
    )
    return Observation(
        leg=leg, kind=one.kind, path=one.path, outcome="failed", reason=reason, drops=(drop,)
    )


def judged(*seen: Observation) -> RunVerdict:
    return judge_run(RunRecord(), seen)


def test_one_silent_stream_convicts_its_camera() -> None:
    found = judged(bad("stream-a-video"), well("stream-a-data"), well("stream-b-data"))
    assert found.verdict.convicted == ("stream-a-video",)
    (incident,) = found.incidents
    assert incident.cleared_by["stream-a-data"] == "same report"
    assert incident.cleared_by["stream-a-video"] == "own answer"


def test_what_falls_silent_with_all_others_accuses_no_rig() -> None:
    """Relay stands still: for one report some streams are just silent, and some not yet."""
    found = judged(
        bad("stream-a-video", age=10.1),
        bad("stream-a-data", age=10.2),
        well("stream-b-data", age=9.9),
        well("stream-b-video", age=9.8),
    )
    assert found.verdict.convicted == ()
    assert "relay" not in found.verdict.exonerated
    assert all("relay" in one for one in found.verdict.at_least_one_of)
    # What was heard long after the silence began was heard through relay.
    found = judged(bad("stream-a-video", age=10.1), well("stream-a-data", age=3.0))
    assert found.verdict.convicted == ("stream-a-video",)


def test_what_is_well_in_another_report_clears_nothing() -> None:
    found = judged(bad("stream-a-video"), well("stream-a-data", 5.5))
    assert found.verdict.convicted == ()
    (suspects,) = found.verdict.at_least_one_of
    assert suspects == ("relay", "rig-a", "stream-a-video")


def test_a_log_in_channel_says_nothing_about_streams_and_they_nothing_about_it() -> None:
    found = judged(
        bad("stream-a-video"), bad("stream-a-data"), well("stream-b-data"), well("jump-a")
    )
    assert found.verdict.convicted == ()
    assert found.verdict.simplest == ("rig-a",)
    found = judged(
        bad("stream-a-video"),
        bad("stream-a-data"),
        well("stream-b-data"),
        bad("jump-a", "jump_absent"),
        well("jump-b"),
    )
    assert found.verdict.convicted == ("rig-a",)


def test_a_stream_that_may_be_silent_clears_only_of_one_that_is_not_there() -> None:
    others = [well("stream-a-data", active=False), well("stream-b-data", active=False)]
    found = judged(bad("stream-a-video", "stream_absent"), *others)
    assert found.verdict.convicted == ("stream-a-video",)
    found = judged(bad("stream-a-video", "stream_silent"), *others)
    assert found.verdict.convicted == ()


def test_an_attempt_over_the_same_segment_clears_nothing_that_is_reported() -> None:
    attempt = Observation(
        leg="own",
        kind="http",
        path=("relay-api", "relay", "rig-a"),
        outcome="passed",
        level="hold",
        beats=tuple(
            Beat(sent=float(at), ended=at + 0.1, ok=True, conn=at, strand="fresh")
            for at in range(10)
        ),
    )
    found = judged(bad("stream-a-video"), attempt)
    assert "rig-a" in found.verdict.ambiguous
    # And a report clears nothing of a drop that an attempt found.
    drop = bad("stream-a-video").drops[0]
    failed = Observation(
        leg="own",
        kind="http",
        path=("relay-api", "relay"),
        outcome="failed",
        reason="rtt_timeout",
        drops=(
            Drop(
                began=drop.began,
                noticed=drop.noticed,
                reason="rtt_timeout",
                symptom="down",
                stage="ask",
                call=0,
                strand="fresh",
                asked=drop.asked,
            ),
        ),
    )
    found = judged(failed, well("stream-a-data"))
    assert found.verdict.convicted == ()
    assert {*found.verdict.ambiguous} == {"relay-api", "relay"}


@given(st.sets(st.sampled_from([one for one in LEGS if one.startswith("stream")]), min_size=1))
def test_whoever_is_convicted_is_on_every_failed_leg_that_convicts_him(silent: set[str]) -> None:
    """And nobody is convicted whom a stream of the same report clears."""
    streams = [one for one in LEGS if one.startswith("stream")]
    found = judged(*(bad(one) if one in silent else well(one) for one in streams))
    cleared = {name for one in streams if one not in silent for name in LEGS[one].path}
    assert not cleared & {*found.verdict.convicted}
    assert found.verdict.status in ("localised", "ambiguous")
    for one in silent:
        assert {*LEGS[one].path} - cleared - {"relay-api"}
