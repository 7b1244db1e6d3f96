"""What the browsers of people recorded, around the time that is asked about.

A record is one leg more, `client-NAME`: over the person's own last mile and the public way. It can
be forged, so it accuses nobody by itself and clears nothing but that last mile.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from t3probe.ask.explain.seen import Compared
from t3probe.observation import OPEN_SOCKETS, Attempt, Drop, Observation, Reason
from t3probe.record.client import (
    STOOD_STILL,
    ClientDrop,
    ClientEdge,
    ClientGap,
    ClientRecord,
    GapKind,
)
from t3probe.record.facts import Recording
from t3probe.text.names import CLIENT_LEG
from t3probe.verdict.incident.drops import SAME_AGE, TOGETHER_SECONDS, JudgedDrop
from t3probe.verdict.incident.evidence import Evidence, takes_part

LEAST_CLOCK_SECONDS = 0.5
"""Two clocks that somebody keeps right are not nearer than this for sure."""
UNKNOWN_CLOCK_SECONDS = 5.0
"""By so much a person's clock may be wrong when the page did not learn how it stands."""
AWAKE_SECONDS = 60.0
"""A device that woke, or is back on a network, reaches us again within this."""
AWAY: frozenset[GapKind] = frozenset({"offline", "network"})
"""The device was not where its connections were."""
STILL_SECONDS = 5.0
"""A device that slept for less kept its connections, as far as anybody can tell."""
NAME_CHARACTERS = 40
ENDED: frozenset[Reason] = frozenset({"closed_by_peer", "connection_reset"})
"""How a connection ends that was heard to end."""
SILENCE_SECONDS = 60.0
"""A page whose timers came late kept its connections, but for those that a limit on silence ends;
usual ones are no shorter than this."""
APART_SECONDS = 1.0
SOON_SECONDS = 1.0
"""A browser may say that it is offline so long after it closed its connections."""


class ClientThen(NamedTuple):
    """One person's record, and what of it belongs to the time that is asked about."""

    name: str
    record: ClientRecord
    within: float
    """By so many seconds its clock may differ from ours."""
    covers: bool
    """Whether it tells of the very time."""
    drop: ClientDrop | None
    """The drop nearest to that time; None: it saw none in the window."""
    earlier: ClientDrop | None
    """The cut before it."""
    pause: ClientGap | None
    """What of the device itself ended the connection."""
    outlived: ClientGap | None = None
    """What the device did in the window, where no drop came of it."""

    @property
    def leg(self) -> str:
        """Its leg."""
        return CLIENT_LEG + self.name

    @property
    def began(self) -> float:
        """When its drop began at the earliest. Only where there is one."""
        return self._drop.began - self.within

    @property
    def noticed(self) -> float:
        """When its drop was noticed at the latest. Only where there is one."""
        lost = self.lost if self._drop.symptom == "cut" else None
        return (self._drop.noticed if lost is None else lost) + self.within

    @property
    def lost(self) -> float | None:
        """When the connection ended that it held, where a try for a new one had failed before; None
        where it did not end, or that was how the drop was noticed."""
        drop = self._drop
        over = self.record.made if drop.ended is None else drop.ended
        return max(
            (
                one.ended
                for one in self.record.connections
                if one.opened is not None and one.opened <= drop.noticed
                and one.last_good is not None and one.last_good <= drop.noticed
                and one.ended is not None and drop.noticed < one.ended <= over
            ),
            default=None,
        )  # fmt: skip

    @property
    def ended(self) -> float:
        """When its drop was over at the latest. Only where there is one."""
        over = self._drop.ended
        return (self.record.made if over is None else over) + self.within

    def down(self, at: float) -> bool:
        """Whether its drop was going on at this time, whatever began it."""
        return self.drop is not None and self.began <= at <= self.ended

    @property
    def _drop(self) -> ClientDrop:
        if self.drop is None:
            raise LookupError("there is no drop")
        return self.drop

    @property
    def edge(self) -> ClientEdge | None:
        """The place of the CDN that it used when it dropped."""
        return None if self.drop is None else self.record.edge_at(self.drop.began)

    @property
    def blind(self) -> bool:
        """Whether what the device did just then may be among what the page did not keep."""
        gaps, left = self.record.gaps, self.record.left_out.gaps
        return left > 0 and self.drop is not None and (
            not gaps or self.drop.began < gaps[0].began
        )  # fmt: skip

    @property
    def aged_out(self) -> bool:
        """Whether its last two cuts came at about the same age: a limit on age does that."""
        drop, earlier = self.drop, self.earlier
        if drop is None or earlier is None or drop.symptom != "cut":
            return False
        if drop.age_seconds is None or not earlier.age_seconds:
            return False
        return abs(drop.age_seconds - earlier.age_seconds) <= SAME_AGE * earlier.age_seconds


