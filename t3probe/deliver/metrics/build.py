"""From what a run saw and its verdict to metric families. Pure: observations in, data out.

Which leg says what:

- A leg that takes part in the verdict has everything. One that is inconclusive, or under
  planned downtime, adds nothing to any count and its state is absent: nobody may read a drop,
  a pass or a covered second out of it.
- An upstream (`envoy-NAME`) has the backend families and nothing else: ten thousand of them
  times nineteen reasons would be no metrics any more.
- A rig's stream or log-in channel has the families of rigs and its part in the verdict, for the
  same reason.
- A source of upstreams, or a check with its own body, is no leg of the deployment: it has its
  success, its duration, and its part in the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from t3probe import __version__
from t3probe.config import legs_for
from t3probe.config.opinions import opinions_for
from t3probe.config.types import Deployment
from t3probe.deliver.metrics.carry import BASELINE, SINCE, Group
from t3probe.deliver.metrics.exposition import Sheet
from t3probe.deliver.metrics.table import (
    DISAGREEMENTS,
    EXPECTED,
    GATE_CHECKS,
    LIMIT_KINDS,
    OPINION_KINDS,
    PHASES,
    STATES,
)
from t3probe.observation import REASONS, Observation, RunRecord, median
from t3probe.run.conclude import labels_of
from t3probe.text.names import UPSTREAM_LEG
from t3probe.text.words import listed
from t3probe.verdict.incident.evidence import takes_part
from t3probe.verdict.incident.run import RunVerdict
from t3probe.verdict.slow.baseline import judged_trips, moved

SOURCE = "source"
CHECKS_LIMIT = 1000
"""How many checks of another suite become series: those that failed before those that passed."""
CHECK_NAME_LIMIT = 120
"""How many characters of a check's name become its label: the last ones, which differ."""


def families(
    run: RunRecord,
    observations: Sequence[Observation],
    judged: RunVerdict,
    *,
    counts_lost: float = 0,
    runs_overlapped: float = 0,
) -> Group:
    """What one run says, in the table's order; its counters hold what this run alone adds.

    The labels of the vantage, the job and the shard are the sink's to add. `counts_lost` and
    `runs_overlapped` are for what only a delivery can know.
    """
    sheet = Sheet()
    for seen in observations:
        if seen.upstream:
            _upstream(sheet, seen)
        if seen.of_many:
            continue
        if not seen.after_hold and seen.kind != SOURCE:
            _leg(sheet, run, seen)
        _check(sheet, seen)
    _rigs(sheet, observations)
    _segments(sheet, run, judged)
    _slowness(sheet, run, judged)
    _opinions(sheet, judged)
    _limits(sheet, judged)
    _run(sheet, run)
    sheet.count("t3probe_counts_lost_total", (), counts_lost)
    sheet.count("t3probe_runs_overlapped_total", (), runs_overlapped)
    return sheet.families()


def zeros(deployment: Deployment, vantage: str = "") -> Group:
    """Every counter and histogram of a full run from this vantage, at 0; no gauges.

    To be written at a run's start where series are missing: a counter born at 2 would count
    as 0 in `increase()`. An empty vantage means the deployment's own.
    """
    sheet = Sheet()
    for leg in legs_for(deployment, vantage)[0]:
        if not leg.of_many:
            _counts(sheet, leg.name, None)
    sheet.count("t3probe_counts_lost_total", (), 0)
    sheet.count("t3probe_runs_overlapped_total", (), 0)
    return sheet.families()


