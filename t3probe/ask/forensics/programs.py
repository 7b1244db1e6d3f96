"""The table of what is read of programs' logs: which lines are whose, told by what is in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from t3probe.ask.forensics.access import LineFacts, read_common, read_json
from t3probe.ask.forensics.dnsdist import read_dnsdist
from t3probe.ask.forensics.envoy import read_envoy, read_envoy_json, read_envoy_own
from t3probe.ask.forensics.haproxy import CUSTOM, read_haproxy, read_haproxy_json
from t3probe.ask.forensics.kinds import Source
from t3probe.ask.forensics.nginx import read_clf, read_error, read_nginx_json, read_request
from t3probe.ask.forensics.rows import JsonFields
from t3probe.ask.forensics.stamps import Stamps

__all__ = ["FORMS", "JSON_FORMS", "UNREAD_FORMS", "Form", "JsonForm"]


class Form(NamedTuple):
    """A form of lines."""

    source: Source
    name: str
    begins: tuple[bytes, ...]
    """A line begins with one of these; empty: with anything."""
    holds: bytes
    """A line holds this; what is quick to see comes before what is sure."""
    read: Callable[[bytes, Stamps, float], LineFacts | None]
    """What a line says; slow requests are those of so many seconds or more."""


class JsonForm(NamedTuple):
    """A form of JSON lines."""

    source: Source
    name: str
    read: Callable[[JsonFields, Stamps, float], LineFacts | None]


_HAPROXY_OWN = (
    b"Server ", b"Backup Server ", b"server ", b"backend ", b"proxy ", b"listen ", b"Proxy ",
    b"Stopping ", b"Pausing ", b"Connect from ", b"[NOTICE]", b"[WARNING]", b"[ALERT]",
)  # fmt: skip
_DNSDIST = (
    b"Answer to ", b"Packet from ", b"Marking downstream ", b"dnsdist ", b"Dropped query ",
    b"Had a downstream ", b"Error ", b"Invalid health ", b"Timeout while waiting for the health",
    b"Got query ", b"Got answer ", b"Query from ", b"Listening on ", b"Read configuration ",
    b"Added downstream ", b"Adding ", b"ACL allowing ", b"Console ACL ", b"Not validating ",
    b"No downstream ", b"Response code '", b"Polled security ", b"Opened console ",
    b"Closed console ", b"Accepting control ", b"Removing server ", b"Reloaded ",
    b"Unable to ", b"Passing a ",
)  # fmt: skip

FORMS: tuple[Form, ...] = (
    Form("envoy", "access log, the default and what begins like it", (b"[2",), b'Z] "', read_envoy),
    Form("nginx", "error log", (b"[",), b"#", lambda body, stamps, slow: read_error(body)),
    Form("envoy", "its own log", (b"[2",), b"][", lambda body, stamps, slow:
         read_envoy_own(body, stamps)),
    Form("traefik", "access log, common", (), b'] "', read_common),
    Form("haproxy", "tcplog, httplog, httpslog, and a log-format with their timers and state",
         (), b"] ", read_haproxy),
    Form("nginx", "access log: combined, main, common; also haproxy's httplog clf",
         (), b'] "', read_clf),
    Form("nginx", "access log with the request in quotes and the status behind it",
         (), b' HTTP/', lambda body, stamps, slow: read_request(body, slow)),
    Form("haproxy", "its own sentences", _HAPROXY_OWN, b"", read_haproxy),
    Form("dnsdist", "its own sentences, LogAction and LogResponseAction as text",
         _DNSDIST, b"", lambda body, stamps, slow: read_dnsdist(body)),
)  # fmt: skip
"""Tried in this order."""

JSON_FORMS: tuple[JsonForm, ...] = (
    JsonForm("traefik", "access log in JSON", read_json),
    JsonForm("haproxy", "a log-format in JSON with term or termination_state", read_haproxy_json),
    JsonForm("envoy", "access log in JSON with response_flags or flags", read_envoy_json),
    JsonForm("nginx", "access log in JSON by nginx's names", lambda row, stamps, slow:
             read_nginx_json(row, slow)),
)  # fmt: skip

UNREAD_FORMS: dict[str, str] = {
    "haproxy": CUSTOM,
    "nginx": "nginx's, in a form of its own (log_format) that is not read",
    "envoy": "Envoy's, in a form of its own (log_format, --log-format) that is not read",
    "dnsdist": "dnsdist's, in words that are not read",
    "traefik": "Traefik's, and no access log in its common form or in JSON",
    "tunnel": "the tunnel's by its name, and nothing that cloudflared writes",
}
"""What is said of lines whose program is named beside them, and which no form fits."""
