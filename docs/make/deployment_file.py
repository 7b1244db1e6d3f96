"""`docs/deployment-file.md`, made from the types of the deployment file.

`python docs/make/deployment_file.py` writes it; a test holds that it is current, and that every
example in it loads.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec

from t3probe.config.delivery import Delivery, Mail, Otlp, RemoteWrite, Webhook
from t3probe.config.opinions import OpinionSource
from t3probe.config.read import field_types, required_fields
from t3probe.config.schema import descriptions
from t3probe.config.table import Duration, Table
from t3probe.config.types import (
    EVERY_LEG,
    KIND_RULES,
    DeploymentFile,
    Downtime,
    Experiments,
    Ingest,
    LegTable,
    Public,
    Sso,
    SweepLimits,
    Timing,
    Upstream,
    UpstreamShare,
    UpstreamSource,
    Walled,
)

__all__ = ["EXAMPLES", "SMALLEST", "text"]

SMALLEST = """\
name = "mine"
segments = ["wan", "balancer", "app"]

[[leg]]
name = "public"
kind = "ws_echo"
url = "wss://t3.example.org/probe/ws"
path = ["wan", "balancer", "app"]

[[leg]]
name = "inside"
kind = "ws_echo"
url = "wss://t3.example.org/probe/ws"
pin = "10.0.0.5"
path = ["balancer", "app"]
"""
"""The whole of a file that tells the way in from the rest."""

EXAMPLES: dict[str, str] = {
    "[timing]": '[timing]\nhold = "20s"\nheartbeat = "5s"\nwatchdog = "10s"\n',
    "[sso]": '[sso]\nhosts = ["login.example.org"]\nlogin_markers = ["id=\\"login-form\\""]\n',
    "[[leg]]": """\
[[leg]] # the load balancer's own 404 proves it, and no backend is involved
name = "balancer"
kind = "http"
url = "https://t3.example.org/"
pin = "10.0.0.5"
host_header = "unrouted.invalid"
expect_status = [404]
path = ["balancer"]

[[leg]] # the application's own WebSocket, behind Cloudflare Access
name = "application"
kind = "ws"
url = "wss://t3.example.org/ws"
origin = "https://t3.example.org"
send = '{"op":"ping","id":"{nonce}"}'
expect = '{"op":"pong","id":"{nonce}"}'
access_id_file = "access-id"
access_secret_file = "access-secret"
path = ["wan", "balancer", "app"]
""",
    "[[public]]": """\
[[public]]
name = "probe"
url = "https://t3.example.org/probe/healthz"
prefix = "/probe"
path = ["wan", "balancer"]
""",
    "[[walled]]": """\
[[walled]]
name = "home"
url = "https://t3.example.org/"
pin = "10.0.0.5"
path = ["balancer"]
headers_file = "session" # `Cookie: session=...`
served_with = true # without it the path is refused, with it served
""",
    "[[ingest]]": """\
[[ingest]]
name = "metrics"
kind = "remote_write"
url = "https://ingest.example.org/api/v1/write"
health = "/health"
path = ["wan", "balancer", "app"]
tcp_ends_at = "balancer"
""",
    "[[upstream]]": """\
[[upstream]]
name = "orders"
address = "10.0.3.7:8080"
route = "orders"
""",
    "[[upstream_source]]": """\
[[upstream_source]]
name = "edge"
kind = "envoy"
url = "http://10.0.3.1:9901"
""",
    "[[upstream_share]]": """\
[[upstream_share]]
segment = "balancer"
hosts = ["10.0.3.0/24", "*.rack-2.example.org"]

[[upstream]]
name = "search"
address = "10.0.3.8:8080"
""",
    "[[opinion]]": """\
[[opinion]]
name = "cloudflared"
kind = "cloudflared"
segment = "balancer"
url = "http://10.0.3.2:20241"

[[opinion]]
name = "traefik"
kind = "traefik"
segment = "app"
url = "https://traefik.example.org"
services = ["app@kubernetescrd"]
token_file = "/etc/t3probe/traefik.token"
""",
    "[experiments]": """\
