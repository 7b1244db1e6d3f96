"""What the gate and a comparison say, word for word, and where their figures begin and end."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from gate_runs import down, leg, run

from t3probe.observation import Beat
from t3probe.record.facts import Recording
from t3probe.show.compare import compare
from t3probe.show.compare.difference import FLOOR_SECONDS, LegChange, TimeChange
from t3probe.show.compare.lines import decision, headline, to_lines, to_markdown
from t3probe.verdict.exact.labels import Verdict
from t3probe.verdict.gate import label_of, named, sentences
from t3probe.verdict.incident.run import judge_run

LATER = 1_700_000_600.0


def verdict(recording: Any) -> Verdict:
    return judge_run(recording.run, recording.observations).verdict


# -- the gate -----------------------------------------------------------------------------------

BROKEN = verdict(run("cloudflare"))
UNCLEAR = verdict(run("cloudflare", without=("internal", "traefik")))
BEHIND = verdict(run("cloudflare", "internal", "traefik"))
BLIND = verdict(run(without=("cloudflare",)))


@pytest.mark.parametrize(
    ("judged", "gate", "said"),
    [
        (BROKEN, ("wan",), ["open: wan cleared"]),
        (BROKEN, ("wan", "dispatch"), ["open: wan, dispatch cleared"]),
        (BROKEN, ("tunnel",), ["closed: tunnel convicted"]),
        (BROKEN, ("wan", "tunnel"), ["closed: tunnel convicted"]),
        (
            UNCLEAR,
            ("dispatch",),
            ["closed: dispatch cannot be cleared; tunnel, traefik may have broken in their place"],
        ),
        (
            UNCLEAR,
            ("dispatch", "tunnel"),
            ["closed: dispatch, tunnel cannot be cleared; traefik may have broken in their place"],
        ),
        (
            UNCLEAR,
            ("dispatch", "tunnel", "traefik"),
            ["closed: dispatch, tunnel, traefik cannot be cleared"],
        ),
        (
            BEHIND,
            ("dispatch", "traefik"),
            [
                "closed: traefik convicted",
                "closed: dispatch cannot be cleared behind what is broken; probe again after "
                "the repair",
            ],
        ),
        (
            BLIND,
            ("tunnel", "wan"),
            ["closed: tunnel cannot be cleared, no leg that gave evidence crosses it"],
        ),
        (
            BLIND,
            ("nowhere",),
            ["closed: nowhere cannot be cleared, no leg that gave evidence crosses it"],
        ),
    ],
)
def test_the_gate_in_words(judged: Verdict, gate: tuple[str, ...], said: list[str]) -> None:
    assert sentences(judged, gate, {}) == said


def test_only_those_who_share_a_set_may_have_broken_in_its_place() -> None:
    """Two sets that have nothing to do with each other."""
    judged = msgspec.structs.replace(
        UNCLEAR,
        ambiguous=("a", "b", "c", "d"),
        at_least_one_of=(("a", "b"), ("c", "d"), ("b", "c")),
    )
    words = "closed: {} cannot be cleared; {} may have broken in their place"
    assert sentences(judged, ["a"], {}) == [words.format("a", "b")]
    assert sentences(judged, ["d"], {}) == [words.format("d", "c")]
    assert sentences(judged, ["b"], {}) == [words.format("b", "a, c")]


@pytest.mark.parametrize(
    ("text", "found"),
    [(None, ()), ("a", ("a",)), (" b , a,,b ", ("b", "a"))],
)
def test_which_segments_a_gate_names(text: str | None, found: tuple[str, ...]) -> None:
    assert named(text, ["a", "b"], "d.toml") == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "--gate: expected segments, found none; name one, or leave it"),
        (" , ", "--gate: expected segments, found none; name one, or leave it"),
        ("a,c", "--gate: expected segments of d.toml, found 'c'; known are a, b"),
    ],
)
def test_what_a_gate_cannot_name(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        named(text, (one for one in ("a", "b")), "d.toml")
    assert str(caught.value) == words


def test_every_label_is_found() -> None:
    assert [label_of(BROKEN, one) for one in ("wan", "tunnel")] == ["exonerated", "convicted"]
    assert label_of(UNCLEAR, "dispatch") == "ambiguous"
    assert label_of(BEHIND, "dispatch") == "masked"
    assert (label_of(BLIND, "tunnel"), label_of(BLIND, "nowhere")) == ("unobserved",) * 2


# -- a comparison's words -----------------------------------------------------------------------


def changed(before: Any, after: Any, name: str) -> LegChange:
    return next(one for one in compare(before, after).legs if one.leg == name)


def test_a_leg_in_planned_downtime_says_so() -> None:
    planned = msgspec.structs.replace(leg("edge", failed=True), planned="a window")
    change = changed(run(edge=planned), run(at=LATER), "edge")
    assert (change.before, change.after) == ("planned", "passed")
    assert (change.drops_before, change.drops_after) == (1, 0)


def test_drops_in_our_own_stalls_are_none() -> None:
    stalled = msgspec.structs.replace(down(), stalled=True)
    seen = msgspec.structs.replace(leg("edge", failed=True), outcome="inconclusive")
    seen = msgspec.structs.replace(seen, drops=(stalled, *seen.drops))
    assert changed(run(), run(edge=seen), "edge").drops_after == 1


def test_a_leg_that_ran_once_has_no_times_to_compare() -> None:
    change = changed(run(without=("edge",)), run(at=LATER), "edge")
    assert change == LegChange(
        leg="edge", before="", after="passed", drops_before=0, drops_after=0, paces=()
    )


def lines(before: Any, after: Any, *gate: str) -> str:
    return "\n".join(to_lines(compare(before, after, gate)))


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("FRA", "AMS", "colo FRA -> AMS"),
        ("FRA", "FRA", ""),
        ("FRA", "", ""),
        ("", "AMS", ""),
        ("FRA", "\x1b[31m" + "x" * 60, "colo FRA -> "),
    ],
)
def test_another_place_of_the_cdn_is_said(first: str, second: str, said: str) -> None:
    here, there = (msgspec.structs.replace(leg("edge"), colo=one) for one in (first, second))
    shown = lines(run(edge=here), run(edge=there, at=LATER))
    assert ("colo" in shown) == bool(said)
    assert said in shown
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "no regression in any segment" in shown, "it is nobody's fault"


def test_the_lines_of_legs_that_changed() -> None:
    shown = lines(run(without=("edge",)), run("cloudflare", at=LATER))
    assert "legs that changed" in shown
    assert "\n  edge            not run -> passed\n" in shown
    assert "\n  cloudflare      passed -> failed, drops 0 -> 1\n" in shown
    assert "\n  internal " not in shown
    assert "legs that changed" not in lines(run(), run(at=LATER))


def test_the_lines_of_times() -> None:
    slow = msgspec.structs.replace(
        leg("edge", rtt=0.05), phases={"connect": 0.01, "tls": 0.0308, "upgrade": 1.0}
    )
    shown = lines(run(), run(edge=slow, at=LATER))
    words = "    round trip 20 ms -> 50 ms (+30 ms, beyond the noise)"
    assert words in shown
    assert "connect" not in shown  # it did not change
    assert "tls" not in shown  # it changed by less than the noise
    assert "upgrade" not in shown  # it was not timed before
    # With three round trips the noise is not known; below the floor it does not matter.
    few = msgspec.structs.replace(slow, beats=slow.beats[:3], outcome="degraded")
    few = msgspec.structs.replace(few, phases={"connect": 0.0108, "tls": 0.031})
    shown = lines(run(), run(edge=few, at=LATER))
    assert "    tls 30 ms -> 31 ms (+1 ms, cannot be told from noise)" in shown
    assert "connect" not in shown
    slow = msgspec.structs.replace(slow, phases={"connect": 0.04, "tls": 0.03})
    words = "    connect 10 ms -> 40 ms (+30 ms, cannot be told from noise)"
    assert words in lines(run(), run(edge=slow, at=LATER))


def test_twenty_legs_and_then_a_number() -> None:
    names = [f"leg{at:02}" for at in range(23)]

    def recorded(count: int, failed: bool) -> Recording:
        one = leg("edge", failed=failed)
        seen = [msgspec.structs.replace(one, leg=name) for name in names[:count]]
        return Recording(run().run, tuple(seen))

    def both(count: int) -> tuple[str, str]:
        found = compare(recorded(count, False), recorded(count, True))
        return "\n".join(to_lines(found)), "\n".join(to_markdown(found))

    for shown in both(20):
        assert "leg19" in shown
        assert " more" not in shown
    lines, markdown = both(23)
    for shown in (lines, markdown):
        assert "leg19" in shown
        assert "leg20" not in shown
    assert "\n  ... and 3 more\n" in lines
    assert "| and 3 more |" in markdown


def test_markdown_tells_legs_only_when_one_changed() -> None:
    assert "outcome" not in "\n".join(to_markdown(compare(run(), run(at=LATER))))
    shown = "\n".join(to_markdown(compare(run(), run("cloudflare", at=LATER), ["tunnel"])))
    assert "Gate closed: tunnel convicted, and cleared before." in shown
    assert "| cloudflare | passed -&gt; failed, drops 0 -&gt; 1 |" in shown.replace(">", "&gt;")


def test_a_long_sentence_of_the_gate_goes_on_under_its_beginning() -> None:
    unclear = run("cloudflare", without=("internal", "traefik"), at=LATER)
    shown = lines(run(), unclear, "dispatch", "tunnel", "traefik").splitlines()
    at = next(at for at, one in enumerate(shown) if one.startswith("  gate  closed: "))
    assert shown[at + 1].startswith(" " * 8)
    assert shown[at + 1][8] != " "


def test_marks_behind_segments() -> None:
    shown = lines(run(), run("cloudflare", at=LATER), "wan")
    assert any(one.split() == ["tunnel", "cleared", "convicted", "worse,", "not", "gated"]
               for one in shown.splitlines())  # fmt: skip
    assert any(one.split() == ["wan", "cleared", "cleared"] for one in shown.splitlines())
    shown = lines(run("cloudflare"), run(at=LATER))
    assert any(one.split()[-1:] == ["better"] for one in shown.splitlines())


def test_a_blind_segment_that_is_convicted_later_is_worse_but_no_regression() -> None:
    found = compare(run(without=("cloudflare",)), run("cloudflare", at=LATER))
    course = {one.segment: (one.course, one.regression) for one in found.segments}
    assert course["tunnel"] == ("worse", False)
    back = compare(run("cloudflare"), run(without=("cloudflare",), at=LATER))
    assert {one.segment: one.course for one in back.segments}["tunnel"] == "better"


# -- warnings ------------------------------------------------------------------------------------


def told(**changes: Any) -> Any:
    one = run(at=LATER)
    return Recording(msgspec.structs.replace(one.run, **changes), one.observations)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ()),
        ({"interrupted": True, "partial": True}, ("the run after was interrupted",)),
        ({"partial": True}, ("the run after is only a part of the checks",)),
        ({"started_at": 1_700_000_000.0}, ()),
        (
            {"version": 1},
            (
                "the run after: this record is of 0.1: a connection's first beat counts as fresh, "
                "all others as held, so the verdict may be wider than it was then",
            ),
        ),
        ({"deployment": "x"}, ("the runs are of different deployments, 'here' and 'x'",)),
    ],
)
def test_warnings(changes: dict[str, Any], said: tuple[str, ...]) -> None:
    assert compare(run(), told(**changes)).warnings == said


@pytest.mark.parametrize("count", [5, 6, 8])
def test_legs_of_one_run_only_are_named_up_to_six(count: int) -> None:
    more = [msgspec.structs.replace(leg("edge"), leg=f"x{at}") for at in range(count)]
    one = run(at=LATER)
    (said,) = compare(run(), Recording(one.run, (*one.observations, *more))).warnings
    rest = {5: "x3 and x4", 6: "x3, x4 and x5", 8: "x3, x4 and 3 more"}[count]
    assert said == f"only the run after has x0, x1, x2, {rest}"


# -- figures --------------------------------------------------------------------------------------


def paced(*rtts: float) -> Any:
    beats = tuple(Beat(sent=0.0, ended=one, ok=True, conn=0, strand="held") for one in rtts)
    return msgspec.structs.replace(leg("edge"), beats=beats, phases={})


def trip(before: Any, after: Any) -> TimeChange:
    (pace,) = changed(run(edge=before), run(edge=after, at=LATER), "edge").paces
    return pace


def test_the_noise_is_three_standard_errors_of_the_difference() -> None:
    """By hand: median 3, deviations 2 1 0 1 2 of the first, nothing of the second."""
    pace = trip(paced(1, 2, 3, 4, 5), paced(7, 7, 7, 7, 7))
    sigma = 1.4826 * 1.0
    error = 1.2533 * sigma / math.sqrt(5)
    assert pace.noise_seconds == pytest.approx(3 * error, rel=1e-4)
    assert (pace.before_seconds, pace.after_seconds, pace.difference_seconds) == (3, 7, 4)
    assert pace.exceeds_noise is True
    both = trip(paced(1, 2, 3, 4, 5), paced(5, 6, 7, 8, 9))
    assert both.noise_seconds == pytest.approx(3 * error * math.sqrt(2), rel=1e-4)


def test_less_than_a_millisecond_is_never_a_change() -> None:
    pace = trip(paced(0.02, 0.02, 0.02, 0.02), paced(0.0208, 0.0208, 0.0208, 0.0208))
    assert (pace.noise_seconds, pace.exceeds_noise) == (FLOOR_SECONDS, False)
    assert FLOOR_SECONDS == 0.001


@pytest.mark.parametrize(("count", "known"), [(3, False), (4, True)])
def test_four_round_trips_are_enough(count: int, known: bool) -> None:
    pace = trip(paced(*[0.02] * 9), paced(*[0.5] * count))
    assert (pace.exceeds_noise is True) == known
    assert (pace.noise_seconds is not None) == known


def test_failed_beats_are_no_round_trips() -> None:
    seen = paced(0.02, 0.02, 0.02, 0.02)
    bad = msgspec.structs.replace(seen.beats[0], ok=False, ended=9.0)
    mixed = msgspec.structs.replace(seen, beats=(bad, bad, bad, bad, bad, *seen.beats))
    assert trip(seen, mixed).difference_seconds == 0
    nothing = msgspec.structs.replace(seen, beats=(bad,))
    assert changed(run(edge=seen), run(edge=nothing, at=LATER), "edge").paces == ()


# -- headline and decision ------------------------------------------------------------------------


def test_the_headline_names_what_is_elsewhere() -> None:
    broken = run("cloudflare", at=LATER)
    assert headline(compare(run(), broken, ["wan"])) == "no regression in wan; elsewhere: tunnel"
    assert headline(compare(run(), run(at=LATER), ["wan", "dispatch"])) == (
        "no regression in wan, dispatch"
    )
    unclear = run("cloudflare", without=("internal", "traefik"), at=LATER)
    assert headline(compare(run(), unclear, ["dispatch"])) == (
        "regression: dispatch cleared before, not cleared after"
    )


def test_what_the_file_adds_to_a_name_stands_wherever_it_broke_or_may_have() -> None:
    def glossed(*failed: str, without: tuple[str, ...] = (), at: float = LATER) -> Recording:
        one = run(*failed, without=without, at=at)
        gloss = {"tunnel": "or the CDN", "dispatch": "or its box"}
        return Recording(msgspec.structs.replace(one.run, gloss=gloss), one.observations)

    broken = compare(run(), glossed("cloudflare"), ["tunnel", "dispatch"])
    assert headline(broken) == "regression: tunnel (or the CDN) cleared before, convicted after"
    assert decision(broken) == ["closed: tunnel (or the CDN) convicted, and cleared before"]
    elsewhere = compare(run(), glossed("cloudflare"), ["dispatch"])
    assert headline(elsewhere) == "no regression in dispatch; elsewhere: tunnel (or the CDN)"
    assert decision(elsewhere) == ["open: dispatch cleared"]
    unclear = compare(run(), glossed("cloudflare", without=("internal", "traefik")), ["dispatch"])
    assert decision(unclear) == [
        "closed: dispatch (or its box) cannot be cleared any more, others may have broken in "
        "their place"
    ]
    found = compare(glossed("cloudflare"), run("cloudflare", at=LATER), ["tunnel"])
    assert decision(found) == [
        "open: tunnel (or the CDN) not cleared, as before: no fault of this deploy"
    ]


def test_a_gate_that_is_half_open_says_what_is_cleared_and_what_was_so_before() -> None:
    found = compare(run("cloudflare"), run("cloudflare", at=LATER), ["tunnel"])
    assert decision(found) == ["open: tunnel not cleared, as before: no fault of this deploy"]
    assert found.to_dict()["regressed"] == []
    assert found.to_dict()["untold"] == []
    blind = run(without=("cloudflare",))
    assert compare(blind, blind, ["tunnel"]).to_dict()["untold"] == ["tunnel"]
    broken = compare(run(), run("cloudflare", at=LATER))
    assert (broken.before_status, broken.after_status) == ("clean", "localised")


def test_segments_of_single_upstreams_are_shown_where_they_differ() -> None:
    def with_own(failed: bool, at: float) -> Any:
        one = run(at=at)
        own = [
            msgspec.structs.replace(leg("edge"), leg="envoy-a", path=("envoy-a",)),
            msgspec.structs.replace(leg("edge", failed=failed), leg="envoy-b", path=("envoy-b",)),
        ]
        record = msgspec.structs.replace(one.run, own_segments=("envoy-a", "envoy-b"))
        return Recording(record, (*one.observations, *own))

    found = compare(with_own(False, 1.0), with_own(True, 2.0))
    own = [one for one in found.segments if one.segment.startswith("envoy")]
    assert [(one.segment, one.before, one.after, one.gated) for one in own] == [
        ("envoy-b", "exonerated", "convicted", False)
    ]
    assert found.regressions == ()
    assert compare(with_own(False, 1.0), with_own(True, 2.0), ["envoy-b"]).regressions
