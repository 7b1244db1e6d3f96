"""A judged run as data, and as sentences; the fast ways against the plain ones."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import msgspec
import pytest
from verdict_script import bad, cut, down, good, judge, leg

from t3probe.observation import Observation, RunRecord
from t3probe.verdict import judge_run
from t3probe.verdict import run as run_module
from t3probe.verdict.drops import faults_of
from t3probe.verdict.timeline import Fault, Outage, Witness, outages


def test_the_json_form() -> None:
    run = judge(
        leg("x", "wan a", good(0, 10), cut(10.1, 20)), leg("y", "wan b", good(0, 30)), own="up"
    )
    told = run.to_dict()
    keys = ["incidents", "posterior", "convicted_by_repetition", "slowness"]
    assert list(told) == [*run.verdict.to_dict(), *keys]
    (incident,) = told["incidents"]
    verdict = incident.pop("verdict")
    assert verdict == {key: told[key] for key in verdict}
    assert incident == {
        "began_seconds": 10.1,
        "began": "2023-11-14T22:13:30.100Z",
        "noticed_seconds": 20,
        "noticed": "2023-11-14T22:13:40.000Z",
        "recovered_seconds": 20.2,
        "recovered": "2023-11-14T22:13:40.200Z",
        "symptom": "cut",
        "failed": ["x"],
        "cleared_by": {"y": "held through"},
        "carried": {},
        "text": "Between 10.100 s and 20.000 s x was cut and could reconnect at once: "
        "a is convicted.",
    }
    json.dumps(told)


def test_a_clean_run_has_an_empty_list_of_incidents() -> None:
    told = judge(leg("x", "wan a b c")).to_dict()
    assert told["incidents"] == []
    assert told["status"] == "clean"


def test_an_incident_that_is_not_over_has_no_recovery() -> None:
    told = judge(leg("x", "wan", down(1, 2))).to_dict()["incidents"][0]
    assert told["recovered_seconds"] is None
    assert told["recovered"] is None


SENTENCES = [
    (
        [leg("x", "a", down(1, 2)), leg("y", "b", down(1, 2)), leg("z", "a b", down(1, 2))],
        "Between 1.000 s and 2.000 s x, y and z were down: a and b are convicted.",
    ),
    (
        [leg("x", "wan a", cut(1, 2, symptom="unknown"))],
        "Between 1.000 s and 2.000 s x was lost, whether cut or down is not known: "
        "one of wan or a broke.",
    ),
    (
        [leg("x", "", down(1, 2))],
        "Between 1.000 s and 2.000 s x was down: "
        "the outcomes contradict each other, so nobody is convicted.",
    ),
    (
        [leg(f"x{at}", f"wan s{at}", down(1, 2)) for at in range(7)],
        "Between 1.000 s and 2.000 s x0, x1, x2, x3 and 3 more were down: "
        "one of wan or s0 broke, one of wan or s1 broke, one of wan or s2 broke, "
        "one of wan or s3 broke, one of wan or s4 broke, and 2 more such groups.",
    ),
]


@pytest.mark.parametrize(("seen", "sentence"), SENTENCES, ids=range(len(SENTENCES)))
def test_one_sentence(seen: list[Observation], sentence: str) -> None:
    assert judge(*seen).incidents[0].text == sentence


def test_many_incidents_are_listed_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "INCIDENTS_LIMIT", 3)
    drops = [cut(2 * at, 2 * at + 0.5) for at in range(9)]
    worst = leg("y", "b", down(5.6, 5.7))
    run = judge(leg("x", "wan a", *drops), worst)
    assert len(run.incidents) == 10
    told = run.to_dict()
    assert told["incidents_truncated"] is True
    assert [one["began_seconds"] for one in told["incidents"]] == [5.6, 0, 2], "the worst first"
    assert told["convicted"] == ["b"]
    assert told["at_least_one_of"] == [["wan", "a"]]


def test_the_runs_verdict_holds_for_incidents_that_are_not_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_module, "INCIDENTS_LIMIT", 2)
    # Without a segment of its own a leg cannot have failed.
    run = judge(leg("x", "", cut(1, 2), cut(4, 5), cut(7, 8)), leg("y", "a", cut(10, 11)))
    assert run.verdict.convicted == ("a",)
    assert run.verdict.contradictions == ("x",)
    assert [one["began_seconds"] for one in run.to_dict()["incidents"]] == [1, 4]


def test_a_record_without_segments_learns_them_from_the_legs() -> None:
    run = judge_run(RunRecord(), [leg("x", "wan a", down(1, 2, carried=("far",), carried_at=1.5))])
    assert run.verdict.exonerated == ("far",)
    assert set(run.verdict.labels()) == {"wan", "a", "far"}
    assert judge_run(RunRecord(), []).to_dict()["status"] == "clean"


def test_two_observations_of_one_name_both_count() -> None:
    run = judge(leg("x", "a", down(1, 2)), leg("x", "b", down(1, 2)), segments="a b")
    assert [one.failed for one in run.incidents] == [("x",), ("x (2)",)]
    assert run.verdict.convicted == ("a", "b")


def test_the_extra_leg_comes_from_the_records_paths() -> None:
    record = RunRecord(segments=("wan", "a"), paths=(("wan", "a"),))
    run = judge_run(record, [leg("x", "wan a", down(1, 2))])
    assert run.verdict.extra_leg == ("wan",)


def test_an_interval_that_ends_before_it_begins_is_a_moment() -> None:
    run = judge(leg("x", "wan a", down(5, 4)))
    assert (run.incidents[0].began, run.incidents[0].noticed) == (5, 5)


def random_leg(rng: random.Random, name: str, *, drops: bool) -> Observation:
    at = 0.0
    facts: list[object] = []
    conn = 0
    while at < 30:
        at += rng.choice([0.5, 1.0, 4.0])
        kind = rng.random()
        if kind < 0.15:
            conn += 1
        facts.append(bad(at, conn=conn) if kind > 0.95 else good(at, conn=conn, call=int(at // 10)))
    for _ in range(rng.randint(1, 2) if drops else 0):
        began = rng.choice([2.0, 8.5, 9.0, 15.0, 21.0])
        made = rng.choice([down, down, down, cut])
        facts.append(made(began, began + rng.choice([0.0, 1.0, 6.0]), call=rng.randint(0, 3)))
    level = rng.choice(["connect", "ask", "hold", "hold"])
    return leg(name, f"wan {name}", *facts, level=level)


def clears(witness: Witness, fault: Fault) -> bool:
    how = witness.clears(fault)
    return how == "held through" or (how is not None and witness.level >= fault.level)


def weakly(witness: Witness) -> Callable[[Fault], object]:
    """Whether it was at work at all then, whatever it exercised."""
    return lambda fault: witness.clears(fault._replace(need="any", age=0.0))


def test_the_quick_looks_agree_with_a_look_at_every_drop() -> None:
    rng = random.Random(9)
    cleared = 0
    for _ in range(400):
        broken = [random_leg(rng, f"x{at}", drops=True) for at in range(3)]
        whole = random_leg(rng, "y", drops=False)
        witness = Witness(whole)
        for outage in outages([(one.leg, one) for one in broken]):
            plain = {fault.leg for fault in outage.faults if not clears(witness, fault)}
            found = outage.cleared_by(witness)
            assert (found is None) == (not any(map(weakly(witness), outage.faults)))
            if found is not None:
                assert found[1] == plain
                assert (found[0] == "beside") == bool(plain)
                cleared += not plain
    assert cleared > 50


def told_together(one: Fault, other: Fault, paths: dict[str, set[str]]) -> bool:
    """The rule itself, for two drops."""
    overlap = one.since <= other.noticed and other.since <= one.noticed
    near = overlap or abs(one.noticed - other.noticed) <= 1
    return near and not paths[one.leg].isdisjoint(paths[other.leg])


def test_incidents_are_what_is_told_together_and_hold_all_drops() -> None:
    rng = random.Random(10)
    several = 0
    for _ in range(200):
        seen = [
            msgspec.structs.replace(
                random_leg(rng, f"x{at}", drops=True),
                path=tuple(rng.sample(["wan", "a", "b", "c", "d"], rng.randint(1, 2))),
            )
            for at in range(5)
        ]
        paths = {one.leg: set(one.path) for one in seen}
        left = [fault for one in seen for fault in faults_of(one.leg, one)]
        wanted = []
        while left:
            group, grown = [left.pop()], True
            while grown:
                near = [one for one in left if any(told_together(one, o, paths) for o in group)]
                left = [one for one in left if one not in near]
                group += near
                grown = bool(near)
            wanted.append(sorted(group))
        found = outages([(one.leg, one) for one in seen])
        assert sorted(sorted(one.faults) for one in found) == sorted(wanted)
        several += len(found) > 1
    assert several > 50


def test_two_drops_alike_in_all_but_their_recovery() -> None:
    x = leg("x", "wan a", down(1, 2), down(1, 2, recovered=3.0))
    (outage,) = outages([("x", x)])
    assert isinstance(outage, Outage)
    assert outage.recovered is None
