"""What every probe shares: its one signature, its errors, and the steps it is timed by.

A probe module offers `async def open(leg, target, probing) -> Line`. A `Line` is a leg's way to
the far end: one TCP connection that is held, or, for one-shot legs, nothing but the knowledge
of where to go. `Line.beat()` makes one exchange. Deadlines, retries, back-off, success and
duration belong to the caller (`t3probe.run`); a probe only talks its protocol.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from t3probe.config.types import Leg, Sso, Timing
from t3probe.observation import Reason, Stage, TcpSample
from t3probe.probes.marks import Marks
from t3probe.timing import RunClock

if TYPE_CHECKING:
    from t3probe.tls import TlsStore

__all__ = [
    "Collapsed",
    "Echo",
    "Facts",
    "Line",
    "Open",
    "ProbeError",
    "Probing",
    "Target",
    "busy",
    "check_route",
    "http_reason",
    "reason_of_os_error",
]


class ProbeError(Exception):
    """A beat or an attempt that did not work, with the facts that the record keeps."""

    def __init__(
        self,
        reason: Reason,
        stage: Stage,
        detail: str,
        *,
        answered: bool = False,
        tells: bool = True,
        unroutable: bool = False,
    ) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.stage: Stage = stage
        self.detail = detail
        self.answered = answered
        """An answer came over a verified connection: the transport carried it."""
        self.tells = tells
        """False: it says neither yes nor no about the leg."""
        self.status: int | None = None
        """The HTTP status of the answer, where one came."""
        self.marked = ""
        """The last segment of the leg's path whose mark the answer carried."""
        self.unroutable = unroutable
        """This machine has no route for the address's family."""
        self.heard = False
        """Something came back that was not what we asked for, such as a bad certificate."""
        self.tcp: TcpSample | None = None
        """The kernel's numbers when it was noticed, before closing."""
        self.facts: Facts | None = None
        """What the attempt learned before it failed."""

    def by_answer(self, status: int, marked: str) -> ProbeError:
        """The same error, noted as an HTTP answer that came from `marked` or from behind it."""
        self.answered, self.status, self.marked = True, status, marked
        return self


class Collapsed(Exception):
    """The leg ended up on another route than its own (reason `leg_collapsed`)."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Target:
    """One address to dial for a leg."""

    host: str
    """The name that Host, SNI and the certificate check stay on."""
    address: str
    """IP literal."""
    port: int
    note: str = ""
    """A sentence about where the address is from; empty when there is nothing to say."""

    @property
    def tls_name(self) -> str:
        """The name for SNI and the certificate: without the dot at its end, as browsers do."""
        return self.host.rstrip(".")

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


@dataclass(slots=True)
class Echo:
    """One exchange that worked; times in seconds since the run's start."""

    sent: float
    ended: float
    nonce: str = ""
    measured_seconds: float | None = None
    first_byte_seconds: float | None = None
    refused: bool = False
    """The machine's kernel answered and nobody else: it refused the connection, ended it, or took
    our bytes. This leg asks for no more."""
    short: tuple[Reason, str] | None = None
    """Reason and sentence of what fell short in a beat that is good all the same."""
    clears: tuple[str, ...] | None = None
    """The segments that it proves to work; None: the leg's whole path."""


@dataclass(slots=True)
class Facts:
    """What a line learns on its way; the caller copies it into the record."""

    phases: dict[str, float] = field(default_factory=dict)
    local_address: str = ""
    remote_address: str = ""
    family: str = ""
    cf_ray: str = ""
    colo: str = ""
    cert_not_after: float | None = None
    evidence: list[str] = field(default_factory=list)


class Line:
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


Open = Callable[[Leg, Target, "Probing"], Awaitable[Line]]
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

    @asynccontextmanager
    async def step(
        self, facts: Facts, name: str, limit: float, reason: Reason, stage: Stage, what: str
    ) -> AsyncIterator[None]:
        """Time one phase, and end it after `limit` seconds with a ProbeError."""
        began = self.clock.now()
        try:
            async with asyncio.timeout(limit):
                yield
        except TimeoutError as error:
            raise ProbeError(reason, stage, f"{what} within {limit:g} s") from error
        facts.phases.setdefault(name, round(self.clock.now() - began, 6))


def reason_of_os_error(error: OSError) -> Reason:
    """The closed list's word for a socket error during a connect."""
    if isinstance(error, ConnectionRefusedError):
        return "connect_refused"
    if isinstance(error, TimeoutError):
        return "connect_timeout"
    if isinstance(error, ConnectionResetError):
        return "connection_reset"
    return "connect_failed"


def busy(status: int, headers: Mapping[str, Any]) -> bool:
    """Whether this answer only asks to come later: 429, and 503 with Retry-After. It says neither
    yes nor no about the path, whoever sent it. `headers` finds lower-case names."""
    return status == 429 or (status == 503 and "retry-after" in headers)


def http_reason(status: int) -> Reason:
    """The closed list's word for an HTTP status that is no good beat."""
    if 400 <= status < 500:
        return "http_4xx"
    if 500 <= status < 600:
        return "http_5xx"
    return "http_other"


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
