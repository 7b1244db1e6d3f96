"""The labels, compared with a plain search over all sets of faults."""

from __future__ import annotations

import json
import subprocess
import sys

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from verdict_cases import case, cases
from verdict_oracle import all_sets, oracle

from t3probe.verdict.exact.case import Case, parse_cases
from t3probe.verdict.exact.labels import LABELS, Verdict, solve

KEYS = [
    "status",
    "exonerated",
    "convicted",
    "ambiguous",
    "masked",
    "unobserved",
    "at_least_one_of",
    "minimal_sets",
    "minimal_sets_truncated",
    "ambiguous_classes",
    "structural_classes",
    "contradictions",
    "repairs",
    "extra_leg",
    "simplest",
]

many = settings(deadline=None, max_examples=400)
some = settings(deadline=None, max_examples=150)


@many
@given(cases())
def test_equals_the_search_over_all_sets_of_faults(one: Case) -> None:
    assert solve(one).to_dict() == oracle(one)


@some
@given(cases(truthful=True))
def test_equals_it_for_truthful_outcomes(one: Case) -> None:
    assert solve(one).to_dict() == oracle(one)


@some
@given(cases())
def test_the_labels_partition_the_segments(one: Case) -> None:
    verdict = solve(one)
    named = [name for label in LABELS for name in getattr(verdict, label)]
    assert sorted(named) == sorted(one.segments)
    assert len(verdict.labels()) == len(one.segments)


@some
@given(cases(truthful=True))
def test_convicted_and_ambiguous_are_what_the_minimal_sets_hold(one: Case) -> None:
    verdict = solve(one)
    sets = [set(faults) for faults in verdict.minimal_sets]
    assert set(verdict.convicted) == set.intersection(*sets)
    assert set(verdict.convicted + verdict.ambiguous) == set.union(*sets)


@some
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_legs_and_outcomes_does_not_matter(one: Case, rng: object) -> None:
    def shuffled(items: object) -> list:
        out = list(items)
        rng.shuffle(out)
        return out

    legs = {name: tuple(shuffled(one.legs[name])) for name in shuffled(one.legs)}
    other = msgspec.structs.replace(
        one, legs=legs, failed=tuple(shuffled(one.failed)), passed=tuple(shuffled(one.passed))
    )
    first, second = solve(one).to_dict(), solve(other).to_dict()
    second["contradictions"].sort(key=list(one.legs).index)
    for option in (second["repairs"] or {"options": []})["options"]:
        option["disbelieve"].sort(key=list(one.legs).index)
    assert second == first


@some
@given(cases())
def test_the_answer_keeps_the_order_of_the_legs(one: Case) -> None:
    turned = msgspec.structs.replace(one, legs=dict(reversed(one.legs.items())))
    verdict = solve(turned)
    assert list(verdict.contradictions) == [x for x in turned.legs if x in verdict.contradictions]
    for option in (verdict.repairs or {"options": []})["options"]:
        assert option["disbelieve"] == [x for x in turned.legs if x in option["disbelieve"]]


@some
@given(cases(truthful=True))
def test_a_leg_that_runs_twice_changes_nothing(one: Case) -> None:
    again = msgspec.structs.replace(
        one,
        legs=one.legs | {f"{leg}-again": path for leg, path in one.legs.items()},
        failed=one.failed + tuple(f"{leg}-again" for leg in one.failed),
        passed=tuple(f"{leg}-again" for leg in one.passed) + one.passed,
    )
    assert solve(again) == solve(one)


@some
@given(cases(legs=6), st.data())
def test_truthful_outcomes_never_clear_a_broken_segment(one: Case, data: st.DataObject) -> None:
    faults = data.draw(st.sampled_from(all_sets(one.segments)))
    ran = [leg for leg in one.legs if data.draw(st.booleans())]
    failed = tuple(leg for leg in ran if faults & set(one.legs[leg]))
    verdict = solve(
        msgspec.structs.replace(
            one, failed=failed, passed=tuple(leg for leg in ran if leg not in failed)
        )
    )
    assert not faults & set(verdict.exonerated)
    assert verdict.status != "inconsistent"
    assert set(verdict.convicted) <= faults


