"""One TCP connect, with the kernel's own handshake time."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from contextlib import suppress

from t3probe.probes import tcpinfo
from t3probe.probes.base import Probing
from t3probe.probes.facts import Facts, ProbeError, Target, reason_of_os_error

_NO_ROUTE = {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_OUR_OWN = {
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL),
    errno.EPERM,  # a rule of this machine, such as systemd's IPAddressDeny: no packet went out
}


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
        note_addresses(facts, sock, target)
        if took is not None:
            facts.phases["connect"] = round(took, 6)
        return sock, took if took is not None else own
    except OSError as error:
        _give_up(facts, sock, target)
        raise connect_error(error, target) from error
    except ProbeError as error:
        state = tcpinfo.sample(sock)
        _give_up(facts, sock, target)
        if state is None or state.state != tcpinfo.ESTABLISHED:
            raise
        words = f"connected to {target}, and too late ourselves to see it"
        raise ProbeError("prober_stalled", "connect", words, conclusive=False) from error
    except BaseException:
        _give_up(facts, sock, target)
        raise


def _give_up(facts: Facts, sock: socket.socket | None, target: Target) -> None:
    if sock is not None:
        note_addresses(facts, sock, target)
        sock.close()


def connect_error(error: OSError, target: Target) -> ProbeError:
    """A failed TCP connect in the closed list's words.

    `unroutable` when this machine has no IPv6 at all, so that the address could not be tried;
    it tells nothing when this machine itself ran out of descriptors, memory or ports, or
    forbids it.
    """
    unroutable = error.errno in _NO_ROUTE and target.family == socket.AF_INET6
    return ProbeError(
        reason_of_os_error(error),
        # Linux says reset only of a connection that stood: a connect is refused.
        "ask" if isinstance(error, ConnectionResetError) else "connect",
        # asyncio puts the address in place of the system's own words.
        f"TCP connect to {target}: {os.strerror(error.errno) if error.errno else 'failed'}",
        unroutable=unroutable,
        conclusive=unroutable or error.errno not in _OUR_OWN,
    )


def note_addresses(facts: Facts, sock: socket.socket, target: Target) -> None:
    """Write both ends of `sock`, which was to reach `target`, into `facts`.

    A connection that never came up, or was reset, has no peer any more: the far end is then what
    was dialled, and the near end is left out where the kernel has forgotten it.
    """
    six = target.family == socket.AF_INET6
    form = "[{}]:{}" if six else "{}:{}"
    facts.family = "ipv6" if six else "ipv4"
    facts.remote_address, facts.local_address = str(target), ""
    with suppress(OSError):
        local = sock.getsockname()
        if local[1]:
            facts.local_address = form.format(*local[:2])
        facts.remote_address = form.format(*sock.getpeername()[:2])
