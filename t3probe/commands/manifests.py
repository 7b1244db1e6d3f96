"""The command `t3probe manifests`: what runs t3probe, on the standard output."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Sequence

from t3probe.exchange.bounds import RULES_BYTES
from t3probe.exchange.files import read_regular
from t3probe.setup.box import PROGRAMS, compose, systemd
from t3probe.setup.cluster.networkpolicy import policy, rendered
from t3probe.setup.cluster.places import (
    PUBLIC,
    Block,
    ClusterError,
    NetworkPlace,
    parse_at,
    parse_block,
    parse_where,
    prometheusrule,
)
from t3probe.usage import Parser

EXIT_USAGE = 4
RULES = "cronjob/rules/t3probe.rules.yml"


def parser() -> Parser:
    """What it reads its words with."""
    parser = Parser(
        prog="t3probe manifests",
        description="Print what runs t3probe: objects of Kubernetes, units of systemd, a compose "
        "file.",
    )
    parser.example = "t3probe manifests networkpolicy deployments/t3.toml"
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    network = kinds.add_parser(
        "networkpolicy",
        help="what a deployment's legs may dial, and nothing else",
        epilog="example: t3probe manifests networkpolicy deployments/t3.toml > networkpolicy.yaml",
    )
    network.add_argument("deployment", metavar="DEPLOYMENT")
    network.add_argument("--vantage", default="", metavar="NAME", help="only the legs of this one")
    network.add_argument("--gateway", metavar="URL", help="default: the deployment's")
    network.add_argument(
        "--at", action="append", default=[], metavar="HOST=WHERE",
        help="where a host stands: a block (10.0.0.0/24), pods (NAMESPACE/LABEL=VALUE[:PORT]), or "
        "public; needed for names that the cluster's DNS resolves",
    )  # fmt: skip
    network.add_argument(
        "--public", action="append", default=[], metavar="CIDR",
        help="the blocks of hosts that DoH resolves; default: everything but private ranges",
    )  # fmt: skip
    network.add_argument("--dns", action="append", default=[], metavar="CIDR",
                         help="a block that answers DNS, beside kube-system's pods")  # fmt: skip
    network.add_argument("--component", default="job", help="the pods' label; default: %(default)s")
    network.add_argument("--listen", type=int, metavar="PORT", help="the port that is scraped")
    network.add_argument("--scraped-by", action="append", default=[], metavar="WHERE",
                         help="who may scrape: a block or NAMESPACE/LABEL=VALUE")  # fmt: skip
    rules = kinds.add_parser(
        "prometheusrule",
        help="the alert rules for the Prometheus operator",
        epilog="example: t3probe manifests prometheusrule > prometheusrule.yaml",
    )
    rules.add_argument("rules", nargs="?", default=RULES, help="default: %(default)s")
    units = kinds.add_parser(
        "systemd",
        help="a service and a timer every minute, and a service that holds the legs",
        epilog="example: t3probe manifests systemd /etc/t3probe/my.toml",
    )
    units.add_argument("deployment", metavar="DEPLOYMENT")
    units.add_argument("--programs", default=PROGRAMS, metavar="FOLDER",
                       help="where t3probe and t3probe-job are; default: %(default)s")  # fmt: skip
    one_box = kinds.add_parser(
        "compose",
        help="the job by an interval and the held mode, for docker compose",
        epilog="example: t3probe manifests compose /etc/t3probe/my.toml > compose.yaml",
    )
    one_box.add_argument("deployment", metavar="DEPLOYMENT")
    return parser


def main(words: Sequence[str]) -> int:
    """Print one object; the exit code. `words` are what follows `t3probe manifests`."""
    from t3probe.config import DeploymentError

    arguments = parser().parse_args(list(words))
    command = " ".join(shlex.join(["t3probe", "manifests", *words]).split())  # for a comment
    kinds = {"networkpolicy": _network, "prometheusrule": _rules}
    make = kinds.get(arguments.kind, _box)
    try:
        text = make(arguments, command)
    except (ClusterError, DeploymentError, ValueError) as error:
        print(f"t3probe: {error}", file=sys.stderr)
        return EXIT_USAGE
    sys.stdout.write(text)
    return 0


def _box(arguments: argparse.Namespace, command: str) -> str:
    from t3probe.config import load
    from t3probe.timing import SystemClock

    deployment = load(arguments.deployment, os.environ, now=SystemClock().wall())
    file = os.path.abspath(arguments.deployment)
    if arguments.kind == "compose":
        text = compose(file)
    else:
        text = systemd(deployment, file, os.path.abspath(arguments.programs))
    return f"# {command}\n{text}"


def _network(arguments: argparse.Namespace, command: str) -> str:
    from t3probe.config import load
    from t3probe.timing import SystemClock

    environ = dict(os.environ)
    if arguments.gateway is not None:
        environ["T3PROBE__DELIVERY__GATEWAY"] = arguments.gateway
    deployment = load(arguments.deployment, environ, now=SystemClock().wall())
    if not re.fullmatch("[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?", arguments.component):
        raise ClusterError(
            f"--component: expected letters, digits and -, found {arguments.component!r}"
        )
    if arguments.listen is not None and not 0 < arguments.listen <= 65535:
        raise ClusterError(f"--listen: expected a port from 1 to 65535, found {arguments.listen}")
    if (arguments.listen is None) != (not arguments.scraped_by):
        raise ClusterError("expected --listen PORT and --scraped-by WHERE together, found one")
    at: dict[str, NetworkPlace] = {}
    for text in arguments.at:
        host, place = parse_at(text)
        before = at.get(host, NetworkPlace(()))
        at[host] = NetworkPlace(before.peers + place.peers, before.public or place.public)
    made = policy(
        deployment,
        vantage=arguments.vantage,
        at=at,
        public=_blocks(arguments.public, "--public") or PUBLIC,
        dns=_blocks(arguments.dns, "--dns"),
        listen=arguments.listen,
        scrapers=[parse_where(one, "--scraped-by") for one in arguments.scraped_by],
    )
    if deployment.delivery.gateway is None and arguments.listen is None:
        print(
            "t3probe: warning: no gateway is named, so none can be reached; add --gateway URL",
            file=sys.stderr,
        )
    otlp = deployment.delivery.otlp
    if otlp is not None and otlp.endpoint is None:
        print(
            "t3probe: warning: [delivery.otlp] names no endpoint, so no receiver of traces can be "
            "reached; write it there",
            file=sys.stderr,
        )
    return rendered(made, name=deployment.name, component=arguments.component, command=command)


def _blocks(texts: Sequence[str], option: str) -> tuple[Block, ...]:
    try:
        return tuple(parse_block(one) for one in texts)
    except ClusterError as error:
        raise ClusterError(f"{option}: {error}") from None


def _rules(arguments: argparse.Namespace, command: str) -> str:
    try:
        text = read_regular(arguments.rules, RULES_BYTES, pipe=True).decode()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ClusterError(
            f"{arguments.rules}: expected a file of Prometheus rules, cannot read it: {why}; "
            "name one"
        ) from None
    return prometheusrule(text, source=arguments.rules, command=command)
