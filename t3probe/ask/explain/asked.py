"""The question "what broke when I dropped?": its sources are read, and it is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from t3probe.ask.explain.clients import ClientThen
    from t3probe.ask.explain.moment import Moment
    from t3probe.ask.explain.report import Report
    from t3probe.ask.explain.window import Question
    from t3probe.config.types import Deployment
    from t3probe.record.client import ClientRecord
    from t3probe.timing import Clock

LONGEST_WINDOW = 3600.0
REACH_SECONDS = 900.0
"""How far before and after the window runs are read: to tell when an outage began and ended."""
NAME_CHARACTERS = 80
MOST_CLIENTS = 20
LATEST = 2.0**35
"""Unix seconds. A record of a later time, after the year 3000, is not to be believed."""


class ExplainError(Exception):
    """Wrong usage, or a source that cannot be read; one sentence."""


@dataclass(frozen=True)
class Asked:
    """Who dropped when, and where to look. Times and durations as people write them."""

    at: str
    users: tuple[str, ...] = ()
    people: int | None = None
    """How many dropped at once; None: as many as there are users."""
    runs: tuple[str, ...] = ()
    """Recorded runs: folders, JUnit files, logs, or `-`."""
    prometheus: str | None = None
    window: str = "60s"
    """To either side."""
    deployment: str | None = None
    leg: str | None = None
    """A leg that goes the person's way; None: the public one."""
    timezone: str | None = None
    job: str = "t3-probe"
    vantage: str | None = None
    clients: tuple[str, ...] = ()
    """What people's browsers recorded: files, or `URL#CODE` of the responder."""
    machines: tuple[str, ...] = ()
    """Whose pressure; empty: the deployment's own, or all."""


def reported(asked: Asked, clock: Clock, environ: Mapping[str, str]) -> Report:
    """Read the sources and answer. Raises ExplainError."""
    from t3probe.ask.explain.clients import client_at
    from t3probe.ask.explain.judge import explain
    from t3probe.ask.explain.moment import TimeError, read_moment, read_zone
    from t3probe.ask.explain.report import Report
    from t3probe.ask.explain.seen import way_of

    if not asked.runs and not asked.prometheus:
        raise ExplainError(
            "expected --runs FOLDER or --prometheus URL, found neither; name where runs are kept"
        )
    now = clock.wall()
    users = tuple(dict.fromkeys(_name(one) for one in asked.users))
    try:
        zone = None if asked.timezone is None else read_zone(asked.timezone)
        when = read_moment(asked.at, now, zone)
    except TimeError as error:
        raise ExplainError(f"--at: {error}") from error
    records = _records(asked, users, clock, environ)
    question = _question(asked, when, now, max(len(users), len(records)))
    clients = [
        client_at(name, one, question.at, question.window, question.vague)
        for name, one in records.items()
    ]
    deployment = _deployment(asked.deployment, environ, now)
    gathered = _Gathered(asked, question, deployment, clock, environ, clients)
    try:
        way = way_of(deployment, gathered.runs, gathered.paths, asked.leg)
    except LookupError as error:
        raise ExplainError(f"--leg: {error.args[0]}") from error
    told = explain(question, gathered.runs, way, clients)
    return Report(
        told, when, users, gathered.source, gathered.name, gathered.machines, tuple(gathered.notes)
    )


def _records(
    asked: Asked, users: Sequence[str], clock: Clock, environ: Mapping[str, str]
) -> dict[str, ClientRecord]:
    """The records by their names: the users' where there are as many, else the files' or codes."""
    from t3probe.ask.explain.client_sources import read_source
    from t3probe.ask.explain.clients import leg_name
    from t3probe.record.facts import RecordError

    if len(asked.clients) > MOST_CLIENTS:
        raise ExplainError(
            f"--client: expected at most {MOST_CLIENTS} records, found {len(asked.clients)}; ask "
            "about fewer people at once"
        )
    found: dict[str, ClientRecord] = {}
    named = list(users) if len(users) == len(asked.clients) else []
    for number, source in enumerate(asked.clients):
        try:
            name, record = read_source(source, clock, environ)
        except RecordError as error:
            raise ExplainError(f"--client: {error}") from error
        found[leg_name(named[number] if named else name, list(found))] = record
    return found


def _name(text: str) -> str:
    from t3probe.text import showable

    clean = showable(text, NAME_CHARACTERS, ascii=False)
    if not clean:
        raise ExplainError("--user: expected a name, found nothing; leave it out or write one")
    return clean


