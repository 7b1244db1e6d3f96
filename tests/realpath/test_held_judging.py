"""Whether the table of the held mode notices what is wrong: made-up gauges, no program."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from realpath.configs import SEGMENTS
from realpath.held import HeldResult, Shown, differs, ended_at, judge_shown
from realpath.table_held import HELD, LEGS, HeldLine

BY_KEY = {one.key: one for one in HELD}
SERVE = BY_KEY["kill-serve-1.5-s"]
ROUTE = BY_KEY["envoy-404-for-the-public-path-1.5-s"]
EITHER = BY_KEY["haproxy-disable-server-cluster-balancer-1.5-s"]
CALM = Shown(100.0, dict.fromkeys(SEGMENTS, "exonerated"), *(dict.fromkeys(LEGS, 1.0),) * 2, 0.0)


def shown(convicted: str = "", doubt: str = "", *, down: str = "", at: float = 101.0) -> Shown:
    """All is well but for these segments and legs."""
    states = {
        **CALM.states,
        **dict.fromkeys(doubt.split(), "ambiguous"),
        **dict.fromkeys(convicted.split(), "convicted"),
    }
    legs = {leg: float(leg not in down.split()) for leg in LEGS}
    return Shown(at, states, legs, legs, 0.0)


@pytest.mark.parametrize(
    ("line", "found", "said"),
    [
        (SERVE, shown("serve", down="t3serve"), ()),
        (SERVE, shown("serve"), ("connected of t3serve: 1.0", "accepting of t3serve: 1.0")),
        (SERVE, shown(down="t3serve"), ("convicted: -, not serve", "exonerated: serve")),
        (
            SERVE,
            shown("devvm serve", down="t3serve"),
            ("convicted: devvm serve, not serve", "in doubt beyond that: devvm"),
        ),
        (SERVE, shown("serve", "devvm", down="t3serve"), ("in doubt beyond that: devvm",)),
        (
            SERVE,
            shown("serve", down="t3serve devvm"),
            ("connected of devvm: 0.0", "accepting of devvm: 0.0"),
        ),
        (EITHER, shown("", "cf-edge tunnel"), ("accepting of cloudflare: 1.0",)),
        (
            EITHER,
            shown("", "tunnel"),
            (
                "in doubt: tunnel, not cf-edge tunnel",
                "exonerated: cf-edge",
                "accepting of cloudflare: 1.0",
            ),
        ),
    ],
)
def test_a_difference_is_said(line: HeldLine, found: Shown, said: tuple[str, ...]) -> None:
    assert tuple(differs(line, found)) == said


def test_whoever_must_not_be_cleared_is_looked_at() -> None:
    line = BY_KEY["kill-nginx-1.5-s"]
    down = "edge cloudflare"
    found = shown("cf-edge", down=down)
    assert differs(line, found) == ["exonerated: tunnel"]
    masked = replace(found, states={**found.states, "tunnel": "masked"})
    assert differs(line, masked) == []


def test_an_innocent_that_is_convicted_for_a_moment_is_unjust() -> None:
    some = [CALM, shown("serve devvm"), shown("serve")]
    result = HeldResult(SERVE, Path(), some, counted_at=100.5, over=110.0)
    judge_shown(result)
    assert result.unjust == ["101.0: convicted: devvm"]
    assert result.wrong == result.unjust


def test_a_broken_one_that_is_cleared_before_its_window_is_over_is_unjust() -> None:
    some = [CALM, shown("carve-out", at=101), shown(at=102), shown(at=111)]
    result = HeldResult(ROUTE, Path(), some, counted_at=100.5, over=110.0)
    judge_shown(result)
    assert result.unjust == ["102.0: cleared: carve-out"]


def test_an_outage_in_which_nothing_was_counted_is_wrong() -> None:
    result = HeldResult(SERVE, Path(), [CALM, shown("serve")])
    judge_shown(result)
    assert result.wrong == ["no drop was counted"]


def test_a_blip_that_stands_alone_may_be_cleared() -> None:
    """What comes with the first drop that counts, or after it, is judged."""
    some = [CALM, shown("", "carve-out", at=101), shown(at=102), shown("carve-out", at=104)]
    going = [(102.0, "while it goes on: one"), (104.0, "while it goes on: two")]
    result = HeldResult(ROUTE, Path(), some, going=going, counted_at=103.0, over=110.0)
    judge_shown(result)
    assert (result.unjust, result.wrong) == ([], ["while it goes on: two"])


def test_a_leg_that_is_asked_again_does_not_lengthen_the_outage() -> None:
    brief = BY_KEY["kill-dispatch-and-start-it-after-1-s-1.5-s"]
    asked_again = replace(CALM, at=104.0, connected={**CALM.connected})
    del asked_again.connected["walloff-probe"]
    snapshots = [shown(down="dispatch", at=103.0), asked_again]
    assert not asked_again.up
    assert ended_at(brief, snapshots, 101.0, 115.0) == 103.0
    assert ended_at(brief, snapshots[1:], 101.0, 115.0) == 102.0
    assert ended_at(SERVE, snapshots, 101.0, 115.0) == 115.0
    assert ended_at(BY_KEY["kill-dnsdist-1-1.5-s"], snapshots, 101.0, 115.0) == 103.0
