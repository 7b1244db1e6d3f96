"""The verdict of a run is that of all its incidents: whoever reads it, reads the same one.

Two causes in one run: at 1.4 s the tunnel is cut and reconnects at once; at 3.6 s the resolver
begins to answer SERVFAIL.
"""

from __future__ import annotations

import html
import re
from typing import Any

import msgspec

from t3probe.ask.explain.from_runs import run_seen
from t3probe.ask.mcp_server.of_run import OfRun
from t3probe.deliver.metrics.build import families
from t3probe.observation import (
    RECORD_VERSION,
    Attempt,
    Beat,
    Connection,
    Drop,
    Observation,
    RunRecord,
)
from t3probe.record.facts import Recording
from t3probe.show.compare import compare
from t3probe.show.compare.lines import headline
from t3probe.show.markdown import cell, run_markdown
from t3probe.show.page.history import History
from t3probe.show.page.page import render_page
from t3probe.show.summary import headline as summed
from t3probe.show.summary import render
from t3probe.verdict import gate
from t3probe.verdict.incident.run import judge_run

PATHS = {
    "egress": "wan",
    "resolver": "wan doh",
    "edge": "wan cf-edge",
    "cloudflare": "wan cf-edge tunnel traefik",
    "internal": "traefik",
    "walled-home": "traefik wall",
    "envoy-orders": "upstream-orders",
}
HOLDS = ("resolver", "edge", "cloudflare", "internal")
SEGMENTS = ("wan", "doh", "cf-edge", "tunnel", "traefik", "wall")
BEATS = tuple(round(0.1 + 0.5 * at, 1) for at in range(12))
STARTED = 1_700_000_000.0
OPENED = 0.05
RTT = 0.02
HOST = "192.0.2.1:443"


def beats(*sent: float, conn: int | None = None, ok: bool = True) -> tuple[Beat, ...]:
    """Beats on one connection; fresh ones, each on a connection of its own, where `conn` is None"""
    return tuple(
        Beat(
            sent=at,
            ended=round(at + RTT, 6),
            ok=ok,
            conn=round(1000 * at) if conn is None else conn,
            strand="fresh" if conn is None else "held",
            call=int(at >= 1.4) + int(at >= 3.63),
        )
        for at in sent
    )


def opening(at: float, conn: int = 0) -> tuple[Beat, ...]:
    """The fresh beat whose connection is held from then on."""
    return tuple(msgspec.structs.replace(one, conn=conn) for one in beats(at))


def opened(*at: float) -> tuple[Connection, ...]:
    """The connections that a leg held, by when they were opened."""
    return tuple(
        Connection(conn=conn, opened=one, remote_address=HOST) for conn, one in enumerate(at)
    )


def seen(leg: str, **more: Any) -> Observation:
    """A leg that works all along, and beats once more when another one calls."""
    holds = leg in HOLDS
    sent = sorted({*BEATS, 1.41, 3.63})
    facts: dict[str, Any] = {
        "outcome": "passed", "connected": True, "accepting": True, "beats": beats(*sent),
    }  # fmt: skip
    if holds:
        facts["beats"] = (*opening(OPENED), *beats(*sent, conn=0), *beats(*sent))
        facts["connections"] = opened(OPENED)
    kind = "walled" if leg.startswith("walled") else "tcp" if not holds else "ws_echo"
    if leg in ("resolver", "edge"):
        kind = "doh" if leg == "resolver" else "http"
    level = "hold" if holds else "ask" if kind == "walled" else "connect"
    path = tuple(PATHS[leg].split())
    ends = path[1] if len(path) > 1 and path[0] == "wan" else path[0]
    fixed = {"leg": leg, "kind": kind, "path": path, "level": level, "tcp_ends_at": ends}
    return Observation(ended=6.0, observed_seconds=6.0, address=HOST, **{**facts, **fixed, **more})


