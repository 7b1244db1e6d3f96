"""Incidents of several runs that are one outage: when it began, and when it was over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from t3probe.explain.seen import IncidentSeen, RunSeen

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
        self.after: RunSeen | None = None
        """The next run after it, in which its legs worked."""

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
        return None if self.after is None else self.after.began

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
        legs = set(outage.newest.failed)
        same = [
            number
            for number, one in enumerate(run.incidents)
            if number not in taken and legs.intersection(one.failed)
        ]
        if same:
            number = same[0]
            taken.add(number)
            outage.incidents.append(run.incidents[number])
            outage.runs.append(run)
            if run.incidents[number].ended is None:
                still.append(outage)
        elif any(leg.name in legs and leg.seconds > 0 for leg in run.legs):
            outage.after = run
        else:
            still.append(outage)  # this run cannot tell
    for number, incident in enumerate(run.incidents):
        if number not in taken:
            outage = Outage(run, incident)
            out.append(outage)
            if incident.ended is None:
                still.append(outage)
    return still
