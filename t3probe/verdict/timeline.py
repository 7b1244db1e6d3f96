"""From observations to incidents: which legs failed together, and which legs are evidence.

A pass clears only what it exercised, and only when it cannot lie before the onset. So another
leg clears its segments for a drop

- if it held through: good beats on one connection before the interval began and after it
  ended, with none that failed between them;
- or, when an immediate new attempt failed too (`down`), if it had a good beat that was sent
  inside the interval, or answered the common beat that the drop called, and it exercises at
  least what failed. A leg that only connects does not clear a segment that accepts
  connections and then stays silent.

A leg that passed all that but for the level still clears those of its segments that no failed
leg crosses: an upstream that could be connected to is seen, though it proves nothing about a
segment that went silent.

A failed leg's own record may show that its bytes came past some of its segments all the same
(`Drop.carried`). That clears these for the drop itself, and for the drops of other legs as a
good beat sent at that moment would.

Left out altogether: inconclusive legs, planned downtime, and intervals in which the prober
itself stood still.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from t3probe.observation import Beat, Drop, Observation, Stage, Symptom

__all__ = ["Fault", "How", "Outage", "Witness", "outages", "takes_part"]

How = Literal["held through", "sent inside", "common beat", "beside"]
HOW: tuple[How, ...] = ("held through", "sent inside", "common beat")
"""Ways to clear a drop, the strongest first; `beside` clears only what no failed leg crosses."""

LEVELS: dict[Stage, int] = {"connect": 0, "ask": 1, "hold": 2}
WORSE: dict[Symptom, int] = {"down": 0, "cut": 1, "unknown": 2}


class Fault(NamedTuple):
    """A drop as the rules of evidence see it. Times are seconds since the run's start."""

    began: float
    noticed: float
    leg: str
    symptom: Symptom
    level: int
    """What did not work; a pass that proves less is no evidence."""
    call: int = 0
    """The common beat it called; 0 for none."""
    recovered: float | None = None
    carried: tuple[str, ...] = ()
    """Segments that carried the bytes of the failed beat all the same."""
    carried_at: float | None = None


