"""Our own footing: throttled control groups, a wall clock that is set, and what a run says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from probes.servers import deployment, echo, made_run, serve, ws_leg
from steady_loop import stand_still

from t3probe.config.table import Duration
from t3probe.config.types import Timing
from t3probe.run.footing import (
    CLOCK_STEP_SECONDS,
    LATE_SHARE,
    THROTTLED_SHARE,
    Footing,
    Throttling,
    stat_files,
)
from t3probe.run.session import Session
from t3probe.timing import FakeClock, RunClock

# -- control groups ----------------------------------------------------------------------------


class Groups:
    """A made-up /proc/self/cgroup and /sys/fs/cgroup."""

    def __init__(self, folder: Path, text: str) -> None:
        self.own, self.mount = folder / "cgroup", folder / "mount"
        self.own.write_text(text)

    def stat(self, group: str, text: str) -> None:
        path = self.mount / group / "cpu.stat"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def throttling(self) -> Throttling:
        return Throttling(self.own, self.mount)


V2 = "usage_usec 9\nnr_periods 5\nnr_throttled 3\nthrottled_usec {}\n"
V1 = "nr_periods 5\nnr_throttled 3\nthrottled_time {}\n"


def test_cgroup_v2_our_own_group_and_those_above(tmp_path: Path) -> None:
    groups = Groups(tmp_path, "0::/pod/box\n")
    groups.stat("", "usage_usec 9\n")  # the root counts nothing
    groups.stat("pod", V2.format(1_000_000))
    groups.stat("pod/box", V2.format(500_000))
    throttling = groups.throttling()
    assert throttling.known
    assert throttling.grown() == 0
    groups.stat("pod", V2.format(3_500_000))
    groups.stat("pod/box", V2.format(1_000_000))
    assert throttling.grown() == pytest.approx(2.5)  # the one throttled most, not their sum
    assert throttling.grown() == 0


def test_cgroup_v1(tmp_path: Path) -> None:
    groups = Groups(tmp_path, "4:memory:/box\n3:cpu,cpuacct:/box\n1:name=systemd:/\n0::/\n")
    groups.stat("cpu,cpuacct/box", V1.format(0))
    throttling = groups.throttling()
    groups.stat("cpu,cpuacct/box", V1.format(250_000_000))
    assert throttling.grown() == pytest.approx(0.25)


def test_in_a_container_our_group_is_the_mount_itself(tmp_path: Path) -> None:
    groups = Groups(tmp_path, "0::/../../kubepods/abc\n")
    groups.stat("", V2.format(0))
    groups.stat("..", V2.format(0))  # beside the mount: nobody's
    assert stat_files(groups.own, groups.mount) == [groups.mount / "cpu.stat"]
    assert groups.throttling().known


@pytest.mark.parametrize(
    "text", ["", "0::/\n", "nonsense\n", "3:cpu:/box\n", "0::/" + "x" * 300 + "\n"]
)
def test_where_nobody_counts_there_is_nothing(tmp_path: Path, text: str) -> None:
    throttling = Groups(tmp_path, text).throttling()
    assert not throttling.known
    assert throttling.grown() == 0
    assert not Throttling(tmp_path / "absent", tmp_path).known


def test_a_group_that_goes_away_or_talks_nonsense_is_not_believed(tmp_path: Path) -> None:
    groups = Groups(tmp_path, "0::/box\n")
    groups.stat("box", V2.format(0))
    throttling = groups.throttling()
    groups.stat("box", V2.format("soon"))
    assert throttling.grown() == 0
    (groups.mount / "box" / "cpu.stat").unlink()
    assert throttling.grown() == 0


# -- what the footing makes of it --------------------------------------------------------------


class Throttled(Throttling):
    """Grows when told."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"), Path("/nowhere"))
        self.next = 0.0

    @property
    def known(self) -> bool:
        return True

    def grown(self) -> float:
        grown, self.next = self.next, 0.0
        return grown


def throttled_footing(clock: FakeClock, keep: float | None = None) -> tuple[Footing, Throttled]:
    source = Throttled()
    timing = Timing(watchdog=Duration(4))
    return Footing(RunClock(clock), timing, throttling=source, keep=keep), source


def steps(clock: FakeClock, footing: Footing, source: Throttled, *throttled: float) -> None:
    """One sample after each tenth of a second, with so much throttling in it."""
    for seconds in throttled:
        clock.advance(0.1)
        source.next = seconds
        footing.look()


def test_much_throttling_within_a_drop_is_a_stall() -> None:
    clock = FakeClock()
    footing, source = throttled_footing(clock)
    steps(clock, footing, source, *[0.0] * 10, *[0.08] * 5, *[0.0] * 5)
    assert footing.stalls == []  # the loop was never late enough by itself
    assert footing.throttled_seconds == pytest.approx(0.4)
    assert footing.stalled(0.5, 1.5)  # 0.4 of one second
    assert not footing.stalled(0.0, 2.0)  # 0.4 of two: less than the share
    assert not footing.stalled(0.0, 1.0)
    assert footing.stalled(1.2, 1.2)  # an interval of nothing: the step before it
    assert not footing.stalled(2.0, 2.0)
    assert THROTTLED_SHARE == 0.25


def test_throttling_since_the_last_sample_counts_at_once() -> None:
    clock = FakeClock()
    footing, source = throttled_footing(clock)
    clock.advance(0.1)
    source.next = 0.09
    assert footing.stalled(0.0, 0.1)
    footing.look()
    assert footing.throttled_seconds == pytest.approx(0.09)


