"""Which segment is slow: named when the legs can tell, and never one that a leg has cleared."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slowness_script import REFERENCE, paced, reference, slowness
from verdict_script import down

from t3probe.observation import Baseline, Observation, RunRecord
from t3probe.show.summary import render
from t3probe.verdict.incident.run import judge_run
from t3probe.verdict.slow.excess import Span, explain

SEGMENTS = list(dict.fromkeys(name for path in REFERENCE.values() for name in path.split()))
replace = msgspec.structs.replace


def slow_segments(found: Any) -> list[str]:
    return [name for name, value in found.segments.items() if value]


# -- the reference deployment ------------------------------------------------------------------


@pytest.mark.parametrize("segment", [one for one in SEGMENTS if one != "wall"])
def test_each_slow_segment_is_named(segment: str) -> None:
    found = slowness(reference({segment: 0.1}))
    assert found.status == "localised", found.text
    assert slow_segments(found) == [segment]
    assert found.segments[segment] == pytest.approx(0.1)
    assert f"{segment} is slow and adds 100 ms to " in found.text


def test_nothing_slow_clears_everything() -> None:
    found = slowness(reference({}))
    assert found.status == "usual"
    assert found.segments == dict.fromkeys(SEGMENTS, 0.0)


def test_a_segment_with_no_leg_that_could_be_judged_is_absent() -> None:
    seen = [*reference({}, ["internal"]), paced("x", "wan", 0.01, None)]
    assert "wan" not in slowness(seen).segments


def test_without_the_edge_leg_a_group_is_named() -> None:
    found = slowness(reference({"cf-edge": 0.1}, [one for one in REFERENCE if one != "edge"]))
    assert found.status == "ambiguous"
    assert slow_segments(found) == []
    (group,) = found.to_dict()["ambiguous_groups"]
    assert group["segments"] == ["cf-edge", "tunnel"]
    assert group["excess_seconds"] == pytest.approx(0.1)
    assert found.text == "one of cf-edge or tunnel is slow and adds 100 ms to cloudflare"
    assert "cf-edge" not in found.segments


def test_two_slow_segments_are_two() -> None:
    found = slowness(reference({"cf-edge": 0.1, "devvm": 0.3}))
    assert found.status == "localised"
    assert found.text.startswith("the legs' excesses differ, so more than one segment is slow: ")
    assert slow_segments(found) == ["cf-edge", "devvm"]
    assert found.segments["cf-edge"] == pytest.approx(0.1, abs=0.03)
    assert found.segments["devvm"] == pytest.approx(0.3, abs=0.06)


def test_several_explanations_are_all_shown() -> None:
    legs = {"a": ("w x", 0.1), "b": ("x y", 0.3)}
    found = slowness([paced(name, path, 0.01 + add) for name, (path, add) in legs.items()])
    names = [[one.segments for one in each] for each in found.explained.explanations]
    assert names == [[("w",), ("y",)], [("x",), ("y",)]]
    assert found.status == "ambiguous"
    # y adds 300 ms by itself, or 200 ms beside x: the least is said.
    assert slow_segments(found) == ["y"]
    assert found.segments["y"] == pytest.approx(0.2, abs=0.02)
    assert found.text.endswith(" ms to b, and one of w or x is slow")


def test_more_than_three_are_not_told_apart() -> None:
    adds = {"a": 0.1, "b": 0.2, "c": 0.4, "d": 0.8}
    found = slowness([paced(name, name, 0.01 + add) for name, add in adds.items()])
    assert found.status == "ambiguous"
    assert "no few segments explain by how much: a by 100 ms" in found.text
    assert slow_segments(found) == []


# -- what is evidence --------------------------------------------------------------------------


def test_without_a_baseline_nothing_is_judged() -> None:
    seen = [replace(one, baseline=None) for one in reference({"tunnel": 5.0})]
    found = slowness(seen)
    assert (found.status, found.segments, found.legs) == ("unknown", {}, {})
    assert found.text == "could not tell: no leg has a baseline from earlier runs"


@pytest.mark.parametrize(
    "change",
    [
        {"baseline": Baseline(beats=29, moving_seconds=0.01)},
        {"outcome": "inconclusive"},
        {"outcome": "failed"},
        {"planned": "until noon"},
        {"beats": paced("x", "a", 0.01, beats=2).beats},
    ],
)
def test_who_is_not_judged(change: dict[str, Any]) -> None:
    seen = replace(paced("x", "a", 0.2), **change)
    assert slowness([seen, paced("y", "b", 0.01)]).status == "usual"
    assert "x" not in slowness([seen]).legs


def test_too_few_beats_that_are_slow_are_said() -> None:
    seen = [paced("x", "a", 12.0, beats=2), paced("y", "b", 0.01)]
    found = slowness(seen)
    assert (found.status, found.segments) == ("unknown", {"b": 0})
    assert found.text.endswith("one or two good beats, and slow ones, are too few of x")
    assert slowness(seen[:1]).text == found.text
    more = slowness([*seen, paced("z", "c", 0.2)])
    assert more.segments == {"b": 0, "c": pytest.approx(0.19)}
    run, judgement = judged(seen)
    said = " ".join(line.strip() for _, line in render(run, seen, judgement))
    assert "too few of x" in said


def test_a_leg_with_too_high_a_baseline_clears_nothing() -> None:
    seen = [paced("x", "a b", 0.11), paced("y", "a", 0.1, 0.2)]
    assert slow_segments(slowness(seen)) == []
    assert slow_segments(slowness([seen[0], paced("y", "a", 0.1, 0.1)])) == ["b"]


def test_failed_beats_do_not_count() -> None:
    seen = paced("x", "a", 0.01)
    bad = [replace(one, ok=False, measured_seconds=9.0) for one in seen.beats * 3]
    assert slowness([replace(seen, beats=(*seen.beats, *bad))]).status == "usual"


def test_both_floors_are_to_be_exceeded() -> None:
    def status(now: float, usual: float, **record: Any) -> str:
        return slowness([paced("x", "a", now, usual)], **record).status

    assert status(0.029, 0.01) == "usual"  # nearly three times as slow, and 19 ms
    assert status(0.031, 0.01) == "localised"
    assert status(0.145, 0.1) == "usual"
    assert status(0.155, 0.1) == "localised"
    assert status(0.031, 0.01, slow_floor_seconds=0.03) == "usual"


def test_of_a_bucket_only_what_lies_above_it_is_claimed() -> None:
    bounds = Baseline(beats=900, low_seconds=0.025, high_seconds=0.05)
    assert slowness([paced("x", "a", 0.07, baseline=bounds)]).status == "usual"
    found = slowness([paced("x", "a", 0.15, baseline=bounds)])
    told = found.to_dict()["legs"]["x"]
    assert told["excess_seconds"] == pytest.approx(0.1)
    assert (told["baseline_low_seconds"], told["baseline_seconds"]) == (0.025, 0.05)
    (delay,) = found.explained.sure
    assert delay.low < 0.1
    assert delay.high > 0.125
    # 70 ms may be 45 ms too many: that clears nothing.
    assert "a" not in slowness([paced("x", "a", 0.07, baseline=bounds)]).segments


def test_a_degraded_leg_clears_nothing_and_can_be_slow() -> None:
    seen = {one.leg: one for one in reference({"cf-edge": 0.1})}
    seen["resolver"] = replace(seen["resolver"], outcome="degraded")
    found = slowness(seen.values())
    # Now wan explains the same: only the resolver could have told.
    assert slow_segments(found) == []
    assert found.to_dict()["ambiguous_groups"][0]["segments"] == ["wan", "cf-edge"]
    seen = {one.leg: replace(one, outcome="degraded") for one in reference({"serve": 0.1})}
    seen["devvm"] = replace(seen["devvm"], outcome="passed")
    assert slow_segments(slowness(seen.values())) == ["serve"]


def test_a_leg_that_may_hide_the_delay_clears_nothing() -> None:
    # 100 ms more or less is nothing on a leg that takes a second.
    seen = [paced("x", "a b", 0.11), paced("y", "a", 1.05, 1.0)]
    assert slow_segments(slowness(seen)) == []
    assert slow_segments(slowness([seen[0], paced("y", "a", 0.011)])) == ["b"]
    # But it bounds: of three seconds it would show, whatever else is slow by less.
    more = [paced("x", "a b", 3.0), seen[1], paced("z", "c", 0.11)]
    assert slow_segments(slowness(more)) == ["b", "c"]


def test_a_handshake_clears_nothing_of_a_delay_that_answers_have() -> None:
    seen = [paced("egress", "wan", 0.01), paced("edge", "wan cf-edge", 0.11)]
    assert slowness(seen).to_dict()["ambiguous_groups"][0]["segments"] == ["wan", "cf-edge"]
    # But of another handshake's.
    other = paced("far", "wan cf-edge", 0.11, kind="tcp")
    assert slow_segments(slowness([seen[0], other])) == ["cf-edge"]


@pytest.mark.parametrize("clears", [None, ("traefik",), ()])
def test_a_fast_leg_clears_what_its_answers_prove(clears: tuple[str, ...] | None) -> None:
    """A pong that is as fast as ever says nothing of the application behind it."""
    slow = paced("internal", "traefik dispatch", 0.3)
    pinged = paced("pinged", "traefik dispatch", 0.01, clears=clears)
    told = slowness([slow, pinged])
    assert set(told.cleared) == {*(("traefik", "dispatch") if clears is None else clears)}
    if clears == ("traefik",):
        assert told.segments["dispatch"] == pytest.approx(0.29)


def test_a_slow_wall_names_nobody_and_a_fast_one_clears() -> None:
    found = slowness(
        [*reference({"dispatch": 0.1}), paced("w", "traefik wall", 0.3, kind="walled")]
    )
    assert slow_segments(found) == ["dispatch"]
    only = slowness([paced("w", "traefik wall", 0.3, kind="walled"), paced("x", "devvm", 0.01)])
    assert only.status == "ambiguous"
    assert slow_segments(only) == []
    assert only.text == "w is slow by 290 ms: what answers it need not be on its path"
    fast = [paced("w", "traefik wall", 0.01, kind="walled"), paced("x", "traefik devvm", 0.2)]
    assert slow_segments(slowness(fast)) == ["devvm"]


def test_a_leg_all_of_whose_segments_are_cleared_is_slow_at_its_end() -> None:
    seen = [one for one in reference({}) if one.leg != "devvm"]
    found = slowness([*seen, paced("devvm", "devvm", 0.2)])
    assert found.explained.unexplained == ("devvm",)
    assert slow_segments(found) == []
    assert found.status == "ambiguous"
    assert "all of its segments are cleared, so what answers at its end is slow" in found.text


def test_when_everything_is_slow_and_we_were_late_it_may_be_us() -> None:
    seen = [paced("x", "a b", 0.11), paced("y", "b c", 0.11)]
    late = slowness(seen, loop_lag_seconds=0.06)
    assert late.status == "unknown"
    assert late.segments == {}
    assert "our own event loop was late by 60 ms" in late.text
    assert slow_segments(slowness(seen, loop_lag_seconds=0.01)) == ["b"]
    # A leg that is as fast as usual clears us.
    assert slow_segments(slowness([*seen, paced("z", "d", 0.01)], loop_lag_seconds=0.06)) == ["b"]


# -- properties --------------------------------------------------------------------------------


@st.composite
def topologies(draw: Any) -> dict[str, tuple[str, ...]]:
    """Legs over some of six segments."""
    path = st.lists(st.sampled_from("abcdef"), min_size=1, unique=True)
    return {f"leg{at}": tuple(one) for at, one in enumerate(draw(st.lists(path, min_size=1)))}


def column(legs: dict[str, tuple[str, ...]], segment: str) -> frozenset[str]:
    return frozenset(name for name, path in legs.items() if segment in path)


@settings(deadline=None)
@given(topologies(), st.data())
def test_one_slow_segment_with_legs_of_its_own_is_found_and_no_other(
    legs: dict[str, tuple[str, ...]], data: Any
) -> None:
    segment = data.draw(st.sampled_from(sorted({one for path in legs.values() for one in path})))
    adds = data.draw(st.floats(0.05, 2.0))
    seen = []
    for name, path in legs.items():
        usual = data.draw(st.floats(0.001, 0.05))
        noise = data.draw(st.floats(-0.004, 0.004)) * (1 if usual > 0.005 else 0)
        now = usual + noise + (adds * data.draw(st.floats(0.95, 1.05)) if segment in path else 0)
        seen.append(paced(name, " ".join(path), now, usual))
    found = slowness(seen)
    same = [one for one in sorted(set("abcdef")) if column(legs, one) == column(legs, segment)]
    assert set(found.slow) == column(legs, segment)
    if same == [segment]:
        assert slow_segments(found) == [segment]
        assert found.segments[segment] == pytest.approx(adds, rel=0.15, abs=0.01)
        assert found.status == "localised"
    else:
        assert slow_segments(found) == []
        (group,) = found.explained.sure
        assert sorted(group.segments) == same


@settings(deadline=None)
@given(topologies(), st.data())
def test_a_segment_on_a_leg_as_fast_as_usual_is_never_named(
    legs: dict[str, tuple[str, ...]], data: Any
) -> None:
    adds = {name: data.draw(st.sampled_from([0.0, 0.05, 0.1, 0.4])) for name in legs}
    found = slowness(paced(name, " ".join(path), 0.01 + adds[name]) for name, path in legs.items())
    fast = {one for name, path in legs.items() if not adds[name] for one in path}
    named = {
        one for each in found.explained.explanations for delay in each for one in delay.segments
    }
    assert not named & fast
    assert all(found.segments[one] == 0 for one in fast)


@settings(deadline=None)
@given(topologies(), st.data())
def test_what_really_happened_is_among_the_explanations_or_a_smaller_one_is(
    legs: dict[str, tuple[str, ...]], data: Any
) -> None:
    there = sorted({one for path in legs.values() for one in path})
    broken = data.draw(st.lists(st.sampled_from(there), max_size=3, unique=True))
    delay = {one: data.draw(st.floats(0.05, 1.0)) for one in broken}
    sums = {name: sum(delay.get(one, 0) for one in path) for name, path in legs.items()}
    slow = {
        name: Span(legs[name], 0.9 * value, 1.1 * value) for name, value in sums.items() if value
    }
    cleared = {one for name, value in sums.items() if not value for one in legs[name]}
    found = explain(there, slow, cleared)
    if not slow:
        assert found.explanations == ()
        return
    sizes = {len(one) for one in found.explanations}
    assert len(sizes) == 1
    assert min(sizes) <= len(broken)
    for each in found.explanations:
        # Every delay can be had: at the ends of its range, all legs can be explained.
        for one in each:
            assert 0 <= one.low <= one.seconds <= one.high
        for span in slow.values():
            on = [one for one in each if one.segments[0] in span.path]
            assert sum(one.low for one in on) <= span.high + 1e-6
            assert sum(one.high for one in on) >= span.low - 1e-6
        for name, value in sums.items():
            if not value:
                assert not {seg for one in each for seg in one.segments} & set(legs[name])


# -- beside the verdict ------------------------------------------------------------------------


def judged(seen: list[Observation]) -> Any:
    segments = tuple(dict.fromkeys(name for one in seen for name in one.path))
    run = RunRecord(segments=segments, started_at=1_700_000_000.0)
    return run, judge_run(run, seen)


def test_slowness_stands_beside_a_conviction_and_changes_nothing_in_it() -> None:
    seen = reference({"tunnel": 0.1})
    # The machine's own answer clears it.
    broke = {"outcome": "failed", "drops": (down(1.0, 2.0, first_own="devvm"),)}
    some = [replace(one, **broke) if one.leg == "t3serve" else one for one in seen]
    run, with_slow = judged(some)
    quiet = [replace(one, baseline=None) for one in some]
    _, without = judged(quiet)
    assert with_slow.verdict == without.verdict
    assert with_slow.verdict.convicted == ("serve",)
    assert slow_segments(with_slow.slowness) == ["tunnel"]
    lines = [line for _, line in render(run, some, with_slow)]
    assert lines.index(
        "  also slow     tunnel is slow and adds 100 ms to cloudflare"
    ) > lines.index("VERDICT  serve is broken")


def test_the_summary_says_it_in_one_line_and_is_quiet_otherwise() -> None:
    seen = reference({"tunnel": 0.1})
    run, found = judged(seen)
    lines = [line for _, line in render(run, seen, found)]
    assert "  slow          tunnel is slow and adds 100 ms to cloudflare" in lines
    run, found = judged(reference({}))
    assert not [line for _, line in render(run, reference({}), found) if "slow" in line]


def test_the_json_form_and_the_record_alone_give_the_same() -> None:
    seen = reference({"tunnel": 0.1})
    run, found = judged(seen)
    told = found.to_dict()["slowness"]
    assert list(told) == [
        *("status", "text", "legs", "segments", "explanations"),
        *("ambiguous_groups", "unexplained", "latency"),
    ]
    assert told["legs"]["cloudflare"] == {
        "baseline_seconds": 0.01,
        "median_seconds": 0.11,
        "excess_seconds": 0.1,
        "slow": True,
    }
    back = msgspec.json.decode(msgspec.json.encode(seen), type=list[Observation])
    again = msgspec.json.decode(msgspec.json.encode(run), type=RunRecord)
    assert judge_run(again, back).to_dict()["slowness"] == told
    msgspec.json.encode(told)
