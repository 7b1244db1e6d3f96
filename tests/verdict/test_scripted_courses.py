"""Scripted timelines with a course: two causes, flaps, relapses, bursts, wrong answers, age."""

from __future__ import annotations

from typing import Any

import pytest
from verdict_reference import (
    HELD,
    NEVER,
    PUBLIC,
    ROUTES,
    Mute,
    Told,
    all_of,
    answered,
    aside,
    but,
    lost,
    play,
    refused,
    silent,
)

ENVOYS = "envoy-orders envoy-billing"
TUNNEL_CUT = Told(
    *(10.02, 15.22, "cloudflare", "cut", "tunnel"),
    held=but(HELD, "cloudflare"),
    beside=aside("cloudflare"),
)
SERVE_CUT = Told(
    *(20.02, 25.02, "t3serve", "cut", "serve"), held=but(HELD, "t3serve"), beside=aside("t3serve")
)
INNER = "internal traefik dispatch devvm t3serve"
ONCE_ALL = f"egress walloff-probe walled-home {ENVOYS}"

# --- two causes --------------------------------------------------------------------------

COURSES: dict[str, tuple[dict[str, Any], list[Told]]] = {
    # By then cloudflare has reconnected: it is younger than t3serve's connection, and it did not
    # pass. The public page, which did, clears the tunnel.
    "two causes apart: two incidents": (
        {"cloudflare": lost(8), "t3serve": lost(25)},
        [TUNNEL_CUT._replace(onset=0.32, end=8.02),
         SERVE_CUT._replace(held=but(HELD, "cloudflare t3serve"))],
    ),
    # serve was silent from 10 s on; cloudflare was cut meanwhile. The request that serve did not
    # answer says nothing of WebSockets, nor they of it: internal and dispatch clear for it only
    # what its leg does not cross, and that is all that cloudflare needs.
    "two causes that overlap: one incident, both convicted": (
        {"cloudflare": lost(15.2), "t3serve": silent(10)},
        [Told(*(0.32, 30.02, "cloudflare t3serve", "cut", "tunnel serve"),
              held="resolver edge traefik devvm",
              beside=f"internal dispatch {aside('cloudflare t3serve')}")],
    ),
    # Two incidents. Neither leg says anything about the other's: it fell in the same moment.
    "two causes in one moment, in parts that share nothing": (
        {leg: lost(15.2, 24, stage="connect") for leg in ("resolver", "t3serve")},
        [Told(*(10.02, 24.22, "resolver", "down", "doh"), unseen="serve",
              held=but(HELD, "resolver t3serve"), common=ONCE_ALL),
         Told(*(10.02, 24.22, "t3serve", "down", "serve"), unseen="doh",
              held=but(HELD, "resolver t3serve"), common=ONCE_ALL)],
    ),
    # The tunnel's fault cannot be seen behind traefik's: probe again after the repair.
    "two causes, one behind the other": (
        {**{leg: lost(15.2, NEVER) for leg in ("cloudflare", "internal", "traefik")},
         "walloff-probe": Mute(15, 60), "walled-home": Mute(15, 60)},
        [Told(*(10.02, None, "cloudflare internal traefik", "down", "traefik"),
              masked="tunnel carve-out", unseen="wall",
              held=but(HELD, "cloudflare internal traefik"), beside=ENVOYS)],
    ),
    # t3serve is down from 12 s to 30 s. cloudflare answered the common beat of 12.01 s, so its
    # cut at 15.2 s is another event; t3serve, reconnecting, says nothing about it.
    "a cut while another leg is down": (
        {"t3serve": lost(12, 25), "cloudflare": lost(15.2)},
        [Told(*(10.02, 30.02, "t3serve", "down", "serve"), held=but(HELD, "t3serve"),
              common="walloff-probe walled-home", beside=f"egress {ENVOYS}"),
         TUNNEL_CUT._replace(onset=12.03, unseen="serve", held=but(HELD, "cloudflare t3serve"))],
    ),
    # No other WebSocket outlived dispatch's first, so its age may be what ended it; and for the
    # second cut dispatch's new one is too young. The machine's own leg is old enough for both.
    "a cut when another leg has just reconnected": (
        {"dispatch": lost(8), "internal": lost(9.5), "cloudflare": lost(9.5)},
        [Told(*(0.32, 8.02, "dispatch", "cut", "dispatch"),
              held="resolver edge traefik devvm t3serve", beside=aside("dispatch")),
         Told(*(8.03, 9.52, "cloudflare internal", "cut"), one_of="carve-out|dispatch",
              masked="tunnel", held=but(HELD, "cloudflare internal dispatch"),
              beside=aside("cloudflare internal"))],
    ),
    # --- flaps, relapses -------------------------------------------------------------------
    "a flap: each time an incident": (
        {"cloudflare": [lost(5), lost(12), lost(25)]},
        [TUNNEL_CUT._replace(onset=0.32, end=5.02), TUNNEL_CUT._replace(end=12.02),
         TUNNEL_CUT._replace(onset=20.02, end=25.02)],
    ),
    "a recovery, then a relapse": (
        {"cloudflare": [lost(5, 9), lost(25, NEVER)],
         "walloff-probe": [Mute(5, 14.5), Mute(25, 60)]},
        [Told(*(0.32, 14.02, "cloudflare", "down", "tunnel"), held=but(HELD, "cloudflare"),
              common="walled-home", beside=ENVOYS),
         Told(*(20.02, None, "cloudflare", "down", "tunnel"), held=but(HELD, "cloudflare"),
              common="walled-home", beside=ENVOYS)],
    ),
    # --- bursts ----------------------------------------------------------------------------
    # A box that ends its connections one after the other, within a third of a second: one
    # incident. edge and cloudflare still answered when resolver was cut, but fell themselves:
    # neither doh nor cf-edge is convicted for a wan that is broken.
    "a burst of legs within a second": (
        {"resolver": lost(15.2), "edge": lost(15.35), "cloudflare": lost(15.5)},
        [Told(*(10.02, 15.52, "resolver edge cloudflare", "cut"), one_of="wan|doh wan|cf-edge",
              masked="tunnel", held=INNER, beside=aside("resolver edge cloudflare"))],
    ),
    "a burst in one moment: every leg over the machine": (
        {leg: lost(15.2) for leg in ("cloudflare", "internal", "dispatch", "devvm", "t3serve")},
        [Told(*(10.02, 15.22, "cloudflare internal dispatch devvm t3serve", "cut", "devvm"),
              masked="tunnel carve-out dispatch serve", held="resolver edge traefik",
              beside=aside("cloudflare dispatch t3serve"))],
    ),
    # --- the age of connections ---------------------------------------------------------------
    # traefik ends each connection 12 s after it was made. cloudflare's reached it a little later
    # and is cut a little later: that is the same incident.
    "a limit on age meets one leg after the other": (
        {"internal": lost(12), "traefik": lost(12), "cloudflare": lost(12.04)},
        [Told(*(10.02, 12.06, "cloudflare internal traefik", "cut", "traefik"),
              masked="tunnel carve-out", held="resolver edge dispatch devvm t3serve",
              beside=aside("cloudflare internal traefik"))],
    ),
    # Connections over the tunnel end after 12 s: again and again, and internal's never.
    "a limit on age of one segment": (
        {"cloudflare": [lost(12), lost(24)]},
        [TUNNEL_CUT._replace(end=12.02), TUNNEL_CUT._replace(onset=20.02, end=24.02)],
    ),
    # --- wrong answers ------------------------------------------------------------------------
    # The SSO took a public path over. WebSockets that were open stay so and prove nothing about
    # it; nobody else asks over the tunnel. The answer itself came over wan.
    "walled off in mid-hold": (
        {"walloff-probe": answered(20, "walled_off")},
        [Told(*(10.02, None, "walloff-probe", "down"), one_of="tunnel|carve-out",
              held="resolver edge traefik devvm t3serve", inside="walled-home",
              beside=f"cloudflare internal dispatch {ENVOYS}", carried="walloff-probe:wan")],
    ),
    # The same, and a WebSocket is cut by something else and cannot come back: internal's, still
    # open, clears the carve-out for that cut, but not for the page that is walled off.
    "walled off in mid-hold, and a leg must reconnect": (
        {"walloff-probe": answered(15.21, "walled_off"), "cloudflare": lost(15.2, NEVER)},
        [Told(*(10.02, None, "cloudflare walloff-probe", "down"), one_of="tunnel|carve-out",
              held="resolver edge traefik devvm t3serve", common="walled-home",
              beside=f"internal dispatch {ENVOYS}")],
    ),
    # No open WebSocket is left that crosses it.
    "carve-out lost in mid-hold, with all that crossed it": (
        {"walloff-probe": answered(15.21, "walled_off"),
         **{leg: lost(15.2, NEVER) for leg in ("cloudflare", "internal")}},
        [Told(*(10.02, None, "cloudflare internal walloff-probe", "down", "carve-out"),
              masked="tunnel", held="resolver edge traefik devvm t3serve", common="walled-home",
              beside=f"dispatch {ENVOYS}")],
    ),
    # The load balancer answers 502, open WebSockets live on: they do not ask it anything.
    "5xx in mid-hold": (
        {"traefik": answered(20, "http_5xx"), "walloff-probe": Mute(20, 60),
         "walled-home": Mute(20, 60)},
        [Told(*(10.02, None, "traefik", "down", "traefik"), unseen="wall",
              held="resolver edge devvm t3serve",
              beside=f"egress cloudflare internal dispatch {ENVOYS}")],
    ),
    "the serve process answers 5xx for a while": (
        {"t3serve": answered(20, "http_5xx", 24)},
        [Told(*(10.02, 29.04, "t3serve", "down", "serve"), held="resolver edge traefik devvm",
              inside="walloff-probe walled-home",
              beside=f"egress cloudflare internal dispatch {ENVOYS}")],
    ),
    # The dispatch process sends back what nobody sent. The public page is another matter.
    "wrong echo": (
        {leg: answered(20, "wrong_echo") for leg in ("cloudflare", "internal", "dispatch")},
        [Told(*(10.02, None, "cloudflare internal dispatch", "down", "dispatch"),
              held="resolver edge traefik devvm t3serve", inside="walloff-probe walled-home",
              beside=ENVOYS, carried="cloudflare:wan")],
    ),
    # Acknowledged, and never answered: not by those before the load balancer. An open WebSocket
    # to the machine asks nobody anew, but what it crosses no silent leg's request needs.
    "the load balancer accepts and stays silent": (
        {**{leg: silent(10, NEVER, answered=True) for leg in ("cloudflare", "internal", "traefik")},
         "walloff-probe": Mute(10, 60), "walled-home": Mute(10, 60)},
        [Told(*(0.32, None, "cloudflare internal traefik", "down", "traefik"),
              masked="tunnel carve-out", unseen="wall", held="resolver edge devvm t3serve",
              beside=f"dispatch {ENVOYS}", carried="cloudflare:wan")],
    ),
    # --- refused connects of legs that hold nothing -----------------------------------------
    # It worked again at once; who else was connected to before and after says nothing of it.
    "an upstream refuses once": (
        {"envoy-orders": refused(20, None)},
        [Told(*(10.02, 20.03, "envoy-orders", "cut"), one_of="rack|upstream-orders",
              beside=aside("envoy-orders", ROUTES))],
    ),
    "an upstream answers no connect": (
        {"envoy-billing": refused(20, took=5)},
        [Told(*(10.02, None, "envoy-billing", "down", "upstream-billing"),
              inside="egress walloff-probe walled-home envoy-orders", beside=" ".join(HELD))],
    ),
    # The resolvers' addresses refuse, but a new connection went out meanwhile: one is wrong.
    "outcomes that contradict each other": (
        {"egress": refused(20)},
        [Told(*(10.02, None, "egress", "down"), status="inconsistent",
              inside=f"walloff-probe walled-home {ENVOYS}", beside=" ".join(HELD))],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COURSES)
def test_a_course(name: str) -> None:
    script, wanted = COURSES[name]
    assert all_of(play(script)) == wanted


def test_two_verdicts_of_one_run_are_both_in_its_record() -> None:
    run = play({"cloudflare": lost(8), "t3serve": lost(25)})
    first, second = run.to_dict()["incidents"]
    assert first == {
        "began_seconds": 0.32,
        "began": "2023-11-14T22:13:20.320Z",
        "noticed_seconds": 8.0,
        "noticed": "2023-11-14T22:13:28.000Z",
        "recovered_seconds": 8.02,
        "recovered": "2023-11-14T22:13:28.020Z",
        "symptom": "cut",
        "failed": ["cloudflare"],
        "cleared_by": {
            **dict.fromkeys(but(HELD, "cloudflare").split(), "held through"),
            **dict.fromkeys(aside("cloudflare").split(), "beside"),
        },
        "carried": {},
        "text": "Between 0.320 s and 8.000 s cloudflare was cut and could reconnect at once: "
        "tunnel is convicted.",
        "verdict": first["verdict"],
    }
    assert [one["verdict"]["convicted"] for one in (first, second)] == [["tunnel"], ["serve"]]
    assert [one["failed"] for one in (first, second)] == [["cloudflare"], ["t3serve"]]


def test_the_verdict_of_the_run_is_that_of_all_its_incidents() -> None:
    # Both legs of one cause, and later another. The worse incident comes first.
    both = play({"cloudflare": lost(8), "internal": lost(25), "dispatch": lost(25)})
    assert [one.failed for one in both.incidents] == [("dispatch", "internal"), ("cloudflare",)]
    assert "carve-out" in both.incidents[1].verdict.exonerated, "internal held through"
    assert both.verdict.convicted == ("tunnel", "dispatch")
    assert both.verdict.masked == ("carve-out",), "a suspect of the other incident"
    # What is down comes before a cut, whatever the number of legs.
    down = play({"cloudflare": lost(8), "internal": lost(8), "t3serve": lost(25, NEVER)})
    assert [one.symptom for one in down.incidents] == ["down", "cut"]
    assert down.verdict.convicted == ("carve-out", "serve")
    assert down.verdict.masked == ("tunnel",)


def test_an_incident_that_contradicts_itself_convicts_nobody_and_hides_nobody() -> None:
    # traefik's own leg fails, although others held through it: that cannot be.
    for until in (None, NEVER):
        run = play({"traefik": lost(8, until), "t3serve": lost(25)})
        by_onset = sorted(run.incidents, key=lambda one: one.began)
        assert [one.verdict.status for one in by_onset] == ["inconsistent", "localised"]
        assert (run.verdict.status, run.verdict.convicted) == ("localised", ("serve",))
        assert run.verdict.contradictions == ("traefik",)
        assert run.verdict.repairs is None
    alone = play({"traefik": lost(8)}).verdict
    assert (alone.status, alone.contradictions) == ("inconsistent", ("traefik",))
    assert alone.repairs is not None


def test_from_outside_a_burst_over_the_wan() -> None:
    run = play({leg: lost(15.2) for leg in ("resolver", "edge", "cloudflare")}, PUBLIC)
    assert run.verdict.minimal_sets[0] == ("wan",)
    assert run.verdict.convicted == ()
