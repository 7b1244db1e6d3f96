"""What a failed attempt's own answer clears, and whom it accuses."""

from __future__ import annotations

from typing import Any

import pytest

from t3probe.config.types import Leg
from t3probe.probes.facts import ProbeError
from t3probe.run.own_answer import OwnAnswer, evidence

PATH = ("wan", "edge", "tunnel", "lb", "app")


def leg(**more: Any) -> Leg:
    facts: dict[str, Any] = {"tcp_ends_at": "edge", "url": "https://a.example/x"} | more
    return Leg(name="x", path=PATH, kind="http", **facts)


def answer(status: int, marked: str = "") -> ProbeError:
    error = ProbeError("http_other", "ask", f"status {status}", answered=True)
    error.status, error.marked = status, marked
    return error


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 429, 500, 501, 503, 505, 519, 528])
def test_an_http_answer_accuses_whoever_made_it(status: int) -> None:
    assert evidence(leg(), answer(status)) == OwnAnswer(carried=("wan",), accused="edge")
    marked = evidence(leg(), answer(status, "lb"))
    assert marked == OwnAnswer(carried=("wan", "edge", "tunnel"), accused="lb")


@pytest.mark.parametrize("status", [502, 504, 520, 521, 522, 523, 524, 525, 526, 527, 530])
def test_that_of_a_gateway_does_not(status: int) -> None:
    assert evidence(leg(), answer(status)) == OwnAnswer(carried=("wan",))
    assert evidence(leg(), answer(status, "lb")) == OwnAnswer(carried=("wan", "edge", "tunnel"))


def test_a_refusal_is_an_answer() -> None:
    refused = ProbeError("connect_refused", "connect", "refused")
    assert evidence(leg(), refused) == OwnAnswer(carried=("wan",))


def test_unless_it_is_not_trusted_or_nobody_said_where_tcp_ends() -> None:
    refused = ProbeError("connect_refused", "connect", "refused")
    assert evidence(leg(trust_refusals=False), refused) == OwnAnswer()
    assert evidence(leg(tcp_ends_at=None), refused) == OwnAnswer()


def test_a_reset_and_a_close_are_none() -> None:
    for reason in ("connection_reset", "closed_by_peer", "connect_timeout", "connect_failed"):
        error = ProbeError(reason, "ask", "")  # type: ignore[arg-type]
        assert evidence(leg(), error) == OwnAnswer()


def test_an_answer_that_is_no_http_accuses_nobody() -> None:
    echo = ProbeError("wrong_echo", "ask", "another nonce", answered=True)
    assert evidence(leg(), echo) == OwnAnswer(carried=("wan",))
