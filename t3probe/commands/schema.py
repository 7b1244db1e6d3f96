"""`t3probe schema`."""

from __future__ import annotations

import argparse
from typing import Any

from t3probe.exchange.terminal import put_json


def add(commands: Any) -> None:
    """Add the subcommand to the subparsers."""
    parser = commands.add_parser("schema", help="print the JSON Schema of the deployment file")
    parser.set_defaults(run=_schema)


def _schema(arguments: argparse.Namespace) -> int:
    from t3probe.config.schema import schema

    put_json(schema())
    return 0
