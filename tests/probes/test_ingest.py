"""The legs of an ingest gate against servers that misbehave."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from probes.fixtures import Authority, no_stalls
from probes.ingest_programs import HOST, TOKEN
from probes.servers import Server, header_of, reset, response, serve, target_of

from t3probe.config import Deployment, loads
from t3probe.observation import Observation
from t3probe.run.controller import Run

__all__ = ["no_stalls"]

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Rule = Callable[[bytes], bytes | None]
"""A request's head to its answer; None: hang up."""
NO = response("401 Unauthorized", b"no")
NOT_THERE = response("404 Not Found", b"nothing")
TAKEN = response("204 No Content", b"", [("X-Server-Hostname", "vm")])


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T3PROBE_INGEST_METRICS_TOKEN", TOKEN)


def is_write(head: bytes) -> bool:
    return head.startswith(b"POST /api/v1/write ")


def right(head: bytes) -> bool:
    return header_of(head, "authorization") == f"Bearer {TOKEN}"


def gate(head: bytes) -> bytes | None:
    """As it must be."""
    if is_write(head):
        return TAKEN if right(head) else NO
    if target_of(head) == "/api/v1/write":
        return response("400 Bad Request", b"empty") if right(head) else NO
    return NOT_THERE


@asynccontextmanager
async def gated(rule: Rule, authority: Authority, *, plain: bool = False) -> AsyncIterator[Server]:
    """A server that answers by `rule`, with TLS unless `plain`."""

    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(header_of(head, "content-length") or 0)
            if length:
                await reader.readexactly(length)
            writer.server.requests.append(head)  # type: ignore[attr-defined]
            said = rule(head)
            if said is None:
                return
            if said == b"RESET":
                reset(writer)
                return
            writer.write(said)
            await writer.drain()

    context = None if plain else authority.context(HOST)
    async with serve(handler, tls=context) as server:
        yield server


def deployment(
    server: Server,
    authority: Authority,
    more: str = "",
    *,
    path: str = "way gate receiver",
    kind: str = "remote_write",
) -> Deployment:
    """`path`: the TCP connection ends at the last segment but one, or at one with a `!`."""
    names = path.replace("!", "").split()
    ends = next((one[:-1] for one in path.split() if one.endswith("!")), names[-2])
    listed = str(names).replace("'", '"')
    return loads(
        f"""
name = "gate"
segments = {listed}
tls_ca = "{authority.file}"
[timing]
hold = "0"
heartbeat = "300ms"
watchdog = "1500ms"
connect_timeout = "1s"
[[ingest]]
name = "metrics"
kind = "{kind}"
url = "https://{HOST}:{server.port}/api/v1/write"
pin = "127.0.0.1"
path = {listed}
tcp_ends_at = "{ends}"
{more}
""",
        environ={},
        now=1.0,
    )


async def seen(
    rule: Rule, authority: Authority, more: str = "", *, hold: float = 0.0, **facts: str
) -> tuple[Observation, Observation, Sequence[bytes]]:
    """Both legs, and what they asked."""
    async with gated(rule, authority) as server:
        made = deployment(server, authority, more, **facts)
        run = Run(made, made.legs, hold=hold)
        whole, front = await run.measure()
    return whole, front, server.requests


async def test_a_gate_that_is_as_it_must_be(authority: Authority) -> None:
    whole, front, asked = await seen(gate, authority, 'deep_every = "1m"')
    assert (whole.outcome, front.outcome) == ("passed", "passed"), (whole.detail, front.detail)
    assert whole.clears == ("way", "receiver")
    assert front.clears is None
    assert all(front.gate.values())
    assert front.gate.keys() == {"no_token", "wrong_token", "paths", "method", "leak"}
    for head in asked:
        method, target = head.split(b" ")[:2]
        assert b"?" not in target
        if method == b"GET":
            assert header_of(head, "content-length") in (None, "")
        assert TOKEN.encode() not in target
    posts = [head for head in asked if head.startswith(b"POST")]
    assert all(b"x-prometheus-remote-write-version" in head.lower() for head in posts)


