"""The wall-off checks, both ways round.

`walloff`: a public path must not be sent to the SSO. `walled`: a protected path must never be
served without a session, not by one of the ways out of a public prefix either. What says
nothing about the rule (5xx, no answer) is told apart from yes and no.

The usual ways out of a carve-out are request targets that start public and mean a walled path: a
proxy that matches rules on one reading of a path and forwards another lets a visitor step
from a public prefix into what the wall protects. See RFC 3986 section 6.2.2 for the
normalisations involved and RFC 9112 section 3.2.2 for the absolute form.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

from t3probe.config.types import Leg
from t3probe.exchange.bounds import REDIRECTS
from t3probe.probes.base import Channel, Probing, check_route
from t3probe.probes.credential import certified, headers_of, refused
from t3probe.probes.facts import Echo, Facts, ProbeError, Target, http_reason
from t3probe.probes.http_client import BODY_SHARE, HttpAnswer, HttpClient, answer_of, beyond_us
from t3probe.probes.http_wire import AnswerReader
from t3probe.probes.marks import asked_apart, asking, nearby, new_nonce, replayed
from t3probe.probes.redirects import Cookies, Url, leads_on, onward, parse
from t3probe.probes.sso import hides, is_html, sso_answer, wants
from t3probe.text import showable
from t3probe.text.words import span

_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
}


class WallLine(Channel):
    """One-shot: every beat asks anew, on a connection of its own."""

    def __init__(self, leg: Leg, target: Target, probing: Probing) -> None:
        super().__init__(target, probing)
        self.leg = leg
        parts = urlsplit(leg.url or "")
        # Without user and password, if the URL has them: nobody is to be let in by them here.
        self.origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        # The server knows itself by the Host that it is sent.
        self._seen = f"{parts.scheme}://{leg.host_header}" if leg.host_header else self.origin
        self._own = {one.origin for one in map(parse, (self.origin, self._seen)) if one is not None}
        self.path = parts.path or "/"

    async def ask(
        self,
        client: HttpClient,
        target: str,
        upgrade: bool = False,
        apart: bool = False,
        cookie: str = "",
        shown: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """One request for a target in origin form, from the leg's own route; `apart`: with a
        query of its own. Without cookies but those that the same chain of redirects set; `shown`:
        the credential's headers."""
        nonce = new_nonce()
        url = self.origin + target
        headers = {"Host": self.leg.host_header} if self.leg.host_header else {}
        headers |= shown or {}
        if cookie:
            headers["Cookie"] = cookie
        if upgrade:
            headers |= {**_UPGRADE, "Sec-WebSocket-Key": secrets.token_urlsafe(12) + "AAAAAA=="}
        url = asked_apart(url, nonce) if apart else url
        answer = await client.ask(
            "GET",
            url,
            limit=self.probing.timing.watchdog,
            headers=headers,
            nonce=nonce,
            whole=(),
        )
        answer.url = parse(self._seen + url.removeprefix(self.origin))
        marks = self.probing.marks
        answer.marked = check_route(self.leg, answer.headers, self.facts, marks, nonce)
        answer.behind = marks.behind(self.leg, marks.counting(answer.headers, nonce))
        return answer

    def wall(self, answer: HttpAnswer) -> str | None:
        """How this answer is the SSO's, in words; None when it is not."""
        status, headers = answer.status, answer.headers
        found = sso_answer(status, headers, answer.body, self.probing.sso, answer.url)
        if found is None and status == 401:
            login = wants(headers)
            return f"HTTP 401{': ' if login else ''}{login}"
        return found

    async def follow(self, client: HttpClient, answer: HttpAnswer, upgrade: bool = False) -> Chain:
        """From an answer on, where a browser ends up that goes on within the origin.

        It ends at the SSO, at an answer that leads nowhere else, or at one that leads to another
        origin. What a browser could not follow to an answer proves nothing: raises ProbeError.
        """
        cookies, been, limit = Cookies(), set[tuple[str, str]](), self.probing.timing.watchdog
        try:
            async with asyncio.timeout(limit):
                while True:
                    url, status = answer.url, answer.status
                    if not (upgrade and status == 101):
                        answer.check_asked()
                    wall = self.wall(answer)
                    to = onward(status, answer.headers, answer.body, url)
                    if wall is not None or (to is None and not leads_on(status)):
                        return Chain(answer, wall)
                    if to is None or url is None:
                        raise _neither(answer, f"HTTP {status} names no place to go to")
                    if to.origin not in self._own or self.ends_before(to):
                        return Chain(answer, None, away=True)
                    cookies.take(answer.headers, url)
                    cookie = cookies.given(to)
                    if (to.target, cookie) in been or len(been) == REDIRECTS:
                        break
                    been.add((to.target, cookie))
                    answer = await self._ask_kept(client, to.target, cookie)
                    answer.check_busy()
        except TimeoutError as error:
            raise _neither(answer, f"redirects without an end within {span(limit)}") from error
        raise _neither(answer, f"redirects without an end, one of them to {showable(to, 60)}")

    def ends_before(self, to: Url) -> bool:
        """Whether what this place serves would say nothing about the leg's path."""
        return False

    async def _ask_kept(self, client: HttpClient, target: str, cookie: str = "") -> HttpAnswer:
        if client.closed_by_peer:
            client.renew()
        try:
            return await self.ask(client, target, cookie=cookie)
        except ProbeError:
            if not client.closed_by_peer:
                raise
            client.renew()
            return await self.ask(client, target, cookie=cookie)

    def check_body(self, answer: HttpAnswer) -> None:
        """Raises ProbeError, one that tells nothing, when the body may be a wall's and could not
        be read."""
        status = answer.status
        if answer.unread and hides(status, answer.headers, self.probing.sso):
            said = f"HTTP {status} with a body that is {answer.unread}"
            raise _neither(answer, said)
        page = is_html(answer.headers) and (200 <= status < 300 or 400 <= status < 500)
        if answer.unfinished and page:
            raise _neither(answer, f"HTTP {status} with a page that does not end")

    def served(self, answer: HttpAnswer) -> bool:
        """Whether a visitor without a session gets something. Raises ProbeError as `check_body`,
        and when nothing came of a body that is not over."""
        if not 200 <= answer.status < 300:
            return False
        self.check_body(answer)
        if answer.body.strip():
            return True
        if answer.unfinished:
            raise _neither(answer, f"HTTP {answer.status} with a body that never came")
        return False

    async def beat(self) -> Echo:
        try:
            return await self.look()
        except ProbeError as error:
            if error.reason not in {"walled_off", "not_walled"} and not self.expected(error):
                error.conclusive = False
            raise

    def expected(self, error: ProbeError) -> bool:
        """Whether the file says which answers there must be, and this is another one."""
        return False

    async def look(self) -> Echo:
        """The requests of one beat. Raises ProbeError, Collapsed."""
        raise NotImplementedError


