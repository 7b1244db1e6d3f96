"""Three hours of runs of the reference deployment, one a minute, in which much goes wrong.

One script makes both the records of the runs and the metrics as Prometheus scraped them from a
gateway, by the program's own code: so both must give the same answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from t3probe.ask.explain.from_prometheus import NAMES
from t3probe.config import load
from t3probe.deliver import metrics
from t3probe.deliver.metrics import carry
from t3probe.deliver.metrics.exposition import rendered
from t3probe.observation import Attempt, Beat, Drop, Observation, Reason, RunRecord, Stage
from t3probe.record.facts import Recording
from t3probe.record.log import record_line
from t3probe.verdict.incident.run import judge_run

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENT = ROOT / "deployments" / "t3.toml"
T3 = load(DEPLOYMENT, {}, now=0.0)
LEGS = {one.name: one for one in T3.legs}
LEVELS = {"tcp": "connect", "walloff": "ask", "walled": "ask"}

START = 1_795_168_800
"""2026-11-20 10:00:00 UTC: the first run's start."""
MINUTES = 180
END = START + 60 * MINUTES
HOLD = 35.0
DURATION = 36.0
SCRAPE_SECONDS = 15
SCRAPED_AT = 7
JOB, VANTAGE = "t3-probe", "cluster"

CDN = range(30, 35)
TUNNEL_CUT = 45
DISPATCH = range(60, 63)
WAN_CUT = 70
SERVE = 80
SILENCE = range(100, 110)
PARTIAL = range(120, 122)
STALL = range(130, 132)
GATEWAY_LOST = 140
"""The gateway forgets everything before this minute's run."""
AFTER_LOSS = 142
COLLAPSE = range(155, 158)
CUT_AT = 15.0
"""Seconds into a run at which a connection is cut."""


def at(minute: float, second: float = 0.0) -> float:
    """A time of the script as Unix seconds."""
    return START + 60 * minute + second


def _address(leg: str) -> str:
    """Where its TCP connection ends: at the CDN, the load balancer or the machine."""
    path = LEGS[leg].path
    number = 1 if path[0] == "wan" else 2 if path[0] == "traefik" else 3
    return f"192.0.2.{number}:443"


def _good(*sent: float, conn: int = 0) -> tuple[Beat, ...]:
    return tuple(
        Beat(sent=one, ended=one + 0.03, ok=True, conn=conn, call=1, strand="held") for one in sent
    )


FRESH = Beat(sent=1.51, ended=1.55, ok=True, conn=9, call=1, strand="fresh")
"""Of every leg that works, at the second look of those that do not."""


def _seen(leg: str, **more: object) -> Observation:
    """A leg that works from the first second on."""
    facts: dict[str, object] = {
        "outcome": "passed", "ended": HOLD, "observed_seconds": HOLD, "connected": True,
        "accepting": True, "beats": (*_good(1.0, 11.0, 21.0, 31.0), FRESH),
    }  # fmt: skip
    kind = LEGS[leg].kind
    fixed = {"leg": leg, "kind": kind, "path": LEGS[leg].path, "level": LEVELS.get(kind, "hold")}
    fixed |= {"address": _address(leg), "tcp_ends_at": LEGS[leg].tcp_ends_at or ""}
    return Observation(**{**facts, **fixed, **more})  # type: ignore[arg-type]


def _down(leg: str, reason: Reason) -> Observation:
    """Down through the whole run."""
    stage: Stage = "connect" if reason.startswith("connect") else "ask"
    drop = Drop(
        began=0.5, noticed=1.5, reason=reason, symptom="down", stage=stage, call=1, strand="fresh",
        asked=0.6, attempt=Attempt(started=1.5, ended=1.7, ok=False, reason=reason, stage=stage),
    )  # fmt: skip
    return _seen(
        leg, outcome="failed", reason=reason, connected=False, accepting=False, beats=(),
        drops=(drop,),
    )  # fmt: skip


def _cut(leg: str, reason: Reason = "connection_reset") -> Observation:
    """Its connection dies, and a new one works at once."""
    drop = Drop(
        began=11.53, noticed=CUT_AT, reason=reason, symptom="cut", stage="hold", call=2, conn=0,
        strand="held", asked=CUT_AT,
        attempt=Attempt(started=CUT_AT, ended=CUT_AT + 0.2, ok=True), recovered=CUT_AT + 0.2,
        connection_age_seconds=13.5, remote_address=_address(leg),
    )  # fmt: skip
    beats = (*_good(1.5, 11.5), *_good(15.2, 25.0, 34.0, conn=1))
    return _seen(leg, outcome="failed", reason=reason, beats=beats, drops=(drop,))


def _stalled(leg: str) -> Observation:
    drop = Drop(
        began=1.0, noticed=14.0, reason="rtt_timeout", symptom="cut", stage="hold", call=1,
        stalled=True,
    )  # fmt: skip
    return _seen(
        leg, outcome="inconclusive", reason="prober_stalled", connected=None, drops=(drop,),
        detail="the prober itself stood still when it dropped", observed_seconds=20.0,
    )  # fmt: skip


