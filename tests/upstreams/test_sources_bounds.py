"""What a source costs is bounded by what is used of its answer, not by what it sends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest
from sources_servers import ok, serving, target

from t3probe.config import loads
from t3probe.exchange.bounds import JSON_PIECE_BYTES, MIB, SOURCES_KEPT_BYTES, UPSTREAMS
from t3probe.exchange.json_stream import JsonStream
from t3probe.observation import Observation
from t3probe.timing import Clock, SystemClock
from t3probe.upstreams import envoy, nodes, sources_read
from t3probe.upstreams.sources_run import RunSources

SENT = 6 * MIB
"""What a hostile source sends; read in one go it takes 160 MiB."""
SLACK_KIB = 24 * 1024
MOST_OF_MANY_KIB = 64 * 1024
PEAK = """
import json, sys
from t3probe.config import loads
from t3probe.upstreams import sources_read, sources_legs, envoy
from t3probe.upstreams.sources_run import RunSources
sources_read.SOURCE_SECONDS = float(sys.argv[2])
found = RunSources(loads(sys.argv[1], environ={}, now=0), "", {})
lines = open("/proc/self/status").read().splitlines()
peak = next(int(one.split()[1]) for one in lines if one.startswith("VmHWM:"))
told = {name: [one.outcome, one.detail] for name, one in found.observations.items()}
print(json.dumps([peak, told, len(found.deployment.legs)]))
"""
HEAD = 'name = "x"\nsegments = ["rack"]\n'
PLAIN = HEAD + '[[upstream]]\nname = "a"\naddress = "127.0.0.1:1"\n'
TYPE = "type.googleapis.com/envoy.admin.v3."


def file(url: str, kind: str, count: int = 1) -> str:
    return HEAD + "".join(
        f'[[upstream_source]]\nname = "s{n}"\nkind = "{kind}"\nurl = "{url}"\n'
        + ('node = "edge-1"\n' if kind == "nodes" else "")
        for n in range(count)
    )


def peak(text: str, seconds: float = 2.0) -> tuple[int, dict[str, list[str]], int]:
    """What a process that reads these sources needs at most, KiB; its checks; its legs."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, text, str(seconds)],
        stdout=subprocess.PIPE,
        timeout=100,
        check=True,
    )
    size, told, legs = json.loads(done.stdout)
    return size, told, legs


@pytest.fixture(scope="module")
def plain_kib() -> int:
    return peak(PLAIN)[0]


def path_of(answers: dict[str, bytes]) -> Callable[[bytes], bytes]:
    return lambda head: ok(answers[target(head).partition("?")[0]])


