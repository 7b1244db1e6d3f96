"""Durations: what they accept, what they refuse, and that they are exact."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t3probe.config import Duration, Wrong, parse_duration
from t3probe.config.durations import written


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("10s", 10.0),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("1.5h", 5400.0),
        ("0.3s", 0.3),
        ("300ms", 0.3),
        ("0.1ms", 0.0001),
        ("24h", 86400.0),
        ("007s", 7.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert isinstance(parse_duration(text), Duration)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "5",
        "5 s",
        " 5s",
        "5s\n",
        "+5s",
        "-5s",
        "5S",
        "5d",
        "1e3s",
        ".5s",
        "5.s",
        "٣s",
        "infs",
        "0",
        "0s",
        "0ms",
        "0.0h",
        "24.1h",
        "0.00001ms",
        "99999999999s",
        "1h30m",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(Wrong):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0", "0s", "0ms", "0.0h"])
def test_zero_where_it_is_a_length(text: str) -> None:
    assert parse_duration(text, allow_zero=True) == 0


@pytest.mark.parametrize("text", ["", "-0", "0d", "00", "-1s"])
def test_zero_in_no_other_form(text: str) -> None:
    with pytest.raises(Wrong):
        parse_duration(text, allow_zero=True)


@settings(deadline=None, database=None)
@given(st.integers(1, 86_400_000))
def test_milliseconds_are_exact(number: int) -> None:
    assert parse_duration(f"{number}ms") == number / 1000


@settings(deadline=None, database=None)
@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        assert 0.0001 <= parse_duration(text) <= 86_400
    except Wrong:
        pass


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("PT10S", "write 10s"),
        ("PT1M30S", "write 90s"),
        ("P1D", "write 24h"),
        ("pt0.25s", "write 250ms"),
        ("1m30s", "write 90s"),
        ("1h30m0s", "write 90m"),
        ("10 s", "write 10s"),
        ("10S", "write 10s"),
        ("2 minutes", "write 2m"),
        ("1 hour and 30 minutes", "write 90m"),
        ("1,5s", "write 1.5s"),
        ("250us", "write 0.25ms"),
        ("00:01:30", "write 90s"),
        ("1d", "write 24h"),
        ("2d", "0.1ms is the shortest, 24h the longest"),
        ("5", "add a unit: ms, s, m or h"),
        ("01:30", ""),
        ("soon", ""),
        ("+5s", ""),
        ("P", ""),
        ("PT", ""),
    ],
)
def test_another_form_is_named(text: str, hint: str) -> None:
    with pytest.raises(Wrong) as refused:
        parse_duration(text)
    assert refused.value.hint == hint


@given(st.integers(1, 864_000_000).map(lambda number: number / 10_000))
def test_what_is_written_is_read(seconds: float) -> None:
    assert parse_duration(written(seconds)) == pytest.approx(seconds, abs=1e-6)
