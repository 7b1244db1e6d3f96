"""Keeps the whole process on loopback when `T3PROBE_LOOPBACK_ONLY=1`.

An audit hook (PEP 578) sees every connect, datagram and name lookup of every library before
a packet leaves; it cannot be taken off again, which is what we want of it.

Its one limit: `socket.connect` on a *name* looks the name up in C before the event is raised.
asyncio and every client built on it resolve names by `getaddrinfo` first, which is seen.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from typing import Any

VARIABLE = "T3PROBE_LOOPBACK_ONLY"
_LOCAL_NAMES = frozenset({"localhost", "localhost.", "ip6-localhost", ""})
_installed = False


class LoopbackOnlyError(Exception):
    """Something was about to leave the machine. Deliberately no OSError: no probe may
    mistake it for a path that does not answer."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.target = target

    def __str__(self) -> str:
        return (
            f"{VARIABLE}=1 allows 127.0.0.0/8 and ::1 only, and {self.target!r} is neither; "
            "unset the variable to probe a real deployment"
        )


def is_loopback(host: str) -> bool:
    """Whether `host` is a loopback address (an IP literal; IPv4-mapped ones too)."""
    try:
        # The usual case, ten thousand times in a sweep.
        return socket.inet_pton(socket.AF_INET, host)[0] == 127
    except (OSError, ValueError):
        pass
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        address = arguments[1]
        # Unix and netlink sockets stay on the machine; sendmsg on a connected one has None.
        if isinstance(address, tuple) and address:
            _only_loopback(_text(address[0]))
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        host = _text(arguments[0])
        try:
            ipaddress.ip_address(host.partition("%")[0])  # needs no look-up
        except ValueError:
            _only_loopback(host)
    elif event == "socket.gethostbyaddr":
        _only_loopback(_text(arguments[0]))
    elif event == "socket.getnameinfo":
        _only_loopback(_text(arguments[0][0]))


def _text(host: object) -> str:
    if isinstance(host, (bytes, bytearray)):
        return host.decode("ascii", "replace")
    return host if isinstance(host, str) else ""


def _only_loopback(host: str) -> None:
    if host.lower() not in _LOCAL_NAMES and not is_loopback(host):
        raise LoopbackOnlyError(host)


def install() -> None:
    """From now on nothing in this process can reach past loopback. Cannot be undone."""
    global _installed
    if not _installed:
        _installed = True
        sys.addaudithook(_hook)


def installed() -> bool:
    """Whether this process is kept on loopback; a child process must then be told."""
    return _installed


def install_from_environment() -> None:
    """`install()` if the environment asks for it."""
    if os.environ.get(VARIABLE, "") not in {"", "0"}:
        install()
