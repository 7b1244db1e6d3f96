"""TLS contexts, shared per run, and when certificates end.

Loading the system's certificate authorities costs tens of milliseconds, so a run loads its
trust store once.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from typing import Any

from t3probe.probes.base import Facts, ProbeError, Target

__all__ = ["TlsStore", "not_after", "small_buffers", "tls_error"]

_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME (X509_VERIFY_PARAM_set_flags(3))."""
_CERT_HAS_EXPIRED = 10
"""OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED (verify(1))."""
_RECORD_BYTES = 1 << 14
"""The most that one TLS record holds."""


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

    def _new(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._ca_file)
        context.set_alpn_protocols(["http/1.1"])
        return context

    def context(self) -> ssl.SSLContext:
        """The run's client context: certificate and host name are checked."""
        if self._context is None:
            self._context = self._new()
        return self._context

    async def expiry_of_expired(self, target: Target, limit: float) -> float | None:
        """`notAfter` of an expired certificate, Unix seconds; the name is still checked.

        A second handshake without the time check; None when that fails too.
        """
        context = self._new()
        context.verify_flags |= _NO_CHECK_TIME
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(limit):
                _, writer = await asyncio.open_connection(
                    target.address, target.port, ssl=context, server_hostname=target.host
                )
                return not_after(writer.transport)
        except (OSError, TimeoutError):
            return None
        finally:
            if writer is not None:
                writer.transport.abort()


def not_after(transport: Any) -> float | None:
    """When the peer's certificate on this transport ends, Unix seconds; None without TLS."""
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    if not certificate or "notAfter" not in certificate:
        return None
    return float(ssl.cert_time_to_seconds(certificate["notAfter"]))


async def tls_error(
    error: BaseException, target: Target, facts: Facts, store: TlsStore, limit: float
) -> ProbeError:
    """A failed handshake as ProbeError; also learns when an expired certificate expired."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == _CERT_HAS_EXPIRED:
            facts.cert_not_after = await store.expiry_of_expired(target, limit)
        return _answered_badly(f"certificate not accepted: {error.verify_message or error.reason}")
    if isinstance(error, ConnectionResetError):
        return ProbeError("connection_reset", "ask", "connection reset during the TLS handshake")
    if isinstance(error, ssl.SSLError):
        return _answered_badly(f"TLS handshake failed: {error.reason or 'broken'}")
    return ProbeError("tls_failed", "ask", "connection closed during the TLS handshake")


def _answered_badly(detail: str) -> ProbeError:
    failed = ProbeError("tls_failed", "ask", detail)
    failed.heard = True
    return failed
