"""A leg's attempts: where to dial, every address at once, and which line to keep."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from t3probe.config.dialled import dialled as named
from t3probe.config.dialled import of_a_machine
from t3probe.config.endpoints import is_address, plain_host
from t3probe.config.types import Leg
from t3probe.observation import AddressTry, Attempt, AttemptPhase
from t3probe.probes import opener
from t3probe.probes.base import Channel
from t3probe.probes.facts import Collapsed, Echo, ProbeError, Target
from t3probe.probes.resolve import disagreement, split_address, targets
from t3probe.run.book import Book
from t3probe.run.own_answer import evidence

if TYPE_CHECKING:
    from t3probe.run.engine import Engine


@dataclass(slots=True)
class AddressAttempt:
    """One attempt at one address."""

    target: Target
    conn: int
    started: float
    ended: float = 0.0
    line: Channel | None = None
    echo: Echo | None = None
    error: ProbeError | None = None


class Attempts:
    """Dials for one leg. Owns the lines it opened until they are closed."""

    def __init__(self, leg: Leg, run: Engine, book: Book, wake: asyncio.Event) -> None:
        self.leg, self.run, self.book = leg, run, book
        self.tried_at = 0.0
        """When the newest attempt was over."""
        self._wake = wake
        self._open = opener(leg.kind)
        self._targets: list[Target] = []
        self._resolved_at = 0.0
        self._lines: set[Channel] = set()
        self._conn = -1

    async def resolve(self) -> bool:
        """Find the addresses to dial; False when there are none.

        Raises ResolveError, and Collapsed when public DNS answers an internal address.
        """
        began = self.run.clock.now()
        found = await targets(self.leg, self.run.probing, self.run.resolver)
        self._resolved_at = now = self.run.clock.now()
        if not found:
            return False
        if self._asks_for_names:
            self.book.resolved = AttemptPhase(
                name="resolve", started=began, seconds=round(now - began, 6)
            )
        self._check_not_internal(found)
        self._targets, self.book.unresolved = found, ""
        self.book.note = found[0].note
        return True

    @property
    def _asks_for_names(self) -> bool:
        """Whether somebody is asked where to dial: some legs have the address in the file."""
        leg = self.leg
        if leg.kind == "doh":
            return False
        if leg.doh:
            return True
        if leg.url is not None:
            return leg.pin is None and not is_address(urlsplit(leg.url).hostname or "")
        return not all(is_address(host) for host, _ in named(leg))

    @property
    def resolve_is_due(self) -> bool:
        """Whether the addresses are too old to be dialled once more without asking."""
        limit = self.run.resolve_again
        return limit is not None and self.run.clock.now() - self._resolved_at >= limit

    def keep_addresses(self) -> None:
        """Go on with the known addresses, and do not ask again for a while."""
        self._resolved_at = self.run.clock.now()

    def _check_not_internal(self, found: list[Target]) -> None:
        if self.leg.doh and self.leg.kind != "doh":
            providers = [urlsplit(url).hostname or "" for url in self.leg.doh]
            written = {plain_host(split_address(one)[0]) for one in self.leg.fallback}
            for target in found:
                address = plain_host(target.address)
                inside = address in self.run.probing.internal_addresses
                said = address in written or of_a_machine(address, providers)
                if inside or not said:
                    raise Collapsed(
                        f"public DNS answers {target.address}, which is an internal address: "
                        "the leg would take another way"
                    )

    async def all(self) -> tuple[AddressAttempt, list[AddressAttempt]]:
        """Try every address at once: the one to keep (or the most telling failure), and all.

        Raises Collapsed.
        """
        parent = self.run.probing.parent(self.leg)
        dialled = (
            [replace(one, traced=parent) for one in self._targets] if parent else self._targets
        )
        if len(dialled) == 1:
            tried = [await self._try(dialled[0])]
        else:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._guarded(one)) for one in dialled]
            results = [task.result() for task in tasks]
            collapsed = next((one for one in results if isinstance(one, Collapsed)), None)
            if collapsed is not None:
                raise collapsed
            tried = [one for one in results if isinstance(one, AddressAttempt)]
        self.tried_at = self.run.clock.now()
        self.book.looked(self.tried_at)
        kept = kept_of(tried)
        if self.leg.kind == "doh" and kept.line is not None:
            _note_disagreement(self.leg, kept, tried)
        for other in tried:
            if other is not kept and other.line is not None:
                await self.close(other.line)
        return kept, tried

    async def _try(self, target: Target) -> AddressAttempt:
        self._conn += 1
        call = self.run.call_number
        tried = AddressAttempt(target, self._conn, self.run.clock.now())
        line: Channel | None = None
        try:
            line = await self._open(self.leg, target, self.run.probing)
            self._lines.add(line)
            tried.echo = await line.beat()
            tried.line = line
            line.on_lost = self._wake.set
        except asyncio.CancelledError:
            now = self.run.clock.now()
            self.book.cut_short(tried.started, now, tried.conn, call, "fresh")
            raise
        except Collapsed:
            if line is not None:
                await self.close(line)
            raise
        except ProbeError as error:
            tried.error = error
            facts = line.facts if line is not None else error.facts
            if facts is not None:
                self.book.learn(facts)
            if line is not None:
                error.facts = line.facts
                await self.close(line)
        finally:
            tried.ended = self.run.clock.now()
        return tried

    async def _guarded(self, target: Target) -> AddressAttempt | Collapsed:
        try:
            return await self._try(target)
        except Collapsed as error:
            return error

    async def open_beside(self, target: Target) -> Channel:
        """One more line, beside the leg's own attempts. Raises ProbeError or Collapsed."""
        line = await self._open(self.leg, target, self.run.probing)
        self._lines.add(line)
        return line

    async def close(self, line: Channel) -> None:
        """Let go of a line."""
        self._lines.discard(line)
        await line.close()

    async def close_all(self) -> None:
        """Let go of every line, those of attempts that were cut short too."""
        await asyncio.gather(*(line.close() for line in self._lines), return_exceptions=True)
        self._lines.clear()


