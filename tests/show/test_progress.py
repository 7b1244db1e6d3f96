"""Progress of a long hold: in place on a terminal, a bounded number of lines in a log."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.show.progress import (
    LOG_EVERY_SECONDS,
    LOG_LINES,
    LogProgress,
    Progress,
    lines,
    log_line,
    progress_for,
)
from t3probe.timing import FakeClock, RunClock

TERMINAL = {"TERM": "xterm"}


class Paper:
    def __init__(self) -> None:
        self.text = ""

    def write(self, msg: str, *, flush: bool = False) -> None:
        self.text += msg
        self.flushed = flush


def fake_leg(name: str, beats: int = 3, drops: int = 0) -> Any:
    book = SimpleNamespace(
        beats=[SimpleNamespace(ok=True)] * beats + [SimpleNamespace(ok=False)],
        drops=[object()] * drops,
    )
    return SimpleNamespace(leg=SimpleNamespace(name=name), book=book)


def fake_run(hold: float, *legs: Any) -> tuple[Any, FakeClock]:
    time = FakeClock()
    clock = RunClock(time)
    return SimpleNamespace(hold=hold, clock=clock, legs=list(legs)), time


async def follow(show: Any, run: Any, time: FakeClock, seconds: float) -> None:
    """As a run does it: about twice a second."""
    show(run)
    while run.clock.now() < seconds:
        await time.sleep(0.5)
        show(run)
    show.end()


@pytest.mark.parametrize(
    ("terminal", "environ", "hold", "kind"),
    [
        (True, TERMINAL, 35.0, Progress),
        (True, TERMINAL, 2.0, None),
        (True, {**TERMINAL, "NO_COLOR": "1"}, 35.0, Progress),
        (True, {"TERM": "dumb"}, 35.0, LogProgress),
        (True, {}, 35.0, LogProgress),
        (True, {"TERM": "dumb"}, 8.0, None),
        (False, TERMINAL, 35.0, LogProgress),
        (False, TERMINAL, 19.9, None),
    ],
)
def test_who_is_shown_what(terminal: bool, environ: dict, hold: float, kind: type | None) -> None:
    shown = progress_for(Paper(), hold, terminal=terminal, environ=environ)
    assert (None if shown is None else type(shown)) is kind


async def test_a_log_gets_a_line_every_ten_seconds_and_one_at_the_end() -> None:
    run, time = fake_run(35.0, fake_leg("edge", 4), fake_leg("cloudflare", 2, drops=1))
    paper = Paper()
    await follow(LogProgress(paper, 35.0), run, time, 43.0)
    assert paper.text.splitlines() == [
        "t3probe: held 10 of 35 s, 2 legs, 6 good beats, 1 drop: cloudflare",
        "t3probe: held 20 of 35 s, 2 legs, 6 good beats, 1 drop: cloudflare",
        "t3probe: held 30 of 35 s, 2 legs, 6 good beats, 1 drop: cloudflare",
        "t3probe: waiting for open beats, 2 legs, 6 good beats, 1 drop: cloudflare",
    ]
    assert paper.flushed, "a log that is followed shows it now"


@given(hold=st.floats(LOG_EVERY_SECONDS, 1_000_000.0), late=st.lists(st.floats(0.01, 90_000.0)))
def test_a_log_is_bounded(hold: float, late: list[float]) -> None:
    """However long the hold, and however seldom it is told."""
    run, time = fake_run(hold, fake_leg("edge"))
    paper = Paper()
    show = LogProgress(paper, hold)
    for step in [*late, *([hold / 97] * 200)]:
        time.advance(step)
        show(run)
    assert 1 <= len(paper.text.splitlines()) <= LOG_LINES + 1
    assert "\x1b" not in paper.text
    assert "\r" not in paper.text


async def test_a_terminal_is_redrawn_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "24")
    run, time = fake_run(4.0, fake_leg("edge"), fake_leg("internal"))
    paper = Paper()
    await follow(Progress(paper), run, time, 5.0)
    assert screen(paper.text) == [""], "and taken away at the end"
    head, *frames = paper.text.split("\x1b[2A\x1b[J")
    assert head == "holding, 4 s left\n  edge 3  internal 3 \n"
    assert frames[-2].startswith("waiting for open beats\n")
    assert frames[-1] == ""


def screen(text: str) -> list[str]:
    """What a terminal shows after it: knows line feeds, cursor up, and erase below."""
    rows = [""]
    for part in text.replace("\x1b[J", "\0").replace("\x1b[", "\1").split("\1"):
        if part and part[0].isdigit():
            up, _, part = part.partition("A")
            rows = [*rows[: len(rows) - 1 - int(up)], ""]
        pieces = part.replace("\0", "").split("\n")
        rows[-1] += pieces[0]
        rows += pieces[1:]
    return rows


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (20, 5), (40, 2)])
async def test_a_small_terminal_is_not_scrolled(
    columns: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has scrolled out of sight could not be taken away."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(rows))
    run, time = fake_run(4.0, *(fake_leg(f"leg-{n}", drops=n) for n in range(40)))
    paper = Paper()
    await follow(Progress(paper), run, time, 5.0)
    for frame in paper.text.split("\x1b[J"):
        assert frame.count("\n") < rows
        assert max(map(len, frame.split("\n"))) < columns
    assert screen(paper.text) == [""]


NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,62}", fullmatch=True)


@given(st.lists(st.tuples(NAMES, st.integers(0, 9)), max_size=200), st.floats(0.0, 100.0))
def test_any_legs_fit_their_width(legs: list[tuple[str, int]], at: float) -> None:
    run, time = fake_run(60.0, *(fake_leg(name, drops=drops) for name, drops in legs))
    time.advance(at)
    assert len(log_line(run)) <= 80
    assert max(map(len, lines(run, 80))) < 80
    assert len(lines(run, 80)) <= 13
