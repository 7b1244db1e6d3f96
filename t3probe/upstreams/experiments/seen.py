"""What relay, jump and book said in one run, as observations of legs. Pure.

A report is no attempt. A stream that is silent dropped when it last sent something, which the
report says, and was found so at the report's time; one that is not there was found so then. Only
what the same report says of others is like it, and clears (`t3probe.verdict.incident.evidence`).
That the report came clears the service's own interface.

Without a report nothing is known of any rig: its legs are inconclusive, and the service's own leg
says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec

from t3probe.config.types import Leg
from t3probe.observation import Attempt, Beat, Drop, Observation, Reason, Symptom
from t3probe.text.names import (
    JUMP,
    JUMP_API,
    JUMP_LEG,
    RELAY,
    RELAY_API,
    RIG_SEGMENT,
    SERVICE_LEGS,
    STREAM_LEG,
    STREAM_SEGMENT,
)
from t3probe.text.words import span
from t3probe.upstreams.experiments.condition import RigCondition, StreamCondition
from t3probe.upstreams.experiments.rigs import Rig, RigStream
from t3probe.upstreams.experiments.wire import ServiceReport

Planned = Callable[[Leg], str]
"""Planned downtime of a leg, as a sentence; empty: none."""


class ServiceTry(msgspec.Struct, frozen=True):
    """One attempt to hear a service, or to ask it. Times are seconds since the run's start."""

    started: float
    ended: float
    reason: Reason | None = None
    """Why it failed; None: it did not."""
    detail: str = ""
    tells: bool = True
    """A failure is the service's own, and not ours."""
    stalled: bool = False
    """We ourselves stood still meanwhile."""
    asked_seconds: float | None = None
    """How long its answer to a request took."""


def service_legs() -> list[Leg]:
    """The legs of the services themselves."""
    return [Leg(name=one, kind="service", path=(one,)) for one in SERVICE_LEGS]


def rig_legs(rigs: Sequence[Rig]) -> list[Leg]:
    """The legs of these rigs: their streams, then their log-in channels."""
    return [
        *(stream_leg(rig, one) for rig in rigs for one in rig.streams),
        *(jump_leg(rig) for rig in rigs),
    ]


def stream_leg(rig: Rig, stream: RigStream) -> Leg:
    """`stream-RIG-NAME`."""
    own = f"{STREAM_SEGMENT}{rig.name}-{stream.name}"
    return Leg(
        name=f"{STREAM_LEG}{rig.name}-{stream.name}",
        kind="stream",
        path=(RELAY_API, RELAY, f"{RIG_SEGMENT}{rig.name}", own),
        experiment=rig.name,
        stream=stream.name,
        required=stream.required,
    )


def jump_leg(rig: Rig) -> Leg:
    """`jump-RIG`."""
    return Leg(
        name=f"{JUMP_LEG}{rig.name}",
        kind="jump",
        path=(JUMP_API, JUMP, f"{RIG_SEGMENT}{rig.name}"),
        experiment=rig.name,
    )


def service_seen(
    leg: Leg, tries: Sequence[ServiceTry], said: str, planned: str = ""
) -> Observation:
    """A service's own leg, of the attempts to hear it in their order; `said`: what it said at
    last."""
    failed = [one for one in tries if one.reason is not None]
    good = [one for one in tries if one.reason is None]
    started = tries[0].started if tries else 0.0
    ended = tries[-1].ended if tries else 0.0
    base = Observation(
        leg=leg.name,
        kind=leg.kind,
        path=leg.path,
        outcome="passed",
        detail=said,
        started=started,
        ended=ended,
        observed_seconds=round(ended - started, 6),
        beats=tuple(_beat(number, one) for number, one in enumerate(tries)),
        planned=planned,
    )
    change = msgspec.structs.replace
    own = [one for one in failed if one.tells]
    if good and not own:
        return change(base, connected=True, accepting=True)
    if not own or len(own) < len(failed):
        told = next((one for one in failed if not one.tells), None)
        return change(
            base,
            outcome="inconclusive",
            reason=None if told is None else told.reason,
            detail="the run ended before it was heard" if told is None else told.detail,
        )
    first = own[0]
    second = tries[1] if len(tries) > 1 else None
    symptom: Symptom = "unknown" if second is None else "blip" if second.reason is None else "down"
    drop = Drop(
        began=first.started,
        noticed=first.ended,
        reason=first.reason or "io_error",
        symptom=symptom,
        stage="connect" if first.reason in ("connect_refused", "connect_timeout") else "ask",
        call=0,
        strand="fresh",
        asked=first.started,
        answered=first.reason not in ("connect_timeout", "rtt_timeout"),
        lone=symptom == "blip",
        detail=first.detail,
        attempt=None
        if second is None
        else Attempt(
            started=second.started,
            ended=second.ended,
            ok=second.reason is None,
            reason=second.reason,
            detail=second.detail,
        ),
        recovered=good[0].ended if good else None,
        stalled=any(one.stalled for one in own),
    )
    if drop.stalled and not good:
        words = "the prober itself stood still while it listened"
        return change(
            base, outcome="inconclusive", reason="prober_stalled", detail=words, drops=(drop,)
        )
    if good:
        words = f"{said}; at first: {first.detail}"
        found = change(base, detail=words, drops=(drop,), connected=True, accepting=True)
        if drop.lone or drop.stalled:
            return change(found, outcome="degraded")
        return change(found, outcome="failed", reason=first.reason)
    last = own[-1]
    return change(
        base,
        outcome="failed",
        reason=last.reason,
        detail=last.detail,
        drops=(drop,),
        connected=False,
        accepting=False,
    )


