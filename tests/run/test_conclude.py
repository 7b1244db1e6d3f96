"""From beats and drops to an outcome: a table, and the pure parts beside it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from t3probe.config.table import Duration
from t3probe.config.types import Leg, Timing
from t3probe.observation import AddressTry, Beat, Drop, Observation
from t3probe.run.conclude import conclude, settled
from t3probe.run.footing import Footing, stall_threshold
from t3probe.timing import FakeClock, RunClock

LEG = Leg(name="leg", kind="ws_echo", path=("a", "b", "c"), rtt_limit=Duration(0.5))


def beat(ok: bool = True, took: float = 0.1, conclusive: bool = True) -> Beat:
    return Beat(sent=1.0, ended=1.0 + took, ok=ok, conn=0, conclusive=conclusive)


def drop(**changes: Any) -> Drop:
    values: dict[str, Any] = {
        "began": 0.0,
        "noticed": 1.0,
        "reason": "rtt_timeout",
        "symptom": "cut",
        "stage": "hold",
        "call": 1,
        "detail": "gone",
        "recovered": 2.0,
        **changes,
    }
    return Drop(**values)


FINE = AddressTry(address="127.0.0.1:1", ok=True)
DEAD = AddressTry(address="127.0.0.2:1", ok=False, reason="connect_refused", detail="refused")
AWAY = AddressTry(address="[::1]:1", ok=False, reason="connect_failed", skipped=True)
SILENT = ("rtt_timeout", "no answer")

TABLE: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
    ("good", {"beats": [beat()]}, ("passed", None, True)),
    ("nothing", {}, ("inconclusive", None, None)),
    ("only cut beats", {"beats": [beat(False, conclusive=False)]}, ("inconclusive", None, None)),
    ("a drop", {"beats": [beat()], "drops": [drop()]}, ("failed", "rtt_timeout", True)),
    ("not recovered", {"drops": [drop(recovered=None)]}, ("failed", "rtt_timeout", False)),
    (
        "the drop that was down is the one to tell",
        {"drops": [drop(), drop(reason="connect_refused", symptom="down")]},
        ("failed", "connect_refused", True),
    ),
    ("our stall", {"drops": [drop(stalled=True)]}, ("inconclusive", "prober_stalled", None)),
    (
        "our stall and a real drop",
        {"drops": [drop(stalled=True), drop(reason="wrong_echo")]},
        ("failed", "wrong_echo", True),
    ),
    (
        "collapsed after a drop: what it saw before stands",
        {"drops": [drop()], "collapsed": "elsewhere"},
        ("failed", "rtt_timeout", True),
    ),
    ("unresolved", {"unresolved": "no"}, ("inconclusive", "resolver_failed", None)),
    ("resolved later", {"unresolved": "no", "beats": [beat()]}, ("passed", None, True)),
    ("broken", {"broken": "a bug", "beats": [beat()]}, ("inconclusive", None, None)),
    (
        "broken after a drop",
        {"broken": "a bug", "drops": [drop()]},
        ("failed", "rtt_timeout", True),
    ),
    ("doubt", {"beats": [beat()], "doubt": SILENT}, ("inconclusive", "rtt_timeout", None)),
    (
        "k of n",
        {"beats": [beat()], "addresses": [FINE, DEAD]},
        ("degraded", "connect_refused", True),
    ),
    ("skipped", {"beats": [beat()], "addresses": [FINE, AWAY]}, ("passed", None, True)),
    (
        "slow",
        {"beats": [beat(took=0.1), beat(took=0.6), beat(took=0.7)]},
        ("degraded", None, True),
    ),
    ("one slow beat", {"beats": [beat(), beat(), beat(took=9)]}, ("passed", None, True)),
    (
        "slow and dropped",
        {"beats": [beat(took=9)], "drops": [drop()]},
        ("failed", "rtt_timeout", True),
    ),
]


@pytest.mark.parametrize(
    ("given", "expected"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_outcomes(given: dict[str, Any], expected: tuple[Any, ...]) -> None:
    end = conclude(LEG, **{"beats": [], "drops": [], "addresses": [], **given})
    assert (end.outcome, end.reason, end.connected) == expected
    assert bool(end.detail) == (end.outcome != "passed")


def test_one_of_several_is_enough_where_the_leg_says_so() -> None:
    leg = Leg(name="leg", kind="tcp", path=("a",), any_of=True)
    assert conclude(leg, [beat()], [], [DEAD, FINE]).outcome == "passed"


def test_a_first_attempt_that_told_nothing_does_not_degrade_what_came_after() -> None:
    leg = Leg(name="leg", kind="walloff", path=("a",))
    assert conclude(leg, [beat()], [], [DEAD, DEAD]).outcome == "passed"


def blipped(name: str, outcome: Any, **changes: Any) -> Observation:
    blip = drop(symptom="blip", lone=True, **changes)
    return Observation(leg=name, kind="tcp", path=("a", name), outcome=outcome, drops=(blip,))


def test_a_blip_while_we_stood_still_counts_neither_alone_nor_beside_others() -> None:
    stood = blipped("stood", "inconclusive", stalled=True)
    (one, other) = settled([blipped("one", "degraded"), stood])
    assert (one.outcome, one.drops[0].lone, other.outcome) == ("degraded", True, "inconclusive")
    *both, other = settled([blipped("one", "degraded"), blipped("two", "degraded"), stood])
    assert [seen.outcome for seen in both] == ["failed", "failed"]
    assert other.outcome == "inconclusive"


def test_a_blip_under_planned_downtime_makes_no_drop_of_another() -> None:
    away = msgspec.structs.replace(blipped("away", "degraded"), planned="away")
    (one, _) = settled([blipped("one", "degraded"), away])
    assert (one.outcome, one.drops[0].lone) == ("degraded", True)


# -- footing -------------------------------------------------------------------------------


def test_the_threshold_follows_the_watchdog() -> None:
    assert stall_threshold(Timing()) == 1.0
    assert stall_threshold(Timing(watchdog=Duration(2))) == 0.5
    assert stall_threshold(Timing(watchdog=Duration(0.1))) == 0.25


def test_a_late_look_is_a_stall() -> None:
    clock = FakeClock()
    footing = Footing(RunClock(clock), Timing(watchdog=Duration(2)))
    clock.advance(0.3)
    footing.look()
    assert footing.stalls == []
    clock.advance(2)
    footing.look()
    assert footing.stalls == [(0.3, 2.3)]
    assert footing.worst_seconds == pytest.approx(1.9)
    assert footing.stalled(1.0, 1.5)
    assert footing.stalled(2.4, 5.0)  # noticed at once after it
    assert not footing.stalled(2.6, 5.0)
    assert not footing.stalled(0.0, 0.2)
