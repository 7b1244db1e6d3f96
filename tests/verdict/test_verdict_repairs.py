"""Which outcomes to disbelieve, compared with all sets of faults."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verdict_cases import LETTERS, case
from verdict_oracle import repairs as plain_repairs

from t3probe.verdict.exact.case import Case
from t3probe.verdict.exact.labels import solve
from t3probe.verdict.exact.repairs import find_repairs

some = settings(deadline=None, max_examples=300)


def scattered(rng: random.Random, segments: int, legs: int, high: int) -> Case:
    """Outcomes by chance: mostly contradictions."""
    names = tuple(f"s{at}" for at in range(segments))
    crossed = {f"leg{at}": tuple(rng.sample(names, rng.randint(1, high))) for at in range(legs)}
    failed = tuple(leg for leg in crossed if rng.random() < 0.5)
    passed = tuple(leg for leg in crossed if leg not in failed)
    return Case(segments=names, legs=crossed, failed=failed, passed=passed)


def found(one: Case, **options: int) -> dict:
    position = {name: at for at, name in enumerate(one.segments)}
    ran = {leg: [position[name] for name in path] for leg, path in one.legs.items()}
    return find_repairs(one.segments, ran, {leg: leg in one.passed for leg in ran}, **options)


@some
@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from(LETTERS[:7]), max_size=5), st.booleans()),
        min_size=1,
        max_size=14,
    )
)
def test_equals_the_search_over_all_sets_of_faults(legs: list[tuple[set[str], bool]]) -> None:
    names = {f"leg{at}": tuple(sorted(one)) for at, (one, _) in enumerate(legs)}
    failed = tuple(f"leg{at}" for at, (_, fails) in enumerate(legs) if fails)
    one = Case(
        segments=tuple(LETTERS[:7]),
        legs=names,
        failed=failed,
        passed=tuple(leg for leg in names if leg not in failed),
    )
    assert found(one) == plain_repairs(one, list(names))


def test_larger_systems_too() -> None:
    rng = random.Random(5)
    for _ in range(12):
        one = scattered(rng, 11, 30, 4)
        assert found(one) == plain_repairs(one, list(one.legs))


@pytest.mark.parametrize("seed", [285, *range(40)])
def test_many_lies_about_few_segments(seed: int) -> None:
    # 285 goes wrong when a lower bound forgets the segments that were too dear to try.
    rng = random.Random(seed)
    names = tuple(f"s{at}" for at in range(rng.randint(4, 9)))
    crossed = {
        f"leg{at}": tuple(rng.sample(names, rng.randint(1, min(len(names), 5))))
        for at in range(rng.randint(8, 40))
    }
    share = rng.choice([0.2, 0.5, 0.7])
    failed = tuple(leg for leg in crossed if rng.random() < share)
    passed = tuple(leg for leg in crossed if leg not in failed)
    one = Case(segments=names, legs=crossed, failed=failed, passed=passed)
    assert found(one) == plain_repairs(one, list(crossed))


def test_the_fewest_outcomes_before_the_fewest_faults() -> None:
    # One pass to disbelieve and two faults, rather than two failures and none.
    one = case("a b", {"w": "a b", "x": "a", "y": "b"}, failed="x y", passed="w")
    assert solve(one).repairs == {
        "flips": 1,
        "options": [{"faults": ["a", "b"], "disbelieve": ["w"]}],
    }


def test_all_options_are_listed() -> None:
    one = case("a", {"x": "a", "y": "a"}, failed="x", passed="y")
    assert solve(one).repairs == {
        "flips": 1,
        "options": [{"faults": [], "disbelieve": ["x"]}],
    }
    one = case("a b c", {"x": "a b", "y": "a b", "z": "c"}, failed="x z", passed="y")
    assert solve(one).repairs["options"] == [{"faults": ["c"], "disbelieve": ["x"]}]


def test_parts_are_priced_apart_and_combined() -> None:
    legs = {}
    for at in range(40):
        legs |= {f"bad{at}": f"s{at} t{at} u{at}", f"good{at}": f"s{at} t{at} u{at}"}
        legs |= {f"more{at}": f"s{at} u{at}"}
    one = case(
        " ".join(f"s{at} t{at} u{at}" for at in range(40)),
        legs,
        failed=" ".join(leg for leg in legs if not leg.startswith("good")),
        passed=" ".join(leg for leg in legs if leg.startswith("good")),
    )
    repairs = solve(one).repairs
    assert repairs["flips"] == 40
    assert repairs["truncated"] is True
    assert len(repairs["options"]) == 4096
    assert repairs["options"][0]["faults"] == [f"s{at}" for at in range(40)]
    assert len({tuple(option["faults"]) for option in repairs["options"]}) == 4096


def test_options_are_fewer_when_there_are_many_legs(monkeypatch: pytest.MonkeyPatch) -> None:
    one = case("a b c", {"x": "a b c", "y": "a b c", "z": "a b c"}, failed="x y", passed="z")
    assert "truncated" not in solve(one).repairs
    assert len(solve(one).repairs["options"]) == 3
    monkeypatch.setattr("t3probe.verdict.exact.repairs.ROOM", 6)
    assert solve(one).repairs == {
        "flips": 1,
        "options": [
            {"faults": ["a"], "disbelieve": ["z"]},
            {"faults": ["b"], "disbelieve": ["z"]},
        ],
        "truncated": True,
    }


@pytest.mark.parametrize("seed", range(6))
def test_without_steps_the_answer_is_consistent_and_says_so(seed: int) -> None:
    one = scattered(random.Random(seed), 10, 25, 4)
    exact = found(one)
    quick = found(one, steps=0)
    assert quick["truncated"] is True
    assert quick["flips"] >= exact["flips"]
    (option,) = quick["options"]
    wrong = [
        leg
        for leg, path in one.legs.items()
        if bool(set(path) & set(option["faults"])) != (leg in one.failed)
    ]
    assert option["disbelieve"] == wrong
    assert quick["flips"] == len(wrong)
    for name in one.segments:
        faults = set(option["faults"]) ^ {name}
        flips = sum(bool(set(path) & faults) != (x in one.failed) for x, path in one.legs.items())
        assert (flips, len(faults)) > (len(wrong), len(option["faults"])), "a local optimum"


def test_few_lies_among_many_legs_are_found_exactly() -> None:
    rng = random.Random(11)
    names = tuple(f"s{at}" for at in range(200))
    crossed = {f"leg{at}": tuple(rng.sample(names, rng.randint(5, 20))) for at in range(400)}
    broken = {"s3", "s77", "s150"}
    lies = {"leg5", "leg350"}
    failed = tuple(
        leg for leg, path in crossed.items() if bool(broken & set(path)) != (leg in lies)
    )
    passed = tuple(leg for leg in crossed if leg not in failed)
    verdict = solve(Case(segments=names, legs=crossed, failed=failed, passed=passed))
    assert verdict.status == "inconsistent"
    assert verdict.repairs == {
        "flips": 2,
        "options": [{"faults": ["s3", "s77", "s150"], "disbelieve": ["leg5", "leg350"]}],
    }
