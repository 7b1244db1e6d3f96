"""ci/smoke around a deploy: what blocks, what does not, and what it leaves behind."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest
from smoke_runs import QUICK, ROOT, Smoke

from t3probe.record.log import record_line

FILES = {"xml", "json", "html", "md"}


def left(*names: str) -> set[str]:
    return {f"{name}.{end}" for name in names for end in FILES}


def test_the_record_says_what_it_was_run_with(smoke: Smoke) -> None:
    """Its own timing, not that of the deployment file; shorter than the 20 s it promises."""
    done = smoke("before", **dict.fromkeys(QUICK, ""))
    assert done.returncode == 0, done.stdout
    run = smoke.record("before").run
    assert (run.heartbeat_seconds, run.watchdog_seconds, run.hold_seconds) == (1.0, 5.0, 8.0)
    text = (ROOT / "ci" / "smoke").read_text()
    (deadline,) = re.findall(r"DEADLINE:-(\d+)s", text)
    assert int(deadline) < 20
    assert run.hold_seconds <= run.duration_seconds <= int(deadline)
    assert smoke.names() == left("before") | {"verdict.json"}


def test_a_deploy_that_broke_nothing(deployed: Smoke) -> None:
    done = deployed("after", "--gate", "dispatch")
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("  gate  open: dispatch cleared\n")
    assert deployed.names() == left("before", "after") | {
        "verdict.json", "compare.md", "compare.json",
    }  # fmt: skip
    assert deployed.verdict("after")["status"] == "clean"
    assert (deployed.files / "after.html").read_text().startswith("<!doctype html>")
    assert "Gate open: dispatch cleared." in (deployed.files / "compare.md").read_text()


def test_a_broken_dispatch_blocks_its_deploy(deployed: Smoke) -> None:
    deployed.lab.switch(["dispatch:stall"])
    done = deployed("after", "--gate=dispatch,serve")
    assert done.returncode == 1, done.stdout
    assert re.search("^dispatch +cleared +convicted +REGRESSION$", done.stdout, re.M)
    assert done.stdout.endswith("  gate  closed: dispatch convicted, and cleared before\n")
    assert json.loads((deployed.files / "compare.json").read_text())["regressed"] == ["dispatch"]
    assert deployed.verdict("after")["convicted"] == ["dispatch"]
    assert_is_what_gitlab_reads(deployed.files / "after.xml")


@pytest.mark.parametrize("fault", ["cf-edge:refuse", "tunnel:blackhole"])
def test_an_outage_elsewhere_blocks_nobody(deployed: Smoke, fault: str) -> None:
    deployed.lab.switch([fault])
    done = deployed("after", "--gate", "dispatch")
    assert done.returncode == 0, done.stdout
    segment = fault.partition(":")[0]
    gloss = {"tunnel": " (or what the CDN does with this path)"}.get(segment, "")
    assert f"VERDICT  {segment}{gloss} is broken" in done.stdout
    assert re.search(f"^{segment} +cleared +convicted +worse, not gated$", done.stdout, re.M)
    assert done.stdout.endswith("  gate  open: dispatch cleared\n")


def test_what_was_broken_before_blocks_nobody(smoke: Smoke) -> None:
    smoke.lab.switch(["dispatch:stall"])
    done = smoke("before", "--gate", "dispatch")
    assert done.returncode == 0, done.stdout
    assert "  gate          closed: dispatch convicted" in done.stdout, "and it is told"
    done = smoke("after", "--gate", "dispatch,serve")
    assert done.returncode == 0, done.stdout
    assert "open: dispatch not cleared, as before: no fault of this deploy" in done.stdout


def test_what_nobody_sees_from_here_cannot_be_cleared(smoke: Smoke) -> None:
    """A runner outside the network: inner legs are left out and named; the gate asks for one."""
    done = smoke("before", "--vantage", "outside", "--gate", "tunnel,serve")
    assert done.returncode == 0, done.stdout
    assert "not run from outside: internal, traefik, dispatch, devvm, t3serve" in done.stdout
    assert "not seen from outside: wall, serve" in done.stdout
    assert {one.leg for one in smoke.record("before").observations} == {
        "egress", "resolver", "edge", "cloudflare", "walloff-probe",
    }  # fmt: skip
    done = smoke("after", "--vantage", "outside", "--gate", "tunnel,serve")
    assert done.returncode == 1, done.stdout
    assert "VERDICT  nothing failed, but not every segment was observed" in done.stdout
    assert done.stdout.endswith(
        "  gate  closed: serve cannot be cleared, and whether that was so before is\n"
        "        unknown\n"
    )
    done = smoke("after", "--gate", "tunnel", T3PROBE_VANTAGE="outside")
    assert done.returncode == 0, done.stdout


def test_the_other_machine_saw_more(deployed: Smoke) -> None:
    """Before from inside, after from outside: what only the first one saw is not cleared."""
    done = deployed("after", "--gate", "serve", "--vantage", "outside")
    assert done.returncode == 1, done.stdout
    assert "warning: the runs are from different vantages, '' and 'outside'" in done.stdout
    assert "closed: serve cannot be cleared any more, no leg that gave evidence" in done.stdout


def test_another_machine_minutes_apart(deployed: Smoke) -> None:
    """Other addresses, other round trips, a clock that is wrong: nothing of it is a regression."""
    before = deployed.record("before")
    moved = msgspec.structs.replace(before.run, started_at=before.run.started_at + 600.0)
    slower = [
        msgspec.structs.replace(
            one,
            address="192.0.2.7:443",
            beats=tuple(
                msgspec.structs.replace(beat, ended=beat.ended + 0.2) for beat in one.beats
            ),
        )
        for one in before.observations
    ]
    (deployed.files / "before.xml").write_text(record_line(moved, slower) + "\n")
    done = deployed("after", "--gate", "dispatch")
    assert done.returncode == 0, done.stdout
    assert "warning: the run called before began after the other one" in done.stdout
    lengths = r"round trip [\d.]+ m?s -> [\d.]+ m?s \(-\d.*, beyond the noise\)"
    assert re.search(lengths, done.stdout), done.stdout


def test_without_a_run_before_the_one_after_stands_alone(smoke: Smoke) -> None:
    done = smoke("after", "--gate", "dispatch")
    assert done.returncode == 0, done.stdout
    assert "  gate          open: dispatch cleared" in done.stdout
    assert "no results/smoke/before.xml to compare with" in done.stdout
    smoke.lab.switch(["dispatch:stall"])
    done = smoke("after", "--gate", "dispatch")
    assert done.returncode == 1, done.stdout
    assert "  gate          closed: dispatch convicted" in done.stdout


def test_a_run_before_of_another_deployment_excuses_nothing(deployed: Smoke) -> None:
    deployed.lab.switch(["dispatch:stall"])
    done = deployed("before", T3PROBE__NAME="elsewhere")
    assert done.returncode == 0, done.stdout
    done = deployed("after", "--gate", "dispatch")
    assert done.returncode == 1, done.stdout
    assert "warning: the runs are of different deployments, 'elsewhere' and 'lab'" in done.stdout
    assert "closed: dispatch cannot be cleared, and whether that was" in done.stdout


@pytest.mark.parametrize("which", ["before", "after"])
def test_an_interrupted_run_keeps_what_it_saw_and_blocks(deployed: Smoke, which: str) -> None:
    long = {"T3PROBE__TIMING__HOLD": "60s", "T3PROBE__TIMING__DEADLINE": "90s"}
    process = deployed.start(which, "--gate", "dispatch", **long)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("t3probe: "):
            break
    process.send_signal(signal.SIGTERM)  # as a cancelled job gets it: the script, not the run
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2, output
    assert f"ci/smoke: the run {which} the deploy was interrupted and has no verdict" in output
    assert deployed.record(which).run.interrupted


def test_a_mistake_leaves_no_older_answer(deployed: Smoke) -> None:
    """Before and after: nothing of an older run may be taken for this one's."""
    shutil.copy(deployed.files / "before.xml", deployed.files / "after.xml")
    done = deployed("before", "--gate", "dispatsch")
    assert done.returncode == 4, done.stdout
    assert "expected segments of" in done.stdout
    assert "found 'dispatsch'" in done.stdout
    assert deployed.names() == set()


