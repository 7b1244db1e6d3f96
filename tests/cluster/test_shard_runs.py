"""Runs of shards against the lab and a real Pushgateway: who runs and who delivers what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from deliver.delivery_programs import RealGateway, get
from plugin.plugin_runner import Runner

from t3probe.lab.process import LabProcess

UPSTREAMS = ["envoy-orders", "envoy-billing", "envoy-search"]


@pytest.fixture(scope="module")
def shard_lab() -> Iterator[LabProcess]:
    with LabProcess() as lab:
        yield lab


@pytest.fixture
def checks(shard_lab: LabProcess, tmp_path: Path) -> Runner:
    return Runner(shard_lab, tmp_path)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RealGateway]:
    real = RealGateway(tmp_path)
    with ExitStack() as stack:
        stack.callback(real.stop)
        real.start()
        yield real


def groups(gateway: RealGateway) -> dict[tuple[str, str], dict[str, Any]]:
    """Shard and part -> the group."""
    found = json.loads(get(gateway.url + "/api/v1/metrics"))["data"]
    assert {one["labels"]["job"] for one in found} <= {"t3-probe"}
    return {(one["labels"].get("shard"), one["labels"].get("part", "")): one for one in found}


def legs(group: dict[str, Any], name: str, label: str = "leg") -> set[str]:
    return {one["labels"][label] for one in group[name]["metrics"]}


def test_two_shards_are_one_run_in_two_groups(checks: Runner, gateway: RealGateway) -> None:
    words = ("--hold", "0", "--exit-delivered", "--gateway", gateway.url)
    ran: list[str] = []
    for index in ("0", "1"):
        # A declared segment that another shard's upstream crosses, too: it says nothing of it.
        env = {
            "JOB_COMPLETION_INDEX": index,
            "T3PROBE_SHARDS": "2",
            "T3PROBE__UPSTREAM__BILLING__SHARES": "devvm",
        }
        done = checks(*words, env=env)
        assert done.code == 0, done.output
        assert f"shard {index} of 2" in done.output
        ran += done.legs
    assert sorted(ran) == sorted(set(ran)), "a leg ran twice"
    assert set(UPSTREAMS) < set(ran)
    assert {"cloudflare", "walled-home"} < set(ran)
    found = groups(gateway)
    assert set(found) == {("0", ""), ("0", "upstreams"), ("1", ""), ("1", "upstreams")}
    first, second = found["0", ""], found["1", ""]
    assert "t3probe_segment_state" in first
    assert "t3probe_segment_state" not in second
    assert "cloudflare" in legs(first, "t3probe_connected")
    assert "t3probe_connected" not in second
    assert "t3probe_disconnects_total" not in second
    for group in (first, second):
        assert group["t3probe_run_complete"]["metrics"][0]["value"] == "1"
    reached = "t3probe_backend_reachable"
    assert legs(found["0", "upstreams"], reached, "backend") == {"orders", "search"}
    assert legs(found["1", "upstreams"], reached, "backend") == {"billing"}


def test_a_shard_too_many_delivers_nothing_and_is_content(
    checks: Runner, gateway: RealGateway
) -> None:
    words = ("--hold", "0", "--gateway", gateway.url, "--shard", "3/4")
    done = checks(*words, "--exit-delivered")
    assert done.code == 0, done.output
    assert "nothing falls to shard 3 of 4" in done.output
    assert groups(gateway) == {}
    done = checks(*words)
    assert done.code == 5, done.output


def test_a_run_that_is_not_split_has_no_shard(checks: Runner, gateway: RealGateway) -> None:
    """An Indexed Job may be one for reasons of its own."""
    done = checks(
        "--hold", "0", "--exit-delivered", "--gateway", gateway.url,
        env={"JOB_COMPLETION_INDEX": "1"},
    )  # fmt: skip
    assert done.code == 0, done.output
    assert {shard for shard, _ in groups(gateway)} == {None}


@pytest.mark.parametrize(
    ("arguments", "env", "sentence"),
    [
        (["--shard", "4/4"], {}, '--shard: expected a shard from 0 to 3, found "4"'),
        (["--shard", "all"], {}, '--shard: expected I/N such as 0/4, found "all"'),
        ([], {"T3PROBE_SHARD": "1"}, "T3PROBE_SHARDS: expected the number of shards"),
        (
            [],
            {"JOB_COMPLETION_INDEX": "2", "T3PROBE_SHARDS": "2"},
            'JOB_COMPLETION_INDEX: expected a shard from 0 to 1, found "2"',
        ),
    ],
)
def test_a_shard_that_cannot_be_is_refused(
    checks: Runner, arguments: list[str], env: dict[str, str], sentence: str
) -> None:
    done = checks(*arguments, env=env)
    assert done.code == 4, done.output
    assert sentence in done.output
    assert "Traceback" not in done.output
    assert not (done.results / "junit.xml").exists()


def test_checks_of_ones_own_are_shard_0s(checks: Runner, tmp_path: Path) -> None:
    own = tmp_path / "test_own.py"
    own.write_text("import pytest\n\n\n@pytest.mark.segments('devvm')\ndef test_own():\n    pass\n")
    for index, wanted in (("0", True), ("1", False)):
        done = checks("--hold", "0", "--shard", f"{index}/2", "checks", str(own))
        assert done.code == 0, done.output
        assert ("test_own" in done.output) == wanted, done.output
