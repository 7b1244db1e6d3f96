"""A day in which a leg flaps and an outage of two days, as `explain` tells them: from the runs of
every minute near the time that is asked for, however many there are."""

from __future__ import annotations

from pathlib import Path

import pytest
from explain_asking import ask
from explain_history import DURATION, HOLD, LEGS, T3, VANTAGE, _cut, _down, _seen, at

from t3probe.ask.explain.from_runs import run_seen
from t3probe.ask.explain.report import WIDTH, Report, to_dict, to_lines
from t3probe.ask.explain.seen import outages_of
from t3probe.observation import RECORD_VERSION, Observation, RunRecord
from t3probe.record.facts import Recording
from t3probe.record.log import record_line
from t3probe.text.words import utc

HOUR = 60
"""Minutes: there is a run in each."""


def run(minute: int, *failed: Observation) -> Recording:
    """A run in which these legs failed and all others worked."""
    names = {one.leg: one for one in failed}
    seen = tuple(names.get(leg) or _seen(leg) for leg in LEGS)
    record = RunRecord(
        version=RECORD_VERSION, deployment="t3", segments=T3.segments,
        own_segments=T3.own_segments, paths=T3.paths, started_at=at(minute),
        duration_seconds=DURATION, hold_seconds=HOLD, vantage=VANTAGE,
    )  # fmt: skip
    return Recording(record, seen)


def down() -> tuple[Observation, ...]:
    quiet = _seen("walloff-probe", outcome="inconclusive", reason="http_5xx", connected=None)
    return _down("cloudflare", "upgrade_rejected"), quiet


def asked(folder: Path, recordings: list[Recording], minute: float) -> Report:
    lines = [record_line(one.run, one.observations) for one in recordings]
    (folder / "runs.log").write_text("\n".join([*lines, ""]))
    when = utc(at(minute))
    return ask("--at", when, "--runs", str(folder), now=at(49 * HOUR))


def told(report: Report) -> str:
    lines = list(to_lines(report))
    assert max(map(len, lines)) <= WIDTH
    assert len(lines) < 120
    return " ".join(" ".join(lines).split())


def test_a_leg_that_flaps_for_a_day(tmp_path: Path) -> None:
    """Every other minute its connection is cut: each is an outage of its own, and only those near
    the time that is asked for are told."""
    recordings = [
        run(minute, *([_cut("cloudflare", "closed_by_peer")] if minute % 2 else []))
        for minute in range(24 * HOUR)
    ]
    near = [run_seen(one) for one in recordings[600:620]]
    outages = outages_of(near)
    assert len(outages) == 10
    assert all(one.ended is not None and one.ended - one.began < 10 for one in outages)
    report = asked(tmp_path, recordings, 601 + 15 / 60)
    text = told(report)
    assert "It was us: tunnel" in text
    facts = to_dict(report)
    (cloudflare,) = (one for one in facts["legs"] if one["leg"] == "cloudflare")
    assert cloudflare["state"] == "dropped"


@pytest.mark.parametrize("hour", [1, 24, 47])
def test_an_outage_of_two_days(tmp_path: Path, hour: int) -> None:
    recordings = [run(minute, *down()) for minute in range(48 * HOUR)]
    recordings += [run(48 * HOUR + extra) for extra in range(5)]
    report = asked(tmp_path, recordings, hour * HOUR)
    assert "It was us: tunnel" in told(report)


def test_it_is_one_outage_that_ends_at_the_first_good_beat(tmp_path: Path) -> None:
    many = [run_seen(run(minute, *down())) for minute in range(48 * HOUR)]
    good = run_seen(run(48 * HOUR))
    (one,) = outages_of([*many, good])
    first = min(leg.first_good for leg in good.legs if leg.name == "cloudflare" and leg.first_good)
    assert one.began == pytest.approx(at(0, 0.5))
    assert one.ended == first
    assert len(one.incidents) == 48 * HOUR
    # While it goes on nobody knows its end.
    (open_one,) = outages_of(many[:100])
    assert open_one.ended is None
