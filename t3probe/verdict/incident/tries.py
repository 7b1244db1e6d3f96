"""Tries: how often each leg failed in one run, counted so that tries are independent.

What counts as one try decides what the posterior is worth, since it takes tries for
independent. The beats of a leg are not: an outage of five seconds fails five of them. So each
incident is one try of the legs that failed in it and of those that clear for it by the rules of
`t3probe.verdict.incident.evidence`; a run without one is one good try of each leg that passed. A
leg that could not tell, is under planned downtime, or only clears a part of what it crosses is not
tried; a blip is no try of anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from t3probe.verdict.repeated.posterior import Posterior, posterior

__all__ = ["TriedIncident", "in_run", "tries_of"]


class TriedIncident(Protocol):
    """An incident, as far as tries go."""

    @property
    def tried(self) -> Mapping[str, bool]:
        """Whether each leg that it is a try of failed in it."""


def in_run(
    segments: Sequence[str],
    legs: Mapping[str, tuple[str, ...]],
    passed: Iterable[str],
    incidents: Iterable[TriedIncident],
) -> Posterior:
    """What one run says by itself, from its incidents and the legs that passed."""
    counts = {leg: (sum(one), len(one)) for leg, one in tries_of(passed, incidents).items()}
    return posterior(segments, legs, counts)


def tries_of(passed: Iterable[str], incidents: Iterable[TriedIncident]) -> dict[str, list[bool]]:
    """For each leg its tries in a run, by incident; True: failed."""
    out: dict[str, list[bool]] = {}
    for one in incidents:
        for leg, failed in one.tried.items():
            out.setdefault(leg, []).append(failed)
    return out or {leg: [False] for leg in passed}
