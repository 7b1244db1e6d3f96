"""The answers out of a gateway's group: what the metrics tell of the newest run.
`read_gateway` reads the group back from a Pushgateway.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from t3probe.ask.mcp_server.answers import (
    AHEAD_SECONDS,
    LATEST,
    ExperimentsAnswer,
    HealthAnswer,
    LegRow,
    LegsAnswer,
    NothingToTellError,
    SourceInfo,
    UpstreamRow,
    VerdictAnswer,
    short,
    source_info,
)
from t3probe.ask.mcp_server.of_run import health_answer, legs_answer
from t3probe.ask.mcp_server.rigs import of_metrics
from t3probe.deliver.metrics.carry import RUN_TIMESTAMP, Family, Group, Histogram, Labels
from t3probe.deliver.metrics.table import STATES
from t3probe.deliver.sinks.gateway import Gateway, GroupHead, Groups, NotMetricsError, raise_for
from t3probe.exchange.bounds import GATEWAY_METRICS_BYTES, MCP_GATEWAY_SECONDS
from t3probe.exchange.client import Budget, Site, Trouble, exchange
from t3probe.text.words import glossed, listed, some, utc

__all__ = ["MCP_GATEWAY_SECONDS", "OfGroup", "read_gateway"]

WRITES_APART_SECONDS = 10.0
"""The two groups of one run are written within less."""
NAMED = 5

_Labels = Mapping[str, str]


class OfGroup:
    """Answers out of a run's group, and the group of its upstreams beside it."""

    def __init__(
        self,
        name: str,
        vantage: str,
        own: Group,
        upstreams: Group,
        *,
        pushed_at: float | None = None,
        upstreams_pushed_at: float | None = None,
        beside: tuple[str, ...] = (),
        gloss: Mapping[str, str],
    ) -> None:
        """The times are the gateway's, Unix seconds; `beside` names other shards with upstreams;
        `gloss` is what the deployment file adds to the names of segments."""
        self.name, self.vantage = name, vantage
        self.own, self.upstreams = own, upstreams
        self.pushed_at, self.upstreams_pushed_at = pushed_at, upstreams_pushed_at
        self.beside, self.gloss = beside, gloss

    def source(self, now: float, of_upstreams: bool = False) -> SourceInfo:
        """The header of an answer given at `now`, Unix seconds."""
        complete = self._alone("t3probe_run_complete")
        ended, notes = self._alone(RUN_TIMESTAMP), []
        if of_upstreams:
            older = self._older_upstreams(ended)
            if older is not None:
                notes.append(
                    "the newest run's upstreams did not arrive: these are of an earlier one, "
                    "and the age is theirs"
                )
                ended = older
            if self.beside:
                notes.append(
                    f"the upstreams of {_shards(self.beside)} are not among these; start t3probe "
                    "mcp with another --shard for them"
                )
        return source_info(
            "gateway", self.name, ended, now, vantage=short(self.vantage),
            complete=None if complete is None else complete >= 1, notes=tuple(notes),
        )  # fmt: skip

    def _older_upstreams(self, ended: float | None) -> float | None:
        """When the upstreams were written, if that was before the newest run ended.

        They have a group of their own, whose write may fail alone. The gateway's clock may be
        another than the run's, so its two writes are compared too.
        """
        at, own = self.upstreams_pushed_at, self.pushed_at
        if at is None or own is None or ended is None:
            return None
        return at if at < ended - AHEAD_SECONDS and at < own - WRITES_APART_SECONDS else None

    def _alone(self, name: str) -> float | None:
        return next((value for _, value in _numbers(self.own, name)), None)

    def health(self, source: SourceInfo, unreachable_only: bool) -> HealthAnswer:
        """What is known of the upstreams. Envoy's own words are not in the metrics."""
        seconds = {
            _place(labels): value for labels, value in self._both("t3probe_backend_connect_seconds")
        }
        compared: dict[tuple[str, str], list[str]] = {}
        for labels, value in self._both("t3probe_backend_disagreement"):
            key = labels.get("route", ""), labels.get("backend", "")
            kinds = compared.setdefault(key, [])
            if value >= 1:
                kinds.append(labels.get("kind", ""))
        reached = {
            _place(labels): value >= 1 for labels, value in self._both("t3probe_backend_reachable")
        }
        # Without `reachable` an upstream was inconclusive or planned; Envoy's view may stand.
        named = {(place[0], place[2]) for place in reached}
        places = [*reached, *((key[0], "", key[1]) for key in compared if key not in named)]
        rows = []
        for route, port, backend in places:
            kinds_known = compared.get((route, backend))
            rows.append(
                UpstreamRow(
                    route=short(route), listen_port=short(port), backend=short(backend),
                    reachable=reached.get((route, port, backend)),
                    connect_seconds=seconds.get((route, port, backend)),
                    disagreement=None if kinds_known is None else tuple(sorted(kinds_known)),
                )
            )  # fmt: skip
        return health_answer(source, rows, unreachable_only)

    def _both(self, name: str) -> Iterator[tuple[_Labels, float]]:
        yield from _numbers(self.own, name)
        yield from _numbers(self.upstreams, name)

    def legs(self, source: SourceInfo) -> LegsAnswer:
        """What is known of the legs: after the newest run, and what was ever counted."""
        connected = self._by_leg("t3probe_connected")
        accepting = self._by_leg("t3probe_accepting")
        planned = self._by_leg("t3probe_planned")
        usual = self._by_leg("t3probe_rtt_baseline_seconds")
        last = self._by_leg("t3probe_last_disconnect_timestamp")
        passed = {
            labels.get("check", ""): value
            for labels, value in _numbers(self.own, "t3probe_check_success")
        }
        ever: dict[str, dict[str, int]] = {}
        for labels, value in _numbers(self.own, "t3probe_disconnects_total"):
            counts = ever.setdefault(labels.get("leg", ""), {})
            if value >= 1:
                counts[short(labels.get("reason", ""))] = int(value)
        rows = []
        for leg in dict.fromkeys((*ever, *planned, *connected, *passed)):
            good = passed.get(leg)
            outcome = "" if leg not in planned else "inconclusive"
            if good is not None:
                outcome = "passed" if good >= 1 else "failed"
            dropped = last.get(leg, -1.0)
            rows.append(
                LegRow(
                    name=short(leg),
                    outcome=outcome,
                    connected=None if leg not in connected else connected[leg] >= 1,
                    accepting=None if leg not in accepting else accepting[leg] >= 1,
                    planned="planned downtime" if planned.get(leg, 0.0) >= 1 else "",
                    usual_seconds=usual.get(leg),
                    last_drop_utc=utc(dropped) if 0 <= dropped < LATEST else "",
                    drops_ever=ever.get(leg, {}),
                )
            )
        backends = {_place(labels) for labels, _ in self._both("t3probe_backend_reachable")}
        return legs_answer(source, rows, len(backends))

    def experiments(self, source: SourceInfo) -> ExperimentsAnswer:
        """What is known of remote rigs."""
        return of_metrics(source, self.own)

    def _by_leg(self, name: str) -> dict[str, float]:
        return {labels.get("leg", ""): value for labels, value in _numbers(self.own, name)}

    def verdict(self, source: SourceInfo) -> VerdictAnswer:
        """The state of each declared segment. Groups of suspects and incidents are not in the
        metrics, nor is what tells `localised` from `inconsistent`."""
        found: dict[str, list[str]] = {state: [] for state in STATES}
        for labels, value in _numbers(self.own, "t3probe_segment_state"):
            if value >= 1 and labels.get("state") in found:
                found[labels["state"]].append(short(labels.get("segment", "")))
        states: dict[str, Any] = {state: tuple(names) for state, names in found.items()}
        likely = {
            short(labels.get("segment", "")): value
            for labels, value in _numbers(self.own, "t3probe_segment_posterior")
        }
        status, sentence = _said(states, self.gloss)
        rows = self.legs(source).legs
        untold = [one.name for one in rows if one.outcome == "inconclusive" and not one.planned]
        if status == "clean" and untold:
            names = listed(untold)
            sentence = f"nothing is convicted, but {names} could not tell"
        return VerdictAnswer(source=source, sentence=sentence, status=status, probability=likely,
                             **states)  # fmt: skip