class WalloffLine(WallLine):
    """A public path: anything but the SSO's answer shows that the rule is intact."""

    def __init__(self, leg: Leg, target: Target, probing: Probing) -> None:
        super().__init__(leg, target, probing)
        self._apart = "?" not in (leg.url or "")

    async def look(self) -> Echo:
        client = HttpClient(self.target, self.probing, self.facts)
        try:
            plain = await self.ask(client, self.path, apart=self._apart)
            last, sure = await self._judge(client, plain, "", self.leg.expect_status)
            # What a cache kept is the cache's.
            sure = sure and not any(replayed(one.headers, one.nonce) for one in (plain, last))
        finally:
            await client.close()
        client = HttpClient(self.target, self.probing, Facts())
        try:
            upgraded = await self.ask(client, self.path, upgrade=True, apart=self._apart)
            await self._judge(client, upgraded, "the WebSocket upgrade: ")
        except ProbeError as error:
            if error.reason == "walled_off":
                raise
            # Not every public path speaks WebSocket, and one may close on the attempt.
            self.facts.evidence[:] = [f"WebSocket upgrade of the public path: {error.detail}"]
        finally:
            await client.close()
        return Echo(
            sent=plain.sent,
            ended=plain.ended,
            clears=None if sure else nearby(self.leg, last.marked),
        )

    def expected(self, error: ProbeError) -> bool:
        return bool(self.leg.expect_status) and error.status is not None and error.conclusive

    async def _judge(
        self, client: HttpClient, answer: HttpAnswer, what: str, expect: Sequence[int] = ()
    ) -> tuple[HttpAnswer, bool]:
        """The answer at the end of the redirects, and whether it surely came past the rule.

        The unexpected may come from any hop: a CDN refuses and redirects, too. Raises ProbeError.
        """
        first = answer.status
        if first in expect and not leads_on(first):
            return answer, True
        answer.check_busy()
        behind = answer.behind  # then the rule let it through, wherever it leads from there
        try:
            answer, wall, away = await self.follow(client, answer, upgrade=bool(what))
        except ProbeError:
            if first not in expect:
                raise
            return answer, True  # a redirect was expected, and this one leads to no SSO
        if wall is not None and (behind or answer.behind):
            said = f"{what}{wall}, from behind the rule: it says nothing about that"
            raise answer.error(http_reason(answer.status), said)
        if wall is not None:
            raise answer.error("walled_off", what + wall)
        if first in expect:
            return answer, True
        if expect:
            raise answer.error(http_reason(first), f"HTTP {first}")
        if answer.status >= 500:
            said = f"{what}HTTP {answer.status} says nothing about the rule"
            raise answer.error(http_reason(answer.status), said)
        self.check_body(answer)
        return answer, not away and 200 <= answer.status < 300


