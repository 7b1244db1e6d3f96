"""The rules of the held mode, on a clock that jumps: back-off, names, stalls, states, downtime."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from probes.servers import deployment
from watch_clock import WALL, JumpClock, Script, Trouble, run, use_scripts
from watch_helpers import Kept, disconnects

from t3probe.config.types import Deployment, Downtime, Leg
from t3probe.probes.base import Probing
from t3probe.probes.facts import Target
from t3probe.probes.resolve import ResolveError, Resolver
from t3probe.verdict.incident.run import judge_run
from t3probe.watch import service
from t3probe.watch.http import LOOP_LIMIT_SECONDS

TIMES: dict[str, Any] = {
    "heartbeat": 10, "watchdog": 20, "backoff": 3, "backoff_max": 30, "sweep_interval": 60,
}  # fmt: skip


def ws(name: str, *path: str) -> Leg:
    url = "ws://app.example/"
    return Leg(name=name, kind="ws_echo", path=path, url=url, pin="127.0.0.1:9")


def walled(name: str, *path: str) -> Leg:
    return Leg(name=name, kind="walled", path=path, url="http://app.example/", pin="127.0.0.1:9")


WHOLE, FRONT = ws("whole", "front", "back"), ws("front", "front")
Moments = dict[float, Callable[[Kept], Any]]


def hold(
    monkeypatch: pytest.MonkeyPatch,
    scripts: dict[str, Script],
    legs: list[Leg],
    moments: Moments,
    change: Callable[[Deployment], Deployment] = lambda made: made,
) -> tuple[Kept, dict[float, Any]]:
    """Hold these legs to the last of the moments, and do at each what it says."""
    use_scripts(monkeypatch, scripts)
    found: dict[float, Any] = {}
    clock = JumpClock()

    async def main() -> Kept:
        kept = Kept(change(deployment(legs, **TIMES)), clock=clock)
        serving = asyncio.create_task(kept.watch.serve())
        for at in sorted(moments):
            await asyncio.sleep(at - clock.monotonic())
            done = moments[at](kept)
            found[at] = await done if isinstance(done, Awaitable) else done
        kept.watch.stop()
        await serving
        return kept

    return run(clock, main()), found


def stall(seconds: float) -> Callable[[Kept], None]:
    """Our own process stands still for so long."""

    def stand_still(kept: Kept) -> None:
        kept.watch.clock.clock.now += seconds  # type: ignore[attr-defined]

    return stand_still


def state(kept: Kept, segment: str) -> str:
    series = kept.series()
    start = f't3probe_segment_state{{segment="{segment}",state="'
    return next(
        name.removeprefix(start).rstrip('"}')
        for name, value in series.items()
        if name.startswith(start) and value
    )


def connected(kept: Kept, leg: str = "whole") -> float | None:
    return kept.series().get(f't3probe_connected{{leg="{leg}"}}')


# -- reconnecting ------------------------------------------------------------------------------


def test_a_leg_that_is_down_is_tried_again_soon_and_then_every_heartbeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = Script([Trouble(33.3, "connection_reset", lasts=400)])
    hold(monkeypatch, {"whole": script}, [WHOLE], {420.0: lambda kept: None})
    tries = [one for one in script.sent if 33 < one < 420]
    pauses = [round(b - a) for a, b in pairwise(tries)]
    # A pause of three seconds times n, and a beat at each heartbeat: at 40, 50, 60 ...
    assert pauses == [3, 4, 9, 1, *[10] * (len(pauses) - 4)]
    assert len(pauses) > 36


def test_a_name_is_resolved_anew_every_minute_and_what_is_known_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[float] = []
    answers = ["127.0.0.1", "127.0.0.2", "", "127.0.0.4"]

    async def targets(leg: Leg, probing: Probing, resolver: Resolver) -> list[Target]:
        asked.append(probing.clock.now())
        answer = answers[min(len(asked), len(answers)) - 1]
        if not answer:
            raise ResolveError("nobody answers")
        return [Target("app.example", answer, 9)]

    monkeypatch.setattr("t3probe.run.attempt.targets", targets)
    cuts = [Trouble(at + 3.3, "connection_reset", lasts=1.0) for at in (100, 110, 300, 500)]

    def address(kept: Kept) -> str:
        return kept.watch.held.books["whole"].address

    script = Script(cuts)
    _, seen = hold(
        monkeypatch, {"whole": script}, [WHOLE],
        {90.0: address, 290.0: address, 490.0: address, 600.0: address},
    )  # fmt: skip
    assert all(60 <= b - a <= 70.01 for a, b in pairwise(asked)), asked
    # The held connection keeps its address; a new one goes to the newest that is known.
    assert list(seen.values()) == ["127.0.0.1:9", "127.0.0.2:9", "127.0.0.4:9", "127.0.0.4:9"]


@pytest.mark.parametrize("kind", ["collapsed_until", "breaks_until"])
def test_what_ends_a_leg_in_a_run_is_looked_at_again(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script()
    setattr(script, kind, 100.0)
    kept, seen = hold(
        monkeypatch, {"whole": script, "front": Script()}, [WHOLE, FRONT],
        {80.0: connected, 160.0: connected},
    )  # fmt: skip
    assert seen == {80.0: None, 160.0: 1.0}
    observed = kept.series()['t3probe_observed_seconds_total{leg="whole"}']
    assert 29.9 < observed < 65  # not the time in which it could not tell
    assert [one for one in script.sent if one < 100] == pytest.approx([0, 30, 60, 90], abs=0.1)
    assert disconnects(kept.series()) == {}


# -- our own footing -----------------------------------------------------------------------------


def test_a_drop_in_our_own_stall_is_told_and_not_counted(
    own_footing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script([Trouble(33.3, "connection_reset")])
    kept, seen = hold(
        monkeypatch, {"whole": script}, [WHOLE],
        {33.2: stall(5), 45.0: connected, 120.0: connected},
    )  # fmt: skip
    assert disconnects(kept.series()) == {}
    assert (seen[45.0], seen[120.0]) == (None, 1.0)
    series = kept.series()
    assert series['t3probe_observed_seconds_total{leg="whole"}'] < 116
    assert series["t3probe_loop_lag_seconds"] < 1  # the stall is more than a minute ago
    (line,) = kept.lines("drop")
    assert (line["stalled"], line["counted"], line["verdict"]) == (True, False, None)


def test_an_outage_that_goes_on_after_our_stall_is_counted_once(
    own_footing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script([Trouble(33.3, "connection_reset", lasts=100)])
    kept, seen = hold(
        monkeypatch, {"whole": script, "front": Script()}, [WHOLE, FRONT],
        {33.2: stall(5), 60.0: lambda kept: (connected(kept), state(kept, "back"))},
    )  # fmt: skip
    assert disconnects(kept.series()) == {("whole", "connection_reset"): 1}
    # How it began nobody saw, so `front` may or may not be cleared; nothing says that `back` is.
    assert seen[60.0][0] == 0.0
    assert seen[60.0][1] in ("convicted", "ambiguous")
    assert [one["counted"] for one in kept.lines("drop")] == [False, True]


# -- the present ---------------------------------------------------------------------------------


def test_an_outage_stays_convicted_for_as_long_as_it_lasts_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = Script([Trouble(33.3, "connection_reset", lasts=3000)])

    def look(kept: Kept) -> tuple[float | None, str, str]:
        return connected(kept), state(kept, "back"), state(kept, "front")

    moments: Moments = dict.fromkeys([30.0, 50.0, 700.0, 3000.0, 3200.0], look)
    _, seen = hold(monkeypatch, {"whole": script, "front": Script()}, [WHOLE, FRONT], moments)
    broken, well = (0.0, "convicted", "exonerated"), (1.0, "exonerated", "exonerated")
    assert list(seen.values()) == [well, broken, broken, broken, well]


def test_a_cut_shows_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script([Trouble(33.3, "connection_reset")])

    def look(kept: Kept) -> tuple[float | None, str]:
        return connected(kept), state(kept, "back")

    moments: Moments = dict.fromkeys([50.0, 90.0, 105.0], look)
    _, seen = hold(monkeypatch, {"whole": script, "front": Script()}, [WHOLE, FRONT], moments)
    cut = (1.0, "convicted")
    assert list(seen.values()) == [cut, cut, (1.0, "exonerated")]


def test_an_outage_that_is_over_hides_none_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two legs fall over `back` and return, which is the worse outage; then `side` falls."""
    short = [Trouble(203.3, "connection_reset", lasts=8)]
    scripts = {
        "whole": Script(list(short)), "again": Script(list(short)), "front": Script(),
        "side": Script([Trouble(233.3, "connection_reset", lasts=3000)]),
    }  # fmt: skip
    legs = [WHOLE, FRONT, ws("again", "front", "back"), ws("side", "side")]

    def look(kept: Kept) -> dict[str, str]:
        return {one: state(kept, one) for one in ("front", "back", "side")}

    moments: Moments = dict.fromkeys([190.0, 225.0, 245.0, 300.0], look)
    _, seen = hold(monkeypatch, scripts, legs, moments)
    front, well, broken = {"front": "exonerated"}, "exonerated", "convicted"
    assert seen[190.0] == {**front, "back": well, "side": well}
    assert seen[225.0] == {**front, "back": broken, "side": well}, "over for a moment"
    assert seen[245.0] == {**front, "back": broken, "side": broken}, "one over, one going on"
    assert seen[300.0] == {**front, "back": well, "side": broken}, "over for more than a minute"


