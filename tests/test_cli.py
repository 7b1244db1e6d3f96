"""The command line: answers in JSON, one sentence for a mistake, exit code 4."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from t3probe.cli import main
from t3probe.observation import Beat, Drop, Observation, RunRecord
from t3probe.record import leg_property, run_property

CASE = {
    "segments": ["wan", "cf-edge", "tunnel"],
    "paths": [["wan", "cf-edge", "tunnel"]],
    "legs": {"egress": ["wan"], "edge": ["wan", "cf-edge"], "all": ["wan", "cf-edge", "tunnel"]},
    "failed": ["all"],
    "passed": ["edge"],
}
KEYS = [
    "status", "exonerated", "convicted", "ambiguous", "masked", "unobserved", "at_least_one_of",
    "minimal_sets", "minimal_sets_truncated", "ambiguous_classes", "structural_classes",
    "contradictions", "repairs", "extra_leg",
]  # fmt: skip


def junit(tmp_path: Path, *properties: tuple[str, str]) -> str:
    import xml.etree.ElementTree as Tree

    root = Tree.Element("testsuites")
    suite = Tree.SubElement(root, "testsuite", name="pytest")
    rows = Tree.SubElement(suite, "properties")
    for name, value in properties:
        Tree.SubElement(rows, "property", name=name, value=value)
    path = tmp_path / "run.xml"
    Tree.ElementTree(root).write(path)
    return str(path)


def recorded(tmp_path: Path) -> str:
    drop = Drop(
        began=0.0, noticed=1.0, reason="rtt_timeout", symptom="down", stage="ask", call=1,
        detail="no echo within 1 s",
    )  # fmt: skip
    return junit(
        tmp_path,
        run_property(RunRecord(segments=("wan", "tunnel"), started_at=1_700_000_000.0)),
        leg_property(
            Observation(
                leg="all", kind="ws_echo", path=("wan", "tunnel"), outcome="failed",
                reason="rtt_timeout", drops=(drop,),
            )
        ),
        leg_property(
            Observation(
                leg="egress", kind="http", path=("wan",), outcome="passed",
                beats=(Beat(sent=0.5, ended=0.6, ok=True, conn=0),),
            )
        ),
    )  # fmt: skip


def test_a_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "case.json"
    file.write_text(json.dumps(CASE))
    assert main(["verdict", "--case", str(file)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer) == KEYS
    assert answer["convicted"] == ["tunnel"]


def test_a_list_of_cases_gives_a_list(tmp_path: Path, capsys) -> None:
    file = tmp_path / "case.json"
    file.write_text(json.dumps([CASE, {**CASE, "failed": []}]))
    assert main(["verdict", "--case", str(file)]) == 0
    assert [one["status"] for one in json.loads(capsys.readouterr().out)] == ["localised", "clean"]


def test_a_case_on_standard_input(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(CASE).encode())))
    assert main(["verdict", "--case", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["convicted"] == ["tunnel"]


def test_a_recorded_run(tmp_path: Path, capsys) -> None:
    assert main(["verdict", recorded(tmp_path)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer)[: len(KEYS)] == KEYS
    assert answer["convicted"] == ["tunnel"]
    assert answer["incidents"][0]["began"] == "2023-11-14T22:13:20.000Z"


def test_a_recorded_run_as_text(tmp_path: Path, capsys) -> None:
    assert main(["verdict", recorded(tmp_path), "--text"]) == 0
    shown = capsys.readouterr().out
    assert "VERDICT  tunnel is broken" in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["verdict"], "t3probe: verdict: expected a JUnit file or --case FILE, one of the two"),
        (["verdict", "nowhere.xml"], "nowhere.xml: cannot be read: No such file or directory"),
        (["verdict", "--case", "nowhere.json"], "nowhere.json: cannot be read"),
        (["verdict", "/dev/null"], "/dev/null: expected a JUnit file written by this suite"),
    ],
)
def test_mistakes_are_one_sentence(words: list[str], sentence: str, capsys) -> None:
    assert main(words) == 4
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["verdct"], ["verdict", "--cas"], ["verdict", "a", "b"]])
def test_wrong_usage_is_one_line_and_exit_code_four(words: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 4
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--help" in said


def test_a_bad_case_names_the_file(tmp_path: Path, capsys) -> None:
    file = tmp_path / "case.json"
    file.write_text(json.dumps({**CASE, "failed": ["al"]}))
    assert main(["verdict", "--case", str(file)]) == 4
    said = capsys.readouterr().err
    assert "case.json" in said
    assert "unknown leg 'al'" in said
    assert said.count("\n") == 1


def test_the_schema_is_printed(capsys) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["properties"]["leg"]
