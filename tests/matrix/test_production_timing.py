"""The production timing, by the real run and a whole lab on a clock that both share.

Heartbeats come at 10, 20 and 30 s; a beat that nobody answers is given up after 20 s, a connect
after 5 s; what is open at the end of the hold, at 35 s, is awaited until 50 s. So most outages meet
few beats, and some meet none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from matrix_field import Field
from steady_lab import SteadyLab
from test_matrix import expected, given, segments_of

from t3probe.config import load

TIMING = {
    "hold": "35s",
    "heartbeat": "10s",
    "watchdog": "20s",
    "connect_timeout": "5s",
    "backoff": "3s",
    "backoff_max": "30s",
    "deadline": "50s",
}
"""That of the reference deployment; a test holds them together."""
PACE = 40.0
"""A run then takes a second or two. A kernel sends a connect that met silence again after 40 s of
this clock: an outage in which it began lasts for it until it is given up."""
ALL_OF_WAN = "doh cf-edge tunnel traefik carve-out devvm dispatch"

ROWS = {
    # Silence is noticed 20 s after the beat that met it; the second look then has until 50 s.
    "tunnel:blackhole@12s": "localised | tunnel | - | - | -",
    "dispatch:stall@12s": "localised | dispatch | - | tunnel carve-out | -",
    "wan:blackhole@12s": "localised | wan | - | doh cf-edge tunnel | -",
    "doh:blackhole@12s": "localised | doh | - | - | -",
    "devvm:blackhole@12s": "localised | devvm | - | tunnel carve-out dispatch serve | -",
    "traefik:blackhole@3s": "localised | traefik | - | tunnel carve-out | wall",
    # Between two beats, so nobody met it: what is open stays open, and bytes come later.
    "tunnel:blackhole@12s+5s": "clean | - | - | - | -",
    "wan:blackhole@12s+6s": "clean | - | - | - | -",
    "traefik:drain@12s+5s": "clean | - | - | - | -",
    "serve:exit@12s+3s": "clean | - | - | - | -",
    # One beat met it, and nobody looked a second time while it went on.
    "tunnel:blackhole@18s+8s": "clean | - | - | - | -",
    # Four legs at once: two blips over one segment are drops, and nobody is cleared of a blip.
    "wan:blackhole@19s+4s": f"localised | wan | - | {ALL_OF_WAN} | -",
    "wan:blackhole+3s": "localised | wan | - | doh | -",
    # A process that ends is noticed at once where a WebSocket is open, else at the next beat.
    "tunnel:exit@12s": "localised | tunnel | - | - | -",
    "tunnel:exit@12s+5s": "localised | tunnel | - | - | -",
    "serve:exit@12s": "localised | serve | - | - | -",
    "serve:exit@29s": "localised | serve | - | - | -",
    "dispatch:exit@33s": "localised | dispatch | - | tunnel carve-out | -",
    "cf-edge:exit@21s": "localised | cf-edge | - | tunnel | -",
    # A cut, in the middle and after the last heartbeat.
    "tunnel:cut@12s": "localised | tunnel | - | - | -",
    "tunnel:cut@33s": "localised | tunnel | - | - | -",
    "dispatch:cut@34s": "localised | dispatch | - | tunnel carve-out | -",
    "wan:cut@25s": "ambiguous | - | wan doh cf-edge | tunnel | -",
    # Open ones live on: noticed by the fresh beat of the next heartbeat, or not at all.
    "serve:drain@5s": "localised | serve | - | - | -",
    "traefik:drain@12s": "localised | traefik | - | tunnel carve-out | wall",
    "traefik:drain@33s": "clean | - | - | - | -",
    "cf-edge:new-502@21s": "localised | cf-edge | - | tunnel | -",
    "traefik:new-404@12s": "ambiguous | - | traefik carve-out | cf-edge tunnel | wall",
    "carve-out:sso@12s": "localised | carve-out | - | cf-edge tunnel traefik | -",
    "dispatch:new-404@28s": "localised | dispatch | - | - | -",
    # Two at once.
    "serve:exit@12s tunnel:drain@14s": "localised | tunnel serve | - | - | -",
    "tunnel:cut@12s serve:drain@15s": "localised | tunnel serve | - | - | -",
}


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with SteadyLab(tmp_path_factory.mktemp("production"), TIMING, PACE) as lab:
        yield Field(lab)


def test_these_are_the_times_of_the_reference_deployment(production: Field) -> None:
    reference = load(Path(__file__).parents[2] / "deployments" / "t3.toml", {}, now=0.0).timing
    here = production.deployment.timing
    for name in TIMING:
        assert getattr(here, name) == getattr(reference, name), name


@pytest.mark.parametrize("faults", ROWS)
def test_an_outage_at_some_onset(production: Field, faults: str) -> None:
    seen = production.run(faults.split(), 35.0)
    assert given(production, seen.verdict) == expected(ROWS[faults], segments_of(production)), (
        seen.trouble
    )


def test_a_server_that_closes_idle_connections_after_5_s_drops_nothing(production: Field) -> None:
    """As Node's HTTP server does: half of each heartbeat nothing is held."""
    seen = production.run(["serve:idle:5s"], 35.0)
    leg = seen.legs["t3serve"]
    assert (leg.outcome, leg.drops, leg.connected, leg.accepting) == ("passed", (), True, True)
    assert len(leg.connections) >= 3
    assert all(beat.ok for beat in leg.beats)
    assert seen.verdict["status"] == "clean"


def test_a_run_without_a_fault(production: Field) -> None:
    seen = production.run(hold=35.0)
    assert seen.verdict["status"] == "clean", seen.trouble
    held = [one for one in seen.legs["cloudflare"].beats if one.strand == "held"]
    assert [round(one.sent) for one in held][-3:] == [10, 20, 30]
