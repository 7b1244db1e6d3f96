"""What a probe saw on one leg in one run, what a run knew of itself, and words for both. Pure.

These are plain facts. Nothing here reads a socket or a clock, and nothing judges: the verdict, the
metrics and the reports are functions of these types. Their JSON form is the record of a run (see
`t3probe.record`). All times inside a run are seconds since the run's start;
`RunRecord.started_at` is the one wall-clock stamp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeVar, get_args

import msgspec

from t3probe.text.names import UPSTREAM_LEG
from t3probe.text.words import listed

Outcome = Literal["passed", "degraded", "failed", "inconclusive"]
Reason = Literal[
    "connect_refused",
    "connect_timeout",
    "connect_failed",
    "tls_failed",
    "upgrade_rejected",
    "rtt_timeout",
    "wrong_echo",
    "closed_by_peer",
    "connection_reset",
    "io_error",
    "http_4xx",
    "http_5xx",
    "http_other",
    "walled_off",
    "not_walled",
    "resolver_failed",
    "leg_collapsed",
    "prober_stalled",
    "protocol_error",
    "stream_silent",
    "stream_absent",
    "jump_absent",
    "gate_open",
    "token_refused",
]
OPEN_SOCKETS = frozenset({"ws_echo", "ws"})
"""Kinds of legs whose beats travel on an open WebSocket."""
Symptom = Literal["down", "refusing", "cut", "unknown", "blip"]
"""What an immediate second look found, the worst first: see `Drop.symptom`."""
Strand = Literal["held", "fresh"]
"""How a beat travels: on the leg's one long-lived connection, or on one of its own."""
Disagreement = Literal["envoy_only", "probe_only"]
"""Envoy alone, or the probe alone, believes that an upstream can be reached."""
SilenceEnd = Literal["answered", "closed", "unanswered", "untold"]
"""How a silence ended: see `Silence.end`."""
Stage = Literal["connect", "ask", "hold"]
"""How much of a leg something exercised: a TCP connect, a request and its answer, one
connection held between two beats. Each includes those before it."""

REPORTED_KINDS = frozenset({"stream", "jump"})
"""Legs of which somebody else reports: nothing of ours goes there, and nothing is timed."""
RECORD_VERSION = 2
"""Of the records that are written now. Those of 0.1 say no version, or 1."""
OUTCOMES: tuple[str, ...] = get_args(Outcome)
REASONS: tuple[str, ...] = get_args(Reason)
SYMPTOMS: tuple[Symptom, ...] = get_args(Symptom)
"""The worst first."""


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all recorded facts: immutable, compared by value, small as JSON."""


class TcpSample(Fact, frozen=True):
    """Numbers the kernel keeps about one TCP connection (Linux `TCP_INFO`, tcp(7))."""

    state: int
    """TCP state, as in Linux `include/net/tcp_states.h`: 1 established, 7 closed, 8 close-wait."""
    rtt_seconds: float
    """Smoothed round-trip time; right after a connect it is the handshake's own."""
    unacked: int = 0
    """Segments sent and not yet acknowledged."""
    retransmits: int = 0
    """Segments sent again over the connection's life."""
    since_last_data_received_seconds: float = 0.0
    since_last_ack_received_seconds: float | None = None
    probes: int = 0
    """Probes of a full receive window, or of an idle peer, that were not answered."""
    bytes_acked: int | None = None
    """Bytes of ours that the far end acknowledged over the connection's life, with one for the
    SYN. None here and below: this kernel does not say."""
    not_sent_bytes: int | None = None
    """Bytes of ours that wait in this machine and were never sent."""
    out_of_order: int | None = None
    """Segments that came before an earlier one, over the connection's life."""
    peer_window_bytes: int | None = None
    """How many bytes the far end's kernel would take now."""


class AttemptPhase(Fact, frozen=True, array_like=True):
    """A part of one attempt: resolve, connect, tls, upgrade."""

    name: str
    started: float
    """When it began, in seconds since the run's start."""
    seconds: float
    """How long it took, or until the attempt failed in it."""
    failed: bool = False
    """Here the attempt failed."""


