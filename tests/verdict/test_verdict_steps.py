"""Searches count steps, not time: how many are enough for systems of a known size."""

from __future__ import annotations

import random
from typing import Any

import pytest

from t3probe.verdict.exact.hitting import StepBudget, hitting_sets
from t3probe.verdict.exact.repairs import find_repairs
from t3probe.verdict.exact.sets import mask_of, minimal_only


def contradictory(seed: int) -> tuple[dict[str, list[int]], dict[str, bool]]:
    """Sixty legs over 24 segments; three are broken, and six outcomes are wrong."""
    rng = random.Random(seed)
    legs = {f"leg{at}": rng.sample(range(24), rng.randint(2, 4)) for at in range(60)}
    broken, wrong = set(rng.sample(range(24), 3)), set(rng.sample(sorted(legs), 6))
    return legs, {leg: (not broken & set(path)) != (leg in wrong) for leg, path in legs.items()}


@pytest.mark.parametrize("seed", range(10))
def test_six_wrong_outcomes_of_sixty_cost_few_steps(seed: int) -> None:
    names = [str(at) for at in range(24)]
    exact = find_repairs(names, *contradictory(seed))
    assert "truncated" not in exact
    assert exact["flips"] <= 6
    assert find_repairs(names, *contradictory(seed), steps=13_000) == exact


def family(seed: int, width: int, count: int) -> list[int]:
    rng = random.Random(seed)
    return [mask_of(rng.sample(range(width), rng.randint(2, 4)), width) for _ in range(count)]


def listed(masks: list[int], width: int, steps: int, **more: Any) -> bool:
    return hitting_sets(masks, width, budget=StepBudget(steps), **more).floor is None


@pytest.mark.parametrize("seed", range(6))
def test_thirty_suspect_sets_cost_few_steps(seed: int) -> None:
    masks = family(seed, 16, 30)
    assert listed(masks, 16, 10_500)
    assert listed(masks, 16, 3_700, smallest_only=True)


@pytest.mark.parametrize(
    ("family", "least"),
    [
        ([], []),
        ([0], [0]),
        ([0b11, 0, 0b1], [0]),
        ([0b1, 0b10], [0b1, 0b10]),
        ([0b11, 0b1], [0b1]),
        ([0b11, 0b11], [0b11]),
        ([0b111, 0b110, 0b1100], [0b110, 0b1100]),
    ],
)
def test_the_smallest_of_a_family(family: list[int], least: list[int]) -> None:
    assert sorted(minimal_only(family, 4)) == sorted(least)


def test_a_list_that_was_cut_says_below_which_size_nothing_is_missing() -> None:
    """Two parts, each explained by one segment or by two others."""
    masks = [0b110000, 0b101000, 0b000110, 0b000101]
    whole = hitting_sets(masks, 6)
    assert [one.bit_count() for one in whole.masks] == [2, 3, 3, 4]
    assert whole.floor is None
    for limit, floor in ((2, 3), (3, 3)):
        found = hitting_sets(masks, 6, limit=limit)
        assert (found.masks, found.floor) == (whole.masks[:limit], floor)
