"""The page as text: its size, its sameness, its policy, what it says."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from hashlib import sha256

import pytest
from report_runs import history, lab, page_of, replace, upstreams

from t3probe.observation import Beat, Drop
from t3probe.record.facts import Recording
from t3probe.show.page.history import History

ONE_RUN_BYTES = 300 << 10


@pytest.mark.parametrize("name", ["clean", "tunnel", "two_incidents"])
def test_one_run_is_small(name: str) -> None:
    assert len(page_of(lab(name))) < ONE_RUN_BYTES


def test_a_long_run_is_no_larger() -> None:
    """An hour of beats, and drops without end."""
    two = lab("two_incidents")
    beats = tuple(Beat(sent=n / 2, ended=n / 2 + 0.01, ok=n % 9 > 0, conn=n // 9)
                  for n in range(7200))  # fmt: skip
    drops = tuple(
        Drop(began=n, noticed=n + 0.5, recovered=n + 0.6, reason="io_error", symptom="cut",
             stage="hold", call=n, detail="x" * 200)
        for n in range(3000)
    )  # fmt: skip
    seen = [replace(one, beats=beats) for one in two.observations]
    seen[4] = replace(seen[4], drops=drops)
    run = replace(two.run, duration_seconds=3600.0, hold_seconds=3600.0)
    assert len(page_of(Recording(run, tuple(seen)))) < ONE_RUN_BYTES


def test_ten_thousand_upstreams_are_compact() -> None:
    page = page_of(upstreams(10_000))
    print(f"10,000 upstreams: {len(page):,} bytes")
    assert len(page) < ONE_RUN_BYTES


@pytest.mark.parametrize(("legs", "segments"), [(100, 100), (500, 200)])
def test_many_legs_and_segments_stay_bounded(legs: int, segments: int) -> None:
    """What broke is drawn, whatever is left out, and the page says that something is."""
    clean = lab("clean")
    one = next(one for one in clean.observations if one.leg == "cloudflare")
    names = tuple(f"segment-{at}" for at in range(segments))
    seen = [
        replace(one, leg=f"leg-{at}", path=names[at % segments :][:20]) for at in range(legs - 1)
    ]
    drop = Drop(began=1.0, noticed=2.0, reason="io_error", symptom="down", stage="hold", call=1)
    seen.append(
        replace(one, leg="unlucky", path=names[-1:], outcome="failed", drops=(drop,), beats=())
    )
    seen = [replace(one, path=tuple(n for n in one.path if n != names[-1]) or names[:1])
            if one.leg != "unlucky" else one for one in seen]  # fmt: skip
    page = page_of(Recording(replace(clean.run, segments=names, own_segments=()), tuple(seen)))
    assert len(page) < ONE_RUN_BYTES
    drawn = page[page.index(b'<section id="path"') : page.index(b'<section id="timeline"')]
    assert f'data-segment="{names[-1]}" data-label="convicted"'.encode() in drawn
    assert b'<th scope="row">unlucky' in drawn
    assert f"{legs - 40} legs of the least notable".encode() in drawn


def test_a_month_of_runs_stays_small() -> None:
    recordings = [
        Recording(replace(one.run, started_at=one.run.started_at + 3600 * at), one.observations)
        for at, one in enumerate(history(40) * 20)
    ]
    assert len(page_of(*recordings)) < 2 * ONE_RUN_BYTES


def test_the_same_record_gives_the_same_bytes() -> None:
    assert page_of(lab("tunnel")) == page_of(lab("tunnel"))
    assert page_of(*history()) == page_of(*reversed(history()))


def test_a_run_that_was_written_twice_is_one() -> None:
    assert page_of(lab("tunnel"), lab("tunnel")) == page_of(lab("tunnel"))


def test_the_policy_names_exactly_this_script_and_style() -> None:
    page = page_of(lab("tunnel")).decode()
    policy = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    said = dict(one.strip().split(" ", 1) for one in policy[0].replace("&#x27;", "'").split(";"))
    assert said["default-src"] == "'none'"
    assert said["base-uri"] == said["form-action"] == "'none'"
    for name, element in (("style-src", "style"), ("script-src", "script")):
        inner = re.findall(f"<{element}>(.*?)</{element}>", page, re.S)
        assert len(inner) == 1
        found = re.fullmatch(r"'sha256-([A-Za-z0-9+/=]+)'", said[name])
        assert found is not None
        assert b64decode(found[1]) == sha256(inner[0].encode()).digest()


def test_it_needs_nothing_from_elsewhere() -> None:
    page = page_of(*history()).decode()
    assert not re.findall(r"(?i)(https?:|ws:|@import|url\((?!#)|src=|<link|<img|<iframe)", page)


def test_the_verdict_stands_first_and_for_other_tools() -> None:
    page = page_of(lab("tunnel")).decode()
    assert page.index("<h1>tunnel is broken</h1>") < page.index("<h2")
    block = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page)
    data = json.loads(block[0])
    assert data["status"] == "localised"
    assert data["segments"]["tunnel"] == "convicted"
    assert data["segments"]["wan"] == "exonerated"
    assert "upstream-orders" not in data["segments"]


def test_it_says_what_was_not_seen() -> None:
    two = lab("two_incidents")
    run = replace(
        two.run, not_run=("t3serve",), warnings=("the file is old",), loop_lag_seconds=0.9
    )
    page = page_of(Recording(run, two.observations)).decode()
    part = page[page.index('id="blind"') :]
    for words in (
        "unobserved: tunnel",
        "t3serve",
        "cloudflare, inconclusive: resolver_failed",
        "late by up to 900 ms",
        "the file is old",
    ):
        assert words in part


def test_it_says_where_a_leg_was_not_looked_at() -> None:
    clean = lab("clean")
    seen = list(clean.observations)
    kept = tuple(one for one in seen[3].beats if not 1.5 < one.sent < 5)
    seen[3] = replace(seen[3], beats=kept)
    page = page_of(Recording(clean.run, tuple(seen))).decode()
    assert re.search(
        r"cloudflare: no beat from 1\.\d+ s to 5\.\d+ s", page[page.index('id="blind"') :]
    )
    clean_page = page_of(clean).decode()
    assert "no beat" not in clean_page[clean_page.index('id="blind"') :]


def test_incidents_tell_their_evidence() -> None:
    page = page_of(lab("tunnel")).decode()
    part = page[page.index('id="incidents"') : page.index('id="legs"')]
    for words in (
        "tunnel is convicted",
        "<b>fresh beat</b>: resolver, edge",
        "<b>own answer</b>: of cloudflare clears wan",
        "everything we sent was acknowledged",
        "A new attempt at once failed, too.",
        "23:17:58.877 UTC (2.066 s)",
    ):
        assert words in part


def test_a_segment_convicted_in_a_lesser_incident_is_convicted() -> None:
    page = page_of(lab("two_incidents")).decode()
    assert "1 more incident in this run, which convicted dispatch." in page
    for segment in ("doh", "dispatch"):
        assert f"<b>{segment}</b><small>convicted</small>" in page
    assert "<h1>doh and dispatch are broken</h1>" in page


def test_gaps_between_runs() -> None:
    found = History.of(history())
    assert len(found.runs) == 40
    assert [round(one) for one in found.gaps.values()] == [3654]
    assert list(found.gaps) == [31]


def test_a_run_that_was_traced_names_its_trace() -> None:
    clean = lab("clean")
    assert b"trace " not in page_of(clean).partition(b"</header>")[0]
    name = "0af7651916cd43dd8448eb211c80319c"
    traced = Recording(replace(clean.run, trace_id=name), clean.observations)
    assert f"trace {name}".encode() in page_of(traced).partition(b"</header>")[0]
