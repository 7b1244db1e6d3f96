"""Asking a question as the command line does, with a clock of the test's own."""

from __future__ import annotations

import argparse

from explain_history import END

from t3probe.ask.explain.asked import reported
from t3probe.ask.explain.report import Report
from t3probe.commands.explain import add, asked_by
from t3probe.timing import FakeClock

NOW = END + 1800.0


def arguments(*words: str) -> argparse.Namespace:
    """What the command line makes of these words."""
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    return parser.parse_args(["explain", *words])


def ask(*words: str, now: float = NOW, **environ: str) -> Report:
    """The answer to a question."""
    return reported(asked_by(arguments(*words)), FakeClock(wall=now), environ)
