"""What types cannot say about a deployment file as a whole: names, segments, paths, timing,
where results go, planned downtime. Its legs are in `check_legs.py`.

The first mistake found is raised as a DeploymentError.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from t3probe.text.names import MADE_LEGS, MADE_SEGMENTS, UPSTREAM_LEG, UPSTREAM_SEGMENT, made_prefix

from .check_legs import (
    check_ingest,
    check_leg,
    check_public,
    check_share,
    check_source,
    check_upstream,
    check_walled,
    has_credential,
)
from .endpoints import check_header_name, check_host, parse_url, plain_host
from .errors import ConfigFile, KeyPath, Wrong, did_you_mean, key_text, quote
from .expand import (
    Origin,
    default_query,
    expand,
    leg_names,
    own_segments,
)
from .experiments import check_experiments, made_by_rigs
from .opinions import check_opinions
from .receivers import check_mail, check_otlp, check_receivers, check_webhooks
from .types import NAME_PATTERN, DeploymentFile, Leg, Timing

MOST_AT_ONCE = 1024
_NAME = re.compile(NAME_PATTERN)
_NAME_FORM = "1 to 63 of a-z, 0-9, dot, - and _, with a letter or digit at both ends"
MOST_SOURCES = 32
MOST_GLOSS = 120
_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def check(file: DeploymentFile, source: ConfigFile) -> tuple[Leg, ...]:
    """The legs of `file`. Raises DeploymentError for its first mistake."""
    _check_name(file.name, ("name",), source)
    if file.vantage:
        _check_name(file.vantage, ("vantage",), source)
    _check_segments(file, source)
    _check_names(file, source)
    own = [one.name for one in own_segments(file)]
    declared = dict.fromkeys(file.segments)
    for i, leg in enumerate(file.leg):
        check_leg(leg, ("leg", i), declared, source)
    for i, public in enumerate(file.public):
        check_public(public, ("public", i), declared, source)
    for i, walled in enumerate(file.walled):
        check_walled(walled, ("walled", i), declared, source)
    for i, ingest in enumerate(file.ingest):
        check_ingest(ingest, ("ingest", i), declared, source)
    for i, upstream in enumerate(file.upstream):
        check_upstream(upstream, ("upstream", i), declared, source)
    for i, one in enumerate(file.upstream_source):
        check_source(one, ("upstream_source", i), declared, source)
    if len(file.upstream_source) > MOST_SOURCES:
        expected = f"at most {MOST_SOURCES} sources, which are all read at once"
        raise source.error(("upstream_source",), expected, file.upstream_source)
    for i, share in enumerate(file.upstream_share):
        check_share(share, ("upstream_share", i), declared, source)
    for i, opinion in enumerate(file.opinion):
        _check_name(opinion.name, ("opinion", i, "name"), source)
        for vantage in opinion.vantages:
            _check_name(vantage, ("opinion", i, "vantages"), source)
    check_opinions(file.opinion, declared, source)
    _check_queries(file, source)
    legs = expand(file)
    crossed = {name for leg in legs for name in leg.path}
    own = [name for name in own if name in crossed]
    _check_named(file, [*file.segments, *own], source)
    _check_paths(file, [*file.segments, *own], source)
    _check_downtime(file, [*file.segments, *own], source)
    _check_sso(file, source)
    _check_own_hosts(file, source)
    _check_delivery(file, source)
    if file.experiments is not None:
        check_experiments(file, file.experiments, source)
    if not 1 <= file.sweep.at_once <= MOST_AT_ONCE:
        expected = f"a number from 1 to {MOST_AT_ONCE}"
        raise source.error(("sweep", "at_once"), expected, file.sweep.at_once)
    return legs


def check_timing(timing: Timing, source: ConfigFile) -> None:
    """The relations between the durations, with defaults settled."""
    _at_most(timing, "connect_timeout", "watchdog", "connect_timeout", source)
    if timing.deadline is not None:
        _at_most(timing, "hold", "deadline", "deadline", source)
    _at_most(timing, "backoff", "backoff_max", "backoff_max", source)
    _at_most(timing, "heartbeat", "sweep_interval", "sweep_interval", source)


def _at_most(timing: Timing, low: str, high: str, blamed: str, source: ConfigFile) -> None:
    if getattr(timing, low) <= getattr(timing, high):
        return
    other = high if blamed == low else low
    # Where the environment broke a pair that fitted, it is the one to look at.
    if ("timing", other) in source.variables and ("timing", blamed) not in source.variables:
        blamed, other = other, blamed
    bound = "at most" if blamed == low else "at least"
    raise source.error(
        ("timing", blamed),
        f"{bound} {other}, which is {_as_stated(timing, other, source)}",
        shown=_as_stated(timing, blamed, source),
    )


def _as_stated(timing: Timing, key: str, source: ConfigFile) -> str:
    if source.stated(("timing", key)):
        return str(source.raw["timing"][key])
    return f"{getattr(timing, key):g}s"


def _check_name(name: str, path: KeyPath, source: ConfigFile) -> None:
    if not _NAME.fullmatch(name):
        raise source.error(path, _NAME_FORM, name)


def _check_not_made(name: str, made: tuple[str, ...], path: KeyPath, source: ConfigFile) -> None:
    prefix = made_prefix(name, made)
    if prefix:
        expected = f"a name that does not begin with {prefix}"
        hint = "names that tables such as [[upstream]] make begin so; choose another"
        raise source.error(path, expected, name, hint)


def _check_segments(file: DeploymentFile, source: ConfigFile) -> None:
    if not file.segments and file.experiments is None:
        raise source.error(("segments",), "at least one segment", [])
    seen: set[str] = set()
    for name in file.segments:
        _check_name(name, ("segments",), source)
        _check_not_made(name, MADE_SEGMENTS, ("segments",), source)
        if name in seen:
            raise source.error(("segments",), "each segment once", shown=f"{quote(name)} twice")
        seen.add(name)


def _check_names(file: DeploymentFile, source: ConfigFile) -> None:
    """Every leg has a name of its own, generated ones too, and safe vantages."""
    taken: dict[str, Origin] = {}
    for leg in leg_names(file):
        table = getattr(file, str(leg.path[0]))[leg.path[1]]
        path = (*leg.path, "name")
        _check_name(table.name, path, source)
        if leg.path[0] == "leg":
            _check_not_made(table.name, MADE_LEGS, path, source)
        for vantage in table.vantages:
            _check_name(vantage, (*leg.path, "vantages"), source)
        if leg.name in taken:
            other = key_text(taken[leg.name].path)
            hint = f"{other} has it already"
            if leg.path[0] != "leg":
                hint = f"it makes the leg {quote(leg.name)}, and so does {other}"
            raise source.error(path, "a name that is not taken", table.name, hint)
        taken[leg.name] = leg
    if not taken and file.experiments is None:
        hint = "add a [[leg]], [[public]], [[walled]], [[ingest]], [[upstream]] or [experiments]"
        raise source.error(("leg",), "at least one leg", hint=hint)


def _check_named(file: DeploymentFile, known: list[str], source: ConfigFile) -> None:
    """Segments that spread, local, marks and gloss name."""
    for key, names in (("spread", file.spread), ("local", file.local)):
        for name in names:
            if name not in known:
                hint = did_you_mean(name, known)
                raise source.error((key,), "a declared segment", name, hint)
    seen: set[str] = set()
    for header, name in file.marks.items():
        if header.lower() in seen:
            shown = f"{quote(header)} twice"
            raise source.error(("marks", header), "each header once", shown=shown)
        seen.add(header.lower())
        try:
            check_header_name(header)
        except Wrong as problem:
            raise source.error(("marks", header), problem.expected, header, problem.hint) from None
        if name not in known:
            hint = did_you_mean(name, known)
            raise source.error(("marks", header), "a declared segment", name, hint)
    for name, words in file.gloss.items():
        if name not in known:
            hint = did_you_mean(name, known)
            raise source.error(("gloss", name), "the name of a declared segment", name, hint)
        if not 0 < len(words) <= MOST_GLOSS or not words.isprintable():
            expected = f"1 to {MOST_GLOSS} printable characters"
            raise source.error(("gloss", name), expected, words)


def _check_queries(file: DeploymentFile, source: ConfigFile) -> None:
    for i, leg in enumerate(file.leg):
        if leg.kind == "doh" and leg.query is None and default_query(file) is None:
            raise source.error(
                ("leg", i, "query"),
                "the name to ask for, since no ws_echo leg with a host name uses doh",
            )


def _check_paths(file: DeploymentFile, known: list[str], source: ConfigFile) -> None:
    for i, path in enumerate(file.paths):
        if not path:
            raise source.error(("paths", i), "at least one segment", [])
        for name in path:
            if name not in known:
                hint = did_you_mean(name, known)
                raise source.error(("paths", i), "a declared segment", name, hint)
            if path.count(name) > 1:
                shown = f"{quote(name)} twice"
                raise source.error(("paths", i), "each segment once", shown=shown)


def _check_downtime(file: DeploymentFile, segments: list[str], source: ConfigFile) -> None:
    legs = [leg.name for leg in leg_names(file)]
    for i, entry in enumerate(file.downtime):
        path: KeyPath = ("downtime", i)
        if (entry.leg is None) == (entry.segment is None):
            shown = "neither" if entry.leg is None else "both"
            raise source.error(path, "either leg or segment", shown=shown)
        # Upstreams that a source will name are not known yet.
        found = file.upstream_source and (entry.leg or "").startswith(UPSTREAM_LEG)
        found = found or made_by_rigs(file, entry.leg, of_legs=True)
        if entry.leg is not None and not found:
            _check_known(entry.leg, legs, (*path, "leg"), "the name of a leg", source)
        found = file.upstream_source and (entry.segment or "").startswith(UPSTREAM_SEGMENT)
        found = found or made_by_rigs(file, entry.segment, of_legs=False)
        if entry.segment is not None and not found:
            expected = "the name of a segment"
            _check_known(entry.segment, segments, (*path, "segment"), expected, source)


def _check_known(
    name: str, known: Iterable[str], path: KeyPath, expected: str, source: ConfigFile
) -> None:
    if name not in known:
        raise source.error(path, expected, name, did_you_mean(name, known))


def _check_sso(file: DeploymentFile, source: ConfigFile) -> None:
    for host in file.sso.hosts:
        try:
            check_host(host)
        except Wrong as problem:
            hint = "write the host alone, without a scheme and a path" if "/" in host else ""
            source.wrong(("sso", "hosts"), Wrong(problem.expected, problem.hint or hint), host)
    for marker in file.sso.login_markers:
        if not marker.strip():
            hint = "an empty text is in every page"
            raise source.error(("sso", "login_markers"), "text to look for", marker, hint)


def _check_own_hosts(file: DeploymentFile, source: ConfigFile) -> None:
    """No credential goes to the SSO."""
    sso = {plain_host(one) for one in file.sso.hosts}
    for table in ("leg", "walled"):
        for i, one in enumerate(getattr(file, table)):
            host = urlsplit(one.url or "").hostname or ""
            if has_credential(one) and plain_host(host) in sso:
                expected = "a host that is none of sso.hosts, since a credential goes there"
                raise source.error((table, i, "url"), expected, one.url)


def _check_delivery(file: DeploymentFile, source: ConfigFile) -> None:
    for key in ("gateway", "heartbeat_url"):
        url = getattr(file.delivery, key)
        if url is not None:
            try:
                parse_url(url, ("http", "https"))
            except Wrong as problem:
                source.wrong(("delivery", key), problem, url)
    for key in ("textfile", "spool"):
        if getattr(file.delivery, key) == "":
            raise source.error(("delivery", key), "a path", "")
    if file.delivery.otlp is not None:
        check_otlp(file.delivery.otlp, source)
    check_receivers(file.delivery.remote_write, source)
    if file.delivery.mail is not None:
        check_mail(file.delivery.mail, source)
    check_webhooks(file.delivery.webhook, source)
    if not _JOB.fullmatch(file.delivery.job):
        expected = "1 to 63 letters, digits, dots, - and _, with a letter or digit first"
        raise source.error(("delivery", "job"), expected, file.delivery.job)
