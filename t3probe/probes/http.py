"""HTTP heartbeat: every beat a GET on one kept-alive connection."""

from __future__ import annotations

from t3probe.config.types import Leg
from t3probe.observation import TcpSample
from t3probe.probes.base import (
    Echo,
    Line,
    ProbeError,
    Probing,
    Target,
    check_route,
    http_reason,
)
from t3probe.probes.http_client import Answer, HttpClient
from t3probe.probes.sso import sso_answer

__all__ = ["HttpLine", "open"]


class HttpLine(Line):
    """GET beats on one kept-alive connection."""

    holds = True

    def __init__(self, leg: Leg, target: Target, probing: Probing) -> None:
        super().__init__(target, probing)
        self.leg = leg
        self.client = HttpClient(target, probing, self.facts)
        self.client.watch = self._ended

    def _ended(self, state: TcpSample | None) -> None:
        if self.client.closed_by_peer:
            self.left_politely = True
        else:
            self.lost = ProbeError("connection_reset", "hold", "connection reset between beats")
        self.on_lost()

    async def beat(self) -> Echo:
        if self.lost is not None:
            raise self.lost
        try:
            answer = await self.exchange()
        except ProbeError:
            self.left_politely = self.client.closed_by_peer
            raise
        self.left_politely = self.client.closed_by_peer
        check_route(self.leg, answer.headers, self.facts)
        self.judge(answer)
        return Echo(
            sent=answer.sent,
            ended=answer.ended,
            first_byte_seconds=round(max(0.0, answer.first_byte - answer.sent), 6),
        )

    async def exchange(self) -> Answer:
        """The one request of a beat."""
        headers = {"Host": self.leg.host_header} if self.leg.host_header else None
        return await self.client.ask(
            "GET", self.leg.url or "", limit=self.probing.timing.watchdog, headers=headers
        )

    def judge(self, answer: Answer) -> None:
        """Is this the answer that the leg expects? Raises ProbeError."""
        status = answer.status
        if self.leg.expect_status:
            if status in self.leg.expect_status:
                return
        else:
            wall = sso_answer(status, answer.headers, answer.body, self.probing.sso)
            if wall is not None:
                raise ProbeError("walled_off", "ask", wall, answered=True)
            if 200 <= status < 400:
                return
        raise ProbeError(http_reason(status), "ask", f"HTTP {status}", answered=True)

    def tcp(self) -> TcpSample | None:
        return self.client.tcp()

    async def close(self) -> None:
        await self.client.close()


async def open(leg: Leg, target: Target, probing: Probing) -> Line:
    """A kept-alive line to `target`; the first beat makes the connection."""
    return HttpLine(leg, target, probing)
