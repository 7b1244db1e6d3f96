"""The token of an ingest gate. Apart, since a run without gates needs none of it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .errors import DeploymentError
from .secrets import secret, secret_in
from .types import Ingest


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