async def test_a_wrong_token_is_tried_once_and_holds_nothing_of_ours(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, asked = await seen(gate, authority, 'deep_every = "1m"')
    sent = {header_of(head, "authorization") for head in asked} - {None, "", f"Bearer {TOKEN}"}
    (wrong,) = sent
    assert len(str(wrong)) == len(f"Bearer {TOKEN}")
    monkeypatch.setattr("t3probe.probes.ingest.is_due", lambda *_: False)
    _, _, asked = await seen(gate, authority)
    assert {header_of(head, "authorization") for head in asked} <= {None, "", f"Bearer {TOKEN}"}


async def test_the_token_follows_no_redirect(authority: Authority) -> None:
    async with gated(lambda _: TAKEN, authority) as other:

        def rule(head: bytes) -> bytes:
            to = f"https://{HOST}:{other.port}/api/v1/write"
            return response("308 Permanent Redirect", b"", [("Location", to)])

        whole, front, _ = await seen(rule, authority)
    assert other.connections == 0
    assert (whole.outcome, front.outcome) == ("inconclusive", "inconclusive")
    assert "no sender takes its token" in whole.detail


async def test_the_token_goes_to_no_server_that_is_not_verified(
    authority: Authority, tmp_path: Path
) -> None:
    import trustme

    strange = trustme.CA()
    file = tmp_path / "strange.pem"
    strange.cert_pem.write_to_path(str(file))
    foreign = Authority(strange, str(file))
    async with gated(gate, foreign) as server:
        made = deployment(server, authority)
        whole, front = await Run(made, made.legs, hold=0.0).measure()
    assert server.requests == []
    assert {whole.reason, front.reason} == {"tls_failed"}


async def test_over_plain_http_no_token_is_sent(authority: Authority) -> None:
    async with gated(
        lambda head: TAKEN if is_write(head) else NOT_THERE, authority, plain=True
    ) as open_port:
        whole, front, _ = await seen(gate, authority, f"plain_port = {open_port.port}")
    assert (whole.outcome, front.outcome, front.reason) == ("passed", "failed", "gate_open")
    assert front.gate["plain"] is False
    assert open_port.requests
    assert all(header_of(head, "authorization") in (None, "") for head in open_port.requests)


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        ("200 OK", "passed", None),
        ("400 Bad Request", "inconclusive", "http_4xx"),
        ("401 Unauthorized", "inconclusive", "token_refused"),
        ("403 Forbidden", "inconclusive", "token_refused"),
        ("404 Not Found", "failed", "http_4xx"),
        ("413 Too Large", "inconclusive", "http_4xx"),
        ("415 Unsupported", "inconclusive", "http_4xx"),
        ("429 Too Many", "inconclusive", "http_4xx"),
        ("500 Error", "failed", "http_5xx"),
        ("502 Bad Gateway", "failed", "http_5xx"),
        ("206 Partial", "inconclusive", "http_other"),
    ],
)
async def test_what_the_right_token_gets(
    status: str, outcome: str, reason: str | None, authority: Authority
) -> None:
    def rule(head: bytes) -> bytes | None:
        return response(status, b"so") if is_write(head) and right(head) else gate(head)

    whole, front, _ = await seen(rule, authority)
    assert (whole.outcome, whole.reason) == (outcome, reason), whole.detail
    assert front.outcome in ("passed", "degraded"), front.detail
    assert front.gate["no_token"]
    if whole.drops and status[0] in "45" and not status.startswith("502"):
        assert whole.drops[0].accused == "gate"


@pytest.mark.parametrize(
    "half",
    [
        b"HTTP/1.1 204 No Content\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nonly so much",
        b"HTTP/1.1 401 Unauthorized\r\nContent-Le",
    ],
    ids=["no end of the head", "a body that never ends", "half a header"],
)
async def test_half_an_answer_is_neither_open_nor_closed(half: bytes, authority: Authority) -> None:
    """To a stranger: the gate is silent, and nobody calls it open."""

    def rule(head: bytes) -> bytes | None:
        return half if is_write(head) and not right(head) else gate(head)

    whole, front, _ = await seen(rule, authority)
    assert whole.outcome == "passed"
    assert front.reason != "gate_open"
    assert front.gate.get("no_token") is not False
    assert front.outcome in ("failed", "inconclusive")


