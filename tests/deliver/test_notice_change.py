"""Which change of what is convicted makes a message: on made-up looks and a fake clock."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from t3probe.deliver.notices.change import ConvictedLook, Standing, Turn, step

SETTLE = 60.0
NAMES = ("tunnel", "traefik", "serve")


def look(at: float, broken: str = "", cleared: str = "", stalled: bool = False) -> ConvictedLook:
    found = {name: at for name in broken.split(",") if name}
    return ConvictedLook(at, found, frozenset(cleared.split()), stalled)


def told(looks: Sequence[ConvictedLook], settle: float = SETTLE) -> list[tuple[float, Turn]]:
    standing = Standing()
    turns = [(one.at, step(standing, one, settle)) for one in looks]
    return [(at, turn) for at, turn in turns if turn is not None]


def test_one_message_when_it_has_lasted_and_one_when_it_is_over() -> None:
    looks = [look(t, "tunnel") for t in range(0, 300, 10)]
    looks += [look(t, cleared="tunnel") for t in range(300, 600, 10)]
    (first, began), (last, over) = told(looks)
    assert (first, dict(began.begun), dict(began.over)) == (60, {"tunnel": 60}, {})
    assert (last, dict(over.begun), dict(over.broken)) == (360, {}, {})
    assert dict(over.over) == {"tunnel": 60}


def test_a_thousand_flaps_within_settle_make_none() -> None:
    looks = []
    for number in range(1000):
        looks += [look(number * 50, "tunnel"), look(number * 50 + 25, cleared="tunnel")]
    assert told(looks) == []


def test_a_thousand_slow_flaps_make_at_most_one_a_settle() -> None:
    looks = []
    for number in range(1000):
        start = number * 140
        looks += [look(start + t, "tunnel") for t in (0, 35, 70)]
        looks += [look(start + t, cleared="tunnel") for t in (71, 100, 139)]
    times = [at for at, _ in told(looks)]
    assert len(times) > 900
    assert all(b - a >= SETTLE for a, b in pairwise(times))


def test_a_verdict_that_outlives_its_drop_makes_no_flap_last() -> None:
    def after(at: float, last: float) -> ConvictedLook:
        return ConvictedLook(at, {"tunnel": 0.0}, frozenset(), newest={"tunnel": last})

    assert told([after(t, 1.0) for t in range(1, 300, 10)]) == []
    cut_again_and_again = [after(t, t // 30 * 30) for t in range(1, 300, 10)]
    assert [at for at, _ in told(cut_again_and_again)] == [61]


def test_what_breaks_soon_after_a_message_waits_for_its_turn() -> None:
    looks = [look(t, "tunnel" if t < 10 else "tunnel,serve") for t in range(0, 300, 5)]
    (first, one), (second, two) = told(looks)
    assert (first, list(one.broken)) == (60, ["tunnel"])
    assert (second, list(two.begun)) == (120, ["serve"])


def test_what_cannot_be_told_neither_begins_nor_ends() -> None:
    broken = [look(t, "tunnel") for t in range(0, 100, 10)]
    assert len(told([*broken, *(look(t) for t in range(100, 9000, 10))])) == 1
    assert told([look(t) for t in range(0, 9000, 10)]) == []


def test_nothing_while_the_prober_stalls() -> None:
    assert told([look(t, "tunnel", stalled=True) for t in range(0, 900, 10)]) == []
    looks = [look(t, "tunnel") for t in range(0, 100, 10)]
    looks += [look(t, cleared="tunnel", stalled=True) for t in range(100, 900, 10)]
    assert len(told(looks)) == 1


def test_a_clock_that_is_set_back_makes_no_message_and_stops_none() -> None:
    looks = [look(1e6 + t, "tunnel") for t in range(0, 100, 10)]
    looks += [look(5 + t, "tunnel") for t in range(0, 100, 10)]
    looks += [look(200 + t, cleared="tunnel") for t in range(0, 100, 10)]
    assert [bool(turn.broken) for _, turn in told(looks)] == [True, False]


def test_one_of_several_that_is_told_apart_is_not_over() -> None:
    looks = [look(t, "tunnel or traefik") for t in range(0, 100, 10)]
    looks += [look(t, "tunnel", cleared="traefik") for t in range(100, 300, 10)]
    (_, first), (_, second) = told(looks)
    assert list(first.broken) == ["tunnel or traefik"]
    assert list(second.broken) == ["tunnel"]
    assert list(second.over) == ["tunnel or traefik"]


STATES = st.sampled_from(["broken", "cleared", "unknown"])
LOOKS = st.lists(
    st.tuples(st.floats(0.1, 100), st.tuples(STATES, STATES, STATES), st.booleans()), max_size=60
)


def made(drawn: Sequence[tuple[float, Sequence[str], bool]]) -> list[ConvictedLook]:
    looks, now = [], 0.0
    for pause, states, stalled in drawn:
        now += pause
        by = dict(zip(NAMES, states, strict=True))
        broken = {name: now for name in NAMES if by[name] == "broken"}
        cleared = frozenset(name for name in NAMES if by[name] == "cleared")
        looks.append(ConvictedLook(now, broken, cleared, stalled))
    return looks


@given(LOOKS)
def test_messages_are_apart_and_each_is_founded(
    drawn: list[tuple[float, tuple[str, str, str], bool]],
) -> None:
    looks = made(drawn)
    turns = told(looks)
    times = [at for at, _ in turns]
    assert all(b - a >= SETTLE for a, b in pairwise(times))
    before: set[str] = set()
    for at, turn in turns:
        known = [one for one in looks if one.at <= at and not one.stalled]
        for name in turn.begun:
            seen = [one.at for one in known if name in one.broken]
            assert seen, "never seen broken"
            assert max(seen) - min(seen) >= SETTLE
        for name in turn.over:
            seen = [one.at for one in known if name in one.cleared]
            assert seen, "never seen cleared"
            assert max(seen) - min(seen) >= SETTLE
        assert set(turn.broken) != before
        assert set(turn.broken) == (before | set(turn.begun)) - set(turn.over)
        before = set(turn.broken)


@given(LOOKS)
def test_a_look_while_stalled_is_as_if_it_had_not_been(
    drawn: list[tuple[float, tuple[str, str, str], bool]],
) -> None:
    looks = made(drawn)
    assert told(looks) == told([one for one in looks if not one.stalled])


@given(LOOKS)
def test_a_restart_between_two_looks_changes_nothing(
    drawn: list[tuple[float, tuple[str, str, str], bool]],
) -> None:
    standing, turns = Standing(), []
    for one in made(drawn):
        turn = step(standing, one, SETTLE)
        standing = msgspec.json.decode(msgspec.json.encode(standing), type=Standing)
        if turn is not None:
            turns.append((one.at, turn))
    assert turns == told(made(drawn))
