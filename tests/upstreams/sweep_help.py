"""Servers, legs and runs for the tests of sweeps: loopback only, everything on free ports."""

from __future__ import annotations

import os
import re
import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from t3probe.config.table import Duration
from t3probe.config.types import Deployment, Leg, Timing
from t3probe.config.types import SweepLimits as Pace
from t3probe.observation import Observation
from t3probe.run.controller import Run
from t3probe.run.sweep import wire as wire
from t3probe.run.sweep.book import observed
from t3probe.run.sweep.parent import Sweep
from t3probe.timing import FakeClock, RunClock

QUICK = Timing(
    hold=Duration(0),
    heartbeat=Duration(1),
    watchdog=Duration(2),
    connect_timeout=Duration(0.4),
    deadline=Duration(20),
)


def leg(name: str, *addresses: str, **more: Any) -> Leg:
    where: dict[str, Any] = {"address": addresses[0]}
    if len(addresses) > 1:
        where = {"addresses": addresses}
    own = f"upstream-{name}"
    return Leg(
        name=f"envoy-{name}", kind="tcp", path=("net", own), tcp_ends_at=own,
        upstream=True, route="orders", listen_port=8443, **where, **more,
    )  # fmt: skip


def deployment(legs: Sequence[Leg], pace: Pace | None = None, **timing: Any) -> Deployment:
    own = tuple(one.path[-1] for one in legs)
    return Deployment(
        name="d", file="d.toml", segments=("net",), legs=tuple(legs), own_segments=own,
        timing=msgspec.structs.replace(QUICK, **timing), sweep=pace or Pace(),
    )  # fmt: skip


class Places:
    """Addresses that answer, refuse, or are silent; open as long as the block."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def listening(self, host: str = "127.0.0.1", backlog: int = 512) -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = self._stack.enter_context(socket.socket(family))
        sock.bind((host, 0))
        sock.listen(backlog)
        return sock

    def answering(self, host: str = "127.0.0.1") -> str:
        return _text(self.listening(host))

    def refusing(self, host: str = "127.0.0.1") -> str:
        """Bound and not listening: nobody else gets the port."""
        sock = self._stack.enter_context(socket.socket())
        sock.bind((host, 0))
        return _text(sock)

    def silent(self) -> str:
        """Its accept queue is full: the kernel drops every further SYN."""
        full = self.listening(backlog=0)
        while True:
            one = self._stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
            poll = select.poll()
            poll.register(one, select.POLLOUT)
            if not poll.poll(100):
                return _text(full)


def _text(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextmanager
def places() -> Iterator[Places]:
    with ExitStack() as stack:
        yield Places(stack)


async def swept(made: Deployment) -> tuple[dict[str, Observation], Sweep]:
    """All legs of a deployment by a process of their own."""
    sweep = Sweep(made, made.legs)
    run = Run(made, (), hold=0, beside=sweep.beside)
    assert await run.measure() == []
    return {one.leg: one for one in sweep.observations(run, lambda _: "")}, sweep


async def in_the_loop(made: Deployment) -> dict[str, Observation]:
    run = Run(made, made.legs, hold=0)
    return {one.leg: one for one in await run.measure()}


def without_times(seen: Observation) -> Any:
    """What does not depend on when and how fast, on which common beats there were, and on who
    measured the time of a refusal."""
    text = msgspec.json.encode(seen).decode()
    number = r"-?[0-9.]+(?:[eE][-+]?[0-9]+)?"
    names = "started|ended|observed_seconds|sent|asked|began|noticed|recovered|resolve|connect|call"
    text = re.sub(rf'"({names}|measured_seconds)":{number}', r'"\1":"?"', text)
    text = text.replace(',"measured_seconds":"?"', "")
    text = re.sub(r'"local_address":"[^"]+"', '"local_address":"?"', text)
    text = re.sub(r"round trip \S+ m?s", "round trip ? s", text)
    said = msgspec.json.decode(text.replace('"call":"?",', "").replace(',"call":"?"', ""))
    for one in (
        *said.get("beats", ()),
        *(drop.get("attempt", {}) for drop in said.get("drops", ())),
    ):
        one.pop("phases", None)  # a sweep has one number in their place
    return said


def written(
    legs: Sequence[Leg],
    tries: Sequence[tuple[int, ...]],
    *frames: bytes,
    base: float = 100.0,
    problem: str = "",
) -> list[Observation]:
    """The observations that these records make; the sweep began at `base`."""
    records = b"".join(wire.TRIED.pack(*one) for one in tries)
    said = bytearray(wire.frame(wire.TRIES, records) + b"".join(frames))
    made = deployment(legs)
    targets = [[("127.0.0.1", 1)] for _ in legs]
    sweep = SimpleNamespace(
        legs=legs, said=said, base=base, targets=targets, limit=3.0, problem=problem
    )
    run = SimpleNamespace(clock=RunClock(FakeClock()), timing=made.timing)
    return observed(cast(Sweep, sweep), cast(Run, run), lambda one: "")


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
