"""Answers → the legs they make possible → the text of a deployment file. Pure.

The names are those of `deployments/t3.toml`, so that the alert rules, the runbook and the
dashboard fit at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from t3probe.exchange.terminal import disarmed_json
from t3probe.setup.ask import Answers, name_of
from t3probe.text.names import PUBLIC_LEG, SOURCE_LEG, UPSTREAM_LEG, WALLED_LEG

ONE_RESOLVER = "one provider: `doh` cannot be told from it, nor `wan` from both; a second one tells"
"""What it costs to name one only."""
TUNNEL_GLOSS = "or what the CDN does with this path"
Value = str | bool | tuple[str, ...] | tuple[int, ...]

ABOUT = {
    "wan": "the network's own way out",
    "doh": "the public resolvers",
    "cf-edge": "the CDN",
    "tunnel": "from the CDN to the load balancer",
    "traefik": "the load balancer",
    "carve-out": "the rule that lets public paths past the SSO",
    "wall": "the rule that sends everything else to it",
    "devvm": "the machine",
    "dispatch": "the process that takes WebSockets",
    "serve": "the process that serves the app",
}
"""Every segment this can make, in the order of the path."""


@dataclass(frozen=True)
class Entry:
    """One `[[leg]]`, `[[public]]`, `[[walled]]`, `[[upstream]]` or `[[upstream_source]]`."""

    table: str
    keys: dict[str, Value]
    why: str = ""
    """One line above it."""

    @property
    def leg(self) -> str:
        """The name of the leg that it becomes."""
        start = {
            "public": PUBLIC_LEG,
            "walled": WALLED_LEG,
            "upstream": UPSTREAM_LEG,
            "upstream_source": SOURCE_LEG,
        }
        return start.get(self.table, "") + str(self.keys["name"])


@dataclass(frozen=True)
class Draft:
    """A deployment file before it is text."""

    name: str
    segments: tuple[str, ...]
    paths: tuple[tuple[str, ...], ...]
    entries: tuple[Entry, ...]
    sso: tuple[str, ...] = ()
    ca: str = ""
    groups: dict[str, str] = field(default_factory=dict)
    """Leg -> the heading that stands before it."""


class _Path:
    """Which segments lie where, for these answers."""

    def __init__(self, given: Answers, cdn: bool) -> None:
        ruled = bool(given.public or given.walled or given.sso)
        machine = bool(given.dispatch or given.serve or given.machine)
        self.outer = ("wan", *(("cf-edge", "tunnel") if cdn else ()))
        self.ends = "cf-edge" if cdn else "traefik"
        self.past = ("traefik", *(("carve-out",) if ruled else ()))
        self.machine = ("devvm",) if machine else ()
        last = "dispatch" if given.ws_path or given.dispatch else "serve"
        self.inner = (*self.past, *self.machine, last)


def draft(given: Answers, cdn: bool) -> Draft:
    """The legs that these answers make possible; `cdn`: Cloudflare is in front."""
    way = _Path(given, cdn)
    entries = [*_outside(given, cdn, way), *_inside(given, cdn, way), *_rules(given, cdn, way)]
    taken: set[str] = set()
    upstreams = [
        Entry("upstream", {"name": name_of(one, taken, "upstream"), "address": one})
        for one in given.upstreams
    ]
    taken = set()
    sources = [
        Entry("upstream_source",
              {"name": name_of("envoy", taken, "envoy"), "kind": "envoy", "url": one},
              "read at the start of each run; docs/upstreams.md")
        for one in given.envoy_admin
    ]  # fmt: skip
    crossed = {name for one in entries for name in _path_of(one)}
    paths = [(*way.outer, *way.inner), ("wan", "doh")]
    if given.walled and given.serve:
        paths.insert(1, (*way.outer, "traefik", "wall", *way.machine, "serve"))
    outside = {one.leg for one in _outside(given, cdn, way)}
    inside = {one.leg for one in _inside(given, cdn, way)}
    groups: dict[str, str] = {}
    for names, heading in (
        (outside, "Legs that can be run from anywhere"),
        (inside, "Legs inside the network"),
        ({one.leg for one in _rules(given, cdn, way)}, "The rules around the SSO"),
        (
            {one.leg for one in (*upstreams, *sources)},
            "Upstreams: each is connected to by itself",
        ),
    ):
        first = next(
            (one.leg for one in (*entries, *upstreams, *sources) if one.leg in names), None
        )
        if first is not None:
            groups[first] = heading
    return Draft(
        name=name_of(urlsplit(f"//{given.host}").hostname or "", set(), "deployment"),
        segments=tuple(name for name in ABOUT if name in crossed),
        paths=tuple(path for path in paths if set(path) <= crossed),
        entries=(*entries, *upstreams, *sources),
        sso=given.sso,
        ca=given.ca,
        groups=groups,
    )


def _path_of(entry: Entry) -> tuple[str, ...]:
    found = entry.keys.get("path", ())
    return tuple(str(one) for one in found) if isinstance(found, tuple) else ()


def _outside(given: Answers, cdn: bool, way: _Path) -> list[Entry]:
    resolvers = tuple(dict.fromkeys(_authority(one) for one in given.doh))
    ray: dict[str, Value] = {"headers_present": ("cf-ray",)} if cdn else {}
    alone = len(given.doh) == 1
    made = []
    if not alone:  # one machine that is gone would look like a broken wan
        made.append(
            Entry("leg", {"name": "egress", "kind": "tcp", "addresses": resolvers, "any_of": True,
                          "refused_ok": True, "path": ("wan",), "tcp_ends_at": "wan"})
        )  # fmt: skip
    made.append(
        Entry("leg", {"name": "resolver", "kind": "doh", "doh": given.doh,
                      "query": urlsplit(f"//{given.host}").hostname or "",
                      "path": ("wan", "doh"), "tcp_ends_at": "doh"},
              ONE_RESOLVER if alone else "")
    )  # fmt: skip
    if cdn:
        made.append(
            Entry("leg", {"name": "edge", "kind": "http",
                          "url": f"https://{given.host}/cdn-cgi/trace", "doh": given.doh,
                          "path": way.outer[:2], "tcp_ends_at": "cf-edge", **ray},
                  "the CDN answers this path without asking the origin")
        )  # fmt: skip
    kind, url = _through(given)
    made.append(
        Entry("leg", {"name": "cloudflare" if cdn else "public", "kind": kind, "url": url,
                      "doh": given.doh, "path": (*way.outer, *way.inner),
                      "tcp_ends_at": way.ends, **ray},
              "what people use, at the address that public DNS returns")
    )  # fmt: skip
    if given.page and given.ws_path:
        made.append(
            Entry("leg", {"name": "page", "kind": "http", "url": _url(given, given.page),
                          "doh": given.doh, "path": (*way.outer, *way.past, *way.machine, "serve"),
                          "tcp_ends_at": way.ends, **ray},
                  "the page itself")
        )  # fmt: skip
    return made


def _through(given: Answers) -> tuple[str, str]:
    """Kind and URL of the legs that go all the way."""
    if given.ws_path:
        return "ws_echo", f"wss://{given.host}{given.ws_path}"
    return "http", f"https://{given.host}{(given.public or (given.page,))[0]}"


def _inside(given: Answers, cdn: bool, way: _Path) -> list[Entry]:
    made: list[Entry] = []
    other: dict[str, Value] = {"headers_absent": ("cf-ray",)} if cdn else {}
    if given.internal:
        kind, url = _through(given)
        made.append(
            Entry("leg", {"name": "internal", "kind": kind, "url": url, "pin": given.internal,
                          "path": way.inner, "tcp_ends_at": "traefik", **other},
                  "the same URL and certificate, at the load balancer")
        )  # fmt: skip
        made.append(
            Entry("leg", {"name": "traefik", "kind": "http", "url": f"https://{given.host}/",
                          "pin": given.internal, "host_header": "unrouted.invalid",
                          "expect_status": (404,), "path": ("traefik",),
                          "tcp_ends_at": "traefik", **other},
                  "a Host that is not routed: the load balancer answers 404 itself")
        )  # fmt: skip
    if given.dispatch:
        made.append(
            Entry("leg", {"name": "dispatch", "kind": "ws_echo", "url": given.dispatch,
                          "path": ("devvm", "dispatch"), "tcp_ends_at": "devvm",
                          **other, **_untrusted(given.dispatch)})
        )  # fmt: skip
    if given.machine:
        where: dict[str, Value] = (
            {"kind": "http", "url": given.machine}
            if "://" in given.machine
            else {"kind": "tcp", "address": given.machine}
        )
        trust = _untrusted(given.machine) or {"refused_ok": True}
        made.append(
            Entry("leg", {"name": "devvm", **where, **trust,
                          "path": ("devvm",), "tcp_ends_at": "devvm"})
        )  # fmt: skip
    if given.serve:
        made.append(
            Entry("leg", {"name": "t3serve", "kind": "http", "url": given.serve,
                          "path": ("devvm", "serve"), "tcp_ends_at": "devvm",
                          **_untrusted(given.serve)})
        )  # fmt: skip
    return made


def _untrusted(where: str) -> dict[str, Value]:
    """A Kubernetes Service is no machine: what refuses there is a rule of the nodes' own."""
    host = urlsplit(where if "://" in where else f"//{where}").hostname or ""
    host = host.rstrip(".")
    return {"trust_refusals": False} if host.endswith((".svc", ".svc.cluster.local")) else {}


