"""The person's way to the edge: one more hop with faults of its own, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

from t3probe.lab.board import Board
from t3probe.lab.faults import parse_fault
from t3probe.lab.gate import Gate, bind
from t3probe.lab.streams import Keeper

HOST = "127.0.0.4"
"""Where the browser finds the edge; on the edge's own port, for the page's address names it."""
STOP_SECONDS = 10.0


class LastMile:
    """A router at home. Faults are those of the lab's `wan`, and befall this person alone."""

    def __init__(self, edge: tuple[str, int], host: str = HOST) -> None:
        """`host`: where the browser finds it."""
        self._host = host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._call(self._start(edge))

    def befall(self, *faults: str) -> None:
        """Put these faults in force in place of all others."""
        self._call(self._switch(faults))

    def close(self) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_SECONDS)
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(STOP_SECONDS)

    async def _start(self, edge: tuple[str, int]) -> None:
        self._board, self._keeper = Board(), Keeper()
        self._gate = Gate(self._board, self._keeper, bind(self._host, edge[1]), edge, ("wan",))
        self._gate.start()

    async def _switch(self, faults: tuple[str, ...]) -> None:
        self._board.switch([parse_fault(one) for one in faults])

    async def _stop(self) -> None:
        self._board.close()
        self._gate.close()
        await self._keeper.close()
