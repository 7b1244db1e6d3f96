"""Runs in which one beat more or less decides who is named."""

from __future__ import annotations

import pytest
from verdict_script import bad, cut, down, good, judge, leg
from verdict_timeline_helpers import only


@pytest.mark.parametrize("before", [(0,), (0, 1, 2)])
def test_one_good_beat_is_enough_to_know_when_a_leg_was_asked_last(before: tuple[int, ...]) -> None:
    """`y` was opened long before `x` failed, and asked nobody anew since: wan may have refused
    new requests only later. That `x` had worked before shows in its one good beat."""
    began = before[-1] + 0.1
    x = leg("x", "wan a", good(*before), bad(15), down(began, 20, reason="rtt_timeout"))
    y = leg("y", "wan b", good(5, 10, 16, 21), kind="ws_echo")
    verdict = only(judge(x, y)).verdict
    assert verdict.convicted == ()
    assert verdict.at_least_one_of == (("wan", "a"),)


def test_a_leg_that_never_worked_was_down_all_along() -> None:
    x = leg("x", "wan a", bad(15), down(0, 20, reason="rtt_timeout"))
    y = leg("y", "wan b", good(5, 10, 16, 21), kind="ws_echo")
    verdict = only(judge(x, y)).verdict
    assert verdict.convicted == ("a",)
    assert "wan" in verdict.exonerated


CARRIED = down(0.1, 20, carried=("wan",), carried_at=5.0)


@pytest.mark.parametrize(
    ("other", "cleared"),
    [
        (down(1, 8), True),
        (down(5.5, 8), False),
        (down(1, 4.5), False),
        (cut(1, 8), False),
        (cut(1, 8, symptom="unknown", recovered=None), False),
    ],
)
def test_bytes_that_came_through_clear_only_what_else_was_down_then(
    other: object, cleared: bool
) -> None:
    """A cut of another leg at the same time may have been wan's all the same."""
    x = leg("x", "wan a", good(0), CARRIED)
    y = leg("y", "wan b", good(0), other)
    one = only(judge(x, y))
    assert one.failed == ("x", "y")
    assert one.carried == ({"x": ("wan",)} if cleared else {})
    assert ("wan" in one.verdict.exonerated) == cleared
    assert ("a" in one.verdict.convicted) == cleared


@pytest.mark.parametrize("third", [True, False])
def test_one_cut_among_others_that_were_down(third: bool) -> None:
    """Whatever clears the two that were down says nothing about the third, which was cut."""
    x = leg("x", "wan a", good(0), CARRIED)
    y = leg("y", "wan b", good(0), down(1, 8))
    z = leg("z", "wan c", good(0), *([cut(2, 7)] if third else []))
    one = only(judge(x, y, z))
    assert one.carried == ({} if third else {"x": ("wan",)})
    assert one.verdict.convicted == (() if third else ("a", "b"))
