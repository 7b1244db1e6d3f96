"""What `t3probe doctor` finds on this machine alone, and how it says it. No packet is sent."""

from __future__ import annotations

import os
import re
import resource
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

from t3probe.config import Deployment
from t3probe.config.errors import nearest, quote
from t3probe.run.footing import MOUNT, OWN_GROUPS, stat_files

OLDEST_PYTHON = (3, 11)
SPARE_FILES = 64
"""Descriptors beside those of the legs: standard streams, event loop, libraries, records."""
PER_LEG = 2
"""A connection, and the new attempt beside it or a second descriptor that watches it."""

NAMES = frozenset(
    {"DEPLOYMENT", "VANTAGE", "SHARD", "SHARDS", "LOOPBACK_ONLY", "RESULTS", "SUITE",
     "SMOKE_FOLDER", "SMOKE_FORMAT", "IMAGE_CACHE", "IMAGE_CONFIG", "IMAGE_ROOT"}
)  # fmt: skip
"""What may stand behind `T3PROBE_`, beside logins."""
LOGINS = frozenset(
    f"{site}_{what}"
    for site in ("GATEWAY", "PROMETHEUS", "OTLP", "RECORDS", "REMOTE_WRITE", "WEBHOOK")
    for what in ("TOKEN", "USER", "PASSWORD", "CA_FILE")
) | {
    *("OTLP_HEADERS", "RELAY_SECRET", "JUMP_SECRET", "BOOK_SECRET"),
    *("MAIL_PASSWORD", "WEBHOOK_URL", "WEBHOOK_SECRET"),
}
_LOGIN = re.compile(
    r"T3PROBE_((GATEWAY|PROMETHEUS|OTLP|RECORDS|REMOTE_WRITE(_[A-Z0-9_]+)?"
    r"|(SOURCE|OPINION)_[A-Z0-9_]+|WEBHOOK(_[A-Z0-9_]+)?)"
    r"_(((TOKEN|USER|PASSWORD)(_FILE)?)|CA_FILE)"
    r"|INGEST_[A-Z0-9_]+_TOKEN(_FILE)?|OTLP_HEADERS(_FILE)?"
    r"|(RELAY|JUMP|BOOK)_SECRET(_FILE)?"
    r"|MAIL_PASSWORD(_FILE)?|WEBHOOK(_[A-Z0-9_]+)?_(URL|SECRET)(_FILE)?)"
)


def python(version: tuple[int, ...] = sys.version_info[:3]) -> DoctorRow:
    """Whether this Python is new enough."""
    words = ".".join(map(str, version))
    if version[:2] >= OLDEST_PYTHON:
        return fine("python", words)
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return wrong("python", f"{words}; {oldest} is the oldest", f"make setup PYTHON=python{oldest}")


def packages(requirements: Iterable[str] | None = None) -> Iterator[DoctorRow]:
    """Whether every package is there and new enough; None: what t3probe asks for."""
    if requirements is None:
        try:
            requirements = metadata.requires("t3probe") or []
        except metadata.PackageNotFoundError:
            yield untold("packages", "t3probe itself is not installed", "pip install -e .")
            return
    seen = 0
    for text in requirements:
        match = re.match(r"([A-Za-z0-9._-]+)\s*(?:>=\s*([0-9.]+))?", text)
        if match is None or "extra ==" in text:
            continue
        seen += 1
        name, least = match[1], match[2] or "0"
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield wrong("packages", f"{name} is not installed", f"pip install '{name}>={least}'")
            continue
        if _numbers(found) < _numbers(least):
            words = f"{name} is {found}, and {least} is the oldest"
            yield wrong("packages", words, f"pip install '{name}>={least}'")
            continue
        seen -= 1
    if not seen:
        yield fine("packages", "all there")


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()


