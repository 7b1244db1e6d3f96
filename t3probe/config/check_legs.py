"""Checks of one `[[leg]]`, `[[public]]`, `[[walled]]`, `[[ingest]]` or `[[upstream]]`.

Each raises the first mistake found as a DeploymentError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from .dialled import parse_hosts
from .durations import written
from .endpoints import (
    UrlParts,
    check_header_name,
    check_host,
    is_address,
    parse_address,
    parse_doh,
    parse_pin,
    parse_url,
    plain_host,
)
from .errors import ConfigFile, KeyPath, Wrong, did_you_mean, quote
from .types import (
    CREDENTIALS,
    EVERY_LEG,
    KIND_RULES,
    Ingest,
    Keyed,
    LegTable,
    Public,
    Upstream,
    UpstreamShare,
    UpstreamSource,
    Walled,
)

_HTTP = ("http", "https")
Dialled = LegTable | Public | Walled | Ingest
Declared = Mapping[str, None]


def check_leg(leg: LegTable, path: KeyPath, declared: Declared, source: ConfigFile) -> None:
    """A `[[leg]]`: its path, the keys of its kind, and what they hold."""
    _check_path(leg.path, (*path, "path"), declared, source)
    _check_end(leg, path, source)
    _check_keys(leg, path, source)
    _check_dialled(leg, path, KIND_RULES[leg.kind].schemes, source)
    if leg.kind == "tcp":
        _check_addresses(leg, path, source)
    if leg.host_header is not None:
        _check(_host_header, leg.host_header, (*path, "host_header"), source)
    if leg.query is not None:
        _check(_query, leg.query, (*path, "query"), source)
    _check_statuses(leg, path, source)
    _check_credential(leg, path, source)
    if leg.kind == "ws":
        _check_app(leg, path, source)
    if leg.fresh_every < 0:
        expected = "a number of heartbeats, or 0 for none"
        raise source.error((*path, "fresh_every"), expected, leg.fresh_every)
    if leg.refused_ok and leg.idle is not None:
        hint = "such a leg asks for the machine, and whatever ends its connection is an answer"
        raise source.error((*path, "idle"), "no idle beside refused_ok", shown="both", hint=hint)
    if leg.refused_ok and leg.trust_refusals is False:
        expected = "no refused_ok where refusals are not trusted"
        raise source.error((*path, "refused_ok"), expected, shown="both")


def check_idle(legs: Sequence[LegTable], heartbeat: float, source: ConfigFile) -> None:
    """Each `idle` is longer than the heartbeat: a shorter silence every beating connection has."""
    for i, leg in enumerate(legs):
        if leg.idle is not None and leg.idle <= heartbeat:
            expected = f"a duration longer than the heartbeat, {written(heartbeat)}"
            raise source.error(("leg", i, "idle"), expected, shown=written(leg.idle))


def check_public(public: Public, path: KeyPath, declared: Declared, source: ConfigFile) -> None:
    """A `[[public]]`: its prefix must be one that its URL lies under."""
    _check_path(public.path, (*path, "path"), declared, source)
    _check_end(public, path, source)
    _check_dialled(public, path, _HTTP, source)
    _check_rule(public, path, "carve-out", source)
    _check_statuses(public, path, source)
    if public.prefix is None:
        return
    at = (*path, "prefix")
    if not public.prefix.startswith("/") or public.prefix == "/":
        raise source.error(at, "a path prefix such as /probe", public.prefix)
    if not parse_url(public.url, _HTTP).path.startswith(public.prefix):
        raise source.error(at, "a prefix of the URL's path", public.prefix)


def check_walled(walled: Walled, path: KeyPath, declared: Declared, source: ConfigFile) -> None:
    """A `[[walled]]`."""
    _check_path(walled.path, (*path, "path"), declared, source)
    _check_end(walled, path, source)
    _check_dialled(walled, path, _HTTP, source)
    _check_rule(walled, path, "wall", source)
    _check_credential(walled, path, source)
    named = has_credential(walled)
    if walled.served_with and not named:
        expected = "a credential beside served_with, such as bearer_file"
        raise source.error((*path, "served_with"), expected, shown="none")
    if named and not walled.served_with:
        hint = "served_with = true asks both without it and with it"
        key = next(one for one in CREDENTIALS if getattr(walled, one) is not None)
        expected = f"no {key} on a path that must be refused"
        raise source.error((*path, key), expected, shown="one", hint=hint)


def has_credential(leg: Keyed) -> bool:
    """Whether it shows anything to be let in."""
    return any(getattr(leg, key) is not None for key in CREDENTIALS)


_MOST_SENT = 4096
_EXPECT_STARS = 32


def _check_credential(leg: LegTable | Walled, path: KeyPath, source: ConfigFile) -> None:
    """Files that are named, one Authorization, and nowhere to send them but over TLS."""
    stated = [key for key in CREDENTIALS if getattr(leg, key) is not None]
    if not stated:
        return
    for key in stated:
        if not getattr(leg, key) or "\0" in getattr(leg, key):
            raise source.error((*path, key), "the name of a file", getattr(leg, key))
    if not (leg.url or "").startswith(("https:", "wss:")):
        expected = f"https:// or wss:// beside {stated[0]}, which goes over verified TLS alone"
        raise source.error((*path, "url"), expected, leg.url)
    if getattr(leg, "host_header", None) is not None:
        expected = f"no host_header beside {stated[0]}, which goes to the URL's own host alone"
        raise source.error((*path, "host_header"), expected, shown="one")
    for one, other in (
        ("access_id_file", "access_secret_file"),
        ("access_secret_file", "access_id_file"),
        ("tls_key", "tls_cert"),
    ):
        if one in stated and other not in stated:
            raise source.error((*path, other), f"{other} beside {one}")
    if "bearer_file" in stated and "basic_file" in stated:
        expected = "only one of bearer_file and basic_file"
        raise source.error((*path, "basic_file"), expected, shown="both")


def _check_app(leg: LegTable, path: KeyPath, source: ConfigFile) -> None:
    """What a WebSocket is asked that does not echo."""
    for key, other in (("send", "expect"), ("expect", "send")):
        if getattr(leg, key) is not None and getattr(leg, other) is None:
            raise source.error((*path, other), f"{other} beside {key}")
    if leg.send is not None and leg.ping:
        raise source.error((*path, "ping"), "only one of ping and send", shown="both")
    for key in ("send", "expect"):
        text = getattr(leg, key)
        if text is not None and not 0 < len(text) <= _MOST_SENT:
            expected = f"1 to {_MOST_SENT} characters"
            raise source.error((*path, key), expected, shown=str(len(text)))
    if leg.expect is not None:
        if not leg.expect.replace("*", "").strip():
            raise source.error((*path, "expect"), "text beside the *", leg.expect)
        if leg.expect.count("*") > _EXPECT_STARS:
            raise source.error((*path, "expect"), f"at most {_EXPECT_STARS} *", leg.expect)
        if "{nonce}" in leg.expect and "{nonce}" not in (leg.send or ""):
            raise source.error((*path, "send"), "{nonce} here, as expect has it", leg.send)
    if leg.subprotocol is not None:
        try:
            check_header_name(leg.subprotocol)
        except Wrong:
            expected = "one word such as v1.app, as the browser's WebSocket takes it"
            raise source.error((*path, "subprotocol"), expected, leg.subprotocol) from None
    if leg.origin is not None:
        _check(lambda text: parse_url(text, _HTTP), leg.origin, (*path, "origin"), source)
        if leg.origin.count("/") != 2 or "?" in leg.origin:
            expected = "an origin such as https://app.example.org, without a path"
            raise source.error((*path, "origin"), expected, leg.origin)
    if leg.send is None and not leg.ping and source.stated((*path, "fresh_every")):
        hint = "each of its beats is an upgrade of its own; give it ping or send to hold one"
        expected = "no fresh_every on a ws leg that only upgrades"
        raise source.error((*path, "fresh_every"), expected, shown="one", hint=hint)
    if leg.send is None and not leg.ping and leg.idle is not None:
        hint = "each of its beats is an upgrade of its own; give it ping or send to hold one"
        expected = "no idle on a ws leg that only upgrades"
        raise source.error((*path, "idle"), expected, shown="one", hint=hint)


_EFFECTS = (
    r"(?i)/(-/(quit|reload|healthy)|snapshot/|internal/|api/v1/admin/tsdb/(snapshot|clean)"
    r"|shutdown|quitquitquit)"
)
"""Paths of usual receivers that do something when they are asked by GET."""


def check_ingest(one: Ingest, path: KeyPath, declared: Declared, source: ConfigFile) -> None:
    """An `[[ingest]]`: the gate and the receiver apart, and nothing that has an effect."""
    _check_path(one.path, (*path, "path"), declared, source)
    if len(one.path) < 2:
        expected = "the gate and the receiver behind it, two segments at least"
        raise source.error((*path, "path"), expected, one.path)
    if one.gate is not None and one.gate not in one.path[:-1]:
        hint = did_you_mean(one.gate, one.path[:-1], f"before the last: {', '.join(one.path)}")
        expected = "a segment of its own path that is not the last"
        raise source.error((*path, "gate"), expected, one.gate, hint)
    gate = one.gate or one.path[-2]
    _check_end(one, path, source)
    _check_dialled(one, path, ("https",), source)
    end = one.tcp_ends_at
    if end is not None and one.path.index(end) > one.path.index(gate):
        raise source.error((*path, "tcp_ends_at"), f"{quote(gate)} or what lies before it", end)
    if "?" in one.url:
        raise source.error((*path, "url"), "a URL without a query", one.url)
    if one.token_file == "":
        raise source.error((*path, "token_file"), "a path", shown="nothing")
    for key in ("refused", "health"):
        for text in one.refused if key == "refused" else (one.health,):
            if text is None:
                continue
            if not re.fullmatch(r"/[!-\"$->@-~]*", text):
                expected = "a path such as /metrics, without a query"
                raise source.error((*path, key), expected, text)
            if re.match(_EFFECTS, text):
                expected = "a path that does nothing when it is asked for by GET"
                raise source.error((*path, key), expected, text, "it would be done")
    if one.plain_port is not None and not 0 <= one.plain_port <= 65535:
        expected = "a port from 1 to 65535, or 0 for none"
        raise source.error((*path, "plain_port"), expected, one.plain_port)
    refusals = frozenset(range(400, 500)) - {408, 421, 425, 429}
    # A receiver that knows the token may still call an empty request a bad one.
    accepts = frozenset(range(200, 300)) | {400, 411, 413, 415, 422}
    for key in ("stranger_status", "wrong_status", "accept_status", "closed_status"):
        some = getattr(one, key)
        good, words = (accepts, "2xx, or 400, 411, 413, 415 or 422")
        if key != "accept_status":
            good, words = refusals, "a 4xx other than 408, 421, 425 and 429"
        if not some:
            raise source.error((*path, key), "at least one status", some)
        for status in some:
            if status not in good:
                raise source.error((*path, key), words, status)


def check_upstream(
    upstream: Upstream, path: KeyPath, declared: Declared, source: ConfigFile
) -> None:
    """An `[[upstream]]`: one address; it may share no segment at all."""
    if upstream.shares:
        _check_path(upstream.shares, (*path, "shares"), declared, source)
    _check(parse_address, upstream.address, (*path, "address"), source)
    if not 0 <= upstream.listen_port <= 65535:
        at = (*path, "listen_port")
        raise source.error(at, "a port from 1 to 65535, or 0 for none", upstream.listen_port)


def check_source(
    one: UpstreamSource, path: KeyPath, declared: Declared, source: ConfigFile
) -> None:
    """An `[[upstream_source]]`: a URL to ask, and for a JSON API perhaps a node."""
    if one.shares:
        _check_path(one.shares, (*path, "shares"), declared, source)
    _check(lambda text: parse_url(text, _HTTP), one.url, (*path, "url"), source)
    if one.kind == "envoy":
        at = (*path, "node")
        if one.node is not None:
            hint = "an admin interface knows one Envoy alone"
            raise source.error(at, "no node beside kind envoy", shown="one", hint=hint)
        if "?" in one.url:
            hint = "take ? and what follows it out"
            raise source.error((*path, "url"), "a URL without a query", one.url, hint)
    elif one.node is not None and not one.node.strip():
        hint = "take the key away if it is not known: the source is skipped then"
        raise source.error((*path, "node"), "the id of a node", one.node, hint)


def check_share(one: UpstreamShare, path: KeyPath, declared: Declared, source: ConfigFile) -> None:
    """An `[[upstream_share]]`: a declared segment, and at least one pattern of hosts."""
    _check_path((one.segment,), (*path, "segment"), declared, source)
    at = (*path, "hosts")
    if not one.hosts:
        raise source.error(at, "at least one network or host", one.hosts)
    for text in one.hosts:
        _check(parse_hosts, text, at, source)


def _check(parse: Callable[[str], object], text: str, path: KeyPath, source: ConfigFile) -> None:
    try:
        parse(text)
    except Wrong as problem:
        source.wrong(path, problem, text)


def _check_path(
    segments: tuple[str, ...], path: KeyPath, declared: Declared, source: ConfigFile
) -> None:
    if not segments:
        raise source.error(path, "at least one segment", segments)
    seen: set[str] = set()
    for name in segments:
        if name not in declared:
            otherwise = "add it to segments, or correct it here"
            hint = did_you_mean(name, declared, otherwise)
            raise source.error(path, "a declared segment", name, hint)
        if name in seen:
            raise source.error(path, "each segment once", shown=f"{quote(name)} twice")
        seen.add(name)


def _check_end(leg: Dialled, path: KeyPath, source: ConfigFile) -> None:
    end = leg.tcp_ends_at
    if end is not None and end not in leg.path:
        hint = did_you_mean(end, leg.path, f"on its path: {', '.join(leg.path)}")
        raise source.error((*path, "tcp_ends_at"), "a segment of the leg's own path", end, hint)


def _check_statuses(leg: LegTable | Public, path: KeyPath, source: ConfigFile) -> None:
    for status in leg.expect_status:
        if not 100 <= status <= 599:
            raise source.error((*path, "expect_status"), "a status from 100 to 599", status)


def _check_rule(table: Public | Walled, path: KeyPath, rule: str, source: ConfigFile) -> None:
    if table.own_rule and rule not in table.path:
        expected = f"a path with {quote(rule)}, which own_rule replaces"
        raise source.error((*path, "path"), expected, shown="one without")


def _check_keys(leg: LegTable, path: KeyPath, source: ConfigFile) -> None:
    rule = KIND_RULES[leg.kind]
    allowed = (*rule.needs, *rule.takes)
    for key in leg.__struct_fields__:
        if source.stated((*path, key)) and key not in allowed and key not in EVERY_LEG:
            raise source.error(
                (*path, key),
                f"no {key} on a leg of kind {leg.kind}",
                shown="one",
                hint=f"this kind takes {', '.join(allowed)}",
            )
    for key in rule.needs:
        if not source.stated((*path, key)):
            what = "a DoH provider, better two" if key == "doh" else "a URL"
            raise source.error((*path, key), f"{what}, which a leg of kind {leg.kind} needs")


def _check_addresses(leg: LegTable, path: KeyPath, source: ConfigFile) -> None:
    if leg.address is not None and source.stated((*path, "addresses")):
        raise source.error(path, "only one of address and addresses", shown="both")
    if leg.address is not None:
        _check(parse_address, leg.address, (*path, "address"), source)
        if leg.any_of:
            at = (*path, "any_of")
            raise source.error(at, "any_of only beside addresses", shown="it beside address")
        return
    if not source.stated((*path, "addresses")):
        expected = "an address or addresses, which a leg of kind tcp needs"
        raise source.error((*path, "address"), expected)
    at = (*path, "addresses")
    if not leg.addresses:
        raise source.error(at, "at least one host:port", leg.addresses)
    dialled: set[tuple[str, int]] = set()
    for text in leg.addresses:
        _check(parse_address, text, at, source)
        host, port = parse_address(text)
        if (plain_host(host), port) in dialled:
            raise source.error(at, "each address once", shown=f"{quote(text)} twice")
        dialled.add((plain_host(host), port))


def _check_dialled(
    leg: Dialled,
    path: KeyPath,
    schemes: tuple[str, ...],
    source: ConfigFile,
) -> None:
    """Where a leg goes, how its name is resolved, and what its answer carries."""
    if leg.url is not None:
        _check(lambda text: parse_url(text, schemes), leg.url, (*path, "url"), source)
    ways = [way for way in ("resolve", "pin", "doh") if source.stated((*path, way))]
    if len(ways) > 1:
        blamed = next((way for way in ways if (*path, way) in source.variables), ways[-1])
        at = (*path, blamed)
        raise source.error(at, "only one of resolve, pin and doh", shown=" and ".join(ways))
    if leg.pin is not None:
        _check(parse_pin, leg.pin, (*path, "pin"), source)
    if "doh" in ways:
        _check_doh(leg, (*path, "doh"), source)
        if leg.url is not None and is_address(parse_url(leg.url, schemes).host):
            expected = "a URL with a host name, since doh is to resolve it"
            raise source.error((*path, "url"), expected, leg.url)
    if isinstance(leg, LegTable) and source.stated((*path, "fallback")):
        at = (*path, "fallback")
        if "doh" not in ways:
            raise source.error(at, "a fallback only beside doh", shown="one without doh")
        for text in leg.fallback:
            _check(parse_pin, text, at, source)
    _check_headers(leg, path, source)


def _provider(text: str) -> UrlParts:
    found = parse_doh(text)
    return found._replace(host=plain_host(found.host))


def _check_doh(leg: Dialled, path: KeyPath, source: ConfigFile) -> None:
    seen: set[UrlParts] = set()
    for text in leg.doh:
        _check(parse_doh, text, path, source)
        provider = _provider(text)
        if provider in seen:
            raise source.error(path, "each DoH provider once", shown=f"{quote(text)} twice")
        seen.add(provider)
    if not leg.doh:
        hint = "the second one answers when the first does not"
        raise source.error(path, "a DoH provider, better two", leg.doh, hint)


def _check_headers(leg: Dialled, path: KeyPath, source: ConfigFile) -> None:
    for key in ("headers_present", "headers_absent"):
        for name in getattr(leg, key):
            _check(check_header_name, name, (*path, key), source)
    present = {name.lower() for name in leg.headers_present}
    for name in leg.headers_absent:
        if name.lower() in present:
            expected = "no header that headers_present names too"
            raise source.error((*path, "headers_absent"), expected, name)


def _host_header(text: str) -> None:
    host, _, port = text.rpartition(":")
    if host and port.isascii() and port.isdigit():
        parse_address(text)
    else:
        check_host(text)


def _query(text: str) -> None:
    check_host(text)
    if is_address(text):
        raise Wrong("a name to ask for")