class Beat(Fact, frozen=True):
    """One exchange: an echo, a request on a kept-alive connection, a connect."""

    sent: float
    """When it was sent, in seconds since the run's start."""
    ended: float
    """When it was answered or given up, in seconds since the run's start."""
    ok: bool
    conn: int
    """Which of the leg's connections carried it, counted from 0. A fresh beat has a number of its
    own; the opening of the held connection is a fresh beat on it."""
    strand: Strand | None = None
    """None in records of 0.1: there a connection's first beat is fresh, all others are held."""
    call: int = 0
    """The number of the newest common beat called when this was sent; 0 before the first."""
    nonce: str = ""
    """What was to come back, in hex; empty where the probe echoes nothing."""
    conclusive: bool = msgspec.field(default=True, name="tells")
    """False: what came back says neither yes nor no about the leg. `tells` in the record."""
    reason: Reason | None = None
    """Why it failed, or told nothing; None also in older records."""
    refused: bool = False
    """Good because the machine's kernel answered, by a refusal, by the connection's end, or by
    taking our bytes: this leg asks for no more."""
    measured_seconds: float | None = None
    """The round trip where something knows it better than our own clock does."""
    first_byte_seconds: float | None = None
    """Time to the answer's first byte (HTTP)."""
    tcp: TcpSample | None = None
    phases: tuple[AttemptPhase, ...] = ()
    """Of a fresh beat: what it went through, in order."""
    traced: str = ""
    """`TRACE-SPAN`: the parent that its request named to the server in `traceparent`."""

    @property
    def rtt_seconds(self) -> float:
        """The round trip: from sending to the end of the answer, or the kernel's number."""
        if self.measured_seconds is not None:
            return self.measured_seconds
        return self.ended - self.sent


class Connection(Fact, frozen=True):
    """One connection that a leg held."""

    conn: int
    """Its number, as in `Beat.conn`."""
    opened: float
    """When it was opened, in seconds since the run's start."""
    remote_address: str
    """`host:port` of the far end."""


class Silence(Fact, frozen=True):
    """How one silence of a leg's idle connection ended: evidence about limits, and never a drop."""

    conn: int
    """Which of the leg's idle connections, counted from 0."""
    opened: float
    """When that was dialled, in seconds since the run's start."""
    began: float
    """When its last exchange was answered."""
    ended: float
    """When its end was seen, or, where it was asked first, when that was sent."""
    end: SilenceEnd
    """`answered`: the question after the silence was; `closed`: it ended in the silence;
    `unanswered`: it was dead when it was asked; `untold`: nobody knows, as when we ended it."""
    reason: Reason | None = None
    """Why it is dead."""
    polite: bool = False
    """The server closed a kept-alive connection, as it may."""
    stalled: bool = False
    """We ourselves stood still when it ended: when that was is not known."""
    remote_address: str = ""


class Attempt(Fact, frozen=True):
    """The second look: the fresh attempt that follows a drop at once and decides its symptom."""

    started: float
    ended: float
    ok: bool
    reason: Reason | None = None
    stage: Stage = "ask"
    """How far it got when it failed: `connect` when there was no TCP connection."""
    detail: str = ""
    carried: tuple[str, ...] = ()
    """Segments that its own answer clears, when it failed."""
    accused: str = ""
    """It ended in an HTTP answer, and the segment from which on somebody made it."""
    remote_address: str = ""
    refused_at: tuple[str, ...] = ()
    """Where its connects were refused, when there were several and every one was."""


class Drop(Fact, frozen=True):
    """An interval in which a strand of the leg did not work. One outage of a leg is one drop,
    whichever strand noticed it first, and however many attempts fail before it works again."""

    began: float
    """The last good beat's answer, or the start of the attempt when there was none."""
    noticed: float
    reason: Reason
    symptom: Symptom
    """`down`: neither the held connection nor a fresh one works; `refusing`: fresh ones fail, a
    held beat sent afterwards is answered; `cut`: the held connection died, a fresh one works at
    once; `blip`: one fresh attempt failed, the next one works; `unknown`: no second look was
    made."""
    stage: Stage
    """What did not work: reaching a TCP connection, an exchange, or an established
    connection that worked before."""
    call: int
    """The number of the common beat that this drop called; 0: it called none."""
    onset: float | None = None
    """When the whole outage began, where this tells of its newest part; None: when this began."""
    strand: Strand | None = None
    """The strand that failed; the held one where both did. None in records of 0.1."""
    asked: float | None = None
    """When the beat was sent that failed first."""
    answered: bool = False
    """That beat ended in an answer: a refusal, a reset, a close, a status."""
    accused: str = ""
    """That answer was an HTTP one: the segment from which on somebody made it."""
    fell_silent: bool = False
    """The first attempt ended in an answer, and a later one of the same outage in none: something
    else may have broken, too."""
    lone: bool = False
    """A blip that stands alone in its run: shown, and no drop that counts."""
    detail: str = ""
    """One sentence for people; may hold the exact status. Never a label."""
    attempt: Attempt | None = None
    """The second look; None when none was made."""
    recovered: float | None = None
    """When the leg worked again; None when it did not before the run's end."""
    conn: int | None = None
    """The connection that died; None when none was open."""
    connection_age_seconds: float | None = None
    """How old the connection was when it died."""
    local_address: str = ""
    remote_address: str = ""
    family: str = ""
    """`ipv4` or `ipv6`."""
    cf_ray: str = ""
    colo: str = ""
    carried: tuple[str, ...] = ()
    """Segments that the beat's own answer clears: a mark, a refusal, an answer over a verified
    connection, or bytes that the far end acknowledged and then did not answer."""
    evidence: str = ""
    """What the kernel's numbers say, as a sentence for people."""
    stalled: bool = False
    """We ourselves stood still during this interval: it says nothing about the path."""
    tcp: TcpSample | None = None
    """The kernel's numbers when the drop was noticed, before closing."""


