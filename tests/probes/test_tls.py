"""Certificates that count and those that do not, and peers that speak something else than TLS."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from probes.fixtures import Authority
from probes.servers import (
    HOST,
    Handler,
    deployment,
    http_leg,
    probe,
    response,
    serve,
    ws_leg,
)
from probes.servers import echo as ws_echo
from probes.tls_certs import DAY, make, shows, trusts
from probes.ws_helpers import Reader, Writer

from t3probe.config.types import Leg
from t3probe.observation import Observation
from t3probe.probes.tls import TlsStore, refusal, spoken
from t3probe.verdict.incident.run import judge_run

KINDS = ["http", "ws_echo"]
FINE = [x509.DNSName(HOST)]


async def web(reader: Reader, writer: Writer) -> None:
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response("200 OK"))
        await writer.drain()


def leg(kind: str, port: int, secure: bool = True, host: str = HOST, **more: Any) -> Leg:
    scheme, made = ("http", http_leg) if kind == "http" else ("ws", ws_leg)
    pin = f"127.0.0.1:{port}"
    return made(url=f"{scheme}{'s' if secure else ''}://{host}:{port}/", pin=pin, **more)


async def seen_with(
    context: ssl.SSLContext, ca: str, kind: str = "http", host: str = HOST
) -> Observation:
    async with serve(web if kind == "http" else ws_echo, tls=context) as server:
        return await probe(leg(kind, server.port, host=host), ca=ca, hold=0)


# -- when a chain ends -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_an_expired_intermediate_is_named(kind: str, tmp_path: Path) -> None:
    root = make("Root", ends=1000 * DAY)
    middle = make("Middle R3", root, ends=-2 * DAY)
    leaf = make("leaf", middle, sans=FINE)
    context = shows(tmp_path, leaf, middle)
    seen = await seen_with(context, trusts(tmp_path, root), kind)
    assert (seen.outcome, seen.reason) == ("failed", "tls_failed")
    assert 'has expired: the intermediate certificate "Middle R3" expired on ' in seen.detail
    assert seen.cert_not_after == middle.ends


@pytest.mark.parametrize("kind", KINDS)
async def test_the_first_end_in_the_chain_counts(kind: str, tmp_path: Path) -> None:
    root = make("Root", ends=1000 * DAY)
    middle = make("Middle", root, ends=5 * DAY)
    leaf = make("leaf", middle, sans=FINE, ends=60 * DAY)
    seen = await seen_with(shows(tmp_path, leaf, middle), trusts(tmp_path, root), kind)
    assert seen.outcome == "passed", seen.detail
    assert seen.cert_not_after == middle.ends


async def test_a_cross_signed_root_is_not_in_the_chain_that_counts(tmp_path: Path) -> None:
    old = make("Old Root", ends=-10 * DAY)
    root = make("New Root", ends=1000 * DAY)
    crossed = make("New Root", old, key=root.key, ends=-10 * DAY)
    leaf = make("leaf", root, sans=FINE)
    seen = await seen_with(shows(tmp_path, leaf, crossed), trusts(tmp_path, root))
    assert seen.outcome == "passed", seen.detail
    assert seen.cert_not_after == leaf.ends


@pytest.mark.parametrize(
    ("begins", "ends", "words"),
    [(-9 * DAY, -2 * DAY, "it expired on "), (2 * DAY, 9 * DAY, "it is not valid before ")],
)
async def test_a_certificate_out_of_its_time(
    begins: datetime.timedelta, ends: datetime.timedelta, words: str, tmp_path: Path
) -> None:
    root = make("Root")
    leaf = make("leaf", root, sans=FINE, begins=begins, ends=ends)
    seen = await seen_with(shows(tmp_path, leaf), trusts(tmp_path, root))
    assert seen.outcome == "failed"
    assert words in seen.detail
    assert seen.cert_not_after == leaf.ends


@pytest.mark.parametrize("kind", KINDS)
async def test_a_clock_before_the_installation_judges_no_certificate(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without a battery for its clock begins in the past, and all is not yet valid."""
    root = make("Root")
    early, late = (make("leaf", root, sans=FINE, begins=at * DAY, ends=9 * DAY) for at in (2, -9))
    expired = make("leaf", root, sans=FINE, begins=-9 * DAY, ends=-2 * DAY)
    ca = trusts(tmp_path, root)
    monkeypatch.setattr("t3probe.probes.tls._INSTALLED", time.time() + 2 * 86400)
    found = [
        (await seen_with(shows(tmp_path, one), ca, kind)).outcome for one in (early, late, expired)
    ]
    assert found == ["inconclusive", "passed", "failed"]
    seen = await seen_with(shows(tmp_path, early), ca, kind)
    assert "this machine's own clock says" in seen.detail


