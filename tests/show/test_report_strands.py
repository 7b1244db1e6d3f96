"""Which strand failed, on the page; the words of the evidence; the simplest explanation."""

from __future__ import annotations

import re
from html import unescape

from report_runs import lab, page_of, replace

from t3probe.observation import Attempt, Beat, Drop, Observation
from t3probe.record.facts import Recording
from t3probe.show.page.evidence import HOW_MEANS
from t3probe.verdict.incident.evidence import HOW


def text_of(page: bytes, first: str, last: str) -> str:
    """What stands between two sections, without its tags."""
    part = page.decode()
    part = part[part.index(first) : part.index(last)]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", part)).split())


def failed(leg: str, **changes: object) -> Recording:
    """The clean run, and one leg in which something failed."""
    clean = lab("clean")
    again = Attempt(started=2.6, ended=2.9, ok=False, reason="connect_refused")
    facts = {
        "began": 2.1, "noticed": 2.5, "reason": "connect_refused", "symptom": "refusing",
        "stage": "connect", "call": 3, "strand": "fresh", "asked": 2.4, "answered": True,
        "attempt": again, **changes,
    }  # fmt: skip
    drop = Drop(**facts)  # type: ignore[arg-type]

    def with_drop(one: Observation) -> Observation:
        if one.leg != leg:
            # Each other leg has a fresh beat while new connections were refused.
            beat = Beat(sent=2.7, ended=2.75, ok=True, conn=99, call=3, strand="fresh")
            return replace(one, beats=(*one.beats, beat)) if one.leg != "walled-home" else one
        return replace(
            one, outcome="failed", reason=drop.reason, drops=(drop,), connected=True,
            accepting=False, beats=tuple(one for one in one.beats if one.strand == "held"),
        )  # fmt: skip

    return Recording(clean.run, tuple(map(with_drop, clean.observations)))


def test_a_leg_that_refuses_cannot_be_overlooked() -> None:
    page = page_of(failed("cloudflare"))
    first = text_of(page, "<h1>", 'id="incidents"')
    assert "cloudflare kept its connection and accepted no new one" in first
    lane = text_of(page, 'id="path"', 'id="timeline"')
    assert re.search(r"cloudflare .*?failed refusing", lane)
    said = text_of(page, 'id="incidents"', 'id="legs"')
    assert "Open connections lived on, and no new one was accepted." in said
    legs = text_of(page, 'id="legs"', 'id="phases"')
    assert "refused new connections, kept the open one" in legs


def test_every_way_to_clear_has_its_meaning() -> None:
    assert {*HOW_MEANS, "own answer"} == set(HOW)
    page = page_of(failed("cloudflare", carried=("wan",)))
    said = text_of(page, 'id="incidents"', 'id="legs"')
    assert "fresh beat : resolver, edge, internal, traefik" in said
    assert HOW_MEANS["fresh beat"] in said
    assert "own answer : of cloudflare clears wan" in said


def test_the_simplest_explanation_stands_in_the_first_screen() -> None:
    clean = lab("clean")
    again = Attempt(started=2.6, ended=2.9, ok=False, reason="rtt_timeout")
    drop = Drop(
        began=2.1, noticed=2.5, reason="rtt_timeout", symptom="down", stage="ask", call=3,
        strand="held", asked=2.4, attempt=again,
    )  # fmt: skip
    names = ("cloudflare", "edge")
    seen = [
        replace(one, outcome="failed", drops=(drop,), beats=()) if one.leg in names else one
        for one in clean.observations
        if one.leg in (*names, "internal")
    ]
    page = page_of(Recording(clean.run, tuple(seen)))
    found = text_of(page, "<h1>", 'id="incidents"')
    assert "Simplest explanation: " not in found, "there are two of one size"
    tunnel = [
        replace(one, path=("cf-edge", "tunnel")) if one.leg == "cloudflare" else one
        for one in seen
        if one.leg != "internal"
    ]
    page = page_of(Recording(clean.run, tuple(tunnel)))
    found = text_of(page, "<h1>", 'id="incidents"')
    assert "Simplest explanation: cf-edge." in found
    run = replace(clean.run, gloss={"cf-edge": "or what it does with this path"})
    page = page_of(Recording(run, tuple(tunnel)))
    assert page.decode().count("Simplest explanation: cf-edge (or what it does with this path)") > 1
