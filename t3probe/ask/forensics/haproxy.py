"""haproxy's log: sessions by TCP and HTTP with their termination states, and its own sentences.

Forms: `option tcplog`, `httplog`, `httplog clf`, `httpslog`, and a log-format that keeps the
accept date, the five timers with `/` between them and the termination state. The state says who
ended a session (configuration manual, 8.5): the first letter who, the second in which phase.
"""

from __future__ import annotations

import re

from t3probe.ask.forensics.access import LONGEST_SECONDS, LineFacts, answered, codes_of
from t3probe.ask.forensics.kinds import code
from t3probe.ask.forensics.rows import JsonFields
from t3probe.ask.forensics.stamps import Stamps

_DATE = re.compile(rb"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d)(\.\d{1,6})\] ")
_TIMERS = re.compile(
    rb' ([^\s/"]{1,200})/([^\s"]{1,200}) '
    rb"(-?\d{1,10})/(-?\d{1,10})/((?:-?\d{1,10}/){0,2})(\+?)(-?\d{1,10}) "
    rb"(?:(-?\d{1,3}) )?\+?\d{1,19} "
)
_STATE = re.compile(rb"(?:^| )([CSPLRIDUKcs-][RQCHDLT-])(?:[A-Z-]{2})? \d{1,9}/\d{1,9}/\d{1,9}/")
_CLF_TAIL = re.compile(
    rb' \d{1,19} "[^"]{0,200}" "[^"]{0,200}" \d{1,5} \d{1,4} "[^"]{0,200}" "[^"]{0,200}" '
    rb'"[^"]{0,200}" -?\d{1,10} -?\d{1,10} -?\d{1,10} -?\d{1,10} (\+?)(-?\d{1,10}) '
    rb"([CSPLRIDUKcs-][RQCHDLT-])[A-Z-]{2} "
)
_STATE_TEXT = re.compile(r"([CSPLRIDUKcs-][RQCHDLT-])(?:[A-Z-]{2})?")
_STDERR = re.compile(rb"\[(?:NOTICE|WARNING|ALERT)\] +(?:\d{1,9}/\d{1,9} )?\(\d{1,10}\) : ")
_SERVER = re.compile(rb"(?:Backup )?[Ss]erver [^\s/]{1,200}/\S{1,200} (?:is|was) ")
_ENTRY = re.compile(rb"[^\s/]{1,200}/\S{1,200}: ")
_CODE = re.compile(rb"exited with code (\d{1,3})")
LOOKED_AT_BYTES = 2_000

BEGINS = "haproxy writes these when an answer begins (option logasap): who ended it is not in them"
CUSTOM = "haproxy's, in a form of its own (log-format) that is not read"
CODES = codes_of("haproxy")
GAVE_UP, DOWN, IDLE, FULL, OWN, REFUSED, INFO, STOPPED, RESTARTED, EXITED, DRAINING = (
    code(f"haproxy_{name}")
    for name in (
        "client_gave_up", "backend_down", "idle", "full", "own_error", "refused", "info",
        "stopped", "restarted", "exited", "draining",
    )
)  # fmt: skip


def state_kind(state: str, status: int, seconds: float | None, slow_seconds: float) -> int:
    """Who ended a session: a termination state's first two letters, and an HTTP status or 0."""
    who, phase = state[:1], state[1:2]
    if who in "Cc":
        if phase == "R":
            return REFUSED  # no whole request came: an idle or a probing connection
        if who == "C" and phase in "QCH":
            return GAVE_UP
        if who == "c" and phase == "D" and status == 101:
            return IDLE  # `timeout tunnel` counts for both sides
        return CODES.gone
    if who in "Ss":
        if phase == "Q":
            return FULL
        if phase == "C":
            return CODES.unavailable
        if who == "s":
            return IDLE if phase in "DL" and status == 101 else CODES.timeout
        return CODES.bad
    if who == "P":
        if phase == "C":
            return FULL
        if phase in "RT":
            return REFUSED
        return CODES.bad if phase == "H" else OWN
    if who in "RI":
        return FULL if who == "R" else OWN
    if who == "D":
        return DOWN
    if who == "K":
        return STOPPED
    if who in "LU":
        return CODES.served  # haproxy answered by itself, or moved on to a better server
    return answered(CODES, status, seconds, slow_seconds)


