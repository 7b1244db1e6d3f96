"""Routes that lead to nobody, and what of Envoy's configuration is left out and said."""

from __future__ import annotations

from typing import Any

import pytest
from test_envoy_answers import TYPE, dump, host, http, read, status, tcp

from t3probe.config import loads
from t3probe.config.types import UpstreamSource
from t3probe.deliver import metrics
from t3probe.observation import Observation
from t3probe.run.session import Session
from t3probe.upstreams.sources import NamedUpstreams
from t3probe.upstreams.sources_legs import with_found
from t3probe.upstreams.sources_read import Reading
from t3probe.upstreams.views import compared
from t3probe.verdict.incident.run import judge_run

SOURCE = UpstreamSource(name="edge", kind="envoy", url="http://127.0.0.1:1", shares=("rack",))
DEPLOYMENT = loads(
    'name = "x"\nsegments = ["rack"]\n[[upstream]]\nname = "a"\naddress = "10.0.0.1:1"\n',
    environ={},
    now=0,
)
AGGREGATE = "envoy.clusters.aggregate"


def aggregate(name: str, *parts: str) -> Any:
    return {
        "name": name,
        "cluster_type": {"name": AGGREGATE, "typed_config": {"clusters": list(parts)}},
    }


def found(config: Any, *statuses: Any) -> NamedUpstreams:
    return read(config, {"cluster_statuses": list(statuses)}, {})


def lacks(seen: NamedUpstreams) -> list[str]:
    """What is said of each cluster without a host, after its name."""
    return [one.words.partition(", ")[2] for one in seen.hostless]


NO_HOST = 'which has no host ("no healthy upstream")'
PANIC_OFF = {"common_lb_config": {"healthy_panic_threshold": {}}}
PANIC_AT_5 = {"common_lb_config": {"healthy_panic_threshold": {"value": 5}}}
FAILED = {"health_status": {"failed_active_health_check": True}}
EDS_FAILED = {"health_status": {"eds_health_status": "UNHEALTHY"}}
LEAVING = {"health_status": {"eds_health_status": "DRAINING"}}
WELL: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("cluster", "hosts", "words"),
    [
        ({}, [], NO_HOST),
        ({"type": "EDS"}, [], NO_HOST),
        (
            {"type": "STRICT_DNS"},
            [],
            'which has no host: Envoy resolves no address of it ("no healthy upstream")',
        ),
        ({"cluster_type": {"name": "envoy.clusters.redis"}}, [], NO_HOST),
        ({"cluster_type": {"name": "envoy.clusters.unheard_of"}}, [], None),
        ({"cluster_type": {"name": "envoy.clusters.dynamic_forward_proxy"}}, [], None),
        ({"type": "ORIGINAL_DST"}, [], None),
        ({}, [host(1)], None),
        ({}, ["of another form"], None),
        ({}, [{"address": {"pipe": {"path": "/x"}}}], None),
        ({}, [host(1, **FAILED)], None),  # Envoy sends to it all the same: panic
        (
            PANIC_OFF,
            [host(1, **FAILED)],
            "whose only host Envoy does not use: failed_active_health_check "
            '("no healthy upstream")',
        ),
        (
            PANIC_OFF,
            [host(1, **EDS_FAILED), host(2, **LEAVING)],
            "of whose 2 hosts none is used by Envoy: EDS says UNHEALTHY, EDS says DRAINING "
            '("no healthy upstream")',
        ),
        (PANIC_OFF, [host(1, **FAILED), host(2)], None),
        (PANIC_AT_5, [host(1, **FAILED)], None),
    ],
)  # fmt: skip
def test_a_cluster_that_sends_nobody_anywhere(
    cluster: dict[str, Any], hosts: list[Any], words: str | None
) -> None:
    config = dump(tcp("c"), clusters=[{"name": "c", **cluster}])
    assert lacks(found(config, status("c", *hosts))) == ([] if words is None else [words])


def test_a_route_to_nobody_is_named_whole() -> None:
    routes = http({"name": "checkout", "route": {"cluster": "orders"}})
    seen = found(dump(routes, clusters=[{"name": "orders"}]), status("orders"))
    assert [one.words for one in seen.hostless] == [
        f"the route in-0 / r / v / checkout (port 80) sends to the cluster orders, {NO_HOST}"
    ]


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ([], ["which Envoy does not have"]),
        (
            [
                {
                    "@type": f"{TYPE}admin.v3.ClustersConfigDump",
                    "dynamic_warming_clusters": [{"cluster": {"name": "c"}}],
                }
            ],
            ["which is still warming: Envoy does not know its hosts yet"],
        ),
        (
            # A cluster that nobody could read may be the one.
            [{"@type": f"{TYPE}admin.v3.ClustersConfigDump", "static_clusters": [{"cluster": 5}]}],
            [],
        ),
    ],
)
def test_a_cluster_that_envoy_does_not_have(sections: list[Any], words: list[str]) -> None:
    assert lacks(found(dump(tcp("c"), sections=sections))) == words


