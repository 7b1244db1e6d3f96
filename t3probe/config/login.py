"""Logins: from the environment or from files, never from the deployment file.

Apart from `secrets`, since a run that talks to no server needs no client.
"""

from __future__ import annotations

from collections.abc import Mapping

from t3probe.exchange.client import Login

from .secrets import secret

__all__ = ["login_of"]


def login_of(site: str, environ: Mapping[str, str], ca_file: str | None = None) -> Login:
    """The login of a site, such as `gateway` or `prometheus`.

    `T3PROBE_GATEWAY_TOKEN` (bearer, RFC 6750), or `T3PROBE_GATEWAY_USER` and
    `T3PROBE_GATEWAY_PASSWORD` (basic, RFC 7617), each also with `_FILE`;
    `T3PROBE_GATEWAY_CA_FILE` names a PEM file and wins over `ca_file`. Raises DeploymentError, or
    ValueError with a sentence when they contradict each other.
    """
    token, user, password = (
        secret(f"{site}_{name}", environ) or "" for name in ("token", "user", "password")
    )
    start = f"T3PROBE_{site.upper()}"
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
