"""Every metric there is: name, type, labels, help, buckets. The code builds no other.

Names carry their unit, and all units are base units. A name that ends in `_total` is a
counter.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from t3probe.observation import REASONS

STATES = ("exonerated", "convicted", "ambiguous", "masked", "unobserved")
PHASES = ("resolve", "connect", "tls", "upgrade", "first_echo")
EXPECTED = ("public", "walled")
LIMIT_KINDS = ("age", "silence", "either")
DISAGREEMENTS = ("envoy_only", "probe_only")
OPINION_KINDS = ("opinion_only", "probe_only")
GATE_CHECKS = (*("token", "no_token", "wrong_token", "paths", "method", "health", "plain", "leak"),)
"""What an ingest gate is asked: no other value becomes a label, whatever a record says."""
MARK_SLOTS = ("0", "1", "2", "3")
MARK_PARTS = ("folder", "number")
CLOSED: dict[str, tuple[str, ...]] = {
    "reason": REASONS,
    "phase": PHASES,
    "state": STATES,
    "expected": EXPECTED,
    "kind": (*DISAGREEMENTS, "opinion_only"),
    "slot": MARK_SLOTS,
    "what": MARK_PARTS,
}
"""Labels whose values come from a closed list; all others come from the deployment file."""

RTT_BUCKETS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0),
)
"""Upper bounds in seconds. The legs inside a network answer within 0.2 to 5 ms and those
through a CDN within 10 to 50 ms: without the first row all of them would share one bucket,
and no quantile could show one of them getting ten times slower. 20 is the browser's watchdog."""
AGE_BUCKETS = (10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)


class Spec(NamedTuple):
    """One metric family."""

    name: str
    type: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    help: str
    """One sentence; the exposition's HELP."""
    absent: str = ""
    """When a series of it is left out; empty: never."""
    buckets: tuple[float, ...] = ()
    """Upper bounds without +Inf (histograms)."""
    outlives: bool = False
    """A gauge whose last value stays true when a later run has nothing newer to say."""


UNTOLD = "there was no fresh report of the rig"
NO_PART = "the leg was inconclusive or under planned downtime"

