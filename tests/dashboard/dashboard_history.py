"""Two and a half hours of runs, one a minute, with an outage of the tunnel: made up, then judged
and counted by the program's own code, and written as Prometheus would have scraped it.

The legs and the runs between two changes of the script are alike, so that every number a panel
shows can be told beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from t3probe.deliver import metrics
from t3probe.deliver.metrics import carry
from t3probe.deliver.metrics.exposition import rendered
from t3probe.observation import Attempt, Beat, Drop, Observation, Reason, RunRecord
from t3probe.verdict.incident.run import judge_run

START = 1_700_006_400
"""Unix seconds of the first run's start; a whole multiple of two hours, as blocks are."""
MINUTES = 150
END = START + MINUTES * 60
OUTAGE = range(60, 70)
"""The minutes whose runs find the tunnel down."""
SILENCE = range(110, 120)
"""The minutes in which no run starts; the gateway goes on showing the last one."""
TROUBLE = 90
"""The minute whose run tells of counts lost and of another writer, and is not complete."""
SCRAPE_SECONDS = 30
SCRAPED_AT = 7
"""Scrapes come this many seconds beside the steps of the queries."""
DURATION = 36.0
OBSERVED = 35.0
LAG = 0.0125
EXPIRES = START + 30 * 86400
VANTAGE = "cluster"
JOB = "t3-probe"

SEGMENTS = ("wan", "cf-edge", "tunnel", "traefik", "carve-out", "devvm", "dispatch", "serve")
PATHS: dict[str, tuple[str, ...]] = {
    "egress": ("wan",),
    "edge": ("wan", "cf-edge"),
    "cloudflare": ("wan", "cf-edge", "tunnel", "traefik", "carve-out", "devvm", "dispatch"),
    "internal": ("traefik", "carve-out", "devvm", "dispatch"),
    "t3serve": ("devvm", "serve"),
}
TRIPS = {"egress": 0.003, "edge": 0.02, "cloudflare": 0.03, "internal": 0.002, "t3serve": 0.0007}
"""The round trip of every good beat of each leg, in seconds."""
CONNECTS = {"a": 0.004, "b": 0.002}
"""The connect time of each upstream; b does not answer during the outage."""


@dataclass(frozen=True)
class Run:
    """What the script says of one run."""

    minute: int

    @property
    def broken(self) -> bool:
        return self.minute in OUTAGE

    @property
    def started(self) -> float:
        return START + self.minute * 60.0

    @property
    def ended(self) -> float:
        return self.started + DURATION

    @property
    def reason(self) -> Reason:
        """Of cloudflare's drop in a broken run: it is cut once, then cannot come back."""
        return "closed_by_peer" if self.minute == OUTAGE.start else "upgrade_rejected"


RUNS = [Run(minute) for minute in range(MINUTES) if minute not in SILENCE]


def shown(at: float) -> Run | None:
    """The run whose numbers the newest scrape before this time found."""
    scraped = (at - SCRAPED_AT) // SCRAPE_SECONDS * SCRAPE_SECONDS + SCRAPED_AT
    return max(
        (run for run in RUNS if run.ended <= scraped), key=lambda run: run.minute, default=None
    )


def fresh(at: float) -> Run | None:
    """The same, while it is younger than the four minutes after which panels show nothing."""
    run = shown(at)
    return run if run is not None and at - run.ended < 240 else None


def _observation(leg: str, run: Run) -> Observation:
    down = leg == "cloudflare" and run.broken
    good = (
        *(
            Beat(sent=at, ended=at + TRIPS[leg], ok=True, conn=0, call=1, strand="held")
            for at in (1.0, 12.0, 24.0)
        ),
        Beat(sent=2.2, ended=2.3, ok=True, conn=1, call=1, strand="fresh"),
    )
    again = Attempt(started=2.1, ended=2.6, ok=False, reason=run.reason)
    drop = Drop(
        began=1.0, noticed=2.0, reason=run.reason, symptom="down", stage="ask", call=1,
        strand="held", asked=1.5, attempt=again, connection_age_seconds=90.0,
    )  # fmt: skip
    return Observation(
        leg=leg,
        kind="ws_echo",
        path=PATHS[leg],
        outcome="failed" if down else "passed",
        reason=run.reason if down else None,
        level="hold",
        ended=OBSERVED,
        observed_seconds=OBSERVED,
        connected=not down,
        accepting=not down and not (leg == "internal" and run.broken),
        beats=() if down else good,
        drops=(drop,) if down else (),
        phases={} if down else {"connect": TRIPS[leg], "tls": 2 * TRIPS[leg]},
        cert_not_after=None if leg in ("egress", "t3serve") else EXPIRES,
        labels={"gate": "metrics"} if leg == "edge" else {},
        gate={"token": True, "paths": not run.broken} if leg == "edge" else {},
    )


