"""Faults of the lab's rigs and of the services that know them. Nothing here does I/O.

The texts are those of every fault (`t3probe.lab.faults`); what befalls a rig names it:
`rig-spin01:stall`, `stream-spin01-video:stale`.
"""

from __future__ import annotations

import re

from t3probe.text.names import BOOK, JUMP, RELAY, RIG_SEGMENT, STREAM_SEGMENT

STREAMS = ("data", "video")
"""The streams of each of the lab's rigs; book requires both."""
MOST_RIGS = 500

SECRETS: dict[str, str] = {
    one: f"lab-{one}-secret-which-everybody-may-know" for one in (RELAY, JUMP, BOOK)
}
"""What the lab's services sign and check tokens with."""

RIG_FAULT_KINDS: dict[str, str] = {
    "silent": "it opens its WebSocket and reports nothing",
    "bad-code": "the code in the address that it gives is not good: the WebSocket opens and stays"
    " silent",
    "foreign": "the address that it gives is on another host",
    "empty": "it reports no connection at all",
    "garbage": "what it says is no JSON",
    "no-stats": "it does not say when a stream last sent something, as since v0.8.0",
    "camel": "it spells its keys as its own client reads them",
    "mute": "every rig is connected, and no stream of any of them sends",
    "lost": "no rig is connected to it",
    "unauthorized": "it refuses our token with 401",
    "bad-token": "it answers 500 to our token, as to one with another audience",
    "http500": "its own handler fails with 500",
    "forget": "it starts anew: every rig is available again",
    "409": "it answers 409 to whoever writes",
    "unheeded": "it takes what is written, and keeps what it has",
    "stall": "the rig stands still: its streams are silent, and jump has lost it",
    "gone": "the rig has no connection at all",
    "no-jump": "the rig's log-in channel alone is missing",
    "stale": "the stream is connected and silent",
    "absent": "the stream is not connected",
}
"""Each kind that only rigs and their services have, and what it does."""

_TCP = ("refuse", "blackhole", "reset")
_SERVICE = ("garbage", "unauthorized", "bad-token", "http500")
_STATS = (*_TCP, *_SERVICE, "silent", "bad-code", "foreign", "empty", "lost")

RIG_FAULTS: dict[str, tuple[str, ...]] = {
    RELAY: (*_STATS, "no-stats", "mute"),
    JUMP: (*_STATS, "camel"),
    BOOK: (*_TCP, *_SERVICE, "forget", "409", "unheeded"),
    f"{RIG_SEGMENT}NAME": ("stall", "gone", "no-jump"),
    f"{STREAM_SEGMENT}NAME": ("stale", "absent"),
}
"""What can befall what, where `NAME` is a rig, or a rig and its stream."""

_RIG = re.compile(rf"{RIG_SEGMENT}(spin[0-9]{{2,3}})")
_STREAM = re.compile(rf"{STREAM_SEGMENT}(spin[0-9]{{2,3}})-({'|'.join(STREAMS)})")


def rig_names(number: int) -> tuple[str, ...]:
    """The names of so many rigs: spin01, spin02, ..."""
    return tuple(f"spin{one:02}" for one in range(1, number + 1))


def checked_number(number: int) -> int:
    """How many rigs a lab has. Raises ValueError, one sentence."""
    if not 0 <= number <= MOST_RIGS:
        raise ValueError(f"--experiments {number}: expected a number from 0 to {MOST_RIGS}.")
    return number


def environment() -> dict[str, str]:
    """The variables that a run on the lab's rigs needs."""
    return {f"T3PROBE_{one.upper()}_SECRET": secret for one, secret in SECRETS.items()}


def kinds_of(segment: str) -> tuple[str, ...]:
    """The kinds that can befall a segment of rigs; none for any other."""
    if _RIG.fullmatch(segment):
        return RIG_FAULTS[f"{RIG_SEGMENT}NAME"]
    if _STREAM.fullmatch(segment):
        return RIG_FAULTS[f"{STREAM_SEGMENT}NAME"]
    return RIG_FAULTS.get(segment, ())


def rig_in(segment: str) -> str:
    """The rig that a segment names; empty for a service."""
    found = _RIG.fullmatch(segment) or _STREAM.fullmatch(segment)
    return found[1] if found else ""
