"""What clears a segment of a drop: other legs that were compared like with like. Pure.

Each drop is judged by itself. Another leg clears the segments that it crosses

- of a `cut`, if it held through: good beats on one connection before the drop began and after it
  was noticed, on one at least as old as the one that died (a limit on a connection's age would have
  met it, too), or an hour old, unless this leg's last two cuts came at about the same age. A good
  beat that was a refusal or a reset holds nothing: the machine answered, the connection may be
  dead. Where a request was answered wrongly or not at all, only a leg that asks at every beat has
  met it. At `tcp_ends_at` of the leg that dropped and before it this counts only when both had the
  same remote address: there may be several machines behind one name.
- of `down` and `refusing`, by a good fresh beat that began after the first failed attempt had ended
  and before the second look ended, and was answered soon: both looked at one moment, and only one
  was answered. What was good earlier may lie before the onset; what took long, or began late in a
  silent second look, may have been answered after the end.
- of what a relay or a jump server reports of a rig, by what the same report says of others that
  are well: a stream of which it is not said whether it sends clears only of streams that are not
  there. Nothing else is like it, and it is like nothing else;
- of a `blip` or an `unknown` drop, not at all: what was under way at the same moment may have been
  answered before the onset, or after the end.

Segments that are `spread` over machines are cleared by none of these: the other leg's beat, or its
connection, may have met another machine. A leg that only connects clears only failed connects, and
so does a good beat that was a refusal: it exercised no more. One that only asks for the upgrade
clears nothing of what travels on an open WebSocket. A leg clears nothing of a drop that
overlaps a drop of its own, or was noticed within a second of one.

The failed leg's own answers clear what lies before the one that answered. An HTTP answer that is no
gateway's accuses its author: the segments from that of its last mark on stay suspect, up to
the first that another leg crossed through. Where neither a mark nor `tcp_ends_at` says how far the
request came, they begin at the first that nobody crossed through. A refusal is the far machine's
own, with one exception: when every connect over a segment was refused, and they went to two
addresses or more, it was one firewall, and nothing that these legs share is cleared. A leg that
made no connection at that time does not matter for this. An ingest gate that was found open is
cleared by nobody: what crosses it shows only that it lets in whoever may pass.

Left out altogether: inconclusive legs, planned downtime, intervals in which the prober itself
stood still, and blips that stand alone.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple, get_args

from t3probe.observation import OPEN_SOCKETS, REPORTED_KINDS, Beat, Drop, Observation
from t3probe.verdict.incident.drops import ONE_EVENT_SECONDS, JudgedDrop, host_of

How = Literal["held through", "fresh beat", "same report", "own answer", "beside"]
HOW: tuple[How, ...] = get_args(How)
"""Ways to clear, the strongest first. `beside`: it passed, and no failed leg crosses these."""

OLD_SECONDS = 3600.0
"""A connection that lived so long outlives the usual limits on age."""
MOST_ASKED = 200
"""So many beats are looked at for one segment of one drop; thousands of upstreams may share it."""


class Cleared(NamedTuple):
    """What is cleared of one drop, and by whom."""

    segments: frozenset[str]
    by: dict[str, How]
    """The legs that clear; itself for its own answers."""
    own: tuple[str, ...]
    each: dict[str, set[str]]
    """What each other leg clears."""


class _Stretch(NamedTuple):
    """Good beats in a row on one connection of a leg."""

    leg: str
    first: float
    """When the first one was answered."""
    last: float
    """When the last one was sent."""
    opened: float
    host: str
    asks: bool
    """Each of its beats is a request; an echo on an open WebSocket asks nothing anew."""


class _Good(NamedTuple):
    """A good fresh beat."""

    sent: float
    ended: float
    leg: str
    refused: bool


class _Falls:
    """When a leg dropped."""

    def __init__(self, drops: Iterable[Drop]) -> None:
        falls = sorted((max(one.began, one.noticed), one.began) for one in drops)
        self._noticed = [noticed for noticed, _ in falls]
        # Its two strands may fail at once: the later one may have begun earlier.
        self._began = list(accumulate((began for _, began in reversed(falls)), min))[::-1]

    def near(self, since: float, noticed: float) -> bool:
        """Whether one of them overlaps this interval, or was noticed within a second of its end."""
        at = bisect_left(self._noticed, min(since, noticed - ONE_EVENT_SECONDS))
        if at == len(self._noticed):
            return False
        soon = self._noticed[at] <= noticed + ONE_EVENT_SECONDS
        return soon or self._began[at] <= noticed


class Evidence:
    """What the legs of one run can say about each other's drops."""

    def __init__(self, legs: Sequence[tuple[str, Observation]], spread: Iterable[str] = ()) -> None:
        self._spread = frozenset(spread)
        self._falls: dict[str, _Falls] = {}
        self._connects: set[str] = set()
        self._upgrades: set[str] = set()
        self._crossing: dict[str, list[str]] = {}
        self._held: dict[str, list[_Stretch]] = {}
        self._stretches: dict[str, list[_Stretch]] = {}
        self._clears: dict[str, tuple[str, ...]] = {}
        """What a leg's beats may clear for other legs."""
        self._fresh: dict[str, list[_Good]] = {}
        self._paths: dict[str, tuple[str, ...]] = {}
        self._proved: dict[str, str] = {}
        """The last segment that a leg proved to work."""
        self._dialled: dict[str, list[float]] = {}
        self._refused: dict[str, list[tuple[float, str]]] = {}
        self._reports: dict[tuple[str, float | None], dict[str, list[tuple[float, str]]]] = {}
        """Report → segment → the legs that are well by it, and when each last sent something."""
        for name, seen in legs:
            self._take(name, seen)
        for found in self._fresh.values():
            found.sort()

    def _take(self, name: str, seen: Observation) -> None:
        falls = [one for one in seen.drops if not one.stalled]
        if falls:
            self._falls[name] = _Falls(falls)
        if seen.level == "connect":
            self._connects.add(name)
        if seen.kind == "ws_upgrade":
            self._upgrades.add(name)
        self._paths[name] = seen.path
        cleared = [one for one in seen.path if seen.clears is None or one in seen.clears]
        if cleared:
            self._proved[name] = cleared[-1]
        if seen.kind in REPORTED_KINDS:
            # Others were told of it, and no attempt of ours was made: it is like nothing else.
            self._clears[name] = tuple(one for one in cleared if one not in self._spread)
            for beat in seen.beats:
                if beat.ok:
                    report = self._reports.setdefault((seen.kind, beat.sent), {})
                    for segment in self._clears[name]:
                        report.setdefault(segment, []).append((seen.started, name))
            return
        fresh = [one for one in seen.beats if one.strand == "fresh"]
        self._dialled[name] = sorted(one.sent for one in fresh)
        good = [_Good(one.sent, one.ended, name, one.refused) for one in fresh if one.ok]
        if any(one.refused for one in good):
            at = host_of(seen.address)
            self._refused[name] = [(one.sent, at) for one in good if one.refused]
        stretches = _stretches(name, seen) if seen.level == "hold" else []
        for segment in seen.path:
            self._crossing.setdefault(segment, []).append(name)
        self._stretches[name] = stretches
        self._clears[name] = tuple(one for one in cleared if one not in self._spread)
        for segment in self._clears[name]:
            if good:
                self._fresh.setdefault(segment, []).extend(good)
            if stretches:
                self._held.setdefault(segment, []).extend(stretches)

    def of(self, fault: JudgedDrop, firewalled: frozenset[str] = frozenset()) -> Cleared:
        """What is cleared of a drop. `firewalled`: segments that no refusal clears."""
        found = {name: dict(self._clearing(fault, name, firewalled)) for name in fault.path}
        if fault.accused in fault.path:
            for segment in self._authors(fault, found):
                found[segment] = {}
        if fault.opened:
            found[fault.opened] = {}  # whoever may pass shows nothing of who must not
        by: dict[str, How] = {}
        each: dict[str, set[str]] = {}
        for segment, legs in found.items():
            by |= legs
            for leg in legs:
                each.setdefault(leg, set()).add(segment)
        own = tuple(one for one in fault.own if not (fault.refused and one in firewalled))
        if own:
            by[fault.leg] = "own answer"
        cleared = frozenset(name for name, legs in found.items() if legs)
        return Cleared(cleared.union(own), by, own, each)

    def _authors(self, fault: JudgedDrop, found: Mapping[str, Mapping[str, How]]) -> Iterator[str]:
        """Who may have made the answer that a drop ended in, by what others clear of it."""
        suspects, placed = fault.path[fault.path.index(fault.accused) :], not fault.unplaced
        for segment in suspects:
            if any(self._proved[leg] != segment for leg in found[segment]):
                if placed:
                    return  # somebody crossed through it
                continue  # and whoever made the answer lies behind it
            if not placed and segment == suspects[-1] != suspects[0]:
                return  # whoever ends at it, too, asked it for all that this leg wants of it
            placed = True
            yield segment

    def _clearing(
        self, fault: JudgedDrop, segment: str, firewalled: frozenset[str]
    ) -> Iterable[tuple[str, How]]:
        if fault.report is not None:
            well = self._reports.get(fault.report, {}).get(segment, ())
            # When what all cross falls silent, one is called silent a little before the other: only
            # what was heard long after the silence began was heard through it.
            at = fault.drop.asked if fault.drop.asked is not None else fault.noticed
            heard = (fault.began + at) / 2 if fault.began < at else -math.inf
            for last, leg in well[:MOST_ASKED]:
                if (fault.connects or leg not in self._connects) and last >= heard:
                    yield leg, "same report"
            return
        if fault.symptom == "cut":
            for one in self._held.get(segment, ()):
                if one.leg != fault.leg and self._held_through(one, fault, segment):
                    yield one.leg, "held through"
            return
        for good in self._at_the_time(fault, segment):
            if good.leg == fault.leg or self._falls_with(good.leg, fault):
                continue
            if (good.refused or good.leg in self._connects) and not fault.connects:
                continue
            if good.leg in self._upgrades and fault.speaks:
                continue
            if good.refused and segment in firewalled:
                continue
            yield good.leg, "fresh beat"

    def _held_through(self, one: _Stretch, fault: JudgedDrop, segment: str) -> bool:
        if one.first > fault.since or one.last < fault.noticed:
            return False
        if fault.asks and not one.asks:
            return False
        age = one.last - one.opened
        if age < fault.age and (age < OLD_SECONDS or fault.aged_out):
            return False
        if segment in fault.near and not (one.host and one.host == fault.host):
            return False
        return not self._falls_with(one.leg, fault)

    def _at_the_time(self, fault: JudgedDrop, segment: str) -> Iterable[_Good]:
        """Good fresh beats over a segment that met what the drop met."""
        beats = self._fresh.get(segment, [])
        if fault.symptom in ("down", "refusing") and fault.until is not None:
            first = bisect_right(beats, fault.noticed, key=_sent)
            last = bisect_left(beats, fault.until, key=_sent)
            some = beats[first : min(last, first + MOST_ASKED)]
            return [one for one in some if one.ended - one.sent <= fault.longest]
        return ()

    def held_through(self, began: float, ended: float) -> dict[str, tuple[str, ...]]:
        """The legs with a connection that worked before this interval and after it, each with
        the segments that this clears of what broke then."""
        return {
            leg: self._clears[leg]
            for leg, stretches in self._stretches.items()
            if any(one.first <= began and one.last >= ended for one in stretches)
            and not self._falls_near(leg, began, ended)
        }

    def _falls_with(self, leg: str, fault: JudgedDrop) -> bool:
        """Whether a leg dropped itself so near to this that it may be the same event."""
        return self._falls_near(leg, fault.since, fault.noticed)

    def _falls_near(self, leg: str, began: float, ended: float) -> bool:
        falls = self._falls.get(leg)
        return falls is not None and falls.near(began, ended)

    def firewalled(self, faults: Sequence[JudgedDrop]) -> frozenset[str]:
        """The segments that refusals of these drops do not clear: they came from one firewall.

        That is so when every leg over some segment was refused, at two addresses or more.
        """
        hosts: dict[str, set[str]] = {}
        for fault in faults:
            if fault.refused:
                hosts.setdefault(fault.leg, set()).update(fault.refused)
        if not hosts:
            return frozenset()
        began = min(one.noticed for one in faults) - ONE_EVENT_SECONDS
        ended = max(one.second_ended or one.noticed for one in faults) + ONE_EVENT_SECONDS
        for leg, refused in self._refused.items():
            found = {host for at, host in refused if began <= at <= ended}
            if found:
                hosts.setdefault(leg, set()).update(found)
        shared: set[str] = set()
        for segment in {name for leg in hosts for name in self._paths[leg]}:
            legs = self._crossing[segment]
            legs = [one for one in legs if one in hosts or self._dials(one, began, ended)]
            if not all(one in hosts for one in legs):
                continue
            if len({host for one in legs for host in hosts[one]}) > 1:
                crossed = Counter(name for one in legs for name in set(self._paths[one]))
                shared.update(name for name, count in crossed.items() if count > 1)
        return frozenset(shared)

    def _dials(self, leg: str, began: float, ended: float) -> bool:
        dialled = self._dialled[leg]
        at = bisect_left(dialled, began)
        return at < len(dialled) and dialled[at] <= ended


