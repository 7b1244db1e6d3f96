"""Opinions in the held mode: compared with the verdict of the moment at which they are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec
import pytest
from steady_lab import SteadyLab
from watch_helpers import Kept

from t3probe.config.opinions import OpinionSource
from t3probe.config.types import Deployment
from t3probe.observation import OpinionView, RunRecord
from t3probe.timing import RunClock
from t3probe.upstreams.opinions.said import SelfReport
from t3probe.verdict.exact.case import Case
from t3probe.verdict.exact.labels import Verdict, solve
from t3probe.verdict.opinions import opinions_beside
from t3probe.watch.opinions import OpinionWatch

SOURCE = OpinionSource(name="cfd", kind="cloudflared", segment="tunnel", url="http://127.0.0.1:1")
WINDOW = 80.0


class _Moments:
    """A clock that is set."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def verdict(*, broken: bool) -> Verdict:
    legs = {"public": ("wan", "tunnel"), "edge": ("wan",)}
    failed = ("public",) if broken else ()
    passed = ("edge",) if broken else ("public", "edge")
    return solve(Case(segments=("wan", "tunnel"), legs=legs, failed=failed, passed=passed))


GOOD, BAD = verdict(broken=False), verdict(broken=True)
WELL = SelfReport("healthy", ("4 connections",), marks=(4,))
AWAY = SelfReport("unhealthy", ("0 connections",), marks=(0,))
OTHER = SelfReport("healthy", ("4 connections",), marks=(5,))


def told(*steps: tuple[float, SelfReport, Verdict]) -> list[OpinionView]:
    clock = _Moments()
    deployment = Deployment(
        name="x", file="x", segments=("wan", "tunnel"), legs=(), opinion=(SOURCE,)
    )
    watch = OpinionWatch(deployment, "", RunClock(clock), {}, WINDOW)  # type: ignore[arg-type]
    found = []
    for at, said, judged in steps:
        clock.at = at
        watch.take([said], judged)
        found += watch.views
    return found


def disagreement(view: OpinionView, now: Verdict) -> tuple[bool, str | None]:
    """As a snapshot with this verdict shows it."""
    (one,) = opinions_beside(RunRecord(opinions=(view,)), now)
    return one.compared, one.disagreement


def test_the_first_answer_is_compared_with_nothing() -> None:
    (view,) = told((0, WELL, BAD))
    assert disagreement(view, BAD) == (False, None)


def test_both_kinds() -> None:
    views = told((0, WELL, BAD), (60, WELL, BAD))
    assert disagreement(views[1], BAD) == (True, "opinion_only")
    views = told((0, AWAY, GOOD), (60, AWAY, GOOD))
    assert disagreement(views[1], GOOD) == (True, "probe_only")


def test_what_broke_after_it_was_asked_is_held_against_nobody() -> None:
    """Between two questions the verdict moves on, and the opinion is that of before."""
    views = told((0, WELL, GOOD), (60, WELL, GOOD))
    assert disagreement(views[1], BAD) == (True, None)


def test_what_moved_within_the_window_is_not_compared() -> None:
    views = told((0, WELL, BAD), (10, OTHER, BAD), (20, OTHER, BAD), (89, OTHER, BAD))
    assert [one.steady for one in views] == [False, False, False, False]
    # Ten seconds after the change was over, all that a verdict can tell of is behind it.
    views = told((0, WELL, BAD), (10, OTHER, BAD), (91, OTHER, BAD), (180, OTHER, BAD))
    assert [one.steady for one in views] == [False, False, True, True]


def test_little_is_kept() -> None:
    clock = _Moments()
    deployment = Deployment(name="x", file="x", segments=("tunnel",), legs=(), opinion=(SOURCE,))
    watch = OpinionWatch(deployment, "", RunClock(clock), {}, WINDOW)  # type: ignore[arg-type]
    for at in range(1000):
        clock.at = float(at)
        watch.take([WELL], GOOD)
    assert len(watch._kept["cfd"]) <= WINDOW + 2


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SteadyLab]:
    with SteadyLab(tmp_path_factory.mktemp("lab"), {}, pace=4.0) as one:
        yield one


def test_it_is_asked_and_published(lab: SteadyLab) -> None:
    deployment = msgspec.structs.replace(lab.deployment(), opinion=(SOURCE,))

    async def main() -> tuple[Kept, dict[str, float]]:
        kept = Kept(deployment, clock=lab.loop.clock)
        serving = asyncio.create_task(kept.watch.serve())
        while not (kept.snapshot and kept.snapshot.record.opinions):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        series = kept.series()
        kept.watch.stop()
        await serving
        return kept, series

    kept, series = lab.run(main())
    assert kept.snapshot is not None
    (view,) = kept.snapshot.record.opinions
    assert (view.opinion, view.detail) == ("unknown", "it refuses connections")
    assert not [one for one in series if "opinion" in one], "what is not known has no series"
    assert not kept.lines("error")
