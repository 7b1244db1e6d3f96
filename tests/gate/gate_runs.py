"""Recorded runs in a few words, for comparing."""

from __future__ import annotations

from typing import Any

from t3probe.observation import (
    RECORD_VERSION,
    Attempt,
    Beat,
    Connection,
    Drop,
    Observation,
    RunRecord,
)
from t3probe.record.facts import Recording

SEGMENTS = ("wan", "cf-edge", "tunnel", "traefik", "dispatch")
PATHS = {
    "edge": ("wan", "cf-edge"),
    "cloudflare": ("wan", "cf-edge", "tunnel", "traefik", "dispatch"),
    "internal": ("traefik", "dispatch"),
    "traefik": ("traefik",),
}
HOST = "192.0.2.1:443"
CALLED = 1.01
"""When all other legs beat, after one that is down was noticed at 1 s."""
SENT = (0.5, CALLED, *(at + 0.5 for at in range(1, 9)))


def down() -> Drop:
    """Nothing works, from the first attempt at 0 s on; the second look waits for as long."""
    return Drop(
        began=0.0, noticed=1.0, reason="rtt_timeout", symptom="down", stage="ask", call=1,
        strand="fresh", asked=0.0, remote_address=HOST,
        attempt=Attempt(
            started=1.02, ended=2.0, ok=False, reason="rtt_timeout", remote_address=HOST
        ),
    )  # fmt: skip


def leg(name: str, *, failed: bool = False, rtt: float = 0.02, spread: float = 0.001) -> Any:
    """A leg with ten beats on each strand, the held ones first. Each takes `spread` seconds more or
    less than `rtt` in turn."""
    opening = Beat(sent=0.0, ended=rtt, ok=True, conn=0, strand="fresh")
    took = [rtt + (-spread, 0.0, spread)[at % 3] for at in range(len(SENT))]
    held, fresh = (
        [
            Beat(
                sent=sent, ended=sent + lasts, ok=True, strand=strand, call=int(sent >= CALLED),
                conn=0 if strand == "held" else 1 + at,
            )
            for at, (sent, lasts) in enumerate(zip(SENT, took, strict=True))
        ]
        for strand in ("held", "fresh")
    )  # fmt: skip
    facts: dict[str, Any] = {
        "outcome": "passed", "connected": True, "accepting": True,
        "beats": (*held, opening, *fresh), "phases": {"connect": 0.01, "tls": 0.03},
        "connections": (Connection(conn=0, opened=0.0, remote_address=HOST),),
    }  # fmt: skip
    if failed:
        tried = (
            Beat(sent=0.0, ended=1.0, ok=False, conn=0, strand="fresh"),
            Beat(sent=1.02, ended=2.0, ok=False, conn=1, strand="fresh", call=1),
        )
        facts = {
            "outcome": "failed", "reason": "rtt_timeout", "connected": False, "accepting": False,
            "beats": tried, "drops": (down(),),
        }  # fmt: skip
    return Observation(
        leg=name, kind="http", path=PATHS[name], level="hold", ended=10.0, address=HOST, **facts
    )


def run(*failed: str, without: tuple[str, ...] = (), at: float = 1_700_000_000.0, **legs: Any):
    """A run in which these legs failed. `legs` gives others in place of the plain ones."""
    seen = [
        legs.get(name) or leg(name, failed=name in failed) for name in PATHS if name not in without
    ]
    record = RunRecord(
        version=RECORD_VERSION, deployment="here", segments=SEGMENTS, paths=(PATHS["cloudflare"],),
        started_at=at,
    )  # fmt: skip
    return Recording(record, tuple(seen))
