"""The posterior from counts: against summing over all faults by hand, and what must hold."""

from __future__ import annotations

import math
from itertools import chain, combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t3probe.verdict.exact.case import Case
from t3probe.verdict.exact.labels import solve
from t3probe.verdict.repeated.posterior import NOISE, PRIOR, Model, Posterior, posterior

CERTAIN = Model(false_positive=0, false_negative=0, rates=((1.0, 1.0),))
Legs = dict[str, tuple[str, ...]]
Counts = dict[str, tuple[int, int]]


@st.composite
def networks(draw: Any, segments: int = 6, legs: int = 7, tries: int = 5) -> tuple[str, Legs]:
    names = "abcdefgh"[: draw(st.integers(1, segments))]
    path = st.lists(st.sampled_from(names), min_size=1, max_size=len(names), unique=True)
    found = draw(st.lists(path, min_size=1, max_size=legs))
    return names, {f"leg{at}": tuple(one) for at, one in enumerate(found)}


@st.composite
def counted(draw: Any, tries: int = 5) -> tuple[str, Legs, Counts]:
    names, legs = draw(networks())
    counts = {}
    for leg in legs:
        n = draw(st.integers(0, tries))
        counts[leg] = (draw(st.integers(0, n)), n)
    return names, legs, counts


def subsets(names: str) -> list[frozenset[str]]:
    sizes = range(len(names) + 1)
    return [frozenset(one) for one in chain(*(combinations(names, n) for n in sizes))]


def by_hand(
    names: str, legs: Legs, counts: Counts, model: Model, priors: dict[str, float]
) -> dict[frozenset[str], float]:
    """The probability of each set of faults, with nothing taken apart or summed out."""

    def likely(leg: str, rate: float) -> float:
        fails, tries = counts[leg]
        rate = min(1 - 1e-9, max(1e-9, rate))
        return rate**fails * (1 - rate) ** (tries - fails)

    def broken(leg: str, rate: float) -> float:
        seen = rate * (1 - model.false_negative) + (1 - rate) * model.false_positive
        return likely(leg, max(seen, 2 * model.false_positive))

    def good(leg: str) -> float:
        return sum(weight * likely(leg, times * model.false_positive) for times, weight in NOISE)

    def mixed(leg: str) -> float:
        return sum(weight * broken(leg, rate) for rate, weight in model.rates)

    weights = {}
    for faults in subsets(names):
        prior = math.prod(priors[one] if one in faults else 1 - priors[one] for one in names)
        weights[faults] = prior
        # Each part of the network has a regime of its own.
        for part in connected(legs):
            regimes = [
                model.shared
                * weight
                * math.prod(
                    broken(leg, rate) if faults & set(legs[leg]) else good(leg) for leg in part
                )
                for rate, weight in model.rates
            ]
            regimes.append(
                (1 - model.shared)
                * math.prod(mixed(leg) if faults & set(legs[leg]) else good(leg) for leg in part)
            )
            weights[faults] *= sum(regimes)
    total = sum(weights.values())
    return {faults: weight / total for faults, weight in weights.items()}


def connected(legs: Legs) -> list[list[str]]:
    out: list[list[str]] = []
    for leg in legs:
        joined = [part for part in out if any(set(legs[leg]) & set(legs[one]) for one in part)]
        out = [part for part in out if part not in joined] + [[*chain(*joined), leg]]
    return out


def judge(names: str, legs: Legs, counts: Counts, **more: Any) -> Posterior:
    return posterior(tuple(names), legs, counts, **more)


