"""A deployment file → a checked `Deployment`.

Read the TOML, put the environment's values in, read the tables, check them, fill in what
they leave unsaid. The file is read; nothing is resolved, dialled or written.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from t3probe.exchange.bounds import DEPLOYMENT_BYTES
from t3probe.exchange.files import NotAFileError, TooLargeError, read_regular

from .check import check, check_timing
from .check_legs import check_idle
from .delivery import Delivery, Mail, Otlp, RemoteWrite, Webhook
from .downtime import stale
from .environment import override
from .errors import ConfigFile, DeploymentError, quote
from .expand import default_paths, own_segments, settle_timing
from .read import read_table
from .table import Table
from .trust import check_ca, located
from .types import CREDENTIALS, Deployment, DeploymentFile

_Named = TypeVar("_Named", bound=Table)
_Told = TypeVar("_Told", Mail, Webhook)


def load(
    path: str | os.PathLike[str], environ: Mapping[str, str] | None = None, *, now: float
) -> Deployment:
    """The deployment in the file at `path`, with the values of `environ` (default:
    `os.environ`) in place of the file's.

    `now` is Unix time in seconds; planned downtime that ended before it becomes a warning.
    Raises DeploymentError.
    """
    file = os.fspath(path)
    try:
        content = read_regular(file, DEPLOYMENT_BYTES)
    except NotAFileError as problem:
        raise _unreadable(file, problem.kind) from None
    except TooLargeError:
        hint = "move upstreams into an [[upstream_source]]"
        raise _unreadable(file, "a larger one", "a file of at most 4 MiB", hint) from None
    except FileNotFoundError:
        raise _unreadable(file, "no such file") from None
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or "a name that no file can have"
        raise _unreadable(file, why[0].lower() + why[1:]) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        actual = f"other bytes from byte {problem.start} on"
        raise _unreadable(file, actual, "UTF-8", "save it as UTF-8, or name another") from None
    return loads(text, file=file, environ=environ, now=now)


def loads(
    text: str,
    *,
    file: str = "deployment.toml",
    environ: Mapping[str, str] | None = None,
    now: float,
) -> Deployment:
    """The deployment in `text`, which stands in `file`: messages name it, and relative paths
    start at its folder. The rest is as in `load`."""
    folder = os.path.dirname(os.path.abspath(file))
    source = ConfigFile(file, folder, _parse(text, file))
    override(source, os.environ if environ is None else environ)
    table = read_table(DeploymentFile, source.raw, (), source)
    table = _with_token_files(table, source)
    legs = check(table, source)
    timing = settle_timing(table.timing, source)
    check_timing(timing, source)
    check_idle(table.leg, timing.heartbeat, source)
    if table.tls_ca is not None:
        check_ca(table.tls_ca, source)
    crossed = {name for leg in legs for name in leg.path}
    return Deployment(
        name=table.name,
        file=file,
        segments=table.segments,
        legs=legs,
        own_segments=tuple(one.name for one in own_segments(table) if one.name in crossed),
        paths=table.paths or default_paths(legs),
        spread=table.spread,
        local=table.local,
        marks={header.lower(): segment for header, segment in table.marks.items()},
        gloss=table.gloss,
        timing=timing,
        sso=table.sso,
        tls_ca=None if table.tls_ca is None else located(table.tls_ca, source),
        vantage=table.vantage,
        downtime=table.downtime,
        delivery=_delivery(table.delivery, source),
        sweep=table.sweep,
        upstream_source=table.upstream_source,
        upstream_share=table.upstream_share,
        trust_refusals=table.trust_refusals,
        opinion=table.opinion,
        experiments=table.experiments,
        warnings=(*stale(table.downtime, file, now), *_unused(table, crossed, file)),
    )


def _parse(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        match = re.fullmatch(r"(.*) \(at (.*)\)", str(problem), re.DOTALL)
        why, place = (match[1], match[2]) if match else (str(problem), "")
        raise DeploymentError(
            file=file, key=place, expected="TOML", actual="a mistake", hint=quote(why, 120)[1:-1]
        ) from None
    except RecursionError:
        actual = "arrays or tables nested too deeply"
        raise _unreadable(file, actual, "TOML", "make it flat") from None
    except (ValueError, OverflowError):
        # Python's own limits, such as the number of digits it is willing to read.
        actual = "a number or date beyond what can be read"
        raise _unreadable(file, actual, "TOML", "write a smaller one") from None


def _unreadable(
    file: str,
    actual: str,
    expected: str = "a readable deployment file",
    hint: str = "name another, or write one with t3probe init",
) -> DeploymentError:
    return DeploymentError(file=file, key="", expected=expected, actual=actual, hint=hint)


def _delivery(table: Delivery, source: ConfigFile) -> Delivery:
    """Paths made whole, so that the folder the run is started in does not matter."""
    return Delivery(
        gateway=table.gateway,
        job=table.job,
        textfile=None if table.textfile is None else located(table.textfile, source),
        spool=None if table.spool is None else located(table.spool, source),
        remote_write=tuple(_receiver(one, source) for one in table.remote_write),
        heartbeat_url=table.heartbeat_url,
        otlp=None if table.otlp is None else _traces(table.otlp, source),
        settle=table.settle,
        mail=None if table.mail is None else _trusting(table.mail, source),
        webhook=tuple(_trusting(one, source) for one in table.webhook),
    )


def _trusting(table: _Told, source: ConfigFile) -> _Told:
    if table.tls_ca is None:
        return table
    return msgspec.structs.replace(table, tls_ca=located(table.tls_ca, source))


def _traces(table: Otlp, source: ConfigFile) -> Otlp:
    return msgspec.structs.replace(
        table,
        token_file=None if table.token_file is None else located(table.token_file, source),
        tls_ca=None if table.tls_ca is None else located(table.tls_ca, source),
    )


def _receiver(table: RemoteWrite, source: ConfigFile) -> RemoteWrite:
    return msgspec.structs.replace(
        table,
        token_file=None if table.token_file is None else located(table.token_file, source),
        tls_ca=None if table.tls_ca is None else located(table.tls_ca, source),
    )


def _with_token_files(table: DeploymentFile, source: ConfigFile) -> DeploymentFile:
    """Files of tokens and credentials made whole, as in `_delivery`."""
    return msgspec.structs.replace(
        table,
        ingest=tuple(_whole(one, ("token_file",), source) for one in table.ingest),
        leg=tuple(_whole(one, CREDENTIALS, source) for one in table.leg),
        walled=tuple(_whole(one, CREDENTIALS, source) for one in table.walled),
        opinion=tuple(_whole(one, ("token_file",), source) for one in table.opinion),
    )


def _whole(one: _Named, keys: tuple[str, ...], source: ConfigFile) -> _Named:
    found = {key: located(path, source) for key in keys if (path := getattr(one, key))}
    return msgspec.structs.replace(one, **found) if found else one


def _unused(table: DeploymentFile, crossed: set[str], file: str) -> list[str]:
    used = set(crossed)
    if table.upstream_source:
        used.update(name for one in table.upstream_source for name in one.shares)
        used.update(one.segment for one in table.upstream_share)
    return [
        f"{file}: segments: {quote(name)} is on the path of no leg, so no run can clear it"
        for name in table.segments
        if name not in used
    ]
