"""JSON lines: one table of the names that loggers give to what matters here."""

from __future__ import annotations

from typing import Any

import msgspec

from t3probe.ask.forensics.stamps import Stamps


def _named(name: str) -> Any:
    return msgspec.field(default=None, name=name)


class JsonFields(msgspec.Struct, gc=False):
    """The fields of JSON lines that matter: journald's, docker's, Loki's, access logs', loggers'.

    All are untyped: a field of an unexpected kind must not hide the others.
    """

    # journald
    realtime: Any = _named("__REALTIME_TIMESTAMP")
    monotonic: Any = _named("__MONOTONIC_TIMESTAMP")
    entry: Any = _named("MESSAGE")
    unit: Any = _named("_SYSTEMD_UNIT")
    user_unit: Any = _named("_SYSTEMD_USER_UNIT")
    identifier: Any = _named("SYSLOG_IDENTIFIER")
    # docker, and Loki by `logcli -o jsonl`
    log: Any = None
    line: Any = None
    labels: Any = None
    # when it was written
    time: Any = None
    timestamp: Any = None
    at_timestamp: Any = _named("@timestamp")
    ts: Any = None
    msec: Any = None
    time_iso8601: Any = None
    time_local: Any = None
    # Traefik
    method: Any = _named("RequestMethod")
    downstream: Any = _named("DownstreamStatus")
    duration_ns: Any = _named("Duration")
    start_utc: Any = _named("StartUTC")
    start_local: Any = _named("StartLocal")
    # Envoy; the milliseconds of haproxy and of others have the same names
    start_time: Any = None
    response_code: Any = None
    response_flags: Any = None
    flags: Any = None
    code: Any = None
    duration: Any = None
    duration_ms: Any = None
    # nginx
    status: Any = None
    request: Any = None
    request_time: Any = None
    request_method: Any = None
    upstream_addr: Any = None
    upstream_status: Any = None
    # haproxy
    term: Any = None
    termination_state: Any = None
    # a logger's
    level: Any = None
    message: Any = None
    msg: Any = None
    event: Any = None
    error: Any = None

    @property
    def text(self) -> bool:
        """Whether it is a logger's message."""
        return self.message is not None or self.msg is not None or self.level is not None


decoder = msgspec.json.Decoder(JsonFields)


def own_time(row: JsonFields, stamps: Stamps) -> tuple[float | None, bool]:
    """When the line says that it was written, in Unix seconds, and whether its zone is known."""
    for value in (
        row.msec, row.time, row.at_timestamp, row.timestamp, row.ts, row.time_iso8601,
        row.time_local,
    ):  # fmt: skip
        if value is not None and (found := stamps.any(value)) is not None:
            return found, stamps.zoned
    return None, False
