"""Each attempt's phases in the record: where each began, and in which one it failed."""

from __future__ import annotations

import socket

import msgspec
import pytest
from probes.fixtures import Authority
from probes.probe_parts import probing
from probes.servers import (
    HOST,
    deployment,
    echo,
    header_of,
    http_leg,
    made_run,
    probe,
    serve,
    silent,
    upgrade,
    ws_leg,
)
from probes.ws_helpers import Reader, Writer

from t3probe.exchange.trace_ids import Parents
from t3probe.observation import AttemptPhase, Beat, Observation
from t3probe.probes.facts import Target
from t3probe.record.facts import decoded, leg_property


def shown(beat: Beat) -> list[tuple[str, bool]]:
    return [(one.name, one.failed) for one in beat.phases]


def in_order(beat: Beat) -> bool:
    """One after the other, within the attempt; what found the addresses came before it."""
    ends = beat.sent
    for one in beat.phases:
        if one.name != "resolve" and one.started < ends - 1e-6:
            return False
        ends = max(ends, one.started + one.seconds)
    return ends <= beat.ended + 1e-6


async def test_every_fresh_attempt_has_its_own_and_held_beats_have_none(
    authority: Authority,
) -> None:
    async with serve(echo, tls=authority.context(HOST)) as server:
        leg = ws_leg(server, url=f"wss://{HOST}/ws")
        seen = await probe(leg, hold=0.35, ca=authority.file)
    fresh = [one for one in seen.beats if one.strand == "fresh" and one.ok]
    assert len(fresh) > 1
    for beat in fresh:
        assert shown(beat) == [("connect", False), ("tls", False), ("upgrade", False)]
        assert in_order(beat)
    assert len({one.phases[0].started for one in fresh}) == len(fresh)
    held = [one for one in seen.beats if one.strand == "held"]
    assert held
    assert not any(one.phases for one in held)
    # The opening's are those that stand as phases of the leg, by the same clock.
    tls = next(one for one in fresh[0].phases if one.name == "tls")
    assert seen.phases["tls"] == tls.seconds
    again = decoded(leg_property(seen)[1], Observation)
    assert again == seen


async def test_names_that_are_looked_up_are_a_phase_and_addresses_are_not() -> None:
    async with serve(echo) as server:
        port = server.pin.rpartition(":")[2]
        named = await probe(ws_leg(url=f"ws://localhost:{port}/ws"))
        pinned = await probe(ws_leg(server))
    assert named.beats[0].phases[0].name == "resolve"
    assert named.beats[0].phases[0].started <= named.beats[0].sent
    assert "resolve" not in [one.name for one in pinned.beats[0].phases]


async def test_it_says_in_which_one_an_attempt_failed(authority: Authority) -> None:
    async def refuses(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 502 X\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async def never_echoes(reader: Reader, writer: Writer) -> None:
        await upgrade(reader, writer)
        await silent(reader, writer)

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{sock.getsockname()[1]}"
    seen = await probe(ws_leg(url=f"ws://{HOST}/ws", pin=nobody))
    assert shown(seen.beats[0]) == [("connect", True)]
    assert seen.beats[0].reason == "connect_refused"
    async with serve(refuses) as server:
        seen = await probe(ws_leg(server))
        assert shown(seen.beats[0]) == [("connect", False), ("upgrade", True)]
        assert seen.beats[0].reason == "upgrade_rejected"
    async with serve(never_echoes) as server:
        seen = await probe(ws_leg(server), watchdog=0.2, connect_timeout=0.2)
        assert shown(seen.beats[0]) == [("connect", False), ("upgrade", False)]
        assert seen.beats[0].reason == "rtt_timeout"
    # No TLS at the other end, for both kinds.
    async with serve(silent) as server:
        for leg in (
            ws_leg(server, url=f"wss://{HOST}/ws"), http_leg(server, url=f"https://{HOST}/")
        ):  # fmt: skip
            seen = await probe(leg, ca=authority.file, watchdog=1.0, connect_timeout=0.2)
            assert shown(seen.beats[0]) == [("connect", False), ("tls", True)]
            assert in_order(seen.beats[0])
            assert "tls" not in seen.phases


def test_a_record_without_them_is_read_and_they_are_small() -> None:
    beats = '[{"sent":0.1,"ended":0.2,"ok":true,"conn":0}]'
    old = f'{{"leg":"a","kind":"tcp","path":["x"],"outcome":"passed","beats":{beats}}}'
    (beat,) = decoded(old, Observation).beats
    assert (beat.phases, beat.traced, beat.reason) == ((), "", None)
    phase = AttemptPhase(name="connect", started=1.25, seconds=0.5)
    assert msgspec.json.encode(phase) == b'["connect",1.25,0.5,false]'


async def test_all_addresses_of_one_attempt_name_one_parent() -> None:

    async with serve(echo) as one, serve(echo, address="127.0.0.2", port=one.port) as other:
        leg = ws_leg(url=f"ws://both.example:{one.port}/ws")
        run = made_run(deployment([leg]), [leg], hold=0)
        run.probing.parents = Parents(lambda: "ab" * 16, sampled=True)

        async def both(*_: object) -> list:
            return [Target("both.example", at, one.port) for at in ("127.0.0.1", "127.0.0.2")]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("t3probe.run.attempt.targets", both)
            (seen,) = await run.measure()
        asked = {header_of(server.requests[0], "traceparent") for server in (one, other)}
    assert asked == {f"00-{seen.beats[0].traced}-01"}


@pytest.mark.parametrize("kind", ["ws_echo", "http", "doh", "tcp", "walloff", "walled"])
def test_which_kinds_of_requests_name_a_parent(kind: str) -> None:
    lent = probing()
    leg = ws_leg(kind=kind, url=f"https://{HOST}/")
    assert lent.parent(leg) == ""
    lent.parents = Parents(lambda: "ab" * 16, sampled=True)
    assert bool(lent.parent(leg)) == (kind in ("ws_echo", "http"))
    assert lent.parent(ws_leg(kind=kind, url="https://SSO.example./")) == ""
