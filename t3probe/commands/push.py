"""`t3probe push`."""

from __future__ import annotations

import argparse
from typing import Any

from t3probe.commands.gateway import add_gateway, gateway_named
from t3probe.usage import a_run, say


def add(commands: Any) -> None:
    """Add the subcommand to the subparsers."""
    parser = commands.add_parser("push", help="push recorded runs, or another suite's JUnit file")
    parser.add_argument("record", metavar="RUN", help=a_run("every run"))
    add_gateway(parser, "t3-probe-manual", "the run's own")
    parser.set_defaults(run=_push)


def _push(arguments: argparse.Namespace) -> int:
    from t3probe.config import DeploymentError
    from t3probe.deliver.sinks.recording import push_recording
    from t3probe.record.facts import RecordError

    try:
        report = push_recording(arguments.record, gateway_named(arguments))
    except (RecordError, DeploymentError, ValueError) as error:
        return say(error)
    print(report.sentence)
    return 0 if report.ok else 1
