"""`t3probe push`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from t3probe.commands.gateway import add_gateway, gateway_named
from t3probe.usage import a_run, say

if TYPE_CHECKING:
    from t3probe.config.otel import Receiver
    from t3probe.deliver.sinks import Receipt
    from t3probe.deliver.sinks.receiver import Sender


def add(commands: Any) -> None:
    """Add the subcommand to the subparsers."""
    parser = commands.add_parser("push", help="push recorded runs, or another suite's JUnit file")
    parser.add_argument("record", metavar="RUN", help=a_run("every run"))
    add_gateway(parser, "t3-probe-manual", "the run's own", "the run's own", required=False)
    parser.add_argument(
        "--remote-write", metavar="URL", help="of a receiver of remote write, path and all"
    )
    parser.add_argument(
        "--otlp", metavar="URL", help="of a receiver of traces: send the trace of each run to it"
    )
    parser.set_defaults(run=_push)


def _push(arguments: argparse.Namespace) -> int:
    from t3probe.config import DeploymentError
    from t3probe.record.facts import RecordError

    places = (arguments.gateway, arguments.remote_write, arguments.otlp)
    if not any(places):
        return say(
            "push: expected a place to push to, found none; add --gateway URL, --remote-write URL "
            "or --otlp URL"
        )
    if arguments.record == "-" and sum(map(bool, places)) > 1:
        return say("push: standard input can be read once only; name one place, or a file")
    code = 0
    try:
        for report in _reports(arguments):
            print(report.sentence)
            code = code if report.ok else 1
    except (RecordError, DeploymentError, ValueError) as error:
        return say(error)
    return code


def _reports(arguments: argparse.Namespace) -> Iterator[Receipt]:
    # All are looked at before anything is sent.
    gateway = gateway_named(arguments) if arguments.gateway else None
    sender = _sender(arguments.remote_write) if arguments.remote_write else None
    receiver = _receiver(arguments.otlp) if arguments.otlp else None
    if gateway is not None:
        from t3probe.deliver.sinks.recording import push_recording

        yield push_recording(arguments.record, gateway)
    if sender is not None:
        from t3probe.deliver.sinks.remote_recording import send_recording

        labels = {"job": arguments.job, "vantage": arguments.vantage, "shard": arguments.shard}
        yield send_recording(arguments.record, sender, labels)
    if receiver is not None:
        from t3probe.deliver.sinks.otlp import send_recorded

        yield send_recorded(arguments.record, receiver)


def _receiver(url: str) -> Receiver:
    """The receiver at `url`. Raises DeploymentError or ValueError, one sentence."""
    from t3probe.config.delivery import Otlp
    from t3probe.config.otel import receiver_of
    from t3probe.deliver.traces.wire import MISSING, installed
    from t3probe.exchange.client import Site

    if not installed():
        raise ValueError(f"--otlp: {MISSING}")
    try:
        Site(url)
    except ValueError as error:
        raise ValueError(f"--otlp: {error}") from None
    return receiver_of(None, Otlp(endpoint=url), os.environ)


def _sender(url: str) -> Sender:
    """The receiver of remote write at `url`. Raises DeploymentError or ValueError, one sentence."""
    from t3probe.config.receivers import site_of
    from t3probe.config.secrets import login_of
    from t3probe.deliver.delivery import with_extra
    from t3probe.deliver.sinks.receiver import RemoteReceiver, Sender

    with with_extra("--remote-write"):
        import t3probe.deliver.metrics.remote  # noqa: F401 - it needs them
    try:
        return Sender(RemoteReceiver(url, login=login_of(site_of(""), os.environ)))
    except ValueError as error:
        raise ValueError(f"--remote-write: {error}") from None
