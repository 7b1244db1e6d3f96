"""What blackbox_exporter's probes say of a path, and whom the rule of thumb then names."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from realpath import accuracy, blackbox
from realpath.blackbox import Leg, blame, legs, probe_all, works
from realpath.configs import Places
from realpath.conftest import needs_programs
from realpath.faults import SERVFAIL, behave, kill, resolvers, rules
from realpath.line import MID, Line, line
from realpath.programs import find
from realpath.runner import Result
from realpath.stack import Stack

LEGS = legs(Places("127.20", Path()))
NAMES = [leg.name for leg in LEGS]
THROUGH = {"cloudflare", "internal", "walloff-probe"}


def named(*down: str) -> str:
    """Whom the rule names when these legs are down and all others up."""
    return " ".join(sorted(blame(LEGS, {name: name not in down for name in NAMES})))


@pytest.mark.parametrize(
    ("down", "who"),
    [
        ("", ""),
        ("edge cloudflare walloff-probe", "cf-edge"),
        ("cloudflare walloff-probe", "tunnel"),
        ("internal cloudflare dispatch", "dispatch"),
        ("cloudflare", ""),
        ("traefik internal walled-home cloudflare walloff-probe", "traefik"),
        ("internal cloudflare walloff-probe", "carve-out"),
        ("internal cloudflare walloff-probe dispatch", "dispatch"),
        ("t3serve", "serve"),
        ("walled-home", "wall"),
        ("envoy-orders", "upstream-orders"),
        ("egress resolver", "doh"),
        ("t3serve edge cloudflare walloff-probe", "cf-edge serve"),
        ("cloudflare walloff-probe resolver egress", "doh tunnel"),
        ("dispatch t3serve internal cloudflare walloff-probe", "dispatch serve"),
    ],
)
def test_the_shortest_leg_that_fails_tells_which(down: str, who: str) -> None:
    assert named(*down.split()) == who


def test_a_leg_whose_segments_others_cross_accuses_nobody() -> None:
    assert named("devvm") == ""


def test_a_machine_whose_processes_are_all_gone_is_named_itself() -> None:
    assert named("devvm", "dispatch", "t3serve", *THROUGH) == "devvm"


def test_several_left_the_first_on_the_path_is_named() -> None:
    two = [Leg("long", ("a", "b", "c"), "", ()), Leg("short", ("a",), "", ())]
    assert blame(two, {"long": False}) == {"a"}
    assert blame(two, {"long": False, "short": True}) == {"b"}


def test_a_page_that_works_does_not_prove_what_it_merely_needs() -> None:
    page, echo = Leg("page", ("a",), "", (), behind=("b",)), Leg("echo", ("a", "b"), "", ())
    assert blame([page, echo], {"page": True, "echo": False}) == {"b"}
    assert blame([page], {"page": False}) == {"a"}


def test_a_leg_that_was_not_probed_says_nothing() -> None:
    up = {name: name not in THROUGH for name in NAMES if name not in ("edge", "internal")}
    assert blame(LEGS, up) == {"cf-edge"}
    assert works({"edge": [], "egress": [True, True], "cloudflare": [True, False]}) == {
        "egress": True,
        "cloudflare": False,
    }


@given(st.fixed_dictionaries({name: st.booleans() for name in NAMES}))
def test_nobody_is_named_whom_a_leg_crosses_that_is_up(up: dict[str, bool]) -> None:
    who = blame(LEGS, up)
    work = {one for leg in LEGS if up[leg.name] for one in leg.path}
    suspect = {one for leg in LEGS if not up[leg.name] for one in (*leg.path, *leg.behind)}
    assert who <= suspect - work
    assert bool(who) == bool(suspect - work)


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    needs_programs()
    if not find(blackbox.COMMAND):
        words = f"{blackbox.COMMAND} is not installed; ci/services installs it"
        if os.environ.get("CI", "") not in {"", "0", "false"}:
            pytest.fail(words, pytrace=False)
        pytest.skip(words)
    return Stack(tmp_path / "path")


@pytest.mark.timeout(200)
def test_probes_see_what_answers_and_what_does_not(stack: Stack) -> None:
    def down(both: bool = False) -> set[str]:
        with ThreadPoolExecutor(blackbox.MANY) as pool:
            found = probe_all(stack.places, legs(stack.places, both), pool)
        return {name for name, good in found.items() if not good}

    try:
        stack.start()
        blackbox.install(stack)
        assert down(both=True) == set()
        kill("node_exporter", "orders", "second").begin(stack)
        assert down(both=True) == {"devvm", "envoy-orders", "envoy-dispatch"}
        stack.reset()
        behave("dispatch", wrong=True).begin(stack)
        assert down() == {"dispatch", "internal", "cloudflare"}
        stack.reset()
        resolvers(SERVFAIL, 1).begin(stack)
        assert down() == set()
        resolvers(SERVFAIL, 2).begin(stack)
        rules("no wall", walled={"route": {"cluster": "serve"}}).begin(stack)
        assert down() == {"resolver", "walled-home"}
        stack.reset()
        kill("haproxy").begin(stack)
        sampler = blackbox.Sampler(stack)
        sampler.start()
        sampler.stop()
        assert all(sampler.samples.values())
        assert sampler.blamed() == {"tunnel"}
        stack.programs["blackbox"].kill()
        with ThreadPoolExecutor(blackbox.MANY) as pool:
            assert probe_all(stack.places, sampler.legs, pool) == {}
    finally:
        stack.close()


def counted(line: Line, blamed: str) -> dict[str, int]:
    """What accuracy.py counts for a run of this line in which the rule names these."""
    result = judged(line)
    result.blamed = frozenset(blamed.split())
    tally = accuracy.Tally()
    tally.take(result)
    return {name: count for name, count in tally.probed.items() if count and name != "runs"}


def judged(line: Line) -> Result:
    none = frozenset[str]()
    return Result(line, line.code, none, frozenset(), none, "", "", Path())


RIGHT = "convicted, rightly"
WRONG = "innocent named"
NAMED = "one named where several may be"


@pytest.mark.parametrize(
    ("what", "blamed", "counts"),
    [
        (line(MID, convicted="doh"), "doh", {RIGHT: 1}),
        (line(MID, convicted="doh"), "", {"missed": 1}),
        (line(MID, convicted="doh"), "wan", {WRONG: 1, "missed": 1}),
        (line(MID, convicted="doh serve"), "doh", {RIGHT: 1, "missed": 1}),
        (line(MID, suspect="doh", closed="wan"), "doh wan", {RIGHT: 1, WRONG: 1}),
        (line(MID, one_of=("wan doh",)), "wan", {NAMED: 1}),
        (line(MID, one_of=("wan doh",)), "serve", {WRONG: 1, "missed": 1}),
        (line(MID, convicted="doh", or_clean=True), "", {"over before anybody looked": 1}),
        (line(MID), "", {"runs without an outage": 1, "of these clean": 1}),
        (line(MID), "doh", {"runs without an outage": 1, WRONG: 1}),
        (line(MID, closed="wall"), "wall", {"runs without an outage": 1}),
    ],
)
def test_whom_the_rule_names_is_counted(what: Line, blamed: str, counts: dict[str, int]) -> None:
    assert counted(what, blamed) == counts


def test_a_run_without_these_probes_is_not_counted() -> None:
    tally = accuracy.Tally()
    tally.take(judged(line(MID)))
    assert not tally.probed
    assert "blackbox" not in tally.text()
