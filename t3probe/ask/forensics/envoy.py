"""Envoy's logs: the access log with its response flags, as text and as JSON, and its own log.

Text is read that begins as the default does, `[START] "METHOD PATH PROTOCOL" CODE FLAGS`; the
duration is the third of three numbers, as in the default and in Istio's, or the only one behind
the flags. JSON is read that has the flags under `response_flags` or `flags`.
See envoyproxy.io, "Access logging", `%RESPONSE_FLAGS%`.
"""

from __future__ import annotations

import re

from t3probe.ask.forensics.access import LONGEST_SECONDS, LineFacts, answered, codes_of
from t3probe.ask.forensics.kinds import code
from t3probe.ask.forensics.rows import JsonFields
from t3probe.ask.forensics.stamps import Stamps

_ACCESS = re.compile(
    rb"\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)\] "
    rb'"([^"]*)" (\d{1,3}) '
    rb"(-|[A-Z]{2,6}(?:,[A-Z]{2,6}){0,9}|[A-Z][A-Za-z]{3,40}(?:,[A-Za-z]{3,40}){0,9})(?= |$)"
)
_THREE = re.compile(rb" \d{1,19} \d{1,19} (\d{1,15})(?: (?:\d{1,15}|-))?(?=[ \r]|$)")
_ONE = re.compile(rb" (\d{1,15})(?=[ \r]|$)(?! \d{1,19}(?: |$))")
_OWN = re.compile(
    rb"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.\d{1,9}\]\[\d{1,10}\]"
    rb"\[(trace|debug|info|warning|error|critical|off)\]\[[\w.]{1,60}\] (?:\[[^\]]{0,200}\] )?"
)
_FLAG_TEXT = re.compile(r"-|[A-Za-z]{2,40}(?:,[A-Za-z]{2,40}){0,9}")
TAIL_BYTES = 1_500

CODES = codes_of("envoy")
IDLE, FULL, OWN, REFUSED, INFO, STOPPED, RESTARTED, EXITED = (
    code(f"envoy_{name}")
    for name in (
        "idle", "full", "own_error", "refused", "info", "stopped", "restarted", "exited",
    )
)  # fmt: skip
FLAGS: dict[str, tuple[str, int]] = {
    "DC": ("DownstreamConnectionTermination", CODES.gone),
    "DR": ("DownstreamRemoteReset", CODES.gone),
    "UH": ("NoHealthyUpstream", CODES.unavailable),
    "UF": ("UpstreamConnectionFailure", CODES.bad),
    "DF": ("DnsResolutionFailed", CODES.bad),
    "UC": ("UpstreamConnectionTermination", CODES.bad),
    "UR": ("UpstreamRemoteReset", CODES.bad),
    "UPE": ("UpstreamProtocolError", CODES.bad),
    "UT": ("UpstreamRequestTimeout", CODES.timeout),
    "URX": ("UpstreamRetryLimitExceeded", CODES.bad),
    "UO": ("UpstreamOverflow", FULL),
    "OM": ("OverloadManagerTerminated", FULL),
    "DO": ("DropOverload", FULL),
    "SI": ("StreamIdleTimeout", IDLE),
    "UMSDR": ("UpstreamMaxStreamDurationReached", OWN),
    "DT": ("DurationTimeout", OWN),
    "LR": ("LocalReset", OWN),
    "LH": ("FailedLocalHealthCheck", OWN),
    "NC": ("NoClusterFound", OWN),
    "NFCF": ("NoFilterConfigFound", OWN),
    "RLSE": ("RateLimitServiceError", OWN),
    "FI": ("FaultInjected", OWN),
    "DI": ("DelayInjected", OWN),
    "NR": ("NoRouteFound", REFUSED),
    "DPE": ("DownstreamProtocolError", REFUSED),
    "IH": ("InvalidEnvoyRequestHeaders", REFUSED),
    "RL": ("RateLimited", REFUSED),
    "UAEX": ("UnauthorizedExternalService", REFUSED),
}
"""Response flags by their short and long names, the most telling first."""
_KINDS = {name: kind for short, (long, kind) in FLAGS.items() for name in (short, long)}
_RANK = {name: at for at, (short, row) in enumerate(FLAGS.items()) for name in (short, row[0])}


