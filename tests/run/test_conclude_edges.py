"""Outcomes at the edges of what makes them."""

from __future__ import annotations

from typing import Any

import pytest

from t3probe.config.table import Duration
from t3probe.config.types import Leg
from t3probe.observation import AddressTry, Beat, Drop
from t3probe.run.conclude import conclude

LEG = Leg(name="leg", kind="ws_echo", path=("a",), rtt_limit=Duration(0.5))


def beat(took: float = 0.25, ok: bool = True) -> Beat:
    return Beat(sent=1.0, ended=1.0 + took, ok=ok, conn=0)


def drop(detail: str, symptom: Any = "cut", **more: Any) -> Drop:
    return Drop(
        began=0.0, noticed=1.0, reason="rtt_timeout", symptom=symptom, stage="hold", call=1,
        detail=detail, **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("trips", "outcome"),
    [
        ((0.5, 0.5, 0.5), "passed"),
        ((0.5, 0.75), "degraded"),
        ((0.25, 0.25, 9.0), "passed"),
    ],
)
def test_the_limit_itself_is_no_breach(trips: tuple[float, ...], outcome: str) -> None:
    assert conclude(LEG, [beat(one) for one in trips], [], []).outcome == outcome


def test_the_sentences() -> None:
    slow = conclude(LEG, [beat(0.75)], [], [])
    assert (slow.reason, slow.detail, slow.connected) == (
        None, "median round trip 750 ms, limit 500 ms", True,
    )  # fmt: skip
    dead = [
        AddressTry(address="1", ok=False, reason="connect_refused", detail="first"),
        AddressTry(address="2", ok=True),
        AddressTry(address="3", ok=False, reason="connect_timeout", detail="second"),
        AddressTry(address="4", ok=False, skipped=True),
    ]
    some = conclude(LEG, [beat()], [], dead)
    assert (some.outcome, some.reason, some.connected) == ("degraded", "connect_refused", True)
    assert some.detail == "1 of 3 addresses answered; first"
    early = conclude(LEG, [beat(ok=False)], [], [])
    assert early.detail == "the run ended before the first answer"
    stood = conclude(LEG, [], [drop("x", stalled=True)], [])
    assert stood.detail == "the prober itself stood still when it dropped"


def test_a_round_trip_of_failed_beats_is_none() -> None:
    assert conclude(LEG, [beat(), beat(9.0, ok=False), beat(9.0, ok=False)], [], []).outcome == (
        "passed"
    )


def test_no_limit_and_no_address_known() -> None:
    leg = Leg(name="leg", kind="ws_echo", path=("a",))
    assert conclude(leg, [beat(99.0)], [], []).outcome == "passed"
    assert conclude(leg, [beat()], [], [AddressTry(address="1", ok=True)] * 2).outcome == "passed"


def test_which_drop_is_told() -> None:
    """The first that was down, else the first; not what stood still with us."""
    ours = drop("ours", "down", stalled=True, recovered=0.5)
    first, down, last = drop("first", recovered=2.0), drop("down", "down"), drop("last", "down")
    assert conclude(LEG, [], [ours, first, down, last], []).detail == "down"
    assert conclude(LEG, [], [ours, first, drop("second")], []).detail == "first"


@pytest.mark.parametrize(("recovered", "connected"), [(None, False), (0.0, True), (2.0, True)])
def test_whether_it_is_connected_says_the_last_drop(
    recovered: float | None, connected: bool
) -> None:
    drops = [drop("a", recovered=1.0), drop("b", recovered=recovered)]
    assert conclude(LEG, [], drops, []).connected is connected


@pytest.mark.parametrize(
    ("more", "reason", "detail"),
    [
        ({"unresolved": "no name", "broken": "a bug"}, None, "a bug"),
        ({"unresolved": "no name", "doubt": ("http_4xx", "429")}, "resolver_failed", "no name"),
        ({"collapsed": "elsewhere", "broken": "a bug"}, "leg_collapsed", "elsewhere"),
        ({"doubt": ("http_4xx", "429")}, "http_4xx", "429"),
    ],
)
def test_what_is_told_of_several(more: dict[str, Any], reason: str | None, detail: str) -> None:
    end = conclude(LEG, [], [], [], **more)
    assert (end.outcome, end.reason, end.detail, end.connected) == (
        "inconclusive", reason, detail, None,
    )  # fmt: skip
