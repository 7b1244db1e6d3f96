"""Vantages whose clocks differ, and what comes and goes: nobody innocent is convicted by that."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_vantages import EXACT, VANTAGES, judged, run_at
from verdict.simulated_world import Breaks
from verdict_script import down, fresh, leg, opening, usual, well

from t3probe.observation import Observation, RunRecord
from t3probe.show.vantages import lines
from t3probe.verdict.clocks import LEAST_SECONDS, apart
from t3probe.verdict.vantages import Together, judge_together

BEGAN = 1_700_000_000.0
Known = tuple[float, ...]


def dated(seen: Observation, began: Known, **more: Any) -> Observation:
    return msgspec.structs.replace(seen, server_began=began, **({"server": "app:443"} | more))


def together(
    there: Sequence[Observation],
    *,
    here: Known,
    clock: float = 0.0,
    vouched: float | None = None,
    local: tuple[str, ...] = ("wan",),
    **more: Any,
) -> Together:
    """Home's edge is down from 10.1 s on, and of its line nobody tells. `clock`: by how much the
    cloud's is ahead."""
    beats = (*usual(until=15), *fresh(20, 25, 30, ok=False))
    seen = dated(leg("edge", "wan cf-edge", beats, down()), here)
    run = RunRecord(
        deployment="t3", segments=("wan", "cf-edge"), local=local, version=2, vantage="home",
        started_at=BEGAN, duration_seconds=35.0,
    )  # fmt: skip
    other = msgspec.structs.replace(
        run, **({"vantage": "cloud", "started_at": BEGAN + clock} | more)
    )
    return judge_together([(run, [seen]), (other, there)], vouched)


def through(began: Known, **more: Any) -> Observation:
    """The cloud's edge is well, and is asked every four seconds."""
    beats = (*opening(0.0), *fresh(*(float(at) for at in range(4, 35, 4))))
    return dated(leg("edge", "wan cf-edge", beats), began, **more)


def exactly(at: float) -> tuple[float, float]:
    return BEGAN + at - 0.5, BEGAN + at + 0.5


@pytest.mark.parametrize("clock", [0.0, 2.0, -2.0, 30.0, -3600.0])
def test_runs_of_one_time_are_compared_whatever_their_clocks_say(clock: float) -> None:
    found = together([through(exactly(0.0))], here=exactly(0.0), clock=clock)
    assert found.verdict.convicted == ("wan@home",)
    assert found.cleared_by == {"cloud/edge": {"cf-edge": None}}
    assert found.clocks == ({"cloud": clock} if clock else {})
    said = " ".join(" ".join(lines(found)).split())
    assert ("that is set right here" in said) == bool(clock)


@pytest.mark.parametrize("late", [40.0, -40.0, 300.0])
def test_a_clock_that_makes_two_times_look_like_one_convicts_nobody(late: float) -> None:
    """The cloud looked when all was well again, or not yet broken, and its clock says otherwise."""
    found = together([through(exactly(late))], here=exactly(0.0), clock=0.0)
    assert {*found.verdict.ambiguous} == {"wan@home", "cf-edge"}
    assert found.contrasts == ()
    assert found.uncompared[0].text.endswith("with cloud: its run did not overlap")
    assert found.clocks == {"cloud": -late}


def test_beats_within_what_the_dates_leave_open_do_not_count() -> None:
    """Known within 1 s each, home's outage from 15.2 to 30 s is broken for sure from 17.2 to 28."""
    known = exactly(0.0)[0] - 0.5, exactly(0.0)[1] + 0.5
    beats = (*opening(0.0), *fresh(15.4, 16.2, 17.0, 28.3, 29.0, 29.6))
    near = dated(leg("edge", "wan cf-edge", beats), known)
    assert together([near], here=known).cleared_by == {}
    beats = (*opening(0.0), *fresh(17.5, 20.0, 27.0))
    inside = dated(leg("edge", "wan cf-edge", beats), known)
    assert together([inside], here=known).cleared_by


@pytest.mark.parametrize("sent", [(20.0,), (20.0, 24.0), (20.0, 20.2, 20.4)])
def test_a_few_good_beats_clear_nothing_and_are_said(sent: tuple[float, ...]) -> None:
    """What comes and goes may have been met by one and missed by the other."""
    there = dated(leg("edge", "wan cf-edge", (*opening(0.0), *fresh(*sent))), exactly(0.0))
    found = together([there], here=exactly(0.0))
    assert found.cleared_by == {}
    assert {*found.verdict.ambiguous} == {"wan@home", "cf-edge"}
    assert [one.segment for one in found.contrasts] == ["cf-edge"]


def test_without_a_server_that_told_both_nothing_is_compared_unless_vouched_for() -> None:
    for here, there in (((), ()), (exactly(0.0), ()), ((), exactly(0.0))):
        found = together([through(there)], here=here)
        assert found.cleared_by == {}
        assert found.contrasts == ()
        assert "no server told both how far their clocks differ; see --clocks" in (
            found.uncompared[0].text
        )
    vouched = together([through(())], here=(), vouched=1.0)
    assert vouched.cleared_by == {"cloud/edge": {"cf-edge": None}}
    stepped = together([through(())], here=(), vouched=1.0, clock_step_seconds=-5.0)
    assert stepped.cleared_by == {}
    assert "the clock of cloud was set during its run" in stepped.uncompared[0].text


