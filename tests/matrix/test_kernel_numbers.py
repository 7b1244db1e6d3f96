"""The kernel's numbers of held legs: with every beat, at the watchdog's expiry, not for a reset."""

from __future__ import annotations

import pytest

from t3probe.probes.tcpinfo import ESTABLISHED


@pytest.fixture(autouse=True)
def the_kernels_pace(field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field.lab.loop.clock, "pace", 1.0)


HELD = ("resolver", "edge", "cloudflare", "internal", "traefik", "dispatch", "devvm", "t3serve")


def test_every_beat_of_a_held_connection_has_them(field) -> None:
    seen = field.run(hold=1.3, legs=HELD)
    for name in HELD:
        good = [beat for beat in seen.legs[name].beats if beat.ok]
        assert len(good) > 2, name
        samples = [beat.tcp for beat in good]
        assert None not in samples, name
        assert {one.state for one in samples} == {ESTABLISHED}, name


@pytest.mark.parametrize(
    ("fault", "leg"), [("dispatch:stall", "dispatch"), ("serve:stall", "t3serve")]
)
def test_they_are_taken_before_a_silent_connection_is_closed(field, fault: str, leg: str) -> None:
    drop = field.run([f"{fault}@900ms"], 1.7).legs[leg].drops[0]
    assert drop.reason == "rtt_timeout"
    assert drop.tcp is not None
    assert drop.tcp.state == ESTABLISHED
    assert drop.tcp.unacked == 0
    # Since it is silent for longer than the watchdog waits.
    assert drop.tcp.since_last_data_received_seconds >= 1.0
    assert drop.evidence.startswith("the far end acknowledged our bytes ")


@pytest.mark.parametrize("fault", ["dispatch:cut", "tunnel:cut", "serve:refuse", "cf-edge:reset"])
def test_no_claim_is_made_for_a_connection_that_ended(field, fault: str) -> None:
    seen = field.run([f"{fault}@900ms"], 1.7)
    drops = [drop for leg in seen.legs.values() for drop in leg.drops]
    assert drops
    for drop in drops:
        assert drop.reason != "rtt_timeout"
        assert (drop.carried, drop.evidence) == ((), "")
