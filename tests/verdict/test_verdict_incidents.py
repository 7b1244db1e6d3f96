"""The rules of evidence over several drops: which are one incident, and who clears all of it."""

from __future__ import annotations

from verdict_script import cut, down, good, judge, leg
from verdict_timeline_helpers import only

from t3probe.observation import Observation


def test_an_outage_shorter_than_the_gap_between_two_beats() -> None:
    # x is cut and back within 0.2 s. y beat before and after on one connection, z on two.
    x = leg("x", "wan a", good(0, 10), cut(10.1, 13), good(13.2, 20, conn=1))
    y = leg("y", "wan b", good(0, 9, 18, 27))
    z = leg("z", "a c", good(0, 9), good(18, 27, conn=1))
    one = only(judge(x, y, z))
    assert one.cleared_by == {"y": "held through", "z": "beside"}
    assert one.verdict.convicted == ("a",)
    assert one.verdict.exonerated == ("wan", "b", "c"), "z passed, and x does not cross c"


def test_two_outages_apart_are_two_incidents() -> None:
    x = leg("x", "wan a", good(1), down(1.1, 5, recovered=6), good(8, conn=1))
    y = leg("y", "wan b", good(0, 7), good(20), down(20.1, 30))
    run = judge(x, y)
    assert [one.failed for one in run.incidents] == [("x",), ("y",)]
    assert run.incidents[0].cleared_by == {"y": "held through"}
    assert run.incidents[1].cleared_by == {}
    # wan is cleared for the first, and a suspect of the second: so it is cleared of nothing.
    assert run.verdict.convicted == ("a",)
    assert run.verdict.at_least_one_of == (("wan", "b"),)
    assert run.verdict.exonerated == ()


def test_a_later_outage_of_the_same_leg_is_another_incident() -> None:
    x = leg("x", "wan a", cut(1, 2), cut(12, 13), cut(22, 23))
    assert [one.began for one in judge(x).incidents] == [1, 12, 22]


def test_drops_that_overlap_through_a_third_are_one_incident() -> None:
    x = leg("x", "wan a", down(1, 5))
    y = leg("y", "wan b", down(9, 12))
    z = leg("z", "wan c", down(5, 9))
    one = only(judge(x, y, z))
    assert one.failed == ("x", "z", "y")
    assert (one.began, one.noticed) == (1, 12)
    assert one.verdict.minimal_sets[0] == ("wan",)


def test_a_short_drop_within_a_long_one_does_not_end_the_chain() -> None:
    x = leg("x", "wan a", down(1, 20))
    y = leg("y", "wan b", down(2, 3), down(10, 12))
    one = only(judge(x, y))
    assert (one.began, one.noticed) == (1, 20)


def test_a_failed_leg_never_clears_its_own_incident() -> None:
    x = leg("x", "wan a", good(1.5, conn=1), good(0, 9), down(1, 2))
    one = only(judge(x))
    assert one.cleared_by == {}
    assert one.verdict.exonerated == ()


def test_a_leg_must_clear_every_drop_of_the_incident() -> None:
    x = leg("x", "wan a", down(1, 5))
    z = leg("z", "wan c", down(4, 9))
    first_only = leg("y", "wan b", good(2), level="ask")
    one = only(judge(x, z, first_only))
    assert one.cleared_by == {"y": "beside"}
    assert one.verdict.exonerated == ("b",), "z's outage may be wan's"
    both = leg("y", "wan b", good(2), good(8), level="ask")
    assert only(judge(x, z, both)).cleared_by == {"y": "sent inside"}
    mixed = leg("y", "wan b", good(2), good(9.2, call=1), level="ask")
    assert only(judge(x, z, mixed)).cleared_by == {"y": "common beat"}


def test_a_cut_within_the_incident_must_be_held_through() -> None:
    x = leg("x", "wan a", down(1, 5))
    z = leg("z", "wan c", cut(4, 9))
    asking = leg("y", "wan b", good(2), good(8), level="ask")
    one = only(judge(x, z, asking))
    assert one.cleared_by == {"y": "beside"}
    assert one.verdict.exonerated == ("b",)
    one = only(judge(x, z, leg("y", "wan b", good(0, 10))))
    assert one.cleared_by == {"y": "held through"}
    assert one.symptom == "down"


