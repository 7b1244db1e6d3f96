"""HTML that escapes by default.

`tag` builds one element. A plain `str`, wherever it stands, is text from outside and is escaped;
only `Html`, which nothing but this module makes out of text, passes as it is. So a server's
reason, header or certificate name can become neither an element nor an attribute. Addresses in
`href` are never made from a record. Characters that would hide or reorder what stands beside
them are written out, since a page that can be made to lie is no evidence.

Marks are the five labels and the outcomes as shape, colour and word, never as colour alone. All
tables have one builder, so that each has a caption, scopes and a place to scroll.

No template language: the pictures are code and need `tag` in any case, and templates for the rest
came to as many lines.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from html import escape
from typing import Any, TypeAlias
from zlib import compress

from t3probe.exchange.terminal import disarmed_json
from t3probe.text import without_ours
from t3probe.text.words import label_word

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


SHEET = constant(
    '<svg width="0" height="0" class="sheet" aria-hidden="true" focusable="false"><defs>'
    # A tick, a cross, a question mark, a half-moon, an empty ring: told apart without colour.
    '<symbol id="m-exonerated" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7.2" class="m-d"/>'
    '<path d="M4.6 8.3l2.4 2.4 4.5-5" class="m-l"/></symbol>'
    '<symbol id="m-convicted" viewBox="0 0 16 16"><path d="M5 .8h6L15.2 5v6L11 15.2H5L.8 11V5z" '
    'class="m-d"/><path d="M5.2 5.2l5.6 5.6m0-5.6l-5.6 5.6" class="m-l"/></symbol>'
    '<symbol id="m-ambiguous" viewBox="0 0 16 16"><path d="M3 1h10l2 2v10l-2 2H3l-2-2V3z" '
    'class="m-d"/>'
    '<path d="M6.1 6.3c0-2.5 3.8-2.4 3.8-.1 0 1.5-1.9 1.5-1.9 3m0 1.6v1" class="m-l"/></symbol>'
    '<symbol id="m-masked" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6.6" class="m-o"/>'
    '<path d="M8 1.4a6.6 6.6 0 0 0 0 13.2z" class="m-d"/></symbol>'
    '<symbol id="m-unobserved" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6.4" class="m-o '
    'm-dash"/></symbol>'
    '<symbol id="m-degraded" viewBox="0 0 16 16"><path d="M8 1.4l7 13H1z" class="m-d"/>'
    '<path d="M8 6v4m0 1.6v1" class="m-l"/></symbol>'
    '<symbol id="m-since" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6.6" class="m-o"/>'
    '<path d="M8 4v4.3l2.8 1.8" class="m-o"/></symbol>'
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><path d="M0 0v6" class="hatch"/></pattern>'
    "</defs></svg>"
)
"""The symbols, once at the page's beginning."""

_OUTCOME_MARK = {
    "passed": "exonerated",
    "degraded": "degraded",
    "failed": "convicted",
    "inconclusive": "unobserved",
    "planned": "masked",
}
_STATUS_MARK = {
    "clean": "exonerated",
    "incomplete": "unobserved",
    "localised": "convicted",
    "ambiguous": "ambiguous",
    "inconsistent": "degraded",
}


LABEL_MEANS = {
    "exonerated": "a leg that passed crosses it",
    "convicted": "broken: the only suspect of some failed leg",
    "ambiguous": "broken, or another suspect is: these legs cannot tell",
    "masked": "behind a failure that others explain: probe again after the repair",
    "unobserved": "on no leg that took part",
}
STATUS_MEANS = {
    "clean": "nothing failed",
    "incomplete": "nothing failed, but not every segment was observed",
    "localised": "something failed, and what it was is certain",
    "ambiguous": "something failed, and these legs cannot tell everything about it",
    "inconsistent": "the outcomes contradict each other: at least one is wrong",
}


def icon(mark: str, kind: str = "") -> Html:
    """A mark alone; the word stands beside it, so it is hidden from readers."""
    return tag(
        "svg",
        tag("use", href=f"#m-{mark}"),
        class_=f"mark k-{kind or mark}",
        aria_hidden="true",
        focusable="false",
    )


def label(name: str) -> Html:
    """One of the five labels: mark, colour and word."""
    return tag("span", icon(name), label_word(name), class_=f"label k-{name}")


def outcome(name: str) -> Html:
    """A leg's outcome."""
    mark = _OUTCOME_MARK.get(name, "unobserved")
    return tag("span", icon(mark, f"o-{name}"), name, class_=f"label k-o-{name}")


def status(name: str) -> Html:
    """A run's status."""
    mark = _STATUS_MARK.get(name, "unobserved")
    return tag("span", icon(mark), name, class_=f"label big k-{mark}")


def legend() -> Html:
    """What the five labels mean."""
    rows = (
        tag("div", tag("dt", label(name)), tag("dd", means)) for name, means in LABEL_MEANS.items()
    )
    return tag("dl", rows, class_="legend")


LONG_NAME = 32
"""Characters; longer names may break anywhere, shorter ones never do."""


class Cell:
    """A cell whose order is not that of its text: `by` is what it is sorted by."""

    def __init__(self, content: Child, by: float | str | None = None, class_: str = "") -> None:
        self.content, self.by, self.class_ = content, by, class_


def table(
    caption: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[Cell | Child]],
    *,
    class_: str = "",
    identifier: str | None = None,
    sortable: bool = False,
) -> Html:
    """A table whose first column names its rows. `sortable` lets the page's script put buttons
    into its heads."""
    head = tag("tr", (tag("th", tag("span", one), scope="col") for one in heads))
    return scroll(
        caption,
        tag(
            "table",
            tag("caption", caption, class_="vh"),
            tag("thead", head),
            tag("tbody", (_row(one) for one in rows)),
            class_=class_ or None,
            id=identifier,
            data_sort=sortable,
        ),
    )


def _row(cells: Sequence[Cell | Child]) -> Html:
    return tag("tr", (_cell(one, at == 0) for at, one in enumerate(cells)))


def _cell(cell: Cell | Child, first: bool) -> Html:
    if not isinstance(cell, Cell):
        return row_head(cell) if first else tag("td", cell)
    name, scope = ("th", "row") if first else ("td", None)
    return tag(name, cell.content, scope=scope, class_=cell.class_ or None, data_v=cell.by)


def row_head(name: Child) -> Html:
    """The cell that names a row."""
    return tag("th", name, scope="row", class_=_long(name))


def _long(name: Child) -> str | None:
    return "long" if isinstance(name, str) and len(name) > LONG_NAME else None


def mono(text: str) -> Html:
    """An address or a path."""
    return tag("span", text, class_="mono" if _long(text) is None else "mono long")


def scroll(caption: str, *children: Child) -> Html:
    """Something wide that scrolls by itself, by keyboard, too."""
    return tag("div", children, class_="scroll", role="region", tabindex=0, aria_label=caption)


def details(summary: str, *children: Child) -> Html:
    """Something that is folded away at first."""
    return tag("details", tag("summary", summary), children)


def section(identifier: str, heading: str, *children: Child) -> Html:
    """A section with its heading."""
    return tag(
        "section",
        tag("h2", heading, id=f"{identifier}-h"),
        children,
        id=identifier,
        aria_labelledby=f"{identifier}-h",
    )