async def test_a_reset_instead_of_a_refusal_is_one(authority: Authority) -> None:
    def rule(head: bytes) -> bytes | None:
        return gate(head) if right(head) else b"RESET"

    whole, front, _ = await seen(rule, authority)
    assert (whole.outcome, front.outcome) == ("passed", "passed"), front.detail


async def test_a_gate_that_hangs_up_on_everybody_is_down(authority: Authority) -> None:
    whole, front, _ = await seen(lambda _: None, authority)
    assert (whole.reason, front.reason) == ("closed_by_peer", "closed_by_peer")


async def test_a_token_that_is_not_there(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("T3PROBE_INGEST_METRICS_TOKEN")
    whole, front, asked = await seen(gate, authority)
    assert (whole.outcome, whole.reason) == ("inconclusive", "token_refused")
    assert "T3PROBE_INGEST_METRICS_TOKEN" in whole.detail
    assert front.outcome == "passed"
    assert front.gate == {"no_token": True}
    assert all(header_of(head, "authorization") in (None, "") for head in asked)


@pytest.mark.parametrize("bad", ["two\nlines", "a b", "t\u00f6ken", " "])
async def test_a_token_that_cannot_be_sent_is_a_sentence(
    bad: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T3PROBE_INGEST_METRICS_TOKEN", bad)
    whole, front, _ = await seen(gate, authority)
    assert (whole.outcome, front.outcome) == ("inconclusive", "passed")
    assert "expected" in whole.detail
    assert bad not in whole.detail or bad == " "


async def test_the_token_in_a_file_is_read_anew(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("T3PROBE_INGEST_METRICS_TOKEN")
    file = tmp_path / "token"
    file.write_text("another-token\n")
    async with gated(gate, authority) as server:
        made = deployment(server, authority, f'token_file = "{file}"')
        (first, _) = await Run(made, made.legs, hold=0.0).measure()
        file.write_text(TOKEN + "\n")
        (second, _) = await Run(made, made.legs, hold=0.0).measure()
    assert (first.reason, second.outcome) == ("token_refused", "passed")


async def test_what_is_recorded_does_not_hold_the_token(authority: Authority) -> None:
    def rule(head: bytes) -> bytes | None:
        said = str(header_of(head, "authorization")).encode()
        if is_write(head) and right(head):
            return response("500 Error", b"you said " + said, [("X-Said", said.decode())])
        return gate(head)

    whole, front, _ = await seen(rule, authority)
    text = msgspec.json.encode([whole, front]).decode()
    assert "you said" in text
    assert TOKEN not in text
    assert not re.search("5ecr3t|senders_0123", text)


async def test_otlp_is_sent_an_empty_message(authority: Authority) -> None:
    def rule(head: bytes) -> bytes | None:
        if head.startswith(b"POST /v1/traces "):
            return response("200 OK", b"") if right(head) else NO
        return NOT_THERE

    async with gated(rule, authority) as server:
        made = loads(
            f"""
name = "gate"
segments = ["gate", "receiver"]
tls_ca = "{authority.file}"
[timing]
watchdog = "1500ms"
connect_timeout = "1s"
[[ingest]]
name = "metrics"
kind = "otlp"
url = "https://{HOST}:{server.port}/v1/traces"
pin = "127.0.0.1"
path = ["gate", "receiver"]
""",
            environ={},
            now=1.0,
        )
        whole, front = await Run(made, made.legs, hold=0.0).measure()
    assert (whole.outcome, front.outcome) == ("passed", "passed"), (whole.detail, front.detail)
    posts = [one for one in server.requests if one.startswith(b"POST /v1/traces")]
    assert all(header_of(one, "content-length") == "0" for one in posts)
    assert {target_of(one) for one in server.requests} >= {"/api/services", "/metrics", "/"}
