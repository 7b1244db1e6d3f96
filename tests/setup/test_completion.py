"""Shell completion, in the real shells."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from deliver.delivery_programs import program
from first_help import ENVIRON, parsers_below, t3probe

from t3probe.commands import COMMANDS
from t3probe.commands.completion import SHELLS, parser_of, script

BASH = """\
source {script}
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_shtab_t3probe
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


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "mine.toml").touch()
    (tmp_path / "mine two.toml").touch()
    (tmp_path / "mine.d").mkdir()
    return tmp_path


FILES = ["mine.toml", "mine two.toml", "mine.d"]
OFFERED: list[tuple[str, list[str]]] = [
    ("", [*COMMANDS]),
    ("ver", ["verdict"]),
    ("verdict --format ", ["json", "text", "markdown", "github"]),
    ("verdict --ca", ["--case"]),
    ("verdict --case mi", FILES),
    ("verdict one.xml mi", FILES),
    ("report one.xml mi", FILES),
    ("report -o mi", FILES),
    ("compare one.xml mi", FILES),
    ("compare one.xml two.xml mi", []),
    ("init --cdn cl", ["cloudflare"]),
    ("init --host ", []),
    ("init --host x --up", ["--upstream"]),
    ("manifests ", ["compose", "networkpolicy", "prometheusrule", "systemd"]),
    ("manifests networkpolicy mi", FILES),
    ("manifests networkpolicy --publ", ["--public"]),
    ("manifests prometheusrule mi", FILES),
    ("completion z", ["zsh"]),
    ("doctor mi", FILES),
    ("doctor --results mi", ["mine.d"]),
    ("lab --fa", ["--fault"]),
    ("lab --fault one --fa", ["--fault"]),  # it may stand several times
    ("lab --fault tunnel:", []),
    ("watch --listen ", []),
    ("push --job ", []),
    ("schema --h", ["--help"]),
    ("--ver", ["--version"]),
]
"""What stands on the line after `t3probe`, and what fits there."""


@pytest.mark.parametrize(("line", "offered"), OFFERED)
def test_bash_offers_what_fits(line: str, offered: list[str], scripts: Path, files: Path) -> None:
    *words, last = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in ("t3probe", *words, last))
    text = BASH.format(script=scripts / "bash", words=quoted)
    found = ran([program("bash"), "--norc", "-c", text], files)
    assert sorted(found.split("\n")) == sorted(["", *offered] if offered else ["", ""])


@pytest.mark.parametrize(("line", "offered"), OFFERED)
def test_zsh_offers_what_fits(line: str, offered: list[str], scripts: Path, files: Path) -> None:
    """Its own completion system, on a terminal; the script is found as people install it."""
    (files / ".zsh").mkdir()
    (files / ".zsh" / "_t3probe").write_text((scripts / "zsh").read_text())
    words = [program("zsh"), "-f", str(Path(__file__).with_name("ask_zsh.zsh"))]
    shown = ran([*words, str(files / ".zsh"), f"t3probe {line}"], files)
    found = re.findall("<offered>(.*?)\r*\n", shown)
    assert {one.replace("\\", "") for one in found} == set(offered)
    assert "not found" not in shown


@pytest.mark.parametrize(("line", "offered"), OFFERED)
def test_fish_offers_what_fits(line: str, offered: list[str], scripts: Path, files: Path) -> None:
    text = f"source {scripts / 'fish'}; complete -C 't3probe {line}'"
    shown = ran([program("fish"), "--no-config", "-c", text], files)
    found = {one.partition("\t")[0].rstrip("/") for one in shown.splitlines()}
    assert found == set(offered)


def test_bash_takes_the_script_as_it_is_printed(tmp_path: Path) -> None:
    done = t3probe("completion", "bash", folder=tmp_path)
    assert done.returncode == 0
    assert done.stdout == script("bash") + "\n"
    assert "complete -o bashdefault -F _shtab_t3probe t3probe" in done.stdout
    ran([program("bash"), "--norc", "-u", "-c", f"eval {shlex.quote(done.stdout)}"], tmp_path)


def test_zsh_takes_the_script_from_eval(scripts: Path, tmp_path: Path) -> None:
    text = f'compdef() {{ print registered "$@"; }}; eval "$(<{scripts / "zsh"})"'
    shown = ran([program("zsh"), "-f", "-c", text], tmp_path)
    assert shown == "registered _shtab_t3probe -N t3probe\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_word_without_an_option_is_known(name: str) -> None:
    """One of a few, or a file: a placeholder that t3probe/usage.py does not know shows here."""
    parser = parser_of(name)
    assert parser.prog == f"t3probe {name}"
    for one in parsers_below(parser):
        for action in one._actions:
            assert action.option_strings or action.choices or hasattr(action, "complete"), action


@pytest.mark.parametrize("word", ["-m t3probe.cli --help", "-m t3probe.cli verdict --help"])
def test_what_completes_is_loaded_for_nothing_else(word: str, tmp_path: Path) -> None:
    """Neither for the overview nor for another command."""
    text = f"import sys; sys.modules['shtab'] = None; sys.argv = {word.split()[1:]!r}\n"
    text += "import runpy; runpy.run_module('t3probe.cli', run_name='__main__')"
    ran([sys.executable, "-c", text], tmp_path)
