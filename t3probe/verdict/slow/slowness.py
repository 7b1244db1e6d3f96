"""Which segment is slow: legs against what is usual for them, and what explains it. Pure.

Slowness stands beside the verdict and never changes it: a segment that is convicted stays so,
whatever is slow besides. The rules:

- A leg is judged when it takes part, worked through the run, had three good beats, and earlier
  runs tell what is usual for it (`t3probe.verdict.slow.baseline`). Beats are timed on connections
  that stand; what connecting and TLS take is not in them. No other leg says anything, either way.
- It is slow when the median exceeds the most that is usual by more than the deployment's
  `timing.slow_floor` and by more than half of it.
- A leg counts as slow while it is: not when its newest three beats were as usual. The others are
  compared with it by what they sent since it became slow, after its last two usual beats in a
  row. With fewer than three beats since then, or two slow ones in a row among them, a leg says
  nothing: it may only know later what the slow one knows already.
- It clears its segments when it is not degraded and its excess, with all that may be wrong with
  it, stays below three quarters of the smallest excess of a slow leg. A TCP handshake is answered
  by a kernel: it clears nothing of a delay that answers have. What is neither slow nor clear
  only bounds what a segment on it can add. A leg that is faster than usual by more than noise
  has a baseline that is too high: it says nothing while others are slow.
- A wall's answer may come from what lies behind the rule, or from the sign-on, over connections
  made for it alone: a wall that is slow names no segment. One that is not slow clears its path; a
  leg whose answers prove a part of its path alone, such as a pong, clears no more than that.
- The smallest sets of segments that explain all slow legs are the answer
  (`t3probe.verdict.slow.excess`). When every judged leg is slow and our own loop was late by half
  of that, it may be us: then no segment is named.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import msgspec

from t3probe.observation import Observation, RunRecord, median
from t3probe.text.words import glossed, listed, span
from t3probe.verdict.incident.evidence import takes_part
from t3probe.verdict.slow.baseline import MIN_TRIPS, judged_beats, judged_trips, over, usual
from t3probe.verdict.slow.excess import Delay, Explanations, Span, explain
from t3probe.verdict.slow.latency import Latency, latency, spread

Status = Literal["unknown", "usual", "localised", "ambiguous"]

TOLERANCE = 0.2
"""The share of its excess by which a leg's may differ from another's."""
CALM_SHARE = 0.75
CALM_TOLERANCE = 0.1
"""The share of the usual round trip that is noise from run to run."""
TURN = 2
"""So many beats in a row of the other sort, slow or usual, and a leg's pace has changed."""
NAMED = 5
"""How many names a sentence lists before it only counts."""
WALLS = ("walloff", "walled", "ingest_gate")
LEGS_LIMIT = 256
"""How many legs are judged at most: more than those of any deployment but its upstreams."""


class LegPace(msgspec.Struct, frozen=True):
    """One judged leg."""

    path: tuple[str, ...]
    usual_low: float
    usual_high: float
    """Seconds; the same where a moving median is known."""
    median: float
    tolerance: float
    slow: bool
    degraded: bool
    handshake: bool
    wall: bool

    @property
    def excess(self) -> float:
        """What is certainly more than usual, in seconds; below 0: less."""
        return self.median - self.usual_high

    @property
    def most(self) -> float:
        """The most that the excess can be."""
        return self.median - self.usual_low + self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """The JSON form. `baseline_low_seconds` only where the usual is known between bounds."""
        out: dict[str, Any] = {"baseline_seconds": round(self.usual_high, 6)}
        if self.usual_low != self.usual_high:
            out["baseline_low_seconds"] = round(self.usual_low, 6)
        out["median_seconds"] = round(self.median, 6)
        out["excess_seconds"] = round(max(0.0, self.excess), 6)
        out["slow"] = self.slow
        return out


class _Course:
    """Which of a leg's beats were slow, one after the other."""

    def __init__(self, seen: Observation, pace: LegPace, record: RunRecord) -> None:
        floor, self._heartbeat = record.slow_floor_seconds, record.heartbeat_seconds
        beats = sorted(judged_beats(seen), key=lambda beat: beat.sent)
        high = pace.usual_high
        self.sent = [beat.sent for beat in beats]
        self.slow = [over(beat.rtt_seconds - high, high, floor) for beat in beats]

    @property
    def since(self) -> float:
        """When it became slow: its first slow beat after the last two usual ones in a row. Of one
        that was slow all the while, when it was first looked at."""
        at = len(self.slow)
        while at > 0 and any(self.slow[max(0, at - TURN) : at]):
            at -= 1
        while at < len(self.slow) and not self.slow[at]:
            at += 1
        if at == len(self.slow):
            return math.inf
        return self.sent[at] if at else self.sent[0] - self._heartbeat

    @property
    def ended(self) -> bool:
        """Whether it is slow no more."""
        return not any(self.slow[-MIN_TRIPS:])

    def turned(self, moment: float) -> bool:
        """Whether it became slow itself since then."""
        since = self.slow[bisect_left(self.sent, moment) :]
        return any(all(since[at : at + TURN]) for at in range(len(since) - TURN + 1))


