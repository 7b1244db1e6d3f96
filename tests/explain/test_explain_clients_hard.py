"""Records that are easily believed too much, or too little."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import msgspec
import pytest
from explain_records import START, client_record, drop, gap
from simulated_person import Evening
from verdict.simulated_world import Breaks, random_breaks

from t3probe.ask.explain.clients import client_at
from t3probe.ask.explain.from_runs import run_seen
from t3probe.ask.explain.judge import Explained, explain
from t3probe.ask.explain.moment import Moment
from t3probe.ask.explain.seen import way_of
from t3probe.ask.explain.sentences import headline
from t3probe.ask.explain.window import Question
from t3probe.record.client import read_client
from t3probe.record.facts import Recording

CUT = drop(18.0, 20.0, 20.3)
AMS = [{"at": START, "colo": "AMS", "family": 6}]
DOWN = {"symptom": "down", "strand": "both", "reason": "rtt_timeout"}


def ran(*breaks: Breaks, seed: int = 3) -> Recording:
    """A run of ours."""
    return Evening(breaks, seed).told()[0]


def failing(*at: float) -> list[list[Any]]:
    """Fresh tries of the page that failed."""
    return [[START + one, None, -1] for one in at]


def beats_until(last: float) -> list[list[Any]]:
    """Good beats every ten seconds, the newest at `last`."""
    return [[START + last - 10.0 * back, 5, 5] for back in range(int(last // 10), -1, -1)]


def answer(
    run: Recording, at: float, *some: dict[str, Any], window: float = 60.0, people: int = 0
) -> Explained:
    """The answer to a question of so many seconds after the run's start."""
    question = Question(START + at, window, START + 4000.0, max(1, len(some), people))
    clients = [
        client_at(f"n{number}", read_client(msgspec.json.encode(one), "it"), START + at, window,
                  (0.0, 0.0))
        for number, one in enumerate(some)
    ]  # fmt: skip
    seen = run_seen(run, clients)
    return explain(question, [seen], way_of(None, [seen], (), None), clients)


def said(told: Explained) -> str:
    return headline(told, Moment(told.question.at, None, "then"))


@pytest.mark.parametrize(
    "breaks",
    [Breaks("doh", "cut", 20.0, 20.1), Breaks("serve", "silence", 13.3, 32.3, keeps=False)],
)
def test_a_page_that_saw_nothing_does_not_turn_a_suspicion_into_a_conviction(
    breaks: Breaks,
) -> None:
    """It clears the last mile of what it did not see, and so must not make the rest of the way
    explain it."""
    for seed in range(30):
        run = ran(breaks, seed=seed)
        alone, with_it = answer(run, 20), answer(run, 20, client_record())
        assert set(with_it.verdict.convicted) <= set(alone.verdict.convicted), seed


def test_runs_that_contradict_themselves_accuse_nobody() -> None:
    for seed in range(60):
        rng = random.Random(f"contradiction {seed}")
        run = ran(dataclasses.replace(random_breaks(rng), half=True), random_breaks(rng), seed=seed)
        for record in (
            client_record(),
            client_record(drops=[drop(16, 40, 41)], gaps=[gap("slept", 16.5, 39)]),
        ):
            told = answer(run, 20, record)
            if told.outage is not None and told.verdict.status == "inconsistent":
                assert told.finding == "unclear"
            if told.finding in ("ours", "ours_one_of", "both"):
                assert told.convicted or told.suspects
                assert "one of  " not in said(told)


def test_what_may_have_broken_beside_the_way_is_not_one_of_two_things_at_once() -> None:
    slept = client_record(drops=[drop(17, 20, 40, symptom="down")], gaps=[gap("slept", 17.5, 35)])
    told = answer(ran(Breaks("doh", "cut", 20.0, 20.1), seed=4), 20, slept)
    assert told.finding in ("unclear", "their_device")


def test_nothing_is_proven_while_our_own_legs_see_the_way_broken_in_that_outage() -> None:
    run = ran(Breaks("tunnel", "gone", 26.0, 34.0))
    long = client_record(
        drops=[drop(3.0, 5.5, 35.0, **DOWN)], beats=failing(*range(6, 36, 3)), made=START + 60
    )
    told = answer(run, 6, long)
    assert (told.finding, told.proven) == ("unclear", False)
    assert not told.verdict.convicted


def test_an_answer_that_is_unclear_convicts_nobody() -> None:
    down = drop(6.0, 8.2, 33.0, edge_answered=True, **DOWN)
    told = answer(ran(), 20, client_record(drops=[down], beats=failing(8.4, 12, 18, 24, 31)))
    assert told.finding == "unclear"
    assert told.verdict.convicted == ()


