"""The record of a run: observations as JUnit properties or as one log line, and back.

Every leg is one testsuite-level property `t3probe.leg.NAME`, its observation as ASCII JSON;
`t3probe.run` holds what the run knew of itself. The scheduled job says the same once more as one
line of its standard output, since that outlives the pod. Everything downstream reads these, so
that any file the suite ever wrote can be judged again.

- `facts`: the types, and an observation to and from JSON.
- `junit`: the record in a JUnit file.
- `line`: the record as one line; the form is described there.
- `log`: record lines out of the logs of container runtimes, kubectl and Loki.
- `reading`: any of these files, told apart by what is in them.
- `latest`: the latest runs of thousands.

Names load their module when they are first used: a run only writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from t3probe.record.facts import (
        LEG_PREFIX,
        MAX_RECORD_BYTES,
        RUN_NAME,
        RecordError,
        Recording,
        Wanted,
        leg_property,
        run_property,
    )
    from t3probe.record.junit import read_junit
    from t3probe.record.latest import LatestRuns, Rank, newest_since
    from t3probe.record.line import record_line
    from t3probe.record.reading import (
        Damage,
        Newest,
        RunKey,
        Source,
        key_of,
        newest,
        read_recording,
        read_recordings,
        read_runs,
        record_files,
        run_key,
    )

__all__ = [
    "LEG_PREFIX",
    "MAX_RECORD_BYTES",
    "RUN_NAME",
    "Damage",
    "LatestRuns",
    "Newest",
    "Rank",
    "RecordError",
    "Recording",
    "RunKey",
    "Source",
    "Wanted",
    "key_of",
    "leg_property",
    "newest",
    "newest_since",
    "read_junit",
    "read_recording",
    "read_recordings",
    "read_runs",
    "record_files",
    "record_line",
    "run_key",
    "run_property",
]

_HOMES = {
    "read_junit": "junit",
    "record_line": "line",
    "Damage": "reading",
    "Newest": "reading",
    "RunKey": "reading",
    "Source": "reading",
    "key_of": "reading",
    "LatestRuns": "latest",
    "Rank": "latest",
    "newest_since": "latest",
    "newest": "reading",
    "read_recording": "reading",
    "read_recordings": "reading",
    "read_runs": "reading",
    "record_files": "reading",
    "run_key": "reading",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'facts')}"), name)