@settings(deadline=None, max_examples=150)
@given(
    counted(),
    st.sampled_from(
        [
            Model(),
            Model(prior=0.02, false_positive=0.01, false_negative=0.1, shared=0.5),
            Model(false_positive=0.2),
            CERTAIN,
        ]
    ),
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([0.001, 0.3, 0.9])),
)
def test_it_is_the_sum_over_all_sets_of_faults(case: Any, model: Model, some: Any) -> None:
    names, legs, counts = case
    legs = {leg: path for leg, path in legs.items() if counts[leg][1]}
    some = {name: one for name, one in some.items() if name in names}
    priors = dict.fromkeys(names, model.prior) | some
    expected = by_hand(names, legs, counts, model, priors)
    found = judge(names, legs, {leg: counts[leg] for leg in legs}, priors=some, model=model)
    assert not found.truncated
    for name in names:
        right = sum(weight for faults, weight in expected.items() if name in faults)
        assert found.posterior[name] == pytest.approx(right, rel=1e-6, abs=1e-9)


@settings(deadline=None, max_examples=100)
@given(counted())
def test_the_explanations_are_the_most_probable_sets(case: Any) -> None:
    names, legs, counts = case
    legs = {leg: path for leg, path in legs.items() if counts[leg][1]}
    failed = {
        leg for part in connected(legs) if any(counts[one][0] for one in part) for leg in part
    }
    inside = "".join(n for n in names if any(n in legs[leg] for leg in failed))
    found = judge(names, legs, {leg: counts[leg] for leg in legs})
    if not failed:
        assert found.explanations == ()
        return
    on = {n: tuple(n in path for path in legs.values()) for n in inside}
    kept = {leg: legs[leg] for leg in legs if leg in failed}
    by_groups: dict[frozenset[Any], float] = {}
    all_sets = by_hand(inside, kept, counts, Model(), dict.fromkeys(inside, PRIOR))
    for faults, weight in all_sets.items():
        key = frozenset(on[one] for one in faults)
        by_groups[key] = by_groups.get(key, 0.0) + weight
    parts = [{on[n] for leg in part for n in legs[leg]} for part in connected(kept)]
    few = [w for key, w in by_groups.items() if all(len(key & part) <= 3 for part in parts)]
    few = sorted(few, reverse=True)[:5]
    assert [one.probability for one in found.explanations] == pytest.approx(few, rel=1e-6)
    for one in found.explanations:
        key = frozenset(on[group[0]] for group in one.faults)
        assert one.probability == pytest.approx(by_groups[key], rel=1e-6)
        assert all(len({on[name] for name in group}) == 1 for group in one.faults)


@settings(deadline=None, max_examples=150)
@given(counted(), st.data())
def test_one_more_failure_never_clears_and_one_more_pass_never_accuses(
    case: Any, data: Any
) -> None:
    names, legs, counts = case
    leg = data.draw(st.sampled_from(sorted(legs)))
    fails, tries = counts[leg]

    def accused(count: tuple[int, int]) -> tuple[float, float]:
        changed = counts | {leg: count}
        own = judge(names, legs, changed, model=Model(shared=0)).posterior
        sets = by_hand(names, legs, changed, Model(), dict.fromkeys(names, PRIOR))
        some = sum(weight for faults, weight in sets.items() if faults & set(legs[leg]))
        return sum(own[name] for name in legs[leg]), some

    now, worse, better = map(accused, ((fails, tries), (fails + 1, tries + 1), (fails, tries + 1)))
    for at in (0, 1):
        assert worse[at] >= now[at] - 1e-9
        assert better[at] <= now[at] + 1e-9


@settings(deadline=None, max_examples=100)
@given(counted(), st.data())
def test_a_segment_with_a_leg_of_its_own_follows_that_leg(case: Any, data: Any) -> None:
    names, legs, counts = case
    name = data.draw(st.sampled_from(names))
    seen = [
        judge(names, legs | {"own": (name,)}, counts | {"own": (fails, 4)}).posterior[name]
        for fails in range(5)
    ]
    assert all(one <= other + 1e-9 for one, other in pairwise(seen))


@settings(deadline=None, max_examples=150)
@given(counted())
def test_segments_on_the_same_legs_are_equal_and_never_convicted(case: Any) -> None:
    names, legs, counts = case
    found = judge(names, legs, counts, model=Model(convicts_over=0.5))
    tried = [path for leg, path in legs.items() if counts[leg][1]]
    for one, other in combinations(names, 2):
        if all((one in path) == (other in path) for path in tried):
            assert found.posterior[one] == found.posterior[other]
            assert found.posterior[one] <= 1 / (2 - PRIOR) + 1e-9
            assert {one, other}.isdisjoint(found.convicted_by_repetition)


