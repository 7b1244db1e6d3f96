"""One TCP connect, with the kernel's own handshake time."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

from t3probe import tcpinfo
from t3probe.probes.base import Facts, ProbeError, Probing, Target, reason_of_os_error

__all__ = ["connect", "connect_error", "note_addresses"]

_NO_ROUTE = {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_OUR_OWN = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL}


async def connect(
    target: Target, probing: Probing, facts: Facts, limit: float
) -> tuple[socket.socket, float]:
    """Connect within `limit` seconds; the socket and its handshake time in seconds.

    The time is the kernel's where it keeps one, else our own clock's. The caller owns the
    socket. Raises ProbeError at stage `connect`.
    """
    sock: socket.socket | None = None
    try:
        sock = socket.socket(target.family, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = probing.clock.now()
        async with probing.step(
            facts, "connect", limit, "connect_timeout", "connect", f"no TCP connection to {target}"
        ):
            await asyncio.get_running_loop().sock_connect(sock, (target.address, target.port))
        own = probing.clock.now() - began
        took = tcpinfo.handshake_seconds(sock)
        note_addresses(facts, sock)
        if took is not None:
            facts.phases["connect"] = round(took, 6)
        return sock, took if took is not None else own
    except OSError as error:
        if sock is not None:
            sock.close()
        raise connect_error(error, target) from error
    except BaseException:
        if sock is not None:
            sock.close()
        raise


def connect_error(error: OSError, target: Target) -> ProbeError:
    """A failed TCP connect in the closed list's words.

    `unroutable` when this machine has no IPv6 at all, so that the address could not be tried;
    it tells nothing when this machine itself ran out of descriptors, memory or ports.
    """
    unroutable = error.errno in _NO_ROUTE and target.family == socket.AF_INET6
    return ProbeError(
        reason_of_os_error(error),
        "connect",
        # asyncio puts the address in place of the system's own words.
        f"TCP connect to {target}: {os.strerror(error.errno) if error.errno else 'failed'}",
        unroutable=unroutable,
        tells=unroutable or error.errno not in _OUR_OWN,
    )


def note_addresses(facts: Facts, sock: object) -> None:
    """Write both ends of `sock` into `facts`."""
    try:
        local = sock.getsockname()  # type: ignore[attr-defined]
        remote = sock.getpeername()  # type: ignore[attr-defined]
    except OSError:
        return
    six = len(local) == 4
    form = "[{}]:{}" if six else "{}:{}"
    facts.local_address = form.format(*local[:2])
    facts.remote_address = form.format(*remote[:2])
    facts.family = "ipv6" if six else "ipv4"