def gauges(deployment: Deployment, vantage: str = "") -> Group:
    """Every gauge that a full run from this vantage may have or lack; their values say nothing.

    Without those that each run has (`t3probe_run_*`, `t3probe_build_info`,
    `t3probe_segment_state`), those that outlive a run, those of checks with a body of their
    own, which no file names, and `t3probe_verdict_info`, whose labels only a run knows.
    """
    sheet = Sheet()
    for leg in legs_for(deployment, vantage)[0]:
        if leg.of_many and not leg.upstream:
            for name in ("t3probe_experiment_healthy", "t3probe_experiment_available"):
                sheet.gauge(name, (leg.experiment,), 0)
            if leg.kind == "jump":
                sheet.gauge("t3probe_jump_connected", (leg.experiment,), 0)
            else:
                for name in ("t3probe_stream_active", "t3probe_stream_age_seconds"):
                    sheet.gauge(name, (leg.experiment, leg.stream), 0)
            continue
        known = labels_of(leg)
        sheet.gauge("t3probe_check_success", (leg.name,), 0)
        sheet.gauge("t3probe_check_duration_seconds", (leg.name,), 0)
        if leg.upstream:
            own = known["route"], known["listen_port"]
            more = ((one.route, str(one.listen_port or "")) for one in leg.places)
            for place in dict.fromkeys((own, *more)):
                for name in ("t3probe_backend_reachable", "t3probe_backend_connect_seconds"):
                    sheet.gauge(name, (*place, known["backend"]), 0)
                for kind in DISAGREEMENTS if leg.places else ():
                    labels = place[0], known["backend"], kind
                    sheet.gauge("t3probe_backend_disagreement", labels, 0)
            continue
        for name in OF_LEGS:
            sheet.gauge(name, (leg.name,), 0)
        for phase in PHASES:
            sheet.gauge("t3probe_phase_seconds", (leg.name, phase), 0)
        for kind in LIMIT_KINDS:
            sheet.gauge("t3probe_connection_limit_seconds", (leg.name, kind), 0)
        for check in GATE_CHECKS if "gate" in known else ():
            sheet.gauge("t3probe_ingest_gate", (known["gate"], check), 0)
        if "path" in known:
            sheet.gauge("t3probe_walled_off", (known["path"], known["expected"]), 0)
    for one in opinions_for(deployment.opinion, vantage or deployment.vantage):
        sheet.gauge("t3probe_opinion_healthy", (one.name, one.segment), 0)
        for kind in OPINION_KINDS:
            sheet.gauge("t3probe_opinion_disagreement", (one.name, one.segment, kind), 0)
    for segment in deployment.segments:
        for name in OF_SEGMENTS:
            sheet.gauge(name, (segment,), 0)
    return sheet.families()


OF_LEGS = (
    "t3probe_connected",
    "t3probe_accepting",
    "t3probe_planned",
    "t3probe_tls_cert_expiry_timestamp_seconds",
)
OF_SEGMENTS = (
    SINCE,
    "t3probe_segment_posterior",
    "t3probe_segment_excess_seconds",
    "t3probe_segment_latency_seconds",
)


def check_families(checks: Iterable[tuple[str, bool | None, float | None]]) -> Group:
    """Success and duration of any suite's checks, bounded in number and in label length.

    Each is a name, whether it passed (None: it did not run, and has no series), and its seconds
    (None: not known). Those that failed come first, so that what is left out is the good ones.
    """
    sheet = Sheet()
    known: set[str] = set()
    for name, passed, seconds in sorted(checks, key=lambda one: one[1] is not False):
        name = name[-CHECK_NAME_LIMIT:]
        if passed is None or (name not in known and len(known) >= CHECKS_LIMIT):
            continue
        known.add(name)
        sheet.gauge("t3probe_check_success", (name,), float(passed), min)
        if seconds is not None and seconds >= 0:
            sheet.gauge("t3probe_check_duration_seconds", (name,), seconds)
    return sheet.families()


def _counts(sheet: Sheet, leg: str, seen: Observation | None) -> None:
    """A leg's counters and histograms; at 0 when nothing counts."""
    drops = [] if seen is None else seen.counted
    reasons = dict.fromkeys(REASONS, 0)
    for drop in drops:
        if drop.reason in reasons:
            reasons[drop.reason] += 1
    for reason, number in reasons.items():
        sheet.count("t3probe_disconnects_total", (leg, reason), number)
    ages = [one.connection_age_seconds for one in drops]
    sheet.observe(
        "t3probe_connection_age_seconds", (leg,), [one for one in ages if one is not None]
    )
    sheet.observe("t3probe_rtt_seconds", (leg,), [] if seen is None else seen.trips)
    observed = 0.0 if seen is None else seen.observed_seconds
    sheet.count("t3probe_observed_seconds_total", (leg,), observed)


