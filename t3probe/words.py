"""Sentences about observations, shared by pytest's reports, sinks and documents. Pure."""

from __future__ import annotations

from t3probe.observation import Observation

__all__ = ["sentence"]


def sentence(seen: Observation) -> str:
    """One line for people: leg, outcome, reason, detail."""
    words = f"{seen.leg}: {seen.outcome}"
    if seen.reason:
        words += f", {seen.reason}"
    if seen.detail:
        words += f": {seen.detail}"
    if len(seen.drops) > 1:
        words += f" ({len(seen.drops)} drops)"
    for view in seen.views:
        if view.sentence:
            words += f"; {view.sentence}"
    return words
