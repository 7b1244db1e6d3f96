"""The subcommand `t3probe explain`."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from t3probe.terminal import put_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from t3probe.config.types import Deployment
    from t3probe.explain.judge import Question
    from t3probe.explain.moment import Moment
    from t3probe.explain.report import Report
    from t3probe.timing import Clock

__all__ = ["ExplainError", "add", "reported"]

EXIT_USAGE = 4
EXIT_UNCLEAR = 1
LONGEST_WINDOW = 3600.0
REACH_SECONDS = 900.0
"""How far before and after the window runs are read: to tell when an outage began and ended."""
NAME_CHARACTERS = 80
LATEST = 2.0**35
"""Unix seconds. A record of a later time, after the year 3000, is not to be believed."""
ABOUT = """\
Answers "what broke when I dropped?": what every leg saw around that time, the
verdict with the person's own last mile as one segment more, the pressure of
the serving machine, and the sentence to send back. Whoever dropped is a leg
that failed over the last mile and the whole way behind it. A leg that was
looked at for less than half of the window clears nothing."""
EXAMPLES = """\
times:
  14:03 (the newest one, in this machine's zone), '14:03 Europe/Berlin',
  '2:03 pm +02:00', 'Fri 14:03', 'yesterday 14:03', '2 h 10 min ago', and what
  logs and this suite write: 2026-11-21T14:03:20.123Z, 'Nov 21 14:03:20',
  21/Nov/2026:14:03:20 +0000, '2026-11-21 14:03:20 CET (13:03:20 UTC)',
  Unix seconds, milli-, micro- or nanoseconds

exit codes:
  0  answered: it was us, it was the last mile, or people share something else
  1  we cannot tell, or nobody was looking
  4  wrong usage, or a source that cannot be read

examples:
  t3probe explain --at 14:03 --user NAME --runs results/
  t3probe explain --at '5 minutes ago' --prometheus http://127.0.0.1:9090 \\
      --deployment deployments/t3.toml

Prometheus' login: T3PROBE_PROMETHEUS_TOKEN, or T3PROBE_PROMETHEUS_USER and
_PASSWORD (each also with _FILE), and T3PROBE_PROMETHEUS_CA_FILE."""


class ExplainError(Exception):
    """Wrong usage, or a source that cannot be read; one sentence."""


def add(commands: Any) -> None:
    """Add the subcommand to argparse's subparsers."""
    parser = commands.add_parser(
        "explain",
        help='answer "what broke when I dropped?"',
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    opt = parser.add_argument
    opt("--at", metavar="TIME", required=True, help="when the person dropped; see below")
    opt("--user", metavar="NAME", action="append", default=[], help="who; may stand several times")
    opt("--people", metavar="N", type=int, help="how many dropped at once; default: the users")
    opt("--runs", metavar="RUN", nargs="+", help="recorded runs: folders, JUnit files, logs, or -")
    opt("--prometheus", metavar="URL", help="the metrics; beside --runs only for the pressure")
    opt("--window", metavar="DURATION", default="60s", help="to either side; default: %(default)s")
    opt("--deployment", metavar="FILE", help="what each leg crosses, and the machine that serves")
    opt("--leg", metavar="NAME", help="a leg that goes the person's way; default: the public one")
    opt("--timezone", metavar="NAME", help="of a time without one; default: this machine's")
    opt("--job", default="t3-probe", help="the metrics' job; default: %(default)s")
    opt("--vantage", metavar="NAME", help="the metrics of this vantage only")
    opt(
        "--machine", metavar="INSTANCE", action="append", default=[],
        help="whose pressure: an instance or its host; default: the deployment's own, or all",
    )  # fmt: skip
    opt("--json", action="store_true", help="the whole as JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from t3probe.timing import SystemClock

    try:
        report = reported(arguments, SystemClock(), os.environ)
    except ExplainError as error:
        print(f"t3probe: explain: {error}", file=sys.stderr)
        return EXIT_USAGE
    from t3probe.explain.report import ANSWERED, to_dict, to_lines

    if arguments.json:
        put_json(to_dict(report))
    else:
        encoding = sys.stdout.encoding or "utf-8"
        for line in to_lines(report):
            print(line.encode(encoding, "replace").decode(encoding))
    return 0 if report.told.finding in ANSWERED else EXIT_UNCLEAR


def reported(arguments: argparse.Namespace, clock: Clock, environ: Mapping[str, str]) -> Report:
    """Read the sources and answer. Raises ExplainError."""
    from t3probe.explain.judge import explain
    from t3probe.explain.moment import TimeError, read_moment, read_zone
    from t3probe.explain.report import Report
    from t3probe.explain.seen import way_of

    if not arguments.runs and not arguments.prometheus:
        raise ExplainError(
            "expected --runs FOLDER or --prometheus URL, found neither; name where runs are kept"
        )
    now = clock.wall()
    users = tuple(dict.fromkeys(_name(one) for one in arguments.user))
    try:
        zone = None if arguments.timezone is None else read_zone(arguments.timezone)
        when = read_moment(arguments.at, now, zone)
    except TimeError as error:
        raise ExplainError(f"--at: {error}") from error
    question = _question(arguments, when, now, len(users))
    deployment = _deployment(arguments.deployment, environ, now)
    gathered = _Gathered(arguments, question, deployment, clock, environ)
    try:
        way = way_of(deployment, gathered.runs, gathered.paths, arguments.leg)
    except LookupError as error:
        raise ExplainError(f"--leg: {error.args[0]}") from error
    told = explain(question, gathered.runs, way)
    return Report(
        told, when, users, gathered.source, gathered.name, gathered.machines, tuple(gathered.notes)
    )


def _name(text: str) -> str:
    from t3probe.showing import showable

    clean = showable(text, NAME_CHARACTERS, ascii=False)
    if not clean:
        raise ExplainError("--user: expected a name, found nothing; leave it out or write one")
    return clean


def _question(arguments: argparse.Namespace, when: Moment, now: float, users: int) -> Question:
    from t3probe.config.durations import parse_duration
    from t3probe.config.errors import Wrong
    from t3probe.explain.judge import Question

    try:
        window = float(parse_duration(arguments.window))
    except Wrong as error:
        raise ExplainError(
            "--window: expected a duration such as 60s or 5m, found "
            f"{arguments.window[:60]!r}; {error.hint or 'write a number and a unit'}"
        ) from error
    if not 1.0 <= window <= LONGEST_WINDOW:
        raise ExplainError(
            f"--window: expected 1s to 1h, found {arguments.window[:60]!r}; write another"
        )
    people = max(1, users) if arguments.people is None else arguments.people
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
        arguments: argparse.Namespace,
        question: Question,
        deployment: Deployment | None,
        clock: Clock,
        environ: Mapping[str, str],
    ) -> None:
        self.notes: list[str] = []
        self.paths: tuple[tuple[str, ...], ...] = ()
        self.machines: list[Any] | None = None
        began = question.began - REACH_SECONDS
        ended = min(question.ended + REACH_SECONDS, max(question.now, question.ended))
        if arguments.runs:
            self._recorded(arguments, began, ended)
        if arguments.prometheus:
            self._asked(arguments, question, deployment, clock, environ, (began, ended))

    def _recorded(self, arguments: argparse.Namespace, began: float, ended: float) -> None:
        from t3probe.explain.from_runs import Nearby
        from t3probe.record import RecordError
        from t3probe.shards import parts_said
        from t3probe.timing import utc_text
        from t3probe.words import of_old

        nearby = Nearby(began, ended)
        try:
            nearby.read(arguments.runs)
        except RecordError as error:
            raise ExplainError(str(error)) from error
        self.runs = nearby.runs()
        self.paths = nearby.paths
        self.source, self.name = "runs", ", ".join(arguments.runs)[:200]
        self.notes += nearby.notes[:5]
        if len(nearby.notes) > 5:
            self.notes.append(f"{len(nearby.notes) - 5} more files cannot be read")
        if nearby.left_out and self.runs:
            self.notes.append(
                f"{nearby.left_out} of {nearby.count} runs lie more than {REACH_SECONDS / 60:.0f} "
                "minutes from that window; of these only the time was looked at"
            )
        parts = nearby.parts()
        said = parts_said(parts), of_old(*(one.version for one in parts))
        self.notes += filter(None, said)
        if nearby.first is None:
            self.notes.append("no run was found there")
        elif not self.runs and 0 <= nearby.first <= nearby.last < LATEST:
            first, last = utc_text(nearby.first)[:19], utc_text(nearby.last)[:19]
            what = "one run" if nearby.count == 1 else f"{nearby.count} runs"
            span = first if nearby.count == 1 else f"{first} to {last}"
            self.notes.append(f"what is there is of another time: {what}, {span} UTC")

    def _asked(
        self, arguments: argparse.Namespace, question: Question, deployment: Deployment | None,
        clock: Clock, environ: Mapping[str, str], span: tuple[float, float],
    ) -> None:  # fmt: skip
        from t3probe.config import DeploymentError
        from t3probe.explain.from_prometheus import runs_from
        from t3probe.explain.pressure import machines_of, pressure
        from t3probe.explain.prometheus import Prometheus, PrometheusError, login_from

        try:
            prometheus = Prometheus(arguments.prometheus, login_from(environ), clock)
        except (DeploymentError, ValueError) as error:
            raise ExplainError(f"--prometheus: {error}") from error
        machines = tuple(arguments.machine) or machines_of(deployment)
        try:
            if not arguments.runs:
                self.source, self.name = "prometheus", f"Prometheus at {prometheus.name}"
                self.runs = runs_from(
                    prometheus, *span, job=arguments.job, vantage=arguments.vantage,
                    deployment=deployment,
                )  # fmt: skip
                if not self.runs:
                    self.notes.append(
                        f'it has no t3probe series with job="{arguments.job}" near that time; is '
                        "the gateway scraped with honor_labels, or is it another --job?"
                    )
                elif deployment is None:
                    self.notes.append(
                        "without --deployment nobody knows what each leg crosses: only the runs' "
                        "own verdicts are used"
                    )
            self.machines = pressure(prometheus, question.began, question.ended, machines)
            if not self.machines and machines and not arguments.machine:
                self.machines = pressure(prometheus, question.began, question.ended)
        except PrometheusError as error:
            raise ExplainError(str(error)) from error
        self.notes += prometheus.warnings[:3]
