"""Every segment of the reference deployment, cut and down: one incident, and what it says.

Only what befell the legs is scripted; who must be blamed, and by whose evidence, follows from
the rules. A cut is at 15.2 s: the legs' last beats before it were answered at 10.02 s.
"""

from __future__ import annotations

from typing import Any

import pytest
from verdict_reference import (
    HELD,
    NEVER,
    ROUTES,
    SEGMENTS,
    Mute,
    Told,
    all_of,
    answered,
    aside,
    but,
    lost,
    play,
    refused,
)

UPSTREAMS = "upstream-orders upstream-billing"
ENVOYS = "envoy-orders envoy-billing"
PUBLIC_PAGE = {"walloff-probe": Mute(15.2, 24.5)}

# Only legs that hold a connection see a cut. Of the others each clears what no failed leg crosses.
CUTS = {
    # Each leg that crosses wan and was held crosses one more that only it can speak for.
    "wan": Told(
        *(10.02, 15.22, "resolver edge cloudflare", "cut"),
        one_of="wan|doh wan|cf-edge", masked="tunnel",
    ),
    "doh": Told(10.02, 15.22, "resolver", "cut", "doh"),
    "cf-edge": Told(10.02, 15.22, "edge cloudflare", "cut", "cf-edge", masked="tunnel"),
    "tunnel": Told(10.02, 15.22, "cloudflare", "cut", "tunnel"),
    "traefik": Told(
        10.02, 15.22, "cloudflare internal traefik", "cut", "traefik", masked="tunnel carve-out"
    ),
    "carve-out": Told(
        10.02, 15.22, "cloudflare internal", "cut", "carve-out", masked="tunnel"
    ),
    "devvm": Told(
        *(10.02, 15.22, "cloudflare internal dispatch devvm t3serve", "cut", "devvm"),
        masked="tunnel carve-out dispatch serve",
    ),
    "dispatch": Told(
        *(10.02, 15.22, "cloudflare internal dispatch", "cut", "dispatch"),
        masked="tunnel carve-out",
    ),
    "serve": Told(10.02, 15.22, "t3serve", "cut", "serve"),
}  # fmt: skip


@pytest.mark.parametrize("segment", CUTS)
def test_a_segment_is_cut(segment: str) -> None:
    hit = [leg for leg in HELD if segment in ROUTES[leg].path.split()]
    wanted = CUTS[segment]._replace(held=but(HELD, *hit), beside=aside(" ".join(hit)))
    assert all_of(play({leg: lost(15.2) for leg in hit})) == [wanted]


REFUSED = lost(15.2, 24, stage="connect")
"""Reset, and then no connection at all: tried at 15.2 and 18.2 s in vain, and at 24.2 s."""
FAILS = lost(15.2, 24)
"""Reset; then there is a connection, but what is asked fails."""