[experiments]
relay = "https://app.example.org/tenant/relay"
jump = "https://app.example.org/tenant/jump"
book = "https://app.example.org/tenant/book"
only = ["spin*"]
""",
    "[[downtime]]": """\
[[downtime]]
segment = "app"
until = 2099-01-31T06:00:00Z
why = "the disk is replaced"
""",
    "[delivery]": """\
[delivery]
gateway = "http://pushgateway.example.org:9091"
spool = "spool"
""",
    "[delivery.otlp]": """\
[delivery.otlp]
endpoint = "http://jaeger.example.org:4318"
""",
    "[[delivery.remote_write]]": """\
[[delivery.remote_write]]
url = "https://metrics.example.org/api/v1/write"
token_file = "/etc/t3probe/receiver.token"
headers = { X-Scope-OrgID = "team-a" }
""",
    "[delivery.mail]": """\
[delivery.mail]
host = "smtp.example.org"
user = "t3probe@example.org"
sender = "t3probe@example.org"
to = ["ops@example.org"]
""",
    "[[delivery.webhook]]": """\
[[delivery.webhook]]
url = "https://ntfy.example.org/t3probe"
template = "ntfy"
""",
    "[sweep]": '[sweep]\npace = "sequential"\n',
}
"""Heading -> an example, which can stand below `SMALLEST`."""

TABLES: dict[str, type[Table]] = {
    "[timing]": Timing,
    "[sso]": Sso,
    "[[leg]]": LegTable,
    "[[public]]": Public,
    "[[walled]]": Walled,
    "[[ingest]]": Ingest,
    "[[upstream]]": Upstream,
    "[[upstream_source]]": UpstreamSource,
    "[[upstream_share]]": UpstreamShare,
    "[[opinion]]": OpinionSource,
    "[experiments]": Experiments,
    "[[downtime]]": Downtime,
    "[delivery]": Delivery,
    "[[delivery.remote_write]]": RemoteWrite,
    "[delivery.otlp]": Otlp,
    "[delivery.mail]": Mail,
    "[[delivery.webhook]]": Webhook,
    "[sweep]": SweepLimits,
}

START = """\
# The deployment file

This page is written by `python docs/make/deployment_file.py`; a test holds that it is current, and
that every example loads.

A deployment file says what can break and how to probe it. `t3probe init` writes one from a few
answers, `deployments/t3.toml` is a whole one, and `deployments/schema.json` gives editors
completion. The smallest that tells anything:
"""

RULES = """\
## Rules

- A mistake, such as an unknown key, is one sentence that names the file, the key, what was expected
  and what stood there; the exit code is 4, and nothing is probed.
- A duration is a number and a unit: `500ms`, `10s`, `2m`, `1h`.
- A name is 1 to 63 of a-z, 0-9, dots, - and _, with a letter or a digit at both ends.
- A relative path starts at the file's own folder.
- Secrets never stand in the file: `T3PROBE_GATEWAY_TOKEN`, or a file named by
  `T3PROBE_GATEWAY_TOKEN_FILE`; so for `T3PROBE_SOURCE_NAME_TOKEN`,
  `T3PROBE_OPINION_NAME_TOKEN`, `T3PROBE_INGEST_NAME_TOKEN`, `T3PROBE_OTLP_TOKEN` and
  `T3PROBE_RELAY_SECRET`, and for remote write `T3PROBE_REMOTE_WRITE_TOKEN`, of a receiver with a
  name `T3PROBE_REMOTE_WRITE_NAME_TOKEN`; `T3PROBE_MAIL_PASSWORD`; and of webhooks
  `T3PROBE_WEBHOOK_URL`, `_TOKEN` and `_SECRET`, with a name `T3PROBE_WEBHOOK_NAME_URL` and so on.
- What a leg shows to be let in (`headers_file`, `bearer_file`, `basic_file`, Cloudflare Access'
  service token, a client certificate) stands in files that are read anew for every connection and
  every request. It goes to the URL's own host, over verified TLS, along no redirect, and to no
  resolver and no SSO. A file that cannot be read, and a credential that is refused (401, 403,
  407, the SSO, an unexpected redirect), make the leg inconclusive with the reason
  `token_refused`: it may have run out, or whoever asks for it may be broken. Keep a leg without
  one beside it.
