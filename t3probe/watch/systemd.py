"""What systemd wants to hear from a service of `Type=notify` with a watchdog: one datagram each.

https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import socket
from collections.abc import Mapping


class Supervisor:
    """The manager's socket; without one nothing is said. Never raises for what the socket does."""

    def __init__(self, environ: Mapping[str, str], process: int) -> None:
        """`process` is this one's id: the watchdog may be meant for another."""
        where = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{where[1:]}" if where.startswith("@") else where
        self.period_seconds: float | None = None
        """How often a sign of life is due, at the latest; None: never."""
        wait, meant = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(process))
        if wait.isascii() and wait.isdecimal() and int(wait[:15]) and meant == str(process):
            self.period_seconds = int(wait[:15]) / 1e6

    def ready(self) -> None:
        """The start is over."""
        self._say("READY=1")

    def alive(self) -> None:
        """A sign of life."""
        self._say("WATCHDOG=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._say("STOPPING=1")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto(text.encode(), self._address)
        except OSError:
            pass  # it is gone, or does not read: the legs are held all the same
