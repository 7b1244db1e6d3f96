"""An ingest gate: whether the right token is taken, and nothing else.

`ingest` sends an empty message with the token: the receiver takes it and stores nothing. What goes
wrong there may be the receiver's, the gate's, or our own token's. `ingest_gate` asks as a stranger
and, once a run, as a sender who looks around: at paths that must be closed for the token, too, at
the health page, over plain http, and, rarely, with a wrong token. That the gate lets the token in
does not show that it is closed, so a pass of the first leg clears the way and the receiver, and
only one of the second clears the gate.

The token goes over verified TLS to its own host alone, never along a redirect, and stands in no
URL. What is asked of other paths is GET, without a query and a body.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from t3probe.config.errors import DeploymentError
from t3probe.config.secrets import token_of, token_variable
from t3probe.config.types import Leg
from t3probe.observation import Reason
from t3probe.probes.base import Channel, Probing, check_route
from t3probe.probes.facts import Echo, Facts, ProbeError, Target, http_reason
from t3probe.probes.http_client import HttpAnswer, HttpClient
from t3probe.probes.ingest_answers import (
    alike,
    asked,
    challenge,
    closed,
    comes_from_behind,
    gives_away,
    is_due,
    serves,
    slot_of,
    takes,
    wrong_like,
)
from t3probe.probes.marks import nearby, new_nonce, replayed
from t3probe.probes.redirects import onward, parse
from t3probe.probes.sso import is_html, sso_answer
from t3probe.text import showable

_HUNG_UP = frozenset({"closed_by_peer", "connection_reset"})
"""How a gate refuses that says nothing at all."""
_UNSERVED = frozenset({404, 405, 410, 421})
"""What a server says that has nothing there, be it the right one or another."""
_NOT_THE_WAY = frozenset({408, 411, 412, 413, 414, 415, 416, 417, 422, 425, 431})
"""What is said of a request, and neither of its sender nor of the way."""


class _GateLine(Channel):
    """What both legs of a gate share. One-shot: each beat has a connection of its own."""

    def __init__(self, leg: Leg, target: Target, probing: Probing) -> None:
        super().__init__(target, probing)
        assert leg.ingest is not None
        self.leg, self.table = leg, leg.ingest
        parts = urlsplit(self.table.url)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.path = parts.path or "/"
        self.client = HttpClient(target, probing, self.facts)

    async def close(self) -> None:
        await self.client.close()

    def token(self) -> str:
        """The token as it is now. Raises ProbeError, one that tells nothing, without one."""
        variable = token_variable(self.table)
        try:
            found = token_of(self.table)
        except DeploymentError as error:
            raise ProbeError("token_refused", "ask", str(error), conclusive=False) from None
        if found is None:
            words = f"no token to send: set {variable}, {variable}_FILE, or token_file in the file"
            raise ProbeError("token_refused", "ask", words, conclusive=False)
        return found

    async def send(
        self, token: str | None, *, path: str = "", whole: Container[int] = ()
    ) -> HttpAnswer:
        """An empty message, with this token. Raises ProbeError, Collapsed."""
        headers, data = asked(self.table, token)
        return await self._ask("POST", path or self.path, headers, data, whole)

    async def get(self, path: str, token: str | None) -> HttpAnswer:
        """A path, with this token. Raises ProbeError, Collapsed."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return await self._ask("GET", path, headers, None, ())

    async def _ask(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        data: bytes | None,
        whole: Container[int],
    ) -> HttpAnswer:
        client, nonce = self.client, new_nonce()
        if client.closed_by_peer:
            client.renew()
        limit = self.probing.timing.watchdog

        async def once() -> HttpAnswer:
            return await client.ask(
                method,
                self.origin + path,
                limit=limit,
                headers=headers,
                data=data,
                nonce=nonce,
                whole=whole,
            )

        try:
            answer = await once()
        except ProbeError:
            if not (client.used and client.closed_by_peer):
                raise
            client.renew()  # a kept-alive connection that was closed while we asked on it
            answer = await once()
        answer.url = parse(self.origin + path)
        marks = self.probing.marks
        answer.marked = check_route(self.leg, answer.headers, self.facts, marks, nonce)
        answer.behind = marks.behind(self.leg, marks.counting(answer.headers, nonce))
        return answer

    def refuses(self, answer: HttpAnswer, statuses: Sequence[int]) -> bool:
        """Whether an answer is a refusal. Raises ProbeError, one that tells nothing, for a
        challenge and for a request to come later."""
        self.check_ours(answer)
        return answer.status in statuses

    def check_ours(self, answer: HttpAnswer) -> None:
        """Raises ProbeError, one that tells nothing, for what is said to anybody, whatever he asks
        for: a challenge, or to come later."""
        answer.check_busy()
        found = challenge(answer)
        if found:
            raise self.untold(answer, f"{found}, which says nothing about the gate")
        answer.check_asked()

    def untold(self, answer: HttpAnswer, words: str, reason: Reason | None = None) -> ProbeError:
        """This answer as one that tells nothing."""
        return answer.error(reason or http_reason(answer.status), words, conclusive=False)


