"""Runs with round trips of a known length, in a few words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from verdict.simulated_world import ROUTES

from t3probe.observation import Baseline, Beat, Observation, RunRecord
from t3probe.verdict.slow.slowness import Slowness

REFERENCE = {name: one.path for name, one in ROUTES.items() if not name.startswith("envoy-")}
"""The reference deployment's legs."""
LEVELS = {"tcp": "connect", "walloff": "ask", "walled": "ask"}


def known(seconds: float) -> Baseline:
    """A baseline of long standing."""
    return Baseline(beats=9000, moving_seconds=seconds)


def paced(
    leg: str, path: str, now: float, usual: float | None = 0.01, beats: int = 5, **more: Any
) -> Observation:
    """A leg whose median round trip is `now`."""
    kind = more.pop("kind", ROUTES[leg].kind if leg in ROUTES else "http")
    facts: dict[str, Any] = {
        "outcome": "passed",
        "level": LEVELS.get(kind, "hold"),
        "baseline": None if usual is None else known(usual),
        **more,
    }
    return Observation(
        leg=leg,
        kind=kind,
        path=tuple(path.split()),
        beats=tuple(
            Beat(sent=float(at), ended=at + now, ok=True, conn=0, measured_seconds=now)
            for at in range(beats)
        ),
        **facts,
    )


def reference(
    slow: Mapping[str, float], legs: Iterable[str] = REFERENCE, usual: float = 0.01
) -> list[Observation]:
    """The reference deployment when these segments add so many seconds to each answer.

    A handshake is answered by a kernel, so only the network itself could slow it.
    """
    return [
        paced(
            name,
            REFERENCE[name],
            usual
            + (
                0.0
                if name == "egress"
                else sum(slow.get(one, 0) for one in REFERENCE[name].split())
            ),
            usual,
        )
        for name in legs
    ]


def slowness(seen: Iterable[Observation], **record: Any) -> Slowness:
    """What is slow in such a run."""
    legs = {one.leg: one for one in seen}
    segments = tuple(dict.fromkeys(name for one in legs.values() for name in one.path))
    return Slowness(RunRecord(segments=segments, **record), segments, legs)
