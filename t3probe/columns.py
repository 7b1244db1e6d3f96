"""Lines that fit the columns of a terminal, whatever they say. Pure.

Everything becomes printable ASCII, one column a character, so that a log without an encoding
shows it and no name or reason can move the cursor.
"""

from __future__ import annotations

import re
import textwrap

__all__ = ["WIDTH", "cut", "fold", "plain", "short"]

WIDTH = 80
_SPACES = re.compile(r"[\t\n\v\f\r\u0085\u2028\u2029]+")
_OTHERS = re.compile(r"[^\x20-\x7e]")


def plain(text: str) -> str:
    """Printable ASCII: line breaks become spaces, anything else unprintable a question mark."""
    return _OTHERS.sub("?", _SPACES.sub(" ", text))


def cut(text: str, width: int = WIDTH) -> str:
    """One line of at most `width` characters; dots at its end say that there was more."""
    return text if len(text) <= width else text[: width - 3] + "..."


def short(name: str, width: int) -> str:
    """A name in a column of `width` characters; a tilde at its end says that it is longer."""
    return name if len(name) <= width else name[: width - 1] + "~"


def fold(text: str, width: int = WIDTH, indent: str = "  ") -> list[str]:
    """As many lines as it takes; all but the first begin with `indent`."""
    return textwrap.wrap(plain(text), width, subsequent_indent=indent, break_on_hyphens=False)
