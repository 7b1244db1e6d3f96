"""Answers out of a real Pushgateway, and out of what only looks like one; Prometheus' age."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from deliver.delivery_programs import RealGateway
from explain.explain_server import answering, matrix
from mcp_asking import Asked
from mcp_runs import BROKEN_TUNNEL, NOW, THREE_DOWN, down, recording, upstream

from t3probe.deliver import metrics
from t3probe.deliver.sinks.gateway import Gateway, Wire, split
from t3probe.exchange.client import Budget
from t3probe.observation import Observation
from t3probe.timing import SystemClock
from t3probe.verdict.incident.run import judge_run


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    one = RealGateway(tmp_path_factory.mktemp("gateway"))
    one.start()
    yield one
    one.stop()


def push(real: RealGateway, vantage: str, seen: Sequence[Observation]) -> Gateway:
    """What a run's end writes."""
    gateway = Gateway(real.url, "t3-probe", vantage)
    run = recording(seen)
    judged = judge_run(run.run, run.observations)
    main, beside = split(metrics.families(run.run, run.observations, judged))
    budget = Budget(SystemClock(), 20.0)
    Wire(gateway).write("PUT", gateway.key, main, budget)
    Wire(gateway).write("PUT", gateway.upstream_key, beside, budget)
    return gateway


async def test_the_last_run_read_back(real: RealGateway) -> None:
    planned = down("serve", "serve", planned="rebuilt until 14:00")
    other = push(real, "other", (upstream("x", ok=False),))
    gateway = push(real, "attic", (*BROKEN_TUNNEL, planned, *THREE_DOWN))
    ask = Asked(gateway=gateway)
    verdict = await ask("query_verdict")
    assert (verdict["status"], verdict["convicted"]) == ("localised", ["tunnel"])
    assert verdict["exonerated"] == ["dispatch", "wan"]
    assert not {"incidents", "at_least_one_of", "incidents_total"} & set(verdict)
    source = verdict["source"]
    assert source["kind"] == "gateway"
    assert source["name"] == f"the gateway at 127.0.0.1:{real.port}"
    assert (source["run_ended_at"], source["age_seconds"]) == (NOW, 10.0)
    assert (source["vantage"], source["complete"]) == ("attic", True)

    legs = await ask("query_legs")
    known = {one["name"]: one for one in legs["legs"]}
    assert legs["legs"][0]["name"] == "cloudflare"
    assert known["cloudflare"]["drops_ever"] == {"connect_timeout": 1}
    assert known["cloudflare"]["connected"] is False
    assert known["cloudflare"]["accepting"] is False
    assert known["egress"]["accepting"] is True
    assert known["cloudflare"]["last_drop_utc"]
    assert known["serve"]["planned"]
    assert not {"segments", "median_seconds", "address"} & set(known["egress"])
    assert legs["counts"] == {"failed": 1, "planned": 1, "passed": 2}
    assert legs["upstreams"] == 6

    health = await ask("query_backend_health")
    rows = [(one["backend"][0], one.get("reachable")) for one in health["upstreams"]]
    assert rows == [
        ("b", False), ("d", False), ("f", False), ("e", True), ("a", True), ("c", True),
    ]  # fmt: skip
    assert health["upstreams"][0]["disagreement"] == ["envoy_only"]
    assert "disagreement" not in health["upstreams"][2]
    assert "envoy" not in health["upstreams"][0]
    assert health["upstreams"][3]["connect_seconds"] == 0.002
    few = await ask("query_backend_health", unreachable_only=True)
    assert [one["backend"] for one in few["upstreams"]] == ["b.lan:80", "d.lan:80", "f.lan:80"]
    assert (await Asked(gateway=other)("query_backend_health"))["total"] == 1


async def test_no_such_group(real: RealGateway) -> None:
    said = await Asked(gateway=Gateway(real.url, "t3-probe", "cellar")).refused("query_legs")
    assert "nothing recorded" in said
    assert "job=t3-probe, vantage=cellar" in said


async def test_ten_thousand_upstreams_out_of_the_gateway(real: RealGateway) -> None:
    many = [upstream(f"n{number:05}", ok=number % 5000 != 17) for number in range(10_000)]
    answer = await Asked(gateway=push(real, "large", many))("query_backend_health")
    assert (answer["total"], answer["unreachable"]) == (10_000, 2)
    assert [one["backend"] for one in answer["upstreams"][:2]] == ["n00017.lan:80", "n05017.lan:80"]
    assert answer["not_listed"] == 10_000 - len(answer["upstreams"]) >= 9_500


async def test_what_is_no_gateway_is_not_quoted() -> None:
    with answering(b"<html>hunter2</html>") as site:
        said = await Asked(gateway=Gateway(site.url, "t3-probe")).refused("query_legs")
    assert "hunter2" not in said
    assert "no list of metrics" in said


@pytest.mark.parametrize(
    "value", ["NaN", "+Inf", "-1", "1e300", "x"], ids=lambda one: f"timestamp {one}"
)
async def test_a_strange_time_in_the_gateway(value: str) -> None:
    labels = {"job": "t3-probe"}
    group = {
        "labels": labels,
        "t3probe_run_timestamp_seconds": {
            "type": "GAUGE", "metrics": [{"labels": labels, "value": value}],
        },
    }  # fmt: skip
    with answering({"status": "success", "data": [group]}) as site:
        ask = Asked(gateway=Gateway(site.url, "t3-probe"))
        answers = [await ask(one) for one in ("query_verdict", "query_legs")]
    assert answers[0]["status"] == "unknown"
    for one in answers:
        assert one["source"]["stale"] is True
        assert "its age is unknown" in one["source"]["warning"]


async def test_a_gateway_that_is_down() -> None:
    gateway = Gateway("http://127.0.0.1:1", "t3-probe")
    said = await Asked(gateway=gateway).refused("query_verdict")
    assert said == "query_verdict: the gateway at 127.0.0.1:1 refuses connections"


async def test_prometheus_tells_how_old_it_is() -> None:
    labels = {"__name__": "t3probe_run_timestamp_seconds", "job": "t3-probe", "vantage": "attic"}
    with answering(matrix((labels, [(NOW - 60, NOW - 61), (NOW, NOW - 1)]))) as site:
        answer = await Asked(prometheus=site.url)("explain_drop", at=str(int(NOW - 30)))
    assert answer["source"]["kind"] == "prometheus"
    assert answer["source"]["age_seconds"] == 11.0
    assert site.url.removeprefix("http://") in answer["source"]["name"]


async def test_a_prometheus_that_is_down(tmp_path: Path) -> None:
    said = await Asked(prometheus="http://127.0.0.1:1").refused("explain_drop", at=str(int(NOW)))
    assert "refuses connections" in said