def _wall(expected: str) -> Observation:
    return Observation(
        leg=f"rule-{expected}", kind="walloff", path=("traefik",), outcome="passed",
        ended=30.0, observed_seconds=OBSERVED, connected=True,
        beats=(Beat(sent=1.0, ended=1.25, ok=True, conn=0),),
        labels={"path": f"/{expected}", "expected": expected},
    )  # fmt: skip


def _upstream(name: str, run: Run) -> Observation:
    up = not (name == "b" and run.broken)
    return Observation(
        leg=f"envoy-{name}", kind="tcp", path=(f"upstream-{name}",), level="connect",
        outcome="passed" if up else "failed", reason=None if up else "connect_refused",
        ended=30.0, observed_seconds=30.0, connected=up,
        beats=(Beat(sent=1.0, ended=1.0 + CONNECTS[name], ok=True, conn=0),) if up else (),
        drops=() if up else (
            Drop(began=1.0, noticed=1.5, reason="connect_refused", symptom="down",
                 stage="connect", call=1),
        ),
        labels={"route": "api", "listen_port": "8080", "backend": name},
    )  # fmt: skip


SILENT_SECONDS = 45.0
"""For so long the rig's stream was silent in a run of the outage."""


def _rig(run: Run) -> Observation:
    labels = {"experiment": "spin01", "stream": "video"}
    drop = Drop(
        began=1.0, noticed=1.0 + SILENT_SECONDS, reason="stream_silent", symptom="down",
        stage="ask", call=0,
    )  # fmt: skip
    return Observation(
        leg="stream-spin01-video", kind="stream", path=("stream-spin01-video",),
        outcome="failed" if run.broken else "passed",
        reason="stream_silent" if run.broken else None, started=30.0, ended=30.0,
        connected=not run.broken, labels=labels, drops=(drop,) if run.broken else (),
    )  # fmt: skip


def record(run: Run) -> RunRecord:
    """What a run knows of itself."""
    return RunRecord(
        deployment="made-up",
        segments=SEGMENTS,
        own_segments=("upstream-a", "upstream-b", "stream-spin01-video"),
        paths=(PATHS["cloudflare"],),
        started_at=run.started,
        duration_seconds=DURATION,
        complete=run.minute != TROUBLE,
        loop_lag_seconds=LAG,
    )


def observations(run: Run) -> list[Observation]:
    """What a run saw."""
    return [
        *(_observation(leg, run) for leg in PATHS),
        _wall("public"),
        _wall("walled"),
        *(_upstream(name, run) for name in CONNECTS),
        _rig(run),
    ]


def families(run: Run) -> carry.Group:
    """What a run alone adds."""
    seen, trouble = observations(run), run.minute == TROUBLE
    return metrics.families(
        record(run),
        seen,
        judge_run(record(run), seen),
        counts_lost=3.0 * trouble,
        runs_overlapped=1.0 * trouble,
    )


Key = tuple[str, carry.Labels]
"""A sample's name and its labels."""


def _delivered() -> Iterator[tuple[Run, Mapping[Key, float]]]:
    """Each run and what stands in the gateway after it."""
    before: carry.Group = {}
    for run in RUNS:
        before = carry.continued(before, families(run))
        text = rendered(before).decode()
        yield (
            run,
            {
                (sample.name, carry.key_of(sample.labels)): sample.value
                for one in text_string_to_metric_families(text)
                for sample in one.samples
            },
        )


def _line(key: Key, job: str) -> str:
    name, labels = key
    pairs = ",".join(
        f'{label}="{value}"' for label, value in (*labels, ("job", job), ("vantage", VANTAGE))
    )
    return f"{name}{{{pairs}}}"


@cache
def openmetrics() -> str:
    """Every scrape as OpenMetrics text, series by series.

    A run by hand stands beside ours under a job of its own, where everything is broken: no
    panel may show it.
    """
    delivered = {run.minute: values for run, values in _delivered()}
    (before, broken) = (delivered[0], delivered[OUTAGE.start])
    lines: dict[str, list[str]] = {}
    for number in range(MINUTES * 60 // SCRAPE_SECONDS):
        at = START + number * SCRAPE_SECONDS + SCRAPED_AT
        run = shown(at)
        if run is None:  # the zeros that a first run writes at its start
            values = {key: 0.0 for key in before if key[0].endswith(("_total", "_bucket"))}
        else:
            values = dict(delivered[run.minute])
        for key, value in values.items():
            lines.setdefault(_line(key, JOB), []).append(f"{value!r} {at}")
        for key, value in broken.items():
            lines.setdefault(_line(key, "by-hand"), []).append(f"{value + number!r} {at}")
    text = [f"{key} {sample}" for key, samples in lines.items() for sample in samples]
    return "\n".join([*text, "# EOF", ""])


def write(file: Path) -> None:
    file.write_text(openmetrics())
