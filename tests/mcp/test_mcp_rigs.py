"""Rigs for an assistant: out of a run and out of a gateway alike."""

from __future__ import annotations

import pytest

from t3probe.ask.mcp_server.answers import SourceInfo
from t3probe.ask.mcp_server.rigs import of_metrics, of_observations
from t3probe.deliver.metrics import families
from t3probe.observation import Drop, Observation, Outcome, RunRecord
from t3probe.verdict.incident.run import judge_run

SOURCE = SourceInfo(kind="runs", name="junit.xml", age_seconds=1.0, stale=False)


def stream(rig: str, name: str, outcome: Outcome = "passed") -> Observation:
    path = ("relay-api", "relay", f"rig-{rig}", f"stream-{rig}-{name}")
    return _leg(
        f"stream-{rig}-{name}", "stream", path, outcome, {"experiment": rig, "stream": name}
    )


def jump(rig: str, outcome: Outcome = "passed") -> Observation:
    path = ("jump-api", "jump", f"rig-{rig}")
    return _leg(f"jump-{rig}", "jump", path, outcome, {"experiment": rig})


def _leg(
    name: str, kind: str, path: tuple[str, ...], outcome: Outcome, labels: dict[str, str]
) -> Observation:
    drop = Drop(began=1.0, noticed=2.0, reason="stream_silent", symptom="down", stage="ask", call=0)
    return Observation(
        leg=name, kind=kind, path=path, outcome=outcome, detail="as it is", started=2.0, ended=2.0,
        labels=labels, drops=(drop,) if outcome == "failed" else (),
    )  # fmt: skip


RIGS = [
    *(stream("a", "data"), stream("a", "video"), jump("a")),
    *(stream("b", "data"), stream("b", "video", "failed"), jump("b")),
    *(stream("c", "data"), stream("c", "log", "degraded"), jump("c")),
    *(stream("d", "data"), jump("d", "failed")),
    *(stream("e", "data", "inconclusive"), jump("e")),
    *(stream("f", "data", "inconclusive"), jump("f", "failed")),
]
WANTED = {
    "a": (True, True, True),
    "b": (False, False, True),
    "c": (True, False, True),
    "d": (True, False, False),
    "e": (None, None, True),
    "f": (None, False, False),
}
"""Available, healthy, log-in channel."""


@pytest.mark.parametrize("by", ["run", "gateway"])
def test_each_rig_is_told_as_it_is(by: str) -> None:
    if by == "run":
        answer = of_observations(SOURCE, RIGS)
    else:
        run = RunRecord(deployment="x", segments=("relay-api", "relay", "jump-api", "jump"))
        answer = of_metrics(SOURCE, families(run, RIGS, judge_run(run, RIGS)))
    assert {one.name: (one.available, one.healthy, one.jump) for one in answer.rigs} == WANTED
    assert [one.name for one in answer.rigs] == ["b", "c", "d", "f", "e", "a"]
    assert answer.sentence == "1 of 6 rigs are healthy, 4 not; of 1 it is not known"
    assert answer.rigs[0].streams == {"data": True, "video": False}


def test_no_rig_is_known() -> None:
    assert of_observations(SOURCE, []).total == 0
