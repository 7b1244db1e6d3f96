"""Elements out of an XML file of somebody else, in bounded memory. No tree is built.

expat keeps the names of all elements and attributes, the whole of an open tag, and the open
elements: each of these is bounded. Text is dropped as it comes. expat refuses entity bombs itself
(since 2.4.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO
from xml.parsers import expat

from t3probe.exchange.bounds import XML_ATTRIBUTES, XML_LEVELS, XML_NAMES, XML_TAG_BYTES
from t3probe.text.words import size

__all__ = ["XmlError", "read_elements"]

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