TABLE: tuple[Spec, ...] = (
    Spec(
        "t3probe_connected",
        "gauge",
        ("leg",),
        "Whether the held connection worked at the end of the hold (1) or not (0); of a leg that "
        "holds none, and after a polite close, whether the last fresh beat was good.",
        absent=NO_PART,
    ),
    Spec(
        "t3probe_accepting",
        "gauge",
        ("leg",),
        "Whether the leg's last fresh beat, on a new connection of its own, was good (1) or not "
        "(0).",
        absent=f"{NO_PART}, or it makes no fresh beats of its own (`fresh_every = 0`)",
    ),
    Spec(
        "t3probe_disconnects_total",
        "counter",
        ("leg", "reason"),
        "Outages of the leg by reason, one each, of either strand; neither our own stalls, "
        "planned downtime nor a blip that stands alone count.",
    ),
    Spec(
        "t3probe_rtt_seconds",
        "histogram",
        ("leg",),
        "Round trips of good beats on the held connection: an echo, a request and its answer; of a "
        "leg that holds none, those of fresh beats.",
        buckets=RTT_BUCKETS,
    ),
    Spec(
        "t3probe_rtt_baseline_seconds",
        "gauge",
        ("leg",),
        "The leg's usual round trip: a median that moves slowly from run to run.",
        absent="no run with three good beats of the leg could read what earlier runs left",
        outlives=True,
    ),
    Spec(
        "t3probe_connection_age_seconds",
        "histogram",
        ("leg",),
        "How old a held connection was when it died.",
        buckets=AGE_BUCKETS,
    ),
    Spec(
        "t3probe_connection_limit_seconds",
        "gauge",
        ("leg", "kind"),
        "The age, or the silence, at which the leg's connections die, each time the same: kind is "
        "age, silence, or either where both would explain it. A polite keep-alive timeout is none.",
        absent="no such limit shows",
    ),
    Spec(
        "t3probe_last_disconnect_timestamp",
        "gauge",
        ("leg",),
        "When the leg's last drop was noticed, in Unix seconds.",
        absent="no drop of the leg is known",
        outlives=True,
    ),
    Spec(
        "t3probe_observed_seconds_total",
        "counter",
        ("leg",),
        "How long the leg was really looked at; without it a clean record proves nothing.",
    ),
    Spec(
        "t3probe_planned",
        "gauge",
        ("leg",),
        "Whether the leg is under planned downtime (1), so that its state and drops are not told.",
    ),
    Spec(
        "t3probe_phase_seconds",
        "gauge",
        ("leg", "phase"),
        "Phases of the leg's opening: the first attempt that worked.",
        absent=f"{NO_PART}, no attempt succeeded, or the leg has no such phase",
    ),
    Spec(
        "t3probe_tls_cert_expiry_timestamp_seconds",
        "gauge",
        ("leg",),
        "When the first certificate of the server's chain expires or expired, in Unix seconds.",
        absent="no certificate was seen, or the leg had collapsed onto another route",
    ),
    Spec(
        "t3probe_segment_state",
        "gauge",
        ("segment", "state"),
        "The verdict on each declared segment: 1 for its state, 0 for the four others.",
    ),
    Spec(
        "t3probe_verdict_info",
        "gauge",
        ("segment", "legs", "cleared_by"),
        "Why a declared segment is convicted: the failed legs that accuse it, and the legs that "
        "cleared others on their paths, each with how; always 1.",
        absent="the segment is not convicted",
    ),
    Spec(
        "t3probe_segment_since_timestamp_seconds",
        "gauge",
        ("segment",),
        "Since when a convicted segment has been so from run to run, in Unix seconds: the earliest "
        "last sign of life of the legs that accuse it.",
        absent="the segment is not convicted",
    ),
    Spec(
        "t3probe_segment_posterior",
        "gauge",
        ("segment",),
        "How probable it is that the segment is broken, from this run alone; a single try counts "
        "for little.",
        absent="no segments share a suspicion in this run, or no leg over it was tried",
    ),
    Spec(
        "t3probe_segment_excess_seconds",
        "gauge",
        ("segment",),
        "What the segment adds to the usual round trip of every leg over it; 0 when a leg over it "
        "is as fast as usual.",
        absent="no leg over it could be judged, or its share cannot be told from another's",
    ),
    Spec(
        "t3probe_segment_latency_seconds",
        "gauge",
        ("segment",),
        "What the segment adds to a round trip, from the differences of legs.",
        absent="no difference of the legs that passed is this segment alone, or it is below 0 by "
        "more than noise",
    ),
    Spec(
        "t3probe_walled_off",
        "gauge",
        ("path", "expected"),
        "Whether the path asks for a session (1) or not (0), beside what is expected of it.",
        absent="the check was inconclusive or under planned downtime",
    ),
    Spec(
        "t3probe_ingest_gate",
        "gauge",
        ("gate", "check"),
        "Whether an ingest gate was as it must be (1) or not (0) in one respect. `token`: ours is "
        "taken. Closed are: `no_token` and `wrong_token`; `paths`: what else the token might open; "
        "`method`: a GET of the path; `health`: the health page without a token; `plain`: plain "
        "http; `leak`: no answer holds the token.",
        absent="it was not asked yet, or the answer did not tell",
        outlives=True,
    ),
    Spec(
        "t3probe_backend_reachable",
        "gauge",
        ("route", "listen_port", "backend"),
        "Whether a TCP connect to the Envoy upstream worked at the end of the hold.",
        absent="the check was inconclusive or under planned downtime",
    ),
    Spec(
        "t3probe_backend_connect_seconds",
        "gauge",
        ("route", "listen_port", "backend"),
        "The median time of a TCP connect to the Envoy upstream.",
        absent="no connect worked, or the check was inconclusive or under planned downtime",
    ),
    Spec(
        "t3probe_backend_disagreement",
        "gauge",
        ("route", "backend", "kind"),
        "Whether Envoy alone (envoy_only) or the probe alone (probe_only) can reach the upstream.",
        absent="Envoy's own view of the upstream was not compared with the probe's",
    ),
    Spec(
        "t3probe_opinion_healthy",
        "gauge",
        ("opinion", "segment"),
        "Whether a program on the path said at the run's end that its segment works, if only in "
        "part (1), or not (0). It is no evidence, and in no verdict.",
        absent="its opinion could not be had",
    ),
    Spec(
        "t3probe_opinion_disagreement",
        "gauge",
        ("opinion", "segment", "kind"),
        "Whether the program alone (opinion_only) or the probe alone (probe_only) believes that "
        "the segment works.",
        absent="its opinion is not known, is only degraded or changed during the run, or the run "
        "itself could not tell",
    ),
    Spec(
        "t3probe_experiment_healthy",
        "gauge",
        ("experiment",),
        "Whether all of a rig's streams are active and its log-in channel is there.",
        absent=UNTOLD,
    ),
    Spec(
        "t3probe_experiment_available",
        "gauge",
        ("experiment",),
        "Whether each stream that a rig needs is active, so that it can be used.",
        absent=UNTOLD,
    ),
    Spec(
        "t3probe_stream_active",
        "gauge",
        ("experiment", "stream"),
        "Whether a rig's stream was reported lately, and sent something lately.",
        absent=UNTOLD,
    ),
    Spec(
        "t3probe_stream_age_seconds",
        "gauge",
        ("experiment", "stream"),
        "How long ago a rig's stream sent something.",
        absent="it never did, as far as is known, or relay does not say when; after a run, also "
        "while the stream is active",
    ),
    Spec(
        "t3probe_jump_connected",
        "gauge",
        ("experiment",),
        "Whether a rig's log-in channel is there.",
        absent=UNTOLD,
    ),
    Spec(
        "t3probe_experiment_events_total",
        "counter",
        ("experiment", "to"),
        "Changes of a rig that lasted, by what it then was: healthy or unhealthy.",
        absent="always but in the held mode",
    ),
    Spec(
        "t3probe_book_mismatch",
        "gauge",
        ("experiment",),
        "Whether book says otherwise of a rig than was written to it.",
        absent="always but in the held mode with `manage = true`",
    ),
    Spec(
        "t3probe_check_success",
        "gauge",
        ("check",),
        "Whether the check passed (1) or failed (0); degraded passes.",
        absent="the check was inconclusive (a source of upstreams has 0 then) or skipped",
    ),
    Spec(
        "t3probe_check_duration_seconds",
        "gauge",
        ("check",),
        "How long the check took, from its first attempt to its last judged beat.",
        absent="the check did not run",
    ),
    Spec(
        "t3probe_run_timestamp_seconds",
        "gauge",
        (),
        "When the run ended, in Unix seconds.",
    ),
    Spec(
        "t3probe_run_duration_seconds",
        "gauge",
        (),
        "How long the run took.",
    ),
    Spec(
        "t3probe_run_complete",
        "gauge",
        (),
        "Whether the run probed every leg to the end of the hold: 0 when it was interrupted or "
        "ran only a part.",
    ),
    Spec(
        "t3probe_loop_lag_seconds",
        "gauge",
        (),
        "The longest time the prober itself was late.",
    ),
    Spec(
        "t3probe_build_info",
        "gauge",
        ("version",),
        "The version of t3probe that judged the run and made these series; always 1.",
    ),
    Spec(
        "t3probe_counts_lost_total",
        "counter",
        (),
        "Drops counted by runs that could not be delivered and were not spooled.",
    ),
    Spec(
        "t3probe_runs_overlapped_total",
        "counter",
        (),
        "How often another writer changed this group under a run.",
    ),
    Spec(
        "t3probe_delivery_mark",
        "gauge",
        ("slot", "what"),
        "Which kept counts this group contains, by spool folder (bookkeeping of the delivery).",
        absent="no counts that were kept on disk were ever pushed",
    ),
)
"""All families, in the order in which they are written."""

BY_NAME = {one.name: one for one in TABLE}
