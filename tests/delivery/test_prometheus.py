"""The three runbook queries on a real Prometheus that scrapes a real Pushgateway.

Time is scaled: a scrape every 200 ms stands for one every 15 s. `T3PROBE_TEST_RUNS` says how
many runs; the gateway loses its state after 35 % of them, is restarted politely with its state
after 70 %, and three runs cannot push.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from delivery_programs import RealGateway, RealPrometheus
from delivery_runs import DEAD, LEGS, REASONS, OneRun, spool

RUNS = int(os.environ.get("T3PROBE_TEST_RUNS", "20"))
WINDOW = "6h"


@pytest.fixture
def kept_gateway(tmp_path: Path) -> Iterator[RealGateway]:
    one = RealGateway(tmp_path, tmp_path / "gateway.state")
    one.start()
    yield one
    one.stop()


@pytest.fixture
def prometheus(tmp_path: Path, kept_gateway: RealGateway) -> Iterator[RealPrometheus]:
    one = RealPrometheus(tmp_path, f"127.0.0.1:{kept_gateway.port}", "200ms")
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


@pytest.mark.timeout(60 + 3 * RUNS)
@pytest.mark.parametrize("keep", [True, False], ids=["spool", "no spool"])
def test_the_runbook_queries_return_the_truth(
    keep: bool, tmp_path: Path, kept_gateway: RealGateway, prometheus: RealPrometheus
) -> None:
    chance = random.Random(7)
    lost_at, polite_at = RUNS * 35 // 100, RUNS * 70 // 100
    refused = {RUNS // 5, RUNS // 2, RUNS * 4 // 5}
    truth: dict[str, int] = dict.fromkeys(LEGS, 0)
    trips_truth, undelivered, trips_undelivered = 0, 0, 0
    drops: dict[tuple[str, str], int] = {}
    for number in range(RUNS):
        if number == lost_at:
            kept_gateway.stop()
            (tmp_path / "gateway.state").unlink()
            kept_gateway.start()
        elif number == polite_at:
            kept_gateway.restart()
        run = OneRun(kept_gateway.url, spool(tmp_path / "memory", keep))
        assert run.start().ok
        prometheus.scraped()
        drops = {(leg, reason): 1 for leg in LEGS for reason in REASONS if chance.random() < 0.3}
        trips = {leg: [0.03, 0.07] for leg in LEGS} | {"t3serve": [0.2] * 3}
        for (leg, _), count in drops.items():
            truth[leg] += count
        trips_truth += 7
        if number in refused:
            assert not run.at(DEAD).end(drops, trips, 1000.0 + number).ok
            undelivered += sum(drops.values())
            trips_undelivered += 7
        else:
            assert run.end(drops, trips, 1000.0 + number).ok
        prometheus.scraped()

    lost = 0 if keep else undelivered
    assert raw_steps(prometheus.query(f"t3probe_disconnects_total[{WINDOW}]")) == (
        sum(truth.values()) - lost
    )
    assert raw_steps(prometheus.query(f"t3probe_counts_lost_total[{WINDOW}]")) == lost
    for part in ("count", 'bucket{le="+Inf"}'):
        found = raw_steps(prometheus.query(f"t3probe_rtt_seconds_{part}[{WINDOW}]"))
        assert found == trips_truth - (0 if keep else trips_undelivered)

    increase = prometheus.query("increase(t3probe_disconnects_total[1h])")
    grown: dict[str, float] = dict.fromkeys(LEGS, 0.0)
    for series in increase:
        grown[series["metric"]["leg"]] += float(series["value"][1])
    if keep:
        assert grown == {leg: pytest.approx(count, rel=0.1) for leg, count in truth.items()}
    connected = {
        series["metric"]["leg"]: float(series["value"][1])
        for series in prometheus.query("t3probe_connected")
    }
    assert connected == {leg: float(all(leg != one for one, _ in drops)) for leg in LEGS}
    quantile = prometheus.query(
        'histogram_quantile(0.99, rate(t3probe_rtt_seconds_bucket{leg="t3serve"}[15m]))'
    )
    assert [0.1 < float(one["value"][1]) <= 0.25 for one in quantile] == [True]
    assert {one["metric"]["job"] for one in increase} == {"t3-probe"}
