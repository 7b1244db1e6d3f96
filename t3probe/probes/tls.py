"""TLS contexts, shared per run, when certificates end, and why a handshake failed.

Loading the system's certificate authorities costs tens of milliseconds, so a run loads its
trust store once. A certificate counts where a browser takes it. What a failed handshake leaves
open, a second one finds out, on a connection that sends nothing. Beside it, what a peer says that
speaks another protocol than it is asked in.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from t3probe.exchange.bounds import TLS_ALERT_SECONDS
from t3probe.probes.facts import Facts, ProbeError, Target
from t3probe.text import showable
from t3probe.text.words import utc
from t3probe.timing import SystemClock

ENDED = frozenset({"connection_reset", "closed_by_peer", "io_error"})
"""Reasons for which `unanswered` is worth asking."""

HTTP2_ONLY = "takes HTTP/2 only, which t3probe does not speak: name another"
CLIENT_CERTIFICATE = "asks for a client certificate, which this leg does not send"
NOT_OURS = "does not take our client certificate"

_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME (X509_VERIFY_PARAM_set_flags(3))."""
_NOT_YET_VALID, _EXPIRED = 9, 10
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED (verify(1))."""
_INSTALLED = Path(__file__).stat().st_mtime
"""A clock before this is wrong: machines without a battery for it begin in the past."""
_ANY_ZONE_SECONDS = 86400.0
_NO_ISSUER = {20, 21}
"""X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE."""
_SELF_SIGNED = {18, 19}
"""X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN."""
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""How OpenSSL finds an authority in a folder (openssl-rehash(1))."""
_HOSTNAME, _ADDRESS = 62, 64
"""X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH."""
_CERTIFICATE_REQUEST = 13
"""RFC 8446, section 4.3.2."""
_ABOUT_OURS = ("certificate", "handshake failure", "access denied", "unknown ca")
"""Words of the alerts that a server sends a client without a certificate."""
_MOST_NAMES = 3
_RECORD_BYTES = 1 << 14
"""The most that one TLS record holds."""

Certificate = Mapping[str, Any]
"""As `ssl.SSLSocket.getpeercert` gives it."""


def small_buffers() -> None:
    """From now on, a TLS connection of this process reads a record at a time.

    asyncio gives each a buffer of 256 KiB, which lives until its ring of references is collected:
    where every heartbeat opens connections and closes them, that was a third of all memory.
    """
    if hasattr(SSLProtocol, "max_size"):
        SSLProtocol.max_size = _RECORD_BYTES


class TlsStore:
    """Hands out one client context per application protocol, made when first asked for."""

    def __init__(self, ca_file: str | None) -> None:
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None
        self._own: tuple[str, str] | None = None
        """The files of the client certificate that its context shows."""
        self._certified: dict[tuple[str, str], tuple[bytes, TlsStore]] = {}

    @property
    def certificate_words(self) -> str:
        """What is wrong with the client certificate of a peer that wants one."""
        return NOT_OURS if self._own else CLIENT_CERTIFICATE

    def certified(self, certificate: str, key: str, digest: bytes) -> TlsStore:
        """One whose context shows the client certificate in these files; `digest`: of their
        content, so that files that were changed are read again. Raises SSLError, OSError."""
        known = self._certified.get((certificate, key))
        if known is None or known[0] != digest:
            store = TlsStore(self._ca_file)
            # Without a word for it OpenSSL would ask at the terminal for a passphrase.
            store.context().load_cert_chain(certificate, key, password=lambda: b"")
            store._own = certificate, key
            known = self._certified[certificate, key] = digest, store
        return known[1]

    def _new(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._ca_file)
        context.set_alpn_protocols(["http/1.1"])
        # As browsers: no name but a subjectAltName counts, an authority of one's own needs no key
        # identifiers (which Python from 3.13 on asks for), and any certificate may be trusted.
        context.hostname_checks_common_name = False
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    def context(self) -> ssl.SSLContext:
        """The run's client context: certificate and host name are checked."""
        if self._context is None:
            self._context = self._new()
        return self._context

    @property
    def trusts_nobody(self) -> bool:
        """Whether no authority is known here, as where the system's are not installed."""
        if self._ca_file is not None or self.context().cert_store_stats()["x509"]:
            return False
        folder = ssl.get_default_verify_paths().capath  # its files are read when they are asked for
        try:
            return folder is None or not any(map(_HASHED.fullmatch, os.listdir(folder)))
        except OSError:
            return True

    async def chain_whenever(self, target: Target, limit: float) -> Sequence[Certificate]:
        """The chain by which the peer's certificate would be taken, were it not for the time; the
        peer's own is the first. Empty when it is not taken even so."""
        context = self._new()
        context.verify_flags |= _NO_CHECK_TIME
        return (await _look(context, target, limit)).chain

    async def sent(self, target: Target, limit: float) -> Sequence[Certificate]:
        """The certificates that the peer sends, unverified; empty when it sends none."""
        return (await _look(_unverifying(), target, limit)).sent

    async def wants_certificate(self, target: Target, limit: float) -> bool:
        """Whether the peer asks for a client certificate, and hangs up without one, or on ours."""
        asked: list[int] = []
        context = _unverifying()
        if self._own is not None:
            context, (certificate, key) = self._new(), self._own
            try:
                context.load_cert_chain(certificate, key, password=lambda: b"")
            except (OSError, ValueError):
                return False  # it is being changed

        def note(_: Any, way: str, __: Any, ___: Any, kind: Any, ____: bytes) -> None:
            if way == "read" and kind == _CERTIFICATE_REQUEST:
                asked.append(kind)

        # It has no public name; without it nobody is said to have asked.
        context._msg_callback = note  # type: ignore[attr-defined]
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(limit):
                reader, writer = await _open(context, target)
            if not asked:
                return False
            async with asyncio.timeout(TLS_ALERT_SECONDS):
                return not await reader.read(1)
        except TimeoutError:
            return False
        except OSError:
            return bool(asked)
        finally:
            if writer is not None:
                writer.transport.abort()


