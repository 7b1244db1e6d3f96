"""One line of the table: what is done, when, and what the verdict then must be."""

from __future__ import annotations

import re
from dataclasses import dataclass

from realpath.configs import SEGMENTS
from realpath.faults import Fault

__all__ = ["MID", "START", "Line", "line"]

START = "start"
"""The fault is there before the legs."""
MID = "mid"
"""It begins while the legs are held: once each held WebSocket has echoed a few times."""

ALL = (*SEGMENTS, "upstream-orders", "upstream-dispatch")
"""Every segment. Upstreams without port and address; `upstream-dispatch` is the second machine of
that cluster, for the first one is where a leg ends."""


@dataclass(frozen=True)
class Line:
    """What is done, and what must come of it."""

    name: str
    faults: tuple[Fault, ...]
    at: str
    convicted: frozenset[str] = frozenset()
    one_of: frozenset[frozenset[str]] = frozenset()
    closed: frozenset[str] = frozenset()
    """The segments that a gate must not let pass. Every other one it must let pass."""
    chance: frozenset[str] = frozenset()
    """Segments that may be cleared or not: `why` says what it depends on."""
    suspect: frozenset[str] = frozenset()
    """Where chance decides on the sets: each of these is convicted or in a "one of", every "one of"
    holds one of them, and nobody is convicted but them and `convicted`."""
    or_clean: bool = False
    """It may be over before anybody looks, and then nothing was seen: `why` says how."""
    code: int = 0
    """The exit code of pytest."""
    gate: str = ""
    """Segments given to `--gate`, which then decides on the code."""
    hold: str = "3500ms"
    both: bool = False
    """The balancer has two machines behind it, and `dispatch` is declared spread."""
    why: str = ""
    """The reason where it is not plain."""

    @property
    def key(self) -> str:
        """What a test is called."""
        words = " + ".join(map(str, self.faults)) or "nothing"
        both = " of two" if self.both else ""
        gate = f" gate {self.gate}" if self.gate else ""
        text = f"{self.at} {words}{both}{gate}"
        return re.sub(r"[^a-zA-Z0-9.+,]+", "-", text).strip("-")


def line(
    at: str,
    *faults: Fault,
    convicted: str = "",
    one_of: tuple[str, ...] = (),
    suspect: str = "",
    closed: str = "",
    chance: str = "",
    or_clean: bool = False,
    code: int | None = None,
    gate: str = "",
    hold: str = "3500ms",
    both: bool = False,
    why: str = "",
) -> Line:
    """A line; segments as words. The convicted and suspect are closed without being named so.

    The code is 1 when somebody is convicted or suspect, unless it is given.
    """
    guilty = frozenset(convicted.split())
    groups = frozenset(frozenset(one.split()) for one in one_of)
    maybe = frozenset(suspect.split())
    shut = guilty.union(closed.split(), maybe, *groups)
    for name in (*shut, *chance.split()):
        assert name in ALL, name
    if gate:
        code = int(not shut.isdisjoint(gate.split(",")))
    elif code is None:
        code = int(bool(guilty or groups or maybe))
    return Line(
        name=" + ".join(map(str, faults)),
        faults=faults,
        at=at,
        convicted=guilty,
        one_of=groups,
        suspect=maybe,
        closed=shut,
        chance=frozenset(chance.split()),
        or_clean=or_clean,
        code=code,
        gate=gate,
        hold=hold,
        both=both,
        why=why,
    )
