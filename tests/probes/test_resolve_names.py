"""What DoH providers say about a name: one family alone, no address at all, and whose records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st
from probes.fixtures import Authority
from probes.servers import HOST, echo, header_of, probe, probe_all, response, serve
from probes.test_resolve import (
    BAD,
    MEDIA,
    Reader,
    Reply,
    Writer,
    code,
    doh_leg,
    garbage,
    named_leg,
    provider,
    records,
)

from t3probe.observation import Observation
from t3probe.probes.doh import NoAddress, query_message, read_message
from t3probe.probes.facts import ProbeError

NOBODY: list[tuple[Reply, str]] = [
    (code("NXDOMAIN"), "NXDOMAIN"),
    (records(), "no A and no AAAA record"),
]


def by_type(a: Reply, aaaa: Reply) -> Reply:
    """A reply of its own for each type."""

    def reply(query: dns.message.Message) -> bytes:
        return (a if query.question[0].rdtype == dns.rdatatype.A else aaaa)(query)

    return reply


def said(seen: Observation) -> str:
    return " ".join((seen.detail, *seen.evidence))


# -- one family alone ----------------------------------------------------------------------


@pytest.mark.parametrize(("bad", "words"), [(one, words) for one, how, words in BAD if not how])
@pytest.mark.parametrize("family", ["A", "AAAA"])
async def test_one_good_family_is_enough(
    bad: Reply, words: str, family: str, authority: Authority
) -> None:
    address = "127.0.0.1" if family == "AAAA" else "::1"
    good = records(address)
    reply = by_type(good, bad) if family == "AAAA" else by_type(bad, good)
    async with provider(authority, reply) as one, serve(echo, address=address) as server:
        legs = [doh_leg(one), named_leg(server.port, one)]
        seen = await probe_all(legs, ca=authority.file, hold=0.3)
    for leg in seen.values():
        assert leg.outcome == "passed", leg.detail
        assert f"the question for {family}: " in said(leg)
        assert words in said(leg)


@pytest.mark.parametrize("mute", ["A", "AAAA"])
async def test_a_question_that_nobody_answers(mute: str, authority: Authority) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            top = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(header_of(top, "content-length") or 0))
            query = dns.message.from_wire(body)
            if dns.rdatatype.to_text(query.question[0].rdtype) == mute:
                await reader.read()
                return
            writer.write(response("200 OK", records("127.0.0.1", "::1")(query), [MEDIA]))
            await writer.drain()

    address = "127.0.0.1" if mute == "AAAA" else "::1"
    async with (
        serve(handler, tls=authority.context("127.0.0.1")) as one,
        serve(echo, address=address) as server,
    ):
        legs = [doh_leg(one), named_leg(server.port, one)]
        seen = await probe_all(legs, ca=authority.file, hold=0.0, watchdog=0.6, connect_timeout=0.6)
    for leg in seen.values():
        assert leg.outcome == "passed", leg.detail
        assert f"the question for {mute}: no answer within" in said(leg)


@pytest.mark.parametrize("questions", [4, 5])
async def test_a_held_connection_that_falls_silent_is_a_drop(
    questions: int, authority: Authority
) -> None:
    """The question for AAAA on a new connection must not hide that the held one is dead; nor does
    the answer for A hide that the next question goes unanswered, where both were answered before.
    """
    answered = 0

    async def handler(reader: Reader, writer: Writer) -> None:
        nonlocal answered
        mine = 0
        while True:
            top = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(header_of(top, "content-length") or 0))
            mine, answered = mine + 1, answered + 1
            if mine > questions:
                await reader.read()
                return
            writer.write(
                response("200 OK", records("127.0.0.1")(dns.message.from_wire(body)), [MEDIA])
            )
            await writer.drain()

    async with serve(handler, tls=authority.context("127.0.0.1")) as one:
        seen = await probe(
            doh_leg(one), ca=authority.file, hold=1.5, watchdog=0.5, connect_timeout=5.0
        )
    assert seen.outcome == "failed"
    assert (seen.drops[0].reason, seen.drops[0].symptom) == ("rtt_timeout", "cut")


async def test_a_second_question_has_as_long_as_the_first(authority: Authority) -> None:
    """Where both were answered before, a late answer within the watchdog is no drop."""

    async def handler(reader: Reader, writer: Writer) -> None:
        mine = 0
        while True:
            top = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(header_of(top, "content-length") or 0))
            mine += 1
            if mine == 6:
                await asyncio.sleep(1.3)
            writer.write(
                response("200 OK", records("127.0.0.1")(dns.message.from_wire(body)), [MEDIA])
            )
            await writer.drain()

    async with serve(handler, tls=authority.context("127.0.0.1")) as one:
        seen = await probe(
            doh_leg(one), ca=authority.file, hold=2.5, watchdog=4.0, connect_timeout=0.5
        )
    assert (seen.outcome, seen.drops) == ("passed", ()), seen.detail


# -- no address at all -----------------------------------------------------------------------


@pytest.mark.parametrize(("reply", "words"), NOBODY)
@pytest.mark.parametrize("providers", [1, 2])
async def test_no_address_is_about_the_name(
    reply: Reply, words: str, providers: int, authority: Authority
) -> None:
    async with provider(authority, reply) as one, provider(authority, reply) as two:
        asked = (one, two)[:providers]
        legs = [doh_leg(*asked), named_leg(9, *asked, fallback=("127.0.0.1",))]
        seen = await probe_all(legs, ca=authority.file)
    for leg in seen.values():
        assert (leg.outcome, leg.reason) == ("inconclusive", "resolver_failed")
        assert leg.drops == ()
        assert words in leg.detail
        assert HOST in leg.detail
    assert "about the name" in seen["ws"].detail
    if providers == 2:
        assert f"{words} from both providers" in seen["ws"].detail


@pytest.mark.parametrize("other", [code("SERVFAIL"), garbage])
@pytest.mark.parametrize("turned", [False, True])
async def test_a_provider_that_fails_beside_one_that_knows_of_none(
    other: Reply, turned: bool, authority: Authority
) -> None:
    replies = [code("NXDOMAIN"), other]
    async with (
        provider(authority, replies[turned]) as one,
        provider(authority, replies[not turned]) as two,
    ):
        legs = [doh_leg(one, two), named_leg(9, one, two)]
        seen = await probe_all(legs, ca=authority.file)
    assert seen["resolver"].outcome == "inconclusive"
    assert seen["ws"].outcome == "inconclusive"
    assert "about the name" not in seen["ws"].detail


@pytest.mark.parametrize(
    ("a", "aaaa"), [(records(), code("SERVFAIL")), (code("SERVFAIL"), records())]
)
async def test_no_record_of_one_family_and_no_answer_for_the_other(
    a: Reply, aaaa: Reply, authority: Authority
) -> None:
    async with provider(authority, by_type(a, aaaa)) as one:
        seen = await probe(doh_leg(one), ca=authority.file)
    assert seen.outcome == "inconclusive"
    assert "SERVFAIL" in seen.detail
    assert "record" in seen.detail


@pytest.mark.parametrize("turned", [False, True])
async def test_providers_that_disagree(turned: bool, authority: Authority) -> None:
    replies = [code("NXDOMAIN"), records("127.0.0.1")]
    async with (
        provider(authority, replies[turned]) as one,
        provider(authority, replies[not turned]) as two,
        serve(echo) as server,
    ):
        legs = [doh_leg(one, two), named_leg(server.port, one, two)]
        seen = await probe_all(legs, ca=authority.file)
    assert {leg.outcome for leg in seen.values()} == {"passed"}
    assert "disagree" in said(seen["resolver"])
    assert ("disagree" in said(seen["ws"])) is not turned  # the second one is not even asked


async def test_the_same_failure_of_all_is_said_once(authority: Authority) -> None:
    bad = code("SERVFAIL")
    async with (
        provider(authority, bad) as one,
        provider(authority, bad) as two,
        provider(authority, bad) as three,
    ):
        two_of_them = await probe(named_leg(9, one, two), ca=authority.file)
        all_of_them = await probe(named_leg(9, one, two, three), ca=authority.file)
    assert two_of_them.detail == f"no address of {HOST}: SERVFAIL from both providers"
    assert all_of_them.detail == f"no address of {HOST}: SERVFAIL from all 3 providers"


async def test_a_server_says_why(authority: Authority) -> None:
    def reply(query: dns.message.Message) -> bytes:
        answer = dns.message.make_response(query)
        answer.set_rcode(dns.rcode.SERVFAIL)
        answer.use_edns(0, options=[dns.edns.EDEOption(22, "nobody\x1b there")])
        return answer.to_wire()

    async with provider(authority, reply) as one:
        seen = await probe(doh_leg(one), ca=authority.file)
    assert "SERVFAIL (EDE 22 (No Reachable Authority): nobody\\027 there)" in seen.detail


async def test_a_content_type_with_parameters(authority: Authority) -> None:
    media = ("Content-Type", "Application/DNS-message ; charset=utf-8")
    async with provider(authority, records("127.0.0.1"), media=media) as one:
        assert (await probe(doh_leg(one), ca=authority.file)).outcome == "passed"


async def test_an_address_of_somebody_else_is_not_dialled(authority: Authority) -> None:
    def reply(query: dns.message.Message) -> bytes:
        answer = dns.message.from_wire(records("127.0.0.1")(query))
        answer.answer.append(dns.rrset.from_text("other.test.", 60, "IN", "A", "127.0.0.9"))
        return answer.to_wire()

    async with serve(echo) as server, provider(authority, reply) as one:
        seen = await probe(named_leg(server.port, one), ca=authority.file)
    assert seen.outcome == "passed"
    assert [one.address for one in seen.addresses] == [f"127.0.0.1:{server.port}"]


# -- the chain -----------------------------------------------------------------------------


def message(*lines: str, record_type: str = "A", name: str = HOST) -> bytes:
    """An answer with these records, in this order."""
    answer = dns.message.make_response(dns.message.from_wire(query_message(name, record_type)))
    for line in lines:
        owner, kind, data = line.split()
        answer.answer.append(dns.rrset.from_text(owner, 0, "IN", kind, data))
    return answer.to_wire()


CHAIN = [f"{HOST}. CNAME b.test.", "b.test. CNAME c.test.", "c.test. A 127.0.0.1"]


@given(st.permutations(CHAIN))
def test_a_chain_in_any_order(lines: list[str]) -> None:
    assert read_message(message(*lines), HOST) == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([f"{HOST.upper()}. A 127.0.0.1"], ["127.0.0.1"]),
        ([f"{HOST}. CNAME B.TEST.", "b.test. A 127.0.0.1"], ["127.0.0.1"]),
        (["other.test. A 127.0.0.9"], []),
        (["b.test. CNAME c.test.", "c.test. A 127.0.0.9"], []),
        ([f"{HOST}. CNAME b.test.", "c.test. A 127.0.0.9"], []),
        ([f"{HOST}. AAAA ::1"], []),
        (["example. DNAME test.", "app.test. A 127.0.0.1"], ["127.0.0.1"]),
        (["example. DNAME test.", "app.example. CNAME app.test.", "app.test. A 127.0.0.1"],
         ["127.0.0.1"]),
        (["app.example. DNAME test.", "app.test. A 127.0.0.9"], []),
    ],
)  # fmt: skip
def test_who_counts(lines: list[str], found: list[str]) -> None:
    name = "app.example" if "DNAME" in str(lines) else HOST
    assert read_message(message(*lines, name=name), name) == found


@pytest.mark.parametrize(
    "lines",
    [
        [f"{HOST}. CNAME {HOST}."],
        [f"{HOST}. CNAME b.test.", f"b.test. CNAME {HOST}."],
        [f"{HOST}. CNAME b.test.", "b.test. CNAME c.test.", "c.test. CNAME b.test."],
    ],
)
def test_aliases_that_never_end(lines: list[str]) -> None:
    with pytest.raises(NoAddress, match="lead back to themselves"):
        read_message(message(*lines), HOST)


def _changed(change: Callable[[dns.message.Message], None]) -> bytes:
    answer = dns.message.from_wire(message(f"{HOST}. A 127.0.0.1"))
    change(answer)
    return answer.to_wire()


def _no_answer(answer: dns.message.Message) -> None:
    answer.flags &= ~dns.flags.QR


def _other_id(answer: dns.message.Message) -> None:
    answer.id = 7


def _no_question(answer: dns.message.Message) -> None:
    answer.question.clear()


def _truncated(answer: dns.message.Message) -> None:
    answer.flags |= dns.flags.TC
    answer.answer.clear()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_no_answer, "a question"),
        (_other_id, "the id 7"),
        (_no_question, "another question"),
        (_truncated, "truncated"),
    ],
)
def test_what_is_no_answer_to_our_question(
    change: Callable[[dns.message.Message], None], words: str
) -> None:
    with pytest.raises(ProbeError, match=words) as caught:
        read_message(_changed(change), HOST)
    assert caught.value.conclusive
    assert caught.value.answered


def test_an_answer_to_the_other_family_is_none() -> None:
    with pytest.raises(ProbeError, match="another question"):
        read_message(message(f"{HOST}. A 127.0.0.1"), HOST, "AAAA")


def test_what_stands_in_a_truncated_answer_counts() -> None:
    def cut(answer: dns.message.Message) -> None:
        answer.flags |= dns.flags.TC

    assert read_message(_changed(cut), HOST) == ["127.0.0.1"]
