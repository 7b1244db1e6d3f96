"""CPU throttling: for how long the kernel kept our control group from running.

A CPU limit (CFS bandwidth control) lets a group run for its share of each period and then stops
it until the next one. From inside that looks like a slow network. The kernel counts it in
`cpu.stat`: `throttled_usec` in cgroup v2, `throttled_time` in nanoseconds in v1 (see cgroups(7),
and admin-guide/cgroup-v2 and scheduler/sched-bwc of the kernel's documentation). A limit may sit
on any group above ours, too, such as a pod's.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

__all__ = ["Throttling", "stat_files"]

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
        was throttled most. The kernel adds up all processors. 0 where nobody counts it."""
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
