"""A user adds a check by adding a function; planned downtime; vantages."""

from __future__ import annotations

from pathlib import Path

import pytest

from t3probe.config import loads
from t3probe.config.types import Deployment
from t3probe.lab.deployment import PLACEHOLDER, TIMING, deployment_text
from t3probe.observation import Drop, Observation
from t3probe.run.session import Session

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


TWO = """
import time
import pytest

@pytest.mark.segments("traefik", "printer")
def test_printer():
    pytest.fail("out of paper", pytrace=False)

@pytest.mark.segments("wall", leg="slow-good")
def test_slow():
    time.sleep(0.5)

@pytest.mark.segments("traefik", "scanner")
def test_scanner():
    pytest.fail("no light", pytrace=False)
"""


def test_each_failed_check_is_followed_by_its_own_common_beat(checks, tmp_path: Path) -> None:
    """What the legs say when the last check is through may lie after the end of what the first one
    met: a balancer that was gone while the printer was asked is no proof against the printer."""
    file = tmp_path / "test_two.py"
    file.write_text(TWO)
    done = checks("--hold", "0", "checks", str(file))
    printer, slow, scanner = (
        done.legs[one] for one in ("test_printer", "slow-good", "test_scanner")
    )
    for one in (printer, scanner):
        (drop,) = one.drops
        assert drop.attempt is not None
        assert drop.attempt.started >= drop.noticed
        called = [beat.sent for beat in done.legs["traefik"].beats if beat.call == drop.call]
        assert called
        assert all(drop.noticed < sent <= drop.attempt.ended for sent in called)
    assert printer.drops[0].attempt.ended <= slow.started
    assert slow.ended <= scanner.drops[0].noticed
    assert done.verdict["convicted"] == ["printer", "scanner"]


def test_the_common_beats_of_failed_checks_are_bounded() -> None:
    session = Session(the_lab(), vantage="", hold=0.0)
    session.selected = session.available[:1]
    session._looked_seconds = session.deployment.timing.watchdog + 1.0
    drop = Drop(began=0.0, noticed=1.0, reason="io_error", symptom="down", stage="ask", call=1)
    own = Observation(
        leg="own", kind="check", path=("wall",), outcome="failed", drops=(drop,), after_hold=True
    )
    session.observations["own"] = own
    session.look_again("own")
    assert session.observations["own"] == own


def the_lab() -> Deployment:
    return loads(deployment_text(PLACEHOLDER, TIMING), file="lab.toml", environ={}, now=0.0)


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
