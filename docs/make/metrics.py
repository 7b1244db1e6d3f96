"""`docs/metrics.md`, made from the table of metrics.

`python docs/make/metrics.py` writes it; a test holds that it is current.
"""

from __future__ import annotations

from pathlib import Path

from t3probe.deliver.metrics.build import CHECK_NAME_LIMIT, CHECKS_LIMIT
from t3probe.deliver.metrics.table import CLOSED, TABLE, Spec
from t3probe.verdict.slow.baseline import LEARNING_BEATS, MIN_BEATS

__all__ = ["DIFFERENCES", "page"]

HEAD = """\
# Metrics

This page is written by `python docs/make/metrics.py`; a test holds that it is current.

## Rules

- Units are base units: seconds, Unix seconds, 0 or 1.
- What was not measured is *absent*, never 0. A count that is zero *is* 0: every counter and
  every histogram exists from a vantage's first run on, for every leg, and for every reason.
- Labels come from the deployment file and from the closed lists below, never from the network.
- The sink adds the labels of the vantage (and job and shard, where it has them).
- Counters continue from run to run: a run reads what stands there and writes the sum. With remote
  write they are those of the run alone, see below.
- The rules of `cronjob/rules/` also record `sigma_backend_reachable` (`t3probe_backend_reachable`)
  and `sigma_backend_probe_latency_ms` (`t3probe_backend_connect_seconds`, in milliseconds): older
  names, for queries that use them.

## Who says what

- A **leg** that takes part in the verdict has every family with a `leg` label.
- A leg that is **inconclusive** (we could not tell, or the prober itself stood still) adds nothing
  to any count and its state is absent: no pass, no drop and no covered second may be read from it.
- A leg under **planned downtime** is treated the same, and `t3probe_planned` is 1, so that a rule
  about coverage can leave it out with `unless on(job, vantage, leg) t3probe_planned == 1`.
- A drop during which **the prober itself stood still** is not a disconnect.
- An **upstream** (`envoy-NAME`) has the `t3probe_backend_*` families and nothing else: ten
  thousand of them, times the reasons, would be too many series. Its drops are in the record.
- A **check with its own body** has `t3probe_check_*` and its part in `t3probe_segment_state`; it
  is no leg of the deployment.
- Every leg that holds a connection beats on it (**held**), and each time on a new one beside it
  (**fresh**). `t3probe_connected` is the held one's state, `t3probe_accepting` that of the newest
  fresh beat: 1 and 0 together mean that what is open lives on and nothing new is accepted.
  `t3probe_disconnects_total` counts an outage once, of either strand, under the held
  one's reason where that failed, too. `t3probe_connection_age_seconds` needs a held connection that
  died.
- A **segment** has `t3probe_segment_excess_seconds` when it can be told what it adds to the usual
  round trip, alone of all; 0 says that a leg over it is as fast as usual. Two segments that no leg
  tells apart have none: the record and the summary name the group.
- A **convicted** segment has `t3probe_verdict_info`, whose labels name the failed legs and who
  cleared others, and `t3probe_segment_since_timestamp_seconds`. A run takes the moment over
  from the group or file that it goes on from, as long as each run in between convicted; with
  remote write alone it is of that run. The labels are a run's own, so ask for the newest:
  `topk(1, timestamp(...))`.
- A test of **another suite**, pushed from its JUnit file, has `t3probe_check_*` alone: at most
  CHECKS_LIMIT of them, those that failed first, and the last CHECK_NAME_LIMIT characters of each
  name. A test that did not run has neither; one whose file says no number of seconds has no
  duration. Of several of one name the worst counts, so a try that failed counts beside one that
  passed, unless the file marks it as made good (`flakyFailure`).

## Remote write

A run writes each counter and each bucket twice, in one request at its end: as 0 at the time when
it began, and as what it counted at the time when it ended. So `increase()` and `rate()` over any
number of runs are right without anything that is read back, and a single raw value is one run's.
Gauges are written once, at the end. A gauge that this run did not measure and that its deployment
may have gets a stale marker there, so that no last value stays for minutes; upstreams that a source
names no longer get none.

- Labels are `job`, `vantage` and `shard`, and never `instance`. The job is that of the gateway's
  group; where the run has a gateway, too, it is that with `-remote-write` behind it, so that counts
  that continue and counts of one run never meet under one job.
- `t3probe_counts_lost_total` counts drops of runs that fell out of the spool folder or were
  refused; the next run that is written tells of them.
- Prometheus extrapolates: over 300 runs `increase()` is within 1 % of the truth, over ten some 3 %
  too much. VictoriaMetrics gives the number itself. It keeps a sample twice that was sent twice,
  which changes `count_over_time()` alone, and not with `-dedup.minScrapeInterval=1ms`.
- The held mode is scraped and writes nothing.

## The held mode

`t3probe watch` shows the same families, with the same names and buckets, on its own `/metrics`, and
adds the label `vantage` where it knows one.

- Counters and histograms are counted as things happen and are true over the process's life; every
  one exists at 0 from the first scrape on. A leg that a reload takes out takes its series along;
  one that a reload changes goes on counting.
- Gauges tell of the present as a run that ends now would: a drop that is over shows for a minute in
  `t3probe_segment_state` and `t3probe_check_success`, an outage for as long as it goes on.
  `t3probe_connected` is the state now.
- `t3probe_run_timestamp_seconds` is when the snapshot was made: at news, and at least every 10 s
  while the probing loop turns. `t3probe_run_complete` is 1; `t3probe_run_duration_seconds` and
  `t3probe_check_duration_seconds` are how long it has held; `t3probe_loop_lag_seconds` is the worst
  of the last minute.
- `t3probe_phase_seconds` is of the newest connection that is held; of a leg that holds none, of the
  newest attempt.
- A drop that only new connections met is counted once its second look is over. A blip is counted
  when another one on a leg that shares a segment with it came within a minute: then both are.
- An outage of planned downtime is not counted, unless it goes on when that is over: then it is, and
  its line comes a second time, with a verdict.

## What is usual

A run is judged against earlier runs, never by itself alone. It reads the group (or the textfile)
at its start, where it finds two things about each leg. `t3probe_rtt_seconds` has every round trip,
in buckets: from it comes how much was seen (MIN_BEATS good beats are the least), and between which
two bounds the median lies. A bucket is up to 2.5 times as wide as its lower bound, so by itself it
can only show what lies above its upper bound. So each run also leaves
`t3probe_rtt_baseline_seconds`, a median that moves a sixtieth of the way to the run's own; 1/1440
of the way only when that is more by `timing.slow_floor`, so that what lasts is usual after a day.
Until the histogram holds LEARNING_BEATS beats, the median is kept below that bucket's upper bound.
The held mode reads nothing back: it remembers the same from minute to minute, and judges the
newest one or two by those before. It begins anew when it starts, and a leg does when its
definition changes.
With remote write alone there is nothing to read back: a file in the spool folder holds the same,
and `t3probe_last_disconnect_timestamp`; where there is no such folder it is in the results folder.
A gateway that lost its state, a volume in memory, a first run, and a run that delivers nothing
judge no slowness at all, and the metrics of it are absent.

A leg is slow when its median exceeds the usual by more than `timing.slow_floor` (20 ms) *and* by
more than half of it. `t3probe_segment_latency_seconds` needs no earlier runs: it compares legs
within one run, and only legs of one kind that end in the same place, or a TCP handshake with a leg
that goes on from there. Its bias: a handshake with one address stands for the network to another.

## Prometheus and VictoriaMetrics

Every rule and every panel runs on both. A test asks a real Prometheus and a real VictoriaMetrics
(1.79.5) over one history of two hours, with drops, a silence, a lost state and runs that could not
tell. No expression fails on either. These differ, and only in how much:

DIFFERENCES

What no expression shows, and a person may see: VictoriaMetrics drops a gauge about two intervals
after its last sample and Prometheus after five minutes, so a timeline ends sooner before a silence.
After one, VictoriaMetrics overstates coverage for as long as the window. Its answers leave out the
newest 30 seconds (`-search.latencyOffset`). A datasource whose samples come once a minute needs
`timeInterval: 60s`, or `$__rate_interval` holds one sample alone.

## Families

| metric | type | labels | meaning | absent when |
|---|---|---|---|---|
"""

