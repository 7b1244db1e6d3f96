"""What an attempt finds out: where it went, what it learned, and why it failed. Pure."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from t3probe.observation import AttemptPhase, Reason, Stage, TcpSample


class ProbeError(Exception):
    """A beat or an attempt that did not work, with the facts that the record keeps."""

    def __init__(
        self,
        reason: Reason,
        stage: Stage,
        detail: str,
        *,
        answered: bool = False,
        conclusive: bool = True,
        unroutable: bool = False,
    ) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.stage: Stage = stage
        self.detail = detail
        self.answered = answered
        """An answer came over a verified connection: the transport carried it."""
        self.conclusive = conclusive
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
    traced: str = field(default="", compare=False)
    """The parent that the first request to it names (`Beat.traced`)."""

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
    """The machine's kernel answered, and nothing else did: it refused the connection, ended it,
    or took our bytes. This leg asks for no more."""
    short: tuple[Reason, str] | None = None
    """Reason and sentence of what fell short in a beat that is good all the same."""
    clears: tuple[str, ...] | None = None
    """The segments that it proves to work; None: the leg's whole path."""


@dataclass(slots=True)
class Facts:
    """What a line learns on its way; the caller copies it into the record."""

    phases: dict[str, float] = field(default_factory=dict)
    steps: dict[str, AttemptPhase] = field(default_factory=dict)
    """The same with their begin, and what was under way when it failed."""
    traced: str = ""
    """What the newest request named as its parent (`Beat.traced`)."""
    local_address: str = ""
    remote_address: str = ""
    family: str = ""
    cf_ray: str = ""
    colo: str = ""
    server_began: tuple[float, float] | None = None
    """When the run began by the clock of the server that answered last (`Observation`)."""
    cert_not_after: float | None = None
    evidence: list[str] = field(default_factory=list)
    gate: dict[str, bool] = field(default_factory=dict)
    """What was asked of an ingest gate, and whether it was as it must be."""

    def step(self, name: str, began: float, seconds: float, failed: bool = False) -> None:
        """Note a phase, whether it came to its end or not."""
        self.steps[name] = AttemptPhase(
            name=name, started=round(began, 6), seconds=round(seconds, 6), failed=failed
        )


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
    yes nor no about the path, from any sender. `headers` finds lower-case names."""
    return status == 429 or (status == 503 and "retry-after" in headers)


def http_reason(status: int) -> Reason:
    """The closed list's word for an HTTP status that is no good beat."""
    if 400 <= status < 500:
        return "http_4xx"
    if 500 <= status < 600:
        return "http_5xx"
    return "http_other"
