"""What a trace is made of here: plain values, until somebody writes them in a format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

Value = str | bool | int | float | tuple[str, ...]
INTERNAL, CLIENT = 1, 3
"""Kinds of spans, by their numbers in OTLP."""


class SpanEvent(NamedTuple):
    """Something that happened at one moment of a span."""

    name: str
    at: float
    """Seconds since the trace's zero."""
    attributes: Mapping[str, Value]


class TraceSpan(NamedTuple):
    """One span. Times are seconds since the trace's zero."""

    id: str
    parent: str
    """The id of the span that it is part of; empty: of none."""
    name: str
    kind: int
    started: float
    ended: float
    attributes: Mapping[str, Value]
    events: tuple[SpanEvent, ...] = ()
    failed: str | None = None
    """Why it is an error, for people; None: it is none."""
    link: str = ""
    """`TRACE-SPAN` of another trace that belongs to it."""


class Trace(NamedTuple):
    """A whole trace. The first span is its root."""

    id: str
    zero: float
    """Unix time in seconds; the times of spans and events count from it."""
    spans: tuple[TraceSpan, ...]
