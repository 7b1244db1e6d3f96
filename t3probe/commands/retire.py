"""`t3probe retire`."""

from __future__ import annotations

import argparse
from typing import Any

from t3probe.commands.gateway import add_gateway, gateway_named
from t3probe.usage import say


def add(commands: Any) -> None:
    """Add the subcommand to the subparsers."""
    parser = commands.add_parser("retire", help="delete the groups of a vantage that is gone")
    add_gateway(parser, "t3-probe", "the group without a vantage", "the group without a shard")
    parser.set_defaults(run=_retire)


def _retire(arguments: argparse.Namespace) -> int:
    from t3probe.config import DeploymentError
    from t3probe.deliver.delivery import retire

    try:
        report, silence = retire(gateway_named(arguments))
    except (DeploymentError, ValueError) as error:
        return say(error)
    print(report.sentence)
    print(f"until its last run is forgotten, silence it: {silence}")
    return 0 if report.ok else 1
