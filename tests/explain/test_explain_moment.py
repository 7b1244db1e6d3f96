"""Times as people write them."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.explain.moment import TimeError, ago_text, read_moment


def unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


NOW = unix("2026-11-21T13:30:45+00:00")
BERLIN = ZoneInfo("Europe/Berlin")
UTC_ZONE = ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("13:03", "2026-11-21T13:03:00"),
        ("14:03", "2026-11-20T14:03:00"),
        ("9:05", "2026-11-21T09:05:00"),
        ("13:03:20", "2026-11-21T13:03:20"),
        ("today 12:03", "2026-11-21T12:03:00"),
        ("yesterday at 12:03", "2026-11-20T12:03:00"),
        ("2:03 pm", "2026-11-20T14:03:00"),
        ("12:30 am", "2026-11-21T00:30:00"),
        ("12:30 p.m.", "2026-11-21T12:30:00"),
        ("1 pm", "2026-11-21T13:00:00"),
        ("2026-11-20 14:03", "2026-11-20T14:03:00"),
        ("2026-11-20T14:03:20.75Z", "2026-11-20T14:03:20"),
        ("2026-11-20T14:03+02:00", "2026-11-20T12:03:00"),
        ("2026/11/20 14:03 America/New_York", "2026-11-20T19:03:00"),
        ("20.11.2026 14:03", "2026-11-20T14:03:00"),
        ("Nov 20 14:03", "2026-11-20T14:03:00"),
        ("nov 20 14:03 UTC", "2026-11-20T14:03:00"),
        ("November 20, 2026 14:03", "2026-11-20T14:03:00"),
        ("Nov 22 14:03", "2025-11-22T14:03:00"),
        ("20 Nov 14:03 +02:00", "2026-11-20T12:03:00"),
        ("Fri, 20 Nov 2026 14:03:00 +0100", "2026-11-20T13:03:00"),
        ("Fri Nov 20 14:03:07", "2026-11-20T14:03:07"),
        ("14:03 Europe/Berlin", "2026-11-21T13:03:00"),
        ("14:03 CET", "2026-11-21T13:03:00"),
        ("13:03Z", "2026-11-21T13:03:00"),
        ("13:03 utc", "2026-11-21T13:03:00"),
        ("15:03 UTC+2", "2026-11-21T13:03:00"),
        ("15:35 +02:00", "2026-11-20T13:35:00"),
        ("08:03-05", "2026-11-21T13:03:00"),
        ("19:03 +05:30", "2026-11-20T13:33:00"),
        ("now", "2026-11-21T13:30:45"),
        ("5 minutes ago", "2026-11-21T13:25:45"),
        ("90s ago", "2026-11-21T13:29:15"),
        ("an hour ago", "2026-11-21T12:30:45"),
        ("1.5 h ago", "2026-11-21T12:00:45"),
        ("2 days ago", "2026-11-19T13:30:45"),
        ("1795267000", "2026-11-21T13:16:40"),
        ("@1795267000", "2026-11-21T13:16:40"),
        ("1795267000123", "2026-11-21T13:16:40"),
        ("  13:03  ", "2026-11-21T13:03:00"),
    ],
)
def test_read(text: str, expected: str) -> None:
    assert read_moment(text, NOW, UTC_ZONE).at == unix(expected + "+00:00")


@pytest.mark.parametrize(
    ("text", "vague"),
    [
        ("13:03", (0, 60)), ("2:03 pm +02:00", (0, 60)), ("13:03 Europe/Berlin", (0, 60)),
        ("13:03:00", (0, 0)), ("2026-11-21T13:03:07.5Z", (0, 0)), ("13:03:07 +02:00", (0, 0)),
        ("1795266000", (0, 0)), ("now", (60, 0)), ("20s ago", (0, 0)),
        ("5 minutes ago", (30, 30)), ("2 hours ago", (1800, 1800)),
    ],
)  # fmt: skip
def test_how_exact_a_time_is_meant(text: str, vague: tuple[float, float]) -> None:
    assert read_moment(text, NOW, UTC_ZONE).vague == vague


def test_a_time_without_a_zone_is_in_the_one_that_was_named() -> None:
    found = read_moment("14:03", NOW, BERLIN)
    assert found.text == "2026-11-21 14:03:00 CET (13:03:00 UTC)"
    assert found.brief == "14:03 CET (13:03 UTC) on 2026-11-21"


def test_the_other_day_in_utc_is_said() -> None:
    found = read_moment("00:30", NOW, BERLIN)
    assert found.text == "2026-11-21 00:30:00 CET (2026-11-20 23:30:00 UTC)"


def test_an_offset_is_the_zone_of_the_answer() -> None:
    found = read_moment("14:03 +02:00", NOW, UTC_ZONE)
    assert found.text == "2026-11-21 14:03:00 UTC+02:00 (12:03:00 UTC)"
    assert found.clock(found.at + 60) == "14:04:00"
    assert found.clock(found.at + 86400) == "2026-11-22 14:03:00"


@pytest.mark.parametrize(("zone", "utc"), [("America/New_York", "18:03"), ("UTC", "13:03")])
def test_without_any_zone_it_is_this_machines(zone: str, utc: str) -> None:
    code = (
        "from t3probe.explain.moment import read_moment as r; from datetime import *;"
        "m = r('2026-11-20 13:03', 1795267845.0);"
        "print(datetime.fromtimestamp(m.at, UTC).strftime('%H:%M'), m.zone)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "TZ": zone},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [utc, "None"]


def test_a_time_that_comes_twice_is_said() -> None:
    found = read_moment("2026-10-25 02:30", NOW, BERLIN)
    assert found.at == unix("2026-10-25T00:30:00+00:00")
    assert "twice" in found.note
    for clear in ("2026-10-25 03:30", "2026-10-25 02:30 +01:00"):
        assert read_moment(clear, NOW, BERLIN).note == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-11-21 23:00", "expected a time in the past"),
        ("now-ish", "expected a time such as"),
        ("", "expected a time such as"),
        ("25:00", "expected a time such as"),
        ("13.13.2026 14:03", "expected a time such as"),
        ("14:03 Mars/Base", "expected a time zone such as"),
        ("14:03 ../../etc/passwd", "expected a time such as"),
        ("14:03 +99:00", "at most 14 hours"),
        ("999999 days ago", "after 1970"),
        ("14:03\x1b[31m", "expected a time such as"),
        ("in the afternoon", "expected a time such as"),
    ],
)
def test_refused_in_one_sentence(text: str, words: str) -> None:
    with pytest.raises(TimeError) as refused:
        read_moment(text, NOW, UTC_ZONE)
    sentence = str(refused.value)
    assert words in sentence
    assert ";" in sentence, "says what to do next"
    assert sentence.isprintable()


@given(
    st.integers(0, int(NOW)),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"]),
)
def test_what_was_written_with_an_offset_comes_back(at: int, zone: str) -> None:
    there = datetime.fromtimestamp(at, ZoneInfo(zone))
    if (there.utcoffset() or timedelta(0)) % timedelta(minutes=1):
        return  # such an offset cannot be written
    assert read_moment(there.isoformat(), NOW, BERLIN).at == at
    assert read_moment(there.strftime("%d %b %Y %H:%M:%S %z"), NOW, BERLIN).at == at


@given(st.integers(0, 86399), st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Kiritimati"]))
def test_a_bare_time_is_the_newest_one_that_is_not_in_the_future(second: int, zone: str) -> None:
    clock = f"{second // 3600}:{second // 60 % 60:02d}:{second % 60:02d}"
    found = read_moment(clock, NOW, ZoneInfo(zone))
    assert found.local(found.at).strftime("%-H:%M:%S") == clock
    assert -60 <= NOW - found.at < 86400


@given(st.text(max_size=30))
def test_anything_is_read_or_refused(text: str) -> None:
    try:
        found = read_moment(text, NOW, UTC_ZONE)
    except TimeError:
        return
    assert 0 <= found.at <= NOW + 60
    assert datetime.fromtimestamp(found.at, UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s ago"), (119, "119 s ago"), (120, "2 min ago"), (3600, "1 h ago"),
     (7800, "2 h 10 min ago"), (200000, "2 days ago")],
)  # fmt: skip
def test_how_long_ago(seconds: float, text: str) -> None:
    assert ago_text(seconds) == text