def client_at(
    name: str, record: ClientRecord, at: float, window: float, vague: tuple[float, float]
) -> ClientThen:
    """One record, looked at around `at` (Unix seconds), `window` seconds to either side."""
    known = None if record.clock is None else record.clock.within_seconds
    within = UNKNOWN_CLOCK_SECONDS if known is None else max(LEAST_CLOCK_SECONDS, known)
    first, last = at - vague[0] - within, at + vague[1] + within
    drops = [one for one in record.drops if one.symptom != "blip"]
    over = [record.made if one.ended is None else one.ended for one in drops]
    near = [
        (max(0.0, one.began - last, first - end), one.began, number)
        for number, (one, end) in enumerate(zip(drops, over, strict=True))
    ]
    best = min((one for one in near if one[0] <= window), default=None)
    drop = None if best is None else drops[best[2]]
    earlier = None
    if best is not None:
        cuts = [one for one in drops[: best[2]] if one.symptom == "cut"]
        earlier = cuts[-1] if cuts else None
    covers = record.known_from <= last and record.made >= first
    # A page that was opened within the time that is meant may have been opened because of the drop.
    if drop is None and not (record.known_from <= first and _looked(record, first, last)):
        covers = False
    pause = None if drop is None else _pause(record, drop)
    outlived = _outlived(record, first, last, window) if covers and drop is None else None
    return ClientThen(name, record, within, covers, drop, earlier, pause, outlived)


def _looked(record: ClientRecord, first: float, last: float) -> bool:
    """Whether a record without a drop could have seen one between these: one connection was good
    before and after, or the page ran, and its beats told something."""
    if any(_unanswered(record, gap, first, last) for gap in record.gaps):
        return False
    if any(
        one.opened is not None and one.last_good is not None
        and one.opened <= first and one.last_good >= last
        for one in record.connections
    ):  # fmt: skip
        return True
    for gap in record.gaps:
        over = record.made if gap.ended is None else gap.ended
        if gap.kind in ("slept", "frozen") and gap.began <= last and over >= first:
            return False
    near = 2 * record.heartbeat_seconds
    rows = [one[1:] for one in record.beats if first - near <= one[0] <= last + near]
    if rows and all(trip is None for row in rows for trip in row):
        return False
    # What it holds is what an app holds: that new ones are good, does not show that it lives.
    held = [one.last_good for one in record.connections if one.last_good is not None]
    heard = max(held or _good(record), default=0.0)
    if heard >= last:
        return True
    # A record that was made in the time that is meant, or just behind it: whoever sends it at once
    # sends it before the page knows that an answer does not come.
    waits = any(at > heard for at, *_ in record.beats) or any(
        gap.ended is None and gap.kind in AWAY and gap.began >= heard for gap in record.gaps
    )
    late = min(last, record.made) - heard > record.heartbeat_seconds + SOON_SECONDS
    return heard >= first and not waits and not late


def _unanswered(record: ClientRecord, gap: ClientGap, first: float, last: float) -> bool:
    """Whether the page ran now and then in a pause over that time, and what it asked last got no
    answer that it could tell of: a connection can outlive a silence that an app does not."""
    over = record.made if gap.ended is None else gap.ended
    if gap.kind != "late" or gap.began > last or over < first:
        return False
    asked = [trips for at, *trips in record.beats if gap.began < at < over and at <= last]
    return bool(asked) and all(trip is None for trip in asked[-1])


def _good(record: ClientRecord) -> list[float]:
    """When the beats were sent that were answered."""
    return [at for at, *trips in record.beats if any(one is not None and one >= 0 for one in trips)]