def test_a_gate_is_checked_even_when_there_is_a_run_before(deployed: Smoke) -> None:
    done = deployed("after", "--gate", "dispatsch")
    assert done.returncode == 4, done.stdout
    assert "--gate: expected segments of the runs, found 'dispatsch'" in done.stdout


@pytest.mark.parametrize(
    ("words", "environ", "said"),
    [
        ((), {}, "expected 'before' or 'after', found ''"),
        (("during",), {}, "expected 'before' or 'after', found 'during'"),
        (("after", "--gate"), {}, "expected segments after --gate, found nothing"),
        (("after",), {"T3PROBE_SMOKE_FORMAT": "html"}, "expected text, markdown or github"),
        (("after",), {"PYTHON": "/bin/false"}, "expected a Python with t3probe"),
    ],
)
def test_wrong_usage_is_a_sentence(
    smoke: Smoke, words: tuple[str, ...], environ: dict[str, str], said: str
) -> None:
    done = smoke(*words, **environ)
    assert done.returncode == 4
    assert len(done.stdout.splitlines()) == 1
    assert said in done.stdout
    assert not smoke.files.exists()


@pytest.mark.parametrize("code", [0, 1])
def test_a_run_that_left_no_record_is_no_pass(smoke: Smoke, code: int) -> None:
    """Python ends with 1 when it cannot even import pytest: as pytest does when a check failed."""
    python = smoke.folder / "python"
    python.write_text(f'#!/bin/sh\n[ "$2" != pytest ] || exit {code}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    for which in ("before", "after"):
        done = smoke(which, PYTHON=str(python))
        assert done.returncode == 3, done.stdout
        assert done.stdout == (
            f"ci/smoke: the run {which} the deploy ended with {code} and has no verdict; "
            "see above\n"
        )


def test_a_record_without_a_run_is_no_pass(smoke: Smoke) -> None:
    """pytest writes a JUnit file even where the run was refused before it probed anything."""
    text = smoke.deployment.read_text()
    smoke.deployment.write_text(text.replace("127.0.0.2:", "192.0.2.1:"))
    done = smoke("before", "--gate", "dispatch")
    assert done.returncode == 4, done.stdout
    assert "T3PROBE_LOOPBACK_ONLY=1 allows 127.0.0.0/8 and ::1 only" in done.stdout
    assert "ci/smoke: the run before the deploy ended with 4 and has no verdict" in done.stdout
    assert smoke.names() <= {"before.xml"}


def test_options_with_blanks_reach_pytest_as_they_are(smoke: Smoke) -> None:
    done = smoke("before", "-k", "egress or dispatch", "--gate", "dispatch", "-q")
    assert done.returncode == 0, done.stdout
    assert {one.leg for one in smoke.record("before").observations} == {"egress", "dispatch"}


def test_github_gets_commands_and_a_summary_and_no_foreign_commands(deployed: Smoke) -> None:
    deployed.lab.switch(["dispatch:stall"])
    summary = deployed.folder / "summary.md"
    done = deployed(
        "after", "--gate", "dispatch", GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary)
    )
    assert done.returncode == 1, done.stdout
    first, *lines = done.stdout.splitlines()
    token = re.fullmatch("::stop-commands::([0-9a-f]{32})", first)
    assert token is not None
    again = lines.index(f"::{token[1]}::")
    assert "VERDICT  dispatch is broken" in lines[:again], "what the run says is in between"
    commands = [line for line in lines[again + 1 :] if line.startswith("::")]
    assert commands[:2] == [
        "::error title=t3probe compare::regression: dispatch cleared before, convicted after",
        "::error title=t3probe gate::closed: dispatch convicted, and cleared before",
    ]
    assert "::error title=t3probe verdict::dispatch is broken" in commands
    for kind in ("error", "warning", "notice"):
        assert sum(line.startswith(f"::{kind} ") for line in commands) <= 10
    text = summary.read_text(encoding="utf-8")
    assert "| dispatch | cleared | convicted | REGRESSION |" in text
    assert "**dispatch is broken** (lab, " in text


