"""Every segment of the reference deployment, broken in every way: who is convicted, and why.

Only what breaks is scripted; what the legs see of it follows (`simulated`), and who must be blamed
follows from the rules of evidence. Each row holds for several onsets and for several worlds.
"""

from __future__ import annotations

import pytest
from verdict.simulated import Simulation
from verdict.simulated_world import OWN, ROUTES, SEGMENTS, Breaks, Kind

from t3probe.verdict.exact.labels import LABELS
from t3probe.verdict.incident.run import RunVerdict

PUBLIC = "resolver edge cloudflare"
ENDS_AT_LB = "cloudflare internal traefik"
RULED = "cloudflare internal"
MACHINE = "cloudflare internal dispatch devvm t3serve"
ECHO = "cloudflare internal dispatch"
LOUD, SILENT = "gone drain", "silence stall"

Row = tuple[str, str, str, str, str]
"""Symptom, failed legs, convicted, at least one of, unobserved."""

ROWS: dict[tuple[str, str], Row] = {
    # Egress connects, so where connects fail it is in the same case as the others.
    ("wan", "gone silence"): ("down", f"egress {PUBLIC}", "wan", "", ""),
    # A connect says nothing about what is asked; each leg crosses one more that it alone sees.
    ("wan", "stall"): ("down", PUBLIC, "", "wan|doh wan|cf-edge", ""),
    ("wan", "cut hush"): ("cut", PUBLIC, "", "wan|doh wan|cf-edge", ""),
    ("doh", "gone silence stall"): ("down", "resolver", "doh", "", ""),
    ("doh", "drain answers"): ("refusing", "resolver", "doh", "", ""),
    # Nobody else held a connection to that address.
    ("doh", "cut hush"): ("cut", "resolver", "", "wan|doh", ""),
    ("cf-edge", "gone silence stall"): ("down", "edge cloudflare", "cf-edge", "", ""),
    ("cf-edge", "drain answers"): ("refusing", "edge cloudflare", "cf-edge", "", ""),
    ("cf-edge", "cut hush"): ("cut", "edge cloudflare", "", "wan|cf-edge", ""),
    ("tunnel", "gone silence stall"): ("down", "cloudflare", "tunnel", "", ""),
    ("tunnel", "drain"): ("refusing", "cloudflare", "tunnel", "", ""),
    # `edge` ends at the CDN: it proves that it answers, not that it forwards.
    ("tunnel", "answers"): ("refusing", "cloudflare", "", "cf-edge|tunnel", ""),
    # `edge` held through at the same address, `internal` behind the tunnel.
    ("tunnel", "cut hush"): ("cut", "cloudflare", "tunnel", "", ""),
    # The wall's only leg tells nothing about it while it gets no answer.
    ("traefik", "gone silence stall"): ("down", ENDS_AT_LB, "traefik", "", "wall"),
    ("traefik", "drain answers"): ("refusing", ENDS_AT_LB, "traefik", "", "wall"),
    ("traefik", "cut hush"): ("cut", ENDS_AT_LB, "traefik", "", ""),
    ("carve-out", "gone"): ("down", RULED, "carve-out", "", ""),
    ("carve-out", "drain"): ("refusing", RULED, "carve-out", "", ""),
    # The public page is walled off: of the legs that share the rule it holds no connection. The
    # walled one, which got through traefik, is in the common beat.
    ("carve-out", "answers"): ("down", f"{RULED} walloff-probe", "carve-out", "", ""),
    ("carve-out", "cut"): ("cut", RULED, "carve-out", "", ""),
    ("wall", "answers"): ("down", "walled-home", "wall", "", ""),
    ("devvm", "gone silence"): ("down", MACHINE, "devvm", "", ""),
    ("devvm", "cut hush"): ("cut", MACHINE, "devvm", "", ""),
    ("dispatch", "gone silence stall"): ("down", ECHO, "dispatch", "", ""),
    ("dispatch", "drain answers"): ("refusing", ECHO, "dispatch", "", ""),
    # `t3serve` and `devvm` held through at the same machine.
    ("dispatch", "cut hush"): ("cut", ECHO, "dispatch", "", ""),
    ("serve", "gone silence stall"): ("down", "t3serve", "serve", "", ""),
    ("serve", "drain answers"): ("refusing", "t3serve", "serve", "", ""),
    ("serve", "cut hush"): ("cut", "t3serve", "serve", "", ""),
    # Two upstreams on one host, which nobody else crosses: two broken upstreams are possible.
    ("rack", "gone silence"): (
        *("down", "envoy-orders envoy-billing", ""),
        *("rack|upstream-orders rack|upstream-billing", ""),
    ),
    ("upstream-orders", "gone silence"): ("down", "envoy-orders", "upstream-orders", "", ""),
    ("upstream-billing", "gone silence"): ("down", "envoy-billing", "upstream-billing", "", ""),
}
CASES = [(segment, kind) for segment, kinds in ROWS for kind in kinds.split()]


