"""How probable it is that each segment is broken, when legs fail only some of the time.

The labels of `t3probe.verdict.exact.labels` take every outcome for the truth. Here each leg was
tried several times and failed in some of the tries, outcomes may be wrong, and a broken
segment may fail only some of the time. A pure function of counts: no clock, no chance.

The model is a two-level Bayesian network, as in Shrink (Kandula, Katabi, Vasseur, "Shrink: a
tool for failure diagnosis in IP networks", MineNet 2005) and, with more levels, Sherlock (Bahl
et al., "Towards highly reliable enterprise network services via inference of multi-level
dependencies", SIGCOMM 2007). The shared-risk view of legs over segments, with greedy cover, is
SCORE's (Kompella et al., "IP fault localization via risk modeling", NSDI 2005). In detail:

- Each segment is broken with its own prior probability, independently of the others.
- A try of a leg without a broken segment fails at the leg's noise rate: `false_positive`, with
  the weights of `NOISE` a tenth of it or twice it, for each leg by itself.
- A try of a leg over a broken segment sees a failure at some rate, and the outcome of such a
  moment is wrong with the probability `false_negative`; of any other with `false_positive`.
- The rate is not known. Either (`SHARED`) all tries over whatever is broken in one part of the
  network have one rate, or every leg has its own. Both are summed over the same grid, `RATES`.
- Tries are independent given all that. Several beats within one outage are not: count an
  outage, or a run, as one try.

Segments on exactly the same legs cannot be told apart by any counts. They are one group here,
broken when any of them is, and share its probability as their priors are to each other. Parts
of the network that share no leg are solved apart. What remains is summed exactly up to
`EXACT_GROUPS` groups in one part, more where groups can be summed out one by one (see
`t3probe.verdict.repeated.factors`), else within its bounds.

What follows from this form, and is tested: one more failed try of a leg never lowers the
probability that something on it is broken, and one more good try never raises it. Where every
leg has its own rate (`shared=0`) the same holds for the sum over its segments.

A run's tries (`tries_of`): what counts as one try decides what the posterior is worth, since it
takes tries for independent. The beats of a leg are not: an outage of five seconds fails five of
them. So each incident is one try of the legs that failed in it and of those that clear for it by
the rules of `t3probe.verdict.incident.evidence`; a run without one is one good try of each leg that
passed. A leg that could not tell, is under planned downtime, or only clears a part of what it
crosses is not tried; a blip is no try of any leg.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple, Protocol

import msgspec

from t3probe.verdict.repeated.factors import (
    EXACT_GROUPS,
    Sums,
    log_sum,
    parts,
    solve_factors,
    twins,
)

__all__ = [
    "CONVICTS_OVER",
    "EXACT_GROUPS",
    "NOISE",
    "PRIOR",
    "RATES",
    "SHARED",
    "Counts",
    "Explanation",
    "Model",
    "Posterior",
    "TriedIncident",
    "in_run",
    "posterior",
    "tries_of",
]

PRIOR = 0.1
"""How probable a fault of a segment is before anything was seen. Not rare on purpose: it keeps
one fault that explains two legs from winning over two faults by its smaller number alone."""
CONVICTS_OVER = 0.95
"""Convicted by repetition: more probable than this. `bench/attribution.py` measures what
comes of it."""
NOISE = ((0.1, 0.45), (1.0, 0.45), (2.0, 0.1))
"""A good leg's noise, as multiples of the false-positive rate, and their weights."""
RATES = ((1.0, 0.6), (0.6, 0.15), (0.3, 0.15), (0.1, 0.1))
"""How often a leg over a broken segment fails, and their weights: most faults are steady."""
SHARED = 0.8
"""The probability that all tries over whatever is broken in a part fail at one rate."""
TINY = 1e-9
"""No rate and no prior is nearer to 0 or 1: no single try is beyond all doubt."""

EXPLANATIONS = 5
EXPLAINED_FAULTS = 3
EXPLAINED_GROUPS = 12
EXPLAINED_LEGS = 200

