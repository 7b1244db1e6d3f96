"""The record in a JUnit file: its properties, wherever else the file came from.

Elements out of an XML file of somebody else, in bounded memory. No tree is built.

expat keeps the names of all elements and attributes, the whole of an open tag, and the open
elements: each of these is bounded. Text is dropped as it comes. expat refuses entity bombs itself
(since 2.4.1).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar
from xml.parsers import expat
from xml.sax.saxutils import unescape

import msgspec

from t3probe.exchange.bounds import (
    RECORD_VALUES,
    XML_ATTRIBUTES,
    XML_LEVELS,
    XML_NAMES,
    XML_TAG_BYTES,
)
from t3probe.exchange.files import open_regular
from t3probe.observation import Observation, RunRecord
from t3probe.record import facts
from t3probe.record.facts import LEG_PREFIX, RUN_NAME, RecordError, Recording, Wanted, decoded
from t3probe.text.words import size

_PIECE_BYTES = 1 << 18
"""Of a tag that is not whole expat begins anew with each piece."""


class XmlError(ValueError):
    """The file is damaged, or beyond a bound; `str()` says how."""


def read_elements(
    stream: IO[bytes],
    begin: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None],
) -> None:
    """Call `begin` with the name and the attributes of each element, and `end` with its name; a
    namespace stands before a name and `}`. Raises XmlError, OSError, and what they raise."""
    depth, names = 0, set[str]()

    def begun(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > XML_LEVELS:
            raise XmlError(f"more than {XML_LEVELS} levels of elements")
        if tag not in names or not names.issuperset(attributes):
            names.update(attributes, (tag,))
            if len(names) > XML_NAMES:
                raise XmlError(f"more than {XML_NAMES:,} names of elements and attributes")
        begin(tag, attributes)

    def ended(tag: str) -> None:
        nonlocal depth
        depth -= 1
        end(tag)

    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartElementHandler, parser.EndElementHandler = begun, ended
    parser.SkippedEntityHandler = parser.ExternalEntityRefHandler = _refuse
    read = signs = 0
    try:
        while piece := stream.read(_PIECE_BYTES):
            parser.Parse(piece)
            read += len(piece)
            behind = read - max(0, parser.CurrentByteIndex)
            signs = signs + piece.count(b"=") if behind >= len(piece) else 0
            if behind > XML_TAG_BYTES + _PIECE_BYTES:
                raise XmlError(f"a tag of more than {size(XML_TAG_BYTES)}")
            if signs > XML_ATTRIBUTES:
                raise XmlError(f"more than {XML_ATTRIBUTES:,} attributes in a tag")
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError) as error:
        raise XmlError(str(error)) from error


def _refuse(*entity: object) -> int:
    raise XmlError(f"undefined entity {entity[0]}")


T = TypeVar("T")

_EXPECTED = "expected a JUnit file written by this suite"
_GLIMPSE_BYTES = 1 << 20
_VALUES_OF_A_LEG = 20
"""A leg without any counts as so many."""
_HEAD = re.compile(
    rb"""\s*+(?:<\?xml version="1.0" encoding="utf-8"\?>)?\s*+"""
    rb"""(?:<testsuites[^<>]*+>)?\s*+<testsuite [^<>]*+>\s*+<properties>"""
)
_RUN = f'<property name="{RUN_NAME}" value="'.encode()
_QUOTES = {"&quot;": '"', "&apos;": "'"}
_PLACE = ["testsuite", "properties"]


def read_junit(path: str | Path) -> Recording:
    """The record in a JUnit file that the suite wrote. Raises RecordError, one sentence."""
    file = str(path)
    try:
        with open_regular(path, pipe=True) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > facts.MAX_RECORD_BYTES:
                raise RecordError(file, f"{_EXPECTED}, found {size} bytes", "give a smaller file")
            found = parse_junit(stream, file)
    except OSError as error:
        problem = f"cannot be read: {error.strerror or type(error).__name__}"
        raise RecordError(file, problem, "name the JUnit file of a run") from error
    assert found is not None  # every run is wanted
    return found


def parse_junit(stream: IO[bytes], file: str, wanted: Wanted | None = None) -> Recording | None:
    """The record in an open JUnit file; `file` is its name in sentences. None when `wanted` does
    not want the run: what follows the run's own property is then not even read.

    Raises RecordError, and OSError when the stream cannot be read.
    """
    if wanted is not None:
        start = stream.tell()
        run = _glimpse(stream.read(_GLIMPSE_BYTES))
        stream.seek(start)
        if run is not None:
            if not wanted(run):
                return None
            wanted = None
    found = _Properties(file, wanted)
    try:
        read_elements(stream, found.begin, found.end)
    except _UnwantedError:
        return None
    except ValueError as error:
        raise RecordError(
            file, f"{_EXPECTED}, found damaged XML ({error})", "run the checks again"
        ) from error
    if found.run is None:
        raise RecordError(
            file, f"{_EXPECTED}, found no property {RUN_NAME!r}", "name the JUnit file of a run"
        )
    return Recording.read(found.run, found.observations.values())


def _glimpse(text: bytes) -> RunRecord | None:
    """The run out of a JUnit file's beginning, where that is sure without a parser, which takes
    ten times as long; None when it is not sure.

    A raw `<` begins a tag, or the file is damaged. When each but the first stands directly behind
    the end of another property, all of them are properties of the first suite. None of those before
    the run's can be of its name, however that is written.
    """
    head = _HEAD.match(text)
    at = text.find(_RUN, head.end()) if head else -1
    if head is None or at < 0:
        return None
    first, end = head.end(), text.find(b'"', at + len(_RUN))
    tags = text.count(b"<", first, at + 1)
    chained = text.count(b"/><property name=", first, at + len(_RUN))
    others = text.find(RUN_NAME.encode(), first, at) >= 0 or text.find(b"&#", first, at) >= 0
    if end < 0 or others or tags != 1 + chained or not text.startswith(b"<property ", first):
        return None
    value = text[at + len(_RUN) : end]
    if b"&#" in value or b"<" in value:
        return None
    try:
        return decoded(unescape(value.decode(), _QUOTES), RunRecord)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


class _UnwantedError(Exception):
    """The run is not wanted."""


class _Properties:
    """The record's properties as they come; no tree is built, since there may be thousands."""

    def __init__(self, file: str, wanted: Wanted | None) -> None:
        self.run: RunRecord | None = None
        self.observations: dict[str, Observation] = {}
        self._file, self._wanted = file, wanted
        self._within: list[str] = []
        self._values = 0
        self._early: list[tuple[str, str]] = []
        """Legs that came before the run, which must say first whether it is wanted."""

    def begin(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if tag == "property" and self._within[-2:] == _PLACE:
            name, value = attributes.get("name", ""), attributes.get("value", "")
            if name == RUN_NAME:
                self._begin_run(value)
            elif name.startswith(LEG_PREFIX):
                if self.run is None and self._wanted is not None:
                    self._early.append((name, value))  # of a file, which is bounded
                else:
                    self._leg(name, value)
        self._within.append(tag)

    def end(self, tag: str) -> None:
        """An element ends."""
        self._within.pop()

    def _begin_run(self, value: str) -> None:
        run = self._fact(RUN_NAME, value, RunRecord)
        if self.run is not None:
            return
        if self._wanted is not None and not self._wanted(run):
            raise _UnwantedError
        self.run = run
        for name, early in self._early:
            self._leg(name, early)
        self._early.clear()

    def _leg(self, name: str, value: str) -> None:
        # A later property of the same leg continues the earlier one.
        self.observations[name] = self._fact(name, value, Observation)

    def _fact(self, name: str, value: str, kind: type[T]) -> T:
        self._values += value.count(",") + _VALUES_OF_A_LEG
        if self._values > RECORD_VALUES:
            problem = f"{_EXPECTED}, found one of more than {RECORD_VALUES:,} values"
            raise RecordError(self._file, problem, "give a smaller file")
        try:
            return decoded(value, kind)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            problem = f"expected an observation in the property {name[:80]!r}, found {error}"
            raise RecordError(self._file, problem, "run the checks again") from error
