"""The record as one line of a log, for a pod whose files are gone when it is.

The line is ASCII JSON without a space outside its strings:

    {"t3probe":{"record":1,"counts":{"legs":L,"beats":B,"drops":D},"run":{...},"legs":{NAME:{...}}}}

`record` is the form's version. `run` and each of `legs` are the values of the JUnit properties
`t3probe.run` and `t3probe.leg.NAME`, in the same order. `counts` says how many legs, beats and
drops follow: agents that cut long lines into parts may lose one from the middle, and what is
left can still be JSON. A reader takes a line without `counts` as it is, ignores fields it does
not know, and refuses a version that it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from t3probe.observation import Observation, RunRecord
from t3probe.record.facts import Recording, ascii_json, finite

__all__ = ["LEGS_MARKER", "MARKER", "DamagedLineError", "parse_record", "record_line", "run_of"]

VERSION = 1
MARKER = '{"t3probe":{"record":'
"""How a record begins, whatever a log put before it."""
LEGS_MARKER = ',"legs":{'
"""What follows the run. It cannot stand inside a string of the run, whose own quotation marks have
a backslash before them."""
_NEAR_THE_END = 40
"""Characters. An error this near to the end is the end's own; some agents add a mark to what
they cut, Loki's is `<_truncated>`."""


class DamagedLineError(Exception):
    """A line that begins as a record and cannot be read as one; says why in some words."""


class _Head(msgspec.Struct):
    record: int
    run: RunRecord


class _HeadLine(msgspec.Struct):
    t3probe: _Head


class _Whole(_Head):
    legs: dict[str, Observation]
    counts: Any = None


class _WholeLine(msgspec.Struct):
    t3probe: _Whole


def run_of(text: str) -> RunRecord | None:
    """The run of a record line, of which `text` is all up to its legs; None when it cannot be
    read, and the whole line has to be."""
    try:
        head = msgspec.json.decode(text + "}}", type=_HeadLine).t3probe
    except (UnicodeError, RecursionError, msgspec.MsgspecError):
        return None
    return head.run if head.record == VERSION else None


def record_line(run: RunRecord, observations: Iterable[Observation]) -> str:
    """The record of a run as one ASCII line, without the line's end."""
    legs = {seen.leg: seen for seen in observations}
    return ascii_json(
        {
            "t3probe": {
                "record": VERSION,
                "counts": _counts(legs.values()),
                "run": run,
                "legs": legs,
            }
        }
    )


def _counts(observations: Iterable[Observation]) -> dict[str, int]:
    seen = list(observations)
    return {
        "legs": len(seen),
        "beats": sum(len(one.beats) for one in seen),
        "drops": sum(len(one.drops) for one in seen),
    }


def parse_record(text: str) -> Recording:
    """The record at the beginning of `text`; what follows it is ignored.

    Raises DamagedLineError.
    """
    try:
        whole = msgspec.json.decode(text, type=_WholeLine).t3probe
    except (UnicodeError, RecursionError, msgspec.MsgspecError):
        pass  # it has something after it, or lone surrogates, or whatever is said below
    else:
        seen = whole.legs.values()
        if whole.record == VERSION and whole.counts == _counts(seen):
            return Recording.read(whole.run, seen)
    return _parse_slowly(text)


def _parse_slowly(text: str) -> Recording:
    try:
        data, _ = json.JSONDecoder(parse_constant=finite, parse_float=finite).raw_decode(text)
    except json.JSONDecodeError as error:
        cut = error.msg.startswith("Unterminated") or error.pos >= len(text) - _NEAR_THE_END
        raise DamagedLineError(
            f"cut off after {len(text)} characters"
            if cut
            else f"damaged at character {error.pos + 1} of {len(text)}"
        ) from error
    except (RecursionError, ValueError) as error:
        raise DamagedLineError(f"damaged: {error}") from error
    record = data.get("t3probe")
    if not isinstance(record, dict) or record.get("record") != VERSION:
        found = str(record.get("record") if isinstance(record, dict) else record)[:20]
        raise DamagedLineError(f"of version {found!r}, and {VERSION} is known")
    try:
        run = msgspec.convert(record.get("run"), RunRecord)
        seen = msgspec.convert(record.get("legs"), dict[str, Observation]).values()
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise DamagedLineError(f"damaged: {error}") from error
    there = _counts(seen)
    if record.get("counts", there) != there:
        raise DamagedLineError(
            f"lost a part: {_told(record['counts'])} written, {_told(there)} left"
        )
    return Recording.read(run, seen)


def _told(counts: object) -> str:
    if not isinstance(counts, dict):
        return "what it held is unknown"
    return ", ".join(f"{str(counts.get(one))[:20]} {one}" for one in ("legs", "beats", "drops"))