def test_the_run_timestamp_goes_on_and_follows_a_clock_that_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look(kept: Kept) -> float:
        return kept.series()["t3probe_run_timestamp_seconds"]

    def set_clock(kept: Kept) -> None:
        clock = kept.watch.clock.clock
        monkeypatch.setattr(clock, "wall", lambda: WALL + 7200 + clock.monotonic())

    moments: Moments = {100.0: look, 101.5: set_clock, 200.0: look}
    kept, seen = hold(monkeypatch, {"whole": Script()}, [WHOLE], moments)
    assert WALL + 89 <= seen[100.0] <= WALL + 100
    assert WALL + 7200 + 189 <= seen[200.0] <= WALL + 7400
    assert kept.series()["t3probe_run_complete"] == 1


def test_planned_downtime_is_shown_and_neither_counted_nor_connected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = Script([Trouble(33.3, "connection_reset"), Trouble(333.3, "io_error")])
    until = datetime.fromtimestamp(WALL + 200, UTC)

    def plan(made: Deployment) -> Deployment:
        return msgspec.structs.replace(made, downtime=(Downtime(until=until, leg="whole"),))

    def look(kept: Kept) -> tuple[float | None, float]:
        return connected(kept), kept.series()['t3probe_planned{leg="whole"}']

    kept, seen = hold(
        monkeypatch, {"whole": script}, [WHOLE], {100.0: look, 300.0: look, 400.0: look}, plan
    )
    assert seen == {100.0: (None, 1.0), 300.0: (1.0, 0.0), 400.0: (1.0, 0.0)}
    series = kept.series()
    assert disconnects(series) == {("whole", "io_error"): 1}
    assert 190 < series['t3probe_observed_seconds_total{leg="whole"}'] < 215
    assert [one["counted"] for one in kept.lines("drop")] == [False, True]


