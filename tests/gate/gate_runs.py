"""Recorded runs in a few words, for comparing."""

from __future__ import annotations

from typing import Any

from t3probe.observation import Beat, Drop, Observation, RunRecord
from t3probe.record import Recording

SEGMENTS = ("wan", "cf-edge", "tunnel", "traefik", "dispatch")
PATHS = {
    "edge": ("wan", "cf-edge"),
    "cloudflare": ("wan", "cf-edge", "tunnel", "traefik", "dispatch"),
    "internal": ("traefik", "dispatch"),
    "traefik": ("traefik",),
}


def leg(name: str, *, failed: bool = False, rtt: float = 0.02, spread: float = 0.001) -> Any:
    """A leg with ten beats, each `spread` seconds longer or shorter than `rtt` in turn."""
    beats = tuple(
        Beat(sent=float(at), ended=at + rtt + (-spread, 0.0, spread)[at % 3], ok=True, conn=0)
        for at in range(10)
    )
    drops = ()
    if failed:
        drops = (
            Drop(began=0.0, noticed=1.0, reason="rtt_timeout", symptom="down", stage="ask", call=1),
        )
        beats = ()
    return Observation(
        leg=name,
        kind="http",
        path=PATHS[name],
        level="hold",
        outcome="failed" if failed else "passed",
        reason="rtt_timeout" if failed else None,
        beats=beats,
        drops=drops,
        ended=10.0,
        phases={} if failed else {"connect": 0.01, "tls": 0.03},
    )


def run(*failed: str, without: tuple[str, ...] = (), at: float = 1_700_000_000.0, **legs: Any):
    """A run in which these legs failed. `legs` gives others in place of the plain ones."""
    seen = [
        legs.get(name) or leg(name, failed=name in failed) for name in PATHS if name not in without
    ]
    record = RunRecord(
        deployment="here", segments=SEGMENTS, paths=(PATHS["cloudflare"],), started_at=at
    )
    return Recording(record, tuple(seen))
