"""Attempts at several addresses, with far ends that answer as they are told."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Sequence

import msgspec
import pytest
from far_end import ELSEWHERE, FINE, Answer, FarEnd, error, measured
from probes.servers import deployment, http_leg

from t3probe.config.types import Leg
from t3probe.probes.facts import Target
from t3probe.probes.resolve import ResolveError
from t3probe.run.attempt import Attempts
from t3probe.run.controller import Run
from t3probe.run.engine import Engine
from t3probe.run.footing import Footing
from t3probe.timing import FakeClock, RunClock

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


@pytest.mark.parametrize(
    ("answered", "provider", "collapses"),
    [
        ("127.0.0.1", "10.0.0.53", True),
        ("::1", "10.0.0.53", True),
        ("::ffff:127.0.0.1", "10.0.0.53", True),
        ("255.255.255.255", "10.0.0.53", True),
        ("127.0.0.1", "127.0.0.53", False),
        ("10.0.0.7", "10.0.0.53", False),
    ],
)
async def test_a_resolver_elsewhere_that_answers_this_very_machine_is_a_collapse(
    answered: str, provider: str, collapses: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So filters say no; a connect to it is refused by ourselves, and would clear the network."""
    far = FarEnd(monkeypatch)
    far.resolves, far.answers = [Target("app.example", answered, 80)], {answered: FINE}
    leg = http_leg(url="http://app.example/", doh=(f"https://{provider}/dns-query",))
    seen = await measured(leg)
    assert (seen.reason == "leg_collapsed", far.opened == []) == (collapses, collapses)
    written = msgspec.structs.replace(leg, fallback=(answered,))
    assert (await measured(written)).outcome == "passed"


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
    words = "no DoH provider gave an address; dialled the address in the file"
    far.resolves = [Target("app.example", "10.0.0.0", 80, words)]
    assert (await measured()).evidence == (words,)


async def test_only_the_line_that_is_kept_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    far = FarEnd(monkeypatch, FINE, error("http_5xx", "ask"), FINE)
    leg = http_leg(url="http://app.example/")
    (one,) = Run(deployment([leg]), [leg], hold=0).legs
    looked: list[float] = []
    monkeypatch.setattr(one.book, "looked", looked.append)
    assert await one._attempts.resolve()
    kept, tried = await one._attempts.all()
    assert looked == [one._attempts.tried_at]  # the book hears of it, whatever came of it
    assert [one.error is None for one in tried] == [True, False, True]
    assert kept is tried[0]
    assert {line.target.address: line.closed for line in far.opened} == {
        "10.0.0.0": False,
        "10.0.0.1": True,
        "10.0.0.2": True,
    }
    await one._attempts.close_all()
    assert all(line.closed for line in far.opened)


async def test_known_addresses_are_kept_for_as_long_as_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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


async def test_a_resolver_that_is_gone_is_asked_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A leg that dials again and again does not ask it each time."""
    far, fake = FarEnd(monkeypatch, FINE), FakeClock()
    leg = http_leg(url="http://app.example/")
    run = Run(deployment([leg]), [leg], hold=60, clock=RunClock(fake))
    run.resolve_again = 60.0
    (one,) = run.legs
    assert await one._attempts.resolve()
    far.resolves = ResolveError("nobody answers")
    for passed, asked in ((59.0, 1), (1.0, 2), (0.0, 2), (59.0, 2), (1.0, 3), (0.0, 3)):
        fake.advance(passed)
        one._open += 1
        await one._fresh_beat(0)
        assert far.asked == asked, passed
    assert all(beat.ok for beat in one.book.beats)
    assert len(one.book.beats) == 6
    # The first is held; of the others nothing is kept, once they are closed.
    await asyncio.gather(*one._tasks)
    lines = [weakref.ref(line) for line in far.opened]
    far.opened.clear()
    gc.collect()
    assert [line() is not None for line in lines] == [True] + [False] * 5
    await one._close_all()
