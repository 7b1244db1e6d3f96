"""Sending a trace: to a real receiver, and to servers that misbehave each in one way."""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
from pathlib import Path
from typing import Any

import pytest
from delivery_servers import Server, serving
from hypothesis import given, settings
from hypothesis import strategies as st
from test_traces import RUN, SEEN, ZERO, made
from trace_receiver import attributes, free_port, receiving

from t3probe.config.delivery import Otlp
from t3probe.config.otel import receiver_of
from t3probe.config.table import Duration
from t3probe.deliver.sinks import Receipt
from t3probe.deliver.sinks.otlp import ask, send, send_recorded
from t3probe.deliver.traces.wire import said
from t3probe.exchange.client import Budget
from t3probe.record.log import record_line
from t3probe.text import without_secrets
from t3probe.timing import FakeClock, SystemClock

TRACE = made(*SEEN)
TOKEN = "tok-4711-abcdef"


def sent(
    url: str, environ: dict[str, str] | None = None, seconds: float = 5.0, **more: Any
) -> Receipt:
    receiver = receiver_of(
        None, Otlp(endpoint=url, timeout=Duration(seconds), **more), environ or {}
    )
    return send(TRACE, receiver, Budget(SystemClock(), seconds))


def response(status: int, body: bytes = b"", *lines: str) -> bytes:
    head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def answering(*answers: bytes) -> Any:
    """Each request gets the next of these answers, the last one for ever. Nothing is a reset."""
    left = [*answers]

    def handler(sock: socket.socket, request: bytes, server: Server) -> None:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if answer:
            sock.sendall(answer)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return handler


def partial(rejected: int, words: str) -> bytes:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = rejected
    answer.partial_success.error_message = words
    return bytes(answer.SerializeToString())


def test_a_real_receiver_takes_the_trace_and_an_empty_request() -> None:
    with receiving() as tap:
        receiver = receiver_of(None, Otlp(endpoint=tap.url), {"OTEL_SERVICE_NAME": "mine"})
        assert ask(receiver, Budget(SystemClock(), 5.0))[0]
        report = send(TRACE, receiver, Budget(SystemClock(), 5.0))
        spans = tap.wait(len(TRACE.spans))
    assert report.ok, report.sentence
    assert f"took the trace {TRACE.id}, {len(TRACE.spans)} spans" in report.sentence
    assert {one.span_id.hex(): one.parent_span_id.hex() for one in spans} == {
        one.id: one.parent for one in TRACE.spans
    }
    assert {one.trace_id.hex() for one in spans} == {TRACE.id}
    root = next(one for one in spans if not one.parent_span_id)
    assert root.start_time_unix_nano == ZERO
    assert attributes(root)["t3probe.verdict.convicted"] == ["back"]


def test_a_recorded_run_is_the_same_trace(tmp_path: Path) -> None:
    log = tmp_path / "pod.log"
    log.write_text(f"noise\n{record_line(RUN, SEEN)}\n{record_line(RUN, SEEN)}\n")
    with receiving() as tap:
        receiver = receiver_of(None, Otlp(endpoint=tap.url), {})
        report = send_recorded(log, receiver)
        spans = tap.wait(2 * len(TRACE.spans))
    assert report.ok
    assert "took 2 traces of" in report.sentence
    assert {one.span_id.hex() for one in spans} == {one.id for one in TRACE.spans}


def test_what_is_sent_is_what_the_specification_asks_for(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    with serving(answering(response(200))) as server:
        report = sent(server.url + "/otlp", token_file=str(token), headers={"X-Scope-OrgID": "one"})
        assert report.ok, report.sentence
        packed = sent(server.url, compression="gzip")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /otlp/v1/traces HTTP/1.1"
    for line in (
        "Content-Type: application/x-protobuf", "Accept: application/x-protobuf",
        f"Authorization: Bearer {TOKEN}", "X-Scope-OrgID: one", f"Content-Length: {len(body)}",
    ):  # fmt: skip
        assert line in lines
    assert not [one for one in lines if one.startswith("Content-Encoding")]
    assert packed.ok
    head, _, small = server.requests[1].partition(b"\r\n\r\n")
    assert b"Content-Encoding: gzip" in head
    assert gzip.decompress(small) == body
    assert len(small) < len(body)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    with serving(answering(response(status), b"", response(200))) as server:
        report = sent(server.url)
    assert report.ok, report.sentence
    assert len(server.requests) == 3  # the second one was a reset


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 408, 413, 415, 422, 500, 501])
def test_any_other_answer_stands(status: int) -> None:
    lines = ("Location: http://127.0.0.1:1/",) if status < 400 else ()
    with serving(answering(response(status, b"", *lines))) as server:
        report = sent(server.url, {"T3PROBE_OTLP_TOKEN": TOKEN})
    assert not report.ok
    assert len(server.requests) == 1
    assert f"answers {status}" in report.sentence
    assert TRACE.id in report.sentence
    assert TOKEN not in report.sentence
    assert ("not followed" in report.sentence) == (status < 400)


