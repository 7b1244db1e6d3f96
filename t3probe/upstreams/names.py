"""Names of upstreams and legs, looked up before the run where they could be one machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from t3probe.bounds import NAMES, NAMES_SECONDS
from t3probe.config.dialled import joined, to_look_up
from t3probe.config.endpoints import plain_host
from t3probe.config.types import Deployment
from t3probe.guard import LoopbackOnlyError

__all__ = ["with_names"]

Name = tuple[str, int]


def _system(name: Name) -> frozenset[str]:
    found = socket.getaddrinfo(*name, type=socket.SOCK_STREAM)
    return frozenset(plain_host(str(one[4][0])) for one in found)


def with_names(
    deployment: Deployment, resolve: Callable[[Name], frozenset[str]] = _system
) -> Deployment:
    """The deployment with upstreams on the paths of legs whose names lead to the same machine.

    All names are looked up at once, within a second. One that is not found changes nothing.
    """
    names = to_look_up(deployment)[:NAMES]
    return joined(deployment, _looked_up(names, resolve)) if names else deployment


def _looked_up(
    names: Sequence[Name], resolve: Callable[[Name], frozenset[str]]
) -> dict[Name, frozenset[str]]:
    found: dict[Name, frozenset[str]] = {}
    asked, over = len(names), threading.Semaphore(0)

    def look_up(name: Name) -> None:
        with suppress(OSError, UnicodeError, LoopbackOnlyError):
            found[name] = resolve(name)
        over.release()

    def all_over() -> None:
        for _ in range(asked):
            over.acquire()

    # Not of a pool: nobody waits for a resolver that never answers.
    for name in names:
        threading.Thread(target=look_up, args=(name,), daemon=True).start()
    waiting = threading.Thread(target=all_over, daemon=True)
    waiting.start()
    waiting.join(NAMES_SECONDS)
    return dict(found)
