"""Found upstreams as legs: names, places, shared segments."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from t3probe.config import Deployment, loads
from t3probe.config.types import UpstreamPlace, UpstreamSource
from t3probe.upstreams.sources import Backend, NamedUpstreams
from t3probe.upstreams.sources_legs import keywords, leg_name, with_found
from t3probe.upstreams.sources_read import Reading

TEXT = """
name = "x"
segments = ["net", "rack-a", "rack-b"]

[[upstream]]
name = "listed"
address = "Listed.internal:9000"
shares = ["net"]

[[upstream_share]]
segment = "rack-a"
hosts = ["10.0.0.0/24", "10.0.1.7", "fd00::/64"]

[[upstream_share]]
segment = "rack-b"
hosts = ["*.internal", "10.0.0.128/25", "web-?"]
"""
DEPLOYMENT = loads(TEXT, environ={}, now=0)


def source(name: str = "edge", *shares: str) -> UpstreamSource:
    return UpstreamSource(name=name, kind="envoy", url="http://127.0.0.1:1", shares=shares)


def at(host: str, port: int, route: str, listen: int = 0, **more: object) -> Backend:
    name = str(more.pop("source", "edge"))
    return Backend(host, port, UpstreamPlace(source=name, route=route, listen_port=listen, **more))


def merged(*backends: Backend, of: UpstreamSource | None = None) -> Deployment:
    return with_found(DEPLOYMENT, [Reading(of or source(), NamedUpstreams(backends))])


def path(deployment: Deployment, host: str, port: int = 80) -> tuple[str, ...]:
    leg = next(one for one in deployment.legs if one.address == f"{host}:{port}")
    return leg.path[:-1]


def test_a_found_upstream_is_a_leg_with_a_readable_name_and_its_own_segment() -> None:
    made = merged(at("10.9.9.9", 9000, "orders", 8443, words=("shop",)))
    leg = made.legs[-1]
    assert leg.name == "envoy-orders-8443-10.9.9.9:9000"
    assert leg.path == ("upstream-orders-8443-10.9.9.9:9000",)
    assert leg.tcp_ends_at == leg.path[0] == made.own_segments[-1]
    assert (leg.kind, leg.address, leg.backend) == ("tcp", "10.9.9.9:9000", "10.9.9.9:9000")
    assert (leg.route, leg.listen_port) == ("orders", 8443)
    assert keywords(leg) == {"edge", "orders", "8443", "shop"}


def test_one_address_is_one_leg_however_many_places_name_it() -> None:
    several = [
        at("10.9.9.9", 9000, "pay", 8444),
        at("10.9.9.9", 9000, "orders", 8443, weight=0, words=("a",)),
        at("10.9.9.9", 9000, "orders", 8443, weight=5, words=("b",)),
    ]
    for order in (several, several[::-1]):
        made = merged(*order)
        assert [leg.name for leg in made.legs[1:]] == ["envoy-orders-8443-10.9.9.9:9000"]
        first, second = made.legs[-1].places
        assert (first.route, first.weight, set(first.words)) == ("orders", 5, {"a", "b"})
        assert second.route == "pay"


def test_an_address_is_one_leg_however_it_is_written() -> None:
    several = [
        *(at(host, 9000, "orders", 8443) for host in ("fd00::5", "FD00::5", "fd00:0:0:0:0:0:0:5")),
        *(
            at(host, 9001, "pay", 8444)
            for host in ("10.9.9.9", "::ffff:10.9.9.9", "::FFFF:A09:909")
        ),
    ]
    for order in (several, several[::-1]):
        made = merged(*order)
        assert [leg.name for leg in made.legs[1:]] == [
            "envoy-orders-8443-[fd00::5]:9000",
            "envoy-pay-8444-10.9.9.9:9001",
        ]
    text = TEXT.replace("Listed.internal:9000", "[::ffff:10.9.9.9]:9000")
    made = with_found(
        loads(text, environ={}, now=0),
        [Reading(source(), NamedUpstreams((at("10.9.9.9", 9000, "r"),)))],
    )
    assert [leg.name for leg in made.legs] == ["envoy-listed"]
    assert [one.route for one in made.legs[0].places] == ["r"]


def test_a_listed_upstream_keeps_its_name_and_takes_the_places_on() -> None:
    made = merged(at("listed.internal", 9000, "orders", 8443), of=source("edge", "rack-a"))
    (leg,) = made.legs
    assert leg.name == "envoy-listed"
    assert leg.path == ("net", "rack-b", "rack-a", "upstream-listed")
    assert [one.route for one in leg.places] == ["orders"]
    assert (leg.backend, leg.route) == ("", "")
    assert made.own_segments == DEPLOYMENT.own_segments


def test_segments_are_shared_by_source_and_by_host() -> None:
    hosts = ["10.0.0.7", "10.0.0.200", "10.0.1.7", "10.0.1.8", "db.internal", "web-1", "web-12"]
    made = merged(*(at(host, 80, "r") for host in hosts), of=source("edge", "net"))
    assert {host: path(made, host) for host in hosts} == {
        "10.0.0.7": ("net", "rack-a"),
        "10.0.0.200": ("net", "rack-a", "rack-b"),
        "10.0.1.7": ("net", "rack-a"),
        "10.0.1.8": ("net",),
        "db.internal": ("net", "rack-b"),
        "web-1": ("net", "rack-b"),
        "web-12": ("net",),
    }
    assert merged(at("fd00::1", 80, "r")).legs[-1].path[0] == "rack-a"


def test_a_static_upstream_shares_by_host_too() -> None:
    assert DEPLOYMENT.legs[0].path == ("net", "rack-b", "upstream-listed")


def test_nothing_found_changes_nothing() -> None:
    assert with_found(DEPLOYMENT, [Reading(source(), None, "x")]) is DEPLOYMENT
    assert merged() is DEPLOYMENT


NAMES = st.text(st.characters(codec="utf-8"), max_size=80)


@given(NAMES, st.integers(0, 65535))
def test_names_are_fit_for_ids_files_and_shells(route: str, port: int) -> None:
    name = leg_name(UpstreamPlace(source="s", route=route, listen_port=port), "10.0.0.7:9000")
    assert name.isascii()
    assert name.isprintable()
    assert not set(name) & set(" /\\'\"$&|;<>*?()[]{}")
    assert name.endswith("-10.0.0.7:9000")
    assert len(name) <= 90


@given(st.lists(st.tuples(NAMES, st.integers(1, 3), st.integers(1, 3)), max_size=8))
def test_no_two_legs_share_a_name_and_no_address_is_probed_twice(
    several: list[tuple[str, int, int]],
) -> None:
    made = merged(*(at(f"10.9.9.{host}", port, route) for route, host, port in several))
    names = [leg.name for leg in made.legs]
    addresses = [leg.address for leg in made.legs]
    assert len(set(names)) == len(names)
    assert len(set(addresses)) == len(addresses) == len({one[1:] for one in several}) + 1
    assert len(set(made.own_segments)) == len(made.own_segments) == len(made.legs)


ON_LEGS = loads(
    """
