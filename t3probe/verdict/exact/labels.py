"""Labels each segment from which legs failed and which passed.

Exact for any number of simultaneous faults, as long as the outcomes are right. When they
cannot all be right, no segment is convicted and `repairs` says which to disbelieve.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from t3probe.verdict.exact.case import Case
from t3probe.verdict.exact.identifiability import best_extra_leg, same_legs
from t3probe.verdict.exact.sets import mask_of, members, minimal_only

Label = Literal["exonerated", "convicted", "ambiguous", "masked", "unobserved"]
Status = Literal["clean", "incomplete", "localised", "ambiguous", "inconsistent"]
LABELS: tuple[Label, ...] = ("exonerated", "convicted", "ambiguous", "masked", "unobserved")

NAMES_LIMIT = 100_000
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
    """The list is only the beginning: at most 4096 sets and 100,000 names are listed, and
    the search has a fixed number of steps. Nothing smaller than what is listed is missing;
    when not even the smallest size is certain, the list is empty."""
    ambiguous_classes: tuple[Names, ...]
    """Groups of suspects that lie on exactly the same legs that ran."""
    structural_classes: tuple[Names, ...]
    """The same over all segments, whatever the outcome."""
    contradictions: Names
    """Failed legs all of whose segments are exonerated."""
    repairs: dict[str, Any] | None
    """The fewest outcomes to disbelieve; see `t3probe.verdict.exact.repairs`."""
    extra_leg: Names | None
    """The part of a path whose leg would tell the most suspects apart."""
    simplest: Names | None
    """The one smallest explanation; None when there are several of that size, or none."""

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


class _Translator:
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
    width = len(case.segments)
    position = {name: at for at, name in enumerate(case.segments)}
    # In the legs' own order, whatever the order of the outcomes.
    outcome = dict.fromkeys(case.passed, True) | dict.fromkeys(case.failed, False)
    legs = {
        leg: list(dict.fromkeys(position[name] for name in path)) for leg, path in case.legs.items()
    }
    ran = {leg: path for leg, path in legs.items() if leg in outcome}
    cleared = {at for leg, path in ran.items() if outcome[leg] for at in path}

    sets = {
        leg: [at for at in path if at not in cleared]
        for leg, path in ran.items()
        if not outcome[leg]
    }
    contradictions = [leg for leg, left in sets.items() if not left]
    repairs = None
    suspects = {at for left in sets.values() for at in left}
    if contradictions:
        from t3probe.verdict.exact.repairs import find_repairs

        repairs = find_repairs(case.segments, ran, outcome)
        sets = {}
    return _judge(
        _Translator(case.segments),
        sets=[mask_of(left, width) for left in sets.values()],
        cleared=cleared,
        doubtful=suspects if contradictions else set(),
        ran=list(ran.values()),
        legs=list(legs.values()),
        paths=[[position[name] for name in path] for path in case.paths],
        contradictions=tuple(contradictions),
        repairs=repairs,
    )


def solve_together(
    case: Case,
    sets: Iterable[Names],
    cleared: Iterable[str],
    doubtful: Iterable[str],
    contradictions: Names,
    repairs: dict[str, Any] | None,
) -> Verdict:
    """Judge by the suspect sets of several incidents: none is cleared that is suspect in one.

    `case` gives segments, paths and the legs, those that ran among `failed` and `passed`. `cleared`
    is what some incident cleared, or a leg that passed; `doubtful` are the suspects of incidents
    that contradict themselves, whose failed legs are `contradictions`: no segment is convicted for
    these. `repairs` stands in the verdict when nothing but contradictions is left.
    """
    names = _Translator(case.segments)
    position = {name: at for at, name in enumerate(case.segments)}
    masks = [mask_of([position[name] for name in one], names.width) for one in sets]
    legs = {leg: [position[name] for name in path] for leg, path in case.legs.items()}
    known = {*case.failed, *case.passed}
    return _judge(
        names,
        sets=masks,
        cleared={position[name] for name in cleared},
        doubtful={position[name] for name in doubtful},
        ran=[path for leg, path in legs.items() if leg in known],
        legs=list(legs.values()),
        paths=[[position[name] for name in path] for path in case.paths],
        contradictions=contradictions,
        repairs=None if masks else repairs,
    )


def _judge(
    names: _Translator,
    *,
    sets: list[int],
    cleared: set[int],
    doubtful: set[int],
    ran: list[list[int]],
    legs: list[list[int]],
    paths: list[list[int]],
    contradictions: Names,
    repairs: dict[str, Any] | None,
) -> Verdict:
    width = names.width
    convicted: list[int] = []
    either: list[list[int]] = []
    for mask in minimal_only(sets, width):
        one = members(mask, width)
        if len(one) > 1:
            either.append(one)
        else:
            convicted += one
    convicted.sort()
    either.sort()
    inside: dict[int, list[int]] = {}
    for number, mask in enumerate(sets):
        for at in members(mask, width):
            inside.setdefault(at, []).append(number)
    suspects = doubtful.union(inside)
    exonerated = cleared - suspects
    ambiguous = {at for one in either for at in one} | doubtful.difference(convicted)
    masked = suspects.difference(ambiguous, convicted)
    unobserved = set(range(width)).difference(suspects, exonerated)

    failed = bool(sets or contradictions)
    structural = [group for group in same_legs(width, ran) if len(group) > 1]
    classes = list(_alike(structural, inside, suspects))
    unsure = ([at for at in one if at in ambiguous] for one in classes)
    told_apart = [one for one in unsure if len(one) > 1]
    extra = best_extra_leg(
        width,
        paths,
        legs,
        (told_apart or either) if failed else structural,
        convicted,
        exonerated,
    )
    sound = bool(sets) or not contradictions
    found, truncated = _explain(convicted, either, names) if sound else ((), False)
    status: Status = "clean"
    if failed:
        status = "ambiguous" if ambiguous else "localised"
    return Verdict(
        status=status if sound else "inconsistent",
        exonerated=names.of(sorted(exonerated)),
        convicted=names.of(convicted),
        ambiguous=names.of(sorted(ambiguous)),
        masked=names.of(sorted(masked)),
        unobserved=names.of(sorted(unobserved)),
        at_least_one_of=names.of_groups(either),
        minimal_sets=found,
        minimal_sets_truncated=truncated,
        ambiguous_classes=names.of_groups(classes),
        structural_classes=names.of_groups(structural),
        contradictions=contradictions,
        repairs=repairs,
        extra_leg=None if extra is None else names.of(extra),
        simplest=_simplest(found, truncated),
    )


def _simplest(sets: tuple[Names, ...], truncated: bool) -> Names | None:
    if not sets or (len(sets) == 1 and truncated):
        return None  # of a list that was cut there may be another one of that size
    several = len(sets) > 1 and len(sets[1]) == len(sets[0])
    return None if several else sets[0]


def _alike(
    groups: Iterable[list[int]], inside: dict[int, list[int]], suspects: set[int]
) -> Iterable[list[int]]:
    """The suspects of each group, those together that lie in the same suspect sets: of one group
    a failed leg's own answers may have cleared some."""
    for group in groups:
        found: dict[tuple[int, ...], list[int]] = {}
        for at in group:
            if at in suspects:
                found.setdefault(tuple(inside.get(at, ())), []).append(at)
        yield from (one for one in found.values() if len(one) > 1)


def _explain(
    convicted: list[int], either: list[list[int]], names: _Translator
) -> tuple[tuple[Names, ...], bool]:
    """The inclusion-minimal explanations, and whether the list was cut."""
    if not either:
        return (names.of(convicted),), False
    from t3probe.verdict.exact.hitting import hitting_sets

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
