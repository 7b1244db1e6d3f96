"""Every single segment, and every local one, from two and three vantages: right alone.

The recordings come from the simulated world, in which the legs do what those of `t3probe.run` do;
each vantage begins its run at another moment and meets the fault where it is.
"""

from __future__ import annotations

import dataclasses
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from verdict.simulated import Simulation, record
from verdict.simulated_world import HOLD, ROUTES, RULES, Breaks, Kind, random_breaks
from verdict_script import blip, both, cut, down, fresh, leg, opening, usual, well

from t3probe.cli import main
from t3probe.observation import Connection, Observation, OpinionView, RunRecord
from t3probe.record.log import record_line
from t3probe.show.vantages import lines
from t3probe.verdict.limits.found import Limit
from t3probe.verdict.vantages import Together, judge_together

OUTSIDE = ("egress", "resolver", "edge", "cloudflare", "walloff-probe")
"""What a vantage in the cloud can run."""
PLACES = {"home": (0.0, tuple(ROUTES)), "cloud": (-4.0, OUTSIDE), "office": (-7.0, tuple(ROUTES))}
"""When each begins, in seconds, and its legs."""
KINDS: dict[str, Kind] = {"down": "gone", "cut": "cut", "refusing": "drain"}
SHARED = "doh cf-edge tunnel traefik carve-out wall devvm dispatch serve rack"
OWN_SHARED = "upstream-orders upstream-billing"
NOT_REFUSING = {"wan", "devvm", "rack", *RULES}
"""A network, a machine and a rule refuse nothing while what is open lives."""

EXACT = 0.55
"""How exactly the Date of a server tells when a run began, in seconds on either side."""
LINES = "the lines"
UNPROVEN = {
    ("doh", "cut"): LINES,
    ("cf-edge", "cut"): LINES,
    ("rack", "down"): "upstream-orders upstream-billing",
}
"""What is as suspect: the segment is the one simplest explanation, and not convicted. What holds at
another address through the same line does not clear the line of a cut, so all lines may have been
cut at once. Upstreams of a rack may all have failed at once: no leg ends at the rack."""
UNSEEN = {("wall", "down"), *((one, "cut") for one in ("wall", "rack", *OWN_SHARED.split()))}
"""Upstreams and walls hold no connection that could be cut. Of a wall that does not answer no leg
says that it is broken, or well: it fails when it lets somebody in (`OPEN`)."""
OPEN: Kind = "answers"


def run_at(
    vantage: str, breaks: Breaks | Sequence[Breaks] | None, seed: int = 0
) -> tuple[RunRecord, list[Observation]]:
    """One vantage's run; `breaks` counts from the start of home's."""
    starts, legs = PLACES[vantage]
    some = [breaks] if isinstance(breaks, Breaks) else breaks or ()
    met = [dataclasses.replace(one, onset=one.onset - starts, end=one.end - starts) for one in some]
    seen = Simulation(met, seed + len(vantage), legs=legs).observations()
    known = record()
    true = known.started_at + starts
    seen = [
        msgspec.structs.replace(one, server_began=(true - EXACT, true + EXACT), server=one.leg)
        if one.kind in ("http", "ws_echo")
        else one
        for one in seen
    ]
    run = msgspec.structs.replace(
        known,
        deployment="t3",
        vantage=vantage,
        local=("wan",),
        started_at=known.started_at + starts,
        duration_seconds=HOLD,
    )
    return run, seen


def judged(segment: str, kind: str, vantages: tuple[str, ...], where: str = "") -> Together:
    """`where`: the only vantage that meets the fault; empty: all do."""
    fault = Breaks(segment, KINDS[kind], 8.0, float("inf") if kind != "cut" else 8.5)
    return judge_together([run_at(one, fault if where in ("", one) else None) for one in vantages])


VANTAGES = [("home", "cloud"), ("home", "cloud", "office")]


