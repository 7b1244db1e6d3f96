"""Thousands of simulated runs with random faults: whom does the verdict convict, clear, and miss?

`T3PROBE_TEST_RUNS` says how many runs each share is taken from. A fault counts only when it made a
leg fail; a blip that stands alone does not. One that was shorter than the longest round trip of a
leg may have been over for one leg while another one was still refused: these are counted apart.
"""

from __future__ import annotations

import dataclasses
import os
import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from verdict.simulated import Simulation
from verdict.simulated_world import NETWORKS, PEOPLE, ROUTES, Breaks, random_breaks

from t3probe.verdict.incident.run import RunVerdict

RUNS = int(os.environ.get("T3PROBE_TEST_RUNS", "600"))
pytestmark = pytest.mark.timeout(max(120, RUNS // 10))
SHORT = 0.03
"""The longest round trip of a fresh beat, three times over the longest path, is 31.5 ms."""


def shares(
    name: str,
    made: Callable[[random.Random], Sequence[Breaks]],
    runs: int = RUNS,
    spread: Sequence[str] = (),
) -> Counter[str]:
    """What became of so many runs; printed."""
    found: Counter[str] = Counter()
    for seed in range(runs):
        breaks = made(random.Random(f"{name} {seed}"))
        one = Simulation(breaks, seed, spread=spread)
        run = one.judged()
        met = one.met
        found["runs"] += 1
        if not met:
            # Who met nothing is well; what is read into it would be made up.
            assert run.incidents == (), (seed, breaks)
            continue
        found["met"] += 1
        short = all(each.end - each.onset < SHORT for each in breaks)
        for what in judged(run, {each.segment for each in breaks}, met):
            found[f"{what}, short" if short and what in WRONG else what] += 1
            if what in WRONG:
                print(f"{name} {seed}: {what}{', short' * short}: {breaks} {run.verdict.convicted}")
    width = max(map(len, found))
    for what, number in sorted(found.items()):
        print(f"{name}: {what:<{width}} {number:>6} {number / found['runs']:8.4%}")
    return found


WRONG = ("innocent convicted", "broken one cleared", "inconsistent")


def judged(run: RunVerdict, broken: set[str], met: set[str]) -> list[str]:
    """What the verdict made of it."""
    verdict = run.verdict
    out = []
    if set(verdict.convicted) - broken:
        out.append("innocent convicted")
    if met & set(verdict.exonerated):
        out.append("broken one cleared")
    if verdict.status == "inconsistent":
        out.append("inconsistent")
    named = set(verdict.convicted)
    either = named.union(*verdict.at_least_one_of)
    if met <= named:
        out.append("convicted alone")
    elif met & either:
        out.append("in a one of")
    return out


def single(rng: random.Random) -> list[Breaks]:
    return [random_breaks(rng)]


def double(rng: random.Random) -> list[Breaks]:
    first = random_breaks(rng)
    while (second := random_breaks(rng)).segment == first.segment:
        pass
    return [first, second]


def half(rng: random.Random) -> list[Breaks]:
    """One of two machines of a segment that is declared `spread`."""
    while (one := random_breaks(rng)).segment not in ("tunnel", "traefik", "dispatch"):
        pass
    return [dataclasses.replace(one, half=True)]


def within(number: int, runs: int, in_ten_thousand: float) -> bool:
    """A share that chance alone does not push over the bound, however few the runs."""
    allowed = runs * in_ten_thousand / 10_000
    return number <= allowed + 3 * max(1.0, allowed**0.5)


def test_one_random_fault() -> None:
    found = shares("single", single)
    runs = found["runs"]
    assert within(found["innocent convicted"] + found["innocent convicted, short"], runs, 3)
    assert within(found["broken one cleared"] + found["broken one cleared, short"], runs, 4)
    assert within(found["inconsistent"], runs, 1)
    assert within(found["inconsistent, short"], runs, 10)
    assert found["convicted alone"] >= 0.75 * found["met"]
    assert found["convicted alone"] + found["in a one of"] >= 0.98 * found["met"]


def test_two_random_faults() -> None:
    found = shares("double", double)
    runs = found["runs"]
    assert within(found["innocent convicted"] + found["innocent convicted, short"], runs, 8)
    assert within(found["inconsistent"] + found["inconsistent, short"], runs, 15)


def test_half_of_a_spread_segment_convicts_no_innocent() -> None:
    found = shares("half", half, spread=("tunnel", "traefik", "dispatch"))
    assert found["innocent convicted"] == found["innocent convicted, short"] == 0
    assert within(found["broken one cleared"], found["runs"], 10)


def test_a_segment_that_is_not_declared_spread_misleads() -> None:
    found = shares("undeclared", half, runs=300)
    assert found["inconsistent"] + found["broken one cleared"] > 0


def test_without_faults_every_run_is_clean() -> None:
    for seed in range(RUNS // 10):
        run = Simulation([], seed).judged()
        assert run.verdict.status == "clean"
        assert run.incidents == ()


@pytest.mark.parametrize("name", ROUTES)
def test_every_leg_is_well_in_a_world_that_is(name: str) -> None:
    (seen,) = (one for one in Simulation([], 1).observations() if one.leg == name)
    assert seen.outcome == "passed"
    strands = Counter(one.strand for one in seen.beats)
    # The opening, the first common beat, and three heartbeats; walls are asked at each, too.
    assert strands["fresh"] == 5
    assert strands["held"] == (4 if seen.level == "hold" else 0)


def test_the_networks_of_the_simulation_are_segments() -> None:
    routes = [*ROUTES.values(), *PEOPLE.values()]
    assert set(NETWORKS) <= {part for route in routes for part in route.path.split()}
