"""A DNS-over-HTTPS provider (RFC 8484): GET and POST, one name, and ways to answer wrongly."""

from __future__ import annotations

import base64
import binascii
import socket
import ssl

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from t3probe.lab.answers import wrong_answer
from t3probe.lab.board import Board
from t3probe.lab.http import Client, Head, HttpApp
from t3probe.lab.streams import FaultRule, Keeper

DNS_PATH = "/dns-query"
DNS_MESSAGE = "application/dns-message"
TTL_SECONDS = 30
_GARBAGE = b"\x00this is no DNS message\xff"


class Provider(HttpApp):
    """Answers A and AAAA for one name; NXDOMAIN for every other."""

    def __init__(
        self,
        board: Board,
        keeper: Keeper,
        listener: socket.socket,
        tls: ssl.SSLContext,
        number: int,
        name: str,
        public: dict[str, str],
        internal: dict[str, str],
    ) -> None:
        """`public` and `internal`: addresses of `name` by record type, A and AAAA."""
        super().__init__(keeper, listener, tls)
        self._board = board
        self._number = number
        self._name = f"{name}."
        self._public = public
        self._internal = internal
        self._rule = FaultRule(board, silent=("doh",), provider=number)

    async def answer(self, client: Client, head: Head) -> bool:
        await self._board.while_blocked(self._rule.held_back)
        path, _, query = head.target.partition("?")
        if path != DNS_PATH:
            return await self.respond(client, head, 404, b"Not Found\n")
        if head.method == "POST":
            if head.get("content-type").partition(";")[0].strip().lower() != DNS_MESSAGE:
                return await self.respond(client, head, 415, b"expected a DNS message\n")
            wire = await client.body(head)
        elif head.method == "GET":
            values = [one[4:] for one in query.split("&") if one.startswith("dns=")]
            wire = _decoded(values[0]) if values else b""
        else:
            return await self.respond(client, head, 405, b"Method Not Allowed\n")
        wrong = wrong_answer(self._board, "doh", head.target, client.accepted_at, self._number)
        if wrong:
            return await self.respond(client, head, wrong.status, wrong.body, wrong.fields)
        try:
            asked = dns.message.from_wire(wire)
        except (dns.exception.DNSException, ValueError):
            return await self.respond(client, head, 400, b"no DNS message\n")
        fields = [("cache-control", f"max-age={TTL_SECONDS}")]
        message = _GARBAGE if self._fault("garbage") else self._reply(asked).to_wire()
        return await self.respond(client, head, 200, message, fields, DNS_MESSAGE)

    def _fault(self, kind: str) -> bool:
        return self._board.find("doh", kind, self._number) is not None

    def _reply(self, asked: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(asked, recursion_available=True)
        if self._fault("servfail"):
            reply.set_rcode(dns.rcode.SERVFAIL)
            return reply
        question = asked.question[0] if asked.question else None
        known = question is not None and question.name.to_text().lower() == self._name
        if question is None or not known or self._fault("nxdomain"):
            reply.set_rcode(dns.rcode.NXDOMAIN)
            return reply
        table = self._internal if self._fault("internal") else self._public
        kind = dns.rdatatype.to_text(question.rdtype)
        if kind in table and not self._fault("empty"):
            reply.answer.append(
                dns.rrset.from_text(question.name, TTL_SECONDS, "IN", kind, table[kind])
            )
        return reply


def _decoded(text: str) -> bytes:
    """Base64url without padding (RFC 8484 section 4.1); empty when it is none."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
