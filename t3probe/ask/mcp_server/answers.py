"""The form of each tool's answer, and how one is cut to a bounded size. Pure.

What a source cannot tell is absent. What is left out of a list is counted.

The schemas that clients see are made of these types: their docstrings are read by assistants.
"""

from __future__ import annotations

import json
import math
from typing import Any, Literal

import msgspec

from t3probe.observation import Symptom
from t3probe.text import cut, plain, showable
from t3probe.text.words import ago, span, utc
from t3probe.verdict.incident.evidence import How

STALE_SECONDS = 240.0
"""From this age on a run every minute has missed several: the same bound as the alert rules'."""
LATEST = 2.0**35
"""Unix seconds. A time after the year 3000 is not to be believed."""
AHEAD_SECONDS = 5.0
"""How far two clocks may be apart without a word about it."""
LONGEST_TEXT = 300


class NothingToTellError(Exception):
    """There is no answer; one sentence says why and what to do."""


class AnswerPart(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Base of all answers and their parts."""


class SourceInfo(AnswerPart, kw_only=True):
    """Where the answer comes from and how old it is."""

    kind: Literal["runs", "gateway", "prometheus"]
    name: str
    run_ended_at: float | None = None
    """Unix seconds."""
    run_ended_utc: str = ""
    age_seconds: float | None = None
    stale: bool
    warning: str = ""
    """Set when the source is too old to speak of now, or its age is not known."""
    deployment: str = ""
    vantage: str = ""
    shard: int | None = None
    """Set: the run is split, and this answer is of that part alone, counted from 0."""
    shards: int | None = None
    complete: bool | None = None
    """False: that run ended early, or probed only a part of the legs."""
    notes: tuple[str, ...] = ()


class EnvoyOpinion(AnswerPart, kw_only=True):
    """What Envoy thinks of an upstream behind one of its routes."""

    route: str
    listen_port: str = ""
    opinion: str
    detail: str = ""
    disagreement: tuple[str, ...] | None = None
    """envoy_only: Envoy alone believes that it works; probe_only: our connect alone works.
    Absent: not compared."""


class UpstreamRow(AnswerPart, kw_only=True):
    """One upstream, probed by a TCP connect of our own."""

    name: str = ""
    route: str = ""
    listen_port: str = ""
    backend: str = ""
    reachable: bool | None = None
    """Absent: this run cannot tell; see outcome and why."""
    connect_seconds: float | None = None
    """The median TCP connect."""
    outcome: str = ""
    why: str = ""
    envoy: tuple[EnvoyOpinion, ...] = ()
    """Absent: Envoy's view was not recorded."""
    disagreement: tuple[str, ...] | None = None
    """envoy_only, probe_only; empty: both agree; absent: not compared."""


class SourceState(AnswerPart, kw_only=True):
    """Where upstreams are found; one that failed means that upstreams may be missing here."""

    name: str
    outcome: str
    detail: str = ""


class HealthAnswer(AnswerPart, kw_only=True):
    """Upstreams, the worst first: unreachable, then disagreeing with Envoy, then unknown."""

    source: SourceInfo
    sentence: str
    total: int
    reachable: int
    unreachable: int
    unknown: int
    disagreeing: int
    upstreams: tuple[UpstreamRow, ...]
    not_listed: int
    """How many more match the question than are listed."""
    upstream_sources: tuple[SourceState, ...] = ()
    left_out: dict[str, int] = {}
    """How many entries were cut from which list to keep the answer short."""


class LegRow(AnswerPart, kw_only=True):
    """One leg: a route that crosses the named segments."""

    name: str
    kind: str = ""
    segments: tuple[str, ...] = ()
    outcome: str = ""
    reason: str = ""
    detail: str = ""
    connected: bool | None = None
    """Whether the connection it held worked at the end of the run; of a leg that holds none, its
    last attempt. Absent: not known."""
    accepting: bool | None = None
    """Whether its last new connection was good. False while connected: open ones live on, and
    new ones are turned away. Absent: not known."""
    symptom: Symptom | None = None
    """The worst of its drops: down (both strands failed), refusing (new connections failed, the
    held one lived on), cut (the held one died, a new one worked at once), unknown, blip."""
    planned: str = ""
    """Set: planned downtime; the leg takes no part in the verdict."""
    observed_seconds: float | None = None
    median_seconds: float | None = None
    """The median round trip of this run."""
    usual_seconds: float | None = None
    """The usual round trip of earlier runs."""
    drops: int | None = None
    """Drops in this run."""
    drop_reasons: dict[str, int] = {}
    last_drop_utc: str = ""
    drops_ever: dict[str, int] = {}
    """All drops that the gateway has counted, by reason; not of this run alone."""
    address: str = ""


class LegsAnswer(AnswerPart, kw_only=True):
    """Legs, the worst first: failed, inconclusive, degraded, planned, passed."""

    source: SourceInfo
    sentence: str
    total: int
    counts: dict[str, int]
    """How many legs by outcome."""
    legs: tuple[LegRow, ...]
    not_listed: int
    upstreams: int
    """Upstreams are not listed here; ask query_backend_health."""
    left_out: dict[str, int] = {}


class RigRow(AnswerPart, kw_only=True):
    """One rig of a remote laboratory."""

    name: str
    available: bool | None = None
    """Whether every stream that it needs is active. Absent: not known."""
    healthy: bool | None = None
    """The same of all its streams, and its log-in channel is there. Absent: not known."""
    jump: bool | None = None
    """Whether its log-in channel is there. Absent: not known."""
    streams: dict[str, bool] = {}
    """Whether each stream that is known is active."""
    details: tuple[str, ...] = ()
    """What is wrong, in words."""


class ExperimentsAnswer(AnswerPart, kw_only=True):
    """Rigs, the unhealthy ones first, then those of which nothing is known."""

    source: SourceInfo
    sentence: str
    total: int
    healthy: int
    unhealthy: int
    unknown: int
    rigs: tuple[RigRow, ...]
    not_listed: int
    left_out: dict[str, int] = {}


class IncidentRow(AnswerPart, kw_only=True):
    """Drops that overlap, judged together."""

    began_utc: str
    recovered_utc: str = ""
    """Absent: not over when the run ended."""
    symptom: Symptom
    failed: tuple[str, ...]
    cleared_by: dict[str, How]
    """Legs that clear segments, and how. held through: its connection lived on; fresh beat: its
    new connection was answered while the failed one was not; own answer: the failed leg itself was
    answered; beside: it passed over what no failed leg crosses."""
    finding: str


class VerdictAnswer(AnswerPart, kw_only=True):
    """Which segments are broken and which are cleared, with data."""

    source: SourceInfo
    sentence: str
    status: str
    """clean, incomplete, localised, ambiguous, inconsistent; from a gateway also unknown."""
    convicted: tuple[str, ...]
    at_least_one_of: tuple[tuple[str, ...], ...] | None = None
    """In each of these groups at least one segment is broken. Absent: the source cannot tell."""
    ambiguous: tuple[str, ...]
    exonerated: tuple[str, ...]
    masked: tuple[str, ...]
    unobserved: tuple[str, ...]
    simplest: tuple[str, ...] = ()
    """The one smallest explanation, where there is one. It is a hint: only what is convicted is
    known to be broken."""
    contradictions: tuple[str, ...] = ()
    extra_leg: tuple[str, ...] = ()
    """One more leg over these segments would tell suspects apart."""
    incidents: tuple[IncidentRow, ...] | None = None
    incidents_total: int | None = None
    slowness: str = ""
    limits: tuple[str, ...] = ()
    """Ages or silences at which connections die, and where. They say nothing of who broke."""
    probability: dict[str, float] = {}
    """How probable a fault of each declared segment is, from this run alone."""
    left_out: dict[str, int] = {}


class DropAnswer(AnswerPart, kw_only=True):
    """What broke when somebody dropped. Times ending in _at are Unix seconds."""

    source: SourceInfo
    sentence: str
    finding: str
    """ours, ours_one_of, last_mile, shared_blind_spot, unclear, not_observed."""
    answered: bool
    send_back: str
    """The text to send to the person."""
    at_utc: str
    read_from: str
    window_seconds: float
    began_at: float
    ended_at: float
    resolution: str
    people: int
    users: tuple[str, ...]
    runs: int
    way: dict[str, Any]
    legs: tuple[dict[str, Any], ...]
    incident: dict[str, Any] | None
    incidents: tuple[dict[str, Any], ...]
    nearby: tuple[dict[str, Any], ...]
    verdict: dict[str, Any]
    pressure: tuple[dict[str, Any], ...] | None
    blind_spots: tuple[str, ...]
    doubts: tuple[str, ...]
    notes: tuple[str, ...]
    left_out: dict[str, int] = {}


def short(text: object, longest: int = LONGEST_TEXT) -> str:
    """Foreign text made fit for an answer: one line, without secrets, printable, cut."""
    return showable(text, longest, ascii=False)


def source_info(
    kind: Literal["runs", "gateway", "prometheus"],
    name: str,
    ended_at: float | None,
    now: float,
    **more: Any,
) -> SourceInfo:
    """The header of an answer. `ended_at` is when the newest run ended, None when that is
    not known; both in Unix seconds."""
    if ended_at is None or not 0 <= ended_at < LATEST:
        return SourceInfo(
            kind=kind, name=short(name), stale=True,
            warning="stale: its age is unknown, so it may not be true any more", **more,
        )  # fmt: skip
    age = round(now - ended_at, 3)
    when = utc(ended_at)
    warning = ""
    if age > STALE_SECONDS:
        warning = (
            f"stale: the newest run ended {ago(age)}, at {when}, and what it saw may not be "
            "true any more; see whether the checks still run"
        )
    elif age < -AHEAD_SECONDS:
        warning = (
            f"the newest run ended at {when}, which this machine's clock says is {span(-age)} "
            "ahead; one of the two clocks is wrong"
        )
    return SourceInfo(
        kind=kind, name=short(name), run_ended_at=round(ended_at, 3), run_ended_utc=when,
        age_seconds=age, stale=age > STALE_SECONDS, warning=warning, **more,
    )  # fmt: skip


ANSWER_BYTES = 64 << 10
"""How long an answer's JSON may be: about 20,000 tokens. Assistants refuse much longer ones."""
LIST_LIMIT = 100
"""Entries of a list; the rows of the list that was asked for have their own limit."""
TEXT_LIMIT = 2_000
SHORTEST_TEXT = 20
KEYS = 32
"""A table with no more keys than this is never cut: it may be a row, whose keys are promised."""
ROWS = ("upstreams", "legs", "rigs")


def fitted(answer: dict[str, Any], rows: int) -> dict[str, Any]:
    """`answer`, plain data, with every list and table cut so that its JSON has at most
    `ANSWER_BYTES`; `left_out` counts what is missing, by the list's name.

    `rows` bounds the lists that are the answer's own rows. Numbers that JSON does not have become
    null, and what is no plain text is made so.
    """
    most, longest = LIST_LIMIT, TEXT_LIMIT
    while True:
        left_out: dict[str, int] = {}
        out = {
            key: _cut(value, rows if key in ROWS else most, (most, longest), key, left_out)
            for key, value in answer.items()
        }
        if "not_listed" in out:
            out["not_listed"] += sum(left_out.pop(name, 0) for name in ROWS)
        if left_out:
            out["left_out"] = left_out
        small = len(json.dumps(out, ensure_ascii=False).encode()) <= ANSWER_BYTES
        if small or longest <= SHORTEST_TEXT:
            return out
        if most == rows == 1:
            longest //= 2
        most, rows = max(1, most // 2), max(1, rows // 2)


def _cut(
    value: Any, mine: int, limits: tuple[int, int], name: str, left_out: dict[str, int]
) -> Any:
    most, longest = limits
    if isinstance(value, str):
        return cut(plain(value[: 4 * longest], ascii=False), longest)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        mine = max(mine, KEYS)
        kept = list(value.items())[:mine]
        if len(value) > mine:
            left_out[name] = left_out.get(name, 0) + len(value) - mine
        return {
            short(key): _cut(one, most, limits, f"{name}.{key}" if _named(key) else name, left_out)
            for key, one in kept
        }
    if isinstance(value, (list, tuple)):
        if len(value) > mine:
            left_out[name] = left_out.get(name, 0) + len(value) - mine
        return [_cut(one, most, limits, name, left_out) for one in value[:mine]]
    return value


def _named(key: object) -> bool:
    """Whether a key is one of ours; a leg's name would make `left_out` itself long."""
    return isinstance(key, str) and key.isidentifier() and len(key) <= 40