@pytest.mark.parametrize("vantages", VANTAGES, ids=len)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("segment", f"{SHARED} {OWN_SHARED}".split())
def test_a_shared_segment_is_convicted_alone(
    segment: str, kind: str, vantages: tuple[str, ...]
) -> None:
    if kind == "refusing" and segment in NOT_REFUSING:
        pytest.skip("it refuses nothing")
    found = judged(segment, kind, vantages)
    if (segment, kind) in UNSEEN:
        assert found.verdict.status in ("clean", "incomplete")
        assert found.verdict.status == "incomplete" or kind == "cut"
        return
    assert found.verdict.simplest == (segment,), found.text
    assert found.contrasts == ()
    if (segment, kind) in UNPROVEN:
        others = UNPROVEN[segment, kind]
        lines = [f"wan@{one}" for one in vantages]
        assert {*found.verdict.ambiguous} == {
            segment,
            *(lines if others == LINES else others.split()),
        }
        return
    assert found.verdict.convicted == (segment,), found.text
    assert not found.verdict.ambiguous


@pytest.mark.parametrize("vantages", VANTAGES, ids=len)
def test_a_wall_that_lets_somebody_in_is_convicted_alone(vantages: tuple[str, ...]) -> None:
    fault = Breaks("wall", OPEN, 8.0)
    found = judge_together([run_at(one, fault) for one in vantages])
    assert found.verdict.convicted == ("wall",), found.text
    assert not found.verdict.ambiguous


@pytest.mark.parametrize("vantages", VANTAGES, ids=len)
@pytest.mark.parametrize("kind", ["down", "cut"])
@pytest.mark.parametrize("where", ["home", "cloud", "office"])
def test_a_local_segment_is_convicted_where_it_broke(
    where: str, kind: str, vantages: tuple[str, ...]
) -> None:
    if where not in vantages:
        pytest.skip("nobody looks from there")
    found = judged("wan", kind, vantages, where)
    assert found.verdict.convicted == (f"wan@{where}",), found.text
    assert not found.verdict.ambiguous
    assert {f"wan@{one}" for one in vantages} - {f"wan@{where}"} <= {*found.verdict.exonerated}


@pytest.mark.parametrize("vantages", VANTAGES, ids=len)
def test_random_faults_convict_no_innocent_and_clear_no_broken_one(
    vantages: tuple[str, ...],
) -> None:
    """Clocks differ by up to 90 s, which is known by the servers' own."""
    found = Counter[str]()
    for seed in range(60):
        rng = random.Random(f"vantages {seed}")
        fault = random_breaks(rng)
        where = rng.choice(vantages) if fault.segment == "wan" else ""
        broken = f"wan@{where}" if where else fault.segment
        runs = []
        for name in vantages:
            run, seen = run_at(name, fault if where in ("", name) else None, seed)
            slip = run.started_at + rng.uniform(-45.0, 45.0)
            runs.append((msgspec.structs.replace(run, started_at=slip), seen))
        verdict = judge_together(runs).verdict
        if verdict.status in ("clean", "incomplete"):
            continue
        assert {*verdict.convicted} <= {broken}, (seed, fault)
        assert broken not in verdict.exonerated, (seed, fault)
        assert verdict.status != "inconsistent", (seed, fault)
        found[verdict.status] += 1
    assert found["localised"] > found["ambiguous"]


def cut_at_home(*there: Observation, **more: Any) -> Together:
    """At home what crosses the edge was cut at 15 s, and the line held; `there` is the cloud's."""
    here = [
        leg("line", "wan", well(), level="connect"),
        leg("edge", "wan cf-edge", (*usual(until=15), *both(20, 30, conn=1)), cut(), colo="AMS"),
    ]
    return two(here, there, **more)


def two(here: Sequence[Observation], there: Sequence[Observation], **more: Any) -> Together:
    known: dict[str, Any] = {
        "deployment": "t3",
        "segments": ("wan", "cf-edge"),
        "local": ("wan",),
        "version": 2,
    }
    run = RunRecord(**known, vantage="home", started_at=1000.0, duration_seconds=35.0)
    other = msgspec.structs.replace(run, **({"vantage": "cloud"} | more))
    return judge_together([(run, here), (other, there)], 1.0)


def edge_well(**more: Any) -> Observation:
    return leg("edge", "wan cf-edge", well(), **({"colo": "AMS"} | more))


def test_what_another_vantage_held_through_is_cleared_and_the_own_line_is_not() -> None:
    found = cut_at_home(edge_well())
    assert found.verdict.convicted == ("wan@home",)
    assert found.cleared_by == {"cloud/edge": {"cf-edge": None}}
    assert {"wan@cloud", "cf-edge"} == {*found.verdict.exonerated}


