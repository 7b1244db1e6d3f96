"""Loaded by every pytest of this environment; makes `--deployment FILE` work for any FILE, and
`--pyargs t3probe.checks` anywhere.

pytest looks for its configuration beside whatever on the command line looks like a path, before
it knows which words are values of options. `--deployment /etc/app.toml` would make it look in
`/etc` and miss these checks. Written as one word, `--deployment=/etc/app.toml`, it does not, so
that is what a command line of two words is turned into, once, before anything has started.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_OPTIONS = ("--deployment", "--results")


def joined(words: Sequence[str], here: Path) -> list[str]:
    """The command line with the path options that lead out of `here` as one word each."""
    found: list[str] = []
    rest = iter(words)
    for word in rest:
        value = next(rest, None) if word in _OPTIONS else None
        if value is None:
            found.append(word)
        elif (here / value).exists() and not (here / value).resolve().is_relative_to(here):
            found.append(f"{word}={value}")
        else:
            found += [word, value]
    return found


def pytest_addoption() -> None:
    """Start over with the joined command line where these checks are in the current folder."""
    words, here = list(sys.orig_argv), Path.cwd()
    if not any(word in _OPTIONS for word in words):
        return
    try:
        ours = "t3probe.plugin" in (here / "conftest.py").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    better = joined(words, here.resolve())
    if ours and better != words:
        os.execv(sys.executable, [sys.executable, *better[1:]])  # noqa: S606


def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Whoever names the packaged checks gets the plugin, and with it the options."""
    known = early_config.known_args_namespace
    ours = (one.partition("::")[0].split(".")[:2] == ["t3probe", "checks"] for one in args)
    if known.pyargs and any(ours):
        early_config.pluginmanager.import_plugin("t3probe.plugin")