TAIL = """\

## Labels

| label | values |
|---|---|
| `leg`, `segment`, `route`, `listen_port` | as in the deployment file |
| `backend` | the upstream's name in the deployment file |
| `path` | the path of the wall's URL, without host and query |
| `check` | the leg's name, or that of a check with its own body; of an ingest gate what was asked |
| `gate` | the name of the ingest gate in the deployment file |
"""


EXTRAPOLATED = (
    "Prometheus extrapolates to both ends of the window, VictoriaMetrics counts between samples"
)
DIFFERENCES = (
    *(
        (name, "VictoriaMetrics reads up to an eighth less over 4 minutes", EXTRAPOLATED)
        for name in (
            "Rate: round trips per second",
            "Drops by leg and reason",
            "Coverage: share of the time observed",
        )
    ),
    (
        "Observed time in the whole range",
        "up to 8 % less where the data begins, then 1 %",
        EXTRAPOLATED,
    ),
    (
        "T3ProbeDropBurst",
        "seven drops read 7.1 to 7.3 in one and 7 in the other: more than six is written `> 6.5`",
        EXTRAPOLATED,
    ),
    (
        "T3ProbeLowCoverage",
        "in a vantage's first half hour only Prometheus calls it low; `for: 30m` outlasts that",
        "Prometheus divides by the whole window, VictoriaMetrics by the time between its samples",
    ),
    (
        "Rigs: the oldest streams",
        "VictoriaMetrics ends a stream's line sooner once it is active again",
        "a run says the age of silent streams alone, and a gauge that ends is seen for longer by "
        "Prometheus",
    ),
)
"""Alert or panel, how the two engines differ about it, and why. A test holds that it is whole."""


