"""Runs on a discrete clock: the reference legs, one or more faults, and what a run would see.

Nothing is measured: the world knows when each fault begins and ends and where each packet is at
what time. The legs do what those of `t3probe.run` do: both strands every heartbeat, a common beat
when one notices a drop, a second look that begins when all others have looked, retries, and a hold
of 35 s that ends with one more common beat if something dropped late.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, count
from typing import Any, Literal, NamedTuple

from t3probe.observation import Attempt, Beat, Connection, Drop, Observation, RunRecord, Stage
from t3probe.run.conclude import settled
from t3probe.verdict import RunVerdict, judge_run

HOLD, HEARTBEAT, WATCHDOG, CONNECT, BACKOFF, DEADLINE = 35.0, 10.0, 20.0, 5.0, 3.0, 50.0
SECOND_LOOK = 0.25
RESENT: dict[str, tuple[float, ...]] = {
    "connect": (1.0, 3.0, 7.0),
    **dict.fromkeys(("ask", "hold"), (0.2, 0.6, 1.4, 3.0, 6.2, 12.6, 25.4)),
}
"""How long after it was lost a kernel sends a packet again."""
GAP = 0.0003
"""Between two steps of one program, in seconds."""


class Route(NamedTuple):
    """One leg of the reference deployment."""

    kind: str
    path: str
    ends_at: str
    """Where its TCP connection ends: which kernel acknowledges."""
    listens: str
    """Whose process accepts it."""
    address: str

    @property
    def level(self) -> Stage:
        if self.kind == "tcp":
            return "connect"
        return "ask" if self.kind in ("walloff", "walled") else "hold"


CDN, LB, VM = "203.0.113.7:443", "10.0.20.200:443", "10.0.10.20"
ROUTES = {
    "egress": Route("tcp", "wan", "wan", "wan", "198.51.100.53:443"),
    "resolver": Route("doh", "wan doh", "doh", "doh", "198.51.100.53:443"),
    "edge": Route("http", "wan cf-edge", "cf-edge", "cf-edge", CDN),
    "cloudflare": Route(
        "ws_echo",
        "wan cf-edge tunnel traefik carve-out devvm dispatch",
        *("cf-edge", "cf-edge", CDN),
    ),
    "internal": Route("ws_echo", "traefik carve-out devvm dispatch", *("traefik", "traefik", LB)),
    "traefik": Route("http", "traefik", "traefik", "traefik", LB),
    "dispatch": Route("ws_echo", "devvm dispatch", "devvm", "dispatch", f"{VM}:3773"),
    "devvm": Route("http", "devvm", "devvm", "devvm", f"{VM}:9100"),
    "t3serve": Route("http", "devvm serve", "devvm", "serve", f"{VM}:3774"),
    "walloff-probe": Route(
        "walloff", "wan cf-edge tunnel traefik carve-out", *("cf-edge", "cf-edge", CDN)
    ),
    "walled-home": Route("walled", "traefik wall", "traefik", "traefik", LB),
    "envoy-orders": Route(
        "tcp", "rack upstream-orders", *("upstream-orders", "upstream-orders", "10.0.30.1:80")
    ),
    "envoy-billing": Route(
        "tcp", "rack upstream-billing", *("upstream-billing", "upstream-billing", "10.0.30.2:80")
    ),
}
SEGMENTS = "wan doh cf-edge tunnel traefik carve-out wall devvm dispatch serve rack"
OWN = "upstream-orders upstream-billing"
NETWORKS = ("wan", "devvm", "rack")
"""A network, or a whole machine: what is behind it cannot be reached; it refuses nothing."""
RULES = ("carve-out", "wall")
"""Rules of a proxy: they answer, or end connections, and cannot be silent."""

Kind = Literal["gone", "silence", "stall", "cut", "hush", "drain", "answers"]
"""`gone`: ends what is open and refuses, or cannot be reached; `silence`: every packet is lost;
`stall`: the kernel acknowledges, the process does not answer; `cut`: ends what is open; `hush`:
what is open is never answered any more; `drain`: what is open lives, new ones are refused;
`answers`: what is open lives, new requests get an HTTP answer that is no gateway's."""


@dataclass(frozen=True)
class Breaks:
    """What breaks."""

    segment: str
    kind: Kind
    onset: float
    end: float = float("inf")
    keeps: bool = True
    """Connections outlive a silence or a stall."""
    half: bool = False
    """Only every second connection meets the broken one of two machines."""