def cut(leg: str, at: float) -> Observation:
    """Its connection is cut at this moment, and a new one works at once."""
    before = [one for one in BEATS if one < at]
    after = [one for one in sorted({*BEATS, 3.63}) if one > at]
    again = round(at + RTT, 6)
    drop = Drop(
        began=round(before[-1] + RTT, 6), noticed=at, reason="closed_by_peer", symptom="cut",
        stage="hold", call=1, strand="held", asked=at, answered=True, conn=0,
        connection_age_seconds=at - OPENED, remote_address=HOST,
        attempt=Attempt(started=again, ended=again + RTT, ok=True), recovered=again + RTT,
    )  # fmt: skip
    held = (*beats(*before, conn=0), *beats(*after, conn=1))
    good = (*opening(OPENED), *opening(again, 1), *held, *beats(*before, *after))
    return seen(
        leg, outcome="failed", reason="closed_by_peer", beats=good, drops=(drop,),
        connections=opened(OPENED, again),
    )  # fmt: skip


def failing(leg: str, at: float) -> Observation:
    """From its beats at this moment on it is answered wrongly."""
    before = [one for one in BEATS if one < at]
    after = [one for one in BEATS if one >= at]
    noticed = round(at + RTT, 6)
    again = round(noticed + RTT, 6)
    drop = Drop(
        began=round(before[-1] + RTT, 6), noticed=noticed, reason="resolver_failed",
        symptom="down", stage="ask", call=2, strand="held", asked=at, answered=True, conn=0,
        carried=("wan",), remote_address=HOST, connection_age_seconds=noticed - OPENED,
        attempt=Attempt(
            started=again, ended=again + RTT, ok=False, reason="resolver_failed", stage="ask",
            carried=("wan",), remote_address=HOST,
        ),
    )  # fmt: skip
    good = (*opening(OPENED), *beats(*before, conn=0), *beats(*before))
    bad = (*beats(at, conn=0, ok=False), *beats(*after, again, ok=False))
    return seen(
        leg, outcome="failed", reason="resolver_failed", connected=False, accepting=False,
        beats=(*good, *bad), drops=(drop,),
    )  # fmt: skip


def run(*changed: Observation, at: float = STARTED) -> Recording:
    legs = {name: seen(name) for name in PATHS} | {one.leg: one for one in changed}
    record = RunRecord(
        version=RECORD_VERSION, deployment="here",
        segments=SEGMENTS, own_segments=("upstream-orders",),
        paths=(tuple(PATHS["cloudflare"].split()),), started_at=at, duration_seconds=6.0,
        hold_seconds=6.0, heartbeat_seconds=0.5, watchdog_seconds=2.0,
    )  # fmt: skip
    return Recording(record, tuple(legs.values()))


CUT = cut("cloudflare", 1.4)
BOTH = run(CUT, failing("resolver", 3.6))
JUDGED = judge_run(BOTH.run, BOTH.observations)


def test_the_gate_stays_shut_whatever_else_happened_later() -> None:
    first, second = JUDGED.incidents
    assert (first.failed, first.verdict.convicted) == (("resolver",), ("doh",))
    assert (second.failed, second.verdict.convicted) == (("cloudflare",), ("tunnel",))
    assert JUDGED.verdict.convicted == ("doh", "tunnel")
    assert (JUDGED.verdict.status, JUDGED.verdict.ambiguous) == ("localised", ())
    for segment in ("tunnel", "doh"):
        assert gate.blocked(JUDGED.verdict, [segment]) == [segment]
        assert gate.sentences(JUDGED.verdict, [segment], {}) == [f"closed: {segment} convicted"]
    assert gate.blocked(JUDGED.verdict, ["wan", "cf-edge", "traefik", "wall"]) == []


