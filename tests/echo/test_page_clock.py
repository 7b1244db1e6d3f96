"""The page's own footing: sleep, late timers, and clocks that are set. Its clocks are shifted; the
responder's Date says how much time really passed."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from echo.echo_client import Child, child
from echo.page_person import Person, Relay, closing, visiting
from show.report_browser import Browser

CLOCKS = """{
  const wall = Date.now.bind(Date), mono = performance.now.bind(performance), ask = fetch;
  window.shift = {wall: 0, mono: 0, server: 0};
  Date.now = () => wall() + shift.wall;
  performance.now = () => mono() + shift.mono;
  window.fetch = async (...words) => {
    const answer = await ask(...words);
    if (!String(words[0]).startsWith('healthz')) return answer;
    const fields = new Headers(answer.headers);
    fields.set('date', new Date(wall() + shift.server).toUTCString());
    return new Response(null, {status: answer.status, headers: fields});
  };
}"""
STILL = ("slept", "frozen", "late")


@pytest.fixture(scope="module")
def responder() -> Iterator[Child]:
    with child("--page", "--page-heartbeat", "0.5", "--page-watchdog", "8") as one:
        yield one


@contextlib.contextmanager
def knowing(browser: Browser, responder: Child) -> Iterator[Person]:
    """A page that has learned the server's time."""
    with closing(visiting(browser, responder.port, before=CLOCKS)) as person:
        person.more_beats()
        person.until(lambda: clock(person) and clock(person)["within_seconds"] < 0.4)
        yield person


def clock(person: Person) -> Any:
    return person.record()["clock"]


def shift(person: Person, **seconds: float) -> None:
    """Let clocks jump, all in one moment."""
    words = "; ".join(f"shift.{name} += {by * 1000}" for name, by in seconds.items())
    person.page.run(f"{words}; 0")


def standing_still(person: Person) -> list[dict[str, Any]]:
    return [one for one in person.record()["gaps"] if one["kind"] in STILL]


def stood(person: Person) -> float:
    """How long it stood still, all in all."""
    return float(sum(one["seconds"] for one in standing_still(person)))


def pauses(person: Person) -> float:
    """The longest time between two beats."""
    times = [at for at, *_ in person.record()["beats"]]
    return max(b - a for a, b in itertools.pairwise(times))


def test_a_device_that_slept(browser: Browser, responder: Child) -> None:
    with knowing(browser, responder) as person:
        before = clock(person)
        shift(person, wall=60, server=60)
        (gap,) = person.until(lambda: person.gaps("slept"))
        person.more_beats()
        assert gap["seconds"] == pytest.approx(60, abs=1)
        assert gap["ended"] - gap["began"] == pytest.approx(60, abs=2)
        assert standing_still(person) == [gap]
        assert pauses(person) > 58, "the beats' times have the sleep in them"
        assert person.drops() == []
        assert agree(before, clock(person))
        person.words_match()
        assert any(
            "This device slept for 60 s" in one for one in person.page.run("t3probe.events()")
        )


@pytest.mark.parametrize("by", [60, -60])
def test_a_clock_that_was_set(browser: Browser, responder: Child, by: int) -> None:
    with knowing(browser, responder) as person:
        before = clock(person)
        shift(person, wall=by)
        (gap,) = person.until(lambda: person.gaps("stepped"))
        person.more_beats()
        person.until(lambda: not standing_still(person))
        assert gap["seconds"] == pytest.approx(by, abs=0.5)
        assert gap["began"] == gap["ended"]
        assert pauses(person) < 30, "no time passed"
        assert agree(before, clock(person)), "one offset holds for all times"
        assert person.drops() == []
        person.words_match()


def test_a_clock_that_was_set_while_the_device_slept(browser: Browser, responder: Child) -> None:
    with knowing(browser, responder) as person:
        before = clock(person)
        shift(person, wall=100, server=60)
        (gap,) = person.until(lambda: person.gaps("slept"))
        (step,) = person.until(lambda: person.gaps("stepped"))
        person.more_beats()
        assert gap["seconds"] == pytest.approx(60, abs=1.5)
        assert step["seconds"] == pytest.approx(40, abs=1.5)
        assert agree(before, clock(person))


UNASKED = "const told = fetch; window.fetch = () => Promise.reject(1); window.ask = () => {"


