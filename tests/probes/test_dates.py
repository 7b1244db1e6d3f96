"""The Date of an answer tells when the run began by the server's clock."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.config import Leg
from t3probe.config.types import Timing
from t3probe.probes.dates import EXACT_SECONDS, note_date, unix_of
from t3probe.probes.facts import Facts
from t3probe.run.book import Book
from t3probe.run.footing import Footing
from t3probe.timing import FakeClock, RunClock

DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
AT = 1_700_000_000.0


@given(st.integers(0, int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())))
def test_every_date_is_read_as_it_was_written(at: int) -> None:
    assert unix_of(formatdate(at, usegmt=True)) == at


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"))
def test_any_other_text_is_no_date_and_breaks_nothing(text: str) -> None:
    found = unix_of(text)
    assert found is None or formatdate(found, usegmt=True)[5:17] == text[5:17]


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Tue, 31 Feb 2023 22:13:20 GMT", "Tue, 14 Nov 2023 25:13:20 GMT",
             "Tue, 14 Nov 2023 22:13:20 +0100", "Tue, 14 Foo 2023 22:13:20 GMT"]
)  # fmt: skip
def test_what_is_no_date_tells_nothing(date: str) -> None:
    facts = Facts()
    note_date(facts, {"date": date}, "", 1.0, 2.0)
    assert facts.server_began is None


def test_the_run_began_between_two_moments_of_the_servers_clock() -> None:
    facts = Facts()
    note_date(facts, {"date": DATE}, "", 4.0, 4.2)
    assert facts.server_began == (AT - 4.2, AT + EXACT_SECONDS - 4.0)


@pytest.mark.parametrize("more", [{"age": "30"}, {"x-cache": "HIT"}, {"t3probe-echo": "00" * 16}])
def test_an_answer_that_was_kept_somewhere_has_an_old_date(more: dict[str, str]) -> None:
    facts = Facts()
    note_date(facts, {"date": DATE, **more}, "11" * 16, 4.0, 4.2)
    assert facts.server_began is None


def book() -> Book:
    clock = RunClock(FakeClock())
    return Book(Leg(name="edge", kind="http", path=("edge",)), 0.0, Footing(clock, Timing()))


def told(*known: tuple[float, float]) -> tuple[float, ...]:
    found = book()
    for one in known:
        found.learn(Facts(server_began=one))
    return found.observation("").server_began


def test_each_answer_makes_it_more_exact_and_a_contradiction_is_for_good() -> None:
    assert told() == ()
    assert told((1.0, 2.1)) == (1.0, 2.1)
    assert told((1.0, 2.1), (1.4, 2.5), (0.9, 2.0)) == (1.4, 2.0)
    assert told((1.0, 2.1), (5.0, 6.1), (5.0, 6.1)) == ()
