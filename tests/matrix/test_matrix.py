"""The fault matrix: every segment, every kind that can befall it, the whole verdict."""

from __future__ import annotations

import pytest
from matrix_table import HALF, MID, PAIRS, START

from t3probe.lab.faults import FAULTS
from t3probe.observation import Observation
from t3probe.verdict.exact.case import Case
from t3probe.verdict.exact.labels import solve

HOLD = 1.7
"""Long enough for a fault at 0.9 s with beats before and after it."""
LABELS = ("convicted", "ambiguous", "masked", "unobserved")
ALL = sorted(f"{segment}:{kind}" for segment, kinds in FAULTS.items() for kind in kinds)
SILENT_RESOLVER = ("doh:blackhole", "doh:stall")
CLOSES = [one for one in ALL if one.endswith(":close")]
IDLE = [one for one in ALL if one.endswith(":idle")]


def expected(row: str, segments: list[str]) -> dict[str, list[str]]:
    status, *cells = (cell.strip() for cell in row.split("|"))
    found: dict[str, list[str]] = {"status": [status]}
    for label, cell in zip(LABELS, cells, strict=True):
        names = cell.split()
        found[label] = [one for one in segments if one in names]
    named = {name for label in LABELS for name in found[label]}
    found["exonerated"] = [one for one in segments if one not in named]
    return found


def given(field, verdict) -> dict[str, list[str]]:
    return {
        "status": [verdict["status"]],
        **{label: verdict[label] for label in (*LABELS, "exonerated")},
    }


def segments_of(field) -> list[str]:
    return [*field.deployment.segments, *field.deployment.own_segments]


def test_the_tables_are_the_whole_matrix() -> None:
    assert sorted({*START, *MID, *CLOSES, *IDLE, *HALF}) == ALL
    assert len(START) >= 90
    assert len(MID) >= 90


@pytest.mark.parametrize("fault", START)
def test_a_fault_from_the_start(field, fault: str) -> None:
    # Long enough for a leg that must first wait for a silent resolver.
    seen = field.run([fault], 2.2)
    assert given(field, seen.verdict) == expected(START[fault], segments_of(field)), seen.trouble


@pytest.mark.parametrize("fault", MID)
def test_a_fault_that_begins_in_mid_hold(field, fault: str) -> None:
    seen = field.run([fault + "@900ms"], 2.2)
    assert given(field, seen.verdict) == expected(MID[fault], segments_of(field)), seen.trouble
    symptoms = {incident["symptom"] for incident in seen.verdict["incidents"]}
    if fault.endswith(":cut"):
        assert symptoms == {"cut"}
    if fault.endswith(":drain") and not fault.startswith("upstream"):
        assert symptoms == {"refusing"}
    if fault == "wan:cut":
        assert seen.verdict["simplest"] == ["wan"]
        assert seen.verdict["minimal_sets"] == [["wan"], ["doh", "cf-edge"]]


@pytest.mark.parametrize("fault", IDLE)
def test_connections_that_end_when_they_are_idle(field, fault: str) -> None:
    """A WebSocket is cut; a kept-alive connection is closed politely, which is no drop."""
    seen = field.run([f"{fault}:300ms@100ms"], 2.2)
    segment = fault.partition(":")[0]
    verdict = seen.verdict
    assert set(verdict["convicted"]) <= {segment}, seen.trouble
    held = [leg for leg in seen.legs.values() if leg.kind == "ws_echo" and segment in leg.path]
    dropped = {leg.leg for leg in seen.legs.values() if leg.drops}
    assert dropped <= {leg.leg for leg in held}
    if segment in ("tunnel", "dispatch"):
        assert dropped == {leg.leg for leg in held}
        assert verdict["convicted"] == [segment]


@pytest.mark.parametrize("fault", CLOSES)
def test_connections_that_end_by_age_are_seen_as_what_they_are(field, fault: str) -> None:
    """Each connection ends by itself here, so one leg's says nothing about another's: that is
    outside the rules of evidence, and only what was seen is asserted."""
    seen = field.run([fault + ":700ms"], HOLD)
    drops = [drop for leg in seen.legs.values() for drop in leg.drops]
    # A beat that crosses the close on its way is answered by a reset.
    assert {drop.reason for drop in drops} <= {"closed_by_peer", "connection_reset"}, seen.trouble
    assert {drop.symptom for drop in drops} <= {"cut"}
    segment = fault.partition(":")[0]
    crossing = [leg for leg in seen.legs.values() if segment in leg.path and leg.kind == "ws_echo"]
    assert all(leg.drops for leg in crossing)
    assert not [leg.leg for leg in seen.legs.values() if leg.drops and segment not in leg.path]


