"""Envoy's recorded answers, and answers that are not what they should be."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.config.types import UpstreamSource
from t3probe.upstreams import envoy
from t3probe.upstreams.envoy import Dump
from t3probe.upstreams.envoy_hosts import Clusters, HostHealth, Listeners, opinion
from t3probe.upstreams.sources import (
    Backend,
    HostView,
    NamedUpstreams,
    SourceAnswer,
    SourceError,
    UnreadableError,
)

HERE = Path(__file__).parent / "recorded"
SOURCE = UpstreamSource(name="edge", kind="envoy", url="http://127.0.0.1:9901")
AWAY = UpstreamSource(name="edge", kind="envoy", url="http://10.0.0.1:9901")
TYPE = "type.googleapis.com/envoy."


def answer(name: str) -> Any:
    return json.loads((HERE / f"{name}.json").read_text())


def fed(answer: SourceAnswer, body: bytes) -> None:
    half = len(body) // 2
    answer.feed(body[:half])
    answer.feed(body[half:])
    answer.close()


def trace(
    config: bytes, clusters: bytes, listeners: bytes | None, source: UpstreamSource
) -> NamedUpstreams:
    """What is found in these answers."""
    dump, hosts, ports, unread = Dump(), Clusters(), Listeners(), False
    fed(dump, config)
    fed(hosts, clusters)
    if listeners is not None:
        try:
            fed(ports, listeners)
        except UnreadableError:
            unread, ports = True, Listeners()
    return envoy.trace(dump.found(), hosts, ports.ports, source, unread=unread)


def read(config: Any = None, clusters: Any = None, listeners: Any = None) -> NamedUpstreams:
    """What is found in the recorded answers, or in others in their place."""
    given_ = {"config_dump": config, "clusters": clusters, "listeners": listeners}
    texts = {name: answer(name) if one is None else one for name, one in given_.items()}
    return trace(*(json.dumps(one).encode() for one in texts.values()), SOURCE)


def section(config: Any, name: str) -> Any:
    return next(one for one in config["configs"] if one["@type"].endswith(name))


def places(found: NamedUpstreams) -> dict[tuple[str, str], Backend]:
    return {(one.place.route, one.address): one for one in found.backends}


def dump(*listeners: Any, clusters: Any = (), **more: Any) -> Any:
    """A configuration of these listeners' filters (or whole listeners) and clusters."""
    whole = [
        one
        if "filter_chains" in one
        else {
            "name": f"in-{n}",
            "address": {"socket_address": {"port_value": 80 + n}},
            "filter_chains": [{"filters": [{"typed_config": one}]}],
        }
        for n, one in enumerate(listeners)
    ]
    return {
        "configs": [
            {
                "@type": f"{TYPE}admin.v3.ListenersConfigDump",
                "static_listeners": [{"listener": one} for one in whole],
                **more.pop("of_listeners", {}),
            },
            {
                "@type": f"{TYPE}admin.v3.ClustersConfigDump",
                "static_clusters": [{"cluster": one} for one in clusters],
            },
            *more.pop("sections", ()),
        ]
    }


def tcp(cluster: str = "", **more: Any) -> Any:
    return {"@type": f"{TYPE}TcpProxy", "cluster": cluster, **more}


def http(*routes: Any, **more: Any) -> Any:
    config = {"name": "r", "virtual_hosts": [{"name": "v", "routes": list(routes)}]}
    return {"@type": f"{TYPE}HttpConnectionManager", "route_config": config, **more}


def host(port: int, address: str = "10.0.0.7", **more: Any) -> Any:
    return {"address": {"socket_address": {"address": address, "port_value": port}}, **more}


def status(name: str, *hosts: Any) -> Any:
    return {"name": name, "host_statuses": list(hosts)}


# -- recorded ------------------------------------------------------------------------------


def test_listener_route_cluster_endpoint_with_names_and_ports() -> None:
    found = read()
    web = next(
        one["local_address"]["socket_address"]["port_value"]
        for one in answer("listeners")["listener_statuses"]
        if one["name"] == "web"
    )
    ports = {key: one.place.listen_port for key, one in places(found).items()}
    assert ports == {
        ("orders", "127.0.0.1:9001"): web,
        ("orders", "127.0.0.1:9002"): web,
        ("billing", "127.0.0.1:9003"): web,
        ("ldns", "localhost:9005"): web,
        ("nores", "nothing.invalid:9005"): web,
        **{("dyn", f"127.0.0.1:{port}"): 18081 for port in range(9101, 9106)},
        ("db1", "127.0.0.1:9006"): 18082,
        ("db2", "127.0.0.1:9006"): 18082,
        ("dns1", "localhost:9004"): 18083,
    }
    words = {key: set(one.place.words) for key, one in places(found).items()}
    assert words["orders", "127.0.0.1:9001"] == {"web", "local", "shop", "orders", "z1"}
    assert words["dns1", "localhost:9004"] >= {"sni", "a.example", "b.example"}
    assert "mix" in words["ldns", "localhost:9005"]