def _said(states: Mapping[str, tuple[str, ...]], gloss: Mapping[str, str]) -> tuple[str, str]:
    convicted, ambiguous = states["convicted"], states["ambiguous"]
    if not any(states.values()):
        return "unknown", "the gateway knows no segment: nothing is told about any of them"
    if convicted:
        be = "is" if len(convicted) == 1 else "are"
        names = listed(glossed(convicted, gloss))
        also = ", and more may be" if ambiguous else ""
        return "ambiguous" if ambiguous else "localised", f"{names} {be} broken{also}"
    if ambiguous:
        return "ambiguous", "something is broken, and these legs cannot tell which"
    if states["unobserved"] or states["masked"]:
        return "incomplete", "nothing is convicted, but not every segment was observed"
    return "clean", "clean: every declared segment is cleared"


def _shards(names: tuple[str, ...]) -> str:
    word = "shard" if len(names) == 1 else "shards"
    return f"{word} {listed(short(one, 20) for one in names)}"


def _place(labels: _Labels) -> tuple[str, str, str]:
    return labels.get("route", ""), labels.get("listen_port", ""), labels.get("backend", "")


def _numbers(group: Group, name: str) -> Iterator[tuple[_Labels, float]]:
    # The gateway's own order changes from answer to answer.
    for key, value in sorted(group.get(name, Family("gauge")).series.items(), key=_labels_of):
        if not isinstance(value, Histogram) and math.isfinite(value):
            yield dict(key), value


