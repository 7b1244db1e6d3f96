"""Where results go: one file per sink, one signature.

A sink's module has a factory that takes the sink's own settings and returns a `Deliver`. A
`Deliver` never raises for what can go wrong outside this process: it says it in its report.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from t3probe.deliver.metrics.carry import Group

__all__ = ["Batch", "Deliver", "Receipt"]


class Batch(NamedTuple):
    """What is to be delivered."""

    families: Group
    """What this run alone measured (`t3probe.deliver.metrics.families`), or zeros: its counters are
    what it adds. Without the labels of the vantage or the group: they are the sink's."""
    opening: bool = False
    """True at a run's start: `families` are zeros, to be written only where series are
    missing; everything that is there already stays as it is."""
    correction: bool = False
    """True after an end that was delivered: `families` are gauges that replace those of the
    same names; everything else stays as it is."""
    seconds: float | None = None
    """How long this may take at most; None: as long as the sink's own settings say. At 0 the
    sink only remembers what it needs for later."""


class Receipt(NamedTuple):
    """What became of a delivery."""

    ok: bool
    """Whether the results are where they were to go."""
    sentence: str
    """One sentence for people: what was done; or what was expected, what was found, what to
    do next, and what became of the counts."""
    known: Group | None = None
    """At a run's start: what stands there, zeros included; None when it could not be read."""


Deliver = Callable[[Batch], Receipt]
"""Takes one batch where it belongs, within a bound of its own, and says how that went."""
