"""Bytes between two sides under faults, without sockets."""

from __future__ import annotations

import asyncio

import pytest
from labclient import Sink

from t3probe.lab.board import Board
from t3probe.lab.faults import parse_fault
from t3probe.lab.streams import FaultRule, Pipe, Stream


class Bench:
    """A pipe between two sides that are held in hand."""

    def __init__(self, *faults: str, websocket: bool = False) -> None:
        self.board = Board()
        self.board.switch([parse_fault(text) for text in faults])
        self.near, self.far = (Stream(asyncio.StreamReader(), Sink()) for _ in range(2))
        rule = FaultRule(self.board, dark=("serve",), silent=("serve",), slow=("serve", "devvm"))
        self.moved = 0
        pipe = Pipe(self.near, self.far, rule, websocket=websocket, moved=self._count)
        self.running = asyncio.create_task(pipe.run())

    def _count(self) -> None:
        self.moved += 1

    def say(self, from_client: bytes = b"", from_server: bytes = b"") -> None:
        for data, side in ((from_client, self.near), (from_server, self.far)):
            if data:
                side.reader.feed_data(data)

    async def settle(self) -> tuple[bytes, bytes]:
        """What has reached the server and the client once nothing moves any more."""
        for _ in range(20):
            await asyncio.sleep(0)
        written = []
        for stream in (self.far, self.near):
            assert isinstance(stream.writer, Sink)
            written.append(stream.writer.data)
        return (written[0], written[1])

    async def finish(self) -> None:
        for stream in (self.near, self.far):
            stream.reader.feed_eof()
        async with asyncio.timeout(5):
            await self.running


async def test_bytes_of_either_side_are_told_of_also_when_held_back() -> None:
    bench = Bench("serve:blackhole")
    await bench.settle()
    assert bench.moved == 0
    bench.say(from_client=b"question")
    await bench.settle()
    assert bench.moved == 1
    bench.say(from_server=b"answer")
    await bench.settle()
    assert bench.moved == 2
    bench.board.switch([])
    await bench.finish()


async def test_bytes_pass_both_ways_and_ends_of_stream_too() -> None:
    bench = Bench()
    bench.say(b"question", b"answer")
    assert await bench.settle() == (b"question", b"answer")
    await bench.finish()
    assert bench.near.writer.is_closing()
    assert bench.far.writer.is_closing()


@pytest.mark.parametrize(
    ("fault", "through"), [("serve:blackhole", b""), ("serve:stall", b"question")]
)
async def test_what_is_held_back_goes_on_afterwards(fault: str, through: bytes) -> None:
    bench = Bench(fault)
    bench.say(b"question", b"answer")
    assert await bench.settle() == (through, b"")
    bench.board.switch([])
    assert await bench.settle() == (b"question", b"answer")
    await bench.finish()


async def test_a_stall_lets_the_101_through_and_nothing_after_it() -> None:
    bench = Bench("serve:stall", websocket=True)
    bench.say(from_server=b"HTTP/1.1 101 Switching Protocols\r\n\r\nframe")
    assert await bench.settle() == (b"", b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    bench.board.switch([])
    await bench.finish()


async def test_a_client_that_leaves_during_a_stall_is_not_waited_for() -> None:
    bench = Bench("serve:stall")
    bench.near.reader.feed_eof()
    async with asyncio.timeout(5):
        await bench.running


async def test_late_bytes_keep_their_order_and_delays_add_up() -> None:
    bench = Bench("serve:slow:1h", "devvm:slow:1ms")
    bench.say(from_server=b"one")
    assert await bench.settle() == (b"", b"")
    bench.board.switch([parse_fault("devvm:slow:1ms")])
    bench.say(from_server=b"two")
    assert (await bench.settle())[1] == b""  # the first is still late: a delay is left
    bench.board.switch([])
    assert (await bench.settle())[1] == b"onetwo"
    await bench.finish()


async def test_a_reset_on_one_side_ends_it() -> None:
    bench = Bench()
    bench.far.reader.set_exception(ConnectionResetError())
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionResetError):
            await bench.running