class WalledLine(WallLine):
    """A protected path: the SSO, a refusal, or at least nothing served."""

    async def look(self) -> Echo:
        client = HttpClient(self.target, self.probing, self.facts)
        try:
            first = await self.ask(client, self.path)
            first.check_busy()
            last = await self._judge(client, first)
        finally:
            await client.close()
        for prefix in self.leg.public_prefixes:
            tried = f"{self.leg.name} {prefix}"
            if tried in self.probing.once:
                continue
            try:
                await self._try_ways_out(prefix)
            except ProbeError as error:
                if error.reason == "not_walled":
                    raise
                # The wall itself was seen; only this further look was not to be had.
                words = f"ways out of {showable(prefix)} not all tried: {error.detail}"
                self.facts.evidence.append(words)
            self.probing.once.add(tried)
        if self.leg.served_with:
            await self._check_served_with()
        # Neither served nor walled, or out of a cache: it need not have been the rule.
        sure = self._refused(last) and not replayed(last.headers, last.nonce)
        clears = None if sure else nearby(self.leg, last.marked)
        return Echo(sent=first.sent, ended=first.ended, clears=clears)

    async def _check_served_with(self) -> None:
        """With its credential the path must be served. Raises ProbeError, one that tells nothing:
        the credential may have run out, or what lies behind the wall be down."""
        shown = headers_of(self.leg)
        client = HttpClient(self.target, certified(self.leg, self.probing), Facts())
        try:
            answer = await self.ask(client, self.path, shown=shown)
        except ProbeError as error:
            error.detail = f"with a credential: {error.detail}"
            raise
        finally:
            await client.close()
        answer.check_busy()
        status, headers, sso = answer.status, answer.headers, self.probing.sso
        said = refused(self.leg, status, headers, answer.body, sso, answer.url)
        if said:
            raise answer.error("token_refused", f"refused without a session; {said}")
        if not self.served(answer):
            words = f"with a credential: HTTP {status}, and nothing is served"
            raise answer.error(http_reason(status), words)

    def ends_before(self, to: Url) -> bool:
        """A public path may serve what it likes."""
        heads = ("/" + one.strip("/") for one in self.leg.public_prefixes)
        return any(to.path == one or to.path.startswith(one + "/") for one in heads)

    def _refused(self, answer: HttpAnswer) -> bool:
        return self.wall(answer) is not None or answer.status == 403

    async def _judge(self, client: HttpClient, first: HttpAnswer) -> HttpAnswer:
        """The answer at the end of redirects within the origin. Raises ProbeError."""
        answer, wall, away = await self.follow(client, first)
        if wall is not None or away or answer.status == 403:
            return answer
        if answer.status >= 500:
            said = f"HTTP {answer.status} says nothing about the rule"
            raise answer.error(http_reason(answer.status), said)
        if self.served(answer):
            at = showable(answer.url.path if answer.url else self.path)
            said = f"{at} is served without a session: HTTP {answer.status}"
            raise answer.error("not_walled", said)
        return answer

    async def _try_ways_out(self, prefix: str) -> None:
        """None of the ways out of `prefix` may serve the walled path."""
        start = f"/{prefix.strip('/')}"
        ways = ways_out(prefix, self.path)
        ways["absolute form"] = self.origin + ways["dot segments"]
        client = HttpClient(self.target, self.probing, Facts())
        try:
            async with asyncio.timeout(self.probing.timing.watchdog):
                # What the prefix serves for any nonsense is its own, not the walled path's.
                own = [
                    await self._ask_kept(client, f"{start}/{secrets.token_hex(8)}")
                    for _ in range(2)
                ]
                own.append(await self._ask_kept(client, f"{start}/"))
                broken = next((one for one in own if one.status >= 500), None)
                if broken is not None:  # some of the time, perhaps: a page may then be its own
                    said = f"HTTP {broken.status} does not say what it serves itself"
                    raise broken.error(http_reason(broken.status), said)
                doubt: ProbeError | None = None
                for name, target in ways.items():
                    answer: HttpAnswer | None
                    try:
                        if target.startswith("/") and "?" not in target:
                            answer = await self._ask_kept(client, target)
                        else:
                            answer = await self._ask_raw(target)
                        if answer is not None:
                            self._judge_way(name, target, answer, own)
                    except ProbeError as error:
                        if error.reason == "not_walled":
                            raise
                        doubt = doubt or error
                        client.renew()
                if doubt is not None:
                    raise doubt
        except TimeoutError as error:
            raise ProbeError("rtt_timeout", "ask", "the watchdog ended it") from error
        finally:
            await client.close()

    def _judge_way(
        self, name: str, target: str, answer: HttpAnswer, own: Sequence[HttpAnswer]
    ) -> None:
        answer.check_busy()
        if self.wall(answer) is not None or not 200 <= answer.status < 300:
            return
        if answer.body.strip() and served_alike(target, answer, own):
            return
        if not self.served(answer):
            return
        said = f"{showable(target)} ({name}) leads past the wall: HTTP {answer.status}"
        raise answer.error("not_walled", said)

    async def _ask_raw(self, target: str) -> HttpAnswer | None:
        """A request by hand: no HTTP client sends an absolute form or a lone question mark.

        None when it was not answered.
        """
        secure, limit = self.origin.startswith("https:"), self.probing.timing.watchdog
        host = self.leg.host_header or urlsplit(self.origin).netloc
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(limit):
                reader, writer = await asyncio.open_connection(
                    self.target.address,
                    self.target.port,
                    ssl=self.probing.tls.context() if secure else None,
                    server_hostname=self.target.tls_name if secure else None,
                )
                fields = {"Host": host, "Connection": "close", **asking(new_nonce())}
                lines = [f"GET {target} HTTP/1.1", *(f"{key}: {fields[key]}" for key in fields)]
                request = "\r\n".join([*lines, "", ""])
                writer.write(request.encode("ascii", "replace"))
                return await _read_answer(reader, limit * BODY_SHARE)
        except TimeoutError as error:
            said = f"no answer to {showable(target, 60)} within {span(limit)}"
            raise ProbeError("rtt_timeout", "ask", said, conclusive=False) from error
        except (OSError, EOFError):
            return None  # refused, or broken off: not served
        finally:
            if writer is not None:
                writer.transport.abort()


