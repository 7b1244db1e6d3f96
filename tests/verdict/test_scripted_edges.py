"""Scripted timelines at the edges: of the hold, of what a leg can know, of our own footing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from verdict_reference import (
    COLLAPSED,
    HELD,
    NEVER,
    NO_BEATS,
    PLANNED,
    PUBLIC,
    ROUTES,
    UNRESOLVED,
    Away,
    Mute,
    Open,
    Polite,
    Slow,
    Told,
    all_of,
    answered,
    aside,
    but,
    lost,
    observed,
    play,
    record,
    refused,
    silent,
)

from t3probe.verdict import judge_run

ENVOYS = "envoy-orders envoy-billing"
ALL_OF_CLOUDFLARE = "wan|cf-edge|tunnel|traefik|carve-out|devvm|dispatch"
TUNNEL_CUT = Told(
    *(10.02, 15.22, "cloudflare", "cut", "tunnel"),
    held=but(HELD, "cloudflare"),
    beside=aside("cloudflare"),
)
NAMELESS = [UNRESOLVED, NO_BEATS]
GONE = Mute(0, 60)
"""The public page tells nothing all along, so its leg is inconclusive."""

ONE_INCIDENT: dict[str, tuple[dict[str, Any], Told]] = {
    # --- the edges of the hold ---------------------------------------------------------
    # Nobody had an answer before cloudflare's last beat was sent: they dialled together. What lies
    # beside its way was seen to work.
    "cut before anybody beat twice": (
        {"cloudflare": lost(0.2)},
        Told(*(0.07, 0.22, "cloudflare", "cut"), one_of=ALL_OF_CLOUDFLARE,
             beside=aside("cloudflare", ROUTES)),
    ),
    # The first requests of all others were sent while it was down. Its own answer came over
    # the CDN, so wan carried it.
    "down from the very first attempt": (
        {"cloudflare": answered(0.05, "upgrade_rejected"), "walloff-probe": GONE},
        Told(*(0.0, None, "cloudflare", "down", "tunnel"),
             inside=but(HELD, "cloudflare") + " walled-home", beside=ENVOYS,
             carried="cloudflare:wan"),
    ),
    # After the last beat of the hold; the common beat at its end is what tells.
    "cut after the last beat": (
        {"cloudflare": lost(33)},
        TUNNEL_CUT._replace(onset=30.02, end=33.02),
    ),
    # No other connection grew as old as this one: a limit on age may be anywhere on its way.
    # What lies beside that way was seen to work.
    "cut in the very last moment": (
        {"cloudflare": lost(34.99)},
        Told(*(30.02, 35.01, "cloudflare", "cut"), one_of=ALL_OF_CLOUDFLARE,
             beside=aside("cloudflare", ROUTES)),
    ),
    "the watchdog expires after the hold: down": (
        {"cloudflare": silent(20, NEVER), "walloff-probe": Mute(20, 60)},
        Told(*(10.02, None, "cloudflare", "down", "tunnel"), held=but(HELD, "cloudflare"),
             inside="walled-home", beside=ENVOYS),
    ),
    # 40 s old when it was noticed, but it died before 20 s: others were older by then.
    "the watchdog expires after the hold: cut": (
        {"cloudflare": silent(20)},
        TUNNEL_CUT._replace(end=40.02),
    ),
    "the deadline cuts the attempt that decides": (
        {"cloudflare": lost(34, undecided=True)},
        TUNNEL_CUT._replace(onset=30.02, end=None, symptom="unknown"),
    ),
    # The deadline cut internal's beat of 30 s: it is no sign of life for what came then.
    "the deadline cuts a witness's answer": (
        {"cloudflare": lost(32, NEVER), "internal": Open(30), "walloff-probe": Mute(32, 60)},
        Told(*(30.02, None, "cloudflare", "down"), one_of="tunnel|carve-out",
             held=but(HELD, "cloudflare internal"), common="walled-home", beside=ENVOYS),
    ),
    # --- what a leg can know --------------------------------------------------------------
    # The onset is the answer, but what broke may have broken while it was on its way.
    "a slow answer and then a cut": (
        {"cloudflare": [Slow(10, 4), lost(15.2)]},
        TUNNEL_CUT._replace(onset=14.0),
    ),
    # internal reconnected while that answer was on its way, so both may be one event.
    "a slow answer, another leg cut meanwhile": (
        {"cloudflare": [Slow(10, 4), lost(15.2)], "internal": lost(12)},
        Told(*(10.02, 15.22, "cloudflare internal", "cut", "carve-out"), masked="tunnel",
             held=but(HELD, "cloudflare internal"), beside=aside("cloudflare internal")),
    ),
    # A polite close is no drop, but what reconnected has not held: cf-edge stays a suspect.
    "another leg's connection was closed politely": (
        {"cloudflare": lost(15.2), "edge": Polite(12)},
        Told(*(10.02, 15.22, "cloudflare", "cut"), one_of="cf-edge|tunnel",
             held=but(HELD, "cloudflare edge"), beside=aside("cloudflare")),
    ),
    # dispatch was not looked at, so it and the carve-out cannot be told apart.
    "a gap in coverage": (
        {"cloudflare": lost(15.2), "internal": lost(15.2), "dispatch": Away(5, 60)},
        Told(*(10.02, 15.22, "cloudflare internal", "cut"), one_of="carve-out|dispatch",
             masked="tunnel", held=but(HELD, "cloudflare internal dispatch"),
             beside=aside("cloudflare internal")),
    ),
    # Who needs a name has none: it tells nothing. egress connects, so wan is fine.
    "names cannot be resolved": (
        {"resolver": refused(0.05), "edge": NAMELESS, "cloudflare": NAMELESS,
         "walloff-probe": NAMELESS},
        Told(*(0.0, None, "resolver", "down", "doh"), unseen="cf-edge tunnel",
             inside=f"egress internal traefik dispatch devvm t3serve walled-home {ENVOYS}"),
    ),
    # Its earlier beats may have gone another way too: they clear nothing, and its own drop
    # accuses nobody. The public page clears what lies behind the CDN.
    "a leg collapses in mid-run": (
        {"cloudflare": [lost(15.2), COLLAPSED], "edge": lost(15.2)},
        Told(*(10.02, 15.22, "edge", "cut", "cf-edge"),
             held=but(HELD, "cloudflare edge"), beside=aside("edge")),
    ),
    # traefik's own leg is under planned downtime: it neither blames nor clears.
    "planned downtime of a witness": (
        {"internal": lost(15.2), "cloudflare": lost(15.2), "traefik": [lost(15.2), PLANNED]},
        Told(*(10.02, 15.22, "cloudflare internal", "cut"), one_of="traefik|carve-out",
             masked="tunnel", held=but(HELD, "cloudflare internal traefik"),
             beside=aside("cloudflare internal")),
    ),
    # --- our own footing ------------------------------------------------------------------
    # We stood still when cloudflare dropped: it takes no part. The page saw the tunnel.
    "we stood still at the onset of another drop": (
        {"cloudflare": lost(15.2, stalled=True), "internal": lost(16)},
        Told(*(15.23, 16.02, "internal", "cut", "carve-out"),
             held=but(HELD, "cloudflare internal"), beside=aside("internal")),
    ),
    "we stood still, and later it dropped in earnest": (
        {"cloudflare": [lost(5, stalled=True), lost(25)]},
        TUNNEL_CUT._replace(onset=20.02, end=25.02),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_INCIDENT)
def test_one_incident(name: str) -> None:
    script, wanted = ONE_INCIDENT[name]
    assert all_of(play(script)) == [wanted]


STALLED = {leg: silent(10, noticed=30, stalled=True) for leg in HELD}

NO_INCIDENT: dict[str, tuple[dict[str, Any], str, str]] = {
    "nothing happens": ({}, "clean", ""),
    "a polite close between beats": ({"edge": Polite(12)}, "clean", ""),
    "an answer that is slow": ({"cloudflare": Slow(10, 15)}, "clean", ""),
    "the deadline cuts the last answer": ({"cloudflare": Open(30)}, "clean", ""),
    # Nothing but the held legs sees these segments.
    "we stood still for twenty seconds": (STALLED, "incomplete", "doh devvm dispatch serve"),
    "planned downtime": ({"t3serve": [lost(15.2, NEVER), PLANNED]}, "incomplete", "serve"),
    # The public page still clears the tunnel.
    "a leg is cut and comes back on another way": (
        {"cloudflare": [lost(15.2), COLLAPSED]}, "clean", "",
    ),
    "a public page that answers 5xx": ({"walloff-probe": GONE}, "clean", ""),
    "a walled page that answers 5xx": ({"walled-home": GONE}, "incomplete", "wall"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_INCIDENT)
def test_no_incident(name: str) -> None:
    script, status, unseen = NO_INCIDENT[name]
    run = play(script)
    assert run.incidents == ()
    assert (run.verdict.status, run.verdict.convicted) == (status, ())
    assert " ".join(run.verdict.unobserved) == unseen


def test_beats_and_drops_in_any_order_say_the_same() -> None:
    seen = observed({"cloudflare": [lost(5), lost(15.2)], "internal": Slow(10, 3)})
    turned = [
        msgspec.structs.replace(one, beats=one.beats[::-1], drops=one.drops[::-1])
        for one in reversed(seen)
    ]
    plain, other = all_of(judge_run(record(), seen)), all_of(judge_run(record(), turned))
    assert [one.convicted for one in plain] == ["tunnel", "tunnel"]
    for one, same in zip(other, plain, strict=True):
        assert sorted(one.held.split()) == sorted(same.held.split())
        assert sorted(one.beside.split()) == sorted(same.beside.split())
        assert one._replace(held="", beside="") == same._replace(held="", beside="")


# --- from outside, with the public legs only ---------------------------------------------


def test_from_outside_a_cut_tunnel_cannot_be_told_from_what_lies_behind_it() -> None:
    inner = "tunnel|traefik|carve-out|devvm|dispatch"
    assert all_of(play({"cloudflare": lost(15.2)}, PUBLIC)) == [
        Told(
            *(10.02, 15.22, "cloudflare", "cut"),
            one_of=inner,
            unseen="wall serve rack upstream-orders upstream-billing",
            held="resolver edge",
        )
    ]


def test_from_outside_a_public_page_clears_up_to_the_carve_out_while_it_is_down() -> None:
    # The page answered at the common beat: an answer is what cloudflare does not get.
    assert all_of(play({"cloudflare": lost(15.2, NEVER)}, PUBLIC)) == [
        Told(
            *(10.02, None, "cloudflare", "down"),
            one_of="devvm|dispatch",
            unseen="wall serve rack upstream-orders upstream-billing",
            held="resolver edge",
            common="walloff-probe",
        )
    ]


def test_from_outside_a_wan_that_is_down_is_convicted() -> None:
    down = lost(15.2, NEVER, stage="connect")
    script = {
        "egress": refused(15.21),
        **dict.fromkeys(("resolver", "edge", "cloudflare"), down),
        "walloff-probe": Mute(15, 60),
    }
    assert all_of(play(script, PUBLIC)) == [
        Told(
            *(10.02, None, "egress resolver edge cloudflare", "down", "wan"),
            masked="doh cf-edge tunnel traefik carve-out devvm dispatch",
            unseen="wall serve rack upstream-orders upstream-billing",
        )
    ]