class IngestLine(_GateLine):
    """The way of the data: an empty message with the right token."""

    async def beat(self) -> Echo:
        token = self.token()
        answer = await self.send(token, whole=range(200, 300))
        await self._judge(answer, token)
        self.facts.gate["token"] = True
        way = tuple(one for one in self.leg.path if one != self.table.gate)
        if replayed(answer.headers, answer.nonce):
            near = nearby(self.leg, answer.marked)
            way = tuple(one for one in way if near is None or one in near)
        return Echo(sent=answer.sent, ended=answer.ended, clears=way)

    async def _judge(self, answer: HttpAnswer, token: str) -> None:
        """Raises ProbeError unless the message was taken."""
        status = answer.status
        self.check_ours(answer)
        if 200 <= status < 300 or 300 <= status < 400:
            wall = sso_answer(
                status, answer.headers, answer.body, self.probing.sso, parse(self.table.url)
            )
            if wall is not None:
                raise answer.error("walled_off", wall)
        quoted = status == 400 and gives_away(answer, token)
        if status in self.table.accept_status and not quoted:
            if is_html(answer.headers):
                words = f"HTTP {status} with a page: no receiver answers so"
                raise self.untold(answer, words)
            if not takes(self.table.kind, answer) and await self._gated() is None:
                words = f"HTTP {status}{self._said(answer)} is no receiver's answer to an empty "
                words += "message, and a stranger is not asked for a token: it may be anybody's"
                raise self.untold(answer, words)
            return
        if status in {401, 403} or quoted:  # vmauth quotes a token that it does not know
            self.facts.gate["token"] = False
            raise self.untold(answer, await self._refused(answer), "token_refused")
        if status in _NOT_THE_WAY:
            words = f"HTTP {status} to an empty message: our token is taken, our request is not"
            raise self.untold(answer, words)
        said = f"HTTP {status}{self._said(answer)}"
        if status == 400:
            words = (
                f"{said}: the token may not be known, or an empty message is no good one there; if "
                "it is taken so, add 400 to accept_status"
            )
            raise self.untold(answer, words)
        to = onward(status, answer.headers, b"", answer.url)
        if to is not None:
            said += f" to {showable(to.host, 60)}, where no sender takes its token"
        gated = await self._gated()
        if gated is None and (status in _UNSERVED or 300 <= status < 400):
            words = f"{said}, and a stranger is not asked for a token: it may be another server"
            raise self.untold(answer, words)
        if gated is not None and self.table.gate is not None:
            # Strangers are turned away at this moment: the request came as far as the gate.
            marks = [one for one in (answer.marked, self.table.gate) if one]
            answer.marked = max(marks, key=self.leg.path.index)
        raise answer.error(http_reason(status), said)

    def _said(self, answer: HttpAnswer) -> str:
        text = "" if is_html(answer.headers) else showable(answer.body, 80)
        return f" ({text})" if text else ""

    async def _gated(self) -> HttpAnswer | None:
        """How a request without a token is refused now; None where it is not, or nobody says."""
        timing = self.probing.timing
        try:
            async with asyncio.timeout(min(timing.watchdog, timing.connect_timeout)):
                answer = await self.send(None)
                return answer if self.refuses(answer, self.table.stranger_status) else None
        except (ProbeError, TimeoutError):
            return None

    async def _refused(self, answer: HttpAnswer) -> str:
        """A refused token, in words."""
        said = f"our token is refused: HTTP {answer.status}{self._said(answer)}"
        stranger = await self._gated()
        if stranger is not None and not alike(answer, stranger):
            said += f"; a stranger gets another answer, HTTP {stranger.status}"
            if comes_from_behind(answer, answer, [stranger]):
                said += ", so it seems to be the receiver that refuses it"
        return f"{said}; is it the current one ({token_variable(self.table)})?"


