"""Lines that fit the columns of a terminal, whatever they say. Pure.

Everything becomes printable ASCII, one column a character (`t3probe.showing.plain`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable

from t3probe.showing import plain

__all__ = ["WIDTH", "cut", "distinct", "fold", "short"]

WIDTH = 80


def cut(text: str, width: int = WIDTH) -> str:
    """One line of at most `width` characters; dots at its end say that there was more."""
    return text if len(text) <= width else text[: width - 3] + "..."


def distinct(
    names: Iterable[str], width: int, clean: Callable[[str], str] = plain
) -> dict[str, str]:
    """Each name for a column of `width` characters, no two of them alike; `clean` makes it fit to
    be printed.

    A tilde stands for what is left out: the end, or where that would make two names one, the
    middle. Names that differ in what is not shown get numbers.
    """
    cleaned = {name: clean(name) for name in names}
    alike: dict[str, list[str]] = {}
    for name, text in cleaned.items():
        alike.setdefault(short(text, width), []).append(name)
    found = {some[0]: text for text, some in alike.items() if len(some) == 1}
    taken = set(found.values())
    for some in (one for one in alike.values() if len(one) > 1):
        texts = _apart([cleaned[one] for one in some], width, taken)
        taken.update(texts)
        found |= zip(some, texts, strict=True)
    return {name: found[name] for name in cleaned}


def _apart(names: list[str], width: int, taken: set[str]) -> list[str]:
    """The longer the end that it takes, the less is left of the beginning."""
    for end in range(width // 3, width - 1):
        texts = [short(one, width, end) for one in names]
        if len(set(texts)) == len(texts) and taken.isdisjoint(texts):
            return texts
    texts, number = [], 0
    for one in names:
        text = short(one, width)
        while text in taken or text in texts:
            number += 1
            text = f"{one[: width - 1 - len(str(number))]}~{number}"
        texts.append(text)
    return texts


def short(name: str, width: int, end: int = 0) -> str:
    """At most `width` characters; of a longer name the beginning and the last `end`."""
    if len(name) <= width:
        return name
    return f"{name[: width - 1 - end]}~{name[-end:] if end else ''}"


def fold(text: str, width: int = WIDTH, indent: str = "  ") -> list[str]:
    """As many lines as it takes; all but the first begin with `indent`."""
    return textwrap.wrap(plain(text), width, subsequent_indent=indent, break_on_hyphens=False)
