"""Workflow commands and the job summary: in GitHub's documented form, whatever is said."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from gate_runs import PATHS, SEGMENTS, leg, run
from hypothesis import given
from hypothesis import strategies as st

from t3probe.exchange.terminal import disarmed
from t3probe.observation import RunRecord
from t3probe.record.facts import Recording
from t3probe.show.annotations import (
    MESSAGE_LIMIT,
    SUMMARY_LIMIT_BYTES,
    append,
    command,
    of_comparison,
    of_run,
)
from t3probe.show.compare import compare
from t3probe.text import plain
from t3probe.verdict.gate import sentences
from t3probe.verdict.incident.run import judge_run

COMMAND = re.compile(
    r"::(error|warning|notice)( [a-z]+=[^:,\r\n]*(,[a-z]+=[^:,\r\n]*)*)?::[^\r\n]*"
)
"""https://docs.github.com/actions/reference/workflow-commands-for-github-actions"""


def unescaped(text: str) -> str:
    for code, char in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(code, char)
    return text


def fit(text: str) -> str:
    """What nothing in it hides or commands: lines of their own stay."""
    return disarmed("\n".join(plain(line, ascii=False) for line in text.split("\n")))


@given(st.text(), st.text(min_size=1))
def test_a_command_is_one_line_and_says_the_same(message: str, title: str) -> None:
    line = command("error", message, title=title)
    assert len(re.split(r"[\r\n]", line)) == 1
    assert COMMAND.fullmatch(line)
    said, _, rest = line.removeprefix("::error title=").partition("::")
    assert unescaped(said) == fit(title)
    assert unescaped(rest) == fit(message)


def test_a_run_has_few_enough_errors() -> None:
    one = run("cloudflare")
    legs = [msgspec.structs.replace(one.observations[1], leg=f"leg-{at}") for at in range(30)]
    judged = judge_run(one.run, legs)
    lines = list(of_run(legs, judged, ["closed: tunnel convicted", "closed: wan not cleared"]))
    assert lines[1] == (
        "::error title=t3probe gate::closed: tunnel convicted%0Aclosed: wan not cleared"
    )
    assert lines[-1].startswith("::error title=t3probe 28 more legs::leg-2, leg-3, ")
    assert all(COMMAND.fullmatch(line) for line in lines)


KINDS = ("error", "warning", "notice")


@given(
    failed=st.integers(0, 30),
    unsure=st.integers(0, 30),
    broken=st.sets(st.sampled_from(sorted(PATHS))),
    gate=st.sets(st.sampled_from(SEGMENTS)),
)
def test_a_run_and_a_comparison_are_all_shown(
    failed: int, unsure: int, broken: set[str], gate: set[str]
) -> None:
    """In one step GitHub shows ten annotations of a kind; what is in them is one line each."""
    before, after = run(), run(*broken, at=1_700_000_600.0)
    legs = [msgspec.structs.replace(leg("edge", failed=True), leg=f"f{n}") for n in range(failed)]
    legs += [
        msgspec.structs.replace(leg("edge"), leg=f"u{n}", outcome="inconclusive", beats=())
        for n in range(unsure)
    ]
    judged = judge_run(after.run, legs)
    said = sentences(judged.verdict, sorted(gate), {}) if gate else []
    lines = [
        *of_comparison(compare(before, after, sorted(gate))),
        *of_run(legs, judged, said),
    ]
    for kind in KINDS:
        assert sum(line.startswith(f"::{kind} ") for line in lines) <= 10
    assert all(COMMAND.fullmatch(line) for line in lines)
    shown = " ".join(lines)
    for one in legs:  # by its own annotation, or by name
        assert re.search(rf"\b{one.leg}\b", shown)


def test_a_regression_elsewhere_is_a_warning_each_until_there_are_many() -> None:
    segments = tuple(f"s{n}" for n in range(9))
    record = RunRecord(deployment="here", segments=segments)
    good = msgspec.structs.replace(leg("edge"), path=segments)
    bad = msgspec.structs.replace(leg("edge", failed=True), path=segments)
    found = compare(Recording(record, (good,)), Recording(record, (bad,)), ["s0"])
    lines = list(of_comparison(found))
    assert lines[0].startswith("::error title=t3probe compare::regression: s0 ")
    assert lines[1] == (
        "::error title=t3probe gate::closed: s0 cannot be cleared any more, others may have "
        "broken in their place"
    )
    assert [one for one in lines if one.startswith("::warning")][-1] == (
        "::warning title=more segments::s5, s6, s7, s8: cleared before and not after"
    )
    assert len(lines) == 7


def test_a_long_message_is_cut() -> None:
    assert command("error", "%" * 3000) == "::error::" + "%25" * (MESSAGE_LIMIT - 3) + "..."


def test_the_job_summary_is_bounded(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    assert not append(["x"], {})
    line = "\u00e4" * 1000
    for _ in range(3):
        assert append([line] * 300, {"GITHUB_STEP_SUMMARY": str(file)})
    assert SUMMARY_LIMIT_BYTES - 2101 <= file.stat().st_size <= SUMMARY_LIMIT_BYTES <= 1 << 20
    *whole, last = (one for one in file.read_text(encoding="utf-8").split("\n") if one != "")
    notes = [one for one in (*whole, last) if one != line]
    cut = 300 - (len(whole) + 1 - len(notes) - 300)
    assert notes[0] == f"... and {cut} more lines, for which a summary has no room"
    assert notes[1:] in ([], ["... and 300 more lines, for which a summary has no room"])


def test_a_clean_run_is_a_notice() -> None:
    one = run(edge=leg("edge"))
    lines = list(of_run(one.observations, judge_run(one.run, one.observations)))
    assert lines == ["::notice title=t3probe verdict::clean: every segment is cleared"]
