"""The options of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from t3probe.config import Deployment, Wrong, parse_duration


def add(parser: pytest.Parser) -> None:
    """Add the options of the checks."""
    group = parser.getgroup("t3probe", "t3probe: which segment of the path broke")
    group.addoption("--deployment", metavar="FILE", help="deployment file; without it, the lab")
    group.addoption("--hold", metavar="DURATION", help="how long to hold the legs; 0: one beat")
    group.addoption("--results", metavar="FOLDER", default=None, help="default: results")
    group.addoption(
        "--gate", metavar="SEGMENT,...", help="exit 1 only if one of these cannot be cleared"
    )
    group.addoption(
        "--push", action="store_true", help="deliver this run's results, under a job of its own"
    )
    group.addoption("--gateway", metavar="URL", help="Pushgateway; default: the deployment's")
    group.addoption(
        "--exit-delivered", action="store_true",
        help="the scheduled job: deliver; exit 0 when delivered, whatever was found",
    )  # fmt: skip
    group.addoption(
        "--record-line", action="store_true",
        help="print the record as one line of JSON, for the log; --exit-delivered does so too",
    )  # fmt: skip
    group.addoption("--vantage", metavar="NAME", help="where this suite runs from")
    group.addoption(
        "--shard", metavar="I/N", help="run shard I of N alone: its upstreams, and for 0 the legs"
    )
    group.addoption(
        "--fault", metavar="SEGMENT:KIND[:ARG][@AFTER][+FOR]", action="append", default=[],
        help="break a segment of the built-in lab; may be given several times; t3probe lab --help "
        "lists what there is",
    )  # fmt: skip
    group.addoption(
        "--experiments", metavar="N", type=int, default=0,
        help="N remote rigs beside the built-in lab, with relay, jump and book",
    )  # fmt: skip
    group.addoption(
        "--opinions", action="store_true",
        help="the built-in lab's cloudflared and Traefik say what they think of themselves",
    )  # fmt: skip


def deployment_file(option: Any, environ: Mapping[str, str]) -> str | None:
    """The deployment that is named; None: none is. Raises UsageError for an empty name: it comes
    of a variable that is not set, and a gate must not open on another path than was meant."""
    for what, text in (
        ("--deployment", option.deployment),
        ("T3PROBE_DEPLOYMENT", environ.get("T3PROBE_DEPLOYMENT")),
    ):
        if text == "":
            raise pytest.UsageError(
                f"{what}: expected a deployment file, found an empty name; name one, or leave it "
                "out"
            )
        if text is not None:
            return str(text)
    return None


def demand(option: Any) -> str:
    """An option that was given and asks for more than tests that run: for a verdict, its delivery
    or a fault. Where nothing is probed it cannot be met. Empty: there is none."""
    given = {
        "--gate": option.gate,
        "--push": option.push,
        "--exit-delivered": option.exit_delivered,
        "--record-line": option.record_line,
        "--fault": option.fault,
        "--experiments": option.experiments or None,
        "--opinions": option.opinions,
    }
    return next((name for name, value in given.items() if value not in (None, False, [])), "")


def hold_seconds(text: str) -> float:
    """The value of `--hold` in seconds. Raises UsageError."""
    try:
        return float(parse_duration(text, allow_zero=True))
    except Wrong as problem:
        hint = f"; {problem.hint}" if problem.hint else ""
        raise pytest.UsageError(
            f"--hold: expected {problem.expected}, found {text!r}{hint}"
        ) from None


def gate_segments(
    text: str | None, deployment: Deployment, *, scheduled: bool = False
) -> tuple[str, ...]:
    """The segments that `--gate` names; none without it. Raises UsageError, also where the exit
    code is to say whether the results were delivered: it cannot say both."""
    if text is None:
        return ()
    if scheduled:
        raise pytest.UsageError(
            "--gate: expected no --exit-delivered beside it, found both: the exit code would be 0 "
            "for a closed gate; give --push to deliver, or leave --gate"
        )
    from t3probe.verdict.gate import named

    try:
        return named(text, (*deployment.segments, *deployment.own_segments), deployment.file)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
