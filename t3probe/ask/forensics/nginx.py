"""nginx's log: the access log in its own forms, and the error log.

An access line is written when the request is over. Any log_format is read that has the request in
quotes and the status behind it, and JSON with the names of nginx's variables; without a time of
its own it takes the collector's. In the error log the level tells apart who failed on an upgraded
connection: nginx writes what befalls a client as `info`, what befalls an upstream as `error`.
"""

from __future__ import annotations

import re

from t3probe.ask.forensics.access import LineFacts, answered, codes_of
from t3probe.ask.forensics.haproxy import read_haproxy_clf
from t3probe.ask.forensics.kinds import code
from t3probe.ask.forensics.rows import JsonFields
from t3probe.ask.forensics.stamps import Stamps

_CLF = re.compile(
    rb"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d) ([+-]\d{4})\] "
    rb'"([^"]*)" (\d{3})(?=[ \r]|$)'
)
_REQUEST = re.compile(rb'"[A-Z]{3,20} [^"]* HTTP/\d(?:\.\d)?" (\d{3})(?=[ \r]|$)')
_ERROR = re.compile(
    rb"\[(emerg|alert|crit|error|warn|notice|info|debug)\] \d{1,10}#\d{1,10}: (?:\*\d{1,20} )?"
)
_QUOTED = re.compile(rb'"[^"]*"')
_TOOK = re.compile(rb" (?:rt=|request_time=)(\d{1,9}\.\d{3})(?=[ \r]|$)")

CODES = codes_of("nginx")
CLIENT, BACKEND, IDLE, FULL, OWN, REFUSED, INFO, STOPPED, RESTARTED, EXITED = (
    code(f"nginx_{name}")
    for name in (
        "client_error", "backend_error", "idle", "full", "own_error", "refused", "info",
        "stopped", "restarted", "exited",
    )
)  # fmt: skip


def read_clf(body: bytes, stamps: Stamps, slow_seconds: float) -> LineFacts | None:
    """`combined`, `main`, `common` and what else begins like them; haproxy's CLF too."""
    found = _CLF.search(body)
    if found is None:
        return None
    at = stamps.clf(found[1], found[2])
    status = int(found[4])
    told = read_haproxy_clf(body, found.end(), at, status, slow_seconds)
    if told is not None:
        return told
    seconds = _seconds(body, found.end())
    return LineFacts(answered(CODES, status, seconds, slow_seconds), at, seconds)


def read_request(body: bytes, slow_seconds: float) -> LineFacts | None:
    """A log_format with its time before everything, taken off already, or without one."""
    found = _REQUEST.search(body)
    if found is None:
        return None
    seconds = _seconds(body, found.end())
    return LineFacts(answered(CODES, int(found[1]), seconds, slow_seconds), None, seconds)


def _seconds(body: bytes, at: int) -> float | None:
    took = _TOOK.search(body, at)
    return float(took[1]) if took else None


def read_nginx_json(row: JsonFields, slow_seconds: float) -> LineFacts | None:
    """A log_format in JSON that names nginx's variables as nginx does; None: it is none."""
    named = (row.request, row.request_method, row.request_time, row.upstream_addr)
    if row.status is None or all(one is None for one in (*named, row.upstream_status)):
        return None
    try:
        status = int(row.status)
        seconds = None if row.request_time is None else float(row.request_time)
    except (TypeError, ValueError, OverflowError):
        return None
    return LineFacts(answered(CODES, status, seconds, slow_seconds), None, seconds)


def read_error(body: bytes) -> LineFacts | None:
    """A line of the error log, behind its time; None: it is none."""
    found = _ERROR.match(body)
    if found is None:
        return None
    level = found[1]
    # What follows is the client's own words: a request can hold any of these sentences.
    said, _, more = body[found.end() :].partition(b", client: ")
    if b'"' in said:
        said = _QUOTED.sub(b"", said)
    return LineFacts(_process(level, said) if not more else _connection(level, said))


def _connection(level: bytes, said: bytes) -> int:
    if b"upgraded connection" in said:
        if b"timed out" in said:
            return IDLE
        return CLIENT if level == b"info" else BACKEND
    if b"client prematurely closed" in said or b"client timed out" in said:
        return CLIENT
    if b"upstream server temporarily disabled" in said:
        return INFO  # the failure itself stands before it
    if b"upstream" in said and level != b"info":
        return INFO if level == b"warn" and b"buffered" in said else BACKEND
    if b"connections are not enough" in said or b"limiting " in said:
        return FULL
    if b"SSL handshaking" in said or b"client sent" in said or b"client intended" in said:
        return REFUSED
    return INFO


def _process(level: bytes, said: bytes) -> int:
    if said.startswith((b"worker process ", b"cache manager process ")) and b" exited " in said:
        return INFO if b"exited with code 0" in said else EXITED
    if said.startswith((b"signal 15 ", b"signal 3 ", b"signal 2 ")) and b" received" in said:
        return STOPPED
    if said.startswith(b"nginx/"):
        return RESTARTED
    if b"are not enough" in said or b"Too many open files" in said:
        return FULL
    return OWN if level in (b"emerg", b"alert", b"crit") else INFO