@settings(deadline=None, max_examples=150)
@given(networks(), st.data())
def test_certain_outcomes_are_never_contradicted(network: Any, data: Any) -> None:
    names, legs = network
    faults = set(data.draw(st.lists(st.sampled_from(names), max_size=3)))
    failed = tuple(leg for leg, path in legs.items() if faults & set(path))
    passed = tuple(leg for leg in legs if leg not in failed)
    exact = solve(Case(segments=tuple(names), legs=legs, failed=failed, passed=passed))
    for model, tries in ((CERTAIN, 1), (Model(), 60)):
        counts = {leg: (tries if leg in failed else 0, tries) for leg in legs}
        found = judge(names, legs, counts, model=model)
        assert all(found.posterior[name] > 0.99 for name in exact.convicted)
        assert all(found.posterior[name] < 0.01 for name in exact.exonerated)
        assert set(exact.exonerated).isdisjoint(found.convicted_by_repetition)
        if tries > 1:
            for name in exact.convicted:
                same = [name in path for path in legs.values()]
                alone = all([n in p for p in legs.values()] != same for n in names if n != name)
                assert (name in found.convicted_by_repetition) == alone


@settings(deadline=None, max_examples=150)
@given(counted())
def test_whoever_is_accused_lies_on_a_leg_that_failed(case: Any) -> None:
    names, legs, counts = case
    found = judge(names, legs, counts)
    failed = {name for leg, path in legs.items() if counts[leg][0] for name in path}
    assert failed.issuperset(found.convicted_by_repetition + found.suspects)
    assert set(found.suspects).isdisjoint(found.convicted_by_repetition)
    ranked = [found.posterior[name] for name in found.suspects]
    assert ranked == sorted(ranked, reverse=True)
    assert all(one > PRIOR for one in ranked)


CHAIN: Legs = {"x": ("a",), "y": ("a", "b"), "z": ("a", "b", "c")}


