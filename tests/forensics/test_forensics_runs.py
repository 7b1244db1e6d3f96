"""Bursts laid beside what the runs saw."""

from __future__ import annotations

import msgspec
import pytest
from forensics_help import AT

from t3probe.ask.forensics.beside import Beside, RunsNearby
from t3probe.ask.forensics.report import beside_text
from t3probe.observation import (
    RECORD_VERSION,
    Attempt,
    Beat,
    Connection,
    Drop,
    Observation,
    RunRecord,
    Strand,
)
from t3probe.record.facts import Recording

HOST = "192.0.2.1:443"
STRANDS: tuple[Strand, ...] = ("held", "fresh")
HELD = (Connection(conn=0, opened=0.0, remote_address=HOST),)
TUNNELED = ("wan", "cf-edge", "tunnel", "traefik")


def beats(until: float, *called: float) -> tuple[Beat, ...]:
    """Both strands of a leg that beats every five seconds, and whenever another one calls."""
    opening = Beat(sent=0.0, ended=0.1, ok=True, conn=0, strand="fresh")
    sent = sorted((*map(float, range(5, int(until), 5)), *called))
    both = [
        Beat(
            sent=at,
            ended=at + 0.1,
            ok=True,
            conn=0 if strand == "held" else 100 + number,
            strand=strand,
            call=int(at in called),
        )
        for number, at in enumerate(sent)
        for strand in STRANDS
    ]
    return (opening, *both)


def held(leg: str, path: tuple[str, ...], *called: float, until: float = 40.0) -> Observation:
    return Observation(
        leg=leg, kind="ws_echo", path=path, outcome="passed", level="hold", ended=until,
        beats=beats(until, *called), connections=HELD, address=HOST,
    )  # fmt: skip


def dropped(leg: str, path: tuple[str, ...], began: float, noticed: float) -> Observation:
    """Its connection falls silent, and so does a fresh one."""
    good = [one for one in beats(noticed) if one.ended < began]
    last = Beat(sent=began - 0.1, ended=began, ok=True, conn=0, strand="held")
    bad = [
        Beat(sent=noticed - 2, ended=noticed, ok=False, conn=0, strand="held"),
        Beat(sent=noticed + 0.02, ended=noticed + 1, ok=False, conn=200, strand="fresh", call=1),
    ]
    drop = Drop(
        began=began, noticed=noticed, reason="rtt_timeout", symptom="down", stage="hold", call=1,
        attempt=Attempt(
            started=noticed + 0.02, ended=noticed + 1, ok=False, reason="rtt_timeout",
            remote_address=HOST,
        ),
        strand="held", asked=noticed - 2, conn=0, connection_age_seconds=noticed,
        remote_address=HOST,
    )  # fmt: skip
    return Observation(
        leg=leg, kind="ws_echo", path=path, outcome="failed", level="hold", ended=40.0,
        reason="rtt_timeout", beats=(*good, last, *bad), drops=(drop,), connections=HELD,
        address=HOST,
    )  # fmt: skip


def run(started_at: float, *seen: Observation, vantage: str = "") -> Recording:
    segments = dict.fromkeys(one for leg in seen for one in leg.path)
    return Recording(
        RunRecord(
            version=RECORD_VERSION,
            started_at=started_at,
            duration_seconds=40.0,
            segments=tuple(segments),
            vantage=vantage,
        ),
        seen,
    )


def beside(*recordings: Recording, began: int = AT, ended: int = AT, reach: float = 60) -> Beside:
    runs = RunsNearby([(began, ended)], reach)
    for one in recordings:
        runs.add(one)
    return runs.beside(began, ended)


def broken(started_at: float, began: float = 15, noticed: float = 22) -> Recording:
    return run(
        started_at,
        dropped("cloudflare", TUNNELED, began, noticed),
        held("internal", ("traefik",), noticed + 0.01),
        held("edge", ("wan", "cf-edge"), noticed + 0.01),
    )


