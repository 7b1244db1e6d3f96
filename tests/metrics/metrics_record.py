"""A recorded run that has one leg of every sort, for the tests of metrics."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from t3probe.config.opinions import OpinionSource
from t3probe.config.types import Deployment, Leg
from t3probe.deliver import metrics
from t3probe.deliver.metrics import carry
from t3probe.deliver.metrics.exposition import rendered
from t3probe.observation import (
    RECORD_VERSION,
    Baseline,
    Beat,
    Drop,
    Observation,
    OpinionView,
    RunRecord,
    Strand,
)
from t3probe.verdict.incident.run import judge_run

HERE = Path(__file__).resolve().parent
SEGMENTS = ("wan", "cf-edge", "traefik", "wall", "devvm", "serve")

RUN = RunRecord(
    version=RECORD_VERSION,
    deployment="made-up",
    segments=SEGMENTS,
    own_segments=("upstream-a", "upstream-b"),
    paths=(("wan", "cf-edge", "traefik"),),
    started_at=1_700_000_000.25,
    duration_seconds=36.5,
    hold_seconds=35,
    heartbeat_seconds=10,
    watchdog_seconds=20,
    loop_lag_seconds=0.0125,
    opinions=(
        OpinionView(
            name="connector", segment="cf-edge", kind="cloudflared", opinion="healthy",
            steady=True,
        ),
        OpinionView(
            name="balancer", segment="traefik", kind="traefik", opinion="unhealthy", steady=True
        ),
        OpinionView(name="odd", segment="wan", kind="traefik", opinion="degraded", steady=True),
        OpinionView(name="silent", segment="wan", kind="traefik", detail="it refuses connections"),
    ),
)  # fmt: skip


def beats(
    *trips: float, conn: int = 0, start: float = 0.0, strand: Strand = "held"
) -> tuple[Beat, ...]:
    """Good beats, ten seconds apart, with these round trips."""
    return tuple(
        Beat(sent=start + 10 * n, ended=start + 10 * n + trip, ok=True, conn=conn, strand=strand)
        for n, trip in enumerate(trips)
    )


CLOUDFLARE = Observation(
    leg="cloudflare",
    kind="ws_echo",
    path=("wan", "cf-edge", "traefik"),
    outcome="failed",
    reason="closed_by_peer",
    detail="HTTP 502 from ray 8f00ba, told to nobody",
    level="hold",
    ended=35.0,
    observed_seconds=33.5,
    connected=True,
    accepting=True,
    beats=(
        *beats(0.03125, 0.25),
        Beat(sent=20.0, ended=21.0, ok=False, conn=0, strand="held"),
        *beats(4.0, conn=2, start=21.0, strand="fresh"),
        *beats(0.0625, conn=1, start=30.0),
    ),
    drops=(
        Drop(
            began=10.25, noticed=21.0, reason="closed_by_peer", symptom="cut", stage="hold",
            call=1, detail="closed with 1001", conn=0, connection_age_seconds=21.0, recovered=21.5,
            strand="held", asked=20.0, answered=True,
        ),
        Drop(
            began=22.0, noticed=24.0, reason="rtt_timeout", symptom="cut", stage="hold",
            call=2, conn=1, connection_age_seconds=2.0, stalled=True, recovered=25.0,
            strand="held", asked=22.0,
        ),
    ),
    phases={"resolve": 0.125, "connect": 0.25, "tls": 0.5, "first_echo": 0.0625, "other": 9.0},
    cert_not_after=1_705_000_000.0,
)  # fmt: skip
INTERNAL = Observation(
    leg="internal", kind="ws_echo", path=("traefik",), outcome="passed", level="hold",
    ended=35.0, observed_seconds=35.0, connected=True, beats=beats(0.5, 0.5, 0.5, 0.5),
    baseline=Baseline(beats=900, low_seconds=0.25, high_seconds=0.5, moving_seconds=0.4375),
)  # fmt: skip
EGRESS = Observation(
    leg="egress", kind="tcp", path=("wan",), outcome="passed", level="connect", ended=30.0,
    observed_seconds=30.0, connected=True, accepting=True,
    beats=beats(0.0625, 0.0625, 0.0625, strand="fresh"),
)  # fmt: skip
COLLAPSED = Observation(
    leg="edge", kind="http", path=("wan", "cf-edge"), outcome="inconclusive",
    reason="leg_collapsed", level="hold", ended=2.0, observed_seconds=2.0,
    beats=beats(0.125), cert_not_after=1_706_000_000.0, phases={"connect": 0.5},
    drops=(
        Drop(
            began=0.5, noticed=1.0, reason="io_error", symptom="cut", stage="hold", call=0,
            strand="held", connection_age_seconds=1.0,
        ),
    ),
)  # fmt: skip
PLANNED = Observation(
    leg="t3serve", kind="http", path=("devvm", "serve"), outcome="failed", reason="connect_refused",
    level="hold", ended=35.0, observed_seconds=35.0, connected=False, planned="until noon",
    beats=beats(0.125), cert_not_after=1_707_000_000.0,
    drops=(
        Drop(
            began=0.5, noticed=1.0, reason="connect_refused", symptom="down", stage="connect",
            call=0, strand="fresh",
        ),
    ),
)  # fmt: skip
WALLOFF = Observation(
    leg="walloff-probe", kind="walloff", path=("wan", "cf-edge"), outcome="passed", ended=30.5,
    observed_seconds=30.5, connected=True, accepting=True, beats=beats(0.5, strand="fresh"),
    labels={"path": '/pro"be\\', "expected": "public", "gate": "metrics"},
    gate={"token": True, "paths": False},
)  # fmt: skip
WALLED = Observation(
    leg="walled-home", kind="walled", path=("traefik", "wall"), outcome="failed",
    reason="not_walled", ended=30.5, observed_seconds=30.5, connected=False, accepting=False,
    drops=(
        Drop(
            began=0.0, noticed=0.5, reason="not_walled", symptom="down", stage="ask", call=3,
            strand="fresh",
        ),
    ),
    labels={"path": "/", "expected": "walled"},
)  # fmt: skip
UPSTREAMS = tuple(
    Observation(
        leg=f"envoy-{name}", kind="tcp", path=(f"upstream-{name}",),
        outcome="passed" if up else "failed", reason=None if up else "connect_refused",
        level="connect", ended=30.0, observed_seconds=30.0, connected=up,
        beats=beats(0.25, 0.5, 0.125, strand="fresh") if up else (),
        labels={"route": "api", "listen_port": "8080", "backend": name},
    )
    for name, up in (("a", True), ("b", False))
)  # fmt: skip
OWN = Observation(
    leg="test_invoice", kind="check", path=("serve",), outcome="passed", started=36.0, ended=36.5,
    observed_seconds=0.5, after_hold=True,
)  # fmt: skip

SEEN = (CLOUDFLARE, INTERNAL, EGRESS, COLLAPSED, PLANNED, WALLOFF, WALLED, *UPSTREAMS, OWN)

DEPLOYMENT = Deployment(
    name="made-up",
    file="made-up.toml",
    segments=SEGMENTS,
    opinion=tuple(
        OpinionSource(
            name=one.name, kind="cloudflared", segment=one.segment, url="http://127.0.0.1:1"
        )
        for one in RUN.opinions
    ),
    legs=tuple(
        Leg(name=one.leg, kind=one.kind, path=one.path, upstream=one.upstream)  # type: ignore[arg-type]
        for one in SEEN
        if not one.after_hold
    ),
)


def recorded(run: RunRecord = RUN, seen: tuple[Observation, ...] = SEEN) -> carry.Group:
    """The families of a run."""
    return metrics.families(run, seen, judge_run(run, seen))


def values(group: carry.Group) -> dict[str, float]:
    """Every sample of a group as it is written."""
    return values_in(rendered(group).decode())


def values_in(text: str) -> dict[str, float]:
    """Every sample of a text, as `name label=value …`."""
    return {
        sample.name
        + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for one in text_string_to_metric_families(text)
        for sample in one.samples
    }
