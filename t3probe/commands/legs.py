"""`t3probe legs`."""

from __future__ import annotations

import argparse
import os
from typing import Any

from t3probe.exchange.terminal import put_json
from t3probe.usage import say


def add(commands: Any) -> None:
    """Add the subcommand to the subparsers."""
    parser = commands.add_parser(
        "legs", help="draw which legs cross which segments, and what they cannot tell apart"
    )
    parser.add_argument(
        "deployment",
        nargs="?",
        metavar="DEPLOYMENT",
        help="a deployment file; default: T3PROBE_DEPLOYMENT, then the built-in lab",
    )
    parser.add_argument("--vantage", default="", metavar="NAME", help="only what runs from there")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=_legs)


def _legs(arguments: argparse.Namespace) -> int:
    from t3probe.config import DeploymentError, legs_for, load, loads
    from t3probe.show.coverage import coverage, draw
    from t3probe.timing import SystemClock

    file = arguments.deployment or os.environ.get("T3PROBE_DEPLOYMENT") or ""
    vantage = arguments.vantage or os.environ.get("T3PROBE_VANTAGE") or ""
    now = SystemClock().wall()
    try:
        if file:
            deployment = load(file, os.environ, now=now)
        else:
            from t3probe.lab.deployment import PLACEHOLDER, TIMING, deployment_text

            text = deployment_text(PLACEHOLDER, TIMING)
            deployment = loads(text, file="the built-in lab", environ={}, now=now)
    except DeploymentError as error:
        return say(f"legs: {error}")
    legs, warning = legs_for(deployment, vantage)
    if warning:
        say(f"legs: {warning}")
    found = coverage(deployment, legs, vantage or deployment.vantage)
    if arguments.json:
        put_json(found.to_dict())
        return 0
    for line in draw(found):
        print(line)
    if deployment.experiments is not None:
        print(f"\nwith the rigs that {deployment.experiments.book} names when a run begins")
    return 0
