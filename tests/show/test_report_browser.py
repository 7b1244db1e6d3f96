"""The report in a real browser: what one sees, hears, presses, and what leaves the page."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import pytest
from report_browser import Opener, Page
from report_runs import history, lab, replace

from t3probe.observation import Drop
from t3probe.record.facts import Recording

LABELS = ("cleared", "convicted", "ambiguous", "masked", "unobserved")
VISIBLE = """(selector) => [...document.querySelectorAll(selector)].map(e => {
  const box = e.getBoundingClientRect(), style = getComputedStyle(e);
  return {text: e.innerText, width: box.width, height: box.height, shown: style.visibility,
          background: style.backgroundColor, border: style.borderLeftWidth};
})"""
# WCAG 2.1: relative luminance and contrast; a transparent background is the one behind it.
CONTRAST = """(selector) => {
  const parse = (c) => {
    const n = c.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const over = (a, b) => a.slice(0, 3).map((v, i) => v * a[3] + b[i] * (1 - a[3]));
  const behind = (e) => {
    const layers = [];
    for (; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reduceRight((back, one) => over(one, back), [255, 255, 255]);
  };
  const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const lum = (c) => { const f = c.map(v => linear(v / 255));
    return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };
  return [...document.querySelectorAll(selector)].map(e => {
    const back = behind(e), ink = over(parse(getComputedStyle(e).color), back);
    const [a, b] = [lum(ink), lum(back)];
    return [e.innerText, (Math.max(a, b) + .05) / (Math.min(a, b) + .05)];
  });
}"""

CUT = """() => [...document.querySelectorAll('h1,h2,h3,p,dd,dt,li,th,td,.label,.seg b,.seg small')]
  .filter(e => !e.closest('.vh') && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0)
  .map(e => e.tagName + ':' + e.className + ':' + e.innerText.slice(0, 40))"""


def call(page: Page, function: str, *arguments: Any) -> Any:
    return page.run(f"({function})({', '.join(json.dumps(one) for one in arguments)})")


def complaints(page: Page) -> list[Any]:
    said = page.events("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
    return [*said, *page.events("Page.javascriptDialogOpening")]


def requests(page: Page) -> list[str]:
    sent = page.events("Network.requestWillBeSent", "Network.webSocketCreated")
    return [one["request"]["url"] if "request" in one else one["url"] for one in sent]


def test_it_renders_quietly_and_asks_nobody(opener: Opener) -> None:
    page = opener(lab("tunnel"))
    assert page.run("document.querySelector('h1').innerText") == "tunnel is broken"
    assert page.run("document.querySelectorAll('main > section').length") == 10
    assert page.run("document.compatMode") == "CSS1Compat"
    assert complaints(page) == []
    assert [one for one in requests(page) if not one.startswith("file:///")] == []
    assert len(requests(page)) == 1


def test_the_policy_lets_no_other_script_run(opener: Opener) -> None:
    page = opener(lab("clean"))
    page.run(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.hit = 1';"
        "document.body.append(s); const d = document.createElement('div');"
        'd.innerHTML = \'<img src=x onerror="window.hit = 2"><p style="color:red">\';'
        "document.body.append(d); const i = new Image(); i.src = 'http://127.0.0.1:9/x'; })()"
    )
    assert page.run("typeof window.hit") == "undefined"
    blocked = [one["entry"]["text"] for one in page.events("Log.entryAdded")]
    assert any("script" in one and "Content Security Policy" in one for one in blocked)


def test_the_convicted_segment_is_marked_for_the_eye(opener: Opener) -> None:
    page = opener(lab("tunnel"))
    found = call(page, VISIBLE, "#path th[data-label=convicted]")
    assert [one["text"].split() for one in found] == [["tunnel", "convicted"]]
    assert found[0]["width"] > 40
    assert found[0]["height"] > 40
    other = call(page, VISIBLE, "#path th[data-label=exonerated]")
    assert found[0]["background"] not in {one["background"] for one in other}
    assert found[0]["border"] == "2px"
    mark = call(page, VISIBLE, "#path th[data-label=convicted] svg use")
    assert mark[0]["width"] > 10
    # The column goes through all lanes, and the failed leg's lane breaks in it.
    assert page.run("document.querySelectorAll('#path td.c-convicted').length") == 12
    assert page.run("document.querySelectorAll('#path td.c-convicted use').length") == 1


def test_all_five_labels_have_a_mark_of_their_own(opener: Opener) -> None:
    page = opener(lab("tunnel"))
    used = page.run(
        "[...document.querySelectorAll('.legend .label')].map(e => "
        "[e.innerText.trim(), e.querySelector('use').getAttribute('href')])"
    )
    assert [one for one, _ in used] == list(LABELS)
    assert len({mark for _, mark in used}) == 5
    drawn = call(page, VISIBLE, ".legend .label use")
    assert all(one["width"] > 8 and one["height"] > 8 for one in drawn)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(opener: Opener, dark: bool) -> None:
    """WCAG 2.1, success criterion 1.4.3."""
    page = opener(*history(), lab("two_incidents"), dark=dark)
    assert page.run("matchMedia('(prefers-color-scheme: dark)').matches") is dark
    page.run("document.querySelectorAll('details').forEach(e => e.open = true)")
    every = (
        ".label, .seg b, .seg small, .also, .facts span, .lead, h1, h2, h3, h4, nav a, .note, th,"
        " td, td p, small, .word, summary, footer p, .key li, dd, li, .finding, button, output"
    )
    found = call(page, CONTRAST, every)
    assert len(found) > 500
    assert [one for one in found if one[1] < 4.5] == []
    names = {text.strip() for text, _ in call(page, CONTRAST, ".label")}
    assert names >= set(LABELS)


def test_the_two_schemes_differ(opener: Opener) -> None:
    shown = "getComputedStyle(document.body).backgroundColor"
    assert opener(lab("clean")).run(shown) != opener(lab("clean"), dark=True).run(shown)


def test_a_table_sorts_by_click_and_by_keyboard(opener: Opener) -> None:
    page = opener(lab("tunnel"))
    column = "[...document.querySelectorAll('#legs tbody tr')].map(r => r.cells[2].dataset.v)"
    sort = "document.querySelector('#legs thead th:nth-child(3)').getAttribute('aria-sort')"
    before = page.run(column)
    page.click("#legs thead th:nth-child(3) button")
    assert page.run(sort) == "ascending"
    up = [float(one) for one in page.run(column)]
    assert up == sorted(up)
    assert up != [float(one) for one in before]
    page.run("document.querySelector('#legs thead th:nth-child(3) button').focus()")
    page.key("Enter", "\r")
    assert page.run(sort) == "descending"
    assert [float(one) for one in page.run(column)] == sorted(up, reverse=True)
    page.key("Tab")
    page.key(" ", " ")
    heads = "[...document.querySelectorAll('#legs thead th')].map(e => e.getAttribute('aria-sort'))"
    assert page.run(heads) == [None, None, None, "ascending", None, None, None, None]


def test_the_cursor_tells_the_moment_by_keyboard(opener: Opener) -> None:
    page = opener(lab("tunnel"))
    page.run("document.querySelector('.cursor input').focus()")
    page.key("End")
    said = page.run("document.querySelector('.cursor output').textContent")
    assert said.startswith("8.557 s, 23:18:05.368 UTC")
    needle = page.run("document.querySelector('.needle').getBoundingClientRect().left")
    plot = page.run(
        "document.querySelector('.lanes tbody .plot svg').getBoundingClientRect().right"
    )
    assert abs(needle - plot) < 2


def test_the_keyboard_goes_through_and_out(opener: Opener) -> None:
    """No trap: from the skip link every stop is a new one until the page's end."""
    page = opener(lab("tunnel"))
    stops = []
    for _ in range(120):
        page.key("Tab")
        stops.append(
            page.run(
                "(() => { const e = document.activeElement; if (e === document.body) return '';"
                "e.dataset.seen = Number(e.dataset.seen || 0) + 1;"
                "return e.dataset.seen + e.tagName + e.innerText.slice(0, 20); })()"
            )
        )
        if stops[-1] == "":
            break
    assert stops[0] == "1ASkip to the path"
    assert stops[-1] == ""
    assert all(one.startswith("1") for one in stops[:-1])
    assert any("SUMMARY" in one for one in stops)


def test_the_focus_can_be_seen(opener: Opener) -> None:
    page = opener(lab("clean"))
    page.key("Tab")
    page.key("Tab")
    outline = (
        "(() => { const s = getComputedStyle(document.activeElement); return s.outlineWidth; })()"
    )
    assert page.run(outline) == "3px"


def test_the_accessibility_tree_has_the_names(opener: Opener) -> None:
    page = opener(*history(5), lab("tunnel"))
    nodes = page.ask("Accessibility.getFullAXTree")["nodes"]
    found = {
        (one["role"]["value"], one.get("name", {}).get("value", ""))
        for one in nodes
        if not one.get("ignored") and "role" in one
    }
    roles = {role for role, _ in found}
    assert {"banner", "navigation", "main", "contentinfo", "table", "slider"} <= roles
    for heading in ("tunnel is broken", "The path", "Timeline", "Incidents and evidence"):
        assert ("heading", heading) in found
    assert ("columnheader", "tunnel convicted") in found
    assert ("rowheader", "cloudflare") in found
    assert ("image", "cloudflare: failed, 0 good beats, 1 drop") in found
    assert ("navigation", "Sections") in found
    assert ("cell", "broken here") in found
    # Nothing to look at is without a name.
    assert [one for one in found if one[0] in ("image", "region", "slider") and not one[1]] == []


def test_headings_are_in_order(opener: Opener) -> None:
    page = opener(*history(5), lab("two_incidents"))
    levels = page.run(
        "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(e => Number(e.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_cut_off(opener: Opener, width: int) -> None:
    """The page itself never scrolls sideways, and every word has its room or a place to scroll."""
    page = opener(*history(), lab("two_incidents"), width=width)
    assert page.run("document.documentElement.scrollWidth") <= width
    cut = call(page, CUT)
    assert cut == []


def test_segment_names_do_not_overlap(opener: Opener) -> None:
    page = opener(lab("tunnel"), width=400)
    boxes = page.run(
        "[...document.querySelectorAll('#path .seg')].map(e => { const r = document.createRange();"
        "r.selectNodeContents(e); const b = r.getBoundingClientRect(); return [b.left, b.right]; })"
    )
    assert len(boxes) == 11
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(boxes))


def test_without_scripts_all_is_there_but_search_and_sort(opener: Opener) -> None:
    plain = opener(lab("tunnel"), scripts=False)
    nodes = plain.ask("Accessibility.getFullAXTree")["nodes"]
    said = {one["name"]["value"] for one in nodes if not one.get("ignored") and one.get("name")}
    assert {"tunnel is broken", "tunnel convicted", "orders", "billing"} <= said
    assert "Search" not in said


def test_history_is_drawn_with_a_table_beside_it(opener: Opener) -> None:
    page = opener(*history())
    assert page.run("document.querySelector('#history h2').innerText") == "History: 40 runs"
    rows = "[...document.querySelectorAll('#history .strips tr')]"
    row = f"{rows}.find(r => r.cells[0].innerText === {{}})"
    assert "convicted 2" in page.run(row.format("'tunnel'") + ".cells[2].innerText")
    bars = page.run(
        row.format("'tunnel'")
        + ".querySelectorAll('.b-convicted')[0].getBoundingClientRect().width"
    )
    assert bars > 10
    assert page.run("document.querySelectorAll('#history details table tbody tr').length") == 40
    assert "no run for 1 h" in page.run("document.querySelector('#history').textContent")


def test_flags_and_words_of_the_timeline_do_not_overlap(opener: Opener) -> None:
    """Many incidents close together: what has no room is left out."""
    clean = lab("clean")
    drops = tuple(
        Drop(began=1.1 * n, noticed=1.1 * n + 0.02, recovered=1.1 * n + 0.03, reason="io_error",
             symptom="cut", stage="hold", call=n)
        for n in range(1, 28)
    )  # fmt: skip
    run = replace(clean.run, duration_seconds=32.0, hold_seconds=32.0)
    seen = [replace(one, drops=drops) if one.leg == "dispatch" else one
            for one in clean.observations]  # fmt: skip
    for width in (1280, 400):
        page = opener(Recording(run, tuple(seen)), width=width)
        for kind in ("flag", "what", "utc"):
            boxes = page.run(
                f"[...document.querySelectorAll('.lanes .{kind}')].map(e => {{"
                "const b = e.getBoundingClientRect(); return [b.left, b.right]; })"
            )
            assert len(boxes) > 3
            pairs = itertools.pairwise(sorted(boxes))
            assert all(a[1] <= b[0] for a, b in pairs), (width, kind, sorted(boxes)[:6])


def test_many_incidents_are_folded_to_their_findings(opener: Opener) -> None:
    clean = lab("clean")
    drops = tuple(
        Drop(began=1.1 * n, noticed=1.1 * n + 0.2, recovered=1.1 * n + 0.3, reason="io_error",
             symptom="cut", stage="hold", call=n)
        for n in range(1, 6)
    )  # fmt: skip
    seen = [replace(one, drops=drops) if one.leg == "dispatch" else one
            for one in clean.observations]  # fmt: skip
    page = opener(Recording(clean.run, tuple(seen)))
    folded = "document.querySelectorAll('#incidents details.card')"
    assert page.run(f"{folded}.length") == 4
    assert page.run("document.querySelectorAll('#incidents article.card').length") == 1
    shown = page.run(f"[...{folded}].map(e => e.innerText)")
    assert all("dispatch was cut" in one and "Evidence" not in one for one in shown)
    page.run("document.querySelector('#incidents summary').focus()")
    page.key("Enter", "\r")
    assert "EVIDENCE" in page.run(f"{folded}[0].innerText").upper()


def test_paper_shows_all_but_the_tools(opener: Opener) -> None:
    page = opener(lab("tunnel"))
    page.ask("Emulation.setEmulatedMedia", media="print")
    shown = "getComputedStyle(document.querySelector('{}')).display"
    gone = ("nav", ".cursor", ".skip", ".tools > label")
    assert {page.run(shown.format(one)) for one in gone} == {"none"}
    assert page.run(shown.format("#up-said")) != "none"
    page.run("dispatchEvent(new Event('beforeprint'))")
    assert page.run("document.querySelectorAll('details:not([open])').length") == 0
    page.run("dispatchEvent(new Event('afterprint'))")
    assert page.run("document.querySelectorAll('details[open]').length") == 0
    page.size(794, 1123)  # A4 at 96 dots per inch
    assert page.run("document.documentElement.scrollWidth") <= 794
    pdf = page.ask("Page.printToPDF", printBackground=True)["data"]
    assert base64.b64decode(pdf).startswith(b"%PDF-")
    assert complaints(page) == []


def test_nothing_moves(opener: Opener) -> None:
    page = opener(*history(5), lab("tunnel"))
    moving = (
        "[...document.querySelectorAll('*')].filter(e => { const s = getComputedStyle(e);"
        "return s.animationName !== 'none' || parseFloat(s.transitionDuration) > 0"
        " || s.scrollBehavior === 'smooth'; }).length"
    )
    assert page.run(moving) == 0


def test_labels_differ_by_their_shapes_alone(opener: Opener) -> None:
    """All in one colour, as on paper or for eyes that see none: five different drawings."""
    page = opener(lab("tunnel"))
    page.run("document.styleSheets[0].insertRule('.mark { color: #000 !important; }', 0)")
    page.run("document.styleSheets[0].insertRule('.label { --k: #000 !important; }', 0)")
    seen = set()
    for at in range(5):
        mark = f"document.querySelectorAll('.legend .mark')[{at}]"
        assert page.run(f"getComputedStyle({mark}).color") == "rgb(0, 0, 0)"
        box = page.run(
            f"(() => {{ const b = {mark}.getBoundingClientRect();"
            "return [b.left + scrollX, b.top + scrollY]; })()"
        )
        clip = {"x": box[0], "y": box[1], "width": 18, "height": 18, "scale": 1}
        seen.add(page.ask("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"])
    assert len(seen) == 5
