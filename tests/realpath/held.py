"""Runs lines of the held mode's table: a real `t3probe watch` beside a stack, an outage, a repair,
and what `/metrics` shows all the while.

The window of the held mode, a minute, is shortened to some seconds but for the line that asks for
it.
"""

from __future__ import annotations

import http.client
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from realpath.configs import SEGMENTS
from realpath.programs import until
from realpath.runner import LATE_SECONDS, beside, fresh
from realpath.stack import ASK_SECONDS, Stack
from realpath.table_held import LEGS, HeldLine

__all__ = ["HeldResult", "Shown", "differs", "ended_at", "judge_shown", "run_held"]

WINDOW_SECONDS = 4.0
MINUTE_SECONDS = 60.0
SHOWS_SECONDS = 15.0
"""So soon whatever happens must show."""
SOON_SECONDS = 2.0
"""After so long whatever happens, and needs not show, would."""
PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Shown:
    """What the gauges said at one moment."""

    at: float
    """Unix time of the snapshot."""
    states: dict[str, str]
    """The state of each segment."""
    connected: dict[str, float]
    accepting: dict[str, float]
    lag_seconds: float

    def of(self, *states: str) -> frozenset[str]:
        """The segments in one of these states."""
        return frozenset(name for name, state in self.states.items() if state in states)

    @property
    def named(self) -> frozenset[str]:
        return self.of("convicted", "ambiguous")

    @property
    def clear(self) -> bool:
        return self.of("exonerated") == frozenset(SEGMENTS)

    @property
    def up(self) -> bool:
        """Whether every leg is there and works on both strands."""
        return all(self.connected.get(leg) == self.accepting.get(leg) == 1 for leg in LEGS)

    @property
    def down(self) -> bool:
        """Whether any leg shows 0; one that shows nothing is being asked again."""
        return 0.0 in {*self.connected.values(), *self.accepting.values()}

    def __str__(self) -> str:
        states = ", ".join(
            f"{state} {' '.join(sorted(self.of(state)))}"
            for state in ("convicted", "ambiguous", "masked", "unobserved")
            if self.of(state)
        )
        legs = [
            f"{leg} {self.connected.get(leg, '-')}/{self.accepting.get(leg, '-')}"
            for leg in LEGS
            if not self.connected.get(leg) == self.accepting.get(leg) == 1
        ]
        return f"{self.at:.1f}: {states or 'all clear'}; {' '.join(legs) or 'all up'}"


@dataclass
class HeldResult:
    """What one outage gave."""

    line: HeldLine
    folder: Path
    shown: list[Shown] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """How it differs from the line, a sentence each."""
    unjust: list[str] = field(default_factory=list)
    """An innocent segment convicted, or a broken one cleared."""
    going: list[tuple[float, str]] = field(default_factory=list)
    """How snapshots differed from the line while the outage went on, with their times."""
    counted_at: float = math.inf
    """Unix time of the first drop that was counted."""
    began: float = 0.0
    """Unix time at which the outage began."""
    over: float = math.inf
    """Unix time at which the window after the outage is over."""

    @property
    def lag_seconds(self) -> float:
        """How late the prober's own event loop was since the outage began, at the worst."""
        since = [one.lag_seconds for one in self.shown if one.at > self.began]
        return max(since, default=0.0)

    @property
    def says_nothing(self) -> bool:
        """See `runner.Outcome`."""
        return bool(self.wrong) and not self.unjust and self.lag_seconds >= LATE_SECONDS

    def __str__(self) -> str:
        return "\n".join(
            [
                self.line.key,
                *([f"  why: {self.line.written.why}"] if self.line.written.why else []),
                *(f"  {one}" for one in (*self.unjust, *self.wrong)),
                f"  own loop late by {self.lag_seconds:.2f} s; lines and logs: {self.folder}",
                *(f"    {one}" for one in self.shown),
            ]
        )


