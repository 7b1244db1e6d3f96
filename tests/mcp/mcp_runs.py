"""Recorded runs for an assistant's questions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from t3probe.observation import (
    RECORD_VERSION,
    Attempt,
    Beat,
    Drop,
    EnvoyView,
    Observation,
    RunRecord,
)
from t3probe.record.facts import Recording, leg_property, run_property

NOW = 1_795_000_000.0
"""A time in November 2026."""
SECONDS = 36.0
SEGMENTS = ("wan", "tunnel", "dispatch")


def good(leg: str, *path: str, **more: Any) -> Observation:
    """A leg that held through the run."""
    beats = (
        *(
            Beat(sent=at, ended=at + 0.03, ok=True, conn=0, call=1, strand="held")
            for at in (1.0, 11.0, 21.0, 31.0)
        ),
        Beat(sent=1.6, ended=1.7, ok=True, conn=1, call=1, strand="fresh"),
    )
    facts: dict[str, Any] = {
        "kind": "ws_echo", "outcome": "passed", "level": "hold", "ended": 35.0,
        "observed_seconds": 35.0, "connected": True, "accepting": True, "beats": beats,
    }  # fmt: skip
    return Observation(**{"leg": leg, "path": path, **facts, **more})


def down(leg: str, *path: str, **more: Any) -> Observation:
    """A leg that never worked."""
    again = Attempt(started=1.55, ended=2.5, ok=False, reason="connect_timeout")
    drop = Drop(
        began=0.5, noticed=1.5, reason="connect_timeout", symptom="down", stage="ask", call=1,
        strand="held", asked=1.0, attempt=again,
    )  # fmt: skip
    facts: dict[str, Any] = {
        "outcome": "failed", "reason": "connect_timeout", "connected": False, "accepting": False,
        "beats": (),
        "drops": (drop,), "detail": "no answer within 3 s",
    }  # fmt: skip
    return good(leg, *path, **{**facts, **more})


def refusing(leg: str, *path: str, **more: Any) -> Observation:
    """A leg whose connection lived on while nothing new was accepted."""
    again = Attempt(started=1.55, ended=2.5, ok=False, reason="connect_refused")
    drop = Drop(
        began=0.5, noticed=1.5, reason="connect_refused", symptom="refusing", stage="connect",
        call=1, strand="fresh", asked=1.4, attempt=again,
    )  # fmt: skip
    facts: dict[str, Any] = {
        "outcome": "failed", "reason": "connect_refused", "accepting": False, "drops": (drop,),
        "beats": tuple(one for one in good(leg, *path).beats if one.strand == "held"),
    }  # fmt: skip
    return good(leg, *path, **{**facts, **more})


def upstream(name: str, ok: bool = True, **more: Any) -> Observation:
    """An upstream behind the route of its name."""
    labels = {"route": f"route-{name}", "listen_port": "8443", "backend": f"{name}.lan:80"}
    beat = Beat(sent=1.0, ended=1.1, ok=True, conn=0, measured_seconds=0.002)
    facts: dict[str, Any] = {
        "kind": "tcp", "level": "connect", "labels": labels, "beats": (beat,) if ok else (),
    }  # fmt: skip
    make = good if ok else down
    return make(f"envoy-{name}", f"upstream-{name}", **{**facts, **more})


def view(name: str, opinion: Any, *kinds: Any) -> EnvoyView:
    return EnvoyView(
        route=f"route-{name}", listen_port="8443", opinion=opinion, detail="/failed_active_hc",
        disagreements=kinds,
    )  # fmt: skip


BROKEN_TUNNEL = (
    good("egress", "wan"),
    down("cloudflare", "wan", "tunnel", "dispatch"),
    good("dispatch", "dispatch"),
)
THREE_DOWN = (
    upstream("a"),
    upstream("b", ok=False, views=(view("b", "healthy", "envoy_only"),)),
    upstream("c"),
    upstream("d", ok=False, views=(view("d", "unhealthy"),)),
    upstream("e", views=(view("e", "unhealthy", "probe_only"),)),
    upstream("f", ok=False),
    upstream("g", outcome="inconclusive", reason="prober_stalled", connected=None, beats=()),
)


def recording(seen: Sequence[Observation], ended_at: float = NOW, **more: Any) -> Recording:
    """A run that ended at a time, in Unix seconds."""
    own = tuple(one.path[0] for one in seen if one.leg.startswith("envoy-"))
    facts: dict[str, Any] = {
        "deployment": "t3", "segments": SEGMENTS, "own_segments": own, "paths": (SEGMENTS,),
        "started_at": ended_at - SECONDS, "duration_seconds": SECONDS, "hold_seconds": 35.0,
        "vantage": "attic", "version": RECORD_VERSION,
    }  # fmt: skip
    return Recording(RunRecord(**{**facts, **more}), tuple(seen))


def junit(run: Recording) -> str:
    """The run's JUnit file, as far as the record goes."""
    pairs = [run_property(run.run), *(leg_property(one) for one in run.observations)]
    lines = [f"<property name={quoteattr(a)} value={quoteattr(b)} />" for a, b in pairs]
    return (
        '<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest"><properties>'
        f"{''.join(lines)}</properties></testsuite></testsuites>"
    )


def write(file: Path, seen: Sequence[Observation], ended_at: float = NOW, **more: Any) -> Recording:
    """Write a run, whole or not at all, and make its folder."""
    run = recording(seen, ended_at, **more)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    part.write_text(junit(run))
    part.replace(file)
    return run
