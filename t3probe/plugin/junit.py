"""pytest's JUnit file: our properties in it, written whole or not at all.

Whatever writes JUnit is found by its public method `add_global_property`. Its attribute
`logfile` says where it will write; a writer without that attribute writes as it always did.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import pytest

from t3probe.exchange.files import replacing

END = b"</testsuites>"
KEPT = "none; what is there stays"
NOT_WRITTEN = "none; it cannot be written"
"""pytest says "generated xml file: " and one of these."""


class JUnitFile:
    """The JUnit file of one session."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._kept = False
        self._many: dict[str, str] = {}

    @cached_property
    def _writers(self) -> list[Any]:
        plugins = self._config.pluginmanager.get_plugins()
        return [one for one in plugins if hasattr(one, "add_global_property")]

    def add(self, name: str, value: str) -> None:
        """Add a property of the test suite."""
        for one in self._writers:
            one.add_global_property(name, value)

    def add_one_of_many(self, name: str, value: str) -> None:
        """The same for thousands of them: they are put into the file when it is written, so that
        they need not be kept as a tree, and as text twice. A later one of a name replaces it."""
        self._many[name] = value

    def keep_last(self) -> None:
        """What is there stays: this session has nothing to record."""
        self._kept = True

    @contextmanager
    def written_whole(self) -> Iterator[None]:
        """What is written inside is renamed to its place at the end, if it is whole.

        What is inside is done in any case. Raises OSError after it when the file cannot be
        written; what is in its place then is as it was.
        """
        with ExitStack() as stack:
            problem = self._begin(stack)
            try:
                yield
                stack.close()
            except OSError:
                self._name(NOT_WRITTEN)
                raise
        if self._kept:
            self._name(KEPT)
        if problem is not None:
            self._name(NOT_WRITTEN)
            raise problem

    def _begin(self, stack: ExitStack) -> OSError | None:
        """Have the writers write elsewhere; what `stack` does at its end puts that in its place."""
        problem: OSError | None = None
        for one in self._writers:
            if not hasattr(one, "logfile"):
                for name, value in self._many.items():
                    one.add_global_property(name, value)
            elif self._kept:
                one.logfile = os.devnull
            elif one.logfile != os.devnull:
                file = Path(one.logfile)
                stack.callback(setattr, one, "logfile", one.logfile)
                try:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    stream = stack.enter_context(replacing(file))
                except OSError as error:
                    problem, one.logfile = error, os.devnull
                    continue
                stack.push(lambda *error, it=stream: None if any(error) else self._settle(it))
                one.logfile = str(stream.name)
        return problem

    def _name(self, words: str) -> None:
        """What pytest is to say of the file that it wrote."""
        for one in self._writers:
            if hasattr(one, "logfile"):
                one.logfile = words

    def _settle(self, stream: IO[bytes]) -> None:
        """Complete what was written. Raises OSError when it is not whole."""
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - len(END)))
        if stream.read() != END:
            raise OSError(errno.EIO, "it is not whole")
        if self._many:
            _insert(stream, self._many)


def _insert(stream: IO[bytes], many: Mapping[str, str]) -> None:
    """Add properties to the first test suite of a whole file, after those that it has.

    A suite's properties are the first thing in it. Values are JSON, full of double quotes, so
    single ones go around them.
    """
    stream.seek(0)
    text = stream.read()
    suite = text.find(b"<testsuite ")
    begin = text.find(b">", suite) + 1
    if suite < 0 or text[begin - 2 : begin] == b"/>":
        return  # no suite, or nothing in it: nothing was run
    at, head, tail = begin, b"<properties>", b"</properties>"
    if text.startswith(head, begin):
        at, head, tail = text.find(tail, begin), b"", b""
    stream.seek(at)
    stream.write(head)
    for name, value in many.items():
        name, value = _quoted(name), _quoted(value)
        stream.write(f"<property name='{name}' value='{value}' />".encode())
    stream.write(tail + text[at:])


def _quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("'", "&apos;")
