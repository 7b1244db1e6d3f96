"""Planned downtime: which legs it covers, and when it is over."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from config_helpers import NOW, RICH, SMALL, read

from t3probe.config import Deployment, planned

ENTRY = '[[downtime]]\nsegment = "tunnel"\nuntil = {}\n'


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def said(deployment: Deployment, leg: str, now: float = NOW) -> str:
    return planned(deployment, deployment.leg(leg), now)


def test_a_leg_of_its_own() -> None:
    deployment = read(RICH)
    assert said(deployment, "echo") == (
        'planned downtime of leg "echo" until 2023-11-15T23:59+00:00: new certificate'
    )
    assert said(deployment, "resolver") == ""


def test_everything_that_crosses_a_segment() -> None:
    assert said(read(RICH), "envoy-web-1") == (
        'planned downtime of segment "host" until 2023-11-14T23:30+01:00'
    )


def test_of_several_the_one_that_ends_last() -> None:
    text = SMALL + ENTRY.format("2024-01-01") + ENTRY.replace("tunnel", "wan").format("2024-02-01")
    assert 'segment "wan"' in said(read(text), "cloudflare")


@pytest.mark.parametrize(
    ("now", "running"),
    [("2023-11-15T23:59:59", True), ("2023-11-16T00:00:00", False)],
)
def test_a_date_means_its_end_in_utc(now: str, running: bool) -> None:
    deployment = read(SMALL + ENTRY.format("2023-11-15"), now=at(now))
    assert bool(said(deployment, "cloudflare", at(now))) is running
    assert bool(deployment.warnings) is not running


def test_a_stale_entry_is_a_warning_and_covers_nothing() -> None:
    deployment = read(SMALL + ENTRY.format("2023-11-01T12:00:00Z"))
    assert deployment.warnings == (
        'some/x.toml: downtime[0]: the planned downtime of segment "tunnel" ended '
        "2023-11-01T12:00+00:00, so it counts again; take the entry out",
    )
    assert said(deployment, "cloudflare") == ""


def test_the_moment_itself_is_over() -> None:
    text = SMALL + ENTRY.format("2023-11-14T22:13:20Z")
    assert said(read(text, now=NOW), "cloudflare", NOW) == ""
    assert read(text, now=NOW).warnings
    assert said(read(text, now=NOW - 1), "cloudflare", NOW - 1)


@pytest.mark.parametrize(
    "until",
    ["9999-12-31", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "0001-01-01"],
)
def test_the_ends_of_the_calendar(until: str) -> None:
    deployment = read(SMALL + ENTRY.format(until))
    assert bool(said(deployment, "cloudflare")) is until.startswith("9999")
    assert bool(deployment.warnings) is until.startswith("0001")


def test_own_segments_and_generated_legs_can_be_named() -> None:
    text = RICH + '[[downtime]]\nsegment = "upstream-web-1"\nuntil = 2024-01-01\n'
    text += '[[downtime]]\nleg = "walled-home"\nuntil = 2024-01-01\n'
    deployment = read(text.replace("[lab]", "[lab.x]"))
    assert 'segment "upstream-web-1"' in said(deployment, "envoy-web-1")
    assert 'leg "walled-home"' in said(deployment, "walled-home")
