"""TCP connects: the kernel's time, refusals, the clamp, and many at once."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from probes.servers import deployment, made_run, probe, probe_all, serve, silent

from t3probe.config.types import Leg
from t3probe.probes import tcp, tcpinfo
from t3probe.run.leg import MOST_OPEN


def tcp_leg(*addresses: str, **changes: Any) -> Leg:
    values: dict[str, Any] = {
        "name": "tcp",
        "kind": "tcp",
        "path": ("wan",),
        "addresses": addresses,
        **changes,
    }
    return Leg(**values)


async def test_the_kernels_time_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcpinfo, "handshake_seconds", lambda sock: 0.125)
    async with serve(silent) as server:
        seen = await probe(tcp_leg(server.pin))
    assert [beat.rtt_seconds for beat in seen.beats] == [0.125]
    assert seen.level == "connect"
    assert seen.phases["connect"] == 0.125


async def test_without_the_kernels_time_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_INFO")
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def slowly(sock: socket.socket, address: Any) -> None:
        await asyncio.sleep(0.05)
        await connect(sock, address)

    monkeypatch.setattr(loop, "sock_connect", slowly)
    async with serve(silent) as server:
        seen = await probe(tcp_leg(server.pin))
    assert seen.outcome == "passed"
    assert seen.beats[0].rtt_seconds == pytest.approx(0.05, abs=0.02)


async def test_a_real_handshake_has_a_time_of_the_kernels() -> None:
    async with serve(silent) as server:
        sock = socket.create_connection(("127.0.0.1", server.port))
        try:
            took = tcpinfo.handshake_seconds(sock)
            seen = tcpinfo.sample(sock)
        finally:
            sock.close()
    assert took is not None
    assert 0 < took < 10
    assert seen is not None
    assert seen.state == tcpinfo.ESTABLISHED
    assert tcpinfo.sample(sock) is None  # the descriptor is gone
    assert tcpinfo.sample(None) is None


@pytest.mark.parametrize(("allowed", "outcome"), [(True, "passed"), (False, "failed")])
async def test_a_refusal(allowed: bool, outcome: str) -> None:
    async with serve(silent) as server:
        pin = server.pin
    seen = await probe(tcp_leg(pin, refused_ok=allowed))
    assert seen.outcome == outcome
    assert seen.beats[0].refused == allowed
    if not allowed:
        assert seen.reason == "connect_refused"


async def test_one_beat_a_heartbeat_each_a_connection() -> None:
    async with serve(silent) as server:
        seen = await probe(tcp_leg(server.pin), hold=0.45)
    numbers = [beat.conn for beat in seen.beats]
    assert len(numbers) >= 4
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize(("any_of", "outcome"), [(True, "passed"), (False, "degraded")])
async def test_one_of_several(any_of: bool, outcome: str) -> None:
    async with serve(silent) as server, serve(silent) as gone:
        dead = gone.pin
        gone.port = 0
    async with serve(silent) as server:
        seen = await probe(tcp_leg(dead, server.pin, any_of=any_of))
    assert seen.outcome == outcome
    assert seen.answered == (1, 2)


@pytest.mark.parametrize(("asked", "limit"), [(10.0, 3.0), (0.5, 0.5)])
async def test_the_timeout_is_clamped_to_three_seconds(
    asked: float, limit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = []

    async def connect(target: Any, probing: Any, facts: Any, most: float) -> Any:
        limits.append(most)
        return socket.socket(), 0.001

    monkeypatch.setattr(tcp, "connect", connect)
    await probe(tcp_leg("127.0.0.1:9"), connect_timeout=asked)
    assert limits == [limit]


async def test_a_black_hole_times_out() -> None:
    """A listener whose queue is full answers no SYN."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        try:
            for one in fillers:
                one.setblocking(False)
                one.connect_ex(listener.getsockname())
            port = listener.getsockname()[1]
            seen = await probe(tcp_leg(f"127.0.0.1:{port}", tcp_ends_at="wan"), connect_timeout=0.3)
        finally:
            for one in fillers:
                one.close()
    assert (seen.outcome, seen.reason) == ("failed", "connect_timeout")
    assert seen.drops[0].carried == ()


async def test_two_hundred_legs_at_once_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = most = 0
    real = tcp.connect

    async def connect(*rest: Any) -> Any:
        nonlocal now, most
        now += 1
        most = max(most, now)
        try:
            return await real(*rest)
        finally:
            now -= 1

    monkeypatch.setattr(tcp, "connect", connect)
    async with serve(silent) as server:
        legs = [tcp_leg(server.pin, name=f"leg{n}", path=(f"s{n}",)) for n in range(200)]
        seen = await probe_all(legs)
    assert {leg.outcome for leg in seen.values()} == {"passed"}
    assert len(seen) == 200
    assert most <= 64


async def test_stop_ends_a_run_of_black_holes() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        filler = [socket.socket() for _ in range(4)]
        try:
            for one in filler:
                one.setblocking(False)
                one.connect_ex(listener.getsockname())
            leg = tcp_leg(f"127.0.0.1:{listener.getsockname()[1]}")
            made = deployment([leg], watchdog=60, connect_timeout=60, heartbeat=0.1)
            run = made_run(made, [leg], hold=60)
            asyncio.get_running_loop().call_later(0.55, run.stop)
            async with asyncio.timeout(2.5):
                (seen,) = await run.measure()
            assert run.clock.now() < 0.55 + 0.5  # not even what a closing may take
        finally:
            for one in filler:
                one.close()
    assert seen.outcome == "inconclusive"
    assert seen.drops == ()
    # The opening, the first common beat, and heartbeats until so many are under way.
    assert [(beat.ok, beat.conclusive) for beat in seen.beats] == [(False, False)] * MOST_OPEN
