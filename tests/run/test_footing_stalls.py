"""Which moments a stall of ours excuses, on a clock that moves when it is told to."""

from __future__ import annotations

from pathlib import Path

import pytest

from t3probe.config.table import Duration
from t3probe.config.types import Leg, Timing
from t3probe.observation import Reason
from t3probe.probes.facts import Echo, Facts, ProbeError
from t3probe.run.book import Book
from t3probe.run.footing import Footing, Throttling
from t3probe.timing import FakeClock, RunClock

NOWHERE = Path("/nowhere")
LEG = Leg(name="leg", kind="ws_echo", path=("a", "b"))


class Stand:
    """A footing and the clock under it; sampled ten times a second unless it stands still."""

    def __init__(self, *, keep: float | None = None, step: float = 0.1) -> None:
        self.fake = FakeClock()
        self.clock = RunClock(self.fake)
        self.step = step
        none = Throttling(NOWHERE, NOWHERE)
        timing = Timing(watchdog=Duration(2))  # late by half a second is too late
        self.footing = Footing(self.clock, timing, step=step, keep=keep, throttling=none)

    def well(self, seconds: float) -> Stand:
        for _ in range(round(seconds / self.step)):
            self.fake.advance(self.step)
            self.footing.look()
        return self

    def still(self, seconds: float) -> Stand:
        self.fake.advance(seconds)
        self.footing.look()
        return self


def test_a_stall_excuses_what_is_noticed_in_it_or_right_after_and_nothing_else() -> None:
    footing = Stand().well(1).still(2).well(7).footing
    assert footing.stalls == [(1.0, 3.0)]
    for began, ended, stalled in [
        (0.0, 0.9, False),
        (0.0, 1.0, True),
        (0.0, 1.5, True),
        (1.5, 1.5, True),
        (2.0, 9.0, True),
        (3.1, 9.0, True),
        (3.2, 9.0, True),
        (3.3, 9.0, False),
        (5.0, 6.0, False),
        (9.0, 10.0, False),
    ]:
        assert footing.stalled(began, ended) == stalled, (began, ended)


@pytest.mark.parametrize(("late", "stalled"), [(0.59, False), (0.6, True)])
def test_from_the_threshold_on_it_is_a_stall(late: float, stalled: bool) -> None:
    stand = Stand().well(1).still(late)
    assert bool(stand.footing.stalls) == stalled
    assert stand.footing.worst_seconds == pytest.approx(late - 0.1)
    assert stand.footing.stalled(0.5, 1.0) == stalled
    # The worst is the worst, also when it gets better.
    assert stand.well(1).footing.worst_seconds == pytest.approx(late - 0.1)


def test_a_stall_that_is_not_over_counts_before_the_next_sample() -> None:
    stand = Stand().well(1)
    assert not stand.footing.stalled(0.0, 1.0)
    stand.fake.advance(3)
    assert stand.footing.stalled(3.5, 4.0)
    assert not stand.footing.stalled(0.0, 0.9)
    assert stand.footing.stood_still(0.0, 4.0) == pytest.approx(3.0)


def test_how_long_we_stood_still() -> None:
    footing = Stand().well(1).still(2).well(1).still(1).well(1).footing
    for began, ended, seconds in [
        (0.0, 10.0, 3.0),
        (0.0, 2.0, 1.0),
        (2.0, 4.5, 1.5),
        (3.0, 4.0, 0.0),
        (5.0, 6.0, 0.0),
        (1.5, 2.0, 0.5),
    ]:
        assert footing.stood_still(began, ended) == pytest.approx(seconds), (began, ended)


@pytest.mark.parametrize(("keep", "remembered"), [(None, True), (100.0, True), (5.0, False)])
def test_how_long_a_stall_is_remembered(keep: float | None, remembered: bool) -> None:
    stand = Stand(keep=keep).well(1).still(2).well(10)
    assert stand.footing.stalled(1.5, 2.5) == remembered
    stand.still(2)
    assert stand.footing.stalled(14.0, 14.5)


def test_another_timing_takes_effect_at_once() -> None:
    stand = Stand().well(1).still(0.8)
    stand.footing.use(Timing(watchdog=Duration(20)), 1.0)
    stand.well(3)
    assert stand.footing.stalls == []
    assert stand.still(0.8).footing.stalls == []


def test_a_slower_sampler_is_not_late() -> None:
    footing = Stand(step=5.0).well(60).footing
    assert (footing.stalls, footing.worst_seconds) == ([], 0.0)


