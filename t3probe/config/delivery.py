"""The tables under `[delivery]`: where results go, and who is told."""

from __future__ import annotations

from typing import Literal

from .table import Duration, Table


class RemoteWrite(Table, frozen=True, kw_only=True):
    """One `[[delivery.remote_write]]`: a receiver of Prometheus remote write, version 1, such as
    VictoriaMetrics or Prometheus. Several are written at once, each with a backlog of its own."""

    url: str
    """What takes the requests, http:// or https://, path and all:
    `http://victoria.example.org:8428/api/v1/write`. A login comes from T3PROBE_REMOTE_WRITE_TOKEN,
    or _USER and _PASSWORD; of a receiver with a name from T3PROBE_REMOTE_WRITE_NAME_TOKEN."""
    name: str = ""
    """What it is called where there are several: made of the same characters as a leg's name."""
    token_file: str | None = None
    """A file that holds the bearer token, in place of the environment."""
    tls_ca: str | None = None
    """A PEM file of the certificate authorities to trust; default: the file's `tls_ca`."""
    headers: dict[str, str] = {}
    """More headers for each request, such as `X-Scope-OrgID`; never those of the protocol, and no
    secrets."""
    max_age: Duration = Duration(3300)
    """Of an older run that waits only the number of its drops is kept. Prometheus takes nothing
    that is an hour older than what it has, but with an out-of-order window of its own."""
    max_bytes: int = 67_108_864
    """What may wait for this receiver, in bytes. Beyond it the oldest run goes, in the same way."""


class Mail(Table, frozen=True, kw_only=True):
    """`[delivery.mail]`: a message when what is convicted changes, from the held mode, or from the
    job with a `spool` folder. The password comes from T3PROBE_MAIL_PASSWORD, and goes over TLS with
    a verified certificate only."""

    host: str
    """The mail server, such as `smtp.example.org`."""
    sender: str
    """The address that it comes from."""
    to: tuple[str, ...]
    """The addresses that it goes to."""
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    """starttls: TLS after a greeting in the clear, as on port 587; implicit: TLS from the first
    byte, as on 465; none: no TLS, and no login."""
    port: int = 0
    """Default: 587 with starttls, 465 with implicit, 25 with none."""
    user: str = ""
    """Who logs in; default: nobody."""
    tls_ca: str | None = None
    """A PEM file of the certificate authorities to trust; default: the file's `tls_ca`."""


MAIL_PORTS = {"starttls": 587, "implicit": 465, "none": 25}
"""What `port` is where `[delivery.mail]` does not say (RFC 6409, RFC 8314, RFC 5321)."""


class Webhook(Table, frozen=True, kw_only=True):
    """One `[[delivery.webhook]]`: the same messages by HTTP. T3PROBE_WEBHOOK_SECRET signs them,
    T3PROBE_WEBHOOK_TOKEN, or _USER and _PASSWORD, logs in; of one with a name
    T3PROBE_WEBHOOK_NAME_SECRET and so on."""

    url: str | None = None
    """What takes them, http:// or https://. One that holds a key, such as Slack's, belongs into
    T3PROBE_WEBHOOK_URL, of one with a name T3PROBE_WEBHOOK_NAME_URL. Matrix:
    `https://HOST/_matrix/client/v3/rooms/ROOM/send/m.room.message`."""
    name: str = ""
    """What it is called where there are several: made of the same characters as a leg's name."""
    template: Literal["json", "slack", "ntfy", "matrix"] = "json"
    """The form of the request: our own JSON, or what these read."""
    tls_ca: str | None = None
    """A PEM file of the certificate authorities to trust; default: the file's `tls_ca`."""


class Delivery(Table, frozen=True):
    """Where results go. Secrets come from the environment or a file, never from here."""

    gateway: str | None = None
    """URL of a Prometheus Pushgateway."""
    job: str = "t3-probe"
    """The job's label in the gateway. Alert rules and dashboard ask for the default."""
    textfile: str | None = None
    """A file for node_exporter's textfile collector."""
    spool: str | None = None
    """A folder that keeps what could not be delivered: counts, and whole runs for remote write."""
    remote_write: tuple[RemoteWrite, ...] = ()
    """Receivers of remote write."""
    heartbeat_url: str | None = None
    """Requested after each delivered run: a dead man's switch outside this Prometheus."""
    otlp: Otlp | None = None
    """A receiver of traces."""
    settle: Duration = Duration(60)
    """How long a change of what is convicted has to last before mail and webhooks tell of it, and
    how far apart their messages are."""
    mail: Mail | None = None
    """Who is told by mail."""
    webhook: tuple[Webhook, ...] = ()
    """Who is told by HTTP."""


class Otlp(Table, frozen=True):
    """`[delivery.otlp]`: a trace of each run, and in the held mode of each incident, by OTLP over
    HTTP with protobuf (`pip install 't3probe[otlp]'`). What it does not say, `OTEL_EXPORTER_OTLP_*`
    says. Where these name an endpoint of another origin, they are all left out, and a sentence says
    so. A token comes from `token_file` or T3PROBE_OTLP_TOKEN, headers that hold a secret from
    OTEL_EXPORTER_OTLP_HEADERS or T3PROBE_OTLP_HEADERS_FILE."""

    endpoint: str | None = None
    """URL of a receiver; `/v1/traces` is put behind it unless it ends so. Default:
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT."""
    token_file: str | None = None
    """A file that holds the bearer token, in place of the environment."""
    headers: dict[str, str] = {}
    """Headers that hold no secret, such as the name of a tenant."""
    tls_ca: str | None = None
    """A PEM file of the certificate authorities to trust; default: OTEL_EXPORTER_OTLP_CERTIFICATE,
    then the file's `tls_ca`."""
    timeout: Duration | None = None
    """How long sending may take, other attempts included, but no longer than the delivery has;
    default: OTEL_EXPORTER_OTLP_TIMEOUT, then 2s."""
    compression: Literal["none", "gzip"] | None = None
    """Default: OTEL_EXPORTER_OTLP_COMPRESSION, then none: not every receiver unpacks."""
    traceparent: Literal["off", "sampled", "unsampled"] = "off"
    """Whether requests of ws_echo and http legs name the run's trace to the server
    (`traceparent`), so that its spans join. It changes the request: `sampled` makes most servers
    record each of them, `unsampled` leaves that to them."""