Counts = Mapping[str, tuple[int, int]]
"""For each leg how many of its tries failed, and how many there were. 0 tries: not run, or
could not tell."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """The rates of the model. Raises ValueError for one that is out of bounds."""

    prior: float = PRIOR
    """Of a segment without a prior of its own; within 0 to 1."""
    false_positive: float = 0.05
    """How often a try of a good leg is seen failing; within 0 to 0.25."""
    false_negative: float = 0.05
    """How often a failure is seen as good; within 0 to 0.5."""
    rates: tuple[tuple[float, float], ...] = RATES
    """`((1.0, 1.0),)`: whatever is broken always fails."""
    shared: float = SHARED
    convicts_over: float = CONVICTS_OVER

    def __post_init__(self) -> None:
        limits = {"prior": 1.0, "false_positive": 0.25, "false_negative": 0.5}
        for name, limit in limits.items():
            value = getattr(self, name)
            if not 0 <= value <= limit:
                raise ValueError(f"{name}: expected 0 to {limit:g}, found {value:g}")
        if not self.rates or any(weight <= 0 for _, weight in self.rates):
            raise ValueError("rates: expected one or more, each with a weight over 0")


class Explanation(msgspec.Struct, frozen=True):
    """A set of faults that explains the counts."""

    probability: float
    """Of exactly these faults, among the segments on the same part of the network as a leg that
    failed."""
    faults: tuple[tuple[str, ...], ...]
    """In each group at least one is broken: its segments lie on the same legs."""


class Posterior(msgspec.Struct, frozen=True, kw_only=True):
    """What the counts say. Lists follow the segments, unless they say otherwise."""

    posterior: dict[str, float]
    """The probability of each segment to be broken; its prior when no leg over it was tried."""
    untried: tuple[str, ...]
    """Those that no tried leg crosses: their numbers are their priors."""
    convicted_by_repetition: tuple[str, ...]
    """Broken with more than the stated probability, with the prior that was given and with the
    default one alike, alone on its legs, one of which was tried more than once and failed.
    Never from a part that is bounded."""
    suspects: tuple[str, ...]
    """Those that the counts made more probable than before and that are not convicted, the
    most probable first."""
    explanations: tuple[Explanation, ...]
    """Up to five sets of faults, the most probable first, of up to three faults among the
    twelve most probable groups of each part where a leg failed. Empty when some part is bounded,
    and when such parts have more than 200 legs."""
    truncated: bool
    """Some part had too many groups to be summed exactly: there the numbers only rank."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; probabilities with six digits."""
        return {
            "posterior": {name: round(one, 6) for name, one in self.posterior.items()},
            "convicted_by_repetition": list(self.convicted_by_repetition),
            "suspects": list(self.suspects),
            "explanations": [
                {"probability": round(one.probability, 6), "faults": [list(f) for f in one.faults]}
                for one in self.explanations
            ],
            "posterior_truncated": self.truncated,
        }


class _Leg(NamedTuple):
    groups: frozenset[int]
    failed: bool
    miss: float
    hits: tuple[float, ...]
    """One for each regime: a common rate each, then every leg with its own."""


class _Groups:
    """The segments on exactly the same tried legs, numbered by their first segment."""

    def __init__(self, segments: Sequence[str], legs: Iterable[tuple[str, Sequence[str]]]) -> None:
        on: dict[str, list[str]] = {}
        for leg, path in legs:
            for one in dict.fromkeys(path):
                on.setdefault(one, []).append(leg)
        numbers: dict[tuple[str, ...], int] = {}
        self.members: list[list[str]] = []
        self.of: dict[str, int] = {}
        for one in segments:
            if one in on:
                number = numbers.setdefault(tuple(on[one]), len(numbers))
                if number == len(self.members):
                    self.members.append([])
                self.members[number].append(one)
                self.of[one] = number

    def priors(self, prior: Mapping[str, float]) -> list[float]:
        return [
            min(1 - TINY, max(TINY, -math.expm1(math.fsum(math.log1p(-prior[one]) for one in m))))
            for m in self.members
        ]


