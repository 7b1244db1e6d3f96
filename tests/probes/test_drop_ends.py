"""What a drop tells of its two ends, and a handshake that must not wait for an older one."""

from __future__ import annotations

import contextlib
import datetime
import errno
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
from probes.fixtures import Authority
from probes.servers import (
    HOST,
    Server,
    http_leg,
    probe,
    reset,
    serve,
    ws_leg,
)
from probes.ws_helpers import Reader, Writer

from t3probe.config.types import Leg
from t3probe.observation import Drop
from t3probe.probes import dial
from t3probe.probes.facts import Facts, Target

END = datetime.datetime(2020, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)


@contextlib.contextmanager
def one_at_a_time(context: ssl.SSLContext) -> Iterator[Server]:
    """A TLS server that looks at no second connection before the first one has ended."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(port=listener.getsockname()[1])
    ended = threading.Event()

    def work() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError as error:
                if error.errno in {errno.EINVAL, errno.EBADF}:
                    return
                raise
            server.connections += 1
            if ended.is_set():
                sock.close()
                return
            with contextlib.suppress(OSError), context.wrap_socket(sock, server_side=True) as made:
                while made.recv(4096):
                    pass
            sock.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield server
    finally:
        ended.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def legs(server: Server) -> tuple[Leg, ...]:
    return (
        http_leg(server, url=f"https://{HOST}/health"),
        ws_leg(server, url=f"wss://{HOST}/ws"),
    )


@pytest.mark.parametrize("kind", [0, 1], ids=["http", "ws_echo"])
async def test_the_end_of_an_expired_certificate_is_learned_one_connection_at_a_time(
    authority: Authority, kind: int
) -> None:
    with one_at_a_time(authority.context(HOST, expires_at=END)) as server:
        seen = await probe(legs(server)[kind], ca=authority.file)
    assert (seen.outcome, seen.reason) == ("failed", "tls_failed")
    assert seen.cert_not_after == END.timestamp()


@pytest.mark.parametrize("kind", [0, 1], ids=["http", "ws_echo"])
async def test_a_drop_in_the_tls_handshake_names_both_ends(authority: Authority, kind: int) -> None:
    async def cut(reader: Reader, writer: Writer) -> None:
        await reader.read(1)
        reset(writer)

    async with serve(cut) as server:
        seen = await probe(legs(server)[kind], ca=authority.file)
    drop = seen.drops[0]
    assert drop.reason == "connection_reset"
    assert ends(drop) == ("127.0.0.1", server.pin, "ipv4")


@pytest.mark.parametrize("kind", [0, 1], ids=["http", "ws_echo"])
async def test_a_drop_without_a_connection_names_what_was_dialled(kind: int) -> None:
    with socket.socket() as bound:  # taken, and nobody listens
        bound.bind(("127.0.0.1", 0))
        server = Server(port=bound.getsockname()[1])
        seen = await probe((http_leg(server), ws_leg(server))[kind])
    drop = seen.drops[0]
    assert drop.reason == "connect_refused"
    assert (drop.remote_address, drop.family) == (server.pin, "ipv4")


async def test_a_bad_certificate_is_not_called_silence(authority: Authority) -> None:
    """Bytes were acknowledged, and the far end did answer: with its certificate."""

    async def nothing(reader: Reader, writer: Writer) -> None:
        await reader.read()

    async with serve(nothing, tls=authority.context("other.example")) as server:
        seen = await probe(legs(server)[0], ca=authority.file)
    drop = seen.drops[0]
    assert drop.reason == "tls_failed"
    assert "did not answer" not in drop.evidence


def test_a_socket_that_was_never_bound_has_no_near_end() -> None:
    facts = Facts()
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
        dial.note_addresses(facts, sock, Target("app.example", "::1", 9))
    assert (facts.local_address, facts.remote_address) == ("", "[::1]:9")
    assert facts.family == "ipv6"


def ends(drop: Drop) -> tuple[str, str, str]:
    return drop.local_address.rpartition(":")[0], drop.remote_address, drop.family
