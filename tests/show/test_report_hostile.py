"""What comes from the network is shown and never run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from record.record_values import observations, runs
from report_browser import Browser, Opener
from report_runs import PAYLOADS, hostile_recording, lab, page_of, replace
from test_report_browser import CUT, call, complaints, requests

from t3probe.observation import Observation, RunRecord
from t3probe.record.facts import Recording
from t3probe.show.page.markup import LONGEST_TEXT, data_block, tag, text

ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "header", "nav", "main", "footer", "a"),
    *("section", "article", "div", "p", "span", "b", "em", "i", "small", "h1", "h2", "h3", "h4"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td", "ul", "li", "dl", "dt", "dd"),
    *("details", "summary", "label", "input", "select", "option", "button", "output", "script"),
    *(
        "noscript",
        "svg",
        "defs",
        "symbol",
        "pattern",
        "path",
        "rect",
        "line",
        "circle",
        "text",
        "use",
    ),
}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "id", "href", "width"),
    *("height", "aria-hidden", "aria-label", "aria-labelledby", "focusable", "role", "tabindex"),
    *("scope", "data-segment", "data-label", "data-v", "data-sort", "data-span", "data-start"),
    *("viewbox", "preserveaspectratio", "d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r"),
    *("dx", "text-anchor", "overflow", "type", "autocomplete", "spellcheck", "value", "hidden"),
    *("patternunits", "patterntransform"),
}


class Reader(HTMLParser):
    """Collects the elements, the attributes and the addresses of a page."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: set[str] = set()
        self.comments = 0
        self.scripts: list[dict[str, str | None]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.addresses.update(value or "" for name, value in attrs if name in ("href", "src"))
        if tag == "script":
            self.scripts.append(dict(attrs))

    def handle_comment(self, data: str) -> None:
        self.comments += 1

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def assert_inert(page: str) -> Reader:
    """Only our own elements and attributes; addresses only within the page."""
    reader = Reader(page)
    assert reader.elements <= ELEMENTS
    assert reader.attributes <= ATTRIBUTES
    assert reader.comments == 0
    assert all(one.startswith("#") for one in reader.addresses)
    assert reader.scripts == [{"type": "application/json", "id": "t3probe-verdict"}, {}]
    return reader


def test_every_field_may_be_hostile() -> None:
    page = page_of(hostile_recording()).decode()
    shown = "".join(assert_inert(page).words)
    assert "What dropped" in shown
    for one in ("window.hit=1;", "onerror", "javascript:", "<iframe", "<form"):
        assert one in shown, "the test must reach the page"
    assert "\u202e" not in page
    assert "\x1b" not in page


def test_nothing_hostile_runs_in_a_browser(opener: Opener) -> None:
    page = opener(hostile_recording())
    assert page.run("typeof window.hit") == "undefined"
    page.run("document.querySelectorAll('details').forEach(e => e.open = true)")
    # Whatever waits for a pointer or the focus gets both.
    page.run(
        "document.querySelectorAll('body *').forEach(e => {"
        "for (const one of ['mouseover', 'click', 'focus', 'error', 'load', 'animationend'])"
        "e.dispatchEvent(new Event(one, {bubbles: false})); })"
    )
    assert page.run("typeof window.hit") == "undefined"
    handlers = page.run(
        "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes])"
        ".filter(a => /^on|^style$|^srcdoc$|^src$/i.test(a.name)).length"
    )
    assert handlers == 0
    assert page.run("document.querySelectorAll('script').length") == 2
    assert page.events("Page.javascriptDialogOpening", "Page.frameAttached") == []
    assert complaints(page) == []
    assert [one for one in requests(page) if not one.startswith("file:///")] == []
    assert page.run("JSON.parse(document.getElementById('t3probe-verdict').text).status")


@pytest.mark.parametrize("width", [1280, 400])
def test_hostile_names_break_no_layout(opener: Opener, width: int) -> None:
    page = opener(hostile_recording(), width=width)
    assert page.run("document.documentElement.scrollWidth") <= width
    assert call(page, CUT) == []


def test_the_payloads_would_run_without_escaping(browser: Browser, tmp_path: Path) -> None:
    """Else the test above proves nothing."""
    file = tmp_path / "naive.html"
    file.write_text(f"<!doctype html><body>{''.join(PAYLOADS[:2])}")
    page = browser.open(file, before="window.alert = () => {};")
    assert page.run("typeof window.hit") == "number"
    page.close()


def test_a_name_that_sorts_does_not_become_markup(opener: Opener) -> None:
    page = opener(hostile_recording())
    page.click("#legs thead th button")
    page.click("#legs thead th button")
    page.click("#upstreams thead th:nth-child(2) button")
    page.run("document.getElementById('up-search').focus()")
    page.type("<img src=x onerror=window.hit=1>")
    assert page.run("typeof window.hit") == "undefined"
    assert page.run("document.images.length") == 0
    assert complaints(page) == []


@pytest.mark.parametrize("payload", PAYLOADS)
def test_tags_escape_text_and_attributes(payload: str) -> None:
    made = tag("p", payload, [payload, [payload]], title=payload, data_x=payload)
    assert re.fullmatch(r'<p title="[^"<>]*" data-x="[^"<>]*">[^<>"\']*</p>', made)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_json_cannot_end_its_element(payload: str) -> None:
    made = data_block("x", {payload: [payload]})
    inner = made.removeprefix('<script type="application/json" id="x">').removesuffix("</script>")
    assert not set(inner) & {"<", ">", "&", "\u2028", "\u2029"}
    assert msgspec.json.decode(inner.replace("\\ud800", "")) is not None


def test_what_hides_is_written_out() -> None:
    assert text("a\u202eb\x00c\ud800d\u200b") == "a\\u202eb\\u0000c\\ud800d\\u200b"
    assert len(text("x" * 10_000)) == LONGEST_TEXT + 1


def _known(one: Observation, kind: str, keys: tuple[str, ...], value: str) -> Observation:
    """The same, of a kind and with labels that the report looks for."""
    return replace(one, kind=kind, labels=dict.fromkeys(keys, value))


KINDS = st.sampled_from(("walled", "walloff", "tcp", "<b>"))
LABELS = st.sampled_from(((), ("backend", "route", "listen_port"), ("path", "expected")))
SEEN = st.builds(_known, observations(), KINDS, LABELS, st.sampled_from(PAYLOADS))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # a whole page each time
@given(st.lists(st.tuples(runs(), st.lists(SEEN, max_size=4)), min_size=1, max_size=3))
def test_any_record_gives_an_inert_page(
    found: list[tuple[RunRecord, list[Observation]]],
) -> None:
    page = page_of(*(Recording(run, tuple(seen)) for run, seen in found))
    assert_inert(page.decode("utf-8"))


def test_the_real_pages_are_inert_too() -> None:
    assert_inert(page_of(lab("two_incidents")).decode())
