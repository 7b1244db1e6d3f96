"""A slow, plain reading of the verdict's rules, to compare the real one with.

Everything here looks at all sets of faults, or at all parts of all paths.
"""

from __future__ import annotations

from itertools import chain, combinations
from typing import Any

from t3probe.verdict.exact.case import Case


def all_sets(segments: tuple[str, ...]) -> list[frozenset[str]]:
    sizes = range(len(segments) + 1)
    return [frozenset(one) for one in chain(*(combinations(segments, n) for n in sizes))]


def minimal(sets: list[frozenset[str]]) -> list[frozenset[str]]:
    return [one for one in sets if not any(other < one for other in sets)]


def ordered(case: Case, names: Any) -> list[str]:
    return [name for name in case.segments if name in names]


def in_order(case: Case, groups: Any) -> list[list[str]]:
    places = sorted([case.segments.index(name) for name in ordered(case, one)] for one in groups)
    return [[case.segments[at] for at in one] for one in places]


def oracle(case: Case) -> dict[str, Any]:
    """The whole answer as a dict, unbounded."""
    ran = [leg for leg in case.legs if leg in case.failed or leg in case.passed]
    legs = {leg: frozenset(case.legs[leg]) for leg in case.legs}
    failed = [leg for leg in ran if leg in case.failed]
    exonerated = frozenset(s for leg in ran if leg in case.passed for s in legs[leg])
    consistent = [
        one
        for one in all_sets(case.segments)
        if all(bool(one & legs[leg]) == (leg in case.failed) for leg in ran)
    ]
    explanations = minimal(consistent)
    contradictions = [leg for leg in failed if legs[leg] <= exonerated]
    suspects = frozenset(s for leg in failed for s in legs[leg]) - exonerated
    convicted: frozenset[str] = frozenset()
    either: list[frozenset[str]] = []
    if contradictions:
        assert not explanations
        ambiguous = suspects
    else:
        convicted = frozenset.intersection(*explanations)
        ambiguous = frozenset().union(*explanations) - convicted
        left = minimal([legs[leg] - exonerated for leg in failed])
        either = list({one for one in left if len(one) > 1})
    on = {s: frozenset(leg for leg in ran if s in legs[leg]) for s in case.segments}

    def groups(of: Any) -> list[list[str]]:
        sets = {frozenset(b for b in of if on[a] == on[b]) for a in of}
        return in_order(case, [one for one in sets if len(one) > 1])

    classes = groups(suspects)
    structural = groups(case.segments)
    real = [one for one in classes if one[0] in ambiguous]
    targets = real or [list(one) for one in either] if failed else structural
    if contradictions:
        status = "inconsistent"
    elif not failed:
        status = "clean"
    else:
        status = "ambiguous" if ambiguous else "localised"
    sets = [] if contradictions else explanations
    smallest = [one for one in sets if len(one) == min(map(len, sets))]
    return {
        "status": status,
        "exonerated": ordered(case, exonerated),
        "convicted": ordered(case, convicted),
        "ambiguous": ordered(case, ambiguous),
        "masked": ordered(case, suspects - ambiguous - convicted),
        "unobserved": [s for s in case.segments if not on[s]],
        "at_least_one_of": in_order(case, either),
        "minimal_sets": sorted(in_order(case, sets), key=len),
        "minimal_sets_truncated": False,
        "ambiguous_classes": classes,
        "structural_classes": structural,
        "contradictions": contradictions,
        "repairs": repairs(case, ran) if contradictions else None,
        "extra_leg": extra_leg(case, targets, convicted, exonerated),
        "simplest": ordered(case, smallest[0]) if len(smallest) == 1 else None,
    }


def repairs(case: Case, ran: list[str]) -> dict[str, Any]:
    found: dict[tuple[int, int], list[frozenset[str]]] = {}
    wrong: dict[frozenset[str], list[str]] = {}
    for one in all_sets(case.segments):
        wrong[one] = [leg for leg in ran if bool(one & set(case.legs[leg])) != (leg in case.failed)]
        found.setdefault((len(wrong[one]), len(one)), []).append(one)
    least = min(found)
    options = [
        {"faults": faults, "disbelieve": wrong[frozenset(faults)]}
        for faults in in_order(case, found[least])
    ]
    return {"flips": least[0], "options": options}


def extra_leg(case: Case, targets: Any, convicted: Any, exonerated: Any) -> list[str] | None:
    pairs = [frozenset(pair) for group in targets for pair in combinations(group, 2)]
    members = {name for group in targets for name in group}
    best: tuple[Any, list[str]] | None = None
    for number, path in enumerate(case.paths):
        for start in range(len(path)):
            for end in range(start, len(path)):
                part = path[start : end + 1]
                cover = set(part)
                if cover & convicted or any(cover == set(leg) for leg in case.legs.values()):
                    continue
                score = sum(len(pair & cover) == 1 for pair in pairs)
                others = len(cover - exonerated - members)
                key = (-score, others, len(part), number, start)
                if score and (best is None or key < best[0]):
                    best = (key, list(part))
    return best[1] if best else None