def test_a_leg_that_dropped_too_does_not_clear() -> None:
    x = leg("x", "wan a", down(10, 20))
    y = leg("y", "wan b", good(12, 15), down(15.1, 21))
    one = only(judge(x, y))
    assert one.cleared_by == {}
    assert one.failed == ("x", "y")


def test_incidents_come_by_severity() -> None:
    def failed(*seen: Observation) -> list[tuple[str, ...]]:
        return [one.failed for one in judge(*seen).incidents]

    early_cut = [leg(f"p{at}", f"wan c{at}", cut(1, 2)) for at in range(3)]
    # Down before cut, whatever the number of legs.
    assert failed(*early_cut, leg("x", "a", down(10, 12))) == [("x",), ("p0", "p1", "p2")]
    x, y, z = leg("x", "a", down(1, 2)), leg("y", "b", down(5, 6)), leg("z", "b", down(5, 6))
    assert failed(x, y, z) == [("y", "z"), ("x",)], "then more failed legs"
    assert failed(y, x) == [("x",), ("y",)], "then the earlier"
    undecided = leg("x", "a", cut(1, 2, symptom="unknown"))
    assert failed(undecided, leg("y", "b", cut(5, 6))) == [("y",), ("x",)], "a cut before unknown"


def test_who_is_convicted_in_one_incident_is_convicted_in_the_run() -> None:
    x, y = leg("x", "a", down(1, 2)), leg("y", "b", cut(5, 6))
    run = judge(x, y, leg("z", "wan c", good(0, 30)))
    assert run.verdict.status == "localised"
    assert run.verdict.convicted == ("a", "b")
    assert run.verdict.exonerated == ("wan", "c")


def test_three_closes_within_230_ms_are_one_incident() -> None:
    """One event that reaches one leg after the other."""
    closes = {"x": 10.0, "y": 10.12, "z": 10.23}
    seen = [
        leg(name, f"wan {name}", good(0, at - 0.1 * 2), cut(at - 0.05, at))
        for name, at in closes.items()
    ]
    one = only(judge(*seen, segments="wan x y z"))
    assert one.failed == ("x", "y", "z")
    assert one.verdict.at_least_one_of == (("wan", "x"), ("wan", "y"), ("wan", "z"))
    assert one.verdict.minimal_sets[0] == ("wan",)
    # Legs that share no segment broke apart from one another, however near.
    apart = [leg(name, name, cut(at - 0.05, at)) for name, at in closes.items()]
    run = judge(*apart, segments="x y z")
    assert [one.failed for one in run.incidents] == [("x",), ("y",), ("z",)]
    assert run.verdict.convicted == ("x", "y", "z")
    # More than a second apart they are two.
    late = leg("y", "wan y", good(0, 10.9), cut(10.95, 11.01))
    assert len(judge(seen[0], late).incidents) == 2


def test_drops_are_told_together_through_a_leg_that_shares_with_both() -> None:
    x, y = leg("x", "a", cut(1, 2)), leg("y", "b", cut(1.5, 2.5))
    assert len(judge(x, y, segments="a b").incidents) == 2
    both = leg("z", "a b", cut(1.2, 2.2))
    assert only(judge(x, y, both, segments="a b")).failed == ("x", "z", "y")


def test_a_leg_clears_nothing_of_a_drop_that_overlaps_its_own() -> None:
    # The legs share no segment, so these are two incidents; y's was noticed long after x's.
    x = leg("x", "a", good(0, 10), cut(10.1, 12))
    y = leg("y", "b c", good(0, 9, 14), cut(9.1, 30), good(31, conn=1))
    by_leg = {one.failed: one for one in judge(x, y, segments="a b c").incidents}
    assert by_leg["x",].cleared_by == {}
    assert by_leg["x",].verdict.unobserved == ("b", "c")
