"""Secrets and logins: from the environment or from a file, never from the deployment file."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from t3probe.exchange.bounds import SECRET_BYTES
from t3probe.exchange.files import NotAFileError, TooLargeError, read_regular
from t3probe.text import keep, keep_login

from .endpoints import check_header_name
from .errors import DeploymentError, Wrong
from .receivers import OWN_HEADERS
from .types import Ingest

if TYPE_CHECKING:
    from t3probe.exchange.client import Login


def secret(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """The secret `name` (such as `gateway_password`), or None when none is set. From then on it is
    masked wherever it is shown.

    It is the value of `T3PROBE_<NAME>`, or the content of the file that `T3PROBE_<NAME>_FILE`
    names, without the line end that editors add; `-` in the name is written `_`. Raises
    DeploymentError, whose sentence never holds the secret, when both are set, when the file
    cannot be read, and when the secret is empty or more than one line. A file that a mounted
    Secret of Kubernetes does not hold is no secret: there each key may be missing.
    """
    environ = os.environ if environ is None else environ
    variable = "T3PROBE_" + name.upper().replace("-", "_")
    by_file = variable + "_FILE"
    if variable in environ and by_file in environ:
        raise _error(variable, f"only one of {variable} and {by_file}", "both")
    if variable in environ:
        return _checked(environ[variable], variable)
    if by_file in environ:
        return secret_in(environ[by_file], by_file)
    return None


def secret_in(file: str, where: str) -> str | None:
    """The secret in a file that `where` names, a variable or a key: as in `secret`."""
    content = _content(file, where)
    return None if content is None else _checked(content, where)


_NOT_FOR_FILES = (OWN_HEADERS - {"accept", "content-type"}) | {
    *("cache-control", "origin", "t3probe-nonce", "traceparent", "transfer-encoding"),
    *("sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-key"),
    *("sec-websocket-protocol", "sec-websocket-version"),
}
MOST_HEADERS = 32


def headers_in(file: str, where: str) -> dict[str, str]:
    """The request headers in a file, `Name: value` a line; empty lines and those that begin with
    `#` are left out. Each value is a secret. Raises DeploymentError, whose sentence holds none."""
    content = _content(file, where)
    if content is None:
        raise _error(where, "a file of headers", "no such file")
    found: dict[str, str] = {}
    for number, line in enumerate(content.split("\n"), start=1):
        line = line.removesuffix("\r")
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, value = line.partition(":")
        value = value.strip(" \t")
        shown = f"line {number} is another one"
        try:
            check_header_name(name)
        except Wrong:
            raise _error(where, "`Name: value` in each line", shown) from None
        if not colon or not value or not value.isascii() or not value.isprintable():
            raise _error(where, "a value of printable ASCII characters in each line", shown)
        lower = name.lower()
        if lower in _NOT_FOR_FILES:
            raise _error(where, "headers that t3probe does not set itself", shown)
        if lower in {one.lower() for one in found}:
            raise _error(where, "each header once", f"line {number} has one again")
        if len(found) == MOST_HEADERS:
            raise _error(where, f"at most {MOST_HEADERS} headers", "more")
        found[name] = _kept(value)
    if not found:
        raise _error(where, "a header at least", "none")
    return found


def _kept(value: str) -> str:
    """A header's value, masked from now on, and each part that a server may quote alone."""
    keep_login(value, value)
    for part in re.split(r"[\s;,=]+", value):
        if len(part) >= 8 and not (part.isalpha() and part.islower()):
            keep(part)
    word, _, rest = value.partition(" ")
    if word.lower() == "basic":
        with suppress(ValueError):
            keep_login("", *base64.b64decode(rest).decode().split(":", 1))
    return value


