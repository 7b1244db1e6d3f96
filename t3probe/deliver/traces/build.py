"""A recorded run as a trace: the run, its legs, what they went through, and beats that stand out.

A span for the run, one for each leg, and below a leg one for each beat that failed, was slow, or
told the server its parent; the phases of those, and of the opening, are their children. Other beats
and the drops are events of the leg. Names are those of OpenTelemetry's semantic conventions where
they have one, `t3probe.*` where not. The same record gives the same trace. Pure.

Bounded whatever the record holds: what is left out is counted in an attribute of its leg or run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from t3probe.deliver.traces.span import CLIENT, INTERNAL, SpanEvent, Trace, TraceSpan, Value
from t3probe.exchange.trace_ids import span_id, trace_id
from t3probe.observation import (
    Attempt,
    Beat,
    Drop,
    Observation,
    RunRecord,
    Strand,
    badness,
    median,
    sentence,
)
from t3probe.text import cut
from t3probe.text.words import some, utc
from t3probe.verdict.exact.labels import Verdict
from t3probe.verdict.incident.run import Incident, RunVerdict

MOST_LEGS = 500
"""Legs of one trace, the worst first: ten thousand upstreams are no trace to look at."""
MOST_SPANS = 2_000
"""Spans of one trace; beyond them legs have none below them."""
MOST_BEATS = 30
"""Beats of a leg that have a span: the first and the last of them."""
MOST_EVENTS = 64
"""Events of a leg; the first and the last of them. Receivers keep 128 by default."""
MOST_NAMES = 100
"""Segments in one attribute."""
LONGEST = 300
"""Characters of a sentence in an attribute."""
FEW_TRIPS = 3
"""From fewer round trips nobody knows what is usual."""
PROTOCOLS = {"ws_echo": "websocket", "ws": "websocket", "ws_upgrade": "websocket", "tcp": ""}
"""`network.protocol.name` by a leg's kind; all others speak HTTP."""
RESULTS = {"passed": "pass", "failed": "fail"}
"""`test.case.result.status`; the convention knows no other values and allows more."""
OTHER = "_OTHER"
"""`error.type` where no reason is known, by the convention."""

PARTS = 5
"""A beat with its phases is so many spans at most."""
_Thing = TypeVar("_Thing")


def trace_of_run(run: RunRecord) -> str:
    """The id of a run's trace."""
    return trace_id(run.deployment, run.vantage, run.shard, run.started_at)


def run_trace(run: RunRecord, observations: Sequence[Observation], judged: RunVerdict) -> Trace:
    """The trace of a run."""
    trace = trace_of_run(run)
    root = span_id(trace, "run")
    legs = [_Leg(name, one, run) for name, one in zip(judged.legs, observations, strict=True)]
    legs.sort(key=lambda one: badness(one.outcome))
    spans: list[TraceSpan] = []
    for leg in legs[:MOST_LEGS]:
        spans += leg.spans(trace, root, MOST_SPANS - len(spans))
    failed = next((one.seen for one in legs if one.outcome == "failed"), None)
    attributes: dict[str, Value] = {
        **_of_run(run),
        "test.suite.name": run.deployment or "t3probe",
        "test.suite.run.status": _suite(run, failed),
        "t3probe.run.complete": run.complete,
        "t3probe.hold_seconds": run.hold_seconds,
        "t3probe.legs": len(legs),
        **_verdict(judged.verdict),
    }
    if len(legs) > MOST_LEGS:
        attributes["t3probe.legs_left_out"] = len(legs) - MOST_LEGS
    if judged.incidents:
        attributes["t3probe.verdict.text"] = cut(judged.incidents[0].finding, LONGEST)
    words = None
    if failed is not None:
        attributes["error.type"] = failed.reason or OTHER
        words = cut(sentence(failed), LONGEST)
    ended = max([run.duration_seconds, *(one.ended for one in spans)])
    whole = TraceSpan(root, "", "t3probe run", INTERNAL, 0.0, ended, attributes, failed=words)
    return Trace(trace, run.started_at, (whole, *spans))


