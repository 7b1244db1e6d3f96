"""The record of a run: observations as JUnit properties, and back.

Every leg is one testsuite-level property `t3probe.leg.NAME`, its observation as ASCII JSON;
`t3probe.run` holds what the run knew of itself. Everything downstream reads these, so that
any file the suite ever wrote can be judged again.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import msgspec

from t3probe.observation import Observation, RunRecord

__all__ = [
    "LEG_PREFIX",
    "RUN_NAME",
    "RecordError",
    "Recording",
    "leg_property",
    "read_junit",
    "run_property",
]

RUN_NAME = "t3probe.run"
LEG_PREFIX = "t3probe.leg."
MAX_FILE_BYTES = 256 << 20


class RecordError(Exception):
    """A file that holds no readable record; says which file, what was expected, what is there."""

    def __init__(self, file: str, problem: str, advice: str) -> None:
        super().__init__(file, problem, advice)
        self.file, self.problem, self.advice = file, problem, advice

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}; {self.advice}"


@dataclass(frozen=True)
class Recording:
    """One run, read back."""

    run: RunRecord
    observations: tuple[Observation, ...]


def _ascii_json(fact: RunRecord | Observation) -> str:
    return json.dumps(
        msgspec.to_builtins(fact), ensure_ascii=True, allow_nan=False, separators=(",", ":")
    )


def run_property(run: RunRecord) -> tuple[str, str]:
    """Name and value of the run's own property."""
    return RUN_NAME, _ascii_json(run)


def leg_property(observation: Observation) -> tuple[str, str]:
    """Name and value of a leg's property."""
    return LEG_PREFIX + observation.leg, _ascii_json(observation)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]}")
    return number


def read_junit(path: str | Path) -> Recording:
    """The record in a JUnit file that the suite wrote. Raises RecordError, one sentence."""
    import xml.etree.ElementTree as ElementTree

    file = str(path)
    expected = "expected a JUnit file written by this suite"
    try:
        size = Path(path).stat().st_size
        if size > MAX_FILE_BYTES:
            raise RecordError(file, f"{expected}, found {size} bytes", "give a smaller file")
        # expat refuses entity bombs itself (since 2.4.1).
        tree = ElementTree.parse(path)  # noqa: S314
    except OSError as error:
        problem = f"cannot be read: {error.strerror or type(error).__name__}"
        raise RecordError(file, problem, "name the JUnit file of a run") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise RecordError(
            file, f"{expected}, found damaged XML ({error})", "run the checks again"
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
                fact = json.loads(value, parse_constant=_finite, parse_float=_finite)
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
            file, f"{expected}, found no property {RUN_NAME!r}", "name the JUnit file of a run"
        )
    return Recording(run, tuple(observations.values()))
