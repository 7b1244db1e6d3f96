"""What a sweep saw as observations, by the same book that every other leg is written into."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from t3probe.config.types import Leg
from t3probe.observation import Observation
from t3probe.probes.dial import connect_error
from t3probe.probes.facts import Echo, Facts, ProbeError, Target
from t3probe.run.attempt import AddressAttempt, addresses, attempt_of, kept_of
from t3probe.run.book import Book
from t3probe.run.engine import Engine
from t3probe.run.footing import Footing
from t3probe.run.sweep import wire as wire
from t3probe.text.words import span

One = tuple[int, int, int, int, int, int, int]
"""A record of `wire.TRIED`."""


class Swept(Protocol):
    """A sweep that is over; `t3probe.run.sweep.parent.Sweep` is the one there is."""

    @property
    def legs(self) -> Sequence[Leg]: ...
    @property
    def targets(self) -> Sequence[Sequence[tuple[str, int]]]:
        """What there was to dial, of each leg."""

    base: float
    """When it began, in seconds of the run's clock."""
    limit: float
    """How long a connect may take, in seconds."""
    said: bytearray
    """The child's answer."""
    problem: str
    """Why there is no whole answer; empty when there is."""


class Said:
    """The child's answer, read."""

    def __init__(self, data: bytes | bytearray, legs: int) -> None:
        self.tries: list[list[One]] = [[] for _ in range(legs)]
        self.targets: dict[int, list[tuple[str, int]]] = {}
        """The addresses of upstreams that have names."""
        self.took: dict[int, float] = {}
        """How long their names took, in seconds."""
        self.unknown: dict[int, str] = {}
        self.near: dict[tuple[int, int], str] = {}
        """Upstream and address of a first connect that failed: its own address and port."""
        self.stalls: list[tuple[float, float]] = []
        self.complete = False
        for kind, payload in wire.frames(data):
            self._take(kind, payload)

    def _take(self, kind: bytes, payload: bytes) -> None:
        if kind == wire.TRIES:
            for one in wire.TRIED.iter_unpack(payload):
                self.tries[one[0]].append(one)
        elif kind == wire.NEAR_END:
            leg, target = wire.NEAR.unpack_from(payload)
            self.near[leg, target] = payload[wire.NEAR.size :].decode()
        elif kind == wire.STALL:
            began, ended = (one[0] for one in wire.MOMENT.iter_unpack(payload))
            self.stalls.append((began * wire.MICROSECONDS, ended * wire.MICROSECONDS))
        elif kind in (wire.ADDRESSES, wire.UNKNOWN_NAME):
            number, took = wire.NAMED.unpack_from(payload)
            words = payload[wire.NAMED.size :].decode("utf-8")
            self.took[number] = took * wire.MICROSECONDS
            if kind == wire.UNKNOWN_NAME:
                self.unknown[number] = words
            else:
                parts = words.split(" ")
                ports = map(int, parts[1::2])
                self.targets[number] = list(zip(parts[::2], ports, strict=True))
        elif kind == wire.END:
            self.complete = True


def observed(sweep: Swept, run: Engine, planned: Callable[[Leg], str]) -> list[Observation]:
    """The observations of a sweep that is over, in the order of its legs."""
    said = Said(sweep.said, len(sweep.legs))
    sweep.said.clear()
    footing = Footing(run.clock, run.timing)
    footing.stalls = [(sweep.base + began, sweep.base + ended) for began, ended in said.stalls]
    out: list[Observation] = []
    for number, leg in enumerate(sweep.legs):
        book = Book(leg, sweep.base, footing)
        book.unresolved = said.unknown.get(number, "")
        tries, said.tries[number] = said.tries[number], []
        if tries:
            targets = said.targets.get(number) or sweep.targets[number]
            writer = _Writer(sweep, leg, book, targets, said.near)
            book.facts.phases["resolve"] = round(said.took.get(number, 0.0), 6)
            writer.write(tries)
        elif not book.unresolved and sweep.problem:
            book.broken = sweep.problem
        out.append(book.observation(planned(leg)))
    return out


