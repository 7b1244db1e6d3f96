"""`[delivery.otlp]` completed from the environment: where traces go, and with which login.

The variables are those of the OpenTelemetry specification ("OpenTelemetry Protocol Exporter",
"Resource SDK"): what a file leaves unsaid they say, one for traces before one for all signals. They
never switch anything on; `OTEL_SDK_DISABLED=true` switches off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from urllib.parse import unquote, urlsplit

from t3probe.exchange.client import Login, Site
from t3probe.text import keep
from t3probe.text.words import listed

from .delivery import Otlp
from .durations import SHORTEST
from .endpoints import check_header_name
from .errors import DeploymentError, Wrong, is_secret_key
from .receivers import OWN_HEADERS
from .secrets import login_of, secret
from .types import Deployment

PATH = "/v1/traces"
SECONDS = 2.0
_START = "OTEL_EXPORTER_OTLP_"
_PROTOCOL = "http/protobuf"


@dataclass(frozen=True)
class Receiver:
    """Where traces go, and how."""

    site: Site
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    seconds: float = SECONDS
    """How long sending may take, all attempts together."""
    gzip: bool = False
    resource: Mapping[str, str] = field(default_factory=dict)
    """The attributes of whoever sends."""
    notes: tuple[str, ...] = ()
    """What of the environment was left out, as sentences."""


def disabled(environ: Mapping[str, str]) -> bool:
    """Whether `OTEL_SDK_DISABLED` is set: then nothing is sent and no request names a trace."""
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def receiver_of(deployment: Deployment | None, otlp: Otlp, environ: Mapping[str, str]) -> Receiver:
    """The receiver. Raises DeploymentError or ValueError, each one sentence without a secret.

    `deployment`: the one whose table this is; None: it was named on a command line.
    """
    url = _url(deployment, otlp, environ)
    notes: list[str] = []
    environ = _without_others(url, environ, notes)
    login, headers = _login(deployment, otlp, environ)
    return Receiver(
        site=Site(url, login),
        headers=headers,
        seconds=_seconds(otlp, environ),
        gzip=_gzip(otlp, environ),
        resource=dict(_resource(environ, notes)),
        notes=tuple(notes),
    )


def _said(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The variable that says it, the one for traces first, and its value; empty ones say
    nothing."""
    for variable in (f"{_START}TRACES_{name}", f"{_START}{name}"):
        value = environ.get(variable, "").strip()
        if value:
            return variable, value
    return "", ""


def _url(deployment: Deployment | None, otlp: Otlp, environ: Mapping[str, str]) -> str:
    if otlp.endpoint is not None:
        return _with_path(otlp.endpoint)
    variable, url = _said("ENDPOINT", environ)
    if not url:
        raise DeploymentError(
            file="" if deployment is None else deployment.file,
            key="delivery.otlp.endpoint",
            expected=f"the URL of a receiver, here or in {_START}ENDPOINT",
            actual="none",
            hint="write it like http://127.0.0.1:4318",
        )
    protocol_by, protocol = _said("PROTOCOL", environ)
    if protocol and protocol != _PROTOCOL:
        raise ValueError(
            f"{protocol_by}: expected {_PROTOCOL}, which is what t3probe speaks, found another "
            f"protocol for the receiver of {variable}; name an endpoint of its own in "
            "[delivery.otlp]"
        )
    whole = url if "_TRACES_" in variable else _with_path(url)
    try:
        Site(whole)
    except ValueError as error:
        raise ValueError(f"{variable}: {error}") from None
    return whole


def _without_others(url: str, environ: Mapping[str, str], notes: list[str]) -> Mapping[str, str]:
    """The environment without what it says of a receiver that is not this one: its login is not
    ours to pass on."""
    variable, named = _said("ENDPOINT", environ)
    if not variable or _origin(named) == _origin(url):
        return environ
    words = ("HEADERS", "CERTIFICATE", "TIMEOUT", "COMPRESSION")
    others = [one for one in (_said(word, environ)[0] for word in words) if one]
    if others:
        notes.append(f"{listed(others)} left out: {variable} names another receiver")
    return {name: value for name, value in environ.items() if not name.startswith(_START)}


