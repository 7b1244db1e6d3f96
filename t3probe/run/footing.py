"""The prober's own footing: was our event loop on time while we measured, were we let run, and
did the wall clock keep still?

When the prober itself stood still (a busy machine, a throttled container, SIGSTOP), whatever
failed meanwhile says nothing about the path.

CPU throttling: for how long the kernel kept our control group from running.

A CPU limit (CFS bandwidth control) lets a group run for its share of each period and then stops
it until the next one. From inside that looks like a slow network. The kernel counts it in
`cpu.stat`: `throttled_usec` in cgroup v2, `throttled_time` in nanoseconds in v1 (see cgroups(7),
and admin-guide/cgroup-v2 and scheduler/sched-bwc of the kernel's documentation). A limit may sit
on any group above ours, too, such as a pod's.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from t3probe.config.types import Timing
from t3probe.timing import RunClock

OWN_GROUPS = Path("/proc/self/cgroup")
MOUNT = Path("/sys/fs/cgroup")
_UNITS = {b"throttled_usec": 1e-6, b"throttled_time": 1e-9}


class Throttling:
    """Reads the counters of our own control group and of those above it."""

    def __init__(self, own: Path = OWN_GROUPS, mount: Path = MOUNT) -> None:
        self._last: dict[Path, float] = {}
        for path in stat_files(own, mount):
            now = _throttled_seconds(path)
            if now is not None:
                self._last[path] = now

    @property
    def known(self) -> bool:
        """Whether the kernel counts it for us at all."""
        return bool(self._last)

    def grown(self) -> float:
        """How much longer, in seconds, we were throttled since the last call: by the group that
        was throttled most. The kernel adds up all processors. 0 where it is not counted."""
        most = 0.0
        for path, last in self._last.items():
            now = _throttled_seconds(path)
            if now is not None:
                self._last[path] = now
                most = max(most, now - last)
        return most


def stat_files(own: Path = OWN_GROUPS, mount: Path = MOUNT) -> list[Path]:
    """The `cpu.stat` files of this process's groups, the innermost first.

    `own` is what the kernel says about the process, `mount` where the hierarchies are mounted. In
    a container our group may be the mount itself, under whatever name the outside gives it.
    """
    try:
        lines = own.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found: dict[Path, None] = {}
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number == "0" and not controllers:
            roots = [mount, mount / "unified"]
        elif "cpu" in controllers.split(","):
            roots = [mount / controllers, mount / "cpu"]
        else:
            continue
        parts = [one for one in PurePosixPath(group).parts if one not in ("/", "..")]
        for root in roots:
            for depth in range(len(parts), -1, -1):
                path = root.joinpath(*parts[:depth], "cpu.stat")
                if path.is_file():
                    found[path] = None
    return list(found)


def _throttled_seconds(path: Path) -> float | None:
    try:
        text = path.read_bytes()
    except OSError:
        return None
    for line in text.splitlines():
        name, _, value = line.partition(b" ")
        if name in _UNITS and value.strip().isdigit():
            return int(value) * _UNITS[name]
    return None


STEP_SECONDS = 0.1
"""How often a run samples; a held mode that lasts for days need not look as often."""
THROTTLED_SHARE = 0.25
"""Throttled for more than this share of a drop's interval, we count as having stood still."""
LATE_SHARE = 0.25
"""Late for more than this share of an interval that ended by no answer, we may have caused it:
what takes many turns of a loop is late by all of them."""
CLOCK_STEP_SECONDS = 0.5
"""The wall clock was set when it and the monotonic one part by more than this between two
samples; what is slewed parts by far less."""
_EDGE_SECONDS = 0.2
"""What is noticed this soon after a stall belongs to it."""


def stall_threshold(timing: Timing) -> float:
    """From what lateness of the loop on, in seconds, we no longer trust ourselves."""
    return max(0.25, min(1.0, timing.watchdog / 4))


