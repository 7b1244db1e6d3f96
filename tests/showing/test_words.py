"""How numbers, moments and lists are said."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.text.words import (
    ago,
    change,
    clock,
    count,
    listed,
    moment,
    offset,
    percent,
    size,
    some,
    span,
    utc,
)

LENGTHS = st.floats(0, 1e12)
UNITS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


def read(text: str) -> float:
    """The seconds of what `span` wrote."""
    parts = re.findall(r"([\d.]+) (\w+)", text)
    assert parts
    assert " ".join(f"{number} {unit}" for number, unit in parts) == text
    return sum(float(number) * UNITS[unit] for number, unit in parts)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"), (0, "0 s"), (-0.0, "0 s"), (1e-9, "0 s"), (6.4e-4, "0.64 ms"),
        (0.0059, "5.9 ms"), (0.065, "65 ms"), (0.9994, "999 ms"), (0.9996, "1 s"), (2.04, "2.04 s"),
        (20, "20 s"), (59.94, "59.9 s"), (59.96, "1 min"), (99.999, "1 min 40 s"), (3599.4,
        "59 min 59 s"), (3599.6, "1 h"), (7500, "2 h 5 min"), (86_399, "1 d"), (1e6, "11 d 14 h"),
        (-0.5, "-500 ms"), (float("inf"), "beyond measure"), (1e11, "more than a century"),
    ],
)  # fmt: skip
def test_a_length_of_time(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


@given(LENGTHS)
def test_a_length_is_near_what_is_written_and_no_unit_is_full(seconds: float) -> None:
    text = span(seconds)
    if text == "more than a century":
        assert seconds > 86_400 * 36_524
        return
    assert abs(read(text) - seconds) <= max(0.021 * seconds, 1e-6)
    full = {"ms": 1000, "s": 60, "min": 60, "h": 24}
    for number, unit in re.findall(r"([\d.]+) (\w+)", text):
        assert float(number) < full.get(unit, float("inf"))
        assert float(number) or text == "0 s"


@given(LENGTHS, LENGTHS)
def test_the_longer_is_written_no_shorter(one: float, other: float) -> None:
    low, high = (span(each) for each in sorted((one, other)))
    if "century" not in high:
        assert read(low) <= read(high)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_length_is_a_negative_nothing(seconds: float) -> None:
    assert span(seconds) != "-0 s"
    assert span(seconds).isascii()
    assert change(seconds)[0] in "+-0"


def test_a_change_has_its_sign() -> None:
    assert [change(one) for one in (0.0333, -0.5, 0, -1e-9)] == [
        "+33.3 ms",
        "-500 ms",
        "0 s",
        "0 s",
    ]


@given(st.floats(0, 1e9))
def test_ago_has_whole_seconds(seconds: float) -> None:
    assert re.fullmatch(r"\d+ (s|min|h|d)( \d+ (s|min|h))? ago", ago(seconds))
    assert ago(-seconds) == "0 s ago"


def test_moments() -> None:
    assert utc(1_769_860_800.5) == "2026-01-31T12:00:00.500Z"
    assert utc(1e300) == clock(1e300) == moment(1e300) == "Unix time 1e+300"
    assert clock(1_700_000_000.25) == "22:13:20.250"
    assert moment(1_700_000_000.25) == "2023-11-14 22:13:20 UTC"
    assert offset(12.3) == "12.300 s"


@given(st.floats(0, 1))
def test_only_all_is_all_and_only_nothing_nothing(share: float) -> None:
    assert (percent(share) == "100%") == (share == 1)
    assert (percent(share) == "0%") == (share == 0)


def test_shares() -> None:
    assert [percent(one) for one in (0.5, 0.9729, 0.0001, 0.9999)] == [
        "50%", "97.3%", "<0.1%", ">99.9%",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bytes"), (1, "1 byte"), (1023, "1,023 bytes"), (65_536, "64 KiB"),
        (1_048_000, "0.999 MiB"), (1023.7 * 1024, "1 MiB"), (1.5 * 2**30, "1.5 GiB"),
        (2**60, "1,048,576 TiB"),
    ],
)  # fmt: skip
def test_sizes(number: float, text: str) -> None:
    assert size(number) == text


@given(st.floats(0, 1e18))
def test_a_size_has_three_digits(number: float) -> None:
    assert "e" not in size(number).replace("byte", "")


def test_numbers_of_things() -> None:
    assert [count(one, "run") for one in (0, 1, 10_000)] == ["0 runs", "1 run", "10,000 runs"]
    assert count(2, "entry", "entries") == "2 entries"


@given(st.lists(st.sampled_from("abcdef")), st.integers(1, 8))
def test_a_list_has_so_many_entries_at_most(names: list[str], most: int) -> None:
    shown = some(names, most)
    assert len(shown) == min(len(names), most)
    hidden = len(names) - len(shown) + 1
    assert shown == names or shown == [*names[: most - 1], f"{hidden} more"]
    assert listed(names, most).count(" and ") == (len(shown) > 1)


def test_lists() -> None:
    assert [listed("abcdefgh"[:one]) for one in (0, 1, 2, 3, 8)] == [
        "", "a", "a and b", "a, b and c", "a, b, c, d, e and 3 more",
    ]  # fmt: skip
    assert listed(iter("abc"), word="or") == "a, b or c"
