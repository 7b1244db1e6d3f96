"""DNS over HTTPS (RFC 8484) in wire form: queries, answers, and the `resolver` leg."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from t3probe.config.dialled import of_a_machine
from t3probe.config.endpoints import plain_host
from t3probe.config.types import Leg
from t3probe.exchange.bounds import DNS_MESSAGE_BYTES
from t3probe.probes.base import Channel, Probing, check_route
from t3probe.probes.dates import note_date
from t3probe.probes.facts import Collapsed, Echo, ProbeError, Target, busy
from t3probe.probes.http import HttpLine
from t3probe.probes.http_client import HttpAnswer, HttpClient
from t3probe.probes.tcpinfo import claim
from t3probe.probes.tls import refusal
from t3probe.text import showable
from t3probe.text.words import size

ANSWERED = "DoH answered "
"""How the sentence about a provider's bad answer begins."""
_MEDIA_TYPE = "application/dns-message"
_MOST_REASONS = 3
_CUT = frozenset(
    {
        *("connect_refused", "connect_timeout", "connect_failed", "tls_failed"),
        *("connection_reset", "closed_by_peer", "io_error"),
    }
)
"""Failures of a connection, and not of what was asked on it."""


class NoAddress(ProbeError):
    """A provider's good answer that there is no address: it speaks about the name, and says neither
    yes nor no about the provider."""

    def __init__(self, name: str, words: str) -> None:
        detail = f"DoH knows no address of {name}: {words}"
        super().__init__("resolver_failed", "ask", detail, answered=True, conclusive=False)
        self.words = words


class DohAnswer(NamedTuple):
    """What one provider knows about a name."""

    addresses: list[str]
    """IPv4 first; at least one."""
    answer: HttpAnswer
    """One that brought addresses."""
    failed: ProbeError | None
    """Why the question for the other family has no answer; None: it has one."""
    note: str
    """The same as a sentence; empty when there is nothing to say."""


class _Half(NamedTuple):
    """The answer to one of the two questions."""

    record_type: str
    addresses: list[str]
    answer: HttpAnswer | None
    error: ProbeError | None


def query_message(name: str, record_type: str) -> bytes:
    """A query for `name` in wire form, its id 0 as RFC 8484 section 4.1 advises.

    EDNS is there because without it no server may say why there is no answer (RFC 8914).
    """
    message = dns.message.make_query(name, record_type, use_edns=0, payload=DNS_MESSAGE_BYTES)
    message.id = 0
    return message.to_wire()


def read_message(body: bytes, name: str, record_type: str = "A") -> list[str]:
    """The addresses in a wire-form answer to this question; none when there is no such record.

    Only what the name's own chain of aliases leads to counts, in whatever order it stands. Raises
    NoAddress when there is no such name, or its aliases never end; ProbeError (`resolver_failed`)
    for garbage, an error code, or an answer to another question.
    """
    if len(body) > DNS_MESSAGE_BYTES:
        most = size(DNS_MESSAGE_BYTES)
        raise _wrong(
            f"with a message of more than {most}, and t3probe reads no more", conclusive=False
        )
    try:
        message = dns.message.from_wire(body)
        asked = dns.name.from_text(name)
    except (dns.exception.DNSException, ValueError, IndexError) as error:
        raise _wrong("with what is no DNS message") from error
    if not message.flags & dns.flags.QR:
        raise _wrong("with a question")
    if message.id:
        raise _wrong(f"with the id {message.id}, which is not that of our question")
    kind = dns.rdatatype.from_text(record_type)
    question = [(one.name, one.rdtype, one.rdclass) for one in message.question]
    rcode, words = message.rcode(), _code(message)
    # A server that could not read the question may not repeat it.
    if question != [(asked, kind, dns.rdataclass.IN)] and (question or not rcode):
        raise _wrong("another question")
    if rcode == dns.rcode.NXDOMAIN:
        raise NoAddress(name, words)
    if rcode != dns.rcode.NOERROR:
        raise _wrong(words)
    found = [
        str(ipaddress.ip_address(item.address))
        for rrset in _on_the_chain(message, asked, name)
        if rrset.rdtype == kind
        for item in rrset
    ]
    if not found and message.flags & dns.flags.TC:
        raise _wrong("with a truncated message, which has no address")
    return found


