"""A sweep in a run: the same observations as legs give, and what is left when it ends early."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
from typing import Any

import msgspec
import pytest
from sweep_help import (
    alive,
    deployment,
    descriptors,
    in_the_loop,
    leg,
    places,
    swept,
    without_times,
    written,
)

from t3probe.config.types import Deployment, Leg
from t3probe.config.types import SweepLimits as Pace
from t3probe.guard import VARIABLE, LoopbackOnlyError
from t3probe.observation import Observation, RunRecord
from t3probe.run import session as session_module
from t3probe.run.conclude import settled
from t3probe.run.controller import Run
from t3probe.run.sweep import parent as sweep_module
from t3probe.run.sweep.parent import Sweep
from t3probe.run.sweep.start import MANY, begin_sweep
from t3probe.verdict.incident.run import RunVerdict, judge_run


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("pace", [Pace(), Pace(at_once=2), Pace(pace="sequential")])
async def test_it_sees_what_legs_see(pace: Pace) -> None:
    with places() as here:
        good, bad, silent = here.answering(), here.refusing(), here.silent()
        port = good.rpartition(":")[2]
        legs = [
            leg("good", good),
            leg("bad", bad),
            leg("silent", silent),
            leg("only-there", bad, refused_ok=True),
            leg("some", good, bad),
            leg("others", bad, good, silent),
            leg("any", bad, good, any_of=True),
            leg("none", bad, silent),
            leg("slow", good, rtt_limit=1e-9),
            leg("named", f"localhost:{port}"),
        ]
        if has_ipv6():
            legs.append(leg("six", here.answering("::1")))
        made = deployment(legs, pace)
        before = descriptors()
        seen, sweep = await swept(made)
        assert descriptors() == before
        reference = {one.name: await in_the_loop(deployment([one])) for one in legs}
    assert not sweep.problem
    assert not alive(sweep._process.pid)
    assert list(seen) == [one.name for one in legs]
    for at in sweep_module._controls(legs):
        # It was dialled again for others; nothing else about it differs.
        one = seen[legs[at].name]
        if one.outcome != "failed":
            seen[one.leg] = msgspec.structs.replace(one, beats=one.beats[:1])
    for name, one in seen.items():
        assert without_times(one) == without_times(reference[name][name]), name
    assert [name for name, one in seen.items() if one.beats[0].refused] == ["envoy-only-there"]
    assert {name: one.outcome for name, one in seen.items()} == {
        **dict.fromkeys(seen, "passed"),
        **dict.fromkeys(["envoy-bad", "envoy-silent", "envoy-none"], "failed"),
        **dict.fromkeys(["envoy-some", "envoy-others", "envoy-slow", "envoy-named"], "degraded"),
        **({} if seen["envoy-named"].answered[1] > 1 else {"envoy-named": "passed"}),
    }


async def test_what_failed_is_tried_again_when_all_were_tried() -> None:
    with places() as here:
        bad = [leg(f"bad-{n}", here.refusing()) for n in range(3)]
        good = [leg(f"good-{n}", here.answering()) for n in range(40)]
        seen, _ = await swept(deployment([*bad, *good], Pace(at_once=4)))
    last = max(seen[one.name].beats[0].sent for one in good)
    for one in bad:
        first, second = seen[one.name].beats
        (drop,) = seen[one.name].drops
        assert drop.symptom == "down"
        assert drop.attempt is not None
        assert drop.began <= min(beat.sent for other in seen.values() for beat in other.beats)
        assert first.sent <= last <= second.sent == drop.attempt.started
        assert drop.noticed == first.ended <= second.sent


def judged(made: Deployment, seen: dict[str, Observation]) -> RunVerdict:
    run = RunRecord(segments=made.segments, own_segments=made.own_segments)
    return judge_run(run, list(seen.values()))


async def test_beside_a_second_look_controls_are_dialled_again() -> None:
    """And only they: two of the three chosen, since one of them is what failed."""
    with places() as here:
        legs = [leg("silent", here.silent()), *(leg(str(n), here.answering()) for n in range(8))]
        made = deployment(legs)
        seen, _ = await swept(made)
    (drop,) = seen["envoy-silent"].drops
    assert drop.attempt is not None
    chosen = [legs[at].name for at in sorted(sweep_module._controls(legs))]
    assert chosen == ["envoy-silent", "envoy-2", "envoy-5"]
    for name in seen.keys() - {"envoy-silent"}:
        later = [one for one in seen[name].beats if one.sent > drop.noticed]
        assert bool(later) == (name in chosen), name
        assert all(one.ok and one.sent <= drop.attempt.started for one in later)
        numbers = [one.conn for one in seen[name].beats]
        assert len(set(numbers)) == len(numbers)
    found = judged(made, seen)
    assert found.verdict.convicted == ("upstream-silent",)
    assert "net" in found.verdict.exonerated
    by = found.incidents[0].cleared_by
    assert {name for name, how in by.items() if how == "fresh beat"} == {"envoy-2", "envoy-5"}


async def test_without_controls_a_silent_one_leaves_what_it_shares(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What answered before it failed may have been asked before the trouble began."""
    monkeypatch.setattr(sweep_module, "_controls", lambda legs: frozenset())
    with places() as here:
        legs = [leg("silent", here.silent()), *(leg(str(n), here.answering()) for n in range(8))]
        made = deployment(legs)
        seen, _ = await swept(made)
    found = judged(made, seen).verdict
    assert found.convicted == ()
    assert found.at_least_one_of == (("net", "upstream-silent"),)