class Gauges:
    """The newest snapshots of a `t3probe watch`."""

    def __init__(self, address: str, result: HeldResult) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._result = result

    def ask(self) -> Shown:
        """What is shown now; each snapshot is kept once."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=ASK_SECONDS)
        with closing(connection):
            connection.request("GET", "/metrics")
            shown = _read(connection.getresponse().read().decode())
        kept = self._result.shown
        if not kept or kept[-1].at != shown.at:
            kept.append(shown)
        return shown

    def until(self, done: Callable[[Shown], bool], seconds: float) -> Shown | None:
        """The first snapshot that is so; None when none is in time."""
        end = time.monotonic() + seconds
        while not done(shown := self.ask()):
            if time.monotonic() > end:
                return None
            time.sleep(PAUSE_SECONDS)
        return shown


def _read(text: str) -> Shown:
    rows: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            labels = tuple(one.labels.get(name, "") for name in ("segment", "leg", "state"))
            rows.setdefault(one.name, {})[labels] = one.value
    states = rows["t3probe_segment_state"]
    return Shown(
        at=next(iter(rows["t3probe_run_timestamp_seconds"].values())),
        states={segment: state for (segment, _, state), on in states.items() if on},
        connected={leg: on for (_, leg, _), on in rows.get("t3probe_connected", {}).items()},
        accepting={leg: on for (_, leg, _), on in rows.get("t3probe_accepting", {}).items()},
        lag_seconds=next(iter(rows["t3probe_loop_lag_seconds"].values())),
    )


def run_held(line: HeldLine, stack: Stack, folder: Path) -> HeldResult:
    """Bring the stack to health, hold its legs, break it, repair it, and look all the while.

    The lines of the held mode and what every hop wrote meanwhile are left in `folder`.
    """
    stack.reset(line.written.both)
    fresh(folder)
    marks = stack.sizes()
    result = HeldResult(line, folder)
    window = MINUTE_SECONDS if line.minute else WINDOW_SECONDS
    with _watching(line, stack, folder, window) as address:
        try:
            _outage(line, stack, Gauges(address, result), window, result)
        finally:
            for name, text in stack.written(marks).items():
                (folder / name).write_bytes(text)
    _judge_lines(result)
    judge_shown(result)
    return result


@contextmanager
def _watching(line: HeldLine, stack: Stack, folder: Path, window: float) -> Iterator[str]:
    """A `t3probe watch`; its address."""
    text = stack.deployment(line.written.both).read_text()
    # What no leg holds is looked at as often as `lasts` asks for.
    stack.write("held.toml", text.replace("[timing]\n", '[timing]\nsweep_interval = "1s"\n'))
    words = [str(stack.folder / "held.toml"), "--listen", "127.0.0.1:0"]
    command = (
        ["t3probe.cli", "watch", *words]
        if line.minute
        else ["tests.realpath.short_watch", str(window), *words]
    )
    said = folder / "watch.jsonl"
    with beside(stack, said, *command) as process:
        until(
            lambda: process.poll() is not None or '"event": "start"' in said.read_text(),
            "the held mode to start",
        )
        started = [one for one in _lines(said) if one["event"] == "start"]
        assert started, said.read_text()
        yield str(started[0]["listen"])
        process.terminate()
        process.wait(10)


def _lines(said: Path) -> list[dict[str, object]]:
    return [json.loads(one) for one in said.read_text().splitlines() if one.startswith("{")]


def _outage(
    line: HeldLine, stack: Stack, gauges: Gauges, window: float, result: HeldResult
) -> None:
    wrong, written = result.wrong, line.written
    if gauges.until(lambda one: one.up and one.clear, SHOWS_SECONDS) is None:
        wrong.append("it does not show health before the outage")
        return
    began = result.began = time.time()
    for fault in written.faults:
        fault.begin(stack)
        if fault.end is not None:
            stack.later(fault.lasts, lambda end=fault.end: end(stack))  # type: ignore[misc]
    must_show = bool(_guilty(line)) and not written.or_clean
    if must_show:
        shows = gauges.until(lambda one: one.at > began and not differs(line, one), SHOWS_SECONDS)
    else:
        shows = gauges.until(lambda one: one.at > began + SOON_SECONDS, SHOWS_SECONDS)
    if shows is None:
        wrong.append("it never shows what is written: " + "; ".join(differs(line, gauges.ask())))
    else:
        _watch_it_go_on(line, gauges, result)
    repaired = time.time()
    line.repair(stack)
    # Up to there nobody may have been cleared, or the outage be forgotten.
    back = gauges.until(lambda one: one.at > repaired and one.up, SHOWS_SECONDS)
    if back is None:
        wrong.append("after the repair not every leg shows 1 again")
        return
    if must_show and (missing := _guilty(line) - back.named):
        wrong.append(f"forgotten before its window is over: {' '.join(sorted(missing))}")
    clear = gauges.until(lambda one: one.clear and one.up, window + SHOWS_SECONDS)
    ended = ended_at(line, result.shown, began, repaired)
    if clear is None:
        wrong.append("after the window not every segment is exonerated")
    elif must_show and clear.at < ended + window:
        wrong.append(f"forgotten {clear.at - ended:.1f} s after the outage")
    result.over = ended + window


def ended_at(line: HeldLine, shown: Sequence[Shown], began: float, repaired: float) -> float:
    """The Unix time from which the window after an outage counts, at the earliest."""
    faults = line.written.faults
    last = max((one.at for one in shown if one.down and one.at < repaired), default=0.0)
    # What works before the repair met the other machine, or resolver: its outage is over.
    if line.written.both or line.written.or_clean:
        return last
    if all(fault.end is not None for fault in faults):  # over by itself, long before that
        return max(last, began + max(fault.lasts for fault in faults))
    return repaired


def _watch_it_go_on(line: HeldLine, gauges: Gauges, result: HeldResult) -> None:
    if line.brief:
        return
    end = time.time() + line.lasts
    known = ""
    while (shown := gauges.ask()).at < end and time.time() < end + SHOWS_SECONDS:
        for one in differs(line, shown):
            if one != known:
                known = one
                result.going.append((shown.at, f"while it goes on: {one}"))
        time.sleep(PAUSE_SECONDS)


def _guilty(line: HeldLine) -> frozenset[str]:
    """Who broke, as far as it can be seen."""
    written = line.written
    return written.convicted.union(written.suspect, *written.one_of)


def differs(line: HeldLine, shown: Shown) -> list[str]:
    """How a snapshot in the outage differs from the line."""
    written, out = line.written, []
    convicted, named = shown.of("convicted"), shown.named
    maybe = frozenset[str]().union(written.suspect, *written.one_of)
    if not written.convicted <= convicted <= written.convicted | written.suspect:
        out.append(f"convicted: {_words(convicted)}, not {_words(written.convicted)}")
    if not maybe <= named and not (written.or_clean and not named):
        out.append(f"in doubt: {_words(named)}, not {_words(maybe)}")
    if not written.suspect and (more := named - written.convicted - maybe):
        out.append(f"in doubt beyond that: {_words(more)}")
    if cleared := written.closed & shown.of("exonerated") - (maybe if written.or_clean else set()):
        out.append(f"exonerated: {_words(cleared)}")
    if not line.brief:
        for what, gauge, down in (
            ("connected", shown.connected, line.cut),
            ("accepting", shown.accepting, line.refused),
        ):
            for leg in LEGS:
                asked = leg in down or leg not in line.chance
                if asked and gauge.get(leg) != (leg not in down):
                    out.append(f"{what} of {leg}: {gauge.get(leg)}")
    return out


def judge_shown(result: HeldResult) -> None:
    """Whoever is innocent is never convicted; whoever broke is not cleared once it was named, up
    to the end of the window after the repair.

    That begins with the first drop that counts: a blip that stands alone is no outage, and what is
    in doubt until the second look is cleared by it.
    """
    guilty, seen, counted = _guilty(result.line), set[str](), result.counted_at
    result.wrong += [text for at, text in result.going if at >= counted]
    for shown in result.shown:
        if innocent := shown.of("convicted") - guilty:
            result.unjust.append(f"{shown.at:.1f}: convicted: {_words(innocent)}")
        seen |= guilty & shown.named
        if counted <= shown.at < result.over and (cleared := shown.of("exonerated") & seen):
            result.unjust.append(f"{shown.at:.1f}: cleared: {_words(cleared)}")
    if seen and counted == math.inf and not result.line.written.or_clean:
        result.wrong.append("no drop was counted")
    result.wrong += result.unjust


def _judge_lines(result: HeldResult) -> None:
    """The verdicts that stand in the lines of drops, and when the first one came that counts."""
    guilty = _guilty(result.line)
    for one in _lines(result.folder / "watch.jsonl"):
        if one["event"] == "drop" and one["counted"]:
            at = datetime.fromisoformat(str(one["time"])).timestamp()
            result.counted_at = min(result.counted_at, at)
        verdict = one.get("verdict")
        if not isinstance(verdict, dict):
            continue
        if innocent := frozenset(verdict["convicted"]) - guilty:
            result.unjust.append(f"the line of {one['leg']} convicts {_words(innocent)}")
            result.wrong.append(result.unjust[-1])


def _words(names: frozenset[str]) -> str:
    return " ".join(one for one in SEGMENTS if one in names) or "-"