class Told(NamedTuple):
    """What is said of an incident of the held mode. Times are seconds since its start."""

    began: float
    noticed: float
    ended: float
    failed: tuple[str, ...]
    symptom: str
    reason: str
    finding: str
    verdict: Verdict

    @staticmethod
    def of(incident: Incident) -> Told:
        """As it is known now; without what it was judged from."""
        return Told(
            incident.began,
            incident.noticed,
            incident.noticed if incident.recovered is None else incident.recovered,
            incident.failed,
            incident.symptom,
            next((one.drop.reason for one in incident.faults), OTHER),
            incident.finding,
            incident.verdict,
        )


def incident_trace(
    run: RunRecord, observations: Sequence[Observation], told: Told, trace: str
) -> Trace:
    """The trace of an incident of the held mode: its failed legs, while it went on and right
    beside it. `trace` is its id; `run` says what its times count from."""
    root = span_id(trace, "incident")
    spans: list[TraceSpan] = []
    for seen in observations:
        if seen.leg in told.failed:
            part = _between(seen, told.began, told.ended, run.heartbeat_seconds)
            spans += _Leg(seen.leg, part, run).spans(trace, root, MOST_SPANS - len(spans))
    words = cut(told.finding, LONGEST)
    attributes: dict[str, Value] = {
        **_of_run(run),
        "t3probe.symptom": told.symptom,
        "t3probe.failed": _names(told.failed),
        "t3probe.verdict.text": words,
        **_verdict(told.verdict),
        "error.type": told.reason,
    }
    ended = max(told.began, told.ended)
    whole = TraceSpan(
        root, "", "t3probe incident", INTERNAL, told.began, ended, attributes, failed=words
    )
    return Trace(trace, run.started_at, (whole, *spans))


def _between(seen: Observation, began: float, ended: float, beside: float) -> Observation:
    """What a leg saw while an incident went on, and `beside` seconds before and after it."""
    drops = tuple(one for one in seen.drops if began <= one.noticed <= ended)
    beats = tuple(
        one for one in seen.beats if one.ended >= began - beside and one.sent <= ended + beside
    )
    return replace(seen, started=began, ended=ended, drops=drops, beats=beats)


def _of_run(run: RunRecord) -> dict[str, Value]:
    found: dict[str, Value] = {"t3probe.deployment": run.deployment}
    if run.vantage:
        found["t3probe.vantage"] = run.vantage
    if run.shard is not None:
        found["t3probe.shard"] = run.shard
    return found


def _suite(run: RunRecord, failed: Observation | None) -> str:
    if run.interrupted:
        return "aborted"
    return "success" if failed is None else "failure"


def _verdict(verdict: Verdict) -> dict[str, Value]:
    found: dict[str, Value] = {"t3probe.verdict.status": verdict.status}
    for label in ("convicted", "ambiguous", "masked", "exonerated", "unobserved"):
        names = getattr(verdict, label)
        if names:
            found[f"t3probe.verdict.{label}"] = _names(names)
    groups = [" or ".join(_names(one)) for one in verdict.at_least_one_of]
    if groups:
        found["t3probe.verdict.at_least_one_of"] = _names(groups)
    return found


