"""Limits on age and silence in the held mode: said once, shown while they hold, and no verdict."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from msgspec.structs import replace
from test_watch_held import FRONT, WHOLE, hold
from watch_clock import Script
from watch_helpers import Kept, disconnects

from t3probe.config.types import Downtime, Duration

IDLE = replace(WHOLE, idle=Duration(300.0))
HOUR = 3600.0


def shown(kept: Kept) -> dict[str, float]:
    """The limits in the metrics, by kind."""
    name = "t3probe_connection_limit_seconds{kind="
    return {
        key.split('"')[1]: value for key, value in kept.series().items() if key.startswith(name)
    }


def test_an_age_at_which_all_connections_end_is_said_once_and_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scripts = {"whole": Script(oldest=100.0), "front": Script()}
    kept, found = hold(monkeypatch, scripts, [IDLE, FRONT], {150.0: shown, HOUR: shown})
    assert found[150.0] == {}
    assert found[HOUR] == {"age": pytest.approx(100.0, abs=0.1)}
    # Before the last of these lines less was known of what it is, or where.
    assert {one["known"] for one in kept.lines("limit")} == {True}
    line = kept.lines("limit")[-1]
    assert line["text"].startswith("each connection through back ends after 1 min 40 s")
    assert (line["limit"]["kind"], line["limit"]["at"]) == ("age", "back")
    # Another connection of the leg lived on each time, so that it was no restart.
    assert line["limit"]["every_seconds"] is None
    # Each drop is judged as it was before.
    assert disconnects(kept.series())["whole", "closed_by_peer"] == len(kept.lines("drop")) > 20


def test_a_silence_that_ends_what_is_idle_alone_harms_no_leg(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scripts = {"whole": Script(quietest=60.0), "front": Script()}
    kept, found = hold(monkeypatch, scripts, [IDLE, FRONT], {100.0: shown, HOUR: shown})
    assert found == {100.0: {}, HOUR: {"silence": pytest.approx(60.0, abs=0.1)}}
    (line,) = kept.lines("limit")
    assert line["text"].startswith("what is silent for 1 min on whole is cut at ")
    assert disconnects(kept.series()) == {}
    assert kept.lines("drop") == []
    assert 't3probe_connected{leg="whole"}' in kept.series()


def test_without_a_limit_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = {"whole": Script(), "front": Script()}
    kept, found = hold(monkeypatch, scripts, [IDLE, FRONT], {HOUR: shown})
    assert found == {HOUR: {}}
    assert kept.lines("limit") == []
    silences = kept.watch.held.books["whole"].silences
    assert len(silences) == pytest.approx(HOUR / 300.0, abs=1)
    assert {one.end for one in list(silences)[:-1]} == {"answered"}


def test_a_limit_that_is_lifted_is_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(oldest=100.0)

    def lift(kept: Kept) -> None:
        script.oldest = None

    scripts = {"whole": script, "front": Script()}
    moments: dict[float, Any] = {1000.0: lift, 1500.0: shown}
    kept, found = hold(monkeypatch, scripts, [IDLE, FRONT], moments)
    assert found[1500.0] == {}
    *before, last = [one["known"] for one in kept.lines("limit")]
    assert (set(before), last) == ({True}, False)


def test_planned_downtime_makes_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    until = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
    scripts = {"whole": Script(oldest=100.0), "front": Script()}
    kept, found = hold(
        monkeypatch,
        scripts,
        [IDLE, FRONT],
        {HOUR: shown},
        lambda made: replace(made, downtime=(Downtime(until=until, leg="whole"),)),
    )
    assert found == {HOUR: {}}
    assert kept.lines("limit") == []
