"""From observations to incidents: which legs failed together, and which legs are evidence.

Drops whose intervals overlap, or that are noticed within a second of one another, are one
incident when their legs share a segment. For evidence a drop begins when the last good
beat before it was *sent*: what broke may have broken while that answer was on its way. A leg
without a drop in the incident clears its segments for a drop in one of two ways.

- It held through: good beats on one connection, the first answered before the drop began and
  the last sent after it was noticed, with none that failed between them. For a cut that
  connection must also have grown as old as the one that died: else a limit on age may end it
  as well, only later.
- Or, when the new attempt failed too (`down`), it had a good beat that was sent inside the
  interval or with the common beat, and went on well to its first beat after the notice: a beat
  inside may lie before the onset. (One that exercised more than those after it must have been
  sent no sooner than what failed.) A common beat counts only while the outage lasts, which is
  known up to the newest failed attempt; a quarter of a second later is still taken for it.

Both clear only what they exercised (`drops.Need`, `drops.LEVELS`). When no connection could be
opened, only a leg that opened one is evidence. When a request was answered wrongly or not at
all, only a leg that asked is: the echo of a WebSocket that is open already asks nobody anew, so
a rule, a listener or a process that refuses everything new lets it live on. A leg that only
connects does not clear a segment that accepts connections and then stays silent.

A leg that passed, but proves too little, clears those of its segments that no such failed leg
crosses (`beside`): it was seen to work, though it proves nothing more. A leg with a drop of its
own that overlaps a drop, or was noticed within a second of it, is no evidence about it: that may
be one event, which reaches one leg after the other.

A failed leg's own record may show that its bytes came past some of its segments all the same
(`Drop.carried`). That clears these for the drop itself, and for the drops of other legs as a
good beat sent at that moment would. Or it shows that they were lost on the first of its segments
(`Drop.lost`): then these failed as a shorter leg would have. That clears nobody; what lies behind
is only not needed to explain the drop.

Left out altogether: inconclusive legs, planned downtime, and intervals in which the prober
itself stood still. A beat that told nothing, or that the run's end cut, is no sign of life.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from t3probe.observation import Observation, Symptom
from t3probe.verdict.drops import LEVELS, Fault, Need, faults_of
from t3probe.verdict.witness import HOW, ONE_EVENT, How, Witness

__all__ = ["Fault", "How", "Outage", "Witness", "outages", "takes_part"]

WORSE: dict[Symptom, int] = {"down": 0, "cut": 1, "unknown": 2}


class Outage:
    """Drops that are judged together."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = sorted(faults, key=_order)
        self.began = min(one.began for one in faults)
        self.noticed = max(one.noticed for one in faults)
        ends = [one.recovered for one in faults if one.recovered is not None]
        self.recovered = max(ends) if len(ends) == len(faults) else None
        self.symptom: Symptom = min((one.symptom for one in faults), key=WORSE.__getitem__)
        self.legs = tuple(dict.fromkeys(one.leg for one in self.faults))
        self._level = max(one.level for one in faults)
        self._all_down = all(one.symptom == "down" for one in faults)
        groups: dict[tuple[Need, int], list[Fault]] = {}
        for fault in self.faults:
            groups.setdefault((fault.need, fault.level), []).append(fault)
        self._groups = [_Alike(alike) for alike in groups.values()]

    @property
    def severity(self) -> tuple[int, int, float]:
        """Lower is worse: `down` before `cut`, then more failed legs, then the earlier."""
        return WORSE[self.symptom], -len(self.legs), self.began

    def cleared_by(self, witness: Witness) -> tuple[How, frozenset[str]] | None:
        """How a leg without a drop in this outage clears its drops, and the failed legs for which
        it proves too little: what these cross it does not clear. None: it is no evidence."""
        if witness.falls_with(self.faults):
            return None
        weakest, short = -1, frozenset[str]()
        for group in self._groups:
            how, missed = group.cleared_by(witness)
            short |= missed
            if how is not None:
                weakest = max(weakest, HOW.index(how))
        if weakest < 0:
            return None
        return ("beside" if short else HOW[weakest]), short

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

    @property
    def lost(self) -> dict[str, tuple[str, ...]]:
        """For each failed leg whose own record says where its bytes were lost: where."""
        return {one.leg: one.lost for one in self.faults if one.lost}

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
        return any(group.missed(moments) for group in self._groups)


