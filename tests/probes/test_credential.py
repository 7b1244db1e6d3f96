"""What a leg shows to be let in: where it goes, where not, and what a refusal of it means."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from probes.fixtures import Authority
from probes.servers import (
    HOST,
    Server,
    answering,
    echo_frames,
    head,
    header_of,
    probe,
    response,
    serve,
    upgrade,
    ws_leg,
)
from probes.ws_helpers import Reader, Writer

from t3probe.config.types import Leg
from t3probe.text import MASK, showable

TOKEN = "tok-7f3a9c-very-secret"
OK = response()


def leg(server: Server, **more: Any) -> Leg:
    """An HTTP leg over TLS."""
    more = {"kind": "http", "name": "app", "path": ("edge", "app")} | more
    return Leg(url=f"https://{HOST}:{server.port}/", pin="127.0.0.1", **more)


@pytest.fixture
def secret(tmp_path: Path) -> Callable[[str | bytes], str]:
    """A file that holds this."""

    def write(content: str | bytes) -> str:
        file = tmp_path / "secret"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(file)

    return write


Secret = Callable[[str | bytes], str]


async def test_each_kind_of_file_becomes_its_headers(authority: Authority, tmp_path: Path) -> None:
    contents = {
        "headers_file": "# for the app\n\nX-Api-Key: key-1234567\r\nX-Tenant: mine\n",
        "basic_file": "me:pass:word\n",
        "access_id_file": "id.access\n",
        "access_secret_file": "0123456789abcdef\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    files = {name: str(tmp_path / name) for name in contents}
    async with serve(answering(OK), tls=authority.context(HOST)) as server:
        seen = await probe(leg(server, **files), ca=authority.file)
    assert seen.outcome == "passed", seen.detail
    for request in server.requests:
        assert header_of(request, "x-api-key") == "key-1234567"
        assert header_of(request, "x-tenant") == "mine"
        given = header_of(request, "authorization") or ""
        assert base64.b64decode(given.removeprefix("Basic ")) == b"me:pass:word"
        assert header_of(request, "cf-access-client-id") == "id.access"
        assert header_of(request, "cf-access-client-secret") == "0123456789abcdef"


async def test_a_file_that_changes_counts_from_the_next_request_on(
    authority: Authority, tmp_path: Path
) -> None:
    """As Kubernetes changes it: a link to a folder is put in the place of another one."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(name * 4)
    data = tmp_path / "..data"
    data.symlink_to("one")
    (tmp_path / "token").symlink_to("..data/token")

    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            await head(reader, writer)
            aside = tmp_path / "..tmp"
            if not aside.is_symlink() and data.readlink() == Path("one"):
                aside.symlink_to("two")
                aside.replace(data)
            writer.write(OK)
            await writer.drain()

    async with serve(handler, tls=authority.context(HOST)) as server:
        held = leg(server, bearer_file=str(tmp_path / "token"))
        seen = await probe(held, hold=0.3, ca=authority.file)
    assert seen.outcome == "passed", seen.detail
    sent = [header_of(one, "authorization") for one in server.requests]
    assert sent[0] == "Bearer oneoneoneone"
    assert set(sent[1:]) == {"Bearer twotwotwotwo"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"", "found nothing"),
        (b"one\ntwo", "line ends or control characters"),
        (b"one\rtwo", "line ends or control characters"),
        (b"two words", "one word of ASCII characters"),
        (b"\xff\xfe\xfd", "a file in UTF-8"),
        (b"x" * 70_000, "a file of at most 65536 bytes"),
    ],
)
@pytest.mark.parametrize("kind", ["http", "ws_echo"])
async def test_a_file_of_no_use_is_nobodys_fault(
    kind: str, content: bytes | None, words: str, tmp_path: Path, authority: Authority
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    async with serve(answering(OK), tls=authority.context(HOST)) as server:
        made = leg(server, bearer_file=str(file))
        if kind == "ws_echo":
            made = ws_leg(server, url=f"wss://{HOST}:{server.port}/", bearer_file=str(file))
        seen = await probe(made, hold=0.1, ca=authority.file)
    assert (seen.outcome, seen.reason, seen.drops) == ("inconclusive", "token_refused", ())
    assert words in seen.detail
    assert "bearer_file" in seen.detail
    assert not server.requests


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("X-Key value", "line 1 is another one"),
        ("X-Key: ", "a value of printable ASCII"),
        ("X-Key: a\rb: c", "a value of printable ASCII"),
        ("Host: other.example", "headers that t3probe does not set itself"),
        ("Transfer-Encoding: chunked", "headers that t3probe does not set itself"),
        ("X-Key: a\nx-key: b", "line 2 has one again"),
        ("# nothing\n", "a header at least, found none"),
        ("X Key: " + TOKEN, "line 1 is another one"),
    ],
)
async def test_a_file_of_headers_of_no_use(
    content: str, words: str, secret: Secret, authority: Authority
) -> None:
    async with serve(answering(OK), tls=authority.context(HOST)) as server:
        seen = await probe(leg(server, headers_file=secret(content)), ca=authority.file)
    assert (seen.outcome, seen.reason) == ("inconclusive", "token_refused")
    assert words in seen.detail
    assert TOKEN not in seen.detail
    assert not server.requests