class AddressTry(Fact, frozen=True):
    """One address of a leg and how it answered at the first attempt."""

    address: str
    ok: bool
    reason: Reason | None = None
    detail: str = ""
    skipped: bool = False
    """Not tried: this machine has no route for the address family."""


class Baseline(Fact, frozen=True):
    """What earlier runs left behind about a leg's round trips (`t3probe.verdict.slow.baseline`)."""

    beats: float = 0
    """How many good beats their histogram holds."""
    low_seconds: float | None = None
    """The bounds of the bucket in which the histogram's median lies; None when it is empty, or
    the median lies above its last bound."""
    high_seconds: float | None = None
    moving_seconds: float | None = None
    """The moving median that the newest of them published; None when there is none."""
    until_seconds: float | None = None
    """Beats that ended until then, on the run's clock, may be in it: only later ones are judged
    by it. None: none of them is. Only the held mode, which never ends, needs it."""


class EnvoyView(Fact, frozen=True):
    """Envoy's opinion about one upstream behind one route, beside the probe's."""

    route: str
    listen_port: str = ""
    opinion: Literal["healthy", "degraded", "unhealthy", "draining", "unknown"] = "unknown"
    detail: str = ""
    """Envoy's own words, or why its opinion is not known."""
    disagreements: tuple[Disagreement, ...] | None = None
    """None: not compared, since one side is not sure."""

    @property
    def sentence(self) -> str:
        """The disagreement in words; empty when there is none."""
        said = f"{self.opinion} ({self.detail})" if self.detail else self.opinion
        port = f" at port {self.listen_port}" if self.listen_port else ""
        kinds = self.disagreements or ()
        if "envoy_only" in kinds:
            return f"Envoy calls it {said} behind {self.route}{port}, and it cannot be reached"
        if "probe_only" in kinds:
            return f"Envoy calls it {said} behind {self.route}{port}, and it can be reached"
        return ""


OpinionWord = Literal["healthy", "degraded", "unhealthy", "unknown"]
"""What a program on the path says of its part: it works, a part of it does, it does not, or that
could not be had."""


class OpinionView(Fact, frozen=True):
    """What a program on the path said of its own segment at a run's end. No evidence."""

    name: str
    segment: str
    kind: str
    opinion: OpinionWord = "unknown"
    steady: bool = False
    """It said the same before the first beat, and nothing that it counts moved meanwhile."""
    detail: str = ""
    """Its own numbers in words, or why its opinion is not known."""
    colos: tuple[str, ...] = ()
    """Where its connections to the CDN's edge end."""
    at: float = 0.0
    """When it was asked last, in seconds since the run's start."""
    label: str | None = None
    """The verdict's label of the segment when it was asked, in the held mode, whose verdict moves
    on; None: that of the run."""


