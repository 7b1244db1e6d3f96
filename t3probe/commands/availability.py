"""`t3probe availability`."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from t3probe.exchange.terminal import put_json
from t3probe.usage import say

if TYPE_CHECKING:
    from t3probe.show.availability import Looks

EXIT_UNCLEAR = 1
MOST_DAYS = 400
DAY_SECONDS = 86_400.0
ABOUT = """\
For each leg and each segment: what share of the observed time was good, its
incidents by length, and for how long it was not observed, because no run
looked or none could tell. The last is neither good nor bad. A segment is
bad while a verdict convicts it alone; as one of several suspects it counts as
not observed."""
MORE = """\
Recorded runs are exact to the beat. Metrics are no finer than a run: one in
which a leg dropped counts as bad whole, so they say less good, never more.
Upstreams are left out.

exit codes: 0 told, 1 nothing was observed, 4 wrong usage or no answer

Prometheus' login: T3PROBE_PROMETHEUS_TOKEN, or T3PROBE_PROMETHEUS_USER and
_PASSWORD (each also with _FILE), and T3PROBE_PROMETHEUS_CA_FILE."""
COARSE = (
    "from metrics, no finer than a run: one in which a leg dropped counts as bad whole; records "
    "(--runs) are exact"
)


def add(commands: Any) -> None:
    """Add the subcommand to the subparsers."""
    parser = commands.add_parser(
        "availability",
        help="what share of the observed time was good, per leg and segment",
        description=ABOUT,
        epilog=MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    opt = parser.add_argument
    opt("--prometheus", metavar="URL", help="the metrics")
    opt("--runs", metavar="RUN", nargs="+", help="recorded runs: folders, JUnit files, logs, or -")
    opt(
        "--days", metavar="N", type=float,
        help="how far back: from now with --prometheus (default: 30), from the newest run with "
        "--runs (default: all)",
    )  # fmt: skip
    opt("--job", default="t3-probe", help="the metrics' job; default: %(default)s")
    opt("--vantage", metavar="NAME", help="this vantage only")
    opt("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from t3probe.ask.explain.prometheus import PrometheusError
    from t3probe.config import DeploymentError
    from t3probe.record.facts import RecordError
    from t3probe.show.availability import Looks
    from t3probe.show.availability.text import to_dict, to_lines
    from t3probe.timing import SystemClock

    days = arguments.days
    if bool(arguments.prometheus) == bool(arguments.runs):
        found = "both" if arguments.runs else "neither"
        return say(f"availability: expected --prometheus URL or --runs FOLDER, found {found}")
    if days is not None and not 0 < days <= MOST_DAYS:
        return say(
            f"availability: --days: expected more than 0 and at most {MOST_DAYS}, found {days:g}"
        )
    looks, notes = Looks(), list[str]()
    try:
        if arguments.prometheus:
            now = SystemClock().wall()
            began, ended = now - (30 if days is None else days) * DAY_SECONDS, now
            source = _measured(arguments, looks, began, ended, notes)
            whole = looks.between(began, ended)
        else:
            source = _recorded(arguments, looks, notes)
            whole = looks.between()
            if days is not None and looks:
                whole = looks.between(whole.ended - days * DAY_SECONDS, whole.ended)
    except (PrometheusError, RecordError, DeploymentError, ValueError) as error:
        return say(f"availability: {error}")
    if arguments.json:
        put_json(to_dict(whole, source, notes))
    else:
        for line in to_lines(whole, source, notes):
            print(line)
    rows = (row for place in whole.places for row in place.legs)
    return 0 if any(row.observed_seconds > 0 for row in rows) else EXIT_UNCLEAR


def _measured(
    arguments: argparse.Namespace, looks: Looks, began: float, ended: float, notes: list[str]
) -> str:
    """Fill from Prometheus; its name. Raises PrometheusError, DeploymentError, ValueError."""
    from t3probe.ask.availability import looks_from
    from t3probe.ask.explain.prometheus import Prometheus
    from t3probe.config.secrets import login_of
    from t3probe.exchange.bounds import AVAILABILITY_SECONDS
    from t3probe.timing import SystemClock

    login = login_of("prometheus", os.environ)
    try:
        prometheus = Prometheus(arguments.prometheus, login, SystemClock(), AVAILABILITY_SECONDS)
    except ValueError as error:
        raise ValueError(f"--prometheus: {error}") from None
    found = looks_from(prometheus, began, ended, job=arguments.job, vantage=arguments.vantage)
    for key, look in found:
        looks.add(key, look)
    if looks:
        notes.append(COARSE)
    else:
        notes.append(
            f'it has no new runs with job="{arguments.job}" in that time; is the gateway scraped '
            "with honor_labels, or is it another --job?"
        )
    notes += prometheus.warnings[:3]
    return f"Prometheus at {prometheus.name}"


def _recorded(arguments: argparse.Namespace, looks: Looks, notes: list[str]) -> str:
    """Fill from records; their names. Raises RecordError."""
    from t3probe.config.errors import quote
    from t3probe.record.reading import read_runs, run_key
    from t3probe.show.availability import look_of

    said: list[object] = []
    for recording in read_runs(arguments.runs, said):
        if arguments.vantage in (None, recording.run.vantage):
            looks.add(run_key(recording), look_of(recording))
    notes += [str(one) for one in said[:5]]
    if len(said) > 5:
        notes.append(f"{len(said) - 5} more files cannot be read")
    if not looks:
        of = f" of the vantage {quote(arguments.vantage)}" if arguments.vantage else ""
        notes.append(f"no run{of} was found there")
    return ", ".join(arguments.runs)[:200]
