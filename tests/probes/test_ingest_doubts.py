"""Gates and servers that look open, or closed, and are not: catch-alls, guards, chance resets."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from probes.fixtures import Authority, no_stalls
from probes.ingest_programs import TOKEN
from probes.servers import header_of, response, target_of
from probes.test_ingest import NO, NOT_THERE, TAKEN, gate, gated, is_write, right, seen, token

from t3probe.observation import Observation

__all__ = ["no_stalls", "token"]

Rule = Callable[[bytes], bytes | None]
OK = response("200 OK", b"ok")


def stranger(head: bytes) -> bool:
    return not header_of(head, "authorization")


def once(bad: Callable[[bytes], bool], rule: Rule) -> Rule:
    """The first of these requests is reset, as may happen by chance."""
    left = [b"RESET"]
    return lambda head: left.pop() if left and bad(head) else rule(head)


def not_open(front: Observation) -> None:
    """Nobody is accused."""
    assert front.reason != "gate_open", front.detail
    assert front.outcome in ("passed", "degraded", "inconclusive"), front.detail
    assert all(front.gate.values())


# Served by whoever serves everything.


@pytest.mark.parametrize("said", [OK, response("204 No Content", b"")], ids=["200", "204"])
@pytest.mark.parametrize("by_chance", [False, True], ids=["always", "and once a reset"])
async def test_plain_http_that_takes_everything_takes_no_message(
    said: bytes, by_chance: bool, authority: Authority
) -> None:
    def plain(head: bytes) -> bytes | None:
        return said

    other = once(lambda head: not is_write(head), plain) if by_chance else plain
    async with gated(other, authority, plain=True) as port:
        _, front, _ = await seen(gate, authority, f"plain_port = {port.port}")
    not_open(front)
    assert "plain" not in front.gate
    assert "over plain http" in front.detail


async def test_a_reset_by_chance_does_not_hide_plain_http(authority: Authority) -> None:
    def plain(head: bytes) -> bytes | None:
        return TAKEN if is_write(head) else NOT_THERE

    async with gated(once(is_write, plain), authority, plain=True) as port:
        _, front, _ = await seen(gate, authority, f"plain_port = {port.port}")
    assert (front.reason, front.gate["plain"]) == ("gate_open", False)


async def test_a_health_page_among_pages_for_everything_is_not_open(authority: Authority) -> None:
    def rule(head: bytes) -> bytes | None:
        return OK if head.startswith(b"GET") else gate(head)

    _, front, _ = await seen(rule, authority, 'health = "/health"')
    not_open(front)
    assert "health" not in front.gate


@pytest.mark.parametrize(
    ("kind", "said", "outcome"),
    [
        ("remote_write", OK, "inconclusive"),
        ("otlp", OK, "inconclusive"),
        ("otlp", response("200 OK", b"{}", [("Content-Type", "application/json")]), "inconclusive"),
        ("remote_write", response("200 OK", b""), "passed"),
        ("otlp", response("200 OK", b"\x0a\x00", [("content-type", "application/x-protobuf")]),
         "passed"),
    ],
)  # fmt: skip
async def test_a_server_that_says_ok_to_everything_is_no_receiver(
    kind: str, said: bytes, outcome: str, authority: Authority
) -> None:
    whole, _, _ = await seen(lambda _: said, authority, kind=kind)
    assert whole.outcome == outcome, whole.detail
    if outcome == "inconclusive":
        assert "it may be anybody's" in whole.detail


@pytest.mark.parametrize(
    "page", [OK, response("200 OK", b"<h1>Hi", [("Content-Type", "text/html")])]
)
async def test_a_front_page_for_everybody_is_not_open_to_senders(
    page: bytes, authority: Authority
) -> None:
    _, front, _ = await seen(lambda head: page if target_of(head) == "/" else gate(head), authority)
    not_open(front)
    assert "which a stranger gets as well" in front.detail
    _, front, _ = await seen(
        lambda head: page if target_of(head) == "/" and right(head) else gate(head), authority
    )
    assert (front.reason, front.gate["paths"]) == ("gate_open", False)


async def test_a_front_page_hides_no_other_path(authority: Authority) -> None:
    def rule(head: bytes) -> bytes | None:
        if target_of(head) == "/":
            return OK if right(head) else response("302 Found", b"", [("Location", "/x")])
        return response("200 OK", b"up 1") if target_of(head) == "/metrics" else gate(head)

    _, front, _ = await seen(rule, authority, 'refused = ["/", "/metrics"]')
    assert (front.reason, front.gate["paths"]) == ("gate_open", False)


# A header for whoever has a token.


@pytest.mark.parametrize(
    ("name", "outcome"),
    [("X-RateLimit-Limit-Minute", "passed"), ("X-Consumer-Name", "passed"), ("X-Seen", "degraded")],
)
async def test_what_a_gate_adds_for_its_senders_opens_nothing(
    name: str, outcome: str, authority: Authority
) -> None:
    def rule(head: bytes) -> bytes | None:
        said = gate(head)
        if said is None or not right(head):
            return said
        return said.replace(b"\r\n", f"\r\n{name}: 5\r\n".encode(), 1)

    _, front, _ = await seen(rule, authority)
    assert front.outcome == outcome, front.detail
    not_open(front)


# Wrong tokens.


async def test_a_wrong_token_is_tried_once_while_something_else_is_open(
    authority: Authority,
) -> None:
    def rule(head: bytes) -> bytes | None:
        return OK if target_of(head) == "/metrics" and right(head) else gate(head)

    _, front, asked = await seen(rule, authority, 'deep_every = "1m"', hold=1.5)
    assert front.reason == "gate_open"
    assert len(front.beats) > 1
    assert len([head for head in asked if not stranger(head) and not right(head)]) == 1


async def test_a_wrong_token_that_was_taken_is_tried_again(authority: Authority) -> None:
    def rule(head: bytes) -> bytes | None:
        return TAKEN if is_write(head) and not stranger(head) else gate(head)

    _, front, asked = await seen(rule, authority, 'deep_every = "1m"', hold=1.5)
    assert (front.reason, front.gate["wrong_token"]) == ("gate_open", False)
    assert len([head for head in asked if not stranger(head) and not right(head)]) > 1


async def test_a_reset_on_a_wrong_token_spoils_no_other_look(authority: Authority) -> None:
    def rule(head: bytes) -> bytes | None:
        return gate(head) if stranger(head) or right(head) else b"RESET"

    _, front, _ = await seen(rule, authority, 'deep_every = "1m"')
    assert front.gate == {"no_token": True, "paths": True, "method": True, "leak": True}
    assert front.outcome == "degraded"
    assert "more)" not in front.detail


async def test_a_token_on_the_health_page_is_given_away(authority: Authority) -> None:
    def rule(head: bytes) -> bytes | None:
        if target_of(head) == "/health":
            return response("200 OK", f"hello {TOKEN}".encode()) if right(head) else NO
        return gate(head)

    _, front, _ = await seen(rule, authority, 'health = "/health"')
    assert (front.reason, front.gate["leak"]) == ("gate_open", False)
    assert TOKEN not in front.detail


# Who refuses.

WALL = response("403 Forbidden", b"{}", [("Content-Type", "application/json")])
PATH = "wan! tunnel gate receiver"


@pytest.mark.parametrize("has_token", [True, False])
async def test_a_refusal_for_everybody_clears_only_the_way_to_whoever_ends_tcp(
    has_token: bool, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_token:
        monkeypatch.delenv("T3PROBE_INGEST_METRICS_TOKEN")
    _, front, _ = await seen(lambda _: WALL, authority, path=PATH)
    assert front.clears == ("wan",)


@pytest.mark.parametrize(
    ("said", "clears"),
    [
        (TAKEN, None),
        (response("500 Error", b"so"), None),
        (response("403 Forbidden", b"not you"), ("wan", "tunnel")),
    ],
    ids=["taken", "behind it is trouble", "refused otherwise"],
)
async def test_a_gate_that_reads_the_token_is_the_one_that_refuses(
    said: bytes, clears: tuple[str, ...] | None, authority: Authority
) -> None:
    """In later beats of the run, too, though they ask as strangers alone."""

    def rule(head: bytes) -> bytes | None:
        return said if is_write(head) and right(head) else gate(head)

    _, front, _ = await seen(rule, authority, path=PATH, hold=2.0)
    assert front.clears == clears
    assert len(front.beats) > 1


async def test_one_reset_does_not_hide_an_open_gate(authority: Authority) -> None:
    def rule(head: bytes) -> bytes | None:
        return TAKEN if is_write(head) else NOT_THERE

    strange = once(lambda head: is_write(head) and stranger(head), rule)
    _, front, _ = await seen(strange, authority)
    assert (front.reason, front.gate["no_token"]) == ("gate_open", False)
    # And one before a refusal is no trouble.
    _, front, _ = await seen(once(lambda head: is_write(head) and stranger(head), gate), authority)
    assert front.outcome == "passed"


async def test_a_gate_that_takes_strangers_and_hangs_up_elsewhere_is_open(
    authority: Authority,
) -> None:
    _, front, _ = await seen(lambda head: TAKEN if is_write(head) else b"RESET", authority)
    assert (front.reason, front.gate["no_token"]) == ("gate_open", False)


async def test_a_reset_by_chance_makes_no_page_for_everybody_a_message_that_was_taken(
    authority: Authority,
) -> None:
    _, front, _ = await seen(once(lambda head: not is_write(head), lambda _: OK), authority)
    not_open(front)
