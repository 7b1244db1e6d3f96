"""The search for minimal explanations: order, completeness, bounds."""

from __future__ import annotations

import random
from itertools import combinations, islice, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verdict_cases import case
from verdict_oracle import minimal

from t3probe.verdict.exact import labels
from t3probe.verdict.exact.hitting import LIMIT, Options, StepBudget, _Asked, _product, hitting_sets
from t3probe.verdict.exact.labels import solve
from t3probe.verdict.exact.sets import mask_of, members, minimal_only, rank, split, unions

WIDTH = 9
some = settings(deadline=None, max_examples=200)
sets = st.lists(
    st.integers(1, 2**WIDTH - 1).filter(lambda one: one.bit_count() < 6), min_size=1, max_size=12
)


def brute(family: list[int], width: int = WIDTH) -> list[int]:
    hitting = [one for one in range(1 << width) if all(one & each for each in family)]
    least = [one for one in hitting if not any(o != one and o & one == o for o in hitting)]
    return sorted(least, key=lambda one: (one.bit_count(), members(one, width)))


@some
@given(st.integers(0, 2**70 - 1))
def test_members_and_masks_are_inverse(mask: int) -> None:
    there = members(mask, 70)
    assert there == sorted(set(there))
    assert mask_of(there, 70) == mask
    # The same mask in a wide system takes the sparse way.
    assert [at - 2000 for at in members(mask, 2070)] == there


@some
@given(st.sets(st.integers(0, 2**WIDTH - 1)))
def test_rank_sorts_by_size_and_then_lexicographically(masks: set[int]) -> None:
    plain = sorted(masks, key=lambda one: (one.bit_count(), members(one, WIDTH)))
    assert sorted(masks, key=lambda one: rank(one, WIDTH)) == plain


@some
@given(st.lists(st.sets(st.integers(1, 7), min_size=1), max_size=4))
def test_unions_come_in_order_and_completely(parts: list[set[int]]) -> None:
    width = 3 * len(parts) or 1
    lists = [
        sorted((one << 3 * at for one in part), key=lambda one: rank(one, width))
        for at, part in enumerate(parts)
    ]
    plain = sorted((sum(one) for one in product(*lists)), key=lambda one: rank(one, width))
    assert list(unions(lists, width)) == plain


def test_unions_of_many_parts_are_made_lazily() -> None:
    lists = [[1 << 2 * at + 1, 1 << 2 * at] for at in range(300)]
    first = list(islice(unions(lists, 600), 50))
    assert first == sorted(first, key=lambda one: rank(one, 600))
    assert len(set(first)) == 50
    assert first[0] == sum(part[0] for part in lists)


@some
@given(sets)
def test_minimal_only_keeps_the_inclusion_minimal(family: list[int]) -> None:
    plain = minimal([frozenset(members(one, WIDTH)) for one in set(family)])
    assert {frozenset(members(one, WIDTH)) for one in minimal_only(family, WIDTH)} == set(plain)


