"""Messages by mail: SMTP (RFC 5321), submission over TLS (RFC 8314), one deadline for the whole.

The login goes over TLS with a verified certificate only. When all of a message was sent and the
answer is lost, it counts as sent: most servers have it then, and nobody wants it twice. Its
Message-ID stays the same when it is sent again.
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Mapping
from email import policy
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

import msgspec

from t3probe.config.delivery import MAIL_PORTS, Mail
from t3probe.config.secrets import secret
from t3probe.deliver.notices import Posted
from t3probe.deliver.notices.outbox import Message
from t3probe.exchange.bounds import SERVICE_ANSWER_BYTES
from t3probe.exchange.client import Budget, Login, Site, Trouble, connected
from t3probe.guard import LoopbackOnlyError
from t3probe.text import cut, plain, showable

MEND_LOGIN = "look at user in [delivery.mail] and at T3PROBE_MAIL_PASSWORD"


class Mailbox(msgspec.Struct, frozen=True):
    """A mail server, and who is told by it."""

    host: str
    port: int
    tls: str
    sender: str
    to: tuple[str, ...]
    user: str = ""
    password: str = ""
    ca_file: str | None = None

    @property
    def name(self) -> str:
        """Host and port, for sentences."""
        return f"{self.host}:{self.port}"


def mailbox_of(table: Mail, environ: Mapping[str, str], ca_file: str | None = None) -> Mailbox:
    """The server of `[delivery.mail]` with its password. Raises DeploymentError or ValueError, one
    sentence."""
    password = secret("mail_password", environ) or ""
    if bool(table.user) != bool(password):
        raise ValueError(
            "expected user in [delivery.mail] and T3PROBE_MAIL_PASSWORD together, found one; set "
            "the other"
        )
    return Mailbox(
        host=table.host,
        port=table.port or MAIL_PORTS[table.tls],
        tls=table.tls,
        sender=table.sender,
        to=table.to,
        user=table.user,
        password=password,
        ca_file=table.tls_ca or ca_file,
    )


def letter(box: Mailbox, message: Message) -> EmailMessage:
    """The mail. Each header is one line of ours without secrets: nothing can add another."""
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"] = box.sender
    mail["To"] = ", ".join(box.to)
    mail["Subject"] = cut(plain(message.subject), 160)
    mail["Date"] = formatdate(message.at)
    mail["Message-ID"] = f"<{message.id}@{box.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday's answer is wanted
    mail.set_content("\n".join(plain(line) for line in message.text.splitlines()) + "\n")
    return mail


def post(box: Mailbox, message: Message, budget: Budget) -> Posted:
    """Send one message to all recipients. Never raises for what a server may do."""
    where = f"the mail server {box.name}"
    stage = [""]
    try:
        said = _session(box, budget, stage, lambda smtp: _transfer(smtp, box, message, stage))
    except _NeverError as refused:
        return Posted(True, f"{where} {refused}; the message is lost", ok=False)
    except Exception as error:
        what = _what(error, budget)
        if what is None:
            raise
        if stage[0] == "sent":
            return Posted(True, f"{where} {what} after the whole message; it counts as sent")
        return Posted(False, f"{where} {what}", ok=False)
    return Posted(True, f"{where}: sent{said}", ok=not said)


def ask(box: Mailbox, budget: Budget) -> str:
    """Log in and send nothing; what is wrong, empty: nothing."""
    try:
        _session(box, budget, [""], lambda smtp: str(_expect(smtp.noop(), "NOOP")))
    except Exception as error:
        what = _what(error, budget)
        if what is None:
            raise
        return what
    return ""


class _NeverError(Exception):
    """The server will never take this message."""


def _session(
    box: Mailbox, budget: Budget, stage: list[str], work: Callable[[smtplib.SMTP], str]
) -> str:
    context = _context(box, budget)
    smtp = _client(box, budget, context)
    try:
        _expect(smtp.connect(box.host, box.port), "its greeting")
        smtp.ehlo_or_helo_if_needed()
        if box.tls == "starttls":
            if not smtp.has_extn("starttls"):
                raise Trouble("offers no STARTTLS, so nothing is sent; set tls to what it has")
            _expect(smtp.starttls(context=context), "STARTTLS")
            smtp.ehlo()
        if box.user:
            if not smtp.has_extn("auth"):
                raise Trouble(f"takes no login; {MEND_LOGIN}")
            smtp.login(box.user, box.password)
        said = work(smtp)
    finally:
        if smtp.sock is not None:
            smtp.close()
    return said


def _transfer(smtp: smtplib.SMTP, box: Mailbox, message: Message, stage: list[str]) -> str:
    """Hand over one mail; what is to be said about it."""
    lines = letter(box, message).as_bytes()
    data = re.sub(rb"(?m)^\.", b"..", lines)  # RFC 5321, section 4.5.2
    _expect(smtp.mail(box.sender), "MAIL")
    refused = []
    for one in box.to:
        code, words = smtp.rcpt(one)
        if code not in (250, 251):
            refused.append(f"{one} ({code} {showable(words, 80)})")
    if len(refused) == len(box.to):
        raise Trouble(f"refuses every recipient: {refused[0]}")
    code, words = smtp.docmd("DATA")
    if code == 354:
        smtp.send(data + b".\r\n")
        stage[0] = "sent"
        code, words = smtp.getreply()
        stage[0] = ""
    if code >= 500:
        raise _NeverError(f"refuses the message with {code} ({showable(words, 120)})")
    _expect((code, words), "the message")
    try:
        smtp.docmd("QUIT")
    except (OSError, smtplib.SMTPException):
        pass  # it has the message
    return f", but it refuses {', '.join(refused)}" if refused else ""


def _expect(answer: tuple[int, bytes], to: str) -> int:
    code, words = answer
    if not 200 <= code < 300:
        raise Trouble(f"answers {to} with {code} ({showable(words, 120)})")
    return code


def _context(box: Mailbox, budget: Budget) -> ssl.SSLContext:
    """Certificate and name are checked; reads and writes end with the budget."""
    context = Site("https://mail.invalid", Login(ca_file=box.ca_file)).context()

    class Secure(ssl.SSLSocket):
        left = _Left(budget)

        def recv_into(self, *given: Any, **more: Any) -> int:
            self.settimeout(self.left.seconds)
            return self.left.take(super().recv_into(*given, **more))

        def sendall(self, data: Any, flags: int = 0) -> None:
            self.settimeout(self.left.seconds)
            super().sendall(data, flags)

    context.sslsocket_class = Secure
    return context


class _Left:
    """What is left of a session: seconds, and bytes that a server may send."""

    def __init__(self, budget: Budget) -> None:
        self._budget, self._bytes = budget, SERVICE_ANSWER_BYTES

    @property
    def seconds(self) -> float:
        left = self._budget.left_seconds
        if left <= 0:
            raise TimeoutError
        return left

    def take(self, count: int) -> int:
        self._bytes -= count
        if self._bytes < 0:
            raise Trouble("says more than a mail server should")
        return count


def _client(box: Mailbox, budget: Budget, context: ssl.SSLContext) -> smtplib.SMTP:
    left = _Left(budget)

    class Plain(socket.socket):
        def recv_into(self, *given: Any, **more: Any) -> int:
            self.settimeout(left.seconds)
            return left.take(super().recv_into(*given, **more))

        def sendall(self, data: Any, flags: int = 0) -> None:
            self.settimeout(left.seconds)
            super().sendall(data, flags)

    class Client(smtplib.SMTP):
        def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
            self._host = box.host  # what a certificate has to name
            sock = connected(box.host, box.port, budget)
            if box.tls == "implicit":
                sock.settimeout(left.seconds)
                try:
                    return context.wrap_socket(sock, server_hostname=box.host)
                except BaseException:
                    sock.close()
                    raise
            return Plain(fileno=sock.detach())

    # Without a name smtplib asks resolvers for this machine's.
    return Client(local_hostname=box.sender.rpartition("@")[2] or "t3probe.invalid")


def _what(error: Exception, budget: Budget) -> str | None:
    """The end of a sentence; None for what is a mistake of ours."""
    match error:
        case Trouble():
            return error.what
        case smtplib.SMTPAuthenticationError():
            words = showable(error.smtp_error, 120)
            return f"refuses the login with {error.smtp_code} ({words}); {MEND_LOGIN}"
        case smtplib.SMTPResponseException():
            return f"answers {error.smtp_code} ({showable(error.smtp_error, 120)})"
        case smtplib.SMTPServerDisconnected() if budget.left_seconds <= 0:
            return "did not answer in time"  # the library calls every end so
        case smtplib.SMTPServerDisconnected():
            return "closed the connection"
        case smtplib.SMTPNotSupportedError():
            return f"has no way to log in that is known here; {MEND_LOGIN}"
        case smtplib.SMTPException():
            return f"does not speak SMTP as expected ({type(error).__name__})"
        case TimeoutError():
            return "did not answer in time"
        case ConnectionRefusedError():
            return "refuses connections"
        case ssl.SSLCertVerificationError():
            why = showable(error.verify_message or error.reason)
            return f"shows a certificate that is not accepted ({why}); nothing was sent"
        case ssl.SSLError():
            return f"broke TLS off ({showable(error.reason)})"
        case LoopbackOnlyError():
            return f"was not contacted: {error}"
        case OSError():
            return f"cannot be reached ({showable(error.strerror or type(error).__name__)})"
        case UnicodeError():
            return "cannot be asked: a name that is no name of a host"
    return None
