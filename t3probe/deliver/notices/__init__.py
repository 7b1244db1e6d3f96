"""A word to people by mail or webhook: what may be said, when, and how it gets there.

`change` decides and composes, purely; `outbox` keeps what waits for one receiver; `mail` and
`webhook` send; `messenger` puts them together for one deployment. Who has something else to say
hands a `Notice` to the messenger.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

__all__ = ["Notice", "Posted"]


class Notice(msgspec.Struct, frozen=True):
    """One thing to tell people."""

    id: str
    """Hexadecimal; the same for the same notice: Message-ID, and transaction of Matrix."""
    at: float
    """When it was found, Unix seconds."""
    subject: str
    """One line, the sentence that a person needs."""
    text: str
    """Lines of plain text, the first one a sentence that stands alone."""
    facts: dict[str, Any] = {}
    """The same for programs: JSON values."""


class Posted(NamedTuple):
    """What became of an attempt to send."""

    over: bool
    """Whether it need not be sent again: it was taken, may have been, or never will be."""
    sentence: str
    """For people."""
    ok: bool = True
    """Whether it is there, as far as anybody can tell."""
