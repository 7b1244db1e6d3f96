"""Remote write to the real receivers: Debian's Prometheus and VictoriaMetrics."""

from __future__ import annotations

import random
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from delivery_runs import DEAD
from delivery_servers import Server, closing, serving
from remote_parts import LASTED, Box, Prometheus, RealReceiver, Victoria

from t3probe.deliver.metrics.carry import LOST, Family
from t3probe.deliver.sinks.receiver import RemoteReceiver

DROPS = "t3probe_disconnects_total"
RUNS = 40
AWAY = range(10, 30)
KILLED = 33
"""The answer to this one's request is not seen."""


@pytest.fixture(params=["prometheus", "prometheus, out of order", "victoria"])
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RealReceiver]:
    one: RealReceiver
    if request.param == "victoria":
        one = Victoria(tmp_path / "server")
    else:
        one = Prometheus(tmp_path / "server", "6h" if "," in request.param else "")
    one.start()
    yield one
    one.stop()


def target(server: RealReceiver) -> RemoteReceiver:
    return RemoteReceiver(server.url + server.write)


def first_minute(minutes: int) -> float:
    """When the first of so many runs began, the last of which ended just now."""
    return float(int(time.time()) - 60 * minutes)


def test_increase_is_the_truth_over_an_outage(tmp_path: Path, real: RealReceiver) -> None:
    chance, truth, start = random.Random(7), 0, first_minute(RUNS)
    box = Box(tmp_path, [target(real)])
    for number in range(RUNS):
        box.receivers = [RemoteReceiver(DEAD) if number in AWAY else target(real)]
        drops = chance.choice((0, 0, 0, 1, 2))
        truth += drops
        if number == KILLED:
            with serving(_losing_the_answer(real)) as between:
                box.receivers = [RemoteReceiver(f"{between.url}/api/v1/write")]
                assert not box.run(number, drops, start + 60 * number).ok
            continue
        report = box.run(number, drops, start + 60 * number)
        assert report.ok is (number not in AWAY), report.sentence
    end = start + 60 * RUNS
    # By now it shows the last run, or it says what it shows instead.
    real.settled(
        "t3probe_run_timestamp_seconds",
        lambda found: bool(found) and float(found[0]["value"][1]) == end - 60 + LASTED,
        end - 60 + LASTED,
    )
    window = f"{RUNS + 1}m"
    assert real.steps(DROPS, window, end) == truth
    assert real.steps(LOST, window, end) == 0
    assert real.steps('t3probe_rtt_seconds_count{leg="cloudflare"}', window, end) == 2 * RUNS
    assert real.steps('t3probe_rtt_seconds_bucket{le="0.1"}', window, end) == RUNS
    grown = sum(float(one["value"][1]) for one in real.query(f"increase({DROPS}[{window}])", end))
    assert grown == pytest.approx(truth, rel=0 if isinstance(real, Victoria) else 0.03)


def _losing_the_answer(real: RealReceiver) -> Any:
    """Passes a request on and hangs up: the sender cannot know that it was taken."""

    def handler(sock: Any, request: bytes, server: Server) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        lines = dict(one.split(": ", 1) for one in head.decode().split("\r\n")[1:])
        names = ("Content-Encoding", "Content-Type", "X-Prometheus-Remote-Write-Version")
        asked = urllib.request.Request(
            real.url + real.write, body, {name: lines[name] for name in names}, method="POST"
        )
        # The second of them is out of order for Prometheus.
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(asked, timeout=10) as answer:
            assert answer.status == 204

    return handler


def test_what_was_not_measured_ends_at_once(tmp_path: Path, real: RealReceiver) -> None:
    """A leg that was inconclusive: its state is absent, and not the last run's for minutes."""
    start = first_minute(3)
    named = {"t3probe_connected": Family("gauge", "", {(("leg", "gone"),): 0.0})}
    box = Box(tmp_path, [target(real)])
    from delivery_runs import run_families

    from t3probe.deliver.sinks import Batch
    from t3probe.deliver.sinks.remote_write import RemoteWrites
    from t3probe.timing import FakeClock

    labels = {"job": "t3-probe", "vantage": "cluster"}
    remote = RemoteWrites(list(box.receivers), labels, FakeClock(wall=start + LASTED))
    sink = remote.sink(tmp_path, keep=True, gauges={}, tells=False)
    with_gone = run_families(stamp=start + LASTED)
    with_gone["t3probe_connected"].series[("leg", "gone"),] = 1.0
    assert sink(Batch(with_gone)).ok
    box.gauges = named
    assert box.run(1, 0, start + 60).ok
    end = start + 60 + LASTED
    query = 't3probe_connected{leg=~"gone|internal"}'
    real.settled(query, lambda found: [o["metric"]["leg"] for o in found] == ["internal"], end)
    assert real.settled(query, lambda found: len(found) == 2, start + LASTED) is None


def test_prometheus_refuses_what_is_too_old_and_that_is_counted(tmp_path: Path) -> None:
    """Away for longer than it takes old samples: what falls out by age is what it would refuse."""
    real = Prometheus(tmp_path / "server")
    real.start()
    try:
        start, truth = first_minute(120), 0
        box = Box(tmp_path, [])
        for number in range(120):
            # Another vantage goes on meanwhile: Prometheus has newer samples than what waits.
            away = 10 <= number < 100
            box.vantage, box.receivers = "other", [target(real)]
            box.folder = tmp_path / "other"
            assert box.run(number, 0, start + 60 * number).ok
            box.vantage, box.folder = "cluster", tmp_path / "cluster"
            box.receivers = [RemoteReceiver(DEAD) if away else target(real)]
            truth += 1
            report = box.run(number, 1, start + 60 * number)
            assert report.ok is not away, report.sentence
            assert "refuses it" not in report.sentence
        end = start + 60 * 120
        ours = '{vantage="cluster"}'
        kept = real.steps(DROPS + ours, "3h", end)
        lost = real.steps(LOST + ours, "3h", end)
        assert kept + lost == truth
        assert 30 <= lost <= 40
    finally:
        real.stop()


def test_a_redirect_is_not_followed_with_the_token(tmp_path: Path) -> None:
    from delivery_servers import answering

    from t3probe.exchange.client import Login

    with serving(closing) as elsewhere:
        to = f"Location: {elsewhere.url}/api/v1/write"
        with serving(answering("307 There", b"", to)) as here:
            one = RemoteReceiver(f"{here.url}/w", login=Login(token="a-token-of-ours"))
            assert not Box(tmp_path, [one]).run(0).ok
        assert elsewhere.requests == []
