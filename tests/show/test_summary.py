"""The closing summary: what a tired person reads."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from t3probe.config.types import Leg
from t3probe.observation import (
    RECORD_VERSION,
    AddressTry,
    Attempt,
    Beat,
    Drop,
    Observation,
    RunRecord,
    median,
    of_old,
    sentence,
)
from t3probe.show.markdown import run_markdown
from t3probe.show.progress import lines
from t3probe.show.summary import render
from t3probe.upstreams.experiments.rigs import Rig, RigStream
from t3probe.upstreams.experiments.seen import rig_legs
from t3probe.verdict.incident.run import judge_run


def beats(*rtts: float) -> tuple[Beat, ...]:
    return tuple(
        Beat(sent=float(at), ended=at + rtt, ok=True, conn=0) for at, rtt in enumerate(rtts)
    )


def leg(name: str, path: str, outcome: str = "passed", **more: object) -> Observation:
    return Observation(leg=name, kind="http", path=tuple(path.split()), outcome=outcome, **more)


def down(noticed: float = 2.0, **more: object) -> Drop:
    """An outage whose second look failed for half a second more."""
    again = Attempt(started=noticed + 0.05, ended=noticed + 0.5, ok=False, reason="rtt_timeout")
    return Drop(
        **{
            "began": 1.0, "noticed": noticed, "reason": "rtt_timeout", "symptom": "down",
            "stage": "ask", "call": 1, "detail": "no answer", "conn": 0, "strand": "held",
            "asked": noticed - 0.5, "attempt": again, **more,
        }
    )  # fmt: skip


def fresh(*sent: float) -> tuple[Beat, ...]:
    """Good beats on new connections."""
    return tuple(
        Beat(sent=at, ended=at + 0.1, ok=True, conn=100 + number, strand="fresh")
        for number, at in enumerate(sent)
    )


def shown(run: RunRecord, *seen: Observation) -> list[str]:
    return [line for _, line in render(run, seen, judge_run(run, seen))]


RUN = RunRecord(segments=("wan", "edge", "tunnel"), started_at=1_700_000_000.0)


def test_a_line_per_leg_with_its_numbers() -> None:
    tries = (
        AddressTry(address="192.0.2.1:443", ok=True),
        AddressTry(address="192.0.2.2:443", ok=False),
    )
    seen = leg(
        "front", "wan edge tunnel", beats=beats(0.002, 0.004, 0.03), address="192.0.2.1:443",
        addresses=tries,
    )  # fmt: skip
    (line,) = [one for one in shown(RUN, seen) if one.startswith("front")]
    assert line.split() == (
        ["front", "passed", "3", "4", "ms", "30", "ms", "-", "192.0.2.1:443", "1/2"]
    )


def test_a_failed_leg_says_why_and_since_when() -> None:
    text = shown(
        RUN,
        leg("front", "wan tunnel", "failed", reason="rtt_timeout", detail="no echo within 2 s",
            drops=(down(),)),
        leg("edge", "wan edge", beats=fresh(2.1)),
    )  # fmt: skip
    assert any(line.startswith("front           FAILED") for line in text)
    assert "    rtt_timeout: no echo within 2 s" in text
    assert "    down from 22:13:21.000 UTC and stayed down" in text, "the onset, not the notice"
    assert "VERDICT  tunnel is broken" in text
    assert "  convicted     tunnel" in text
    assert "  cleared       wan, edge" in text


def test_what_cannot_be_told_apart_gets_the_leg_that_would() -> None:
    run = RunRecord(segments=("wan", "edge", "tunnel"), paths=(("wan", "edge", "tunnel"),))
    text = shown(run, leg("all", "wan edge tunnel", "failed", drops=(down(),)))
    assert "VERDICT  something is broken, and these legs cannot tell which" in text
    assert "  one of        wan, edge, tunnel" in text
    assert "  tell apart    with one more leg over wan" in text


def test_nothing_failed_and_not_everything_seen() -> None:
    text = shown(RUN, leg("edge", "wan edge", beats=beats(0.1)))
    assert "VERDICT  nothing failed, but not every segment was observed" in text
    assert "  not observed  tunnel" in text


def test_contradictions_convict_nobody() -> None:
    text = shown(
        RUN,
        leg("a", "wan", "failed", drops=(down(),)),
        leg("b", "wan edge", beats=fresh(2.1)),
    )
    assert any("inconsistent" in line for line in text)
    assert "  in conflict   a" in text


def test_planned_downtime_is_shown_as_such() -> None:
    text = shown(RUN, leg("a", "wan", "failed", planned="planned downtime until 2999-01-01"))
    assert any(line.startswith("a               planned") for line in text)
    assert "    planned downtime until 2999-01-01; seen now: failed" in text


def test_notes_and_warnings() -> None:
    run = RunRecord(
        segments=("wan",), interrupted=True, loop_lag_seconds=1.5, warnings=("an entry is stale",)
    )
    text = shown(run, leg("a", "wan", beats=beats(0.1)))
    assert "interrupted: this is what was seen so far" in text
    assert "our own event loop was late by up to 1.5 s" in text
    assert "warning: an entry is stale" in text


def test_each_of_several_incidents_says_it_all() -> None:
    text = shown(
        RUN,
        leg("a", "wan", "failed", drops=(down(2.0, recovered=3.5),)),
        leg("b", "edge", "failed", drops=(down(9.0, began=8.0),)),
        leg("c", "tunnel edge", beats=fresh(2.1), level="ask"),
    )
    start = text.index("  incidents     2, each with its own verdict; above is that of all")
    assert text[start + 1 :] == [
        "  down from 22:13:21.000 UTC until 22:13:23.500",
        "    legs        a",
        "    verdict     wan is convicted",
        "    evidence    beside: c",
        "  down from 22:13:28.000 UTC and not over at the end",
        "    legs        b",
        "    verdict     edge is convicted",
        "    evidence    beside: c",
    ]


def test_a_single_incident_shows_its_evidence() -> None:
    carried = down(carried=("wan",))
    text = shown(
        RUN,
        leg("a", "wan edge", "failed", drops=(carried,)),
        leg("c", "tunnel", beats=fresh(2.1), level="ask"),
        leg("d", "wan", beats=fresh(2.1), level="ask"),
    )
    assert "  evidence      fresh beat: d; own answer of a clears: wan; beside: c" in text
    assert not [line for line in text if "incidents" in line]


def test_of_many_witnesses_some_are_named() -> None:
    ups = [leg(f"u{n}", f"s{n}", beats=beats(0.1, 0.1, 0.1), level="ask") for n in range(200)]
    text = shown(RUN, leg("a", "wan", "failed", drops=(down(),)), *ups)
    at = next(n for n, line in enumerate(text) if line.startswith("  evidence"))
    assert text[at].startswith("  evidence      beside: u0, u1, u2,")
    assert " ".join("".join(text[at:]).split()).endswith("u11, 188 more")


def test_of_many_incidents_the_worst_are_shown() -> None:
    many = tuple(
        down(at + 0.2, began=float(at), symptom="cut", recovered=at + 0.3) for at in range(0, 22, 2)
    )
    text = shown(RUN, leg("a", "wan", "failed", drops=(*many, down(30.2, began=30.0))))
    assert any(line.startswith("  incidents     10 worst of 12, each") for line in text)
    assert sum(line.startswith("  cut from ") for line in text) == 9
    first = next(line for line in text if line.startswith(("  cut from", "  down from")))
    assert first == "  down from 22:13:50.000 UTC and not over at the end", "the worst comes first"


def refusing(**more: object) -> Drop:
    return down(symptom="refusing", strand="fresh", reason="connect_refused", conn=None, **more)


def test_a_leg_that_refuses_says_so_within_eighty_columns() -> None:
    seen = leg(
        "front", "wan tunnel", "failed", reason="connect_refused", detail="connection refused",
        drops=(refusing(),), beats=beats(0.1, 0.1), connected=True, accepting=False,
    )  # fmt: skip
    text = shown(RUN, seen, leg("edge", "wan", beats=fresh(2.1)))
    at = text.index("    refusing from 22:13:21.000 UTC and went on")
    assert text[at + 1] == "    open connections lived on, and no new one was accepted"
    assert max(map(len, text)) <= 80
    assert sentence(seen).startswith("front: failed, refusing, connect_refused: ")
    whole = "\n".join(run_markdown(RUN, [seen], judge_run(RUN, [seen])))
    assert "| front | failed: refusing |" in whole


def test_of_many_drops_the_worst_are_told() -> None:
    cuts = [
        down(2 * at + 0.2, began=2.0 * at, symptom="cut", recovered=2 * at + 0.3) for at in range(4)
    ]
    text = shown(RUN, leg("a", "wan", "failed", drops=(*cuts, refusing(began=8.0, noticed=9.0))))
    assert sum(line.startswith("    cut from ") for line in text) == 2
    assert "    refusing from 22:13:28.000 UTC and went on" in text


def test_a_blip_that_stands_alone_is_no_drop() -> None:
    blip = down(symptom="blip", strand="fresh", lone=True, recovered=2.1)
    seen = leg("a", "wan", "degraded", drops=(blip,), beats=beats(0.1), detail="one attempt failed")
    (line,) = [one for one in shown(RUN, seen) if one.startswith("a ")]
    assert line.split()[:2] == ["a", "degraded"]
    assert line.split()[-2:] == ["-", "-"]
    assert "drops" not in sentence(msgspec.structs.replace(seen, drops=(blip, blip)))


def test_the_simplest_explanation_is_named_and_convicts_nobody() -> None:
    text = shown(
        RUN,
        leg("a", "wan edge", "failed", drops=(down(),)),
        leg("b", "edge tunnel", "failed", drops=(down(),)),
    )
    assert "  simplest explanation: edge" in text
    assert not [line for line in text if line.startswith("  convicted")]
    alone = shown(RUN, leg("a", "edge", "failed", drops=(down(),)))
    assert not [line for line in alone if "simplest" in line]


def test_only_a_record_of_an_earlier_version_is_said_to_be_one() -> None:
    assert of_old(RunRecord().version).startswith("this record is of 0.1: ")
    assert of_old(RECORD_VERSION) == ""


def test_many_quiet_tcp_legs_are_counted_and_broken_ones_shown() -> None:
    run = RunRecord(segments=("wan",), own_segments=tuple(f"u{n}" for n in range(200)))
    legs = [
        Observation(leg=f"u-{n}", kind="tcp", path=(f"u{n}",), outcome="passed", beats=beats(0.1))
        for n in range(199)
    ]
    legs.append(
        Observation(leg="u-199", kind="tcp", path=("u199",), outcome="failed", drops=(down(),))
    )
    text = shown(run, *legs)
    assert "... and 199 TCP legs that passed" in text
    assert any(line.startswith("u-199") for line in text)
    assert len(text) < 20


def test_everything_fits_eighty_columns() -> None:
    names = tuple(f"segment-with-a-long-name-{n}" for n in range(30))
    run = RunRecord(segments=names, paths=(names,))
    text = shown(
        run,
        leg("a-leg-with-a-very-long-name", " ".join(names), "failed", drops=(down(),),
            reason="rtt_timeout", detail="x" * 300),
    )  # fmt: skip
    assert max(map(len, text)) <= 80
    assert all(line.isascii() for line in text)


def test_median() -> None:
    assert median([3, 1, 2]) == 2
    assert median([4, 1, 2, 3]) == 2.5
    with pytest.raises(ValueError, match="no median"):
        median([])


class FakeLeg:
    def __init__(self, name: str) -> None:
        self.leg = SimpleNamespace(name=name)
        self.book = SimpleNamespace(beats=beats(0.1, 0.1), drops=[down()])


def test_progress_shows_time_left_beats_and_drops() -> None:
    run = SimpleNamespace(
        hold=30.0,
        clock=SimpleNamespace(now=lambda: 12.4),
        legs=[FakeLeg(f"leg-{n}") for n in range(12)],
    )
    text = lines(run, 80)  # type: ignore[arg-type]
    assert text[0] == "holding, 18 s left"
    assert "leg-0 2 1 drops" in text[1]
    assert max(map(len, text)) < 80


def test_of_hundreds_of_rigs_only_those_are_listed_that_are_not_well() -> None:
    rigs = [Rig(f"spin{n}", "r", (RigStream("data", "d"),)) for n in range(100)]

    def seen(one: Leg, silent: bool) -> Observation:
        drop = Drop(
            began=1.0, noticed=2.0, reason="stream_silent", symptom="down", stage="ask", call=0,
            strand="fresh", asked=2.0, carried=one.path[:1],
        )  # fmt: skip
        return Observation(
            leg=one.name, kind=one.kind, path=one.path,
            outcome="failed" if silent else "passed",
            reason="stream_silent" if silent else None, drops=(drop,) if silent else (),
        )  # fmt: skip

    legs = rig_legs(rigs)
    text = "\n".join(shown(RunRecord(), *(seen(one, False) for one in legs)))
    assert "... and 100 streams and 100 log-in channels that passed" in text
    text = "\n".join(shown(RunRecord(), *(seen(one, one.kind == "stream") for one in legs)))
    verdict = text[text.index("VERDICT") :]
    assert verdict.index("simplest explanation: relay") < verdict.index("one of")
    assert "own answers of 100 legs clear: relay-api" in " ".join(verdict.split())