def test_several_processors_count_no_more_than_the_time_that_passed() -> None:
    clock = FakeClock()
    footing, source = throttled_footing(clock)
    steps(clock, footing, source, 4.0, *[0.0] * 9)
    assert not footing.stalled(0.0, 1.0)


def test_a_held_mode_forgets_old_throttling() -> None:
    clock = FakeClock()
    footing, source = throttled_footing(clock, keep=1.0)
    steps(clock, footing, source, 0.1, *[0.0] * 20)
    assert not footing.stalled(0.0, 0.1)


def test_without_a_counter_nothing_is_said() -> None:
    clock = FakeClock()
    none = Throttling(Path("/nowhere"), Path("/nowhere"))
    footing = Footing(RunClock(clock), Timing(), throttling=none)
    clock.advance(0.1)
    footing.look()
    assert footing.throttled_seconds is None


class SteppingClock(FakeClock):
    """Its wall clock can be set."""

    def set_by(self, seconds: float) -> None:
        self._wall += seconds


@pytest.mark.parametrize(
    ("set_by", "expected"),
    [([], 0), ([0.4] * 5, 0), ([2.0], 2.0), ([-3.0, 2.0], -3.0), ([1.0, -60.5], -60.5)],
)
def test_clock_steps(set_by: list[float], expected: float) -> None:
    clock = SteppingClock()
    footing = Footing(RunClock(clock), Timing())
    for seconds in set_by:
        clock.advance(0.1)
        footing.look()
        clock.set_by(seconds)
        clock.advance(0.1)
        footing.look()
    assert footing.clock_step_seconds == pytest.approx(expected)
    assert footing.stalls == []
    assert CLOCK_STEP_SECONDS == 0.5


# -- a loop that is late by a little, and often ------------------------------------------------


@pytest.mark.parametrize(
    ("late", "silent", "answered"), [(0.02, False, False), (0.05, True, False)]
)
def test_who_is_late_all_the_time_may_have_caused_a_silence(
    late: float, silent: bool, answered: bool
) -> None:
    """What takes many turns of the loop is late by all of them; an answer is an answer."""
    clock = FakeClock()
    footing = Footing(RunClock(clock), Timing())
    for _ in range(20):
        clock.advance(0.1 + late)
        footing.look()
    ended = footing._clock.now()
    assert footing.stalls == []
    assert footing.stalled(0.0, ended, 0.0) == silent
    assert footing.stalled(0.0, ended) == answered
    # What was late before and after does not count.
    for _ in range(20):
        clock.advance(0.1)
        footing.look()
    assert not footing.stalled(ended + 0.1, ended + 2.0, ended + 0.1)
    assert LATE_SHARE == 0.25


def test_lateness_is_forgotten_with_the_rest() -> None:
    clock = FakeClock()
    footing = Footing(RunClock(clock), Timing(), keep=1.0)
    for _ in range(100):
        clock.advance(0.15)
        footing.look()
    assert len(footing._delays) < 10


# -- in a run ----------------------------------------------------------------------------------


async def test_a_drop_while_throttled_convicts_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = Groups(tmp_path, "0::/box\n")
    groups.stat("box", V2.format(0))
    monkeypatch.setattr("t3probe.run.footing.Throttling", groups.throttling)
    async with serve(echo) as server:
        leg = ws_leg(server)
        run = made_run(deployment([leg]), [leg], hold=0.6)

        def cut() -> None:
            groups.stat("box", V2.format(30_000_000))
            run.legs[0].wake.set()
            line = run.legs[0]._line
            assert line is not None
            line._ws.transport.abort()  # type: ignore[attr-defined]

        asyncio.get_running_loop().call_later(0.3, cut)
        (seen,) = await run.measure()
    assert (seen.outcome, seen.reason) == ("inconclusive", "prober_stalled")
    assert seen.drops
    assert run.footing.throttled_seconds == pytest.approx(30)


async def test_a_loop_that_we_block_ourselves_convicts_nobody() -> None:
    """The answers wait in the kernel while the loop sleeps past every watchdog."""
    async with serve(echo) as server:
        legs = [ws_leg(server, name=f"ws{n}", path=(f"s{n}",)) for n in range(2)]
        run = made_run(deployment(legs, watchdog=0.5, heartbeat=0.2), legs, hold=0.9)

        def block() -> None:
            beating = [one for one in run.legs if one._line is not None and one._line._echo]  # type: ignore[attr-defined]
            if len(beating) < 2:  # not in the middle of a beat: look again very soon
                asyncio.get_running_loop().call_soon(block)
                return
            stand_still(1.5)

        asyncio.get_running_loop().call_later(0.2, block)
        seen = await run.measure()
    assert run.footing.worst_seconds >= 1
    dropped = [one for one in seen if one.drops]
    assert dropped
    assert all(drop.stalled for one in dropped for drop in one.drops)
    assert all((one.outcome, one.reason) == ("inconclusive", "prober_stalled") for one in dropped)
    assert {one.outcome for one in seen} <= {"passed", "inconclusive"}


def test_a_session_keeps_the_worst_of_its_runs() -> None:
    session = Session(deployment([]), vantage="", hold=None)
    assert session.record().throttled_seconds is None
    clock = SteppingClock()
    for seconds, step in ((0.25, 2.0), (0.5, -1.0)):
        footing, source = throttled_footing(clock)
        source.next = seconds
        clock.set_by(step)
        clock.advance(0.1)
        footing.look()
        session._stood(footing)
    record = session.record()
    assert record.throttled_seconds == pytest.approx(0.75)
    assert record.clock_step_seconds == pytest.approx(2.0)
