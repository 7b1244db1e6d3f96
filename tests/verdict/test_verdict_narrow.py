"""A leg that passed without proving its whole path came through nothing behind what it proves."""

from __future__ import annotations

import pytest

from t3probe.observation import Attempt, Beat, Drop, Observation, RunRecord
from t3probe.verdict.incident.run import judge_run

RUN = RunRecord(segments=("proxy", "rule", "wall", "app"), heartbeat_seconds=1.0)


def refusing() -> Observation:
    """New connections got a 404, made at the proxy or behind it; and so again."""
    second = Attempt(started=3.2, ended=3.3, ok=False, reason="upgrade_rejected", accused="proxy")
    drop = Drop(
        began=2.0, noticed=3.1, asked=3.0, reason="upgrade_rejected", symptom="refusing",
        stage="ask", call=1, strand="fresh", answered=True, accused="proxy", attempt=second,
    )  # fmt: skip
    return Observation(
        leg="inside", kind="ws_echo", path=("proxy", "rule", "app"), outcome="failed",
        level="hold", tcp_ends_at="proxy", drops=(drop,), ended=6.0,
    )  # fmt: skip


def good(leg: str, *path: str, clears: tuple[str, ...] | None = None) -> Observation:
    beat = Beat(sent=3.15, ended=3.18, ok=True, conn=0, strand="fresh", call=1)
    return Observation(
        leg=leg, kind="walled", path=path, outcome="passed", beats=(beat,), clears=clears, ended=6.0
    )


@pytest.mark.parametrize(
    ("clears", "convicted", "one_of"),
    [(None, ("rule",), ()), (("proxy",), (), (("proxy", "rule"),))],
    ids=["the wall answered", "who knows who"],
)
def test_a_404_at_the_wall_does_not_clear_the_proxy_of_another_404(
    clears: tuple[str, ...] | None, convicted: tuple[str, ...], one_of: tuple[tuple[str, ...], ...]
) -> None:
    walled = good("walled-home", "proxy", "wall", clears=clears)
    seen = [refusing(), walled, good("behind", "app", "more")]
    verdict = judge_run(RUN, seen).verdict
    assert (verdict.convicted, verdict.at_least_one_of) == (convicted, one_of)
