"""Times as people write them."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from t3probe.ask.explain.moment import Moment, TimeError, read_moment
from t3probe.ask.forensics.report import _when
from t3probe.text import words
from t3probe.text.words import utc


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
        # Weekdays; now is a Saturday.
        ("Fri 12:03", "2026-11-20T12:03:00"),
        ("friday, 12:03", "2026-11-20T12:03:00"),
        ("12:03 on Fri", "2026-11-20T12:03:00"),
        ("Thursday at 2pm", "2026-11-19T14:00:00"),
        ("Fri 12:03 Europe/Berlin", "2026-11-20T11:03:00"),
        ("Sat 12:03", "2026-11-21T12:03:00"),
        ("Sat 14:03", "2026-11-14T14:03:00"),
        ("last Sat 12:03", "2026-11-14T12:03:00"),
        ("Sun 12:03", "2026-11-15T12:03:00"),
        ("Fri 23:30 -05:00", "2026-11-21T04:30:00"),
        # What logs hold.
        ("Nov  8 14:03:00", "2026-11-08T14:03:00"),
        ("Nov 20 14:03:07.123456", "2026-11-20T14:03:07"),
        ("2026-11-20T14:03:07.123456789Z", "2026-11-20T14:03:07"),
        ("2026-11-20T14:03:07.123456+01:00", "2026-11-20T13:03:07"),
        ("2026-11-20T14:03:07+0100", "2026-11-20T13:03:07"),
        ("20/Nov/2026:14:03:07 +0100", "2026-11-20T13:03:07"),
        ("[20/Nov/2026:14:03:07 -0100]", "2026-11-20T15:03:07"),
        ("[20/Nov/2026:14:03:07.123]", "2026-11-20T14:03:07"),
        ("2026/11/20 14:03:07.123456", "2026-11-20T14:03:07"),
        ("2026-11-20 14:03:07,123", "2026-11-20T14:03:07"),
        ("[Fri Nov 20 14:03:07.123456 2026]", "2026-11-20T14:03:07"),
        ("Fri Nov 20 14:03:07 CET 2026", "2026-11-20T13:03:07"),
        ("Fri 2026-11-20 14:03:07 CET", "2026-11-20T13:03:07"),
        ("Fri 20 Nov 2026 02:03:07 PM CET", "2026-11-20T13:03:07"),
        ("Friday, 20-Nov-26 14:03:07 GMT", "2026-11-20T14:03:07"),
        ("Fri, 20 Nov 2026 14:03:07 +0100 (CET)", "2026-11-20T13:03:07"),
        (
            "Fri Nov 20 2026 14:03:07 GMT+0100 (Central European Standard Time)",
            "2026-11-20T13:03:07",
        ),
        ("2026-11-20T14:03:07+01:00[Europe/Berlin]", "2026-11-20T13:03:07"),
        ("2026-11-20T14:03:07[Europe/Berlin]", "2026-11-20T13:03:07"),
        ("2026-11-20 14:03:07.12 +0100 CET m=+0.012", "2026-11-20T13:03:07"),
        ("20261120T140307Z", "2026-11-20T14:03:07"),
        ("20261120140307", "2026-11-20T14:03:07"),
        ("I1120 14:03:07.123456", "2026-11-20T14:03:07"),
        ("1795267000.123", "2026-11-21T13:16:40"),
        ("1795267000123456", "2026-11-21T13:16:40"),
        ("1795267000123456789", "2026-11-21T13:16:40"),
        ("1.795267e+09", "2026-11-21T13:16:40"),
        # What people write.
        ("2pm", "2026-11-20T14:00:00"),
        ("12:03 yesterday", "2026-11-20T12:03:00"),
        ("20.11. 14:03", "2026-11-20T14:03:00"),
        ("11/20/2026, 2:03:07 PM", "2026-11-20T14:03:07"),
        ("20/11/2026 14:03", "2026-11-20T14:03:00"),
        ("2026-11-20 24:00", "2026-11-21T00:00:00"),
        ("2 h 10 min ago", "2026-11-21T11:20:45"),
        ("2 hours and 10 minutes ago", "2026-11-21T11:20:45"),
        ("now-1h30m", "2026-11-21T12:00:45"),
        ("a week ago", "2026-11-14T13:30:45"),
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
        ("2 h 10 min ago", (30, 30)), ("Fri 14:03", (0, 60)), ("20/Nov/2026:14:03:07", (0, 0)),
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
        "from t3probe.ask.explain.moment import read_moment as r; from datetime import *;"
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


@pytest.mark.parametrize(("name", "utc"), [("CEST", "00:30"), ("CET", "01:30"), ("cet", "01:30")])
def test_the_zones_abbreviation_tells_which_of_both_it_was(name: str, utc: str) -> None:
    found = read_moment(f"2026-10-25 02:30 {name}", NOW, BERLIN)
    assert (found.at, found.note) == (unix(f"2026-10-25T{utc}:00+00:00"), "")


def test_a_time_that_the_clocks_jumped_over_is_said() -> None:
    found = read_moment("2026-03-29 02:30", NOW, BERLIN)
    assert found.at == unix("2026-03-29T01:30:00+00:00")
    assert "jumped over this time; it is read as 03:30:00 CEST" in found.note


@pytest.mark.parametrize("short", ["CET", "CEST", "PDT", "JST"])
def test_an_abbreviation_is_its_own_offset_all_year(short: str) -> None:
    hours = {"CET": 1, "CEST": 2, "PDT": -7, "JST": 9}[short]
    for day in ("2026-07-01", "2026-01-01"):
        found = read_moment(f"{day} 12:00 {short}", NOW, UTC_ZONE)
        assert found.at == unix(f"{day}T12:00:00+00:00") - 3600 * hours
        assert found.zone_name == short


def test_an_end_may_lie_in_the_future() -> None:
    assert read_moment("2027-01-01 00:00", NOW, UTC_ZONE, future=True).at == unix(
        "2027-01-01T00:00:00+00:00"
    )
    assert read_moment("14:03", NOW, UTC_ZONE, future=True).at < NOW


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
        ("Fri Nov 21 12:03", "but 2026-11-21 is a Saturday"),
        ("Fri, 21 Nov 2026 12:03:00 +0100", "but 2026-11-21 is a Saturday"),
        ("Fri today 12:03", "but 2026-11-21 is a Saturday"),
        ("Fri", "found the day 'Fri' alone; add the time of day"),
        ("2026-11-20", "found the day '2026-11-20' alone; add the time of day"),
        ("11/12/2025 14:03", "write 2025-11-12 or 2025-12-11"),
        ("Feb 30 14:03", "a day that no calendar has"),
        ("tomorrow 14:03", "expected a time in the past"),
        ("14:03 pm", "expected a time such as"),
        ("Fri 14:03 Nov 20", "expected a time such as"),
        ("14:03 IST", "expected a time zone such as"),
        ("2026-11-20 14:03:00 CET (12:03:00 UTC)", "found two that are not the same"),
        ("2026-11-20 14:03:00 +0100 (12:03:00 UTC)", "found two that are not the same"),
        ("half a day ago", "expected a time such as"),
        ("5 ago", "expected a time such as"),
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


ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "America/Chicago",
         "Pacific/Kiritimati", "Pacific/Apia", "Asia/Kolkata", "Europe/London"]  # fmt: skip


@given(st.integers(86400, int(NOW)), st.sampled_from(ZONES), st.sampled_from(ZONES))
@example(int(unix("2026-10-25T00:30:00+00:00")), "Europe/Berlin", "UTC")
@example(int(unix("2026-10-25T01:30:00+00:00")), "Europe/Berlin", "Europe/Berlin")
def test_what_is_printed_of_a_time_is_read_again(at: int, zone: str, here: str) -> None:
    printed = Moment(float(at), ZoneInfo(zone), "")
    there = printed.local(at)
    if (there.utcoffset() or timedelta(0)) % timedelta(minutes=1):
        return  # of before 1972
    again = read_moment(printed.text, NOW, ZoneInfo(here))
    assert again.at == at
    assert again.local(at).isoformat() == there.isoformat()
    brief = read_moment(printed.brief, NOW, ZoneInfo(here))
    assert brief.at <= at < brief.at + brief.vague[1]
    clock = printed.clock(at, at + 86400 * 2)
    if there.replace(fold=1).timestamp() == there.replace(fold=0).timestamp():
        assert read_moment(clock, NOW, ZoneInfo(zone)).at == at
    whole, day = utc(at + 0.123), utc(at)[:19].replace("T", " ")
    of_report = words.moment(at)
    for text in (
        whole, f"{day} UTC", f"{whole.rstrip('Z').replace('T', ' ')} UTC", of_report,
        there.isoformat(), there.strftime("%Y-%m-%d %H:%M:%S %z"), _when(at, ZoneInfo(zone)),
    ):  # fmt: skip
        assert read_moment(text, NOW, ZoneInfo(here)).at == at, text


@given(st.integers(0, 86000), st.sampled_from(ZONES))
def test_a_time_of_the_last_day_is_read_again(seconds: int, here: str) -> None:
    at = int(NOW) - seconds
    for text in (f"{words.clock(at + 0.5)} UTC", f"{utc(at)[11:23]} UTC"):
        assert read_moment(text, NOW, ZoneInfo(here)).at == at
        assert read_moment(f"{text} (12.300 s)", NOW, ZoneInfo(here)).at == at


@given(st.floats(0, 86400 * 400))
def test_how_long_ago_is_read_again(seconds: float) -> None:
    found = read_moment(words.ago(seconds), NOW, UTC_ZONE)
    before, behind = found.vague
    assert found.at - before - 0.5 <= NOW - seconds <= found.at + behind + 0.5


@given(st.integers(0, 6), st.integers(0, 1439), st.sampled_from(ZONES))
def test_a_weekday_is_the_newest_such_one(weekday: int, minute: int, zone: str) -> None:
    name = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][weekday]
    clock = f"{minute // 60:02d}:{minute % 60:02d}"
    for text in (f"{name} {clock}", f"{clock} {name}", f"{name.upper()}. at {clock}"):
        found = read_moment(text, NOW, ZoneInfo(zone))
        there = found.local(found.at)
        assert (there.weekday(), f"{there:%H:%M}") == (weekday, clock)
        assert -60 <= NOW - found.at < 7 * 86400


@given(st.integers(0, int(NOW)), st.integers(0, 6))
def test_a_weekday_and_a_date_agree_or_are_refused(at: int, weekday: int) -> None:
    when = datetime.fromtimestamp(at, UTC)
    name = (when + timedelta(days=weekday)).strftime("%a")
    for form in ("%d %b %Y %H:%M:%S +0000", "%Y-%m-%d %H:%M:%S UTC"):
        text = f"{name}, {when.strftime(form)}"
        if weekday == 0:
            assert read_moment(text, NOW, BERLIN).at == at
        else:
            with pytest.raises(TimeError, match=r"a weekday and a date that agree.*is a "):
                read_moment(text, NOW, BERLIN)


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
    [(0, "0 s ago"), (119, "1 min 59 s ago"), (120, "2 min ago"), (3600, "1 h ago"),
     (7800, "2 h 10 min ago"), (200000, "2 d 8 h ago")],
)  # fmt: skip
def test_how_long_ago(seconds: float, text: str) -> None:
    assert words.ago(seconds) == text
