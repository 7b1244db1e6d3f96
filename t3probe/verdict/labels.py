"""Labels each segment from which legs failed and which passed.

Exact for any number of simultaneous faults, as long as the outcomes are right. When they
cannot all be right, nobody is convicted and `repairs` says which to disbelieve.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from t3probe.verdict.bits import mask_of, members
from t3probe.verdict.case import Case
from t3probe.verdict.family import minimal_only
from t3probe.verdict.identifiability import best_extra_leg, same_legs

__all__ = ["LABELS", "NAMES_LIMIT", "Label", "Status", "Verdict", "solve"]

Label = Literal["exonerated", "convicted", "ambiguous", "masked", "unobserved"]
Status = Literal["clean", "incomplete", "localised", "ambiguous", "inconsistent"]
LABELS: tuple[Label, ...] = ("exonerated", "convicted", "ambiguous", "masked", "unobserved")

NAMES_LIMIT = 1_000_000
"""How many names all listed minimal sets hold together at most."""

Names = tuple[str, ...]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Who broke, who is cleared, and what cannot be told. Lists follow the case's segments.

    The five labels partition the segments.
    """

    status: Status
    """`clean`: nothing failed; `incomplete`: the same, but a declared segment is unobserved;
    `localised`: failed, and nothing ambiguous; `ambiguous`; `inconsistent`: at least one
    outcome is wrong."""
    exonerated: Names
    """On a leg that passed."""
    convicted: Names
    """The only suspect of some failed leg: broken, however many others are, too."""
    ambiguous: Names
    """In a minimal suspect set of two or more; with contradictions every suspect."""
    masked: Names
    """On a failed leg that others explain. Not cleared: probe again after the repair."""
    unobserved: Names
    """On no leg that ran."""
    at_least_one_of: tuple[Names, ...]
    """The minimal suspect sets of two or more."""
    minimal_sets: tuple[Names, ...]
    """The inclusion-minimal explanations, smallest first; `((),)` when nothing failed, none
    with contradictions."""
    minimal_sets_truncated: bool
    """The list is only the beginning: at most 4096 sets and 1,000,000 names are listed, and
    the search has a fixed number of steps. Nothing smaller than what is listed is missing;
    when not even the smallest size is certain, the list is empty."""
    ambiguous_classes: tuple[Names, ...]
    """Groups of suspects that lie on exactly the same legs that ran."""
    structural_classes: tuple[Names, ...]
    """The same over all segments, whatever the outcome."""
    contradictions: Names
    """Failed legs all of whose segments are exonerated."""
    repairs: dict[str, Any] | None
    """The fewest outcomes to disbelieve; see `t3probe.verdict.repairs`."""
    extra_leg: Names | None
    """The part of a path whose leg would tell the most suspects apart."""

    def labels(self) -> dict[str, Label]:
        """The label of each segment."""
        return {name: label for label in LABELS for name in getattr(self, label)}

    def to_dict(self) -> dict[str, Any]:
        """The JSON form. Keys and their order are a contract."""
        found = {name: getattr(self, name) for name in self.__struct_fields__}
        return {
            name: _lists(value) if isinstance(value, tuple) else value
            for name, value in found.items()
        }


def _lists(value: tuple[Any, ...]) -> list[Any]:
    return [list(one) if isinstance(one, tuple) else one for one in value]


class _Names:
    """Translates positions and sets into names."""

    def __init__(self, segments: Names) -> None:
        self.segments = segments
        self.width = len(segments)

    def of(self, positions: Iterable[int]) -> Names:
        segments = self.segments
        return tuple([segments[at] for at in positions])

    def of_mask(self, mask: int) -> Names:
        return self.of(members(mask, self.width))

    def of_groups(self, groups: Iterable[Sequence[int]]) -> tuple[Names, ...]:
        return tuple(map(self.of, groups))


def solve(case: Case) -> Verdict:
    """Judge a case. Never raises for a case that `parse_cases` accepts."""
    names = _Names(case.segments)
    width = names.width
    position = {name: at for at, name in enumerate(case.segments)}
    # In the legs' own order, whatever the order of the outcomes.
    outcome = dict.fromkeys(case.passed, True) | dict.fromkeys(case.failed, False)
    legs = {
        leg: list(dict.fromkeys(position[name] for name in path)) for leg, path in case.legs.items()
    }
    ran = {leg: path for leg, path in legs.items() if leg in outcome}
    cleared = {at for leg, path in ran.items() if outcome[leg] for at in path}

    suspects: set[int] = set()
    contradictions: list[str] = []
    suspect_sets: list[int] = []
    for leg, path in ran.items():
        if outcome[leg]:
            continue
        left = [at for at in path if at not in cleared]
        suspects.update(left)
        suspect_sets.append(mask_of(left, width))
        if not left:
            contradictions.append(leg)

    convicted: list[int] = []
    either: list[list[int]] = []
    if not contradictions:
        for mask in minimal_only(suspect_sets, width):
            one = members(mask, width)
            if len(one) > 1:
                either.append(one)
            else:
                convicted += one
        convicted.sort()
        either.sort()
    ambiguous = suspects if contradictions else {at for one in either for at in one}
    masked = suspects.difference(ambiguous, convicted)
    observed = suspects | cleared

    every_group = same_legs(width, ran.values())
    structural = [group for group in every_group if len(group) > 1]
    classes = [group for group in structural if group[0] in suspects]
    failed = bool(suspect_sets)
    extra = best_extra_leg(
        width,
        [[position[name] for name in path] for path in case.paths],
        legs.values(),
        (classes or either) if failed else structural,
        convicted,
        cleared,
    )

    sets, truncated = ((), False) if contradictions else _explain(convicted, either, names)
    repairs = None
    if contradictions:
        from t3probe.verdict.repairs import find_repairs

        repairs = find_repairs(case.segments, ran, outcome)
    status: Status = "clean"
    if failed:
        status = "ambiguous" if ambiguous else "localised"
    return Verdict(
        status="inconsistent" if contradictions else status,
        exonerated=names.of(sorted(cleared)),
        convicted=names.of(convicted),
        ambiguous=names.of(sorted(ambiguous)),
        masked=names.of(sorted(masked)),
        unobserved=names.of([at for at in range(width) if at not in observed]),
        at_least_one_of=names.of_groups(either),
        minimal_sets=sets,
        minimal_sets_truncated=truncated,
        ambiguous_classes=names.of_groups(classes),
        structural_classes=names.of_groups(structural),
        contradictions=tuple(contradictions),
        repairs=repairs,
        extra_leg=None if extra is None else names.of(extra),
    )


def _explain(
    convicted: list[int], either: list[list[int]], names: _Names
) -> tuple[tuple[Names, ...], bool]:
    """The inclusion-minimal explanations, and whether the list was cut."""
    if not either:
        return (names.of(convicted),), False
    from t3probe.verdict.hitting import hitting_sets

    width = names.width
    family = [mask_of(one, width) for one in either]
    found = hitting_sets([*(mask_of([at], width) for at in convicted), *family], width)
    out: list[Names] = []
    room = NAMES_LIMIT
    for mask in found.masks:
        room -= mask.bit_count()
        if room < 0 and out:
            return tuple(out), True
        out.append(names.of_mask(mask))
    return tuple(out), found.floor is not None
