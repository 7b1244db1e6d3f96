"""What the kernel's numbers show, on real packets: an echo server two hops away, and faults in
between while the leg is held."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import msgspec
import pytest
from netns.netns_ground import CLIENT, PORT, SERVER, Client, Ground

from t3probe.observation import Drop, Observation


def held(ground: Ground, fault: Callable[[int], None], *arguments: str) -> Observation:
    """The observation of a leg that was held when `fault` began; it is given the server's
    process."""
    with ground.serving() as server:
        ground.sh("client", f"timeout 20 sh -c 'until {_OPEN}; do sleep 0.05; done'")
        client = Client(ground, *arguments)
        try:
            assert client.line() == "held\n"
            fault(server.pid)
            return msgspec.json.decode(client.line(), type=Observation)
        finally:
            client.close()


_OPEN = (
    f'python3 -c "import socket; socket.create_connection((\\"{SERVER}\\", {PORT}), 1)" 2>/dev/null'
)


def first_drop(seen: Observation) -> Drop:
    assert seen.drops, seen.detail
    return seen.drops[0]


HELD_ALONE = ("0",)
"""No fresh beat fails before the held one: what the drop says is the held connection's."""


def freeze(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


def test_a_frozen_server_acknowledges_and_does_not_answer(ground: Ground) -> None:
    drop = first_drop(held(ground, freeze, "1.0", "drop"))
    assert (drop.reason, drop.symptom) == ("rtt_timeout", "down")
    assert drop.tcp is not None
    assert (drop.tcp.unacked, drop.tcp.not_sent_bytes) == (0, 0)
    assert drop.carried == ("wan",)  # never the machine itself
    assert drop.evidence.startswith("the far end acknowledged our bytes ")
    assert drop.evidence.endswith(" and did not answer: what lies before edge carried them")


@pytest.mark.parametrize(
    "addresses", [(SERVER, CLIENT), (SERVER,), (CLIENT,)], ids=["both", "there", "back"]
)
def test_dropped_packets_clear_nobody(ground: Ground, addresses: tuple[str, ...]) -> None:
    """Lost on the way there, or only the acknowledgements on the way back: it looks the same."""
    drop = first_drop(held(ground, lambda _: ground.drop(*addresses), "1.2", "drop", *HELD_ALONE))
    assert (drop.reason, drop.symptom) == ("rtt_timeout", "down")
    assert drop.tcp is not None
    assert drop.tcp.unacked > 0
    assert drop.tcp.retransmits > 0
    assert drop.carried == ()
    assert " unacknowledged, " in drop.evidence
    assert drop.evidence.endswith(": lost at edge or before it, there or back")


def test_no_claim_is_made_for_a_reset(ground: Ground) -> None:
    drop = first_drop(held(ground, lambda _: ground.take_over(), "5", "drop", *HELD_ALONE))
    assert drop.reason == "connection_reset"
    assert (drop.carried, drop.evidence) == ((), "")


def test_packets_lost_for_a_second_are_no_drop(ground: Ground) -> None:
    def for_a_second(_: int) -> None:
        ground.drop(SERVER, CLIENT)
        time.sleep(1)
        ground.restore()

    seen = held(ground, for_a_second, "20", "resent")
    assert seen.drops == ()
    assert all(beat.ok for beat in seen.beats if beat.conclusive)  # fresh ones, too
    held_ones = [beat for beat in seen.beats if beat.strand == "held" and beat.ok]
    samples = [beat.tcp for beat in held_ones if beat.tcp is not None]
    assert samples[0].retransmits == 0
    assert samples[-1].retransmits > 0
    assert samples[-1].unacked == 0