def test_what_fails_some_of_the_time_is_found_with_enough_tries() -> None:
    seen = [
        judge("abc", CHAIN, {"x": (0, n), "y": (0, n), "z": (n // 3, n)}).posterior["c"]
        for n in (3, 6, 12, 30, 90)
    ]
    assert seen == sorted(seen)
    assert seen[0] < 0.5
    assert seen[-1] > 0.999


def test_a_leg_that_is_merely_noisy_accuses_nobody() -> None:
    found = judge("abc", CHAIN, {"x": (2, 60), "y": (3, 60), "z": (4, 60)})
    assert found.convicted_by_repetition == ()
    assert max(found.posterior.values()) < PRIOR


def test_repetition_convicts_where_one_pass_would_clear() -> None:
    """The segment failed in half of the runs, and in the last one it worked."""
    counts = {"x": (0, 12), "y": (0, 12), "z": (6, 12)}
    exact = solve(Case(segments=("a", "b", "c"), legs=CHAIN, passed=("x", "y", "z")))
    found = judge("abc", CHAIN, counts)
    assert "c" in exact.exonerated
    assert found.convicted_by_repetition == ("c",)
    assert found.suspects == ()
    assert found.explanations[0].faults == (("c",),)


def test_one_try_is_no_repetition() -> None:
    legs = {f"l{at}": ("a", f"b{at}") for at in range(8)}
    names = ("a", *(f"b{at}" for at in range(8)))
    once = posterior(names, legs, dict.fromkeys(legs, (1, 1)))
    assert once.posterior["a"] > 0.95
    assert once.convicted_by_repetition == ()
    assert once.suspects[0] == "a"
    twice = posterior(names, legs, dict.fromkeys(legs, (2, 2)))
    assert twice.convicted_by_repetition == ("a",)


def test_a_prior_alone_convicts_nobody() -> None:
    legs: Legs = {"x": ("a", "b"), "y": ("a", "c")}
    counts = {"x": (3, 3), "y": (0, 2)}
    assert 0.5 < judge("abc", legs, counts).posterior["b"] < 0.95
    found = judge("abc", legs, counts, priors={"b": 0.9})
    assert found.posterior["b"] > 0.95
    assert found.convicted_by_repetition == ()
    assert judge("abc", legs, counts | {"y": (0, 9)}).convicted_by_repetition == ("b",)
    seen = judge("a", {"x": ("a",)}, {"x": (0, 2)}, priors={"a": 1.0})
    assert seen.posterior["a"] > 0.99
    assert seen.convicted_by_repetition == ()
    both = judge("ab", {"x": ("a", "b")}, {"x": (9, 9)}, priors={"a": 0.001, "b": 0.9})
    assert both.posterior["b"] > 0.99
    assert both.convicted_by_repetition == ()


def test_what_was_not_tried_keeps_its_prior() -> None:
    found = judge("abcd", CHAIN, {"x": (0, 0), "y": (1, 3)}, priors={"d": 0.25})
    assert found.posterior["c"] == PRIOR
    assert found.untried == ("c", "d")
    assert found.posterior["d"] == 0.25
    assert judge("", {}, {}).to_dict() == {
        "posterior": {},
        "convicted_by_repetition": [],
        "suspects": [],
        "explanations": [],
        "posterior_truncated": False,
    }
    assert judge("a", {"x": ()}, {"x": (1, 1)}).posterior == {"a": PRIOR}


@settings(deadline=None, max_examples=60)
@given(counted(), st.randoms(use_true_random=False))
def test_the_order_of_things_does_not_matter(case: Any, rng: Any) -> None:
    names, legs, counts = case
    order = rng.sample(sorted(legs), len(legs))
    turned = {leg: tuple(rng.sample(legs[leg], len(legs[leg]))) for leg in order}
    first = judge(names, legs, counts)
    other = judge(
        "".join(rng.sample(names, len(names))), turned, {leg: counts[leg] for leg in order}
    )
    assert other.posterior == pytest.approx(first.posterior, rel=1e-9)
    assert set(other.convicted_by_repetition) == set(first.convicted_by_repetition)


@pytest.mark.parametrize(
    ("counts", "more", "sentence"),
    [
        ({"w": (0, 1)}, {}, "unknown leg 'w'; expected one of the legs"),
        ({"x": (2, 1)}, {}, "leg 'x': expected 0 <= fails <= tries, found 2, 1"),
        ({"x": (-1, 1)}, {}, "leg 'x': expected 0 <= fails <= tries, found -1, 1"),
        ({}, {"priors": {"a": 1.5}}, "prior of 'a': expected 0 to 1, found 1.5"),
    ],
)
def test_what_cannot_be_is_refused(counts: Any, more: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        judge("abc", CHAIN, counts, **more)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("rates", "sentence"),
    [
        ({"false_positive": 0.3}, "false_positive: expected 0 to 0.25, found 0.3"),
        ({"false_negative": -0.1}, "false_negative: expected 0 to 0.5, found -0.1"),
        ({"prior": 2}, "prior: expected 0 to 1, found 2"),
        ({"rates": ()}, "rates: expected one or more, each with a weight over 0"),
    ],
)
def test_rates_that_cannot_be_are_refused(rates: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        Model(**rates)
    assert str(caught.value) == sentence


def test_millions_of_tries_stay_within_numbers() -> None:
    counts = {"x": (0, 10**9), "y": (10**9, 10**9), "z": (10**9, 10**9)}
    found = judge("abc", CHAIN, counts)
    assert found.posterior["b"] > 0.999999
    assert all(math.isfinite(one) and 0 <= one <= 1 for one in found.posterior.values())


def test_the_noise_is_no_fault_in_the_longest_record() -> None:
    many = dict.fromkeys(CHAIN, (50_000, 10**6))
    assert judge("abc", CHAIN, many).convicted_by_repetition == ()
