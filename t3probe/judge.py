"""From an observation to what pytest says. Used by `checks/`.

`inconclusive` is an ERROR (raised while setting up), a bad path a FAILURE, planned downtime a
skip. Sentences are our own: pytest's introspection would write objects into the report.
"""

from __future__ import annotations

import pytest

from t3probe.observation import Observation, sentence

__all__ = ["judge", "require_conclusive", "sentence"]


def require_conclusive(seen: Observation) -> None:
    """Skip under planned downtime; fail (an ERROR in a fixture) when we could not tell."""
    __tracebackhide__ = True
    if seen.planned:
        pytest.skip(f"{seen.leg}: {seen.planned}; seen now: {seen.outcome}")
    if seen.outcome == "inconclusive":
        pytest.fail(sentence(seen), pytrace=False)


def judge(seen: Observation) -> None:
    """Fail when the leg's path is bad; a degraded leg passes and is shown."""
    __tracebackhide__ = True
    if seen.outcome == "failed":
        pytest.fail(sentence(seen), pytrace=False)
