"""From a leg to its addresses, and who is asked again, with resolvers that are made up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from probe_parts import probing
from probes.servers import HOST, http_leg

from t3probe.config.types import Leg
from t3probe.probes.base import (
    Probing,
)
from t3probe.probes.resolve import MAX_ADDRESSES, Known, ResolveError, Resolver, is_address, targets
from t3probe.timing import FakeClock

# -- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "known"), [("127.0.0.1", True), ("::1", True), ("h.example", False), ("", False)]
)
def test_what_is_an_address(text: str, known: bool) -> None:
    assert is_address(text) == known


async def found(one: Leg, fake: FakeClock | None = None) -> list[str]:
    return [str(target) for target in await targets(one, probing(fake), Resolver())]


@pytest.mark.parametrize(
    ("one", "addresses"),
    [
        (http_leg(url="https://h.example/", pin="10.0.0.1"), ["10.0.0.1:443"]),
        (http_leg(url="http://h.example/", pin="10.0.0.1"), ["10.0.0.1:80"]),
        (http_leg(url="http://h.example:8080/", pin="10.0.0.1"), ["10.0.0.1:8080"]),
        (http_leg(url="http://h.example:8080/", pin="[::1]:9"), ["[::1]:9"]),
        (http_leg(url="wss://10.0.0.9/"), ["10.0.0.9:443"]),
        (http_leg(url="ws://[::1]:81/"), ["[::1]:81"]),
        (Leg(name="t", kind="tcp", path=("a",), address="10.0.0.1:5"), ["10.0.0.1:5"]),
        (
            Leg(name="t", kind="tcp", path=("a",), addresses=("10.0.0.1:5", "[::1]:6")),
            ["10.0.0.1:5", "[::1]:6"],
        ),
        (
            Leg(name="d", kind="doh", path=("a",), doh=("https://1.1.1.1/q", "https://[::1]:8/q")),
            ["1.1.1.1:443", "[::1]:8"],
        ),
    ],
)
async def test_where_to_dial(one: Leg, addresses: list[str]) -> None:
    assert await found(one) == addresses


async def test_the_systems_answer_once_each_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def many(host: str, port: int, **more: Any) -> list[Any]:
        return [(0, 0, 0, "", (f"10.0.{at // 250}.{at % 250}", port)) for at in range(300)] * 2

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", many)
    addresses = await found(http_leg(url="http://h.example/"))
    assert len(addresses) == len(set(addresses)) == MAX_ADDRESSES
    assert addresses[0] == "10.0.0.0:80"


class Asked:
    """DoH providers that are made up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        self.answer: list[str] | None = ["10.0.0.1"]
        monkeypatch.setattr("t3probe.probes.resolve._ask", self.ask)

    async def ask(self, providers: tuple[str, ...], name: str, probing: Probing) -> Known:
        self.times += 1
        await asyncio.sleep(0)
        if self.answer is None:
            raise ResolveError("nobody answers")
        return Known(self.answer)


DOH = ("https://10.0.0.53/q",)


@pytest.mark.parametrize(
    ("age", "passed", "times"), [(None, 1e9, 1), (60.0, 59.0, 1), (60.0, 60.0, 2), (60.0, 61.0, 2)]
)
async def test_an_answer_is_asked_for_again_when_it_is_old(
    age: float | None, passed: float, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, fake, resolver = Asked(monkeypatch), FakeClock(), Resolver(age)
    lent = probing(fake)
    together = await asyncio.gather(*(resolver.doh(DOH, HOST, lent) for _ in range(3)))
    assert (asked.times, together) == (1, [Known(["10.0.0.1"])] * 3)
    fake.advance(passed)
    await resolver.doh(DOH, HOST, lent)
    assert asked.times == times
    await resolver.doh(DOH, "other.example", lent)
    assert asked.times == times + 1
    resolver.forget()
    await resolver.doh(DOH, HOST, lent)
    assert asked.times == times + 2


async def test_an_age_begins_anew_with_each_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, fake, resolver = Asked(monkeypatch), FakeClock(), Resolver(60.0)
    lent = probing(fake)
    for passed, times in ((0, 1), (60, 2), (59, 2), (1, 3)):
        fake.advance(passed)
        await resolver.doh(DOH, HOST, lent)
        assert asked.times == times, passed


async def test_a_failure_is_asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, resolver, lent = Asked(monkeypatch), Resolver(), probing()
    asked.answer = None
    with pytest.raises(ResolveError):
        await resolver.doh(DOH, HOST, lent)
    asked.answer = ["10.0.0.2"]
    assert await resolver.doh(DOH, HOST, lent) == Known(["10.0.0.2"])
    assert asked.times == 2


async def test_the_files_own_addresses_are_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    one = http_leg(url=f"https://{HOST}/", doh=DOH, fallback=("10.0.0.7", "10.0.0.8:99"))
    assert [(str(t), t.note) for t in await targets(one, probing(), Resolver())] == [
        ("10.0.0.1:443", "")
    ]
    asked.answer = None
    words = "no DoH provider gave an address; dialled the address in the file"
    assert [(str(t), t.note) for t in await targets(one, probing(), Resolver())] == [
        ("10.0.0.7:443", words),
        ("10.0.0.8:99", words),
    ]
    with pytest.raises(ResolveError):
        await targets(http_leg(url=f"https://{HOST}/", doh=DOH), probing(), Resolver())


async def test_what_is_still_asked_is_cancelled_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled: list[str] = []

    async def slow(*_: Any) -> list[str]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("yes")
            raise
        return []

    monkeypatch.setattr("t3probe.probes.resolve._ask", slow)
    resolver = Resolver()
    task = asyncio.create_task(resolver.doh(DOH, HOST, probing()))
    for _ in range(3):
        await asyncio.sleep(0)
    resolver.forget()  # not what is still being asked
    await resolver.aclose()
    assert cancelled == ["yes"]
    with pytest.raises(asyncio.CancelledError):
        await task