def _outlived(record: ClientRecord, first: float, last: float, window: float) -> ClientGap | None:
    """What of the device an app may have shown, the nearest to the time between these: it was away
    from the network, or did not run for a while."""
    found = []
    for gap in record.gaps:
        over = record.made if gap.ended is None else gap.ended
        far, length = max(0.0, gap.began - last, first - over), over - gap.began
        told = gap.kind in AWAY or (gap.kind in STOOD_STILL and length >= STILL_SECONDS)
        if told and far <= window:
            found.append((far, -length, gap))
    return min(found, key=lambda one: one[:2])[2] if found else None


def _pause(record: ClientRecord, drop: ClientDrop) -> ClientGap | None:
    """What of the device explains a drop: it was away from the network, or did not run, before
    anything had failed. The longest, where there are several."""
    found = []
    good = _good(record)
    failed = _last_failure(record, drop)
    for gap in record.gaps:
        over = record.made if gap.ended is None else gap.ended
        away, length = gap.kind in AWAY, over - gap.began
        soon = SOON_SECONDS if away else 0.0
        # What was open on the network before may be answered once more.
        until = over + SOON_SECONDS if gap.kind == "network" else over
        if gap.began >= drop.noticed + soon or until < drop.began:
            continue
        if gap.kind == "offline" and any(gap.began < one < drop.began for one in good):
            continue  # what was answered meanwhile shows that the browser was wrong
        if failed is not None and failed > over + AWAKE_SECONDS:
            continue  # it did not come back with the device
        asked = drop.noticed - record.watchdog_seconds + SOON_SECONDS
        if drop.reason == "rtt_timeout" and gap.kind in STOOD_STILL and gap.began > asked:
            continue  # what got no answer was sent before
        if drop.new_alone and not away:
            continue  # what it held outlived that, and a device that is awake may open a new one
        least = STILL_SECONDS
        if gap.kind == "late":
            # A tab that is woken once a minute is one gap of hours, and asks each time.
            least, length = SILENCE_SECONDS, min(over, drop.noticed) - max(gap.began, drop.began)
        if gap.kind == "frozen" and drop.reason in ENDED:
            least = 0.0  # a browser that freezes a page ends its WebSockets at once
        if away or (gap.kind in STOOD_STILL and length >= least):
            found.append((not away, length, gap))
    return max(found, key=lambda one: one[:2])[2] if found else None


def leg_name(text: str, taken: Sequence[str]) -> str:
    """A name for a client's leg from a file's name, a person's or a code; a number makes it new."""
    clean = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:NAME_CHARACTERS] or "record"
    number, name = 1, clean
    while name in taken:
        number += 1
        name = f"{clean}-{number}"
    return name


def compared(
    recording: Recording, client: ClientThen, public: str | None = None
) -> Compared | None:
    """What a run says of the way when `client` dropped. `public`: the leg that goes the person's
    way; None: the one over an open WebSocket that crosses most. None when it was another time."""
    legs = [one for one in recording.observations if takes_part(one) and not one.after_hold]
    over = recording.run.started_at + recording.run.duration_seconds
    if client.drop is None or over < client.began or recording.run.started_at > client.ended:
        return None
    edge = _edge_of(legs, public)
    seen = [one for one in legs if edge and edge in one.path and not one.of_many]
    edges = {
        one.leg: (one.colo, 6 if _host_is_six(one.address) else 4) for one in seen if one.address
    }
    theirs = client.edge
    partly = {one.leg for one in seen if one.answered[0] < one.answered[1]}
    same = {
        leg for leg, (colo, family) in edges.items()
        if theirs is not None and colo and (theirs.colo, theirs.family) == (colo, family)
        and leg not in partly
    }  # fmt: skip
    start = recording.run.started_at
    evidence = Evidence([(one.leg, one) for one in legs], recording.run.spread)
    segments = tuple(dict.fromkeys(name for one in legs for name in one.path))

    def cleared(fault: JudgedDrop, allowed: frozenset[str] | set[str]) -> frozenset[str]:
        found = evidence.of(fault).each
        return frozenset(
            name for leg, names in found.items() for name in names if name != edge or leg in allowed
        )

    fault = _fault(client, segments, start)
    # Where the connection ends is not known: it may have met other machines all the way.
    proved = cleared(fault, same) if edge else frozenset()
    # Without the connection's age, and where nobody knows which place of the CDN they met.
    fault.age, fault.aged_out = 0.0, False
    known = theirs is not None and theirs.colo is not None and any(one for one, _ in edges.values())
    worked = cleared(fault, same if known else set(edges))
    if client.drop.symptom != "cut":
        # Where new tries failed first, that is no word of how it began.
        if client.drop.strand != "fresh" and client.drop.reason in ENDED and client.lost is None:
            # What ended their connection left ours alone, whatever became of their tries.
            fault.symptom = "cut"
            worked |= cleared(fault, same if known else set(edges))
        worked |= _answered(legs, client, start, edge, same if known else set(edges))
    return Compared(
        proved=tuple(sorted(proved)),
        worked=tuple(sorted(worked.union(proved).difference(recording.run.spread))),
        edge=edge,
        edges=tuple(dict.fromkeys(edges.values())),
    )


