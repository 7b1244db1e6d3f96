"""Talking to a Pushgateway: its groups' addresses, reading them all, writing one.

Requests that may succeed when asked again are asked again, three times at most and never past
the budget. Writing whole groups with absolute values makes that harmless.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import quote

import msgspec

from t3probe.bounds import GATEWAY_ANSWER_BYTES, GATEWAY_EXCHANGE_SECONDS, GATEWAY_METRICS_BYTES
from t3probe.metrics.carry import Group
from t3probe.metrics.text import rendered
from t3probe.showing import showable
from t3probe.sinks.gateway_client import (
    Answer,
    Budget,
    Login,
    Site,
    Trouble,
    exchange,
)
from t3probe.sinks.gateway_json import Groups, NotMetricsError

__all__ = ["Gateway", "Wire", "group_path", "not_metrics", "raise_for"]

ATTEMPTS = 3
PAUSE_SECONDS = 0.15
TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


class Gateway(msgspec.Struct, frozen=True):
    """Where a run's group is, and how much time each end of the run may spend on it."""

    url: str
    job: str
    vantage: str = ""
    shard: str = ""
    login: Login = msgspec.field(default_factory=Login)
    start_seconds: float = 1.8
    end_seconds: float = 4.0

    @property
    def key(self) -> dict[str, str]:
        """The grouping key. A deployment without vantages has none in it."""
        pairs = {"job": self.job, "vantage": self.vantage, "shard": self.shard}
        return {name: value for name, value in pairs.items() if value}

    @property
    def upstream_key(self) -> dict[str, str]:
        """The grouping key of the upstreams' gauges."""
        return {**self.key, "part": "upstreams"}


def group_path(key: Mapping[str, str]) -> str:
    """The path of a group; values that do not fit a path segment go in as base64url."""
    words = []
    for name, value in key.items():
        if value and "/" not in value and value not in {".", ".."}:
            words += [name, quote(value, safe="")]
        else:
            coded = base64.urlsafe_b64encode(value.encode()).decode("ascii").rstrip("=")
            words += [f"{name}@base64", coded or "="]
    return "/metrics/" + "/".join(words)


class Wire:
    """Requests to one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.site = Site(gateway.url, gateway.login)
        self.in_doubt = False
        """Whether the gateway may have taken a request whose answer we did not see."""

    def read(self, budget: Budget) -> tuple[Group, bool]:
        """The run's group, and whether there is one of its upstreams. Raises Trouble."""
        key, beside = self._gateway.key, self._gateway.upstream_key
        for again in self._attempts(budget):
            with again:
                groups = Groups(key)
                try:
                    self._ask("GET", "/api/v1/metrics", b"", budget, groups.feed)
                    groups.close()
                except NotMetricsError as error:
                    raise not_metrics(error) from None
                return groups.group(key), groups.has_metrics(beside)
        raise AssertionError("unreachable")

    def write(self, method: str, key: Mapping[str, str], group: Group, budget: Budget) -> None:
        """Send one group. Raises Trouble."""
        body = rendered(group)
        for again in self._attempts(budget):
            with again:
                self._ask(method, group_path(key), body, budget)
                return

    def _attempts(self, budget: Budget) -> Iterator[_Attempt]:
        for number in range(1, ATTEMPTS + 1):
            attempt = _Attempt(last=number == ATTEMPTS, budget=budget)
            yield attempt
            budget.pause(PAUSE_SECONDS * number)

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes,
        budget: Budget,
        into: Callable[[bytes], None] | None = None,
    ) -> Answer:
        try:
            answer = exchange(
                self.site,
                method,
                path,
                budget.part(GATEWAY_EXCHANGE_SECONDS),
                body=body,
                headers={"Content-Type": TEXT_FORMAT} if body else None,
                max_bytes=GATEWAY_METRICS_BYTES if method == "GET" else GATEWAY_ANSWER_BYTES,
                into=into,
            )
        except Trouble as trouble:
            self.in_doubt |= trouble.sent
            raise
        self.in_doubt |= answer.status >= 500
        raise_for(answer)
        return answer


class _Attempt:
    """Lets a trouble that may pass pass, while there are attempts and time left."""

    def __init__(self, *, last: bool, budget: Budget) -> None:
        self._last, self._budget = last, budget

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Trouble) or not error.passing or self._last:
            return False
        return self._budget.left_seconds > PAUSE_SECONDS


def not_metrics(error: NotMetricsError) -> Trouble:
    """The trouble with an answer that is not read."""
    if error.start is None:
        return Trouble(f"answers with {error}")
    start = showable(error.start, 40, ascii=False)
    return Trouble(f"answers with {error} ({start!r})")


def raise_for(answer: Answer) -> None:
    """Raise Trouble unless the answer says yes."""
    status = answer.status
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        to = showable(answer.headers.get("Location", "nowhere"), 80)
        raise Trouble(f"redirects to {to} ({status}), which is not followed")
    text = showable(answer.body, 240, ascii=False)
    if status == 400:
        conflict = "inconsistent" in text
        why = "another group holds one of these names with another type, or " if conflict else ""
        raise Trouble(f"refuses the metrics with 400: {why}{text or 'it gives no reason'}")
    if status in {401, 403}:
        raise Trouble(
            f"refuses us with {status}; set T3PROBE_GATEWAY_TOKEN, or T3PROBE_GATEWAY_USER and "
            "T3PROBE_GATEWAY_PASSWORD"
        )
    if status in {404, 405}:
        raise Trouble(f"answers {status}; name the URL of a Pushgateway")
    raise Trouble(f"answers {status}", passing=status >= 500 or status == 429)
