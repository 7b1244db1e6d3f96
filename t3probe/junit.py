"""pytest's JUnit file: our properties in it, written whole or not at all.

Whatever writes JUnit is found by its public method `add_global_property`. Its attribute
`logfile` says where it will write; a writer without that attribute writes as it always did.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

__all__ = ["JUnitFile"]

END = b"</testsuites>"


class JUnitFile:
    """The JUnit file of one session."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @cached_property
    def _writers(self) -> list[Any]:
        plugins = self._config.pluginmanager.get_plugins()
        return [one for one in plugins if hasattr(one, "add_global_property")]

    def add(self, name: str, value: str) -> None:
        """Add a property of the test suite."""
        for one in self._writers:
            one.add_global_property(name, value)

    def keep_last(self) -> None:
        """What is there stays: this session has nothing to record."""
        for one in self._writers:
            one.logfile = os.devnull

    @contextmanager
    def written_whole(self) -> Iterator[None]:
        """What is written inside is renamed to its place at the end, if it is whole."""
        moved = [
            (one, file, f"{file}.partial")
            for one in self._writers
            if (file := getattr(one, "logfile", os.devnull)) != os.devnull
        ]
        for one, _, partial in moved:
            one.logfile = partial
        try:
            yield
        finally:
            for one, file, partial in moved:
                one.logfile = file
                with suppress(FileNotFoundError):
                    _settle(Path(partial), Path(file))


def _settle(partial: Path, file: Path) -> None:
    with open(partial, "rb") as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - len(END)))
        whole = stream.read() == END
    if whole:
        os.replace(partial, file)
    else:
        os.unlink(partial)
