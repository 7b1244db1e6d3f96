"""A cache on the way: an answer that was made for another request clears nothing behind it."""

from __future__ import annotations

import msgspec
import pytest
from probes.http_servers import Reader, Writer
from probes.servers import (
    HOST,
    answering,
    deployment,
    head,
    header_of,
    http_leg,
    probe,
    response,
    serve,
)
from probes.walls import public, walled

from t3probe.observation import RECORD_VERSION, Observation, RunRecord
from t3probe.probes.marks import nearby
from t3probe.run.controller import Run
from t3probe.verdict.incident.run import RunVerdict, judge_run

WAY = ("edge", "tunnel", "proxy", "far")
MARKS = {"cf-ray": "edge", "t3probe-echo": "far"}
OTHER = "b" * 32

KEPT = {
    "age": {"Age": "7", "T3Probe-Echo": "yes"},
    "hit": {"cf-cache-status": "HIT", "T3Probe-Echo": "yes"},
    "another's nonce": {"T3Probe-Echo": OTHER},
    "another's nonce, and old": {"T3Probe-Echo": OTHER, "Age": "7"},
    "no mark": {"cf-cache-status": "HIT"},
}
"""Headers of answers that were made for another request."""


def answers(status: str, headers: dict[str, str], body: bytes = b"ok"):  # type: ignore[no-untyped-def]
    """Always the same answer, with the edge's mark; `NONCE` stands for the request's own."""

    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            request = await head(reader, writer)
            own = header_of(request, "t3probe-nonce") or ""
            fields = [(name, value.replace("NONCE", own)) for name, value in headers.items()]
            writer.write(response(status, body, [("cf-ray", "1-AMS"), *fields]))
            await writer.drain()

    return handler


async def judged(status: str, headers: dict[str, str]) -> tuple[Observation, RunVerdict]:
    """`whole`, whose way ends at `far`, gets this answer; `edge`, which ends there, works."""
    async with (
        serve(answers(status, headers)) as server,
        serve(answers("200 OK", {"cf-cache-status": "DYNAMIC"})) as front,
    ):
        legs = [
            http_leg(server, name="whole", path=WAY, tcp_ends_at="edge"),
            http_leg(front, name="edge", path=WAY[:1], tcp_ends_at="edge"),
        ]
        made = msgspec.structs.replace(deployment(legs), marks=MARKS, paths=(WAY,))
        seen = await Run(made, legs, hold=0).measure()
    record = RunRecord(version=RECORD_VERSION, segments=WAY, paths=(WAY,))
    return seen[0], judge_run(record, seen)


@pytest.mark.parametrize("headers", KEPT.values(), ids=KEPT)
async def test_a_failure_that_a_cache_replays_clears_nothing_before_its_mark(
    headers: dict[str, str],
) -> None:
    seen, found = await judged("500 Oops", headers)
    assert (seen.drops[0].carried, seen.drops[0].accused) == ((), "edge")
    assert found.verdict.convicted == ()
    assert found.verdict.ambiguous == WAY


@pytest.mark.parametrize("headers", KEPT.values(), ids=KEPT)
async def test_a_good_answer_out_of_a_cache_clears_nothing_behind_the_end_of_tcp(
    headers: dict[str, str],
) -> None:
    seen, found = await judged("200 OK", headers)
    assert (seen.outcome, seen.clears) == ("passed", ("edge",))
    assert found.verdict.exonerated == ("edge",)
    assert found.verdict.unobserved == WAY[1:]
    assert found.verdict.status == "incomplete"


@pytest.mark.parametrize(
    "headers", [{"T3Probe-Echo": "NONCE"}, {"T3Probe-Echo": "NONCE", "Age": "7"}, {"Age": "0"}]
)
async def test_one_that_was_made_for_the_request_clears_the_whole_way(
    headers: dict[str, str],
) -> None:
    _, found = await judged("200 OK", headers)
    assert found.verdict.exonerated == WAY
    assert found.verdict.status == "clean"


@pytest.mark.parametrize("headers", KEPT.values(), ids=KEPT)
@pytest.mark.parametrize("rule", ["public", "walled"])
async def test_a_rule_is_not_seen_in_what_a_cache_kept(rule: str, headers: dict[str, str]) -> None:
    way = ("edge", "tunnel", "rule")
    sso = {"Location": "https://sso.example/"}
    given = answers("302 Found", {**headers, **sso}) if rule == "walled" else answers(
        "200 OK", headers
    )  # fmt: skip
    make = walled if rule == "walled" else public
    async with serve(given) as server:
        leg = make(server, path=way, tcp_ends_at="edge", url=f"http://{HOST}/p?a=1")
        made = msgspec.structs.replace(deployment([leg]), marks=MARKS, paths=((*way, "far"),))
        (seen,) = await Run(made, [leg], hold=0).measure()
    assert (seen.outcome, seen.clears) == ("passed", ("edge",)), seen.detail


def test_without_an_end_of_tcp_it_clears_its_first_segment() -> None:
    leg = http_leg(url="http://app.example/", path=WAY)
    assert nearby(leg, "") == ("edge",)
    assert nearby(leg, "proxy") == ("edge", "tunnel")
    assert nearby(leg, "far") is None


@pytest.mark.parametrize(
    ("to", "sure"),
    [
        (f"https://{HOST}/health", False),
        ("http://portal.example/login", False),
        (f"http://{HOST}:8080/", False),
        (f"http://{HOST}/login", True),
        ("/login", True),
        ("//unrouted.example/in", True),
    ],
)
async def test_a_redirect_to_another_origin_may_be_anybodys_on_the_way(to: str, sure: bool) -> None:
    """A CDN that turns http into https never asks what lies behind it."""
    sent = response("301 Moved Permanently", b"", [("Location", to)])
    async with serve(answering(sent)) as server:
        leg = http_leg(server, path=WAY, tcp_ends_at="edge", host_header="unrouted.example")
        if "unrouted" not in to:
            leg = msgspec.structs.replace(leg, host_header=None)
        seen = await probe(leg)
        told = await probe(msgspec.structs.replace(leg, expect_status=(301,)))
    assert (seen.outcome, seen.clears) == ("passed", None if sure else ("edge",))
    assert any("anybody on the way" in one for one in seen.evidence) == (not sure)
    assert (told.outcome, told.clears) == ("passed", None)


async def test_a_redirect_elsewhere_with_the_far_ends_mark_is_its_own() -> None:
    away = {"Location": "https://other.example/", "T3Probe-Echo": "NONCE"}
    seen, found = await judged("302 Found", away)
    assert (seen.outcome, found.verdict.exonerated) == ("passed", WAY)
