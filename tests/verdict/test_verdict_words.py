"""What the terminal says beside a verdict: how we stood, and where bytes were lost."""

from __future__ import annotations

from verdict_script import cut, judge, leg, usual

from t3probe.observation import RunRecord
from t3probe.show.summary import render


def test_lost_bytes_are_said_once_and_suspect_nobody() -> None:
    words = "3 segments unacknowledged, 5 retransmissions, nothing heard for 20 s: lost at a"
    x = leg("x", "wan a b", usual(until=15), cut(evidence=words))
    run = judge(x)
    lines = [text for _, text in render(RunRecord(), [x], run)]
    assert " ".join(" ".join(lines).split()).count(words) == 1
    assert "bytes of" not in "\n".join(lines)
    assert all(len(line) <= 80 for line in lines)
    assert run.verdict.at_least_one_of == (("wan", "a", "b"),)


def test_the_summary_tells_how_we_stood() -> None:
    x = leg("x", "wan a b", usual())
    record = RunRecord(throttled_seconds=1.25, clock_step_seconds=-2.5)
    text = "\n".join(line for _, line in render(record, [x], judge(x)))
    assert "our own CPU limit stopped us for 1.25 s: set a request, no limit" in text
    assert "the wall clock was set by -2.5 s: the UTC times after that differ" in text
    quiet = "\n".join(line for _, line in render(RunRecord(throttled_seconds=0.0), [x], judge(x)))
    assert "CPU limit" not in quiet
    assert "wall clock" not in quiet