def read_haproxy(body: bytes, stamps: Stamps, slow_seconds: float) -> LineFacts | None:
    """A line of haproxy's, of a session or its own; None: it is none."""
    # What is quoted is the client's: a request can hold anything.
    quote = body.find(b'"', 0, LOOKED_AT_BYTES)
    end = min(len(body), LOOKED_AT_BYTES) if quote < 0 else quote
    date = _DATE.search(body, 0, end)
    if date is None:
        return _own(body)
    timers = _TIMERS.search(body, date.end(), end)
    state = _STATE.search(body, timers.end() - 1, end) if timers else None
    if timers is None or state is None:
        if _ENTRY.match(body, date.end()):  # an error before any session: a handshake that failed
            return LineFacts(REFUSED, stamps.clf(date[1]), zoned=False)
        return None
    total = int(timers[7])
    status = int(timers[8] or 0)
    began = stamps.clf(date[1])
    seconds = min(max(total, 0) / 1000, LONGEST_SECONDS)
    ended = None if began is None else int(began + float(date[2]) + seconds)
    if timers[6] and state[1] == b"--":
        return LineFacts(_open(status, seconds, slow_seconds), ended, remark=BEGINS, zoned=False)
    kind = state_kind(state[1].decode(), status, seconds, slow_seconds)
    return LineFacts(kind, ended, seconds, zoned=False)


def _open(status: int, seconds: float, slow_seconds: float) -> int:
    """Of a session that had only begun when it was written down."""
    return CODES.served if status == 101 else answered(CODES, status, seconds, slow_seconds)


def read_haproxy_clf(
    body: bytes, at: int, began: int | None, status: int, slow_seconds: float
) -> LineFacts | None:
    """What follows the status in `option httplog clf`, at `at`; None: it is another's line."""
    found = _CLF_TAIL.match(body, at)
    if found is None:
        return None
    seconds = min(max(int(found[2]), 0) / 1000, LONGEST_SECONDS)
    ended = None if began is None else int(began + seconds)
    if found[1] and found[3] == b"--":
        return LineFacts(_open(status, seconds, slow_seconds), ended, remark=BEGINS)
    return LineFacts(state_kind(found[3].decode(), status, seconds, slow_seconds), ended, seconds)


def read_haproxy_json(row: JsonFields, stamps: Stamps, slow_seconds: float) -> LineFacts | None:
    """A log-format in JSON that has the state as `term` or `termination_state`."""
    state = row.termination_state if row.term is None else row.term
    if not isinstance(state, str) or not (found := _STATE_TEXT.fullmatch(state)):
        return None
    try:
        status = int(row.status)
    except (TypeError, ValueError):
        status = 0
    # Its times are those of the begin, and no duration has a name of its own.
    return LineFacts(state_kind(found[1], status, None, slow_seconds), None, begins=True)


def _own(body: bytes) -> LineFacts | None:
    """What it says of itself and of its servers."""
    stderr = _STDERR.match(body)
    text = body[stderr.end() :] if stderr else body
    if _SERVER.match(text):
        if b" is UP" in text:
            return LineFacts(INFO)
        if b"maintenance" in text or b"drain" in text:
            return LineFacts(STOPPED)
        return LineFacts(DOWN if b" is DOWN" in text or b"going DOWN" in text else INFO)
    if b"has no server available!" in text:
        return LineFacts(DOWN)
    if text.startswith((b"Proxy ", b"Stopping ", b"Pausing ")):
        if text.startswith(b"Proxy ") and b" started." in text:
            return LineFacts(RESTARTED)
        if b" hard-stopped (" in text:
            return LineFacts(DRAINING if b"stopped (0 remaining" in text else STOPPED)
        if b" stopped (" in text or text.startswith((b"Stopping ", b"Pausing ")):
            return LineFacts(DRAINING)  # each reload says so
        if b"reached" in text and b"limit" in text:
            return LineFacts(FULL)
    if text.startswith(b"soft-stop running for too long"):
        return LineFacts(STOPPED)  # hard-stop-after
    if text.startswith(b"Connect from ") and text.endswith((b"/HTTP)", b"/TCP)")):
        return LineFacts(CODES.served, begins=True, remark=BEGINS)
    if stderr is None:
        return None
    if found := _CODE.search(text):
        if text.startswith(b"Former ") and found[1] == b"0":
            return LineFacts(INFO)  # its last connection had ended by itself
        return LineFacts(STOPPED if found[1] in (b"0", b"143", b"130") else EXITED)
    return LineFacts(INFO)
