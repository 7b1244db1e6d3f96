"""The three runbook queries on a real Prometheus that scrapes a real Pushgateway.

Time is scaled: a scrape every 50 ms stands for one every 15 s, and a run takes as long as two
scrapes. `T3PROBE_TEST_RUNS` says how many runs, 40 unless told (`make test-long`: 200); the gateway
is restarted without its state after 35 % of them, politely with its state after 70 %, and three
runs cannot push.
"""

from __future__ import annotations

import bisect
import itertools
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from delivery_programs import RealGateway, RealPrometheus
from delivery_runs import BOUNDS, DEAD, LEGS, REASONS, OneRun, spool

RUNS = int(os.environ.get("T3PROBE_TEST_RUNS", "40"))
WINDOW = "6h"
SCRAPE = "50ms"
SLOW = 1 / 60
"""How many of t3serve's round trips are slow: more than the one in a hundred of the quantile."""


@pytest.fixture
def kept_gateway(tmp_path: Path) -> Iterator[RealGateway]:
    one = RealGateway(tmp_path, tmp_path / "gateway.state")
    one.start()
    yield one
    one.stop()


@pytest.fixture
def prometheus(tmp_path: Path, kept_gateway: RealGateway) -> Iterator[RealPrometheus]:
    one = RealPrometheus(tmp_path, f"127.0.0.1:{kept_gateway.port}", SCRAPE)
    one.start()
    yield one
    one.stop()


def raw_steps(found: list[dict[str, Any]]) -> float:
    """The reset-aware steps of raw samples, over all series of a range."""
    total = 0.0
    for series in found:
        values = [float(value) for _, value in series["values"]]
        for before, after in itertools.pairwise(values):
            total += after - before if after >= before else after
    return total


def quantile(q: float, trips: Sequence[float]) -> float:
    """What `histogram_quantile` must say of these: linear within the bucket that holds it."""
    rank, below, lower = q * len(trips), 0, 0.0
    for upper in BOUNDS:
        inside = bisect.bisect_right(sorted(trips), upper) - below
        if below + inside >= rank:
            return lower + (upper - lower) * (rank - below) / inside
        below, lower = below + inside, upper
    return BOUNDS[-1]


def ours(gateway: RealGateway) -> list[str]:
    return [line for line in gateway.exposition().splitlines() if line.startswith("t3probe_")]


def restart_without_state(gateway: RealGateway, state: Path) -> None:
    gateway.stop()
    state.unlink()
    gateway.start()
    assert ours(gateway) == []


def restart_politely(gateway: RealGateway) -> None:
    before = ours(gateway)
    gateway.restart()
    assert before
    assert ours(gateway) == before


@dataclass
class Truth:
    """What was injected, and of it what could not be delivered."""

    drops: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    trips: dict[str, list[float]] = field(default_factory=lambda: {leg: [] for leg in LEGS})
    last: dict[tuple[str, str], int] = field(default_factory=dict)
    """The drops of the last run."""


def all_runs(
    gateway: RealGateway, prometheus: RealPrometheus, state: Path, memory: Path, keep: bool
) -> Truth:
    """The scripted runs, each with a scrape after its start and after its end."""
    truth, chance = Truth(), random.Random(7)
    refused = {RUNS // 5, RUNS // 2, RUNS * 4 // 5}
    assert len(refused) == 3
    for number in range(RUNS):
        if number == RUNS * 35 // 100:
            restart_without_state(gateway, state)
        elif number == RUNS * 70 // 100:
            restart_politely(gateway)
        cut = number in refused
        run = OneRun(gateway.url, spool(memory, keep), seconds=0.5 if cut else 5.0)
        assert run.start().ok
        prometheus.scraped()
        drops = {(leg, reason): 1 for leg in LEGS for reason in REASONS if chance.random() < 0.3}
        trips = {leg: [0.03, 0.07] for leg in LEGS}
        trips["t3serve"] = [0.6 if chance.random() < SLOW else 0.2 for _ in range(3)]
        report = run.at(DEAD if cut else gateway.url).end(drops, trips, 1000.0 + number)
        assert report.ok is not cut
        prometheus.scraped()
        for (leg, _), count in drops.items():
            truth.drops[leg] += count
            truth.lost[leg] += count if cut and not keep else 0
        for leg in LEGS:
            truth.trips[leg] += [] if cut and not keep else trips[leg]
        truth.last = drops
    return truth


@pytest.mark.timeout(120 + 2 * RUNS)
@pytest.mark.parametrize("keep", [True, False], ids=["spool", "no spool"])
def test_the_runbook_queries_return_the_truth(
    keep: bool, tmp_path: Path, kept_gateway: RealGateway, prometheus: RealPrometheus
) -> None:
    state = tmp_path / "gateway.state"
    truth = all_runs(kept_gateway, prometheus, state, tmp_path / "memory", keep)

    def steps(selector: str) -> float:
        return raw_steps(prometheus.query(f"{selector}[{WINDOW}]"))

    lost = truth.lost.total()
    assert (lost > 0) is not keep
    assert steps("t3probe_disconnects_total") == truth.drops.total() - lost
    assert steps("t3probe_counts_lost_total") == lost
    assert steps("t3probe_runs_overlapped_total") == 0
    for leg in LEGS:
        mine = f'{{leg="{leg}"}}'
        assert steps(f"t3probe_disconnects_total{mine}") == truth.drops[leg] - truth.lost[leg]
        assert steps(f"t3probe_rtt_seconds_count{mine}") == len(truth.trips[leg])
        for bound in BOUNDS:
            found = steps(f't3probe_rtt_seconds_bucket{{leg="{leg}",le="{bound:g}"}}')
            assert found == sum(trip <= bound for trip in truth.trips[leg])

    # increase() continues the line to both ends of its window by at most 1.1 scrapes each.
    (samples,) = prometheus.query(f"min(count_over_time(t3probe_disconnects_total[{WINDOW}]))")
    extrapolated = 1 + 2.2 / (float(samples["value"][1]) - 1)
    increase = prometheus.query("increase(t3probe_disconnects_total[1h])")
    assert {one["metric"]["job"] for one in increase} == {"t3-probe"}
    for leg in LEGS:
        grown = sum(float(one["value"][1]) for one in increase if one["metric"]["leg"] == leg)
        delivered = truth.drops[leg] - truth.lost[leg]
        assert delivered <= grown <= delivered * extrapolated
    connected = {
        series["metric"]["leg"]: float(series["value"][1])
        for series in prometheus.query("t3probe_connected")
    }
    assert connected == {leg: float(all(leg != one for one, _ in truth.last)) for leg in LEGS}
    (found,) = prometheus.query(
        'histogram_quantile(0.99, rate(t3probe_rtt_seconds_bucket{leg="t3serve"}[15m]))'
    )
    assert float(found["value"][1]) == pytest.approx(quantile(0.99, truth.trips["t3serve"]))