def test_what_servers_tell_is_worth_more_than_any_word() -> None:
    found = together([through(exactly(40.0))], here=exactly(0.0), vouched=1.0)
    assert found.cleared_by == {}


def test_a_step_of_the_clock_does_not_matter_where_a_server_told() -> None:
    found = together([through(exactly(0.0))], here=exactly(0.0), clock_step_seconds=-5.0)
    assert found.cleared_by == {"cloud/edge": {"cf-edge": None}}


@pytest.mark.parametrize(
    "more",
    [
        {"server": "another:443"},
        {"leg": "another"},
        {"path": ("wan",), "tcp_ends_at": "wan"},
        {"tcp_ends_at": "wan"},
    ],
)
def test_only_a_server_that_is_one_for_both_tells(more: dict[str, Any]) -> None:
    """One on a segment of the vantage's own is another machine for each."""
    here = {"edge": dated(leg("edge", "wan cf-edge", well()), exactly(0.0))}
    other = dated(leg("edge", "wan cf-edge", well()), exactly(0.0), **more)
    assert apart(here, {"edge": here["edge"]}, ("wan",)) is not None
    assert apart(here, {other.leg: other}, ("wan",)) is None


def test_servers_that_contradict_each_other_tell_nothing() -> None:
    here = {name: dated(leg(name, "wan cf-edge"), exactly(0.0)) for name in ("a", "b")}
    there = here | {"b": dated(leg("b", "wan cf-edge"), exactly(3.0))}
    assert apart(here, here, ("wan",)) is not None
    assert apart(here, there, ("wan",)) is None


moments = st.floats(-1e5, 1e5)
slacks = st.floats(0.0, 5.0)


@given(moments, moments, st.lists(st.tuples(slacks, slacks, slacks, slacks, moments), max_size=5))
def test_the_truth_lies_within_what_is_told(
    mine: float, theirs: float, legs: list[tuple[float, float, float, float, float]]
) -> None:
    """Whatever each server's clock is off by, and however exactly each run learned it."""
    here, there = {}, {}
    for at, (one, two, three, four, off) in enumerate(legs):
        known = mine + off - one, mine + off + two
        here[f"{at}"] = dated(leg(f"{at}", "wan far"), known)
        there[f"{at}"] = dated(leg(f"{at}", "wan far"), (theirs + off - three, theirs + off + four))
    found = apart(here, there, ("wan",))
    assert (found is None) == (not legs)
    if found is not None:
        assert found.within_seconds >= LEAST_SECONDS
        assert abs(found.seconds - (mine - theirs)) <= found.within_seconds + 1e-6


@pytest.mark.parametrize("vantages", VANTAGES, ids=len)
@pytest.mark.parametrize("segment", ["tunnel", "dispatch", "cf-edge"])
@pytest.mark.parametrize("kind", ["down", "cut", "refusing"])
def test_verdicts_do_not_depend_on_the_clocks(
    kind: str, segment: str, vantages: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    import test_vantages

    before = judged(segment, kind, vantages)

    def skewed(name: str, *more: Any) -> tuple[RunRecord, list[Observation]]:
        run, seen = run_at(name, *more)
        slip = {"home": 0.0, "cloud": 30.0, "office": -2.0}[name]
        return msgspec.structs.replace(run, started_at=run.started_at + slip), seen

    monkeypatch.setattr(test_vantages, "run_at", skewed)
    after = judged(segment, kind, vantages)
    assert after.verdict == before.verdict
    assert after.clocks["cloud"] == pytest.approx(30.0, abs=2 * EXACT)


@pytest.mark.parametrize("kind", ["gone", "silence", "stall", "drain"])
def test_what_comes_and_goes_convicts_nobody_else(kind: Any) -> None:
    """A shared segment is broken now and then, for seconds: all vantages meet it, each at other
    moments."""
    convicted = 0
    for seed in range(25):
        rng = random.Random(f"flapping {kind} {seed}")
        segment = rng.choice(["doh", "cf-edge", "tunnel", "traefik", "devvm", "dispatch", "serve"])
        mean, at = rng.choice([0.5, 2.0, 5.0]), rng.uniform(-10.0, 12.0)
        some = []
        while at < 45.0:
            end = at + rng.expovariate(1 / mean) + 0.05
            some.append(Breaks(segment, kind, at, end, keeps=rng.random() < 0.5))
            at = end + rng.expovariate(1 / mean) + 0.05
        runs = [run_at(name, some, seed) for name in ("home", "cloud", "office")]
        verdict = judge_together(runs).verdict
        assert {*verdict.convicted} <= {segment}, (seed, some)
        assert segment not in verdict.exonerated or verdict.status in ("clean", "incomplete")
        convicted += segment in verdict.convicted
    assert convicted > 15


def test_the_simulated_vantages_meet_what_they_are_given() -> None:
    fault = Breaks("tunnel", "gone", 8.0)
    one, several = run_at("home", fault), run_at("home", [fault, dataclasses.replace(fault)])
    assert [leg.outcome for leg in one[1]] == [leg.outcome for leg in several[1]]
