"""What of a peer's bytes one turn of the event loop parses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["rest_a_turn"]


def rest_a_turn(transport: asyncio.Transport, goes_on: Callable[[], bool] = lambda: True) -> None:
    """After a whole piece: take no other before the loop's next turn.

    A plain transport reads once a turn by itself. That of TLS hands over all that it has decrypted,
    beside what comes meanwhile. `goes_on`: whether reading is to go on then.
    """
    if transport.get_extra_info("ssl_object") is None or transport.is_closing():
        return

    def resume() -> None:
        if goes_on() and not transport.is_closing():
            transport.resume_reading()

    transport.pause_reading()
    asyncio.get_running_loop().call_soon(resume)