class IngestGateLine(_GateLine):
    """The gate itself: closed to strangers, and open to the token where it is to be."""

    async def beat(self) -> Echo:
        began = self.probing.clock.now()
        try:
            stranger: HttpAnswer | None = await self._stranger()
        except ProbeError as error:
            # Some gates hang up on strangers. That is one, if it takes the token at this moment,
            # and hangs up again.
            if not _hung_up(error) or not await self._takes_it():
                raise
            stranger = await self._stranger_again(error)
        echo = Echo(sent=began, ended=self.probing.clock.now())
        if stranger is not None:
            echo.sent, echo.ended = stranger.sent, stranger.ended
            told_apart = self._told_apart(stranger) in self.probing.once
            if replayed(stranger.headers, stranger.nonce) or not told_apart:
                # Somebody in front may turn everybody away.
                echo.clears = nearby(self.leg, stranger.marked)
        self.facts.gate["no_token"] = True
        await self._look_around(stranger, echo)
        return echo

    async def _takes_it(self) -> bool:
        try:
            self.client.renew()
            return (await self.send(self.token())).status in self.table.accept_status
        except ProbeError:
            return False

    async def _stranger_again(self, first: ProbeError) -> HttpAnswer | None:
        """How a stranger is answered after he was hung up on; None: he is again. Raises
        ProbeError."""
        self.client.renew()
        try:
            return await self._stranger()
        except ProbeError as error:
            if error.answered:
                raise
            if not _hung_up(error):
                raise first from None
        self.client.renew()
        return None

    def _told_apart(self, stranger: HttpAnswer) -> str:
        """The word for that the token was answered otherwise than this stranger: whoever refuses
        him reads tokens."""
        return f"{self.leg.name} told apart from {stranger.status}"

    async def _anybodys(
        self, answer: HttpAnswer, client: HttpClient, ask: Callable[[str], Awaitable[HttpAnswer]]
    ) -> bool:
        """Whether a path that nobody has is answered just so. Raises ProbeError, one that tells
        nothing, where that stays unknown."""
        for _ in range(2):
            try:
                other = await ask(f"/{secrets.token_hex(16)}")
            except ProbeError as error:
                client.renew()
                if _hung_up(error):
                    continue
                words = f"HTTP {answer.status}, and whether anybody gets it is not known"
                raise self.untold(answer, f"{words}: {error.detail}") from None
            return 200 <= other.status < 300 and alike(answer, other)
        return False

    async def _stranger(self) -> HttpAnswer:
        """How a request without a token is refused. Raises ProbeError."""
        answer = await self.send(None)
        if self.refuses(answer, self.table.stranger_status):
            return answer
        taken = serves(answer)
        if taken and not await self._anybodys(
            answer, self.client, lambda path: self.send(None, path=path)
        ):
            raise self.open("no_token", answer, "a request without a token is taken")
        words = f"HTTP {answer.status} to a request without a token"
        if taken is None or 200 <= answer.status < 300:
            words += ", as anybody's page: it is neither taken nor refused"
        else:
            words += f", and {_some(self.table.stranger_status)} was expected: it is no refusal"
        raise self.untold(answer, words)

    def open(self, check: str, answer: HttpAnswer, words: str) -> ProbeError:
        """The gate lets through what it must not, or gives the token away."""
        self.facts.gate[check] = False
        if self.table.gate is not None:
            answer.marked = self.table.gate  # whoever took it lies there or behind
        return answer.error("gate_open", f"{words}: HTTP {answer.status}")

    async def _look_around(self, stranger: HttpAnswer | None, echo: Echo) -> None:
        """What is asked once a run, and the wrong token. Raises ProbeError when the gate is open;
        what nobody can tell becomes a sentence, and the beat falls short."""
        doubts: list[tuple[Reason, str]] = []
        name = self.leg.name
        around, once = f"{name} around", self.probing.once
        window = self._window()
        try:
            token = self.token()
        except ProbeError as error:
            self.facts.evidence.append(f"not all was asked: {error.detail}")
            token = ""
        due = token and window and window not in once
        if around in once and not due:
            return
        plain = asyncio.ensure_future(self._plain()) if around not in once else None
        try:
            async with asyncio.timeout(self.probing.timing.watchdog):
                if due:
                    once.difference_update({one for one in once if one.startswith(f"due {name} ")})
                    once.add(window)  # before it is tried: other addresses must not try it, too
                    await self._noting(self._wrong_token(token, stranger), doubts)
                if token and around not in once:
                    await self._noting(self._inside(token, stranger, echo), doubts)
                if self.table.health is not None and around not in once:
                    inside = token if "method" in self.facts.gate else ""
                    health = self._health(self.table.health, inside, stranger)
                    await self._noting(health, doubts)
                if plain is not None:
                    await self._noting(plain, doubts)
        except TimeoutError:
            doubts.append(("rtt_timeout", "the watchdog ended it"))
        except ProbeError:
            # A wrong token that was taken is tried again by the second look, and no other: each is
            # counted by whoever bans.
            if self.facts.gate.get("wrong_token") is False:
                once.discard(window)
            raise
        finally:
            if plain is not None:
                plain.cancel()
                await asyncio.gather(plain, return_exceptions=True)
        once.add(around)
        if doubts:
            reason, words = doubts[0]
            more = f" (and {len(doubts) - 1} more)" if doubts[1:] else ""
            echo.short = reason, f"strangers are refused, but not all could be told: {words}{more}"

    async def _noting(self, look: object, doubts: list[tuple[Reason, str]]) -> None:
        try:
            await look  # type: ignore[misc]
        except ProbeError as error:
            if error.reason == "gate_open" and error.conclusive:
                raise
            self.client.renew()  # its connection may be broken
            doubts.append((error.reason, error.detail))

    def _window(self) -> str:
        """The name of the window in which a wrong token is due now; empty when none is."""
        clock, every = self.probing.clock, float(self.table.deep_every)
        at = clock.wall_at(clock.now()) if self.probing.lasting else clock.started_at
        if not is_due(self.table.name, at, every):
            return ""
        return f"due {self.leg.name} {slot_of(self.table.name, at, every)[0]}"

    async def _wrong_token(self, token: str, stranger: HttpAnswer | None) -> None:
        wrong = wrong_like(token)
        if wrong is None:
            return
        try:
            answer = await self.send(wrong)
        except ProbeError as error:
            self._refused_by(error, stranger)
            self.facts.gate["wrong_token"] = True
            return
        if self.refuses(answer, self.table.wrong_status):
            self.facts.gate["wrong_token"] = True
        elif serves(answer):
            raise self.open("wrong_token", answer, "a wrong token is taken")
        else:
            raise self.untold(answer, f"HTTP {answer.status} to a wrong token is no refusal")

    async def _inside(self, token: str, stranger: HttpAnswer | None, echo: Echo) -> None:
        """What the token opens beside the one path."""
        accepted = await self.send(token)
        self.check_ours(accepted)
        quoted = accepted.status == 400 and gives_away(accepted, token)
        taken = accepted.status in self.table.accept_status and not quoted
        if (
            stranger is not None
            and (taken or accepted.status != stranger.status)
            and not replayed(accepted.headers, accepted.nonce)
        ):
            self.probing.once.add(self._told_apart(stranger))
            if not replayed(stranger.headers, stranger.nonce):
                echo.clears = None
        if not taken or is_html(accepted.headers):
            words = f"what the token opens was not asked: it got HTTP {accepted.status} itself"
            self.facts.evidence.append(words)
            if accepted.status in {401, 403} or quoted:
                # It may be wrong in that.
                near = self.leg.path if echo.clears is None else echo.clears
                echo.clears = tuple(one for one in near if one != self.table.gate)
            return
        nonsense = None
        for _ in range(2):  # a connection may also break by chance
            nonsense = nonsense or await self._get_or_none(f"/{secrets.token_hex(16)}", token)
        seen = [accepted, *([nonsense] if nonsense else [])]
        doubt: ProbeError | None = None
        for path in self.table.refused:
            try:
                answer = await self._get_or_none(path, token)
                front_page = path == "/" and answer and await self._is_anybodys_page(answer)
            except ProbeError as error:
                doubt = doubt or error
                self.client.renew()
                continue
            if answer is None:
                if nonsense is not None:
                    words = f"the gate hangs up on {showable(path, 60)}: neither yes nor no"
                    doubt = doubt or ProbeError("closed_by_peer", "ask", words, conclusive=False)
                continue
            seen.append(answer)
            found = closed(answer, nonsense, accepted, stranger, self.table.closed_status)
            if found == "open" and front_page:
                words = f"HTTP {answer.status} for /, which a stranger gets as well"
                doubt = doubt or self.untold(answer, words)
            elif found == "open":
                words = f"{showable(path, 60)} is open to the token of senders"
                raise self.open("paths", answer, words)
            if found == "unclear":
                words = f"HTTP {answer.status} for {showable(path, 60)} is neither yes nor no"
                doubt = doubt or self.untold(answer, words)
        if doubt is None:
            self.facts.gate["paths"] = True
        method = await self._get_or_none(self.path, token)
        if method is not None:
            seen.append(method)
            if serves(method) and not (nonsense and alike(method, nonsense)):
                raise self.open("method", method, f"{showable(self.path, 60)} is served to a GET")
            if method.status < 300 or method.status >= 500:
                doubt = doubt or self.untold(method, f"HTTP {method.status} to a GET of the path")
            else:
                self.facts.gate["method"] = True
        for one in seen:
            self._check_leak(one, token)
        self.facts.gate["leak"] = True
        if doubt is not None:
            raise doubt

    def _check_leak(self, answer: HttpAnswer, token: str) -> None:
        """Raises ProbeError where an answer holds the token."""
        where = gives_away(answer, token)
        if where:
            place = "its body" if where == "body" else f"the header {showable(where, 40)}"
            at = showable(answer.url.path if answer.url else "", 60)
            raise self.open("leak", answer, f"the answer for {at} holds our token in {place}")

    async def _is_anybodys_page(self, answer: HttpAnswer) -> bool:
        """Whether strangers get this page at `/`, too, and no mark says whose it is. Headers that
        the accepted message's answer has do not: a gate may add some to all that is well. Raises
        ProbeError."""
        if answer.behind or not 200 <= answer.status < 300:
            return False
        stranger = await self._get_or_none("/", None)
        return stranger is not None and alike(answer, stranger)

    async def _get_or_none(self, path: str, token: str | None) -> HttpAnswer | None:
        """The answer for a path; None where the gate hangs up. Raises ProbeError."""
        try:
            answer = await self.get(path, token)
        except ProbeError as error:
            if not _hung_up(error):
                raise
            self.client.renew()
            return None
        self.check_ours(answer)
        return answer

    def _refused_by(self, error: ProbeError, stranger: HttpAnswer | None) -> None:
        """Raises the error unless it is the way in which this gate refuses."""
        if stranger is not None or not _hung_up(error):
            raise error
        self.client.renew()

    async def _health(self, path: str, token: str, stranger: HttpAnswer | None) -> None:
        """`token`: empty where the gate does not take it, or what lies behind is silent."""
        at = showable(path, 60)
        try:
            answer = await self.get(path, None)
        except ProbeError as error:
            self._refused_by(error, stranger)
        else:
            if not self.refuses(answer, self.table.stranger_status):
                open_to_all = 200 <= answer.status < 300
                if open_to_all and not (answer.unfinished and not answer.body):
                    if await self._anybodys(answer, self.client, lambda one: self.get(one, None)):
                        words = f"{at} is answered without a token as any path is"
                        raise self.untold(answer, f"{words}: HTTP {answer.status}")
                    raise self.open("health", answer, f"{at} answers without a token")
                raise self.untold(answer, f"HTTP {answer.status} for {at} without a token")
        if token:
            answer = await self.get(path, token)
            self._check_leak(answer, token)
            self.check_ours(answer)
            if not 200 <= answer.status < 300:
                raise self.untold(answer, f"HTTP {answer.status} for {at} with our token")
        self.facts.gate["health"] = True

    async def _plain(self) -> None:
        """Over plain http nothing is taken. No token is sent, right or wrong."""
        port = self.table.plain_port
        if not port:
            return
        client = HttpClient(replace(self.target, port=port), self.probing, Facts())
        host = urlsplit(self.origin).hostname or ""
        host = f"[{host}]" if ":" in host else host
        headers, data = asked(self.table, None)
        timing = self.probing.timing

        async def ask(path: str) -> HttpAnswer:
            client.renew()
            url = f"http://{host}:{port}{path}"
            limit = min(timing.watchdog, timing.connect_timeout)
            said = await client.ask("POST", url, limit=limit, headers=headers, data=data, whole=())
            said.url = parse(url)
            return said

        try:
            try:
                answer = await ask(self.path)
            except ProbeError as error:
                if not _hung_up(error):
                    raise
                answer = await ask(self.path)  # a connection may also break by chance
            self.check_ours(answer)
        except ProbeError as error:
            # Nobody there, or nobody who speaks plain http; whoever is silent may still be.
            if error.stage != "connect" and error.reason not in {*_HUNG_UP, "protocol_error"}:
                raise
        else:
            if serves(answer) and not await self._anybodys(answer, client, ask):
                raise self.open("plain", answer, "a request over plain http is taken")
            if answer.status == 401 or 200 <= answer.status < 300 or answer.status >= 500:
                words = f"HTTP {answer.status} over plain http: a sender's token may go there"
                raise self.untold(answer, words)
        finally:
            await client.close()
        self.facts.gate["plain"] = True


def _hung_up(error: ProbeError) -> bool:
    """Whether a request was hung up on."""
    return error.reason in _HUNG_UP and error.stage == "ask"


def _some(statuses: Sequence[int]) -> str:
    return " or ".join(map(str, statuses))


async def open_ingest(leg: Leg, target: Target, probing: Probing) -> Channel:
    """A line that sends an empty message with the token."""
    return IngestLine(leg, target, probing)


async def open_gate(leg: Leg, target: Target, probing: Probing) -> Channel:
    """A line that looks whether the gate is closed."""
    return IngestGateLine(leg, target, probing)
