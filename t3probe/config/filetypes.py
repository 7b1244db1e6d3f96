"""The tables of a deployment file, as they are written.

They differ from the loaded types where the file is shorter than what it means: `[[public]]`
and `[[walled]]` become legs when the file is loaded (`expand.py`). The JSON Schema for
editors is made from these types; the text under a field is its description there.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from .types import (
    Delivery,
    Downtime,
    LegFields,
    Route,
    Sso,
    SweepLimits,
    Table,
    Timing,
    Upstream,
    UpstreamShare,
    UpstreamSource,
)

__all__ = [
    "KIND_RULES",
    "NAME_PATTERN",
    "DeploymentFile",
    "KindRule",
    "LegTable",
    "Public",
    "Walled",
]

NAME_PATTERN = r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?"
"""Names of deployments, segments, legs and vantages: 1 to 63 characters that are safe in a
metric label, a file name, an environment variable and a pytest id."""

FileKind = Literal["ws_echo", "http", "doh", "tcp"]


class LegTable(LegFields, frozen=True, kw_only=True):
    """One `[[leg]]`: an end-to-end route under test."""

    kind: FileKind
    """ws_echo: WebSocket echo; http: GET on a kept-alive connection; doh: DNS over HTTPS; tcp:
    connect only."""


class Public(Route, frozen=True, kw_only=True):
    """One `[[public]]`: a path that must not be sent to the SSO. Becomes the leg
    `walloff-NAME`."""

    url: str
    """A URL under the public path: http:// or https://."""
    prefix: str | None = None
    """The public path prefix of the rule, such as `/probe`; default: the URL's path."""
    expect_status: tuple[int, ...] = ()
    """The statuses that it must answer: others fail the leg. Without them only the SSO's answer
    does, 5xx says nothing, and a 3xx or 4xx clears nothing behind `tcp_ends_at` but by its
    marks."""
    own_rule: bool = False
    """It has a rule of its own: `carve-out` in its path becomes the segment
    `carve-out-NAME`."""


class Walled(Route, frozen=True, kw_only=True):
    """One `[[walled]]`: a path that must never be served without a session. Becomes the leg
    `walled-NAME`, which also tries the ways out of every public prefix on the same host."""

    url: str
    """A URL behind the SSO: http:// or https://."""
    own_rule: bool = False
    """It has a rule of its own: `wall` in its path becomes the segment `wall-NAME`."""


class DeploymentFile(Table, frozen=True):
    """A t3probe deployment: what is on the path, and how to probe it."""

    name: str
    """What the deployment is called, in summaries and records."""
    segments: tuple[str, ...]
    """The parts of the path that can break by themselves, in order."""
    paths: tuple[tuple[str, ...], ...] = ()
    """Real end-to-end paths, candidates for an extra leg; default: the legs' own paths."""
    tls_ca: str | None = None
    """A PEM file of the certificate authorities to trust, relative to this file; default: the
    system's."""
    vantage: str = ""
    """Where the suite runs from; usually set by T3PROBE_VANTAGE."""
    spread: tuple[str, ...] = ()
    """Segments that are several machines, of which one may be broken: no connection of another
    leg clears them, since it may have met another machine; the failing leg's own answers do."""
    trust_refusals: bool = True
    """Whether a refused connect is the far machine's own answer; false where addresses are no
    machines, such as those of Kubernetes Services."""
    marks: dict[str, str] = {}  # noqa: RUF012 - msgspec copies it for every instance
    """Response headers that only one segment adds, or what lies behind it: header = segment."""
    gloss: dict[str, str] = {}  # noqa: RUF012
    """What to add wherever a segment is named: segment = words."""
    timing: Timing = Timing()
    sso: Sso = Sso()
    leg: tuple[LegTable, ...] = ()
    public: tuple[Public, ...] = ()
    walled: tuple[Walled, ...] = ()
    upstream: tuple[Upstream, ...] = ()
    upstream_source: tuple[UpstreamSource, ...] = ()
    upstream_share: tuple[UpstreamShare, ...] = ()
    downtime: tuple[Downtime, ...] = ()
    delivery: Delivery = Delivery()
    sweep: SweepLimits = SweepLimits()
    lab: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies it for every instance
    """Free form, for the lab; the loader does not look at it."""


class KindRule(NamedTuple):
    """Which keys a leg of one kind takes, beside those that every leg takes."""

    needs: tuple[str, ...]
    takes: tuple[str, ...]
    schemes: tuple[str, ...] = ()
    """The URL schemes it can speak."""


_DIALLED = (
    *("resolve", "pin", "doh", "fallback", "headers_present", "headers_absent", "host_header"),
    "fresh_every",
)

KIND_RULES: dict[str, KindRule] = {
    "ws_echo": KindRule(("url",), _DIALLED, ("ws", "wss")),
    "http": KindRule(("url",), (*_DIALLED, "expect_status", "refused_ok"), ("http", "https")),
    "doh": KindRule(("doh",), ("query", "fresh_every")),
    "tcp": KindRule((), ("address", "addresses", "any_of", "refused_ok")),
}
"""A tcp leg also needs exactly one of `address` and `addresses`."""

EVERY_LEG = (*("name", "kind", "path", "tcp_ends_at", "rtt_limit", "trust_refusals", "vantages"),)
"""The keys that every kind of leg takes."""
