"""The record in a JUnit file: its properties, wherever else the file came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO

import msgspec

from t3probe.observation import Observation, RunRecord
from t3probe.record import facts
from t3probe.record.facts import LEG_PREFIX, RUN_NAME, RecordError, Recording

__all__ = ["parse_junit", "read_junit"]

_EXPECTED = "expected a JUnit file written by this suite"


def read_junit(path: str | Path) -> Recording:
    """The record in a JUnit file that the suite wrote. Raises RecordError, one sentence."""
    file = str(path)
    try:
        with open(path, "rb") as stream:
            size = Path(path).stat().st_size
            if size > facts.MAX_RECORD_BYTES:
                raise RecordError(file, f"{_EXPECTED}, found {size} bytes", "give a smaller file")
            return parse_junit(stream, file)
    except OSError as error:
        problem = f"cannot be read: {error.strerror or type(error).__name__}"
        raise RecordError(file, problem, "name the JUnit file of a run") from error


def parse_junit(stream: IO[bytes], file: str) -> Recording:
    """The record in an open JUnit file; `file` is its name in sentences.

    Raises RecordError, and OSError when the stream cannot be read.
    """
    import xml.etree.ElementTree as ElementTree

    try:
        # expat refuses entity bombs itself (since 2.4.1).
        tree = ElementTree.parse(stream)  # noqa: S314
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise RecordError(
            file, f"{_EXPECTED}, found damaged XML ({error})", "run the checks again"
        ) from error
    run: RunRecord | None = None
    observations: dict[str, Observation] = {}
    for suite in tree.getroot().iter("testsuite"):
        for node in suite.iterfind("properties/property"):
            name, value = node.get("name", ""), node.get("value", "")
            if name != RUN_NAME and not name.startswith(LEG_PREFIX):
                continue
            try:
                # msgspec's own reader refuses lone surrogates, which a record may hold.
                fact = json.loads(value, parse_constant=facts.finite, parse_float=facts.finite)
                if name == RUN_NAME:
                    run = run or msgspec.convert(fact, RunRecord)
                else:
                    # A later property of the same leg continues the earlier one.
                    observations[name] = msgspec.convert(fact, Observation)
            except (msgspec.MsgspecError, RecursionError, ValueError) as error:
                problem = f"expected an observation in the property {name[:80]!r}, found {error}"
                raise RecordError(file, problem, "run the checks again") from error
    if run is None:
        raise RecordError(
            file, f"{_EXPECTED}, found no property {RUN_NAME!r}", "name the JUnit file of a run"
        )
    return Recording(run, tuple(observations.values()))
