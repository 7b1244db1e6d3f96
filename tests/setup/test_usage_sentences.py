"""Every error of usage is one sentence that names the next thing to do; no colour in a log."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from first_help import ENVIRON, ROOT, parsers_below

from t3probe.cli import main
from t3probe.commands import COMMANDS
from t3probe.commands.completion import parser_of

NEXT = ("see t3probe ", "; ", "name ")
"""What to do next follows one of these."""


def wrong_usages() -> list[list[str]]:
    """For each command: an option that it has not, and whatever else a parser can refuse."""
    found: list[list[str]] = [["nonsense"], []]

    for name in COMMANDS:
        for parser in parsers_below(parser_of(name)):
            words = parser.prog.split()[1:]
            found.append([*words, "--no-such-option"])
            for action in parser._actions:
                flag = action.option_strings[:1]
                if flag and action.nargs != 0:
                    found.append([*words, *flag])  # without its value
                if action.choices:
                    found.append([*words, *flag, "nonsense"])
    return found


@pytest.mark.parametrize("words", wrong_usages(), ids=" ".join)
def test_wrong_usage_is_one_sentence_with_a_next_step(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("T3PROBE_DEPLOYMENT", raising=False)
    try:
        code: object = main(words)
    except SystemExit as error:
        code = error.code
    shown = capsys.readouterr()
    assert code == 4, shown
    assert not shown.out
    assert len(shown.err.splitlines()) == 1
    assert any(text in shown.err for text in NEXT), shown.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_no_colour(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(("no_color", "coloured"), [("1", False), ("", True)])
def test_no_color_is_honoured_by_a_run(no_color: str, coloured: bool, tmp_path: Path) -> None:
    environ = {**ENVIRON, "NO_COLOR": no_color, "FORCE_COLOR": "1"}
    if not no_color:
        del environ["NO_COLOR"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--hold", "0", f"--results={tmp_path}", "-k", "devvm"],
        cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert ("\x1b[" in done.stdout) == coloured
    assert "VERDICT" in done.stdout


def ended(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command line of bash, with `t3probe` in it."""
    # Buffered, as people have it: what is left is written when it is over.
    environ = {key: value for key, value in ENVIRON.items() if key != "PYTHONUNBUFFERED"}
    line = f't3probe() {{ "{sys.executable}" -m t3probe.cli "$@"; }}; set -o pipefail; {command}'
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environ, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "words", ["--help", "schema", "legs", "completion bash", "init --host x.org --no-probe -o -"]
)
def test_a_reader_that_leaves_is_no_error(words: str, tmp_path: Path) -> None:
    done = ended(f"t3probe {words} | true", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize("words", ["--help", "schema", "legs", "completion fish"])
def test_a_full_disk_is_one_sentence(words: str, tmp_path: Path) -> None:
    done = ended(f"t3probe {words} > /dev/full", tmp_path)
    assert done.returncode == 4
    assert done.stderr == (
        "t3probe: standard output cannot be written: No space left on device; "
        "make room, or send it elsewhere\n"
    )


@pytest.mark.parametrize("words", ["schema", "legs", "explain --at 14:03 --runs ."])
def test_a_closed_output_is_no_error(words: str, tmp_path: Path) -> None:
    done = ended(f"t3probe {words} >&-", tmp_path)
    assert done.returncode in {0, 1}, done.stderr
    assert not done.stderr


@pytest.mark.parametrize("words", ["legs", "doctor", "check --hold 0"])
def test_a_folder_that_is_gone_is_one_sentence(words: str, tmp_path: Path) -> None:
    done = ended(f"mkdir gone; cd gone; rmdir ../gone; t3probe {words}", tmp_path)
    assert done.returncode == 4, done.stderr
    assert done.stderr == (
        "t3probe: the folder that this was started in is gone; start it in another one\n"
    )


@pytest.mark.parametrize("words", [["push", "run.xml"], ["retire"]])
def test_a_shard_is_a_number(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """`3/4`, as a run has it, would name a group that nobody has."""
    assert main([*words, "--gateway", "http://127.0.0.1:9", "--shard", "3/4"]) == 4
    said = capsys.readouterr().err
    assert said == 't3probe: --shard: expected a number such as 3, found "3/4"\n'


class Impatient:
    """Standard input that is waited for until somebody presses Ctrl-C."""

    @property
    def buffer(self) -> Impatient:
        return self

    def read(self, size: int = -1) -> bytes:
        raise KeyboardInterrupt


def test_ctrl_c_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Impatient())
    assert main(["verdict", "--case", "-"]) == 2
    assert capsys.readouterr().err == "t3probe: interrupted; nothing more is done\n"