def test_a_verdict_that_breaks_is_said_once_and_the_probing_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = Script([Trouble(33.3, "connection_reset"), Trouble(133.3, "connection_reset")])

    def broken(*arguments: object) -> None:
        raise ZeroDivisionError

    def breaks(kept: Kept) -> None:
        monkeypatch.setattr(service, "judge_run", broken)

    def mends(kept: Kept) -> None:
        monkeypatch.setattr(service, "judge_run", judge_run)

    kept, seen = hold(
        monkeypatch, {"whole": script, "front": Script()}, [WHOLE, FRONT],
        {20.0: breaks, 50.0: lambda kept: kept.health.check()[0], 120.0: mends, 160.0: connected},
    )  # fmt: skip
    assert (seen[50.0], seen[160.0]) == (True, 1.0)
    assert disconnects(kept.series()) == {("whole", "connection_reset"): 2}
    assert state(kept, "back") == "convicted"
    lines = kept.lines()
    broke = [one["doing"] for one in lines if one["event"] == "error"]
    assert sorted(broke) == ["judging", "publishing"]
    verdicts = [one["verdict"] for one in lines if one["event"] == "drop"]
    assert [one is None for one in verdicts] == [True, False]


# -- bounds --------------------------------------------------------------------------------------


@pytest.mark.timeout(400)  # a third of a minute of CPU
def test_a_leg_that_flaps_for_hours_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script([Trouble(at + 0.5, "closed_by_peer") for at in range(1, 20_000)])
    kept, _ = hold(monkeypatch, {"whole": script}, [WHOLE], {20_000.0: lambda kept: None})
    book = kept.watch.held.books["whole"]
    assert len(book.drops) <= 200
    assert len(book.beats) <= 1000
    count = disconnects(kept.series())["whole", "closed_by_peer"]
    assert count == len(kept.lines("drop"))
    assert count > 500


