"""What every probe shares: its one signature, and the steps it is timed by.

A probe module offers `async def open(leg, target, probing) -> Channel`. A `Channel` is a leg's
way to the far end: one TCP connection that is held, or, for one-shot legs, nothing but the
knowledge of where to go. `Channel.beat()` makes one exchange. Deadlines, retries, back-off, success
and duration belong to the caller (`t3probe.run`); a probe only talks its protocol.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from t3probe.config.endpoints import plain_host
from t3probe.config.types import Leg, Sso, Timing
from t3probe.exchange.trace_ids import Parents
from t3probe.observation import Reason, Stage, TcpSample
from t3probe.probes.facts import Collapsed, Echo, Facts, ProbeError, Target
from t3probe.probes.marks import Marks
from t3probe.probes.tls import TlsStore
from t3probe.text.words import span
from t3probe.timing import RunClock


class Channel:
    """A leg's way to the far end. Probes subclass it."""

    holds = False
    """Whether one connection carries all beats."""

    def __init__(self, target: Target, probing: Probing) -> None:
        self.target = target
        self.probing = probing
        self.facts = Facts()
        self.on_lost: Callable[[], None] = lambda: None
        """Called when the connection ends between two beats."""
        self.lost: ProbeError | None = None
        """Why the connection died between beats; None while it lives."""
        self.left_politely = False
        """The peer closed a kept-alive connection between beats, as it may: no drop."""

    async def beat(self) -> Echo:
        """One exchange. Raises ProbeError, Collapsed."""
        raise NotImplementedError

    def tcp(self) -> TcpSample | None:
        """The kernel's numbers about the connection now, where there is one."""
        return None

    async def close(self) -> None:
        """Let go of everything, within about a second. Never raises."""


Open = Callable[[Leg, Target, "Probing"], Awaitable[Channel]]
"""The one signature of a probe."""


@dataclass(slots=True)
class Probing:
    """What a run lends to its probes."""

    clock: RunClock
    timing: Timing
    sso: Sso
    tls: TlsStore
    crowd: asyncio.Semaphore
    """Bounds the one-shot connects in flight."""
    internal_addresses: frozenset[str] = frozenset()
    """Addresses that public DNS must never answer."""
    marks: Marks = field(default_factory=Marks)
    """Which response header only which segment adds."""
    once: set[str] = field(default_factory=set)
    """Names of what need not be tried again in this run."""
    lasting: bool = False
    """The held mode: what is due goes by the time of day, and not by when a run started."""
    parents: Parents | None = None
    """Where requests are to tell the server of a trace; None: they do not."""

    def parent(self, leg: Leg) -> str:
        """`TRACE-SPAN` for the next request of a leg, or for one attempt at all of its addresses;
        empty where requests name none. Those to resolvers, to paths behind or around the SSO and
        to the SSO itself never do."""
        if self.parents is None or leg.kind not in ("ws_echo", "ws", "ws_upgrade", "http"):
            return ""
        host = plain_host(urlsplit(leg.url or "").hostname or "")
        return "" if host in map(plain_host, self.sso.hosts) else self.parents.new(leg.name)

    def naming(self, parent: str, facts: Facts) -> dict[str, str]:
        """The header by which a request names its parent; what it named stays in `facts`."""
        facts.traced = parent
        if not parent or self.parents is None:
            return {}
        return {"traceparent": self.parents.header(parent)}

    @asynccontextmanager
    async def step(
        self, facts: Facts, name: str, limit: float, reason: Reason, stage: Stage, what: str
    ) -> AsyncIterator[None]:
        """Time one phase, and end it after `limit` seconds with a ProbeError."""
        began, failed = self.clock.now(), True
        try:
            async with asyncio.timeout(limit):
                yield
            failed = False
        except TimeoutError as error:
            raise ProbeError(reason, stage, f"{what} within {span(limit)}") from error
        finally:
            facts.step(name, began, self.clock.now() - began, failed)
        facts.phases.setdefault(name, round(self.clock.now() - began, 6))


_RAY = re.compile(r"[0-9A-Za-z-]{1,64}")


def check_route(
    leg: Leg, headers: Mapping[str, Any], facts: Facts, marks: Marks, nonce: str
) -> str:
    """Does this response come from the leg's own route? Notes `cf-ray` and the colo.

    Returns the last segment of the leg's path whose mark it carries, as an answer to the request
    with this nonce; empty when it carries none. Raises Collapsed when a header is missing that the
    route always adds, or one is there that it never has, such as the mark of a segment that is not
    on the leg's path. `headers` finds lower-case names.
    """
    ray = str(headers.get("cf-ray", ""))
    if _RAY.fullmatch(ray):
        facts.cf_ray = ray
        facts.colo = ray.rpartition("-")[2] if "-" in ray else ""
    for name in leg.headers_present:
        if name.lower() not in headers:
            raise Collapsed(
                f"the answer lacks the header {name!r} that this route always adds: "
                "the leg did not take its own way"
            )
    for name in leg.headers_absent:
        if name.lower() in headers:
            raise Collapsed(
                f"the answer has the header {name!r} that this route never has: "
                "the leg took another way"
            )
    found = marks.counting(headers, nonce)
    strange = marks.elsewhere(leg, found)
    if strange:
        raise Collapsed(
            f"the answer has the header {strange!r}, the mark of {found[strange]}, which is not on "
            "this leg's path: the leg took another way"
        )
    return marks.last(leg, found)


def rest_a_turn(transport: asyncio.Transport, goes_on: Callable[[], bool] = lambda: True) -> None:
    """After a whole piece: take no other before the loop's next turn.

    A plain transport reads once a turn by itself. That of TLS hands over all that it has decrypted,
    beside what comes meanwhile. `goes_on`: whether reading is to go on then.
    """
    if transport.get_extra_info("ssl_object") is None or transport.is_closing():
        return

    def resume() -> None:
        if goes_on() and not transport.is_closing():
            transport.resume_reading()

    transport.pause_reading()
    asyncio.get_running_loop().call_soon(resume)