def _observations(minute: int) -> Iterator[Observation]:
    for leg in LEGS:
        if minute in CDN and leg in ("edge", "cloudflare"):
            yield _down(leg, "connect_timeout")
        elif minute in CDN and leg == "walloff-probe":
            yield _seen(leg, outcome="inconclusive", reason="connect_timeout", connected=None)
        elif minute == TUNNEL_CUT and leg == "cloudflare":
            yield _cut(leg, "closed_by_peer")
        elif minute in DISPATCH and leg in ("cloudflare", "internal", "dispatch"):
            yield _down(leg, "upgrade_rejected")
        elif minute == WAN_CUT and leg in ("resolver", "edge", "cloudflare"):
            yield _cut(leg)
        elif minute == SERVE and leg == "t3serve":
            yield _cut(leg, "rtt_timeout")
        elif minute == AFTER_LOSS and leg in ("cloudflare", "internal", "traefik", "walled-home"):
            yield _down(leg, "connect_refused")
        elif minute == AFTER_LOSS and leg == "walloff-probe":
            yield _seen(leg, outcome="inconclusive", reason="http_5xx", connected=None)
        elif minute in PARTIAL:
            yield _seen(leg, ended=8.0, observed_seconds=8.0, beats=_good(1.0))
        elif minute in STALL:
            yield _stalled(leg)
        elif minute in COLLAPSE and leg == "cloudflare":
            yield _seen(
                leg, outcome="inconclusive", reason="leg_collapsed", connected=None,
                detail="the resolver answers 10.0.20.203",
            )  # fmt: skip
        elif minute in COLLAPSE and leg == "walloff-probe":
            yield _seen(leg, outcome="inconclusive", reason="leg_collapsed", connected=None)
        else:
            yield _seen(leg)


def recording(minute: int) -> Recording:
    """The run of a minute."""
    short = minute in PARTIAL
    run = RunRecord(
        deployment="t3",
        segments=T3.segments,
        own_segments=T3.own_segments,
        paths=T3.paths,
        started_at=at(minute),
        duration_seconds=9.0 if short else DURATION,
        hold_seconds=HOLD,
        complete=not short,
        interrupted=short,
        vantage=VANTAGE,
        loop_lag_seconds=12.5 if minute in STALL else 0.004,
    )
    return Recording(run, tuple(_observations(minute)))


@cache
def recordings() -> tuple[Recording, ...]:
    return tuple(recording(minute) for minute in range(MINUTES) if minute not in SILENCE)


def write_runs(folder: Path) -> None:
    """The records, as the logs of an hour each."""
    for hour in range(3):
        lines = [
            record_line(one.run, one.observations)
            for one in recordings()
            if hour * 3600 <= one.run.started_at - START < (hour + 1) * 3600
        ]
        (folder / f"hour-{hour}.log").write_text("\n".join([*lines, ""]))


Key = tuple[str, carry.Labels]


def _scraped(group: carry.Group) -> dict[Key, float]:
    """What the gateway shows of a group, but for what nobody asks for here."""
    out: dict[Key, float] = {}
    for line in rendered(group).decode().splitlines():
        name, _, rest = line.partition("{")
        if line.startswith("#") or name.partition(" ")[0] not in NAMES:
            continue
        labels, _, value = rest.rpartition("} ") if rest else ("", "", line.partition(" ")[2])
        pairs = [one.partition("=") for one in labels.split(",") if one]
        key = name.partition(" ")[0], tuple((a, b.strip('"')) for a, _, b in pairs)
        out[key] = float(value)
    return out


def _pushed() -> Iterator[tuple[float, Mapping[Key, float]]]:
    """When the gateway's content changed, and to what."""
    group: carry.Group = {}
    yield START, {}
    for one in recordings():
        run = one.run
        own = metrics.families(run, one.observations, judge_run(run, one.observations))
        if run.started_at == at(GATEWAY_LOST):
            group = {}
            yield run.started_at - 10, {}
        if not group:
            group = metrics.zeros(T3, VANTAGE)
            yield run.started_at + 1, _scraped(group)
        group = carry.continued(group, own)
        yield run.started_at + run.duration_seconds, _scraped(group)


def _machine(when: float) -> dict[Key, float]:
    """node_exporter's: the serving machine stalls for I/O while dispatch is down."""
    begin, end = at(DISPATCH.start), at(DISPATCH.stop)
    hard = 0.6 * max(0.0, min(when, end) - begin)
    labels = (("instance", "10.0.10.10:9100"), ("job", "node"))
    short = begin <= when < end
    return {
        ("node_pressure_io_stalled_seconds_total", labels): 50.0 + 0.01 * (when - START) + hard,
        ("node_pressure_memory_stalled_seconds_total", labels): 7.0,
        ("node_memory_SwapFree_bytes", labels): 0.25 * 2**30 if short else 6.0 * 2**30,
        ("node_memory_SwapTotal_bytes", labels): 8.0 * 2**30,
    }


def openmetrics() -> str:
    """Every scrape as OpenMetrics text, series by series."""
    pushed = list(_pushed())
    lines: dict[str, list[str]] = {}
    number = 0
    for scrape in range(MINUTES * 60 // SCRAPE_SECONDS):
        when = START + scrape * SCRAPE_SECONDS + SCRAPED_AT
        while number + 1 < len(pushed) and pushed[number + 1][0] <= when:
            number += 1
        own = (("job", JOB), ("vantage", VANTAGE))
        for (name, labels), value in pushed[number][1].items():
            lines.setdefault(_line(name, (*labels, *own)), []).append(f"{value!r} {when}")
        for (name, labels), value in _machine(when).items():
            lines.setdefault(_line(name, labels), []).append(f"{value!r} {when}")
    text = [f"{key} {sample}" for key, samples in lines.items() for sample in samples]
    return "\n".join([*text, "# EOF", ""])


def _line(name: str, labels: carry.Labels) -> str:
    pairs = ",".join(f'{label}="{value}"' for label, value in labels)
    return f"{name}{{{pairs}}}"