def _beat(number: int, one: ServiceTry) -> Beat:
    return Beat(
        sent=one.started,
        ended=one.ended,
        ok=one.reason is None,
        conn=number,
        strand="fresh",
        conclusive=one.tells and not one.stalled,
        reason=one.reason,
        measured_seconds=one.asked_seconds,
    )


def unheard(leg: Leg, service: Observation, planned: str = "") -> Observation:
    """A rig's leg without a report; `service` is the service's own leg."""
    why = f"no report: {service.detail}" if service.detail else "no report"
    return Observation(
        leg=leg.name,
        kind=leg.kind,
        path=leg.path,
        outcome="inconclusive",
        reason=service.reason,
        detail=why,
        labels=labels(leg),
        planned=planned,
    )


def labels(leg: Leg) -> dict[str, str]:
    """`experiment`, and of a stream `stream`."""
    found = {"experiment": leg.experiment}
    return found | ({"stream": leg.stream} if leg.stream else {})


def rigs_seen(
    conditions: Sequence[RigCondition],
    relay: ServiceReport | None,
    jump: ServiceReport | None,
    known: Mapping[str, Leg],
    wanted: Callable[[Leg], bool],
    services: dict[str, Observation],
    planned: Planned,
) -> list[Observation]:
    """The legs of the rigs that are `wanted`; `known`: those that there are, by name. `conditions`
    are those of one report of each service; None: it was not heard. `services`: their own legs."""
    found: list[Observation] = []
    for condition in conditions:
        for stream in condition.streams:
            name = f"{STREAM_LEG}{condition.rig.name}-{stream.stream.name}"
            leg = known.get(name) or stream_leg(condition.rig, stream.stream)
            if wanted(leg):
                if relay is None:
                    found.append(unheard(leg, services[RELAY_API], planned(leg)))
                else:
                    found.append(_stream(leg, stream, relay, planned(leg)))
        leg = known.get(f"{JUMP_LEG}{condition.rig.name}") or jump_leg(condition.rig)
        if wanted(leg):
            if jump is None:
                found.append(unheard(leg, services[JUMP_API], planned(leg)))
            else:
                found.append(_jump(leg, condition.jump, jump, planned(leg)))
    return found


def _stream(leg: Leg, seen: StreamCondition, report: ServiceReport, planned: str) -> Observation:
    at, topic = report.at, seen.stream.topic
    age = seen.age_seconds
    if seen.state == "unknown":
        return _untold(leg, at, f"{topic} is not there, {_unread(report)}", planned)
    if seen.state == "active":
        found = _good(leg, at, f"sent {span(age)} before the report", planned)
        return msgspec.structs.replace(found, started=at - (age or 0.0))
    if seen.state == "connected":
        # Whether it sends nobody says: it clears those before it of streams that are not there.
        words = "connected; this relay does not say when it last sent something"
        found = _good(leg, at, words, planned)
        return msgspec.structs.replace(found, level="connect", clears=leg.path[:-1])
    never = age is None or math.isinf(age)
    if seen.state == "absent":
        return _bad(leg, at, at, "stream_absent", f"{topic} is not connected", planned)
    words = f"{topic} is connected and "
    words += "has never sent anything" if never else f"sent nothing for {span(age)}"
    if not leg.required:
        # It is missed by nobody, and says nothing about what it crosses.
        found = _good(leg, at, f"{words}; book does not list it", planned)
        return msgspec.structs.replace(found, outcome="degraded", beats=(), clears=())
    began = at if never else at - (age or 0.0)
    return _bad(leg, began, at, "stream_silent", words, planned)


def _jump(leg: Leg, there: bool | None, report: ServiceReport, planned: str) -> Observation:
    if there:
        return _good(leg, report.at, "its log-in channel is there", planned)
    if there is None:
        words = f"its log-in channel is not there, {_unread(report)}"
        return _untold(leg, report.at, words, planned)
    words = f"{leg.experiment} has no log-in channel"
    return _bad(leg, report.at, report.at, "jump_absent", words, planned)


def _unread(report: ServiceReport) -> str:
    return f"but {report.unread} of {report.connections} connections could not be read"


def _of(leg: Leg, at: float, detail: str, planned: str) -> Observation:
    return Observation(
        leg=leg.name,
        kind=leg.kind,
        path=leg.path,
        outcome="passed",
        detail=detail,
        started=at,
        ended=at,
        labels=labels(leg),
        planned=planned,
    )


def _untold(leg: Leg, at: float, detail: str, planned: str) -> Observation:
    return msgspec.structs.replace(_of(leg, at, detail, planned), outcome="inconclusive")


def _good(leg: Leg, at: float, detail: str, planned: str) -> Observation:
    beat = Beat(sent=at, ended=at, ok=True, conn=0, strand="fresh")
    return msgspec.structs.replace(
        _of(leg, at, detail, planned), connected=True, accepting=True, beats=(beat,)
    )


def _bad(
    leg: Leg, began: float, at: float, reason: Reason, detail: str, planned: str
) -> Observation:
    drop = Drop(
        began=began,
        noticed=at,
        reason=reason,
        symptom="down",
        stage="ask" if reason == "stream_silent" else "connect",
        call=0,
        strand="fresh",
        asked=at,
        answered=True,
        detail=detail,
        carried=leg.path[:1],
    )
    return msgspec.structs.replace(
        _of(leg, at, detail, planned),
        outcome="failed",
        reason=reason,
        connected=False,
        accepting=False,
        drops=(drop,),
    )