def posterior(
    segments: Sequence[str],
    legs: Mapping[str, Sequence[str]],
    counts: Counts,
    *,
    priors: Mapping[str, float] | None = None,
    model: Model | None = None,
) -> Posterior:
    """Judge counts.

    `legs` names the segments each leg crosses, `priors` those segments whose prior is not the
    model's. Raises ValueError for counts that cannot be, for an unknown leg, and for a prior
    outside 0 to 1.
    """
    model = model or Model()
    for leg, (fails, tries) in counts.items():
        if leg not in legs:
            raise ValueError(f"unknown leg {leg!r}; expected one of the legs")
        if not 0 <= fails <= tries:
            raise ValueError(f"leg {leg!r}: expected 0 <= fails <= tries, found {fails}, {tries}")
    default = dict.fromkeys(segments, _inside(model.prior))
    own = dict(default)
    for name, value in (priors or {}).items():
        if not 0 <= value <= 1:
            raise ValueError(f"prior of {name!r}: expected 0 to 1, found {value:g}")
        own[name] = _inside(value)
    tried = {leg: legs[leg] for leg, (_, tries) in counts.items() if tries and legs[leg]}
    groups = _Groups(segments, tried.items())
    said = {count: _evidence_of(*count, model) for count in {counts[leg] for leg in tried}}
    seen = [
        _Leg(frozenset(groups.of[one] for one in path), counts[leg][0] > 0, *said[counts[leg]])
        for leg, path in tried.items()
    ]

    found = _Judged(groups, seen, own, model)
    # By evidence and not by prior: an uncommon prior alone convicts nothing.
    even = dict.fromkeys(segments, PRIOR)
    checks = [found] if own == even else [found, _Judged(groups, seen, even, model)]
    again = {
        name for leg, path in tried.items() if counts[leg][0] and counts[leg][1] > 1
        for name in path
    }  # fmt: skip
    convicted = tuple(
        name
        for name in segments
        if name in again
        and len(groups.members[groups.of[name]]) == 1
        and groups.of[name] not in found.bounded
        and all(one.posterior[name] > model.convicts_over for one in checks)
    )
    suspects = [
        name for name in segments
        if name not in convicted and found.posterior[name] > own[name]
    ]  # fmt: skip
    return Posterior(
        posterior=found.posterior,
        untried=tuple(name for name in segments if name not in groups.of),
        convicted_by_repetition=convicted,
        suspects=tuple(sorted(suspects, key=lambda name: -found.posterior[name])),
        explanations=found.explanations(),
        truncated=bool(found.bounded),
    )


def _inside(value: float) -> float:
    return min(1 - TINY, max(TINY, value))


def _evidence_of(fails: int, tries: int, model: Model) -> tuple[float, tuple[float, ...]]:
    """The log likelihood of a count on a good leg, and on a broken one in each regime."""
    wrong = model.false_positive

    def likelihood(rate: float) -> float:
        rate = _inside(rate)
        return fails * math.log(rate) + (tries - fails) * math.log1p(-rate)

    miss = log_sum([math.log(weight) + likelihood(wrong * times) for times, weight in NOISE])
    noisiest = wrong * max(times for times, _ in NOISE)
    hits = [
        # Never less than the noise of any good leg: a failure may not speak for a good one.
        likelihood(max(noisiest, rate * (1 - model.false_negative) + (1 - rate) * wrong))
        for rate, _ in model.rates
    ]
    mixed = log_sum([math.log(w) + hit for (_, w), hit in zip(model.rates, hits, strict=True)])
    return miss, (*hits, mixed)


class _Part(NamedTuple):
    legs: list[_Leg]
    regimes: list[tuple[float, tuple[float, ...], Sums]]
    """The log weight of each, what each leg says when it is hit, and the sums."""
    total: float


