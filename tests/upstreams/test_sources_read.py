"""All sources at once: what each answers, and what becomes of a run."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from envoy_real import Port, run_checks
from metrics_by_label import numbers
from sources_servers import ok, serving, target

from t3probe.config import Deployment, DeploymentError, loads
from t3probe.deliver import metrics
from t3probe.observation import Observation, RunRecord
from t3probe.setup.cluster.networkpolicy import dials
from t3probe.timing import FakeClock
from t3probe.upstreams import sources_read
from t3probe.upstreams.sources_run import RunSources
from t3probe.verdict.incident.run import judge_run

HERE = Path(__file__).parent / "recorded"
ANSWERS = {
    "/config_dump?include_eds": (HERE / "config_dump.json").read_bytes(),
    "/clusters?format=json": (HERE / "clusters.json").read_bytes(),
    "/listeners?format=json": (HERE / "listeners.json").read_bytes(),
}
HEAD = 'name = "x"\nsegments = ["rack"]\n'
ROW = {
    "node": "edge-1",
    "route": "orders",
    "listen_port": 8443,
    "backend_host": "127.0.0.1",
    "backend_port": 9000,
    "active": True,
}


def deployment(*sources: str, more: str = "") -> Deployment:
    tables = "".join(f"[[upstream_source]]\n{one}\n" for one in sources)
    return loads(HEAD + tables + more, environ={}, now=0)


def source(url: str, name: str = "edge", kind: str = "envoy", **more: object) -> str:
    keys = {"name": name, "kind": kind, "url": url, **more}
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())


def run(*sources: str, environ: dict[str, str] | None = None, more: str = "") -> RunSources:
    return RunSources(deployment(*sources, more=more), "", environ or {})


def admin(head: bytes) -> bytes:
    return ok(ANSWERS[target(head)])


def test_a_deployment_without_sources_asks_nobody() -> None:
    text = HEAD + '[[upstream]]\nname = "a"\naddress = "127.0.0.1:1"\n'
    plain = loads(text, environ={}, now=0)
    sources = RunSources(plain, "", {})
    assert sources.deployment is plain
    assert not sources.observations
    sources.settle({})
    assert sources.keywords() == {}


def test_several_sources_are_read_and_merged() -> None:
    def nodes(head: bytes) -> bytes:
        rows = [ROW, {**ROW, "backend_port": 9006}, {**ROW, "active": False, "backend_port": 1}]
        return ok(json.dumps({"routes": rows}).encode())

    with serving(admin) as (envoy, asked), serving(nodes) as (api, rows):
        found = run(source(envoy), source(f"{api}/v1/routes?all=1", "api", "nodes", node="edge-1"))
    assert sorted(map(target, asked)) == sorted(ANSWERS)
    assert [target(one) for one in rows] == ["/v1/routes?all=1"]
    assert found.observations["source-edge"].detail.startswith("12 upstreams; ")
    assert found.observations["source-api"].detail == "2 upstreams"
    assert found.observations["source-api"].outcome == "passed"
    assert "routes that are not active: 1" in " ".join(found.lines)
    both = found.deployment.leg("envoy-db1-18082-127.0.0.1:9006")
    assert [(one.source, one.route, one.listen_port) for one in both.places] == [
        ("edge", "db1", 18082),
        ("edge", "db2", 18082),
        ("api", "orders", 8443),
    ]
    assert "envoy-orders-8443-127.0.0.1:9000" in {leg.name for leg in found.deployment.legs}


def test_a_source_of_nodes_without_an_id_is_skipped_with_a_warning() -> None:
    with serving(lambda _: ok(b"[]")) as (url, asked):
        found = run(source(url, "api", "nodes"))
    assert asked == []
    assert found.observations == {}
    words = 'source "api" is skipped: it names no node; give it one with node'
    assert found.deployment.warnings[-1] == words


def test_a_source_that_has_none_says_so() -> None:
    with serving(lambda _: ok(b"[]")) as (url, _):
        found = run(source(url, "api", "nodes", node="edge-1"))
    assert found.observations["source-api"].outcome == "passed"
    assert found.observations["source-api"].detail == "0 upstreams"
    assert found.lines == ["source-api: 0 upstreams"]


BIG = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (ok(b"", "503 Service Unavailable"), "answers 503 to /config_dump;"),
        (ok(b"", "401 Unauthorized"), "answers 401 to /config_dump; set its login;"),
        (ok(b"", "302 Found\r\nLocation: http://10.0.0.1/"), "answers 302 to /config_dump;"),
        (ok(b"no"), "answers /config_dump with something that is no configuration;"),
        (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP;"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "sent half an answer;"),
        (BIG, "answers with more than 64 MiB; it was not read;"),
    ],
)
def test_what_a_broken_admin_interface_does_is_a_sentence(said: bytes, words: str) -> None:
    with serving(lambda _: said) as (url, _):
        found = run(source(url))
    seen = found.observations["source-edge"]
    assert seen.outcome == "inconclusive"
    host = url.removeprefix("http://")
    tail = " its upstreams are not known and were not probed"
    assert seen.detail == f"{host} {words}{tail}"
    assert found.deployment.legs == ()


def test_an_answer_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources_read, "SOURCE_BYTES", 100_000)
    endless = b"HTTP/1.1 200 OK\r\n\r\n{" + b" " * 400_000
    with serving(lambda _: endless) as (url, _):
        seen = run(source(url)).observations["source-edge"]
    assert "answers with more than 97.7 KiB; it was not read" in seen.detail


def test_silent_servers_are_waited_for_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources_read, "SOURCE_SECONDS", 0.2)
    with serving(lambda _: b"") as (url, asked):
        found = run(*(source(url, f"edge-{n}") for n in range(12)))
    assert len(asked) == 36
    details = {one.detail.split(" ", 1)[1] for one in found.observations.values()}
    assert details == {"did not answer in time; its upstreams are not known and were not probed"}


def test_all_requests_of_all_sources_are_under_way_at_once() -> None:
    together = threading.Barrier(12)

    def answer(head: bytes) -> bytes:
        together.wait(10)  # nobody is answered before the last one has asked
        return admin(head)

    with serving(answer) as (url, _):
        found = run(*(source(url, f"edge-{n}") for n in range(4)))
    assert {one.outcome for one in found.observations.values()} == {"degraded"}


def test_a_source_that_fails_costs_no_other_one() -> None:
    with serving(lambda _: ok(b"?")) as (bad, _), serving(admin) as (good, _):
        found = run(source(bad, "bad"), source(good, "good"))
    assert found.observations["source-bad"].outcome == "inconclusive"
    assert len(found.deployment.legs) == 12


def test_an_optional_source_that_fails_is_a_warning() -> None:
    with serving(lambda _: ok(b"?")) as (url, _):
        found = run(source(url, optional=True))
    assert found.observations == {}
    warning = found.deployment.warnings[-1]
    assert warning.startswith("source-edge: 127.0.0.1:")


def test_nothing_leaves_loopback_when_that_is_asked_for(tmp_path: Path) -> None:
    text = HEAD + "[[upstream_source]]\n" + source("http://192.0.2.1:9901")
    code, output, seen = run_checks(tmp_path, text)
    assert code == 1
    assert "ERROR checks/test_upstreams.py::test_its_upstreams_are_known[source-edge]" in output
    assert "192.0.2.1:9901 was not contacted: T3PROBE_LOOPBACK_ONLY=1 allows" in output
    assert seen["source-edge"].outcome == "inconclusive"


def test_the_run_goes_on_without_its_source(tmp_path: Path) -> None:
    backend = Port()
    with serving(lambda _: ok(b"?")) as (url, _):
        more = '[timing]\nhold = "0"\n[[upstream]]\nname = "a"\n'
        more += f'address = "127.0.0.1:{backend.port}"\n'
        text = HEAD + more + "[[upstream_source]]\n" + source(url)
        code, output, seen = run_checks(tmp_path, text)
    backend.close()
    assert code == 1
    assert "1 passed, 1 error" in output
    assert seen["envoy-a"].outcome == "passed"


# -- logins --------------------------------------------------------------------------------


def test_logins_come_from_the_environment() -> None:
    environ = {"T3PROBE_SOURCE_EU_WEST_TOKEN": "t0ken", "T3PROBE_SOURCE_B_USER": "me"}
    environ["T3PROBE_SOURCE_B_PASSWORD"] = "pw"
    with serving(admin) as (url, heads):
        run(source(url, "eu-west"), source(url, "b"), source(url, "c"), environ=environ)
    said = [one.partition(b"Authorization: ")[2].partition(b"\r\n")[0] for one in heads]
    assert sorted(said) == [b""] * 3 + [b"Basic bWU6cHc="] * 3 + [b"Bearer t0ken"] * 3


def test_a_login_that_is_wrong_is_a_usage_error() -> None:
    one = source("http://127.0.0.1:1")
    with pytest.raises(ValueError, match="expected T3PROBE_SOURCE_EDGE_USER and"):
        run(one, environ={"T3PROBE_SOURCE_EDGE_USER": "me"})
    with pytest.raises(DeploymentError, match="T3PROBE_SOURCE_EDGE_TOKEN: expected a secret"):
        run(one, environ={"T3PROBE_SOURCE_EDGE_TOKEN": " "})


# -- the second look -----------------------------------------------------------------------


def seen_of(sources: RunSources) -> dict[str, Observation]:
    return {
        leg.name: Observation(leg=leg.name, kind="tcp", path=leg.path, outcome="failed",
                              connected=False)
        for leg in sources.deployment.legs
    }  # fmt: skip


def billing(sources: RunSources) -> str:
    return next(one.name for one in sources.deployment.legs if "billing" in one.name)


def test_envoy_is_asked_again_after_the_probing() -> None:
    with serving(admin) as (url, asked):
        sources = run(source(url))
        seen = seen_of(sources)
        sources.settle(seen)
    assert target(asked[-1]) == "/clusters?format=json"
    assert len(asked) == 4
    assert seen[billing(sources)].views[0].disagreements == ("envoy_only",)


def test_without_a_second_look_nothing_is_claimed() -> None:
    def known(head: bytes) -> bytes:
        return ok(ANSWERS[target(head)].replace(b'"cluster_header": "x-c"', b'"cluster": "orders"'))

    with serving(known) as (url, asked):
        sources = run(source(url))
        assert sources.observations["source-edge"].outcome == "passed"
        seen, stopped = seen_of(sources), seen_of(sources)
        sources.settle(stopped, ask=False)
        assert len(asked) == 3
    sources.settle(seen)
    for one in (seen, stopped):
        view = one[billing(sources)].views[0]
        assert (view.opinion, view.disagreements) == ("healthy", None)
    check = sources.observations["source-edge"]
    assert check.outcome == "degraded"
    assert check.detail.endswith(
        "asked again after the probing, it refuses connections; no disagreement is claimed"
    )


def test_planned_downtime_of_a_source() -> None:
    more = '[[downtime]]\nleg = "source-edge"\nuntil = 2023-11-16\n'
    with serving(lambda _: ok(b"?")) as (url, _):
        found = RunSources(deployment(source(url), more=more), "", {}, FakeClock())
    assert found.observations["source-edge"].planned.startswith("planned downtime of leg")


def test_a_source_is_read_from_its_vantages_alone() -> None:
    one = source("http://127.0.0.1:1", vantages=["lan"])
    assert RunSources(deployment(one), "cluster", {}).observations == {}
    assert "source-edge" in RunSources(deployment(one), "lan", {}).observations


# -- whole runs ----------------------------------------------------------------------------


def test_each_shard_reads_the_sources_and_takes_its_part(tmp_path: Path) -> None:
    several = [Port() for _ in range(3)]
    rows = [{**ROW, "route": f"r{n}", "backend_port": one.port} for n, one in enumerate(several)]
    parts = []
    with serving(lambda _: ok(json.dumps(rows).encode())) as (url, _):
        one = source(url, "api", "nodes", node="edge-1", shares=["rack"])
        text = HEAD + '[timing]\nhold = "0"\n[[upstream_source]]\n' + one
        for shard in ("0/2", "1/2"):
            code, output, seen = run_checks(tmp_path, text, "--shard", shard)
            assert code == 0, output
            assert seen["source-api"].detail == "3 upstreams"
            parts.append({name for name, saw in seen.items() if saw.kind == "tcp"})
    for port in several:
        port.close()
    assert [len(part) for part in parts] == [2, 1]
    assert len(parts[0] | parts[1]) == 3


def test_collecting_lists_what_was_found_and_probes_nothing(tmp_path: Path) -> None:
    with serving(lambda _: ok(json.dumps([ROW]).encode())) as (url, asked):
        text = HEAD + "[[upstream_source]]\n" + source(url, "api", "nodes", node="edge-1")
        code, output, seen = run_checks(tmp_path, text, "--collect-only", "-q")
    assert (code, seen, len(asked)) == (0, {}, 1)
    assert "[envoy-orders-8443-127.0.0.1:9000]" in output
    assert "[source-api]" in output


def test_a_run_of_a_source_alone(tmp_path: Path) -> None:
    with serving(lambda _: ok(b"[]")) as (url, _):
        text = HEAD + "[[upstream_source]]\n" + source(url, "api", "nodes", node="edge-1")
        code, output, seen = run_checks(tmp_path, text)
    assert code == 0, output
    assert list(seen) == ["source-api"]
    assert "source-api: 0 upstreams" in output


def test_a_scheduled_run_whose_only_source_fails_is_delivered(tmp_path: Path) -> None:
    more = '[timing]\nhold = "0"\n[delivery]\ntextfile = "t3probe.prom"\n'
    with serving(lambda _: ok(b"?")) as (url, _):
        text = HEAD + more + "[[upstream_source]]\n" + source(url)
        code, output, _ = run_checks(tmp_path, text, "--exit-delivered")
    assert code == 0, output
    said = (tmp_path / "t3probe.prom").read_text()
    assert 't3probe_check_success{check="source-edge"} 0' in said
    assert "t3probe_run_complete 1" in said


@pytest.mark.parametrize(
    ("outcome", "planned", "expected"),
    [("passed", "", 1), ("degraded", "", 1), ("inconclusive", "", 0), ("inconclusive", "x", None)],
)
def test_whether_a_source_could_be_read_as_a_metric(
    outcome: str, planned: str, expected: float | None
) -> None:
    seen = [Observation(leg="source-a", kind="source", path=(), outcome=outcome, planned=planned)]
    record = RunRecord(segments=())
    values = numbers(metrics.families(record, seen, judge_run(record, seen)))
    assert values.get(("t3probe_check_success", "source-a")) == expected
    assert not [key for key in values if "source-a" in key and "check" not in key[0]]


def test_a_networkpolicy_lets_the_run_ask_its_sources() -> None:
    one = deployment(
        source("https://10.0.0.9/api", "a", vantages=["lan"]), source("http://envoy.internal:9901")
    )
    for vantage, hosts in (("lan", ["10.0.0.9", "envoy.internal"]), ("attic", ["envoy.internal"])):
        assert [(dial.host, dial.who) for dial in dials(one, vantage)] == [
            (host, "source-a" if host == "10.0.0.9" else "source-edge") for host in hosts
        ]
