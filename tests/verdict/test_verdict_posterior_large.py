"""The posterior of large networks: what is summed out stays exact, the rest is bounded."""

from __future__ import annotations

import math
import random
from typing import Any

import attribution
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t3probe.verdict.repeated import factors
from t3probe.verdict.repeated.factors import Factor, parts, solve_factors
from t3probe.verdict.repeated.posterior import posterior

Legs = dict[str, tuple[str, ...]]


def upstreams(count: int, racks: int) -> tuple[list[str], Legs]:
    """Each with a segment of its own, in racks, in one room."""
    legs: Legs = {f"l{at}": (f"s{at}", f"r{at % racks}", "room") for at in range(count)}
    return [*(f"s{at}" for at in range(count)), *(f"r{at}" for at in range(racks)), "room"], legs


def test_thousands_of_upstreams_are_summed_exactly() -> None:
    names, legs = upstreams(3000, 50)
    down = {f"l{at}" for at in range(3000) if at % 50 == 7} | {"l4", "l9"}
    found = posterior(names, legs, {leg: (3 if leg in down else 0, 3) for leg in legs})
    assert not found.truncated
    assert set(found.convicted_by_repetition) == {"r7", "s4", "s9"}
    assert found.posterior["room"] < 1e-9
    assert found.explanations == ()


def test_a_ladder_beyond_enumeration_equals_its_own_sum() -> None:
    """A chain of 40 pairs can be summed from one end by hand."""
    count = 40
    rng = random.Random(3)
    chances = [rng.uniform(0.02, 0.4) for _ in range(count)]
    chain = [Factor(frozenset((at, at + 1)), -rng.random(), -3 * rng.random()) for at in range(39)]

    def total(forced: int | None) -> float:
        # The weight of everything up to a group, by whether that group is broken.
        def own(at: int) -> tuple[float, float]:
            return 0.0 if at == forced else 1 - chances[at], chances[at]

        good, bad = own(0)
        for at, one in enumerate(chain, 1):
            clear, broken = own(at)
            hit, miss = math.exp(one.hit), math.exp(one.miss)
            good, bad = clear * (good * miss + bad * hit), broken * (good + bad) * hit
        return good + bad

    found = solve_factors(chain, chances)
    assert found.exact
    assert found.total == pytest.approx(math.log(total(None)))
    for at in range(count):
        assert found.broken[at] == pytest.approx(total(at) / total(None))


def scattered(seed: int, segments: int, legs: int, faults: int) -> tuple[Any, Legs, Any, set[str]]:
    rng = random.Random(seed)
    names = [f"s{at}" for at in range(segments)]
    paths = {f"l{at}": tuple(rng.sample(names, rng.randint(2, 6))) for at in range(legs)}
    broken = set(rng.sample(names, faults))
    counts = {leg: (3 if broken & set(path) else 0, 3) for leg, path in paths.items()}
    return names, paths, counts, broken


def test_beyond_the_bound_suspects_are_ranked_and_nobody_is_convicted() -> None:
    names, legs, counts, broken = scattered(5, 60, 160, 3)
    found = posterior(names, legs, counts)
    assert found.truncated
    assert found.to_dict()["posterior_truncated"] is True
    assert found.convicted_by_repetition == ()
    assert found.explanations == ()
    assert set(found.suspects[:3]) == broken
    assert all(0 <= one <= 1 for one in found.posterior.values())


@pytest.mark.parametrize("seed", range(12))
def test_the_bounded_sum_is_near_the_exact_one(seed: int, monkeypatch: Any) -> None:
    names, legs, counts, _ = scattered(seed, 10, 14, 2)
    exact = posterior(names, legs, counts)
    monkeypatch.setattr(factors, "EXACT_GROUPS", 0)
    bounded = posterior(names, legs, counts)
    assert bounded.truncated
    assert not exact.truncated
    for name in names:
        assert bounded.posterior[name] == pytest.approx(exact.posterior[name], abs=0.05)


def test_the_search_ends_whatever_the_size(monkeypatch: Any) -> None:
    sizes = []
    real = factors._given

    def counting(groups: int, *rest: Any) -> list[float]:
        sizes.append(groups.bit_count())
        return real(groups, *rest)

    monkeypatch.setattr(factors, "_given", counting)
    names, legs, counts, _ = scattered(1, 400, 900, 200)
    assert posterior(names, legs, counts).truncated
    assert max(sizes) <= factors.FAULTS


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.frozensets(st.integers(0, 5), min_size=1), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
def test_summing_out_changes_nothing(groups: list[frozenset[int]], rng: random.Random) -> None:
    chances = [rng.uniform(0.01, 0.9) for _ in range(6)]
    made = [Factor(one, rng.uniform(-9, 0), rng.uniform(-9, 0)) for one in groups]
    weights = {}
    for faults in range(64):
        inside = [faults >> at & 1 for at in range(6)]
        weight = math.prod(p if b else 1 - p for p, b in zip(chances, inside, strict=True))
        for one in made:
            weight *= math.exp(one.hit if any(inside[at] for at in one.groups) else one.miss)
        weights[faults] = weight
    total = sum(weights.values())
    found = solve_factors(made, chances)
    assert found.total == pytest.approx(math.log(total))
    assert set(found.broken) == set().union(*groups)
    for at, share in found.broken.items():
        right = sum(weight for faults, weight in weights.items() if faults >> at & 1)
        assert share == pytest.approx(right / total)


def test_parts_share_nothing() -> None:
    made = [frozenset(one) for one in ({0, 1}, {2}, {3, 1}, {4, 5}, {2})]
    assert parts(made) == [[0, 2], [1, 4], [3]]


# -- the bench --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["steady", "at times", "together"])
def test_what_is_convicted_is_broken(kind: str) -> None:
    """At 5 % noise and three tries; more cases are bench/attribution.py's."""
    called = right = broken = 0
    for faults in (1, 2):
        sums = attribution.tally((attribution.Cell(0.05, faults, kind), range(10_000, 10_150)))[0]
        called, right, broken = called + sums[0], right + sums[1], broken + sums[2]
    assert right / called >= 0.95
    # Not by silence.
    assert right / broken >= (0.4 if kind == "steady" else 0.1)