def test_people_read_the_same_verdict_everywhere() -> None:
    _, sentence = summed(JUDGED)
    assert re.search(r"\bdoh\b.*\btunnel\b", sentence), sentence
    lines = "\n".join(line for _, line in render(BOTH.run, BOTH.observations, JUDGED))
    assert sentence in lines
    told = "\n".join(run_markdown(BOTH.run, BOTH.observations, JUDGED))
    assert f"**{cell(sentence)}**" in told
    assert "| convicted | doh, tunnel |" in told
    page = html.unescape(re.sub("<[^>]*>", "", render_page(History.of([BOTH])).decode()))
    assert sentence in page
    asked = OfRun(BOTH, "run.xml")
    answer = asked.verdict(asked.source(STARTED + 60))
    assert (answer.sentence, answer.convicted) == (sentence, ("doh", "tunnel"))
    assert [one.failed for one in answer.incidents] == [("resolver",), ("cloudflare",)]


def test_machines_read_the_same_verdict_everywhere() -> None:
    assert JUDGED.to_dict()["convicted"] == ["doh", "tunnel"]
    states = families(BOTH.run, BOTH.observations, JUDGED)["t3probe_segment_state"].series
    convicted = [
        dict(key) for key, value in states.items() if value and ("state", "convicted") in key
    ]
    assert {one["segment"] for one in convicted} == {"doh", "tunnel"}
    found = compare(run(at=STARTED - 60), BOTH)
    assert {one.segment for one in found.regressions} == {"doh", "tunnel"}
    assert headline(found) == "regression: doh, tunnel cleared before, convicted after"
    recorded = run_seen(BOTH)
    assert set(recorded.exonerated) == set(JUDGED.verdict.exonerated)
    # By onset, each with what it says itself.
    assert [one.failed for one in recorded.incidents] == [("cloudflare",), ("resolver",)]


def test_after_a_pure_cut_whoever_passed_beside_it_is_cleared() -> None:
    one = run(CUT)
    judged = judge_run(one.run, one.observations)
    labels = judged.verdict.labels()
    assert labels.pop("tunnel") == "convicted"
    assert set(labels.values()) == {"exonerated"}
    (incident,) = judged.incidents
    assert incident.cleared_by["walled-home"] == "beside"
    assert incident.cleared_by["envoy-orders"] == "beside"
    found = compare(run(at=STARTED - 60), one)
    assert [change.segment for change in found.regressions] == ["tunnel"]
    assert headline(found) == "regression: tunnel cleared before, convicted after"
    assert not compare(run(at=STARTED - 60), one, ["wall", "upstream-orders"]).regressions


def test_the_headline_says_of_each_segment_what_became_of_it() -> None:
    # Nobody else looks at traefik, wall and the tunnel any more.
    blind = [seen(leg, outcome="inconclusive") for leg in ("internal", "walled-home")]
    after = run(CUT, failing("resolver", 3.6), *blind)
    assert headline(compare(run(at=STARTED - 60), after)) == (
        "regression: doh cleared before, convicted after; "
        "tunnel, traefik, wall cleared before, not cleared after"
    )


def test_an_upstream_that_is_dead_all_along_stays_convicted() -> None:
    drop = Drop(
        began=0.1, noticed=0.12, reason="connect_refused", symptom="down", stage="connect", call=1,
        strand="fresh", asked=0.1, answered=True, remote_address=HOST,
        attempt=Attempt(
            started=0.12, ended=0.13, ok=False, reason="connect_refused", stage="connect",
            remote_address=HOST,
        ),
    )  # fmt: skip
    dead = seen(
        "envoy-orders", outcome="failed", reason="connect_refused", connected=False,
        accepting=False, beats=beats(*BEATS, ok=False), drops=(drop,),
    )  # fmt: skip
    two = (failing("resolver", 3.6), failing("edge", 3.6))  # worse: two legs are down
    for others in ((), (CUT,), two, (CUT, *two)):
        one = run(dead, *others)
        assert "upstream-orders" in judge_run(one.run, one.observations).verdict.convicted
