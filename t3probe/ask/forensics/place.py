"""Sides as segments: what lies before, at and behind each source on the way to the app."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from t3probe.ask.forensics.kinds import SOURCES, Side

__all__ = ["LAST_MILE", "REFERENCE", "SegmentMap"]

LAST_MILE = "last-mile"
"""The person's own way to the CDN: no leg of the suite crosses it."""
REFERENCE: tuple[tuple[str, ...], ...] = (
    ("wan", "cf-edge", "tunnel", "traefik", "devvm", "dispatch", "serve"),
    ("wan", "doh"),
)
"""The reference deployment's way from the CDN to the app, and that to the resolvers."""


class SegmentMap:
    """Which segments a side means."""

    def __init__(
        self,
        paths: Iterable[Sequence[str]] = REFERENCE,
        names: Mapping[str, str] | None = None,
        segments: Iterable[str] = (),
    ) -> None:
        """`paths` run from the edge to the app; `names` gives sources that are called otherwise
        in them; `segments` are all that are declared."""
        self.paths = [tuple(path) for path in paths]
        self.names = dict(names or {})
        declared = dict.fromkeys((*segments, *(one for path in self.paths for one in path)))
        home = {name for path in REFERENCE for name in path}
        absent = [source for source in SOURCES if self.name(source) not in declared]
        self.missing = [source for source in absent if source in home]
        """Sources that are no declared segment: their sides stay the reference's."""
        self.unplaced = [source for source in absent if source not in home]
        """Sources of which nobody said where they stand: their sides mean no segment."""
        known = dict.fromkeys((LAST_MILE, *declared, *(one for way in REFERENCE for one in way)))
        self.order = {name: at for at, name in enumerate(known)}
        self._declared = declared
        self._known: dict[tuple[str, Side], tuple[str, ...]] = {}
        self._reference = None if self.paths == list(REFERENCE) and not names else SegmentMap()

    def name(self, source: str) -> str:
        """The segment that a source is."""
        return self.names.get(source, source)

    def placed(self, source: str) -> bool:
        """Whether it is known where a source stands."""
        return source not in self.unplaced

    def segments(self, source: str, sides: Iterable[Side]) -> tuple[str, ...]:
        """The segments that some sides of a source mean, in the order of the way."""
        found: set[str] = set()
        for side in sides:
            key = source, side
            if key not in self._known:
                self._known[key] = self._side(source, side)
            found.update(self._known[key])
        return tuple(sorted(found, key=lambda one: (self.order.get(one, 99), one)))

    def _side(self, source: str, side: Side) -> tuple[str, ...]:
        if not self.placed(source):
            return ()
        out = self._own(source, side) if source not in self.missing else ()
        if not out and self._reference is not None:
            out = self._reference.segments(source, (side,))
        return (LAST_MILE, *out) if side == "before" else out

    def _own(self, source: str, side: Side) -> tuple[str, ...]:
        name = self.name(source)
        if side == "self":
            return (name,)
        out: dict[str, None] = {}
        for path in self.paths:
            if name in path:
                at = path.index(name)
                ahead = path[:at][-1:] if side == "peer" else path[:at]
                out.update(dict.fromkeys(path[at + 1 :] if side == "after" else ahead))
        if side == "link":
            out[name] = None
        serve = self.name("serve")
        if source == "dispatch" and side == "after" and serve in self._declared:
            out[serve] = None  # legs to dispatch end there, but it hands on to serve
        return tuple(out)
