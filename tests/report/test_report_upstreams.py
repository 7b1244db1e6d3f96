"""Ten thousand upstreams in a browser: found, sorted and paged, a hundred rows at a time."""

from __future__ import annotations

import pytest
from report_browser import Opener, Page
from report_runs import upstreams
from test_report_browser import complaints

ROWS = "document.querySelectorAll('#upstreams-table tbody tr').length"
SAID = "document.getElementById('up-said').textContent"
FIRST = "document.querySelector('#upstreams-table tbody tr').cells[{}].textContent"


@pytest.fixture
def page(opener: Opener) -> Page:
    return opener(upstreams(10_000))


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
    assert page.run("new Promise(r => setTimeout(r)) && window.changes") <= 2 * (200 + 2)
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
    assert page.run(FIRST.format(5)) == "300 µs"
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
