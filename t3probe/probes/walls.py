"""The wall-off checks, both ways round.

`walloff`: a public path must not be sent to the SSO. `walled`: a protected path must never be
served without a session, not by one of the ways out of a public prefix either. What says
nothing about the rule (5xx, no answer) is told apart from yes and no.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from t3probe.config.types import Leg
from t3probe.probes.base import (
    Echo,
    Facts,
    Line,
    ProbeError,
    Probing,
    Target,
    check_route,
    http_reason,
    printable,
)
from t3probe.probes.escapes import ways_out
from t3probe.probes.http_client import Answer, HttpClient
from t3probe.probes.marks import asked_apart, asking, nearby, new_nonce, replayed
from t3probe.probes.sso import BODY_BYTES, sso_answer

__all__ = ["open_walled", "open_walloff"]

_MAX_REDIRECTS = 5
_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
}


class WallLine(Line):
    """One-shot: every beat asks anew, on a connection of its own."""

    def __init__(self, leg: Leg, target: Target, probing: Probing) -> None:
        super().__init__(target, probing)
        self.leg = leg
        parts = urlsplit(leg.url or "")
        # Without user and password, if the URL has them: nobody is to be let in by them here.
        self.origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self.path = parts.path or "/"

    async def ask(
        self, client: HttpClient, target: str, upgrade: bool = False, apart: bool = False
    ) -> Answer:
        """One request for a target in origin form, without cookies, from the leg's own route;
        `apart`: with a query of its own."""
        nonce = new_nonce()
        url = self.origin + target
        headers = {"Host": self.leg.host_header} if self.leg.host_header else {}
        if upgrade:
            headers |= {**_UPGRADE, "Sec-WebSocket-Key": secrets.token_urlsafe(12) + "AAAAAA=="}
        answer = await client.ask(
            "GET",
            asked_apart(url, nonce) if apart else url,
            limit=self.probing.timing.watchdog,
            headers=headers,
            nonce=nonce,
        )
        marks = self.probing.marks
        answer.marked = check_route(self.leg, answer.headers, self.facts, marks, nonce)
        answer.behind = marks.behind(self.leg, marks.counting(answer.headers, nonce))
        return answer

    def wall(self, answer: Answer) -> str | None:
        """How this answer is the SSO's, in words; None when it is not."""
        return sso_answer(answer.status, answer.headers, answer.body, self.probing.sso)

    async def beat(self) -> Echo:
        try:
            return await self.look()
        except ProbeError as error:
            if error.reason not in {"walled_off", "not_walled"} and not self.expected(error):
                error.tells = False
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
        finally:
            await client.close()
        self._judge(plain, "", self.leg.expect_status)
        client = HttpClient(self.target, self.probing, Facts())
        try:
            upgraded = await self.ask(client, self.path, upgrade=True, apart=self._apart)
            self._judge(upgraded, "the WebSocket upgrade: ")
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
            clears=None if self._sure(plain) else nearby(self.leg, plain.marked),
        )

    def expected(self, error: ProbeError) -> bool:
        return bool(self.leg.expect_status) and error.status is not None and error.tells

    def _sure(self, answer: Answer) -> bool:
        """Whether it came past the rule. What nobody expects may be anybody's: a CDN refuses and
        redirects, too; and what a cache kept is the cache's."""
        if replayed(answer.headers, answer.nonce):
            return False
        return 200 <= answer.status < 300 or bool(self.leg.expect_status)

    def _judge(self, answer: Answer, what: str, expect: Sequence[int] = ()) -> None:
        if answer.status in expect:
            return
        answer.check_busy()
        wall = self.wall(answer)
        if wall is not None and answer.behind:
            said = f"{what}{wall}, from behind the rule: it says nothing about that"
            raise answer.error(http_reason(answer.status), said)
        if wall is not None:
            raise answer.error("walled_off", what + wall)
        if expect:
            raise answer.error(http_reason(answer.status), f"HTTP {answer.status}")
        if answer.status >= 500:
            said = f"{what}HTTP {answer.status} says nothing about the rule"
            raise answer.error(http_reason(answer.status), said)