def _leg(sheet: Sheet, run: RunRecord, seen: Observation) -> None:
    leg = seen.leg
    counts = takes_part(seen)
    _counts(sheet, leg, seen if counts else None)
    sheet.gauge("t3probe_planned", (leg,), float(bool(seen.planned)))
    if seen.cert_not_after is not None and seen.reason != "leg_collapsed":
        # The one that ends first, should one leg have met two.
        name = "t3probe_tls_cert_expiry_timestamp_seconds"
        sheet.gauge(name, (leg,), seen.cert_not_after, min)
    if not seen.planned and seen.reason != "leg_collapsed":
        for check in GATE_CHECKS:
            if check in seen.gate:
                labels = seen.labels.get("gate", leg), check
                # Both legs of a gate may ask the same: the series shows the open one.
                sheet.gauge("t3probe_ingest_gate", labels, float(seen.gate[check]), min)
    if not counts:
        return
    if seen.connected is not None:
        sheet.gauge("t3probe_connected", (leg,), float(seen.connected), min)
    if seen.accepting is not None:
        sheet.gauge("t3probe_accepting", (leg,), float(seen.accepting), min)
    drops = seen.counted
    if drops:
        last = run.started_at + max(drop.noticed for drop in drops)
        sheet.gauge("t3probe_last_disconnect_timestamp", (leg,), last)
    for phase in PHASES:
        seconds = seen.phases.get(phase, -1.0)
        if seconds >= 0:
            sheet.gauge("t3probe_phase_seconds", (leg, phase), seconds)
    _baseline(sheet, run, seen)
    _wall(sheet, seen)


def _baseline(sheet: Sheet, run: RunRecord, seen: Observation) -> None:
    """Nothing without what earlier runs left: this run alone must not replace it."""
    if seen.baseline is None or seen.outcome not in ("passed", "degraded"):
        return
    usual = moved(seen.baseline, judged_trips(seen), run.slow_floor_seconds)
    if usual is not None:
        sheet.gauge(BASELINE, (seen.leg,), usual)


def _wall(sheet: Sheet, seen: Observation) -> None:
    path, expected = seen.labels.get("path"), seen.labels.get("expected")
    if path is None or expected not in EXPECTED:
        return
    public = expected == "public"
    if seen.outcome == "failed":
        bad = "walled_off" if public else "not_walled"
        if not any(drop.reason == bad for drop in seen.counted):
            return  # it failed in a way that says nothing about the rule
    asks = public == (seen.outcome == "failed")
    # Two hosts may share a path: the series shows the one that is wrong.
    sheet.gauge("t3probe_walled_off", (path, expected), float(asks), max if public else min)


def _upstream(sheet: Sheet, seen: Observation) -> None:
    known = seen.labels
    backend = known.get("backend", seen.leg.removeprefix(UPSTREAM_LEG))
    for view in seen.views:
        for kind in DISAGREEMENTS if view.disagreements is not None else ():
            found = float(kind in (view.disagreements or ()))
            # One route may be reached by several ports: the series shows the one that is wrong.
            sheet.gauge("t3probe_backend_disagreement", (view.route, backend, kind), found, max)
    if not takes_part(seen):
        return
    own = known.get("route", ""), known.get("listen_port", "")
    places = dict.fromkeys((own, *((view.route, view.listen_port) for view in seen.views)))
    trips = seen.trips
    for place in places:
        labels = (*place, backend)
        if seen.connected is not None:
            sheet.gauge("t3probe_backend_reachable", labels, float(seen.connected), min)
        if trips:
            sheet.gauge("t3probe_backend_connect_seconds", labels, median(trips))


