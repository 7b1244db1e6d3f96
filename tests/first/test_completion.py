"""Shell completion, in the real shells."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from delivery.delivery_programs import program
from first_help import ENVIRON, t3probe

from t3probe.commands import COMMANDS
from t3probe.first.completion import SHELLS, script
from t3probe.first.words import all_words, parser_of

BASH = """\
source {script}
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_t3probe
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scripts")
    for name in SHELLS:
        (folder / name).write_text(script(name))
    return folder


def ran(words: list[str], folder: Path) -> str:
    done = subprocess.run(
        words, cwd=folder, env=ENVIRON, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def completed(scripts: Path, folder: Path, *words: str) -> list[str]:
    """What bash offers after these words, the last of which is unfinished."""
    quoted = " ".join(f"'{word}'" for word in ("t3probe", *words))
    text = BASH.format(script=scripts / "bash", words=quoted)
    return ran([program("bash"), "--norc", "-c", text], folder).split()


def test_bash_offers_every_command(scripts: Path, tmp_path: Path) -> None:
    assert completed(scripts, tmp_path, "") == [*COMMANDS, "--help", "--version"]
    assert completed(scripts, tmp_path, "ver") == ["verdict"]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["verdict", "--format", ""], ["json", "text", "markdown", "github"]),
        (["verdict", "--ca"], ["--case"]),
        (["init", "--cdn", "cl"], ["cloudflare"]),
        (["init", "--host", ""], []),
        (["manifests", ""], ["-h", "--help", "networkpolicy", "prometheusrule"]),
        (["manifests", "networkpolicy", "--publ"], ["--public"]),
        (["completion", "z"], ["zsh"]),
        (["doctor", "my"], ["mine.toml", "mine two.toml"]),
        (["verdict", "--case", "mine."], ["mine.toml"]),
        (["lab", "--fa"], ["--fault"]),
        (["nothing", ""], []),
    ],
)
def test_bash_offers_what_fits(
    scripts: Path, tmp_path: Path, words: list[str], offered: list[str]
) -> None:
    (tmp_path / "mine.toml").touch()
    (tmp_path / "mine two.toml").touch()
    words = ["mi" if word == "my" else word for word in words]
    assert sorted(completed(scripts, tmp_path, *words)) == sorted(" ".join(offered).split())


def test_bash_takes_the_script_as_it_is_printed(tmp_path: Path) -> None:
    done = t3probe("completion", "bash", folder=tmp_path)
    assert done.returncode == 0
    assert done.stdout == script("bash")
    assert "complete -o filenames -F _t3probe t3probe" in done.stdout
    ran([program("bash"), "--norc", "-u", "-c", f"eval {_quoted(done.stdout)}"], tmp_path)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def test_zsh_loads_it_and_calls_it(scripts: Path, tmp_path: Path) -> None:
    """The completion functions are those of the test: they print what they are given."""
    text = f"""
    compdef() {{ print registered "$@"; }}
    compadd() {{ print -l "$@"; }}
    _describe() {{ print -l "${{(@P)2}}"; }}
    _files() {{ print files; }}
    source {scripts / "zsh"}
    try() {{ local -a words=(t3probe "$@"); local CURRENT=$#words PREFIX=$words[-1]; _t3probe; }}
    print =; try ''
    print =; try verdict --format ''
    print =; try verdict --c
    print =; try doctor ''
    print =; try manifests networkpolicy --p
    """
    shown = ran([program("zsh"), "-f", "-c", text], tmp_path).split("=\n")
    assert shown[0] == "registered _t3probe t3probe\n"
    assert [one.partition(":")[0] for one in shown[1].splitlines()] == list(COMMANDS)
    assert shown[2].split() == ["json", "text", "markdown", "github"]
    assert "--case" in shown[3].split()
    assert shown[4].split() == ["files"]
    assert "--public" in shown[5].split()


def test_fish_completes(scripts: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").touch()

    def offered(line: str) -> list[str]:
        text = f"source {scripts / 'fish'}; complete -C '{line}'"
        shown = ran([program("fish"), "--no-config", "-c", text], tmp_path)
        return [one.split("\t")[0] for one in shown.splitlines()]

    assert sorted(offered("t3probe ")) == sorted(COMMANDS)
    assert offered("t3probe init --cdn c") == ["cloudflare"]
    assert "--case" in offered("t3probe verdict --c")
    assert "mine.toml" in offered("t3probe doctor mi")
    assert offered("t3probe completion z") == ["zsh"]


def test_every_command_has_its_words() -> None:
    words = all_words()
    assert list(words) == list(COMMANDS)
    for name, one in words.items():
        assert any("--help" in option.flags for option in one.options), name
        assert parser_of(name).prog == f"t3probe {name}"