def row(segment: str, kind: str, onset: float = 15.2) -> Row:
    told = next(
        told for (one, kinds), told in ROWS.items() if one == segment and kind in kinds.split()
    )
    if (segment, kind) == ("carve-out", "answers") and onset < 10:
        # It answered the first common beat less than a heartbeat ago and is not in this one:
        # `traefik` ends at the load balancer, so it proves that it answers, not that it forwards.
        return (*told[:2], "", "traefik|carve-out", "")
    return told


def holds(run: RunVerdict, told: Row) -> None:
    symptom, legs, convicted, one_of, unseen = told
    (incident,) = run.incidents
    assert incident.symptom == symptom
    assert set(incident.failed) == set(legs.split())
    verdict = run.verdict
    assert verdict.convicted == incident.verdict.convicted
    assert verdict.at_least_one_of == incident.verdict.at_least_one_of
    assert " ".join(verdict.convicted) == convicted
    assert " ".join("|".join(one) for one in verdict.at_least_one_of) == one_of
    assert " ".join(verdict.unobserved) == unseen
    assert verdict.status == ("ambiguous" if one_of else "localised")
    suspects = {name for group in one_of.split() for name in group.split("|")}
    assert set(verdict.ambiguous) == suspects
    assert verdict.contradictions == ()
    # What only explains what is explained already is masked; all others are cleared.
    crossed = {name for leg in incident.failed for name in ROUTES[leg].path.split()}
    assert set(verdict.masked) <= crossed - suspects - set(convicted.split())
    labels = [name for label in LABELS for name in getattr(verdict, label)]
    assert sorted(labels) == sorted(f"{SEGMENTS} {OWN}".split())
    if convicted:
        assert verdict.simplest == (convicted,)


@pytest.mark.parametrize("onset", [3.3, 15.2])
@pytest.mark.parametrize(("segment", "kind"), CASES)
def test_a_segment_breaks_for_good(segment: str, kind: Kind, onset: float) -> None:
    for seed in range(3):
        run = Simulation([Breaks(segment, kind, onset)], seed).judged()
        holds(run, row(segment, kind, onset))


@pytest.mark.parametrize(
    ("segment", "kind"), [one for one in CASES if one[1] in ("gone", "cut", "drain", "answers")]
)
@pytest.mark.parametrize("onset", [2.6, 9.5, 26.0])
def test_a_loud_one_at_any_onset(segment: str, kind: Kind, onset: float) -> None:
    for seed in range(3):
        run = Simulation([Breaks(segment, kind, onset)], seed).judged()
        holds(run, row(segment, kind, onset))


@pytest.mark.parametrize(
    ("segment", "one_of"),
    [
        ("serve", "devvm|serve"),
        ("tunnel", "wan|cf-edge|tunnel|traefik|carve-out|devvm|dispatch"),
        # The load balancer's own leg is cut as well, and crosses nothing else.
        ("traefik", ""),
    ],
)
def test_a_cut_before_anybody_beat_twice(segment: str, one_of: str) -> None:
    # Nobody had an answer before the last good beat was sent: they dialled together.
    run = Simulation([Breaks(segment, "cut", 0.9)], 1).judged()
    assert " ".join("|".join(one) for one in run.verdict.at_least_one_of) == one_of
    assert run.verdict.convicted == (() if one_of else (segment,))


@pytest.mark.parametrize(("segment", "kind"), [one for one in CASES if one[1] == "gone"])
def test_one_that_is_over_after_four_seconds(segment: str, kind: Kind) -> None:
    # Legs that hold nothing meet it in the common beat only, or never.
    run = Simulation([Breaks(segment, kind, 15.2, 19.0)], 1).judged()
    wanted = row(segment, kind)
    if segment in ("rack", "upstream-orders", "upstream-billing"):
        assert run.incidents == ()
        return
    assert " ".join(run.verdict.convicted) == wanted[2]
    assert run.incidents[0].recovered is not None


def test_a_wall_that_answers_nothing_is_not_observed() -> None:
    run = Simulation([Breaks("wall", "gone", 15.2)], 1).judged()
    assert run.incidents == ()
    assert (run.verdict.status, run.verdict.unobserved) == ("incomplete", ("wall",))


def test_every_segment_is_scripted() -> None:
    assert {segment for segment, _ in CASES} == set(f"{SEGMENTS} {OWN}".split())


