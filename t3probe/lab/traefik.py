"""The load balancer: TLS, host routing, the forward-auth wall and the carve-out past it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence

from t3probe.lab import answers
from t3probe.lab.answers import to_the_sso, wrong_answer
from t3probe.lab.board import Board
from t3probe.lab.faults import Fault
from t3probe.lab.http import MAX_HEAD_BYTES, Client, Head, Hop, HttpApp, forward
from t3probe.lab.streams import FaultRule, Keeper, Stream

LOGIN_MARKER = "Lab sign-on: who are you?"
"""Text that only the lab's login page has."""
SESSION_COOKIE = "lab_session=valid"
"""The cookie of somebody who has signed on."""

_LOGIN_PAGE = f"""<!doctype html><title>Sign on</title>
<h1>{LOGIN_MARKER}</h1><form method="post"><input name="user"><input type="password"></form>
""".encode()
_CHALLENGE_PAGE = b"""<!doctype html><title>Just a moment...</title>
<p>Checking that you are not a robot.</p>
"""
_HTML = "text/html; charset=utf-8"
_NOT_PAST = ("sso", "login", "challenge", "unauthorized")
"""What the carve-out's faults have the wall do."""


class Traefik(HttpApp):
    """Routes by host and path. Connections that the carve-out routed are known apart, so that
    its faults befall nothing else."""

    def __init__(
        self,
        board: Board,
        keeper: Keeper,
        listener: socket.socket,
        tls: ssl.SSLContext,
        host: str,
        dispatch: tuple[str, int],
        serve: tuple[str, int],
    ) -> None:
        super().__init__(keeper, listener, tls)
        self._board = board
        self._host = host
        self._own = FaultRule(board, silent=("traefik",))
        segments = ("traefik", "carve-out")
        self._public = Hop(
            "dispatch",
            lambda: self._dial(dispatch),
            FaultRule(board, silent=segments, slow=("carve-out",)),
        )
        self._walled = Hop("serve", lambda: self._dial(serve), self._own)
        self._carved: set[Client] = set()
        board.watch(self._changed)

    def done(self, client: Client, task: asyncio.Task[None]) -> None:
        self._carved.discard(client)
        super().done(client, task)

    def _changed(self, begun: Sequence[Fault]) -> None:
        for fault in begun:
            if fault.segment == "carve-out" and fault.kind in ("cut", "reset"):
                for client in list(self._carved):
                    client.end("reset")
        fault_now = self._board.find("carve-out", "close")
        for client in self._carved:
            if fault_now:
                client.close_at_age(fault_now.delay or 0.0)
            else:
                client.keep_open()

    async def answer(self, client: Client, head: Head) -> bool:
        if wrong := wrong_answer(self._board, "traefik", head.target, client.accepted_at):
            return await self.respond_wrongly(client, head, wrong)
        if answers.authority(head.target, head.get("host")) != self._host:
            await self._board.while_blocked(self._own.held_back)
            return await self.respond(client, head, 404, b"404 page not found\n")
        if answers.route(head.target) == "carve-out":
            return await self._past_the_wall(client, head)
        return await self._at_the_wall(client, head)

    async def _past_the_wall(self, client: Client, head: Head) -> bool:
        """The carve-out: no session is asked for, unless a fault has it otherwise."""
        if self._board.find("carve-out", "reset"):
            client.end("reset")
            return False
        self._carved.add(client)
        if fault := self._board.find("carve-out", "close"):
            client.close_at_age(fault.delay or 0.0)
        wrong = wrong_answer(self._board, "carve-out", head.target, client.accepted_at)
        if wrong or any(self._board.find("carve-out", kind) for kind in _NOT_PAST):
            await self._board.while_blocked(self._public.rule.held_back)
            if wrong:
                return await self.respond_wrongly(client, head, wrong)
            return await self._misrouted(client, head)
        return await forward(self, client, head, self._public, _rewritten(head))

    async def _misrouted(self, client: Client, head: Head) -> bool:
        find = self._board.find
        if find("carve-out", "sso"):
            return await self.respond_wrongly(client, head, to_the_sso(head.target))
        if find("carve-out", "login"):
            return await self.respond(client, head, 200, _LOGIN_PAGE, content_type=_HTML)
        if find("carve-out", "challenge"):
            fields = [("www-authenticate", 'Basic realm="lab"')]
            return await self.respond(client, head, 401, _CHALLENGE_PAGE, fields, _HTML)
        return await self.respond(client, head, 401, b"Unauthorized\n")

    async def _at_the_wall(self, client: Client, head: Head) -> bool:
        """The wall: without a session everything is sent to the single sign-on."""
        find = self._board.find
        if wrong := wrong_answer(self._board, "wall", head.target, client.accepted_at):
            return await self.respond_wrongly(client, head, wrong)
        cookies = [one.strip() for one in head.get("cookie").split(";")]
        too_wide = find("wall", "too-wide") and answers.slips_through(head.target)
        if SESSION_COOKIE in cookies or find("wall", "open") or too_wide:
            return await forward(self, client, head, self._walled, _rewritten(head))
        await self._board.while_blocked(self._own.held_back)
        return await self.respond_wrongly(client, head, to_the_sso(head.target))

    async def _dial(self, address: tuple[str, int]) -> Stream:
        return self.keeper.keep(await asyncio.open_connection(*address, limit=MAX_HEAD_BYTES))


def _rewritten(head: Head) -> bytes:
    """The head with an absolute-form target in origin form, as backends expect it."""
    target = answers.origin_form(head.target)
    if target == head.target:
        return head.raw
    line, end, rest = head.raw.partition(b"\r\n")
    version = line.rpartition(b" ")[2]
    return (
        b" ".join([head.method.encode("latin-1"), target.encode("latin-1"), version]) + end + rest
    )
