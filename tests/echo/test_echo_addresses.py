"""Who a client is: the socket's address unless a proxy is trusted. Limits: the token bucket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.echo.limits import Bucket, Limits, Proxies, Visitors

TRUSTED = ["10.0.0.0/8", "fd00::/8"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        pytest.param("192.0.2.1", ["203.0.113.9"], "192.0.2.1", id="nobody's word is taken"),
        pytest.param("10.1.1.1", [], "10.1.1.1", id="the proxy itself"),
        pytest.param("10.1.1.1", ["203.0.113.9"], "203.0.113.9", id="one hop"),
        pytest.param("10.1.1.1", ["6.6.6.6, 203.0.113.9, 10.2.2.2"], "203.0.113.9", id="rightmost"),
        pytest.param("10.1.1.1", ["6.6.6.6", "203.0.113.9", "10.2.2.2"], "203.0.113.9", id="lines"),
        pytest.param("10.1.1.1", ["10.3.3.3, 10.2.2.2"], "10.3.3.3", id="all trusted: the first"),
        pytest.param("10.1.1.1", ["203.0.113.9:5123"], "203.0.113.9", id="with a port"),
        pytest.param("10.1.1.1", ["[2001:db8::1]:5123"], "2001:db8::/64", id="IPv6 with a port"),
        pytest.param("10.1.1.1", ["nonsense, 10.2.2.2"], "10.2.2.2", id="nonsense ends it"),
        pytest.param("10.1.1.1", ["203.0.113.9, unknown"], "10.1.1.1", id="nonsense at the end"),
        pytest.param("10.1.1.1", ["203.0.113.9,"], "10.1.1.1", id="an empty entry"),
        pytest.param("::ffff:10.1.1.1", ["::ffff:203.0.113.9"], "203.0.113.9", id="IPv4-mapped"),
        pytest.param("fd00::1%eth0", ["2001:db8:0:1:2::3"], "2001:db8:0:1::/64", id="a /64 is one"),
        pytest.param("2001:db8::5", ["1.1.1.1"], "2001:db8::/64", id="IPv6 socket"),
    ],
)
def test_the_client(peer: str, forwarded: list[str], client: str) -> None:
    assert Proxies(TRUSTED).client(peer, forwarded) == client


def test_by_default_the_socket_counts() -> None:
    assert Proxies().client("10.1.1.1", ["203.0.113.9"]) == "10.1.1.1"


@given(st.lists(st.text(max_size=60), max_size=5))
def test_what_stands_left_of_the_proxys_entry_never_matters(claims: list[str]) -> None:
    forwarded = [*(one.replace("\n", " ") for one in claims), "203.0.113.9"]
    assert Proxies(TRUSTED).client("10.1.1.1", forwarded) == "203.0.113.9"
    assert Proxies(TRUSTED).client("10.1.1.1", [",".join(forwarded)]) == "203.0.113.9"


@pytest.mark.parametrize("bad", ["10.0.0.0/33", "traefik", ""])
def test_no_network(bad: str) -> None:
    with pytest.raises(ValueError):
        Proxies([bad])


def test_a_bucket_fills_again() -> None:
    bucket = Bucket(rate=2, burst=3, now=0)
    assert bucket.full(0)
    assert [bucket.take(0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.full(0.4)
    assert [bucket.take(0.5), bucket.take(0.5)] == [True, False]
    assert bucket.full(100)
    assert [bucket.take(100) for _ in range(4)] == [True, True, True, False]


@given(st.lists(st.floats(0, 5), max_size=60), st.integers(1, 5), st.floats(0.1, 10))
def test_a_bucket_never_gives_more_than_its_rate(pauses, burst: int, rate: float) -> None:
    bucket, now, taken = Bucket(rate, burst, 0), 0.0, 0
    for pause in pauses:
        now += pause
        taken += bucket.take(now)
    assert taken <= burst + rate * now + 1e-6


def test_visitors_are_forgotten_when_they_owe_nothing() -> None:
    visitors = Visitors(Limits(dials_burst=2, dials_per_second=1))
    first = visitors.of("a", 0)
    assert visitors.of("a", 0) is first
    first.dials.take(0)
    visitors.of("b", 0)
    visitors.forget(0.5)
    assert list(visitors.known) == ["a"]
    first.open = {None: None}  # type: ignore[dict-item]
    visitors.forget(1.5)
    assert list(visitors.known) == ["a"]
    first.open.clear()
    visitors.forget(1.5)
    assert not visitors.known


def test_visitors_are_bounded() -> None:
    visitors = Visitors(Limits(), most=20)
    for number in range(200):
        visitors.of(str(number), 0).dials.take(0)
        if number == 0:
            visitors.known["0"].open = {None: None}  # type: ignore[dict-item]
    assert len(visitors.known) <= 20
    assert {"0", "199"} <= set(visitors.known)