def test_the_time_that_the_receiver_names_is_kept() -> None:
    with serving(answering(response(429, b"", "Retry-After: 1"), response(200))) as server:
        began = SystemClock().monotonic()
        assert sent(server.url, seconds=20.0).ok
        assert SystemClock().monotonic() - began >= 1.0
    later = [response(503, b"", "Retry-After: 120"), response(200)]
    with serving(answering(*later)) as server:
        report = sent(server.url)
    assert not report.ok  # it is not there by the end of our time, so nobody waits for it
    assert len(server.requests) == 1
    assert "t3probe push RUN --otlp URL sends it later" in report.sentence


def test_a_date_is_a_time_to_come_again_too() -> None:
    from t3probe.deliver.sinks.otlp import _named
    from t3probe.exchange.client import Answer

    clock = FakeClock(wall=784111777.0)
    date = Answer(503, {"retry-after": "Sun, 06 Nov 1994 08:49:47 GMT"}, b"")
    assert _named(date, clock) == 10.0
    for text in ("", "soon", "-5", "1.5"):
        assert _named(Answer(503, {"retry-after": text}, b""), clock) == 0.0


def test_what_is_taken_in_part_is_never_sent_again() -> None:
    kind = "Content-Type: application/x-protobuf"
    answers = [response(200, partial(3, "no room\x1b[2J"), kind), response(200)]
    with serving(answering(*answers)) as server:
        report = sent(server.url)
    assert not report.ok
    assert len(server.requests) == 1
    assert f"rejected 3 of {len(TRACE.spans)} spans of {TRACE.id} (no room" in report.sentence
    assert "\x1b" not in report.sentence
    with serving(answering(response(200, partial(0, "slow down"), kind))) as server:
        report = sent(server.url)
    assert report.ok
    assert report.sentence.endswith("it warns: slow down")


@pytest.mark.parametrize(
    ("body", "kind", "well"),
    [
        (b"{}", "application/json", True),
        (b"", "text/html", False),
        (b"<html>log in</html>", "text/html; charset=utf-8", False),
        (b"\xff\xff\xff", "application/x-protobuf", False),
    ],
)
def test_a_page_is_no_receiver(body: bytes, kind: str, well: bool) -> None:
    with serving(answering(response(200, body, f"Content-Type: {kind}"))) as server:
        report = sent(server.url)
    assert report.ok == well
    assert ("a receiver's answer was expected" in report.sentence) == (not well)


@pytest.mark.parametrize("name", ["content-type", "CONTENT-TYPE"])
def test_the_names_of_an_answers_lines_are_in_any_letters(name: str) -> None:
    page = response(200, b"<html>", f"{name}: text/html")
    with serving(answering(page)) as server:
        assert "a web page" in sent(server.url).sentence
        receiver = receiver_of(None, Otlp(endpoint=server.url), {})
        assert "a web page" in ask(receiver, Budget(SystemClock(), 5.0))[1]
    some = response(200, partial(5, "no room"), f"{name}: application/x-protobuf")
    with serving(answering(some)) as server:
        assert "rejected 5 of" in sent(server.url).sentence
    words = response(401, b"no such tenant", f"{name}: Text/Plain")
    with serving(answering(words)) as server:
        assert "answers 401 (no such tenant)" in sent(server.url).sentence
    with serving(answering(response(429, b"", "retry-after: 120"), response(200))) as server:
        assert not sent(server.url).ok
        assert len(server.requests) == 1


def test_a_receiver_that_is_silent_costs_no_more_than_its_time() -> None:
    def silent(sock: socket.socket, request: bytes, server: Server) -> None:
        server.over.wait(20)

    with serving(silent) as server:
        began = SystemClock().monotonic()
        report = sent(server.url, seconds=0.3)
        took = SystemClock().monotonic() - began
        server.over.set()
    assert not report.ok
    assert "did not answer in time" in report.sentence
    assert took < 10
    assert not sent(f"http://127.0.0.1:{free_port()}", seconds=0.3).ok


def test_its_own_words_are_quoted_without_our_secrets() -> None:
    words = f"no such token {TOKEN}".encode()
    with serving(answering(response(401, words, "Content-Type: text/plain"))) as server:
        report = sent(server.url, {"OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{TOKEN}"})
    assert b"authorization: Bearer " + TOKEN.encode() in server.requests[0]
    assert "answers 401 (no such token ***" in report.sentence
    assert without_secrets(TOKEN) == "***"


def test_an_authority_of_its_own(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serving(answering(response(200)), context) as server:
        url = server.url.replace("http:", "https:")
        assert "shows a certificate that is not accepted" in sent(url).sentence
        assert sent(url, {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path / "ca.pem")}).ok
        assert sent(url, tls_ca=str(tmp_path / "ca.pem")).ok
    assert len(server.requests) == 2


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_whatever_an_answer_holds_it_is_read_or_refused(body: bytes) -> None:
    told = said(body)
    assert told is None or isinstance(told.words, str)
