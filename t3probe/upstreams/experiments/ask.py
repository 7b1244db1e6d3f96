"""One request to relay, jump or book, bounded, and what its failure says. Blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from t3probe.config.secrets import secret
from t3probe.config.types import Experiments
from t3probe.exchange.bounds import RIG_EXCHANGE_SECONDS, SERVICE_ANSWER_BYTES
from t3probe.exchange.client import Answer, Budget, Login, Site, Trouble, exchange
from t3probe.observation import Reason
from t3probe.timing import Clock
from t3probe.upstreams.experiments.tokens import Audience, NoTokensError, Tokens

_CODE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_INTEGER = re.compile(rb"-?[0-9]+")


class ServiceError(Exception):
    """A service that did not do what it was asked; `str()` is a sentence."""

    def __init__(self, reason: Reason, sentence: str, *, tells: bool = True) -> None:
        super().__init__(sentence)
        self.reason: Reason = reason
        self.tells = tells
        """Whether this is the service's own failure. Not where it refused our token, or told us to
        come again later, or nothing was sent."""


class Rights(NamedTuple):
    """The secrets of the three services."""

    secrets: Mapping[Audience, str | None]

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Rights:
        """Those of the environment. Raises DeploymentError for one that cannot be read."""
        names: tuple[Audience, ...] = ("relay", "jump", "book")
        return cls({one: secret(f"{one}_secret", environ) for one in names})


class RigService:
    """One of the three services: where it is, and how to ask it."""

    def __init__(
        self,
        service: Audience,
        table: Experiments,
        rights: Rights,
        clock: Clock,
        ca_file: str | None = None,
    ) -> None:
        """Raises NoTokensError: no secret is set, or PyJWT is not installed."""
        self.service: Audience = service
        self.url: str = getattr(table, service)
        self.site = Site(self.url, Login(ca_file=ca_file))
        self.clock = clock
        key = rights.secrets[service]
        if not key:
            raise NoTokensError(
                f"{service} is not asked: its secret is not set; set "
                f"T3PROBE_{service.upper()}_SECRET, or _SECRET_FILE"
            )
        self.tokens = Tokens(service, self.url, key, clock)

    @property
    def name(self) -> str:
        """How sentences call it: `relay at app.example.org:443`."""
        return f"{self.service} at {self.site.name}"

    def ask(
        self,
        method: str,
        path: str,
        *,
        good: tuple[int, ...] = (200,),
        into: Callable[[bytes], None] | None = None,
        max_bytes: int = SERVICE_ANSWER_BYTES,
        seconds: float = RIG_EXCHANGE_SECONDS,
    ) -> Answer:
        """The answer, when its status is one of `good`. Raises ServiceError."""
        try:
            answer = exchange(
                self.site,
                method,
                path,
                Budget(self.clock, min(seconds, RIG_EXCHANGE_SECONDS)),
                headers={"Authorization": self.tokens.token(), "Accept": "application/json"},
                max_bytes=max_bytes,
                into=into,
            )
        except Trouble as trouble:
            raise ServiceError(_reason(trouble), f"{self.name} {trouble.what}") from None
        if answer.status in good:
            return answer
        raise self._refused(answer)

    def _refused(self, answer: Answer) -> ServiceError:
        status = answer.status
        said = f"{self.name} answers {status}"
        hint = f"is T3PROBE_{self.service.upper()}_SECRET its secret, and {self.url} its own name?"
        if status in (401, 403):
            return ServiceError("token_refused", f"{said}: {hint}", tells=False)
        if status == 500 and _of_middleware(answer.body):
            return ServiceError(
                "token_refused", f"{said} to our token: {hint} are the clocks right?", tells=False
            )
        if status == 429 or (status == 503 and "retry-after" in answer.headers):
            return ServiceError("http_5xx" if status == 503 else "http_4xx", said, tells=False)
        kinds: dict[int, Reason] = {4: "http_4xx", 5: "http_5xx"}
        return ServiceError(kinds.get(status // 100, "http_other"), said)


def _of_middleware(body: bytes) -> bool:
    """Whether a 500 is what these services say to a token that they cannot read: its `code` is a
    number there, and text where a handler failed."""
    try:
        found = _CODE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return "code" in found and _INTEGER.fullmatch(bytes(found["code"]).strip()) is not None


def _reason(trouble: Trouble) -> Reason:
    what = trouble.what
    if what.startswith("refuses"):
        return "connect_refused"
    if what.startswith("did not accept"):
        return "connect_timeout"
    if "TLS" in what or "certificate" in what:
        return "tls_failed"
    if what.endswith("in time"):
        return "rtt_timeout"
    if what.startswith("closed"):
        return "closed_by_peer"
    if "HTTP" in what or "half" in what or "more than" in what:
        return "protocol_error"
    if "name" in what or "cannot be reached" in what:
        return "connect_failed"
    return "io_error"