async def _read_answer(stream: asyncio.StreamReader, patience: float) -> HttpAnswer | None:
    """What comes, as far as it can be read, its body for `patience` seconds; None when it is no
    answer. Raises ProbeError when it exceeds a limit of ours."""
    reader, clock = AnswerReader(), asyncio.get_running_loop()
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(None) as deadline:
            while not reader.over:
                data = await stream.read(65536)
                if not data:
                    reader.eof()
                    break
                reader.feed(data)
                if reader.status and deadline.when() is None:
                    deadline.reschedule(clock.time() + patience)
    if reader.beyond:
        raise beyond_us(reader)
    if not reader.status:
        return None
    answer = answer_of(reader)
    answer.unfinished = not (reader.whole or reader.enough)
    return answer


class Chain(NamedTuple):
    """Where a chain of redirects ends."""

    answer: HttpAnswer
    wall: str | None = None
    """How that answer is the SSO's, in words."""
    away: bool = False
    """It leads to where no answer is about this path: another origin that is not the SSO's, or,
    from a walled path, a public one."""


def _neither(answer: HttpAnswer, said: str) -> ProbeError:
    words = f"{said}: it proves neither that the path is public nor that it is walled"
    return answer.error(http_reason(answer.status), words, conclusive=False)


_WORDS = re.compile(rb"[A-Za-z0-9]+")


