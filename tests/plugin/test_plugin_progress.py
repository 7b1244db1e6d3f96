"""Colour and progress of a real run: on a terminal, on one that can little, in a log."""

from __future__ import annotations

import os
import pty
import re
import subprocess

import pytest
from plugin_runner import ENVIRON, ROOT, Runner

SHORT = ("--hold", "4s", "-k", "dispatch or devvm")
COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
LINE = r"t3probe: held ([1-4]) of 4 s, 2 legs, (\d+) good beats"
SOONER = """
import t3probe.show.progress as progress

progress.LOG_FROM_SECONDS = progress.LOG_EVERY_SECONDS = 1.0
"""


def on_a_terminal(checks: Runner, **environ: str) -> bytes:
    """Everything that a run writes to a terminal."""
    near, far = pty.openpty()
    plain = {key: one for key, one in ENVIRON.items() if key != "NO_COLOR"}
    process = subprocess.Popen(
        checks.command(*SHORT), cwd=ROOT, env={**plain, **environ},
        stdin=subprocess.DEVNULL, stdout=far, stderr=far,
    )  # fmt: skip
    os.close(far)
    shown = b""
    try:
        while chunk := os.read(near, 65536):
            shown += chunk
    except OSError:
        pass  # the terminal is gone: the process has ended
    os.close(near)
    assert process.wait(timeout=30) == 0
    assert b"VERDICT" in shown
    return shown


def test_a_terminal_has_colour_and_progress(checks: Runner) -> None:
    shown = on_a_terminal(checks, TERM="xterm")
    assert COLOUR.search(shown)
    assert b"s left" in shown
    assert b"dispatch" in shown
    piped = checks(*SHORT)
    assert "s left" not in piped.output
    assert "\x1b" not in piped.output


def test_no_color_is_honoured(checks: Runner) -> None:
    shown = on_a_terminal(checks, TERM="xterm", NO_COLOR="1")
    assert not COLOUR.search(shown)
    assert b"s left" in shown, "which is no colour"


def test_a_terminal_that_cannot_move_its_cursor_is_as_a_log(checks: Runner) -> None:
    shown = on_a_terminal(checks, TERM="dumb")
    assert b"\x1b" not in shown
    assert b"s left" not in shown


@pytest.mark.parametrize(("more", "told"), [((), True), (("-q",), False), (("--job",), False)])
def test_a_log_is_told_now_and_then(checks: Runner, more: tuple[str, ...], told: bool) -> None:
    """With the hold that is long, and the seconds between two lines, a tenth of what they are."""
    (checks.folder / "sooner.py").write_text(SOONER)
    more = ("--exit-delivered",) if more == ("--job",) else more
    path = f"{checks.folder}{os.pathsep}{ROOT}"
    done = checks("-p", "sooner", *SHORT, *more, env={"PYTHONPATH": path})
    lines = [line for line in done.output.splitlines() if line.startswith("t3probe: held ")]
    assert "\x1b" not in done.output
    if not told:
        assert not lines
        return
    assert done.code == 0, done.output
    assert 1 <= len(lines) <= 4, "the seconds of the hold, or fewer on a busy machine"
    found = [re.fullmatch(LINE, line) for line in lines]
    assert None not in found, lines
    held, beats = zip(*((int(one[1]), int(one[2])) for one in found if one), strict=True)
    assert sorted(set(held)) == list(held), "each later than the one before"
    assert held[0] >= 1
    assert sorted(beats) == list(beats)
    assert beats[0] >= 2, "each leg's first beat was long ago"
