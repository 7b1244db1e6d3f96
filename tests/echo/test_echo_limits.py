"""Limits of count, rate and bytes; and that one address does not starve another."""

from __future__ import annotations

import asyncio

import pytest
from echo.echo_client import BINARY, CLOSE, PING, PONG, TEXT, masked, request, serving

from t3probe.echo import Limits

PROXY = ["127.0.0.0/8"]


def client(address: str) -> str:
    return f"X-Forwarded-For: {address}"


async def test_connections_of_one_address() -> None:
    async with serving(Limits(per_address=2)) as served:
        first, _ = [await served.websocket() for _ in range(2)]
        third = await served.dial()
        assert await third.open() == 429
        assert "Retry-After" in third.head
        await served.websocket(source="127.0.0.2")
        first.send(masked(CLOSE))
        await served.until(lambda: len(served.responder.open) == 2)
        await served.websocket()


async def test_behind_a_load_balancer_clients_are_told_apart() -> None:
    async with serving(Limits(per_address=2), PROXY) as served:
        for _ in range(2):
            await served.websocket(client("203.0.113.6"))
        assert await (await served.dial()).open(client("203.0.113.6")) == 429
        # Its own claims change nothing: the proxy's entry is the last.
        assert await (await served.dial()).open(client("198.51.100.7, 203.0.113.6")) == 429
        assert await (await served.websocket(client("203.0.113.7"))).echo(b"x") == b"x"


async def test_without_a_trusted_proxy_the_claim_is_ignored_and_said_once() -> None:
    async with serving(Limits(per_address=1)) as served:
        await served.websocket(client("203.0.113.6"))
        assert await (await served.dial()).open(client("203.0.113.7")) == 429
        assert len(served.said) == 1
        assert "--trusted-proxy" in served.said[0]
        assert "203.0.113" not in served.said[0]


async def test_upgrades_per_second() -> None:
    async with serving(Limits(dials_burst=3, dials_per_second=1), PROXY) as served:
        for _ in range(3):
            await served.websocket(client("203.0.113.6"))
        assert await (await served.dial()).open(client("203.0.113.6")) == 429
        await served.websocket(client("203.0.113.7"))
        served.pass_time(1)
        await served.websocket(client("203.0.113.6"))


@pytest.mark.parametrize(
    "flood", [masked(TEXT, b"x"), masked(PING), masked(PONG), masked(TEXT, final=False)]
)
async def test_frames_per_second(flood: bytes) -> None:
    async with serving(Limits(messages_burst=10, messages_per_second=1), PROXY) as served:
        honest = await served.websocket(client("203.0.113.7"))
        peer = await served.websocket(client("203.0.113.6"))
        goes_on = masked(0, final=False) if flood[0] == TEXT else flood
        peer.send(flood, *[goes_on] * 5000)
        answers = 0
        while (frame := await peer.frame())[0] != CLOSE:
            answers += 1
        assert frame[1] == b"\x03\xf0too many messages"
        assert answers <= 10
        assert await honest.echo(b"x") == b"x"


async def test_frames_of_all_connections_of_an_address_count_together() -> None:
    async with serving(Limits(messages_burst=4, messages_per_second=1)) as served:
        one, two = await served.websocket(), await served.websocket()
        for peer in (one, two):
            assert await peer.echo(b"x") == b"x"
            assert await peer.echo(b"x") == b"x"
        two.send(masked(TEXT, b"x"))
        assert await two.code() == 1008
        served.pass_time(1)
        assert await one.echo(b"x") == b"x"


async def test_health_is_never_limited() -> None:
    limits = Limits(per_address=1, connections=1, dials_burst=1, dials_per_second=0.001)
    async with serving(limits) as served:
        await served.websocket()
        for _ in range(20):
            peer = await served.dial()
            peer.send(request("/probe/healthz"))
            assert await peer.status() == 200


