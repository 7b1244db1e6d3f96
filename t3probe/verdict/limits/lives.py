"""How long connections lived, and how they ended: what limits are found in. Pure.

A connection's age counts from when it was dialled, its silence from its last answered exchange. How
old it was when it died is known only as well as its end was seen: a close or a reset between two
exchanges to the moment; a reset that met our own question lies after the last answer; what was
silent died at some time between its last answer and the question that got none.

`Lives` takes events as they come, so that the held mode, which forgets its beats after minutes,
remembers the connections of months. Its memory is bounded: the newest lives and drops are kept.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from t3probe.observation import Beat, Drop, Observation, Silence
from t3probe.verdict.incident.drops import host_of
from t3probe.verdict.incident.evidence import takes_part

MOST_LIVES = 32
"""So many connections of a leg are remembered, the newest; and so many of its idle ones."""
MOST_DROPS = 32
NOTICED_SECONDS = 0.25
"""A drop that was noticed with its connection's end was noticed this soon after it."""


class Life(NamedTuple):
    """One connection. Times are seconds on one clock, of a run or Unix."""

    held: bool
    """The beating one of its leg; else the idle one."""
    opened: float
    last: float
    """When its last exchange was answered: until then it lived."""
    quiet: float = 0.0
    """The longest silence that it survived, in seconds."""
    quiet_at: float = float("-inf")
    """When the question after that silence was answered."""
    dead_from: float | None = None
    """It died then at the earliest; None: it was alive when it was seen last, or what ended it
    is known to be something else, or we were."""
    dead_by: float | None = None
    """It died then at the latest."""
    polite: bool = False
    """The server closed a kept-alive connection between two requests, as it may."""
    host: str = ""

    @property
    def seen(self) -> float:
        """Until when it is known to have lived."""
        return self.last if self.dead_from is None else self.dead_from

    @property
    def reach(self) -> float:
        """The age to which it is known to have lived, in seconds."""
        return self.seen - self.opened

    @property
    def stayed(self) -> float:
        """The longest silence through which it is known to have lived, in seconds."""
        return max(self.quiet, self.seen - self.last)


class Lives:
    """The connections of one leg."""

    def __init__(self) -> None:
        self._held: dict[int, Life] = {}
        self._idle: dict[int, Life] = {}
        self._drops: deque[Drop] = deque(maxlen=MOST_DROPS)
        self.version = 0
        """It grows with each drop, each silence and each new connection."""

    def began(self, conn: int, opened: float, remote: str) -> None:
        """The leg holds this connection from now on."""
        self.version += 1
        _keep(self._held, conn, Life(True, opened, opened, host=host_of(remote)))

    def beat(self, beat: Beat) -> None:
        """An exchange; those that were not answered, or not on what is held, say nothing."""
        life = self._held.get(beat.conn)
        if life is not None and beat.ok and not beat.refused:
            self._held[beat.conn] = _answered(life, beat.sent, beat.ended)

    def drop(self, drop: Drop) -> None:
        """A drop, once more each time when more is known of it."""
        self.version += 1
        if self._drops and _same(self._drops[-1], drop):
            self._drops[-1] = drop
        else:
            self._drops.append(drop)

    def silence(self, one: Silence) -> None:
        """A silence of the idle connection."""
        self.version += 1
        life = self._idle.get(one.conn)
        if life is None:
            life = Life(False, one.opened, one.began, host=host_of(one.remote_address))
        life = life._replace(last=max(life.last, one.began))
        if one.end == "answered":
            life = _answered(life, one.ended, one.ended)
        elif one.end in ("closed", "unanswered") and not one.stalled:
            begun = one.ended if one.end == "closed" else one.began
            life = life._replace(
                last=one.began, dead_from=begun, dead_by=one.ended, polite=one.polite
            )
        _keep(self._idle, one.conn, life)

    @property
    def any(self) -> bool:
        """Whether there is any connection."""
        return bool(self._held or self._idle)

    @property
    def deaths(self) -> int:
        """How many connections may have died by a limit, at the most."""
        gone = sum(one.dead_by is not None for one in self._idle.values())
        return gone + sum(one.symptom == "cut" for one in self._drops)

    def known(self, offset: float = 0.0) -> list[Life]:
        """All that are remembered, their times later by `offset` seconds."""
        ends = {one.conn: one for one in self._drops if one.conn is not None}
        found = [
            _ended(life, ends[conn]) if conn in ends else life for conn, life in self._held.items()
        ]
        return [_moved(one, offset) for one in (*found, *self._idle.values())]

    def troubles(self, offset: float = 0.0) -> list[tuple[float, float]]:
        """When something else was wrong: drops that are no cut, from their beginning to their
        notice."""
        return [
            (min(one.began, one.noticed) + offset, one.noticed + offset)
            for one in self._drops
            if one.symptom != "cut" or one.stalled
        ]


def lives_of(seen: Observation) -> Lives:
    """The connections of a leg in one run. None where the leg is no evidence."""
    lives = Lives()
    if not takes_part(seen) or not seen.connections:
        return lives
    for one in seen.connections:
        lives.began(one.conn, one.opened, one.remote_address)
    for beat in sorted(seen.beats, key=lambda one: one.sent):
        lives.beat(beat)
    for drop in sorted(seen.drops, key=lambda one: one.noticed):
        lives.drop(drop)
    for silence in seen.silences:
        lives.silence(silence)
    return lives


def _keep(lives: dict[int, Life], conn: int, life: Life) -> None:
    lives[conn] = life
    while len(lives) > MOST_LIVES:
        del lives[next(iter(lives))]


def _same(one: Drop, other: Drop) -> bool:
    return (one.noticed, one.call, one.began) == (other.noticed, other.call, other.began)


def _answered(life: Life, sent: float, ended: float) -> Life:
    quiet = sent - life.last
    if quiet > life.quiet and life.last > life.opened:
        life = life._replace(quiet=quiet, quiet_at=ended)
    return life._replace(last=max(life.last, ended))


def _ended(life: Life, drop: Drop) -> Life:
    """A life with the drop that its end was; without an end, where that was no cut, or fresh
    attempts failed first."""
    age = drop.connection_age_seconds
    if drop.symptom != "cut" or drop.stalled or drop.strand != "held" or age is None:
        return life
    if abs(life.opened + age - drop.noticed) > NOTICED_SECONDS:
        return life
    asked = drop.noticed if drop.asked is None else drop.asked
    begun, by = drop.noticed, drop.noticed
    if drop.reason == "rtt_timeout":
        begun, by = life.last, asked
    elif drop.reason == "closed_by_peer":
        begun = min(asked, drop.noticed)  # earlier, it would have been seen between two beats
    elif asked < drop.noticed:
        begun = life.last  # a reset may have come because we asked
    elif drop.reason != "connection_reset":
        return life  # the connection was not ended; what travelled on it was wrong
    return life._replace(dead_from=max(life.last, begun), dead_by=max(life.last, by))


def _moved(life: Life, offset: float) -> Life:
    return life._replace(
        opened=life.opened + offset,
        last=life.last + offset,
        quiet_at=life.quiet_at + offset,
        dead_from=None if life.dead_from is None else life.dead_from + offset,
        dead_by=None if life.dead_by is None else life.dead_by + offset,
    )
