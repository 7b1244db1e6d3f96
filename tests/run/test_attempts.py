"""Attempts at several addresses, with far ends that answer as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from probes.servers import deployment, http_leg

from t3probe.config.types import Leg
from t3probe.observation import Observation, TcpSample
from t3probe.probes.base import Collapsed, Echo, Facts, Line, ProbeError, Probing, Target
from t3probe.resolve import ResolveError
from t3probe.run.attempt import Attempts
from t3probe.run.controller import Run

FINE, ELSEWHERE = "fine", "elsewhere"
Answer = str | ProbeError


def error(reason: Any, stage: Any = "connect", **more: Any) -> ProbeError:
    return ProbeError(reason, stage, f"it was {reason}", **more)


class FarEnd:
    """What is behind each address: a good answer, another route, or a failure."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Answer) -> None:
        self.answers = {f"10.0.0.{at}": one for at, one in enumerate(answers)}
        self.asked = 0
        self.resolves: list[Target] | ResolveError = [
            Target("app.example", one, 80) for one in self.answers
        ]
        self.opened: list[Opened] = []
        monkeypatch.setattr("t3probe.run.attempt.targets", self._targets)
        monkeypatch.setattr("t3probe.run.attempt.opener", lambda kind: self._open)

    async def _targets(self, leg: Leg, probing: Probing) -> list[Target]:
        self.asked += 1
        if isinstance(self.resolves, ResolveError):
            raise self.resolves
        return self.resolves

    async def _open(self, leg: Leg, target: Target, probing: Probing) -> Line:
        answer = self.answers[target.address]
        if isinstance(answer, ProbeError) and answer.stage == "connect":
            answer.facts = Facts(cert_not_after=77.0)
            raise answer
        line = Opened(target, probing, answer)
        self.opened.append(line)
        return line


class Opened(Line):
    holds = True

    def __init__(self, target: Target, probing: Probing, answer: Answer) -> None:
        super().__init__(target, probing)
        self.answer = answer
        self.closed = False
        self.facts.cf_ray = "abc-FRA"

    async def beat(self) -> Echo:
        if self.answer == ELSEWHERE:
            raise Collapsed("this is another route")
        if isinstance(self.answer, ProbeError):
            raise self.answer
        await asyncio.sleep(0)
        now = self.probing.clock.now()
        return Echo(sent=now, ended=now)

    def tcp(self) -> TcpSample | None:
        return None

    async def close(self) -> None:
        self.closed = True


async def measured(leg: Leg | None = None) -> Observation:
    leg = leg or http_leg(url="http://app.example/")
    (seen,) = await Run(deployment([leg]), [leg], hold=0).measure()
    return seen


# -- one address on another route --------------------------------------------------------------


