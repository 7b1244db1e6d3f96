"""The order of things at a run's start and end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import delivery_servers as servers
import msgspec
import pytest
from delivery_programs import RealGateway
from delivery_runs import DEAD, LEGS, REASONS, run_families
from delivery_servers import answering, serving

from t3probe.config.delivery import Delivery
from t3probe.config.types import Deployment
from t3probe.deliver.delivery import Ended, correct, end_of_run, gateway_of, retire, start_of_run
from t3probe.deliver.sinks import Batch, Deliver, Receipt, kuberhealthy
from t3probe.deliver.sinks.gateway import Gateway
from t3probe.exchange.client import Budget
from t3probe.timing import SystemClock

DROP = (LEGS[0], REASONS[0])
DELIVERS = """
import sys
from pathlib import Path
from t3probe.config.types import Deployment, Leg
from t3probe.config.delivery import Delivery
from t3probe.deliver.delivery import end_of_run, gateway_of, start_of_run
from t3probe.deliver.metrics import families, zeros
from t3probe.deliver.metrics.exposition import Sheet
from t3probe.observation import Observation, RunRecord
from t3probe.verdict.incident.run import judge_run
from t3probe.watch.http import Snapshot

url, results = sys.argv[1:]
leg = Leg(name="web", kind="http", path=("a",))
one = Deployment(name="d", file="d", segments=("a",), legs=(leg,), delivery=Delivery(gateway=url))
seen = Observation(leg="web", kind="http", path=("a",), outcome="passed", level="hold")
run = RunRecord(segments=("a",), started_at=1.7e9)
judged = judge_run(run, [seen])
gateway = gateway_of(one, vantage="", environ={})
begun = start_of_run(one, gateway, zeros(one), vantage="", results=Path(results), environ={})
print(end_of_run(begun, families(run, [seen], judged), ok=True).delivered)
print(b"run_timestamp_seconds 1.7e+09" in Snapshot(run, (seen,), judged, Sheet()).text())
print("prometheus_client" in sys.modules)
"""


def deployment(**delivery: str | None) -> Deployment:
    return Deployment(
        name="d",
        file="d.toml",
        segments=("a",),
        own_segments=(),
        paths=(),
        legs=(),
        vantage="cluster",
        delivery=Delivery(**delivery),  # type: ignore[arg-type]
    )


def run(one: Deployment, tmp_path: Path, ok: bool = True, **environ: str) -> Ended:
    gateway = gateway_of(one, vantage="", environ=environ)
    if gateway is not None:
        gateway = Gateway(gateway.url, gateway.job, gateway.vantage, "", gateway.login, 1.0, 1.0)
    started = start_of_run(
        one, gateway, run_families(), vantage="", results=tmp_path, environ=environ
    )
    errors = [] if ok else ["internal: failed"]
    return end_of_run(started, run_families({DROP: 2}, {}, 1.0), ok=ok, errors=errors)


def test_everything_delivered(tmp_path: Path, gateway: RealGateway) -> None:
    good = answering("200 OK")
    with serving(good) as heart, serving(good) as kuber:
        one = deployment(
            gateway=gateway.url,
            textfile=str(tmp_path / "t3.prom"),
            spool=str(tmp_path / "spool"),
            heartbeat_url=heart.url + "/ping/abc?x=1",
        )
        ended = run(one, tmp_path, ok=False, KH_REPORTING_URL=kuber.url + "/r", KH_RUN_UUID="u-1")
        assert ended.delivered
        assert heart.requests[0].startswith(b"GET /ping/abc?x=1 HTTP/1.1\r\n")
        head, _, body = kuber.requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /r HTTP/1.1\r\n")
        assert b"kh-run-uuid: u-1" in head
        assert json.loads(body) == {"OK": False, "Errors": ["internal: failed"]}
    assert 'vantage="cluster"' in (tmp_path / "t3.prom").read_text()
    assert 'vantage="cluster"} 2' in gateway.exposition()


def test_neither_a_push_nor_the_held_mode_needs_the_client_library(
    tmp_path: Path, gateway: RealGateway
) -> None:
    """Its import would be a large part of what a push costs."""
    told = subprocess.run(
        [sys.executable, "-c", DELIVERS, gateway.url, str(tmp_path)], capture_output=True, text=True
    )
    assert (told.stdout.split(), told.stderr) == (["True", "True", "False"], "")
    assert 't3probe_segment_state{instance="",job="t3-probe"' in gateway.exposition()


def test_not_delivered_makes_no_heartbeat_and_kuberhealthy_is_told(tmp_path: Path) -> None:
    good = answering("200 OK")
    with serving(good) as heart, serving(good) as kuber:
        one = deployment(gateway=DEAD, heartbeat_url=heart.url)
        ended = run(one, tmp_path, KH_REPORTING_URL=kuber.url)
        assert not ended.delivered
        assert heart.requests == []
        body = kuber.requests[0].partition(b"\r\n\r\n")[2]
        assert json.loads(body) == {"OK": True, "Errors": []}
    assert "no zeros were written" not in " ".join(ended.sentences)
    assert ".undelivered says so" in ended.sentences[0]


def test_a_fault_of_ours_in_one_place_costs_the_others_nothing(tmp_path: Path) -> None:
    """A sink and the trace break, at each step: Kuberhealthy is told, and all is said."""

    class Kept:
        def __init__(self) -> None:
            self.got: list[Batch] = []

        def __call__(self, batch: Batch) -> Receipt:
            self.got.append(batch)
            return Receipt(True, "kept")

    def broken(_: object) -> Receipt:
        raise KeyError("a-secret")

    class Remote:
        def __init__(self) -> None:
            self.labels: dict[str, str] = {}

        def sink(self, *_: object, **__: object) -> Deliver:
            return broken

    with serving(answering("200 OK")) as kuber:
        environ = {"KH_REPORTING_URL": kuber.url, "KH_RUN_UUID": "u"}
        started = start_of_run(
            deployment(), None, run_families(), remote=Remote(),  # type: ignore[arg-type]
            vantage="", results=tmp_path, environ=environ,
        )  # fmt: skip
        kept = Kept()
        started.sinks.append(kept)
        started.opened.append(Receipt(True, ""))
        ended = end_of_run(started, run_families(), ok=True, traces=broken)
        assert len(kuber.requests) == 1
    assert not ended.delivered
    assert ended.sentences[:2] == (
        "a delivery broke: KeyError", "the run's trace broke: KeyError"
    )  # fmt: skip
    assert "a-secret" not in str(ended.sentences)
    assert len(kept.got) == 1
    started.reached.append(broken)
    assert correct(started, run_families(), 1.0) == ["a delivery broke: KeyError"]


def test_nothing_is_configured(tmp_path: Path) -> None:
    assert run(deployment(), tmp_path) == Ended(True, ())


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (answering("500 No"), "answers 500"),
        (answering("302 Found", b"", "Location: http://127.0.0.1:1/"), "answers 302"),
        (servers.closing, "closed the connection without an answer"),
        (servers.silent, "did not answer in time"),
    ],
)
def test_helpers_in_trouble_change_nothing(
    handler: servers.Handler, words: str, tmp_path: Path
) -> None:
    with serving(handler) as bad:
        one = deployment(heartbeat_url=f"{bad.url}/secret-key")
        ended = run(one, tmp_path, KH_REPORTING_URL=bad.url)
    assert ended.delivered
    heart, kuber = sorted(ended.sentences, key=lambda text: "Kuberhealthy" in text)
    assert words in heart
    assert "secret-key" not in heart
    assert words in kuber
    assert "does not know how this run went" in kuber


def test_kuberhealthy_needs_an_error_when_not_ok_and_none_when_ok() -> None:
    assert json.loads(kuberhealthy.body(False, [])) == {"OK": False, "Errors": ["the run failed"]}
    assert json.loads(kuberhealthy.body(True, ["odd"])) == {"OK": True, "Errors": []}
    many = json.loads(kuberhealthy.body(False, ["x\n" * 1000] * 50))["Errors"]
    assert len(many) == kuberhealthy.MAX_ERRORS + 1
    assert many[-1] == "30 more"
    assert all(len(one) <= 300 and one.isprintable() for one in many)


def test_a_wrong_reporting_url_is_a_sentence() -> None:
    report = kuberhealthy.report("nonsense", True, [], {}, Budget(SystemClock(), 1))
    assert report.sentence.startswith("KH_REPORTING_URL: expected a URL")


def test_retire_deletes_both_groups_and_prints_the_silence(
    tmp_path: Path, gateway: RealGateway
) -> None:
    run(deployment(gateway=gateway.url), tmp_path)
    report, silence = retire(Gateway(gateway.url, "t3-probe", "cluster"))
    assert report.ok
    assert "t3probe_" not in gateway.exposition()
    assert silence == (
        "amtool silence add --duration=6h --comment='vantage retired' "
        "'alertname=\"T3ProbeSilent\"' 'job=\"t3-probe\"' 'vantage=\"cluster\"' 'shard=\"\"'"
    )
    report, _ = retire(Gateway(DEAD, "t3-probe", "cluster"))
    assert report.sentence.endswith("refuses connections; the group is not deleted")


def test_a_wrong_login_is_said_before_the_run() -> None:
    one = msgspec.structs.replace(deployment(gateway=DEAD))
    with pytest.raises(ValueError, match="found one; set the other"):
        gateway_of(one, vantage="", environ={"T3PROBE_GATEWAY_USER": "me"})


def test_a_url_and_a_job_win_over_the_file() -> None:
    found = gateway_of(
        deployment(gateway=DEAD), vantage="lan", environ={}, url="http://h:1", job="ci", shard="2"
    )
    assert found is not None
    assert (found.url, found.key) == ("http://h:1", {"job": "ci", "vantage": "lan", "shard": "2"})
    assert found.upstream_key == {**found.key, "part": "upstreams"}
