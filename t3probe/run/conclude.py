"""From what happened on a leg to its outcome. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from t3probe.config.types import Leg
from t3probe.observation import (
    SYMPTOMS,
    AddressTry,
    Attempt,
    Beat,
    Drop,
    Observation,
    Outcome,
    Reason,
    Stage,
    median,
    trips,
)
from t3probe.probes import ONE_SHOT
from t3probe.text.names import UPSTREAM_LEG
from t3probe.text.words import span


class Conclusion(NamedTuple):
    """Outcome, reason and the sentence to show."""

    outcome: Outcome
    reason: Reason | None
    detail: str
    connected: bool | None
    accepting: bool | None


def conclude(
    leg: Leg,
    beats: Sequence[Beat],
    drops: Sequence[Drop],
    addresses: Sequence[AddressTry],
    *,
    unresolved: str = "",
    collapsed: str = "",
    broken: str = "",
    doubt: tuple[Reason, str] | None = None,
    short: tuple[Reason, str] | None = None,
    holding: bool | None = None,
) -> Conclusion:
    """Judge one leg's run.

    `unresolved`, `collapsed` and `broken` are sentences, empty when they did not happen;
    `doubt` is what the newest beat of a strand said when it told nothing, `short` what fell short
    in a beat that was good all the same; `holding`: whether a connection was held at the end, None
    when nobody knows. Any drop outside our own
    stalls is a failure, but for a blip that stands alone; what we could not tell is inconclusive,
    never a pass and never a failure.
    """
    real = [drop for drop in drops if not drop.stalled]
    counting = [drop for drop in real if not drop.lone]
    last = _last_fresh(beats)
    accepting = last if leg.kind in ONE_SHOT or leg.fresh_every else None
    if counting:
        worst = min(counting, key=lambda one: SYMPTOMS.index(one.symptom))
        connected = _connected(leg, real, last, holding)
        return Conclusion("failed", worst.reason, worst.detail, connected, accepting)
    if collapsed:
        return _untold("leg_collapsed", collapsed)
    if len(real) < len(drops):
        return _untold("prober_stalled", "the prober itself stood still when it dropped")
    if broken:
        return _untold(None, broken)
    if unresolved and not beats:
        return _untold("resolver_failed", unresolved)
    good = [beat for beat in beats if beat.ok]
    if doubt is not None:
        return _untold(*doubt)
    if not good:
        return _untold(None, "the run ended before the first answer")
    if real:
        what = f"one attempt failed and the next one worked: {real[0].detail}"
        return Conclusion("degraded", real[0].reason, what, True, accepting)
    if short is not None:
        return Conclusion("degraded", *short, True, accepting)
    tried = [one for one in addresses if not one.skipped]
    answered = sum(one.ok for one in tried)
    if 0 < answered < len(tried) and not leg.any_of:
        silent = next(one for one in tried if not one.ok)
        said = f"{answered} of {len(tried)} addresses answered; {silent.detail}"
        return Conclusion("degraded", silent.reason, said, True, accepting)
    if leg.rtt_limit is not None:
        counting_trips = trips(beats)
        middle = median(counting_trips) if counting_trips else 0.0
        if middle > leg.rtt_limit:
            said = f"median round trip {span(middle)}, limit {span(leg.rtt_limit)}"
            return Conclusion("degraded", None, said, True, accepting)
    return Conclusion("passed", None, "", True, accepting)


def _untold(reason: Reason | None, detail: str) -> Conclusion:
    return Conclusion("inconclusive", reason, detail, None, None)


def _last_fresh(beats: Sequence[Beat]) -> bool | None:
    """Whether the fresh beat that was sent last was good. They may end in another order."""
    fresh = [beat for beat in beats if beat.strand == "fresh" and beat.conclusive]
    return max(enumerate(fresh), key=lambda one: (one[1].sent, one[0]))[1].ok if fresh else None


def _connected(leg: Leg, drops: Sequence[Drop], fresh: bool | None, holding: bool | None) -> bool:
    """Whether the held connection works at the end; where none is held, and after a polite close,
    the last fresh beat."""
    last = drops[-1]
    over = last.recovered is not None
    if leg.kind in ONE_SHOT:
        return over if fresh is None else fresh
    if holding is None:
        return over or last.symptom == "refusing"
    if holding or (last.strand == "held" and not over):
        return holding
    return over if fresh is None else fresh


def settled(seen: Sequence[Observation]) -> list[Observation]:
    """The legs of a run with their blips: one that stands alone degrades its leg and is no drop,
    two on legs that share a segment are drops."""
    blips: dict[str, int] = {}
    for one in seen:
        for drop in one.drops:
            if drop.symptom == "blip" and not drop.stalled and not one.planned:
                for segment in one.path:
                    blips[segment] = blips.get(segment, 0) + 1
    out: list[Observation] = []
    for one in seen:
        beside = any(blips.get(name, 0) > 1 for name in one.path)
        if beside and any(drop.lone for drop in one.drops):
            drops = tuple(
                msgspec.structs.replace(drop, lone=False) if drop.lone else drop
                for drop in one.drops
            )
            changes: dict[str, object] = {}
            real = [drop for drop in drops if not drop.stalled]
            if real and one.outcome != "failed":
                # One that took another route later keeps what it saw before, too.
                told = real[0]
                changes = {"outcome": "failed", "reason": told.reason, "detail": told.detail}
            one = msgspec.structs.replace(one, drops=drops, **changes)
        out.append(one)
    return out


def labels_of(leg: Leg) -> dict[str, str]:
    """What the metrics of walls and upstreams are labelled with, from the deployment file."""
    if leg.kind in ("walloff", "walled"):
        expected = "public" if leg.kind == "walloff" else "walled"
        return {"path": urlsplit(leg.url or "").path or "/", "expected": expected}
    if leg.ingest is not None:
        return {"gate": leg.ingest.name}
    if leg.upstream:
        return {
            "route": leg.route,
            "listen_port": str(leg.listen_port or ""),
            "backend": leg.backend or leg.name.removeprefix(UPSTREAM_LEG),
        }
    return {}


def server_of(leg: Leg) -> str:
    """`HOST:PORT` of a leg's URL; empty where it has none."""
    if leg.url is None:
        return ""
    parts = urlsplit(leg.url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme in ("https", "wss") else 80)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def level_of(kind: str) -> Stage:
    """The most that a leg of this kind can prove."""
    if kind == "tcp":
        return "connect"
    return "ask" if kind in ONE_SHOT else "hold"


def undialled(leg: Leg, planned_as: str) -> Observation:
    """A leg whose route has no host: down all through the run, and nothing was dialled."""
    drop = Drop(
        began=0.0,
        noticed=0.0,
        reason="connect_failed",
        symptom="down",
        stage="connect",
        call=0,
        strand="fresh",
        detail=leg.hostless,
    )
    return Observation(
        leg=leg.name,
        kind=leg.kind,
        path=leg.path,
        outcome="failed",
        reason="connect_failed",
        detail=leg.hostless,
        level=level_of(leg.kind),
        tcp_ends_at=leg.tcp_ends_at or "",
        connected=False,
        accepting=False,
        drops=(drop,),
        labels=labels_of(leg),
        planned=planned_as,
    )


def looked_again(own: Observation, began: float, ended: float) -> Observation:
    """A failed check with a body of its own, followed by a common beat: that is its second look."""
    (drop,) = own.drops
    attempt = Attempt(started=began, ended=ended, ok=False, reason=drop.reason)
    return msgspec.structs.replace(own, drops=(msgspec.structs.replace(drop, attempt=attempt),))