def _wrong(words: str, *, conclusive: bool = True) -> ProbeError:
    return ProbeError(
        "resolver_failed", "ask", f"{ANSWERED}{words}", answered=True, conclusive=conclusive
    )


def _code(message: dns.message.Message) -> str:
    """The answer's code, with what the server adds to it (RFC 8914)."""
    words = dns.rcode.to_text(message.rcode())
    more = [showable(one) for one in message.options if isinstance(one, dns.edns.EDEOption)]
    return f"{words} ({'; '.join(more[:_MOST_REASONS])})" if more else words


def _on_the_chain(
    message: dns.message.Message, asked: dns.name.Name, name: str
) -> Iterator[dns.rrset.RRset]:
    """The answer's records whose owner is the name itself, or what its aliases lead to."""
    inside = [one for one in message.answer if one.rdclass == dns.rdataclass.IN]
    owned: dict[dns.name.Name, list[dns.rrset.RRset]] = {}
    for one in inside:
        owned.setdefault(one.name, []).append(one)
    owner, seen = asked, set[dns.name.Name]()
    while owner not in seen:
        seen.add(owner)
        yield from owned.get(owner, ())
        following = _alias(owned, owner)
        if following is None:
            return
        owner = following
    raise NoAddress(name, "its aliases (CNAME) lead back to themselves")


def _alias(
    owned: Mapping[dns.name.Name, list[dns.rrset.RRset]], owner: dns.name.Name
) -> dns.name.Name | None:
    """What `owner` is an alias of, by a CNAME of its own or a DNAME above it."""
    for one in owned.get(owner, ()):
        if one.rdtype == dns.rdatatype.CNAME:
            target: dns.name.Name = one[0].target
            return target
    above = owner
    while above != dns.name.root:
        above = above.parent()
        for one in owned.get(above, ()):
            if one.rdtype == dns.rdatatype.DNAME:
                try:
                    return owner.relativize(above).concatenate(one[0].target)
                except dns.name.NameTooLong:
                    return None
    return None


async def ask_address(
    client: HttpClient,
    url: str,
    name: str,
    limit: float,
    seen: Callable[[HttpAnswer], None] = lambda answer: None,
    both: bool = False,
) -> DohAnswer:
    """One A and one AAAA query on `client`: one of them that brings addresses is enough.

    `both`: each is waited for as long as `limit`, for both were answered before. A provider may
    close after each answer. `seen` looks at every answer first. Raises NoAddress when the provider
    says that there is none, ProbeError when it fails.
    """
    # Silence on a connection that worked is that connection's: a new one must not hide it.
    held = client.used
    first = await _half(client, url, name, "A", limit, seen)
    if first.error is not None and not first.error.answered:
        if held or first.error.reason != "rtt_timeout":
            raise first.error
        client.renew()
    unneeded = bool(first.addresses) and not both
    if unneeded or (first.error is not None and not first.error.answered):
        limit = min(limit, max(client.probing.timing.connect_timeout, 1.0))
    second = await _half(client, url, name, "AAAA", limit, seen)
    good = first if first.addresses else second
    if not good.addresses:
        raise _neither(first, second, name)
    assert good.answer is not None
    other = second if good is first else first
    failed = other.error
    note = f"the question for {other.record_type}: {failed.detail}" if failed is not None else ""
    return DohAnswer(first.addresses + second.addresses, good.answer, failed, note)


def _neither(first: _Half, second: _Half, name: str) -> ProbeError:
    """The failure of a provider that gave no address."""
    for one in (first.error, second.error):
        if isinstance(one, NoAddress):
            return one  # no name has no record of any kind
    if first.error is None and second.error is None:
        return NoAddress(name, "no A and no AAAA record")
    if first.error is not None and second.error is not None:
        if first.error.detail != second.error.detail:
            first.error.detail = f"A: {first.error.detail}; AAAA: {second.error.detail}"
        first.error.conclusive = first.error.conclusive and second.error.conclusive
        return first.error
    good, bad = (first, second) if first.error is None else (second, first)
    assert bad.error is not None
    if bad.error.answered:
        # It answers; whether there is an address it does not say.
        bad.error.conclusive = False
        bad.error.detail = (
            f"no {good.record_type} record; the question for {bad.record_type}: {bad.error.detail}"
        )
    return bad.error


