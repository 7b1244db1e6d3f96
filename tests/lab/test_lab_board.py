"""When faults begin and end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from t3probe.lab.board import Board
from t3probe.lab.faults import Fault, parse_fault

A_MOMENT = 0.02


class Watched:
    """A board, and what it told of."""

    def __init__(self) -> None:
        self.board = Board()
        self.begun: list[str] = []
        self._told = asyncio.Event()
        self.board.watch(self._tell)

    def _tell(self, faults: Sequence[Fault]) -> None:
        self.begun += [str(fault) for fault in faults]
        self._told.set()

    async def told(self) -> None:
        """Until the next change."""
        self._told.clear()
        async with asyncio.timeout(5):
            await self._told.wait()

    @property
    def active(self) -> list[str]:
        return [str(fault) for fault in self.board.active()]


def faults(*texts: str) -> list[Fault]:
    return [parse_fault(text) for text in texts]


async def test_faults_at_start_begin_at_once_and_timers_wait_for_the_first_client() -> None:
    watched = Watched()
    watched.board.arm(faults("wan:blackhole", "serve:refuse@10ms", "doh:empty+10ms"))
    await asyncio.sleep(A_MOMENT)
    assert watched.active == ["wan:blackhole", "doh:empty+10ms"]
    watched.board.client_seen()
    while len(watched.active) != 2 or "serve:refuse@10ms" not in watched.active:
        await watched.told()
    assert watched.active == ["wan:blackhole", "serve:refuse@10ms"]
    assert [str(one) for one in watched.board.faults()] == ["wan:blackhole", "serve:refuse@10ms"]
    watched.board.close()


async def test_a_fault_with_both_times_begins_and_ends() -> None:
    watched = Watched()
    watched.board.switch(faults("tunnel:refuse@5ms+5ms"))
    assert watched.active == []
    await watched.told()
    assert watched.active == ["tunnel:refuse@5ms+5ms"]
    await watched.told()
    assert watched.active == []
    assert watched.board.faults() == []


async def test_a_cut_happens_once_and_again_when_switched_again() -> None:
    watched = Watched()
    for _ in range(2):
        watched.board.switch(faults("tunnel:cut@0s"))
        assert watched.active == []
    assert watched.begun == ["tunnel:cut@0s"] * 2


async def test_a_fault_that_stays_is_not_told_of_again() -> None:
    watched = Watched()
    watched.board.switch(faults("tunnel:refuse"))
    watched.board.switch(faults("tunnel:refuse", "wan:slow"))
    watched.board.add(faults("serve:stall"))
    assert watched.begun == ["tunnel:refuse", "wan:slow:300ms", "serve:stall"]
    assert watched.active == ["tunnel:refuse", "wan:slow:300ms", "serve:stall"]
    watched.board.switch([])
    assert watched.active == []


async def test_switching_forgets_the_timers_of_before() -> None:
    watched = Watched()
    watched.board.switch(faults("tunnel:refuse@5ms", "wan:blackhole+5ms"))
    watched.board.switch(faults("wan:slow"))
    await asyncio.sleep(A_MOMENT)
    assert watched.active == ["wan:slow:300ms"]
    assert watched.begun == ["wan:blackhole+5ms", "wan:slow:300ms"]


async def test_a_provider_of_its_own() -> None:
    board = Board()
    board.switch(faults("doh:refuse:1"))
    assert board.find("doh", "refuse", 1)
    assert not board.find("doh", "refuse", 2)
    board.switch(faults("doh:refuse"))
    assert board.find("doh", "refuse", 2)


async def test_whoever_waits_goes_on_when_the_fault_is_gone() -> None:
    board = Board()
    board.switch(faults("serve:stall"))
    waiting = asyncio.create_task(board.while_blocked(lambda: board.find("serve", "stall")))
    board.add(faults("wan:slow"))
    await asyncio.sleep(0)
    assert not waiting.done()
    board.close()
    async with asyncio.timeout(5):
        await waiting


async def test_what_is_late_goes_on_when_the_fault_is_gone() -> None:
    board = Board()
    board.switch(faults("serve:slow:1h", "wan:slow:1h"))
    late = board.later(3600, lambda: board.find("serve", "slow"))
    board.switch(faults("serve:slow:1h"))
    assert not late.done()
    board.switch([])
    assert late.done()
    async with asyncio.timeout(5):
        await board.later(0.001, lambda: True)
