"""The command line: answers in JSON, one sentence for a mistake, exit code 4."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import msgspec
import pytest

from t3probe.cli import main
from t3probe.commands import COMMANDS
from t3probe.observation import RECORD_VERSION, Attempt, Beat, Drop, Observation, RunRecord
from t3probe.record.facts import leg_property, run_property
from t3probe.record.junit import read_junit
from t3probe.record.log import record_line

ROOT = Path(__file__).resolve().parent.parent
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
    "contradictions", "repairs", "extra_leg", "simplest",
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
    """A leg that nothing answered, and one that answered while the second look waited."""
    drop = Drop(
        began=0.0, noticed=1.0, reason="rtt_timeout", symptom="down", stage="ask", call=1,
        strand="fresh", asked=0.0, detail="no echo within 1 s",
        attempt=Attempt(started=1.02, ended=2.0, ok=False, reason="rtt_timeout"),
    )  # fmt: skip
    return junit(
        tmp_path,
        run_property(
            RunRecord(
                version=RECORD_VERSION, segments=("wan", "tunnel"), started_at=1_700_000_000.0
            )
        ),
        leg_property(
            Observation(
                leg="all", kind="ws_echo", path=("wan", "tunnel"), outcome="failed",
                reason="rtt_timeout", drops=(drop,),
            )
        ),
        leg_property(
            Observation(
                leg="egress", kind="http", path=("wan",), outcome="passed",
                beats=(
                    Beat(sent=0.5, ended=0.6, ok=True, conn=0, strand="fresh"),
                    Beat(sent=1.01, ended=1.1, ok=True, conn=1, strand="fresh", call=1),
                ),
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
        (["verdict"], "t3probe: verdict: expected a recorded run or --case FILE, one of the two"),
        (["verdict", "nowhere.xml"], "nowhere.xml: cannot be read: No such file or directory"),
        (["verdict", "--case", "nowhere.json"], "nowhere.json: cannot be read"),
        (["verdict", "/dev/null"], "/dev/null: expected a JUnit file written by this suite"),
        (
            ["verdict", "--all", "--case", "x.json"],
            "--all, --repeat, --within, --clocks, --gate, --text and --format are",
        ),
        (
            ["verdict", "--repeat"],
            "verdict: expected a recorded run or --case FILE, one of the two",
        ),
        (["verdict", "--repeat", "--case", "x.json"], "are for recorded runs, not for --case"),
        (["verdict", "--repeat", "nowhere"], "nowhere: cannot be read: No such file or directory"),
        (["alertmanager", "nowhere.toml"], "nowhere.toml: expected a readable deployment file"),
    ],
)
def test_mistakes_are_one_sentence(words: list[str], sentence: str, capsys) -> None:
    assert main(words) == 4
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def code_of(words: list[str]) -> int | str | None:
    """argparse raises, the rest returns."""
    try:
        return main(words)
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize("words", [[], ["verdct"], ["verdict", "--cas"], ["verdict", "--within"]])
def test_wrong_usage_is_one_line_and_exit_code_four(words: list[str], capsys) -> None:
    assert code_of(words) == 4
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


# -- logs -------------------------------------------------------------------------------------


def log_of(tmp_path: Path, *started: float, more: str = "") -> str:
    """A log with the recorded run, started at these times."""
    recording = read_junit(recorded(tmp_path))
    lines = ["pytest says something"]
    for at in started:
        run = msgspec.structs.replace(recording.run, started_at=at)
        lines += [record_line(run, recording.observations), "and more"]
    path = tmp_path / "pod.log"
    path.write_text("\n".join(lines) + more + "\n")
    return str(path)


def test_the_newest_run_of_a_log(tmp_path: Path, capsys) -> None:
    file = log_of(tmp_path, 1_700_000_060.0, 1_700_000_120.0, 1_700_000_000.0)
    assert main(["verdict", file]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["incidents"][0]["began"] == "2023-11-14T22:15:20.000Z"
    assert shown.err == (
        f"t3probe: {file} holds 3 runs; this is the newest, of 2023-11-14 22:15:20 UTC\n"
    )


def test_a_log_of_one_run_is_like_its_junit_file(tmp_path: Path, capsys) -> None:
    file = log_of(tmp_path, 1_700_000_000.0)
    for more in ([], ["--text"]):
        assert main(["verdict", file, *more]) == 0
        log = capsys.readouterr()
        assert main(["verdict", recorded(tmp_path), *more]) == 0
        assert capsys.readouterr() == log
        assert log.err == ""


def test_every_run_of_a_log(tmp_path: Path, capsys) -> None:
    file = log_of(tmp_path, 1_700_000_060.0, 1_700_000_000.0)
    assert main(["verdict", file, "--all"]) == 0
    shown = capsys.readouterr()
    began = [one["incidents"][0]["began"] for one in json.loads(shown.out)]
    assert began == ["2023-11-14T22:14:20.000Z", "2023-11-14T22:13:20.000Z"]
    assert shown.err == ""
    assert main(["verdict", file, "--all", "--text"]) == 0
    assert capsys.readouterr().out.count("VERDICT  tunnel is broken") == 2
    assert main(["verdict", recorded(tmp_path), "--all"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_a_damaged_line_is_said_and_the_rest_is_judged(tmp_path: Path, capsys) -> None:
    cut = "\n" + record_line(RunRecord(), [])[:50]
    assert main(["verdict", log_of(tmp_path, 1_700_000_000.0, more=cut)]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["convicted"] == ["tunnel"]
    assert shown.err.count("\n") == 1
    assert "1 record line is not readable (line 4: cut off after 50 characters); log" in shown.err


def test_a_log_on_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    content = Path(log_of(tmp_path, 1_700_000_000.0, 1_700_000_060.0)).read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert main(["verdict", "-"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["convicted"] == ["tunnel"]
    assert shown.err.startswith("t3probe: standard input holds 2 runs; ")


# -- repetition -------------------------------------------------------------------------------


def test_a_case_with_counts(tmp_path: Path, capsys) -> None:
    file = tmp_path / "case.json"
    counts = {"egress": [0, 12], "edge": [0, 12], "all": [5, 12]}
    file.write_text(json.dumps([CASE, {**CASE, "counts": counts, "priors": {"wan": 0.01}}]))
    assert main(["verdict", "--case", str(file)]) == 0
    plain, counted = json.loads(capsys.readouterr().out)
    assert list(plain) == KEYS
    assert {key: counted[key] for key in KEYS} == plain
    assert list(counted)[len(KEYS) :][:2] == ["posterior", "convicted_by_repetition"]
    assert counted["posterior"]["tunnel"] > 0.9 > 0.01 > counted["posterior"]["wan"]


def test_repetition_over_files_and_folders(tmp_path: Path, capsys) -> None:
    (tmp_path / "kept").mkdir()
    log = Path(log_of(tmp_path, *range(1_700_000_000, 1_700_000_006)))
    log.rename(tmp_path / "kept" / "pod.log")
    (tmp_path / "kept" / "notes.txt").write_text("no run\n")
    words = ["verdict", recorded(tmp_path), str(tmp_path / "kept"), "--repeat"]
    assert main(words) == 0
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    # The JUnit file is the first run of the log.
    assert told["runs"] == 6
    assert told["counts"] == {"all": [6, 6], "egress": [0, 6]}
    assert told["convicted_by_repetition"] == ["tunnel"]
    assert told["convicted_in"] == {"tunnel": 6}
    assert shown.err.count("\n") == 1
    assert "notes.txt: expected a JUnit file" in shown.err
    assert main([*words, "--text"]) == 0
    assert "REPETITION  tunnel is broken, with more than 95%" in capsys.readouterr().out


def test_repetition_does_not_mix_networks(tmp_path: Path, capsys) -> None:
    recording = read_junit(recorded(tmp_path))
    lines = [
        record_line(msgspec.structs.replace(recording.run, vantage=name), recording.observations)
        for name in ("attic", "cellar")
    ]
    file = tmp_path / "pod.log"
    file.write_text("\n".join(lines))
    assert main(["verdict", str(file), "--repeat"]) == 4
    assert "expected runs of one deployment and vantage" in capsys.readouterr().err


# -- small things -----------------------------------------------------------------------------


def test_the_version(capsys) -> None:
    assert code_of(["--version"]) == 0
    assert capsys.readouterr().out == f"t3probe {version('t3probe')}\n"


def test_the_alertmanager_fragment(capsys) -> None:
    assert main(["alertmanager", str(ROOT / "deployments" / "t3.toml")]) == 0
    stored = ROOT / "cronjob" / "rules" / "alertmanager-fragment.yml"
    assert capsys.readouterr().out == stored.read_text()


@pytest.mark.parametrize("words", [[], *([one] for one in COMMANDS)], ids=str)
def test_help_fits_a_terminal_and_starts_with_an_example(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert code_of([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.startswith(" ".join(["example: t3probe", *words]))


def test_the_overview_lists_every_command(capsys) -> None:
    assert code_of(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert f"  {name} " in shown
        assert command.help in shown


def test_only_the_module_of_the_command_is_loaded() -> None:
    # The scheduled job's pod may call it every minute.
    script = (
        "import sys; from t3probe.cli import main; main(['--version']);"
        "print([name for name in sys.modules if name in ('aiohttp', 'pytest', 'websockets')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


# -- the gate, and other forms ------------------------------------------------------------------


def test_a_gate_on_a_recorded_run(tmp_path: Path, capsys) -> None:
    file = recorded(tmp_path)
    assert main(["verdict", file, "--text", "--gate", "tunnel"]) == 1
    assert "gate          closed: tunnel convicted" in capsys.readouterr().out
    assert main(["verdict", file, "--gate", "wan"]) == 0
    capsys.readouterr()
    assert main(["verdict", file, "--gate", "tunnle"]) == 4
    assert "--gate: expected segments of the run, found 'tunnle'" in capsys.readouterr().err


def test_markdown_and_annotations(tmp_path: Path, monkeypatch, capsys) -> None:
    file = recorded(tmp_path)
    assert main(["verdict", file, "--format", "markdown"]) == 0
    assert "| convicted | tunnel |" in capsys.readouterr().out
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert main(["verdict", file, "--format", "github", "--gate", "tunnel"]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "::error title=t3probe verdict::tunnel is broken"
    assert shown[1] == "::error title=t3probe gate::closed: tunnel convicted"
    assert "| convicted | tunnel |" in (tmp_path / "summary.md").read_text()


def test_a_pipe_that_breaks_inside_a_command_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_words: list[str]) -> int:
        raise BrokenPipeError

    monkeypatch.setattr("t3probe.cli._run", breaks)
    assert main(["verdict", "run.xml", "--gate", "tunnel"]) == 1
