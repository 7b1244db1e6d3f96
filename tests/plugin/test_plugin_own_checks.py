"""A user adds a check by adding a function; planned downtime; vantages."""

from __future__ import annotations

from pathlib import Path

import pytest

OWN = """
import asyncio
import pytest

@pytest.mark.segments("devvm", "serve", leg="own-good")
def test_good():
    assert True

@pytest.mark.segments("traefik", "printer")
async def test_printer():
    await asyncio.sleep(0)
    pytest.fail("out of paper", pytrace=False)

@pytest.mark.segments("wall")
def test_undecided():
    pytest.skip("not today")
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    file = tmp_path / "test_own.py"
    file.write_text(OWN)
    return str(file)


def test_a_check_of_ones_own_takes_part_in_the_verdict(checks, own: str) -> None:
    done = checks("--hold", "0", "checks", own)
    assert done.code == 1, done.output
    legs = done.legs
    assert legs["own-good"].outcome == "passed"
    assert legs["own-good"].path == ("devvm", "serve")
    assert legs["test_printer"].outcome == "failed"
    assert "out of paper" in legs["test_printer"].detail
    assert legs["test_undecided"].outcome == "inconclusive"
    # The legs beat once more after the failure, and the load balancer's own leg clears it.
    assert done.verdict["convicted"] == ["printer"]
    assert "traefik" in done.verdict["exonerated"]
    assert "printer" in done.recording.run.own_segments


def test_checks_of_ones_own_run_after_the_hold_on_their_own_time(checks, own: str) -> None:
    done = checks("--hold", "1s", "checks", own)
    seen = done.legs["own-good"]
    assert seen.after_hold
    assert seen.started >= 0.9
    assert seen.ended - seen.started < 0.5


@pytest.mark.parametrize(
    ("marker", "sentence"),
    [
        ("", "expected segments('NAME', ...), found none"),
        ("'wall', leg='devvm'", "a leg or another check is called 'devvm'"),
        ("'wall', reason='bored'", "found 'bored'"),
        (
            "'wall', leg='envoy-x'",
            "expected a name that does not begin with envoy-, found 'envoy-x'",
        ),
        ("'wall', leg='source-x'", "begin with source-, found 'source-x'"),
    ],
)
def test_a_marker_that_would_spoil_the_record_is_refused(
    checks, tmp_path: Path, marker: str, sentence: str
) -> None:
    file = tmp_path / "test_bad.py"
    file.write_text(f"import pytest\n@pytest.mark.segments({marker})\ndef test_it():\n    pass\n")
    done = checks("--hold", "0", "checks", str(file))
    assert done.code == 4
    assert sentence in done.output


def with_text(checks, tmp_path: Path, more: str) -> str:
    file = tmp_path / "more.toml"
    text = Path(checks.lab.deployment_path).read_text()
    file.write_text(text.replace("[timing]", more + "\n[timing]", 1))
    return str(file)


def test_planned_downtime_is_neither_green_nor_a_failure(checks, tmp_path: Path) -> None:
    checks.lab.switch(["serve:refuse"])
    more = '[[downtime]]\nsegment = "serve"\nuntil = 2999-01-01\nwhy = "new disk"\n'
    done = checks("--hold", "0", deployment=with_text(checks, tmp_path, more))
    assert done.code == 0, done.output
    assert "1 skipped" in done.output
    assert "new disk" in done.output
    assert done.legs["t3serve"].planned
    assert done.verdict["convicted"] == []
    assert "serve" in done.verdict["unobserved"]
    assert done.verdict["status"] == "incomplete"


def test_stale_planned_downtime_counts_again_and_warns(checks, tmp_path: Path) -> None:
    checks.lab.switch(["serve:refuse"])
    more = '[[downtime]]\nsegment = "serve"\nuntil = 2020-01-01\nwhy = "old disk"\n'
    done = checks("--hold", "0", deployment=with_text(checks, tmp_path, more))
    assert done.code == 1
    assert done.verdict["convicted"] == ["serve"]
    assert "warning" in done.output
    assert "2020-01-01" in done.output


def test_a_vantage_leaves_out_what_it_cannot_run_and_says_so(checks, tmp_path: Path) -> None:
    text = Path(checks.lab.deployment_path).read_text()
    names = ["dispatch", "devvm", "t3serve"]
    for name in names:
        old = f'name = "{name}"\n'
        assert old in text
        text = text.replace(old, old + 'vantages = ["cluster"]\n', 1)
    file = tmp_path / "vantage.toml"
    file.write_text(text)
    done = checks("--hold", "0", "--vantage", "outside", deployment=str(file))
    assert done.code == 0, done.output
    assert not set(names) & set(done.legs)
    assert "not run from outside: dispatch, devvm, t3serve" in done.output
    assert "not seen from outside: serve" in done.output
    assert done.recording.run.vantage == "outside"
    assert done.verdict["unobserved"] == ["serve"]