async def test_when_full_the_greediest_address_makes_room() -> None:
    limits = Limits(connections=6, per_address=5)
    async with serving(limits, PROXY) as served:
        greedy = []
        for _ in range(5):
            greedy.append(await served.websocket(client("203.0.113.6")))
            served.clock.advance(0.1)
        other = await served.websocket(client("203.0.113.8"))
        assert await greedy[0].echo(b"x") == b"x"  # the others have been silent for longer
        honest = await served.websocket(client("203.0.113.7"))
        assert await greedy[1].code() == 1013
        for peer in (honest, other, greedy[0]):
            assert await peer.echo(b"x") == b"x"
        assert await (await served.dial()).open(client("203.0.113.6")) == 503
        assert len(served.responder.open) == 6


async def test_when_everybody_has_one_the_newcomer_is_refused() -> None:
    async with serving(Limits(connections=3), PROXY) as served:
        for number in range(3):
            await served.websocket(client(f"203.0.113.{number}"))
        late = await served.dial()
        assert await late.open(client("203.0.113.9")) == 503
        assert "Retry-After" in late.head


async def test_half_open_connections_push_each_other_out_the_oldest_first() -> None:
    async with serving(Limits(waiting=5)) as served:
        half = []
        for number in range(8):
            half.append(await served.dial())
            half[-1].send(b"GET /")
            await served.until(lambda: len(served.responder.waiting) == min(5, number + 1))  # noqa: B023
        for one in half[:3]:
            assert await one.gone()
        honest = await served.websocket(source="127.0.0.2")
        assert await honest.echo(b"x") == b"x"
        assert len(served.responder.waiting) <= 5


async def test_past_the_bytes_for_all_unfinished_requests_go_first() -> None:
    async with serving(Limits(held_bytes=20_000, small_bytes=100)) as served:
        honest = await served.websocket()
        peers = []
        for _ in range(3):
            peers.append(await served.dial())
            peers[-1].send(b"GET / HTTP/1.1\r\nA: " + b"x" * 8000)
            await served.until(
                lambda: (
                    sum(bool(one.held) for one in served.responder.waiting) == min(len(peers), 2)
                )
            )
        assert await peers[0].gone()
        assert served.responder.held <= 20_000
        assert await honest.echo(b"x") == b"x"


async def test_past_the_bytes_for_all_big_unfinished_messages_are_cut_small_ones_are_not() -> None:
    async with serving(Limits(held_bytes=50_000)) as served:
        honest = await served.websocket()
        first, second = await served.websocket(), await served.websocket()
        first.send(masked(BINARY, size=60_000) + b"x" * 45_000)
        await served.until(lambda: served.responder.held > 44_000)
        second.send(masked(BINARY, size=60_000) + b"x" * 30_000)
        assert await second.code() == 1013
        first.send(b"x" * 4000)
        await served.until(lambda: served.responder.held > 48_500)
        message = masked(BINARY, b"x" * 3000)
        honest.send(message[:2500])
        await served.until(lambda: served.responder.held > 51_000)
        honest.send(message[2500:])
        assert await honest.frame() == (BINARY, b"x" * 3000)
        first.close()
        await served.until(lambda: served.responder.held == 0)


async def test_out_of_descriptors_the_oldest_goes_and_accepting_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving() as served:
        half = await served.dial()
        half.send(b"GET")
        await served.until(lambda: served.responder.held)
        listener = served.responder._listener
        failures = iter([OSError(24, "Too many open files")])

        class Scarce:
            def fileno(self) -> int:
                return listener.fileno()

            def close(self) -> None:
                listener.close()

            def accept(self) -> object:
                for one in failures:
                    raise one
                return listener.accept()

        monkeypatch.setattr(served.responder, "_listener", Scarce())
        honest = await served.websocket()
        assert await half.gone()
        assert await honest.echo(b"x") == b"x"


async def test_a_thousand_short_visits_leave_nothing() -> None:
    async with serving(Limits(dials_burst=10_000)) as served:

        async def visit(number: int) -> None:
            peer = await served.dial()
            if number % 3 == 0:
                peer.send(request("/"))
                assert await peer.status() == 404
            elif number % 3 == 1:
                assert await peer.open() == 101
                assert await peer.echo(b"x") == b"x"
            peer.close()

        for start in range(0, 1000, 50):
            await asyncio.gather(*(visit(start + number) for number in range(50)))
        responder = served.responder
        await served.until(lambda: not responder.open and not responder.waiting)
        served.pass_time(1000)
        assert not responder.visitors.known
        assert not responder.ending