name = "x"
segments = ["box", "app", "net"]

[[leg]]
name = "app"
kind = "ws_echo"
url = "ws://10.0.0.1:3780/ws"
path = ["box", "app"]
tcp_ends_at = "box"

[[leg]]
name = "local"
kind = "http"
url = "http://127.0.0.1:9100/"
path = ["box"]
""",
    environ={},
    now=0,
)


def on_legs(url: str, *backends: Backend) -> Deployment:
    of = UpstreamSource(name="edge", kind="envoy", url=url, shares=("net",))
    return with_found(ON_LEGS, [Reading(of, NamedUpstreams(backends))])


def test_a_backend_where_a_leg_ends_takes_its_path() -> None:
    made = on_legs("http://10.0.0.5:9901", at("10.0.0.1", 3780, "orders"), at("10.0.0.1", 1, "x"))
    there, other = sorted(made.legs[2:], key=lambda leg: leg.address or "", reverse=True)
    assert there.path == ("net", "box", "app")
    assert there.tcp_ends_at == "box"
    assert other.path == ("net", "upstream-x-10.0.0.1:1")
    assert made.own_segments == ("upstream-x-10.0.0.1:1",)


def test_whose_refusal_counts_is_the_files_word_and_that_of_the_leg_that_ends_there() -> None:
    """A Service's address refuses for machines that nobody reached."""
    text = (
        'name = "x"\nsegments = ["box", "app"]\n[[leg]]\nname = "app"\nkind = "tcp"\n'
        'address = "10.0.0.1:80"\npath = ["box", "app"]\n'
        '[[upstream]]\nname = "listed"\naddress = "10.0.0.1:80"\n'
    )
    backends = at("10.0.0.2", 80, "r"), at("10.0.0.1", 80, "r")
    for file, leg, other, there in (
        ("", "", None, None),
        ("trust_refusals = false\n", "", False, False),
        ("", "trust_refusals = false\n", None, False),
        ("trust_refusals = false\n", "trust_refusals = true\n", False, True),
    ):
        whole = file + text.replace("[[upstream]]", leg + "[[upstream]]")
        for listed in (True, False):
            found = loads(
                whole if listed else whole.partition("[[upstream]]")[0], environ={}, now=0
            )
            made = with_found(found, [Reading(source(), NamedUpstreams(backends))])
            trusts = {one.address: one.trust_refusals for one in made.legs[1:]}
            assert trusts == {"10.0.0.2:80": other, "10.0.0.1:80": there}


def test_what_a_listed_upstream_shares_lies_before_where_its_leg_ends() -> None:
    text = TEXT.replace("Listed.internal:9000", "10.0.0.1:3780") + (
        '[[leg]]\nname = "app"\nkind = "ws_echo"\nurl = "ws://10.0.0.1:3780/ws"\n'
        'path = ["box", "app"]\ntcp_ends_at = "box"\n'
    )
    text = text.replace('"rack-b"]', '"rack-b", "box", "app"]', 1)
    found = Reading(source("edge", "rack-b"), NamedUpstreams((at("10.0.0.1", 3780, "r"),)))
    (leg,) = (
        one for one in with_found(loads(text, environ={}, now=0), [found]).legs if one.upstream
    )
    assert leg.tcp_ends_at == "box"
    assert leg.path[-2:] == ("box", "app")
    assert set(leg.path[:-2]) == {"net", "rack-a", "rack-b"}


def test_loopback_is_another_machine_when_the_source_is_on_one() -> None:
    backend = at("127.0.0.1", 9100, "orders")
    assert on_legs("http://127.0.0.1:9901", backend).legs[-1].path == ("net", "box")
    remote = on_legs("http://10.0.0.5:9901", backend).legs[-1]
    assert remote.path == ("net", "upstream-orders-127.0.0.1:9100")
