"""What a person or a job gets from a run: exit codes, record, verdict, selection."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from lxml import etree
from plugin_runner import ENVIRON, ROOT

from t3probe.record.facts import LEG_PREFIX, RUN_NAME

SCHEMA = Path(__file__).with_name("xunit2.xsd")
ALL = {
    "egress", "resolver", "edge", "cloudflare", "internal", "traefik", "dispatch", "devvm",
    "t3serve", "walloff-probe", "walled-home", "envoy-orders", "envoy-billing", "envoy-search",
}  # fmt: skip


def assert_valid_junit(path: Path) -> None:
    etree.XMLSchema(etree.parse(SCHEMA)).assertValid(etree.parse(path))


def cases(path: Path) -> dict[str, etree._Element]:
    return {one.get("name"): one for one in etree.parse(path).iter("testcase")}


def test_a_clean_run(recorded) -> None:
    done = recorded("--hold", "0")
    assert done.code == 0, done.output
    assert done.verdict["status"] == "clean"
    assert set(done.legs) == ALL
    assert {seen.outcome for seen in done.legs.values()} == {"passed"}
    assert "clean: every segment is cleared" in done.output
    assert done.recording.run.complete
    assert f"collected {len(ALL)} items" in done.output  # a kind without legs is not counted
    assert_valid_junit(done.results / "junit.xml")


GATED = ("--hold", "0", "--gate", "dispatch,traefik")


def test_the_verdict_of_the_record_is_the_verdict_of_the_run(recorded) -> None:
    done = recorded(*GATED, faults=["tunnel:refuse"])
    again = subprocess.run(
        [sys.executable, "-m", "t3probe.cli", "verdict", str(done.results / "junit.xml")],
        stdout=subprocess.PIPE,
        check=True,
    )
    assert again.stdout.decode() == (done.results / "verdict.json").read_text()
    assert done.verdict["convicted"] == ["tunnel"]


def test_every_leg_is_a_property_of_the_suite(recorded) -> None:
    done = recorded("--hold", "0")
    tree = etree.parse(done.results / "junit.xml")
    names = [one.get("name") for one in tree.iterfind("testsuite/properties/property")]
    assert sorted(names) == sorted([RUN_NAME, *(LEG_PREFIX + leg for leg in ALL)])


def test_one_leg_by_name(checks) -> None:
    done = checks("--hold", "0", "-k", "cloudflare")
    assert done.code == 0, done.output
    assert set(done.legs) == {"cloudflare"}
    run = done.recording.run
    assert run.partial
    assert not run.complete
    assert set(run.not_run) == ALL - {"cloudflare"}
    assert done.verdict["status"] == "incomplete"
    assert "1 passed" in done.output


EACH = """
import sys
import pytest
for leg in sys.argv[1].split():
    print("leg", leg)
    pytest.main([*sys.argv[2:], "-k", leg])
"""


def test_the_name_of_a_leg_selects_that_leg_alone(checks) -> None:
    """One process collects them all, each name anew."""
    python, *_, results, deployment = checks.command()
    done = subprocess.run(
        [python, "-c", EACH, " ".join(sorted(ALL)), results, deployment, "--collect-only", "-q"],
        cwd=ROOT,
        env=ENVIRON,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
    )
    told = re.split(r"^leg ", done.stdout.decode(), flags=re.MULTILINE)[1:]
    assert sorted(one.split()[0] for one in told) == sorted(ALL)
    for one in told:
        leg, *lines = one.splitlines()
        found = [line for line in lines if "::" in line]
        assert len(found) == 1, one
        assert f"[{leg}]" in found[0]


def test_a_broken_leg_fails_and_loses_no_other(checks) -> None:
    checks.lab.switch(["dispatch:refuse"])
    done = checks("--hold", "0", "-x")
    assert done.code == 1, done.output
    assert set(done.legs) == ALL
    assert done.verdict["convicted"] == ["dispatch"]


def test_could_not_tell_is_an_error_and_not_a_failure(checks) -> None:
    checks.lab.switch(["doh:servfail"])
    done = checks("--hold", "0")
    assert done.code == 1
    found = cases(done.results / "junit.xml")
    cloudflare = next(one for name, one in found.items() if "[cloudflare]" in name)
    resolver = next(one for name, one in found.items() if "[resolver]" in name)
    assert cloudflare.find("error") is not None
    assert cloudflare.find("failure") is None
    assert "resolver_failed" in cloudflare.find("error").get("message")
    assert resolver.find("failure") is not None
    assert done.legs["cloudflare"].outcome == "inconclusive"
    assert done.verdict["convicted"] == ["doh"]
    assert_valid_junit(done.results / "junit.xml")


def test_a_test_lasts_as_long_as_its_probe(checks) -> None:
    done = checks("--hold", "1500ms")
    found = cases(done.results / "junit.xml")
    for leg, seen in done.legs.items():
        case = next(one for name, one in found.items() if f"[{leg}]" in name)
        assert float(case.get("time")) == pytest.approx(seen.ended - seen.started, abs=0.002)
    assert max(seen.ended for seen in done.legs.values()) >= 0.9


def test_the_gate_judges_by_ownership(checks, recorded) -> None:
    done = recorded(*GATED, faults=["tunnel:refuse"])
    assert done.code == 0, done.output
    assert "gate          open" in done.output
    checks.lab.switch(["tunnel:refuse"])
    done = checks("--hold", "0", "--gate", "dispatch,tunnel")
    assert done.code == 1
    assert "closed: tunnel" in done.output


def test_the_gate_closes_on_what_cannot_be_cleared(checks) -> None:
    done = checks("--hold", "0", "--gate", "serve", "-k", "cloudflare")
    assert done.code == 1
    assert "closed: serve" in done.output


def test_junitxml_of_the_users_choice(checks, tmp_path: Path) -> None:
    other = tmp_path / "other.xml"
    done = checks("--hold", "0", "-k", "devvm", "--junitxml", str(other))
    assert done.code == 0
    assert other.exists()
    assert not (done.results / "junit.xml").exists()
    assert (done.results / "verdict.json").exists()


def test_marker_expressions_and_single_files(checks) -> None:
    done = checks("--hold", "0", "checks/test_upstreams.py")
    assert set(done.legs) == {"envoy-orders", "envoy-billing", "envoy-search"}
    done = checks("--collect-only", "-q", "-m", "not legs")
    assert done.code == 5


def test_the_environment_names_the_deployment_and_overrides_it(checks) -> None:
    env = {
        "T3PROBE_DEPLOYMENT": checks.lab.deployment_path,
        "T3PROBE__LEG__T3SERVE__URL": "http://127.0.0.1:1/healthz",
    }
    done = checks("--hold", "0", "-k", "t3serve", deployment=None, env=env)
    assert done.code == 1
    assert done.legs["t3serve"].reason == "connect_refused"
