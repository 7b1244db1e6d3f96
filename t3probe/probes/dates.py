"""The Date of an answer (RFC 9110, section 6.6.1): the server's clock, a second exact. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from t3probe.probes.facts import Facts
from t3probe.probes.marks import replayed

_DATE = re.compile(
    r"[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", re.ASCII
)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
EXACT_SECONDS = 1.1
"""A Date has whole seconds; some servers write the same one a little longer."""


def unix_of(date: str) -> float | None:
    """Unix seconds of a Date in the form that all servers write; None for any other text."""
    found = _DATE.fullmatch(date)
    if found is None or found[2] not in _MONTHS:
        return None
    day, _, year, hour, minute, second = found.groups()
    try:
        when = datetime(
            int(year), _MONTHS.index(found[2]) + 1, int(day), int(hour), int(minute),
            min(int(second), 59), tzinfo=UTC,
        )  # fmt: skip
    except ValueError:
        return None
    return when.timestamp()


def note_date(
    facts: Facts, headers: Mapping[str, Any], nonce: str, sent: float, answered: float
) -> None:
    """Note when the run began by the server's clock, from an answer to the request with this nonce
    that was made between two moments of the run. `headers` finds lower-case names.

    An answer that was kept somewhere has an old Date, and counts for nothing.
    """
    date = unix_of(str(headers.get("date", "")))
    if date is not None and not replayed(headers, nonce):
        facts.server_began = round(date - answered, 3), round(date + EXACT_SECONDS - sent, 3)
