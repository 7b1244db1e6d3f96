"""Corners: strands that fail in either order, a collapse after a drop, a hold of 0."""

from __future__ import annotations

import pytest
from test_matrix import expected, given, segments_of

EITHER_ORDER = {
    # New ones fail, and then the open one dies: one outage, which has its reason and age.
    "tunnel:drain@700ms tunnel:cut@1500ms": (
        "localised | tunnel | - | - | -",
        [("held", "closed_by_peer", "down")],
    ),
    # The open one dies, and a new one works; later new ones fail.
    "tunnel:cut@500ms tunnel:drain@1300ms": (
        "localised | tunnel | - | - | -",
        [("held", "closed_by_peer", "cut"), ("fresh", "upgrade_rejected", "refusing")],
    ),
    # Both at one moment.
    "tunnel:cut@900ms tunnel:drain@900ms": (
        "localised | tunnel | - | - | -",
        [("held", "closed_by_peer", "down")],
    ),
    # Open ones die while new ones fail; then new ones work again, and fail once more.
    "tunnel:exit@500ms+400ms tunnel:drain@1700ms": (
        "localised | tunnel | - | - | -",
        [("held", "closed_by_peer", "down"), ("fresh", "upgrade_rejected", "refusing")],
    ),
    "dispatch:drain@700ms dispatch:cut@1500ms": (
        "localised | dispatch | - | tunnel carve-out | -",
        [("held", "closed_by_peer", "down")],
    ),
    "dispatch:cut@500ms dispatch:drain@1300ms": (
        "localised | dispatch | - | tunnel carve-out | -",
        [("held", "closed_by_peer", "cut"), ("fresh", "upgrade_rejected", "refusing")],
    ),
}
"""Faults -> the whole verdict, and strand, reason and symptom of each drop of `cloudflare`."""


@pytest.mark.parametrize("faults", EITHER_ORDER)
def test_strands_that_fail_in_either_order(field, faults: str) -> None:
    row, drops = EITHER_ORDER[faults]
    seen = field.run(faults.split(), 2.6)
    assert given(field, seen.verdict) == expected(row, segments_of(field)), seen.trouble
    found = seen.legs["cloudflare"].drops
    assert [(one.strand, one.reason, one.symptom) for one in found] == drops
    assert all((one.connection_age_seconds is not None) == (one.strand == "held") for one in found)


def test_a_collapse_after_a_drop_convicts_whom_the_drop_does(field) -> None:
    """Alone, a collapse says nothing about anybody (`doh:internal` in the matrix)."""
    seen = field.run(["doh:refuse@500ms+400ms", "doh:internal@1500ms"], 2.6)
    leg = seen.legs["resolver"]
    assert (leg.outcome, leg.reason) == ("failed", leg.drops[0].reason)
    assert leg.ended < 2.5, "nothing is seen of the way that it should have gone"
    wanted = expected("localised | doh | - | - | -", segments_of(field))
    assert given(field, seen.verdict) == wanted, seen.trouble


HOLD_ZERO = {
    "": "clean | - | - | - | -",
    "serve:exit": "localised | serve | - | - | -",
    "tunnel:drain": "localised | tunnel | - | - | -",
    "traefik:new-404": "ambiguous | - | traefik carve-out | cf-edge tunnel | wall",
    "dispatch:stall": "localised | dispatch | - | tunnel carve-out | -",
    "doh:exit": "localised | doh | - | - | tunnel",
    "serve:new-404 dispatch:exit": "ambiguous | dispatch | devvm serve | tunnel carve-out | -",
    # Nothing is held that could be cut, or closed when it is idle.
    "tunnel:cut@10ms": "clean | - | - | - | -",
    "serve:idle:300ms": "clean | - | - | - | -",
}


@pytest.mark.parametrize("faults", HOLD_ZERO)
def test_a_hold_of_zero_holds_nothing_and_sees_no_cut(field, faults: str) -> None:
    seen = field.run(faults.split())
    wanted = expected(HOLD_ZERO[faults], segments_of(field))
    assert given(field, seen.verdict) == wanted, seen.trouble
    for leg in seen.legs.values():
        assert leg.connections == ()
        assert {beat.strand for beat in leg.beats} <= {"fresh"}
        assert not {drop.symptom for drop in leg.drops} & {"cut", "refusing"}
