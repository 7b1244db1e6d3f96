"""HTML that escapes by default.

`tag` builds one element. A plain `str`, wherever it stands, is text from outside and is escaped;
only `Html`, which nothing but this module makes out of text, passes as it is. So a server's
reason, header or certificate name can become neither an element nor an attribute. Addresses in
`href` are never made from a record. Characters that would hide or reorder what stands beside
them are written out, since a page that can be made to lie is no evidence.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from html import escape
from typing import Any, TypeAlias
from zlib import compress

from t3probe.showing import without_ours
from t3probe.terminal import disarmed_json

__all__ = [
    "Child",
    "Html",
    "constant",
    "csp_hash",
    "data_block",
    "join",
    "packed_block",
    "shown",
    "tag",
    "text",
]

LONGEST_TEXT = 500
"""Characters of one text that are shown; a peer chooses how long its reason is."""

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff\ud800-\udfff]"
)
_VOID = {"meta", "input", "br", "link"}
_SHORT = {"path", "rect", "line", "circle", "use"}
_OPEN = {"tr", "td", "th", "li"}
"""Elements whose end tag HTML does not need: with ten thousand rows that is a third of a page."""


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Child: TypeAlias = "str | int | Iterable[Child] | None"
"""What can stand in an element: text (escaped), `Html` (as it is), a number, or several."""


def _visible(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def text(value: str) -> Html:
    """Any text as HTML text, safe in a quoted attribute, too."""
    if isinstance(value, Html):
        return value
    safe = escape(shown(value), quote=True)
    # What a CI runner would obey in a page that is printed.
    return Html(safe.replace("[", "&#91;") if "##" in safe else safe)


def shown(value: str) -> str:
    """Any text as the page shows it: bounded, and nothing in it hides."""
    value = without_ours(value)
    if len(value) > LONGEST_TEXT:
        value = value[:LONGEST_TEXT] + "…"
    return _HIDDEN.sub(_visible, value)


def constant(markup: str) -> Html:
    """A literal of this package as HTML. Never for anything that was read."""
    return Html(markup)


def join(children: Iterable[Child]) -> Html:
    """Children one after the other."""
    parts: list[str] = []
    _add(children, parts)
    return Html("".join(parts))


def _add(child: Child, parts: list[str]) -> None:
    if child is None:
        return
    if isinstance(child, str):
        parts.append(text(child))
    elif isinstance(child, int):
        parts.append(str(child))
    else:
        for one in child:
            _add(one, parts)


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Html:
    """One element. Of an attribute's name a last `_` falls away and others become `-`; None and
    False leave it out, True stands alone."""
    parts = ["<", name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        parts += [" ", key.rstrip("_").replace("_", "-")]
        if value is not True:
            shown = text(value) if isinstance(value, str) else repr(value)
            parts += ['="', shown, '"']
    if name in _VOID:
        return Html("".join([*parts, ">"]))
    if name in _SHORT and not children:
        return Html("".join([*parts, "/>"]))
    parts.append(">")
    _add(children, parts)
    if name not in _OPEN:
        parts += ["</", name, ">"]
    return Html("".join(parts))


def data_block(identifier: str, data: Any) -> Html:
    """JSON for scripts and other tools, inert: nothing in it can end the element."""
    body = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    body = disarmed_json(body)
    for one in "<>&":
        body = body.replace(one, f"\\u{ord(one):04x}")  # ASCII already writes out U+2028 and U+2029
    return Html(f'<script type="application/json" id="{text(identifier)}">{body}</script>')


def packed_block(identifier: str, data: Any) -> Html:
    """Much data for the script: JSON, compressed (RFC 1950) and in base64."""
    body = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    packed = b64encode(compress(body.encode("utf-8"), 9)).decode()
    kind = "application/octet-stream"
    return Html(f'<script type="{kind}" id="{text(identifier)}">{packed}</script>')


def csp_hash(content: str) -> str:
    """The source expression that lets exactly this inline script or style in (CSP Level 3)."""
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"
