"""How hard-pressed the serving machine was: node_exporter's pressure-stall counters and swap.

Linux counts the time in which all tasks of the machine stood still for want of I/O or memory
(PSI, `full` of /proc/pressure; Documentation/accounting/psi.rst). What the counter rose by, over
the time between the samples, is the share of time lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from t3probe.ask.explain.prometheus import Prometheus, Samples, Series
from t3probe.config.types import Deployment

IO = "node_pressure_io_stalled_seconds_total"
MEMORY = "node_pressure_memory_stalled_seconds_total"
SWAP_FREE = "node_memory_SwapFree_bytes"
SWAP_ALL = "node_memory_SwapTotal_bytes"
HARD_SHARE = 0.1
"""From here on a machine counts as hard-pressed: all its tasks stood still this share of time."""
NO_SWAP_SHARE = 0.1
"""Below this share of free swap it is as good as used up."""
MACHINES_LIMIT = 5
APART_SECONDS = 300.0
"""A sample further from the window tells nothing about it."""


class MachineThen(msgspec.Struct, frozen=True, kw_only=True):
    """One machine in the window."""

    instance: str
    io_stalled: float | None = None
    """The share of time, 0 to 1; None: not known."""
    io_stalled_peak: float | None = None
    """The largest share between two samples."""
    memory_stalled: float | None = None
    memory_stalled_peak: float | None = None
    swap_free_bytes: float | None = None
    """The least that was free."""
    swap_total_bytes: float | None = None

    @property
    def hard_pressed(self) -> tuple[str, ...]:
        """What was short: some of `io`, `memory`, `swap`."""
        out = []
        if (self.io_stalled_peak or 0.0) >= HARD_SHARE:
            out.append("io")
        if (self.memory_stalled_peak or 0.0) >= HARD_SHARE:
            out.append("memory")
        total, free = self.swap_total_bytes, self.swap_free_bytes
        if total and free is not None and free < NO_SWAP_SHARE * total:
            out.append("swap")
        return tuple(out)


def machines_of(deployment: Deployment | None) -> tuple[str, ...]:
    """The hosts whose node_exporter the deployment's own legs ask: a leg to `/metrics`."""
    from urllib.parse import urlsplit

    if deployment is None:
        return ()
    urls = [urlsplit(one.url) for one in deployment.legs if one.url and one.kind == "http"]
    return tuple(dict.fromkeys(one.hostname or "" for one in urls if one.path == "/metrics"))


def pressure(
    prometheus: Prometheus, began: float, ended: float, machines: Sequence[str] = ()
) -> list[MachineThen]:
    """The machines' pressure from `began` to `ended`, the hardest pressed first.

    `machines`: instances, or their hosts; none means all that Prometheus knows, of which at most
    five are told. Raises PrometheusError.
    """
    names = f'{{__name__=~"{IO}|{MEMORY}|{SWAP_FREE}|{SWAP_ALL}"}}'
    by_machine: dict[str, list[Series]] = {}
    for one in prometheus.samples(names, began - APART_SECONDS, ended + APART_SECONDS):
        instance = one.labels.get("instance", "")
        if not machines or instance in machines or _host(instance) in machines:
            by_machine.setdefault(instance, []).append(one)
    found = [_machine(name, some, began, ended) for name, some in sorted(by_machine.items())]
    known = [one for one in found if one is not None]
    known.sort(key=lambda one: -max(one.io_stalled_peak or 0.0, one.memory_stalled_peak or 0.0))
    return known[:MACHINES_LIMIT]


def _host(instance: str) -> str:
    return instance.rpartition(":")[0].strip("[]") or instance


def _machine(
    instance: str, series: Iterable[Series], began: float, ended: float
) -> MachineThen | None:
    by_name, none = {one.name: one.samples for one in series}, Samples()
    io, io_peak = _share(by_name.get(IO, none), began, ended)
    memory, memory_peak = _share(by_name.get(MEMORY, none), began, ended)
    free = _inside(by_name.get(SWAP_FREE, none), began, ended)
    total = _inside(by_name.get(SWAP_ALL, none), began, ended)
    if io is None and memory is None and not free:
        return None
    return MachineThen(
        instance=instance,
        io_stalled=io,
        io_stalled_peak=io_peak,
        memory_stalled=memory,
        memory_stalled_peak=memory_peak,
        swap_free_bytes=min(free, default=None),
        swap_total_bytes=max(total, default=None),
    )


def _share(samples: Samples, began: float, ended: float) -> tuple[float | None, float | None]:
    """The share of time over all steps that touch the window, and the largest of one step."""
    steps = [
        (at - before, rise)
        for ((before, _), (at, _)), (_, rise) in zip(
            pairwise(samples), samples.rises(), strict=True
        )
        if before < ended and at > began and at - before <= APART_SECONDS
    ]  # fmt: skip
    seconds = sum(length for length, _ in steps)
    if seconds <= 0:
        return None, None
    shares = [min(1.0, rise / length) for length, rise in steps if length > 0]
    return min(1.0, sum(rise for _, rise in steps) / seconds), max(shares)


def _inside(samples: Samples, began: float, ended: float) -> list[float]:
    """A gauge's values in the window, with the newest before it."""
    before = [value for at, value in samples if at < began and began - at <= APART_SECONDS]
    return before[-1:] + [value for at, value in samples if began <= at <= ended]
