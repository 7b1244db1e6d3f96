"""Incidents of several runs that are one outage: when it began, and when it was over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from t3probe.ask.explain.seen import IncidentSeen, LegSeen, RunSeen

__all__ = ["Outage", "outages_of"]

APART_SECONDS = 240.0
"""Runs that lie further apart tell nothing of what was between them."""


class Outage:
    """One incident, or several in consecutive runs of which no leg came back in between.

    Times are Unix seconds.
    """

    def __init__(self, run: RunSeen, incident: IncidentSeen) -> None:
        self.incidents = [incident]
        self.runs = [run]
        self._back: dict[str, float] = {}
        """When legs of it worked again, in runs after those that saw them fail."""

    @property
    def newest(self) -> IncidentSeen:
        """The last of its incidents."""
        return self.incidents[-1]

    @property
    def began(self) -> float:
        """When it began at the earliest."""
        return self.incidents[0].began

    @property
    def ended(self) -> float | None:
        """When its legs worked again at the latest; None when nobody saw that."""
        if self.newest.ended is not None:
            return self.newest.ended
        return max(self._back.values()) if self._away == set() else None

    @property
    def _away(self) -> set[str]:
        return {leg for leg in self.newest.failed if leg not in self._back}

    @property
    def last_seen(self) -> float:
        """Until when it is known to have lasted."""
        return self.runs[-1].ended if self.newest.ended is None else self.newest.ended

    @property
    def path(self) -> tuple[str, ...]:
        """Every segment that a failed leg crosses."""
        return tuple(
            dict.fromkeys(name for one in self.incidents for path in one.paths for name in path)
        )

    @property
    def legs(self) -> tuple[str, ...]:
        """The legs that failed in it."""
        return tuple(dict.fromkeys(leg for one in self.incidents for leg in one.failed))

    @property
    def finding(self) -> str:
        """What its runs found, without the times; the last one's when they differ."""
        return self.newest.finding

    def goes_on_in(self, run: RunSeen, taken: set[int]) -> int | None:
        """Take the next run in: the number of its incident that is a part of this outage, because
        a leg had not worked in between; None when it has none."""
        legs = {leg.name: leg for leg in run.legs}
        for number, incident in enumerate(run.incidents):
            same = self._away.intersection(incident.failed)
            if number in taken or all(_worked_before(legs.get(one), incident) for one in same):
                continue
            self.incidents.append(incident)
            self.runs.append(run)
            self._back = {}
            return number
        for leg in self._away:
            seen = legs.get(leg)
            if seen is None or seen.seconds <= 0:
                continue  # this run cannot tell
            if seen.first_good is not None:
                self._back[leg] = seen.first_good
            elif not seen.drops:
                self._back[leg] = run.began
        return None

    def overlaps(self, began: float, ended: float) -> bool:
        """Whether a time falls into it. What no run saw the end of may have lasted to the next
        run that saw its legs work."""
        over = self.ended if self.ended is not None else self.last_seen
        return self.began < ended and over > began

    def parts(self, began: float, ended: float) -> Iterator[IncidentSeen]:
        """Its incidents that fall into a time; those next to it when none does."""
        inside = [
            one
            for one, run in zip(self.incidents, self.runs, strict=True)
            if one.began < ended and (run.ended if one.ended is None else one.ended) > began
        ]
        if inside:
            yield from inside
        else:
            before = [one for one in self.incidents if one.began <= began]
            yield before[-1] if before else self.incidents[0]

    def distance(self, at: float) -> float:
        """How far a time is from it, in seconds; 0 inside."""
        over = self.ended if self.ended is not None else self.last_seen
        return max(0.0, self.began - at, at - over)


def outages_of(runs: Sequence[RunSeen]) -> list[Outage]:
    """The outages of runs that come by their start; each vantage for itself."""
    out: list[Outage] = []
    by_vantage: dict[str, list[RunSeen]] = {}
    for run in runs:
        by_vantage.setdefault(run.vantage, []).append(run)
    for some in by_vantage.values():
        going_on: list[Outage] = []
        for run in some:
            going_on = _one_run(run, going_on, out)
    return sorted(out, key=lambda one: one.began)


def _one_run(run: RunSeen, going_on: Sequence[Outage], out: list[Outage]) -> list[Outage]:
    """Take one run in; the outages that had not ended when it did."""
    still: list[Outage] = []
    taken: set[int] = set()
    for outage in going_on:
        if run.began - outage.runs[-1].ended > APART_SECONDS:
            continue
        number = outage.goes_on_in(run, taken)
        if number is not None:
            taken.add(number)
        if outage.ended is None:
            still.append(outage)
    for number, incident in enumerate(run.incidents):
        if number not in taken:
            outage = Outage(run, incident)
            out.append(outage)
            if incident.ended is None:
                still.append(outage)
    return still


def _worked_before(leg: LegSeen | None, incident: IncidentSeen) -> bool:
    """Whether the leg worked in this run before the incident was noticed."""
    if leg is None or leg.first_good is None:
        return False
    return incident.noticed is None or leg.first_good <= incident.noticed
