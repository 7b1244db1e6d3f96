"""The store of records: what it takes, how much, for how long, and for whom."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.echo.head import Refusal
from t3probe.echo.records import (
    ALPHABET,
    KEYS,
    Records,
    checked,
    code_in,
    network_of,
)
from t3probe.exchange.bounds import (
    ECHO_RECORD_BYTES,
    ECHO_RECORD_LEVELS,
    ECHO_RECORD_SECONDS,
    ECHO_RECORDS,
    ECHO_RECORDS_BYTES,
    ECHO_RECORDS_NETWORK,
)


def body(**more: Any) -> bytes:
    return json.dumps({"t3probe_client": 1, "browser": "Chrome 156", **more}).encode()


def status(call: Any) -> int:
    """The status of the refusal that it ends in."""
    with pytest.raises(Refusal) as found:
        call()
    return int(found.value.status)


def test_what_was_put_in_comes_out_with_what_was_seen() -> None:
    records = Records()
    code = records.add(body(beats=[[1.5, 2, None]]), "203.0.113.77", 5.0, 1_700_000_000.1234)
    content = records.get(code, 6.0)
    assert content is not None
    assert json.loads(content) == {
        "t3probe_client": 1,
        "browser": "Chrome 156",
        "beats": [[1.5, 2, None]],
        "seen": {"at": 1_700_000_000.123, "family": 4, "network": "203.0.113.0/24"},
    }
    assert b"203.0.113.77" not in content


def test_nobody_chooses_what_was_seen_or_stores_other_things() -> None:
    record = checked(body(seen={"network": "192.0.2.0/24"}, file="x", __proto__={}))
    assert set(record) == {"t3probe_client", "browser"}
    assert "seen" not in KEYS


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("203.0.113.77", (4, "203.0.113.0/24")),
        ("2001:db8:1:2::/64", (6, "2001:db8:1::/48")),
        ("a socket", (None, "unknown")),
        ("", (None, "unknown")),
    ],
)
def test_of_an_address_family_and_network_stay(client: str, expected: object) -> None:
    assert network_of(client) == expected


def test_a_code_is_eight_characters_that_can_be_read_out() -> None:
    codes = {Records().add(body(), "203.0.113.1", 0, 0) for _ in range(200)}
    assert len(codes) == 200
    assert all(len(one) == 8 and set(one) <= set(ALPHABET) for one in codes)
    assert len(ALPHABET) == 32
    assert not set("ILOU") & set(ALPHABET)


@given(st.text(string.printable + "İſ０", max_size=10))
def test_only_a_code_is_a_code(text: str) -> None:
    found = code_in(text)
    right = len(text) == 8 and text.isascii() and set(text.upper()) <= set(ALPHABET)
    assert found == (text.upper() if right else None)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"1", 400),
        (b"{}", 400),
        (b'{"t3probe_client": 2}', 400),
        (b'{"t3probe_client": true}', 400),
        (b'{"t3probe_client": "1"}', 400),
        (b'{"t3probe_client": 1.0}', 400),
        (b'{"t3probe_client": 1, "began": NaN}', 400),
        (b'{"t3probe_client": 1, "began": 1e999}', 400),
        (b'{"t3probe_client": 1, "browser": "\xff"}', 400),
        (b'{"t3probe_client": 1, "began": ' + b"9" * 5000 + b"}", 400),
        (b"[" * 30_000, 400),
        (b'{"t3probe_client": 1, "clock": ' + b'{"a":' * 5_000, 400),
        (b" " * (ECHO_RECORD_BYTES + 1), 413),
    ],
)
def test_what_is_no_record_is_refused(sent: bytes, expected: int) -> None:
    assert status(lambda: checked(sent)) == expected


def test_depth_is_counted_outside_of_strings() -> None:
    deep: Any = []
    for _ in range(ECHO_RECORD_LEVELS - 2):
        deep = [deep]
    assert checked(body(clock=deep, browser='[[[[[[[[[[ \\" {{{{{{{{{ "'))
    assert status(lambda: checked(body(clock=[deep]))) == 400


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_a_record_or_a_refusal(sent: bytes) -> None:
    try:
        checked(sent)
    except Refusal as refusal:
        assert refusal.status in (400, 413)  # noqa: PT017


def test_escapes_do_not_make_it_larger_than_a_record() -> None:
    wide = json.dumps({"t3probe_client": 1, "browser": "é" * 16_000}, ensure_ascii=False).encode()
    assert len(wide) <= ECHO_RECORD_BYTES
    assert status(lambda: Records().add(wide, "203.0.113.1", 0, 0)) == 413


def test_after_an_hour_it_is_gone() -> None:
    records = Records()
    code = records.add(body(), "203.0.113.1", 10.0, 0)
    later = records.add(body(), "203.0.113.1", 20.0, 0)
    assert records.get(code, 9.9 + ECHO_RECORD_SECONDS)
    assert records.get(code, 10.0 + ECHO_RECORD_SECONDS) is None
    assert records.get(later, 10.0 + ECHO_RECORD_SECONDS)
    records.sweep(20.0 + ECHO_RECORD_SECONDS)
    assert len(records) == 0


def test_a_flood_from_one_network_pushes_out_nobody() -> None:
    records = Records()
    codes = [records.add(body(), f"198.51.{n}.7", n, 0) for n in range(ECHO_RECORDS - 8)]
    mine = [records.add(body(), "203.0.113.9", 100, 0) for _ in range(ECHO_RECORDS_NETWORK)]
    for number in range(100):
        refused = lambda: records.add(body(), f"203.0.113.{number}", 100, 0)  # noqa: B023, E731
        assert status(refused) == 429
    assert all(records.get(code, 100) for code in codes + mine)
    late = records.add(body(), "192.0.2.1", 101, 0)
    assert records.get(mine[0], 101) is None, "the oldest of the network with the most"
    assert all(records.get(code, 101) for code in [*codes, *mine[1:], late])


def test_when_every_network_has_one_the_newcomer_is_refused() -> None:
    records = Records()
    codes = [records.add(body(), f"198.51.{n}.7", 0, 0) for n in range(ECHO_RECORDS)]
    assert status(lambda: records.add(body(), "203.0.113.1", 0, 0)) == 503
    assert all(records.get(code, 0) for code in codes)
    assert records.add(body(), "203.0.113.1", ECHO_RECORD_SECONDS, 0)


def test_full_ones_are_bounded_together() -> None:
    records, compact = Records(), json.dumps({"t3probe_client": 1}, separators=(",", ":"))
    start, end = f'{compact[:-1]},"browser":"', '"}'
    full = start + "x" * (ECHO_RECORD_BYTES - len(start + end)) + end
    assert len(full) == ECHO_RECORD_BYTES
    for number in range(ECHO_RECORDS - 1):
        records.add(full.encode(), f"198.51.{number}.7", 0, 0)
    assert status(lambda: records.add(full.encode(), "203.0.113.1", 0, 0)) == 503
    assert records._bytes <= ECHO_RECORDS_BYTES


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 31_000), st.integers(0, 300))))
def test_count_and_bytes_stay_bounded(steps: list[tuple[int, int, int]]) -> None:
    records, now, kept = Records(), 0.0, dict[str, int]()
    for network, size, passed in steps:
        now += passed
        try:
            code = records.add(body(browser="x" * size), f"198.51.{network}.7", now, 0)
        except Refusal as refusal:
            assert refusal.status in (429, 503)  # noqa: PT017
        else:
            kept[code] = size
        alive = [code for code in kept if records.get(code, now)]
        assert len(alive) == len(records) <= ECHO_RECORDS
        held = sum(len(records.get(code, now) or b"") for code in alive)
        assert held == records._bytes <= ECHO_RECORDS_BYTES