LOGIN = response("302 Found", b"", [("Location", "https://login.example/cdn-cgi/access/login")])


@pytest.mark.parametrize(
    "answer",
    [
        response("401 Unauthorized", TOKEN.encode(), [("WWW-Authenticate", f"Bearer x={TOKEN}")]),
        response("403 Forbidden", b"error 1020"),
        LOGIN,
        response("302 Found", b"", [("Location", "/login")]),
        response("302 Found", b"", [("Location", "https://sso.example/if/flow")]),
        response("200 OK", b"<html>/flow/login</html>", [("Content-Type", "text/html")]),
    ],
)
@pytest.mark.parametrize("kind", ["http", "ws_echo"])
async def test_a_refused_credential_accuses_nobody(
    kind: str, answer: bytes, secret: Secret, authority: Authority
) -> None:
    async with serve(answering(answer), tls=authority.context(HOST)) as server:
        file = secret(TOKEN + "\n")
        made = leg(server, bearer_file=file)
        if kind == "ws_echo":
            made = ws_leg(server, url=f"wss://{HOST}:{server.port}/", bearer_file=file)
        seen = await probe(made, hold=0.2, ca=authority.file)
    assert (seen.outcome, seen.reason, seen.drops) == ("inconclusive", "token_refused", ())
    assert "our credential is refused" in seen.detail
    assert TOKEN not in seen.detail
    assert all(header_of(one, "authorization") == f"Bearer {TOKEN}" for one in server.requests)
    assert server.requests
    assert not any(b"login" in one.split(b"\r\n")[0] for one in server.requests), "no redirect"


@pytest.mark.parametrize("answer", [response("404 Not Found"), response("502 Bad Gateway")])
async def test_other_failures_count_as_ever(
    answer: bytes, secret: Secret, authority: Authority
) -> None:
    async with serve(answering(answer), tls=authority.context(HOST)) as server:
        seen = await probe(leg(server, bearer_file=secret(TOKEN)), ca=authority.file)
    assert seen.outcome == "failed"


async def test_a_status_that_is_expected_is_no_refusal(
    secret: Secret, authority: Authority
) -> None:
    async with serve(answering(LOGIN), tls=authority.context(HOST)) as server:
        made = leg(server, bearer_file=secret(TOKEN), expect_status=(302,))
        assert (await probe(made, ca=authority.file)).outcome == "passed"


async def test_without_verified_tls_nothing_is_shown(secret: Secret, authority: Authority) -> None:
    async with serve(answering(OK), tls=authority.context("other.example")) as server:
        seen = await probe(leg(server, bearer_file=secret(TOKEN)), ca=authority.file)
    assert (seen.outcome, seen.reason) == ("failed", "tls_failed")
    assert not server.requests


@pytest.mark.parametrize("kind", ["http", "ws_echo"])
async def test_what_was_read_is_masked(kind: str, secret: Secret, authority: Authority) -> None:
    content = "Cookie: a=1; app=0123-abcd-4567\nX-Key: Q9x/7+zz12==\nProxy-Authorization: Basic "
    content += base64.b64encode(b"me:swordfish-9").decode()
    async with serve(echo_frames_or_ok(kind), tls=authority.context(HOST)) as server:
        file = secret(content)
        made = leg(server, headers_file=file)
        if kind == "ws_echo":
            made = ws_leg(server, url=f"wss://{HOST}:{server.port}/", headers_file=file)
        seen = await probe(made, ca=authority.file)
    assert seen.outcome == "passed", seen.detail
    for one in ("0123-abcd-4567", "Q9x/7+zz12==", "Q9x%2F7%2Bzz12%3D%3D", "swordfish-9"):
        assert showable(f"they said {one} to us") == f"they said {MASK} to us"


