"""Marks: the five labels and the outcomes as shape, colour and word, never as colour alone."""

from __future__ import annotations

from t3probe.report.markup import Html, constant, tag
from t3probe.report.words import LABEL_MEANS

__all__ = ["SHEET", "icon", "label", "legend", "outcome", "status"]

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
    return tag("span", icon(name), name, class_=f"label k-{name}")


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
