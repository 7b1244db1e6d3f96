"""The first screen: what broke, since when, what is cleared and what is not."""

from __future__ import annotations

import re
from html import unescape

import pytest
from report_browser import Opener
from report_runs import lab, page_of, replace

from t3probe.observation import Baseline, Drop
from t3probe.record.facts import Recording


def answer(page: bytes) -> dict[str, str]:
    """Its rows as text."""
    box = re.findall(r'<dl class="answer">(.*?)</dl>', page.decode(), re.S)[0]
    rows = re.findall(r"<div><dt>(.*?)</dt><dd>(.*?)</dd></div>", box, re.S)
    plain = [[unescape(re.sub("<[^>]*>", " ", one)) for one in row] for row in rows]
    return {name.strip(): " ".join(said.split()) for name, said in plain}


def heading(page: bytes) -> str:
    return re.findall(r"<h1>(.*?)</h1>", page.decode())[0]


def dropped(leg: str, drop: Drop) -> Recording:
    """The clean run with one drop."""
    clean = lab("clean")
    seen = [
        replace(one, outcome="failed", drops=(drop,)) if one.leg == leg else one
        for one in clean.observations
    ]
    return Recording(clean.run, tuple(seen))


def at(runs: list[str], gap: float = 60.0) -> list[Recording]:
    """These runs, one after the other."""
    return [
        Recording(replace(lab(name).run, started_at=1.7e9 + gap * n), lab(name).observations)
        for n, name in enumerate(runs)
    ]


def test_what_never_worked() -> None:
    said = answer(page_of(lab("tunnel")))
    assert list(said) == ["Broken", "Since", "Cleared"]
    assert said["Broken"] == "cloudflare was down: tunnel is convicted."
    assert said["Since"] == (
        "23:17:56.813 UTC (0.001 s) , the first attempt: it never worked; "
        "noticed after 2.06 s; not over at the run's end."
    )
    assert (
        said["Cleared"] == "wan, doh, cf-edge, traefik, carve-out, wall, devvm, dispatch and serve."
    )


def test_a_drop_in_mid_hold_and_its_end() -> None:
    clean = lab("clean")
    good = next(one for one in clean.observations if one.leg == "t3serve").beats[3]
    drop = Drop(began=good.ended, noticed=good.ended + 1, recovered=good.ended + 1.5,
                reason="io_error", symptom="cut", stage="hold", call=1)  # fmt: skip
    said = answer(page_of(dropped("t3serve", drop)))["Since"]
    assert re.fullmatch(
        r"[\d:.]+ UTC \([\d.]+ s\) , the last good beat; noticed after 1 s; "
        r"over at [\d:.]+ UTC \([\d.]+ s\), after 1.5 s\.",
        said,
    )


def test_several_incidents_tell_their_whole_stretch() -> None:
    said = answer(page_of(lab("two_incidents")))
    assert said["Broken"].endswith("1 more incident in this run, which convicted dispatch.")
    assert re.search(r"All 2 incidents: from 23:\d\d:\d\d\.\d+ to the run's end\.", said["Since"])
    assert said["Not cleared"].startswith("carve-out (masked); tunnel (unobserved).")


def test_a_clean_run_has_nothing_broken() -> None:
    page = page_of(lab("clean"))
    assert heading(page) == "Every segment is cleared"
    assert list(answer(page)) == ["Cleared"]


def test_what_only_could_not_tell_is_not_cleared() -> None:
    clean = lab("clean")
    seen = [
        replace(one, outcome="inconclusive", reason="leg_collapsed", connected=None, beats=())
        if "tunnel" in one.path
        else one
        for one in clean.observations
    ]
    page = page_of(Recording(clean.run, tuple(seen)))
    assert heading(page) == "Nothing failed, but not every segment was observed"
    assert "tunnel (unobserved)" in answer(page)["Not cleared"]
    assert "tunnel" not in answer(page)["Cleared"]


def test_a_slow_leg_is_in_the_first_screen() -> None:
    clean = lab("clean")
    usual = Baseline(beats=900, low_seconds=0.0001, high_seconds=0.0002, moving_seconds=0.0001)
    seen = [replace(one, baseline=usual) for one in clean.observations]
    seen = [
        replace(
            one,
            beats=tuple(replace(beat, ended=beat.ended + 0.4) for beat in one.beats),
        )
        if one.leg == "t3serve"
        else one
        for one in seen
    ]
    said = answer(page_of(Recording(clean.run, tuple(seen))))
    assert "serve" in said["Slow"]
    assert "Slow" not in answer(page_of(clean))


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        (["clean", "tunnel"], "New in this run: the one of 2023-11-14 22:13:20 UTC did not"),
        (
            ["clean", "tunnel", "tunnel", "tunnel"],
            "Convicted in the last 3 runs, since 2023-11-14 22:14:20 UTC.",
        ),
        (["tunnel", "tunnel"], "Convicted in all 2 runs, since 2023-11-14 22:13:20 UTC."),
        (
            ["tunnel", "clean", "clean"],
            "Nothing failed in the last 2 runs, since 2023-11-14 22:14:20 UTC. "
            "Before that, at 2023-11-14 22:13:20 UTC: tunnel is broken.",
        ),
        (["clean", "clean"], "Nothing failed in all 2 runs, since 2023-11-14 22:13:20 UTC."),
    ],
)
def test_history_says_since_when(runs: list[str], words: str) -> None:
    assert words in answer(page_of(*at(runs)))["Since"]


def test_runs_from_elsewhere_say_nothing_about_since_when() -> None:
    other, mine = at(["tunnel", "tunnel"])
    other = Recording(replace(other.run, vantage="elsewhere"), other.observations)
    assert "runs" not in answer(page_of(other, mine))["Since"]


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (390, 844)], ids=["desk", "phone"])
@pytest.mark.parametrize("name", ["tunnel", "two_incidents"])
def test_it_needs_no_scrolling(opener: Opener, name: str, width: int, height: int) -> None:
    page = opener(lab(name), width=width, height=height)
    bottom = "document.querySelector('.answer').getBoundingClientRect().bottom"
    assert page.run(bottom) < height


def test_a_small_screen_begins_at_the_suspect(opener: Opener) -> None:
    page = opener(lab("tunnel"), width=390, height=844)
    box = page.run(
        "(() => { const a = document.querySelector('#path th[data-label=convicted]')"
        ".getBoundingClientRect(), f = document.querySelector('#path .scroll')"
        ".getBoundingClientRect(), h = document.querySelector('#path tbody th')"
        ".getBoundingClientRect(); return [h.right, a.left, a.right, f.right]; })()"
    )
    assert box == sorted(box)
    wide = opener(lab("tunnel"))
    assert wide.run("document.querySelector('#path .scroll').scrollLeft") == 0
