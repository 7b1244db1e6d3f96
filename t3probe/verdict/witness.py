"""What one leg can prove about the drops of another; the rules stand in `timeline`."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from typing import Literal

from t3probe.observation import Beat, Observation
from t3probe.verdict.drops import LEVELS, Fault, Need

__all__ = ["HOW", "ONE_EVENT", "How", "Witness"]

How = Literal["held through", "sent inside", "common beat", "beside"]
HOW: tuple[How, ...] = ("held through", "sent inside", "common beat")
"""Ways to clear a drop, the strongest first; `beside` clears only what no failed leg crosses."""

ONE_EVENT = 1.0
"""Drops that are noticed this close together, in seconds, may have one cause."""


class Witness:
    """What one leg can prove."""

    def __init__(self, seen: Observation) -> None:
        self.level = LEVELS[seen.level]
        self.beats = sorted(seen.beats, key=lambda beat: beat.sent)
        self._moments = [beat.sent for beat in self.beats]
        self._asks = seen.kind != "ws_echo"
        good = [beat for beat in self.beats if beat.ok]
        opened: dict[int, float] = {}
        new = [beat.sent for beat in good if opened.setdefault(beat.conn, beat.sent) == beat.sent]
        # Ten thousand upstreams are as many witnesses: what is the same is one list.
        every = self._moments if len(good) == len(self.beats) else [beat.sent for beat in good]
        new = every if len(new) == len(every) else new
        self.sent: dict[Need, list[float]] = {
            "any": every,
            "ask": every if self._asks else new,
            "new": new,
        }
        # They never overlap one another, so by their ends they come by their beginnings, too.
        own = [one for one in seen.drops if not one.stalled]
        self._falls = sorted((max(one.began, one.noticed), one.began) for one in own)
        self.stretches = _stretches(self.beats, opened) if seen.level == "hold" else []

    def falls_with(self, faults: Iterable[Fault]) -> bool:
        """Whether a drop of its own overlaps one of these, or was noticed so near to it that it
        may be the same event."""
        if not self._falls:
            return False
        for fault in faults:
            since = min(fault.since, fault.noticed - ONE_EVENT)
            at = bisect_left(self._falls, (since, float("-inf")))
            if at < len(self._falls):
                noticed, began = self._falls[at]
                if began <= fault.noticed or noticed <= fault.noticed + ONE_EVENT:
                    return True
        return False

    def held(self, since: float, noticed: float, need: Need = "any", age: float = 0.0) -> bool:
        """One and the same connection worked before this interval and after it, and grew as old
        as the one that was cut: a limit on a connection's age would have met it too."""
        if need == "new" or (need == "ask" and not self._asks):
            return False
        return any(
            first <= since and last >= noticed and last - opened >= age
            for first, last, opened in self.stretches
        )

    def clears(self, fault: Fault) -> How | None:
        """How this leg clears one drop of another leg, were its level enough; None: not at all."""
        if self.held(fault.since, fault.noticed, fault.need, fault.age):
            return "held through"
        if fault.symptom != "down":
            return None
        sent = self.sent[fault.need]
        last = fault.until if fault.recovered is None else min(fault.until, fault.recovered)
        at = bisect_right(sent, last) - 1
        if at < 0 or sent[at] < fault.began or not self._well_from(sent[at], fault.noticed):
            return None
        if sent[at] <= fault.noticed:
            # What came later asked less: it does not tell whether this one lies before the onset.
            early = fault.need != "any" and sent[at] < fault.asked
            return None if early else "sent inside"
        inside = bisect_left(sent, fault.began) < bisect_right(sent, fault.noticed)
        return "sent inside" if inside else "common beat"

    def _well_from(self, moment: float, noticed: float) -> bool:
        """Nothing went wrong between this good beat and the notice, whichever came first.

        A beat inside the interval may have come before the onset: so what follows it, up to the
        first beat after the notice, must not have failed, or told nothing.
        """
        for beat in self.beats[bisect_left(self._moments, min(moment, noticed)) :]:
            if not beat.ok:
                return False
            if beat.sent >= max(moment, noticed):
                break
        return True


def _stretches(
    beats: Iterable[Beat], opened: Mapping[int, float]
) -> list[tuple[float, float, float]]:
    """For each run of good beats on one connection: the first answer, the last sending, and the
    first sending on that connection."""
    out: list[tuple[float, float, float]] = []
    running: dict[int, list[Beat]] = {}

    def end(run: list[Beat]) -> None:
        if len(run) > 1:
            out.append((run[0].ended, run[-1].sent, opened[run[0].conn]))
        run.clear()

    for beat in beats:
        run = running.setdefault(beat.conn, [])
        if beat.ok:
            run.append(beat)
        elif beat.tells:
            end(run)
    for run in running.values():
        end(run)
    return out