def _rigs(sheet: Sheet, observations: Sequence[Observation]) -> None:
    """A rig is healthy when all that is known of it is well, and available when the streams that it
    needs are; one of them that could not be told leaves open what no other one decides."""
    streams: dict[str, list[bool | None]] = {}
    needed: dict[str, list[bool | None]] = {}
    for seen in observations:
        if seen.kind not in ("stream", "jump"):
            continue
        rig, stream = seen.labels.get("experiment", ""), seen.labels.get("stream", "")
        told = takes_part(seen)
        well = seen.outcome == "passed" if told else None
        streams.setdefault(rig, []).append(well)
        if seen.kind == "jump":
            if told:
                sheet.gauge("t3probe_jump_connected", (rig,), float(seen.outcome == "passed"))
            continue
        # What is only degraded is a stream that nobody needs.
        needed.setdefault(rig, []).append(None if well is None else seen.outcome != "failed")
        if told:
            sheet.gauge("t3probe_stream_active", (rig, stream), float(seen.outcome == "passed"))
        for drop in seen.drops:
            if drop.reason == "stream_silent":
                age = drop.noticed - drop.began
                sheet.gauge("t3probe_stream_age_seconds", (rig, stream), age)
    for name, found in (("healthy", streams), ("available", needed)):
        for rig, parts in found.items():
            if False in parts or None not in parts:
                sheet.gauge(f"t3probe_experiment_{name}", (rig,), float(False not in parts))


def _check(sheet: Sheet, seen: Observation) -> None:
    # What a source is asked is whether it can be read: not being able to tell is a no.
    if takes_part(seen) or (seen.kind == SOURCE and not seen.planned):
        good = seen.outcome in ("passed", "degraded")
        sheet.gauge("t3probe_check_success", (seen.leg,), float(good), min)
    lasted = max(0.0, seen.ended - seen.started)
    sheet.gauge("t3probe_check_duration_seconds", (seen.leg,), lasted)


def _segments(sheet: Sheet, run: RunRecord, judged: RunVerdict) -> None:
    found = {segment: state for state in STATES for segment in getattr(judged.verdict, state)}
    for segment in dict.fromkeys(run.segments):
        state = found.get(segment, "unobserved")
        for one in STATES:
            sheet.gauge("t3probe_segment_state", (segment, one), float(one == state))
    for segment, why in judged.convictions.items():
        if segment in run.segments:
            cleared_by = [f"{leg} ({how})" for leg, how in why.cleared_by.items()]
            labels = segment, listed(sorted(why.legs)), listed(sorted(cleared_by))
            sheet.gauge("t3probe_verdict_info", labels, 1.0)
            sheet.gauge(SINCE, (segment,), run.started_at + why.began)
    if not judged.verdict.ambiguous:
        return  # nobody has to be told from another
    likely = judged.posterior
    for segment in dict.fromkeys(run.segments):
        if segment not in likely.untried:
            probable = round(likely.posterior[segment], 6)
            sheet.gauge("t3probe_segment_posterior", (segment,), probable)


def _limits(sheet: Sheet, judged: RunVerdict) -> None:
    for one in judged.limits:
        for leg in () if one.polite else one.legs:
            sheet.gauge("t3probe_connection_limit_seconds", (leg, one.kind), one.seconds, min)


def _slowness(sheet: Sheet, run: RunRecord, judged: RunVerdict) -> None:
    for name, found in (
        ("t3probe_segment_excess_seconds", judged.slowness.segments),
        ("t3probe_segment_latency_seconds", judged.slowness.latency.segments),
    ):
        for segment in dict.fromkeys(run.segments):
            if segment in found:
                sheet.gauge(name, (segment,), found[segment])


def _opinions(sheet: Sheet, judged: RunVerdict) -> None:
    for one in judged.opinions:
        labels = one.view.name, one.view.segment
        if one.view.opinion != "unknown":
            healthy = float(one.view.opinion != "unhealthy")
            sheet.gauge("t3probe_opinion_healthy", labels, healthy, min)
        for kind in OPINION_KINDS if one.compared else ():
            found = float(kind == one.disagreement)
            sheet.gauge("t3probe_opinion_disagreement", (*labels, kind), found)


def _run(sheet: Sheet, run: RunRecord) -> None:
    whole = run.complete and not (run.interrupted or run.partial)
    ended = run.started_at + run.duration_seconds
    sheet.gauge("t3probe_run_timestamp_seconds", (), ended)
    sheet.gauge("t3probe_run_duration_seconds", (), run.duration_seconds)
    sheet.gauge("t3probe_run_complete", (), float(whole))
    sheet.gauge("t3probe_loop_lag_seconds", (), run.loop_lag_seconds)
    sheet.gauge("t3probe_build_info", (__version__,), 1.0)
