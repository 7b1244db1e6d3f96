"""The answer: what broke when the person dropped. Pure.

The person is one leg more: it failed, over a last mile of its own and the whole way behind it.

- A run's incident near that time is judged again with this leg. Where the incident explains the
  person's drop, it was us: what is convicted on the person's way, or one of the suspects.
- Without such an incident the legs clear what they cross when they had no drop, were looked at for
  at least half of the window, and were looked at when the person dropped, too: a pause between two
  runs clears nothing. What is several machines no leg clears for a person, who may have met another
  one. When the whole way is cleared, the last mile is the only suspect left. Otherwise nothing is
  cleared or blamed.
- Several people are as many legs, each with a last mile of its own and all over one network that
  they may share. From three on the smallest explanation is what they share, so it is never three
  last miles: it is something that the legs do not show.
- A person whose browser kept a record is judged by that: an outage of ours explains the drop only
  where it was under way when the drop began; the way is cleared drop by drop, like with like; a
  device that slept or was offline explains it without us. A record clears its last mile alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

from t3probe.ask.explain.clients import ClientThen
from t3probe.ask.explain.seen import (
    IncidentSeen,
    Outage,
    RunSeen,
    Way,
    outages_of,
)
from t3probe.ask.explain.window import Question, legs_then, looked_then
from t3probe.ask.forensics.kinds import LAST_MILE
from t3probe.verdict.exact.case import Case
from t3probe.verdict.exact.labels import Verdict, solve
from t3probe.verdict.limits.found import Histories, Limit

READ_SECONDS = 1.0
"""The exactest time is read to the second: it may be any moment of it."""
SEVERAL = 3
"""So many people at once are no coincidence of last miles."""
MOST_PEOPLE = 20
"""More change nothing in the verdict."""
PERSON = "the person"
SHARED = "shared-network"
"""A network that several people share before the edge."""

Finding = Literal[
    "ours", "ours_one_of", "both", "last_mile", "their_device", "their_edge", "no_drop",
    "shared_blind_spot", "unclear", "not_observed",
]  # fmt: skip
"""`ours`: a segment is convicted; `ours_one_of`: one of several broke; `last_mile`: everything of
ours is cleared; `shared_blind_spot`: several people, and our legs show nothing; `unclear`: not
enough was looked at, or the outcomes contradict each other; `not_observed`: no leg was looking.
From people's own records: `their_device`: it slept or was offline; `both`: that, and an outage of
ours at the same time; `their_edge`: another place of the CDN than ours, or the last mile;
`no_drop`: neither their browsers nor we saw one."""
Told = Literal[
    "not covered", "no drop", "explained", "device", "last mile", "likely last mile", "edge",
    "unclear",
]  # fmt: skip
"""What one record comes to. `explained`: by an outage of ours; `last mile`: proven, everything else
was cleared like with like; `likely last mile`: what else there is worked in that time, as far as it
was looked at; `edge`: only the place of the CDN that it used, or the last mile, is left."""


class Explained:
    """The answer to a question."""

    def __init__(
        self,
        question: Question,
        runs: Sequence[RunSeen],
        way: Way,
        clients: Sequence[ClientThen] = (),
    ) -> None:
        self.question, self.way = question, way
        self.clients = tuple(clients)
        """The people whose browsers kept a record."""
        self._every_run = tuple(runs)
        self.runs = tuple(
            one for one in runs if one.began < question.ended and one.ended > question.began
        )
        """The runs that overlap the window."""
        self.before = max((one.ended for one in runs if one.ended <= question.began), default=None)
        """When the last run before the window ended; None where none is known."""
        self.after = min((one.began for one in runs if one.began >= question.ended), default=None)
        """When the next one began."""
        self.legs = legs_then(self.runs, question)
        found = outages_of(runs)
        dropped = [one for one in self.clients if one.covers and one.drop is not None]
        self._span = (
            min([question.began, *(one.began for one in dropped)]),
            max([question.ended, *(one.noticed for one in dropped)]),
        )
        """The window, with the moments at which people's own drops began."""
        self.outages: tuple[Outage, ...] = tuple(one for one in found if one.overlaps(*self._span))
        """What failed in that time, whether it explains the drop or not."""
        self.nearby: tuple[Outage, ...] = tuple(one for one in found if one not in self.outages)
        """What failed before and after it."""
        self.gloss: dict[str, str] = {}
        """What the newest run's file adds to the names of segments."""
        for one in runs:
            self.gloss |= one.gloss
        self.spread = frozenset(name for one in runs for name in one.spread)
        """The segments that are several machines: no leg of ours clears them for a person."""
        self._declared = tuple(dict.fromkeys(name for one in runs for name in one.segments))

    @cached_property
    def covering(self) -> tuple[ClientThen, ...]:
        """Those whose record tells of the time that was named."""
        return tuple(one for one in self.clients if one.covers)

    @property
    def _others(self) -> int:
        """People without such a record."""
        return max(0, self.question.people - len(self.covering))

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """All segments, the people's own first."""
        own = [LAST_MILE] if self.question.people < 2 else [SHARED, *self._last_miles]
        paths = [*(one.path for one in self.legs), *(one.path for one in self.outages)]
        rest = [*self.way.segments, *self._declared, *(name for path in paths for name in path)]
        return tuple(dict.fromkeys([*own, *rest]))

    @cached_property
    def _last_miles(self) -> tuple[str, ...]:
        people = min(self.question.people, MOST_PEOPLE)
        if people < 2:
            return (LAST_MILE,)
        return tuple(f"{LAST_MILE}-{number}" for number in range(1, people + 1))

    @property
    def _people(self) -> frozenset[str]:
        return frozenset((*self._last_miles, LAST_MILE, SHARED))

    def judged(
        self,
        failed: Sequence[tuple[str, ...]],
        cleared: Iterable[str],
        clients: Sequence[ClientThen] = (),
    ) -> Verdict:
        """The verdict with the people as legs more: over what failed and what is cleared.

        `clients`: whose own records show a drop that belongs to this. One whose record shows none
        has a last mile that worked, unless something of ours failed: that it did not see this,
        either, clears nothing of it. A device that was away has no leg that failed.
        """
        legs = {f"leg {number}": path for number, path in enumerate(failed)}
        shared = (SHARED,) if self.question.people > 1 else ()
        cleared = dict.fromkeys(cleared)
        known = [*clients, *(one for one in self.covering if one.drop is None)]
        miles = iter(self._last_miles)
        for client, mile in zip(known, miles, strict=False):
            if client.drop is not None and client.pause is None:
                open_ = not failed and self.told(client) == "unclear"
                known_good = frozenset[str]() if open_ else self.proved(client)
                rest = [one for one in self.way.page if one not in known_good]
                legs[client.leg] = (mile, *shared, *rest)
            elif client.drop is None and not failed:
                # Where something of ours failed the drop that was told of is a leg, and that
                # record did not see it: it clears nothing of it.
                cleared[mile] = None
        others = self.question.people - len(known)
        if not failed:
            others = self._others
        elif any(one.drop is None for one in known):
            others = max(1, others)
        free = self._last_miles[len(known) :] or self._last_miles[-1:]
        for number, mile in enumerate(free[-others:] if others > 0 else (), 1):
            name = PERSON if self.question.people < 2 else f"person {number}"
            legs[name] = (mile, *shared, *self.way.segments)
        down = tuple(legs)
        return solve(
            Case(
                segments=self.segments,
                legs={**legs, "evidence": tuple(cleared)},
                failed=down,
                passed=("evidence",),
            )
        )

    # -- the records of people

    def proved(self, client: ClientThen) -> frozenset[str]:
        """What our legs cleared of a person's own drop, like with like."""
        some = (one.compared[client.name] for one in self._every_run if client.name in one.compared)
        return frozenset(name for one in some for name in one.proved)

    def _worked(self, client: ClientThen) -> frozenset[str]:
        """With what our legs crossed in that time without a drop; of a source that knows no beats,
        those that were looked at for all of it."""
        found: set[str] = set()
        for run in self._every_run:
            if client.name in run.compared:
                found.update(run.compared[client.name].worked)
            elif not any(one.compared for one in self._every_run):
                for leg in run.legs:
                    whole = leg.began <= client.began and client.ended <= leg.ended
                    if whole and leg.seconds > 0 and not leg.drops and leg.connected is not False:
                        found.update(leg.path)
        return frozenset(found - self.spread)

    def our_edges(self, client: ClientThen) -> tuple[str, tuple[tuple[str, int], ...]]:
        """The segment at which the CDN is met, and the colos and families that our legs met then;
        empty where nobody knows."""
        some = [one.compared[client.name] for one in self._every_run if client.name in one.compared]
        edge = next((one.edge for one in some if one.edge), "")
        met = (place for one in some if edge and one.edge == edge for place in one.edges)
        return edge, tuple(dict.fromkeys(met))

    def other_edge(self, client: ClientThen) -> bool:
        """Whether it is known that they used another place of the CDN than any leg of ours."""
        theirs, (_, ours) = client.edge, self.our_edges(client)
        if theirs is None or theirs.colo is None or theirs.family is None:
            return False
        known = bool(ours) and all(colo for colo, _ in ours)
        return known and (theirs.colo, theirs.family) not in ours

    def told(self, client: ClientThen) -> Told:
        """What one record comes to."""
        drop = client.drop
        if not client.covers:
            return "not covered"
        if drop is None:
            return "no drop"
        if client in self.witnesses:
            return "explained"
        if client.pause is not None:
            return "device"
        rest = set(self.way.page) - self.proved(client)
        # A short answer of the edge came through the last mile when nothing else did; so did a
        # close frame.
        beyond = drop.closed_in_words or (drop.edge_answered is True and drop.symptom != "cut")
        edge = {self.our_edges(client)[0]} if self.other_edge(client) else set[str]()
        if rest and rest <= edge:
            return "edge"
        left = set(self.way.page) - self._worked(client)
        elsewhere = any(
            one.began < client.ended and (one.ended or one.last_seen) > client.began
            for one in self.outages
            if set(self.way.page).intersection(one.path)
        )
        if beyond or (elsewhere and drop.symptom != "cut"):
            return "unclear"
        if not rest and not client.blind:
            return "last mile"
        if client.aged_out or elsewhere or left - edge:
            return "unclear"
        return "edge" if left else "likely last mile"

    def _explained(self, outage: Outage, part: IncidentSeen) -> tuple[ClientThen, ...]:
        """The people whose drop began while this was broken, on their own way."""
        over = part.ended if part.ended is not None else max(outage.last_seen, outage.ended or 0.0)
        return tuple(
            one
            for one in self.covering
            if one.drop is not None
            and part.began <= one.noticed
            and over >= one.began
            and _touches(part, set(self.way.page) - self.proved(one))
        )

    # -- outages of ours

    @cached_property
    def _by_outage(self) -> list[_Explains]:
        """The outages that can explain the drop, the best explanation first: one of the very time
        goes before a surer one of another."""
        way, at = set(self.way.segments), self.question.at
        early, late = self.question.vague
        dropped = any(one.drop is not None for one in self.covering)
        found: list[tuple[tuple[bool, bool, bool, bool, float, float], _Explains]] = []
        for outage in self.outages:
            then = outage.overlaps(at - early, at + max(late, READ_SECONDS))
            for part in outage.parts(*self._span):
                if not _touches(part, way):
                    continue
                clients = self._explained(outage, part)
                if dropped and not clients and not self._others and not then:
                    continue  # of another time than what their browsers saw, and than was named
                verdict = self.judged(part.paths, part.exonerated, clients)
                open_ = bool(self._people.intersection(verdict.ambiguous))
                convicted = bool(way.intersection(verdict.convicted))
                apart = outage.distance(at)
                key = (not clients, open_, not then, not convicted, apart, outage.began)
                found.append((key, _Explains(outage, verdict, clients)))
        found.sort(key=lambda one: one[0])
        return [one for _, one in found]

    @cached_property
    def outage(self) -> Outage | None:
        """The one that explains the drop best; None when none can."""
        return self._by_outage[0].outage if self._by_outage else None

    @property
    def witnesses(self) -> tuple[ClientThen, ...]:
        """Whose own record shows a drop that began in that outage."""
        return self._by_outage[0].clients if self._by_outage else ()

    @cached_property
    def verdict(self) -> Verdict:
        """With the person as one leg more."""
        if self._by_outage:
            return self._by_outage[0].verdict
        dropped = [one for one in self.covering if one.drop is not None]
        return self.judged((), self.cleared_for_people, dropped)

    @cached_property
    def cleared(self) -> tuple[str, ...]:
        """The segments of legs that had no drop and were looked at for long enough."""
        found = dict.fromkeys(name for one in self.legs if one.clears for name in one.path)
        if self.runs and not any(one.path for one in self.legs):
            # What a leg crosses is not known: then only what every run's own verdict cleared.
            always = set.intersection(*(set(one.exonerated) for one in self.runs))
            if any(one.clears for one in self.legs):
                found.update(dict.fromkeys(one for one in self.segments if one in always))
        return tuple(one for one in found if one not in self.spread)

    @cached_property
    def cleared_for_people(self) -> tuple[str, ...]:
        """What is cleared; on the way of people whose browsers saw a drop, what is cleared of that
        drop."""
        found, each = set(self.cleared), list[set[str]]()
        for client in self.covering:
            if client.drop is None or client.pause is not None:
                continue
            told, known = self.told(client), set(self.proved(client))
            if told in ("likely last mile", "edge"):
                known |= self._worked(client)
            if told == "edge":
                known.discard(self.our_edges(client)[0])
            if told == "unclear" and known.issuperset(self.way.page):
                known.clear()
            each.append(known)
        if each:
            found = found.difference(self.way.page) | set.intersection(*each)
        return tuple(one for one in self.segments if one in found)

    @cached_property
    def uncleared(self) -> tuple[str, ...]:
        """The segments of the person's way that no such leg crosses, or clears by crossing."""
        dropped = any(one.drop is not None for one in self.covering) and not self._others
        way = self.way.page if dropped else self.way.segments
        return tuple(one for one in way if one not in self.cleared_for_people)

    @cached_property
    def finding(self) -> Finding:
        """The answer in one word."""
        verdict = self.verdict
        if self._by_outage:
            # With contradictions every suspect is ambiguous, the people's own among them.
            if verdict.status == "inconsistent" or self._people.intersection(verdict.ambiguous):
                return "unclear"
            if not self.convicted and not set(self.suspects) <= set(self.way.segments):
                return "unclear"  # it may have broken beside the way
            away = self.witnesses or [one for one in self.covering if one.down(self.question.at)]
            if away and all(one.pause is not None for one in away):
                return "both"
            return "ours" if self.convicted else "ours_one_of"
        if self.covering:
            return self._by_records
        if not self.looking_at:
            return "not_observed"
        if self.question.people >= SEVERAL:
            return "shared_blind_spot"
        return "unclear" if self.uncleared else "last_mile"

    @property
    def too_young(self) -> bool:
        """Whether a person's connection was cut at an age that none of ours reached."""
        ours = self.held_seconds
        return any(
            one.drop is not None and one.drop.symptom == "cut" and one.drop.age_seconds is not None
            and ours is not None and one.drop.age_seconds > ours
            and self.told(one) == "likely last mile"
            for one in self.covering
        )  # fmt: skip

    def _at_once(self, some: Sequence[ClientThen]) -> int:
        """How many of these dropped at one moment, as far as their clocks tell."""
        return max(
            (
                sum(two.began <= one.noticed and one.began <= two.noticed for two in some)
                for one in some
            ),
            default=0,
        )

    @property
    def _by_records(self) -> Finding:
        """The answer where no outage of ours explains what people's browsers saw."""
        told = [self.told(one) for one in self.covering]
        miles = sum(one in ("last mile", "likely last mile") for one in told)
        unknown = "unclear" in told
        if self._others and (self.uncleared or not self.looking_at):
            unknown = True
        paths = ("last mile", "likely last mile", "edge")
        dropped = [one for one in self.covering if self.told(one) in paths]
        if self._at_once(dropped) + self._others >= SEVERAL and not unknown:
            return "shared_blind_spot"
        if unknown:
            looked = self.looking_at or any(one.compared for one in self._every_run)
            return "unclear" if looked else "not_observed"
        if "edge" in told:
            return "their_edge"
        if miles or self._others:
            return "last_mile"
        return "their_device" if "device" in told else "no_drop"

    @cached_property
    def proven(self) -> bool:
        """Whether the last mile is accused because all else was cleared like with like."""
        told = [self.told(one) for one in self.covering if one.drop is not None]
        return self.finding == "last_mile" and not self._others and set(told) <= {
            "last mile", "device"
        }  # fmt: skip

    @cached_property
    def convicted(self) -> tuple[str, ...]:
        """The convicted segments of the person's way."""
        return tuple(one for one in self.verdict.convicted if one in self.way.segments)

    @cached_property
    def suspects(self) -> tuple[str, ...]:
        """Where nothing of ours is convicted: the smallest set of which one broke."""
        groups = [
            one for one in self.verdict.at_least_one_of if set(one).intersection(self.way.segments)
        ]
        return min(groups, key=len, default=())

    @cached_property
    def looking_at(self) -> tuple[str, ...]:
        """The legs that were being looked at at the time that was named."""
        return tuple(
            dict.fromkeys(
                leg.name for run in self.runs for leg in run.legs if looked_then(leg, self.question)
            )
        )

    @cached_property
    def paused(self) -> tuple[float | None, float | None] | None:
        """When the run before the time that was named ended, and the next one began; None when a
        leg was looking, or no run is near."""
        if self.looking_at or not self.runs:
            return None
        at = self.question.at
        ended = (leg.ended for run in self.runs for leg in run.legs if leg.ended <= at)
        began = (leg.began for run in self.runs for leg in run.legs if leg.began > at)
        return max(ended, default=self.before), min(began, default=self.after)

    @cached_property
    def limits(self) -> tuple[Limit, ...]:
        """Ages and silences at which our connections died in all these runs, where that may be on
        the person's way. They accuse nobody: a person's connection meets them, too."""
        lived: dict[str, Histories] = {}
        for run in self._every_run:
            lived.setdefault(run.vantage, Histories()).add(run.lived)
        way = set(self.way.segments)
        return tuple(
            one
            for some in lived.values()
            for one in some.limits(self.spread)
            if not one.polite
            and (not one.one_of or any(way.intersection(two) for two in one.one_of))
        )

    @cached_property
    def held_seconds(self) -> float | None:
        """How old the oldest of our connections in the window became."""
        known = [one.held_seconds for one in self.legs if one.held_seconds is not None]
        return max(known, default=None)


class _Explains(NamedTuple):
    """An outage of ours that can explain the drop."""

    outage: Outage
    verdict: Verdict
    clients: tuple[ClientThen, ...]
    """Whose own record shows a drop that began in it."""


def explain(
    question: Question, runs: Sequence[RunSeen], way: Way, clients: Sequence[ClientThen] = ()
) -> Explained:
    """Answer a question from the runs near its time; runs before and after it help to tell when
    an outage began and ended."""
    return Explained(question, sorted(runs, key=lambda one: one.began), way, clients)


def _touches(part: IncidentSeen, way: set[str]) -> bool:
    """Whether what failed may lie on the way."""
    suspects = [set(path).difference(part.exonerated) for path in part.paths]
    if all(suspects):
        return any(one & way for one in suspects)
    return not part.paths or any(way.intersection(path) for path in part.paths)
