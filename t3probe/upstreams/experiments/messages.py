"""What people are told of rigs: what is new, what is still wrong, and what ails the system. Pure.

A service that reports nothing, or a bound that keeps rigs from being taken out, is an alert of the
system: it is told once when it lasted for `settle`, and once when it has been over for as long,
never once for each rig.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from t3probe.text.words import count, listed, utc
from t3probe.upstreams.experiments.events import RigEvent, RigState

_NAMED = 3
_SHOWN = 200
"""Lines of one part of a message; the rest is counted."""


class RigMessage(NamedTuple):
    """One message."""

    subject: str
    text: str


class SystemAlerts:
    """Which alerts of the system stand, told when they lasted. Times are seconds of one clock."""

    def __init__(self, settle: float) -> None:
        """`settle` in seconds: what begins or ends for a shorter time is not told."""
        self._settle_seconds = settle
        self._since: dict[str, float] = {}
        self._gone_since: dict[str, float] = {}
        self._told: dict[str, str] = {}

    @property
    def standing(self) -> tuple[str, ...]:
        """The sentences of those that were told and are not over, sorted."""
        return tuple(sorted(self._told.values()))

    def take(self, found: Mapping[str, str], now: float) -> tuple[list[str], list[str]]:
        """What is wrong now, a sentence by a key that stays the same as long as it goes on. The
        sentences that begin to be told by it, and those that are over."""
        self._since = {key: self._since.get(key, now) for key in found}
        self._gone_since = {
            key: self._gone_since.get(key, now) for key in self._told if key not in found
        }
        begun = {
            key: said
            for key, said in found.items()
            if key not in self._told and now - self._since[key] >= self._settle_seconds
        }
        over = [key for key, at in self._gone_since.items() if now - at >= self._settle_seconds]
        ended = [self._told.pop(key) for key in over]
        for key in over:
            del self._gone_since[key]
        self._told.update({key: found[key] for key in self._told if key in found})
        self._told.update(begun)
        return sorted(begun.values()), sorted(ended)


def message(
    events: Sequence[RigEvent],
    standing: Mapping[str, RigState],
    available: Mapping[str, bool | None],
    *,
    begun: Sequence[str] = (),
    ended: Sequence[str] = (),
    alerts: Sequence[str] = (),
    at_unix: float,
    deployment: str,
) -> RigMessage:
    """What is told of one evaluation: `events` are new, `standing` is what was told last of each
    rig by now, `begun`, `ended` and `alerts` are of `SystemAlerts`."""
    wrong = [one for one in events if not one.state.healthy]
    well = [one for one in events if one.state.healthy]
    lines = [f"{utc(at_unix)}, {deployment}"]
    if events:
        new = [*sorted(wrong, key=_name), *sorted(well, key=_name)]
        lines += ["", "New:", *_cut(_line(e.rig, e.state, e.available) for e in new)]
    still = {rig: state for rig, state in standing.items() if not state.healthy}
    if still:
        told = (_line(rig, still[rig], available.get(rig)) for rig in sorted(still))
        lines += ["", "Wrong by now, the new ones included:", *_cut(told)]
    elif events:
        lines += ["", "Nothing else is wrong."]
    if alerts or ended:
        lines += ["", "The system itself:", *(f"  {one}" for one in alerts)]
        lines += [f"  over: {one}" for one in ended]
    return RigMessage(_subject(wrong, well, begun, ended, deployment), "\n".join(lines) + "\n")


def _subject(
    wrong: Sequence[RigEvent],
    well: Sequence[RigEvent],
    begun: Sequence[str],
    ended: Sequence[str],
    deployment: str,
) -> str:
    parts = []
    if wrong:
        names = listed([one.rig for one in sorted(wrong, key=_name)], _NAMED)
        parts.append(f"{count(len(wrong), 'rig')} unhealthy: {names}")
    if well:
        names = listed([one.rig for one in sorted(well, key=_name)], _NAMED)
        parts.append(f"{count(len(well), 'rig')} healthy again: {names}")
    parts += [*begun, *(f"over: {one}" for one in ended)]
    return f"{deployment}: {'; '.join(parts)}"


def _line(rig: str, state: RigState, available: bool | None) -> str:
    """`  spin07  unhealthy, unavailable: unhealthy spin07-st-video`."""
    offered = {True: "available", False: "unavailable", None: "availability not known"}[available]
    said = f"  {rig}  {'healthy' if state.healthy else 'unhealthy'}, {offered}"
    return f"{said}: {', '.join(state.issues)}" if state.issues else said


def _cut(lines: Iterable[str]) -> list[str]:
    found = list(lines)
    if len(found) <= _SHOWN:
        return found
    return [*found[:_SHOWN], f"  and {count(len(found) - _SHOWN, 'rig')} more"]


def _name(event: RigEvent) -> str:
    return event.rig
