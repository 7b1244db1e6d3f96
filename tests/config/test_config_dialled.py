"""One process, one segment: upstreams at addresses that legs dial."""

from __future__ import annotations

from t3probe.config import Deployment, Leg, loads
from t3probe.config.dialled import is_loopback
from t3probe.upstreams.nodes import with_names

TEXT = """
name = "x"
segments = ["wan", "proxy", "box", "app", "rack"]

[[leg]]
name = "app"
kind = "ws_echo"
url = "ws://10.0.0.1:3780/ws"
path = ["box", "app"]
tcp_ends_at = "box"

[[leg]]
name = "again"
kind = "ws_echo"
url = "ws://10.0.0.1:3780/ws"
path = ["wan", "box", "app"]

[[leg]]
name = "pinned"
kind = "http"
url = "https://app.example/"
pin = "10.0.0.2"
path = ["proxy"]

[[leg]]
name = "named"
kind = "http"
url = "http://box.internal:9100/"
path = ["box"]
"""


def upstream(address: str, more: str = "") -> Deployment:
    table = f'\n[[upstream]]\nname = "up"\naddress = "{address}"\n{more}\n'
    return loads(TEXT + table, environ={}, now=0)


def leg(made: Deployment) -> Leg:
    return made.leg("envoy-up")


def test_an_upstream_where_a_leg_ends_has_its_path_and_no_segment_of_its_own() -> None:
    made = upstream("10.0.0.1:3780")
    assert leg(made).path == ("box", "app")
    assert leg(made).tcp_ends_at == "box"
    assert made.own_segments == ()


def test_another_port_is_another_process() -> None:
    made = upstream("10.0.0.1:3781")
    assert leg(made).path == ("upstream-up",) == made.own_segments


def test_a_pin_is_where_a_leg_dials() -> None:
    assert leg(upstream("10.0.0.2:443")).path == ("proxy",)
    assert leg(upstream("app.example:443")).path == ("upstream-up",)


def test_addresses_are_compared_as_addresses() -> None:
    assert leg(upstream("[::ffff:10.0.0.2]:443")).path == ("proxy",)
    assert leg(upstream("BOX.internal.:9100")).path == ("box",)


def test_what_it_shares_stays() -> None:
    made = upstream("10.0.0.1:3780", 'shares = ["rack", "box"]')
    assert leg(made).path == ("rack", "box", "app")


KNOWN = {
    "box.internal": frozenset({"10.0.0.9"}),
    "up.internal": frozenset({"10.0.0.9"}),
    "two.internal": frozenset({"10.0.0.9", "10.0.0.8"}),
}


def found(address: str) -> tuple[Deployment, list[tuple[str, int]]]:
    asked: list[tuple[str, int]] = []

    def resolve(name: tuple[str, int]) -> frozenset[str]:
        asked.append(name)
        if name[0] not in KNOWN:
            raise OSError("no such name")
        return KNOWN[name[0]]

    return with_names(upstream(address), resolve), asked


def test_a_refusal_there_counts_as_one_of_the_leg() -> None:
    word = 'path = ["box"]\ntrust_refusals = false'
    for text, trusts in ((TEXT, None), (TEXT.replace('path = ["box"]', word), False)):
        table = '\n[[upstream]]\nname = "up"\naddress = "up.internal:9100"\n'
        made = loads(text + table, environ={}, now=0)
        assert leg(with_names(made, lambda name: KNOWN[name[0]])).trust_refusals is trusts


def test_names_are_looked_up_where_they_could_be_one_machine() -> None:
    for address in ("10.0.0.9:9100", "up.internal:9100"):
        made, asked = found(address)
        assert ("box.internal", 9100) in asked
        assert leg(made).path == ("box",)
        assert made.own_segments == ()


def test_a_name_with_more_machines_than_the_leg_dials_is_another_thing() -> None:
    made, _ = found("two.internal:9100")
    assert leg(made).path == ("upstream-up",)
    made, _ = found("unknown.internal:9100")
    assert leg(made).path == ("upstream-up",)


def test_no_name_is_looked_up_where_no_port_agrees() -> None:
    _, asked = found("up.internal:9101")
    assert asked == []
    _, asked = found("10.0.0.1:3780")
    assert asked == []


def test_what_is_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost", "::ffff:127.0.0.1")))
    assert not any(map(is_loopback, ("10.0.0.1", "::2", "localhost.example")))
