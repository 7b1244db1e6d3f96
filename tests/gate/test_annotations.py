"""Text for GitHub and for chats: in the documented form, whatever the network says."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from gate_runs import leg, run
from hypothesis import given
from hypothesis import strategies as st

from t3probe.markdown import cell, run_markdown, table
from t3probe.sinks.annotations import SUMMARY_LIMIT_BYTES, append, command, of_run
from t3probe.verdict import judge_run

COMMAND = re.compile(
    r"::(error|warning|notice)( [a-z]+=[^:,\r\n]*(,[a-z]+=[^:,\r\n]*)*)?::[^\r\n]*"
)
"""https://docs.github.com/actions/reference/workflow-commands-for-github-actions"""


def unescaped(text: str) -> str:
    for code, char in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(code, char)
    return text


@given(st.text(), st.text(min_size=1))
def test_a_command_is_one_line_and_says_the_same(message: str, title: str) -> None:
    line = command("error", message, title=title)
    lines = re.split(r"[\r\n]", line)
    assert len(lines) == 1
    assert COMMAND.fullmatch(line)
    said, _, rest = line.removeprefix("::error title=").partition("::")
    assert unescaped(said) == title
    assert unescaped(rest) == message


def test_a_run_has_few_enough_errors() -> None:
    one = run("cloudflare")
    legs = [msgspec.structs.replace(one.observations[1], leg=f"leg-{at}") for at in range(30)]
    judged = judge_run(one.run, legs)
    lines = list(of_run(legs, judged, ["closed: tunnel convicted"]))
    # GitHub shows ten of a kind: the verdict, the gate, and as many legs as there is room for.
    assert 5 < sum(line.startswith("::error") for line in lines) <= 10
    assert all(COMMAND.fullmatch(line) for line in lines)


HOSTILE = (
    "</td><script>x</script> | `x` [a](http://evil) @all #1 **b** __c__ <!-- \u2028 \r\n| --- |"
)


def test_markdown_shows_hostile_text_as_it_is() -> None:
    one = run("cloudflare")
    seen = [msgspec.structs.replace(leg, detail=HOSTILE) for leg in one.observations]
    lines = list(run_markdown(one.run, seen, judge_run(one.run, seen)))
    shown = "\n".join(lines)
    assert "<script" not in re.sub(r"\\.", "", shown)
    rows = [line for line in lines if line.startswith("| cloudflare")]
    assert len(rows) == 1
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 4


@given(st.text(max_size=200))
def test_a_cell_keeps_its_table(text: str) -> None:
    lines = list(table(("a", "b"), [(text, text)]))
    assert len(lines) == 3
    assert not re.search(r"[\r\n\x0b\x0c\u0085\u2028\u2029]", lines[2])
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", lines[2])) == 3
    assert not re.search(r"(?<!\\)(?:\\\\)*[<>`]", cell(text))


def test_names_stay_readable() -> None:
    assert cell("cf-edge: rtt_timeout, 502 (bad) in 1.5 s") == (
        "cf-edge: rtt_timeout, 502 (bad) in 1.5 s"
    )


def test_the_job_summary_is_bounded(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    assert not append(["x"], {})
    for _ in range(3):
        assert append(["y" * 600_000], {"GITHUB_STEP_SUMMARY": str(file)})
    assert file.stat().st_size == SUMMARY_LIMIT_BYTES


def test_a_clean_run_is_a_notice() -> None:
    one = run(edge=leg("edge"))
    lines = list(of_run(one.observations, judge_run(one.run, one.observations)))
    assert lines == ["::notice title=t3probe verdict::clean: every segment is cleared"]
