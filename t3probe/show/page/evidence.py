"""Incidents: what broke when, whose beats clear what, and what the kernel said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from t3probe.observation import SYMPTOMS, Drop, worst
from t3probe.show.page.markup import LABEL_MEANS, Child, Html, details, label, section, tag
from t3probe.show.page.view import LegView, View
from t3probe.text.words import glossed, listed, span
from t3probe.verdict.exact.labels import Verdict
from t3probe.verdict.incident.run import Incident

WHOLE_INCIDENTS = 3
"""With more, all but the worst are folded to their finding."""
ANSWERS_SHOWN = 20
SETS_SHOWN = 10
DROPS_SHOWN = 12
"""Drops of one incident that are told in full."""
HOW_MEANS = {
    "held through": "one connection as old as the one that died beat before and after it",
    "fresh beat": "a new connection was answered while the failed one was not",
    "same report": "is well by the same report",
    "beside": "passed, and proves no more: clears only what no failed leg crosses",
}


def onset(view: View, one: Incident) -> tuple[bool, str]:
    """Whether a failed leg worked before the incident began, and the moment in words."""
    failed = set(one.failed)
    worked = any(
        beat.ok and beat.ended <= one.began + 1e-6
        for leg in view.every
        if leg.name in failed
        for beat in leg.seen.beats
    )
    return worked, view.at(one.began)


def evidence_section(view: View) -> Html:
    """All incidents that are shown, and the verdict's reasons when there is none."""
    judged = view.judged
    if not judged.incidents:
        said = f"No leg dropped. {view.leg_names(judged.passed) or 'No leg'} passed."
        return section(
            "incidents",
            "Incidents and evidence",
            tag("p", said),
            _unsure(view.verdict, view.run.gloss),
        )
    left = len(judged.incidents) - len(view.incidents)
    many = len(view.incidents) > WHOLE_INCIDENTS
    more = tag("p", f"{left:,} more incidents are not shown.", class_="note") if left else None
    return section(
        "incidents",
        "Incidents and evidence",
        [
            _incident(view, number, one, many and number > 1)
            for number, one in enumerate(view.incidents, 1)
        ],
        more,
    )


def _incident(view: View, number: int, one: Incident, fold: bool) -> Html:
    end = "not over at the run's end"
    if one.recovered is not None:
        end = f"over at {view.at(one.recovered)}, after {span(one.recovered - one.began)}"
    title = f"Incident {number}: {one.symptom}"
    worked, at = onset(view, one)
    first = "Last good beat" if worked else "No good beat from the first attempt on:"
    head = [tag("h3", title), tag("p", f"{one.finding}.", class_="finding")]
    told = [
        tag("p", f"{first} {at}, noticed {view.at(one.noticed)}, {end}.", class_="note"),
        _labels(view, one.verdict),
        _cleared(view, one),
        _drops(view, one),
        _unsure(one.verdict, view.run.gloss),
    ]
    if fold:
        return tag("details", tag("summary", head), told, class_="card")
    return tag("article", head, told, class_="card")


def _labels(view: View, verdict: Verdict) -> Html:
    rows = []
    for name in LABEL_MEANS:
        segments = [one for one in getattr(verdict, name) if one not in view.own]
        own = [one for one in getattr(verdict, name) if one in view.own]
        if name != "exonerated":
            segments = glossed(segments, view.run.gloss)
        shown = segments + (own if len(own) <= 6 else [f"{len(own):,} of single upstreams"])
        if shown:
            rows.append(tag("div", tag("dt", label(name)), tag("dd", listed(shown, 40))))
    return tag("dl", rows, class_="found")


def _cleared(view: View, one: Incident) -> Html:
    by: dict[str, list[str]] = {}
    for leg, how in one.cleared_by.items():
        by.setdefault(how, []).append(leg)
    rows: list[Child] = [
        tag("li", tag("b", how), f": {view.leg_names(by[how])} ", tag("small", f"({means})"))
        for how, means in HOW_MEANS.items()
        if how in by
    ]
    rows += [
        tag(
            "li",
            tag("b", "own answer"),
            f": of {leg} clears {listed(path, 20)} ",
            tag("small", "(what answered it lies behind these)"),
        )
        for leg, path in list(one.carried.items())[:ANSWERS_SHOWN]
    ]
    if (left := len(one.carried) - ANSWERS_SHOWN) > 0:
        rows.append(tag("li", f"and the own answers of {left:,} more"))
    if not rows:
        return tag("p", "No other leg says anything about it.")
    return tag("div", tag("h4", "Evidence"), tag("ul", rows))