def many(before: bytes, one: bytes, after: bytes, size: int = SENT) -> bytes:
    return before + (one + b",") * (size // (len(one) + 1)) + one + after


def section(kind: str, key: str, one: bytes) -> bytes:
    head = f'{{"configs":[{{"@type":"{TYPE}{kind}ConfigDump","{key}":['.encode()
    return many(head, one, b"]}]}")


EMPTY = {"/config_dump": b'{"configs":[{"@type":"ClustersConfigDump"}]}', "/clusters": b"{}"}
ENVOYS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "sections": ("/config_dump", lambda: many(b'{"configs":[', b"{}", b"]}")),
    "listeners": (
        "/config_dump",
        lambda: section("Listeners", "static_listeners", b'{"listener":{}}'),
    ),
    "filter chains": (
        "/config_dump",
        lambda: section(
            "Listeners",
            "static_listeners",
            many(b'{"listener":{"filter_chains":[', b"{}", b"]}}", 300_000),
        ),
    ),
    "no clusters": ("/config_dump", lambda: section("Clusters", "static_clusters", b"{}")),
    "endpoints": (
        "/config_dump",
        lambda: section(
            "Endpoints",
            "static_endpoint_configs",
            many(
                b'{"endpoint_config":{"cluster_name":"a","endpoints":[{"lb_endpoints":[',
                b"{}",
                b"]}]}}",
                300_000,
            ),
        ),
    ),
    "something else": ("/config_dump", lambda: many(b'{"x":[', b"[]", b'],"configs":[]}')),
    "one long text": ("/config_dump", lambda: b'{"x":"' + b"\\u0041" * (SENT // 6) + b'"}'),
    "hosts": (
        "/clusters",
        lambda: many(b'{"cluster_statuses":[{"name":"a","host_statuses":[', b"{}", b"]}]}"),
    ),
    "empty clusters": ("/clusters", lambda: many(b'{"cluster_statuses":[', b"{}", b"]}")),
    "listeners' ports": ("/listeners", lambda: many(b'{"listener_statuses":[', b"{}", b"]}")),
}


@pytest.mark.parametrize("kind", ENVOYS)
def test_a_hostile_envoy(kind: str, plain_kib: int) -> None:
    path, make = ENVOYS[kind]
    answers = {**EMPTY, "/listeners": b"{}", path: make()}
    with serving(path_of(answers)) as (url, _):
        size, told, _ = peak(file(url, "envoy"))
    assert [*told] == ["source-s0"]
    assert size - plain_kib < SOURCES_KEPT_BYTES // 1024 + SLACK_KIB


@pytest.mark.parametrize("one", [b"{}", b"0", b'"a"', b'{"node":"x"}'])
def test_a_hostile_api_of_nodes(one: bytes, plain_kib: int) -> None:
    body = many(b"[", one, b"]")
    with serving(lambda _: ok(body)) as (url, _):
        size, told, legs = peak(file(url, "nodes"))
    assert told["source-s0"][0] == "inconclusive"
    assert legs == 0
    assert size - plain_kib < SLACK_KIB


# -- many upstreams ------------------------------------------------------------------------


def upstream(number: int) -> dict[str, object]:
    address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    return {"socket_address": {"address": address, "port_value": 9000}}


def envoy_of(number: int) -> dict[str, bytes]:
    """An Envoy with so many clusters of one host each, all of them behind one listener."""
    names = [f"cluster-of-the-service-{n}" for n in range(number)]
    routes = [
        {
            "match": {"prefix": f"/{name}/"},
            "route": {"cluster": name, "timeout": "15s", "retry_policy": {"retry_on": "5xx"}},
            "name": f"route-of-{name}",
        }
        for name in names
    ]
    manager = {
        "@type": "type.googleapis.com/envoy.HttpConnectionManager",
        "rds": {"route_config_name": "all"},
    }
    listener = {
        "name": "in",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 8443}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    clusters = [
        {
            "cluster": {
                "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
                "name": name,
                "type": "STATIC",
                "connect_timeout": "0.5s",
                "health_checks": [{"timeout": "1s", "interval": "5s", "tcp_health_check": {}}],
                "load_assignment": {
                    "cluster_name": name,
                    "endpoints": [{"lb_endpoints": [{"endpoint": {"address": upstream(n)}}]}],
                },
            },
            "last_updated": "2026-11-20T14:03:07.100Z",
        }
        for n, name in enumerate(names)
    ]
    configs = [
        {"@type": TYPE + "ClustersConfigDump", "static_clusters": clusters},
        {"@type": TYPE + "ListenersConfigDump", "static_listeners": [{"listener": listener}]},
        {
            "@type": TYPE + "RoutesConfigDump",
            "static_route_configs": [
                {"route_config": {"name": "all", "virtual_hosts": [{"routes": part}]}}
                for part in (routes,)
            ],
        },
    ]
    stats = [{"name": name, "value": "123", "type": "GAUGE"} for name in ("cx_active", "rq_total")]
    hosts = [
        {
            "name": name,
            "added_via_api": False,
            "host_statuses": [
                {
                    "address": upstream(n),
                    "stats": stats,
                    "health_status": {"eds_health_status": "HEALTHY"},
                    "weight": 1,
                    "locality": {"region": "eu", "zone": "a"},
                }
            ],
        }
        for n, name in enumerate(names)
    ]
    return {
        "/config_dump": json.dumps({"configs": configs}, indent=1).encode(),
        "/clusters": json.dumps({"cluster_statuses": hosts}, indent=1).encode(),
        "/listeners": b"{}",
    }


def test_ten_thousand_upstreams_of_an_envoy(plain_kib: int) -> None:
    answers = envoy_of(UPSTREAMS)
    with serving(path_of(answers)) as (url, _):
        size, told, legs = peak(file(url, "envoy"), 60.0)
    assert told["source-s0"] == ["passed", f"{UPSTREAMS:,} upstreams"]
    assert legs == UPSTREAMS
    assert size - plain_kib < MOST_OF_MANY_KIB


def rows(number: int) -> bytes:
    return json.dumps(
        [
            {
                "node": "edge-1",
                "route": f"route-{n}",
                "listen_port": 8443,
                "backend_host": f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}",
                "backend_port": 9000,
                "active": True,
                "note": "of no use to anybody " * 9,
            }
            for n in range(number)
        ]
    ).encode()


def test_ten_thousand_upstreams_of_an_api(plain_kib: int) -> None:
    body = rows(UPSTREAMS)
    with serving(lambda _: ok(body)) as (url, _):
        size, told, legs = peak(file(url, "nodes"), 60.0)
    assert told["source-s0"] == ["passed", f"{UPSTREAMS:,} upstreams"]
    assert legs == UPSTREAMS
    assert size - plain_kib < MOST_OF_MANY_KIB


# -- the sentences -------------------------------------------------------------------------


def seen(answers: Callable[[bytes], bytes], kind: str = "nodes", count: int = 1,
         clock: Clock | None = None) -> dict[str, Observation]:  # fmt: skip
    with serving(answers) as (url, _):
        deployment = loads(file(url, kind, count), environ={}, now=0)
        return RunSources(deployment, "", {}, clock).observations


TAIL = "; its upstreams are not known and were not probed"


@pytest.mark.parametrize("module", [nodes, envoy])
def test_more_upstreams_are_refused(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    monkeypatch.setattr(module, "UPSTREAMS", 50)
    kind = module.__name__.rpartition(".")[2]
    for number in (50, 51):
        answers = envoy_of(number) if module is envoy else {"/": rows(number)}
        found = seen(path_of(answers), kind)["source-s0"]
        if number == 50:
            assert (found.outcome, found.detail) == ("passed", "50 upstreams")
    assert found.outcome == "inconclusive"
    assert "names more than 50 upstreams, which are the most" in found.detail
    assert found.detail.endswith(TAIL)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SOURCES_RECEIVED_BYTES", "all sources of the run together sent more than 1 MiB"),
        ("SOURCES_KEPT_BYTES", "all sources of the run together name what needs more than 1 MiB"),
    ],
)
def test_all_sources_together_are_bounded(
    monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.setattr(sources_read, name, MIB)
    body = rows(1500)
    assert MIB < 3 * len(body) < 3 * MIB
    assert seen(lambda _: ok(body))["source-s0"].outcome == "passed"
    found = seen(lambda _: ok(body), count=3)
    bad = [one.detail for one in found.values() if one.outcome == "inconclusive"]
    assert bad
    assert all(words in one and one.endswith(TAIL) for one in bad)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'[{"a":"' + b"a" * 5 * MIB, "answers with one entry of more than 4 MiB, which is the"),
        (b"[[" + b"0," * 200_000, "answers with something that is not JSON"),
        (b"[[" + b"0," * 200_000 + b"0]]", "answers with one entry of more than 131,072 values"),
        (b"[" * 600, "answers with something that is not JSON of at most 512 levels"),
    ],
)
def test_an_entry_is_bounded(body: bytes, words: str) -> None:
    found = seen(lambda _: ok(body))["source-s0"]
    assert found.outcome == "inconclusive"
    assert words in found.detail
    assert found.detail.endswith(TAIL)


class SteppingClock(SystemClock):
    """A tenth of a second goes by between two looks at it."""

    def __init__(self) -> None:
        self._looks = 0

    def monotonic(self) -> float:
        self._looks += 1
        return self._looks / 10


def pieces(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sizes: list[int] = []
    real = JsonStream.feed

    def counted(stream: JsonStream, piece: bytes) -> None:
        sizes.append(len(piece))
        real(stream, piece)

    monkeypatch.setattr(JsonStream, "feed", counted)
    return sizes


def test_the_deadline_covers_the_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = pieces(monkeypatch)
    body = many(b"[", b"0", b"]", 8 * MIB)
    found = seen(lambda _: ok(body), clock=SteppingClock())["source-s0"]
    assert "did not answer in time" in found.detail
    assert 0 < sum(sizes) < len(body) // 2


def test_an_answer_is_parsed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = pieces(monkeypatch)
    body = rows(3000)
    assert seen(lambda _: ok(body))["source-s0"].outcome == "passed"
    assert sum(sizes) == len(body)
    assert max(sizes) <= JSON_PIECE_BYTES
