"""A case: which legs cross which segments, and which of them failed or passed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from t3probe.text.words import listed

KEYS = ("segments", "paths", "legs", "failed", "passed", "counts", "priors")


MOST_TRIES = 10**9


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a verdict. `parse_cases` checks one that comes from outside."""

    segments: tuple[str, ...]
    """All segments; every list of the answer follows this order."""
    legs: dict[str, tuple[str, ...]]
    """The segments each leg crosses."""
    paths: tuple[tuple[str, ...], ...] = ()
    """Real end-to-end paths, whose contiguous parts an extra leg could cross."""
    failed: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    """Legs in neither list did not run, or gave no evidence."""
    counts: dict[str, tuple[int, int]] | None = None
    """For `t3probe.verdict.repeated.posterior`: of each leg how many tries failed, and how many
    there were. The labels follow from `failed` and `passed` alone."""
    priors: dict[str, float] = {}
    """For the posterior: how probable a fault of a segment is before anything was seen."""


class CaseError(ValueError):
    """A case that cannot be judged.

    `where` names the case, `key` the place in it (empty: the whole), `problem` says what was
    expected, what stood there and what to do.
    """

    def __init__(self, where: str, key: str, problem: str) -> None:
        super().__init__(where, key, problem)
        self.where = where
        self.key = key
        self.problem = problem

    def __str__(self) -> str:
        place = f"{self.where}: {self.key}" if self.key else self.where
        return f"{place}: {self.problem}."


def parse_cases(data: bytes, where: str) -> tuple[list[Case], bool]:
    """Read one case or a list of cases from JSON text.

    `where` names the source in messages. The second value says whether it was a list.
    Raises CaseError.
    """
    try:
        found = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error).rstrip(".") or "nested too deep"
        said = f"expected JSON, but reading it failed: {reason}; mend it, or name another file"
        raise CaseError(where, "", said) from None
    if isinstance(found, list):
        return [_case(one, f"{where}: case {at}") for at, one in enumerate(found, 1)], True
    return [_case(found, where)], False


def _case(found: object, where: str) -> Case:
    if not isinstance(found, dict):
        expected = f"expected an object with {listed(KEYS, len(KEYS))}"
        raise CaseError(where, "", f"{expected}, found {_kind(found)}")
    for key in found:
        if key not in KEYS:
            raise CaseError(where, repr(key), f"unknown key{_hint(key, KEYS)}")
    for key in ("segments", "legs"):
        if key not in found:
            raise CaseError(where, key, "expected this key, found nothing; add it")
    segments = _names(found["segments"], where, "segments")
    known = set(segments)
    if len(known) < len(segments):
        twice = next(one for at, one in enumerate(segments) if one in segments[:at])
        raise CaseError(where, "segments", f"{twice!r} stands there twice; remove one")
    if not isinstance(found["legs"], dict):
        problem = f"expected an object of lists of segments, found {_kind(found['legs'])}"
        raise CaseError(where, "legs", problem)
    legs = {
        name: _path(one, where, f"legs[{name!r}]", segments, known)
        for name, one in found["legs"].items()
    }
    paths = found.get("paths", [])
    if not isinstance(paths, list):
        problem = f"expected a list of lists of segments, found {_kind(paths)}"
        raise CaseError(where, "paths", problem)
    failed = _leg_names(found.get("failed", []), where, "failed", legs)
    passed = _leg_names(found.get("passed", []), where, "passed", legs)
    for name in passed:
        if name in failed:
            problem = f"leg {name!r} stands in failed and in passed; remove it from one"
            raise CaseError(where, "passed", problem)
    counts = found.get("counts")
    return Case(
        segments=segments,
        paths=tuple(
            _path(one, where, f"paths[{at}]", segments, known) for at, one in enumerate(paths)
        ),
        legs=legs,
        failed=tuple(failed),
        passed=tuple(passed),
        counts=None if counts is None else _counts(counts, where, legs),
        priors=_priors(found.get("priors", {}), where, segments),
    )


def _names(found: Any, where: str, key: str) -> tuple[str, ...]:
    if not isinstance(found, list):
        raise CaseError(where, key, f"expected a list of names, found {_kind(found)}")
    for at, one in enumerate(found):
        if not isinstance(one, str):
            raise CaseError(where, f"{key}[{at}]", f"expected a name, found {_kind(one)}")
    return tuple(found)


def _path(
    found: Any, where: str, key: str, segments: tuple[str, ...], known: set[str]
) -> tuple[str, ...]:
    names = _names(found, where, key)
    for one in names:
        if one not in known:
            problem = f"unknown segment {one!r}{_hint(one, segments)}, or add it to segments"
            raise CaseError(where, key, problem)
    return names


def _leg_names(
    found: Any, where: str, key: str, legs: dict[str, tuple[str, ...]]
) -> dict[str, None]:
    names = dict.fromkeys(_names(found, where, key))
    for one in names:
        if one not in legs:
            raise CaseError(where, key, f"unknown leg {one!r}{_hint(one, legs)}")
    return names


def _counts(found: Any, where: str, legs: dict[str, Any]) -> dict[str, tuple[int, int]]:
    if not isinstance(found, dict):
        problem = f"expected an object of [failed tries, tries], found {_kind(found)}"
        raise CaseError(where, "counts", problem)
    for name, one in found.items():
        if name not in legs:
            raise CaseError(where, "counts", f"unknown leg {name!r}{_hint(name, legs)}")
        numbers = isinstance(one, list) and len(one) == 2 and all(type(n) is int for n in one)
        if not numbers or not 0 <= one[0] <= one[1] <= MOST_TRIES:
            stands = f"[{', '.join(map(_kind, one))}]" if isinstance(one, list) else _kind(one)
            problem = f"expected [failed tries, tries], two counts, found {stands}"
            raise CaseError(where, f"counts[{name!r}]", problem)
    return {name: (one[0], one[1]) for name, one in found.items()}


def _priors(found: Any, where: str, segments: tuple[str, ...]) -> dict[str, float]:
    if not isinstance(found, dict):
        problem = f"expected an object of probabilities, found {_kind(found)}"
        raise CaseError(where, "priors", problem)
    known = set(segments)
    for name, one in found.items():
        if name not in known:
            raise CaseError(where, "priors", f"unknown segment {name!r}{_hint(name, segments)}")
        if type(one) not in (int, float) or not 0 <= one <= 1:
            problem = f"expected a probability from 0 to 1, found {_kind(one)}"
            raise CaseError(where, f"priors[{name!r}]", problem)
    return {name: float(one) for name, one in found.items()}


def _kind(found: object) -> str:
    """What stands there, in words."""
    if found is None:
        return "null"
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, str):
        return f"the text {found[:40]!r}"
    if isinstance(found, int | float):
        return f"the number {found}"
    return "a list" if isinstance(found, list) else "an object"


def _hint(name: str, known: Iterable[str]) -> str:
    import difflib

    names = list(known)
    if not names:
        return "; there is none to choose from"
    near = difflib.get_close_matches(name, names, 1, 0.5)
    if near:
        return f"; write {near[0]!r}"
    return f"; use one of {listed(names, 12, 'or')}"
