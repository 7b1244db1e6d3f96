"""`t3probe doctor`: what of the environment is missing, and what would fix it."""

from __future__ import annotations

import argparse
import os
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from t3probe.config import Deployment
    from t3probe.setup.machine import DoctorRow

WIDTH = 80
STATE, WHAT = 15, 11
"""Columns."""
ABOUT = """\
Looks at what a run needs: Python and its packages, the deployment file, our
variables, folders, limits, resolvers, routes, the clock, the gateway and the
receivers. Each line is ok, wrong, or could not tell. It takes ten seconds at
most.
Exit code: 0 nothing is wrong, 1 something is, 2 interrupted, 4 wrong usage."""


def add(commands: Any) -> None:
    """Add the subcommand to the subparsers."""
    parser = commands.add_parser(
        "doctor",
        help="say what of the environment is missing, and what fixes it",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "deployment", nargs="?", metavar="DEPLOYMENT",
        help="default: T3PROBE_DEPLOYMENT, then the built-in lab",
    )  # fmt: skip
    parser.add_argument("--results", default="results", metavar="FOLDER", help="as for pytest")
    parser.add_argument("--gateway", metavar="URL", help="default: the deployment file's")
    parser.set_defaults(run=_doctor)


def _doctor(arguments: argparse.Namespace) -> int:
    from t3probe import guard

    guard.install_from_environment()
    file = arguments.deployment or os.environ.get("T3PROBE_DEPLOYMENT") or ""
    worst = 0
    for row in examined(file, arguments.results, arguments.gateway, os.environ):
        print("\n".join(shown(row)), flush=True)
        worst = max(worst, int(row.state == "wrong"))
    return worst


def shown(row: DoctorRow) -> Iterator[str]:
    """A row as lines of 80 columns; what fixes it stands below, so that it can be copied."""
    start = f"{row.state:<{STATE}}{row.what:<{WHAT}}"
    yield from textwrap.wrap(
        row.words, WIDTH, initial_indent=start, subsequent_indent=" " * len(start),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    if row.fix:
        yield from textwrap.wrap(
            row.fix, WIDTH, initial_indent=" " * STATE + "-> ",
            subsequent_indent=" " * (STATE + 3), break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip


def examined(
    file: str, results: str, gateway: str | None, environ: Mapping[str, str]
) -> Iterator[DoctorRow]:
    """Everything, one after the other, the quick things first."""
    from t3probe.setup import machine

    yield machine.python()
    yield from machine.packages()
    yield from machine.variables(environ)
    deployment, rows = _read(file, environ)
    yield from rows
    yield from machine.folders(deployment, results)
    yield machine.files(deployment)
    yield machine.cpu()
    if deployment is not None and file:
        from t3probe.setup import network

        yield from network.routes(deployment)
        where = deployment.delivery.gateway or "" if gateway is None else gateway
        yield from network.ask(deployment, where, environ)
    elif gateway:
        from t3probe.setup import network

        yield from network.gateway(gateway, None, environ)


def _tokens(deployment: Deployment, environ: Mapping[str, str]) -> Iterable[DoctorRow]:
    """Whether each ingest gate has its token here."""
    from t3probe.config import DeploymentError
    from t3probe.config.secrets import token_of, token_variable
    from t3probe.setup.machine import fine, wrong

    for leg in deployment.legs:
        if leg.kind != "ingest" or leg.ingest is None:
            continue
        variable = token_variable(leg.ingest)
        fix = f"set {variable}, {variable}_FILE, or token_file of the table"
        try:
            found = token_of(leg.ingest, environ)
        except DeploymentError as problem:
            yield wrong("ingest", f"{leg.ingest.name}: {problem}", fix)
            continue
        if found is None:
            yield wrong("ingest", f"{leg.ingest.name}: there is no token", fix)
        else:
            yield fine("ingest", f"{leg.ingest.name}: there is a token")


def _of_rigs(deployment: Deployment, environ: Mapping[str, str]) -> Iterable[DoctorRow]:
    """Whether relay, jump and book have their secrets here, and whether tokens can be made."""
    from t3probe.config import DeploymentError, secret
    from t3probe.setup.machine import fine, wrong

    if deployment.experiments is None:
        return
    what = "experiments"
    if find_spec("jwt") is None:
        install = "pip install 't3probe[experiments]'"
        yield wrong(what, "PyJWT, which makes the tokens, is not installed", install)
    for service in ("relay", "jump", "book"):
        variable = f"T3PROBE_{service.upper()}_SECRET"
        fix = f"set {variable} or {variable}_FILE"
        try:
            known = secret(f"{service}_secret", environ) is not None
        except DeploymentError as problem:
            yield wrong(what, f"{service}: {problem}", fix)
            continue
        said = f"{service}: there is {'a' if known else 'no'} secret"
        yield fine(what, said) if known else wrong(what, said, fix)


def _read(file: str, environ: Mapping[str, str]) -> tuple[Deployment | None, Iterable[DoctorRow]]:
    from t3probe.config import DeploymentError, legs_for, load, loads
    from t3probe.setup.machine import fine, untold, wrong
    from t3probe.timing import SystemClock

    what, now = "deployment", SystemClock().wall()
    try:
        if file:
            deployment = load(file, environ, now=now)
        else:
            from t3probe.lab.deployment import PLACEHOLDER, TIMING, deployment_text

            text = deployment_text(PLACEHOLDER, TIMING)
            deployment = loads(text, file="the built-in lab", environ=environ, now=now)
    except DeploymentError as problem:
        fix = "t3probe init writes a new one; docs/deployment-file.md has every key"
        return None, [wrong(what, str(problem), fix)]
    rows = [wrong(what, one, "change the file") for one in deployment.warnings]
    _, warning = legs_for(deployment, environ.get("T3PROBE_VANTAGE", ""))
    if warning:
        rows.append(wrong(what, warning, "set T3PROBE_VANTAGE, or vantages of the legs"))
    if not file:
        if find_spec("trustme") is None:
            words = "none is named, and the built-in lab is not installed"
            rows.append(wrong(what, words, "pip install 't3probe[lab]', or name a file"))
        else:
            rows.append(fine(what, "none is named: a run starts the built-in lab"))
    elif not rows:
        rows.append(fine(what, f"{deployment.name}: {len(deployment.legs)} legs"))
    rows += _tokens(deployment, environ)
    rows += _of_rigs(deployment, environ)
    if any(not leg.fresh_every for leg in deployment.legs):
        from t3probe.show.coverage import CUTS_ONLY, cuts_only

        names = ", ".join(cuts_only(deployment.legs))
        rows.append(untold("legs", f"{names}: {CUTS_ONLY}", "fresh_every = 1 in the file"))
    return deployment, rows
