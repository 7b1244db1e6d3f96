"""The runs near a time as the metrics tell of them: no finer than a run.

Each new value of `t3probe_run_timestamp_seconds` is a run that ended then. What the counters rose
by in the scrapes since the run before it is what that run counted; the gauges of the scrape that
first shows it are its own. A counter that falls was reset and began at 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from t3probe.ask.explain.prometheus import Prometheus, PrometheusError, Series, quoted
from t3probe.ask.explain.seen import DropSeen, IncidentSeen, LegSeen, OpinionSeen, RunSeen
from t3probe.config.types import Deployment
from t3probe.exchange.bounds import PROMETHEUS_LEGS
from t3probe.text.words import glossed, listed, some
from t3probe.verdict.opinions import MOST_SHOWN, OPINION_DISAGREEMENTS

RUN = "t3probe_run_timestamp_seconds"
DURATION = "t3probe_run_duration_seconds"
COMPLETE = "t3probe_run_complete"
LAG = "t3probe_loop_lag_seconds"
CONNECTED = "t3probe_connected"
ACCEPTING = "t3probe_accepting"
PLANNED = "t3probe_planned"
DROPS = "t3probe_disconnects_total"
OBSERVED = "t3probe_observed_seconds_total"
LAST = "t3probe_last_disconnect_timestamp"
STATE = "t3probe_segment_state"
OPINION = "t3probe_opinion_healthy"
DISAGREES = "t3probe_opinion_disagreement"
NAMES = (
    *(RUN, DURATION, COMPLETE, LAG, CONNECTED, ACCEPTING, PLANNED, DROPS, OBSERVED, LAST, STATE),
    *(OPINION, DISAGREES),
)
OWN_LABELS = frozenset({"__name__", "leg", "reason", "segment", "state", "opinion", "kind"})
AGAINST = {
    "opinion_only": "the run does not clear it",
    "probe_only": "the run clears it",
}
SLACK_SECONDS = 1.0
NAMED = 6

Paths = Mapping[str, tuple[str, ...]]


def selector(job: str, vantage: str | None) -> str:
    """What to ask Prometheus for."""
    more = "" if vantage is None else f",vantage={quoted(vantage)}"
    return f'{{__name__=~"{"|".join(NAMES)}",job={quoted(job)}{more}}}'


def runs_from(
    prometheus: Prometheus,
    began: float,
    ended: float,
    *,
    job: str,
    vantage: str | None = None,
    deployment: Deployment | None = None,
) -> list[RunSeen]:
    """Every run that the metrics tell of from `began` to `ended`, Unix seconds.

    Raises PrometheusError.
    """
    paths = {} if deployment is None else {one.name: one.path for one in deployment.legs}
    groups: dict[tuple[tuple[str, str], ...], list[Series]] = {}
    for one in prometheus.samples(selector(job, vantage), began, ended):
        key = tuple(sorted((a, b) for a, b in one.labels.items() if a not in OWN_LABELS))
        groups.setdefault(key, []).append(one)
    found: dict[tuple[str, float], RunSeen] = {}
    told = 0
    for key in sorted(groups):
        for run in _Group(groups[key], paths, deployment).runs():
            told += len(run.legs)
            if told > PROMETHEUS_LEGS:
                raise PrometheusError(
                    f"--prometheus: expected at most {PROMETHEUS_LEGS:,} legs in all runs of the "
                    "time together, found more; ask about a shorter time, or one --vantage"
                )
            # Two replicas of one Prometheus tell of the same runs.
            found.setdefault((run.vantage, round(run.ended, 3)), run)
    return sorted(found.values(), key=lambda one: one.began)


class _Group:
    """The series of one job and vantage."""

    def __init__(
        self, series: Sequence[Series], paths: Paths, deployment: Deployment | None
    ) -> None:
        self.paths = paths
        self.gloss = {} if deployment is None else deployment.gloss
        self.spread = () if deployment is None else deployment.spread
        self.vantage = next((one.labels.get("vantage", "") for one in series), "")
        self.by_name: dict[str, list[Series]] = {name: [] for name in NAMES}
        self._by_leg: dict[tuple[str, str], list[Series]] = {}
        for one in series:
            self.by_name.get(one.name, []).append(one)
            self._by_leg.setdefault((one.name, one.labels.get("leg", "")), []).append(one)
        legs = (one.labels.get("leg", "") for name in (OBSERVED, CONNECTED) for one in self[name])
        known = {name: number for number, name in enumerate(self.paths)}
        self.legs = sorted(dict.fromkeys(legs), key=lambda leg: (known.get(leg, len(known)), leg))

    def __getitem__(self, name: str) -> list[Series]:
        return self.by_name[name]

    def _of(self, name: str, leg: str) -> list[Series]:
        return self._by_leg.get((name, leg), [])

    def runs(self) -> Iterable[RunSeen]:
        """Its runs; a group without legs, such as a shard of upstreams, has none."""
        stamps = next((one.samples for one in self[RUN]), ()) or self._scrapes()
        if not self.legs:
            return
        since, before = float("-inf"), None
        shown: float | None = None
        for at, stamp in stamps:
            if stamp != shown:
                yield self._run(since, at, before, stamp)
                before, shown = stamp, stamp
            since = at

    def _scrapes(self) -> Sequence[tuple[float, float]]:
        """Without any run's end each scrape counts as one."""
        times = {at for one in self[OBSERVED] for at, _ in one.samples}
        return [(at, at) for at in sorted(times)]

    def _run(self, since: float, at: float, before: float | None, stamp: float) -> RunSeen:
        """The run that a scrape at `at` showed first, and the one at `since` did not."""
        duration = self._gauge(DURATION, since, at)
        began = stamp - (duration or 0.0)
        if before is not None and (duration is None or before > began) and before < stamp:
            began = before
        looked = {leg: self._rise(OBSERVED, leg, since, at) for leg in self.legs}
        most = max((one for one in looked.values() if one is not None), default=0.0)
        if most > stamp - began + SLACK_SECONDS and before is not None and before < stamp:
            began = before  # more runs than scrapes: they are told as one
        legs = tuple(self._leg(leg, looked[leg], since, at, began, stamp) for leg in self.legs)
        states = {
            state: tuple(
                one.labels.get("segment", "")
                for one in self[STATE]
                if one.labels.get("state") == state and one.samples.newest(since, at) == 1
            )
            for state in ("exonerated", "convicted", "ambiguous", "masked", "unobserved")
        }
        complete = self._gauge(COMPLETE, since, at)
        return RunSeen(
            began=began,
            ended=stamp,
            vantage=self.vantage,
            complete=complete != 0,
            lag_seconds=self._gauge(LAG, since, at) or 0.0,
            segments=tuple(name for names in states.values() for name in names),
            legs=legs,
            incidents=tuple(self._incidents(legs, states, began, stamp)),
            exonerated=states["exonerated"],
            gloss=self.gloss,
            spread=self.spread,
            opinions=tuple(self._opinions(since, at, stamp)),
        )

    def _opinions(self, since: float, at: float, stamp: float) -> Iterable[OpinionSeen]:
        """What programs said of themselves at the run's end; the metrics do not say in part."""
        kinds = {
            (one.labels.get("opinion", ""), one.labels.get("segment", "")): kind
            for one in self[DISAGREES]
            for kind in OPINION_DISAGREEMENTS
            if one.labels.get("kind") == kind and one.samples.newest(since, at) == 1
        }
        for one in self[OPINION][:MOST_SHOWN]:
            healthy = one.samples.newest(since, at)
            if healthy is None:
                continue
            name, segment = one.labels.get("opinion", ""), one.labels.get("segment", "")
            kind = kinds.get((name, segment))
            said = f"{name} calls {segment} {'well' if healthy else 'broken'}"
            yield OpinionSeen(
                at=stamp,
                name=name,
                segment=segment,
                opinion="healthy" if healthy else "unhealthy",
                sentence=said + ("" if kind is None else f", and {AGAINST[kind]}"),
                disagreement=kind,
            )

    def _leg(
        self, leg: str, looked: float | None, since: float, at: float, began: float, ended: float
    ) -> LegSeen:
        connected = self._gauge(CONNECTED, since, at, leg)
        accepting = self._gauge(ACCEPTING, since, at, leg)
        last = self._gauge(LAST, since, at, leg)
        inside = last is not None and began - SLACK_SECONDS <= last <= ended + SLACK_SECONDS
        drops = tuple(
            DropSeen(
                reason=one.labels.get("reason", ""),
                began=began,
                noticed=last if inside else None,
                ended=None if 0 in (connected, accepting) else ended,
                count=round(number),
            )
            for one in self._of(DROPS, leg)
            if (number := one.samples.rise(since, at) or 0.0) > 0
        )
        why = ""
        if self._gauge(PLANNED, since, at, leg) == 1:
            why = "planned: a downtime that was announced"
        elif looked is None:
            why = "its counts begin with this run, so what it added is not known"
        elif looked <= 0:
            why = "inconclusive, or not run"
        return LegSeen(
            name=leg,
            path=self.paths.get(leg, ()),
            began=began,
            ended=ended,
            seconds=0.0 if why else looked or 0.0,
            drops=drops,
            connected=None if connected is None else connected == 1,
            accepting=None if accepting is None else accepting == 1,
            why=why,
        )

    def _incidents(
        self, legs: Iterable[LegSeen], states: Mapping[str, tuple[str, ...]],
        began: float, ended: float,
    ) -> Iterable[IncidentSeen]:  # fmt: skip
        bad = [one for one in legs if one.drops or one.connected is False or one.refuses]
        suspects: list[tuple[str, ...]] = [(one,) for one in states["convicted"]]
        if states["ambiguous"]:
            suspects.append(states["ambiguous"])
        if not bad and not suspects:
            return
        cleared = set(states["exonerated"])
        own = [tuple(name for name in one.path if name not in cleared) for one in bad]
        if all(one.path for one in bad) and any(own):
            # The published states do not say which of the suspects are one group; the paths do.
            suspects = [one for one in own if one]
        noticed = [drop.noticed for one in bad for drop in one.drops if drop.noticed is not None]
        down = any(one.connected is False for one in bad)
        refusing = [one.name for one in bad if one.refuses]
        names = tuple(one.name for one in bad) or ("a check",)
        what = f"{', '.join(some(names, NAMED))} dropped"
        if refusing:
            what = f"{', '.join(some(refusing, NAMED))} accepted nothing new"
            others = [one for one in names if one not in refusing]
            what += f" and {', '.join(some(others, NAMED))} dropped" if others else ""
        yield IncidentSeen(
            began=began,
            noticed=max(noticed, default=None),
            ended=None if down or refusing else ended,
            symptom="refusing" if refusing and not down else "",
            failed=names,
            paths=tuple(suspects) or tuple(one.path for one in bad),
            exonerated=states["exonerated"],
            finding=f"{what}: {_found(states, self.gloss)}",
        )

    def _gauge(self, name: str, since: float, at: float, leg: str | None = None) -> float | None:
        """The gauge in the scrape at `at`; None when it was absent since the one at `since`."""
        for one in self[name] if leg is None else self._of(name, leg):
            value = one.samples.newest(since, at)
            if value is not None:
                return value
        return None

    def _rise(self, name: str, leg: str, since: float, at: float) -> float | None:
        sums = [one.samples.rise(since, at) for one in self._of(name, leg)]
        known = [one for one in sums if one is not None]
        return sum(known) if known else None


def _found(states: Mapping[str, tuple[str, ...]], gloss: Mapping[str, str]) -> str:
    parts = []
    if states["convicted"]:
        verb = "is" if len(states["convicted"]) == 1 else "are"
        parts.append(f"{listed(glossed(states['convicted'], gloss))} {verb} convicted")
    if states["ambiguous"]:
        parts.append(f"one of {listed(glossed(states['ambiguous'], gloss), word='or')} broke")
    return ", ".join(parts) or "the run's own verdict names no segment"