# Spread.


@pytest.mark.parametrize(
    ("segment", "kind", "convicted", "one_of"),
    [
        # internal and traefik may have met the other machine.
        ("traefik", "cut", "traefik", ""),
        ("carve-out", "cut", "", "traefik|carve-out"),
        # Behind the proxy a 502 says that somebody after the CDN did not answer.
        ("tunnel", "gone", "", "tunnel|traefik"),
        ("dispatch", "gone", "dispatch", ""),
    ],
)
def test_a_spread_segment_is_cleared_by_no_other_leg(
    segment: str, kind: Kind, convicted: str, one_of: str
) -> None:
    spread = ("tunnel", "traefik")
    run = Simulation([Breaks(segment, kind, 15.2)], 1, spread=spread).judged()
    assert " ".join(run.verdict.convicted) == convicted
    assert " ".join("|".join(one) for one in run.verdict.at_least_one_of) == one_of


# From outside.

OUTSIDE = ("egress", "resolver", "edge", "cloudflare", "walloff-probe")


@pytest.mark.parametrize(
    ("segment", "kind", "convicted", "one_of"),
    [
        ("wan", "gone", "wan", ""),
        ("cf-edge", "gone", "cf-edge", ""),
        # The public page gets no answer either, so it tells nothing.
        ("tunnel", "gone", "", "tunnel|traefik|carve-out|devvm|dispatch"),
        ("dispatch", "gone", "", "devvm|dispatch"),
        ("tunnel", "cut", "", "tunnel|traefik|carve-out|devvm|dispatch"),
    ],
)
def test_from_outside_less_can_be_told(
    segment: str, kind: Kind, convicted: str, one_of: str
) -> None:
    run = Simulation([Breaks(segment, kind, 15.2)], 1, legs=OUTSIDE).judged()
    assert " ".join(run.verdict.convicted) == convicted
    assert " ".join("|".join(one) for one in run.verdict.at_least_one_of) == one_of


# Courses.

COURSES: dict[str, tuple[list[Breaks], list[str], str, str]] = {
    # The incidents' symptoms and legs; convicted; at least one of.
    "two causes apart: neither hides the other": (
        [Breaks("tunnel", "cut", 8), Breaks("doh", "gone", 25)],
        ["down resolver", "cut cloudflare"], "doh tunnel", "",
    ),
    "a cut, and an outage that goes on": (
        [Breaks("serve", "gone", 3), Breaks("tunnel", "cut", 18)],
        ["down t3serve", "cut cloudflare"], "tunnel serve", "",
    ),
    "two causes in one moment, in parts that share nothing": (
        [Breaks("doh", "gone", 15.2), Breaks("serve", "gone", 15.2)],
        ["down resolver", "down t3serve"], "doh serve", "",
    ),
    "a flap: three incidents, one segment": (
        [Breaks("serve", "cut", 4), Breaks("serve", "cut", 13), Breaks("serve", "cut", 23)],
        ["cut t3serve"] * 3, "serve", "",
    ),
    "a recovery, then a relapse": (
        [Breaks("serve", "gone", 3, 5), Breaks("serve", "gone", 23)],
        ["down t3serve"] * 2, "serve", "",
    ),
    # What is behind a broken load balancer cannot be seen.
    "two causes, one behind the other": (
        [Breaks("tunnel", "gone", 15.2), Breaks("traefik", "gone", 15.2)],
        ["down cloudflare internal traefik"], "traefik", "",
    ),
    # The tunnel's new connections are refused; its open one is cut by something else.
    "a drain, then a cut of what lived": (
        [Breaks("tunnel", "drain", 3), Breaks("tunnel", "cut", 18)],
        ["down cloudflare"], "tunnel", "",
    ),
    "half a second after the start": (
        [Breaks("tunnel", "gone", 0.4)], ["down cloudflare"], "tunnel", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COURSES)
def test_a_course(name: str) -> None:
    breaks, incidents, convicted, one_of = COURSES[name]
    run = Simulation(breaks, 2).judged()
    order = list(ROUTES).index
    told = [f"{one.symptom} {' '.join(sorted(one.failed, key=order))}" for one in run.incidents]
    assert [one.severity for one in run.incidents] == sorted(one.severity for one in run.incidents)
    assert sorted(told) == sorted(incidents)
    assert " ".join(run.verdict.convicted) == convicted
    assert " ".join("|".join(one) for one in run.verdict.at_least_one_of) == one_of
    assert run.verdict.status == ("ambiguous" if one_of else "localised")
    for one in run.incidents:
        assert set(one.verdict.convicted) <= set(run.verdict.convicted)