def _question(asked: Asked, when: Moment, now: float, users: int) -> Question:
    from t3probe.ask.explain.window import Question
    from t3probe.config.durations import parse_duration
    from t3probe.config.errors import Wrong

    try:
        window = float(parse_duration(asked.window))
    except Wrong as error:
        raise ExplainError(
            "--window: expected a duration such as 60s or 5m, found "
            f"{asked.window[:60]!r}; {error.hint or 'write a number and a unit'}"
        ) from error
    if not 1.0 <= window <= LONGEST_WINDOW:
        raise ExplainError(
            f"--window: expected 1s to 1h, found {asked.window[:60]!r}; write another"
        )
    people = max(1, users) if asked.people is None else asked.people
    if people < max(1, users):
        raise ExplainError(
            f"--people: expected at least {max(1, users)}, found {people}; "
            "leave it out to count the users"
        )
    return Question(when.at, window, now, people, when.vague)


def _deployment(file: str | None, environ: Mapping[str, str], now: float) -> Deployment | None:
    if file is None:
        return None
    from t3probe.config import DeploymentError, load

    try:
        return load(file, environ, now=now)
    except DeploymentError as error:
        raise ExplainError(str(error)) from error


class _Gathered:
    """What the sources say."""

    def __init__(
        self,
        asked: Asked,
        question: Question,
        deployment: Deployment | None,
        clock: Clock,
        environ: Mapping[str, str],
        clients: Sequence[ClientThen] = (),
    ) -> None:
        self._clients = clients
        self.notes: list[str] = []
        self.paths: tuple[tuple[str, ...], ...] = ()
        self.machines: list[Any] | None = None
        began = question.began - REACH_SECONDS
        ended = min(question.ended + REACH_SECONDS, max(question.now, question.ended))
        if asked.runs:
            self._recorded(asked, began, ended, deployment)
        if asked.prometheus:
            self._measured(asked, question, deployment, clock, environ, (began, ended))

    def _recorded(
        self, asked: Asked, began: float, ended: float, deployment: Deployment | None
    ) -> None:
        from t3probe.ask.explain.from_runs import Nearby
        from t3probe.ask.explain.seen import public_legs
        from t3probe.observation import of_old, parts_said
        from t3probe.record.facts import RecordError
        from t3probe.text.words import count, moment, span

        public = asked.leg
        if public is None and deployment is not None:
            public = next(iter(public_legs(deployment)), None)
        nearby = Nearby(began, ended, self._clients, public)
        try:
            nearby.read(list(asked.runs))
        except RecordError as error:
            raise ExplainError(str(error)) from error
        self.runs = nearby.runs()
        self.paths = nearby.paths
        self.source, self.name = "runs", ", ".join(asked.runs)[:200]
        self.notes += nearby.notes[:5]
        if len(nearby.notes) > 5:
            self.notes.append(f"{len(nearby.notes) - 5} more files cannot be read")
        if nearby.left_out and self.runs:
            self.notes.append(
                f"{nearby.left_out} of {nearby.count} runs lie more than {span(REACH_SECONDS)} "
                "from that window; of these only the time was looked at"
            )
        parts = nearby.parts()
        said = parts_said(parts), of_old(*(one.version for one in parts))
        self.notes += filter(None, said)
        if nearby.first is None:
            self.notes.append("no run was found there")
        elif not self.runs and 0 <= nearby.first <= nearby.last < LATEST:
            first, last = moment(nearby.first), moment(nearby.last)
            what = count(nearby.count, "run") + f", {first}"
            what += f" to {last}" if nearby.count > 1 else ""
            self.notes.append(f"what is there is of another time: {what}")

    def _measured(
        self, asked: Asked, question: Question, deployment: Deployment | None,
        clock: Clock, environ: Mapping[str, str], span: tuple[float, float],
    ) -> None:  # fmt: skip
        from t3probe.ask.explain.from_prometheus import runs_from
        from t3probe.ask.explain.pressure import machines_of, pressure
        from t3probe.ask.explain.prometheus import Prometheus, PrometheusError
        from t3probe.config import DeploymentError
        from t3probe.config.secrets import login_of

        try:
            prometheus = Prometheus(str(asked.prometheus), login_of("prometheus", environ), clock)
        except (DeploymentError, ValueError) as error:
            raise ExplainError(f"--prometheus: {error}") from error
        machines = asked.machines or machines_of(deployment)
        try:
            if not asked.runs:
                self.source, self.name = "prometheus", f"Prometheus at {prometheus.name}"
                self.runs = runs_from(
                    prometheus, *span, job=asked.job, vantage=asked.vantage,
                    deployment=deployment,
                )  # fmt: skip
                if not self.runs:
                    self.notes.append(
                        f'it has no t3probe series with job="{asked.job}" near that time; is '
                        "the gateway scraped with honor_labels, or is it another --job?"
                    )
                elif deployment is None:
                    self.notes.append(
                        "without --deployment the segments of each leg are unknown: only the runs' "
                        "own verdicts are used"
                    )
            self.machines = pressure(prometheus, question.began, question.ended, machines)
            if not self.machines and machines and not asked.machines:
                self.machines = pressure(prometheus, question.began, question.ended)
        except PrometheusError as error:
            raise ExplainError(str(error)) from error
        self.notes += prometheus.warnings[:3]