def _note_disagreement(leg: Leg, kept: AddressAttempt, tried: Sequence[AddressAttempt]) -> None:
    """Where one provider answers, and another one that there is no address."""
    from t3probe.probes.doh import NoAddress

    assert kept.line is not None
    without = [str(one.target) for one in tried if isinstance(one.error, NoAddress)]
    if without:
        words = disagreement(leg.query or "", without, str(kept.target))
        kept.line.facts.evidence.append(words)


def kept_of(tried: Sequence[AddressAttempt]) -> AddressAttempt:
    """Of the tries of one attempt the first that worked, else the most telling failure."""
    good = [one for one in tried if one.error is None]
    if good:
        return good[0] if len(good) == 1 else min(good, key=_by_address)
    worst = max(tried, key=lambda one: _telling(one.error))
    if worst.error is not None and worst.error.unroutable:
        worst.error.conclusive = False  # this machine could try none of the addresses
    return worst


def attempt_of(kept: AddressAttempt, leg: Leg, tried: Sequence[AddressAttempt]) -> Attempt:
    """The second look, for the record."""
    failed = kept.error
    dialled = [one for one in tried if one.error is None or not one.error.unroutable]
    refused = [one for one in dialled if one.error and one.error.reason == "connect_refused"]
    everywhere = len(refused) == len(dialled) > 1
    proof = None if failed is None else evidence(leg, failed)
    return Attempt(
        started=kept.started,
        ended=kept.ended,
        ok=failed is None,
        reason=failed.reason if failed else None,
        stage=failed.stage if failed else "ask",
        detail=failed.detail if failed else "",
        carried=proof.carried if proof else (),
        accused=proof.accused if proof else "",
        remote_address=str(kept.target) if failed else "",
        refused_at=tuple(str(one.target) for one in refused) if everywhere else (),
    )


def addresses(tried: list[AddressAttempt]) -> tuple[AddressTry, ...]:
    """How each address answered, for the record."""
    return tuple(
        AddressTry(
            address=str(one.target),
            ok=one.error is None,
            reason=one.error.reason if one.error else None,
            detail=one.error.detail if one.error else "",
            skipped=one.error.unroutable if one.error else False,
        )
        for one in tried
    )


def _by_address(one: AddressAttempt) -> tuple[int, int, int]:
    """The lowest address first: legs of one host name then hold the same machine."""
    address = ipaddress.ip_address(plain_host(one.target.address))
    return address.version, int(address), one.target.port


def _telling(error: ProbeError | None) -> tuple[bool, bool, int]:
    """An address that may be well keeps the others from speaking for the leg."""
    order = {"connect": 0, "ask": 1, "hold": 2}
    assert error is not None
    return (not error.unroutable, not error.conclusive, order[error.stage])
