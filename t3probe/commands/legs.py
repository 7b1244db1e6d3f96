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
    parser.add_argument(
        "--vantage",
        action="append",
        default=[],
        metavar="NAME",
        help="only what runs from there; several, also as NAME,NAME: what they tell together, and "
        "which one more would help most",
    )
    parser.add_argument(
        "--all-vantages", action="store_true", help="the same for all that the file names"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=_legs)


def _legs(arguments: argparse.Namespace) -> int:
    from t3probe.config import DeploymentError, legs_for, load, loads
    from t3probe.config.shard import check_vantage
    from t3probe.show.coverage import coverage, draw
    from t3probe.show.coverage_together import coverage_together, draw_together, named_vantages
    from t3probe.timing import SystemClock

    file = arguments.deployment or os.environ.get("T3PROBE_DEPLOYMENT") or ""
    names = [name.strip() for one in arguments.vantage for name in one.split(",")]
    vantages = list(dict.fromkeys(name for name in names if name))
    if arguments.all_vantages and vantages:
        return say("legs: expected --vantage or --all-vantages, found both; leave one out")
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
    if arguments.all_vantages:
        vantages = list(named_vantages(deployment))
        if not vantages:
            return say(
                f"legs: --all-vantages: expected a file that names vantages, and {deployment.file} "
                "names none; name some by --vantage, or in the legs' vantages"
            )
    if arguments.all_vantages or len(vantages) > 1:
        for name in vantages:
            try:
                check_vantage(name)
            except ValueError as error:
                return say(f"legs: --vantage: {error}")
            if warning := legs_for(deployment, name)[1]:
                say(f"legs: {warning}")
        together = coverage_together(deployment, vantages)
        if arguments.json:
            put_json(together.to_dict())
        else:
            print("\n".join(draw_together(together)))
        return 0
    vantage = vantages[0] if vantages else os.environ.get("T3PROBE_VANTAGE") or ""
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
