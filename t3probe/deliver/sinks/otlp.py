"""Traces to a receiver: OTLP over HTTP with protobuf, as the OpenTelemetry Protocol
specification says ("OTLP/HTTP").

Only 429, 502, 503, 504 and a connection that came to nothing are tried again, after the time that
the receiver names or a random one that doubles; any other answer stands. What was taken in part is
never sent again. The ids are made from the record, so a trace that is sent twice is the same one.
A trace is evidence and no count: nothing is kept for later, since the record is.
"""

from __future__ import annotations

import random
from email.utils import parsedate_to_datetime
from pathlib import Path

from t3probe.config.otel import Receiver
from t3probe.deliver.sinks import Receipt
from t3probe.deliver.traces.span import Trace
from t3probe.deliver.traces.wire import PartialSuccess, encoded, said
from t3probe.exchange.client import Answer, Budget, Trouble, exchange
from t3probe.text import showable
from t3probe.timing import Clock, SystemClock

AGAIN = frozenset({429, 502, 503, 504})
ATTEMPTS = 5
PAUSE_SECONDS = 0.1
PROTOBUF = "application/x-protobuf"
LATER = "t3probe push RUN --otlp URL sends it later"
NEXT = {
    400: "compression, where gzip is set, is what some do not know",
    401: "set T3PROBE_OTLP_TOKEN, or the header that it wants in OTEL_EXPORTER_OTLP_HEADERS",
    403: "look whether the token may write here",
    404: "look at the path of the endpoint, which ends in /v1/traces",
    405: "look at the path of the endpoint, which ends in /v1/traces",
    413: "raise its limit for a request's body",
    415: "it has to take protobuf over HTTP; gRPC is on a port of its own",
}


def send(trace: Trace, receiver: Receiver, budget: Budget, clock: Clock | None = None) -> Receipt:
    """Send one trace. Never raises for what a server may do."""
    clock = clock or SystemClock()
    where = f"the receiver of traces at {receiver.site.name}"
    notes = "".join(f"; {one}" for one in receiver.notes)
    try:
        body = encoded(trace, receiver.resource)
    except ValueError as error:
        return Receipt(False, f"no trace can be made of this run: {error}{notes}")
    budget = budget.part(receiver.seconds)
    headers = {**receiver.headers, "Content-Type": PROTOBUF, "Accept": PROTOBUF}
    if receiver.gzip:
        import gzip

        headers["Content-Encoding"], body = "gzip", gzip.compress(body, 6, mtime=0)
    for attempt in range(ATTEMPTS):
        answer, pause = None, _backoff(attempt)
        try:
            answer = exchange(receiver.site, "POST", None, budget, body=body, headers=headers)
        except Trouble as trouble:
            what, again = trouble.what, trouble.passing
        else:
            if 200 <= answer.status < 300:
                report = _taken(answer, trace, where)
                return report._replace(sentence=report.sentence + notes)
            what, again = _refusal(answer), answer.status in AGAIN
            pause = _named(answer, clock) or pause
        if not again or attempt + 1 == ATTEMPTS or pause >= budget.left_seconds:
            break
        budget.pause(pause)
    hint = LATER if again or answer is None else NEXT.get(answer.status, LATER)
    return Receipt(False, f"{where} {what}; it lacks the trace {trace.id}; {hint}{notes}")


def ask(receiver: Receiver, budget: Budget) -> tuple[bool, str, str]:
    """Send a request without a trace, which a receiver takes and does not keep: whether it took
    it, a sentence, and what to do next."""
    name = receiver.site.name
    headers = {**receiver.headers, "Content-Type": PROTOBUF, "Accept": PROTOBUF}
    try:
        answer = exchange(receiver.site, "POST", None, budget, headers=headers)
    except Trouble as trouble:
        return False, f"{name} {trouble.what}", "start it there, or change it in [delivery.otlp]"
    if not 200 <= answer.status < 300:
        fix = NEXT.get(answer.status, "change endpoint in [delivery.otlp]")
        return False, f"{name} {_refusal(answer)}", fix
    if _is_page(answer):
        return False, f"{name} answers with a web page, not as a receiver", NEXT[404]
    return True, f"{name} takes traces, and our login", ""


def _is_page(answer: Answer) -> bool:
    return answer.headers.get("content-type", "").lower().startswith("text/html")


def _backoff(attempt: int) -> float:
    """Seconds before the next attempt: random, so that many senders do not come at once."""
    return PAUSE_SECONDS * 2.0**attempt * random.uniform(0.5, 1.0)


def _named(answer: Answer, clock: Clock) -> float:
    """The seconds that `Retry-After` names (RFC 9110, section 10.2.3); 0 where it names none."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - clock.wall())
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0


def _refusal(answer: Answer) -> str:
    if 300 <= answer.status < 400:
        return f"answers {answer.status}, a redirect, which is not followed with a login"
    words = ""
    kind = answer.headers.get("content-type", "").lower()
    if kind.startswith(("text/plain", "application/json")):
        words = showable(answer.body, 120, ascii=False)
    return f"answers {answer.status}" + (f" ({words})" if words else "")


def _taken(answer: Answer, trace: Trace, where: str) -> Receipt:
    """A 2xx is the whole of it, a part, or no receiver's answer at all."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    told: PartialSuccess | None = PartialSuccess(0, "")
    if answer.body:
        told = said(answer.body) if kind == PROTOBUF else None
    if _is_page(answer) or (told is None and kind == PROTOBUF):
        found = "a web page" if _is_page(answer) else "something else"
        words = f"answers {answer.status} with {found}, and a receiver's answer was expected"
        return Receipt(False, f"{where} {words}; it may lack the trace {trace.id}; {NEXT[404]}")
    many = len(trace.spans)
    words = showable(told.words, 200, ascii=False) if told is not None else ""
    if told is not None and told.rejected > 0:
        because = f" ({words})" if words else ""
        return Receipt(
            False, f"{where} rejected {told.rejected} of {many} spans of {trace.id}{because}"
        )
    warns = f"; it warns: {words}" if words else ""
    return Receipt(True, f"{where}: took the trace {trace.id}, {many} spans{warns}")


def send_recorded(path: str | Path, receiver: Receiver, clock: Clock | None = None) -> Receipt:
    """Send the trace of each run in a file, oldest as it stands there; `-` is standard input.

    The traces are those that the runs sent, or would have sent. It ends with the first one that
    was not taken. Raises RecordError when the file holds no run.
    """
    # A run, which only writes records, does not pay for what reads them.
    from t3probe.deliver.traces.build import run_trace
    from t3probe.record.reading import Damage, RecordFile, read_recordings
    from t3probe.verdict.incident.run import judge_run

    clock, damage, sent = clock or SystemClock(), Damage(), 0
    report = Receipt(True, "")
    with RecordFile(path) as source:
        for one in read_recordings(source, damage):
            trace = run_trace(one.run, one.observations, judge_run(one.run, one.observations))
            report = send(trace, receiver, Budget(clock, receiver.seconds), clock)
            if not report.ok:
                break
            sent += 1
    sentence = report.sentence
    if sent > 1 or (sent and not report.ok):
        many = f"{sent} trace{'s' * (sent > 1)} of {source.name}"
        done = f"the receiver of traces at {receiver.site.name}: took {many}"
        sentence = done if report.ok else f"{done}, and then: {report.sentence}"
    if damage.count:
        sentence += f"; {damage}; {damage.advice}"
    return report._replace(sentence=sentence)