def test_weights_of_the_recorded_routes() -> None:
    weights = {key[0]: one.place.weight for key, one in places(read()).items()}
    # One route names orders alone; billing is chosen with weight 0, but by the aggregate with 10.
    expected = {"orders": None, "billing": 10, "ldns": 10, "db1": 1, "db2": 3, "dns1": None}
    assert {key: weights[key] for key in expected} == expected


def test_what_envoy_thinks_of_the_recorded_hosts() -> None:
    views = read().views or {}
    said = {key: [(one.opinion, one.detail) for one in several] for key, several in views.items()}
    failed = [("unhealthy", "failed_active_health_check")]
    assert said["orders", "127.0.0.1:9001"] == failed
    assert said["billing", "127.0.0.1:9003"] == [("healthy", "")]
    assert said["dyn", "127.0.0.1:9102"] == [("draining", "EDS says DRAINING")]
    assert said["dyn", "127.0.0.1:9103"] == [("degraded", "EDS says DEGRADED")]
    assert said["dyn", "127.0.0.1:9105"] == [("unhealthy", "EDS says UNHEALTHY")]
    assert views["dns1", "localhost:9004"] == (HostView("[::1]:9004", "healthy"),)
    assert said["nores", "nothing.invalid:9005"] == [
        ("unhealthy", "Envoy resolves no address of it")
    ]


def test_what_was_left_out_is_said() -> None:
    found = read()
    assert found.notes == (
        "endpoints that are unix sockets: 1 (pipe)",
        "clusters of a kind that has no endpoints of its own: 1 (orig)",
    )
    assert found.warnings == (
        "routes whose cluster a request's header picks, which are not read: 1 (x-c)",
    )


def test_endpoints_of_the_dump_stand_in_for_a_cluster_without_status() -> None:
    clusters = answer("clusters")
    clusters["cluster_statuses"] = [
        one for one in clusters["cluster_statuses"] if one["name"] != "dyn"
    ]
    found = read(clusters=clusters)
    assert ("dyn", "127.0.0.1:9101") in places(found)
    assert ("dyn", "127.0.0.1:9101") not in (found.views or {})


def test_listeners_that_cannot_be_read_cost_the_port_alone() -> None:
    found = read(listeners=[])
    assert places(found)["orders", "127.0.0.1:9001"].place.listen_port == 0
    assert "answer to /listeners that cannot be read: 1" in found.warnings
    assert "clusters behind a listener without a port: 3 (orders, billing, mix)" in found.notes


def test_a_loopback_address_of_another_machine_is_not_ours_to_dial() -> None:
    texts = [(HERE / f"{one}.json").read_bytes() for one in ("config_dump", "clusters")]
    found = trace(*texts, None, AWAY)
    assert {one.host for one in found.backends} == {"nothing.invalid"}
    assert any(
        one.startswith("endpoints on the loopback of Envoy's own machine: ") for one in found.notes
    )


# -- forms ---------------------------------------------------------------------------------


def test_a_dynamic_listener_counts_when_it_is_active() -> None:
    active = {
        "name": "a",
        "address": {"socket_address": {"port_value": 443}},
        "filter_chains": [{"filters": [{"typed_config": tcp("c")}]}],
    }
    states = {
        "dynamic_listeners": [
            {"name": "a", "active_state": {"listener": active}},
            {"name": "b", "warming_state": {"listener": {**active, "name": "b"}}},
            {"name": "c", "draining_state": {"listener": {**active, "name": "c"}}},
        ]
    }
    config = dump(clusters=[{"name": "c"}], of_listeners=states)
    found = read(config, {"cluster_statuses": [status("c", host(1))]}, {})
    assert [(one.address, one.place.words) for one in found.backends] == [("10.0.0.7:1", ("a",))]


def test_a_route_configuration_that_is_not_there_yet_is_said() -> None:
    manager = http(rds={"route_config_name": "late"})
    del manager["route_config"]
    found = read(dump(manager, tcp("c"), clusters=[{"name": "c"}]), {"cluster_statuses": []})
    assert found.warnings == ("route configurations that Envoy has not been given yet: 1 (late)",)


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"@type": f"{TYPE}RedisProxy"}, "filters RedisProxy, whose clusters are not read: 1"),
        (http(scoped_routes={"name": "s"}), "listeners with scoped routes, which are not read: 1"),
        (
            http({"route": {"cluster_specifier_plugin": "x"}}),
            "routes whose cluster a plugin picks, which are not read: 1 (v)",
        ),
        (
            tcp(weighted_clusters={"clusters": [{"cluster_header": "x"}]}),
            "routes whose cluster a request's header picks, which are not read: 1 (x)",
        ),
        (http({"route": {"cluster": 5}}), "routes of a form that is not known: 1"),
        (http("x"), "routes of a form that is not known: 1"),
        ({"@type": 5}, "filters of a form that is not known: 1"),
    ],
)
def test_what_is_not_read_is_a_warning(filters: Any, words: str) -> None:
    warnings = read(dump(filters), {"cluster_statuses": []}).warnings
    assert any(one.startswith(words) for one in warnings), warnings