@pytest.mark.parametrize(
    "more", [{"colo": "FRA"}, {"colo": ""}, {"connections": ()}, {"address": "192.0.2.9:443"}]
)
def test_another_edge_clears_nothing(more: dict[str, Any]) -> None:
    """Another colo, one that is not known, or another address may be another machine."""
    if "address" in more:
        other = Connection(conn=0, opened=0.0, remote_address="192.0.2.9:443")
        more = more | {"connections": (other,)}
    found = cut_at_home(edge_well(**more))
    assert found.cleared_by == {}
    assert {*found.verdict.ambiguous} == {"wan@home", "cf-edge"}
    (told,) = found.contrasts
    assert told.segment == "cf-edge"
    assert told.text.startswith("from home (192.0.2.1:443, colo AMS), not from cloud (")


def test_a_connection_that_was_opened_after_the_last_sign_of_life_held_through_nothing() -> None:
    """Cloud's run began 12 s after home's, and the last good beat there was at 10.1 s."""
    found = cut_at_home(edge_well(), started_at=1012.0)
    assert found.cleared_by == {}
    assert found.contrasts == ()


def test_a_leg_with_a_blip_of_its_own_clears_nothing_elsewhere() -> None:
    once = blip(24.0, 25.0, lone=True)
    there = leg("edge", "wan cf-edge", well(), once, colo="AMS")
    assert there.outcome == "degraded"
    assert cut_at_home(there).cleared_by == {}


def down_at_home(there: Observation, **more: Any) -> Together:
    """Home's edge is down from 10.1 s on, its line is well: the edge is the only suspect."""
    beats = (*usual(until=15), *fresh(20, 25, 30, ok=False))
    line = leg("line", "wan", well())
    return two([line, leg("edge", "wan cf-edge", beats, down(), colo="AMS")], [there], **more)


def test_a_contradiction_is_said_as_here_and_not_there() -> None:
    found = down_at_home(edge_well(colo="FRA"))
    assert found.verdict.status == "localised"
    assert found.verdict.convicted == ("cf-edge",)
    assert found.text == (
        "From home and cloud: cf-edge, from home (192.0.2.1:443, colo AMS), "
        "not from cloud (192.0.2.1:443, colo FRA), is convicted."
    )
    assert found.cleared_by == {}


def test_the_same_place_that_is_well_for_another_is_a_contrast_too() -> None:
    """Nothing would be left to suspect at home: nobody is wrong, and nobody is cleared."""
    found = down_at_home(edge_well())
    assert found.verdict.convicted == ("cf-edge",)
    assert [one.segment for one in found.contrasts] == ["cf-edge"]


def test_a_good_beat_before_the_outage_or_after_it_says_nothing() -> None:
    """Cloud's beats at 10, 20 and 30 s lie at 50, 60 and 70 s of home's run."""
    found = down_at_home(edge_well(), started_at=1040.0)
    assert found.contrasts == ()
    assert found.uncompared[0].text == (
        "home/edge could not be compared with cloud: its run did not overlap"
    )


def test_a_leg_that_dropped_itself_says_nothing_elsewhere() -> None:
    """By another clock it may have been the same outage: its good beat at 25 s may be of before."""
    beats = (*usual(until=25), *fresh(25), *fresh(30, ok=False))
    there = leg("edge", "wan cf-edge", beats, down(25.1, 30.0), colo="AMS")
    found = down_at_home(there)
    assert found.contrasts == ()
    assert found.verdict.convicted == ("cf-edge",) or "cf-edge" in found.verdict.ambiguous
    assert "cf-edge" not in found.verdict.exonerated


@pytest.mark.parametrize("slip", [0.0, 0.4, -0.4])
def test_beats_near_the_ends_of_an_outage_do_not_count(slip: float) -> None:
    """Within a second of its first failure, or of the last one, clocks decide who was first."""
    there = leg("edge", "wan cf-edge", (*opening(0), *fresh(15.5, 29.5)), colo="AMS")
    found = down_at_home(there, started_at=1000.0 + slip)
    assert found.contrasts == ()
    assert "fell into this for sure" in found.uncompared[0].text


