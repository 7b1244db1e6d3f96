"""What was read back is foreign text: whoever wrote a record may have put a secret into it. Pure.

A record of this suite was written without secrets, and is read as it was written.
"""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec.structs import replace

from t3probe.observation import Attempt, Drop, Observation
from t3probe.text import masked

__all__ = ["hushed"]

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
