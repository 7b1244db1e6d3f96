"""What the verdict must be for two faults of a run, in the form of `matrix_table`: the whole of it.

`PAIRS_START`: both are there before the legs; `PAIRS_MID`: both begin at 0.9 s unless they say
otherwise.

Rows that are no plain conviction of both, and why:

- a segment whose every leg also crosses a broken one is masked by it: nobody could have told;
- a process that answers 404 or a redirect without a mark may be anything from where the TCP
  connection ends, unless another leg crossed *through* there: with dispatch gone nobody crosses
  through devvm;
- a wall joins one common beat in a heartbeat. What is noticed a moment after the first drop finds
  no wall's beat any more, and nobody else crosses through traefik;
- a leg clears nothing of what was noticed within a second of a drop of its own;
- a leg calls one common beat a second: one that was cut a moment ago is compared with nobody when
  it drops again;
- a rule that lets everything past is not seen when nothing is behind it.
"""

from __future__ import annotations

PAIRS_START = {
    "serve:exit tunnel:drain": "localised | tunnel serve | - | - | -",
    "serve:new-404 dispatch:exit": "ambiguous | dispatch | devvm serve | tunnel carve-out | -",
    "doh:exit tunnel:drain": "localised | doh | - | - | tunnel",
    "doh:new-502 serve:new-502": "localised | doh serve | - | - | tunnel",
    "cf-edge:drain serve:drain": "localised | cf-edge serve | - | tunnel | -",
    "traefik:drain dispatch:new-sso": "localised | traefik dispatch | - | tunnel carve-out | wall",
    "tunnel:new-sso serve:exit": "ambiguous | serve | cf-edge tunnel | - | -",
    "carve-out:new-502 wall:new-502": "localised | carve-out | - | tunnel | wall",
    "traefik:new-404 serve:new-404": (
        "ambiguous | serve | traefik carve-out | cf-edge tunnel | wall"
    ),
    "tunnel:exit dispatch:exit": "localised | dispatch | - | tunnel carve-out | -",
    "upstream-search:exit doh:drain": "localised | doh upstream-search | - | - | tunnel",
    "dispatch:new-404 carve-out:stall": "localised | dispatch | - | tunnel carve-out | -",
    "wan:blackhole serve:exit": "localised | wan serve | - | doh cf-edge | tunnel",
    "devvm:blackhole tunnel:new-502": "localised | devvm | - | tunnel carve-out dispatch serve | -",
}