DOWNS: dict[str, tuple[dict[str, Any], Told]] = {
    # egress does not hold: it notices at the common beat, 0.01 s later. No connection of its own
    # died, so only a leg that connects anew clears for it; the others clear the rest.
    "wan": (
        {"egress": refused(15.21, 24), "resolver": REFUSED, "edge": REFUSED,
         "cloudflare": REFUSED, **PUBLIC_PAGE},
        Told(*(10.02, 24.24, "egress resolver edge cloudflare", "down", "wan"),
             masked="doh cf-edge tunnel",
             beside="internal traefik dispatch devvm t3serve",
             common=f"walled-home {ENVOYS}"),
    ),
    # The names are known by then, so no other leg needs the resolvers.
    "doh": (
        {"resolver": REFUSED},
        Told(*(10.02, 24.22, "resolver", "down", "doh"), held=but(HELD, "resolver"),
             common=f"egress walloff-probe walled-home {ENVOYS}"),
    ),
    "cf-edge": (
        {"edge": REFUSED, "cloudflare": REFUSED, **PUBLIC_PAGE},
        Told(*(10.02, 24.22, "edge cloudflare", "down", "cf-edge"), masked="tunnel",
             held=but(HELD, "edge cloudflare"), common=f"egress walled-home {ENVOYS}"),
    ),
    # The CDN answers instead of the tunnel. A connect is too little to clear wan for that.
    "tunnel": (
        {"cloudflare": FAILS, **PUBLIC_PAGE},
        Told(*(10.02, 24.22, "cloudflare", "down", "tunnel"), held=but(HELD, "cloudflare"),
             common="walled-home", beside=ENVOYS),
    ),
    "traefik": (
        {"cloudflare": FAILS, "internal": REFUSED, "traefik": REFUSED, **PUBLIC_PAGE,
         "walled-home": Mute(15.2, 24.5)},
        Told(*(10.02, 24.22, "cloudflare internal traefik", "down", "traefik"),
             masked="tunnel carve-out",
             held=but(HELD, "cloudflare internal traefik"), beside=f"walled-home {ENVOYS}"),
    ),
    "carve-out": (
        {"cloudflare": FAILS, "internal": FAILS, **PUBLIC_PAGE},
        Told(*(10.02, 24.22, "cloudflare internal", "down", "carve-out"), masked="tunnel",
             held=but(HELD, "cloudflare internal"), common="walled-home", beside=ENVOYS),
    ),
    # Served without a session: that is about an answer, which an open WebSocket says nothing of.
    # What the wall's leg does not cross is seen to work all the same.
    "wall": (
        {"walled-home": answered(20, "not_walled", 24)},
        Told(*(10.02, 29.04, "walled-home", "down", "wall"),
             held="resolver edge traefik devvm t3serve", inside="walloff-probe",
             beside=f"egress cloudflare internal dispatch {ENVOYS}"),
    ),
    "devvm": (
        {"cloudflare": FAILS, "internal": FAILS, "dispatch": REFUSED, "devvm": REFUSED,
         "t3serve": REFUSED, **PUBLIC_PAGE},
        Told(*(10.02, 24.22, "cloudflare internal dispatch devvm t3serve", "down", "devvm"),
             masked="tunnel carve-out dispatch serve", held="resolver edge traefik",
             common="walled-home", beside=ENVOYS),
    ),
    "dispatch": (
        {"cloudflare": FAILS, "internal": FAILS, "dispatch": REFUSED, **PUBLIC_PAGE},
        Told(*(10.02, 24.22, "cloudflare internal dispatch", "down", "dispatch"),
             masked="tunnel carve-out", held="resolver edge traefik devvm t3serve",
             common="walled-home", beside=ENVOYS),
    ),
    "serve": (
        {"t3serve": REFUSED},
        Told(*(10.02, 24.22, "t3serve", "down", "serve"), held=but(HELD, "t3serve"),
             common=f"egress walloff-probe walled-home {ENVOYS}"),
    ),
    # Two upstreams on one host. Nobody else crosses it, so two broken upstreams are possible.
    "rack": (
        {"envoy-orders": refused(20, 24), "envoy-billing": refused(20, 24)},
        Told(*(10.02, 29.03, ENVOYS, "down"),
             one_of="rack|upstream-orders rack|upstream-billing",
             inside="egress walloff-probe walled-home", beside=" ".join(HELD)),
    ),
    # The other upstream of the same host was connected to meanwhile.
    "upstream-orders": (
        {"envoy-orders": refused(20, 24)},
        Told(*(10.02, 29.03, "envoy-orders", "down", "upstream-orders"),
             inside="egress walloff-probe walled-home envoy-billing", beside=" ".join(HELD)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("segment", DOWNS)
def test_a_segment_is_down(segment: str) -> None:
    script, wanted = DOWNS[segment]
    assert all_of(play(script)) == [wanted]


def test_every_segment_is_scripted() -> None:
    # The wall, and what only upstreams cross, have no leg that holds a connection.
    assert set(CUTS) == set(SEGMENTS.split()) - {"wall", "rack"}
    assert set(DOWNS) == {*SEGMENTS.split(), "upstream-orders"}


def test_a_cut_wan_is_the_only_simplest_explanation() -> None:
    run = play({leg: lost(15.2) for leg in ("resolver", "edge", "cloudflare")})
    assert run.verdict.minimal_sets == (("wan",), ("doh", "cf-edge"))


def test_two_upstreams_of_one_host_have_one_simplest_explanation() -> None:
    run = play({leg: refused(20, NEVER) for leg in ENVOYS.split()})
    assert run.verdict.minimal_sets == (("rack",), tuple(UPSTREAMS.split()))
