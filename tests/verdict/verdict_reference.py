"""Scripted runs over the reference deployment: what befalls which leg, in a few words.

`play` makes the rest of the record: what a run's legs would have seen. Every leg dials at 0 s,
beats at 0.05 s, once all are up (0.3 s), and then at 10, 20 and 30 s; each answer takes 0.02 s.
When a leg notices a drop, all others beat 0.01 s later. A leg that is down tries again after
3 s, then 6 s, 9 s and so on, and at a common beat if it has not tried for 3 s. The hold is 35 s;
when something dropped after the last beat, all beat once more at its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from t3probe.observation import Attempt, Beat, Drop, Observation, Reason, RunRecord, Stage
from t3probe.verdict import Incident, RunVerdict, judge_run

NEVER = float("inf")
HOLD = 35.0
REGULAR = (0.05, 0.3, 10.0, 20.0, 30.0)
RTT = 0.02
STARTED_AT = 1_700_000_000.0


class Route(NamedTuple):
    """One leg of the reference deployment."""

    kind: str
    path: str
    ends_at: str

    @property
    def level(self) -> Stage:
        if self.kind == "tcp":
            return "connect"
        return "ask" if self.kind in ("walloff", "walled") else "hold"


ROUTES = {
    "egress": Route("tcp", "wan", "wan"),
    "resolver": Route("doh", "wan doh", "doh"),
    "edge": Route("http", "wan cf-edge", "cf-edge"),
    "cloudflare": Route(
        "ws_echo", "wan cf-edge tunnel traefik carve-out devvm dispatch", "cf-edge"
    ),
    "internal": Route("ws_echo", "traefik carve-out devvm dispatch", "traefik"),
    "traefik": Route("http", "traefik", "traefik"),
    "dispatch": Route("ws_echo", "devvm dispatch", "devvm"),
    "devvm": Route("http", "devvm", "devvm"),
    "t3serve": Route("http", "devvm serve", "devvm"),
    "walloff-probe": Route("walloff", "wan cf-edge tunnel traefik carve-out", "cf-edge"),
    "walled-home": Route("walled", "traefik wall", "traefik"),
    "envoy-orders": Route("tcp", "rack upstream-orders", "upstream-orders"),
    "envoy-billing": Route("tcp", "rack upstream-billing", "upstream-billing"),
}
SEGMENTS = "wan doh cf-edge tunnel traefik carve-out wall devvm dispatch serve rack"
OWN = "upstream-orders upstream-billing"
HELD = tuple(name for name, route in ROUTES.items() if route.level == "hold")
ONCE = tuple(name for name in ROUTES if name not in HELD)
PUBLIC = ("egress", "resolver", "edge", "cloudflare", "walloff-probe")


@dataclass(frozen=True)
class Fault:
    """Something that makes a drop."""

    at: float
    """When the beat was sent that failed, or when the connection was lost."""
    noticed: float
    reason: Reason
    until: float | None
    """None: a new attempt works at once. Else new attempts fail before this moment."""
    stage: Stage
    """How far new attempts get."""
    beat: bool
    """A beat failed; else a connection was lost between beats."""
    answered: bool = False
    stalled: bool = False
    undecided: bool = False
    """The deadline cut the attempt that decides the symptom."""


def lost(at: float, until: float | None = None, *, stage: Stage = "ask", **more: Any) -> Fault:
    """The connection is reset at this moment."""
    more = {"reason": "connection_reset"} | more
    return Fault(at, at, until=until, stage=stage, beat=False, **more)


def silent(
    at: float,
    until: float | None = None,
    *,
    noticed: float = 0.0,
    stage: Stage = "ask",
    **more: Any,
) -> Fault:
    """The beat sent at this moment gets no answer within the watchdog's 20 s."""
    noticed = noticed or at + 20
    return Fault(at, noticed, "rtt_timeout", until, stage, beat=True, **more)


def answered(at: float, reason: Reason, until: float | None = NEVER, **more: Any) -> Fault:
    """The beat sent at this moment gets the wrong answer, and so do new attempts."""
    return Fault(at, at + RTT, reason, until, "ask", beat=True, answered=True, **more)


def refused(at: float, until: float | None = NEVER, took: float = 0.01, **more: Any) -> Fault:
    """The connect at this moment fails, and so do later ones."""
    reason: Reason = "connect_refused" if took < 1 else "connect_timeout"
    return Fault(at, at + took, reason, until, "connect", beat=True, **more)


class Slow(NamedTuple):
    """The beat sent at this moment is answered so much later, in seconds."""

    at: float
    took: float


class Mute(NamedTuple):
    """Beats sent in this interval tell nothing."""

    start: float
    end: float


class Away(NamedTuple):
    """No beats in this interval."""

    start: float
    end: float


class Polite(NamedTuple):
    """The server closes the idle connection at this moment, as it may."""

    at: float


