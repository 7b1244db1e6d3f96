"""The verdict of a run is that of all its incidents together; as data, and as sentences."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from verdict_script import (
    blip,
    both,
    cut,
    down,
    fresh,
    held,
    judge,
    leg,
    only,
    opening,
    refusing,
    suspects,
    unknown,
    usual,
    well,
)

from t3probe.observation import Beat, Drop, Observation, RunRecord
from t3probe.verdict.exact.labels import LABELS
from t3probe.verdict.incident import run as run_module
from t3probe.verdict.incident.run import RunVerdict, judge_run

Y = leg("y", "wan b", well(5.01, 15.01, 25.01))


def at(moment: float, name: str, path: str, made: object = down) -> Observation:
    """A leg that is down for half a second; from then on it is well."""
    drop = made(moment - 0.9, moment)  # type: ignore[operator]
    return leg(name, path, opening(0), both(*(t for t in (10, 20, 30) if t < moment)), drop)


# Over all incidents.


def test_whoever_is_convicted_in_one_incident_is_convicted_in_the_run() -> None:
    # The lab's `tunnel:cut@1.4s doh:servfail@3.6s`: neither hides the other.
    run = judge(at(5, "x", "wan a"), at(15, "z", "wan c"), Y)
    assert [one.verdict.convicted for one in run.incidents] == [("a",), ("c",)]
    assert run.verdict.convicted == ("a", "c")
    assert run.verdict.labels() == {
        "wan": "exonerated",
        "b": "exonerated",
        "a": "convicted",
        "c": "convicted",
    }
    assert run.verdict.minimal_sets == (("a", "c"),)
    assert run.verdict.status == "localised"


def test_whoever_is_suspect_in_one_is_not_cleared_by_another() -> None:
    # At 5 s y clears wan for x; at 15 s nobody does for z.
    y = leg("y", "wan b", well(5.01))
    run = judge(at(5, "x", "wan a"), at(15, "z", "wan c"), y)
    assert [one.suspect_sets for one in run.incidents] == [[("a",)], [("wan", "c")]]
    assert run.incidents[0].verdict.exonerated == ("wan", "b")
    assert run.verdict.exonerated == ("b",)
    assert run.verdict.convicted == ("a",)
    assert run.verdict.at_least_one_of == (("wan", "c"),)
    assert run.verdict.status == "ambiguous"
    assert run.verdict.minimal_sets == (("wan", "a"), ("a", "c"))
    assert run.verdict.simplest is None


def test_exonerated_means_cleared_somewhere_and_suspect_nowhere() -> None:
    # c is cleared for z alone, a by a leg that passed and dropped nothing.
    x = leg("x", "wan b", usual(until=15), down())
    clears = leg("z", "c a", well())
    run = judge(x, clears, leg("w", "wan", well()))
    assert run.verdict.labels() == {
        "wan": "exonerated",
        "a": "exonerated",
        "b": "convicted",
        "c": "exonerated",
    }


def test_an_upstream_that_is_dead_all_the_time_stays_so_whatever_else_happens() -> None:
    dead = leg("up", "far", down(0, 5, conn=None, strand="fresh", stage="connect"), level="connect")
    run = judge(dead, at(15, "x", "wan a"), Y, segments="wan a b far")
    assert run.verdict.convicted == ("a", "far")


def test_a_conviction_masks_what_it_explains_in_another_incident() -> None:
    # z's set holds a, which is convicted by x: c needs no fault of its own.
    run = judge(at(5, "x", "wan a"), at(15, "z", "a c"), leg("y", "wan b", well(5.01)))
    assert run.incidents[1].verdict.at_least_one_of == (("a", "c"),)
    assert run.verdict.convicted == ("a",)
    assert run.verdict.masked == ("c",)
    assert run.verdict.at_least_one_of == ()
    assert run.verdict.simplest == ("a",)


# Incidents that contradict themselves.

EVERYTHING_CLEARED = leg("x", "wan a", usual(until=15), down())
CLEARS_ALL = leg("v", "wan a", well(5.01, 15.01, 25.01))


def test_an_inconsistent_run() -> None:
    run = judge(EVERYTHING_CLEARED, CLEARS_ALL, segments="wan a")
    one = only(run)
    assert one.suspect_sets == [()]
    assert one.contradicts
    for verdict in (run.verdict, one.verdict):
        assert verdict.status == "inconsistent"
        assert verdict.contradictions == ("x",)
        assert verdict.convicted == verdict.at_least_one_of == verdict.minimal_sets == ()
        assert verdict.simplest is None
        assert verdict.repairs == {
            "flips": 1,
            "options": [{"faults": [], "disbelieve": ["x"]}, *verdict.repairs["options"][1:]],
        }


def test_repairs_may_disbelieve_an_own_answer() -> None:
    x = leg("x", "wan a", usual(until=15), down(first_own="wan"))
    z = leg("z", "wan b", usual(until=15), down())
    run = judge(x, z, leg("v", "a", well()), leg("u", "b", well()), segments="wan a b")
    assert only(run).suspect_sets == [(), ("wan",)]
    assert run.verdict.status == "inconsistent"
    assert run.verdict.ambiguous == ("wan",)
    assert run.verdict.repairs == {
        "flips": 1,
        "options": [{"faults": ["wan"], "disbelieve": ["x (own answer)"]}],
    }


def test_a_sound_incident_speaks_for_the_run() -> None:
    z = at(25, "z", "wan c")
    run = judge(EVERYTHING_CLEARED, CLEARS_ALL, z, segments="wan a c")
    assert [one.verdict.status for one in run.incidents] == ["inconsistent", "localised"]
    assert run.verdict.status == "localised"
    assert run.verdict.convicted == ("c",)
    assert run.verdict.contradictions == ("x",)
    assert run.verdict.repairs is None


def test_a_sound_incident_that_only_suspects_does_so_too() -> None:
    z = leg("z", "b c", usual(until=25), down(24.1, 25))
    run = judge(EVERYTHING_CLEARED, CLEARS_ALL, z)
    assert run.verdict.status == "ambiguous"
    assert run.verdict.at_least_one_of == (("b", "c"),)
    assert run.verdict.contradictions == ("x",)


def test_an_inconsistent_incident_adds_no_set_and_its_suspects_are_at_best_ambiguous() -> None:
    # Of x everything is cleared; w, which dropped with it, has b left, which is sound nowhere.
    w = leg("w", "wan b", usual(until=15), down())
    sound = at(25, "z", "wan c")
    run = judge(EVERYTHING_CLEARED, w, CLEARS_ALL, sound)
    first, second = run.incidents
    assert first.suspect_sets == [("b",), ()]
    assert first.verdict.status == "inconsistent"
    assert first.verdict.convicted == ()
    assert first.verdict.ambiguous == ("b",)
    assert first.verdict.contradictions == ("w", "x")
    assert second.verdict.convicted == ("c",)
    assert run.verdict.convicted == ("c",)
    assert run.verdict.ambiguous == ("b",)
    assert run.verdict.at_least_one_of == ()
    assert run.verdict.contradictions == ("w", "x")
    assert run.verdict.status == "ambiguous"


def test_a_sound_incident_convicts_what_is_doubtful_in_another() -> None:
    w = leg("w", "wan c", usual(until=15), down())
    run = judge(EVERYTHING_CLEARED, w, CLEARS_ALL, at(25, "z", "wan c"))
    assert run.incidents[0].verdict.ambiguous == ("c",)
    assert run.verdict.convicted == ("c",)
    assert run.verdict.ambiguous == ()


def test_a_drop_without_a_path_contradicts_itself() -> None:
    run = judge(leg("x", "", down()), segments="wan")
    assert run.verdict.status == "inconsistent"


# Own answers tell segments apart that lie on the same legs.


def test_ambiguous_classes_know_what_own_answers_cleared() -> None:
    # Only x crosses them. Once its own answer cleared wan and a, once nothing was cleared.
    x = leg("x", "wan a b c", usual(), down(4.1, 5, first_own="wan a"), down(14.1, 15))
    run = judge(x)
    assert run.verdict.at_least_one_of == (("b", "c"),)
    assert run.verdict.masked == ("wan", "a")
    assert run.verdict.ambiguous_classes == (("wan", "a"), ("b", "c"))
    assert run.verdict.structural_classes == (("wan", "a", "b", "c"),)


def test_the_extra_leg_splits_those_that_are_ambiguous() -> None:
    x = leg("x", "wan a b c", usual(), down(4.1, 5, first_own="wan a"), down(14.1, 15))
    record = RunRecord(segments=("wan", "a", "b", "c"), paths=(("wan", "a", "b", "c"),))
    # wan alone would only tell masked ones apart.
    assert judge_run(record, [x]).verdict.extra_leg == ("b",)


def test_a_segment_that_is_doubtful_is_told_apart_only_from_other_suspects() -> None:
    record = RunRecord(segments=("wan", "a"), paths=(("wan", "a"),))
    run = judge_run(record, [leg("x", "wan a", down(1, 2))])
    assert run.verdict.ambiguous_classes == (("wan", "a"),)
    assert run.verdict.extra_leg == ("wan",)


# Beside, and without incidents.


@pytest.mark.parametrize("made", [down, refusing, cut, unknown, blip])
def test_beside_holds_for_every_symptom(made: object) -> None:
    drop = made()  # type: ignore[operator]
    x = leg("x", "wan a", usual(), drop)
    once = leg("wall", "b wall", fresh(0, 10, 20, 30), level="ask")
    run = judge(x, once, segments="wan a b wall")
    assert only(run).cleared_by == {"wall": "beside"}
    assert run.verdict.exonerated == ("b", "wall")
    assert run.verdict.at_least_one_of == (("wan", "a"),)


def test_a_leg_that_failed_elsewhere_clears_nothing_beside() -> None:
    run = judge(at(5, "x", "wan a"), at(15, "z", "b c"), segments="wan a b c")
    assert [one.cleared_by for one in run.incidents] == [{}, {}]


def test_without_drops_passes_clear_and_degraded_ones_too() -> None:
    run = judge(leg("x", "wan a"), leg("y", "b", outcome="degraded"), segments="wan a b")
    assert run.verdict.status == "clean"
    assert run.verdict.exonerated == ("wan", "a", "b")
    assert run.verdict.minimal_sets == ((),)


def test_a_declared_segment_nobody_saw_makes_it_incomplete() -> None:
    run = judge(leg("x", "wan a"), segments="wan a b")
    assert run.verdict.status == "incomplete"
    assert run.verdict.unobserved == ("b",)
    run = judge(leg("x", "wan a"), segments="wan a", own="upstream-b")
    assert run.verdict.status == "clean", "an upstream's own segment is not declared"
    assert run.verdict.unobserved == ("upstream-b",)


# Records of 0.1.


def test_in_records_of_0_1_a_connections_first_beat_is_fresh_and_all_others_held() -> None:
    def old(*sent: float, conn: int = 0) -> tuple[Beat, ...]:
        return tuple(Beat(sent=one, ended=one + 0.1, ok=True, conn=conn) for one in sent)

    drop = cut(strand=None, asked=None, answered=False)
    x = leg("x", "wan a", old(0, 10), drop, old(15.02, 20, 30, conn=1))
    assert suspects(judge(x, leg("y", "wan b", old(0, 10, 15.01, 20, 30)))) == "a"
    broke = down(strand=None, asked=None)
    x = leg("x", "wan a", old(0, 10), broke)
    assert suspects(judge(x, leg("y", "wan b", old(0, 10, 15.01, 20)))) == "wan|a"
    assert suspects(judge(x, leg("y", "wan b", old(0, 10), old(15.01, conn=1)))) == "a"


# Hypothesis.

LETTERS = "abcdef"


@st.composite
def runs(draw: st.DrawFn) -> list[Observation]:
    """Legs of which some fail, each once; passing ones answer some common beats."""
    seen = []
    names = st.lists(st.sampled_from(LETTERS), min_size=1, max_size=4, unique=True)
    for number in range(draw(st.integers(1, 5))):
        path = " ".join(draw(names))
        moment = draw(st.sampled_from([5.0, 15.0, 25.0]))
        own = path.split()[: draw(st.integers(0, 2))]
        drop = down(moment - 0.9, moment, first_own=" ".join(own))
        seen.append(leg(f"x{number}", path, usual(until=moment), drop))
    for number in range(draw(st.integers(0, 4))):
        called = draw(st.lists(st.sampled_from([5.01, 15.01, 25.01]), unique=True))
        seen.append(leg(f"y{number}", " ".join(draw(names)), usual(), both(*called)))
    return seen


def everything(run: RunVerdict) -> set[str]:
    return {*run.verdict.convicted, *run.verdict.ambiguous, *run.verdict.masked}


@given(runs())
def test_the_run_hides_no_incident(seen: list[Observation]) -> None:
    run = judge(*seen, segments=" ".join(LETTERS))
    labels = [name for label in LABELS for name in getattr(run.verdict, label)]
    assert sorted(labels) == sorted(LETTERS)
    sound = [one for one in run.incidents if not one.contradicts]
    for one in sound:
        assert set(one.verdict.convicted) <= set(run.verdict.convicted)
        for name in (name for group in one.suspect_sets for name in group):
            assert name in everything(run)
    for one in run.incidents:
        kept = {name for group in one.suspect_sets for name in group}
        assert not kept & set(run.verdict.exonerated)
    assert (run.verdict.status == "inconsistent") == (bool(run.incidents) and not sound)
    rest = {leg_ for one in run.incidents if one.contradicts for leg_ in one.failed}
    assert set(run.verdict.contradictions) == rest
    sets = {one for incident in sound for one in incident.suspect_sets}
    assert {(one,) for one in run.verdict.convicted} <= sets
    assert set(run.verdict.at_least_one_of) <= {
        tuple(name for name in LETTERS if name in one) for one in sets
    }


@st.composite
def truthful(draw: st.DrawFn) -> tuple[set[str], list[Observation], Observation]:
    """Some segments are down from 14 s on; and one more leg that passes."""
    broken = draw(st.sets(st.sampled_from(LETTERS), min_size=1, max_size=2))
    names = st.lists(st.sampled_from(LETTERS), min_size=1, max_size=4, unique=True)
    seen = []
    for number in range(draw(st.integers(1, 6))):
        path = draw(names)
        if broken & set(path):
            at_ = path.index(next(name for name in path if name in broken))
            own = " ".join(path[: draw(st.integers(0, at_))])
            drop = down(10.1, 15.0, first_own=own)
            seen.append(leg(f"x{number}", " ".join(path), usual(until=14), drop))
        else:
            seen.append(leg(f"y{number}", " ".join(path), well()))
    good = [name for name in LETTERS if name not in broken]
    rest = draw(st.lists(st.sampled_from(good), min_size=1, max_size=4, unique=True))
    return broken, seen, leg("more", " ".join(rest), well())


@given(truthful())
def test_a_passing_leg_never_convicts_an_innocent(
    script: tuple[set[str], list[Observation], Observation],
) -> None:
    broken, seen, more = script
    before = judge(*seen, segments=" ".join(LETTERS))
    after = judge(*seen, more, segments=" ".join(LETTERS))
    for run in (before, after):
        assert run.verdict.status != "inconsistent"
        assert set(run.verdict.convicted) <= broken
        assert not set(run.verdict.exonerated) & broken
    assert set(before.verdict.convicted) <= set(after.verdict.convicted)
    assert set(before.verdict.exonerated) <= set(after.verdict.exonerated)


# As data and as sentences.


def test_the_json_form() -> None:
    x = leg("x", "wan a", usual(until=15), cut(own="wan"))
    run = judge(x, leg("y", "wan b", well()), segments="wan a b", own="up")
    told = run.to_dict()
    assert list(told) == [*run.verdict.to_dict(), "incidents", "slowness"]
    unsure = judge(leg("x", "wan a", cut()), segments="wan a")
    likely = ["posterior", "convicted_by_repetition"]
    assert list(unsure.to_dict()) == [*run.verdict.to_dict(), "incidents", *likely, "slowness"]
    assert list(run.verdict.to_dict())[-1] == "simplest"
    (incident,) = told["incidents"]
    verdict = incident.pop("verdict")
    assert verdict == {key: told[key] for key in verdict}
    assert incident == {
        "began_seconds": 10.1,
        "began": "2023-11-14T22:13:30.100Z",
        "noticed_seconds": 15.0,
        "noticed": "2023-11-14T22:13:35.000Z",
        "recovered_seconds": 15.2,
        "recovered": "2023-11-14T22:13:35.200Z",
        "symptom": "cut",
        "failed": ["x"],
        "cleared_by": {"x": "own answer", "y": "held through"},
        "carried": {"x": ["wan"]},
        "text": "Between 10.100 s and 15.000 s x was cut and could reconnect at once: "
        "a is convicted.",
    }
    json.dumps(told)


def test_a_clean_run_has_an_empty_list_of_incidents() -> None:
    told = judge(leg("x", "wan a b c")).to_dict()
    assert told["incidents"] == []
    assert told["status"] == "clean"


def test_an_incident_that_is_not_over_has_no_recovery() -> None:
    told = judge(leg("x", "wan", down(1, 2))).to_dict()["incidents"][0]
    assert told["recovered_seconds"] is None
    assert told["recovered"] is None


def test_several_ways_to_clear_are_named_by_the_strongest() -> None:
    x = leg("x", "wan a", usual(until=15), down())
    z = leg("z", "wan c", usual(until=15), cut())
    one = only(judge(x, z, leg("y", "wan b", well())))
    assert one.cleared_by == {"y": "held through"}


SENTENCES: list[tuple[list[Observation], str]] = [
    (
        [leg("x", "a", down(1, 2)), leg("y", "b a", down(1, 2))],
        "Between 1.000 s and 2.000 s x and y were down: a is convicted.",
    ),
    (
        [leg("x", "wan a", refusing(1, 2))],
        "Between 1.000 s and 2.000 s x kept its connection and accepted no new one: "
        "one of wan or a broke.",
    ),
    (
        [leg("x", "wan a", blip(1, 2))],
        "Between 1.000 s and 2.000 s x failed once and worked at once again: "
        "one of wan or a broke.",
    ),
    (
        [leg("x", "wan a", unknown(1, 2))],
        "Between 1.000 s and 2.000 s x was lost, whether cut or down is not known: "
        "one of wan or a broke.",
    ),
    (
        [leg("x", "", down(1, 2))],
        "Between 1.000 s and 2.000 s x was down: "
        "the outcomes contradict each other, so no segment is convicted.",
    ),
    (
        [leg(f"x{n}", f"wan s{n}", down(1, 2)) for n in range(5)],
        "Between 1.000 s and 2.000 s x0, x1, x2, x3 and x4 were down: "
        "one of wan or s0 broke, one of wan or s1 broke, one of wan or s2 broke, "
        "one of wan or s3 broke, one of wan or s4 broke.",
    ),
    (
        [leg(f"x{n}", f"wan s{n}", down(1, 2)) for n in range(7)],
        "Between 1.000 s and 2.000 s x0, x1, x2, x3, x4 and 2 more were down: "
        "one of wan or s0 broke, one of wan or s1 broke, one of wan or s2 broke, "
        "one of wan or s3 broke, one of wan or s4 broke, and 2 more such groups.",
    ),
]


@pytest.mark.parametrize(("seen", "sentence"), SENTENCES, ids=range(len(SENTENCES)))
def test_one_sentence(seen: list[Observation], sentence: str) -> None:
    assert judge(*seen).incidents[0].text == sentence


def test_many_incidents_are_listed_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "INCIDENTS_LIMIT", 3)
    drops = [cut(at_ * 3.0, at_ * 3.0 + 0.5) for at_ in range(9)]
    worst = leg("y", "b", down(13.6, 13.7))
    run = judge(leg("x", "wan a", *drops), worst)
    assert len(run.incidents) == 10
    told = run.to_dict()
    assert told["incidents_truncated"] is True
    assert [one["began_seconds"] for one in told["incidents"]] == [13.6, 0, 3]
    assert told["convicted"] == ["b"]


def test_a_record_without_segments_learns_them_from_the_legs() -> None:
    run = judge_run(RunRecord(), [leg("x", "wan a", down(1, 2, first_own="wan"))])
    assert run.verdict.labels() == {"wan": "exonerated", "a": "convicted"}
    assert judge_run(RunRecord(), []).to_dict()["status"] == "clean"


def test_two_observations_of_one_name_both_count() -> None:
    run = judge(leg("x", "a", down(1, 2)), leg("x", "a b", down(1, 2)), segments="a b")
    assert run.incidents[0].failed == ("x", "x (2)")
    assert run.verdict.convicted == ("a",)
    assert run.verdict.masked == ("b",)


def test_beats_and_drops_in_any_order_say_the_same() -> None:
    import msgspec

    x = leg("x", "wan a", usual(until=15), cut(1.0, 2.0), cut())
    y = leg("y", "wan b", well(2.01, 15.01))
    turned = [
        msgspec.structs.replace(one, beats=one.beats[::-1], drops=one.drops[::-1]) for one in (x, y)
    ]
    plain, other = judge(x, y), judge(*turned)
    assert plain.to_dict() == other.to_dict()


def test_a_thousand_legs_that_share_a_segment_are_judged_soon() -> None:
    ups = [
        leg(f"up{n}", f"rack s{n}", fresh(0, 10, 15.01, 20, 30), level="connect")
        for n in range(1000)
    ]
    broke: list[Drop] = [down(10.1, 15.0, stage="connect", strand="fresh", conn=None)]
    run = judge(leg("x", "rack wan", *broke), *ups, held_one(), segments="rack wan")
    assert run.verdict.convicted == ("wan",)


def held_one() -> Observation:
    return leg("h", "rack", held(0, 10))


def test_what_may_have_broken_later_in_an_outage_is_not_cleared() -> None:
    """A leg that is down already cannot say what else broke on its path; when its attempts fall
    silent, something may have. Who passed all the time clears that, and the conviction stays."""
    well_all_along = leg("y", "wan b", well())
    told = {"first_own": "wan b", "answered": True}
    for silent in (False, True):
        x = leg("x", "wan b c a", usual(until=15), down(**told, own="c", fell_silent=silent))
        found = judge(x, leg("z", "wan", well()), segments="wan a b c").verdict
        assert found.convicted == ("a",), found
        assert found.masked == (("b", "c") if silent else ())
        assert found.exonerated == (("wan",) if silent else ("wan", "b", "c"))
        found = judge(x, well_all_along, segments="wan a b c").verdict
        assert (found.convicted, found.masked) == (("a",), ("c",) if silent else ())
