"""What a WebSocket message is to the beat that waits: its echo, a damaged one, or neither. Pure."""

from __future__ import annotations

from t3probe.showing import showable

__all__ = ["answers", "described"]

SHOWN_CHARACTERS = 40
SHORTEST_PART = 8
"""So many characters of what was sent are no accident."""


def answers(message: str | bytes, sent: str) -> bool:
    """Whether it is `sent` come back, be it as it was or damaged: of the other type, inside of
    something else, cut short, or with some of its characters changed.

    Anything else answers no beat: a greeting, a ping of the application, somebody else's news.
    """
    text = _text(message).lower()
    if sent in text or (len(text) >= SHORTEST_PART and text in sent):
        return True
    alike = sum(one == other for one, other in zip(text, sent, strict=False))
    return len(text) == len(sent) and 2 * alike >= len(sent)


def described(message: str | bytes) -> str:
    """Type, length and the first characters of a foreign message, fit for a record."""
    kind, unit = ("binary", "byte") if isinstance(message, bytes) else ("text", "character")
    number = f"{len(message)} {unit}{'' if len(message) == 1 else 's'}"
    # Whole, before it is cut: half of a secret is one, too.
    shown = showable(_text(message), 400)[:SHOWN_CHARACTERS]
    return f"{kind} of {number}" + (f' "{shown}"' if shown else "")


def _text(message: str | bytes) -> str:
    return message.decode("latin-1") if isinstance(message, bytes) else message
