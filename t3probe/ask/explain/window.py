"""A question, and what the legs were in its window. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from t3probe.ask.explain.seen import DropSeen, LegSeen, RunSeen

COVERED_SHARE = 0.5
"""A leg clears its segments when it was looked at for at least this share of the window."""
CLOCK_SECONDS = 5.0
"""By so much a person's clock, or a glance at it, may be wrong."""

State = Literal[
    "clean", "dropped", "down", "refusing", "too little", "not then", "told nothing", "planned"
]


class Question(NamedTuple):
    """What is asked. Times are Unix seconds."""

    at: float
    window: float
    now: float
    people: int = 1
    vague: tuple[float, float] = (0.0, 0.0)
    """How much before and after `at` may be meant."""

    @property
    def began(self) -> float:
        """The window's start."""
        return self.at - self.window

    @property
    def ended(self) -> float:
        """The window's end, which cannot lie in the future."""
        return max(self.began, min(self.at + self.window, self.now))

    @property
    def seconds(self) -> float:
        """The window's length."""
        return self.ended - self.began

    def meant(self, began: float, ended: float) -> bool:
        """Whether this span holds a moment that may be meant."""
        before, after = self.vague
        first = max(self.began, self.at - before - CLOCK_SECONDS)
        return began <= min(self.ended, self.at + after + CLOCK_SECONDS) and ended >= first


class LegThen(NamedTuple):
    """One leg in the window."""

    name: str
    path: tuple[str, ...]
    state: State
    """`down`: it had not come back when it was last seen in the window. `refusing`: nor did it
    accept anything new, and what it held lived on. `not then`: no drop, and looked at for long
    enough, but not at the time that was named."""
    seconds: float
    """How long it was looked at in the window."""
    share: float
    drops: tuple[DropSeen, ...]
    why: str
    """Why it told nothing, or nothing in a part of the window."""
    held_seconds: float | None
    colos: tuple[str, ...] = ()
    """Where the CDN answered it, in their order."""

    @property
    def clears(self) -> bool:
        """Whether it is evidence that its segments worked."""
        return self.state == "clean"


def legs_then(runs: Sequence[RunSeen], question: Question) -> tuple[LegThen, ...]:
    """Every leg of these runs, as it was in the window."""
    several = len({one.vantage for one in runs}) > 1
    found: dict[str, list[LegSeen]] = {}
    for run in runs:
        for leg in run.legs:
            name = f"{leg.name}@{run.vantage or '-'}" if several else leg.name
            found.setdefault(name, []).append(leg)
    return tuple(_leg_then(name, seen, question) for name, seen in found.items())


def _leg_then(name: str, seen: Sequence[LegSeen], question: Question) -> LegThen:
    began, ended = question.began, question.ended
    seconds = _covered(seen, began, ended)
    share = seconds / question.seconds if question.seconds > 0 else 0.0
    drops = tuple(
        drop
        for leg in seen
        for drop in leg.drops
        if drop.began < ended and (drop.ended is None or drop.ended > began)
    )
    told = [one for one in seen if one.seconds > 0 or one.drops]
    why = next((one.why for one in seen if one.why), "")
    state: State
    if drops:
        over = drops[-1].ended is not None or not told[-1].drops
        back = told[-1].connected is not False and over
        state = "dropped" if back else "down"
    elif told and told[-1].connected is False:
        state = "down"
    elif any(one.refuses for one in told):
        state = "dropped"
    elif seconds <= 0:
        state = "planned" if why.startswith("planned") else "told nothing"
    else:
        state = "clean" if share >= COVERED_SHARE else "too little"
        if state == "clean" and not any(looked_then(one, question) for one in seen):
            state = "not then"
    if told and told[-1].refuses:
        state = "refusing"
    ages = [one.held_seconds for one in seen if one.held_seconds is not None]
    path = next((one.path for one in seen if one.path), ())
    colos: list[str] = []
    for colo in (colo for one in seen for colo in one.colos):
        if colos[-1:] != [colo]:
            colos.append(colo)
    oldest = max(ages, default=None)
    return LegThen(name, path, state, seconds, share, drops, why, oldest, tuple(colos))


def looked_then(leg: LegSeen, question: Question) -> bool:
    """Whether it was looked at at a moment that may be meant."""
    return leg.seconds > 0 and question.meant(leg.began, leg.ended)


def _covered(seen: Iterable[LegSeen], began: float, ended: float) -> float:
    """How many seconds of the window one of these runs of a leg was looking."""
    spans = []
    for leg in seen:
        length = leg.ended - leg.began
        first, last = max(leg.began, began), min(leg.ended, ended)
        if length > 0 and last > first and leg.seconds > 0:
            # Where it stood still is not known: the same share everywhere.
            spans.append((first, first + (last - first) * min(1.0, leg.seconds / length)))
    total, until = 0.0, began
    for first, last in sorted(spans):
        total += max(0.0, last - max(first, until))
        until = max(until, last)
    return total
