"""The answer from what was seen; no source, no clock."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.ask.explain.judge import Explained, explain
from t3probe.ask.explain.moment import Moment
from t3probe.ask.explain.seen import (
    DropSeen,
    IncidentSeen,
    LegSeen,
    RunSeen,
    Way,
    outages_of,
    way_through,
)
from t3probe.ask.explain.sentences import blind_spots, doubts, headline
from t3probe.ask.explain.window import Question

AT = 1_000_000.0
WAY = ("wan", "edge", "app")
PATHS = {"out": ("wan",), "cdn": ("wan", "edge"), "ws": WAY, "in": ("app",), "other": ("db",)}


def leg(name: str, began: float = -60, ended: float = 60, **more: Any) -> LegSeen:
    facts = {"seconds": ended - began, "connected": True, "path": PATHS[name], **more}
    return LegSeen(name=name, began=AT + began, ended=AT + ended, **facts)


def failing(name: str, began: float = -5, ended: float | None = 5, **more: Any) -> LegSeen:
    drop = DropSeen(
        reason="io_error", began=AT + began, ended=None if ended is None else AT + ended
    )
    return leg(name, drops=(drop,), connected=ended is not None, **more)


def incident(
    *failed: str, cleared: str = "", began: float = -5, ended: float | None = 5
) -> IncidentSeen:
    return IncidentSeen(
        began=AT + began, noticed=AT + began + 1, ended=None if ended is None else AT + ended,
        symptom="cut", failed=failed, paths=tuple(PATHS[one] for one in failed),
        exonerated=tuple(cleared.split()), finding=f"{failed} dropped",
    )  # fmt: skip


def run(
    *legs: LegSeen, incidents: tuple[IncidentSeen, ...] = (), began: float = -60,
    ended: float = 60, vantage: str = "", **more: Any,
) -> RunSeen:  # fmt: skip
    facts = {"complete": True, "lag_seconds": 0.0, "segments": (*WAY, "db"), **more}
    return RunSeen(
        began=AT + began, ended=AT + ended, vantage=vantage, legs=legs, incidents=incidents, **facts
    )


def told(*runs: RunSeen, people: int = 1, window: float = 60, way: Any = WAY) -> Explained:
    question = Question(AT, window, AT + 3600, people)
    return explain(question, runs, Way(segments=tuple(way), source=""))


def test_several_machines_are_cleared_for_nobody() -> None:
    """Our legs may have met the one that works, and the person the other."""
    answer = told(run(leg("ws"), leg("in"), spread=("app",)))
    assert (answer.finding, answer.uncleared) == ("unclear", ("app",))
    when = Moment(AT, UTC, "then")
    assert "but app was not observed machine by machine, so neither this" in headline(answer, when)
    assert "app: several machines, and our legs may have met others than the person did" in (
        doubts(answer, when)
    )
    both = told(run(leg("cdn"), spread=("edge",)))
    assert both.uncleared == ("edge", "app")
    assert "but edge and app were not observed for long enough" in headline(both, when)
    three = told(run(leg("cdn"), spread=("edge",)), people=3)
    assert blind_spots(three)[:2] == [
        "app: on no leg that was clean and looked at for long",
        "edge: several machines, of which our legs may have met others",
    ]
    # What a leg saw fail is judged by the run's own evidence.
    broken = incident("ws", cleared="wan edge")
    ours = told(run(failing("ws"), incidents=(broken,), spread=("app",)))
    assert (ours.finding, ours.convicted) == ("ours", ("app",))


def test_all_clean_and_covered_is_the_last_mile() -> None:
    answer = told(run(leg("ws"), leg("in")))
    assert answer.finding == "last_mile"
    assert answer.verdict.convicted == ("last-mile",)
    assert answer.cleared == WAY


@pytest.mark.parametrize(
    ("seconds", "finding"), [(60, "last_mile"), (59, "unclear"), (0, "not_observed")]
)
def test_from_half_of_the_window_on_a_leg_clears(seconds: float, finding: str) -> None:
    half = run(leg("ws", began=-60, ended=-60 + seconds), ended=-60 + seconds or 1)
    assert told(half).finding == finding


PAUSE = (run(leg("ws", ended=-12), ended=-12), run(leg("ws", began=11), began=11))


def test_a_pause_between_two_runs_exonerates_nobody() -> None:
    answer = told(*PAUSE)
    assert answer.finding == "not_observed"
    assert answer.legs[0].state == "not then"
    assert not answer.cleared
    assert answer.paused == (AT - 12, AT + 11)


@pytest.mark.parametrize(
    ("vague", "finding"),
    [((0, 0), "not_observed"), ((0, 60), "last_mile"), ((60, 0), "last_mile"),
     ((0, 5.9), "not_observed"), ((0, 6), "last_mile"), ((7, 0), "last_mile")],
)  # fmt: skip
def test_a_minute_is_any_second_of_it(vague: tuple[float, float], finding: str) -> None:
    question = Question(AT, 60, AT + 3600, vague=vague)
    assert explain(question, PAUSE, Way(segments=WAY, source="")).finding == finding


def test_the_leg_that_was_not_looked_at_just_then_clears_nothing() -> None:
    answer = told(*PAUSE, run(leg("in"), leg("out")))
    assert answer.finding == "unclear"
    assert answer.uncleared == ("edge",)
    assert answer.looking_at == ("in", "out")


def test_a_standstill_is_taken_off_the_coverage() -> None:
    assert told(run(leg("ws", seconds=59.0))).finding == "unclear"
    assert told(run(leg("ws", seconds=61.0))).finding == "last_mile"


def test_two_runs_at_the_same_time_cover_no_more_than_one() -> None:
    one = run(leg("ws", began=-60, ended=-20), ended=-20)
    other = run(leg("ws", began=-55, ended=-20), began=-55, ended=-20)
    assert told(one, other).legs[0].seconds == pytest.approx(40)
    assert told(one, other).finding == "not_observed"


def test_a_part_of_the_way_that_no_leg_covers_is_a_suspect() -> None:
    answer = told(run(leg("cdn"), leg("other")))
    assert answer.finding == "unclear"
    assert answer.uncleared == ("app",)
    assert answer.verdict.at_least_one_of == (("last-mile", "app"),)


def test_a_leg_that_is_down_without_a_new_drop_clears_nothing() -> None:
    answer = told(run(leg("ws", connected=False)))
    assert answer.legs[0].state == "down"
    assert answer.finding == "unclear"


def test_what_a_run_did_not_tell_clears_nothing() -> None:
    silent = leg("ws", seconds=0.0, why="prober_stalled: we stood still")
    answer = told(run(silent, leg("cdn")))
    assert answer.finding == "unclear"
    assert answer.legs[0].state == "told nothing"
    planned = leg("ws", seconds=0.0, why="planned: the kernel")
    assert told(run(planned)).legs[0].state == "planned"


def test_a_conviction_on_the_way_is_ours_and_masks_the_last_mile() -> None:
    answer = told(run(failing("ws"), leg("cdn"), incidents=(incident("ws", cleared="wan edge"),)))
    assert (answer.finding, answer.convicted) == ("ours", ("app",))
    assert answer.verdict.masked == ("last-mile",)


def test_suspects_on_the_way_are_one_of_ours() -> None:
    answer = told(run(failing("ws"), leg("out"), incidents=(incident("ws", cleared="wan"),)))
    assert (answer.finding, answer.suspects) == ("ours_one_of", ("edge", "app"))
    assert "last-mile" in answer.verdict.masked


def test_suspects_that_are_only_in_part_on_the_way_tell_nothing() -> None:
    both = IncidentSeen(
        began=AT, noticed=AT, ended=AT + 1, symptom="cut", failed=("x",),
        paths=(("app", "db"),), exonerated=("wan", "edge"), finding="x dropped",
    )  # fmt: skip
    answer = told(run(failing("in"), incidents=(both,)))
    assert answer.finding == "unclear"
    assert "last-mile" in answer.verdict.ambiguous


def test_an_incident_beside_the_way_explains_nothing() -> None:
    beside = run(leg("ws"), failing("other"), incidents=(incident("other", cleared="app"),))
    answer = told(beside)
    assert answer.finding == "last_mile"
    assert answer.outage is None
    assert [one.legs for one in answer.outages] == [("other",)]


def test_outcomes_that_contradict_each_other_accuse_nobody() -> None:
    odd = incident("in", cleared="wan edge app")
    answer = told(run(failing("in"), leg("ws"), incidents=(odd,)))
    assert answer.finding == "unclear"
    assert answer.verdict.status == "inconsistent"


@pytest.mark.parametrize(
    ("began", "ended", "finding"),
    [(-70, -61, "last_mile"), (-70, -59, "ours"), (59, 70, "ours"), (61, 70, "last_mile")],
)
def test_only_what_falls_into_the_window_counts(began: float, ended: float, finding: str) -> None:
    one = incident("ws", cleared="wan edge", began=began, ended=ended)
    clean = [leg("ws"), leg("in")]
    assert told(run(*clean, incidents=(one,), began=-90, ended=90)).finding == finding


def test_the_nearest_of_two_outages_is_the_explanation() -> None:
    far = incident("ws", cleared="wan edge", began=-50, ended=-45)
    near = incident("cdn", cleared="wan", began=-3, ended=2)
    answer = told(run(failing("ws"), failing("cdn"), incidents=(far, near)))
    assert answer.convicted == ("edge",)
    assert len(answer.outages) == 2


def test_a_conviction_goes_before_a_nearer_doubt_that_is_of_another_time_too() -> None:
    sure = incident("ws", cleared="wan edge", began=-50, ended=-45)
    near = incident("cdn", began=8, ended=12)
    answer = told(run(failing("ws"), failing("cdn"), incidents=(sure, near)))
    assert (answer.finding, answer.convicted) == ("ours", ("app",))


@pytest.mark.parametrize("onset", [-3, 0.9])
@pytest.mark.parametrize(("began", "ended"), [(-50, -45), (-6, -4), (3, 5), (40, 50)])
def test_a_doubt_of_the_very_second_goes_before_a_conviction_of_another_time(
    began: float, ended: float, onset: float
) -> None:
    """Whoever dropped in the second of two outages is not told that the first one was it."""
    sure = incident("ws", cleared="wan edge", began=began, ended=ended)
    then = incident("cdn", began=onset, ended=2)
    answer = told(run(failing("ws"), failing("cdn"), incidents=(sure, then)))
    assert (answer.finding, answer.suspects) == ("ours_one_of", ("wan", "edge"))
    assert len(answer.outages) == 2


def test_of_two_outages_in_a_time_that_is_vague_the_surer_is_told() -> None:
    sure = incident("ws", cleared="wan edge", began=40, ended=45)
    near = incident("cdn", began=-3, ended=2)
    found = run(failing("ws"), failing("cdn"), incidents=(sure, near))
    question = Question(AT, 60, AT + 3600, vague=(0.0, 59.0))
    answer = explain(question, [found], Way(segments=tuple(WAY), source=""))
    assert (answer.finding, answer.convicted) == ("ours", ("app",))


@pytest.mark.parametrize(
    ("people", "finding"), [(1, "last_mile"), (2, "last_mile"), (3, "shared_blind_spot"),
                            (500, "shared_blind_spot")],
)  # fmt: skip
def test_how_many_people(people: int, finding: str) -> None:
    answer = told(run(leg("ws")), people=people)
    assert answer.finding == finding
    smallest = answer.verdict.minimal_sets[0]
    assert smallest == (("last-mile",) if people == 1 else ("shared-network",))


def test_several_people_do_not_make_an_answer_out_of_nothing() -> None:
    assert told(people=5).finding == "not_observed"


def test_each_vantage_has_legs_of_its_own() -> None:
    inside = run(leg("ws", began=-60, ended=-30), vantage="in", ended=-30)
    outside = run(leg("ws", began=0, ended=30), vantage="out", began=0, ended=30)
    answer = told(inside, outside)
    assert [one.name for one in answer.legs] == ["ws@in", "ws@out"]
    assert answer.finding == "unclear"


def test_the_window_ends_now() -> None:
    question = Question(AT, 60, AT + 10)
    assert (question.began, question.ended) == (AT - 60, AT + 10)


def test_without_paths_only_what_every_run_cleared_is_clear() -> None:
    bare = [leg("ws", path=(), ended=0), leg("ws", path=(), began=0)]
    runs = [
        run(bare[0], ended=0, exonerated=WAY),
        run(bare[1], began=0, exonerated=("wan", "edge")),
    ]
    assert told(*runs).uncleared == ("app",)
    runs[1] = run(bare[1], began=0, exonerated=WAY)
    assert told(*runs).finding == "last_mile"


def test_an_outage_goes_on_until_a_run_sees_its_legs_work() -> None:
    broken = [
        run(failing("ws", ended=None), began=at, ended=at + 36,
            incidents=(incident("ws", cleared="wan edge", began=at, ended=None),))
        for at in (0, 60, 120)
    ]  # fmt: skip
    blind = run(leg("ws", seconds=0.0, why="inconclusive"), began=180, ended=216)
    clean = run(leg("ws"), began=240, ended=276)
    (outage,) = outages_of([*broken, blind, clean])
    assert (outage.began, outage.ended) == (AT, AT + 240)
    assert outage.overlaps(AT + 170, AT + 175)
    (unseen,) = outages_of(broken)
    assert unseen.ended is None
    assert not unseen.overlaps(AT + 170, AT + 175)


def test_an_outage_that_ended_is_not_the_next_one() -> None:
    first = run(failing("ws"), incidents=(incident("ws", began=-50, ended=-40),), ended=-24)
    second = run(failing("ws"), incidents=(incident("ws", began=5, ended=9),), began=0, ended=36)
    assert len(outages_of([first, second])) == 2


def test_an_outage_ends_at_the_first_good_beat_in_whatever_run() -> None:
    # In the first run the leg fails at its end. In the next one it works from the first second
    # on, and fails again in its middle.
    first = run(
        failing("ws", began=30, ended=None, first_good=AT + 1),
        began=0,
        ended=36,
        incidents=(incident("ws", cleared="wan edge", began=30, ended=None),),
    )
    second = run(
        failing("ws", began=90, ended=None, first_good=AT + 61),
        began=60,
        ended=96,
        incidents=(incident("ws", cleared="wan edge", began=90, ended=None),),
    )
    third = run(leg("ws", first_good=AT + 123), began=120, ended=156)
    before, after = outages_of([first, second, third])
    assert (before.began, before.ended) == (AT + 30, AT + 61)
    assert (after.began, after.ended) == (AT + 90, AT + 123)
    # Without a good beat in between it is one.
    silent = run(
        failing("ws", began=60.5, ended=None),
        began=60,
        ended=96,
        incidents=(incident("ws", cleared="wan edge", began=60.5, ended=None),),
    )
    (outage,) = outages_of([first, silent, third])
    assert (outage.began, outage.ended) == (AT + 30, AT + 123)


def test_an_outage_of_two_legs_ends_when_both_work() -> None:
    first = run(
        failing("ws", ended=None),
        failing("cdn", ended=None),
        began=0,
        ended=36,
        incidents=(incident("ws", "cdn", began=30, ended=None),),
    )
    one_back = run(
        leg("ws", first_good=AT + 61),
        failing("cdn", ended=None),
        began=60,
        ended=96,
        incidents=(incident("cdn", began=60, ended=None),),
    )
    both = run(leg("ws", first_good=AT + 121), leg("cdn", first_good=AT + 124), began=120)
    (outage,) = outages_of([first, one_back, both])
    assert (outage.began, outage.ended) == (AT + 30, AT + 124)


def test_runs_far_apart_are_two_outages() -> None:
    first = run(incidents=(incident("ws", began=0, ended=None),), began=0, ended=36)
    later = run(incidents=(incident("ws", began=900, ended=None),), began=900, ended=936)
    assert [one.ended for one in outages_of([first, later])] == [None, None]


def test_other_ways_in_belong_to_the_person_too() -> None:
    paths = [("wan", "edge", "login", "app2"), ("wan", "dns"), ("lan", "edge", "app")]
    found = way_through(paths, PATHS, "ws")
    assert found.segments == ("wan", "edge", "app", "login", "app2")
    assert way_through(paths, PATHS, "in").segments == ("app",)


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(PATHS)), st.integers(-90, 60), st.integers(1, 90),
                  st.booleans()),
        max_size=8,
    ),
    st.integers(1, 4),
)  # fmt: skip
def test_the_last_mile_is_accused_only_with_data(
    seen: list[tuple[str, int, int, bool]], people: int
) -> None:
    """Whatever was seen: without every segment on a clean, covered leg nobody is sent home."""
    runs = [
        run(failing(name, began, began + length) if bad else leg(name, began, began + length),
            began=began, ended=began + length)
        for name, began, length, bad in seen
    ]  # fmt: skip
    answer = told(*runs, people=people)
    if answer.finding == "last_mile":
        clear = {name for one in answer.legs if one.clears for name in one.path}
        assert set(WAY) <= clear
        assert people < 3
    for one in answer.legs:
        assert 0 <= one.share <= 1
        assert not (one.clears and one.drops)
        assert not (one.clears and one.seconds < 60)
