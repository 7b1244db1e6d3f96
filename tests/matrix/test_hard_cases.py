"""Faults whose legs' beats tempt one into blaming, or clearing, the wrong segment."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from t3probe.probes.http import HttpLine

PUBLIC = ("egress", "resolver", "edge", "cloudflare", "walloff-probe")


class Case(NamedTuple):
    """Faults, the hold in seconds, the legs that run, and what must come of it."""

    faults: list[str]
    hold: float
    legs: tuple[str, ...]
    broken: set[str]
    convicted: set[str]
    """Who is, in the run's verdict: these and nobody else."""
    one_of: set[str] = frozenset()  # type: ignore[assignment]
    """Where nobody can be: one of these, the broken one among them."""


CASES = {
    # The public page is up again by the time that it is asked.
    "an outage that is over at the common beat, seen from outside": Case(
        ["tunnel:refuse@560ms+313ms"],
        1.8,
        PUBLIC,
        {"tunnel"},
        set(),
        {"tunnel", "traefik", "carve-out", "devvm", "dispatch"},
    ),
    # cloudflare is cut with the others, but knows it later: its last answer was still on its way.
    "a cut while an answer is on its way": Case(
        ["dispatch:cut@321ms", "cf-edge:slow:100ms"], 0.6, (), {"dispatch"}, {"dispatch"}
    ),
    # Open WebSockets live on, requests fail.
    "5xx in mid-hold": Case(["traefik:http502@600ms"], 1.8, (), {"traefik"}, {"traefik"}),
    # Open WebSockets live on, new ones are sent to the sign-on.
    "carve-out lost in mid-hold": Case(
        ["carve-out:sso@600ms"], 1.8, (), {"carve-out"}, {"carve-out"}
    ),
    # Each connection ends when it is 0.7 s old, those opened a little later a little later.
    "a limit on age": Case(
        ["traefik:close:700ms"], 1.8, (), {"traefik"}, set(), {"traefik", "carve-out"}
    ),
    # What waited for a silent resolver is up late, when the wan is back.
    "a common beat that comes after the outage": Case(
        ["carve-out:stall", "wan:blackhole+1165ms"],
        1.45,
        (),
        {"carve-out", "wan"},
        {"carve-out", "wan"},
    ),
    # A cut after the last beat of the hold: one more at its end shows who outlived it.
    "a cut at the end of the hold": Case(["tunnel:cut@1100ms"], 1.18, (), {"tunnel"}, {"tunnel"}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_hard_case(field, name: str) -> None:
    case = CASES[name]
    seen = field.run(case.faults, case.hold, case.legs)
    assert seen.verdict["incidents"]
    for incident in seen.verdict["incidents"]:
        verdict = incident["verdict"]
        assert set(verdict["convicted"]) <= case.broken, seen.legs
        assert verdict["status"] != "inconsistent", seen.legs
        # Whoever broke is suspect in each of them.
        assert case.broken & {*verdict["convicted"], *verdict["ambiguous"]}, seen.legs
    assert set(seen.verdict["convicted"]) == case.convicted, seen.legs
    groups = [set(one) for one in seen.verdict["at_least_one_of"] if len(one) > 1]
    assert groups == ([case.one_of] if case.one_of else []), seen.legs


def test_a_cut_that_a_leg_learns_of_by_its_own_beat(field, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's leg beats at the common beat before it has seen that its connection died. The
    reset is answer enough that the machine lives, and no proof that its connection did."""
    ended = HttpLine._ended

    def late(self: HttpLine, state: object) -> None:
        if not self.leg.refused_ok:
            ended(self, state)  # type: ignore[arg-type]

    monkeypatch.setattr(HttpLine, "_ended", late)
    seen = field.run(["devvm:cut@560ms"], 1.4)
    last = [one for one in seen.legs["devvm"].beats if one.conn == 0][-1]
    assert (last.strand, last.ok, last.refused) == ("held", True, True)
    assert seen.verdict["convicted"] == []
    assert seen.verdict["simplest"] == ["devvm"]
    assert seen.verdict["at_least_one_of"] == [["devvm", "dispatch"], ["devvm", "serve"]]