def test_a_route_with_a_redirect_or_an_own_answer_has_no_cluster() -> None:
    config = dump(http({"redirect": {}}, {"direct_response": {"status": 200}}))
    assert read(config, {"cluster_statuses": []}, {}) == NamedUpstreams((), {}, (), ())


def test_a_cluster_that_envoy_does_not_have_is_said() -> None:
    found = read(dump(tcp("lost")), {"cluster_statuses": []}, {})
    assert found.notes == ("clusters that a route names and Envoy does not have: 1 (lost)",)


def test_an_aggregate_of_itself_ends() -> None:
    kind = {"name": "envoy.clusters.aggregate", "typed_config": {"clusters": ["a", "b", "a"]}}
    config = dump(tcp("a"), clusters=[{"name": "a", "cluster_type": kind}, {"name": "b"}])
    found = read(config, {"cluster_statuses": [status("b", host(1))]}, {})
    assert [one.address for one in found.backends] == ["10.0.0.7:1"]


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "", "no name", "1.2.3", "x" * 300])
def test_an_address_that_nobody_can_dial_is_a_warning(address: str) -> None:
    config = dump(tcp("c"), clusters=[{"name": "c"}])
    bad = status("c", host(1, address), host(2), host(0), host(70_000))
    found = read(config, {"cluster_statuses": [bad]}, {})
    assert [one.address for one in found.backends] == ["10.0.0.7:2"]
    assert found.warnings == ("endpoints without a host and port that can be dialled: 3 (c)",)


def test_foreign_names_are_made_fit_for_labels() -> None:
    name = "out|80|\x1b[31m\u202ex" + "y" * 200
    config = dump(tcp(name), clusters=[{"name": name}])
    (one,) = read(config, {"cluster_statuses": [status(name, host(1))]}, {}).backends
    assert one.place.route.startswith("out|80|?[31m?xyyy")
    assert len(one.place.route) == 120


# -- opinions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("health", "weight", "expected"),
    [
        ({}, 1, ("healthy", "")),
        ({"eds_health_status": "UNKNOWN"}, None, ("healthy", "")),
        ({"failed_active_health_check": True}, 1, ("unhealthy", "failed_active_health_check")),
        ({"failed_outlier_check": True}, 1, ("unhealthy", "failed_outlier_check")),
        (
            {"failed_active_health_check": True, "active_hc_timeout": True},
            1,
            ("unhealthy", "failed_active_health_check, active_hc_timeout"),
        ),
        (
            {"failed_active_health_check": True, "pending_active_hc": True},
            1,
            ("unknown", "pending_active_hc"),
        ),
        ({"failed_active_degraded_check": True}, 1, ("degraded", "failed_active_degraded_check")),
        ({"eds_health_status": "TIMEOUT"}, 1, ("unhealthy", "EDS says TIMEOUT")),
        ({"pending_dynamic_removal": True}, 1, ("draining", "pending_dynamic_removal")),
        (
            {"eds_health_status": "DRAINING", "failed_active_health_check": True},
            1,
            ("draining", "EDS says DRAINING"),
        ),
        ({}, 0, ("draining", "weight 0")),
        ({"eds_health_status": "NEW"}, 1, ("unknown", "EDS says something that is not known")),
    ],
)
def test_an_opinion(health: dict[str, Any], weight: int | None, expected: tuple[str, str]) -> None:
    assert opinion(HostHealth(**health), weight) == expected


# -- garbage -------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{}", b"<html>", b"\xff\xfe", b"[" * 100_000]
)
def test_an_answer_that_is_none_is_a_sentence(body: bytes) -> None:
    good = [(HERE / f"{one}.json").read_bytes() for one in ("config_dump", "clusters")]
    with pytest.raises(SourceError, match=r"^answers /config_dump with"):
        trace(body, good[1], None, SOURCE)
    if body != b"{}":
        with pytest.raises(SourceError, match=r"^answers /clusters with something"):
            trace(good[0], body, None, SOURCE)


def mutated(data: Any, draw: Any) -> Any:
    """`data` with one value somewhere in it replaced by any JSON."""
    if isinstance(data, dict) and data and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(data)))
        return {**data, key: mutated(data[key], draw)}
    if isinstance(data, list) and data and draw(st.integers(0, 9)):
        at = draw(st.integers(0, len(data) - 1))
        return [*data[:at], mutated(data[at], draw), *data[at + 1 :]]
    return draw(JSON)


@given(st.data())
def test_any_wrong_value_costs_its_own_entry_at_most(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["config_dump", "clusters", "listeners"]))
    texts = {
        one: json.dumps(mutated(answer(one), data.draw) if one == name else answer(one)).encode(
            "utf-8", "surrogatepass"
        )
        for one in ("config_dump", "clusters", "listeners")
    }
    with suppress(SourceError):
        all_is_printable(trace(*texts.values(), SOURCE))


def all_is_printable(found: NamedUpstreams) -> None:
    for one in found.backends:
        assert one.address.isprintable()
        assert one.place.route.isprintable()
        assert 0 <= one.place.listen_port <= 65535
    for sentence in (*found.notes, *found.warnings):
        assert sentence.isprintable()
