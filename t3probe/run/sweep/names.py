"""Names of a sweep's upstreams to addresses: each host once, in a few threads.

`getaddrinfo` cannot be told to end, so a thread that hangs is left behind; when nobody has
answered for the limit, what is still asked is given up.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Iterator, Sequence

from t3probe.exchange.bounds import ADDRESSES as MAX_ADDRESSES
from t3probe.guard import LoopbackOnlyError
from t3probe.timing import Clock

THREADS = 8

Found = list[tuple[str, int]] | str
"""Addresses and ports, or why there are none."""


def is_literal(host: str) -> bool:
    """Whether `host` is an IP literal."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
        except (OSError, ValueError):
            continue
        return True
    return False


class NameAnswers:
    """Answers for the upstreams `wanted` of `targets`, as they come."""

    wake: int | None = None
    """A descriptor that is readable when there may be answers; None when there are no names."""

    def __init__(
        self,
        targets: Sequence[Sequence[tuple[str, int]]],
        wanted: Sequence[int],
        limit: float,
        clock: Clock,
    ) -> None:
        self._targets, self._limit, self._clock = targets, limit, clock
        self.left: dict[int, set[str]] = {}
        """Upstreams that wait, and the hosts they wait for."""
        self._for: dict[str, list[int]] = {}
        self._known: dict[str, list[str] | str] = {}
        self._questions = deque[str]()
        self._answers = deque[tuple[str, list[str] | str | LoopbackOnlyError]]()
        for number in wanted:
            hosts = {host for host, _ in targets[number] if not is_literal(host)}
            self.left[number] = hosts
            for host in hosts:
                self._for.setdefault(host, []).append(number)
        self._began = self._heard = clock.monotonic()
        if self.left:
            self._ask()

    def _ask(self) -> None:
        import threading

        self.wake, self._bell = os.pipe()
        self._questions.extend(self._for)
        for _ in range(min(THREADS, len(self._for))):
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                host = self._questions.popleft()
            except IndexError:
                return
            self._answers.append((host, _look_up(host)))
            os.write(self._bell, b".")

    def answered(self) -> Iterator[tuple[int, int, Found]]:
        """Upstreams that need not wait any more, the microseconds it took, and what was found.

        Raises LoopbackOnlyError.
        """
        if not self.left:
            return
        now = self._clock.monotonic()
        while self._answers:
            host, found = self._answers.popleft()
            assert self.wake is not None
            os.read(self.wake, 1)
            if isinstance(found, LoopbackOnlyError):
                raise found
            self._heard = now
            yield from self._settle(host, found, now)
        if now - self._heard >= self._limit:
            self._questions.clear()
            for host in [one for one in self._for if one not in self._known]:
                why = f"the system's resolver does not know {host}: no answer in time"
                yield from self._settle(host, why, now)

    def _settle(
        self, host: str, found: list[str] | str, now: float
    ) -> Iterator[tuple[int, int, Found]]:
        if host in self._known:
            return
        self._known[host] = found
        took = int((now - self._began) * 1e6)
        for number in self._for[host]:
            if number not in self.left:
                continue
            if isinstance(found, str):
                del self.left[number]
                yield number, took, found
                continue
            self.left[number].discard(host)
            if not self.left[number]:
                del self.left[number]
                yield number, took, self._whole(number)

    def _whole(self, number: int) -> list[tuple[str, int]]:
        out: list[tuple[str, int]] = []
        for host, port in self._targets[number]:
            known = self._known.get(host, [host])
            out += [(address, port) for address in known]
        return out


def _look_up(host: str) -> list[str] | str | LoopbackOnlyError:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        words = getattr(error, "strerror", None) or "no answer in time"
        return f"the system's resolver does not know {host}: {words}"
    except LoopbackOnlyError as error:
        return error
    return list(dict.fromkeys(str(one[4][0]) for one in found))[:MAX_ADDRESSES] or (
        "the resolver knows no address"
    )
