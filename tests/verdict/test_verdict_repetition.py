"""Counts of tries: from one run's incidents, from many runs; and what is printed of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from verdict_cases import case
from verdict_script import blip, cut, down, fresh, judge, leg, usual, well

from t3probe.observation import Observation, RunRecord
from t3probe.record.facts import Recording
from t3probe.verdict.incident.run import judge_run
from t3probe.verdict.repeated.posterior import PRIOR, posterior
from t3probe.verdict.repeated.repetition import from_runs, of_case, render

SEGMENTS = "wan a b c"


def run(at: float, *seen: Observation, **more: Any) -> Recording:
    record = RunRecord(segments=tuple(SEGMENTS.split()), started_at=at, version=2, **more)
    return Recording(record, seen)


def clean(at: float) -> Recording:
    return run(at, leg("x", "wan", usual()), leg("y", "wan a b", usual()))


def broken(at: float) -> Recording:
    return run(at, leg("x", "wan", well()), leg("y", "wan a b", usual(until=15), down()))


FLAPS = (cut(4, 5), cut(11, 12), cut(15, 16))


def test_each_run_is_one_try_of_a_leg() -> None:
    found = from_runs([clean(0), broken(60), clean(120), broken(180), clean(240)])
    assert found.counts == {"x": (0, 5), "y": (2, 5)}
    assert found.legs == {"x": ("wan",), "y": ("wan", "a", "b")}
    assert found.segments == ("wan", "a", "b", "c")
    assert (found.runs, found.first, found.last) == (5, 0, 240)
    assert found.posterior() == posterior(found.segments, found.legs, found.counts)


def test_a_leg_that_drops_often_in_one_run_is_one_try() -> None:
    flap = leg("y", "wan a", *FLAPS)
    found = from_runs([run(0, leg("x", "wan", usual()), flap)])
    assert found.counts == {"x": (0, 1), "y": (1, 1)}


def test_what_told_nothing_is_no_try() -> None:
    silent = leg("y", "wan a", outcome="inconclusive")
    planned = leg("z", "wan b", usual(), planned="mended until noon")
    away = leg("w", "wan c", usual(since=25))
    failed = leg("v", "wan", cut(5, 6))
    found = from_runs([run(0, leg("x", "wan b", usual()), silent, planned, away, failed)])
    # `away` was not looking when it happened, and clears nothing.
    assert found.counts == {"v": (1, 1), "x": (0, 1)}


def test_a_leg_is_good_only_when_it_cleared_in_every_incident() -> None:
    first = leg("y", "wan a", cut(5, 6))
    second = leg("z", "wan b", usual(until=25), cut(25, 26))
    half = leg("w", "wan c", usual(until=15))
    found = from_runs([run(0, leg("x", "wan", usual()), first, second, half)])
    assert found.counts == {"y": (1, 1), "x": (0, 1), "z": (1, 1)}


def test_a_connect_says_nothing_about_what_is_asked_over_it() -> None:
    one = run(
        0,
        leg("x", "wan a", usual(until=15), down()),
        leg("y", "wan b", fresh(0, 10, 15.01), level="connect"),
    )
    judged = judge_run(one.run, one.observations)
    assert judged.incidents[0].cleared_by == {"y": "beside"}
    assert from_runs([one]).counts == {"x": (1, 1)}
    assert judged.posterior == posterior(judged.segments, judged.legs, {"x": (1, 1)})


def test_a_leg_that_clears_only_a_part_of_what_it_shares_is_no_try() -> None:
    """Held at another machine, it says nothing about the one at which x ends."""
    x = leg("x", "wan a b", usual(until=15), cut(), ends_at="wan")
    part = leg("y", "wan a c", well(), address="192.0.2.9:443")
    whole = leg("z", "wan a c", well())
    judged = judge(x, part, whole)
    assert judged.incidents[0].cleared_by == {"y": "held through", "z": "held through"}
    assert judged.incidents[0].tried == {"x": True, "z": False}
    assert judged.posterior == posterior(judged.segments, judged.legs, {"x": (1, 1), "z": (0, 1)})


def test_blips_are_no_tries() -> None:
    x = leg("x", "wan a", usual(), blip())
    z = leg("z", "wan b", usual(), blip(10.1, 15.5))
    y = leg("y", "wan c", usual())
    judged = judge(x, z, y)
    assert judged.incidents[0].cleared_by == {"y": "beside"}
    assert judged.incidents[0].tried == {}
    assert judged.posterior == posterior(judged.segments, judged.legs, {"y": (0, 1)})
    # Beside a drop in earnest they still are none.
    down_ = leg("w", "wan", usual(until=15), down())
    assert judge(x, down_).incidents[0].tried == {"w": True}
    # In another incident their legs may be seen to be well.
    one = run(0, x, leg("v", "wan", cut(4, 5)))
    assert from_runs([one]).counts == {"v": (1, 1), "x": (0, 1)}


def test_the_runs_that_convict_are_counted() -> None:
    alone = run(0, leg("x", "wan", well()), leg("y", "wan a", usual(until=15), down()))
    other = msgspec.structs.replace(alone.run, started_at=60)
    found = from_runs([alone, Recording(other, alone.observations), clean(120)])
    assert found.convicted_in == {"a": 2}


def test_a_run_that_is_there_twice_counts_once_and_the_later_one() -> None:
    assert from_runs([clean(0), broken(0)]).counts == {"x": (0, 1), "y": (1, 1)}


def test_a_leg_with_another_path_is_another_leg() -> None:
    moved = run(60, leg("x", "wan c", usual()))
    found = from_runs([clean(0), moved, clean(120)])
    assert found.legs["x (2)"] == ("wan", "c")
    assert found.counts["x (2)"] == (0, 1)
    assert found.counts["x"] == (0, 2)


def test_networks_are_not_mixed() -> None:
    with pytest.raises(ValueError) as caught:
        from_runs([run(0, deployment="t3"), run(60, deployment="t3", vantage="attic")])
    assert str(caught.value) == (
        "expected runs of one deployment and vantage, found t3 and t3 from attic; give them apart"
    )
    with pytest.raises(ValueError, match="expected at least one run, found none"):
        from_runs([])


def test_runs_are_read_one_by_one() -> None:
    """A month of them must not be held at once."""
    alive: list[Any] = []

    def each() -> Iterator[Recording]:
        import weakref

        for at in range(50):
            one = broken(at * 60.0)
            assert sum(ref() is not None for ref in alive) <= 2
            alive.append(weakref.ref(one))
            yield one

    assert from_runs(each()).counts["y"] == (50, 50)


def test_within_a_run_each_incident_is_one_try() -> None:
    judged = judge(
        leg("x", "wan", usual()),
        leg("y", "wan a", *FLAPS),
        leg("z", "b", outcome="inconclusive"),
    )
    expected = posterior(judged.segments, judged.legs, {"x": (0, 3), "y": (3, 3)})
    assert judged.posterior == expected
    assert judged.posterior.convicted_by_repetition == ("a",)
    assert judged.posterior.posterior["b"] == PRIOR


def test_a_clean_run_is_one_good_try() -> None:
    judged = judge(leg("x", "wan", usual()), leg("y", "wan a", usual(), outcome="degraded"))
    assert judged.posterior == posterior(judged.segments, judged.legs, {"x": (0, 1), "y": (0, 1)})
    assert judge_run(RunRecord(), []).posterior.posterior == {}


def test_a_case() -> None:
    one = msgspec.structs.replace(
        case("a b", {"x": "a", "y": "a b"}), counts={"x": (0, 12), "y": (8, 12)}, priors={"a": 0.2}
    )
    expected = posterior(one.segments, one.legs, one.counts, priors={"a": 0.2})
    assert of_case(one) == expected
    assert expected.convicted_by_repetition == ("b",)


def test_the_json_form() -> None:
    found = from_runs([clean(0), broken(60)])
    told = found.to_dict()
    assert list(told)[:5] == ["runs", "first", "last", "counts", "convicted_in"]
    assert told["first"] == "1970-01-01T00:00:00.000Z"
    assert told["counts"] == {"x": [0, 2], "y": [1, 2]}
    assert told["posterior"].keys() == {"wan", "a", "b", "c"}
    msgspec.json.encode(told)


def test_the_text() -> None:
    runs = [clean(at * 60.0) for at in range(6)]
    runs += [
        run(600.0 + at, leg("x", "wan", well()), leg("y", "wan a", usual(until=15), down()))
        for at in range(5)
    ]
    lines = list(render(from_runs(runs)))
    assert lines[0] == "11 runs from 1970-01-01T00:00:00.000Z to 1970-01-01T00:10:04.000Z"
    assert lines[2:6] == [
        "leg                               failed   tries",
        "x                                      0      11",
        "y                                      0       6",
        "y (2)                                  5       5",
    ]
    ranked = [line.split() for line in lines[8:12]]
    assert [row[0] for row in ranked] == ["a", "c", "b", "wan"]
    assert ranked[0][2] == "5"
    assert ranked[1][1:] == ["10%", "-"]


@pytest.mark.parametrize(("fails", "head"), [(5, "a is broken"), (0, "no segment is convicted")])
def test_the_last_line_says_who(fails: int, head: str) -> None:
    seen = leg("x", "wan", well())
    bad = leg("y", "wan a", usual(until=15), down())
    fine = leg("y", "wan a", usual())
    runs = [run(at, seen, bad if at < fails else fine) for at in range(10)]
    (said,) = [line for line in render(from_runs(runs)) if line.startswith("REPETITION")]
    assert head in said
    assert "more than 95%" in said


def test_the_text_fits_a_terminal() -> None:
    names = [f"a-rather-long-name-of-a-segment-{at}" for at in range(30)]
    seen = [leg(f"leg-over-{name}", f"wan {name}", usual(until=15), down()) for name in names]
    lines = list(render(from_runs([run(at, *seen) for at in range(3)])))
    assert max(map(len, lines)) <= 80