class Observation(Fact, frozen=True):
    """What was seen on one leg in one run."""

    leg: str
    kind: str
    path: tuple[str, ...]
    """The segments this leg crosses, in order."""
    outcome: Outcome
    reason: Reason | None = None
    """Why the outcome is not `passed`; None when it is, or when degraded."""
    detail: str = ""
    """One sentence for people."""
    level: Stage = "ask"
    """The most this leg can prove: `connect`, `ask` or `hold`."""
    tcp_ends_at: str = ""
    """The segment at which its TCP connection ends; empty where the file does not say."""
    server: str = ""
    """`HOST:PORT` that its URL names; empty where it has none."""
    clears: tuple[str, ...] | None = None
    """What a pass of this leg clears; None: its whole path."""
    started: float = 0.0
    ended: float = 0.0
    """The end of the last judged beat."""
    observed_seconds: float = 0.0
    """How long we were really looking."""
    connected: bool | None = None
    """Whether the held connection worked at the end of the hold, or, where none is held, the last
    fresh beat; None when inconclusive."""
    accepting: bool | None = None
    """Whether the last fresh beat was good; None when inconclusive, or when there was none."""
    beats: tuple[Beat, ...] = ()
    connections: tuple[Connection, ...] = ()
    """Those that it held."""
    drops: tuple[Drop, ...] = ()
    silences: tuple[Silence, ...] = ()
    """Of its idle connections, where it has any."""
    phases: dict[str, float] = {}
    """Seconds of the first successful attempt: resolve, connect, tls, upgrade, first_echo."""
    addresses: tuple[AddressTry, ...] = ()
    address: str = ""
    """The address that carried the beats, `host:port`."""
    cert_not_after: float | None = None
    """Unix seconds at which the first certificate of the server's chain expires (or expired)."""
    server_began: tuple[float, ...] = ()
    """When the run began by the clock of this leg's server, in Unix seconds: not before, not
    after; from the Date of its answers. Empty: none told, or they contradict each other."""
    cf_ray: str = ""
    colo: str = ""
    evidence: tuple[str, ...] = ()
    """Sentences worth showing beside the outcome."""
    planned: str = ""
    """Planned downtime this leg falls under, as a sentence; empty when none. A planned leg
    takes no part in the verdict."""
    after_hold: bool = False
    """A check with its own body, run after the hold."""
    baseline: Baseline | None = None
    """What was usual before this run; None: not known, since nothing could be read."""
    labels: dict[str, str] = {}
    """From the deployment file, for the metrics: `path` and `expected` (public, walled) of a
    wall; `gate` of an ingest gate; `route`, `listen_port` and `backend` of an upstream;
    `experiment`, and of a stream `stream`, of a rig."""
    gate: dict[str, bool] = {}
    """Of an ingest gate: what was asked of it (`no_token`, `wrong_token`, `token`, `paths`,
    `method`, `health`, `plain`, `leak`), and whether it was as it must be. What could not be told
    is left out."""
    views: tuple[EnvoyView, ...] = ()
    """Of an upstream: what Envoy thinks of it, for every route that leads to it."""

    @property
    def upstream(self) -> bool:
        """Whether it is of one of Envoy's upstreams."""
        return self.leg.startswith(UPSTREAM_LEG)

    @property
    def of_many(self) -> bool:
        """Whether it is one of hundreds: an upstream, a rig's stream or log-in channel."""
        return self.upstream or self.kind in REPORTED_KINDS

    @property
    def answered(self) -> tuple[int, int]:
        """(k, n): how many of the leg's tried addresses answered."""
        tried = [one for one in self.addresses if not one.skipped]
        return sum(one.ok for one in tried), len(tried)

    @property
    def trips(self) -> list[float]:
        """The round trips that count, in seconds (see `trips`); none where others report."""
        if self.kind in REPORTED_KINDS:
            return []
        return trips(self.beats, holds=bool(self.connections))

    @property
    def counted(self) -> list[Drop]:
        """The drops that count: neither our own stalls nor blips that stand alone."""
        return [one for one in self.drops if not one.stalled and not one.lone]

    @property
    def symptom(self) -> Symptom | None:
        """The worst of the drops that count; None without any."""
        return min((one.symptom for one in self.counted), key=SYMPTOMS.index, default=None)

    @property
    def refuses(self) -> bool:
        """At the end its held connection worked, and nothing new was accepted."""
        return self.connected is True and self.accepting is False


