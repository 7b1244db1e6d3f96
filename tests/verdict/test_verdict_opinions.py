"""What programs say of themselves, beside the verdict: what they disagree about, never more."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from verdict_script import blip, cut, down, held, leg, opening, well

from t3probe.observation import Observation, OpinionView, RunRecord
from t3probe.verdict import gate
from t3probe.verdict.exact.labels import LABELS
from t3probe.verdict.incident.run import RunVerdict, judge_run
from t3probe.verdict.opinions import OPINION_DISAGREEMENTS, OpinionBeside

TUNNEL_DOWN = (
    leg("public", "wan tunnel", opening(0), held(0, 10), down(10.1, 15.0)),
    leg("edge", "wan", well(5.01, 15.01, 25.01)),
)
ONE_OF = (leg("public", "wan tunnel", opening(0), held(0, 10), down(10.1, 15.0)),)
ALL_WELL = (leg("public", "wan tunnel", well(5, 15, 25)),)
CONTRADICTORY = (
    leg("public", "tunnel", opening(0), held(0, 10), down(10.1, 15.0)),
    leg("other", "tunnel wan", well(5.01, 15.01, 25.01)),
)
WORLDS = {
    "convicted": TUNNEL_DOWN,
    "ambiguous": ONE_OF,
    "exonerated": ALL_WELL,
    "unobserved": (leg("edge", "wan", well(5, 15, 25)),),
    "inconsistent": CONTRADICTORY,
}


def view(opinion: str = "healthy", **more: Any) -> OpinionView:
    facts = {"name": "cfd", "segment": "tunnel", "kind": "cloudflared", "steady": True}
    return OpinionView(opinion=opinion, **{**facts, **more})  # type: ignore[arg-type]


def judged(world: str, *views: OpinionView) -> RunVerdict:
    return judge_run(RunRecord(segments=("wan", "tunnel"), opinions=views), WORLDS[world])


def beside(world: str, one: OpinionView) -> OpinionBeside:
    (found,) = judged(world, one).opinions
    return found


@pytest.mark.parametrize(
    ("world", "opinion", "compared", "disagreement"),
    [
        ("convicted", "healthy", True, "opinion_only"),
        ("ambiguous", "healthy", True, "opinion_only"),
        ("exonerated", "healthy", True, None),
        ("convicted", "unhealthy", True, None),
        ("ambiguous", "unhealthy", True, None),
        ("exonerated", "unhealthy", True, "probe_only"),
        *((world, "degraded", False, None) for world in WORLDS),
        *((world, "unknown", False, None) for world in WORLDS),
        *(("unobserved", one, False, None) for one in ("healthy", "unhealthy")),
        *(("inconsistent", one, False, None) for one in ("healthy", "unhealthy")),
    ],
)
def test_a_disagreement_is_claimed_where_both_are_sure(
    world: str, opinion: str, compared: bool, disagreement: str | None
) -> None:
    found = beside(world, view(opinion))
    assert (found.compared, found.disagreement) == (compared, disagreement)
    assert bool(found.beside) == bool(disagreement)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("opinion", ["healthy", "unhealthy"])
def test_what_changed_during_the_run_is_held_against_nobody(world: str, opinion: str) -> None:
    found = beside(world, view(opinion, steady=False))
    assert (found.compared, found.disagreement) == (False, None)


def test_the_worlds_are_what_their_names_say() -> None:
    for world in WORLDS:
        verdict = judged(world).verdict
        if world == "inconsistent":
            assert verdict.status == "inconsistent"
        else:
            assert "tunnel" in getattr(verdict, world)


def test_the_sentences() -> None:
    well_off = view(detail="4 connections to the edge, in fra08")
    assert beside("convicted", well_off).sentence == (
        "cfd calls tunnel well (4 connections to the edge, in fra08), and the run convicts it"
    )
    assert beside("ambiguous", view()).sentence == "cfd calls tunnel well, and the run suspects it"
    broken = view("unhealthy", detail="0 connections to the edge")
    assert beside("exonerated", broken).sentence == (
        "cfd calls tunnel broken (0 connections to the edge), and the run clears it"
    )
    assert beside("convicted", broken).sentence == (
        "cfd calls tunnel broken (0 connections to the edge)"
    )
    assert beside("convicted", view("unknown", detail="it refuses connections")).sentence == (
        "what cfd thinks of tunnel is not known (it refuses connections)"
    )


def test_the_label_of_the_moment_goes_before_that_of_the_run() -> None:
    """In the held mode, whose verdict moves on."""
    assert beside("convicted", view(label="exonerated")).disagreement is None
    assert beside("exonerated", view(label="convicted")).disagreement == "opinion_only"
    assert not beside("convicted", view(label="")).compared
    assert not beside("convicted", view(label="whatever a record says")).compared


OPINIONS = st.lists(
    st.builds(
        view,
        st.sampled_from(["healthy", "degraded", "unhealthy", "unknown"]),
        steady=st.booleans(),
        segment=st.sampled_from(["wan", "tunnel", "elsewhere"]),
        label=st.sampled_from([None, "", *LABELS, "other"]),
        detail=st.text(max_size=20),
    ),
    max_size=4,
)
LEGS = st.lists(
    st.sampled_from(
        [
            *(one for world in WORLDS.values() for one in world),
            leg("cut", "wan tunnel", opening(0), held(0, 10), cut(10.1, 15.0)),
            leg("blip", "wan tunnel", opening(0), held(0, 10, 20), blip(10.1, 11.0)),
        ]
    ),
    max_size=4,
    unique_by=lambda one: one.leg,
)


@given(OPINIONS, LEGS)
def test_no_opinion_changes_a_verdict_or_a_gate(
    views: list[OpinionView], legs: list[Observation]
) -> None:
    run = RunRecord(segments=("wan", "tunnel"))
    without = judge_run(run, legs)
    with_them = judge_run(msgspec.structs.replace(run, opinions=tuple(views)), legs)
    told = with_them.to_dict()
    assert bool(told.pop("opinions", ())) == bool(views)
    assert told == without.to_dict()
    for names in (("wan",), ("tunnel",), ("wan", "tunnel")):
        blocked = [gate.blocked(one.verdict, names) for one in (with_them, without)]
        assert blocked[0] == blocked[1]


def test_the_json_form() -> None:
    told = judged("convicted", view(colos=("fra08",), detail="x")).to_dict()["opinions"]
    assert json.loads(json.dumps(told)) == [
        {
            "name": "cfd",
            "segment": "tunnel",
            "kind": "cloudflared",
            "opinion": "healthy",
            "detail": "x",
            "colos": ["fra08"],
            "compared": True,
            "disagreement": "opinion_only",
            "text": "cfd calls tunnel well (x), and the run convicts it",
        }
    ]
    assert set(OPINION_DISAGREEMENTS) == {"opinion_only", "probe_only"}


def test_a_record_that_names_thousands_is_cut() -> None:
    assert len(judged("convicted", *[view()] * 5000).opinions) == 64