def _names(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(some(names, MOST_NAMES))


class _Leg:
    """One leg on its way into a trace."""

    def __init__(self, name: str, seen: Observation, run: RunRecord) -> None:
        self.name, self.seen, self.run = name, seen, run
        self.outcome = "planned" if seen.planned else seen.outcome

    def spans(self, trace: str, root: str, room: int) -> Iterator[TraceSpan]:
        """The leg's own span, and those below it: about `room` in all."""
        seen = self.seen
        own = span_id(trace, self.name, "leg")
        wanted = self._telling()
        shown = _ends(wanted, max(0, min(MOST_BEATS, room // PARTS)))
        below = [one for beat in shown for one in self._beat(beat, trace, own)]
        opening = next((one for one in seen.beats if one.phases), None)
        if opening is not None and opening not in shown and room > len(below) + PARTS:
            below += self._phases(opening, trace, own)
        telling = {id(one) for one in wanted}
        events = [_drop(one, self.run.started_at) for one in seen.drops]
        events += [_event(one) for one in seen.beats if id(one) not in telling]
        events.sort(key=lambda one: one.at)
        kept = _ends(events, MOST_EVENTS)
        attributes = self._attributes()
        left = {"beats": len(wanted) - len(shown), "events": len(events) - len(kept)}
        attributes |= {f"t3probe.{what}_left_out": many for what, many in left.items() if many}
        failed = None
        if self.outcome == "failed":
            why = ": ".join(one for one in (seen.reason, seen.detail) if one)
            attributes["error.type"], failed = seen.reason or OTHER, cut(why, LONGEST)
        elif seen.reason is not None:
            attributes["t3probe.reason"] = seen.reason
        moments = [at for one in below for at in (one.started, one.ended)]
        moments += [one.at for one in kept]
        yield TraceSpan(
            own,
            root,
            f"leg {self.name}",
            INTERNAL,
            min([seen.started, *moments]),
            max([seen.started, seen.ended, *moments]),
            attributes,
            tuple(kept),
            failed,
        )
        yield from below

    def _attributes(self) -> dict[str, Value]:
        seen = self.seen
        found: dict[str, Value] = {
            "t3probe.leg": self.name,
            **_of_run(self.run),
            "t3probe.leg.kind": seen.kind,
            "t3probe.path": _names(seen.path),
            "t3probe.outcome": seen.outcome,
            "test.case.name": self.name,
            "test.case.result.status": RESULTS.get(seen.outcome, seen.outcome),
            **_place("server", seen.server),
            **_far_end(seen.address),
        }
        protocol = PROTOCOLS.get(seen.kind, "http")
        if protocol:
            found["network.protocol.name"] = protocol
        if seen.cert_not_after is not None:
            found["tls.server.not_after"] = utc(seen.cert_not_after)
        words = {
            "detail": seen.detail,
            "planned": seen.planned,
            "evidence": " ".join(seen.evidence),
        }
        found |= {f"t3probe.{name}": cut(said, LONGEST) for name, said in words.items() if said}
        if seen.drops:
            found["t3probe.drops"] = len(seen.drops)
        return found

    def _telling(self) -> list[Beat]:
        """The beats that have a span of their own."""
        seen = self.seen
        usual: dict[Strand | None, float] = {}
        for strand in ("held", "fresh", None):
            good = [one.rtt_seconds for one in seen.beats if one.ok and one.strand == strand]
            if len(good) >= FEW_TRIPS:
                usual[strand] = median(good)
        known = None if seen.baseline is None else seen.baseline.moving_seconds
        if known is not None:
            usual["held" if seen.connections else "fresh"] = known
        floor = self.run.slow_floor_seconds
        return [
            one
            for one in seen.beats
            if one.traced
            or (not one.ok and one.conclusive)
            or (one.ok and _slow(one.rtt_seconds, usual.get(one.strand), floor))
        ]

    def _beat(self, beat: Beat, trace: str, parent: str) -> Iterator[TraceSpan]:
        named = beat.traced if re.fullmatch(r"[0-9a-f]{32}-[0-9a-f]{16}", beat.traced) else ""
        traced, _, span = named.partition("-")
        own = span if traced == trace else span_id(trace, self.name, *_mark(beat))
        attributes: dict[str, Value] = {"t3probe.leg": self.name, **_of_beat(beat)}
        failed = None
        if not beat.ok and beat.conclusive:
            attributes["error.type"], failed, where = self._why(beat)
            attributes |= _far_end(where)
        yield TraceSpan(
            own,
            parent,
            _name(beat),
            CLIENT,
            beat.sent,
            max(beat.sent, beat.ended),
            attributes,
            failed=failed,
            link="" if traced == trace else named,
        )
        yield from self._phases(beat, trace, own)

    def _phases(self, beat: Beat, trace: str, parent: str) -> Iterator[TraceSpan]:
        for one in beat.phases[:PARTS]:
            why = self._why(beat)[:2] if one.failed else (OTHER, "")
            yield TraceSpan(
                span_id(trace, self.name, one.name, *_mark(beat)),
                parent,
                one.name,
                INTERNAL if one.name == "resolve" else CLIENT,
                one.started,
                one.started + max(0.0, one.seconds),
                {"t3probe.leg": self.name, **({"error.type": why[0]} if one.failed else {})},
                failed=why[1] if one.failed else None,
            )

    def _why(self, beat: Beat) -> tuple[str, str, str]:
        """Reason, sentence and far end of a beat that failed, as far as the record says them."""
        for drop in self.seen.drops:
            look = drop.attempt
            if drop.asked == beat.sent:
                said: Drop | Attempt = drop
            elif look is not None and look.started == beat.sent:
                said = look
            else:
                continue
            reason = beat.reason or said.reason or OTHER
            return reason, cut(said.detail, LONGEST), said.remote_address
        return beat.reason or OTHER, "", ""


def _slow(took: float, usual: float | None, floor: float) -> bool:
    """By the rule for legs: more than half as long again as usual, and by more than the floor."""
    return usual is not None and took > usual + floor and took > 1.5 * usual


def _mark(beat: Beat) -> tuple[str, int, int]:
    """What tells a beat from the other ones of its leg."""
    return "beat", round(beat.sent * 1e6), beat.conn


def _of_beat(beat: Beat) -> dict[str, Value]:
    found: dict[str, Value] = {"t3probe.ok": beat.ok, "t3probe.conn": beat.conn}
    if beat.ok:
        found["t3probe.round_trip_seconds"] = beat.rtt_seconds
    if not beat.conclusive:
        found["t3probe.conclusive"] = False
    if beat.reason is not None:
        found["t3probe.reason"] = beat.reason
    if beat.call:
        found["t3probe.common_beat"] = beat.call
    if beat.tcp is not None:
        found["t3probe.tcp.rtt_seconds"] = beat.tcp.rtt_seconds
        found["t3probe.tcp.retransmits"] = beat.tcp.retransmits
    return found


def _name(beat: Beat) -> str:
    return f"{beat.strand} beat" if beat.strand else "beat"


def _event(beat: Beat) -> SpanEvent:
    return SpanEvent(_name(beat), beat.ended, _of_beat(beat))


def _drop(drop: Drop, zero: float) -> SpanEvent:
    times = {"began": drop.began, "recovered": drop.recovered}
    texts = {
        "symptom": drop.symptom, "strand": drop.strand, "detail": drop.detail,
        "evidence": drop.evidence, "local_address": drop.local_address,
        "remote_address": drop.remote_address, "cf_ray": drop.cf_ray, "colo": drop.colo,
        **{name: utc(zero + at) for name, at in times.items() if at is not None},
    }  # fmt: skip
    found: dict[str, Value] = {"error.type": drop.reason}
    found |= {f"t3probe.{name}": cut(said, LONGEST) for name, said in texts.items() if said}
    if drop.connection_age_seconds is not None:
        found["t3probe.connection_age_seconds"] = drop.connection_age_seconds
    if drop.stalled:
        found["t3probe.stalled"] = True
    return SpanEvent("drop", drop.noticed, found)


def _far_end(address: str) -> dict[str, Value]:
    """`ADDRESS:PORT` in the convention's names."""
    if not address:
        return {}
    family = "ipv6" if address.startswith("[") else "ipv4"
    return {**_place("network.peer", address), "network.type": family, "network.transport": "tcp"}


def _place(what: str, text: str) -> dict[str, Value]:
    host, _, port = text.rpartition(":")
    found: dict[str, Value] = {}
    if host:
        found[f"{what}.address"] = host.removeprefix("[").removesuffix("]")
        if port.isascii() and port.isdigit():
            found[f"{what}.port"] = int(port[:5])
    return found


def _ends(things: Sequence[_Thing], most: int) -> Sequence[_Thing]:
    """All of them, or the first and the last."""
    if len(things) <= most:
        return things
    first = (most + 1) // 2
    return [*things[:first], *things[len(things) - (most - first) :]]