@pytest.mark.parametrize("fault", ["tunnel:blackhole", "dispatch:blackhole", "wan:blackhole"])
def test_an_outage_between_two_beats_convicts_no_innocent(field, fault: str) -> None:
    seen = field.run([f"{fault}@880ms+150ms"], HOLD)
    assert set(seen.verdict["convicted"]) <= {fault.partition(":")[0]}
    assert seen.verdict["status"] in {"clean", "localised", "ambiguous"}


@pytest.mark.parametrize("segment", ["tunnel", "traefik", "dispatch", "serve", "cf-edge"])
def test_a_short_outage_that_resets_connections(field, segment: str) -> None:
    seen = field.run([f"{segment}:refuse@900ms+150ms"], HOLD)
    assert seen.verdict["status"] != "clean"
    assert set(seen.verdict["convicted"]) <= {segment}
    assert seen.label(segment) != "exonerated" or seen.verdict["status"] == "inconsistent"


def predicted(field, broken: set[str]) -> Case:
    """What the legs must say when exactly these segments let nothing through, and what follows."""
    failed, passed, legs = [], [], {}
    for leg in field.deployment.legs:
        legs[leg.name] = leg.path
        needs_doh = bool(leg.doh) and leg.kind != "doh" and not leg.fallback
        hit = bool(broken & set(leg.path))
        if leg.kind == "walloff" and broken & {"devvm", "dispatch"}:
            continue  # the public page itself is gone: that says nothing about the rule
        if needs_doh and broken & {"wan", "doh"}:
            continue
        if not hit:
            passed.append(leg.name)
        elif leg.kind not in {"walloff", "walled"}:
            failed.append(leg.name)
    # A leg that only connects is no evidence about segments that failed legs cross.
    crossed = {segment for leg in failed for segment in legs[leg]}
    for leg in field.deployment.legs:
        if leg.kind == "tcp" and leg.name in passed:
            legs[leg.name] = tuple(one for one in leg.path if one not in crossed)
    return Case(
        segments=tuple(segments_of(field)),
        legs=legs,
        failed=tuple(failed),
        passed=tuple(leg for leg in passed if legs[leg]),
    )


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_two_faults_at_once(field, pair: tuple[str, str]) -> None:
    # A network and a machine refuse nothing: they are silent.
    silent = ("wan", "devvm")
    faults = [f"{one}:{'blackhole' if one in silent else 'refuse'}" for one in pair]
    seen = field.run(faults, 2.2)
    wanted = solve(predicted(field, set(pair)))
    for label in ("convicted", "exonerated", "ambiguous", "masked", "unobserved"):
        assert seen.verdict[label] == list(getattr(wanted, label)), label
    assert seen.verdict["minimal_sets"] == [list(one) for one in wanted.minimal_sets]
    for segment in pair:
        assert seen.label(segment) != "exonerated"


@pytest.mark.parametrize("number", range(20))
def test_no_fault_convicts_nobody(field, number: int) -> None:
    seen = field.run(hold=0.5)
    assert seen.verdict["status"] == "clean", seen.trouble
    assert {leg.outcome for leg in seen.legs.values()} == {"passed"}


def test_a_collapsed_leg_clears_nothing(field) -> None:
    seen = field.run(["doh:internal"])
    assert seen.outcomes("cloudflare", "edge", "walloff-probe") == ["inconclusive"] * 3
    assert {seen.legs[one].reason for one in ("cloudflare", "edge")} == {"leg_collapsed"}
    assert seen.legs["resolver"].reason == "leg_collapsed"
    assert not {"doh", "cf-edge", "tunnel"} & set(seen.verdict["exonerated"])


def test_a_drop_carries_its_evidence(field) -> None:
    seen = field.run(["tunnel:refuse@900ms"], HOLD)
    leg: Observation = seen.legs["cloudflare"]
    drop = leg.drops[0]
    assert drop.remote_address.startswith(("127.0.0.2:", "[::1]:"))
    assert drop.local_address
    assert drop.family in {"ipv4", "ipv6"}
    assert drop.cf_ray.endswith("-LAB")
    assert drop.colo == "LAB"
    assert drop.connection_age_seconds is not None
    assert drop.attempt is not None
    assert not drop.attempt.ok
    assert drop.symptom == "down"
    (incident,) = seen.verdict["incidents"]
    assert incident["failed"] == ["cloudflare"]
    assert incident["cleared_by"]["internal"] == "fresh beat"