def test_a_cluster_that_came_between_two_answers_is_not_accused() -> None:
    eds = {"name": "c", "type": "EDS", "eds_cluster_config": {"service_name": "s"}}
    seen = found(dump(tcp("c"), clusters=[eds]))
    assert seen.hostless == ()
    words = "clusters of which Envoy does not say what hosts they have: 1 (c)"
    assert seen.warnings == (words,)
    given = {
        "@type": f"{TYPE}admin.v3.EndpointsConfigDump",
        "dynamic_endpoint_configs": [{"endpoint_config": {"cluster_name": "s"}}],
    }
    assert lacks(found(dump(tcp("c"), clusters=[eds], sections=[given]))) == [NO_HOST]
    assert lacks(found(dump(tcp("c"), clusters=[{"name": "c"}]))) == [NO_HOST]


def test_what_is_sent_nothing_needs_no_host() -> None:
    weighted = {"clusters": [{"name": "a", "weight": 1}, {"name": "b", "weight": 0}]}
    config = dump(tcp(weighted_clusters=weighted), clusters=[{"name": "a"}, {"name": "b"}])
    seen = found(config, status("a", host(1)), status("b"))
    assert seen.hostless == ()
    assert seen.notes == ("clusters without a host, which are sent nothing (weight 0): 1 (b)",)
    # A part of the requests is lost, and that is a finding.
    weighted["clusters"][1]["weight"] = 1
    assert lacks(found(config, status("a", host(1)), status("b"))) == [NO_HOST]


@pytest.mark.parametrize("name", ["BlackHoleCluster", "black_hole", "outbound|blackhole"])
def test_a_black_hole_is_empty_on_purpose(name: str) -> None:
    seen = found(dump(tcp(name), clusters=[{"name": name}]), status(name))
    assert seen.hostless == ()
    assert seen.notes == (f"clusters without a host that are called a black hole: 1 ({name})",)


def test_an_aggregate_needs_one_host_in_all() -> None:
    parts = [{"name": "first"}, {"name": "second"}]
    config = dump(tcp("all"), clusters=[aggregate("all", "first", "second"), *parts])
    assert lacks(found(config, status("first"), status("second", host(1)))) == []
    words = "of whose clusters none has a host that Envoy uses"
    assert lacks(found(config, status("first"), status("second"))) == [words]


@pytest.mark.parametrize(
    "listener",
    [
        http({"route": {"cluster": "c"}}, http_filters=[{"name": "envoy.filters.http.on_demand"}]),
        tcp("c", on_demand={"odcds_config": {}}),
    ],
)
def test_what_comes_on_demand_may_be_missing(listener: Any) -> None:
    seen = found(dump(listener))
    assert seen.hostless == ()
    assert "clusters without a host yet, which come on demand: 1 (c)" in seen.notes


# -- as legs -------------------------------------------------------------------------------


def test_nobody_is_a_leg_of_its_own_that_crosses_nothing_shared() -> None:
    config = dump(tcp("c"), tcp("c"), tcp("d"), clusters=[{"name": "c"}, {"name": "d"}])
    seen = found(config, status("c"), status("d", host(1)))
    made = with_found(DEPLOYMENT, [Reading(SOURCE, seen)])
    empty = next(one for one in made.legs if one.hostless)
    assert (empty.name, empty.path) == ("envoy-c-80-no-host", ("upstream-c-80-no-host",))
    assert (empty.address, empty.backend, empty.route) == (None, "no-host", "c")
    assert [one.listen_port for one in empty.places] == [80, 81]
    assert empty.path[0] in made.own_segments
    assert [one.name for one in made.legs[1:]] == ["envoy-c-80-no-host", "envoy-d-82-10.0.0.7:1"]


# -- what is left out is said -----------------------------------------------------------------


def wrapped(url: str, value: Any, package: str = "xds.type.v3") -> Any:
    return {
        "@type": f"type.googleapis.com/{package}.TypedStruct",
        "type_url": f"type.googleapis.com/{url}",
        "value": value,
    }


@pytest.mark.parametrize("package", ["xds.type.v3", "udpa.type.v1"])
@pytest.mark.parametrize(
    "value",
    [
        {"weightedClusters": {"clusters": [{"name": "c", "weight": 3}]}},
        {"weighted_clusters": {"clusters": [{"name": "c", "weight": 3}]}},
    ],
)
def test_a_filter_inside_a_typed_struct_is_read(value: Any, package: str) -> None:
    url = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
    config = dump(wrapped(url, value, package), clusters=[{"name": "c"}])
    seen = found(config, status("c", host(1)))
    assert [(one.address, one.place.weight) for one in seen.backends] == [("10.0.0.7:1", 3)]
    assert (seen.notes, seen.warnings) == ((), ())


def test_routes_inside_a_typed_struct_are_read() -> None:
    url = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    hosts = [{"name": "v", "routes": [{"route": {"cluster": "c"}}]}]
    manager = {"routeConfig": {"name": "r", "virtualHosts": hosts}}
    config = dump(wrapped(url, manager), clusters=[{"name": "c"}])
    assert lacks(found(config, status("c"))) == [NO_HOST]