@pytest.mark.parametrize(
    ("jumps", "told"),
    [
        ([{"wall": 3600}, {"wall": -3600}], {"stepped": [3600, -3600]}),
        ([{"wall": -3600}, {"wall": 3600}], {"stepped": [-3600, 3600]}),
        ([{"wall": 100}, {"wall": 200}], {"stepped": [100, 200]}),
        ([{"wall": -3600, "server": 3600}], {"slept": [3600], "stepped": [-7200]}),
        ([{"wall": 600, "server": 600}, {"wall": 3600}], {"slept": [600], "stepped": [3600]}),
    ],
    ids=[
        "forward and back",
        "back and forward",
        "twice",
        "asleep and set back",
        "asleep, then set",
    ],
)
def test_jumps_while_nobody_can_be_asked(
    browser: Browser, responder: Child, jumps: list[dict[str, float]], told: dict[str, list[float]]
) -> None:
    """What was before them and what comes after them stands on one timeline all the same."""
    with knowing(browser, responder) as person:
        before = clock(person)
        person.page.run(UNASKED + " window.fetch = told; }; 0")
        for number, jump in enumerate(jumps, 1):
            shift(person, **jump)
            person.until(lambda number=number: len(person.record()["gaps"]) >= number)
        person.page.run("ask(); 0")
        total = sum(map(len, told.values()))
        person.until(lambda: not person.gaps("late") and len(person.record()["gaps"]) == total)
        assert agree(before, clock(person)), "one offset holds for all times"
        for kind, seconds in told.items():
            found = [one["seconds"] for one in person.gaps(kind)]
            assert found == pytest.approx(seconds, abs=1.5), kind
        assert person.drops() == []


def test_a_clock_that_counts_sleep(browser: Browser, responder: Child) -> None:
    with knowing(browser, responder) as person:
        shift(person, wall=300, mono=300, server=300)
        (gap,) = person.until(lambda: person.gaps("slept"))
        person.more_beats()
        assert gap["seconds"] == pytest.approx(300, abs=2)
        assert person.drops() == [], "nothing failed but the page's own time"
        assert person.gaps("stepped") == []


def test_what_was_open_while_the_page_stood_still_is_no_failed_beat(
    browser: Browser, responder: Child
) -> None:
    """Answers come late, and the page stands still for longer than its watchdog."""
    with (
        Relay(responder.port) as relay,
        closing(visiting(browser, relay.port, before=CLOCKS)) as person,
    ):
        person.more_beats()
        relay.hold = True
        before = len(person.record()["beats"])
        person.until(lambda: len(person.record()["beats"]) > before)
        shift(person, wall=20, mono=20, server=20)
        person.until(lambda: standing_still(person))
        relay.hold = False
        person.more_beats(5)
        record = person.record()
        assert record["drops"] == []
        assert len(record["connections"]) == 1
        assert any(both == [None, None] for _, *both in record["beats"]), "nobody can tell"
        assert all(one is None or one < 15_000 for _, *both in record["beats"] for one in both)


def test_a_second_look_across_a_stand_still_tells_no_symptom(
    browser: Browser, responder: Child
) -> None:
    """The new one did not work at once: nothing came back until the page had stood still."""
    with (
        Relay(responder.port) as relay,
        closing(visiting(browser, relay.port, before=CLOCKS)) as person,
    ):
        person.more_beats()
        relay.hold = True
        relay.cut()
        person.until(person.drops)
        shift(person, wall=20, mono=20, server=20)
        person.until(lambda: standing_still(person))
        relay.hold = False
        (drop,) = person.until(lambda: [one for one in person.drops() if one["ended"]])
        assert (drop["strand"], drop["symptom"]) == ("held", "unknown")


def test_a_tab_woken_once_a_minute_over_hours_is_one_gap(
    browser: Browser, responder: Child
) -> None:
    with knowing(browser, responder) as person:
        for number in range(1, 5):
            shift(person, wall=58, mono=58, server=58)
            person.until(lambda least=57 * number: stood(person) > least)
        assert len(standing_still(person)) <= 2
        assert person.gaps("slept") == []
        assert person.drops() == []


def test_what_is_not_known_is_not_said(browser: Browser, responder: Child) -> None:
    """No Date was ever learned: a jump is time that the page stood still, and no more."""
    mute = CLOCKS.replace("fields.set(", "fields.delete('date'); (() => {})(")
    with closing(visiting(browser, responder.port, before=mute)) as person:
        person.more_beats()
        shift(person, wall=60)
        (gap,) = person.until(lambda: standing_still(person))
        person.more_beats()
        assert gap["kind"] == "late"
        assert clock(person) is None


def agree(before: dict[str, float], after: dict[str, float]) -> bool:
    """Whether two measurements of one offset can both be right."""
    apart = abs(before["offset_seconds"] - after["offset_seconds"])
    return apart <= before["within_seconds"] + after["within_seconds"] + 0.01
