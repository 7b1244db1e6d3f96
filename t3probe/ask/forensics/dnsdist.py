"""dnsdist's output: its servers' states, answers by LogResponseAction, and its own sentences.

Lines have no time of their own but those that LogAction and LogResponseAction write with one.
"""

from __future__ import annotations

import re

from t3probe.ask.forensics.access import LineFacts
from t3probe.ask.forensics.kinds import code

_ANSWER = re.compile(
    rb"Answer to \S{1,80} for [^(]{1,300} \(([A-Za-z -]{1,40})\) with id \d{1,5}\s*\Z"
)
_QUERY = re.compile(rb"Packet from \S{1,80} for [^(]{1,300} with id \d{1,5}\s*\Z")
_STATE = re.compile(rb"Marking downstream .{1,300} as '(up|down)'", re.DOTALL)
_START = re.compile(rb"dnsdist \d\S{0,40} comes with ")
_FAILED = (b"Server Failure", b"Query Refused", b"Refused")
_HEALTH = (
    b"Error receiving health check response from", b"Invalid health check response",
    b"Timeout while waiting for the health check response", b"Error checking the health of",
    b"Error while sending an health check query",
)  # fmt: skip
_OWN = (
    b"Got query for ", b"Got answer from ", b"Query from ", b"Listening on ",
    b"Read configuration ", b"Added downstream server ", b"Adding server to ",
    b"ACL allowing queries from", b"Console ACL allowing ", b"Adding TCP Client thread",
    b"Adding DoH Client thread", b"Not validating response for security",
    b"Error while retrieving the security update", b"Response code '", b"Polled security status",
    b"Opened console connection", b"Closed console connection", b"Accepting control connections",
    b"No downstream servers defined", b"Passing a plugin", b"Removing server from", b"Reloaded ",
)  # fmt: skip
_SENTENCES = _OWN + _HEALTH
_FAILURES = (b"Had a downstream timeout from ", b"Error sending request to backend ")
DOWN, FAILED, INFO, RESTARTED = (
    code(f"dnsdist_{name}") for name in ("backend_down", "failed", "info", "restarted")
)


def read_dnsdist(body: bytes) -> LineFacts | None:
    """A line of dnsdist's, behind its time; None: it is none."""
    first = body[:1]
    if first == b"A":
        if found := _ANSWER.match(body):
            return LineFacts(FAILED if found[1] in _FAILED else INFO)
    elif first == b"P":
        if _QUERY.match(body):
            return LineFacts(INFO)
    elif first == b"M":
        if found := _STATE.match(body):
            return LineFacts(DOWN if found[1] == b"down" else INFO)
    elif first == b"d":
        return LineFacts(RESTARTED) if _START.match(body) else None
    elif body.startswith(_FAILURES) or (
        body.startswith(b"Dropped query for ") and b"no policy applied" in body
    ):
        return LineFacts(FAILED)
    return LineFacts(INFO) if body.startswith(_SENTENCES) else None
