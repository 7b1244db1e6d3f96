"""Drops as the rules of evidence see them, and which of them are told together. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from t3probe.config.endpoints import plain_host
from t3probe.observation import OPEN_SOCKETS, Attempt, Drop, Observation, Reason, Symptom
from t3probe.text.names import WALL_SEGMENT

WORSE: dict[Symptom, int] = {"down": 0, "refusing": 1, "cut": 2, "unknown": 3, "blip": 4}
ONE_EVENT_SECONDS = 1.0
"""Drops that are noticed this close together may have one cause."""
TOGETHER_SECONDS = 0.25
"""What is compared with a second look began this soon after it, and took no longer: it might have
been answered when the outage was over."""
RESENT_SECONDS = 1.0
"""After so long a kernel sends a connect again that was not answered."""
REQUESTS: frozenset[Reason] = frozenset(
    {
        *("http_4xx", "http_5xx", "http_other", "walled_off", "not_walled", "gate_open"),
        *("token_refused", "upgrade_rejected", "resolver_failed"),
    }
)
"""How a request fails by an answer."""
OPEN: frozenset[Reason | None] = frozenset({"gate_open", "not_walled"})
"""What is found where a gate or a wall lets a stranger in."""
REPORTED: frozenset[Reason] = frozenset({"stream_silent", "stream_absent", "jump_absent"})
"""What somebody else reports, and no attempt of ours found."""
WALL = "wall"
SAME_AGE = 0.1
"""Two cuts came at about the same age when the ages differ by no more than this share."""


class JudgedDrop:
    """One drop as the rules of evidence see it. Times are seconds since the run's start."""

    def __init__(self, name: str, seen: Observation, drop: Drop, earlier: Drop | None) -> None:
        self.leg = name
        self.path = seen.path
        self.drop = drop
        self.symptom: Symptom = drop.symptom
        self.began = drop.began
        self.onset = drop.began if drop.onset is None else drop.onset
        """When the outage began that this is the newest part of."""
        self.noticed = max(drop.began, drop.noticed)
        self.recovered = drop.recovered
        sent = (one.sent for one in seen.beats if one.ok and one.ended == drop.began)
        self.since = min([drop.began, *sent])
        """When the last good beat was sent: its answer may have left what broke long before."""
        second = drop.attempt
        self.second_ended = None if second is None or second.ok else second.ended
        self.until: float | None = None
        """Beats that began by then were under way with the second look; None: there was none."""
        self.longest = TOGETHER_SECONDS
        """Those that took no longer met what the second look met."""
        if second is not None and not second.ok:
            self.until = min(second.ended, second.started + TOGETHER_SECONDS)
            if second.stage == "connect" and second.ended - second.started > RESENT_SECONDS:
                self.longest = RESENT_SECONDS  # it was sent again, and not answered then either
        self.connects = (second.stage if second and not second.ok else drop.stage) == "connect"
        """Not even a TCP connection could be opened."""
        silent = drop.reason == "rtt_timeout" and seen.kind not in OPEN_SOCKETS
        self.asks = silent or drop.reason in REQUESTS
        """A request was answered wrongly, or not at all; the connection itself may have lived."""
        self.report = (seen.kind, drop.asked) if drop.reason in REPORTED else None
        """Where it was reported: by whom, and when; None: it was found by an attempt."""
        last = drop.reason if second is None or second.ok else second.reason
        self.speaks = seen.kind in OPEN_SOCKETS and not (
            self.connects or last in REQUESTS or last == "tls_failed"
        )
        """What travels on an open WebSocket did not come through, or may not have."""
        self.age = _age(drop, seen)
        self.host = host_of(drop.remote_address)
        end = seen.path.index(seen.tcp_ends_at) + 1 if seen.tcp_ends_at in seen.path else None
        self.near = frozenset(seen.path[:end])
        """The segments up to where its TCP connection ends; all where the file does not say."""
        self.aged_out = (
            earlier is not None
            and earlier.connection_age_seconds is not None
            and abs(earlier.connection_age_seconds - (drop.connection_age_seconds or 0.0))
            <= SAME_AGE * earlier.connection_age_seconds
        )
        self.accused = drop.accused or (second.accused if second and not second.ok else "")
        self.unplaced = end is None and self.accused == next(iter(seen.path), None)
        """Nothing says how far its request came: who made the answer may be anybody on its path."""
        said = (drop.reason, second.reason if second and not second.ok else None)
        self.opened = _door(seen.path) if OPEN.intersection(said) else ""
        """The gate or wall that was found open."""

    @property
    def refused(self) -> frozenset[str]:
        """The hosts that refused the newest attempt's connects; empty when none did."""
        told: Drop | Attempt = self.drop
        at = [self.drop.remote_address]
        if self.drop.attempt is not None and not self.drop.attempt.ok:
            told = self.drop.attempt
            at = [told.remote_address, *told.refused_at]
        if told.reason != "connect_refused":
            return frozenset()
        return frozenset(host_of(one) for one in at if one)

    @property
    def own(self) -> tuple[str, ...]:
        """The segments that its own answers clear."""
        drop, second = self.drop, self.drop.attempt
        found = dict.fromkeys(drop.carried)
        if second is not None and second.reason == "connect_timeout" and not drop.answered:
            # Bytes were acknowledged, and then not even a connect got through: the outage may have
            # begun in between.
            found.clear()
        # A second look that failed where no answer came first proves nothing about the drop.
        if second is None or second.ok or not drop.answered:
            second = None
        if second is not None and self.symptom in ("down", "refusing"):
            found.update(dict.fromkeys(second.carried))
        return tuple(one for one in found if one in self.path)  # a record may say anything


