"""DNS over HTTPS (RFC 8484) in wire form: queries, answers, and the `resolver` leg."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from t3probe.config.endpoints import plain_host
from t3probe.config.types import Leg
from t3probe.probes.base import (
    Collapsed,
    Echo,
    Line,
    ProbeError,
    Probing,
    Target,
    busy,
    check_route,
    printable,
)
from t3probe.probes.http import HttpLine
from t3probe.probes.http_client import Answer, HttpClient

__all__ = ["ask_address", "open", "query_message", "read_message"]

_MEDIA_TYPE = "application/dns-message"


def query_message(name: str, record_type: str) -> bytes:
    """A query for `name` in wire form, its id 0 as RFC 8484 section 4.1 advises."""

    message = dns.message.make_query(name, record_type)
    message.id = 0
    return message.to_wire()


def read_message(body: bytes, name: str) -> list[str]:
    """The addresses in a wire-form answer to a question about `name`.

    Follows CNAMEs as the server lists them. Raises ProbeError (`resolver_failed`) for garbage,
    an error code, or an answer to another question.
    """

    try:
        message = dns.message.from_wire(body)
        asked = dns.name.from_text(name)
    except (dns.exception.DNSException, ValueError, IndexError) as error:
        raise ProbeError(
            "resolver_failed", "ask", "the DoH answer is no DNS message", answered=True
        ) from error
    rcode = message.rcode()
    if rcode != dns.rcode.NOERROR:
        code = dns.rcode.to_text(rcode)
        raise ProbeError("resolver_failed", "ask", f"DoH answered {code}", answered=True)
    if not message.question or message.question[0].name != asked:
        raise ProbeError("resolver_failed", "ask", "DoH answered another question", answered=True)
    found: list[str] = []
    for rrset in message.answer:
        inside = rrset.rdclass == dns.rdataclass.IN
        if inside and rrset.rdtype in {dns.rdatatype.A, dns.rdatatype.AAAA}:
            found += [str(ipaddress.ip_address(item.address)) for item in rrset]
    return found


async def ask_address(
    client: HttpClient,
    url: str,
    name: str,
    limit: float,
    seen: Callable[[Answer], None] = lambda answer: None,
) -> tuple[list[str], Answer]:
    """One A and one AAAA query on `client`; the addresses, IPv4 first, and the A answer.

    A provider may close after each answer. `seen` looks at every answer first. Raises ProbeError
    when it fails, or knows no address.
    """
    answer = await _ask_one(client, url, name, "A", limit, seen)
    found = read_message(answer.body, name)
    try:
        second = await _ask_one(client, url, name, "AAAA", limit, seen)
    except ProbeError:
        if not client.closed_by_peer:
            raise
        second = await _ask_one(client, url, name, "AAAA", limit, seen)
    found += read_message(second.body, name)
    if not found:
        raise ProbeError("resolver_failed", "ask", f"DoH knows no address of {name}", answered=True)
    return found, answer


async def _ask_one(
    client: HttpClient,
    url: str,
    name: str,
    record_type: str,
    limit: float,
    seen: Callable[[Answer], None],
) -> Answer:
    if client.closed_by_peer:
        client.renew()
    answer = await client.ask(
        "POST",
        url,
        limit=limit,
        headers={"Content-Type": _MEDIA_TYPE, "Accept": _MEDIA_TYPE},
        data=query_message(name, record_type),
    )
    seen(answer)
    media_type = str(answer.headers.get("content-type", "")).partition(";")[0].strip().lower()
    if answer.status == 200 and media_type == _MEDIA_TYPE:
        return answer
    what = f"HTTP {answer.status}" if answer.status != 200 else printable(media_type or "no type")
    tells = not busy(answer.status, answer.headers)
    raise answer.error("resolver_failed", f"DoH answered {what}", tells=tells)


class DohLine(HttpLine):
    """Queries on one kept-alive connection; a beat is the A query's round trip."""

    def __init__(self, leg: Leg, target: Target, probing: Probing, url: str) -> None:
        super().__init__(leg, target, probing)
        self._url = url

    def _look_at(self, answer: Answer) -> None:
        marks = self.probing.marks
        answer.marked = check_route(self.leg, answer.headers, self.facts, marks, answer.nonce)

    async def beat(self) -> Echo:
        if self.lost is not None:
            raise self.lost
        try:
            found, answer = await ask_address(
                self.client,
                self._url,
                self.leg.query or "",
                self.probing.timing.watchdog,
                self._look_at,
            )
        finally:
            # A second query on a new connection: the next beat is on another one than this.
            self.left_politely = self.client.closed_by_peer or self.client.renewed
        inside = self.probing.internal_addresses.intersection(map(plain_host, found))
        if inside:
            raise Collapsed(
                f"public DNS answers {min(inside)}, which is an internal address: this is not "
                "the public resolver's own answer"
            )
        return Echo(
            sent=answer.sent,
            ended=answer.ended,
            first_byte_seconds=round(max(0.0, answer.first_byte - answer.sent), 6),
        )


async def open(leg: Leg, target: Target, probing: Probing) -> Line:
    """A kept-alive line to the provider whose address `target` is."""
    from urllib.parse import urlsplit

    for url in leg.doh:
        parts = urlsplit(url)
        if parts.hostname == target.host and (parts.port or 443) == target.port:
            return DohLine(leg, target, probing, url)
    raise LookupError(f"{target} is no provider of leg {leg.name}")