def echo_frames_or_ok(kind: str) -> Any:
    async def echoing(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        await echo_frames(reader, writer)

    return answering(OK) if kind == "http" else echoing


# -- client certificates -----------------------------------------------------------------------


def wants_ours(authority: Authority, clients: trustme.CA) -> ssl.SSLContext:
    context: ssl.SSLContext = authority.context(HOST)
    context.verify_mode = ssl.CERT_REQUIRED
    clients.configure_trust(context)
    return context


def pem(folder: Path, ca: trustme.CA, name: str = "me") -> str:
    """A client certificate with its key behind it."""
    made = ca.issue_cert(f"{name}@t3.example")
    file = folder / f"{name}.pem"
    file.write_bytes(made.private_key_and_cert_chain_pem.bytes())
    return str(file)


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("kind", ["http", "ws_echo"])
async def test_a_client_certificate(
    kind: str, newest: ssl.TLSVersion, authority: Authority, tmp_path: Path
) -> None:
    ours, others = trustme.CA(), trustme.CA()
    context = wants_ours(authority, ours)
    context.maximum_version = newest
    async with serve(echo_frames_or_ok(kind), tls=context) as server:
        for ca, outcome in ((ours, "passed"), (others, "inconclusive"), (ours, "passed")):
            file = pem(tmp_path, ca)
            made = leg(server, tls_cert=file)
            if kind == "ws_echo":
                made = ws_leg(server, url=f"wss://{HOST}:{server.port}/", tls_cert=file)
            seen = await probe(made, hold=0.1, ca=authority.file)
            assert seen.outcome == outcome, seen.detail
            if ca is others:
                assert "does not take our client certificate" in seen.detail


async def test_a_server_that_takes_our_certificate_and_hangs_up_is_down(
    authority: Authority, tmp_path: Path
) -> None:
    ours = trustme.CA()

    async def handler(reader: Reader, writer: Writer) -> None:
        await head(reader, writer)

    async with serve(handler, tls=wants_ours(authority, ours)) as server:
        seen = await probe(leg(server, tls_cert=pem(tmp_path, ours)), ca=authority.file)
    assert (seen.outcome, seen.reason) == ("failed", "closed_by_peer")


@pytest.mark.parametrize("content", [b"", b"no PEM", None])
async def test_a_certificate_of_no_use(
    content: bytes | None, authority: Authority, tmp_path: Path
) -> None:
    file = tmp_path / "me.pem"
    if content is not None:
        file.write_bytes(content)
    async with serve(answering(OK), tls=authority.context(HOST)) as server:
        seen = await probe(leg(server, tls_cert=str(file)), ca=authority.file)
    assert (seen.outcome, seen.reason) == ("inconclusive", "token_refused")
    assert "tls_cert" in seen.detail
    assert not server.connections


# -- a walled path, asked both ways ----------------------------------------------------------------


def walled(with_it: bytes, without: bytes = b"") -> Any:
    without = without or response("302 Found", b"", [("Location", "https://sso.example/flow")])

    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            request = await head(reader, writer)
            known = header_of(request, "authorization") == f"Bearer {TOKEN}"
            writer.write(with_it if known else without)
            await writer.drain()

    return handler


@pytest.mark.parametrize(
    ("handler", "outcome", "reason", "words"),
    [
        (walled(OK), "passed", None, ""),
        (walled(response("403 No")), "inconclusive", "token_refused", "credential is refused"),
        (walled(response("503 Down")), "inconclusive", "http_5xx", "nothing is served"),
        (walled(OK, OK), "failed", "not_walled", "served without a session"),
    ],
)
async def test_a_walled_path_asked_both_ways(
    handler: Any,
    outcome: str,
    reason: str | None,
    words: str,
    secret: Secret,
    authority: Authority,
) -> None:
    async with serve(handler, tls=authority.context(HOST)) as server:
        made = leg(server, kind="walled", bearer_file=secret(TOKEN), served_with=True)
        seen = await probe(made, ca=authority.file)
    assert (seen.outcome, seen.reason) == (outcome, reason), seen.detail
    assert words in seen.detail
    shown = [header_of(one, "authorization") for one in server.requests]
    assert shown[0] is None, "first as a stranger"
    assert shown.count(f"Bearer {TOKEN}") == (0 if outcome == "failed" else 1)


async def test_an_open_wall_is_found_without_a_credential(
    tmp_path: Path, authority: Authority
) -> None:
    async with serve(walled(OK, OK), tls=authority.context(HOST)) as server:
        made = leg(server, kind="walled", bearer_file=str(tmp_path / "none"), served_with=True)
        seen = await probe(made, ca=authority.file)
    assert (seen.outcome, seen.reason) == ("failed", "not_walled")