@some
@given(cases(), st.data())
def test_swapping_two_segments_of_one_class_swaps_them(one: Case, data: st.DataObject) -> None:
    verdict = solve(msgspec.structs.replace(one, paths=()))
    if not verdict.structural_classes:
        return
    group = data.draw(st.sampled_from(verdict.structural_classes))
    a, b = data.draw(st.permutations(group))[:2]
    turn = {a: b, b: a}
    segments = tuple(turn.get(name, name) for name in one.segments)
    other = solve(msgspec.structs.replace(one, segments=segments, paths=()))
    names = json.dumps(verdict.to_dict())
    marked = names.replace(f'"{a}"', '"?"').replace(f'"{b}"', f'"{a}"').replace('"?"', f'"{b}"')
    # Legs stay the same: both segments lie on the same ones.
    assert json.loads(marked) == other.to_dict()


@some
@given(cases(segments=8, legs=14))
def test_never_an_exception_on_what_the_parser_accepts(one: Case) -> None:
    text = msgspec.json.encode(one)
    (read,), listed = parse_cases(text, "test")
    assert read == one
    assert not listed
    msgspec.json.encode(solve(read).to_dict())


def test_the_keys_and_their_order() -> None:
    assert list(solve(case("", {})).to_dict()) == KEYS
    assert list(Verdict.__struct_fields__) == KEYS


def test_nothing_failed() -> None:
    verdict = solve(case("a b c", {"x": "a"}, passed="x")).to_dict()
    assert verdict["status"] == "clean"
    assert verdict["minimal_sets"] == [[]]
    assert verdict["unobserved"] == ["b", "c"]
    assert verdict["structural_classes"] == [["b", "c"]]
    assert verdict["extra_leg"] is None


def test_masked_is_not_cleared_and_not_blamed() -> None:
    verdict = solve(case("a b", {"x": "a", "y": "a b"}, failed="x y"))
    assert verdict.convicted == ("a",)
    assert verdict.masked == ("b",)
    assert verdict.status == "localised"
    assert verdict.minimal_sets == (("a",),)


def test_two_faults_at_once_are_both_convicted() -> None:
    verdict = solve(case("a b c", {"x": "a", "y": "c", "z": "b"}, failed="x y", passed="z"))
    assert verdict.convicted == ("a", "c")
    assert verdict.status == "localised"


def test_a_contradiction_convicts_nobody() -> None:
    verdict = solve(
        case("a b c", {"x": "a", "y": "a", "z": "b", "w": "c"}, failed="x z", passed="y w")
    )
    assert verdict.status == "inconsistent"
    assert verdict.convicted == ()
    assert verdict.ambiguous == ("b",)
    assert verdict.contradictions == ("x",)
    assert verdict.minimal_sets == ()
    assert verdict.repairs == {
        "flips": 1,
        "options": [
            {"faults": ["b"], "disbelieve": ["x"]},
        ],
    }


def test_a_leg_that_crosses_nothing_cannot_have_failed() -> None:
    verdict = solve(case("a", {"x": ""}, failed="x"))
    assert verdict.contradictions == ("x",)
    assert verdict.repairs == {"flips": 1, "options": [{"faults": [], "disbelieve": ["x"]}]}


def test_importing_the_verdict_stays_cheap() -> None:
    code = (
        "import sys, t3probe.verdict.incident.run as run;"
        "from t3probe.verdict.exact.case import Case;"
        "from t3probe.verdict.exact.labels import solve;"
        "solve(Case(segments=('a',), legs={'x': ('a',)}, passed=('x',)));"
        "print([m for m in ('asyncio','difflib',"
        "'t3probe.verdict.exact.repairs','t3probe.verdict.exact.hitting') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