def _rules(given: Answers, cdn: bool, way: _Path) -> list[Entry]:
    made: list[Entry] = []
    ray: dict[str, Value] = {"headers_present": ("cf-ray",)} if cdn else {}
    taken: set[str] = set()
    for one in given.public:
        prefix: dict[str, Value] = {} if one == "/" else {"prefix": one}
        made.append(
            Entry("public", {"name": name_of(one, taken, "home"), "url": _url(given, one),
                             **prefix, "doh": given.doh,
                             "path": (*way.outer, *way.past), "tcp_ends_at": way.ends, **ray})
        )  # fmt: skip
    taken = set()
    for one in given.walled:
        where: dict[str, Value] = (
            {"pin": given.internal, "path": ("traefik", "wall"), "tcp_ends_at": "traefik",
             **({"headers_absent": ("cf-ray",)} if cdn else {})}
            if given.internal
            else {"doh": given.doh, "path": (*way.outer, "traefik", "wall"),
                  "tcp_ends_at": way.ends, **ray}
        )  # fmt: skip
        made.append(
            Entry("walled", {"name": name_of(one, taken, "home"), "url": _url(given, one), **where})
        )
    return made


def _url(given: Answers, path: str) -> str:
    return f"https://{given.host}{path}"


def _authority(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"[{host}]:{parts.port or 443}" if ":" in host else f"{host}:{parts.port or 443}"


def render(made: Draft, found: Mapping[str, str] | None = None) -> str:
    """The text of the file; `found` has what was seen on a leg, in one printable line."""
    return "\n".join(_lines(made, found or {})) + "\n"


def _lines(made: Draft, found: Mapping[str, str]) -> Iterator[str]:
    yield "# Written by `t3probe init`, to be edited. docs/deployment-file.md explains every key."
    yield "# Segments may be renamed. Alert rules and dashboard know the legs by these names."
    yield ""
    yield f"name = {_text(made.name)}"
    if made.ca:
        yield f"tls_ca = {_text(made.ca)} # who signed the certificates"
    yield ""
    yield "# What can break by itself, in the order of the path."
    yield "segments = ["
    longest = max(map(len, made.segments))
    for name in made.segments:
        yield f"  {_text(name) + ',':<{longest + 3}} # {ABOUT[name]}"
    yield "]"
    yield ""
    yield "# Real ways from end to end: where one leg more could tell two suspects apart."
    yield "paths = ["
    yield from (f"  {_value(path)}," for path in made.paths)
    yield "]"
    if "cf-edge" in made.segments:
        yield ""
        yield "[marks] # a response header, and the segment that adds it"
        yield 'cf-ray = "cf-edge"'
        if "dispatch" in made.segments:
            yield '# t3probe-echo = "dispatch" # where `t3probe echo` runs there'
    if "tunnel" in made.segments:
        yield ""
        yield "[gloss] # what to add wherever a segment is named"
        yield f"tunnel = {_text(TUNNEL_GLOSS)}"
    yield ""
    yield "[timing] # these are the defaults"
    yield '# hold = "35s"      # how long a run keeps its connections open'
    yield '# heartbeat = "10s" # between two beats of a leg'
    yield '# watchdog = "20s"  # an answer that takes longer is a drop'
    if made.sso:
        yield ""
        yield "[sso] # a redirect to one of these is the single sign-on's answer"
        yield f"hosts = {_value(made.sso)}"
    for entry in made.entries:
        if entry.leg in made.groups:
            heading = f"# --- {made.groups[entry.leg]} "
            yield ""
            yield heading + "-" * (90 - len(heading))
        yield ""
        if entry.why:
            yield f"# {entry.why}"
        if entry.leg in found:
            yield f"# when this was written: {found[entry.leg]}"
        yield f"[[{entry.table}]]"
        yield from (f"{key} = {_value(value)}" for key, value in entry.keys.items())
    yield ""
    yield "# [delivery] # where results go; secrets come from the environment"
    yield '# gateway = "http://pushgateway:9091"'


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    return f"[{', '.join(_items(value))}]"


def _items(values: Iterable[str | int]) -> Iterator[str]:
    return (_text(one) if isinstance(one, str) else str(one) for one in values)


def _text(text: str) -> str:
    """A TOML basic string (TOML 1.0); what is not printable ASCII is escaped."""
    shown = (
        "\\" + char if char in '"\\' else char if " " <= char <= "~" else f"\\U{ord(char):08X}"
        for char in text
    )
    return f'"{disarmed_json("".join(shown))}"'