async def test_a_refusal_clears_what_is_shared_without_controls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweep_module, "_controls", lambda legs: frozenset())
    with places() as here:
        made = deployment([leg("a", here.refusing()), leg("b", here.refusing())])
        seen, _ = await swept(made)
    found = judged(made, seen)
    assert found.verdict.convicted == ("upstream-a", "upstream-b")
    assert found.verdict.exonerated == ("net",)


async def test_two_blips_of_what_shares_a_segment_are_no_lone_ones() -> None:
    tries = [(at, 0, 0, errno.ECONNREFUSED, 0, 10, 20) for at in (0, 1)]
    tries += [(at, 0, 1, 0, 35, 5000, 6000) for at in (0, 1)]
    seen = settled(written([leg("a", "127.0.0.1:1"), leg("b", "127.0.0.1:2")], tries))
    assert [one.outcome for one in seen] == ["failed", "failed"]
    assert [one.symptom for one in seen] == ["blip", "blip"]


def test_controls_are_few_and_far_apart() -> None:
    legs = [leg(str(at), f"127.0.0.1:{at + 1}") for at in range(100)]
    assert sorted(sweep_module._controls(legs)) == [0, 33, 66]
    assert sweep_module._controls(legs[:1]) == frozenset(), "it shares with nobody"
    assert sorted(sweep_module._controls(legs[:2])) == [0, 1]
    named = [leg("a", "a.test:1"), leg("b", "127.0.0.1:1", "127.0.0.1:2"), *legs[:2]]
    assert sorted(sweep_module._controls(named)) == [2, 3], "one address each, and no name"
    racks = [
        msgspec.structs.replace(one, path=(f"rack-{at // 4}", one.path[-1]))
        for at in range(1000)
        for one in [leg(str(at), "127.0.0.1:1")]
    ]
    found = sweep_module._controls(racks)
    assert len(found) == sweep_module.MOST_CONTROLS < 250 * sweep_module.CONTROLS
    assert sorted(found)[:4] == [0, 1, 2, 4]


async def test_a_drop_names_both_ends() -> None:
    with places() as here:
        legs = [leg("bad", here.refusing()), leg("silent", here.silent())]
        seen, _ = await swept(deployment(legs))
    for one in legs:
        (drop,) = seen[one.name].drops
        host, _, port = drop.local_address.partition(":")
        assert (host, drop.remote_address, drop.family) == ("127.0.0.1", one.address, "ipv4")
        assert int(port) > 0
        assert drop.local_address != one.address


async def test_a_silent_one_holds_up_no_other() -> None:
    """Nine that do not answer, three places: the tenth need not wait for their time to be over."""
    with places() as here:
        silent = [leg(f"silent-{n}", here.silent()) for n in range(9)]
        made = deployment([*silent, leg("good", here.answering())], Pace(at_once=3))
        seen, _ = await swept(made)
    assert {seen[one.name].reason for one in silent} == {"connect_timeout"}
    assert {len(seen[one.name].beats) for one in silent} == {2}
    good = seen["envoy-good"].beats[0]
    # Three rounds of a quarter of a second, not three of 0.4 s.
    assert good.ended < seen["envoy-silent-3"].beats[0].sent + 0.4 + 0.3


async def test_the_other_legs_of_the_run_are_measured_too() -> None:
    with places() as here:
        made = deployment([leg("good", here.answering())])
        other = Leg(name="egress", kind="tcp", path=("net",), address=here.answering())
        sweep = Sweep(made, made.legs, [other])
        run = Run(made, sweep.others, hold=0, beside=sweep.beside)
        assert [one.outcome for one in await run.measure()] == ["passed"]
        assert [one.outcome for one in sweep.observations(run, lambda _: "planned")] == ["passed"]
        assert run.call_number == 0


# -- ends before the end ---------------------------------------------------------------------


async def until_good(sweep: Sweep, run: Run) -> asyncio.Task[object]:
    """A run that is measuring, and whose sweep has told of what it saw."""
    task: asyncio.Task[object] = asyncio.create_task(run.measure())
    while not sweep.said:  # noqa: ASYNC110 - bytes that come have no event of their own
        await asyncio.sleep(0.01)
    return task


def endless(here: object) -> list[Leg]:
    """One that answers, and one that takes twice the three seconds."""
    return [leg("good", here.answering()), leg("silent", here.silent())]  # type: ignore[attr-defined]


