"""Mail through a real SMTP server with STARTTLS and a login, and through ones that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope

from t3probe.deliver.notices import Notice
from t3probe.deliver.notices.mail import Mailbox, ask, letter, post
from t3probe.deliver.notices.outbox import message_of
from t3probe.exchange.client import Budget
from t3probe.timing import SystemClock

PASSWORD = "correct horse battery"
NOTICE = Notice("ab" * 16, 1.7e9, "t3: tunnel is broken", "t3: tunnel is broken.\n.\n..dots\n")
MESSAGE = message_of([NOTICE], 0, 1.7e9)


class Inbox:
    """What arrived."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.refuses: dict[str, str] = {}
        self.after_data = "250 OK"

    async def handle_RCPT(  # noqa: N802 - what the library looks for
        self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        return self.after_data


def authenticated(
    server: Any, session: Any, envelope: Any, mechanism: str, data: Any
) -> AuthResult:
    good = data.login == b"probe" and data.password == PASSWORD.encode()
    return AuthResult(success=good, handled=False)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(ca: trustme.CA, tmp_path: Path) -> str:
    file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    return str(file)


@contextlib.contextmanager
def serving(inbox: Inbox, ca: trustme.CA, tls: str, host: str = "localhost") -> Iterator[int]:
    """A server with TLS and a login; with `none` with neither."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(host).configure_cert(context)
    more: dict[str, Any] = {}
    if tls != "none":
        more = {"auth_required": True, "authenticator": authenticated}
    if tls == "starttls":
        more |= {"tls_context": context, "require_starttls": True}
    if tls == "implicit":
        more |= {"auth_require_tls": False}
    loop, port, ready = asyncio.new_event_loop(), [0], threading.Event()

    async def serve() -> None:
        server = await loop.create_server(
            lambda: SMTP(inbox, hostname="mx", loop=loop, **more),
            "127.0.0.1",
            0,
            ssl=context if tls == "implicit" else None,
        )
        port[0] = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()
        await asyncio.sleep(0.05)

    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    ready.wait(10)
    yield port[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


def box(port: int, tls: str = "starttls", ca_file: str | None = None, **more: Any) -> Mailbox:
    more.setdefault("to", ("ops@example.org", "dev@example.org"))
    if tls != "none":
        more = {"user": "probe", "password": PASSWORD, **more}
    return Mailbox(
        host="localhost", port=port, tls=tls, sender="t3probe@example.org", ca_file=ca_file, **more
    )


def budget(seconds: float = 30.0) -> Budget:
    return Budget(SystemClock(), seconds)


pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")


@pytest.mark.parametrize("tls", ["starttls", "implicit", "none"])
def test_a_mail_arrives_with_its_headers(ca: trustme.CA, trusted: str, tls: str) -> None:
    inbox = Inbox()
    with serving(inbox, ca, tls) as port:
        posted = post(box(port, tls, trusted), MESSAGE, budget())
    assert posted.ok, posted.sentence
    assert posted.over
    (envelope,) = inbox.envelopes
    assert envelope.rcpt_tos == ["ops@example.org", "dev@example.org"]
    mail = email.message_from_bytes(envelope.content, policy=email.policy.default)  # type: ignore[arg-type]
    assert mail["Subject"] == "t3: tunnel is broken"
    assert mail["To"] == "ops@example.org, dev@example.org"
    assert mail["Message-ID"] == f"<{'ab' * 16}@example.org>"
    assert mail["Date"].datetime.timestamp() == 1.7e9
    assert mail.get_content().splitlines() == ["t3: tunnel is broken.", ".", "..dots"]


def test_the_password_goes_over_verified_tls_only(ca: trustme.CA, trusted: str) -> None:
    inbox = Inbox()
    with serving(inbox, ca, "starttls", host="elsewhere") as port:
        posted = post(box(port, ca_file=trusted), MESSAGE, budget())
    assert not posted.over
    assert "shows a certificate that is not accepted" in posted.sentence
    with serving(inbox, ca, "none") as port:  # it offers no STARTTLS
        posted = post(box(port, ca_file=trusted), MESSAGE, budget())
    assert not posted.over
    assert "offers no STARTTLS" in posted.sentence
    assert not inbox.envelopes


def test_a_wrong_password_waits_and_is_not_shown(ca: trustme.CA, trusted: str) -> None:
    with serving(Inbox(), ca, "starttls") as port:
        wrong = box(port, ca_file=trusted, password="not-this-one")
        posted = post(wrong, MESSAGE, budget())
        assert "refuses the login with 535" in ask(wrong, budget())
        assert ask(box(port, ca_file=trusted), budget()) == ""
    assert not posted.over
    assert "T3PROBE_MAIL_PASSWORD" in posted.sentence
    assert "not-this-one" not in posted.sentence


def test_one_refused_recipient_costs_the_other_nothing(ca: trustme.CA, trusted: str) -> None:
    inbox = Inbox()
    inbox.refuses = {"ops@example.org": "550 nobody here"}
    with serving(inbox, ca, "starttls") as port:
        posted = post(box(port, ca_file=trusted), MESSAGE, budget())
        assert (posted.over, posted.ok) == (True, False)
        assert "refuses ops@example.org (550 nobody here)" in posted.sentence
        assert inbox.envelopes[0].rcpt_tos == ["dev@example.org"]
        inbox.refuses["dev@example.org"] = "451 later"
        assert not post(box(port, ca_file=trusted), MESSAGE, budget()).over
        inbox.refuses, inbox.after_data = {}, "452 no room"
        assert not post(box(port, ca_file=trusted), MESSAGE, budget()).over
        inbox.after_data = "554 no"
        posted = post(box(port, ca_file=trusted), MESSAGE, budget())
    assert (posted.over, posted.ok) == (True, False)
    assert "the message is lost" in posted.sentence


@contextlib.contextmanager
def talking(work: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that handles one connection by hand."""
    listener = socket.create_server(("127.0.0.1", 0))

    def one() -> None:
        with contextlib.suppress(OSError):
            sock, _ = listener.accept()
            with sock:
                work(sock)

    thread = threading.Thread(target=one, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.close()
    thread.join(10)


def dialogue(sock: socket.socket, answer_data: bytes | None) -> None:
    lines = sock.makefile("rb")
    sock.sendall(b"220 mx\r\n")
    for line in lines:
        word = line[:4].upper()
        if word == b"DATA":
            sock.sendall(b"354 go\r\n")
            while next(lines) != b".\r\n":
                pass
            if answer_data is None:
                return
            sock.sendall(answer_data)
        elif word == b"QUIT":
            return
        else:
            sock.sendall(b"250 OK\r\n")


def test_an_answer_that_is_lost_after_the_data_counts_as_sent() -> None:
    with talking(lambda sock: dialogue(sock, None)) as port:
        posted = post(box(port, "none"), MESSAGE, budget())
    assert (posted.over, posted.ok) == (True, True)
    assert "it counts as sent" in posted.sentence


def test_a_server_that_drips_ends_with_the_budget() -> None:
    over = threading.Event()

    def drip(sock: socket.socket) -> None:
        sock.sendall(b"220-")
        while not over.wait(0.01):
            sock.sendall(b"x")

    with talking(drip) as port:
        posted = post(box(port, "none"), MESSAGE, budget(0.3))
        over.set()
    assert not posted.over
    assert "did not answer in time" in posted.sentence


def test_a_server_that_never_stops_talking_is_left() -> None:
    def flood(sock: socket.socket) -> None:
        while True:
            sock.sendall(b"220-more\r\n" * 1000)

    with talking(flood) as port:
        posted = post(box(port, "none"), MESSAGE, budget())
    assert not posted.over
    assert "says more than a mail server should" in posted.sentence


def test_nothing_begins_another_header() -> None:
    bad = Notice(
        "ab" * 16, 1.7e9, "x\r\nBcc: all@example.org\r\n\r\nbody", "y\r\n.\r\nMAIL FROM:<z>"
    )
    mail = letter(box(25, "none"), message_of([bad], 0, 1.7e9))
    assert mail.keys().count("Bcc") == 0
    assert "\n" not in mail["Subject"]
    assert "\r" not in mail["Subject"]
