"""The page as people read it: with a keyboard, a screen reader, in the dark, on a phone; and that
it does nothing while nobody looks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from echo.echo_client import child
from echo.page_person import Person, closing, visiting
from show.report_browser import Browser

from t3probe.echo import page as module

STYLE = Path(module.__file__).with_name("page.html").read_text().partition("</style>")[0]
OPTIONS = ("--page", "--accept-records", "--page-heartbeat", "0.5", "--page-watchdog", "8")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with child(*OPTIONS) as one:
        yield one.port


@pytest.fixture
def person(browser: Browser, port: int) -> Iterator[Person]:
    with closing(visiting(browser, port)) as one:
        one.more_beats()
        yield one


def tree(person: Person) -> list[tuple[str, str]]:
    """Role and name of everything that a screen reader meets."""
    nodes: list[dict[str, Any]] = person.page.ask("Accessibility.getFullAXTree")["nodes"]
    return [
        (str(one["role"]["value"]), str(one.get("name", {}).get("value", "")))
        for one in nodes
        if not one["ignored"]
    ]


def test_a_screen_reader_meets_names_and_roles(person: Person) -> None:
    found = tree(person)
    roles = [role for role, _ in found]
    assert {name for role, name in found if role == "button"} == {
        "Copy my record", "Save my record", "Send my record",
    }  # fmt: skip
    assert [name for role, name in found if role == "heading"][1:] == [
        "What happened", "Your record",
    ]  # fmt: skip
    (picture,) = [name for role, name in found if role == "image"]
    assert re.fullmatch(r"Measured for .+: no drop\.", picture)
    (choice,) = [name for role, name in found if role == "combobox"]
    assert choice.startswith("Picture of")
    assert roles.count("status") == 2
    assert "main" in roles
    assert person.page.run("document.documentElement.lang") == "en"


def test_the_picture_in_words_says_what_happened(browser: Browser) -> None:
    with child(*OPTIONS) as one, closing(visiting(browser, one.port)) as person:
        person.more_beats()
        one.process.kill()
        caption = "document.querySelector('#caption').textContent"
        person.until(lambda: ": 1 drop, the last one at " in person.page.run(caption))
        assert person.page.run("document.querySelectorAll('#picture .bad').length") >= 2


def test_what_is_read_aloud_changes_with_the_state_and_not_with_each_beat(person: Person) -> None:
    person.page.run(
        "window.spoken = 0; for (const one of document.querySelectorAll('[aria-live]'))"
        "new MutationObserver(() => spoken++).observe(one, {childList: true, subtree: true,"
        "characterData: true}); 0"
    )
    person.more_beats(5)
    assert person.page.run("spoken") == 0
    assert person.page.run("document.querySelector('#detail').closest('[aria-live]')") is None


def test_everything_is_reached_and_seen_with_the_keyboard(person: Person) -> None:
    person.page.ask("Page.bringToFront")
    reached = []
    for _ in range(6):
        person.page.key("Tab")
        reached.append(
            person.page.run(
                "(() => { const e = document.activeElement, s = getComputedStyle(e);"
                "return [e.id || e.tagName, s.outlineStyle, parseFloat(s.outlineWidth)]; })()"
            )
        )
    assert [one[0] for one in reached[:5]] == ["span", "copy", "save", "send", "SUMMARY"]
    assert all(style == "solid" and width >= 2 for _, style, width in reached[:5]), reached


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_it_fits(person: Person, width: int) -> None:
    person.page.size(width, 700)
    assert person.page.run("document.documentElement.scrollWidth") <= width
    small = person.page.run(
        "[...document.querySelectorAll('button, select')].map(e => e.getBoundingClientRect()"
        ".height).filter(h => h < 44)"
    )
    assert small == [], "large enough for a thumb"
    person.until(
        lambda: person.page.run(
            "document.querySelector('#picture').viewBox.baseVal.width"
            " <= document.querySelector('#picture').clientWidth + 1"
        )
    )  # so that its words have the size that they say


def test_it_is_dark_where_one_wants_it(browser: Browser, port: int) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    with closing(visiting(browser, port, dark=True)) as person:
        assert person.page.run(background) == "rgb(20, 23, 26)"
    with closing(visiting(browser, port)) as person:
        assert person.page.run(background) == "rgb(251, 251, 250)"


def luminance(colour: str) -> float:
    whole = colour[1:] if len(colour) == 7 else "".join(one * 2 for one in colour[1:])
    parts = [int(whole[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.2."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("number", [0, 1], ids=["light", "dark"])
def test_contrast(number: int) -> None:
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w+)", blocks[number]))
    for surface in ("bg", "card"):
        for ink in ("ink", "soft"):
            assert contrast(colours[ink], colours[surface]) >= 4.5, (ink, surface)
        for mark in ("good", "bad", "doubt", "none", "focus"):
            assert contrast(colours[mark], colours[surface]) >= 3, (mark, surface)
    assert contrast(colours["on"], colours["focus"]) >= 4.5


def test_nothing_moves() -> None:
    assert "animation" not in STYLE
    assert "transition" not in STYLE


def test_what_is_not_seen_is_not_drawn(person: Person, browser: Browser) -> None:
    other = browser.ask("Target.createTarget", url="about:blank")["targetId"]
    browser.ask("Target.activateTarget", targetId=other)
    person.until(lambda: person.page.run("document.hidden"))
    person.page.run(
        "window.drawn = 0; new MutationObserver(() => drawn++).observe(document,"
        "{childList: true, subtree: true, characterData: true, attributes: true}); 0"
    )
    person.more_beats(5)
    assert person.page.run("drawn") == 0
    browser.ask("Target.closeTarget", targetId=other)
    person.page.ask("Page.bringToFront")
    person.until(lambda: person.page.run("drawn") > 0)


def test_without_javascript_it_says_so(browser: Browser, port: int) -> None:
    page = browser.visit(f"http://127.0.0.1:{port}/probe/", scripts=False)
    with closing(Person(page)) as person:
        assert any("JavaScript is switched off" in name for _, name in tree(person))
