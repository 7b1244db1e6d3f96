"""From names to addresses: DoH in wire form, its failures, and who asks how often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st
from probes.fixtures import Authority
from probes.servers import (
    HOST,
    Server,
    deployment,
    echo,
    header_of,
    one_is_held,
    probe,
    probe_all,
    response,
    serve,
    silent,
    ws_leg,
)

from t3probe.config.types import Leg
from t3probe.probes.doh import query_message, read_message
from t3probe.probes.facts import ProbeError
from t3probe.probes.resolve import MAX_ADDRESSES, split_address
from t3probe.run.engine import internal_addresses

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
MEDIA = ("Content-Type", "application/dns-message")
Reply = Callable[[dns.message.Message], bytes]


def records(*addresses: str, alias: str = "") -> Reply:
    """A reply with these addresses, behind a CNAME if `alias` is given."""

    def reply(query: dns.message.Message) -> bytes:
        answer = dns.message.make_response(query)
        question = query.question[0]
        owner = question.name
        if alias:
            answer.answer.append(dns.rrset.from_text(owner, 60, "IN", "CNAME", alias))
            owner = dns.name.from_text(alias)
        kind = dns.rdatatype.to_text(question.rdtype)
        mine = [one for one in addresses if (":" in one) == (kind == "AAAA")]
        if mine:
            answer.answer.append(dns.rrset.from_text(owner, 60, "IN", kind, *mine))
        return answer.to_wire(max_size=65535)

    return reply


def code(name: str) -> Reply:
    def reply(query: dns.message.Message) -> bytes:
        answer = dns.message.make_response(query)
        answer.set_rcode(dns.rcode.from_text(name))
        return answer.to_wire()

    return reply


def another_question(query: dns.message.Message) -> bytes:
    other = dns.message.make_query("other.example", query.question[0].rdtype)
    other.id = 0
    return records("127.0.0.1")(other)


def garbage(query: dns.message.Message) -> bytes:
    return b"\xff\x00garbage"


class Provider(Server):
    """A DoH provider; `asked` holds (name, type) of every query."""

    asked: list[tuple[str, str]]
    heads: list[bytes]


@asynccontextmanager
async def provider(
    authority: Authority,
    reply: Reply,
    *,
    status: str = "200 OK",
    media: tuple[str, str] = MEDIA,
    closes: bool = False,
) -> AsyncIterator[Provider]:
    asked: list[tuple[str, str]] = []

    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            top = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(header_of(top, "content-length") or 0))
            query = dns.message.from_wire(body)
            assert query.id == 0
            question = query.question[0]
            asked.append((str(question.name), dns.rdatatype.to_text(question.rdtype)))
            writer.server.requests.append(top)  # type: ignore[attr-defined]
            writer.write(response(status, reply(query), [media]))
            await writer.drain()
            if closes:
                return

    async with serve(handler, tls=authority.context("127.0.0.1")) as server:
        server.asked = asked  # type: ignore[attr-defined]
        yield server  # type: ignore[misc]


def url(server: Server) -> str:
    return f"https://127.0.0.1:{server.port}/dns-query"


def doh_leg(*providers: Server, **changes: Any) -> Leg:
    values: dict[str, Any] = {
        "name": "resolver",
        "kind": "doh",
        "path": ("wan", "doh"),
        "doh": tuple(map(url, providers)),
        "query": HOST,
        "any_of": True,
        **changes,
    }
    return Leg(**values)


def named_leg(port: int, *providers: Server, **changes: Any) -> Leg:
    """A leg that needs DoH."""
    return ws_leg(url=f"ws://{HOST}:{port}/ws", doh=tuple(map(url, providers)), **changes)


# -- the wire form -------------------------------------------------------------------------


async def test_queries_in_wire_form(authority: Authority) -> None:
    async with provider(authority, records("127.0.0.1")) as one:
        seen = await probe(doh_leg(one), ca=authority.file, hold=0.3)
    assert seen.outcome == "passed", seen.detail
    held, fresh = one_is_held(seen)
    assert min(len(held), len(fresh)) > 1
    assert one.connections == len(fresh)
    assert one.asked[:2] == [(HOST + ".", "A"), (HOST + ".", "AAAA")]
    assert len(one.asked) == 2 * len(seen.beats)
    first = one.requests[0]
    assert first.startswith(b"POST /dns-query HTTP/1.1")
    assert header_of(first, "content-type") == "application/dns-message"
    assert header_of(first, "accept") == "application/dns-message"


async def test_a_provider_that_closes_after_each_answer(authority: Authority) -> None:
    async with provider(authority, records("127.0.0.1"), closes=True) as one:
        seen = await probe(doh_leg(one), ca=authority.file, hold=0.35)
        assert (seen.outcome, seen.drops) == ("passed", ()), seen.detail
        # Each beat ends on another connection than it began on: nothing was held.
        numbers = [beat.conn for beat in seen.beats]
        assert len(set(numbers)) == len(numbers)
        async with serve(echo) as server:
            leg = named_leg(server.port, one)
            assert (await probe(leg, ca=authority.file)).outcome == "passed"


async def test_both_families_are_dialled(authority: Authority) -> None:
    reply = records("127.0.0.2", "::1", "127.0.0.3")
    async with serve(echo, address="127.0.0.2") as server, provider(authority, reply) as one:
        seen = await probe(named_leg(server.port, one), ca=authority.file)
    assert seen.outcome == "degraded"
    hosts = [one.address.rpartition(":")[0] for one in seen.addresses]
    assert sorted(hosts[:2]) == ["127.0.0.2", "127.0.0.3"]
    assert hosts[2:] == ["[::1]"]


async def test_a_cname_is_followed(authority: Authority) -> None:
    reply = records("127.0.0.2", alias="real.example.")
    async with serve(echo, address="127.0.0.2") as server, provider(authority, reply) as one:
        seen = await probe(named_leg(server.port, one), ca=authority.file)
    assert seen.outcome == "passed"


async def test_a_long_answer_makes_nobody_a_scanner(authority: Authority) -> None:
    many = [f"127.1.0.{n + 1}" for n in range(240)]
    async with provider(authority, records(*many)) as one:
        seen = await probe(named_leg(9, one), ca=authority.file)
    assert len(seen.addresses) == MAX_ADDRESSES


async def test_ten_thousand_records_are_too_many(authority: Authority) -> None:
    def flood(query: dns.message.Message) -> bytes:
        answer = dns.message.make_response(query)
        wire = bytearray(answer.to_wire())
        wire[6:8] = (10_000).to_bytes(2, "big")
        for n in range(10_000):
            wire += b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f" + n.to_bytes(3, "big")
        return bytes(wire)

    async with provider(authority, flood) as one:
        seen = await probe(doh_leg(one), ca=authority.file)
    assert (seen.outcome, seen.reason) == ("inconclusive", "resolver_failed")
    assert "more than 4 KiB" in seen.detail


# -- failures ------------------------------------------------------------------------------

BAD: list[tuple[Reply, dict[str, Any], str]] = [
    (garbage, {}, "no DNS message"),
    (lambda query: b"", {}, "no DNS message"),
    (code("SERVFAIL"), {}, "SERVFAIL"),
    (code("NOTIMP"), {}, "NOTIMP"),
    (code("REFUSED"), {}, "REFUSED"),
    (another_question, {}, "another question"),
    (records("127.0.0.1"), {"status": "500 Oops"}, "HTTP 500"),
    (records("127.0.0.1"), {"status": "302 Found"}, "HTTP 302"),
    (records("127.0.0.1"), {"media": ("Content-Type", "text/html; x=\x1b")}, "text/html"),
]


@pytest.mark.parametrize(("reply", "how", "words"), BAD)
async def test_a_bad_provider(
    reply: Reply, how: dict[str, Any], words: str, authority: Authority
) -> None:
    async with provider(authority, reply, **how) as bad:
        async with serve(echo) as server:
            legs = [doh_leg(bad), named_leg(server.port, bad)]
            seen = await probe_all(legs, ca=authority.file)
            assert server.connections == 0
        resolver, dependent = seen["resolver"], seen["ws"]
        assert (resolver.outcome, resolver.reason) == ("failed", "resolver_failed")
        assert words in resolver.detail
        assert (dependent.outcome, dependent.reason) == ("inconclusive", "resolver_failed")
        assert words in dependent.detail
        assert dependent.drops == ()
        # Another provider answers: the dependent leg goes on.
        async with serve(echo) as server, provider(authority, records("127.0.0.1")) as good:
            legs = [doh_leg(bad, good), named_leg(server.port, bad, good)]
            seen = await probe_all(legs, ca=authority.file)
        assert seen["ws"].outcome == "passed"
        assert seen["resolver"].outcome == "passed"
        assert seen["resolver"].answered == (1, 2)


async def test_dead_providers(authority: Authority) -> None:
    async with serve(silent) as gone:
        pass
    async with serve(silent) as mute, serve(echo) as server:
        legs = [doh_leg(gone, mute), named_leg(server.port, gone, mute)]
        seen = await probe_all(legs, ca=authority.file, watchdog=0.5, connect_timeout=0.5)
    assert seen["resolver"].outcome == "failed"
    assert (seen["ws"].outcome, seen["ws"].reason) == ("inconclusive", "resolver_failed")
    assert "refused" in seen["ws"].detail
    assert "TLS" in seen["ws"].detail


async def test_a_resolver_that_recovers_lets_the_leg_go_on(authority: Authority) -> None:
    answers = [code("SERVFAIL"), records("127.0.0.1")]

    def reply(query: dns.message.Message) -> bytes:
        return (answers.pop(0) if len(answers) > 1 else answers[0])(query)

    async with provider(authority, reply) as one, serve(echo) as server:
        seen = await probe(named_leg(server.port, one), ca=authority.file, hold=0.6)
    assert seen.outcome == "passed", seen.detail
    assert seen.beats


async def test_the_system_resolver_that_knows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    async def fail(*rest: Any, **more: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)
    seen = await probe(ws_leg(url="ws://nowhere.example/ws"))
    assert (seen.outcome, seen.reason) == ("inconclusive", "resolver_failed")
    assert "nowhere.example" in seen.detail


async def test_the_system_resolver() -> None:
    async with serve(echo) as server:
        seen = await probe(ws_leg(url=f"ws://localhost:{server.port}/ws"))
    assert seen.outcome in {"passed", "degraded"}


# -- collapse ------------------------------------------------------------------------------


@pytest.mark.parametrize("answered", ["127.0.0.77", "::ffff:127.0.0.77", "0.0.0.0", "::"])
async def test_an_internal_address_is_a_collapse(answered: str, authority: Authority) -> None:
    async with provider(authority, records(answered)) as one, serve(echo) as server:
        inside = ws_leg(name="internal", url=f"ws://{HOST}/ws", pin=f"127.0.0.77:{server.port}")
        legs = [named_leg(server.port, one), inside]
        seen = await probe_all(legs, ca=authority.file)
    assert (seen["ws"].outcome, seen["ws"].reason) == ("inconclusive", "leg_collapsed")
    assert "an internal address" in seen["ws"].detail
    assert server.connections == 0


@pytest.mark.parametrize(
    ("pinned", "answered"),
    [
        ("::ffff:127.0.0.77", "127.0.0.77"),
        ("::FFFF:7F00:4D", "127.0.0.77"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("127.0.0.77", "::ffff:127.0.0.77"),
    ],
)
@pytest.mark.parametrize("kind", ["ws_echo", "doh"])
async def test_a_pin_is_an_address_however_it_is_written(
    kind: str, pinned: str, answered: str, authority: Authority
) -> None:
    async with provider(authority, records(answered)) as one, serve(echo) as server:
        pin = f"[{pinned}]:{server.port}" if ":" in pinned else f"{pinned}:{server.port}"
        inside = ws_leg(name="internal", url=f"ws://{HOST}/ws", pin=pin)
        asks = named_leg(server.port, one) if kind == "ws_echo" else doh_leg(one)
        seen = (await probe_all([asks, inside], ca=authority.file))[asks.name]
    assert (seen.outcome, seen.reason) == ("inconclusive", "leg_collapsed")


@pytest.mark.parametrize("pinned", ["[FD00::5]:443", "[fd00:0:0::5]", "[fd00::0005]:8443"])
@pytest.mark.parametrize("literal", [False, True])
def test_internal_addresses_have_one_form(pinned: str, literal: bool) -> None:
    where = {"url": f"wss://{pinned}/"} if literal else {"url": f"wss://{HOST}/", "pin": pinned}
    legs = [ws_leg(**where), ws_leg(name="other", url=f"wss://{HOST}/", pin="10.0.0.1:443")]
    assert internal_addresses(deployment(legs)) == {"fd00::5", "10.0.0.1"}


# -- once ----------------------------------------------------------------------------------


async def test_each_name_is_asked_once_however_many_legs(authority: Authority) -> None:
    async with provider(authority, records("127.0.0.1")) as one, serve(echo) as server:
        legs = [named_leg(server.port, one, name=f"ws{n}") for n in range(20)]
        seen = await probe_all(legs, ca=authority.file, hold=0.3)
    assert {leg.outcome for leg in seen.values()} == {"passed"}
    assert one.asked == [(HOST + ".", "A"), (HOST + ".", "AAAA")]
    assert one.connections == 1


async def test_a_failing_name_is_asked_again_once_a_heartbeat(authority: Authority) -> None:
    async with provider(authority, code("SERVFAIL")) as one:
        legs = [named_leg(9, one, name=f"ws{n}") for n in range(10)]
        await probe_all(legs, ca=authority.file, hold=0.45)
    # Asked together by all legs; a leg that is a moment late may begin a round of its own.
    assert 2 <= len(one.asked) <= 15


# -- pure ----------------------------------------------------------------------------------


@given(st.binary(max_size=600))
def test_random_bytes_give_addresses_or_a_probe_error(body: bytes) -> None:
    try:
        found = read_message(body, HOST)
    except ProbeError as error:
        assert error.reason == "resolver_failed"  # noqa: PT017
    else:
        assert all(isinstance(one, str) for one in found)


@given(st.data())
def test_damaged_answers_give_addresses_or_a_probe_error(data: st.DataObject) -> None:
    wire = bytearray(
        records("127.0.0.1", "127.0.0.2", alias="a.b.example.")(
            dns.message.from_wire(query_message(HOST, "A"))
        )
    )
    for _ in range(data.draw(st.integers(1, 6))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_message(bytes(wire[: data.draw(st.integers(0, len(wire)))]), HOST)
    except ProbeError:
        pass


def test_an_address_of_another_class_is_none() -> None:
    wire = bytearray(records("127.0.0.1")(dns.message.from_wire(query_message(HOST, "A"))))
    assert read_message(bytes(wire), HOST) == ["127.0.0.1"]
    at = wire.index(b"\xc0\x0c\x00\x01\x00\x01")
    wire[at + 4 : at + 6] = b"\xff\x00"  # a private class in place of IN
    assert read_message(bytes(wire), HOST) == []


@given(st.binary(max_size=300))
def test_whatever_follows_a_question(tail: bytes) -> None:
    query = bytearray(query_message(HOST, "A"))
    query[2] |= 0x80
    query[7] = 3
    try:
        read_message(bytes(query) + tail, HOST)
    except ProbeError:
        pass


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("127.0.0.1", ("127.0.0.1", 443)),
        ("[::1]:80", ("::1", 80)),
        ("[::1]", ("::1", 443)),
        ("::1", ("::1", 443)),
        ("host.example:1", ("host.example", 1)),
    ],
)
def test_split_address(text: str, parts: tuple[str, int]) -> None:
    assert split_address(text, 443) == parts