@pytest.mark.parametrize("turned", [False, True])
def test_what_is_cleared_for_one_person_is_not_cleared_for_another(turned: bool) -> None:
    both = [client_record(drops=[CUT], edges=AMS), client_record(drops=[CUT])]
    told = answer(ran(), 20, *(reversed(both) if turned else both))
    assert "cf-edge" not in told.verdict.exonerated
    assert told.finding == "their_edge"


def test_of_two_people_only_the_one_who_dropped_is_named() -> None:
    told = answer(ran(), 20, client_record(drops=[CUT]), client_record())
    assert "the last mile of n0, or a network that these people share" in said(told)
    assert "last-mile-2" not in told.verdict.convicted


def test_a_leg_that_reached_one_address_of_two_proves_nothing() -> None:
    run = ran()
    tries = [
        {"address": "203.0.113.7:443", "ok": True},
        {"address": "203.0.113.8:443", "ok": False},
    ]
    seen = [
        msgspec.convert({**msgspec.to_builtins(one), "addresses": tries}, type(one))
        if "cf-edge" in one.path
        else one
        for one in run.observations
    ]
    told = answer(Recording(run.run, tuple(seen)), 20, client_record(drops=[CUT]))
    assert not told.proven


@pytest.mark.parametrize(
    "more",
    [
        {"edges": [{"at": START, "colo": None, "family": 4}]},
        {"edges": [{"at": START + 40, "colo": "FRA", "family": 4}], "left_out": {"edges": 3}},
        {"gaps": [gap("late", 30, 31)], "left_out": {"gaps": 30}},
    ],
    ids=["no place", "a later place", "gaps that are gone"],
)
def test_what_is_not_known_proves_nothing(more: dict[str, Any]) -> None:
    assert not answer(ran(), 20, client_record(drops=[CUT], **more)).proven


def test_an_offline_flag_is_not_believed_against_answers() -> None:
    good = [[START + 8, 5, 5], [START + 17, 5, 5]]
    record = client_record(drops=[CUT], gaps=[gap("offline", 6.0, 60.0)], beats=good)
    assert answer(ran(), 20, record).finding == "last_mile"


def test_a_nap_does_not_explain_what_lasts_long_after_it() -> None:
    record = client_record(
        drops=[drop(18.0, 29.0, 300.0, symptom="down", strand="both")], made=START + 400,
        gaps=[gap("slept", 18.5, 28.5)], beats=failing(*range(29, 290, 3)),
    )  # fmt: skip
    assert answer(ran(), 20, record).finding != "their_device"


def test_a_sleep_that_began_after_the_lost_beat_is_not_its_cause() -> None:
    lost = drop(6.0, 28.0, 28.3, reason="rtt_timeout")
    record = client_record(drops=[lost], gaps=[gap("slept", 20, 27)])
    assert answer(ran(), 20, record).finding != "their_device"


def test_an_outage_of_ours_just_outside_of_the_window_is_seen() -> None:
    record = client_record(
        drops=[drop(3.0, 49.0, 50.0)], gaps=[gap("slept", 3.2, 48.0)], began=START
    )
    told = answer(ran(Breaks("traefik", "gone", 2.0, 12.0)), 60, record, window=20.0)
    assert told.finding in ("ours", "ours_one_of", "both", "unclear")


@pytest.mark.parametrize(
    "more",
    [
        {"gaps": [gap("slept", 10, 60)]},
        {"beats": [[START + at, None, None] for at in range(6, 60, 10)]},
        {"left_out": {"drops": 7}},
    ],
    ids=["asleep", "told nothing", "drops that are gone"],
)
def test_a_record_that_could_not_see_a_drop_does_not_say_there_was_none(
    more: dict[str, Any],
) -> None:
    assert answer(ran(), 20, client_record(**more)).finding != "no_drop"


def held(last_good: float, ended: float | None = None) -> dict[str, Any]:
    """A connection of the page, at seconds from the run's start."""
    over = None if ended is None else START + ended
    return {"began": START + 5, "opened": START + 5.2, "last_good": START + last_good,
            "ended": over}  # fmt: skip


@pytest.mark.parametrize(
    ("more", "at"),
    [
        ({"beats": beats_until(12), "made": START + 24}, 20),  # no beat is near enough
        ({"beats": [*beats_until(16), [START + 21.9, None, None]], "made": START + 23}, 16),
        ({"beats": beats_until(19), "gaps": [gap("offline", 19.2, None)], "made": START + 22}, 19),
        (
            {
                "beats": [*beats_until(16), [START + 26, None, 5]],
                "connections": [held(16.0)],
                "made": START + 33,
            },
            20,
        ),
        ({"beats": [], "edges": []}, 20),
        ({"beats": beats_until(60), "began": START + 20.3}, 20),
    ],
    ids=[
        "made too soon",
        "an answer is awaited",
        "offline",
        "only new ones",
        "nothing",
        "begun too late",
    ],
)
def test_a_record_of_which_nobody_knows_whether_it_would_have_shown_a_drop_says_nothing(
    more: dict[str, Any], at: float
) -> None:
    """Whoever presses the button as soon as it hangs, presses it before the page has noticed."""
    told = answer(ran(), at, client_record(**more))
    assert told.finding != "no_drop"
    assert not told.covering