@pytest.mark.parametrize("few", [0, 500])
def test_split_finds_the_connected_parts(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("t3probe.verdict.exact.sets.FEW", few)
    rng = random.Random(few)
    for _ in range(200):
        family = list({mask_of(rng.sample(range(20), rng.randint(1, 3)), 20) for _ in range(9)})
        parts = split(family, 20)
        assert sorted(one for part in parts for one in part) == sorted(family)
        covers = []
        for part in parts:
            cover, rest = part[0], part[1:]
            while joined := [one for one in rest if one & cover]:
                rest = [one for one in rest if not one & cover]
                cover |= sum(set(joined)) if len(joined) == 1 else _either(joined)
            assert not rest, "a part hangs together"
            covers.append(cover)
        assert all(not a & b for a, b in combinations(covers, 2))


def _either(masks: list[int]) -> int:
    out = 0
    for mask in masks:
        out |= mask
    return out


@some
@given(sets)
def test_all_minimal_hitting_sets_in_order(family: list[int]) -> None:
    found = hitting_sets(family, WIDTH)
    assert found.masks == brute(family)
    assert found.floor is None


@some
@given(sets, st.integers(1, 6))
def test_a_short_list_is_the_true_beginning(family: list[int], limit: int) -> None:
    found = hitting_sets(family, WIDTH, limit=limit)
    plain = brute(family)
    assert found.masks == plain[:limit]
    assert (found.floor is None) == (len(plain) <= limit)


@some
@given(sets)
def test_the_smallest_only(family: list[int]) -> None:
    plain = brute(family)
    found = hitting_sets(family, WIDTH, smallest_only=True)
    assert found.masks == [one for one in plain if one.bit_count() == plain[0].bit_count()]
    assert found.floor is None


@some
@given(sets, st.integers(0, 400))
def test_a_spent_budget_never_lists_what_is_not_smallest(family: list[int], steps: int) -> None:
    found = hitting_sets(family, WIDTH, budget=StepBudget(steps))
    plain = brute(family)
    assert set(found.masks) <= set(plain)
    if found.floor is None:
        assert found.masks == plain
    else:
        missing = set(plain) - set(found.masks)
        assert all(one.bit_count() >= found.floor for one in missing)
        assert all(one.bit_count() <= found.floor for one in found.masks)


def dense(rng: random.Random, count: int, width: int, low: int, high: int) -> list[int]:
    return [mask_of(rng.sample(range(width), rng.randint(low, high)), width) for _ in range(count)]


@pytest.mark.parametrize(("low", "high"), [(2, 3), (5, 20), (20, 60), (80, 199)])
def test_the_work_is_bounded_by_steps(low: int, high: int) -> None:
    family = minimal_only(dense(random.Random(low), 400, 200, low, high), 200)
    budget = StepBudget(60_000)
    found = hitting_sets(family, 200, budget=budget)
    assert found.floor is not None, "this family is too hard for so few steps"
    # One state may overdraw, by what one state costs.
    assert budget.left > -5_000
    assert len(found.masks) <= LIMIT
    again = hitting_sets(family, 200, budget=StepBudget(60_000))
    assert again == found, "the same steps give the same answer"


def test_small_systems_end_within_the_budget() -> None:
    rng = random.Random(3)
    for low, high in ((1, 3), (2, 6), (4, 10)):
        for _ in range(40):
            budget = StepBudget()
            assert hitting_sets(dense(rng, 30, 12, low, high), 12, budget=budget).floor is None
            assert budget.left > 1_000_000


def test_a_tree_of_racks_and_rooms_needs_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("t3probe.verdict.exact.hitting._best_first", pytest.fail)
    legs = {f"u{at}": f"s{at} rack{at % 3} room" for at in range(9)}
    names = " ".join([*(f"s{at}" for at in range(9)), "rack0 rack1 rack2 room"])
    verdict = solve(case(names, legs, failed=" ".join(legs)))
    assert verdict.minimal_sets[0] == ("room",)
    assert verdict.minimal_sets[1] == ("rack0", "rack1", "rack2")
    assert len(verdict.minimal_sets) == 1 + 2**3
    assert verdict.minimal_sets[-1] == tuple(f"s{at}" for at in range(9))


def pairs(count: int) -> object:
    legs = {f"x{at}": f"a{at} b{at}" for at in range(count)}
    names = " ".join(f"a{at} b{at}" for at in range(count))
    return case(names, legs, failed=" ".join(legs))


def test_exactly_as_many_as_are_listed_is_not_cut() -> None:
    verdict = solve(pairs(12))
    assert len(verdict.minimal_sets) == 4096
    assert not verdict.minimal_sets_truncated
    assert verdict.minimal_sets[0] == tuple(f"a{at}" for at in range(12))
    assert verdict.minimal_sets[-1] == tuple(f"b{at}" for at in range(12))


def test_one_more_is_cut_and_said() -> None:
    verdict = solve(pairs(13))
    assert len(verdict.minimal_sets) == 4096
    assert verdict.minimal_sets_truncated
    first = product(*((f"a{at}", f"b{at}") for at in range(13)))
    assert list(verdict.minimal_sets) == list(islice(first, 4096))


def test_the_names_listed_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "NAMES_LIMIT", 20)
    verdict = solve(pairs(3))
    assert len(verdict.minimal_sets) == 6
    assert verdict.minimal_sets_truncated
    monkeypatch.setattr(labels, "NAMES_LIMIT", 1)
    assert len(solve(pairs(3)).minimal_sets) == 1


def test_a_part_that_was_cut_bounds_what_is_listed_of_the_whole() -> None:
    # The first part may lack sets of two, so nothing of more than 2 + 1 is surely next.
    cut = Options([0b110000], 2)
    complete = Options([0b001000, 0b000111], None)
    asked = _Asked(6, LIMIT, StepBudget(), False)
    assert _product([cut, complete], asked) == Options([0b111000], 3)
    empty = Options([], 2)
    assert _product([empty, complete], asked) == Options([], 3)