class RunRecord(Fact, frozen=True):
    """What a run knew of itself: enough to judge its observations again, years later."""

    version: int = 1
    """`RECORD_VERSION` when it is written; a record that does not say is of 0.1."""
    deployment: str = ""
    segments: tuple[str, ...] = ()
    """The segments that the deployment file declares, in its order."""
    own_segments: tuple[str, ...] = ()
    """Segments that belong to one upstream or one path rule. They take part in the verdict
    and not in the published segment states."""
    paths: tuple[tuple[str, ...], ...] = ()
    spread: tuple[str, ...] = ()
    """Segments that are several machines, of which one may be broken."""
    local: tuple[str, ...] = ()
    """Segments that each vantage has for itself."""
    gloss: dict[str, str] = {}
    """What to add wherever a segment is named that broke or may have."""
    started_at: float = 0.0
    """Unix seconds."""
    duration_seconds: float = 0.0
    hold_seconds: float = 0.0
    heartbeat_seconds: float = 0.0
    watchdog_seconds: float = 0.0
    slow_floor_seconds: float = 0.02
    """What a leg's median may exceed its usual round trip by before it can count as slow."""
    complete: bool = True
    """False when the run was interrupted, or ran only a part of the deployment's legs."""
    interrupted: bool = False
    partial: bool = False
    vantage: str = ""
    shard: int | None = None
    """Which part of a run that is split over several pods this is, counted from 0; None: not
    split."""
    shards: int | None = None
    """Into how many parts it is split."""
    loop_lag_seconds: float = 0.0
    """The longest time the event loop was late."""
    throttled_seconds: float | None = None
    """For how long the kernel kept our control group from the processor, by its own count; None
    where nothing limits us, or nothing says so."""
    clock_step_seconds: float = 0.0
    """The largest step of the wall clock, against the monotonic one, during the run: UTC stamps of
    what came after it are wrong by so much. Positive when it was set forward."""
    not_run: tuple[str, ...] = ()
    """Declared legs that this run did not probe."""
    warnings: tuple[str, ...] = ()
    """Sentences such as a stale planned downtime."""
    trace_id: str = ""
    """The id of the run's trace, 32 hex digits; empty where none was to be sent."""
    opinions: tuple[OpinionView, ...] = ()
    """What programs on the path said of themselves."""


def counting_beats(beats: Iterable[Beat], *, holds: bool = False) -> list[Beat]:
    """The beats whose round trips count: good held ones; fresh ones where no connection was held.
    `holds`: one was, even if no beat on it was answered."""
    good = [one for one in beats if one.ok and one.rtt_seconds >= 0]
    held = [one for one in good if one.strand == "held"]
    return held if held or holds else good


def trips(beats: Iterable[Beat], *, holds: bool = False) -> list[float]:
    """The round trips that count, in seconds."""
    return [one.rtt_seconds for one in counting_beats(beats, holds=holds)]


def median(values: Iterable[float]) -> float:
    """The middle value, or the mean of the middle two. Raises ValueError when there is none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no median of nothing")
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


NAMED = 12


def parts_said(runs: Iterable[RunRecord]) -> str:
    """Which shards these runs are of, and what is not in them, as a sentence without its full
    stop; empty when none of them is a part of a split run."""
    every = list(runs)
    known = sorted({one.shard for one in every if one.shard is not None})
    if not known:
        return ""
    many = max((one.shards or 0 for one in every), default=0)
    names = listed(map(str, known), NAMED)
    said = f"shard{'s' * (len(known) > 1)} {names}" + (f" of {many}" if many else "")
    if any(one.shard is None for one in every) or (many and len(known) >= many):
        return said  # nothing is missing
    what = "" if 0 in known else "the legs, which shard 0 runs, and "
    return f"{said}: {what}the upstreams of other shards are not in it"


WORST_FIRST = ("failed", "inconclusive", "degraded", "planned", "passed")
"""What a leg is shown as. Where there is no room for all, the last ones are left out first."""
_Thing = TypeVar("_Thing")


def badness(outcome: str) -> int:
    """0 is the worst; a word that is none of `WORST_FIRST` is as bad."""
    return WORST_FIRST.index(outcome) if outcome in WORST_FIRST else 0


def worst(
    things: Sequence[_Thing], most: int, rank: Callable[[_Thing], int | tuple[float, ...]]
) -> Sequence[_Thing]:
    """In their order; of more than `most` those of the lowest rank."""
    if len(things) <= most:
        return things
    kept = sorted(range(len(things)), key=lambda at: rank(things[at]))[:most]
    return [things[at] for at in sorted(kept)]


def of_old(*versions: int) -> str:
    """What has to be said about records of these versions; empty where all are of this one."""
    old = sum(one < RECORD_VERSION for one in versions)
    if not old:
        return ""
    which = "this record is" if len(versions) == 1 else f"{old} of {len(versions)} records are"
    return (
        f"{which} of 0.1: a connection's first beat counts as fresh, all others as held, so "
        "the verdict may be wider than it was then"
    )


def sentence(seen: Observation) -> str:
    """One line for people: leg, outcome, reason, detail."""
    words = f"{seen.leg}: {seen.outcome}"
    if seen.symptom == "refusing":
        words += ", refusing"
    if seen.reason:
        words += f", {seen.reason}"
    if seen.detail:
        words += f": {seen.detail}"
    drops = sum(not one.lone for one in seen.drops)
    if drops > 1:
        words += f" ({drops} drops)"
    for view in seen.views:
        if view.sentence:
            words += f"; {view.sentence}"
    return words
