"""A run that was stopped from outside blames nobody for what happened meanwhile."""

from __future__ import annotations

import select
import signal

import pytest
from plugin_runner import Result, Runner
from test_plugin_signals import when_probing

STALLED_SECONDS = 1.5
"""Three times what the lab's watchdog takes for a stall."""


@pytest.mark.parametrize(
    ("segment", "legs"),
    [("traefik", {"internal", "traefik"}), ("cf-edge", {"edge", "cloudflare"})],
)
def test_what_breaks_while_we_are_stopped_convicts_nobody(
    checks: Runner, segment: str, legs: set[str]
) -> None:
    process = checks.start("--hold", "6s")
    when_probing(checks, process, 1.5)
    process.send_signal(signal.SIGSTOP)
    try:
        checks.lab.switch([f"{segment}:cut@0s"])  # every connection through it is reset
        select.select([], [], [], STALLED_SECONDS)
        checks.lab.clear()
    finally:
        process.send_signal(signal.SIGCONT)
    output, _ = process.communicate(timeout=60)
    done = Result(process.returncode, output.decode(), checks.folder / "results")
    assert done.code == 1, done.output  # "could not tell" is no pass
    dropped = {name: seen for name, seen in done.legs.items() if seen.drops}
    assert legs <= set(dropped), done.output
    for seen in dropped.values():
        assert all(drop.stalled for drop in seen.drops)
        assert (seen.outcome, seen.reason) == ("inconclusive", "prober_stalled")
    assert {seen.outcome for seen in done.legs.values()} <= {"passed", "inconclusive"}
    verdict = done.verdict
    assert verdict["convicted"] == verdict["ambiguous"] == []
    assert verdict["incidents"] == []
    assert done.recording.run.loop_lag_seconds >= STALLED_SECONDS - 0.5
    assert "our own event loop was late by up to" in done.output
    assert "prober_stalled" in done.output