def _differences() -> str:
    rows = [f"| `{name}` | {how} | {why} |" for name, how, why in DIFFERENCES]
    return "\n".join(["| alert or panel | how they differ | why |", "|---|---|---|", *rows])


def page() -> str:
    """The whole page, as Markdown."""
    head = HEAD.replace("CHECKS_LIMIT", str(CHECKS_LIMIT)).replace("DIFFERENCES", _differences())
    head = head.replace("CHECK_NAME_LIMIT", str(CHECK_NAME_LIMIT))
    head = head.replace("MIN_BEATS", str(MIN_BEATS))
    head = head.replace("LEARNING_BEATS", str(LEARNING_BEATS))
    rows = "".join(_row(one) for one in TABLE)
    closed = "".join(
        f"| `{label}` | {' '.join(f'`{one}`' for one in values)} |\n"
        for label, values in CLOSED.items()
    )
    return head + rows + _buckets() + TAIL + closed


def _row(spec: Spec) -> str:
    labels = ", ".join(f"`{one}`" for one in spec.labels) or "none"
    meaning = spec.help
    if spec.outlives:
        meaning += " It is kept while later runs see no newer one."
    return f"| `{spec.name}` | {spec.type} | {labels} | {meaning} | {spec.absent or 'never'} |\n"


def _buckets() -> str:
    lines = [
        f"- `{one.name}`: {' '.join(f'{bound:g}' for bound in one.buckets)}\n"
        for one in TABLE
        if one.buckets
    ]
    return "\n## Buckets\n\nUpper bounds in seconds, and `+Inf`.\n\n" + "".join(lines)


if __name__ == "__main__":
    document = Path(__file__).resolve().parents[1] / "metrics.md"
    document.write_text(page(), encoding="utf-8")
