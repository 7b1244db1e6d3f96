"""The checks against a real Envoy: found without a list, and both kinds of disagreement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from envoy_real import (
    Envoy,
    Port,
    Web,
    cluster,
    deployment_text,
    envoy_binary,
    from_file,
    health_check,
    http_filter,
    listener,
    load_assignment,
    recorded,
    run_checks,
    socket_address,
    tcp_filter,
    tls_inspector,
    until,
    write_file,
)
from metrics_by_label import numbers

from t3probe.config import loads
from t3probe.deliver import metrics
from t3probe.observation import Observation
from t3probe.record.facts import Recording
from t3probe.upstreams.sources_run import RunSources
from t3probe.verdict.incident.run import judge_run
from t3probe.verdict.repeated.repetition import from_runs

ROUTES = "route.v3.RouteConfiguration"
ENDPOINTS = "endpoint.v3.ClusterLoadAssignment"


def to(name: str) -> dict[str, object]:
    return {"match": {"prefix": f"/{name}"}, "route": {"cluster": name}}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """An Envoy whose opinion is right about some backends and wrong about others."""
    envoy_binary()
    folder = tmp_path_factory.mktemp("envoy")
    with ExitStack() as stack:

        def opened(one: Web | Port) -> Web | Port:
            stack.callback(one.close)
            return one

        good, strange, flaky = opened(Web()), opened(Web(503)), opened(Web(500))
        down = opened(Port(listening=False))
        db, replica, first, second = (opened(Port()) for _ in range(4))
        drained, named = opened(Port(listening=False)), opened(Port())
        eds, rds = folder / "eds" / "eds.json", folder / "rds" / "rds.json"
        for file in (eds, rds):
            file.parent.mkdir()
        write_file(eds, ENDPOINTS, load_assignment("dyn", first.port))
        far = {"name": "far", "virtual_hosts": [{"name": "far", "domains": ["*"]}]}
        far["virtual_hosts"][0]["routes"] = [
            {"match": {"prefix": "/"}, "route": {"cluster": "dyn"}}
        ]
        write_file(rds, ROUTES, far)
        weighted = {"clusters": [{"name": "orders", "weight": 9}, {"name": "silent", "weight": 1}]}
        shop = {
            "name": "shop",
            "domains": ["*"],
            "routes": [
                {"name": "checkout", **to("orders")},
                *map(to, ("strange", "silent", "flaky")),
                {"match": {"prefix": "/both"}, "route": {"weighted_clusters": weighted}},
                {"match": {"prefix": "/away"}, "redirect": {"host_redirect": "elsewhere"}},
                {"match": {"prefix": "/say"}, "direct_response": {"status": 200}},
            ],
        }
        route_config = {"name": "shop", "virtual_hosts": [shop]}
        sni = {"server_names": ["a.example", "b.example"]}
        envoy = Envoy(
            folder,
            [
                listener("web", {"filters": [http_filter(route_config=route_config)]}),
                listener(
                    "far",
                    {
                        "filters": [
                            http_filter(
                                rds={"route_config_name": "far", "config_source": from_file(rds)}
                            )
                        ]
                    },
                ),
                listener(
                    "db",
                    {
                        "filters": [
                            tcp_filter(
                                weighted_clusters={
                                    "clusters": [
                                        {"name": "db", "weight": 3},
                                        {"name": "replica", "weight": 1},
                                    ]
                                }
                            )
                        ]
                    },
                ),
                listener(
                    "tls",
                    {"filter_chain_match": sni, "filters": [tcp_filter(cluster="named")]},
                    listener_filters=[tls_inspector()],
                    default_filter_chain={"filters": [tcp_filter(cluster="anywhere")]},
                ),
            ],
            [
                cluster("orders", good.port, health_checks=health_check()),
                cluster("strange", strange.port, health_checks=health_check()),
                cluster("silent", down.port),
                cluster(
                    "flaky",
                    flaky.port,
                    outlier_detection={
                        "consecutive_5xx": 1, "interval": "0.1s", "base_ejection_time": "300s",
                        "max_ejection_percent": 100, "enforcing_consecutive_5xx": 100,
                    },
                ),
                cluster("db", db.port),
                cluster("replica", db.port, replica.port),
                cluster("dyn", type="EDS", eds_cluster_config={"eds_config": from_file(eds)}),
                cluster("named", named.port, host="localhost", type="STRICT_DNS"),
                cluster("anywhere", type="ORIGINAL_DST", lb_policy="CLUSTER_PROVIDED"),
                cluster("idle", 9),
            ],
        )  # fmt: skip
        stack.callback(envoy.close)
        ports = envoy.ports
        envoy.request(ports["web"], "/flaky")
        until(lambda: envoy.hosts("flaky")[flaky.port].get("failed_outlier_check"), "an ejection")
        until(lambda: envoy.hosts("strange")[strange.port].get("failed_active_health_check"), "-")
        until(lambda: not envoy.hosts("orders")[good.port].get("failed_active_health_check"), "-")
        yield SimpleNamespace(
            envoy=envoy, ports=ports, eds=eds, good=good.port, strange=strange.port,
            flaky=flaky.port, down=down.port, db=db.port, replica=replica.port,
            first=first.port, second=second.port, drained=drained.port, named=named.port,
        )  # fmt: skip


@pytest.fixture
def endpoints(real: SimpleNamespace) -> Iterator[SimpleNamespace]:
    """The same, with one endpoint of the dynamic cluster before and after each test."""
    yield real
    change(real, real.first)


def change(real: SimpleNamespace, *ports: int | dict[str, object]) -> None:
    """Other endpoints for the dynamic cluster, by a rename; waits until Envoy has them."""
    write_file(real.eds, ENDPOINTS, load_assignment("dyn", *ports))
    wanted = {
        one if isinstance(one, int) else one["endpoint"]["address"]["socket_address"]["port_value"]
        for one in ports
    }
    until(lambda: set(real.envoy.hosts("dyn")) == wanted, "a changed list of endpoints")


def leg(real: SimpleNamespace, route: str, via: str, port: int, host: str = "127.0.0.1") -> str:
    return f"envoy-{route}-{real.ports[via]}-{host}:{port}"


def kinds(seen: Observation) -> dict[str, tuple[str, ...] | None]:
    return {one.route: one.disagreements for one in seen.views}


def test_every_upstream_is_found_without_a_list_and_both_kinds_are_told(
    real: SimpleNamespace, tmp_path: Path
) -> None:
    code, output, seen = run_checks(tmp_path, deployment_text(real.envoy.admin))
    expected = {
        leg(real, "orders", "web", real.good): ("passed", {"orders": ()}),
        leg(real, "strange", "web", real.strange): ("passed", {"strange": ("probe_only",)}),
        leg(real, "silent", "web", real.down): ("failed", {"silent": ("envoy_only",)}),
        leg(real, "flaky", "web", real.flaky): ("passed", {"flaky": ("probe_only",)}),
        leg(real, "dyn", "far", real.first): ("passed", {"dyn": ()}),
        leg(real, "db", "db", real.db): ("passed", {"db": (), "replica": ()}),
        leg(real, "replica", "db", real.replica): ("passed", {"replica": ()}),
        leg(real, "named", "tls", real.named, "localhost"): ("degraded", {"named": None}),
    }
    found = {name: (one.outcome, kinds(one)) for name, one in seen.items() if one.kind == "tcp"}
    named = leg(real, "named", "tls", real.named, "localhost")
    # Which of localhost's addresses Envoy took, and how many there are, is the machine's affair.
    assert found.pop(named)[0] in {"passed", "degraded"}
    expected.pop(named)
    assert found == expected
    assert code == 1
    assert "1 failed, 8 passed" in output
    assert "source-edge: 8 upstreams; " in output
    assert "clusters that no route uses: 1 (idle)" in output
    assert "clusters of a kind that has no endpoints of its own: 1 (anywhere)" in output
    assert seen["source-edge"].outcome == "passed"
    flat = " ".join(output.split())
    assert f"Envoy calls it healthy behind silent at port {real.ports['web']}, and it" in flat
    assert "Envoy calls it unhealthy (failed_active_health_check) behind strange" in flat
    assert "Envoy calls it unhealthy (failed_outlier_check) behind flaky" in flat


def test_the_metrics_of_that_run(real: SimpleNamespace, tmp_path: Path) -> None:
    run_checks(tmp_path, deployment_text(real.envoy.admin))
    recording = recorded(tmp_path)
    assert recording is not None
    run, seen = recording.run, recording.observations
    values = numbers(metrics.families(run, seen, judge_run(run, seen)))
    name, silent = "t3probe_backend_disagreement", f"127.0.0.1:{real.down}"
    assert values[name, "silent", silent, "envoy_only"] == 1
    assert values[name, "silent", silent, "probe_only"] == 0
    assert values[name, "flaky", f"127.0.0.1:{real.flaky}", "probe_only"] == 1
    assert values[name, "orders", f"127.0.0.1:{real.good}", "envoy_only"] == 0
    port = str(real.ports["db"])
    for route in ("db", "replica"):
        assert values["t3probe_backend_reachable", route, port, f"127.0.0.1:{real.db}"] == 1
    web = str(real.ports["web"])
    assert values["t3probe_backend_reachable", "silent", web, silent] == 0
    assert values["t3probe_check_success", "source-edge"] == 1
    assert not [one for one in values if one[0] == "t3probe_observed_seconds_total" and one[1:]]


def test_a_name_or_a_port_of_the_way_selects_it(real: SimpleNamespace, tmp_path: Path) -> None:
    text = deployment_text(real.envoy.admin)
    for words, name in (
        (f"orders and {real.ports['web']}", leg(real, "orders", "web", real.good)),
        ("checkout", leg(real, "orders", "web", real.good)),
        ("b.example", leg(real, "named", "tls", real.named, "localhost")),
        (f"replica and {real.db}", leg(real, "db", "db", real.db)),
    ):
        _, output, seen = run_checks(tmp_path, text, "-k", words)
        assert set(seen) == {name}, output


def test_the_next_run_follows_a_change_of_the_endpoints(
    endpoints: SimpleNamespace, tmp_path: Path
) -> None:
    real, text = endpoints, deployment_text(endpoints.envoy.admin)
    draining = load_assignment("dyn", real.drained)["endpoints"][0]["lb_endpoints"][0]
    change(real, real.second, {**draining, "health_status": "DRAINING"})
    _, output, seen = run_checks(tmp_path, text, "-k", "dyn")
    gone, there = leg(real, "dyn", "far", real.first), leg(real, "dyn", "far", real.second)
    drained = leg(real, "dyn", "far", real.drained)
    assert set(seen) == {there, drained}, output
    assert gone not in seen
    assert seen[there].outcome == "passed"
    # It refuses, and Envoy lets it run out: no failure, and no disagreement.
    assert seen[drained].outcome == "failed"
    assert seen[drained].planned == "Envoy sends it nothing: EDS says DRAINING"
    assert kinds(seen[drained]) == {"dyn": ()}
    assert "1 passed, 1 skipped" in output


def test_a_change_while_the_run_goes_on_is_no_disagreement(endpoints: SimpleNamespace) -> None:
    real = endpoints
    change(real, real.first, real.down)
    deployment = loads(deployment_text(real.envoy.admin), environ={}, now=0)
    sources = RunSources(deployment, "", {})
    gone, stays = leg(real, "dyn", "far", real.first), leg(real, "orders", "web", real.good)
    # One address, found behind two listeners: one leg, named after the first of its places.
    both = sources.deployment.leg(leg(real, "dyn", "far", real.down))
    assert {place.route for place in both.places} == {"dyn", "silent"}
    change(real, real.down)
    seen = {
        one.name: Observation(
            leg=one.name, kind="tcp", path=one.path, outcome="failed", connected=False
        )
        for one in sources.deployment.legs
    }
    sources.settle(seen)
    assert seen[gone].views[0].opinion == "unknown"
    assert seen[gone].views[0].detail == "Envoy took it out of the cluster during the run"
    assert kinds(seen[gone]) == {"dyn": None}
    assert seen[gone].planned
    assert kinds(seen[stays]) == {"orders": ("envoy_only",)}
    assert not seen[stays].planned


def test_forty_dead_backends_behind_one_switch_point_at_the_switch(tmp_path: Path) -> None:
    """They refuse at two addresses, and nobody behind the switch answers."""
    envoy_binary()
    hosts = ("127.0.0.1", "127.0.0.3")
    with ExitStack() as stack:
        dead = [Port(listening=False, host=hosts[at % 2]) for at in range(40)]
        elsewhere = Port(host="127.0.0.2")
        for one in (*dead, elsewhere):
            stack.callback(one.close)
        envoy = Envoy(
            tmp_path,
            [listener("in", {"filters": [tcp_filter(cluster="orders")]})],
            [
                cluster(
                    "orders",
                    *(
                        {"endpoint": {"address": socket_address(one.port, hosts[at % 2])}}
                        for at, one in enumerate(dead)
                    ),
                )
            ],
        )
        stack.callback(envoy.close)
        more = (
            f'[[upstream]]\nname = "other"\naddress = "127.0.0.2:{elsewhere.port}"\n'
            '[[upstream_share]]\nsegment = "rack"\nhosts = ["127.0.0.1/32", "127.0.0.3/32"]\n'
        )
        code, output, seen = run_checks(tmp_path, deployment_text(envoy.admin, more))
    assert code == 1
    assert len(seen) == 42
    assert seen["envoy-other"].outcome == "passed"
    assert sum(one.path[0] == "rack" for one in seen.values() if one.path) == 40
    recording = recorded(tmp_path)
    assert recording is not None
    judged = judge_run(recording.run, recording.observations)
    assert list(judged.verdict.minimal_sets[0]) == ["rack"]
    posterior = judged.posterior.posterior
    assert posterior["rack"] > 0.99
    assert max(value for name, value in posterior.items() if name != "rack") < 0.2
    assert "simplest explanation: rack" in output
    # Two such runs leave no doubt.
    later = msgspec.structs.replace(recording.run, started_at=recording.run.started_at + 60)
    again = from_runs([recording, Recording(later, recording.observations)])
    assert again.posterior().convicted_by_repetition == ("rack",)


def test_forty_ports_that_refuse_on_one_machine_convict_themselves(tmp_path: Path) -> None:
    envoy_binary()
    with ExitStack() as stack:
        dead = [Port(listening=False) for _ in range(40)]
        for one in dead:
            stack.callback(one.close)
        envoy = Envoy(
            tmp_path,
            [listener("in", {"filters": [tcp_filter(cluster="orders")]})],
            [cluster("orders", *(one.port for one in dead))],
        )
        stack.callback(envoy.close)
        more = '[[upstream_share]]\nsegment = "rack"\nhosts = ["127.0.0.1/32"]\n'
        code, _, seen = run_checks(tmp_path, deployment_text(envoy.admin, more))
    assert code == 1
    recording = recorded(tmp_path)
    assert recording is not None
    found = judge_run(recording.run, recording.observations).verdict
    assert "rack" in found.exonerated
    assert len(found.convicted) == 40 == sum(one.outcome == "failed" for one in seen.values())


def test_a_route_to_nobody_is_a_finding(tmp_path: Path) -> None:
    """Envoy's commonest outage: whoever asks gets "no healthy upstream"."""
    envoy_binary()
    with ExitStack() as stack:
        well, sick = Port(), Web(503)
        for one in (well, sick):
            stack.callback(one.close)
        eds, rds = tmp_path / "eds" / "eds.json", tmp_path / "rds" / "rds.json"
        for file in (eds, rds):
            file.parent.mkdir()
        write_file(eds, ENDPOINTS, load_assignment("drained"))
        names = ("well", "empty", "drained", "lost", "sick")
        host = {"name": "shop", "domains": ["*"], "routes": [to(one) for one in names]}
        write_file(rds, ROUTES, {"name": "shop", "virtual_hosts": [host]})
        manager = http_filter(rds={"route_config_name": "shop", "config_source": from_file(rds)})
        envoy = Envoy(
            tmp_path,
            [listener("web", {"filters": [manager]})],
            [
                cluster("well", well.port),
                cluster("empty"),
                cluster("drained", type="EDS", eds_cluster_config={"eds_config": from_file(eds)}),
                cluster(
                    "sick",
                    sick.port,
                    health_checks=health_check(),
                    common_lb_config={"healthy_panic_threshold": {"value": 0}},
                ),
            ],
        )
        stack.callback(envoy.close)
        until(lambda: envoy.hosts("sick")[sick.port].get("failed_active_health_check"), "-")
        port = envoy.ports["web"]
        code, output, seen = run_checks(tmp_path, deployment_text(envoy.admin))
    assert code == 1, output
    empty = {name for name, one in seen.items() if name.endswith("-no-host")}
    assert empty == {f"envoy-{one}-{port}-no-host" for one in names if one != "well"}
    assert {(seen[one].outcome, seen[one].reason) for one in empty} == {
        ("failed", "connect_failed")
    }
    details = {one: seen[f"envoy-{one}-{port}-no-host"].detail for one in names if one != "well"}
    start = f"the route web / shop (port {port}) sends to the cluster"
    assert details["empty"] == f'{start} empty, which has no host ("no healthy upstream")'
    assert "which Envoy does not have" in details["lost"]
    assert "failed_active_health_check" in details["sick"]
    recording = recorded(tmp_path)
    assert recording is not None
    judged = judge_run(recording.run, recording.observations).verdict
    assert {f"upstream-{one.removeprefix('envoy-')}" for one in empty} <= set(judged.convicted)
    assert f"upstream-well-{port}-127.0.0.1:{well.port}" in judged.exonerated
    assert "and 4 clusters without a host" in " ".join(output.split())
