"""The leg that would tell the most apart."""

from __future__ import annotations

import random

import pytest
from verdict_cases import case
from verdict_oracle import extra_leg as plain_extra_leg

from t3probe.verdict.exact.case import Case
from t3probe.verdict.exact.labels import solve


def made(rng: random.Random) -> Case:
    names = [f"s{at}" for at in range(rng.randint(4, 14))]
    legs = {}
    for at in range(rng.randint(1, 6)):
        start = rng.randrange(len(names))
        legs[f"leg{at}"] = tuple(names[start : start + rng.randint(1, len(names))])
    paths = []
    for _ in range(rng.randint(1, 4)):
        path = rng.sample(names, rng.randint(1, len(names)))
        if rng.random() < 0.2:
            path += rng.choices(names, k=3)
        paths.append(tuple(path))
    broken = set(rng.sample(names, rng.randint(0, 2)))
    ran = [leg for leg in legs if rng.random() < 0.8]
    return Case(
        segments=tuple(names),
        legs=legs,
        paths=(*paths, tuple(names)),
        failed=tuple(leg for leg in ran if broken & set(legs[leg])),
        passed=tuple(leg for leg in ran if not broken & set(legs[leg])),
    )


@pytest.mark.parametrize("seed", range(8))
def test_equals_a_look_at_every_part_of_every_path(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(60):
        one = made(rng)
        verdict = solve(one)
        if one.failed:
            real = [one for one in verdict.ambiguous_classes if one[0] in verdict.ambiguous]
            targets = real or verdict.at_least_one_of
        else:
            targets = verdict.structural_classes
        plain = plain_extra_leg(one, targets, set(verdict.convicted), set(verdict.exonerated))
        found = verdict.extra_leg
        assert (None if found is None else list(found)) == plain, one


def test_it_halves_a_class() -> None:
    verdict = solve(case("a b c d", {"x": "a b c d"}, failed="x", paths=("a b c d",)))
    assert verdict.ambiguous_classes == (("a", "b", "c", "d"),)
    assert verdict.extra_leg == ("a", "b")


def test_it_is_no_leg_that_exists_whether_it_ran_or_not() -> None:
    legs = {"x": "a b c d", "idle": "b a"}
    verdict = solve(case("a b c d", legs, failed="x", paths=("a b c d",)))
    assert verdict.extra_leg == ("b", "c")


def test_it_avoids_convicted_segments() -> None:
    legs = {"x": "m", "y": "a b"}
    verdict = solve(case("a m b", legs, failed="x y", paths=("a m b",)))
    assert verdict.convicted == ("m",)
    assert verdict.extra_leg == ("a",)


def test_where_no_class_is_left_it_splits_the_suspect_sets() -> None:
    legs = {"x": "a b", "y": "b c"}
    verdict = solve(case("a b c", legs, failed="x y", paths=("a b c",)))
    assert verdict.ambiguous_classes == ()
    assert verdict.extra_leg == ("b",)


def test_it_does_not_tell_masked_segments_apart_while_suspects_are_left() -> None:
    paths = ("wan cf-edge tunnel lb dispatch", "agent relay lb dispatch", "switch vpn lb dispatch")
    legs = {
        "one": paths[0],
        "two": "switch vpn lb",
        "three": "vpn lb dispatch",
        "four": "tunnel lb dispatch",
        "five": "relay lb dispatch",
        "six": paths[1],
    }
    names = "wan cf-edge tunnel agent relay switch vpn lb dispatch"
    verdict = solve(case(names, legs, failed=" ".join(legs), paths=paths))
    assert verdict.ambiguous_classes == (("wan", "cf-edge"),)
    assert {"wan", "cf-edge"} <= set(verdict.masked)
    assert verdict.extra_leg == ("lb",)


def test_of_equals_the_one_with_fewest_unknown_segments() -> None:
    legs = {"x": "a b", "known": "n"}
    one = case("a b m n", legs, failed="x", passed="known", paths=("m a", "a n", "b m"))
    assert solve(one).extra_leg == ("a",)
    legs |= {"p": "a", "q": "b"}
    one = case("a b m n", legs, failed="x", passed="known", paths=("m a", "a n", "b m"))
    assert solve(one).extra_leg == ("a", "n")


def test_nothing_failed_so_it_splits_what_no_outcome_could() -> None:
    verdict = solve(case("a b c", {"x": "a b"}, passed="x", paths=("a b c",)))
    assert verdict.structural_classes == (("a", "b"),)
    assert verdict.extra_leg == ("a",)


def test_null_when_nothing_is_left_to_split() -> None:
    one = case("a b", {"x": "a b", "y": "a", "z": "b"}, failed="x", paths=("a b",))
    assert solve(one).extra_leg is None