class Footing:
    """Samples the loop's lateness, our throttling and the wall clock for as long as `watch` runs.

    `step` is the time between two samples and `keep` how long a stall is remembered, both in
    seconds; None: to the end of the run. `throttling` is read from the kernel by default.
    """

    def __init__(
        self,
        clock: RunClock,
        timing: Timing,
        *,
        step: float = STEP_SECONDS,
        keep: float | None = None,
        throttling: Throttling | None = None,
    ) -> None:
        self._clock = clock
        self._step = step
        self._last = self._counted_at = clock.now()
        self._throttling = throttling or Throttling()
        self._start_by_wall = clock.wall_at(0.0)
        self.worst_seconds = 0.0
        self.stalls: list[tuple[float, float]] = []
        self.throttled_seconds: float | None = 0.0 if self._throttling.known else None
        """For how long the kernel kept us from running; None where it does not say."""
        self.clock_step_seconds = 0.0
        """The largest step of the wall clock; positive when it was set forward."""
        self._squeezes: list[tuple[float, float, float]] = []
        """Intervals in which we were throttled, and for how many seconds of each."""
        self._delays: list[tuple[float, float, float]] = []
        """The same of our loop's lateness."""
        self.use(timing, keep)

    def use(self, timing: Timing, keep: float | None) -> None:
        """From now on judge by this timing's threshold, and remember for so long."""
        self._threshold = stall_threshold(timing)
        self._keep = keep

    async def watch(self) -> None:
        """Sample until cancelled."""
        while True:
            self._last = self._clock.now()
            await self._clock.clock.sleep(self._step)
            self.look()

    def look(self) -> None:
        """Judge the time since the last sample; also called at the very end of a run."""
        now = self._clock.now()
        late = now - self._last - self._step
        self.worst_seconds = max(self.worst_seconds, round(late, 6))
        self.stalls += self._unseen(now)
        if late > 0:
            self._delays.append((self._last, now, late))
        self._last = now
        self._count_throttling(now)
        self._compare_clocks()
        if self._keep is not None:
            oldest = now - self._keep
            if self.stalls and self.stalls[0][1] < oldest:
                self.stalls = [one for one in self.stalls if one[1] >= oldest]
            for some in (self._squeezes, self._delays):
                if some and some[0][1] < oldest:
                    some[:] = [one for one in some if one[1] >= oldest]

    def stalled(self, began: float, ended: float, asked: float | None = None) -> bool:
        """Whether we stood still at some time in [began, ended] or just before its end, or were
        throttled for too much of it. `asked` is when the question was sent that a deadline ended,
        which may lie before the last good beat: late for too much of its time, we may have caused
        that."""
        if any(start <= ended and end + _EDGE_SECONDS >= began for start, end in self._all()):
            return True
        now = self._clock.now()
        self._count_throttling(now)
        latest = ended - self._step
        if asked is not None:
            newest = (self._last, now, max(0.0, now - self._last - self._step))
            if _share([*self._delays, newest], min(asked, latest), ended) > LATE_SHARE:
                return True
        began = min(began, latest)
        return _share(self._squeezes, began, ended) > THROTTLED_SHARE

    def stood_still(self, began: float, ended: float) -> float:
        """For how long of [began, ended] we stood still, in seconds."""
        return sum(max(0.0, min(end, ended) - max(start, began)) for start, end in self._all())

    def _all(self) -> list[tuple[float, float]]:
        """The stalls, and the one that we come out of just now, if we do: whoever asks may run
        before the next sample."""
        return [*self.stalls, *self._unseen(self._clock.now())]

    def _unseen(self, now: float) -> list[tuple[float, float]]:
        late = now - self._last - self._step
        return [(self._last, now)] if late >= self._threshold else []

    def _count_throttling(self, now: float) -> None:
        if self.throttled_seconds is None:
            return
        grown, since, self._counted_at = self._throttling.grown(), self._counted_at, now
        if grown <= 0:
            return
        self.throttled_seconds = round(self.throttled_seconds + grown, 6)
        # What is throttled on several processors at once may count more than has passed.
        self._squeezes.append((since, now, min(grown, now - since)))

    def _compare_clocks(self) -> None:
        now = self._clock.wall_at(0.0)
        step, self._start_by_wall = now - self._start_by_wall, now
        if abs(step) > max(CLOCK_STEP_SECONDS, abs(self.clock_step_seconds)):
            self.clock_step_seconds = round(step, 3)


def _share(some: Iterable[tuple[float, float, float]], began: float, ended: float) -> float:
    """The share of [began, ended] that intervals with so many bad seconds each take of it."""
    total = 0.0
    for start, end, bad in some:
        both = min(end, ended) - max(start, began)
        if both > 0:
            total += bad * both / (end - start)
    return total / (ended - began)