class WalledLine(WallLine):
    """A protected path: the SSO, a refusal, or at least nothing served."""

    async def look(self) -> Echo:
        client = HttpClient(self.target, self.probing, self.facts)
        try:
            first, last = await self._follow(client)
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
                words = f"ways out of {printable(prefix)} not all tried: {error.detail}"
                self.facts.evidence.append(words)
            self.probing.once.add(tried)
        # Neither served nor walled, or out of a cache: it need not have been the rule.
        sure = self._refused(last) and not replayed(last.headers, last.nonce)
        clears = None if sure else nearby(self.leg, last.marked)
        return Echo(sent=first.sent, ended=first.ended, clears=clears)

    def _refused(self, answer: Answer) -> bool:
        return self.wall(answer) is not None or answer.status == 403

    async def _follow(self, client: HttpClient) -> tuple[Answer, Answer]:
        """The first answer, and that at the end of redirects within the host."""
        path, first = self.path, None
        for _ in range(_MAX_REDIRECTS):
            answer = await self.ask(client, path)
            first = first or answer
            answer.check_busy()
            if self._refused(answer):
                return first, answer
            if answer.status >= 500:
                said = f"HTTP {answer.status} says nothing about the rule"
                raise answer.error(http_reason(answer.status), said)
            onward = self._onward(answer)
            if onward is None:
                if 200 <= answer.status < 300 and answer.body.strip():
                    said = f"{printable(path)} is served without a session: HTTP {answer.status}"
                    raise answer.error("not_walled", said)
                return first, answer
            path = onward
        assert first is not None
        return first, answer

    def _onward(self, answer: Answer) -> str | None:
        """The path of a redirect within the same host, such as `/` to `/app`."""
        location = str(answer.headers.get("location", ""))
        if not 300 <= answer.status < 400 or not location:
            return None
        parts = urlsplit(location)
        if parts.netloc and parts.netloc != urlsplit(self.origin).netloc:
            return None
        path = parts.path or "/"
        return path if path.startswith("/") and path != self.path else None

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
                for name, target in ways.items():
                    answer: Answer | None
                    if target.startswith("/") and "?" not in target:
                        answer = await self._ask_kept(client, target)
                    else:
                        answer = await self._ask_raw(target)
                    if answer is not None:
                        self._judge_way(name, target, answer, own)
        except TimeoutError as error:
            raise ProbeError("rtt_timeout", "ask", "the watchdog ended it") from error
        finally:
            await client.close()

    async def _ask_kept(self, client: HttpClient, target: str) -> Answer:
        if client.closed_by_peer:
            client.renew()
        try:
            return await self.ask(client, target)
        except ProbeError:
            if not client.closed_by_peer:
                raise
            client.renew()
            return await self.ask(client, target)

    def _judge_way(self, name: str, target: str, answer: Answer, own: Sequence[Answer]) -> None:
        answer.check_busy()
        if self.wall(answer) is not None or not 200 <= answer.status < 300:
            return
        if not answer.body.strip() or served_alike(target, answer, own):
            return
        said = f"{printable(target)} ({name}) leads past the wall: HTTP {answer.status}"
        raise answer.error("not_walled", said)

    async def _ask_raw(self, target: str) -> Answer | None:
        """A request by hand: no HTTP client sends an absolute form or a lone question mark.

        None when it was not answered.
        """
        secure = self.origin.startswith("https:")
        host = self.leg.host_header or urlsplit(self.origin).netloc
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(self.probing.timing.watchdog):
                reader, writer = await asyncio.open_connection(
                    self.target.address,
                    self.target.port,
                    ssl=self.probing.tls.context() if secure else None,
                    server_hostname=self.target.host if secure else None,
                    limit=BODY_BYTES,
                )
                fields = {"Host": host, "Connection": "close", **asking(new_nonce())}
                lines = [f"GET {target} HTTP/1.1", *(f"{key}: {fields[key]}" for key in fields)]
                request = "\r\n".join([*lines, "", ""])
                writer.write(request.encode("ascii", "replace"))
                head = _parse(await reader.readuntil(b"\r\n\r\n"))
                if head is not None:
                    head.body = await _read_body(reader, head.headers)
                return head
        except (OSError, TimeoutError, EOFError, asyncio.LimitOverrunError):
            return None  # refused, or broken off: not served
        finally:
            if writer is not None:
                writer.transport.abort()


def _parse(head: bytes) -> Answer | None:
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        return None
    pairs = (line.partition(":") for line in lines[1:] if ":" in line)
    return Answer(int(words[1]), {k.strip().lower(): v.strip() for k, _, v in pairs}, b"")


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """The body to its end, at most `BODY_BYTES` of it; what a reset leaves of it."""
    chunked = "chunked" in headers.get("transfer-encoding", "").lower()
    length = headers.get("content-length", "")
    most = BODY_BYTES if chunked or not length.isdecimal() else min(BODY_BYTES, int(length[:9]))
    body = bytearray()
    try:
        # The request said close, but not every server then does.
        while len(body) < most and not (chunked and body.endswith(b"0\r\n\r\n")):
            more = await reader.read(most - len(body))
            if not more:
                break
            body += more
    except ConnectionError:
        pass
    return _unchunked(bytes(body)) if chunked else bytes(body)


def _unchunked(body: bytes) -> bytes:
    """A chunked body (RFC 9112 section 7.1) made whole, as far as it can be read."""
    whole = bytearray()
    while body:
        size, _, body = body.partition(b"\r\n")
        try:
            length = int(size.partition(b";")[0], 16)
        except ValueError:
            break
        if length <= 0:
            break
        whole += body[:length]
        body = body[length + 2 :]
    return bytes(whole)


_WORDS = re.compile(rb"[A-Za-z0-9]+")


def served_alike(target: str, answer: Answer, own: Sequence[Answer]) -> bool:
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


async def open_walloff(leg: Leg, target: Target, probing: Probing) -> Line:
    """A line that checks that a public path is public."""
    return WalloffLine(leg, target, probing)


async def open_walled(leg: Leg, target: Target, probing: Probing) -> Line:
    """A line that checks that a walled path is walled."""
    return WalledLine(leg, target, probing)