def _origin(url: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port; None where it is no URL."""
    try:
        site = Site(url)
    except ValueError:
        return None
    return site.parts.scheme, site.host.lower(), site.port


def _with_path(url: str) -> str:
    """The URL of the traces below a receiver's own."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    return parts._replace(path=path if path.endswith(PATH) else path + PATH).geturl()


def _login(
    deployment: Deployment | None, otlp: Otlp, environ: Mapping[str, str]
) -> tuple[Login, dict[str, str]]:
    ca = None if deployment is None else deployment.tls_ca
    ca = otlp.tls_ca or _said("CERTIFICATE", environ)[1] or ca
    login = login_of("otlp", environ, ca, otlp.token_file)
    own = {name.lower() for name in otlp.headers}
    headers = {name: one for name, one in _headers(environ).items() if name.lower() not in own}
    headers |= otlp.headers
    if login.headers():
        headers = {name: one for name, one in headers.items() if name.lower() != "authorization"}
    return login, headers


def _headers(environ: Mapping[str, str]) -> dict[str, str]:
    """Those of the environment; a secret among them is masked from now on."""
    by, text = _said("HEADERS", environ)
    own = secret("otlp_headers", environ)
    if own is not None:
        by, text = "T3PROBE_OTLP_HEADERS", own
    found: dict[str, str] = {}
    for number, (name, value) in enumerate(_pairs(text, by), 1):
        try:
            check_header_name(name)
        except Wrong:
            shown = f"header {number} has another name"
            raise ValueError(f"{by}: expected NAME=VALUE,..., found that {shown}") from None
        if name.lower() in OWN_HEADERS:
            raise ValueError(f"{by}: expected no {name}, which t3probe sets itself; take it away")
        if not (value.isascii() and value.isprintable()):
            words = "percent-encoded printable ASCII"
            raise ValueError(f"{by}: expected {words} as the value of {name}, found something else")
        if is_secret_key(name) or (len(value) >= 8 and not (value.isalpha() and value.islower())):
            keep(value)
            keep(value.rpartition(" ")[2])
        found[name] = value
    return found


def _pairs(text: str, by: str) -> Iterator[tuple[str, str]]:
    """`a=1,b=2` with percent-encoding. Raises ValueError, which shows none of the values."""
    for number, part in enumerate((one for one in text.split(",") if one.strip()), 1):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"{by}: expected NAME=VALUE,..., found no = in part {number}")
        try:
            yield unquote(name.strip(), errors="strict"), unquote(value.strip(), errors="strict")
        except UnicodeDecodeError:
            raise ValueError(f"{by}: expected UTF-8 in part {number}, found other bytes") from None


def _seconds(otlp: Otlp, environ: Mapping[str, str]) -> float:
    """In the environment it is in milliseconds."""
    if otlp.timeout is not None:
        return float(otlp.timeout)
    by, text = _said("TIMEOUT", environ)
    if not text:
        return SECONDS
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) > 0):
        raise ValueError(f"{by}: expected milliseconds such as 2000, found something else")
    return max(float(SHORTEST), int(text) / 1000)


def _gzip(otlp: Otlp, environ: Mapping[str, str]) -> bool:
    by, text = _said("COMPRESSION", environ)
    if otlp.compression is not None or not text:
        return otlp.compression == "gzip"
    if text not in ("gzip", "none"):
        raise ValueError(f"{by}: expected gzip or none, found something else")
    return text == "gzip"


def _resource(environ: Mapping[str, str], notes: list[str]) -> Iterator[tuple[str, str]]:
    yield "service.name", "t3probe"
    try:
        yield "service.version", metadata.version("t3probe")
    except metadata.PackageNotFoundError:
        pass
    yield from _pipeline(environ)
    variable = "OTEL_RESOURCE_ATTRIBUTES"
    try:
        yield from [*_pairs(environ.get(variable, ""), variable)]
    except ValueError as error:  # the specification wants all of it left out then
        notes.append(f"{error}; all of it is left out")
    name = environ.get("OTEL_SERVICE_NAME", "").strip()
    if name:
        yield "service.name", name


_PIPELINES: dict[str, dict[str, str]] = {
    "GITHUB_ACTIONS": {
        "cicd.pipeline.name": "GITHUB_WORKFLOW", "cicd.pipeline.run.id": "GITHUB_RUN_ID",
        "cicd.pipeline.task.name": "GITHUB_JOB", "cicd.worker.name": "RUNNER_NAME",
    },
    "GITLAB_CI": {
        "cicd.pipeline.name": "CI_PROJECT_PATH", "cicd.pipeline.run.id": "CI_PIPELINE_ID",
        "cicd.pipeline.run.url.full": "CI_PIPELINE_URL", "cicd.pipeline.task.name": "CI_JOB_NAME",
        "cicd.pipeline.task.run.id": "CI_JOB_ID", "cicd.worker.name": "CI_RUNNER_DESCRIPTION",
    },
    "CI_WORKFLOW_NAME": {  # Woodpecker
        "cicd.pipeline.name": "CI_WORKFLOW_NAME", "cicd.pipeline.run.id": "CI_PIPELINE_NUMBER",
        "cicd.pipeline.run.url.full": "CI_PIPELINE_URL", "cicd.pipeline.task.name": "CI_STEP_NAME",
        "cicd.worker.name": "CI_MACHINE",
    },
}  # fmt: skip
"""A variable that only one kind of CI sets -> attributes of its runs and the variables that say
them."""


def _pipeline(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What a CI run is part of; nothing anywhere else."""
    if not environ.get("CI"):
        return
    yield "cicd.pipeline.task.type", "test"
    names = next((some for by, some in _PIPELINES.items() if environ.get(by)), {})
    yield from ((name, environ[by]) for name, by in names.items() if environ.get(by))
    where = [environ.get(f"GITHUB_{one}") for one in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
    if environ.get("GITHUB_ACTIONS") and all(where):
        server, repository, run = where
        yield "cicd.pipeline.run.url.full", f"{server}/{repository}/actions/runs/{run}"