async def _half(
    client: HttpClient,
    url: str,
    name: str,
    record_type: str,
    limit: float,
    seen: Callable[[HttpAnswer], None],
) -> _Half:
    """One question and what came of it. One that crosses the peer's polite close is repeated."""
    answer = None
    try:
        try:
            answer = await _ask_one(client, url, name, record_type, limit, seen)
        except ProbeError as error:
            if error.answered or record_type == "A" or not client.closed_by_peer:
                raise
            answer = await _ask_one(client, url, name, record_type, limit, seen)
        return _Half(record_type, read_message(answer.body, name, record_type), answer, None)
    except ProbeError as error:
        return _Half(record_type, [], answer, error)


async def _ask_one(
    client: HttpClient,
    url: str,
    name: str,
    record_type: str,
    limit: float,
    seen: Callable[[HttpAnswer], None],
) -> HttpAnswer:
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
    foreign = refusal(answer.status, answer.body)
    if foreign is not None:
        words = f"HTTP {answer.status}: {client.target.host} {foreign.words}"
        raise answer.error("resolver_failed", words, conclusive=foreign.conclusive)
    what = f"HTTP {answer.status}" if answer.status != 200 else showable(media_type or "no type")
    conclusive = not busy(answer.status, answer.headers)
    raise answer.error("resolver_failed", f"{ANSWERED}{what}", conclusive=conclusive)


class DohLine(HttpLine):
    """Queries on one kept-alive connection; a beat is the A query's round trip."""

    def __init__(self, leg: Leg, target: Target, probing: Probing, url: str) -> None:
        super().__init__(leg, target, probing)
        self._url = url
        self._answers_both = False
        """This connection has answered the question for AAAA, too: silence is not its habit."""

    def _look_at(self, answer: HttpAnswer) -> None:
        marks = self.probing.marks
        answer.marked = check_route(self.leg, answer.headers, self.facts, marks, answer.nonce)
        note_date(self.facts, answer.headers, answer.nonce, answer.sent, answer.ended)

    async def beat(self) -> Echo:
        if self.lost is not None:
            raise self.lost
        before = self.tcp() if self.client.used else None
        try:
            told = await ask_address(
                self.client,
                self._url,
                self.leg.query or "",
                self.probing.timing.watchdog,
                self._look_at,
                self._answers_both,
            )
        finally:
            # A second query on a new connection: the next beat is on another one than this.
            self.left_politely = self.client.closed_by_peer or self.client.renewed
        failed, answer = told.failed, told.answer
        if failed is not None:
            silent = failed.reason == "rtt_timeout"
            lost = self._answers_both or claim(failed.tcp, before).kind == "lost"
            if failed.reason in _CUT or (silent and lost):
                raise failed
            self.facts.evidence = [told.note]
            # A connection on which something went unanswered is not asked again.
            self.left_politely = self.left_politely or not failed.answered
        else:
            self._answers_both = True
        inside = self.probing.internal_addresses.intersection(map(plain_host, told.addresses))
        if inside:
            raise Collapsed(
                f"public DNS answers {min(inside)}, which is an internal address: this is not "
                "the public resolver's own answer"
            )
        if not any(of_a_machine(one, [self.target.address]) for one in told.addresses):
            said = f"with {told.addresses[0]}, which is no machine's: so filters say no"
            raise _wrong(said, conclusive=False)
        return Echo(
            sent=answer.sent,
            ended=answer.ended,
            first_byte_seconds=round(max(0.0, answer.first_byte - answer.sent), 6),
        )


async def open(leg: Leg, target: Target, probing: Probing) -> Channel:
    """A kept-alive line to the provider whose address `target` is."""
    from urllib.parse import urlsplit

    for url in leg.doh:
        parts = urlsplit(url)
        if parts.hostname == target.host and (parts.port or 443) == target.port:
            return DohLine(leg, target, probing, url)
    raise LookupError(f"{target} is no provider of leg {leg.name}")