def _unverifying() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _open(
    context: ssl.SSLContext, target: Target
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(
        target.address, target.port, ssl=context, server_hostname=target.tls_name
    )


class _Look(NamedTuple):
    """What a second handshake brought."""

    chain: Sequence[Certificate] = ()
    sent: Sequence[Certificate] = ()


async def _look(context: ssl.SSLContext, target: Target, limit: float) -> _Look:
    """Shake hands and hang up. Never raises for what the peer does."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(limit):
            _, writer = await _open(context, target)
            return _Look(_chain(writer.transport), _chain(writer.transport, verified=False))
    except (OSError, TimeoutError):
        return _Look()
    finally:
        if writer is not None:
            writer.transport.abort()


def _chain(transport: Any, verified: bool = True) -> Sequence[Certificate]:
    """The peer's chain, its own certificate first; empty without TLS."""
    if transport is None:
        return []
    talk = getattr(transport.get_extra_info("ssl_object"), "_sslobj", None)
    # Python from 3.13 on has public names for the same, which give undecoded certificates.
    ask = getattr(talk, f"get_{'' if verified else 'un'}verified_chain", None)
    if ask is not None:
        return [one.get_info() for one in ask() or ()]
    own = transport.get_extra_info("peercert")
    return [own] if own else []


def not_after(transport: Any) -> float | None:
    """When the chain ends by which the peer's certificate on this transport was taken, Unix
    seconds: that is when the first of its certificates does. None without TLS."""
    return _first_end(_chain(transport))


def _first_end(chain: Sequence[Certificate]) -> float | None:
    return min((_when(one, "notAfter") for one in chain if "notAfter" in one), default=None)


def _when(certificate: Certificate, what: str) -> float:
    return float(ssl.cert_time_to_seconds(certificate[what]))


async def tls_error(
    error: BaseException, target: Target, facts: Facts, store: TlsStore, limit: float
) -> ProbeError:
    """A failed handshake as ProbeError; also learns when an expired certificate expired."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return await _not_taken(error, target, facts, store, limit)
    if not isinstance(error, ssl.SSLError):
        reset = isinstance(error, ConnectionResetError)
        words = f"connection {'reset' if reset else 'closed'} during the TLS handshake"
        ended = ProbeError("connection_reset" if reset else "tls_failed", "ask", words)
        return await unanswered(ended, target, store, limit)
    words = f"{error.reason or ''} {error}".lower().replace("_", " ")
    if "no application protocol" in words:
        return _answered_badly(f"{target.host} {HTTP2_ONLY}", conclusive=False)
    if any(one in words for one in _ABOUT_OURS) and await store.wants_certificate(target, limit):
        return _answered_badly(f"{target.host} {store.certificate_words}", conclusive=False)
    if "wrong version number" in words or "http request" in words:
        detail = f"what answers at {target} is no TLS: plain HTTP, or another protocol"
        return _answered_badly(detail)
    return _answered_badly(f"TLS handshake failed: {error.reason or 'broken'}")


async def unanswered(
    failed: ProbeError, target: Target, store: TlsStore, limit: float
) -> ProbeError:
    """Why the peer ended a new connection before it answered anything: for want of a client
    certificate, which in TLS 1.3 it says after the handshake. Else `failed` as it is."""
    if not await store.wants_certificate(target, limit):
        return failed
    wants = ProbeError(
        "tls_failed", "ask", f"{target.host} {store.certificate_words}", conclusive=False
    )
    wants.tcp = failed.tcp
    return wants


async def _not_taken(
    error: ssl.SSLCertVerificationError,
    target: Target,
    facts: Facts,
    store: TlsStore,
    limit: float,
) -> ProbeError:
    """A certificate that was not taken, with what the peer's others say about it."""
    said = f"certificate not accepted: {error.verify_message or error.reason}"
    code = error.verify_code
    now = SystemClock().wall()  # that of OpenSSL
    if code == _NOT_YET_VALID and now + _ANY_ZONE_SECONDS < _INSTALLED:
        what = f"says {utc(now)[:10]}, before t3probe was installed on it"
        detail = f"{said}: this machine's own clock {what}"
        return _answered_badly(detail, conclusive=False)
    if code in {_EXPIRED, _NOT_YET_VALID}:
        chain = await store.chain_whenever(target, limit)
        facts.cert_not_after = _first_end(chain)
        what = "notAfter" if code == _EXPIRED else "notBefore"
        dated = [one for one in chain if what in one]
        if dated:
            pick = min if code == _EXPIRED else max
            worst = pick(dated, key=lambda one: _when(one, what))
            verb = "expired on" if code == _EXPIRED else "is not valid before"
            return _answered_badly(f"{said}: {_rank(worst, chain)} {verb} {worst[what]}")
    elif code in _NO_ISSUER | _SELF_SIGNED and store.trusts_nobody:
        detail = f"{said}: no certificate authority is known here at all: install the system's"
        return _answered_badly(f"{detail}, see to SSL_CERT_FILE, or name tls_ca", conclusive=False)
    elif code in _NO_ISSUER:
        sent = await store.sent(target, limit)
        last = sent[-1] if sent else {}
        issuer = showable(_name(last, "issuer"), 60)
        if last.get("caIssuers") and last.get("issuer") != last.get("subject"):
            detail = (
                f"{said}: the server does not send the certificate of {issuer}. A browser may fetch"
                " it by itself (AIA), t3probe does not: let the server send its whole chain"
            )
            return _answered_badly(detail, conclusive=False)
        if issuer:
            said += f": the issuer {issuer} is not known here; name its certificate in tls_ca"
    elif code in {_HOSTNAME, _ADDRESS}:
        sent = await store.sent(target, limit)
        names = [str(value) for _, value in (sent[0] if sent else {}).get("subjectAltName", ())]
        if names:
            said += f" It is for {showable(', '.join(names[:_MOST_NAMES]), 80)}"
        elif sent:
            said += " It has no subjectAltName, and browsers take no other name"
    return _answered_badly(said)


def _rank(certificate: Certificate, chain: Sequence[Certificate]) -> str:
    if certificate is chain[0]:
        return "it"
    kind = "root" if certificate.get("issuer") == certificate.get("subject") else "intermediate"
    return f'the {kind} certificate "{showable(_name(certificate, "subject"), 60)}"'


def _name(certificate: Certificate, whose: str) -> str:
    """The common name of a certificate's subject or issuer, or the last part that it has."""
    parts = [pair for group in certificate.get(whose, ()) for pair in group]
    named = [value for key, value in parts if key == "commonName"]
    return str((named or [value for _, value in parts] or [""])[-1])


def _answered_badly(detail: str, *, conclusive: bool = True) -> ProbeError:
    failed = ProbeError("tls_failed", "ask", detail, conclusive=conclusive)
    failed.heard = True
    return failed


_TLS_RECORDS = (0x15, 0x16)
"""An alert or a handshake (RFC 8446, section 5.1)."""
_HTTP2_FIRST = (0x04, 0x07)
"""SETTINGS or GOAWAY (RFC 9113, section 6)."""
_HTTP2_HEAD = 9
_IN_PLAIN = (
    b"plain HTTP request was sent to HTTPS port",
    b"HTTP request to an HTTPS server",
    b"speaking plain HTTP to an SSL-enabled server port",
)
_NO_CERTIFICATE = (b"No required SSL certificate was sent", b"The SSL certificate error")


class Foreign(NamedTuple):
    """What the peer speaks, as the end of a sentence that begins with its name."""

    words: str
    conclusive: bool = True
    """False: t3probe does not speak it, which says nothing about the peer."""


def spoken(first: bytes) -> Foreign | None:
    """What the first bytes are that a peer answers plain HTTP/1.1 with; None: nothing known."""
    if first.startswith(b"PRI * HTTP/2.0") or (
        len(first) >= _HTTP2_HEAD
        and first[0] == 0
        and first[3] in _HTTP2_FIRST
        and not any(first[5:_HTTP2_HEAD])
    ):
        return Foreign(HTTP2_ONLY, conclusive=False)
    if len(first) > 2 and first[0] in _TLS_RECORDS and first[1] == 3 and first[2] <= 4:
        return Foreign("speaks TLS at this port: ask it by https:// or wss://")
    return None


def refusal(status: int, body: bytes, certified: bool = False) -> Foreign | None:
    """What a proxy means by a 400 that is about TLS; None: nothing of the kind. `certified`: it was
    shown a client certificate."""
    if status != 400:
        return None
    if any(one in body for one in _IN_PLAIN):
        return Foreign("speaks TLS at this port: ask it by https:// or wss://")
    if any(one in body for one in _NO_CERTIFICATE):
        return Foreign(NOT_OURS if certified else CLIENT_CERTIFICATE, conclusive=False)
    return None