def _sent(one: _Good) -> float:
    return one.sent


def _stretches(name: str, seen: Observation) -> list[_Stretch]:
    """Each run of good beats on one connection."""
    known = {one.conn: one for one in seen.connections}
    opened: dict[int, float] = {}
    running: dict[int, list[Beat]] = {}
    out: list[_Stretch] = []

    def end(run: list[Beat]) -> None:
        if len(run) > 1:
            conn = run[0].conn
            where = known[conn].remote_address if conn in known else seen.address
            began = min(known[conn].opened, opened[conn]) if conn in known else opened[conn]
            times = run[0].ended, run[-1].sent, began
            out.append(_Stretch(name, *times, host_of(where), seen.kind not in OPEN_SOCKETS))
        run.clear()

    for beat in sorted(seen.beats, key=lambda one: one.sent):
        run = running.setdefault(beat.conn, [])
        if beat.ok and not beat.refused:
            opened.setdefault(beat.conn, beat.sent)
            run.append(beat)
        elif beat.ok or beat.conclusive:
            end(run)  # where only the kernel answered, the connection may have ended
    for run in running.values():
        end(run)
    return out


def takes_part(seen: Observation) -> bool:
    """Whether a leg is evidence at all."""
    return seen.outcome != "inconclusive" and not seen.planned