def assert_is_what_gitlab_reads(file: Path) -> None:
    """https://docs.gitlab.com/ci/testing/unit_test_reports/#unit-test-reporting-workflow: suites
    of cases with name, classname and time; what failed says so in an element of its own, with
    text; of two cases with the same names only the first would be shown; 30 MB at most."""
    assert file.stat().st_size < 30_000_000
    root = ET.parse(file).getroot()
    assert root.tag == "testsuites"
    cases = root.findall("testsuite/testcase")
    named = [(one.get("classname"), one.get("name")) for one in cases]
    assert len(set(named)) == len(named) > 10
    assert all(classname and name for classname, name in named)
    assert all(float(one.get("time", "-")) >= 0 for one in cases)
    by_leg = {str(one.get("name")).partition("[")[2].rstrip("]"): one for one in cases}
    failure, error = by_leg["dispatch"].find("failure"), by_leg["walloff-probe"].find("error")
    assert failure is not None
    assert failure.get("message") == "Failed: dispatch: failed, rtt_timeout: no echo within 1 s"
    assert failure.text
    assert "no echo within 1 s" in failure.text
    assert error is not None, "could not tell: an error, not a failure"
    assert "walloff-probe: inconclusive" in str(error.text)
    assert len(list(by_leg["egress"])) == 0
    suite = root.find("testsuite")
    assert suite is not None
    assert int(suite.get("tests", "")) == len(cases)
    assert int(suite.get("failures", "")) == len(root.findall(".//failure")) == 3
    assert int(suite.get("errors", "")) == len(root.findall(".//error")) == 1
