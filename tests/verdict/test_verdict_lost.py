"""Bytes that nobody acknowledged: a suspicion on the first segments of a failed leg."""

from __future__ import annotations

from verdict_script import cut, down, good, judge, leg

from t3probe.observation import RunRecord
from t3probe.summary import render

FRONT = ("wan", "a")


def test_the_suspects_are_those_before_the_end_of_tcp() -> None:
    (incident,) = judge(leg("x", "wan a b c", good(0, 10), cut(10.1, 20, lost=FRONT))).incidents
    verdict = incident.verdict
    assert verdict.at_least_one_of == (FRONT,)
    assert verdict.ambiguous == FRONT
    assert verdict.masked == ("b", "c")  # not needed, and not cleared
    assert verdict.exonerated == verdict.convicted == ()
    assert incident.lost == {"x": FRONT}
    assert incident.to_dict()["lost"] == {"x": list(FRONT)}
    assert incident.failed == ("x",)  # no leg of its own for the reader


def test_without_it_they_all_are() -> None:
    (incident,) = judge(leg("x", "wan a b c", good(0, 10), cut(10.1, 20))).incidents
    assert incident.verdict.ambiguous == ("wan", "a", "b", "c")
    assert incident.lost == {}


def test_it_convicts_with_another_leg_that_held_through() -> None:
    x = leg("x", "wan a b c", good(0, 10), cut(10.1, 20, lost=FRONT))
    verdict = judge(x, leg("y", "wan", good(0, 9, 31))).verdict
    assert verdict.convicted == ("a",)
    assert verdict.exonerated == ("wan",)
    assert verdict.masked == ("b", "c")


def test_it_contradicts_a_leg_that_clears_the_same_segments() -> None:
    """Such as a router that loses one connection's packets and not another's: behind it, where
    the bytes never came, nobody may be convicted."""
    x = leg("x", "wan a b", good(0, 10), cut(10.1, 20, lost=FRONT))
    y = leg("y", "wan a", good(0, 9, 31))
    assert judge(leg("x", "wan a b", good(0, 10), cut(10.1, 20)), y).verdict.convicted == ("b",)
    verdict = judge(x, y).verdict
    assert verdict.status == "inconsistent"
    assert verdict.contradictions == ("x",)  # the leg, not what was reckoned from it
    assert verdict.convicted == ()


def test_bytes_lost_on_the_whole_leg_say_nothing_more() -> None:
    x = leg("x", "wan a", good(0, 10), down(10.1, 20, lost=FRONT))
    told, plain = judge(x).verdict, judge(leg("x", "wan a", good(0, 10), down(10.1, 20))).verdict
    assert told == plain
    y = leg("y", "wan a", good(0, 9, 31))
    assert judge(x, y).verdict.contradictions == ("x",)


def test_a_drop_in_our_own_stall_suspects_nobody() -> None:
    x = leg("x", "wan a b", good(0, 10), cut(10.1, 20, lost=FRONT, stalled=True))
    assert judge(x).incidents == ()


def test_the_summary_says_it_in_words() -> None:
    words = "3 segments unacknowledged, 5 retransmissions, nothing heard for 20.0 s: lost at a"
    x = leg("x", "wan a b", good(0, 10), cut(10.1, 20, lost=FRONT, evidence=words))
    lines = [text for _, text in render(RunRecord(), [x], judge(x))]
    assert " ".join(" ".join(lines).split()).count(words) == 1
    assert any("bytes of x were lost among: wan, a" in line for line in lines)
    assert " ".join(" ".join(lines).split()).count("bytes of x") == 1, "said once"
    assert all(len(line) <= 80 for line in lines)


def test_the_summary_tells_how_we_stood() -> None:
    x = leg("x", "wan a b", good(0, 10))
    record = RunRecord(throttled_seconds=1.25, clock_step_seconds=-2.5)
    text = "\n".join(line for _, line in render(record, [x], judge(x)))
    assert "our own CPU limit stopped us for 1.25 s: set a request, no limit" in text
    assert "the wall clock was set by -2.50 s: the UTC times after that differ" in text
    quiet = "\n".join(line for _, line in render(RunRecord(throttled_seconds=0.0), [x], judge(x)))
    assert "CPU limit" not in quiet
    assert "wall clock" not in quiet
