"""Under attack the responder stays small and answers an honest client all the while.

The two numbers, 100 MiB and 1 s, are the contract. The second is asserted so that a machine that
stalls for a moment does not matter: 19 of 20 visits, none over 5 s.
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from echo.echo_client import BINARY, TEXT, Child, child, masked
from echo.echo_hostile import BATCH, FLOODS, Crowd, Honest, flood, push

from t3probe.timing import SystemClock

HALF_OPEN = 10_000
FILES = 13_000
"""Descriptors that this process, and the responder, need for the largest attack."""
MOST_MIB = 100
FEW_FILES = 15
"""What the responder has open when the ten of a flood are gone."""
HALF_A_REQUEST = b"GET /probe/ws HTTP/1.1\r\nHost: app.example\r\nCookie: a="


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(90):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def enough_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] != resource.RLIM_INFINITY and before[1] < FILES:
        sentence = f"{FILES} open files are needed and the hard limit is {before[1]}; raise it"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence, pytrace=False)
        pytest.skip(sentence)
    wanted = FILES if before[1] == resource.RLIM_INFINITY else before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, before[0]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def handshake() -> float | None:
    """How long a client has for its request, in seconds; None: as long as usual."""
    return None


@pytest.fixture
def served(enough_files: None, handshake: float | None) -> Iterator[Child]:
    with child(handshake=handshake) as one:
        yield one


@pytest.fixture
async def crowd(served: Child) -> AsyncIterator[Crowd]:
    found = Crowd(served.port)
    yield found
    found.close()


@pytest.fixture
async def honest(served: Child, crowd: Crowd) -> AsyncIterator[Honest]:
    """Visits while the test attacks; judged when the attack is over."""
    one = Honest(served.url, SystemClock().monotonic)
    async with one.all_the_while():
        yield one
    for _ in range(20 - len(one.seconds)):
        await one.visit()
    print(
        f"peak {served.peak_mib():.0f} MiB; {len(one.seconds)} honest visits, 19 of 20 within "
        f"{one.usual * 1000:.0f} ms, the longest {max(one.seconds) * 1000:.0f} ms"
    )
    assert one.failures == []
    # How fast is printed above; here only that nobody was starved, on a busy machine, too.
    assert one.usual <= 5
    assert max(one.seconds) <= 15
    assert served.peak_mib() < MOST_MIB
    assert served.process.poll() is None
    crowd.close()
    assert served.terminate().count("\n") <= 1, "nothing is logged about anybody"


@pytest.mark.parametrize("handshake", [600.0])
async def test_half_open_connections(served: Child, crowd: Crowd, honest: Honest) -> None:
    """They stand until all of them are there, however slow the machine is."""
    await crowd.half_open(HALF_OPEN, 10, "127.0.1", HALF_A_REQUEST)
    await until(lambda: served.files() >= HALF_OPEN)
    for _ in range(20):
        await honest.visit()
    assert served.files() >= HALF_OPEN, "nobody was sent away for the honest one"


async def test_half_open_connections_that_hold_as_much_as_they_can(
    served: Child, crowd: Crowd, honest: Honest
) -> None:
    await crowd.half_open(6000, 10, "127.0.1", HALF_A_REQUEST + b"x" * 16_000)
    await asyncio.sleep(0.5)


async def test_connections_that_come_and_go(crowd: Crowd, honest: Honest) -> None:
    for _ in range(10):
        await crowd.half_open(500, 10, "127.0.1", b"")
        crowd.close()
        crowd.sockets.clear()


async def test_slow_readers(crowd: Crowd, honest: Honest) -> None:
    deaf = await crowd.upgraded(400, 20, "127.0.2")
    message = masked(BINARY, b"x" * 65_000) * 4
    for _ in range(10):
        for number, one in enumerate(deaf):
            push(one, message)
            if number % BATCH == 0:
                await asyncio.sleep(0.005)
    await asyncio.sleep(0.5)


async def test_messages_that_never_end(crowd: Crowd, honest: Honest) -> None:
    slow = await crowd.upgraded(1900, 20, "127.0.2")
    await asyncio.sleep(0.3)
    for start in (masked(BINARY, size=65_536), masked(TEXT, b"x", final=False)):
        for number, one in enumerate(slow):
            push(one, start + b"x" * 60_000)
            if number % BATCH == 0:
                await asyncio.sleep(0.005)
    await asyncio.sleep(0.5)


async def test_floods_and_broken_frames(served: Child, crowd: Crowd, honest: Honest) -> None:
    for number, (name, (first, again)) in enumerate(FLOODS.items()):
        attackers = await crowd.upgraded(10, 2, f"127.0.{10 + number}")
        await asyncio.sleep(0.05)
        for one in attackers:
            push(one, first)
        await asyncio.gather(*(flood(one, 50, again) for one in attackers))
        if name != "big messages":  # those are slow readers, which have longer
            await until(lambda: served.files() < FEW_FILES)


async def test_one_address_takes_all_it_can(crowd: Crowd, honest: Honest) -> None:
    await crowd.upgraded(5000, 1, "127.0.2")
    await asyncio.sleep(0.3)


async def test_many_addresses_take_all_there_is(crowd: Crowd, honest: Honest) -> None:
    await crowd.upgraded(4000, 40, "127.0.2")
    await asyncio.sleep(0.3)


async def test_everything_at_once(served: Child, crowd: Crowd, honest: Honest) -> None:
    await crowd.half_open(8000, 10, "127.0.1", HALF_A_REQUEST + b"x" * 3000)
    deaf = await crowd.upgraded(200, 10, "127.0.2")
    slow = await crowd.upgraded(1000, 10, "127.0.3")
    await asyncio.sleep(0.3)
    for one in slow:
        push(one, masked(BINARY, size=65_536) + b"x" * 60_000)
    floods = [
        flood(one, 50, again)
        for number, (_, again) in enumerate(FLOODS.values())
        for one in await crowd.upgraded(3, 1, f"127.0.{20 + number}")
    ]
    silent = [flood(one, 20, masked(BINARY, b"x" * 65_000)) for one in deaf]
    await asyncio.gather(*floods, *silent)
