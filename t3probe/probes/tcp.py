"""TCP connect: does the address accept a connection, and how long does the handshake take."""

from __future__ import annotations

from t3probe.config.types import Leg
from t3probe.exchange.bounds import TCP_CONNECT_SECONDS as MAX_CONNECT_SECONDS
from t3probe.probes.base import Channel, Probing
from t3probe.probes.dial import connect
from t3probe.probes.facts import Echo, ProbeError, Target

__all__ = ["MAX_CONNECT_SECONDS", "open"]


class TcpLine(Channel):
    """One connect a beat."""

    def __init__(self, leg: Leg, target: Target, probing: Probing) -> None:
        super().__init__(target, probing)
        self._refused_ok = leg.refused_ok
        self._limit = min(probing.timing.connect_timeout, MAX_CONNECT_SECONDS)

    async def beat(self) -> Echo:
        clock = self.probing.clock
        async with self.probing.crowd:
            sent = clock.now()
            took: float | None
            refused = False
            try:
                sock, took = await connect(self.target, self.probing, self.facts, self._limit)
            except ProbeError as error:
                # A reset this early came after the handshake: a refused one says so.
                accepted = error.reason == "connection_reset"
                refused = error.reason == "connect_refused" and self._refused_ok
                if not accepted and not refused:
                    raise
                took = None
            else:
                sock.close()
            ended = clock.now()
        measured = None if took is None else round(took, 6)
        return Echo(sent=sent, ended=ended, measured_seconds=measured, refused=refused)


async def open(leg: Leg, target: Target, probing: Probing) -> Channel:
    """A line of TCP connects to `target`."""
    return TcpLine(leg, target, probing)
