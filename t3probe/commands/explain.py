"""The subcommand `t3probe explain`."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from t3probe.exchange.terminal import put_json

if TYPE_CHECKING:
    from t3probe.ask.explain.asked import Asked

EXIT_USAGE = 4
EXIT_UNCLEAR = 1
ABOUT = """\
Answers "what broke when I dropped?": what every leg saw around that time, the
verdict with the person's own last mile as one segment more, the pressure of
the serving machine, and the sentence to send back. The person is a leg
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
  0  answered: it was us, the last mile or the device, or people share something
  1  we cannot tell, or no leg was looking
  4  wrong usage, or a source that cannot be read

examples:
  t3probe explain --at 14:03 --user NAME --runs results/
  t3probe explain --at '5 minutes ago' --prometheus http://127.0.0.1:9090 \\
      --deployment deployments/t3.toml
  t3probe explain --at 14:03 --client record.json --runs results/

Prometheus' login: T3PROBE_PROMETHEUS_TOKEN, or T3PROBE_PROMETHEUS_USER and
_PASSWORD (each also with _FILE), and T3PROBE_PROMETHEUS_CA_FILE. The token with
which records are fetched: T3PROBE_RECORDS_TOKEN, or _TOKEN_FILE."""


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
    opt(
        "--client", metavar="RECORD", action="append", default=[],
        help="what the person's browser recorded: the file that they saved, or the page's "
        "https://HOST/probe/#CODE; may stand several times",
    )  # fmt: skip
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
    from t3probe.ask.explain.asked import ExplainError, reported
    from t3probe.timing import SystemClock

    try:
        report = reported(asked_by(arguments), SystemClock(), os.environ)
    except ExplainError as error:
        print(f"t3probe: explain: {error}", file=sys.stderr)
        return EXIT_USAGE
    from t3probe.ask.explain.report import ANSWERED, to_dict, to_lines

    if arguments.json:
        put_json(to_dict(report))
    else:
        encoding = sys.stdout.encoding or "utf-8"
        for line in to_lines(report):
            print(line.encode(encoding, "replace").decode(encoding))
    return 0 if report.told.finding in ANSWERED else EXIT_UNCLEAR


def asked_by(arguments: argparse.Namespace) -> Asked:
    """What a command line asks."""
    from t3probe.ask.explain.asked import Asked

    return Asked(
        at=arguments.at,
        users=tuple(arguments.user),
        people=arguments.people,
        runs=tuple(arguments.runs or ()),
        prometheus=arguments.prometheus,
        window=arguments.window,
        deployment=arguments.deployment,
        leg=arguments.leg,
        timezone=arguments.timezone,
        job=arguments.job,
        vantage=arguments.vantage,
        clients=tuple(arguments.client),
        machines=tuple(arguments.machine),
    )