def variables(environ: Mapping[str, str]) -> Iterator[DoctorRow]:
    """Variables that look like ours and that nothing reads. Those with `__` are the loader's."""
    ours = sorted(one for one in environ if one.startswith("T3PROBE"))
    strange = [one for one in ours if not one.startswith("T3PROBE__") and not _known(one)]
    for name in strange:
        near = nearest(name.removeprefix("T3PROBE_"), sorted(NAMES | LOGINS))
        fix = f"did you mean T3PROBE_{near}? " if near else ""
        yield wrong("variables", f"{quote(name)[1:-1]} names nothing", f"{fix}unset it")
    if not strange:
        yield fine("variables", f"{len(ours)} of T3PROBE, each read" if ours else "none set")


def _known(name: str) -> bool:
    return name.removeprefix("T3PROBE_") in NAMES or _LOGIN.fullmatch(name) is not None


def folders(deployment: Deployment | None, results: str) -> Iterator[DoctorRow]:
    """Whether what a run leaves can be written."""
    yield _writable("results", Path(results), "name another with --results FOLDER", made=True)
    if deployment is None:
        return
    delivery = deployment.delivery
    if delivery.textfile:
        fix = "make it, or change textfile in [delivery]"
        yield _writable("textfile", Path(delivery.textfile).parent, fix, made=False)
    if delivery.spool:
        fix = "make it, or change spool in [delivery]"
        yield _writable("spool", Path(delivery.spool), fix, made=True)


def _writable(what: str, folder: Path, fix: str, *, made: bool) -> DoctorRow:
    """`made`: a run makes the folder itself, so that it is enough if it can."""
    there = folder
    while made and not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        why = (error.strerror or "unusable").lower()
        return wrong(what, f"{there} cannot be written: {why}", fix)
    return fine(what, f"{folder} can be written")


def files(deployment: Deployment | None, limit: int | None = None) -> DoctorRow:
    """Whether the legs fit into the limit of open files. `limit`: None asks the system."""
    if limit is None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        limit = sys.maxsize if limit == resource.RLIM_INFINITY else limit
    legs = () if deployment is None else deployment.legs
    sockets = sum(max(1, len(leg.addresses), len(leg.doh)) for leg in legs)
    needed = PER_LEG * sockets + SPARE_FILES
    words = f"{limit} open files" if limit < sys.maxsize else "no limit of open files"
    if needed <= limit:
        return fine("files", words)
    fix = f"ulimit -n {needed}, or LimitNOFILE={needed} in a systemd unit"
    return wrong("files", f"{words}, and {len(legs)} legs may need {needed}", fix)


def cpu(own: Path = OWN_GROUPS, mount: Path = MOUNT) -> DoctorRow:
    """Whether a control group limits our CPU: it stops us, and that looks like a slow path."""
    groups = [one.parent for one in stat_files(own, mount)]
    if not groups:
        return untold("cpu", "no control group tells", "nothing, outside a container")
    shares = [one for one in map(_share, groups) if one is not None]
    if not shares:
        return fine("cpu", f"no limit; {os.cpu_count() or 1} of them")
    words = f"limited to {min(shares):g} of a second per second, which shows as latency"
    return wrong("cpu", words, "set a CPU request and no limit")


def _share(group: Path) -> float | None:
    """The limit of a group in CPUs (`cpu.max` in cgroup v2, `cpu.cfs_*` in v1); None: none."""
    try:
        if (group / "cpu.max").is_file():
            quota, period = (group / "cpu.max").read_text().split()[:2]
        else:
            quota = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text().strip()
        return None if quota in {"max", "-1"} else round(int(quota) / int(period), 3)
    except (OSError, ValueError, ZeroDivisionError):
        return None


State = Literal["ok", "wrong", "could not tell"]
UNTOLD: State = "could not tell"


class DoctorRow(NamedTuple):
    """One line: what was looked at, what was found, and what to do about it."""

    state: State
    what: str
    words: str
    fix: str = ""
    """The command or the setting; empty only where all is well."""


def fine(what: str, words: str) -> DoctorRow:
    """Nothing to do."""
    return DoctorRow("ok", what, words)


def wrong(what: str, words: str, fix: str) -> DoctorRow:
    """Something that a run will suffer from."""
    return DoctorRow("wrong", what, words, fix)


def untold(what: str, words: str, fix: str) -> DoctorRow:
    """Neither; `fix` is what would make it known."""
    return DoctorRow(UNTOLD, what, words, fix)