def _content(file: str, variable: str) -> str | None:
    expected = "the name of a readable file that holds the secret"
    try:
        content = read_regular(file, SECRET_BYTES)
    except NotAFileError:
        raise _error(variable, expected, "something that is not a file") from None
    except TooLargeError:
        raise _error(variable, f"a file of at most {SECRET_BYTES} bytes", "a larger one") from None
    except (OSError, ValueError) as problem:
        if isinstance(problem, FileNotFoundError) and _mounted(os.path.dirname(file)):
            return None
        why = getattr(problem, "strerror", None) or "a name that no file can have"
        raise _error(variable, expected, why[0].lower() + why[1:]) from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise _error(variable, "a file in UTF-8", "other bytes") from None


def _mounted(folder: str) -> bool:
    """Whether this is where Kubernetes mounts a Secret: its own link stands there, or nothing."""
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    return not names or "..data" in names


def _checked(value: str, variable: str) -> str:
    value = value.removesuffix("\n").removesuffix("\r")
    if not value.strip():
        hint = "take the variable away if there is no secret"
        raise _error(variable, "a secret", "nothing", hint)
    # Most secrets travel in an HTTP header, where a line end would begin a header of its own.
    if re.search("[\x00-\x1f\x7f\ud800-\udfff]", value):
        raise _error(variable, "a secret of one line of text", "line ends or control characters")
    return keep(value)


def _error(variable: str, expected: str, actual: str, hint: str = "") -> DeploymentError:
    return DeploymentError(
        file="", key="", expected=expected, actual=actual, hint=hint, variable=variable
    )


def login_of(
    site: str,
    environ: Mapping[str, str],
    ca_file: str | None = None,
    token_file: str | None = None,
) -> Login:
    """The login of a site, such as `gateway` or `prometheus`.

    `T3PROBE_GATEWAY_TOKEN` (bearer, RFC 6750), or `T3PROBE_GATEWAY_USER` and
    `T3PROBE_GATEWAY_PASSWORD` (basic, RFC 7617), each also with `_FILE`;
    `T3PROBE_GATEWAY_CA_FILE` names a PEM file and wins over `ca_file`. `token_file` is the
    deployment file's word for where the token is. Raises DeploymentError, or ValueError with a
    sentence when they contradict each other.
    """
    # A run that talks to no server needs no client.
    from t3probe.exchange.client import Login

    token, user, password = (
        secret(f"{site}_{name}", environ) or "" for name in ("token", "user", "password")
    )
    start = f"T3PROBE_{site.upper()}"
    if token_file is not None:
        if token:
            raise ValueError(f"expected token_file or {start}_TOKEN, found both; take one away")
        token = secret_in(token_file, "token_file") or ""
    if token and (user or password):
        raise ValueError(
            f"expected {start}_TOKEN or {start}_USER with {start}_PASSWORD, found both; take "
            "one away"
        )
    if bool(user) != bool(password):
        raise ValueError(
            f"expected {start}_USER and {start}_PASSWORD together, found one; set the other"
        )
    return Login(token, user, password, environ.get(f"{start}_CA_FILE") or ca_file)


def token_variable(table: Ingest) -> str:
    """The environment variable that may hold the token."""
    return "T3PROBE_INGEST_" + table.name.upper().replace("-", "_").replace(".", "_") + "_TOKEN"


def token_of(table: Ingest, environ: Mapping[str, str] | None = None) -> str | None:
    """The token, read now, so that one that was changed is noticed; None: there is none.

    The environment goes before the file that the table names. Raises DeploymentError, whose
    sentence never holds it, and for what cannot stand in a header of HTTP.
    """
    environ = os.environ if environ is None else environ
    variable = token_variable(table)
    found = secret(variable.removeprefix("T3PROBE_"), environ)
    if found is None and table.token_file is not None:
        found = secret_in(table.token_file, f"ingest {table.name}: token_file")
    if found is not None and (not found.isascii() or " " in found):
        raise DeploymentError(
            file="",
            key="",
            expected="a token without spaces, of ASCII characters",
            actual="another one",
            hint="give the token alone, without the word Bearer",
            variable=variable,
        )
    return found
