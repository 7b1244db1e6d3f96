"""A slow segment over hundreds of runs that learn as they go: nobody else is ever named."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

import msgspec
import pytest
from slowness_script import REFERENCE, paced, slowness

from t3probe.deliver.metrics.table import RTT_BUCKETS
from t3probe.observation import Baseline, Observation
from t3probe.verdict.slow.baseline import from_buckets, moved
from t3probe.verdict.slow.excess import Delay
from t3probe.verdict.slow.slowness import Slowness

FLOOR = 0.02
BEATS = {"cloudflare": 5, "internal": 7, "edge": 6, "resolver": 9}
"""How many beats a leg has in a run; the others have eight."""
USUAL = {"cloudflare": 0.06, "internal": 0.012, "edge": 0.031, "resolver": 0.008, "t3serve": 0.15}


class Learned:
    """What a gateway would hold of one leg."""

    def __init__(self) -> None:
        self.counts = [0] * (len(RTT_BUCKETS) + 1)
        self.moving: float | None = None

    @property
    def baseline(self) -> Baseline:
        upto = [float(sum(self.counts[: at + 1])) for at in range(len(RTT_BUCKETS))]
        return from_buckets(RTT_BUCKETS, upto, float(sum(self.counts)), self.moving)

    def run(self, seen: Observation) -> None:
        trips = [one.rtt_seconds for one in seen.beats]
        new = moved(self.baseline, trips, FLOOR)
        self.moving = self.moving if new is None else new
        for one in trips:
            self.counts[bisect_left(RTT_BUCKETS, one)] += 1


def course(segment: str, adds: float, good: int, slow: int) -> Iterator[tuple[int, Slowness]]:
    """Some good runs, then slow ones, then good ones again."""
    learned = {name: Learned() for name in REFERENCE}
    for number in range(good + slow + 60):
        late = adds if good <= number < good + slow else 0.0
        seen = []
        for name, path in REFERENCE.items():
            mine = late if segment in path.split() and name != "egress" else 0.0
            now, beats = USUAL.get(name, 0.01) + mine, BEATS.get(name, 8)
            one = paced(name, path, now, beats=beats)
            seen.append(msgspec.structs.replace(one, baseline=learned[name].baseline))
        yield number, slowness(seen)
        for one in seen:
            learned[one.leg].run(one)


def explained(found: Slowness) -> tuple[tuple[Delay, ...], ...]:
    return found.explained.explanations


def _flat(explanation: tuple[Delay, ...]) -> set[str]:
    return {one for delay in explanation for one in delay.segments}


def named(found: Slowness) -> set[str]:
    return {one for each in explained(found) for one in _flat(each)}


@pytest.mark.parametrize(
    "segment", ["wan", "doh", "cf-edge", "tunnel", "traefik", "devvm", "serve"]
)
@pytest.mark.parametrize(("good", "slow"), [(8, 90), (60, 200)])
def test_a_slow_phase_soon_after_the_start(segment: str, good: int, slow: int) -> None:
    for number, found in course(segment, 0.15, good, slow):
        assert named(found) <= {segment}, (number, found.text)
        if good <= number < good + slow:
            assert found.status == "localised", (number, found.text)
            assert found.segments[segment] == pytest.approx(0.15, rel=0.3)
        else:
            assert not found.slow, (number, found.text)


@pytest.mark.parametrize("segment", ["wan", "devvm", "traefik"])
@pytest.mark.parametrize("adds", [0.05, 0.15])
def test_what_lasts_becomes_usual_and_on_the_way_nobody_else_is_named(
    segment: str, adds: float
) -> None:
    states = []
    for number, found in course(segment, adds, 12, 3600):
        if number % 7 == 0:
            # On its way out it may be one of several, but it is among them.
            assert not {name for name, value in found.segments.items() if value} - {segment}
            assert not explained(found) or any(segment in _flat(each) for each in explained(found))
            walls = {name for name, one in found.slow.items() if one.wall}
            assert set(found.explained.unexplained) <= walls, (number, found.text)
            states.append(found.status)
    assert states.count("localised") > 100
    assert states[-1] == "usual"
