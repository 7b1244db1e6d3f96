"""What `push` and `retire` share: which group of which gateway."""

from __future__ import annotations

import argparse
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from t3probe.deliver.sinks.gateway import Gateway
    from t3probe.usage import Parser


def add_gateway(
    parser: Parser, job: str, vantage: str, shard: str, *, required: bool = True
) -> None:
    """Add the options that name a group; `vantage` and `shard` say what is meant without one."""
    parser.add_argument("--gateway", metavar="URL", required=required, help="of the Pushgateway")
    parser.add_argument("--job", default=job, help="default: %(default)s")
    parser.add_argument("--vantage", default="", metavar="NAME", help=f"default: {vantage}")
    parser.add_argument("--shard", default="", metavar="N", help=f"default: {shard}")


def gateway_named(arguments: argparse.Namespace) -> Gateway:
    """The gateway, with its login. Raises DeploymentError or ValueError, one sentence."""
    from t3probe.config.errors import quote
    from t3probe.config.secrets import login_of
    from t3probe.deliver.sinks.gateway import Gateway
    from t3probe.exchange.client import Site

    # A slip would name a group that is not there, and retire leave the one that is meant.
    if arguments.shard and not re.fullmatch(r"[0-9]{1,9}", arguments.shard):
        raise ValueError(f"--shard: expected a number such as 3, found {quote(arguments.shard)}")
    login = login_of("gateway", os.environ)
    try:
        Site(arguments.gateway, login)
    except ValueError as error:
        raise ValueError(f"--gateway: {error}") from None
    return Gateway(
        url=arguments.gateway,
        job=arguments.job,
        vantage=arguments.vantage,
        shard=arguments.shard,
        login=login,
    )
