"""How often random deaths look like a limit on age or silence, and how often a true one is found.

Each history: three legs over one path, a beating and an idle connection each, 3 to 60 deaths. What
kills them:

    memoryless   each connection by itself, at a constant rate (mean age from 2 s to 2 h)
    even         each by itself, at an age spread evenly up to some length
    usual age    each by itself, at an age around a usual one (a tenth of it to either side)
    restarts     everything at once, at random moments
    mixed        restarts, and memoryless deaths
    age, silence one limit, and memoryless deaths a tenth as often

A `false` finding is any in the first five, and one of another kind or length in the last two;
`found`: the true one was.

    python bench/limits.py [HISTORIES_PER_ROW]
"""

from __future__ import annotations

import random
import sys
from collections import Counter

from t3probe.verdict.limits.found import LegHistory, Limit, limits, near
from t3probe.verdict.limits.lives import Life

HISTORIES = 10_000
LEGS = {"a": ("wan", "edge", "hop"), "b": ("edge", "hop"), "c": ("hop",)}
HEARTBEAT = 10.0
CAUSES = ("memoryless", "even", "usual age", "restarts", "mixed", "age", "silence")


class World:
    """One random history. `length`: the limit, or the scale of the ages, in seconds."""

    def __init__(self, cause: str, seed: int) -> None:
        self.cause, self.rng = cause, random.Random(f"{cause} {seed}")
        self.length = 2 * 3600 ** self.rng.random()
        self.idle = self.length * self.rng.choice((1.5, 3.0))
        deaths = self.rng.randint(3, 60 if cause not in ("age", "silence") else 12)
        self.lasts = self.length * (deaths if cause in ("age", "silence") else deaths / 3)
        self.restarts: list[float] = []
        if cause in ("restarts", "mixed"):
            at = 0.0
            while (at := at + self.rng.expovariate(1 / self.length)) < self.lasts:
                self.restarts.append(at)
        self.legs = [
            LegHistory(name, path, path, "hop", True, [*self._lives(True), *self._lives(False)])
            for name, path in LEGS.items()
        ]

    def _age(self) -> float:
        """How old a connection grows that nothing else ends."""
        rng, length = self.rng, self.length
        if self.cause == "even":
            return rng.uniform(0.05, 1) * length
        if self.cause == "usual age":
            return max(0.05 * length, rng.gauss(length, length / 10))
        if self.cause == "restarts":
            return float("inf")
        rare = 10 if self.cause in ("age", "silence") else 1
        return rng.expovariate(1 / (length * rare))

    def _lives(self, held: bool) -> list[Life]:
        out, now = [], self.rng.uniform(0, 0.1)
        while now < self.lasts and len(out) < 64:
            dies = now + self._age()
            dies = min([dies, *(at for at in self.restarts if at > now)])
            jitter = self.rng.uniform(0, 0.02)
            if self.cause == "age":
                dies = min(dies, now + self.length + jitter)
            if self.cause == "silence" and (not held or self.length < HEARTBEAT):
                dies = min(dies, now + self.length + jitter)
            says = HEARTBEAT if held else self.idle
            if self.cause == "age":
                says = min(says, self.length / 3) if held else says
            end = min(dies, self.lasts)
            times = max(0, int((end - now) / says))
            life = Life(held, now, now + times * says, host="h")
            if times:
                life = life._replace(quiet=says, quiet_at=life.last)
            if dies < self.lasts:
                life = life._replace(dead_from=dies, dead_by=dies)
            out.append(life)
            now = end + (0.05 if held else 3.0)
        return out

    def right(self, one: Limit) -> bool:
        """Whether this is the limit that there is."""
        if self.cause not in ("age", "silence") or one.at_most:
            return False
        same = abs(one.seconds - self.length) <= near(self.length)
        return same and one.kind in (self.cause, "either")


def main() -> None:
    """Print the table."""
    many = int(sys.argv[1]) if len(sys.argv) > 1 else HISTORIES
    print(f"{'what kills':<14}{'histories':>10}{'false':>8}{'found':>8}{'could be':>10}")
    for cause in CAUSES:
        seen: Counter[str] = Counter()
        for seed in range(many):
            world = World(cause, seed)
            found = limits(world.legs)
            seen["false"] += any(not world.right(one) for one in found)
            seen["found"] += any(world.right(one) for one in found)
            most = max(sum(one.dead_by is not None for one in leg.lives) for leg in world.legs)
            seen["could be"] += most >= 6
        print(f"{cause:<14}{many:>10}{seen['false']:>8}{seen['found']:>8}{seen['could be']:>10}")


if __name__ == "__main__":
    main()