class _Judged:
    """Every part's sums for one choice of priors."""

    def __init__(
        self, groups: _Groups, legs: Sequence[_Leg], prior: Mapping[str, float], model: Model
    ) -> None:
        self._groups = groups
        self._chances = groups.priors(prior)
        self._failed: list[_Part] = []
        self.bounded: set[int] = set()
        weights = [model.shared * weight for _, weight in model.rates]
        weights.append(1 - model.shared)
        broken: dict[int, float] = {}
        for positions in parts([one.groups for one in legs]):
            part = self._part([legs[at] for at in positions], weights)
            for weight, _, sums in part.regimes:
                share = math.exp(weight + sums.total - part.total)
                for group, own in sums.broken.items():
                    broken[group] = min(1.0, broken.get(group, 0.0) + share * own)
                if not sums.exact:
                    self.bounded.update(sums.broken)
            if any(one.failed for one in part.legs):
                self._failed.append(part)
        self._broken = broken
        self.posterior = dict(prior)
        for group, names in enumerate(groups.members):
            for name in names:
                self.posterior[name] = broken[group] * prior[name] / self._chances[group]

    def _part(self, legs: list[_Leg], weights: Sequence[float]) -> _Part:
        # A regime that gives every leg the same evidence as another adds only weight.
        merged: dict[tuple[float, ...], float] = {}
        for number, weight in enumerate(weights):
            if weight > 0:
                hits = tuple(one.hits[number] for one in legs)
                merged[hits] = merged.get(hits, 0.0) + weight
        regimes = []
        alike = twins([(one.groups, one.miss, one.hits) for one in legs], self._chances)
        for hits, weight in merged.items():
            factors = alike.factors([one.miss for one in legs], hits)
            sums = alike.spread(solve_factors(factors, self._chances))
            regimes.append((math.log(weight), hits, sums))
        return _Part(legs, regimes, log_sum(weight + sums.total for weight, _, sums in regimes))

    def explanations(self) -> tuple[Explanation, ...]:
        """The most probable sets over all parts where a leg failed."""
        if self.bounded or sum(len(part.legs) for part in self._failed) > EXPLAINED_LEGS:
            return ()
        best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
        for part in self._failed:
            more = self._explain(part)
            joined = [(a + b, (*one, *two)) for a, one in best for b, two in more]
            best = sorted(joined, key=lambda one: (-one[0], one[1]))[:EXPLANATIONS]
        if not self._failed:
            return ()
        return tuple(
            Explanation(math.exp(score), tuple(tuple(self._groups.members[g]) for g in sorted(one)))
            for score, one in best
        )

    def _explain(self, part: _Part) -> list[tuple[float, tuple[int, ...]]]:
        observed = sorted(part.regimes[0][2].broken, key=lambda g: (-self._broken[g], g))
        nearest = observed[:EXPLAINED_GROUPS]
        clear = math.fsum(math.log1p(-self._chances[g]) for g in observed)
        out = []
        for size in range(EXPLAINED_FAULTS + 1):
            for faults in combinations(nearest, size):
                among = frozenset(faults)
                odds = math.fsum(
                    math.log(self._chances[g]) - math.log1p(-self._chances[g]) for g in faults
                )
                out.append((clear + odds + _evidence(part, among) - part.total, faults))
        out.sort(key=lambda one: (-one[0], one[1]))
        return out[:EXPLANATIONS]


def _evidence(part: _Part, faults: frozenset[int]) -> float:
    """The log likelihood of a part's counts, given exactly these faults."""
    broken = [not faults.isdisjoint(one.groups) for one in part.legs]
    return log_sum(
        weight
        + math.fsum(
            hit if is_broken else leg.miss
            for leg, hit, is_broken in zip(part.legs, hits, broken, strict=True)
        )
        for weight, hits, _ in part.regimes
    )


class TriedIncident(Protocol):
    """An incident, as far as tries go."""

    @property
    def tried(self) -> Mapping[str, bool]:
        """Whether each leg that it is a try of failed in it."""


def in_run(
    segments: Sequence[str],
    legs: Mapping[str, tuple[str, ...]],
    passed: Iterable[str],
    incidents: Iterable[TriedIncident],
) -> Posterior:
    """What one run says by itself, from its incidents and the legs that passed."""
    counts = {leg: (sum(one), len(one)) for leg, one in tries_of(passed, incidents).items()}
    return posterior(segments, legs, counts)


def tries_of(passed: Iterable[str], incidents: Iterable[TriedIncident]) -> dict[str, list[bool]]:
    """For each leg its tries in a run, by incident; True: failed."""
    out: dict[str, list[bool]] = {}
    for one in incidents:
        for leg, failed in one.tried.items():
            out.setdefault(leg, []).append(failed)
    return out or {leg: [False] for leg in passed}
