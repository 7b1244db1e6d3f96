"""Which runs deliver, what that changes, and that a gateway in trouble changes nothing else."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys

from deliver.delivery_programs import RealGateway, get
from plugin_runner import ENVIRON, Result

from t3probe.timing import SystemClock


def groups(gateway: RealGateway) -> dict[str, dict]:
    """job -> its group without a `part`, as the gateway's own API shows it."""
    found = json.loads(get(gateway.url + "/api/v1/metrics"))["data"]
    return {one["labels"]["job"]: one for one in found if "part" not in one["labels"]}


def value(group: dict, name: str, **labels: str) -> float:
    for one in group[name]["metrics"]:
        if labels.items() <= one["labels"].items():
            return float(one["value"])
    raise AssertionError(f"no {name} with {labels}")


def test_the_scheduled_job_delivers_whatever_it_found(checks, gateway: RealGateway) -> None:
    words = ("--hold", "0", "--exit-delivered", "--gateway", gateway.url)
    done = checks(*words)
    assert done.code == 0, done.output
    group = groups(gateway)["t3-probe"]
    assert value(group, "t3probe_connected", leg="cloudflare") == 1
    assert value(group, "t3probe_disconnects_total", leg="dispatch", reason="connect_refused") == 0
    assert value(group, "t3probe_run_complete") == 1
    checks.lab.switch(["dispatch:refuse"])
    for number in (1, 2):
        done = checks(*words)
        assert done.code == 0, done.output
        group = groups(gateway)["t3-probe"]
        drops = value(group, "t3probe_disconnects_total", leg="dispatch", reason="connect_refused")
        assert drops == number
        assert value(group, "t3probe_segment_state", segment="dispatch", state="convicted") == 1


def test_a_run_by_hand_delivers_nothing_unless_told(checks, gateway: RealGateway) -> None:
    done = checks("--hold", "0", "--gateway", gateway.url)
    assert done.code == 0
    assert groups(gateway) == {}
    done = checks("--hold", "0", "--push", "--gateway", gateway.url, env={"CI": ""})
    assert done.code == 0, done.output
    assert set(groups(gateway)) == {"t3-probe-manual"}
    checks("--hold", "0", "--push", "-k", "devvm", "--gateway", gateway.url, env={"CI": "true"})
    assert set(groups(gateway)) == {"t3-probe-manual", "t3-probe-ci"}


def test_a_part_never_overwrites_the_whole(checks, gateway: RealGateway) -> None:
    words = ("--hold", "0", "--exit-delivered", "--gateway", gateway.url)
    checks(*words)
    before = groups(gateway)["t3-probe"]["push_time_seconds"]
    done = checks(*words, "-k", "devvm")
    assert done.code == 1
    assert "nothing is delivered: this run is only a part of the checks" in done.output
    assert groups(gateway)["t3-probe"]["push_time_seconds"] == before


def test_a_gateway_that_is_down_changes_no_outcome(checks) -> None:
    url = "http://127.0.0.1:1"
    done = checks("--hold", "0", "--push", "--gateway", url)
    assert done.code == 0, done.output
    assert "14 passed" in done.output
    assert "delivery" in done.output
    done = checks("--hold", "0", "--exit-delivered", "--gateway", url)
    assert done.code == 1
    assert "14 passed" in done.output
    assert done.verdict["status"] == "clean"


def test_a_push_to_nowhere_says_so(checks) -> None:
    done = checks("--hold", "0", "--push")
    assert done.code == 0, done.output
    assert "nothing is delivered: no place is named" in done.output


def test_a_bad_gateway_url_is_refused_before_the_run(checks) -> None:
    done = checks("--hold", "0", "--push", "--gateway", "ftp://127.0.0.1:1")
    assert done.code == 4
    assert "Traceback" not in done.output


def test_a_signal_in_the_hold_still_delivers(checks, gateway: RealGateway) -> None:
    process = checks.start("--hold", "60s", "--exit-delivered", "--gateway", gateway.url)
    clock = SystemClock()
    deadline = clock.monotonic() + 30
    while checks.lab.status()["connections"] < 6 and clock.monotonic() < deadline:
        select.select([], [], [], 0.05)
    select.select([], [], [], 1.0)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    done = Result(process.returncode, output.decode(), checks.folder / "results")
    assert done.code == 0, done.output
    group = groups(gateway)["t3-probe"]
    assert value(group, "t3probe_run_complete") == 0
    assert 0 < value(group, "t3probe_observed_seconds_total", leg="internal") < 40


def command(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "t3probe.cli", *words], env=ENVIRON, capture_output=True, check=False
    )


def test_a_recorded_run_is_pushed_and_its_vantage_retired(recorded, gateway: RealGateway) -> None:
    done = recorded("--hold", "0")
    record = str(done.results / "junit.xml")
    pushed = command("push", record, "--gateway", gateway.url, "--vantage", "attic")
    assert pushed.returncode == 0, pushed.stderr
    group = groups(gateway)["t3-probe-manual"]
    assert group["labels"]["vantage"] == "attic"
    assert value(group, "t3probe_connected", leg="internal") == 1
    retired = command(
        "retire", "--gateway", gateway.url, "--vantage", "attic", "--job", "t3-probe-manual"
    )
    assert retired.returncode == 0, retired.stderr
    assert b"amtool silence add" in retired.stdout
    assert groups(gateway) == {}


def test_pushing_what_is_no_record_is_one_sentence(gateway: RealGateway) -> None:
    done = command("push", "/dev/null", "--gateway", gateway.url)
    assert done.returncode == 4
    assert done.stderr.count(b"\n") == 1