def _edge_of(legs: Sequence[Observation], public: str | None) -> str:
    sockets = [one for one in legs if one.kind in OPEN_SOCKETS and one.path]
    named = [one for one in legs if one.leg == public]
    best = named or sorted(sockets, key=lambda one: (-len(one.path), one.leg))
    return best[0].tcp_ends_at if best else ""


def _host_is_six(address: str) -> bool:
    return address.startswith("[") and "." not in address


def _fault(client: ClientThen, segments: Sequence[str], start: float) -> JudgedDrop:
    """The person's drop as the rules of evidence see one, widened by what the clocks may differ."""
    drop = client.drop
    if drop is None:
        raise LookupError("there is no drop")
    failed = _last_failure(client.record, client.drop)
    attempt = None
    if failed is not None:
        attempt = Attempt(started=failed - start, ended=failed - start, ok=False, reason="io_error")
    fault = JudgedDrop(
        client.leg,
        Observation(leg=client.leg, kind="ws_echo", path=tuple(segments), outcome="failed"),
        Drop(
            began=client.began - start,
            noticed=client.noticed - start,
            reason="io_error",  # the page's own word is not to be believed
            symptom=drop.symptom,
            stage="hold" if drop.symptom == "cut" else "ask",
            call=0,
            attempt=attempt,
            conn=None,
            connection_age_seconds=drop.age_seconds,
        ),
        None,
    )
    fault.aged_out = client.aged_out
    if drop.symptom == "cut" and drop.age_seconds is None:
        fault.age = float("inf")
    # Which address it met is told by the place of the CDN instead.
    fault.near = frozenset()
    fault.until = None if failed is None else failed - start - client.within - TOGETHER_SECONDS
    return fault


def _last_failure(record: ClientRecord, drop: ClientDrop | None) -> float | None:
    """When the last attempt of its outage began that failed; None: none after the first."""
    if drop is None:
        return None
    over = record.made if drop.ended is None else drop.ended
    tries = [at for at, _, fresh in record.beats if fresh is not None and fresh < 0]
    tries += [one.began for one in record.connections if one.opened is None]
    return max((one for one in tries if drop.noticed < one < over), default=None)


def _answered(
    legs: Sequence[Observation], client: ClientThen, start: float, edge: str, allowed: set[str]
) -> frozenset[str]:
    """The segments of legs that had no drop in the time of the person's, and two good fresh beats,
    not of one moment, between two attempts of the person's that failed, by what the clocks say.

    What comes and goes may be met by them and missed by us: one good beat is not enough.
    """
    drop = client.drop
    if drop is None:
        return frozenset()
    failed = _last_failure(client.record, client.drop)
    if failed is None:
        return frozenset()
    first, last = drop.noticed - start, failed - start
    began, ended = client.began - start, client.ended - start
    found: dict[str, list[float]] = {}
    for one in legs:
        if one.level == "connect" or one.kind == "ws_upgrade":
            continue
        falls = (fall for fall in one.counted if fall.began <= ended)
        if any(fall.recovered is None or fall.recovered >= began for fall in falls):
            continue
        if any(not beat.ok and beat.ended >= began and beat.sent <= ended for beat in one.beats):
            continue  # it cannot tell what it met then, and so clears nothing
        good = [
            beat.sent
            for beat in one.beats
            if beat.strand == "fresh" and beat.ok and not beat.refused
            and first <= beat.sent <= last
        ]  # fmt: skip
        for name in one.path if one.clears is None else one.clears:
            if name != edge or one.leg in allowed:
                found.setdefault(name, []).extend(good)
    return frozenset(
        name for name, sent in found.items() if sent and max(sent) - min(sent) >= APART_SECONDS
    )
