"""A gate over records opens on no run that was cut short, and on no older one in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from gate_runs import run

from t3probe.cli import main
from t3probe.record.facts import Recording
from t3probe.record.log import record_line

LATER = 1_700_000_600.0


def lines(*recordings: Recording) -> list[str]:
    return [record_line(one.run, one.observations) for one in recordings]


@pytest.fixture
def before(tmp_path: Path) -> str:
    (tmp_path / "before.log").write_text(lines(run())[0] + "\n")
    return str(tmp_path / "before.log")


def test_an_older_run_does_not_stand_for_one_that_cannot_be_read(
    before: str, tmp_path: Path, capsys: Any
) -> None:
    good, broken = lines(run(), run("cloudflare", "internal", at=LATER))
    cut = tmp_path / "cut.log"
    cut.write_text(f"{good}\n{broken[:2000]}\n")
    for words in (["compare", before, str(cut)], ["compare", before, str(cut), "--gate=dispatch"],
                  ["verdict", str(cut), "--gate=dispatch"],
                  ["verdict", str(cut), "--all", "--gate=dispatch"]):  # fmt: skip
        assert main(words) == 4
        shown = capsys.readouterr()
        assert "expected readable runs, found that 1 record line is not" in shown.err
        assert "open" not in shown.out
    assert main(["verdict", str(cut)]) == 0, "without a gate it is a note"


def test_damage_before_the_newest_run_is_said_and_stands_in_no_way(
    before: str, tmp_path: Path, capsys: Any
) -> None:
    old, good = lines(run("cloudflare"), run(at=LATER))
    (tmp_path / "after.log").write_text(f"{old[:2000]}\n{good}\n")
    for words in (["compare", before], ["verdict"]):
        assert main([*words, str(tmp_path / "after.log"), "--gate=dispatch"]) == 0
        assert "after.log: 1 record line is not readable" in capsys.readouterr().err


def test_an_interrupted_run_opens_no_gate(before: str, tmp_path: Path, capsys: Any) -> None:
    whole = run(at=LATER)
    cut = msgspec.structs.replace(whole.run, interrupted=True, complete=False)
    after = tmp_path / "after.log"
    after.write_text(lines(Recording(cut, whole.observations))[0] + "\n")
    said = "gate closed: the run was interrupted, and nobody looked to its end"
    for words, code in (
        (["verdict", str(after), "--text"], 1),
        (["compare", before, str(after)], 5),
    ):
        assert main([*words, "--gate=dispatch"]) == code
        assert said in " ".join(capsys.readouterr().out.split())
    assert main(["compare", before, str(after)]) == 0, "without a gate it is a warning"