class Conn(NamedTuple):
    """A connection that is held."""

    number: int
    opened: float
    met: tuple[bool, ...]
    """For each fault whether it meets this connection."""


class Result(NamedTuple):
    """How an exchange ended."""

    ended: float
    ok: bool = True
    reason: Any = None
    stage: Stage = "ask"
    answered: bool = False
    carried: tuple[str, ...] = ()
    accused: str = ""
    tells: bool = True
    refused: bool = False
    by: str = ""
    """The segment that made it fail."""


@dataclass
class Leg:
    """One leg as the run sees it."""

    name: str
    route: Route
    path: list[str]
    far: list[float]
    """How long a packet is under way to each segment."""
    beats: list[Beat] = field(default_factory=list)
    drops: list[dict[str, Any]] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    conns: Any = field(default_factory=count)
    line: Conn | None = None
    last_good: dict[str, float] = field(default_factory=dict)
    last_held_sent: float = -1.0
    held_busy: bool = False
    held_over: Callable[[], None] | None = None
    open: int = 0
    undecided: bool = False
    looking_since: float = 0.0
    unsure: bool = False
    """Down or refusing: its held connection has not said yet."""
    answered: int = 0
    looked: int = 0
    strikes: int = 0
    retry_at: float = float("inf")
    joined_at: float = float("-inf")
    muted: bool = False
    called: list[float] = field(default_factory=list)
    looks: list[tuple[float, int]] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    """What made its judged beats fail."""

    @property
    def down(self) -> bool:
        return bool(self.drops) and self.drops[-1]["recovered"] is None

    @property
    def near(self) -> int:
        return self.path.index(self.route.listens)

    @property
    def ahead(self) -> tuple[str, ...]:
        return tuple(self.path[: self.path.index(self.route.ends_at)])