def test_a_record_that_was_made_in_the_minute_that_is_meant_tells_of_it() -> None:
    record = client_record(beats=beats_until(28), made=START + 30)
    for began, covers in ((START - 10, True), (START + 10, False)):
        read = read_client(msgspec.json.encode(record | {"began": began}), "it")
        assert client_at("n", read, START, 60.0, (0.0, 60.0)).covers is covers


def test_a_connection_that_lived_on_after_a_try_had_failed_is_compared_until_it_ended() -> None:
    """A try failed at 17 s, and ours cut what was open at 24 s, while the second look went on."""
    run = ran(Breaks("tunnel", "cut", 24.0, 24.1))
    cut = drop(15.0, 17.0, 24.5, age_seconds=18.9)
    told = answer(run, 24, client_record(drops=[cut], connections=[held(16.0, 24.1)]))
    assert (told.finding, told.convicted, told.proven) == ("ours", ("tunnel",), False)
    assert told.proved(told.clients[0]).isdisjoint({"tunnel"})
    assert told.witnesses


def test_how_a_connection_ended_is_no_word_of_the_tries_that_failed_before_it() -> None:
    down = drop(18.0, 20.0, 33.0, symptom="down", strand="both", age_seconds=25.0)
    kept, lost = held(19.0), held(19.0, 30.0)
    first = answer(ran(), 20, client_record(drops=[down], connections=[kept]))
    later = answer(ran(), 20, client_record(drops=[down], connections=[lost]))
    assert (first.finding, later.finding) == ("last_mile", "unclear")


def test_a_place_that_any_run_of_ours_met_is_no_other_one() -> None:
    """The person's outage goes on over two runs, and the CDN answered them at two places."""
    run = ran()
    met = [msgspec.structs.replace(one, colo="AMS" if one.colo else "") for one in run.observations]
    before = msgspec.structs.replace(run.run, started_at=START - 55.0)
    down = drop(-20.0, 15.0, 20.0, age_seconds=None, **DOWN)
    record = read_client(msgspec.json.encode(client_record(drops=[down], began=START - 99.0)), "it")
    client = client_at("n", record, START + 15, 60.0, (0.0, 0.0))
    seen = [run_seen(Recording(before, tuple(met)), [client]), run_seen(run, [client])]
    told = explain(
        Question(START + 15, 60.0, START + 99.0), seen, way_of(None, seen, (), None), [client]
    )
    assert told.our_edges(client) == ("cf-edge", (("AMS", 4), ("FRA", 4)))
    assert not told.other_edge(client)


def test_a_connection_that_was_good_before_a_sleep_and_after_it_did_not_drop() -> None:
    held = {"began": START + 5, "opened": START + 5.2, "last_good": START + 60, "ended": None}
    record = client_record(gaps=[gap("slept", 10, 50)], connections=[held])
    told = answer(ran(), 20, record)
    assert told.finding == "no_drop"
    assert told.verdict.convicted == ()


def test_many_people_and_a_few_clean_records() -> None:
    told = answer(ran(), 20, client_record(), client_record(), people=22, window=20.0)
    assert "shared-network" not in told.verdict.convicted


def test_three_drops_one_after_the_other_are_nothing_shared() -> None:
    some = [
        client_record(drops=[drop(at - 2, at, at + 0.3, age_seconds=2.0)]) for at in (9, 17, 27)
    ]
    assert answer(ran(), 17, *some).finding != "shared_blind_spot"


def test_an_outage_that_began_after_their_drop_was_noticed_does_not_explain_it() -> None:
    """Not even where nothing else proves that the way was well."""
    old = client_record(drops=[drop(6.0, 8.0, 8.3, age_seconds=900.0)])
    told = answer(ran(Breaks("traefik", "gone", 18.0, 24.0)), 8, old)
    assert told.witnesses == ()
    assert "traefik" not in told.verdict.convicted


def test_what_was_answered_before_they_failed_proves_nothing() -> None:
    """Our beats are at 0, 10, 20 and 30 s; it may have broken just after the one at 10 s."""
    down = drop(9.0, 12.0, 15.0, **DOWN)
    told = answer(ran(), 12, client_record(drops=[down], beats=failing(12.5, 13.8)))
    assert not told.proven
    assert told.proved(told.clients[0]) == frozenset()
