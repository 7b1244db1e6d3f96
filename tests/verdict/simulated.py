"""Runs on a discrete clock in a simulated world (`simulated_world`), and what they would see.

The legs do what those of `t3probe.run` do: both strands every heartbeat, a common beat when one
notices a drop, a second look that begins when all others have looked, retries, and a hold of 35 s
that ends with one more common beat if something dropped late.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from itertools import accumulate, count
from typing import Any

from verdict.simulated_world import (
    BACKOFF,
    CONNECT,
    DEADLINE,
    GAP,
    HEARTBEAT,
    HOLD,
    OWN,
    PEOPLE,
    ROUTES,
    SEGMENTS,
    WATCHDOG,
    Breaks,
    Conn,
    Leg,
    Result,
    World,
)

from t3probe.observation import Attempt, Beat, Connection, Drop, Observation, RunRecord
from t3probe.run.conclude import settled
from t3probe.verdict.incident.run import RunVerdict, judge_run

SECOND_LOOK = 0.25
LAST_MILE_LAG = 0.01


class Simulation:
    """One run in such a world."""

    def __init__(
        self,
        breaks: Sequence[Breaks],
        seed: int = 0,
        *,
        legs: Sequence[str] = tuple(ROUTES),
        spread: Sequence[str] = (),
    ) -> None:
        self.rng = random.Random(seed)
        self.world = World(breaks, self.rng)
        self.breaks, self.spread = breaks, spread
        self.met: set[str] = set()
        """What made a leg fail, so that it was more than a blip that stood alone."""
        lag = {name: self.rng.uniform(0.0001, 0.0015) for name in f"{SEGMENTS} {OWN}".split()}
        self.legs = []
        for name in legs:
            route = {**ROUTES, **PEOPLE}[name]
            path = route.path.split()
            far = list(accumulate(lag.get(one, LAST_MILE_LAG) for one in path))
            self.legs.append(Leg(name, route, path, far))
        self.call_number = 0
        self.calls: list[float] = []
        self.heap: list[tuple[float, int, Callable[[], None]]] = []
        self.order = count()
        self.now = 0.0

    def at(self, moment: float, work: Callable[[], None]) -> None:
        heapq.heappush(self.heap, (moment, next(self.order), work))

    def soon(self) -> float:
        return self.now + GAP + self.rng.random() * 0.002

    def observations(self) -> list[Observation]:
        """Run it."""
        for leg in self.legs:
            self.at(self.soon(), lambda leg=leg: self.begin(leg))  # type: ignore[misc]
            for beat in range(1, int(HOLD // HEARTBEAT) + 1):
                self.at(beat * HEARTBEAT + self.rng.random() * 0.002,
                        lambda leg=leg: self.begin(leg))  # type: ignore[misc]  # fmt: skip
        self.at(HEARTBEAT / 4, lambda: self.call(None))
        self.at(HOLD, self.end_of_hold)
        while self.heap and self.heap[0][0] < DEADLINE:
            self.now, _, work = heapq.heappop(self.heap)
            work()
        self.now = DEADLINE
        self.cut_short()
        seen = settled([self.observation(leg) for leg in self.legs])
        for leg, one in zip(self.legs, seen, strict=True):
            if one.outcome == "failed":
                self.met |= leg.touched
        return seen

    def end_of_hold(self) -> None:
        if any(one.drops and one.drops[-1]["noticed"] >= HOLD - HEARTBEAT for one in self.legs):
            self.call(None)

    # -- common beats --------------------------------------------------------------------------

    def call(self, caller: Leg | None) -> int:
        self.call_number += 1
        for leg in self.legs:
            if leg is not caller:
                self.at(self.soon(), lambda leg=leg: self.begin_called(leg))  # type: ignore[misc]
        return self.call_number

    def call_for(self, leg: Leg) -> int:
        self.calls = [at for at in self.calls if at > self.now - HEARTBEAT]
        leg.called = [at for at in leg.called if at > self.now - HEARTBEAT]
        if leg.muted and leg.drops:
            over = leg.drops[-1]["recovered"]
            if over is None or self.now - over < HEARTBEAT:
                return 0
        leg.muted = len(leg.called) + 1 >= 3
        if len(self.calls) >= 10 or (leg.called and self.now - leg.called[-1] < 1.0):
            return 0
        self.calls.append(self.now)
        leg.called.append(self.now)
        return self.call(leg)

    def begin_called(self, leg: Leg) -> None:
        if leg.answered >= self.call_number:
            return
        if leg.name.startswith("envoy-") or leg.route.level == "ask":
            if self.now - leg.joined_at < HEARTBEAT:
                leg.looked = leg.answered = self.call_number
                self.look_again()
                return
            leg.joined_at = self.now
        self.begin(leg)

    def begin(self, leg: Leg) -> None:
        """A beat on each strand."""
        if self.now >= HOLD and leg.answered >= self.call_number:
            return
        leg.answered = call = self.call_number
        leg.retry_at = float("inf")
        if leg.line is not None and not leg.held_busy:
            self.beat_held(leg, call)
        if leg.open < 3:
            self.dial(leg, call, lambda sent, seen, conn: self.fresh_over(leg, sent, seen, conn))
        else:
            leg.looked = max(leg.looked, call)
            self.look_again()

    def look_again(self) -> None:
        """Second looks whose common beat is over everywhere."""
        for leg in self.legs:
            for limit, call in list(leg.looks):
                others = all(one.looked >= call for one in self.legs if one is not leg)
                if others or self.now >= limit:
                    leg.looks.remove((limit, call))
                    self.at(self.now + GAP, lambda leg=leg, call=call:
                            self.second_look(leg, call))  # type: ignore[misc]  # fmt: skip

    # -- strands -------------------------------------------------------------------------------

    def note(self, leg: Leg, strand: Any, sent: float, seen: Result, conn: int, call: int) -> None:
        if not seen.ok and seen.conclusive:
            leg.touched.add(seen.by)
        leg.beats.append(
            Beat(
                sent=sent,
                ended=seen.ended,
                ok=seen.ok,
                conn=conn,
                strand=strand,
                call=call,
                conclusive=seen.conclusive,
                refused=seen.refused,
            )
        )

    def dial(self, leg: Leg, call: int, over: Callable[[float, Result, Conn], None]) -> None:
        sent = self.now
        conn = Conn(next(leg.conns), sent, self.world.meets())
        seen = self.world.fresh(leg, conn, sent)
        leg.open += 1

        def done() -> None:
            leg.open -= 1
            leg.looked = max(leg.looked, call)
            self.note(leg, "fresh", sent, seen, conn.number, call)
            over(sent, seen, conn)
            self.look_again()

        self.at(seen.ended, done)

    def fresh_over(self, leg: Leg, sent: float, seen: Result, conn: Conn) -> None:
        if seen.ok:
            since = leg.drops[-1]["noticed"] if leg.down else float("-inf")
            self.keep(leg, sent, conn, newer=not leg.undecided and sent >= since)
            if sent >= since and not leg.undecided and leg.down:
                leg.drops[-1]["recovered"] = self.now
            return
        if not seen.conclusive:
            return
        if leg.down:
            if not leg.undecided:
                leg.strikes += 1
                self.retry(leg)
            return
        self.notice(leg, seen, sent, "fresh", None)

    def keep(self, leg: Leg, sent: float, conn: Conn, *, newer: bool) -> None:
        leg.last_good["fresh"] = self.now
        if leg.route.level == "hold" and leg.line is None and newer:
            leg.line = conn
            leg.last_good["held"] = self.now
            address = leg.route.address
            leg.connections.append(
                Connection(conn=conn.number, opened=sent, remote_address=address)
            )
            dies, by = self.world.dies(leg, conn)
            if dies < DEADLINE:
                self.at(max(dies, self.now), lambda: self.ended(leg, conn, by))

    def ended(self, leg: Leg, conn: Conn, by: str) -> None:
        if leg.line is conn and not leg.held_busy:
            seen = Result(self.now, False, "closed_by_peer", "hold", answered=True, by=by)
            self.held_failed(leg, conn, seen, self.now)

    def beat_held(self, leg: Leg, call: int) -> None:
        conn, sent = leg.line, self.now
        assert conn is not None
        seen = self.world.held(leg, conn, sent)
        leg.held_busy = True

        def done() -> None:
            leg.held_busy = False
            self.note(leg, "held", sent, seen, conn.number, call)
            if seen.ok:
                leg.last_good["held"], leg.last_held_sent = self.now, sent
                if leg.unsure:
                    self.refuses(leg)
            elif leg.line is conn:
                self.held_failed(leg, conn, seen, sent)

        self.at(seen.ended, done)

    def held_failed(self, leg: Leg, conn: Conn, seen: Result, sent: float) -> None:
        leg.line = None
        age = self.now - conn.opened
        if not leg.down:
            self.notice(leg, seen, sent, "held", conn, age)
            return
        drop = leg.drops[-1]
        if leg.unsure:
            leg.unsure = False
            drop["symptom"] = "down"
        if drop["strand"] == "fresh":
            told = {"strand": "held", "reason": seen.reason, "stage": "hold", "conn": conn.number}
            drop |= told | {"connection_age_seconds": age}
            if drop["symptom"] == "refusing":
                drop["symptom"] = "down"

    # -- outages -------------------------------------------------------------------------------

    def notice(
        self, leg: Leg, seen: Result, sent: float, strand: Any, conn: Conn | None, age: Any = None
    ) -> None:
        leg.strikes += 1
        leg.touched.add(seen.by)
        call = self.call_for(leg)
        leg.answered = max(leg.answered, call)
        leg.drops.append(
            {
                "began": min(leg.last_good.get(strand, 0.0), self.now),
                "noticed": self.now,
                "asked": sent,
                "reason": seen.reason,
                "symptom": "unknown",
                "stage": seen.stage,
                "call": call,
                "strand": strand,
                "answered": seen.answered,
                "accused": seen.accused,
                "carried": seen.carried,
                "conn": None if conn is None else conn.number,
                "connection_age_seconds": age,
                "remote_address": leg.route.address,
                "attempt": None,
                "recovered": None,
                "lone": False,
            }
        )
        leg.undecided = True
        if leg.line is not None and call and not leg.held_busy:
            self.beat_held(leg, call)
        leg.looks.append((self.now + SECOND_LOOK, call))
        self.at(self.now + SECOND_LOOK, self.look_again)
        self.look_again()

    def second_look(self, leg: Leg, call: int) -> None:
        started = self.now

        def over(sent: float, seen: Result, conn: Conn) -> None:
            drop = leg.drops[-1]
            leg.undecided = False
            drop["attempt"] = self.attempt(leg, started, seen)
            if seen.ok:
                held_failed = drop["strand"] == "held"
                self.keep(leg, sent, conn, newer=True)
                drop["symptom"] = "cut" if held_failed else "blip"
                drop["lone"] = not held_failed
                drop["recovered"] = self.now
                return
            self.retry(leg)
            if not seen.conclusive:
                return
            if leg.line is None:
                drop["symptom"] = "down"
                return
            leg.unsure = True
            if leg.last_held_sent >= drop["noticed"] or leg.held_busy:
                self.refuses(leg)
            else:
                self.beat_held(leg, self.call_number)

        leg.looking_since = started
        self.dial(leg, call, over)

    def refuses(self, leg: Leg) -> None:
        drop = leg.drops[-1]
        if leg.last_held_sent >= drop["noticed"]:
            leg.unsure = False
            drop["symptom"] = "refusing"
        elif not leg.held_busy and leg.line is not None:
            self.beat_held(leg, self.call_number)

    def attempt(self, leg: Leg, started: float, seen: Result) -> Attempt:
        return Attempt(
            started=started,
            ended=seen.ended,
            ok=seen.ok,
            reason=seen.reason,
            stage=seen.stage,
            carried=seen.carried,
            accused=seen.accused,
            remote_address="" if seen.ok else leg.route.address,
        )

    def retry(self, leg: Leg) -> None:
        due = leg.retry_at = self.now + BACKOFF * max(1, leg.strikes)

        def again() -> None:
            if leg.retry_at == due and self.now < HOLD:
                self.begin(leg)

        if due < HOLD:
            self.at(due, again)

    def cut_short(self) -> None:
        """The deadline: a second look that was open for long enough counts as failed."""
        for leg in self.legs:
            if leg.undecided and not leg.looks and DEADLINE - leg.looking_since >= CONNECT:
                seen = Result(DEADLINE, False, "rtt_timeout")
                leg.drops[-1]["attempt"] = self.attempt(leg, leg.looking_since, seen)
                if leg.line is None:
                    leg.drops[-1]["symptom"] = "down"

    def observation(self, leg: Leg) -> Observation:
        drops = tuple(Drop(**one) for one in leg.drops)
        outcome: Any = "passed"
        if any(not one.lone for one in drops):
            outcome = "failed"
        elif leg.beats and not leg.beats[-1].conclusive:
            outcome = "inconclusive"
        elif drops:
            outcome = "degraded"
        return Observation(
            leg=leg.name,
            kind=leg.route.kind,
            path=tuple(leg.path),
            outcome=outcome,
            level=leg.route.level,
            tcp_ends_at=leg.route.ends_at,
            ended=max((one.ended for one in leg.beats), default=0.0),
            beats=tuple(leg.beats),
            connections=tuple(leg.connections),
            drops=drops,
            address=leg.route.address,
        )

    def judged(self) -> RunVerdict:
        """The verdict of this run."""
        return judge_run(record(self.spread), self.observations())


def record(spread: Sequence[str] = ()) -> RunRecord:
    return RunRecord(
        segments=tuple(SEGMENTS.split()),
        own_segments=tuple(OWN.split()),
        spread=tuple(spread),
        started_at=1_700_000_000.0,
        hold_seconds=HOLD,
        heartbeat_seconds=HEARTBEAT,
        watchdog_seconds=WATCHDOG,
    )