def _door(path: Sequence[str]) -> str:
    """The gate or wall that a leg tries: the wall by its name, or the last segment."""
    walls = [one for one in path if one == WALL or one.startswith(WALL_SEGMENT)]
    return walls[-1] if walls else path[-1] if path else ""


def host_of(address: str) -> str:
    """The host of `host:port` or `[host]:port`, in the one form in which hosts are compared."""
    return plain_host(address.rpartition(":")[0].strip("[]"))


def faults_of(name: str, seen: Observation) -> list[JudgedDrop]:
    """A leg's drops that count; one that failed without any failed from its start to its end."""
    if not seen.drops and seen.outcome == "failed":
        whole = Drop(
            began=seen.started,
            noticed=max(seen.started, seen.ended),
            reason=seen.reason or "io_error",
            symptom="down",
            stage="ask",
            call=0,
        )
        return [JudgedDrop(name, seen, whole, None)]
    out: list[JudgedDrop] = []
    cut: Drop | None = None
    for drop in sorted(seen.drops, key=lambda one: one.noticed):
        if drop.stalled or drop.lone:
            continue
        out.append(JudgedDrop(name, seen, drop, cut))
        if drop.symptom == "cut":
            cut = drop
    return out


def _age(drop: Drop, seen: Observation) -> float:
    """How old a connection that was cut had become, at the most, in seconds.

    One that no longer answered was dead when the beat was sent that got no answer.
    """
    if drop.symptom != "cut" or drop.connection_age_seconds is None:
        return 0.0
    waited = 0.0
    if drop.reason == "rtt_timeout" and drop.asked is not None:
        waited = drop.noticed - drop.asked
    return drop.connection_age_seconds - waited


def together(faults: Sequence[JudgedDrop]) -> list[list[JudgedDrop]]:
    """Drops that are told together: those that overlap, or are noticed within a second of one
    another, and whose legs share a segment, directly or through others."""
    faults = sorted(faults, key=lambda one: (one.since, one.noticed, one.leg))
    parent = list(range(len(faults)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    # Of those that are under way at one moment all overlap, so the one that ends last will do.
    newest: dict[str, int] = {}
    for at, fault in enumerate(faults):
        for segment in fault.path:
            other = newest.get(segment)
            if other is not None and faults[other].noticed >= fault.since:
                parent[root(at)] = root(other)
            if other is None or faults[other].noticed < fault.noticed:
                newest[segment] = at
    newest.clear()
    for at in sorted(range(len(faults)), key=lambda one: faults[one].noticed):
        for segment in faults[at].path:
            other = newest.get(segment)
            if other is not None:
                apart = faults[at].noticed - faults[other].noticed
                if apart <= ONE_EVENT_SECONDS:
                    parent[root(at)] = root(other)
            newest[segment] = at
    groups: dict[int, list[JudgedDrop]] = {}
    for at, fault in enumerate(faults):
        groups.setdefault(root(at), []).append(fault)
    return list(groups.values())