class World:
    """What happens to packets."""

    def __init__(self, breaks: Sequence[Breaks], rng: random.Random) -> None:
        self.breaks, self.rng = breaks, rng

    def meets(self) -> tuple[bool, ...]:
        return tuple(not one.half or self.rng.random() < 0.5 for one in self.breaks)

    def dies(self, leg: Leg, conn: Conn) -> tuple[float, str]:
        """When an open connection is heard to end, and by what."""
        found = float("inf"), ""
        for one, met in zip(self.breaks, conn.met, strict=True):
            crossed = met and one.segment in leg.path and one.onset > conn.opened
            if crossed and one.kind in ("gone", "cut"):
                heard = one.onset + leg.far[leg.path.index(one.segment)]
                found = min(found, (heard, one.segment))
        return found

    def fresh(self, leg: Leg, conn: Conn, sent: float) -> Result:
        """A connect, TLS, and a request with its answer."""
        found = self._trip(leg, conn, sent, leg.near, "connect")
        if leg.route.kind != "tcp":
            for upto in (leg.near, len(leg.path) - 1):
                if found.ok and not found.refused:
                    found = self._trip(leg, conn, found.ended + GAP, upto, "ask")
        return self._as_probe(leg, found)

    def held(self, leg: Leg, conn: Conn, sent: float) -> Result:
        """A beat on an open connection."""
        found = self._trip(leg, conn, sent, len(leg.path) - 1, "hold")
        dies, by = self.dies(leg, conn)
        if dies <= found.ended:
            return Result(max(dies, sent), False, "closed_by_peer", "hold", answered=True, by=by)
        return found

    def _as_probe(self, leg: Leg, found: Result) -> Result:
        """What the leg's kind makes of it."""
        kind = leg.route.kind
        if found.reason == "connect_refused" and leg.name in ("egress", "devvm"):
            return Result(found.ended, refused=True)
        wrong = {"walloff": "walled_off", "walled": "not_walled"}.get(kind)
        if wrong and not found.ok and found.reason != wrong:
            return found._replace(tells=False)
        return found

    def _trip(self, leg: Leg, conn: Conn, sent: float, upto: int, stage: Stage) -> Result:
        worst = good = Result(sent + 2 * leg.far[upto])
        for one, met in zip(self.breaks, conn.met, strict=True):
            if not met or one.segment not in leg.path[: upto + 1]:
                continue
            found = self._met(leg, conn, sent, upto, stage, one)
            if not found.ok:
                return found._replace(by=one.segment)
            worst = max(worst, found)
        for one in self.breaks:
            refuses = one.segment == "doh" and one.kind in ("gone", "drain")
            if refuses and leg.name == "egress" and one.onset <= sent + leg.far[0] < one.end:
                return Result(good.ended, False, "connect_refused", "connect", answered=True)
        return worst

    def _met(
        self, leg: Leg, conn: Conn, sent: float, upto: int, stage: Stage, one: Breaks
    ) -> Result:
        at = leg.path.index(one.segment)
        out, back = sent + leg.far[at], sent + 2 * leg.far[upto] - leg.far[at]
        crossing = next((x for x in (out, back) if one.onset <= x < one.end), None)
        fine = Result(sent + 2 * leg.far[upto])
        limit = CONNECT if stage == "connect" else WATCHDOG
        silent: Any = "connect_timeout" if stage == "connect" else "rtt_timeout"
        behind = at > leg.near or (at == leg.near and one.kind == "stall")
        carried = leg.ahead if behind and stage != "connect" else ()
        never = Result(sent + limit, False, silent, stage, carried=carried)
        if one.kind in ("cut", "hush"):
            if stage == "connect" or not conn.opened + leg.far[at] < one.onset <= back:
                return fine
            if one.kind == "hush":
                return never
            heard = max(one.onset + leg.far[at], sent)
            return Result(heard, False, "connection_reset", stage, answered=True)
        spares = one.kind in ("drain", "answers")
        quiet = one.kind in ("silence", "stall")
        lost = quiet and not one.keeps and conn.opened < one.onset <= out and stage == "hold"
        if (crossing is None and not lost) or (spares and stage == "hold"):
            return fine
        if quiet:
            if one.kind == "stall" and stage == "connect":
                return fine
            if lost and (one.kind == "silence" or out >= one.end):
                if out >= one.end:  # it forgot the connection, and says so
                    heard = out + leg.far[at]
                    return Result(heard, False, "connection_reset", stage, answered=True)
                return never
            if lost or crossing is None or one.end > crossing + limit:
                return never
            again = next(crossing + wait for wait in RESENT[stage] if crossing + wait >= one.end)
            ended = again + fine.ended - crossing
            return Result(ended) if ended <= sent + limit else never
        assert crossing is not None
        heard = crossing + leg.far[at]
        if one.kind == "answers":
            if stage == "connect" or upto < len(leg.path) - 1:
                return fine
            kind = {"walloff": "walled_off", "walled": "not_walled"}.get(leg.route.kind)
            if kind and one.segment not in RULES:
                kind = "http_4xx"
            accused = leg.route.ends_at
            return Result(heard, False, kind or "http_4xx", "ask", True, leg.ahead, accused)
        if at > leg.near:
            if stage == "connect" or upto == leg.near:
                return fine
            if stage == "hold":
                return Result(heard, False, "closed_by_peer", stage, answered=True)
            # A proxy says that what lies behind it does not answer: nobody is accused.
            return Result(heard, False, "http_5xx", "ask", True, leg.ahead)
        if stage == "connect":
            if at == leg.near and one.segment not in NETWORKS:
                return Result(heard, False, "connect_refused", stage, True, leg.ahead)
            return Result(heard, False, "connect_failed", stage)
        if one.kind == "drain":
            return fine
        return Result(heard, False, "connection_reset", stage, answered=True)


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
            path = ROUTES[name].path.split()
            self.legs.append(Leg(name, ROUTES[name], path, list(accumulate(lag[p] for p in path))))
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
        if not seen.ok and seen.tells:
            leg.touched.add(seen.by)
        leg.beats.append(
            Beat(
                sent=sent,
                ended=seen.ended,
                ok=seen.ok,
                conn=conn,
                strand=strand,
                call=call,
                tells=seen.tells,
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
        if not seen.tells:
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
            if not seen.tells:
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
        elif leg.beats and not leg.beats[-1].tells:
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


def random_breaks(rng: random.Random) -> Breaks:
    """One fault, loud or silent, at any onset and of any length."""
    segment = rng.choice(f"{SEGMENTS} {OWN}".split())
    kinds: list[Kind] = ["gone", "cut", "drain", "answers"]
    if segment in NETWORKS:
        kinds = ["gone", "silence", "cut", "hush"]
    elif segment.startswith("upstream"):
        kinds = ["gone", "silence"]
    elif segment not in RULES:
        kinds += ["silence", "stall", "hush"]
    kind = rng.choice(kinds)
    onset = rng.uniform(0.0, HOLD)
    longest = HOLD - onset + 20.0
    length = 0.005 * (longest / 0.005) ** rng.random()
    end = float("inf") if rng.random() < 0.2 else onset + length
    return Breaks(segment, kind, onset, end, keeps=rng.random() < 0.5)