class Slowness:
    """What is slow in a run, by how much, and which segments explain it."""

    def __init__(
        self, record: RunRecord, segments: Sequence[str], seen: Mapping[str, Observation]
    ) -> None:
        """`segments`: all there are, in the order of the answer; `seen`: by leg."""
        self._record, self._segments, self._seen = record, segments, seen

    @cached_property
    def legs(self) -> dict[str, LegPace]:
        """The judged legs."""
        floor = self._record.slow_floor_seconds
        found: dict[str, LegPace] = {}
        for name, one in self._seen.items():
            pace = _pace(one, floor)
            if pace is not None and len(found) < LEGS_LIMIT:
                found[name] = pace
        return found

    @cached_property
    def short(self) -> tuple[str, ...]:
        """Legs that had one or two good beats, all of them slow: too few to say that it is."""
        floor = self._record.slow_floor_seconds
        found = []
        for name, one in self._seen.items():
            known, trips = _usual(one), judged_trips(one)
            if known is None or not 0 < len(trips) < MIN_TRIPS:
                continue
            if over(min(trips) - known[1], known[1], floor):
                found.append(name)
        return tuple(found)

    @cached_property
    def slow(self) -> dict[str, LegPace]:
        """The slow ones among them that are evidence; walls only where nothing else is slow."""
        every = {
            name: one
            for name, one in self.legs.items()
            if one.slow and not self._courses[name].ended
        }
        return {name: one for name, one in every.items() if not one.wall} or every

    @cached_property
    def _courses(self) -> dict[str, _Course]:
        return {
            name: _Course(self._seen[name], one, self._record) for name, one in self.legs.items()
        }

    @cached_property
    def _since(self) -> float:
        """When the newest of the slow legs became slow, in seconds of the run."""
        return max((self._courses[name].since for name in self.slow), default=-math.inf)

    @cached_property
    def _tells(self) -> dict[str, LegPace]:
        """The legs that are not slow and can bound what slows the slow ones: how they were since
        those became slow."""
        answers = not self.slow or any(not one.handshake for one in self.slow.values())
        floor = self._record.slow_floor_seconds
        found = {}
        for name, whole in self.legs.items():
            if whole.slow or self._courses[name].turned(self._since):
                continue
            one = _pace(self._seen[name], floor, self._since)
            if one is None or one.slow or one.degraded or (one.handshake and answers):
                continue
            if not (self.slow and one.most < 0):
                found[name] = one
        return found

    @cached_property
    def calm(self) -> tuple[str, ...]:
        """The legs that clear their segments."""
        floor = self._record.slow_floor_seconds
        if not self.slow:
            return tuple(
                name
                for name, one in self._tells.items()
                if not over(one.median - one.usual_low, one.usual_low, floor)
            )
        least = CALM_SHARE * min(one.excess for one in self.slow.values())
        return tuple(name for name, one in self._tells.items() if one.most <= least)

    @cached_property
    def cleared(self) -> tuple[str, ...]:
        """The segments on a leg that is as fast as usual."""
        on = {name for leg in self.calm for name in self.legs[leg].path}
        return tuple(name for name in self._segments if name in on)

    @cached_property
    def ours(self) -> bool:
        """Everything is slow, and we ourselves were late: it may be the prober."""
        if not self.slow or self._tells or len(self.legs) < 2:
            return False
        least = min(one.excess for one in self.slow.values())
        return self._record.loop_lag_seconds >= least / 2

    @cached_property
    def explained(self) -> Explanations:
        """The smallest explanations of the slow legs."""
        if not self.slow or self.ours:
            return Explanations((), (), ())
        if any(one.wall for one in self.slow.values()):
            return Explanations((), (), tuple(self.slow))
        slow = {
            name: Span(one.path, max(one.excess - one.tolerance, 1e-6), one.most)
            for name, one in self.slow.items()
        }
        bounded = [
            Span(one.path, 0.0, max(0.0, one.most))
            for name, one in self._tells.items()
            if name not in self.calm
        ]
        return explain(self._segments, slow, self.cleared, bounded)

    @cached_property
    def segments(self) -> dict[str, float]:
        """What each judged segment adds, in seconds: 0 where it is cleared; those that cannot
        be told from others are left out."""
        adds = dict.fromkeys(self.cleared, 0.0)
        for delay in self.explained.sure:
            if len(delay.segments) == 1:
                adds[delay.segments[0]] = delay.seconds
        return {name: adds[name] for name in self._segments if name in adds}

    @cached_property
    def latency(self) -> Latency:
        """What segments take, slow or not."""
        return latency(self._record.segments, self._seen)

    @cached_property
    def status(self) -> Status:
        """`unknown`: nothing could be judged; `usual`: nothing is slow; `localised`: each slow
        leg is explained by named segments; `ambiguous`: something is slow, and it cannot be
        told what."""
        if not self.legs or self.ours or (self.short and not self.slow):
            return "unknown"
        if not self.slow:
            return "usual"
        told = self.explained
        named = len(told.explanations) == 1 and all(len(one.segments) == 1 for one in told.sure)
        return "localised" if named and not told.unexplained else "ambiguous"

    @cached_property
    def text(self) -> str:
        """The finding, without a full stop."""
        if self.short and not self.slow:
            legs = listed(self.short)
            return f"could not tell: one or two good beats, and slow ones, are too few of {legs}"
        if not self.legs:
            return "could not tell: no leg has a baseline from earlier runs"
        if not self.slow:
            return "no leg is slower than usual"
        if self.ours:
            late = span(self._record.loop_lag_seconds)
            return f"could not tell: every leg is slow, and our own event loop was late by {late}"
        told = self.explained
        words = []
        if told.explanations:
            words.append(_said(told, self._legs_over, self._record.gloss))
        elif len(told.unexplained) < len(self.slow):
            those = [name for name in self.slow if name not in told.unexplained]
            each = listed([f"{name} by {span(self.slow[name].excess)}" for name in those])
            words.append(f"slow, and no few segments explain by how much: {each}")
        for name in told.unexplained[:NAMED]:
            by = span(self.slow[name].excess)
            why = "what answers it need not be on its path"
            if not self.slow[name].wall:
                why = "all of its segments are cleared, so what answers at its end is slow"
            words.append(f"{name} is slow by {by}: {why}")
        return "; ".join(words)

    def _legs_over(self, delay: Delay) -> list[str]:
        return [name for name, one in self.slow.items() if set(delay.segments) & set(one.path)]

    @property
    def latency_text(self) -> str:
        """What segments take, in one sentence; empty when nothing is known."""
        gloss = self._record.gloss
        known = self.latency.segments
        each = zip(glossed(known, gloss), known.values(), strict=True)
        parts = [f"{name} adds {span(value)}" for name, value in each]
        parts += [
            f"{' + '.join(glossed(names, gloss))} add {span(value)}"
            for names, value in self.latency.groups
        ]
        return ", ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        told = self.explained
        return {
            "status": self.status,
            "text": self.text,
            "legs": {name: one.to_dict() for name, one in self.legs.items()},
            "segments": {name: round(value, 6) for name, value in self.segments.items()},
            "explanations": [[_delay(one) for one in each] for each in told.explanations],
            "ambiguous_groups": [_delay(one) for one in told.sure if len(one.segments) > 1],
            "unexplained": list(told.unexplained),
            "latency": {**self.latency.to_dict(), "text": self.latency_text},
        }