class Outage:
    """Drops whose intervals overlap, directly or through others."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = sorted(faults, key=_order)
        self.began = self.faults[0].began
        self.noticed = max(one.noticed for one in faults)
        ends = [one.recovered for one in faults if one.recovered is not None]
        self.recovered = max(ends) if len(ends) == len(faults) else None
        self.symptom: Symptom = min((one.symptom for one in faults), key=WORSE.__getitem__)
        self.legs = tuple(dict.fromkeys(one.leg for one in self.faults))
        self._level = max(one.level for one in faults)
        self._all_down = all(one.symptom == "down" for one in faults)
        self._begins = [one.began for one in self.faults]
        # The earliest end among the drops from each one on: finds a missed drop in a gap.
        ends = [one.noticed for one in self.faults]
        for at in range(len(ends) - 2, -1, -1):
            ends[at] = min(ends[at], ends[at + 1])
        self._ends = ends

    @property
    def severity(self) -> tuple[int, int, float]:
        """Lower is worse: `down` before `cut`, then more failed legs, then the earlier."""
        return WORSE[self.symptom], -len(self.legs), self.began

    def cleared_by(self, witness: Witness) -> How | None:
        """How a leg without a drop in this outage clears all of its drops; None: it does not."""
        if witness.held(self.began, self.noticed):
            return "held through"
        if self._all_down and not self._missed(witness.sent):
            return "sent inside" if witness.level >= self._level else "beside"
        weakest, enough = 0, True
        for fault in self.faults:
            how = witness.clears(fault)
            if how is None:
                return None
            weakest = max(weakest, HOW.index(how))
            enough = enough and (how == "held through" or witness.level >= fault.level)
        return HOW[weakest] if enough else "beside"

    @property
    def carried(self) -> dict[str, tuple[str, ...]]:
        """For each failed leg whose own record clears some of its segments: which."""
        own: dict[str, list[Fault]] = {}
        for fault in self.faults:
            own.setdefault(fault.leg, []).append(fault)
        out: dict[str, tuple[str, ...]] = {}
        for leg, faults in own.items():
            always = set.intersection(*(set(one.carried) for one in faults))
            moments = sorted(one.carried_at for one in faults if one.carried_at is not None)
            if always and self._carried_through(leg, moments):
                out[leg] = tuple(one for one in faults[0].carried if one in always)
        return out

    def _carried_through(self, leg: str, moments: Sequence[float]) -> bool:
        ask = LEVELS["ask"]
        if self._all_down and self._level <= ask and not self._missed(moments):
            return True
        return all(
            fault.leg == leg
            or (
                fault.symptom == "down"
                and fault.level <= ask
                and any(fault.began <= one <= fault.noticed for one in moments)
            )
            for fault in self.faults
        )

    def _missed(self, moments: Sequence[float]) -> bool:
        """Whether some drop has none of these ascending moments in its interval."""
        after = float("-inf")
        for moment in (*moments, float("inf")):
            at = bisect_right(self._begins, after)
            if at < len(self._ends) and self._ends[at] < moment:
                return True
            after = moment
        return False


def _order(fault: Fault) -> tuple[float, float, str]:
    return fault.began, fault.noticed, fault.leg


class Witness:
    """What one leg can prove."""

    def __init__(self, seen: Observation) -> None:
        self.level = LEVELS[seen.level]
        self.beats = sorted(seen.beats, key=lambda beat: beat.sent)
        self.sent = [beat.sent for beat in self.beats if beat.ok]
        self.stretches = _stretches(self.beats) if seen.level == "hold" else []

    def held(self, began: float, noticed: float) -> bool:
        """One and the same connection worked before this interval and after it."""
        return any(first <= began and last >= noticed for first, last in self.stretches)

    def clears(self, fault: Fault) -> How | None:
        """How this leg clears one drop of another leg, were its level enough; None: not at all."""
        if self.held(fault.began, fault.noticed):
            return "held through"
        if fault.symptom != "down":
            return None
        at = bisect_left(self.sent, fault.began)
        if at < len(self.sent) and self.sent[at] <= fault.noticed:
            return "sent inside"
        return "common beat" if self._answered(fault) else None

    def _answered(self, fault: Fault) -> bool:
        """Its first beat for the common beat went well, and before the drop was over."""
        if not fault.call:
            return False
        for beat in self.beats:
            if beat.call >= fault.call and beat.sent >= fault.noticed:
                return beat.ok and (fault.recovered is None or beat.sent <= fault.recovered)
        return False


def _stretches(beats: Iterable[Beat]) -> list[tuple[float, float]]:
    """For each run of good beats on one connection: the first answer, the last sending."""
    out: list[tuple[float, float]] = []
    running: dict[int, list[Beat]] = {}
    for beat in beats:
        run = running.setdefault(beat.conn, [])
        if beat.ok:
            run.append(beat)
        elif beat.tells:
            out += _ends(run)
            run.clear()
    for run in running.values():
        out += _ends(run)
    return out


def _ends(run: Sequence[Beat]) -> list[tuple[float, float]]:
    return [(run[0].ended, run[-1].sent)] if len(run) > 1 else []


def takes_part(seen: Observation) -> bool:
    """Whether a leg is evidence at all."""
    return seen.outcome != "inconclusive" and not seen.planned


def outages(legs: Iterable[tuple[str, Observation]]) -> list[Outage]:
    """The incidents of these legs, by onset. Legs that take no part are the caller's to omit."""
    faults = sorted((one for name, seen in legs for one in _faults(name, seen)), key=_order)
    out: list[Outage] = []
    chain: list[Fault] = []
    until = 0.0
    for fault in faults:
        if chain and fault.began > until:
            out.append(Outage(chain))
            chain = []
        until = max(until, fault.noticed) if chain else fault.noticed
        chain.append(fault)
    if chain:
        out.append(Outage(chain))
    return out


def _faults(name: str, seen: Observation) -> list[Fault]:
    """A leg's drops; one that failed without any failed from its start to its end."""
    if not seen.drops and seen.outcome == "failed":
        level = min(LEVELS[seen.level], LEVELS["ask"])
        return [Fault(seen.started, max(seen.started, seen.ended), name, "down", level)]
    return [
        Fault(
            began=drop.began,
            noticed=max(drop.began, drop.noticed),
            leg=name,
            symptom=drop.symptom,
            level=_level(drop),
            call=drop.call,
            recovered=drop.recovered,
            carried=drop.carried,
            carried_at=drop.carried_at,
        )
        for drop in seen.drops
        if not drop.stalled
    ]


def _level(drop: Drop) -> int:
    """What did not work: the new attempt tells it better than the drop."""
    if drop.attempt is None or drop.attempt.ok:
        return LEVELS[drop.stage]
    return LEVELS["connect" if drop.attempt.stage == "connect" else "ask"]