- A `ws` leg clears what it exercised: with `{nonce}` in `send` and `expect` its whole path.
  Without it, the same until the server is seen to send such a message by itself. By `ping`, and
  by the upgrade alone (neither `ping` nor `send`), what lies before the mark of the upgrade's
  answer or up to `tcp_ends_at`, and never the last segment; the upgrade alone holds no
  connection, sees no cut, and is no evidence about what an open WebSocket carries.
- Every value can be replaced from the environment, with `-` and `.` written `_`:
  `T3PROBE__TIMING__HOLD=5s`, `T3PROBE__LEG__PUBLIC__URL=wss://...`, `T3PROBE__TLS_CA=/ca.pem`. A
  list is separated by commas. An empty value takes the key out.
- `t3probe doctor FILE` says what a run would suffer from, `t3probe legs FILE` what its legs can
  tell.
"""


def text() -> str:
    """The page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield START
    yield from _fenced(SMALLEST)
    yield RULES
    yield "## The top of the file"
    yield ""
    yield from _keys(DeploymentFile, leave_out=tuple(one.strip("[]") for one in TABLES))
    yield "`[lab]` is free form, for the built-in lab; the loader does not look at it."
    yield ""
    for heading, table in TABLES.items():
        yield f"## {heading}"
        yield ""
        yield " ".join((table.__doc__ or "").split())
        yield ""
        if table is LegTable:
            yield from _kinds()
        start = f"{heading.strip('[]')}."
        within = [one.strip("[]") for one in TABLES]
        own = [one.removeprefix(start) for one in within if one.startswith(start)]
        yield from _keys(table, leave_out=tuple(own))
        yield from _fenced(EXAMPLES[heading])


def _kinds() -> Iterator[str]:
    yield "| kind | must have | may have, beside what every leg may |"
    yield "|---|---|---|"
    for kind, rule in KIND_RULES.items():
        needs = _codes(rule.needs) or "one of `address` and `addresses`"
        yield f"| `{kind}` | {needs} | {_codes(one for one in rule.takes)} |"
    yield ""
    yield f"Every leg: {_codes(EVERY_LEG)}."
    yield ""


def _codes(names: Any) -> str:
    return ", ".join(f"`{one}`" for one in names)


def _keys(table: type[Table], leave_out: tuple[str, ...] = ("lab",)) -> Iterator[str]:
    said = descriptions(table)
    defaults = {field.name: field.default for field in msgspec.structs.fields(table)}
    required = required_fields(table)
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    types = field_types(table)
    for key in dict.fromkeys((*required, *types)):
        hint = types[key]
        if key not in (*leave_out, "lab"):
            default = "must be there" if key in required else _default(defaults[key])
            yield f"| `{key}` | {_type(hint)} | {default} | {said[key]} |"
    yield ""


def _default(value: Any) -> str:
    if isinstance(value, Duration):
        seconds = float(value)
        return f"`{seconds * 1000:g}ms`" if seconds < 1 else f"`{seconds:g}s`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int):
        return f"`{value}`"
    return f'`"{value}"`' if isinstance(value, str) and value else "none"


def _type(hint: Any) -> str:
    origin = get_origin(hint)
    if origin is tuple:
        inner = _type(get_args(hint)[0])
        return f"list of {'lists of text' if inner.startswith('list') else inner}"
    if origin is Literal:
        return " or ".join(f'`"{one}"`' for one in get_args(hint))
    if origin is dict:
        return f"table of {_type(get_args(hint)[1])}"
    if isinstance(hint, type) and issubclass(hint, Table):
        return "table"
    names = {bool: "true or false", int: "number", Duration: "duration", datetime: "date and time"}
    return names.get(hint, "text")


def _fenced(example: str) -> Iterator[str]:
    yield "```toml"
    yield example.rstrip("\n")
    yield "```"
    yield ""


if __name__ == "__main__":
    document = Path(__file__).resolve().parents[1] / "deployment-file.md"
    document.write_text(text(), encoding="utf-8")
