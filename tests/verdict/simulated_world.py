"""The world of the simulated runs: the reference legs, the faults, and where each packet is when.

Nothing is measured: the world knows when each fault begins and ends, and so what an exchange that
begins at some moment comes to.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, NamedTuple

from t3probe.observation import Beat, Connection, Stage

HOLD, HEARTBEAT, WATCHDOG, CONNECT, BACKOFF, DEADLINE = 35.0, 10.0, 20.0, 5.0, 3.0, 50.0
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
PAGE = "client-person"
PEOPLE = {
    PAGE: Route(
        "ws_echo",
        "last-mile wan cf-edge tunnel traefik carve-out devvm dispatch",
        *("cf-edge", "cf-edge", CDN),
    )
}
"""A person's browser, which is no leg of ours."""
SEGMENTS = "wan doh cf-edge tunnel traefik carve-out wall devvm dispatch serve rack"
OWN = "upstream-orders upstream-billing"
NETWORKS = ("wan", "devvm", "rack", "last-mile")
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
    conclusive: bool = True
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
            return found._replace(conclusive=False)
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
