"""Walls and carve-outs, ingest gates, and certificates: a table each."""

from __future__ import annotations

from collections.abc import Sequence

from t3probe.observation import badness
from t3probe.show.page.markup import (
    Cell,
    Child,
    Html,
    join,
    label,
    mono,
    outcome,
    section,
    table,
    tag,
)
from t3probe.show.page.view import LegView, View
from t3probe.text.words import some, span, utc

SOON_SECONDS = 14 * 86400.0
WALLS_SHOWN = 100
SENTENCES_SHOWN = 8
_EXPECTED = {
    "public": "public: past the SSO",
    "walled": "walled: sent to the SSO, or refused",
}


def walls_section(view: View) -> Html | None:
    """Both ways round: public paths that must stay public, and protected ones."""
    walls = [one for one in view.legs if one.seen.kind in ("walloff", "walled")]
    walls.sort(key=lambda one: badness(one.outcome))
    if not walls:
        return None
    heads = ("check", "path", "must be", "outcome", "its rule", "in words")
    return section(
        "walls",
        "Walls and carve-outs",
        table(
            "Walls and carve-outs",
            heads,
            (_wall(view, one) for one in walls[:WALLS_SHOWN]),
            class_="walls",
        ),
        tag("p", f"{len(walls) - WALLS_SHOWN:,} more are not shown.", class_="note")
        if len(walls) > WALLS_SHOWN
        else None,
    )


def _wall(view: View, leg: LegView) -> Sequence[Cell | Child]:
    seen = leg.seen
    rule = seen.path[-1] if seen.path else ""
    told = [one for one in (leg.why, *some(seen.evidence, SENTENCES_SHOWN)) if one]
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


_ASKED = {
    "token": "takes our token",
    "no_token": "refuses strangers",
    "wrong_token": "refuses a wrong token",
    "paths": "other paths are closed",
    "method": "no GET",
    "health": "health page needs the token",
    "plain": "no plain http",
    "leak": "gives no token away",
}


def gates_section(view: View) -> Html | None:
    """What each ingest gate was asked, and what nobody can tell."""
    gates: dict[str, list[LegView]] = {}
    for one in view.legs:
        if one.seen.kind in ("ingest", "ingest_gate"):
            gates.setdefault(one.seen.labels.get("gate", one.name), []).append(one)
    if not gates:
        return None
    heads = ("gate", "check", "outcome", "as it must be", "not so", "in words")
    rows = [_gate(gate, one) for gate, legs in gates.items() for one in legs]
    return section(
        "gates",
        "Ingest gates",
        table("Ingest gates", heads, rows[:WALLS_SHOWN], class_="walls"),
        tag("p", f"{len(rows) - WALLS_SHOWN:,} more are not shown.", class_="note")
        if len(rows) > WALLS_SHOWN
        else None,
    )


def _gate(gate: str, leg: LegView) -> Sequence[Cell | Child]:
    seen = leg.seen
    held = [word for name, word in _ASKED.items() if seen.gate.get(name)]
    broken = [word for name, word in _ASKED.items() if seen.gate.get(name) is False]
    told = [one for one in (leg.why, *some(seen.evidence, SENTENCES_SHOWN)) if one]
    return [
        gate,
        leg.name,
        Cell(outcome(leg.outcome)),
        ", ".join(held) or "-",
        ", ".join(broken) or "-",
        [tag("p", one) for one in told] or "-",
    ]


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
        tag("span", utc(ends).partition("T")[0], class_="when"),
        span(left) if left >= 0 else f"expired {span(-left)} before it",
        tag("span", word, class_=f"word w-{state}"),
    ]