def chain(*filters: Any) -> Any:
    return {"name": "l", "filter_chains": [{"filters": list(filters)}]}


QUIC = {"transport_socket": {"name": "envoy.transport_sockets.quic"}}
AUTO = {"typed_extension_protocol_options": {"x": {"auto_config": {}}}}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (dump(wrapped("x.y.Unheard", {})), "filter chains that end in a filter which is not read"),
        (dump({"@type": f"{TYPE}Unheard"}), "filter chains that end in a filter which is not read"),
        (dump({"@type": f"{TYPE}SniCluster"}), "TCP proxies whose cluster the SNI picks"),
        (
            dump(chain({"name": "f", "config_discovery": {}})),
            "filters that Envoy is given apart (ECDS), which are not read: 1 (f)",
        ),
        (
            dump(http() | {"route_config": {"name": "r", "vhds": {}}}),
            "route configurations with virtual hosts on demand (VHDS), read as far as known: 1 (r)",
        ),
        (
            dump(tcp("c"), clusters=[{"name": "c", **QUIC}]),
            "clusters that take HTTP/3 alone, which a TCP connect cannot judge: 1 (c)",
        ),
        (
            dump(of_listeners={"dynamic_listeners": [{"name": "w", "warming_state": {}}]}),
            "listeners that only warm up or drain, which are not followed: 1 (w)",
        ),
    ],
)  # fmt: skip
def test_it_is_said(config: Any, words: str) -> None:
    seen = found(config, status("c", host(1)))
    assert seen.backends == ()
    assert any(one.startswith(words) for one in (*seen.notes, *seen.warnings)), seen


def test_a_cluster_that_falls_back_to_tcp_is_probed() -> None:
    config = dump(tcp("c"), clusters=[{"name": "c", **QUIC, **AUTO}])
    assert len(found(config, status("c", host(1))).backends) == 1


def test_a_udp_endpoint_is_no_leg() -> None:
    address = {"socket_address": {"protocol": "UDP", "address": "10.0.0.7", "port_value": 1}}
    seen = found(dump(tcp("c"), clusters=[{"name": "c"}]), status("c", {"address": address}))
    assert (seen.backends, seen.hostless) == ((), ())
    assert seen.notes == ("endpoints that take UDP alone, which a TCP connect cannot judge: 1 (c)",)


@pytest.mark.parametrize("onlooker", ["MySQLProxy", "PostgresProxy", "MongoProxy"])
def test_a_filter_that_only_looks_on_hides_nothing(onlooker: str) -> None:
    chain = {
        "filters": [{"typed_config": {"@type": f"{TYPE}{onlooker}"}}, {"typed_config": tcp("c")}]
    }
    config = dump({"name": "l", "filter_chains": [chain]}, clusters=[{"name": "c"}])
    seen = found(config, status("c", host(1)))
    assert len(seen.backends) == 1
    assert seen.warnings == ()


def test_a_session_dials_nothing_for_it() -> None:
    made = with_found(
        DEPLOYMENT,
        [Reading(SOURCE, found(dump(tcp("c"), clusters=[{"name": "c"}]), status("c")))],
    )
    session = Session(made, vantage="", hold=0.0)
    session.measure(["envoy-c-80-no-host"], None)
    session.look_again("envoy-c-80-no-host")  # as after a check of one's own
    (seen,) = session.recorded()
    assert (seen.outcome, seen.reason, seen.connected) == ("failed", "connect_failed", False)
    assert NO_HOST in seen.detail
    judged = judge_run(session.record(), [seen])
    assert judged.verdict.convicted == ("upstream-c-80-no-host",)
    assert judged.verdict.status == "localised"
    families = metrics.families(session.record(), [seen], judged)
    reachable = families["t3probe_backend_reachable"].series
    assert {dict(key)["backend"]: value for key, value in reachable.items()} == {"no-host": 0}
    views: dict[Any, Any] = {("edge", "c"): ()}
    again = compared(seen, made.legs[-1], {"edge": views}, {"edge": views})
    assert [(one.opinion, one.disagreements) for one in again.views] == [("unhealthy", None)]
    assert again.outcome == "failed"
    assert not again.planned


def test_an_upstream_that_was_taken_out_is_no_failure_unless_nobody_is_left() -> None:
    config = dump(tcp("c"), clusters=[{"name": "c"}])
    seen = found(config, status("c", host(1)))
    leg = with_found(DEPLOYMENT, [Reading(SOURCE, seen)]).legs[-1]
    failed = Observation(leg=leg.name, kind="tcp", path=leg.path, outcome="failed")
    before: dict[str, Any] = {"edge": seen.views}
    gone: dict[str, Any] = {"edge": {}}
    assert compared(failed, leg, before, gone).planned
    assert compared(failed, leg, before, gone, {("edge", "other")}).planned
    assert not compared(failed, leg, before, gone, {("edge", "c")}).planned