PAIRS_MID = {
    # New kinds with one another.
    "serve:exit tunnel:drain": "localised | tunnel serve | - | - | -",
    "serve:exit dispatch:exit": "localised | dispatch serve | - | tunnel carve-out | -",
    "serve:drain dispatch:drain": "localised | dispatch serve | - | tunnel carve-out | -",
    "serve:new-502 dispatch:new-502": "localised | dispatch serve | - | - | -",
    "serve:new-404 dispatch:exit": "ambiguous | dispatch | devvm serve | tunnel carve-out | -",
    "serve:new-404 dispatch:new-404": "ambiguous | dispatch | devvm serve | - | -",
    "serve:new-404 tunnel:exit": "localised | tunnel serve | - | - | -",
    "serve:new-sso tunnel:new-404": "ambiguous | serve | cf-edge tunnel | - | -",
    "serve:new-sso traefik:new-502": "localised | traefik serve | - | tunnel carve-out | wall",
    "serve:exit cf-edge:exit": "localised | cf-edge serve | - | tunnel | -",
    "serve:drain traefik:exit": "localised | traefik serve | - | tunnel carve-out | wall",
    "serve:exit doh:exit": "localised | doh serve | - | - | -",
    "serve:exit carve-out:new-sso": "ambiguous | serve | traefik carve-out | cf-edge tunnel | -",
    "serve:exit upstream-orders:exit": "localised | serve upstream-orders | - | - | -",
    "upstream-orders:drain upstream-billing:exit": (
        "localised | upstream-orders upstream-billing | - | - | -"
    ),
    "tunnel:new-502 carve-out:new-502": "localised | carve-out | - | tunnel | -",
    "tunnel:drain traefik:drain": "localised | traefik | - | tunnel carve-out | wall",
    "tunnel:new-404 traefik:new-502": "localised | traefik | - | cf-edge tunnel carve-out | wall",
    "tunnel:exit dispatch:drain": "localised | dispatch | - | tunnel carve-out | -",
    "tunnel:new-sso doh:new-502": "ambiguous | doh | cf-edge tunnel | - | -",
    "cf-edge:new-502 tunnel:new-502": "localised | cf-edge | - | tunnel | -",
    "cf-edge:drain traefik:drain": "localised | cf-edge traefik | - | tunnel carve-out | wall",
    "cf-edge:exit dispatch:exit": "localised | cf-edge dispatch | - | tunnel carve-out | -",
    "traefik:exit dispatch:drain": "localised | traefik dispatch | - | tunnel carve-out | wall",
    "traefik:new-404 dispatch:drain": (
        "localised | dispatch | - | cf-edge tunnel traefik carve-out | wall"
    ),
    "carve-out:new-404 dispatch:new-404": (
        "localised | dispatch | - | cf-edge tunnel traefik carve-out | -"
    ),
    "carve-out:new-sso dispatch:new-sso": (
        "ambiguous | dispatch | cf-edge tunnel traefik carve-out | - | -"
    ),
    "carve-out:new-404 wall:new-404": ("ambiguous | - | traefik carve-out | cf-edge tunnel | wall"),
    "tunnel:idle:300ms@100ms serve:exit": "localised | tunnel serve | - | - | -",
    "dispatch:idle:300ms@100ms serve:drain": (
        "localised | dispatch serve | - | tunnel carve-out | -"
    ),
    "tunnel:idle:300ms@100ms dispatch:exit": (
        "localised | dispatch | - | cf-edge tunnel traefik carve-out devvm | -"
    ),
    # With older kinds.
    "devvm:blackhole tunnel:drain": ("localised | devvm | - | tunnel carve-out dispatch serve | -"),
    "devvm:reset serve:exit": "ambiguous | serve | devvm dispatch | tunnel carve-out | -",
    "wan:blackhole serve:exit": "localised | wan serve | - | doh cf-edge tunnel | -",
    "wan:cut dispatch:drain": "ambiguous | dispatch | wan doh cf-edge | tunnel carve-out | -",
    "tunnel:cut serve:new-502": "localised | tunnel serve | - | - | -",
    "traefik:blackhole serve:exit": "localised | traefik serve | - | tunnel carve-out | wall",
    "dispatch:stall serve:exit": "localised | dispatch serve | - | tunnel carve-out | -",
    "carve-out:stall serve:drain": "localised | carve-out serve | - | tunnel | -",
    "carve-out:sso dispatch:exit": (
        "ambiguous | dispatch | cf-edge tunnel traefik carve-out | - | -"
    ),
    "wall:open tunnel:exit": "localised | tunnel wall | - | - | -",
    "wall:open serve:exit": "localised | serve | - | - | wall",
    "dispatch:wrong-echo serve:new-sso": (
        "ambiguous | dispatch | devvm serve | tunnel carve-out | -"
    ),
    "doh:garbage tunnel:exit": "localised | doh tunnel | - | - | -",
    "cf-edge:http502 serve:exit": "localised | cf-edge serve | - | tunnel | -",
    # One after the other.
    "serve:drain@700ms tunnel:exit@1500ms": "localised | tunnel serve | - | - | -",
    "tunnel:drain@300ms dispatch:exit@1500ms": "localised | tunnel dispatch | - | carve-out | -",
    "tunnel:drain@700ms dispatch:exit@1500ms": "localised | dispatch | - | tunnel carve-out | -",
    "dispatch:exit@500ms+300ms serve:exit@1500ms": (
        "localised | dispatch serve | - | tunnel carve-out | -"
    ),
}
