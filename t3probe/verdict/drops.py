"""Drops as evidence has to meet them: what failed, since when at the earliest, until when."""

from __future__ import annotations

from typing import Literal, NamedTuple

from t3probe.observation import Drop, Observation, Reason, Stage, Symptom

__all__ = ["LEVELS", "Fault", "Need", "faults_of"]

LEVELS: dict[Stage, int] = {"connect": 0, "ask": 1, "hold": 2}
"""How much of a leg something exercised; each level includes those below."""
Need = Literal["any", "ask", "new"]
"""What a beat must be to say something about a drop. `new`: no connection died, opening one
failed, so only beats that opened one are evidence. `ask`: a request was answered wrongly or not
at all, so only requests are; an echo on a WebSocket that is open already asks nobody anew.
`any`: an established connection died."""

ANSWERED: frozenset[Reason] = frozenset(
    {
        *("http_4xx", "http_5xx", "http_other", "walled_off", "not_walled"),
        *("upgrade_rejected", "resolver_failed"),
    }
)
AT_ONCE = 0.25
"""A common beat that is sent later than this after the newest failed attempt, in seconds, may
come after the outage's end."""


class Fault(NamedTuple):
    """A drop as the rules of evidence see it. Times are seconds since the run's start."""

    began: float
    noticed: float
    leg: str
    symptom: Symptom
    level: int
    """What did not work; a pass that proves less clears only what this leg does not cross."""
    call: int = 0
    """The common beat it called; 0 for none."""
    recovered: float | None = None
    carried: tuple[str, ...] = ()
    """Segments that carried the bytes of the failed beat all the same."""
    carried_at: float | None = None
    lost: tuple[str, ...] = ()
    """Segments one of which lost the bytes of the failed beat."""
    since: float = 0.0
    """When the last good beat was sent: its answer may have left what broke long before it came."""
    need: Need = "any"
    age: float = 0.0
    """How old the connection that was cut had become when it died, at the most, in seconds; 0
    when none was."""
    until: float = float("inf")
    """Until when a common beat still meets this outage."""
    asked: float = float("-inf")
    """When the beat was sent that failed, where one had worked before: it was down then."""


def faults_of(name: str, seen: Observation) -> list[Fault]:
    """A leg's drops; one that failed without any failed from its start to its end."""
    if not seen.drops and seen.outcome == "failed":
        level = min(LEVELS[seen.level], LEVELS["ask"])
        end = max(seen.started, seen.ended)
        begun = seen.started
        return [Fault(begun, end, name, "down", level, since=begun, need="ask")]
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
            lost=drop.lost,
            since=_since(drop, seen),
            need=_need(drop, seen.kind),
            age=_age(drop, seen),
            until=_until(drop, seen),
            asked=_asked(drop, seen),
        )
        for drop in seen.drops
        if not drop.stalled
    ]


def _since(drop: Drop, seen: Observation) -> float:
    """When the last good beat before a drop was sent."""
    sent = [one.sent for one in seen.beats if one.ok and one.ended == drop.began]
    return min([drop.began, *sent])


def _asked(drop: Drop, seen: Observation) -> float:
    """When the beat was sent that failed; a leg that never worked is down all along."""
    worked = any(one.ok and one.ended <= drop.began for one in seen.beats)
    failed = [one.sent for one in seen.beats if worked and not one.ok and one.tells]
    return max((at for at in failed if drop.began <= at < drop.noticed), default=float("-inf"))


def _until(drop: Drop, seen: Observation) -> float:
    """Until when a beat still meets this outage: it was under way at the last failed attempt."""
    if drop.attempt is None:
        return float("inf")
    end = float("inf") if drop.recovered is None else drop.recovered
    tried = [
        one.sent for one in seen.beats if not one.ok and one.tells and drop.noticed < one.sent < end
    ]
    return max([drop.noticed, drop.attempt.started, *tried]) + AT_ONCE


def _age(drop: Drop, seen: Observation) -> float:
    """How old a connection that was cut had become, at the most, in seconds.

    One that no longer answered was dead when the beat was sent that got no answer.
    """
    if drop.symptom == "down" or drop.connection_age_seconds is None:
        return 0.0
    unanswered = [
        one.sent for one in seen.beats if not one.ok and one.tells and one.conn == drop.conn
    ]
    waited = drop.noticed - max(unanswered) if drop.reason == "rtt_timeout" and unanswered else 0.0
    return drop.connection_age_seconds - waited


def _need(drop: Drop, kind: str) -> Need:
    if drop.reason in ANSWERED:
        return "ask"
    if drop.conn is None:
        return "new"
    return "ask" if drop.reason == "rtt_timeout" and kind != "ws_echo" else "any"


def _level(drop: Drop) -> int:
    """What did not work: the new attempt tells it better than the drop."""
    if drop.attempt is None or drop.attempt.ok:
        return LEVELS[drop.stage]
    return LEVELS["connect" if drop.attempt.stage == "connect" else "ask"]