def _labels_of(series: tuple[Labels, object]) -> Labels:
    return series[0]


GROUPS_NAMED = 5
"""How many other groups a sentence names."""


def read_gateway(gateway: Gateway, budget: Budget, gloss: Mapping[str, str]) -> OfGroup:
    """What the gateway knows of the newest run; `gloss` is not in metrics. Raises
    NothingToTellError, one sentence."""
    site = Site(gateway.url, gateway.login)
    groups = Groups(gateway.key, gateway.upstream_key, heads=True)
    try:
        answer = exchange(
            site, "GET", "/api/v1/metrics", budget.part(MCP_GATEWAY_SECONDS),
            max_bytes=GATEWAY_METRICS_BYTES, into=groups.feed,
        )  # fmt: skip
        raise_for(answer)
        groups.close()
    except Trouble as trouble:
        raise NothingToTellError(f"the gateway at {site.name} {trouble.what}") from trouble
    except NotMetricsError as error:
        # What it does say may be a page that is nobody's business.
        raise NothingToTellError(
            f"the gateway at {site.name} answers with {error}; name the URL of a Pushgateway"
        ) from error
    heads = groups.heads
    own, upstreams = groups.group(gateway.key), groups.group(gateway.upstream_key)
    others = sorted(set(_others(heads, gateway)))
    if not own and not upstreams:
        raise NothingToTellError(
            f"nothing recorded: the gateway at {site.name} has no group {_words(gateway.key)}; "
            + (
                f"it has {'; '.join(some(others, GROUPS_NAMED))}: start with one of those"
                if others
                else "run the checks with --push first, or name another --job or --vantage"
            )
        )
    return OfGroup(
        f"the gateway at {site.name}", gateway.vantage, own, upstreams,
        pushed_at=_pushed(heads, gateway.key),
        upstreams_pushed_at=_pushed(heads, gateway.upstream_key),
        beside=_shards_beside(heads, gateway), gloss=gloss,
    )  # fmt: skip


def _pushed(heads: list[GroupHead], key: Mapping[str, str]) -> float | None:
    """When the gateway took the group, Unix seconds by its own clock."""
    for one in heads:
        if one.labels == key and one.pushed:
            try:
                return float(one.pushed)
            except ValueError:
                return None
    return None


def _others(heads: list[GroupHead], gateway: Gateway) -> Iterator[str]:
    """The groups of other vantages and shards of this job."""
    for one in heads:
        labels = one.labels
        if labels.get("job") == gateway.job and not labels.keys() - {"job", "vantage", "shard"}:
            yield _words(labels)


def _shards_beside(heads: list[GroupHead], gateway: Gateway) -> tuple[str, ...]:
    """The other shards of this job and vantage whose upstreams are in groups of their own."""
    key = {**gateway.upstream_key, "shard": ""}
    found = {
        labels.get("shard", "")
        for labels in (one.labels for one in heads)
        if {**labels, "shard": ""} == key and labels.get("shard", "") != gateway.shard
    }
    return tuple(sorted(found - {""}))


def _words(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{short(name, 40)}={short(value, 60)}" for name, value in labels.items())
