"""Times without zone, without year, and in hours that come twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from forensics_help import NOW, UTC_ZONE, read, unix

from t3probe.ask.forensics.stamps import Stamps
from t3probe.ask.forensics.tally import CODE_BITS

BERLIN = ZoneInfo("Europe/Berlin")
SAID = " http: proxy error: context canceled"


def seconds(*lines: str, now: float = NOW, zone: ZoneInfo = UTC_ZONE) -> list[int]:
    tally = read(lines, now=now, zone=zone)
    return sorted(key >> CODE_BITS for key, count in tally.cells.items() for _ in range(count))


@pytest.mark.parametrize(
    ("stamp", "now", "meant"),
    [
        ("Nov 20 14:03:07", "2026-11-21T12:00:00Z", "2026-11-20T14:03:07Z"),
        ("Nov 21 12:00:30", "2026-11-21T12:00:00Z", "2026-11-21T12:00:30Z"),
        ("Nov 21 12:02:00", "2026-11-21T12:00:00Z", "2025-11-21T12:02:00Z"),
        ("Dec 31 23:59:59", "2027-01-01T00:00:01Z", "2026-12-31T23:59:59Z"),
        ("Jan  1 00:00:00", "2027-01-01T00:00:01Z", "2027-01-01T00:00:00Z"),
        ("Feb 29 08:00:00", "2026-11-21T12:00:00Z", "2024-02-29T08:00:00Z"),
    ],
)
def test_a_year_that_is_not_written(stamp: str, now: str, meant: str) -> None:
    assert seconds(stamp + " h dispatch[1]:" + SAID, now=unix(now)) == [unix(meant)]


def test_a_time_without_zone_is_in_the_zone_asked_for() -> None:
    line = "2026/07/01 14:03:07" + SAID
    assert seconds(line, zone=BERLIN) == [unix("2026-07-01T14:03:07+02:00")]
    assert seconds(line) == [unix("2026-07-01T14:03:07+00:00")]


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as inner:
        inner.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("new_york")
def test_without_a_zone_asked_for_it_is_this_machines() -> None:
    stamps = Stamps(NOW)
    assert stamps.iso(b"2026-07-01T14:03:07", None) == unix("2026-07-01T14:03:07-04:00")
    assert stamps.iso(b"2026-11-20T14:03:07", None) == unix("2026-11-20T14:03:07-05:00")


def test_an_hour_that_comes_twice_is_read_by_the_order_of_the_lines() -> None:
    lines = [
        f"2026-10-25 {clock}" + SAID
        for clock in ("01:50:00", "02:10:00", "02:40:00", "02:05:00", "02:50:00", "03:10:00")
    ]
    first = unix("2026-10-25T00:00:00+00:00")
    assert seconds(*lines, zone=BERLIN) == [
        first - 600, first + 600, first + 2400, first + 3900, first + 6600, first + 7800
    ]  # fmt: skip


def test_the_same_minute_of_both_hours() -> None:
    lines = [f"2026-10-25 {clock}" + SAID for clock in ("02:10:00", "02:40:00", "02:10:01")]
    first = unix("2026-10-25T00:00:00+00:00")
    assert seconds(*lines, zone=BERLIN) == [first + 600, first + 2400, first + 4201]


def test_a_small_step_back_is_no_second_hour() -> None:
    lines = [f"2026-10-25 {clock}" + SAID for clock in ("02:10:05", "02:09:58")]
    assert seconds(*lines, zone=BERLIN) == [
        unix("2026-10-25T00:09:58+00:00"), unix("2026-10-25T00:10:05+00:00")
    ]  # fmt: skip


def test_an_hour_that_the_clocks_jump_over_is_read_all_the_same() -> None:
    assert seconds("2026-03-29 02:30:00" + SAID, zone=BERLIN) == [
        unix("2026-03-29T03:30:00+02:00")
    ]  # fmt: skip


def test_the_inner_time_counts_where_only_it_has_a_zone() -> None:
    inner = "2026-11-20T13:03:07Z ERR Connection terminated connIndex=0"
    line = "Nov 20 14:03:09 h cloudflared[1]: " + inner
    assert set(seconds(line, zone=BERLIN)) == {unix("2026-11-20T13:03:07+00:00")}


@pytest.mark.parametrize(
    "stamp",
    ["2026-13-01T00:00:00Z", "2026-11-31T00:00:00Z", "2026-11-20T25:00:00Z",
     "2026-11-20T14:03:61Z", "0000-00-00T00:00:00Z", "Foo 20 14:03:07", "Nov 31 14:03:07",
     "0001-01-01T00:00:00+23:00"],
)  # fmt: skip
def test_a_time_that_cannot_be_counts_as_none(stamp: str) -> None:
    tally = read([stamp + " h dispatch[1]:" + SAID])
    assert (tally.known, tally.untimed, tally.cells) == (1, 1, {})


def test_a_leap_second_is_a_time() -> None:
    assert seconds("2016-12-31T23:59:60Z" + SAID) == [unix("2017-01-01T00:00:00+00:00")]


def test_only_what_lies_in_the_asked_time_counts() -> None:
    lines = [f"2026-11-20T14:0{minute}:00Z" + SAID for minute in range(6)]
    tally = read(lines, since=unix("2026-11-20T14:01:00Z"), until=unix("2026-11-20T14:03:00Z"))
    assert (tally.known, tally.outside, len(tally.cells)) == (6, 3, 3)