class _Writer:
    """Writes the tries of one upstream into its book."""

    def __init__(
        self,
        sweep: Swept,
        leg: Leg,
        book: Book,
        targets: Sequence[tuple[str, int]],
        near: Mapping[tuple[int, int], str],
    ) -> None:
        self._leg, self._book, self._near = leg, book, near
        self._base, self._limit = sweep.base, sweep.limit
        self._targets = [Target(host, host, port) for host, port in targets]

    def write(self, tries: Sequence[One]) -> None:
        """The first attempt, and the second if there was one."""
        book = self._book
        first, second = (self._attempt(tries, number) for number in (0, 1))
        later = sorted({one[2] for one in tries if one[2]})
        if not first:
            return  # cut short
        book.started = min(one.started for one in first)
        book.addresses = addresses(first)
        kept = kept_of(first)
        if kept.error is None:
            self._good(kept)
            for number in later:  # a control: that it works at that moment, too
                self._note_good(self._attempt(tries, number))
            return
        book.bad(kept.started, kept.ended, kept.conn, kept.error, 0, "fresh")
        if not kept.error.conclusive:
            return
        book.drop(
            kept.error,
            began=self._base,
            sent=kept.started,
            noticed=kept.ended,
            call=0,
            strand="fresh",
            conn=None,
            age=None,
            facts=kept.error.facts or book.facts,
            tcp=None,
        )
        if second:
            self._again(kept_of(second))

    def _again(self, kept: AddressAttempt) -> None:
        attempt = attempt_of(kept, self._leg, [kept])
        if kept.error is None:
            self._book.amend(symptom="blip", lone=True, attempt=attempt, recovered=kept.ended)
            self._good(kept)
            return
        self._book.bad(kept.started, kept.ended, kept.conn, kept.error, 0, "fresh")
        if kept.error.conclusive:
            self._book.looked_again(attempt, kept.error, held=False)
        else:
            self._book.amend(attempt=attempt)

    def _good(self, kept: AddressAttempt) -> None:
        assert kept.echo is not None
        book = self._book
        took = kept.echo.measured_seconds
        book.good(kept.echo, kept.conn, 0, None, "fresh")
        tries = book.addresses
        book.address = tries[kept.conn % len(tries)].address  # one text, not two
        if took is not None:
            book.facts.phases["connect"] = took

    def _note_good(self, tried: Sequence[AddressAttempt]) -> None:
        for one in tried:
            if one.echo is not None:
                self._book.good(one.echo, one.conn, 0, None, "fresh")

    def _attempt(self, tries: Sequence[One], number: int) -> list[AddressAttempt]:
        """One attempt at all addresses, in their order; none when it was cut short."""
        found = sorted(one for one in tries if one[2] == number)
        if len(found) < len(self._targets):
            return []
        return [self._tried(one) for one in found]

    def _tried(self, one: One) -> AddressAttempt:
        leg, at, attempt, problem, rtt, sent, ended = one
        target = self._targets[at]
        tried = AddressAttempt(
            target,
            attempt * len(self._targets) + at,
            round(self._base + sent * wire.MICROSECONDS, 6),
            round(self._base + ended * wire.MICROSECONDS, 6),
        )
        refused = False
        if problem:
            error = self._error(problem, target)
            # A reset this early came after the handshake: a refused one says so.
            accepted = error.reason == "connection_reset"
            refused = error.reason == "connect_refused" and self._leg.refused_ok
            if not accepted and not refused:
                error.facts = Facts(
                    local_address=self._near.get((leg, at), ""),
                    remote_address=str(target),
                    family="ipv6" if target.family == socket.AF_INET6 else "ipv4",
                )
                tried.error = error
                return tried
            took = None
        else:
            # The kernel's own number where it keeps one, else our clock's.
            took = round(rtt * wire.MICROSECONDS, 6) if rtt else tried.ended - tried.started
        tried.echo = Echo(
            sent=tried.started,
            ended=tried.ended,
            measured_seconds=took,
            refused=refused,
        )
        return tried

    def _error(self, problem: int, target: Target) -> ProbeError:
        if problem == wire.NO_ANSWER:
            words = f"no TCP connection to {target} within {span(self._limit)}"
            return ProbeError("connect_timeout", "connect", words)
        return connect_error(OSError(problem, os.strerror(problem)), target)
