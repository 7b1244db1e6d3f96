"""Broken from here, and not from there: what other vantages found of a vantage's drops. Pure."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any, NamedTuple

from t3probe.text.words import listed
from t3probe.verdict.exact.labels import Verdict

Names = tuple[str, ...]


class Met(NamedTuple):
    """Where a leg of a vantage met a segment."""

    vantage: str
    leg: str
    address: str
    colo: str

    def __str__(self) -> str:
        where = ", ".join(
            one for one in (self.address, f"colo {self.colo}" if self.colo else "") if one
        )
        return f"{self.vantage} ({where})" if where else self.vantage


class Contrast(NamedTuple):
    """A shared segment that is suspect from one vantage and worked from another meanwhile."""

    segment: str
    broken: tuple[Met, ...]
    works: tuple[Met, ...]

    @property
    def text(self) -> str:
        """From where it is broken, and from where not."""
        return f"from {_each(self.broken)}, not from {_each(self.works)}"

    @property
    def brief(self) -> str:
        """The same without addresses and colos."""
        broken, works = (dict.fromkeys(one.vantage for one in some)
                         for some in (self.broken, self.works))  # fmt: skip
        return f"from {listed(broken)}, not from {listed(works)}"

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "segment": self.segment,
            "broken_from": [one._asdict() for one in self.broken],
            "works_from": [one._asdict() for one in self.works],
            "text": f"{self.segment}: {self.text}",
        }


class Accused:
    """A drop of a vantage, and what the others found of its suspects at that time."""

    def __init__(self, met: Met, suspects: Names) -> None:
        self.met, self.suspects = met, suspects
        self.cleared: dict[str, list[str]] = {}
        """Suspects that worked for others, with the legs that clear them."""
        self.elsewhere: dict[str, dict[Met, None]] = {}
        """Suspects that worked for others, be it at another place, and where."""
        self.left = suspects
        """What stays suspect when `narrow` has looked at it."""

    def without(self, kept: Container[str] = ()) -> Names:
        """Its suspects without those that others clear; `kept` are cleared by nobody."""
        return tuple(one for one in self.suspects if one not in self.cleared or one in kept)


def narrow(incidents: Sequence[Sequence[Accused]]) -> None:
    """Take from a vantage's drops what other vantages clear.

    What stays suspect of one drop is cleared of no other one of its incident: broken from here
    alone, it explains them all. Where nothing would be left of a drop, something is broken so: all
    its suspects stay, and are cleared of no drop of this vantage.
    """
    drops = []
    for some in incidents:
        kept = {name for one in some for name in one.without()}
        drops += [(one, kept) for one in some]
    here_alone: set[str] = set()
    for one, kept in sorted(drops, key=lambda pair: len(pair[0].suspects)):
        if not one.without(kept | here_alone):
            here_alone.update(one.suspects)
    for one, kept in drops:
        one.left = one.without(kept | here_alone)


def contrasts(
    drops: Sequence[Accused], verdict: Verdict, order: Sequence[str]
) -> tuple[Contrast, ...]:
    """The segments that are convicted, or may be, by drops that they alone explain, and that were
    found well elsewhere meanwhile. A vantage that has such a drop itself is no place where the
    segment works."""
    sets: list[Names] = [(name,) for name in verdict.convicted]
    sets += verdict.at_least_one_of
    found: dict[str, list[Accused]] = {}
    for one in drops:
        within = [some for some in sets if {*some} <= {*one.left}]
        for name in within[0] if len(within) == 1 else ():
            found.setdefault(name, []).append(one)
    out = []
    for name in sorted(found, key=order.index):
        failed = {one.met.vantage for one in found[name]}
        broken: dict[Met, None] = {}
        works: dict[Met, None] = {}
        for one in found[name]:
            well = [met for met in one.elsewhere.get(name, ()) if met.vantage not in failed]
            if well:
                broken[one.met] = None
                works |= dict.fromkeys(well)
        if works:
            out.append(Contrast(name, tuple(broken), tuple(works)))
    return tuple(out)


def _each(some: Sequence[Met]) -> str:
    """Each vantage once."""
    found: dict[str, Met] = {}
    for one in some:
        if one.vantage not in found or (one.colo and not found[one.vantage].colo):
            found[one.vantage] = one
    return listed(map(str, found.values()))
