"""Ten thousand upstreams in a browser: found, sorted and paged, a hundred rows at a time."""

from __future__ import annotations

import pytest
from report_browser import Opener, Page
from report_runs import PAYLOADS, page_of, replace, upstreams
from test_report_browser import complaints

from t3probe.record.facts import Recording

ROWS = "document.querySelectorAll('#upstreams-table tbody tr').length"
SAID = "document.getElementById('up-said').textContent"
FIRST = "document.querySelector('#upstreams-table tbody tr').cells[{}].textContent"


READY = """new Promise(done => { const look = () =>
  document.querySelector('.tools').hidden ? setTimeout(look, 5) : done(true); look(); })"""


def ready(page: Page) -> Page:
    """What is packed comes a moment after the page."""
    assert page.run(READY)
    return page


@pytest.fixture(scope="module")
def made() -> bytes:
    """The report: each test opens it anew."""
    return page_of(upstreams(10_000))


@pytest.fixture
def page(opener: Opener, made: bytes) -> Page:
    return ready(opener(made=made))


def count_changes(page: Page) -> None:
    page.run(
        "(() => { window.changes = 0; new MutationObserver(all => { for (const one of all)"
        "window.changes += one.addedNodes.length + one.removedNodes.length; })"
        ".observe(document.body, {childList: true, subtree: true}); })()"
    )


def test_the_bad_ones_come_first(page: Page) -> None:
    assert page.run(ROWS) == 100
    assert page.run(SAID) == "10,000 shown, page 1 of 100"
    assert page.run(FIRST.format(4)) == "failed"
    assert complaints(page) == []


def test_search_takes_bounded_steps(page: Page) -> None:
    """However many there are: a hundred rows out, a hundred in, for each letter."""
    count_changes(page)
    page.run("document.getElementById('up-search').focus()")
    page.type("svc-99")
    assert page.run(ROWS) == 100
    assert page.run(SAID).startswith("111 of 10,000 shown")
    page.type("99")
    assert page.run(SAID) == "1 of 10,000 shown"
    assert page.run(FIRST.format(0)) == "svc-9999"
    assert page.run("new Promise(r => setTimeout(r))") is None
    assert 0 < page.run("window.changes") <= 2 * (200 + 2)
    page.type(" nowhere")
    assert page.run(SAID) == "0 of 10,000 shown"
    assert page.run(ROWS) == 0


def test_the_outcome_filters(page: Page) -> None:
    page.run(
        "(() => { const e = document.getElementById('up-outcome'); e.value = 'failed';"
        "e.dispatchEvent(new Event('change')); })()"
    )
    assert page.run(SAID) == "11 of 10,000 shown"
    rows = "[...document.querySelectorAll('#upstreams-table tbody tr')]"
    words = page.run(f"{rows}.map(r => r.cells[4].textContent)")
    assert set(words) == {"failed"}


def test_the_outcome_filters_by_keyboard(page: Page) -> None:
    page.run("document.getElementById('up-outcome').focus()")
    page.key("f", "f")
    assert page.run(SAID) == "11 of 10,000 shown"


def test_pages_turn_by_click_and_key(page: Page) -> None:
    assert page.run("document.getElementById('up-back').disabled") is True
    page.click("#up-next")
    assert page.run(SAID) == "10,000 shown, page 2 of 100"
    page.run("document.getElementById('up-back').focus()")
    page.key("Enter", "\r")
    assert page.run(SAID) == "10,000 shown, page 1 of 100"


def test_it_sorts_all_of_them(page: Page) -> None:
    page.click("#upstreams-table thead th:nth-child(6) button")
    assert page.run(FIRST.format(5)) == "0.3 ms"
    page.click("#upstreams-table thead th:nth-child(6) button")
    assert page.run(FIRST.format(5)) == "-"
    order = "document.querySelector('#upstreams-table thead th:nth-child(6)').ariaSort"
    assert page.run(order) == "descending"
    assert page.run(ROWS) == 100


def test_the_rest_of_the_page_stays_small(page: Page) -> None:
    """Ten thousand upstreams are a table, and not ten thousand lanes."""
    assert page.run("document.querySelectorAll('body *').length") < 4000
    assert page.run("document.querySelectorAll('#path tbody tr').length") < 30
    assert "9,9" in page.run("document.querySelector('#path tbody tr:last-child').innerText")


def test_what_is_packed_is_whole_and_sorted_by_size(page: Page) -> None:
    """From the first to the last page: every upstream once, in the order of its seconds."""
    page.click("#upstreams-table thead th:nth-child(6) button")
    found = page.run(
        "(() => { const all = []; const next = document.getElementById('up-next');"
        "for (;;) { all.push(...[...document.querySelectorAll('#upstreams-table tbody tr')]"
        ".map(r => [r.cells[0].textContent, r.cells[1].textContent, r.cells[5].textContent,"
        "r.cells[0].scope, r.cells[4].className]));"
        "if (next.disabled) return all; next.click(); } })()"
    )
    seen = [one for one in upstreams(10_000).observations if one.leg.startswith("envoy-")]
    expected = {one.labels["backend"]: one.address for one in seen}
    assert {name: address for name, address, *_ in found} == expected
    assert len(found) == 10_000
    sizes = ["0.3 ms", "0.6 ms", "0.9 ms", "1.2 ms", "1.5 ms", "1.8 ms", "2.1 ms", "-"]
    places = [sizes.index(one[2]) for one in found]
    assert places == sorted(places)
    assert {(one[3], one[4]) for one in found} == {("row", "u-passed"), ("row", "u-failed")}


def test_what_is_packed_is_text_only(opener: Opener) -> None:
    """A hostile upstream's name is shown by the script, and never run."""
    many = upstreams(400)
    seen = [
        replace(one, labels={**one.labels, "backend": f"{at:03} {PAYLOADS[at % len(PAYLOADS)]}"})
        if one.leg.startswith("envoy-")
        else one
        for at, one in enumerate(many.observations)
    ]
    page = ready(opener(Recording(many.run, tuple(seen))))
    while not page.run("document.getElementById('up-next').disabled"):
        page.click("#up-next")
    assert page.run("document.querySelectorAll('tbody tr td + td').length") > 100
    assert "<script>" in page.run("document.getElementById('upstreams-table').textContent")
    assert "\u202e" not in page.run("document.getElementById('upstreams-table').textContent")
    assert page.run("typeof window.hit") == "undefined"
    assert page.run("document.images.length") == 0
    assert complaints(page) == []
    page.run("document.getElementById('up-search').value = '<IMG'")
    page.run("document.getElementById('up-search').dispatchEvent(new Event('input'))")
    assert page.run(ROWS) > 20


def test_a_browser_that_cannot_unpack_says_so(opener: Opener) -> None:
    page = ready(opener(upstreams(1_000), before="delete window.DecompressionStream;"))
    assert page.run(SAID) == "200 shown, page 1 of 2; this browser cannot unpack the rest"
    assert complaints(page) == []


def test_without_scripts_the_worst_are_there(opener: Opener) -> None:
    page = opener(upstreams(1_000, bad_every=50), scripts=False)
    nodes = page.ask("Accessibility.getFullAXTree")["nodes"]
    said = [one["name"]["value"] for one in nodes if not one.get("ignored") and one.get("name")]
    assert "Without scripts: the first 200." in said
    assert {f"svc-{at}" for at in range(5, 1000, 50)} <= set(said)
