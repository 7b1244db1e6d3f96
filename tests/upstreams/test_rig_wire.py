"""What relay and jump write, in every form, and what of it is believed."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig_reports import RECORDED, jump_entry, recorded, relay_entry, report

from t3probe.exchange.bounds import RIG_REPORT_CONNECTIONS
from t3probe.upstreams.experiments.wire import (
    NEVER_SECONDS,
    LastSent,
    NoReportError,
    ReportReader,
    Service,
    age_of,
    read_frame,
)

DATA, VIDEO = "spin07-st-data", "spin07-st-video"
GOOD = {DATA: LastSent(0.8125), VIDEO: LastSent(0.0412)}
UNSAID = LastSent(unsaid=True)
EXPECTED: dict[str, tuple[dict[str, LastSent], bool]] = {
    "M1": (GOOD, True),
    "M2": (GOOD, False),
    "M3": ({**GOOD, VIDEO: LastSent(45.3)}, True),
    "M4": ({DATA: LastSent(0.8125)}, True),
    "M5": ({}, True),
    "M6": ({**GOOD, "spin07-st-log": LastSent()}, True),
    "M7": ({DATA: LastSent(0.8125)}, False),
    "M8": ({**GOOD, VIDEO: LastSent(45.3)}, False),
    "M9": ({DATA: UNSAID, VIDEO: UNSAID}, True),
    "M10": ({**GOOD, VIDEO: LastSent(0.033)}, True),
    "M11": ({**GOOD, VIDEO: LastSent(10.0)}, True),
}


def test_every_recorded_message_is_looked_at() -> None:
    assert EXPECTED.keys() == RECORDED["pairs"].keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_recorded_messages(name: str) -> None:
    streams, host = EXPECTED[name]
    assert report("relay", recorded(name, "relay")).rigs == streams
    assert ("spin07" in report("jump", recorded(name, "jump")).rigs) == host


def test_the_order_of_two_connections_of_one_topic_does_not_matter() -> None:
    message = recorded("M10", "relay")
    assert report("relay", message).rigs == report("relay", message[::-1]).rigs


def test_an_echo_and_an_action_are_no_reports_and_no_mistakes() -> None:
    for noise in RECORDED["jump_noise"]:
        assert read_frame("jump", json.dumps(noise).encode(), 1.0) is None


def test_an_echo_before_a_report_in_one_frame() -> None:
    found = read_frame("relay", RECORDED["relay_concatenated_frame"].encode(), 7.0)
    assert found is not None
    assert (found.at, found.rigs) == (7.0, {DATA: LastSent(0.8125)})


def test_of_several_arrays_in_one_frame_the_last_one_counts() -> None:
    frame = "".join(
        json.dumps(one) for one in ([relay_entry(VIDEO, "1s")], {"cmd": "x"}, [relay_entry(DATA)])
    )
    found = read_frame("relay", frame.encode(), 0.0)
    assert found is not None
    assert list(found.rigs) == [DATA]


def test_both_services_in_the_other_ones_spelling() -> None:
    snake = {"can_read": True, "connected_at": "x", "remote_address": "y", "user_agent": "z"}
    assert report("relay", [relay_entry(DATA, "2s", **snake)]).rigs == {DATA: LastSent(2.0)}
    camel = {"canRead": True, "statistics": {"tx": {"last": "1s"}}, "topic": "spin07"}
    assert "spin07" in report("jump", [{**camel, "scopes": ["host"]}]).rigs


@pytest.mark.parametrize(
    "stats",
    [{}, {"tx": {}}, {"tx": None}, {"tx": {"last": None}}, {"tx": {"last": "soon"}}, None, [], 3],
)
def test_what_does_not_say_when_it_sent_is_not_taken_for_active(stats: object) -> None:
    entry = {"topic": DATA, "scopes": ["expt"], "stats": stats}
    assert report("relay", [entry]).rigs == {DATA: UNSAID}


def test_never_may_be_said_apart() -> None:
    entry = relay_entry(DATA)
    entry["stats"]["tx"] = {"last": 0, "never": True}
    assert report("relay", [entry]).rigs == {DATA: LastSent()}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("41.2ms", 0.0412),
        ("1m3.5s", 63.5),
        ("12µs", 12e-6),
        ("12μs", 12e-6),
        ("12us", 12e-6),
        ("7ns", 7e-9),
        ("1h0m0.5s", 3600.5),
        ("0s", 0.0),
        ("0", 0.0),
        ("Never", math.inf),
        ("never", math.inf),
        ("", math.inf),
        ("2562047h47m16.854775807s", math.inf),
        (1_500_000_000, 1.5),
        (0, 0.0),
        (2**63 - 1, math.inf),
        (None, None),
        ("-1s", None),
        (-1, None),
        (True, None),
        ("1 s", None),
        ("1d", None),
        ("1s" * 40, None),
        ("soon", None),
        (1e400, None),
    ],
)
def test_ages(text: Any, seconds: float | None) -> None:
    found = age_of(text)
    assert found == (seconds if seconds is None else pytest.approx(seconds))


UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}


@given(
    st.lists(st.tuples(st.integers(0, 999), st.sampled_from(list(UNITS))), min_size=1, max_size=6)
)
def test_an_age_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert age_of(text) == pytest.approx(sum(number * UNITS[unit] for number, unit in parts))


@given(st.text(max_size=80))
def test_no_text_breaks_the_reader_of_ages(text: str) -> None:
    found = age_of(text)
    assert found is None or 0 <= found < NEVER_SECONDS or found == math.inf


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
ENTRIES = st.fixed_dictionaries(
    {
        "topic": st.sampled_from([DATA, VIDEO, "stats"]),
        "scopes": st.none() | st.lists(st.sampled_from(["expt", "read", "host"])),
    },
    optional={"stats": JSON, "statistcs": JSON},
)


@given(st.lists(ENTRIES, max_size=5), st.integers(1, 40), st.sampled_from(["relay", "jump"]))
def test_pieces_and_a_whole_say_the_same(entries: list[object], size: int, service: Any) -> None:
    frame = json.dumps(entries).encode()
    reader = ReportReader(service)

    def told(read: Any) -> object:
        try:
            return read()
        except NoReportError as error:
            return str(error)

    def in_pieces() -> object:
        for at in range(0, len(frame), size):
            reader.feed(frame[at : at + size])
        return reader.close(0.0)

    assert told(in_pieces) == told(lambda: read_frame(service, frame, 0.0))


@given(st.binary(max_size=60) | JSON.map(lambda one: json.dumps(one).encode()))
def test_no_message_does_more_than_be_no_report(frame: bytes) -> None:
    services: tuple[Service, ...] = ("relay", "jump")
    for service in services:
        with contextlib.suppress(NoReportError):
            read_frame(service, frame, 0.0)


def test_a_report_without_any_connection_is_none() -> None:
    """We are connected ourselves: whoever reports nobody says nothing about the rigs."""
    for message in ([], [1, 2], ["x"], [{"scopes": ["expt"]}]):
        with pytest.raises(NoReportError, match="no connection at all"):
            report("relay", message)


def test_one_entry_that_cannot_be_read_hides_no_other() -> None:
    found = report("relay", [5, {"topic": 7}, relay_entry(DATA, "2s")])
    assert (found.rigs, found.connections, found.unread) == ({DATA: LastSent(2.0)}, 3, 2)


def test_a_report_beyond_the_bound_is_none() -> None:
    frame = b"[" + b"{}," * RIG_REPORT_CONNECTIONS + b"{}]"
    with pytest.raises(NoReportError, match="more than 50,000 connections"):
        read_frame("jump", frame, 0.0)


def test_a_viewer_is_no_rig() -> None:
    assert report("relay", [relay_entry(VIDEO, "1ms", "read", "write")]).rigs == {}
    assert report("jump", [jump_entry("spin07", "client")]).rigs == {}
