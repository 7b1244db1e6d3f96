"""Limits on age and silence in the held mode, over all the connections that it remembers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from t3probe.observation import Observation, RunRecord
from t3probe.verdict.limits.found import FEWEST, Limit, history, limits, near
from t3probe.watch.counts import LegCounts

LOOK_AGAIN_SECONDS = 60.0
"""What lived on may disprove a limit without any news: it is looked so often at the least."""


NEWS_SECONDS = 5.0
"""With news it is looked this often at the most: it takes a tenth of a second when all flaps."""


class Says(Protocol):
    """Where lines go: `t3probe.watch.log.Log`."""

    def say(self, event: str, at: float | None = None, **facts: Any) -> None: ...


class KnownLimits:
    """Those that are known now. A line says each that is new, and each that is no more."""

    def __init__(self, log: Says) -> None:
        self._log = log
        self._known: tuple[Limit, ...] = ()
        self._of: tuple[int, ...] = ()
        self._looked_at = float("-inf")

    def look(
        self, record: RunRecord, seen: Sequence[Observation], tallies: Mapping[str, LegCounts]
    ) -> tuple[Limit, ...]:
        """What all connections that are remembered show, in seconds of the run's clock."""
        legs = [(one, tallies[one.leg].lives) for one in seen if one.leg in tallies]
        versions = tuple(lives.version for _, lives in legs)
        now = record.duration_seconds
        apart = LOOK_AGAIN_SECONDS if versions == self._of else NEWS_SECONDS
        if now - self._looked_at < apart:
            return self._known
        self._of, self._looked_at = versions, now
        found: tuple[Limit, ...] = ()
        if any(lives.deaths >= FEWEST for _, lives in legs):
            some = [
                history(one, lives.known(), lives.troubles()) for one, lives in legs if lives.any
            ]
            found = limits(some, record.spread)
        self._say(record, found)
        self._known = found
        return found

    def _say(self, record: RunRecord, found: Sequence[Limit]) -> None:
        for known, limit in [
            *((True, one) for one in found if not _among(one, self._known)),
            *((False, one) for one in self._known if not _among(one, found, anywhere=True)),
        ]:
            told = limit.to_dict(record.started_at, record.gloss)
            self._log.say("limit", known=known, text=told.pop("text"), limit=told)


def _among(limit: Limit, some: Sequence[Limit], *, anywhere: bool = False) -> bool:
    """Whether this one is there; `anywhere`: if it is said to lie elsewhere, too, or more is known
    of what it is a limit on."""
    return any(
        set(limit.legs) == set(one.legs)
        and (limit.kind == one.kind or (anywhere and "either" in (limit.kind, one.kind)))
        and (anywhere or limit.one_of == one.one_of)
        and abs(limit.seconds - one.seconds) <= near(one.seconds)
        for one in some
    )
