"""Things that several tests of the deployment file share."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path
from typing import Any

import pytest

from t3probe.config import Deployment, DeploymentError, loads

HERE = Path(__file__).parent
DEPLOYMENTS = HERE.parent.parent / "deployments"
NOW = 1_700_000_000.0
"""2023-11-14T22:13:20Z."""

PROVIDERS = '["https://1.1.1.1/dns-query", "https://9.9.9.9/dns-query"]'
SMALL = """
name = "example"
segments = ["wan", "tunnel"]

[[leg]]
name = "cloudflare"
kind = "ws_echo"
url = "wss://app.example/ws"
path = ["wan", "tunnel"]
"""
RICH = f"""
name = "rich"
segments = ["wan", "doh", "traefik", "carve-out", "wall", "host"]
paths = [["wan", "traefik", "host"]]
vantage = "lan"

[timing]
hold = "0"
watchdog = "2s"

[sso]
hosts = ["sso.example"]
login_markers = ["<login>"]

[[leg]]
name = "echo"
kind = "ws_echo"
url = "wss://app.example/ws"
doh = {PROVIDERS}
path = ["wan", "traefik"]
headers_present = ["cf-ray"]

[[leg]]
name = "resolver"
kind = "doh"
doh = {PROVIDERS}
path = ["wan", "doh"]

[[leg]]
name = "egress"
kind = "tcp"
addresses = ["10.0.0.1:443", "[fd00::1]:443"]
any_of = true
path = ["wan"]
vantages = ["lan", "cluster"]

[[public]]
name = "probe"
url = "https://app.example/probe/healthz"
prefix = "/probe"
path = ["traefik", "carve-out"]

[[public]]
name = "hook"
url = "https://app.example/hook"
path = ["traefik", "carve-out"]
tcp_ends_at = "carve-out"
own_rule = true

[[public]]
name = "other"
url = "https://other.example/open"
path = ["traefik", "carve-out"]

[[walled]]
name = "home"
url = "https://APP.example/"
pin = "10.0.0.2"
path = ["traefik", "wall"]

[[walled]]
name = "admin"
url = "https://app.example/admin"
path = ["traefik", "wall"]
own_rule = true

[[upstream]]
name = "web-1"
address = "10.0.0.3:8080"
route = "web"
listen_port = 80
shares = ["host"]

[[downtime]]
leg = "echo"
until = 2023-11-15
why = "new certificate"

[[downtime]]
segment = "host"
until = 2023-11-14T23:30:00+01:00

[delivery]
gateway = "http://gateway.example:9091"
spool = "spool"

[lab]
anything = {{ goes = [1, "two"] }}
"""


def read(
    text: str, environ: dict[str, str] | None = None, now: float = NOW, file: str = "some/x.toml"
) -> Deployment:
    """`loads` with nothing from the real environment."""
    return loads(text, file=file, environ=environ or {}, now=now)


def sentence(text: str, environ: dict[str, str] | None = None) -> str:
    """What is said about a file, or about the environment, that must be refused."""
    with pytest.raises(DeploymentError) as caught:
        read(text, environ)
    return str(caught.value)


def toml_value(value: Any) -> str:
    """A value as TOML text on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, int):
        # Python reads more hexadecimal digits than it is willing to print as decimal ones.
        return "0x" + "f" * 9000 if value > 2**200 else str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, dict):
        pairs = (f"{toml_string(key)} = {toml_value(one)}" for key, one in value.items())
        return "{" + ", ".join(pairs) + "}"
    return "[" + ", ".join(toml_value(one) for one in value) + "]"


def toml_string(text: str) -> str:
    """A TOML basic string in which everything unusual is escaped."""
    shown = (
        char
        if char.isascii() and char.isprintable() and char not in '"\\'
        else f"\\U{ord(char):08x}"
        for char in text
    )
    return '"' + "".join(shown) + '"'


def toml_document(table: dict[str, Any]) -> str:
    """A table as a TOML document, one top-level key a line."""
    return "".join(f"{toml_string(key)} = {toml_value(value)}\n" for key, value in table.items())