def _kind(
    flags: str, status: int, seconds: float | None, slow_seconds: float, unanswered: bool = False
) -> int:
    """`unanswered`: it was a request, and no answer had begun."""
    known = [one for one in flags.split(",") if one in _KINDS]
    if known:
        kind = _KINDS[min(known, key=_RANK.__getitem__)]
        return CODES.gave_up if kind == CODES.gone and unanswered else kind
    if status == 0 and seconds is not None and seconds >= slow_seconds:
        return CODES.ended  # a TCP session
    return answered(CODES, status, seconds, slow_seconds)


def read_envoy(body: bytes, stamps: Stamps, slow_seconds: float) -> LineFacts | None:
    """A line of the access log; None: it is none."""
    found = _ACCESS.match(body)
    if found is None:
        return None
    end = min(len(body), found.end() + TAIL_BYTES)
    took = _ONE.match(body, found.end(), end) or _THREE.search(body, found.end(), end)
    seconds = None if took is None else min(int(took[1]) / 1000, LONGEST_SECONDS)
    status = int(found[5])
    unanswered = status == 0 and found[4][:2] != b"- "  # a TCP session has no method
    kind = _kind(found[6].decode(), status, seconds, slow_seconds, unanswered)
    began = stamps.iso(found[1], found[3])
    if began is None or seconds is None:
        return LineFacts(kind, None, seconds, begins=True)
    return LineFacts(kind, int(began + float(found[2] or 0) + seconds), seconds)


def read_envoy_json(row: JsonFields, stamps: Stamps, slow_seconds: float) -> LineFacts | None:
    """A JSON line of the access log; None: it is none."""
    flags = row.response_flags if row.flags is None else row.flags
    if flags is None and row.response_code is None:
        return None
    flags = "-" if flags is None else flags
    if not isinstance(flags, str) or not _FLAG_TEXT.fullmatch(flags):
        return None
    status = row.response_code
    for other in (row.code, row.status):
        status = other if status is None else status
    took = row.duration if row.duration_ms is None else row.duration_ms
    try:
        status = int(status or 0)
        seconds = None if took is None else min(max(float(took) / 1000, 0), LONGEST_SECONDS)
    except (TypeError, ValueError, OverflowError):
        return None
    began = None
    for value in (row.start_time, row.time, row.timestamp, row.at_timestamp, row.ts):
        began = stamps.any(value) if began is None else began
    # Whether 0 is that of a request or of a TCP session is not known here.
    kind = _kind(flags, status, seconds, slow_seconds, unanswered=status == 0)
    ended = None if began is None or seconds is None else int(began + seconds)
    return LineFacts(kind, ended, seconds, begins=ended is None)


def read_envoy_own(body: bytes, stamps: Stamps) -> LineFacts | None:
    """A line of its own log, in the form that it has without `--log-format`."""
    found = _OWN.match(body)
    if found is None:
        return None
    at = stamps.iso(found[1], None)
    said = body[found.end() :]
    if said.startswith((b"caught ENVOY_SIGTERM", b"caught SIGTERM", b"caught SIGINT")):
        return LineFacts(STOPPED, at, zoned=False)  # SIGUSR1 reopens its logs, SIGHUP does nothing
    if said.startswith((b"shutting down server instance", b"shutting down parent")):
        return LineFacts(INFO, at, zoned=False)  # behind the signal, or of a hot restart
    if said.startswith(b"starting main dispatch loop"):
        return LineFacts(RESTARTED, at, zoned=False)
    if found[2] == b"critical":
        fatal = b"suspect faulting address" in said or b"assert failure" in said
        return LineFacts(EXITED if fatal else OWN, at, zoned=False)
    return LineFacts(INFO, at, zoned=False)