async def test_a_stopped_run_keeps_what_was_seen() -> None:
    with places() as here:
        made = deployment(endless(here), connect_timeout=3.0)
        sweep = Sweep(made, made.legs)
        run = Run(made, (), hold=0, beside=sweep.beside)
        task = await until_good(sweep, run)
        run.stop()
        await task
        seen = {one.leg: one for one in sweep.observations(run, lambda _: "")}
    assert seen["envoy-good"].outcome == "passed"
    assert seen["envoy-silent"].outcome == "inconclusive"
    assert seen["envoy-silent"].detail == "the run ended before the first answer"
    assert not alive(sweep._process.pid)


async def test_a_run_that_was_stopped_before_it_began() -> None:
    with places() as here:
        made = deployment(endless(here))
        sweep = Sweep(made, made.legs)
        run = Run(made, (), hold=0, beside=sweep.beside)
        run.stop()
        await run.measure()
    seen = sweep.observations(run, lambda _: "")
    assert {one.detail for one in seen} == {"the run ended before the first answer"}
    assert not alive(sweep._process.pid)


@pytest.mark.parametrize(
    ("number", "words"),
    [(signal.SIGKILL, "was ended by signal 9"), (signal.SIGTERM, "ended with code 0")],
)
async def test_a_child_that_is_killed_is_no_failure_of_anybody(number: int, words: str) -> None:
    with places() as here:
        made = deployment(endless(here), connect_timeout=3.0)
        sweep = Sweep(made, made.legs)
        run = Run(made, (), hold=0, beside=sweep.beside)
        task = await until_good(sweep, run)
        sweep._process.send_signal(number)
        await task
        seen = {one.leg: one for one in sweep.observations(run, lambda _: "")}
    assert seen["envoy-good"].outcome == "passed"
    assert seen["envoy-silent"].outcome == "inconclusive"
    assert seen["envoy-silent"].detail == f"the sweep's process {words} before it was done"


async def test_ctrl_c_of_a_terminal_reaches_the_child_and_does_nothing() -> None:
    with places() as here:
        made = deployment(endless(here))
        sweep = Sweep(made, made.legs)
        run = Run(made, (), hold=0, beside=sweep.beside)
        task = await until_good(sweep, run)
        sweep._process.send_signal(signal.SIGINT)
        await task
        seen = {one.leg: one.outcome for one in sweep.observations(run, lambda _: "")}
    assert seen == {"envoy-good": "passed", "envoy-silent": "failed"}


async def test_a_child_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "SILENT_SECONDS", 1.5)
    with places() as here:
        made = deployment(endless(here), connect_timeout=3.0)
        sweep = Sweep(made, made.legs)
        run = Run(made, (), hold=0, beside=sweep.beside)
        task = await until_good(sweep, run)
        sweep._process.send_signal(signal.SIGSTOP)
        await task
        seen = {one.leg: one for one in sweep.observations(run, lambda _: "")}
    assert seen["envoy-good"].outcome == "passed"
    assert seen["envoy-silent"].detail == "the sweep's process hung: silent for 1.5 s"
    assert not alive(sweep._process.pid)


async def test_a_child_that_breaks_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "START", "raise SystemError('no such luck')")
    with places() as here:
        seen, _ = await swept(deployment([leg("good", here.answering())]))
    assert seen["envoy-good"].outcome == "inconclusive"
    assert seen["envoy-good"].detail == (
        "the sweep's process ended with code 1 before it was done: SystemError: no such luck"
    )


async def test_a_child_does_not_leave_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    with pytest.raises(LoopbackOnlyError, match=r"192\.0\.2\.1"):
        await swept(deployment([leg("away", "192.0.2.1:80")]))
    with pytest.raises(LoopbackOnlyError, match=r"away\.test"):
        await swept(deployment([leg("away", "away.test:80")]))


# -- few and many ----------------------------------------------------------------------------


def test_few_upstreams_are_legs_like_all_others() -> None:
    legs = [leg(str(n), "127.0.0.1:1") for n in range(MANY - 1)]
    others = [Leg(name=f"leg-{n}", kind="tcp", path=("net",)) for n in range(5)]
    assert begin_sweep(deployment(legs), [*legs, *others]) is None


def test_a_run_told_to_end_before_it_began_leaves_no_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[Sweep | None] = []

    def begin(*words: Any) -> Sweep | None:
        begun.append(begin_sweep(*words))
        session.stop()
        return begun[0]

    monkeypatch.setattr(session_module, "begin_sweep", begin)
    legs = [leg(str(n), "127.0.0.1:1") for n in range(MANY)]
    session = session_module.Session(deployment(legs), vantage="", hold=0.0)
    session.measure([one.name for one in legs], None)
    assert session.observations == {}
    assert begun[0] is not None
    assert not alive(begun[0]._process.pid)


def test_many_upstreams_are_swept_and_other_legs_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    legs = [leg(str(n), "127.0.0.1:1") for n in range(MANY)]
    others = [Leg(name=f"leg-{n}", kind="tcp", path=("net",)) for n in range(5)]
    sweep = begin_sweep(deployment(legs), [*others, *legs])
    assert sweep is not None
    sweep.give_up()
    assert not alive(sweep._process.pid)
    assert [*sweep.legs] == legs
    assert [*sweep.others] == others
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert begin_sweep(deployment(legs), legs) is None
