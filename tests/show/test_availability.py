"""What makes up availability: good, bad, and what nobody knows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_runs import HERE

from t3probe.observation import Drop, Observation, RunRecord
from t3probe.record.facts import Recording
from t3probe.record.reading import read_runs
from t3probe.show.availability import BadSpan, BadTime, InLook, Look, Looks, Row, look_of
from t3probe.show.availability.tally import JOIN_SECONDS
from t3probe.show.availability.text import share, to_dict, to_lines
from t3probe.show.page.history import History
from t3probe.show.page.page import render_page


def look(began: float, seen: InLook, lasted: float = 36.0, vantage: str = "") -> Look:
    return Look(began, began + lasted, vantage, {"ws": seen}, {})


def row(*looks: Look) -> Row:
    found = Looks()
    for number, one in enumerate(looks):
        found.add(number, one)
    (place,) = found.between().places
    return place.legs[0]


def bad(began: float, ended: float, start: bool = True, end: bool = True) -> InLook:
    return InLook(35.0, (BadSpan(began, ended, start, end),))


def test_an_incident_runs_over_the_pause_between_runs() -> None:
    found = row(*(look(60.0 * n, bad(60.0 * n, 60.0 * n + 36)) for n in range(3)))
    assert found.incidents == [BadTime(0.0, 156.0, True)]
    assert (found.observed_seconds, found.bad_seconds, found.good_share) == (105.0, 105.0, 0.0)


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        (bad(0, 20, end=False), bad(60, 96), 60.0),  # it had recovered
        (bad(0, 36), bad(70, 96, start=False), 60.0),  # it had worked before it broke again
        (bad(0, 36), bad(500, 536), 500.0),  # nobody looked for too long
    ],
)
def test_two_incidents_stay_two(first: InLook, second: InLook, apart: float) -> None:
    assert apart < 60 or apart - 36 > JOIN_SECONDS or apart == 60
    found = row(look(0.0, first), look(apart, second))
    assert len(found.incidents) == 2
    assert [one.open for one in found.incidents] == [False, True]


def test_a_good_run_in_between_ends_an_incident_and_one_that_cannot_tell_does_not() -> None:
    first, last = look(0.0, bad(0, 36)), look(120.0, bad(120, 156))
    assert len(row(first, look(60.0, InLook(35.0)), last).incidents) == 2
    assert len(row(first, look(60.0, InLook(0.0)), last).incidents) == 1
    assert row(first, look(60.0, InLook(0.0)), last).observed_seconds == 70.0


def test_time_is_counted_once() -> None:
    """A run by hand beside the scheduled one, and shards that begin together."""
    found = row(look(0.0, InLook(36.0)), look(0.0, InLook(36.0)), look(18.0, bad(20, 54)))
    assert found.observed_seconds == pytest.approx(36.0 + 35.0 / 2)
    assert found.bad_seconds == pytest.approx(34.0)
    again = row(look(0.0, bad(0, 36)), look(0.0, bad(0, 36)))
    assert (again.bad_seconds, again.observed_seconds) == (35.0, 35.0)
    assert len(again.incidents) == 1


def test_runs_that_overlap_lose_no_bad_time_and_tell_what_the_last_one_saw() -> None:
    spans = (BadSpan(0, 5, True, False), BadSpan(50, 55, False, False))
    other = InLook(60.0, (BadSpan(20, 25, False, False),))
    found = row(look(0.0, InLook(60.0, spans), 60.0), look(10.0, other, 60.0))
    assert found.bad_seconds == sum(one.seconds for one in found.incidents) == 15.0
    short = InLook(60.0, (BadSpan(100, 160, True, True),))
    (one,) = row(look(0.0, InLook(3600.0), 3600.0), look(100.0, short, 60.0)).incidents
    assert not one.open, "the long run looked on, and it was good"
    ends_bad = InLook(3600.0, (BadSpan(3500, 3600, False, True),))
    found = row(look(0.0, ends_bad, 3600.0), look(100.0, InLook(60.0), 60.0))
    assert [one.open for one in found.incidents] == [True]
    found = row(look(0.0, ends_bad, 3600.0), look(100.0, short, 60.0))
    assert [one.open for one in found.incidents] == [False, True]


def test_of_a_run_that_was_written_twice_the_later_record_holds() -> None:
    found = Looks()
    found.add("run", look(0.0, InLook(10.0)))
    found.add("run", look(0.0, bad(0, 36)))
    assert len(found) == 1
    assert found.between().places[0].legs[0].good_share == 0.0


def test_a_share_is_never_rounded_up() -> None:
    assert share(Row("x", 1e7, 1.0)) == "99.999 %"
    assert share(Row("x", 1e7, 0.0)) == "100 %"
    assert share(Row("x", 0.0, 0.0)) == "-"


SPANS = st.lists(
    st.tuples(st.floats(0, 36), st.floats(0, 36), st.booleans(), st.booleans()), max_size=3
)
LOOKS = st.lists(st.tuples(st.integers(0, 2000), st.floats(0, 36), SPANS), min_size=1, max_size=12)


def _made(began: int, observed: float, spans: list[tuple[float, float, bool, bool]]) -> Look:
    found = tuple(
        BadSpan(began + min(a, b), began + max(a, b), start, end) for a, b, start, end in spans
    )
    return look(float(began), InLook(observed, found))


@given(LOOKS, st.randoms(use_true_random=False))
def test_the_sums_hold_whatever_was_seen_in_whatever_order(some: Any, random: Any) -> None:
    looks = [_made(*one) for one in some]
    found = row(*looks)
    assert 0 <= found.bad_seconds <= found.observed_seconds + 1e-9
    assert found.observed_seconds <= sum(one.legs["ws"].observed_seconds for one in looks) + 1e-6
    whole = Looks()
    order = list(enumerate(looks))
    random.shuffle(order)
    for key, one in order:
        whole.add(key, one)
    told = whole.between()
    assert found.observed_seconds <= told.seconds + 1e-6
    starts = [one.began for one in found.incidents]
    assert starts == sorted(starts)
    assert sum(found.by_length) == len(found.incidents)
    if len({one.began for one in looks}) == len(looks):
        assert told.places[0].legs[0] == found
    assert list(to_lines(told, "x"))
    (leg,) = to_dict(told, "x")["vantages"][0]["legs"]
    assert leg["incidents"] == sum(one["incidents"] for one in leg["incidents_by_length"])


# -- of records --------------------------------------------------------------------------------


def recorded(*legs: Observation, **more: Any) -> Look:
    run = RunRecord(
        version=2, segments=("front", "back"), started_at=1000.0, duration_seconds=36.0, **more
    )
    return look_of(Recording(run, legs))


def leg(name: str, *path: str, **more: Any) -> Observation:
    facts = {"kind": "http", "outcome": "passed", "ended": 35.0, "observed_seconds": 35.0, **more}
    return Observation(leg=name, path=path, **facts)


def test_inconclusive_and_planned_legs_are_not_observed() -> None:
    drop = Drop(
        began=1.0,
        noticed=5.0,
        reason="io_error",
        symptom="down",
        stage="ask",
        call=1,
        stalled=True,
    )
    found = recorded(
        leg("a", "front", outcome="inconclusive", drops=(drop,)),
        leg("b", "front", outcome="failed", planned="moving", drops=(drop,)),
        leg("c", "back", drops=(drop,)),  # our own stall
    )
    assert found.legs == {"a": InLook(0.0), "b": InLook(0.0), "c": InLook(35.0)}
    assert found.segments["front"] == InLook(0.0)
    assert found.segments["back"] == InLook(35.0)


def test_a_leg_that_fails_without_a_drop_is_bad_all_the_time() -> None:
    found = recorded(leg("walled", "front", "back", outcome="failed", reason="not_walled"))
    assert found.legs["walled"].bad == (BadSpan(1000.0, 1035.0, True, True),)


def test_upstreams_and_checks_of_ones_own_have_no_row() -> None:
    found = recorded(leg("envoy-x", "back"), leg("own", "back", after_hold=True), leg("c", "back"))
    assert found.legs.keys() == {"c"}


def test_the_page_over_several_runs_has_a_table_and_over_one_it_has_none() -> None:
    every = list(read_runs([str(HERE / "runs")], []))
    page = render_page(History.of(every)).decode()
    assert '<section id="availability"' in page
    assert "Not observed is the time between runs" in page
    assert '<section id="availability"' not in render_page(History.of(every[:1])).decode()
