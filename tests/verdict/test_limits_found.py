"""Limits on age and silence: found where there are some, located, and not made up."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t3probe.verdict.limits.found import LegHistory, Limit, limits, near
from t3probe.verdict.limits.lives import Life

BENCH = Path(__file__).parents[2] / "bench" / "limits.py"


def held(opened: float, dies: float | None = None, last: float | None = None, **more: Any) -> Life:
    """A beating connection, a beat every 10 s; it dies by a close, or lives on."""
    end = dies if dies is not None else (opened + 1000 if last is None else last)
    last = opened + 10 * int((end - opened) / 10) if last is None else last
    life = Life(
        True, opened, last, quiet=10.0, quiet_at=last, dead_from=dies, dead_by=dies, host="h"
    )
    return life._replace(**more)


def idle(opened: float, dies: float | None = None, **more: Any) -> Life:
    """An idle connection that has only been opened."""
    life = Life(False, opened, opened, dead_from=dies, dead_by=dies, host="h")
    return life._replace(**more)


def leg(name: str, path: str, *lives: Life, **more: Any) -> LegHistory:
    names = tuple(path.split())
    return LegHistory(name, names, names, names[0], True, lives)._replace(**more)


def in_turn(length: float, times: int = 4, made: Any = held, pause: float = 3.0) -> list[Life]:
    """Connections that follow one another and die at this age."""
    starts = [number * (length + pause) for number in range(times)]
    return [made(at, at + length) for at in starts]


def only(*legs: LegHistory, spread: tuple[str, ...] = ()) -> Limit:
    (found,) = limits(legs, spread)
    return found


def test_one_age_is_a_limit_and_another_leg_that_lived_longer_clears_what_it_shares() -> None:
    a = leg("cloudflare", "wan edge tunnel hop", *in_turn(100.0))
    b = leg("internal", "hop", held(0, last=900.0))
    c = leg("page", "wan edge", held(0, last=900.0), tcp_ends_at="edge", speaks=False)
    found = only(a, b, c)
    assert (found.kind, found.legs, found.seconds, found.deaths) == ("age", ("cloudflare",), 100, 4)
    # A page over HTTP says nothing of what the edge does with WebSockets.
    assert found.one_of == (("edge", "tunnel"),)
    assert found.cleared_by == {"internal": 900.0, "page": 900.0}
    alike = only(a, b, c._replace(speaks=True))
    assert alike.one_of == (("tunnel",),)
    assert alike.at == "tunnel"
    assert alike.text({}).startswith("each connection through tunnel ends after 1 min 40 s")


def test_two_deaths_are_none_and_three_that_are_not_alike_are_none() -> None:
    assert not limits([leg("a", "x", *in_turn(100.0, 2))])
    ages = [100.0, 80.0, 95.0]
    lives = [held(1000.0 * at, 1000.0 * at + age) for at, age in enumerate(ages)]
    assert not limits([leg("a", "x", *lives)])


def test_a_connection_of_the_leg_that_lives_on_disproves_a_limit() -> None:
    lives = in_turn(100.0)
    assert limits([leg("a", "x", *lives)])
    assert not limits([leg("a", "x", *lives, held(200.0, last=310.0))])
    # What lived so long before the first of them may have met another setting.
    before = held(-5000.0, last=0.0)
    assert limits([leg("a", "x", before, *lives)])


def test_silence_is_told_from_age_by_the_connection_that_beats() -> None:
    quiet = in_turn(60.0, made=idle)
    found = only(leg("a", "x", held(0, last=900.0), *quiet))
    assert (found.kind, found.seconds, found.every_seconds) == ("silence", 60.0, None)
    assert found.text({}).startswith("what is silent for 1 min on a is cut at x")
    both = only(leg("a", "x", *in_turn(60.0), *in_turn(60.0, made=idle, pause=5.0)))
    assert (both.kind, both.seconds) == ("age", 60.0)
    assert only(leg("a", "x", *quiet)).kind == "either"


def test_an_age_that_is_no_limit_any_more_is_not_taken_for_a_silence() -> None:
    lives = [*in_turn(60.0, 6), *in_turn(60.0, 6, made=idle, pause=6.0)]
    assert only(leg("a", "x", *lives)).kind == "age"
    assert not limits([leg("a", "x", *lives, held(380.0, last=900.0))])


def test_beats_at_one_distance_make_no_silence_of_an_age() -> None:
    # Each run beats at 0, 10 and 20 s: what dies at 25 s of age was always silent for 5 s.
    lives = [held(100.0 * at, 100.0 * at + 25.0) for at in range(5)]
    assert only(leg("a", "x", *lives)).kind == "age"
    barely = [one._replace(dead_from=one.last + 9.9, dead_by=one.last + 9.9) for one in lives]
    assert only(leg("a", "x", *barely)).kind == "age"


def test_a_silence_that_another_idle_connection_survived_clears_only_what_it_shares() -> None:
    a = leg("a", "wan tunnel hop", held(0, last=900.0), *in_turn(60.0, made=idle))
    stays = idle(0.0)._replace(last=400.0, quiet=90.0, quiet_at=400.0)
    b = leg("b", "hop", held(0, last=900.0), stays)
    assert only(a, b).one_of == (("wan", "tunnel"),)
    # One that only beats survived no such silence.
    assert only(a, leg("b", "hop", held(0, last=900.0))).one_of == (("wan", "tunnel", "hop"),)
    assert only(a, b._replace(speaks=False)).one_of == (("wan", "tunnel", "hop"),)
    assert only(a, b, spread=("hop",)).one_of == (("wan", "tunnel", "hop"),)


def test_up_to_its_own_end_only_the_same_machine_clears() -> None:
    a = leg("a", "hop app", *in_turn(100.0), tcp_ends_at="hop")
    b = leg("b", "hop app", held(0, last=900.0), tcp_ends_at="hop")
    assert only(a, b).one_of == ()
    other = leg("b", "hop app", held(0, last=900.0, host="else"), tcp_ends_at="hop")
    assert only(a, other).one_of == (("hop",),)
    assert "cannot tell" in only(a, b).text({})


def test_a_restart_of_everything_is_no_limit() -> None:
    restarts = [100.0, 220.0, 330.0, 450.0]
    a, b, since = [], [], 0.0
    for at in restarts:
        a.append(held(since, at))
        b.append(idle(since + 7.0 * (1 + at % 3), at))
        since = at + 0.1
    assert not limits([leg("a", "x", *a, *b)])
    # Not even one by the clock, where some connection was opened at another time.
    clock = [held(100.0 * at, 100.0 * at + 99.9) for at in range(5)]
    late = [idle(100.0 * at + 20.0, 100.0 * at + 99.9) for at in range(5)]
    assert not limits([leg("a", "x", *clock, *late)])
    assert only(leg("a", "x", *clock)).every_seconds == 100.0
    assert "a restart every 1 min 40 s would look the same" in only(leg("a", "x", *clock)).text({})


def test_restarts_by_the_clock_that_are_left_out_now_and_then_may_be_the_cause() -> None:
    """Every 100 s, when there is something to restart for: 200 s is an age that comes by that."""
    restarts = [200.0, 400.0, 600.0, 700.0, 900.0, 1000.0, 1200.0, 1300.0, 1400.0]
    since = [0.0, *(at + 0.1 for at in restarts)]
    found = only(leg("a", "x", *map(held, since, restarts)))
    assert round(found.seconds) == 200
    assert found.every_seconds == 100.0
    # What dies otherwise keeps to no clock, and then that of these alone is looked at.
    others = [*(held(at, at + 200.0) for at in (0.0, 210.0, 420.0)), held(630.0, 651.0)]
    assert only(leg("a", "x", *others)).every_seconds == 210.0


def test_what_dies_together_was_seen_once() -> None:
    legs = [leg(name, "x", held(0.0, 100.0), idle(0.0, 100.1)) for name in "abc"]
    assert not limits(legs)
    twice = [
        leg(name, "x", held(0.0, 100.0), idle(0.0, 100.1), held(200.0, 300.0), idle(200.0, 300.1))
        for name in "abc"
    ]
    assert not limits(twice)


def test_deaths_beside_another_trouble_do_not_count() -> None:
    lives = in_turn(100.0, 3)
    assert limits([leg("a", "x", *lives)])
    away = leg("b", "x", troubles=((99.0, 100.5),))
    assert not limits([leg("a", "x", *lives), away])
    assert limits([leg("a", "x", *lives), away._replace(path=("y",))])


def test_what_died_at_an_unknown_moment_makes_no_age() -> None:
    vague = [one._replace(dead_from=one.last) for one in in_turn(99.0)]
    assert not limits([leg("a", "x", *vague)])
    long = [one._replace(dead_from=one.dead_by - 10.0) for one in in_turn(1000.0, 5)]
    assert only(leg("a", "x", *long)).seconds == 1000.0


def silent(times: int) -> LegHistory:
    lives = [
        idle(310.0 * at)._replace(dead_from=310.0 * at, dead_by=310.0 * at + 300)
        for at in range(times)
    ]
    return leg("a", "x", held(0, last=310.0 * times), *lives)


def test_dead_when_asked_is_a_limit_of_at_most_that() -> None:
    assert not limits([silent(4)])
    found = only(silent(10))
    assert (found.kind, found.at_most, found.seconds) == ("silence", True, 300.0)
    assert "at most 5 min" in found.text({})
    survived = idle(0.0)._replace(last=4000.0, quiet=300.0, quiet_at=4000.0)
    one = silent(10)
    assert not limits([one._replace(lives=[*one.lives, survived])])


def test_a_polite_close_is_a_keep_alive_timeout_and_no_fault() -> None:
    lives = [one._replace(polite=True) for one in in_turn(5.0, 6, made=idle)]
    found = only(leg("a", "x", held(0, last=900.0), *lives, speaks=False))
    assert found.polite
    assert "a keep-alive timeout, and no fault" in found.text({})


def test_legs_with_one_limit_are_one_finding_at_the_smallest_place() -> None:
    a = leg("a", "wan tunnel hop", *in_turn(100.0), tcp_ends_at="wan")
    b = leg("b", "hop", *[one._replace(opened=one.opened + 0.2, dead_from=one.dead_by + 0.2,
        dead_by=one.dead_by + 0.2) for one in in_turn(100.0)])  # fmt: skip
    found = only(a, b)
    assert found.legs == ("a", "b")
    assert found.one_of == (("hop",),)
    apart = leg("b", "other", *in_turn(100.0))
    assert len(limits([a, apart])) == 2


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(0, 1e4), st.floats(0.01, 1e4), st.booleans()),
        max_size=30,
    )
)
def test_whatever_lived_no_limit_is_outlived_and_each_was_seen_often_enough(
    some: list[tuple[bool, float, float, bool]],
) -> None:
    lives = [
        (held if beats else idle)(at, at + age if dies else None) for beats, at, age, dies in some
    ]
    for found in limits([leg("a", "x", *lives)]):
        assert found.deaths >= 3
        assert found.spread_seconds <= near(found.seconds + found.spread_seconds)
        if found.kind == "age":
            late = [one for one in lives if one.seen >= found.first]
            assert max(one.reach for one in late) <= found.seconds + near(found.seconds)


@pytest.mark.parametrize("cause", ["memoryless", "even", "usual age", "restarts", "mixed"])
def test_random_deaths_make_almost_none(cause: str) -> None:
    world = _world()
    wrong = sum(bool(limits(world(cause, seed).legs)) for seed in range(60))
    assert wrong <= (0 if cause in ("memoryless", "restarts", "mixed") else 1)


@pytest.mark.parametrize("cause", ["age", "silence"])
def test_true_limits_are_found_and_nothing_else(cause: str) -> None:
    world, found, could = _world(), 0, 0
    for seed in range(60):
        one = world(cause, seed)
        deaths = [sum(life.dead_by is not None for life in leg.lives) for leg in one.legs]
        seen = limits(one.legs)
        assert all(one.right(each) for each in seen)
        could += max(deaths) >= 8
        found += max(deaths) >= 8 and bool(seen)
    assert could >= 10
    assert found >= 0.9 * could


def _world() -> Any:
    spec = importlib.util.spec_from_file_location("limits_bench", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.World