def test_a_run_whose_clock_was_stepped_is_not_compared() -> None:
    found = cut_at_home(edge_well(), clock_step_seconds=3.0)
    assert {*found.verdict.ambiguous} == {"wan@home", "cf-edge"}
    assert "the clock of cloud was set during its run" in found.uncompared[0].text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"deployment": "other"}, "another deployment name from cloud than from home"),
        ({"segments": ("wan", "tunnel")}, "other segments from cloud"),
        ({"paths": (("wan",),)}, "other paths from cloud"),
        ({"local": ()}, "other local segments from cloud"),
        ({"vantage": "home"}, "two of the same name"),
        ({"vantage": ""}, "one without a name"),
        ({"vantage": "a/b"}, "without @ and /"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        cut_at_home(edge_well(), **more)


def lines_of(folder: Path) -> list[str]:
    """Logs of three vantages, of which office looked an hour before; and their names."""
    names = []
    for vantage, earlier in (("home", 0.0), ("cloud", 0.0), ("office", 3600.0)):
        run, seen = run_at(vantage, Breaks("wan", "cut", 8.0) if vantage == "home" else None)
        run = msgspec.structs.replace(run, started_at=run.started_at - earlier)
        file = folder / f"{vantage}.log"
        file.write_text(record_line(run, seen) + "\n")
        names.append(str(file))
    return names


def test_the_command_takes_files_and_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = lines_of(tmp_path)
    assert main(["verdict", *names]) == 0
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert answer["convicted"] == ["wan@home"]
    assert {one["vantage"] for one in answer["vantages"]} == {"home", "cloud"}
    assert "vantage 'office' is left out" in said.err.replace('"', "'")
    assert main(["verdict", str(tmp_path), "--within", "2h", "--text"]) == 0
    text = capsys.readouterr().out
    assert "wan@home is convicted" in text
    assert "office" in text
    assert max(map(len, text.splitlines())) <= 80
    assert main(["verdict", *names, "--gate", "wan@home"]) == 1
    assert main(["verdict", *names, "--gate", "wan@cloud"]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--within", "soon"], "--within: expected a duration such as"),
        (["--all"], "several vantages are answered in JSON or --text"),
        (["-"], "found standard input"),
    ],
)
def test_what_several_vantages_cannot_do_is_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verdict", *lines_of(tmp_path), *words]) == 4
    assert said in capsys.readouterr().err


def test_one_vantage_alone_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = lines_of(tmp_path)[0]
    assert main(["verdict", home, home]) == 4
    assert "expected runs of two vantages at one time" in capsys.readouterr().err


def test_that_a_record_is_of_the_first_version_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = lines_of(tmp_path)[:2]
    assert main(["verdict", *names]) == 0
    assert "2 of 2 records are of 0.1" in capsys.readouterr().err
    assert main(["verdict", *names, "--text"]) == 0
    assert "2 of 2 records are of 0.1" in " ".join(capsys.readouterr().out.split())


def test_the_name_of_a_vantage_is_printed_as_text() -> None:
    found = down_at_home(edge_well(), vantage="\x1b[31mcloud\n")
    assert all(line.isprintable() for line in lines(found))


def test_what_a_program_says_of_its_part_stands_beside_the_run_of_its_place() -> None:
    view = OpinionView(name="line", segment="wan", kind="traefik", opinion="unhealthy", steady=True)
    found = down_at_home(edge_well(), opinions=(view,))
    (said,) = found.to_dict()["vantages"][1]["opinions"]
    assert said["segment"] == "wan@cloud"
    assert said["disagreement"] == "probe_only"
    assert "cloud: line calls wan@cloud broken, and the run clears it" in " ".join(
        " ".join(lines(found)).split()
    )


def test_limits_on_age_are_those_of_each_vantage() -> None:
    found = down_at_home(edge_well())
    cloud = found.vantages[1]
    limit = Limit(
        kind="age", legs=("edge",), seconds=5.0, spread_seconds=0.0, deaths=3,
        one_of=(("wan@cloud",),), first=3.0, last=20.0,
    )  # fmt: skip
    cloud.judged.with_limits((limit,))
    home, told = (one["limits"] for one in found.to_dict()["vantages"])
    assert (home, told[0]["one_of"]) == ([], (("wan@cloud",),))
    assert "cloud: each connection through wan@cloud ends after 5 s" in " ".join(
        " ".join(lines(found)).split()
    )
