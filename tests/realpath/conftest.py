"""Where a machine lacks the programs of a path."""

from __future__ import annotations

import os

import pytest
from realpath.programs import missing


def needs_programs() -> None:
    """Skip without the programs; fail in CI."""
    if lacks := missing():
        words = f"a path of real programs needs {', '.join(lacks)}; ci/services installs them"
        if os.environ.get("CI", "") not in {"", "0", "false"}:
            pytest.fail(words, pytrace=False)
        pytest.skip(words)