class Open(NamedTuple):
    """The run's deadline cuts the beat sent at this moment."""

    at: float


class Is(NamedTuple):
    """What the observation says of itself."""

    outcome: str
    reason: str | None = None
    planned: str = ""


NO_BEATS = Away(0.0, 60.0)
COLLAPSED = Is("inconclusive", "leg_collapsed")
UNRESOLVED = Is("inconclusive", "resolver_failed")
PLANNED = Is("failed", planned="planned downtime until 2999-01-01: new disks")


class _Player:
    """One leg's run, moment by moment."""

    def __init__(self, name: str, facts: Sequence[Any], calls: Sequence[tuple[float, str]]) -> None:
        self.name, self.route = name, ROUTES[name]
        self.once = self.route.level != "hold"
        self.faults = sorted((one for one in facts if isinstance(one, Fault)), key=_at)
        self.facts = facts
        self.calls = calls
        self.now, self.conn, self.opened, self.last = -1.0, 0, 0.0, 0.0
        self.beats: list[Beat] = []
        self.drops: list[Drop] = []
        self.under: Fault | None = None
        self.tried, self.strikes = 0.0, 0

    def of(self, kind: type) -> list[Any]:
        return [one for one in self.facts if isinstance(one, kind)]

    def called(self, moment: float) -> int:
        """The first common beat is number 1; then each drop calls one."""
        return (moment >= REGULAR[1]) + sum(at <= moment for at, _ in self.calls)

    def next(self) -> float:
        commons = [round(at + 0.01, 6) for at, leg in self.calls if leg != self.name]
        if self.under is not None:
            again = self.tried + 3 * self.strikes
            due = [again] if again <= HOLD else []
            due += [at for at in commons if at >= self.tried + 3]
        else:
            due = [*REGULAR, *commons, *(one.at for one in self.faults[:1])]
        return min((at for at in due if at > self.now), default=NEVER)

    def play(self) -> None:
        while (at := self.next()) < NEVER:
            self.now = at
            if self.under is not None:
                self.again(at)
            elif self.faults and self.faults[0].at == at:
                self.fail(self.faults.pop(0))
            elif not any(one.start <= at <= one.end for one in self.of(Away)):
                self.beat(at)
        assert not self.faults, f"{self.name} was not there for {self.faults[0]}"

    def good(self, sent: float, took: float = RTT) -> None:
        self.last = self.now = round(sent + took, 6)
        self.note(sent, self.last, ok=True)

    def note(self, sent: float, ended: float, *, ok: bool, tells: bool = True) -> None:
        self.beats.append(
            Beat(sent=sent, ended=ended, ok=ok, tells=tells, conn=self.conn, call=self.called(sent))
        )

    def beat(self, at: float) -> None:
        closed = any(self.last <= one.at < at for one in self.of(Polite))
        if self.beats and (self.once or closed):
            self.dial(at)
        if any(one.at == at for one in self.of(Open)):
            self.note(at, 50.0, ok=False, tells=False)
            self.now = 50.0
        elif any(one.start <= at <= one.end for one in self.of(Mute)):
            self.note(at, at + RTT, ok=False, tells=False)
        else:
            self.good(at, next((one.took for one in self.of(Slow) if one.at == at), RTT))

    def dial(self, at: float) -> None:
        self.conn, self.opened = self.conn + 1, at

    def again(self, at: float) -> None:
        assert self.under is not None
        self.dial(at)
        self.tried = at
        if at < (self.under.until or 0.0):
            self.note(at, round(at + RTT, 6), ok=False)
            self.strikes += 1
        else:
            self.good(at)
            self.drops[-1] = msgspec.structs.replace(self.drops[-1], recovered=self.last)
            self.under = None

    def fail(self, fault: Fault) -> None:
        noticed, new = round(fault.noticed, 6), self.once or not self.beats
        if self.once and self.beats:
            self.dial(fault.at)
        if fault.beat:
            self.note(fault.at, noticed, ok=False)
        path = self.route.path.split()
        carried = tuple(path[: path.index(self.route.ends_at)]) if fault.answered else ()
        down = fault.until is not None and not fault.undecided
        drop = Drop(
            began=self.last,
            noticed=noticed,
            reason=fault.reason,
            symptom="unknown" if fault.undecided else "down" if down else "cut",
            stage="connect" if new and fault.stage == "connect" else "ask" if new else "hold",
            call=self.called(noticed),
            conn=None if new else self.conn,
            connection_age_seconds=None if new else round(noticed - self.opened, 6),
            carried=carried,
            carried_at=(noticed if down else fault.at) if carried else None,
            stalled=fault.stalled,
        )
        self.now, self.tried, self.strikes = noticed, noticed, 1
        if fault.undecided:
            self.now = 50.0
        else:
            self.dial(noticed)
            attempt = Attempt(
                started=noticed, ended=round(noticed + RTT, 6), ok=not down, stage=fault.stage
            )
            drop = msgspec.structs.replace(drop, attempt=attempt)
            if down:
                self.note(noticed, attempt.ended, ok=False)
                self.under = fault
            else:
                self.good(noticed)
                drop = msgspec.structs.replace(drop, recovered=self.last)
        self.drops.append(drop)

    def observation(self) -> Observation:
        real = [one for one in self.drops if not one.stalled]
        said = Is("failed" if real else "passed", real[0].reason if real else None)
        if not real and self.drops:
            said = Is("inconclusive", "prober_stalled")
        elif not real and self.beats and not self.beats[-1].tells and not self.of(Open):
            said = Is("inconclusive")
        said = next(iter(self.of(Is)), said)
        judged = [one.ended for one in self.beats if one.tells]
        return Observation(
            leg=self.name,
            kind=self.route.kind,
            path=tuple(self.route.path.split()),
            level=self.route.level,
            beats=tuple(self.beats),
            drops=tuple(self.drops),
            ended=max([*judged, *(one.noticed for one in self.drops)], default=0.0),
            **said._asdict(),
        )


