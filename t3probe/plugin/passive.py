"""The plugin in a pytest that probes nothing: without a deployment, or spread over processes.

It then takes no signal, writes no file and prints nothing of its own, so that a repository whose
tests include some checks behaves as it did before.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from t3probe.config import Deployment, DeploymentError, legs_for, load
from t3probe.exchange.terminal import sentence as shown
from t3probe.plugin.options import demand
from t3probe.timing import SystemClock

SPREAD = (
    "these checks cannot be spread over processes (-n): all legs are compared in one event loop; "
    "run them without -n"
)
NO_DEPLOYMENT = (
    "no deployment is named, so there is no path to look at: give --deployment FILE, or set "
    "T3PROBE_DEPLOYMENT"
)
CHECKS = Path(__file__).parents[1] / "checks"
_MARK = "t3probe leg: "
"""Begins the id of a leg's check in a process that only collects it: the ids are all that the
process which may refuse hears of."""


def spread(option: Any) -> bool:
    """Whether pytest-xdist hands the tests out to processes of its own."""
    return bool(getattr(option, "numprocesses", None) or getattr(option, "tx", None))


def stand_in(config: pytest.Config, file: str | None) -> Silent | Spread | None:
    """What takes the place of the checks' hooks in this pytest; None: it probes. `file`: the
    deployment. Raises UsageError where an option was given that then cannot be met."""
    option, environ = config.option, os.environ
    collects = hasattr(config, "workerinput")  # a process of pytest-xdist
    asked = demand(option)
    if file is None:
        if asked:
            raise pytest.UsageError(
                f"expected a deployment file for {asked}, found none; name one with "
                "--deployment FILE or T3PROBE_DEPLOYMENT"
            )
        return Silent(collects)
    if not collects and not spread(option):
        return None
    if asked:
        raise pytest.UsageError(f"{asked}: {SPREAD}")
    try:
        # Also where the tests are handed out: a process that cannot start is started again.
        deployment = load(file, environ, now=SystemClock().wall())
    except DeploymentError as error:
        raise pytest.UsageError(shown(error)) from None
    vantage = option.vantage or environ.get("T3PROBE_VANTAGE", "")
    return Spread(deployment if collects else None, vantage)


class Silent:
    """No deployment: checks are skipped with a sentence, everything else runs as it would."""

    def __init__(self, collects: bool = False) -> None:
        """`collects`: in a process that cannot refuse, since it would be started again."""
        self._collects = collects

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Whoever asked for this package's own checks asked for a deployment to be looked at."""
        for item in items:
            legs = item.get_closest_marker("legs") is not None
            if legs and not self._collects and item.path.resolve().is_relative_to(CHECKS.resolve()):
                raise pytest.UsageError(
                    "expected a deployment file, found none; name one with --deployment FILE or "
                    "T3PROBE_DEPLOYMENT"
                )
            if legs or item.get_closest_marker("segments") is not None:
                item.add_marker(pytest.mark.skip(reason=NO_DEPLOYMENT))


class Spread:
    """`-n`: refused when a leg was selected. Checks with a body of their own run as plain tests."""

    def __init__(self, deployment: Deployment | None, vantage: str = "") -> None:
        """`deployment`: in a process that collects; None: in the one that hands the tests out."""
        self._deployment, self._vantage = deployment, vantage

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        marker = metafunc.definition.get_closest_marker("legs")
        if self._deployment is None or marker is None or "leg" not in metafunc.fixturenames:
            return
        legs = legs_for(self._deployment, self._vantage)[0]
        kinds = {leg.name: "upstream" if leg.upstream else leg.kind for leg in legs}
        names = [one for one, kind in kinds.items() if kind in marker.args]
        if self._deployment.upstream_source and {"source", "upstream"} & {*marker.args}:
            names.append("of a source")  # sources are not asked here
        metafunc.parametrize("leg", names, ids=[_MARK + one for one in names])

    def pytest_report_header(self) -> str:
        return "t3probe: with -n there is no verdict; checks with segments(...) run as plain tests"

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: Sequence[str]) -> None:
        if any(_MARK in one for one in ids):
            raise pytest.UsageError(SPREAD)