def served_alike(target: str, answer: HttpAnswer, own: Sequence[HttpAnswer]) -> bool:
    """Whether the answer for `target` is what a public prefix serves anyway, seen in `own`.

    `own` begins with two answers to nonsense: the words they share are the page, the rest (the
    path repeated, a nonce, a time) changes from answer to answer.
    """
    if any(answer.body == one.body and 200 <= one.status < 300 for one in own):
        return True
    if not all(200 <= one.status < 300 for one in own[:2]):
        return False
    first, second = ({*_WORDS.findall(one.body)} for one in own[:2])
    page, words = first & second, {*_WORDS.findall(answer.body)}
    changing = max(len(first - page), len(second - page))
    others = words - page - {*_WORDS.findall(target.encode())}
    return len(page & words) >= 0.9 * len(page) and len(others) <= 2 * changing


async def open_walloff(leg: Leg, target: Target, probing: Probing) -> Channel:
    """A line that checks that a public path is public."""
    return WalloffLine(leg, target, probing)


async def open_walled(leg: Leg, target: Target, probing: Probing) -> Channel:
    """A line that checks that a walled path is walled."""
    return WalledLine(leg, target, probing)


def ways_out(prefix: str, walled_path: str) -> dict[str, str]:
    """Name -> request target, each reaching `walled_path` from `prefix` if the rule leaks.

    `prefix` is such as `/probe`, `walled_path` begins with a slash. Targets in origin form;
    the absolute-form variant is made by the caller, which knows the host.
    """
    start, goal = "/" + prefix.strip("/"), "/" + walled_path.lstrip("/")
    rest = goal[1:]
    up = "/".join([".."] * (start.count("/")))
    encoded_up = up.replace("..", "%2e%2e")
    return {
        "dot segments": f"{start}/{up}{goal}",
        "encoded dots": f"{start}/{encoded_up}{goal}",
        "upper-case encoded dots": f"{start}/{encoded_up.upper()}{goal}",
        "half-encoded dots": f"{start}/{up.replace('..', '.%2e')}{goal}",
        "encoded slash after dots": f"{start}/{up}%2f{rest}",
        "encoded slash before dots": f"{start}%2f{up}{goal}",
        "all encoded": f"{start}%2f{encoded_up.replace('/', '%2f')}%2f{rest}",
        "doubly encoded dots": f"{start}/{encoded_up.replace('%', '%25')}{goal}",
        "doubled slashes": f"{start}//{up}//{rest}",
        "doubled slash in front": f"/{start}/{up}{goal}",
        "path parameter after dots": f"{start}/{up.replace('..', '..;')}{goal}",
        "path parameter with a value": f"{start}/{up.replace('..', '..;a=b')}{goal}",
        "path parameter after the prefix": f"{start};/{up}{goal}",
        "single dots": f"{start}/./{up}/.{goal}",
        "backslash": f"{start}/{up}%5c{rest}",
        "upper case": f"{start.upper()}/{up}{goal}",
        "trailing question mark": f"{start}/{up}{goal}?",
    }