def _at(fault: Fault) -> float:
    return fault.at


def observed(
    script: dict[str, Sequence[Any] | Any], legs: Iterable[str] = ROUTES
) -> list[Observation]:
    """What the legs saw: those that the script does not name, nothing but good beats."""
    facts = {name: one if isinstance(one, list) else [one] for name, one in script.items()}
    assert set(facts) <= set(legs)
    calls = sorted(
        (round(one.noticed, 6), name)
        for name, told in facts.items()
        for one in told
        if isinstance(one, Fault)
    )
    if any(REGULAR[-1] <= at <= HOLD for at, _ in calls):
        calls = sorted([*calls, (HOLD, "the end")])
    players = [_Player(name, facts.get(name, []), calls) for name in legs]
    for one in players:
        one.play()
    return [one.observation() for one in players]


def record() -> RunRecord:
    return RunRecord(
        segments=tuple(SEGMENTS.split()),
        own_segments=tuple(OWN.split()),
        started_at=STARTED_AT,
        hold_seconds=HOLD,
        heartbeat_seconds=10.0,
        watchdog_seconds=20.0,
    )


def play(script: dict[str, Sequence[Any] | Any], legs: Iterable[str] = ROUTES) -> RunVerdict:
    """The verdict of a scripted run."""
    return judge_run(record(), observed(script, legs))


class Told(NamedTuple):
    """An incident, whole: names are separated by blanks; what is not named is exonerated."""

    onset: float
    end: float | None
    legs: str
    symptom: str
    convicted: str = ""
    one_of: str = ""
    """Groups with bars: `wan|doh wan|cf-edge`."""
    masked: str = ""
    unseen: str = ""
    held: str = ""
    """Evidence: the legs that held through, and those that cleared it in another way."""
    inside: str = ""
    common: str = ""
    beside: str = ""
    carried: str = ""
    """Segments that a failed leg's own record clears: `cloudflare:wan`."""
    status: str = ""


def told(one: Incident) -> Told:
    """What an incident says of itself."""
    verdict, how = one.verdict, one.cleared_by
    by = {word: " ".join(leg for leg in how if how[leg] == word) for word in set(how.values())}
    usual = "ambiguous" if verdict.ambiguous else "localised"
    return Told(
        one.began,
        one.recovered,
        " ".join(sorted(one.failed, key=list(ROUTES).index)),
        one.symptom,
        " ".join(verdict.convicted),
        " ".join("|".join(group) for group in verdict.at_least_one_of),
        " ".join(verdict.masked),
        " ".join(verdict.unobserved),
        by.get("held through", ""),
        by.get("sent inside", ""),
        by.get("common beat", ""),
        by.get("beside", ""),
        " ".join(f"{leg}:{'>'.join(path)}" for leg, path in one.carried.items()),
        "" if verdict.status == usual else verdict.status,
    )


def all_of(run: RunVerdict) -> list[Told]:
    """Every incident of a run, by onset."""
    return [told(one) for one in sorted(run.incidents, key=lambda one: one.began)]


def aside(failed: str, among: Iterable[str] = ONCE) -> str:
    """Of these legs those that cross something that no failed leg crosses. Where they passed, but
    prove nothing about the failed ones, they clear that all the same."""
    crossed = {name for leg in failed.split() for name in ROUTES[leg].path.split()}
    legs = [leg for leg in among if leg not in failed.split()]
    return " ".join(leg for leg in legs if not crossed.issuperset(ROUTES[leg].path.split()))


def but(legs: Iterable[str], *others: str) -> str:
    """All of these legs but some."""
    left = set(" ".join(others).split())
    return " ".join(one for one in legs if one not in left)
