"""What a record is made of, and its parts to and from JSON.

What was read back is foreign text: its author may have put a secret into it (`hushed`). A record of
this suite was written without secrets, and is read as it was written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from t3probe.exchange.bounds import RECORD_BYTES as MAX_RECORD_BYTES
from t3probe.observation import (
    RECORD_VERSION,
    Attempt,
    Drop,
    Observation,
    RunRecord,
)
from t3probe.record.of_old import of_any_version
from t3probe.text import masked

__all__ = [
    "LEG_PREFIX",
    "MAX_RECORD_BYTES",
    "RUN_NAME",
    "RecordError",
    "Recording",
    "Wanted",
    "ascii_json",
    "decoded",
    "finite",
    "hushed",
    "leg_property",
    "run_property",
]

T = TypeVar("T")
Wanted = Callable[[RunRecord], bool]
"""Whether a run is wanted. It is asked once for each run, before any of its legs is looked at, so
that thousands of runs of other times cost little."""

RUN_NAME = "t3probe.run"
LEG_PREFIX = "t3probe.leg."


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

    @staticmethod
    def read(run: RunRecord, observations: Iterable[Observation]) -> Recording:
        """From a file of any version: observations as this one writes them."""
        if run.version < RECORD_VERSION:
            observations = map(of_any_version, observations)
        return Recording(_hushed_run(run), tuple(map(hushed, observations)))


def ascii_json(fact: object) -> str:
    """Any fact, or plain data with facts in it, as compact ASCII JSON on one line.

    Raises ValueError for numbers that JSON does not have.
    """
    return json.dumps(
        msgspec.to_builtins(fact), ensure_ascii=True, allow_nan=False, separators=(",", ":")
    )


def run_property(run: RunRecord) -> tuple[str, str]:
    """Name and value of the run's own property."""
    return RUN_NAME, ascii_json(run)


def leg_property(observation: Observation) -> tuple[str, str]:
    """Name and value of a leg's property."""
    return LEG_PREFIX + observation.leg, _quick_json(observation) or ascii_json(observation)


def _quick_json(fact: object) -> str:
    """What `ascii_json` says, where msgspec's own writer says the same in a tenth of the time:
    its text is not ASCII when the fact is not, and has a null for numbers that JSON does not
    have. Then it is empty."""
    try:
        text = msgspec.json.encode(fact)
    except (UnicodeError, msgspec.MsgspecError):
        return ""
    return text.decode("ascii") if text.isascii() and b"null" not in text else ""


def decoded(text: str, kind: type[T]) -> T:
    """A fact from its JSON. Raises ValueError, msgspec.MsgspecError and RecursionError."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (UnicodeError, RecursionError, msgspec.MsgspecError):
        # msgspec's own reader, which is five times as fast, refuses lone surrogates, which a
        # record may hold; and whatever is wrong is said in the words of this one.
        fact = json.loads(text, parse_constant=finite, parse_float=finite)
        return msgspec.convert(fact, kind)


def finite(text: str) -> float:
    """A JSON number as a float; ValueError for one that no float holds, and for NaN."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]}")
    return number


_Fact = TypeVar("_Fact", bound=Any)


def hushed(seen: Observation) -> Observation:
    """The same observation, its sentences without secrets."""
    said: dict[str, Any] = {}
    if seen.detail:
        said["detail"] = masked(seen.detail)
    if seen.evidence:
        said["evidence"] = tuple(map(masked, seen.evidence))
    if seen.drops:
        said["drops"] = tuple(map(_drop, seen.drops))
    for name in ("addresses", "views"):
        parts = getattr(seen, name)
        if any(one.detail for one in parts):
            said[name] = tuple(_changed(one, detail=masked(one.detail)) for one in parts)
    return _changed(seen, **said)


def _hushed_run(run: RunRecord) -> RunRecord:
    if not run.opinions:
        return run
    said = tuple(_changed(one, detail=masked(one.detail)) for one in run.opinions)
    return _changed(run, opinions=said)


def _drop(drop: Drop) -> Drop:
    return _changed(
        drop,
        detail=masked(drop.detail),
        evidence=masked(drop.evidence),
        attempt=_attempt(drop.attempt),
    )


def _attempt(attempt: Attempt | None) -> Attempt | None:
    return attempt and _changed(attempt, detail=masked(attempt.detail))


def _changed(fact: _Fact, **values: object) -> _Fact:
    """A copy with these values, where they are not what they were."""
    if all(getattr(fact, name) == value for name, value in values.items()):
        return fact
    return replace(fact, **values)