def _drops(view: View, one: Incident) -> Html | None:
    failed = set(one.failed)
    found = [
        (leg, drop)
        for leg in view.every
        if leg.name in failed
        for drop in leg.drops
        if one.began <= drop.noticed <= one.noticed
    ]
    if not found:
        return None
    shown = worst(found, DROPS_SHOWN, lambda one: SYMPTOMS.index(one[1].symptom))
    left = len(found) - len(shown)
    items = [tag("li", _drop(view, leg, drop)) for leg, drop in shown]
    return tag(
        "div",
        tag("h4", "What dropped"),
        tag("ul", items, class_="drops"),
        tag("p", f"And {left:,} more, no worse.", class_="note") if left else None,
    )


def _drop(view: View, leg: LegView, drop: Drop) -> Iterator[Child]:
    yield tag("b", leg.name)
    detail = f": {drop.detail}" if drop.detail else ""
    yield f" {drop.symptom}, {drop.reason}{detail}. "
    if drop.attempt is not None:
        again = "worked" if drop.attempt.ok else "failed, too"
        yield f"A new attempt at once {again}. "
    if drop.symptom == "refusing":
        yield "Open connections lived on, and no new one was accepted. "
    if drop.evidence:
        yield f"{drop.evidence[0].upper()}{drop.evidence[1:].rstrip('.')}. "
    yield f"{_kernel(drop)} "
    facts = [
        ("from", drop.local_address),
        ("to", drop.remote_address),
        ("family", drop.family),
        ("connection's age", span(drop.connection_age_seconds)),
        ("cf-ray", drop.cf_ray),
        ("colo", drop.colo),
        ("noticed", view.at(drop.noticed)),
    ]
    said = "; ".join(f"{name} {value}" for name, value in facts if value and value != "-")
    yield tag("small", said, class_="mono")


def _kernel(drop: Drop) -> str:
    """The kernel's numbers in words (Linux `TCP_INFO`)."""
    tcp = drop.tcp
    if tcp is None:
        return ""
    if tcp.state == 7:
        return "Kernel: the connection was closed already."
    sent = "everything we sent was acknowledged"
    if tcp.unacked:
        sent = f"{tcp.unacked} segments not acknowledged"
    parts = [sent]
    if tcp.retransmits:
        parts.append(f"{tcp.retransmits} sent again")
    parts.append(f"nothing came for {span(tcp.since_last_data_received_seconds)}")
    parts.append(f"round trip of the first hop {span(tcp.rtt_seconds)}")
    return f"Kernel: {', '.join(parts)}."


def _unsure(verdict: Verdict, gloss: Mapping[str, str]) -> Html | None:
    """What the legs could not tell, and what would."""
    parts: list[Child] = [
        tag("p", f"At least one of {listed(glossed(group, gloss), 20, 'or')} broke.")
        for group in verdict.at_least_one_of[:SETS_SHOWN]
    ]
    if (left := len(verdict.at_least_one_of) - SETS_SHOWN) > 0:
        parts.append(tag("p", f"And {left:,} more such sets."))
    if verdict.at_least_one_of and verdict.simplest:
        parts.append(
            tag("p", f"Simplest explanation: {listed(glossed(verdict.simplest, gloss), 20)}.")
        )
    if verdict.contradictions:
        said = f"In conflict: {listed(verdict.contradictions, 20)} failed over cleared segments."
        parts.append(tag("p", said))
    every = (verdict.repairs or {}).get("options", [])
    options = every[:SETS_SHOWN]
    if options:
        flips = [
            tag(
                "li",
                f"disbelieve {listed(one['disbelieve'], 20)}; then "
                f"{listed(one['faults'], 20) or 'nothing'} is broken",
            )
            for one in options
        ]
        if len(every) > len(options):
            flips.append(tag("li", f"or {len(every) - len(options):,} more ways"))
        parts.append(details("The fewest outcomes to disbelieve", tag("ul", flips)))
    if verdict.ambiguous and verdict.extra_leg:
        parts.append(tag("p", f"One more leg would tell: over {' > '.join(verdict.extra_leg)}."))
    return tag("div", parts) if parts else None