def test_an_incident_at_the_same_time() -> None:
    found = beside(broken(AT - 20))
    (incident,) = found.incidents
    assert (incident.relation, incident.convicted) == ("same", ("tunnel",))
    assert found.held == {"internal": ("traefik",), "edge": ("wan", "cf-edge")}
    assert beside_text(("wan", "cf-edge", "tunnel"), found, {}) == [
        "the probe at the same time: cloudflare was down: tunnel is convicted; "
        "both point at tunnel",
        "so wan and cf-edge carried the probe; left: tunnel",
    ]


@pytest.mark.parametrize(
    ("start", "relation"),
    [
        (-23.5, "same"),
        (-24.5, "before"),
        (-60.0, "before"),
        (-17.0, "same"),
        (20.0, "after"),
        (-85, ""),
        (50, ""),
    ],
)
def test_before_and_after(start: float, relation: str) -> None:
    found = beside(broken(AT + start))
    assert [one.relation for one in found.incidents] == ([relation] if relation else [])


def test_a_run_that_saw_nothing_clears_what_held_through() -> None:
    found = beside(run(AT - 20, held("internal", ("traefik",)), held("edge", ("wan", "cf-edge"))))
    assert found.cleared == ("traefik", "wan", "cf-edge")
    assert beside_text(("wan", "cf-edge", "tunnel"), found, {}) == [
        "a run was observing and nothing dropped: internal and edge held through it",
        "so wan and cf-edge carried the probe; left: tunnel",
    ]
    said = beside_text(("wan",), found, {})[-1]
    assert said.startswith("so every suspect carried the probe's own")


def test_a_segment_of_several_machines_is_cleared_by_nobody_else() -> None:
    one = run(AT - 20, held("internal", ("traefik",)), held("edge", ("wan", "cf-edge")))
    one = Recording(msgspec.structs.replace(one.run, spread=("traefik", "wan")), one.observations)
    found = beside(one)
    assert found.held == {"internal": (), "edge": ("cf-edge",)}
    assert found.cleared == ("cf-edge",)
    assert beside_text(("wan", "cf-edge", "traefik"), found, {}) == [
        "a run was observing and nothing dropped: internal and edge held through it",
        "so cf-edge carried the probe; left: wan or traefik",
    ]


def test_a_leg_clears_no_more_than_its_answers_proved() -> None:
    seen = msgspec.structs.replace(held("edge", ("wan", "cf-edge")), clears=("wan",))
    assert beside(run(AT - 20, seen)).cleared == ("wan",)


def test_what_did_not_hold_through_clears_nothing() -> None:
    early = held("internal", ("traefik",), until=18)
    found = beside(run(AT - 20, early, held("edge", ("wan", "cf-edge"))))
    assert list(found.held) == ["edge"]
    found = beside(run(AT - 20, early))
    assert (found.observing, found.held) == ((), {})


@pytest.mark.parametrize("start", [-90.0, 30.0])
def test_no_run_was_observing_then(start: float) -> None:
    found = beside(run(AT + start, held("internal", ("traefik",))))
    assert not found.observing
    assert beside_text(("traefik",), found, {}) == ["no run was observing then: nothing is cleared"]


def test_an_inconclusive_run_observed_nothing() -> None:
    blind = Observation(
        leg="internal", kind="ws_echo", path=("traefik",), outcome="inconclusive", ended=40.0
    )
    assert not beside(run(AT - 20, blind)).observing


def test_an_incident_near_is_told_though_no_run_was_observing_then() -> None:
    found = beside(broken(AT - 60))
    assert beside_text((), found, {}) == [
        "before it: cloudflare was down: tunnel is convicted",
        "no run was observing then: nothing is cleared",
    ]


def test_the_reach_can_be_wider() -> None:
    assert beside(broken(AT - 200)).incidents == ()
    assert [one.relation for one in beside(broken(AT - 200), reach=300).incidents] == ["before"]


def test_vantages_are_runs_of_their_own_and_a_later_record_replaces_an_earlier() -> None:
    clean = run(AT - 20, held("internal", ("traefik",)))
    other = run(AT - 20, held("internal", ("traefik",)), vantage="attic")
    assert len(beside(clean, other).observing) == 2
    assert len(beside(clean, broken(AT - 20)).observing) == 1
    assert len(beside(clean, broken(AT - 20)).incidents) == 1