# -- where a browser takes it --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "sans"),
    [
        ("a." + HOST, [x509.DNSName("*." + HOST)]),
        (HOST + ".", FINE),
        ("127.0.0.1", [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
        ("xn--bcher-kva.example", [x509.DNSName("xn--bcher-kva.example")]),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_name_that_counts(
    host: str, sans: list[x509.GeneralName], kind: str, tmp_path: Path
) -> None:
    root = make("Root")
    leaf = make("leaf", root, sans=sans)
    seen = await seen_with(shows(tmp_path, leaf), trusts(tmp_path, root), kind, host)
    assert seen.outcome == "passed", seen.detail


@pytest.mark.parametrize(
    ("host", "sans", "words"),
    [
        ("a.b." + HOST, [x509.DNSName("*." + HOST)], f"It is for *.{HOST}"),
        ("127.0.0.1", [x509.DNSName("127.0.0.1")], "It is for 127.0.0.1"),
        (HOST, [], "It has no subjectAltName, and browsers take no other name"),
    ],
)
async def test_a_name_that_does_not_count(
    host: str, sans: list[x509.GeneralName], words: str, tmp_path: Path
) -> None:
    root = make("Root")
    leaf = make(HOST, root, sans=sans)
    seen = await seen_with(shows(tmp_path, leaf), trusts(tmp_path, root), host=host)
    assert (seen.outcome, seen.reason) == ("failed", "tls_failed")
    assert words in seen.detail


async def test_an_authority_of_ones_own_needs_no_key_identifiers(tmp_path: Path) -> None:
    root = make("Root", key_ids=False)
    leaf = make("leaf", root, sans=FINE, key_ids=False)
    seen = await seen_with(shows(tmp_path, leaf), trusts(tmp_path, root))
    assert seen.outcome == "passed", seen.detail
    context = TlsStore(trusts(tmp_path, root)).context()
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT  # on by default from Python 3.13 on


async def test_an_intermediate_may_be_what_is_trusted(tmp_path: Path) -> None:
    root = make("Root")
    middle = make("Middle", root)
    leaf = make("leaf", middle, sans=FINE)
    seen = await seen_with(shows(tmp_path, leaf), trusts(tmp_path, middle))
    assert seen.outcome == "passed", seen.detail


CLIENTS_ONLY = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
ELSEWHERE = x509.NameConstraints([x509.DNSName("other.example")], None)


@pytest.mark.parametrize("case", ["usage", "constraint"])
async def test_what_a_certificate_may_be_used_for(case: str, tmp_path: Path) -> None:
    root = make("Root", more=[(ELSEWHERE, True)] if case == "constraint" else [])
    leaf = make("leaf", root, sans=FINE, more=[(CLIENTS_ONLY, False)] if case == "usage" else [])
    seen = await seen_with(shows(tmp_path, leaf), trusts(tmp_path, root))
    assert (seen.outcome, seen.reason) == ("failed", "tls_failed")


async def test_a_missing_intermediate_that_a_browser_may_fetch(tmp_path: Path) -> None:
    root = make("Root")
    middle = make("Middle", root)
    leaf = make("leaf", middle, sans=FINE, issuers_at="http://ca.example/middle.der")
    seen = await seen_with(shows(tmp_path, leaf), trusts(tmp_path, root))
    assert (seen.outcome, seen.reason) == ("inconclusive", "tls_failed")
    assert "the server does not send the certificate of Middle" in seen.detail
    assert "(AIA)" in seen.detail


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["no folder", "an empty one", "one with authorities"])
async def test_where_no_authority_is_known_no_certificate_says_anything(
    where: str, kind: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an image without the system's, or where SSL_CERT_FILE names no file."""
    folder = tmp_path / "certs"
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    if where != "no folder":
        folder.mkdir()
        name = "0a1b2c3d.0" if where == "one with authorities" else "README"
        shutil.copy(authority.file, folder / name)
    async with serve(web, tls=authority.context(HOST)) as server:
        seen = await probe(leg(kind, server.port), hold=0)
    known = where == "one with authorities"
    assert (seen.outcome, seen.reason) == ("failed" if known else "inconclusive", "tls_failed")
    assert ("no certificate authority is known here at all" in seen.detail) == (not known)


async def test_an_issuer_that_nobody_knows(tmp_path: Path) -> None:
    root, other = make("Root"), make("Other")
    leaf = make("leaf", root, sans=FINE)
    seen = await seen_with(shows(tmp_path, leaf), trusts(tmp_path, other))
    assert (seen.outcome, seen.reason) == ("failed", "tls_failed")
    assert "the issuer Root is not known here; name its certificate in tls_ca" in seen.detail


# -- client certificates -----------------------------------------------------------------------


@contextmanager
def blocking(context: ssl.SSLContext) -> Iterator[int]:
    """A TLS server that sends its alerts, as asyncio's does not; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            while True:
                try:
                    sock, _ = server.accept()
                except OSError:
                    return
                with sock:
                    try:
                        with context.wrap_socket(sock, server_side=True) as secure:
                            secure.recv(65536)
                            secure.sendall(response("200 OK"))
                            secure.recv(65536)
                    except OSError:
                        pass

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("loud", [True, False])
async def test_a_server_that_asks_for_a_client_certificate(
    kind: str, version: ssl.TLSVersion, loud: bool, authority: Authority
) -> None:
    context = authority.context(HOST)
    context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    if loud:
        with blocking(context) as port:
            seen = await probe(leg(kind, port), ca=authority.file, hold=0)
    else:
        async with serve(web, tls=context) as server:
            seen = await probe(leg(kind, server.port), ca=authority.file, hold=0)
    assert (seen.outcome, seen.reason) == ("inconclusive", "tls_failed")
    assert seen.detail == f"{HOST} asks for a client certificate, which this leg does not send"


async def test_a_server_that_would_like_one_and_goes_on_without(authority: Authority) -> None:
    context = authority.context(HOST)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(authority.file)
    async with serve(web, tls=context) as server:
        seen = await probe(leg("http", server.port), ca=authority.file, hold=0)
    assert seen.outcome == "passed"

    async def breaks(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with serve(breaks, tls=context) as server:
        seen = await probe(leg("http", server.port), ca=authority.file, hold=0)
    assert (seen.outcome, seen.reason) == ("failed", "closed_by_peer")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_hangs_up_and_asked_for_nothing(
    kind: str, authority: Authority
) -> None:
    async def leaves(reader: Reader, writer: Writer) -> None:
        pass

    async with serve(leaves, tls=authority.context(HOST)) as server:
        seen = await probe(leg(kind, server.port), ca=authority.file, hold=0)
    assert seen.outcome == "failed"
    assert seen.reason in {"closed_by_peer", "connection_reset"}


# -- other protocols ------------------------------------------------------------------------------

ALERT = b"\x15\x03\x03\x00\x02\x02"
SETTINGS = b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80"
GOAWAY = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(8)
HTTP2 = "takes HTTP/2 only, which t3probe does not speak: name another"
TLS_HERE = "speaks TLS at this port: ask it by https:// or wss://"


def says(answer: bytes, stays: bool = False) -> Handler:
    async def handler(reader: Reader, writer: Writer) -> None:
        await reader.read(100)
        writer.write(answer)
        await writer.drain()
        if stays:
            await reader.read()

    return handler


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("answer", "tls", "stays"),
    [
        (SETTINGS, True, True),
        (SETTINGS, False, True),
        (SETTINGS + GOAWAY, False, False),
        (GOAWAY, True, False),
        (ALERT + b"\x78", None, False),
    ],
)
async def test_a_peer_that_takes_http2_only(
    kind: str, answer: bytes, tls: bool | None, stays: bool, authority: Authority
) -> None:
    context = authority.context(HOST) if tls else None
    async with serve(says(answer, stays), tls=context) as server:
        secure = tls is not False
        one = leg(kind, server.port, secure)
        seen = await probe(one, ca=authority.file, hold=0, watchdog=30)
    assert (seen.outcome, seen.drops) == ("inconclusive", ())
    assert seen.detail == f"{HOST} {HTTP2}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (ALERT + b"\x46", TLS_HERE),
        (
            response("400 Bad Request", b"The plain HTTP request was sent to HTTPS port"),
            TLS_HERE,
        ),
    ],
)
async def test_tls_on_the_plain_port(kind: str, answer: bytes, words: str) -> None:
    async with serve(says(answer)) as server:
        seen = await probe(leg(kind, server.port, secure=False), hold=0)
    assert seen.outcome == "failed"
    assert words in seen.detail


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("answer", [response("400 Bad Request"), b"SSH-2.0-OpenSSH_9.7\r\n"])
async def test_no_tls_on_the_secure_port(kind: str, answer: bytes, authority: Authority) -> None:
    async with serve(says(answer)) as server:
        seen = await probe(leg(kind, server.port), ca=authority.file, hold=0)
    assert (seen.outcome, seen.reason) == ("failed", "tls_failed")
    assert f"127.0.0.1:{server.port} is no TLS: plain HTTP, or another protocol" in seen.detail


@pytest.mark.parametrize("kind", KINDS)
async def test_a_proxy_that_misses_a_client_certificate(kind: str, authority: Authority) -> None:
    answer = response("400 Bad Request", b"<center>No required SSL certificate was sent</center>")
    async with serve(says(answer), tls=authority.context(HOST)) as server:
        seen = await probe(leg(kind, server.port), ca=authority.file, hold=0)
    assert seen.outcome == "inconclusive"
    assert f"{HOST} asks for a client certificate" in seen.detail


async def test_a_machine_that_speaks_something_else_is_there(authority: Authority) -> None:
    """A leg that asks for the machine only takes any answer for one."""
    missing = response("400 Bad Request", b"<center>No required SSL certificate was sent</center>")
    for answer, context in ((SETTINGS, None), (missing, None), (ALERT + b"\x78", "tls")):
        async with serve(says(answer)) as server:
            one = leg("http", server.port, secure=context == "tls", refused_ok=True)
            seen = await probe(one, ca=authority.file, hold=0)
        assert seen.outcome == "degraded", seen.detail
        assert "the machine answers, its page does not" in seen.detail


async def test_nobody_is_convicted_for_http2(authority: Authority) -> None:
    from t3probe.observation import RunRecord

    async with serve(says(SETTINGS), tls=authority.context(HOST)) as server:
        one = leg("http", server.port, path=("edge",))
        seen = await probe(one, ca=authority.file, hold=0)
    run = RunRecord(segments=deployment([one]).segments)
    assert judge_run(run, [seen]).verdict.convicted == ()


# -- pure ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [b"", b"\x00", b"HTTP/1.1 200", b"\x00\x00\x06\x05" + bytes(9), b"\x15\x02\x00", b"\x00" * 9],
)
def test_what_is_nothing_known(first: bytes) -> None:
    assert spoken(first) is None


def test_a_400_that_is_about_tls() -> None:
    for words in (
        b"Client sent an HTTP request to an HTTPS server.",
        b"Reason: You're speaking plain HTTP to an SSL-enabled server port.",
    ):
        found = refusal(400, words)
        assert found is not None
        assert found == (TLS_HERE, True)


def test_another_400_is_none_of_these() -> None:
    assert refusal(400, b"no") is None
    assert refusal(403, b"No required SSL certificate was sent") is None
