"""`t3probe completion`: what completes these words in bash, zsh and fish."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from t3probe.first.words import Words

__all__ = ["SHELLS", "add", "script"]

SHELLS = ("bash", "zsh", "fish")
_BASH_FILES = 'mapfile -t COMPREPLY < <(compgen -f -- "$word")'
ABOUT = """\
Prints a script that completes the commands, their options and their values.
Where the shells look for it:

  bash  ~/.local/share/bash-completion/completions/t3probe, or source it
  zsh   _t3probe in a folder of $fpath
  fish  ~/.config/fish/completions/t3probe.fish"""


def add(commands: Any) -> None:
    """Add the subcommand to the subparsers."""
    parser = commands.add_parser(
        "completion",
        help="print what completes these words in a shell",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, help="whose script it is to be")
    parser.set_defaults(run=_completion)


def _completion(arguments: argparse.Namespace) -> int:
    print(script(arguments.shell), end="")
    return 0


def script(shell: str) -> str:
    """The script for one of `SHELLS`. Raises KeyError."""
    from t3probe.first.words import all_words

    makers = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    return "\n".join(makers[shell](all_words())) + "\n"


def _flat(words: dict[str, Words]) -> Iterator[tuple[str, Words]]:
    """Commands and subcommands, such as `manifests networkpolicy`."""
    for name, one in words.items():
        yield name, one
        yield from ((f"{name} {deeper}", more) for deeper, more in _flat(one.below))


def _options(one: Words) -> list[str]:
    return [flag for option in one.options for flag in option.flags]


def _bash(words: dict[str, Words]) -> Iterator[str]:
    yield "# bash completion of t3probe; written by `t3probe completion bash`."
    yield "_t3probe() {"
    yield "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}"
    yield "  local at=${COMP_WORDS[1]} known"
    yield "  COMPREPLY=()"
    yield "  if ((COMP_CWORD == 1)); then"
    yield f'    COMPREPLY=($(compgen -W {_q(*words, "--help", "--version")} -- "$word"))'
    yield "    return"
    yield "  fi"
    yield from _bash_below(words)
    yield '  case "$at $before" in'
    for name, one in _flat(words):
        for option in one.options:
            if option.takes:
                cases = " | ".join(_q(f"{name} {flag}") for flag in option.flags)
                yield f"    {cases}) {_bash_value(option.choices, option.file)}; return ;;"
    yield "  esac"
    yield '  case "$at" in'
    for name, one in _flat(words):
        yield f"    {_q(name)})"
        yield f"      known={_q(*_options(one), *one.choices)}"
        known = 'COMPREPLY=($(compgen -W "$known" -- "$word"))'
        if one.file:
            files = _BASH_FILES
            known = f"if [[ $word == -* ]]; then {known}; else {files}; fi"
        yield f"      {known} ;;"
    yield "  esac"
    yield "}"
    yield "complete -o filenames -F _t3probe t3probe"


def _bash_below(words: dict[str, Words]) -> Iterator[str]:
    """Which command it is, where one has commands of its own."""
    for name, one in words.items():
        if one.below:
            cases = " | ".join(map(_q, one.below))
            yield f"  if [[ $at == {name} ]] && ((COMP_CWORD > 2)); then"
            yield f'    case "${{COMP_WORDS[2]}}" in {cases}) at="$at ${{COMP_WORDS[2]}}" ;; esac'
            yield "  fi"


def _bash_value(choices: tuple[str, ...], file: bool) -> str:
    if choices:
        return f'COMPREPLY=($(compgen -W {_q(*choices)} -- "$word"))'
    return _BASH_FILES if file else ":"


def _zsh(words: dict[str, Words]) -> Iterator[str]:
    from t3probe.commands import COMMANDS

    yield "#compdef t3probe"
    yield "# zsh completion of t3probe; written by `t3probe completion zsh`."
    yield "_t3probe() {"
    yield "  local at=$words[2] before=$words[CURRENT-1]"
    yield "  if ((CURRENT == 2)); then"
    yield "    local -a commands=("
    yield from (f"      {_q(f'{name}:{COMMANDS[name].help}')}" for name in words)
    yield "    )"
    yield "    _describe command commands"
    yield "    return"
    yield "  fi"
    for name, one in words.items():
        if one.below:
            cases = " | ".join(map(_q, one.below))
            yield f"  if [[ $at == {name} ]] && ((CURRENT > 3)); then"
            yield f'    case $words[3] in ({cases}) at="$at $words[3]" ;; esac'
            yield "  fi"
    yield '  case "$at $before" in'
    for name, one in _flat(words):
        for option in one.options:
            if option.takes:
                value = ("compadd -- " + " ".join(map(shlex.quote, option.choices))
                         if option.choices else "_files" if option.file else ":")  # fmt: skip
                cases = " | ".join(_q(f"{name} {flag}") for flag in option.flags)
                yield f"    ({cases}) {value}; return ;;"
    yield "  esac"
    yield '  case "$at" in'
    for name, one in _flat(words):
        yield f"    ({_q(name)})"
        yield "      if [[ $PREFIX == -* ]]; then"
        yield f"        compadd -- {' '.join(map(shlex.quote, _options(one)))}"
        if one.choices:
            yield f"      else compadd -- {' '.join(map(shlex.quote, one.choices))}"
        elif one.file:
            yield "      else _files"
        yield "      fi ;;"
    yield "  esac"
    yield "}"
    # Loaded by the completion system the file is the function's body; sourced, it defines it.
    yield "if [[ $funcstack[1] == _t3probe ]]"
    yield 'then _t3probe "$@"'
    yield "else compdef _t3probe t3probe"
    yield "fi"


def _fish(words: dict[str, Words]) -> Iterator[str]:
    from t3probe.commands import COMMANDS

    yield "# fish completion of t3probe; written by `t3probe completion fish`."
    yield "complete -c t3probe -f"
    for name in words:
        start = "complete -c t3probe -n __fish_use_subcommand -a"
        yield f"{start} {_q(name)} -d {_q(COMMANDS[name].help)}"
    for name, one in _flat(words):
        seen = " ".join(f"; and __fish_seen_subcommand_from {part}" for part in name.split())
        start = f"complete -c t3probe -n {_q(seen.removeprefix('; and '))}"
        if one.choices:
            yield f"{start} -a {_q(*one.choices)}"
        if one.file:
            yield f"{start} -F"
        for option in one.options:
            flags = " ".join(
                f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
                for flag in option.flags
            )
            value = f" -x -a {_q(*option.choices)}" if option.choices else ""
            value = value or (" -r -F" if option.file else " -x" if option.takes else "")
            yield f"{start} {flags}{value} -d {_q(option.help)}"


def _q(*words: str) -> str:
    """Words as one quoted word of a shell; each of the three reads single quotes alike."""
    return "'" + " ".join(words).replace("'", "") + "'"
