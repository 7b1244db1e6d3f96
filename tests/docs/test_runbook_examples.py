"""The runbook's worked examples: each is run on the lab as written, and shows what comes out.

Numbers, times and addresses differ from run to run and are not compared. A moment such as `3s ago`
is replaced by the middle of the newest run, so that a slow machine asks about the same thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from docs_commands import commands, is_shell, substituted
from docs_reader import ROOT, Block, blocks
from docs_scratch import Scratch

from t3probe.record.reading import read_recording

RUNBOOK = ROOT / "docs" / "runbook.md"
TEXT = RUNBOOK.read_text(encoding="utf-8")
QUESTION = TEXT[TEXT.index("## Is it us") : TEXT.index("## It fails only")]
FIRST, LAST = TEXT[: TEXT.index("### ")].count("\n"), TEXT[: TEXT.index("## It fails")].count("\n")
BLOCKS = [one for one in blocks(RUNBOOK) if FIRST < one.line <= LAST]
EXAMPLES = [one for one in BLOCKS if one.lines and is_shell(one.lines[0])]
ROWS = {
    "`cloudflare` drops or finds no address, `internal` is clean": "FAULT=tunnel:blackhole",
    "both WebSocket legs drop together": "FAULT=dispatch:cut@2s",
    "`t3serve` spikes or drops, the rest is clean": "FAULT=serve:stall",
    "a leg says `refusing`": "FAULT=traefik:drain@2s",
    "all legs clean while a person dropped": "--user NAME",
    "all legs clean while three or more people dropped": "--people 3",
}
"""What is seen -> what makes its example."""
FAILED = {
    "cf-edge:refuse": {"edge", "cloudflare"},
    "wan:blackhole": {"edge", "resolver", "egress"},
    "traefik:refuse": {"cloudflare", "internal", "traefik"},
    "devvm:blackhole": {"cloudflare", "internal", "dispatch", "devvm", "t3serve"},
}
"""The legs that fail under the faults that the examples' text speaks of."""


def plain(text: str) -> str:
    """Without what differs from run to run, in one line: the width wraps elsewhere then."""
    text = re.sub(r"(127\.0\.0\.\d|\[::1\]):\d+", "ADDRESS", text)
    # Which of the two it is depends on whether a beat was under way.
    text = re.sub(r"closed_by_peer: closed by the peer without a close frame", "ENDED", text)
    text = re.sub(r"connection_reset: connection reset", "ENDED", text)
    text = re.sub(r"closed_by_peer|connection_reset", "ENDED", text)
    # Who beats in time with a second look, and who only passes, depends on the machine.
    text = re.sub(r"(?ms)^( *evidence) .*?(?=^ *$|\Z)", r"\1", text)
    text = re.sub(r"\d+(\.\d+)? (us|ms|s)\b", "SPAN", text)
    text = re.sub(r">?\d[\d.:]*%", "SHARE", text)  # all of the time, or all but a little of it
    text = re.sub(r"\d[\d.:]*", "#", text)
    return " ".join(text.split())


def shown(block: Block) -> list[str]:
    """The lines that a block shows as output."""
    return [line for part in block.paragraphs if not is_shell(part[0]) for line in part]


def middle(folder: Path) -> str:
    """Unix seconds half-way through the newest run."""
    told = read_recording(folder / "results" / "junit.xml")
    return f"{told.run.started_at + max(one.ended for one in told.observations) / 2:.0f}"


def run(place: Scratch, line: str) -> str:
    """What a line of the runbook prints, run for a shorter time."""
    text = substituted(line, place.places).replace("HOLD=1s", "HOLD=6s")
    text = re.sub(r"--window \d+s", "--window 2s", text)
    if re.search(r"--at '\d+s ago'", text):
        text = re.sub(r"--at '\d+s ago'", f"--at {middle(place.folder)}", text)
    return place.run(text).stdout


@pytest.mark.timeout(120)
@pytest.mark.parametrize("block", EXAMPLES, ids=lambda one: one.before.strip("# ")[:40])
def test_an_example_shows_what_comes_out(
    block: Block, scratch: Callable[[dict[str, str]], Scratch]
) -> None:
    place = scratch({})
    for one in BLOCKS:
        if one.put is not None:
            (place.folder / one.put[0]).write_text("\n".join(one.lines) + "\n", encoding="utf-8")
    lines = commands(block)
    if not any(line.startswith(("make check", "t3probe forensics")) for line in lines):
        earlier = EXAMPLES[EXAMPLES.index(block) - 1]  # it asks about the run of the one before
        run(place, next(one for one in commands(earlier) if one.startswith("make check")))
    told = plain("\n".join(run(place, line) for line in lines))
    at = 0
    assert shown(block), "an example shows nothing"
    for line in shown(block):
        found = told.find(plain(line), at)
        assert found >= 0, f"{block.place}: does not come out: {line}\nin: {told}"
        at = found


@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", FAILED)
def test_the_legs_that_a_fault_fails(
    fault: str, scratch: Callable[[dict[str, str]], Scratch]
) -> None:
    assert f"`FAULT={fault}`" in QUESTION
    told = scratch({}).run(f"make check FAULT={fault} HOLD=4s").stdout
    assert set(re.findall(r"^(\S+) +FAILED ", told, re.MULTILINE)) == FAILED[fault], told
    if fault == "wan:blackhole":
        assert re.search(r"^cloudflare +inconclusive ", told, re.MULTILINE), told


def test_each_row_of_the_attribution_table_has_an_example() -> None:
    head = "| what is seen | who it is | who it is not |\n|---|---|---|\n"
    table = QUESTION[QUESTION.index(head) + len(head) :].split("\n\n")[0]
    assert [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()] == list(ROWS)
    ran = [line for block in EXAMPLES if shown(block) for line in commands(block)]
    for words in ROWS.values():
        assert any(words in line for line in ran), words


def test_every_fault_that_the_text_speaks_of_is_run() -> None:
    spoken = set(re.findall(r"`FAULT=([^`]+)`", QUESTION))
    assert spoken == set(FAILED)


@pytest.mark.parametrize(
    "begins",
    [
        "It was us: ",
        "It was not us",
        "A blind spot of ours",
        "We cannot tell",
        "We were not looking",
    ],
)
def test_every_answer_of_explain_has_a_row(begins: str) -> None:
    source = (ROOT / "t3probe" / "ask" / "explain" / "sentences.py").read_text(encoding="utf-8")
    assert f'"{begins}' in source
    assert f"| `{begins.strip()}" in QUESTION
