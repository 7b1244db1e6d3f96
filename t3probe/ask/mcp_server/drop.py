"""`explain_drop`: the question of `t3probe explain`, asked by an assistant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from t3probe.ask.explain.asked import Asked, ExplainError, reported
from t3probe.ask.explain.from_prometheus import RUN
from t3probe.ask.explain.prometheus import Prometheus, PrometheusError, quoted
from t3probe.ask.explain.report import Report, to_dict
from t3probe.ask.mcp_server.answers import DropAnswer, NothingToTellError, SourceInfo, source_info
from t3probe.ask.mcp_server.of_run import NOTHING, RunFiles
from t3probe.config import DeploymentError
from t3probe.config.secrets import login_of
from t3probe.exchange.client import Budget
from t3probe.timing import Clock

LOOK_BACK_SECONDS = 6 * 3600.0
_OPTIONS = {"--at": "at", "--user": "users", "--window": "window"}
"""How the command's options are called here."""
_FACTS = (
    *("sentence", "finding", "answered", "send_back", "at_utc", "read_from", "window_seconds"),
    *("began_at", "ended_at", "people", "way", "incident", "verdict"),
)
_LISTS = ("users", "legs", "incidents", "nearby", "blind_spots", "doubts", "notes")
"""What stands in the answer as it stands in the command's own JSON."""


@dataclass(frozen=True)
class DropSources:
    """Where the answer comes from: recorded runs, Prometheus, or both."""

    runs: RunFiles | None
    prometheus: str | None
    deployment: str | None
    job: str
    vantage: str | None


def explained(
    sources: DropSources,
    at: str,
    users: Sequence[str],
    window: str,
    *,
    clock: Clock,
    environ: Mapping[str, str],
    budget: Budget,
) -> DropAnswer:
    """What broke at `at`. Raises NothingToTellError, one sentence."""
    there = sources.runs.there() if sources.runs is not None else []
    if not there and sources.prometheus is None:
        raise NothingToTellError(
            NOTHING
            if sources.runs is not None
            else "explain_drop needs recorded runs or Prometheus; start t3probe mcp with --runs or "
            "--prometheus"
        )
    asked = Asked(
        at=at, users=tuple(users), window=window, runs=tuple(there), prometheus=sources.prometheus,
        deployment=sources.deployment, job=sources.job, vantage=sources.vantage,
    )  # fmt: skip
    try:
        report = reported(asked, clock, environ)
    except ExplainError as error:
        raise NothingToTellError(_sentence(error)) from error
    if there and sources.runs is not None:
        run, _ = sources.runs.newest(budget)
        source = run.source(clock.wall())
    else:
        source = _of_prometheus(sources, clock, environ, report.source_name)
    return _answer(report, source)


def _sentence(error: ExplainError) -> str:
    if isinstance(error.__cause__, DeploymentError):
        # Its words quote the file, which is for the one that started this.
        return "the deployment file or a secret cannot be read any more; t3probe explain says why"
    text = str(error)
    for option, name in _OPTIONS.items():
        text = text.replace(option, name)
    return text


def _of_prometheus(
    sources: DropSources, clock: Clock, environ: Mapping[str, str], name: str
) -> SourceInfo:
    """How old its newest run is."""
    now = clock.wall()
    vantage = "" if sources.vantage is None else f",vantage={quoted(sources.vantage)}"
    ended: float | None = None
    try:
        site = Prometheus(str(sources.prometheus), login_of("prometheus", environ), clock)
        series = site.samples(
            f"{RUN}{{job={quoted(sources.job)}{vantage}}}", now - LOOK_BACK_SECONDS, now
        )
        ended = max((value for one in series for _, value in one.samples), default=None)
    except (PrometheusError, DeploymentError, ValueError):
        pass  # the answer stands; only its age is not known
    return source_info("prometheus", name, ended, now)


def _answer(report: Report, source: SourceInfo) -> DropAnswer:
    told: dict[str, Any] = to_dict(report)
    asked, pressure = told["source"], told["pressure"]
    facts: dict[str, Any] = {name: told[name] for name in _FACTS}
    facts |= {name: tuple(told[name]) for name in _LISTS}
    # What does not fit is cut at the end.
    facts["legs"] = tuple(sorted(facts["legs"], key=lambda one: (not one["drops"], one["clears"])))
    facts["incidents"] = tuple(sorted(facts["incidents"], key=lambda one: not one["explains"]))
    return DropAnswer(
        source=source,
        resolution=asked["resolution"],
        runs=asked["runs"],
        pressure=None if pressure is None else tuple(pressure),
        **facts,
    )