def _usual(seen: Observation) -> tuple[float, float] | None:
    """What is usual for a leg that worked through the run."""
    worked = seen.outcome in ("passed", "degraded") and takes_part(seen)
    return usual(seen.baseline) if worked else None


def _pace(seen: Observation, floor: float, since: float = -math.inf) -> LegPace | None:
    """A leg's pace, by its beats since then; None when it cannot be judged."""
    known = _usual(seen)
    if known is None:
        return None
    trips = judged_trips(seen, since)
    if len(trips) < MIN_TRIPS:
        return None
    low, high = known
    now = median(trips)
    excess = now - high
    noise = floor / 2, TOLERANCE * excess, CALM_TOLERANCE * high, spread(trips)
    slow, path = over(excess, high, floor), seen.path
    if not slow and seen.clears is not None:
        path = tuple(one for one in path if one in seen.clears)  # what answered lies no further
    if not path:
        return None
    return LegPace(
        path=path,
        usual_low=low,
        usual_high=high,
        median=now,
        tolerance=max(noise),
        slow=slow,
        degraded=seen.outcome == "degraded",
        handshake=seen.level == "connect",
        wall=seen.kind in WALLS,
    )


def _said(
    told: Explanations, legs_over: Callable[[Delay], list[str]], gloss: Mapping[str, str]
) -> str:
    """The explanations in words."""
    first = told.explanations[0]
    several = len(first) > 1
    head = "the legs' excesses differ, so more than one segment is slow: " if several else ""
    parts = []
    for one in told.sure:
        by = span(one.seconds)
        over_legs = listed(legs_over(one))
        names = listed(glossed(one.segments, gloss), word="or")
        which = "one of " if len(one.segments) > 1 else ""
        parts.append(f"{which}{names} is slow and adds {by} to {over_legs}")
    if len(told.explanations) > 1:
        # What is not in all of them: each explanation's rest is one possibility.
        sure = {one.segments for one in told.sure}
        rests = [
            " with ".join(
                "/".join(glossed(one.segments, gloss)) for one in each if one.segments not in sure
            )
            for each in told.explanations
        ]
        parts.append(f"{'and ' if parts else ''}one of {listed(rests, word='or')} is slow")
    return head + ", ".join(parts)


def _delay(one: Delay) -> dict[str, Any]:
    return {
        "segments": list(one.segments),
        "excess_seconds": round(one.seconds, 6),
        "between_seconds": [round(one.low, 6), round(one.high, 6)],
    }
