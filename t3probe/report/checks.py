"""Walls and carve-outs, upstreams, certificates: a table each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from t3probe.report.marks import label, outcome
from t3probe.report.markup import Child, Html, join, tag
from t3probe.report.tables import Cell, mono, section, table
from t3probe.report.view import LegView, View
from t3probe.report.words import count, span, utc

__all__ = ["certificates_section", "upstreams_section", "walls_section"]

SOON_SECONDS = 14 * 86400.0
_WORST_FIRST = ("failed", "degraded", "inconclusive", "planned", "passed")
_EXPECTED = {
    "public": "public: past the SSO",
    "walled": "walled: sent to the SSO, or refused",
}


def walls_section(view: View) -> Html | None:
    """Both ways round: public paths that must stay public, and protected ones."""
    walls = [one for one in view.legs if one.seen.kind in ("walloff", "walled")]
    if not walls:
        return None
    heads = ("check", "path", "must be", "outcome", "its rule", "in words")
    return section(
        "walls",
        "Walls and carve-outs",
        table("Walls and carve-outs", heads, (_wall(view, one) for one in walls)),
    )


def _wall(view: View, leg: LegView) -> Sequence[Cell | Child]:
    seen = leg.seen
    rule = seen.path[-1] if seen.path else ""
    told = [one for one in (leg.why, *seen.evidence[:20]) if one]
    expected = seen.labels.get("expected", "")
    must = _EXPECTED.get(expected) or _EXPECTED["public" if seen.kind == "walloff" else "walled"]
    state = view.labels.get(rule)
    return [
        leg.name,
        mono(seen.labels.get("path", "-")),
        must,
        Cell(outcome(leg.outcome)),
        [rule, " ", label(state) if state else None],
        [tag("p", one) for one in told] or "-",
    ]


def upstreams_section(view: View) -> Html | None:
    """Every upstream, the bad ones first. Without scripts it is one long table."""
    if not view.upstreams:
        return None
    good = sum(one.outcome == "passed" for one in view.upstreams)
    total = len(view.upstreams)
    said = f"{good:,} of {count(total, 'upstream')} can be reached."
    rows = sorted(view.upstreams, key=_worst_first)
    asked = any(one.seen.views for one in rows)
    heads = ["upstream", "address", "route", "port", "outcome", "connect", "reason"]
    heads += ["Envoy says"] if asked else []
    body = (_upstream(one, asked) for one in rows)
    outcomes = [one for one in _WORST_FIRST if any(leg.outcome == one for leg in rows)]
    tools = tag(
        "div",
        tag(
            "label",
            "Search ",
            tag("input", type="search", id="up-search", autocomplete="off", spellcheck="false"),
        ),
        tag(
            "label",
            "Outcome ",
            tag(
                "select",
                tag("option", "all", value=""),
                (tag("option", one, value=one) for one in outcomes),
                id="up-outcome",
            ),
        ),
        tag("button", "Previous", type="button", id="up-back"),
        tag("button", "Next", type="button", id="up-next"),
        tag("output", id="up-said", role="status"),
        class_="tools",
        hidden=True,
    )
    rows_table = table(
        "Upstreams", heads, body, class_="upstreams", identifier="upstreams-table", sortable=True
    )
    return section("upstreams", "Upstreams", tag("p", said), tools, rows_table)


def _worst_first(leg: LegView) -> tuple[int, str]:
    word = leg.outcome
    return (_WORST_FIRST.index(word) if word in _WORST_FIRST else 0), leg.name


def _upstream(leg: LegView, asked: bool) -> Sequence[Cell | Child]:
    seen = leg.seen
    port = seen.labels.get("listen_port", "")
    word = leg.outcome
    # The mark's drawing would be half of ten thousand rows: the style draws it here.
    cells: list[Cell | Child] = [
        seen.labels.get("backend") or leg.name,
        seen.address or (seen.addresses[0].address if seen.addresses else "-"),
        seen.labels.get("route", "") or "-",
        port or "-",
        Cell(word, class_=f"u-{word}"),
        Cell(span(leg.median), _rounded(leg.median)),
        leg.why or "-",
    ]
    if asked:
        views = [f"{one.route}: {one.sentence or one.opinion}" for one in seen.views[:5]]
        cells.append([tag("p", one) for one in views] or "-")
    return cells


def _rounded(value: float | None) -> float:
    return math.inf if value is None else round(value, 6)


def certificates_section(view: View) -> Html | None:
    """When each server's certificate expires, counted from the run's start."""
    legs = [one for one in view.every if one.seen.cert_not_after is not None]
    if not legs:
        return None
    legs.sort(key=lambda one: (one.seen.cert_not_after or 0.0, one.name))
    heads = ("leg", "valid until", "left when the run began", "state")
    return section(
        "certificates",
        "Certificates",
        join(
            [
                table("Certificates", heads, (_certificate(view, one) for one in legs[:200])),
                tag("p", f"And {len(legs) - 200:,} more.", class_="note")
                if len(legs) > 200
                else None,
            ]
        ),
    )


def _certificate(view: View, leg: LegView) -> Sequence[Cell | Child]:
    ends = leg.seen.cert_not_after or 0.0
    left = ends - view.run.started_at
    state = "passed" if left > SOON_SECONDS else "degraded" if left > 0 else "failed"
    word = {"passed": "valid", "degraded": "expires soon", "failed": "expired"}[state]
    return [
        leg.name,
        utc(ends).replace("T00:00:00.000Z", ""),
        span(left) if left >= 0 else f"expired {span(-left)} before",
        tag("span", word, class_=f"word w-{state}"),
    ]