def test_ways_out_are_tried_once_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []

    def look(kept: Kept) -> None:
        once = kept.watch.held.probing.once
        seen.append(set(once))
        once.update({"walled-a /probe", "walled-ab /probe"})

    moments: Moments = dict.fromkeys([30.0, 50.0, 70.0], look)
    hold(monkeypatch, {"walled-a": Script()}, [walled("walled-a", "front")], moments)
    everything = {"walled-a /probe", "walled-ab /probe"}
    assert seen == [set(), everything, everything - {"walled-a /probe"}]


# -- reloading -----------------------------------------------------------------------------------


def test_a_reload_that_finds_no_descriptor_to_import_with_leaves_the_old_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def reload(kept: Kept) -> None:
        monkeypatch.setattr(service, "preload", none_left)
        kept.watch.reload()

    def none_left(legs: Any) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    kept, seen = hold(
        monkeypatch, {"whole": Script()}, [WHOLE],
        {30.0: reload, 60.0: connected},
    )  # fmt: skip
    assert seen[60.0] == 1.0
    (line,) = kept.lines("reload")
    assert (line["ok"], line["text"]) == (False, "the old file holds")
    assert "Too many open files" in line["error"]


# -- health --------------------------------------------------------------------------------------


def test_health_while_the_loop_turns_stands_still_and_nobody_beats(
    own_footing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script()

    def blocked(kept: Kept) -> tuple[bool, str]:
        stall(LOOP_LIMIT_SECONDS + 2)(kept)
        return kept.health.check()

    async def hang(kept: Kept) -> None:
        async def never(line: Any) -> None:
            await asyncio.sleep(10_000)

        monkeypatch.setattr("watch_clock.ScriptedLine.beat", never)

    _, seen = hold(
        monkeypatch, {"whole": script}, [WHOLE],
        {
            30.5: lambda kept: kept.health.check(),
            31.0: blocked,
            45.0: lambda kept: kept.health.check(),
            46.0: hang,
            90.0: lambda kept: kept.health.check(),
            200.0: lambda kept: kept.health.check(),
        },
    )  # fmt: skip
    del seen[46.0]
    assert [well for well, _ in seen.values()] == [True, False, True, True, False]
    assert "the probing loop has stood still for 8" in seen[31.0][1]
    assert "no leg has beaten for 2 min" in seen[200.0][1]
