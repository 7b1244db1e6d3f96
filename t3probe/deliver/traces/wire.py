"""A trace as OTLP's protobuf (opentelemetry-proto `ExportTraceServiceRequest`), and the answer.

The messages are those of the package `opentelemetry-proto`, which is imported here and nowhere
else, and only where traces are sent: it costs a run some 30 ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from t3probe.deliver.traces.span import Trace, TraceSpan, Value
from t3probe.text import plain

MISSING = (
    "traces need the package opentelemetry-proto, which is not installed; "
    "pip install 't3probe[otlp]'"
)
SCOPE = "t3probe"
ERROR = 2
"""`Status.StatusCode`; others stay unset, as the specification wishes."""
LAST = 2**63 // 10**9
"""Unix seconds; what lies beyond fits into no receiver's database."""


def installed() -> bool:
    """Whether the messages can be had. Imports none of them."""
    try:
        return find_spec("opentelemetry.proto") is not None
    except ImportError:
        return False


def load() -> None:
    """Import the messages now, and not when the first trace is written."""
    import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")


def encoded(trace: Trace, resource: Mapping[str, Value]) -> bytes:
    """The request's body. Raises ValueError, one sentence, for times that no clock shows."""
    if not 0 <= trace.zero < LAST:
        raise ValueError(f"expected a run's start in Unix seconds, found {trace.zero:g}")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    whole = request.resource_spans.add()
    _put(whole.resource.attributes, resource)
    scope = whole.scope_spans.add()
    scope.scope.name = SCOPE
    zero = round(trace.zero * 1e6)
    for one in trace.spans:
        _span(scope.spans.add(), one, trace.id, zero)
    return bytes(request.SerializeToString())


def _span(made: Any, span: TraceSpan, trace: str, zero: int) -> None:
    made.trace_id, made.span_id = bytes.fromhex(trace), bytes.fromhex(span.id)
    made.parent_span_id = bytes.fromhex(span.parent)
    made.name, made.kind = plain(span.name, ascii=False), span.kind
    made.start_time_unix_nano = _nanoseconds(zero, span.started)
    made.end_time_unix_nano = _nanoseconds(zero, span.ended)
    _put(made.attributes, span.attributes)
    for event in span.events:
        put = made.events.add()
        put.name, put.time_unix_nano = event.name, _nanoseconds(zero, event.at)
        _put(put.attributes, event.attributes)
    if span.link:
        link = made.links.add()
        other, _, parent = span.link.partition("-")
        link.trace_id, link.span_id = bytes.fromhex(other), bytes.fromhex(parent)
    if span.failed is not None:
        made.status.code, made.status.message = ERROR, plain(span.failed, ascii=False)


def _nanoseconds(zero: int, seconds: float) -> int:
    """Unix nanoseconds; `zero` is in microseconds, of which the record has whole ones."""
    return min(max(0, zero + round(seconds * 1e6)), LAST * 10**6) * 1000


def _put(attributes: Any, values: Mapping[str, Value]) -> None:
    for key, value in values.items():
        made = attributes.add()
        made.key = key
        if isinstance(value, bool):  # a bool is an int in Python
            made.value.bool_value = value
        elif isinstance(value, int):
            made.value.int_value = value
        elif isinstance(value, float):
            made.value.double_value = value
        elif isinstance(value, str):
            made.value.string_value = plain(value, ascii=False)
        else:
            made.value.array_value.SetInParent()
            for one in value:
                made.value.array_value.values.add().string_value = plain(one, ascii=False)


class PartialSuccess(NamedTuple):
    """What a receiver says of a request that it took."""

    rejected: int
    """How many spans it did not take."""
    words: str
    """Its own words, foreign text."""


def said(body: bytes) -> PartialSuccess | None:
    """An `ExportTraceServiceResponse`; None where the body is none."""
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    answer = ExportTraceServiceResponse()
    try:
        answer.ParseFromString(body)
    except DecodeError:
        return None
    part = answer.partial_success
    return PartialSuccess(part.rejected_spans, part.error_message)
