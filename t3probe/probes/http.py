"""HTTP heartbeat: every beat a GET on one kept-alive connection.

With `refused_ok` a leg asks for the machine only. Whatever its kernel or its page sends back is an
answer: a refusal, a reset, a close. Bytes that the kernel acknowledged are one as well, though the
page is silent; that degrades the leg. Only a kernel that is silent is a drop.
"""

from __future__ import annotations

from t3probe.config.types import Leg
from t3probe.observation import TcpSample
from t3probe.probes.base import Channel, Probing, check_route
from t3probe.probes.credential import certified, headers_of, refused
from t3probe.probes.dates import note_date
from t3probe.probes.facts import Echo, ProbeError, Target, http_reason
from t3probe.probes.http_client import HttpAnswer, HttpClient
from t3probe.probes.marks import asked_apart, nearby, new_nonce, replayed
from t3probe.probes.redirects import Url, leads_on, onward, parse
from t3probe.probes.sso import hides, sso_answer, wants
from t3probe.probes.tcpinfo import claim
from t3probe.probes.tls import refusal
from t3probe.text import showable

_KERNELS_OWN = frozenset({"connect_refused", "connection_reset", "closed_by_peer", "io_error"})
"""How a machine's kernel ends a connection, or a process that is gone."""


class HttpLine(Channel):
    """GET beats on one kept-alive connection."""

    holds = True

    def __init__(self, leg: Leg, target: Target, probing: Probing) -> None:
        super().__init__(target, probing)
        self.leg = leg
        self.client = HttpClient(target, probing, self.facts)
        self.client.watch = self._ended
        self._asked: Url | None = None
        self._parent = target.traced

    def _ended(self, state: TcpSample | None) -> None:
        if self.client.closed_by_peer or self.leg.refused_ok:
            self.left_politely = True
        else:
            self.lost = ProbeError("connection_reset", "hold", "connection reset between beats")
        self.on_lost()

    async def beat(self) -> Echo:
        self.facts.traced = ""
        if self.lost is not None:
            raise self.lost
        sent, before = self.probing.clock.now(), self.tcp() if self.client.used else None
        try:
            return await self._ask()
        except ProbeError as error:
            if not self.leg.refused_ok:
                raise
            good = self._machine_answered(error, sent, before)
            if good is None:
                raise
            return good

    async def _ask(self) -> Echo:
        try:
            answer = await self.exchange()
        except ProbeError:
            self.left_politely = self.client.closed_by_peer
            raise
        self.left_politely = self.client.closed_by_peer
        marks = self.probing.marks
        answer.marked = check_route(self.leg, answer.headers, self.facts, marks, answer.nonce)
        note_date(self.facts, answer.headers, answer.nonce, answer.sent, answer.ended)
        self.judge(answer)
        whose = replayed(answer.headers, answer.nonce) or self._sends_away(answer)
        return Echo(
            sent=answer.sent,
            ended=answer.ended,
            clears=nearby(self.leg, answer.marked) if whose else None,
            first_byte_seconds=round(max(0.0, answer.first_byte - answer.sent), 6),
        )

    def _machine_answered(
        self, error: ProbeError, sent: float, before: TcpSample | None
    ) -> Echo | None:
        """What a failed beat is to a leg that asks for the machine only; None: a failure."""
        ours = error.stage == "connect" or error.status is not None  # our limits, and "come later"
        if error.reason == "walled_off" or (ours and not (error.conclusive or error.heard)):
            return None
        held, now = before is not None, self.probing.clock.now()
        echo = Echo(sent=sent, ended=now)
        if error.answered:
            echo.short = error.reason, f"the machine answers, its page does not: {error.detail}"
            return echo
        if error.reason in _KERNELS_OWN:
            # No process answered, and a connection that was held did not hold through.
            echo.refused = True
        elif error.heard or error.reason == "protocol_error":
            echo.short = error.reason, f"the machine answers, its page does not: {error.detail}"
        elif claim(error.tcp, before).kind in ("acknowledged", "again"):
            assert error.tcp is not None
            words = f"the machine took our bytes, its page did not answer: {error.detail}"
            echo.short, echo.refused = (error.reason, words), True
            echo.ended = max(sent, now - (error.tcp.since_last_ack_received_seconds or 0.0))
            echo.measured_seconds = error.tcp.rtt_seconds
        else:
            return None
        self.left_politely = True
        self.holds = held
        return echo

    async def exchange(self) -> HttpAnswer:
        """The one request of a beat."""
        headers = {"Host": self.leg.host_header} if self.leg.host_header else {}
        parent = self._parent or self.probing.parent(self.leg)
        headers |= self.probing.naming(parent, self.facts) | headers_of(self.leg)
        self._parent = ""
        nonce = new_nonce()
        url = asked_apart(self.leg.url or "", nonce)
        self._asked = parse(url)
        return await self.client.ask(
            "GET",
            url,
            limit=self.probing.timing.watchdog,
            headers=headers,
            nonce=nonce,
            whole=self.leg.expect_status or range(200, 300),
        )

    def _sends_away(self, answer: HttpAnswer) -> bool:
        """Whether it sends a browser to another origin, be it from http to https: anybody on the
        way may say that, and nobody asked what lies behind."""
        if answer.status in self.leg.expect_status or not leads_on(answer.status):
            return False
        to = onward(answer.status, answer.headers, b"", self._asked)
        own = [self._asked]
        if self.leg.host_header and self._asked is not None:
            own.append(parse(f"{self._asked.scheme}://{self.leg.host_header}/"))
        away = to is None or to.origin not in [one.origin for one in own if one is not None]
        if away and not self.facts.evidence:
            where = f"HTTP {answer.status} sends on to {showable(to, 80)}"
            self.facts.evidence = [f"{where}: anybody on the way may say that"]
        return away

    def judge(self, answer: HttpAnswer) -> None:
        """Is this the answer that the leg expects? Raises ProbeError."""
        status, sso = answer.status, self.probing.sso
        if status in self.leg.expect_status:
            return
        answer.check_busy()
        said = refused(self.leg, status, answer.headers, answer.body, sso, self._asked)
        if said:
            raise answer.error("token_refused", said, conclusive=False)
        login = f": {asked}" if status == 401 and (asked := wants(answer.headers)) else ""
        if not self.leg.expect_status:
            wall = sso_answer(status, answer.headers, answer.body, sso, self._asked)
            if wall is not None:
                raise answer.error("walled_off", wall)
            hidden = answer.unread and status < 300 and hides(status, answer.headers, sso)
            if hidden and not self.leg.refused_ok:
                words = f"HTTP {status} with a body that is {answer.unread}"
                raise answer.error(http_reason(status), words, conclusive=False)
            if leads_on(status) and onward(status, answer.headers, b"", self._asked) is None:
                words = f"HTTP {status} names no place to go to"
                raise answer.error(http_reason(status), words, conclusive=False)
            if 200 <= status < 400:
                answer.check_asked()
                return
        foreign = refusal(status, answer.body, self.leg.tls_cert is not None)
        if foreign is not None and not self.leg.refused_ok:
            detail = f"HTTP {status}: {self.target.host} {foreign.words}"
            raise answer.error(http_reason(status), detail, conclusive=foreign.conclusive)
        raise answer.error(http_reason(status), f"HTTP {status}{login}")

    def tcp(self) -> TcpSample | None:
        return self.client.tcp()

    async def close(self) -> None:
        await self.client.close()


async def open(leg: Leg, target: Target, probing: Probing) -> Channel:
    """A kept-alive line to `target`; the first beat makes the connection."""
    return HttpLine(leg, target, certified(leg, probing))
