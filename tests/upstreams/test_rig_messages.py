"""What people are told of rigs: once, and no sooner than it lasted."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.upstreams.experiments.events import RigEvent, RigState
from t3probe.upstreams.experiments.memory import RigMemory
from t3probe.upstreams.experiments.messages import SystemAlerts, message

SETTLE = 20.0
WELL = RigState(True, True)
BAD = RigState(False, False, ("missing jump", "unhealthy spin07-st-video"))


def event(rig: str, state: RigState, available: bool = True) -> RigEvent:
    return RigEvent(rig, 1_700_000_000.0, state, available, {})


def test_what_is_new_comes_first_then_what_is_wrong_then_the_system() -> None:
    told = message(
        [event("spin08", WELL), event("spin07", BAD, available=False)],
        {"spin07": BAD, "spin08": WELL, "spin03": BAD},
        {"spin07": False, "spin08": True, "spin03": None},
        ended=["jump reports nothing since 12:00:00 UTC"],
        alerts=["relay reports nothing yet"],
        at_unix=1_700_000_000.0,
        deployment="lab",
    )
    assert told.subject == (
        "lab: 1 rig unhealthy: spin07; 1 rig healthy again: spin08; "
        "over: jump reports nothing since 12:00:00 UTC"
    )
    assert told.text.splitlines() == [
        "2023-11-14T22:13:20.000Z, lab",
        "",
        "New:",
        "  spin07  unhealthy, unavailable: missing jump, unhealthy spin07-st-video",
        "  spin08  healthy, available",
        "",
        "Wrong by now, the new ones included:",
        "  spin03  unhealthy, availability not known: missing jump, unhealthy spin07-st-video",
        "  spin07  unhealthy, unavailable: missing jump, unhealthy spin07-st-video",
        "",
        "The system itself:",
        "  relay reports nothing yet",
        "  over: jump reports nothing since 12:00:00 UTC",
    ]


def test_a_message_stays_one_however_many_rigs_there_are() -> None:
    events = [event(f"spin{n:03}", BAD) for n in range(500)]
    states = {one.rig: BAD for one in events}
    told = message(events, states, dict.fromkeys(states, False), at_unix=1.7e9, deployment="lab")
    assert len(told.text.splitlines()) < 420
    assert told.subject == "lab: 500 rigs unhealthy: spin000, spin001 and 498 more"
    assert "  and 300 rigs more" in told.text


def test_an_alert_is_told_when_it_lasted_and_when_it_is_over() -> None:
    alerts = SystemAlerts(SETTLE)
    assert alerts.take({"relay": "a"}, 0.0) == ([], [])
    assert alerts.take({}, 19.0) == ([], [])  # a flap
    assert alerts.take({"relay": "a"}, 20.0) == ([], [])
    assert alerts.take({"relay": "b"}, 40.0) == (["b"], [])
    assert alerts.take({"relay": "c"}, 60.0) == ([], [])
    assert alerts.standing == ("c",)
    assert alerts.take({}, 61.0) == ([], [])
    assert alerts.take({"relay": "d"}, 70.0) == ([], [])
    assert alerts.take({}, 71.0) == ([], [])
    assert alerts.take({}, 91.0) == ([], ["d"])
    assert alerts.standing == ()


@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 30)), max_size=200))
def test_alerts_alternate_and_are_told_no_oftener_than_they_last(
    steps: list[tuple[bool, float]],
) -> None:
    alerts, now = SystemAlerts(SETTLE), 0.0
    told: list[tuple[float, bool]] = []
    for there, later in steps:
        now += later
        begun, ended = alerts.take({"relay": "x"} if there else {}, now)
        assert not (begun and ended)
        if begun or ended:
            told.append((now, bool(begun)))
    assert [one for _, one in told] == [n % 2 == 0 for n in range(len(told))]
    for (before, _), (after, _) in pairwise(told):
        assert after - before >= SETTLE


def test_what_was_told_outlives_a_process(tmp_path: Path) -> None:
    memory = RigMemory(tmp_path / "state")
    assert memory.alone()
    assert memory.read() == ({}, "")
    memory.write({"spin07": BAD})
    again = RigMemory(tmp_path / "state")
    assert again.read() == ({"spin07": BAD}, "")
    assert not again.alone()  # one writer
    memory.close()
    assert again.alone()
    again.close()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"version":2,"rigs":{}}', b"\xff", b"[" * 5000, b"1" * 2**21]
)
def test_a_file_of_somebody_else_is_no_memory(tmp_path: Path, content: bytes) -> None:
    memory = RigMemory(tmp_path)
    (tmp_path / "rigs.json").write_bytes(content)
    found, sentence = memory.read()
    assert found == {}
    assert sentence.endswith(
        "rigs.json: expected the states of rigs, found something else; every rig is seen for the "
        "first time, and the file is written anew"
    )
    memory.write({"spin07": WELL})
    assert RigMemory(tmp_path).read() == ({"spin07": WELL}, "")
