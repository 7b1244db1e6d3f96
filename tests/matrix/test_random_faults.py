"""Random faults at random moments, for random times: no innocent segment is ever convicted.

Seeded, so that a run that goes wrong can be had again. What each fault must lead to stands in
the matrix; here only the one thing is asserted that must hold whatever happens. No fault begins
while the legs still start: then it is one that was there before for some legs and not for others.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest

from t3probe.lab.faults import FAULTS

RUNS = 20
STARTED_MS = 600
"""By then each leg had its first answer, on a busy machine, too."""
SLOWER = {"wan": (100,)}
"""Milliseconds that answers over a slow segment are late. The lab's wan acknowledges at once what
it then delays, as no network does: by more than this, its bytes would seem to have passed."""


KERNELS = (4,)
"""The seeds in which it is the kernel's to say, by its own time, whether a silent address is
dialled again before the outage is over."""
CONVICTS = (2, 5, 6, 10, 12, 13, 14, 15, 16, 17, 18, 19)
"""The seeds whose legs see what broke, and can tell: a judge that convicts nobody is none."""


class Break(NamedTuple):
    """A fault, and the segment that is really broken."""

    text: str
    segment: str


def a_fault(rng: random.Random) -> Break:
    segment = rng.choice(list(FAULTS))
    kind = rng.choice(FAULTS[segment])
    text = f"{segment}:{kind}"
    if kind == "slow":
        text += f":{rng.choice(SLOWER.get(segment, (100, 300, 1500)))}ms"
    if kind == "close":
        text += f":{rng.choice((50, 200, 700))}ms"
    if kind == "cut" or rng.random() < 0.6:
        text += f"@{rng.randint(STARTED_MS, 1700)}ms"
    if kind != "cut" and rng.random() < 0.5:
        text += f"+{rng.randint(50, 1200)}ms"
    return Break(text, "wall" if kind == "too-wide" else segment)


@pytest.mark.parametrize("seed", range(RUNS))
def test_no_innocent_segment_is_convicted(field, seed: int) -> None:
    rng = random.Random(seed)
    faults = [a_fault(rng) for _ in range(rng.choice((1, 1, 2)))]
    later = any("@" in one.text for one in faults)
    seen = field.run([one.text for one in faults], rng.choice((1.5, 1.9) if later else (0.0, 1.5)))
    broken = {one.segment for one in faults}
    for incident in seen.verdict["incidents"]:
        assert set(incident["verdict"]["convicted"]) <= broken, (faults, incident, seen.legs)
    assert set(seen.verdict["convicted"]) <= broken, (faults, seen.legs)
    if seed not in KERNELS:
        assert bool(seen.verdict["convicted"]) == (seed in CONVICTS), (faults, seen.legs)
