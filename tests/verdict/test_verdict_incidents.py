"""Which drops are told together, and how a run's incidents are listed."""

from __future__ import annotations

import random
from typing import Any

import pytest
from verdict_script import (
    blip,
    cut,
    down,
    held,
    judge,
    leg,
    only,
    refusing,
    unknown,
    usual,
    well,
)

from t3probe.observation import Beat, Observation
from t3probe.verdict.incident.drops import JudgedDrop, faults_of, together


def groups(*seen: Observation) -> list[list[str]]:
    found = together([one for leg_ in seen for one in faults_of(leg_.leg, leg_)])
    return sorted(sorted(f"{one.leg}@{one.noticed:g}" for one in group) for group in found)


def test_drops_that_overlap_are_told_together() -> None:
    x = leg("x", "wan a", cut(1, 5))
    assert groups(x, leg("y", "wan b", cut(4.9, 9))) == [["x@5", "y@9"]]
    assert groups(x, leg("y", "wan b", cut(5, 9))) == [["x@5", "y@9"]]
    assert groups(x, leg("y", "wan b", cut(5.1, 9))) == [["x@5"], ["y@9"]]


def test_drops_noticed_within_a_second_are_told_together() -> None:
    x = leg("x", "wan a", cut(1, 5))
    assert groups(x, leg("y", "wan b", cut(5.1, 6.0))) == [["x@5", "y@6"]]
    assert groups(x, leg("y", "wan b", cut(5.1, 6.01))) == [["x@5"], ["y@6.01"]]


def test_only_those_of_legs_that_share_a_segment_directly_or_through_others() -> None:
    x, z = leg("x", "a", cut(1, 5)), leg("z", "b", cut(1, 5))
    assert groups(x, z) == [["x@5"], ["z@5"]]
    assert groups(x, z, leg("y", "a b", cut(1, 5))) == [["x@5", "y@5", "z@5"]]


def test_one_event_in_three_pieces_is_one_incident() -> None:
    # Three closes within 230 ms: each was seen to be well until then.
    legs = [
        leg(f"x{at}", "wan a", usual(until=15), cut(14.9 + at / 10, 15 + at * 0.115))
        for at in range(3)
    ]
    assert only(judge(*legs)).failed == ("x0", "x1", "x2")


def test_a_chain_in_time_is_one_incident() -> None:
    x = leg("x", "wan a", down(1, 5))
    y = leg("y", "wan b", down(9, 12))
    z = leg("z", "wan c", down(5, 9))
    one = only(judge(x, y, z))
    assert one.failed == ("x", "z", "y")
    assert (one.began, one.noticed) == (1, 12)
    assert one.verdict.minimal_sets[0] == one.verdict.simplest == ("wan",)


def test_a_short_drop_within_a_long_one_does_not_end_the_chain() -> None:
    x = leg("x", "wan a", down(1, 20))
    y = leg("y", "wan b", down(2, 3), down(10, 12))
    one = only(judge(x, y))
    assert (one.began, one.noticed) == (1, 20)


def test_a_drop_whose_last_answer_came_late_may_have_begun_earlier() -> None:
    slow = (Beat(sent=10, ended=14, ok=True, conn=0, strand="held"),)
    x = leg("x", "wan a", held(0), slow, cut(14, 15))
    z = leg("z", "wan c", held(0, 9), cut(9.1, 12))
    assert only(judge(x, z)).failed == ("z", "x")


def test_drops_of_one_leg_far_apart_are_several_incidents() -> None:
    x = leg("x", "wan a", cut(1, 2), cut(12, 13), cut(22, 23))
    assert [one.began for one in judge(x).incidents] == [1, 12, 22]


def test_an_interval_that_ends_before_it_begins_is_a_moment() -> None:
    (one,) = judge(leg("x", "wan a", down(5, 4))).incidents
    assert (one.began, one.noticed) == (5, 5)


def overlap(one: JudgedDrop, other: JudgedDrop) -> bool:
    meets = one.since <= other.noticed and other.since <= one.noticed
    near = abs(one.noticed - other.noticed) <= 1.0
    return (meets or near) and bool(set(one.path) & set(other.path))


def test_the_quick_way_finds_the_same_groups_as_a_look_at_every_pair() -> None:
    rng = random.Random(7)
    for _ in range(300):
        seen = []
        for at in range(rng.randint(1, 6)):
            path = " ".join(rng.sample("abcde", rng.randint(1, 2)))
            drops = []
            for _ in range(rng.randint(1, 2)):
                began = rng.choice([0.0, 2.0, 3.5, 8.0, 9.0])
                drops.append(cut(began, began + rng.choice([0.0, 0.5, 1.0, 4.0])))
            seen.append(leg(f"x{at}", path, *drops))
        faults = [one for leg_ in seen for one in faults_of(leg_.leg, leg_)]
        left, plain = set(range(len(faults))), []
        while left:
            group, edge = set(), {left.pop()}
            while edge:
                group |= edge
                edge = {at for at in left if any(overlap(faults[at], faults[by]) for by in group)}
                left -= edge
            plain.append({id(faults[at]) for at in group})
        found = [{id(one) for one in group} for group in together(faults)]
        assert sorted(map(sorted, found)) == sorted(map(sorted, plain))


# Severity.


@pytest.mark.parametrize(
    ("worse", "better"),
    [(down, refusing), (refusing, cut), (cut, unknown), (unknown, blip)],
)
def test_incidents_are_listed_by_severity(worse: Any, better: Any) -> None:
    run = judge(
        leg("x", "a", better(1, 2)), leg("y", "a", better(1, 2)), leg("z", "b", worse(20, 21))
    )
    assert [one.failed for one in run.incidents] == [("z",), ("x", "y")]


def test_then_by_more_failed_legs_then_by_onset() -> None:
    run = judge(
        leg("x", "a", down(1, 2)),
        leg("y", "b", down(5, 6)),
        leg("z", "b", down(5, 6)),
        leg("w", "c", down(0.5, 2.9)),
    )
    assert [one.failed for one in run.incidents] == [("y", "z"), ("w",), ("x",)]


def test_an_incident_has_the_symptom_of_its_worst_drop() -> None:
    run = judge(leg("x", "wan a", blip(1, 2)), leg("y", "wan b", cut(1, 2)))
    assert only(run).symptom == "cut"


def test_each_drop_of_an_incident_is_judged_by_itself() -> None:
    # x is down and z is cut: a fresh beat clears for the one, what held through for the other.
    x = leg("x", "wan a", usual(until=15), down())
    z = leg("z", "wan c", usual(until=15), cut())
    asks = leg("y", "wan b", well(), level="ask")
    one = only(judge(x, z, asks))
    assert one.suspect_sets == [("a",), ("wan", "c")]
    assert one.cleared_by == {"y": "fresh beat"}
    one = only(judge(x, z, leg("y", "wan b", well())))
    assert one.suspect_sets == [("a",), ("c",)]
    assert one.cleared_by == {"y": "held through"}
    assert one.verdict.convicted == ("a", "c")
    assert one.verdict.exonerated == ("wan", "b")
