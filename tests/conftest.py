"""What all tests of the suite share."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Set up Hypothesis, for these tests alone.

    pytest loads this file before the checks, too, when an option's value may be a path to it, such
    as in `pytest --fault serve:exit`; there Hypothesis need not be installed.
    """
    if config.rootpath != Path(__file__).parent:
        return
    from hypothesis import HealthCheck, settings

    # How long an example takes says how busy the machine is, and nothing about what is tested.
    settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("steady")


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test masks what another one kept as a secret."""
    from t3probe import text

    for name in ("_OWN", "_LENT"):
        monkeypatch.setattr(text, name, text._Secrets())
