"""How the clocks of two vantages agree, by the servers that both asked. Pure.

Each run notes of a leg when it began by that leg's server (`Observation.server_began`). Two runs
that asked one server so have one clock, whatever each machine's own says. A server that lies on a
local segment is another machine for each vantage, and says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from t3probe.observation import Observation
from t3probe.text.words import span

LEAST_SECONDS = 0.25
"""No comparison of clocks is taken for more exact."""


class Apart(NamedTuple):
    """How much later one run began than another."""

    seconds: float
    within_seconds: float
    """By how much that may be wrong, on either side."""

    def ahead(self, started_at: float, other: float) -> float:
        """How far the clock by which this run began is ahead of the other's; 0 where they may
        agree."""
        found = (started_at - other) - self.seconds
        return 0.0 if abs(found) <= self.within_seconds else found


def apart(
    here: Mapping[str, Observation], there: Mapping[str, Observation], local: Iterable[str]
) -> Apart | None:
    """How much later this run began than the other. None: no server told, or they contradict each
    other."""
    names = frozenset(local)
    low, high = float("-inf"), float("inf")
    for leg, seen in here.items():
        other = there.get(leg)
        if other is None or not (_shared(seen, names) and _shared(other, names)):
            continue
        mine, theirs = seen.server_began, other.server_began
        if len(mine) != 2 or len(theirs) != 2 or seen.server != other.server:
            continue
        low, high = max(low, mine[0] - theirs[1]), min(high, mine[1] - theirs[0])
    if not float("-inf") < low <= high < float("inf"):
        return None
    return Apart((low + high) / 2, max(LEAST_SECONDS, (high - low) / 2))


def _shared(seen: Observation, local: frozenset[str]) -> bool:
    """Whether its server is one for all vantages. A path without a shared segment leads to a
    machine of the vantage, and so does one whose connection ends at a local one."""
    ends = seen.tcp_ends_at or (seen.path[-1] if seen.path else "")
    known = {name.partition("@")[0] for name in (ends, *seen.path[-1:])}
    return bool(seen.path) and not known & local


def said(ahead_seconds: float) -> str:
    """In words: "30 s ahead of", "2 s behind"."""
    word = "ahead of" if ahead_seconds > 0 else "behind"
    return f"{span(round(abs(ahead_seconds), 1))} {word}"