def test_throttling_counts_no_more_than_the_time_in_which_it_was() -> None:
    """Four processors throttled for a whole step, long after the start, are one step."""

    class Four(Throttling):
        known = True  # type: ignore[assignment]
        next = 0.0

        def grown(self) -> float:
            grown, self.next = self.next, 0.0
            return grown

    fake = FakeClock()
    source = Four(NOWHERE, NOWHERE)
    footing = Footing(RunClock(fake), Timing(watchdog=Duration(2)), throttling=source)
    for at in range(30):
        fake.advance(0.1)
        source.next = 0.4 if at == 20 else 0.0
        footing.look()
    assert footing.throttled_seconds == pytest.approx(0.4)
    assert footing.stalled(1.8, 2.1)  # a third of it
    assert not footing.stalled(1.5, 2.1)  # a sixth


# -- what a book makes of it ---------------------------------------------------------------------


def dropped(
    stand: Stand,
    sent: float,
    noticed: float,
    began: float = 0.5,
    error: ProbeError | None = None,
) -> Book:
    book = Book(LEG, 0.0, stand.footing)
    book.good(Echo(sent=0.4, ended=0.5), 0, 0, None, "held")
    error = error or ProbeError("rtt_timeout", "ask", "no answer")
    book.bad(sent, noticed, 0, error, 0, "held")
    book.drop(
        error, began=began, sent=sent, noticed=noticed, call=1, strand="held", conn=0,
        age=noticed, facts=Facts(), tcp=None,
    )  # fmt: skip
    return book


def test_only_the_drop_that_a_stall_may_have_made_is_excused() -> None:
    """Not every later one: once stalled is not always excused."""
    stand = Stand().well(1).still(2).well(20)
    assert dropped(stand, 1.5, 3.1).drops[0].stalled
    assert dropped(stand, 2.5, 9.0).drops[0].stalled
    later = dropped(stand, 10.0, 20.0)
    assert not later.drops[0].stalled
    assert later.observation("").outcome == "failed"
    early = dropped(stand, 0.6, 0.9)
    assert not early.drops[0].stalled
    # The last good beat may lie before the stall: what counts is when the question was sent.
    assert not dropped(stand, 10.0, 20.0, began=0.5).drops[0].stalled
    # And a beat that was sent before the last good one was answered, from that answer on.
    assert not dropped(stand, 2.0, 20.0, began=10.0).drops[0].stalled


def test_an_excused_drop_is_inconclusive_and_the_next_failure_is_a_drop_of_its_own() -> None:
    stand = Stand().well(1).still(2).well(20)
    book = dropped(stand, 1.5, 3.1)
    seen = book.observation("")
    assert (seen.outcome, seen.reason) == ("inconclusive", "prober_stalled")
    assert book.goes_on(2.0, 3.0)  # still the stall
    assert not book.goes_on(10.0, 11.0)  # only now is it known
    real = dropped(stand, 10.0, 20.0)
    assert real.goes_on(20.0, 21.0)
    real.recover(21.0)
    assert not real.goes_on(21.0, 22.0)


def test_observed_seconds_leave_out_where_we_stood_still() -> None:
    stand = Stand().well(1).still(2).well(7)
    book = dropped(stand, 8.0, 9.0)
    assert book.observation("").observed_seconds == pytest.approx(7.0)


@pytest.mark.parametrize(
    ("reason", "came_back"),
    [
        ("rtt_timeout", ""),  # silence
        ("rtt_timeout", "heard"),  # an answer began, and its end did not come in time
        ("tls_failed", ""),  # no handshake in time
        ("tls_failed", "heard"),  # somebody else's certificate
        ("protocol_error", "heard"),
        ("http_5xx", "answered"),
        ("connect_refused", ""),
        ("connection_reset", ""),
    ],
)
def test_being_late_excuses_a_silence_and_nothing_that_came_back(
    reason: Reason, came_back: str
) -> None:
    stand = Stand()
    for _ in range(20):  # a third of the time late, and never so much that it is a stall
        stand.still(0.15)
    error = ProbeError(reason, "ask", "said")
    if came_back:
        setattr(error, came_back, True)
    silent = reason == "rtt_timeout" or (not came_back and reason == "tls_failed")
    book = dropped(stand, 1.0, 2.5, error=error)
    assert (stand.footing.stalls, book.drops[0].stalled) == ([], silent)
    assert book.own_doing(error, 1.0, 2.5) == silent
    assert book.observation("").outcome == ("inconclusive" if silent else "failed")


def test_being_late_counts_for_the_whole_time_of_an_attempt() -> None:
    """The last good beat may be that of another attempt, answered when this one's time was over
    but for a moment."""
    stand = Stand()
    for _ in range(20):
        stand.still(0.15)
    stand.well(0.2)
    late, well = dropped(stand, 1.7, 3.2, began=3.15), dropped(stand, 3.0, 3.2, began=3.15)
    assert (late.drops[0].stalled, well.drops[0].stalled) == (True, False)