@pytest.mark.parametrize(
    "answers",
    [(ELSEWHERE,), (ELSEWHERE, FINE), (FINE, ELSEWHERE, FINE), (FINE, error("rtt_timeout", "ask"),
     ELSEWHERE)],
)  # fmt: skip
async def test_one_address_on_another_route_is_a_collapse(
    answers: Sequence[Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    far = FarEnd(monkeypatch, *answers)
    seen = await measured()
    assert (seen.outcome, seen.reason) == ("inconclusive", "leg_collapsed")
    assert seen.detail == "this is another route"
    assert all(one.closed for one in far.opened)


async def test_without_one_the_leg_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    far = FarEnd(monkeypatch, FINE, FINE)
    seen = await measured()
    assert (seen.outcome, seen.address) == ("passed", "10.0.0.0:80")
    assert len(far.opened) == 2
    assert all(one.closed for one in far.opened)


# -- which failure to tell ----------------------------------------------------------------------

REFUSED = ("connect_refused", "failed")


@pytest.mark.parametrize("first", [True, False])
async def test_refused_beside_no_route_is_refused(
    first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No IPv6 here says nothing about IPv4."""
    answers = [error("connect_refused"), error("connect_failed", unroutable=True)]
    FarEnd(monkeypatch, *(answers if first else answers[::-1]))
    seen = await measured()
    assert (seen.reason, seen.outcome) == REFUSED
    assert len(seen.drops) == 1
    assert sorted(one.skipped for one in seen.addresses) == [False, True]


async def test_no_route_to_any_address_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    FarEnd(monkeypatch, *(error("connect_failed", unroutable=True) for _ in range(2)))
    seen = await measured()
    assert (seen.outcome, seen.reason, seen.drops) == ("inconclusive", "connect_failed", ())


async def test_a_good_address_beside_no_route_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    FarEnd(monkeypatch, error("connect_failed", unroutable=True), FINE)
    seen = await measured()
    assert (seen.outcome, seen.address) == ("passed", "10.0.0.1:80")
    assert [(one.address, one.ok, one.skipped) for one in seen.addresses] == [
        ("10.0.0.0:80", False, True),
        ("10.0.0.1:80", True, False),
    ]


@pytest.mark.parametrize("first", [True, False])
async def test_the_failure_that_came_furthest_is_told(
    first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [error("connect_refused"), error("http_5xx", "ask")]
    far = FarEnd(monkeypatch, *(answers if first else answers[::-1]))
    seen = await measured()
    (drop,) = seen.drops
    assert (seen.reason, drop.stage, drop.detail) == ("http_5xx", "ask", "it was http_5xx")
    assert drop.attempt is not None
    assert (drop.attempt.ok, drop.attempt.reason, drop.attempt.detail) == (
        False,
        "http_5xx",
        "it was http_5xx",
    )
    assert {one.reason for one in seen.addresses} == {"connect_refused", "http_5xx"}
    assert {one.detail for one in seen.addresses} == {"it was connect_refused", "it was http_5xx"}
    # What the line saw before it failed is kept, and no line is left open.
    assert (drop.cf_ray, seen.cert_not_after) == ("abc-FRA", 77.0)
    assert all(one.closed for one in far.opened)


# -- internal addresses -------------------------------------------------------------------------


async def test_an_internal_address_among_others_is_a_collapse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    far = FarEnd(monkeypatch, FINE, FINE)
    leg = http_leg(url="http://app.example/", doh=("https://10.0.0.53/dns-query",))
    inside = http_leg(name="inside", url="http://app.example/", pin="10.0.0.1:80")
    (seen,) = await Run(deployment([leg, inside]), [leg], hold=0).measure()
    assert (seen.outcome, seen.reason) == ("inconclusive", "leg_collapsed")
    assert seen.detail.startswith("public DNS answers 10.0.0.1, which is an internal address")
    assert far.opened == []


async def test_only_public_dns_must_not_answer_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leg that asks the system's resolver may well be meant for the inside; and a resolver's
    own address is not an answer."""
    FarEnd(monkeypatch, FINE)
    inside = http_leg(name="inside", url="http://app.example/", pin="10.0.0.0:80")
    doh = Leg(name="doh", kind="doh", path=("w",), doh=("https://10.0.0.0/q",), query="a.example")
    for leg in (http_leg(url="http://app.example/"), doh):
        (seen,) = await Run(deployment([leg, inside]), [leg], hold=0).measure()
        assert seen.outcome == "passed", seen.detail


# -- addresses anew -----------------------------------------------------------------------------


async def test_the_note_says_when_the_files_own_address_was_dialled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    far = FarEnd(monkeypatch, FINE)
    assert (await measured()).evidence == ()
    far.resolves = [Target("app.example", "10.0.0.0", 80, from_file=True)]
    words = "no DoH provider answered; dialled the address in the file"
    assert (await measured()).evidence == (words,)


async def test_known_addresses_are_kept_for_as_long_as_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from t3probe.run.engine import Engine
    from t3probe.run.footing import Footing
    from t3probe.timing import FakeClock, RunClock

    far = FarEnd(monkeypatch, FINE)
    fake = FakeClock()
    clock = RunClock(fake)
    leg = http_leg(url="http://app.example/")
    one = deployment([leg])
    engine = Engine(one, clock, Footing(clock, one.timing))
    attempts = Attempts(leg, engine, engine.new_book(leg), asyncio.Event())
    assert await attempts.resolve()
    fake.advance(1e6)
    assert not attempts.resolve_is_due  # a run asks once
    engine.resolve_again = 60.0
    assert attempts.resolve_is_due
    attempts.keep_addresses()
    fake.advance(59.0)
    assert not attempts.resolve_is_due
    fake.advance(1.0)
    assert attempts.resolve_is_due
    far.resolves = ResolveError("nobody answers")
    with pytest.raises(ResolveError):
        await attempts.resolve()
    kept, _ = await attempts.all()
    assert kept.error is None  # what was known is still dialled
    await attempts.close_all()
    far.resolves = []
    assert not await attempts.resolve()