class _Alike:
    """Faults of one outage that ask the same of a witness."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = faults
        self._legs = frozenset(one.leg for one in faults)
        self._need, self._level = faults[0].need, faults[0].level
        self._all_down = all(one.symptom == "down" for one in faults)
        self._since = min(one.since for one in faults)
        self._noticed = max(one.noticed for one in faults)
        self._age = max(one.age for one in faults)
        by_onset = sorted(faults, key=lambda one: one.began)
        self._begins = [one.began for one in by_onset]
        # The earliest end among the drops from each one on: finds a missed drop in a gap.
        ends = [one.noticed for one in by_onset]
        for at in range(len(ends) - 2, -1, -1):
            ends[at] = min(ends[at], ends[at + 1])
        self._ends = ends

    def cleared_by(self, witness: Witness) -> tuple[How | None, frozenset[str]]:
        """How it clears the weakest of these, and the legs of those that it does not clear."""
        if witness.held(self._since, self._noticed, self._need, self._age):
            return "held through", frozenset()
        enough = witness.level >= self._level
        sent = witness.sent[self._need]
        # All its beats went well, and asked as much as those that failed.
        alike = len(sent) == len(witness.beats)
        if self._all_down and alike and not self.missed(sent):
            return "sent inside", frozenset() if enough else self._legs
        weakest: int = -1
        short: set[str] = set()
        for fault in self._faults:
            how = witness.clears(fault)
            if how is None:
                how = witness.clears(fault._replace(need="any", age=0.0))
                short.add(fault.leg)
            elif not (enough or how == "held through"):
                short.add(fault.leg)
            if how is not None:
                weakest = max(weakest, HOW.index(how))
        return (None if weakest < 0 else HOW[weakest]), frozenset(short)

    def missed(self, moments: Sequence[float]) -> bool:
        """Whether some drop has none of these ascending moments in its interval."""
        after = float("-inf")
        for moment in (*moments, float("inf")):
            at = bisect_right(self._begins, after)
            if at < len(self._ends) and self._ends[at] < moment:
                return True
            after = moment
        return False


def _order(fault: Fault) -> tuple[float, float, str]:
    return fault.since, fault.noticed, fault.leg


def takes_part(seen: Observation) -> bool:
    """Whether a leg is evidence at all."""
    return seen.outcome != "inconclusive" and not seen.planned


def outages(legs: Iterable[tuple[str, Observation]]) -> list[Outage]:
    """The incidents of these legs, by onset: drops that overlap, or are noticed within a second
    of one another, and whose legs share a segment, directly or through others. Legs that take no
    part are the caller's to omit."""
    paths: dict[str, tuple[str, ...]] = {}
    faults: list[Fault] = []
    for name, seen in legs:
        paths[name] = seen.path
        faults += faults_of(name, seen)
    faults.sort(key=_order)
    parent = list(range(len(faults)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    # Of those that are under way at one moment all overlap, so the one that ends last will do.
    last: dict[str, int] = {}
    for at, fault in enumerate(faults):
        for segment in paths[fault.leg]:
            other = last.get(segment)
            if other is not None and faults[other].noticed >= fault.since:
                parent[root(at)] = root(other)
            if other is None or faults[other].noticed < fault.noticed:
                last[segment] = at
    last.clear()
    for at in sorted(range(len(faults)), key=lambda one: faults[one].noticed):
        for segment in paths[faults[at].leg]:
            other = last.get(segment)
            if other is not None and faults[at].noticed - faults[other].noticed <= ONE_EVENT:
                parent[root(at)] = root(other)
            last[segment] = at
    groups: dict[int, list[Fault]] = {}
    for at, fault in enumerate(faults):
        groups.setdefault(root(at), []).append(fault)
    return [Outage(one) for one in groups.values()]
