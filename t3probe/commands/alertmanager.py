"""`t3probe alertmanager`."""

from __future__ import annotations

import argparse
import os
from typing import Any

from t3probe.usage import say


def add(commands: Any) -> None:
    """Add the subcommand to the subparsers."""
    parser = commands.add_parser(
        "alertmanager", help="print a deployment's inhibit_rules for Alertmanager"
    )
    parser.add_argument("deployment", metavar="DEPLOYMENT", help="a deployment file")
    parser.set_defaults(run=_alertmanager)


def _alertmanager(arguments: argparse.Namespace) -> int:
    from t3probe.config import DeploymentError, load
    from t3probe.setup.alertmanager import fragment
    from t3probe.timing import SystemClock

    try:
        deployment = load(arguments.deployment, os.environ, now=SystemClock().wall())
    except DeploymentError as error:
        return say(error)
    print(fragment(deployment), end="")
    return 0
