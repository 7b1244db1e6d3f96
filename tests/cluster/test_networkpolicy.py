"""The generated NetworkPolicies: current, wide enough for every leg, and no wider."""

from __future__ import annotations

import ipaddress
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from cluster_build import ROOT, built, of_kind
from cluster_network import Object, Target, allowed, pod
from hypothesis import given
from hypothesis import strategies as st

from t3probe.commands.manifests import main
from t3probe.config import Deployment, Leg, legs_for, load, loads
from t3probe.config.opinions import OpinionSource
from t3probe.setup.cluster.networkpolicy import dials, policy, rendered
from t3probe.setup.cluster.places import PUBLIC, Block, NetworkPlace

JOB = ROOT / "cronjob" / "overlays" / "t3" / "network" / "networkpolicy.yaml"
WATCH = ROOT / "cronjob" / "overlays" / "watch" / "held" / "networkpolicy.yaml"
DEPLOYMENT = load(ROOT / "deployments" / "t3.toml", {}, now=0.0)
ANY_PUBLIC = ("104.16.132.229", "2606:4700::6810:84e5")
GATEWAY = pod("monitoring", 9091, name="prometheus-pushgateway")
TRAEFIK = pod("traefik", 8443, name="traefik")
DNS = [pod("kube-system", 53, protocol, k8s_app="kube-dns") for protocol in ("TCP", "UDP")]


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for name in ("T3PROBE_VANTAGE", "T3PROBE__DELIVERY__GATEWAY"):
        monkeypatch.delenv(name, raising=False)


def spec(path: Path) -> Object:
    found: Object = yaml.safe_load(path.read_text())["spec"]
    return found


def targets(leg: Leg) -> list[Target]:
    """Where a leg of the reference deployment connects to, worked out apart from the code."""
    found = [Target(str(urlsplit(one).hostname), 443) for one in leg.doh]
    for one in (*leg.addresses, *([leg.address] if leg.address else [])):
        host, _, port = one.rpartition(":")
        found.append(Target(host, int(port)))
    if leg.url is not None:
        parts = urlsplit(leg.url)
        port = parts.port or {"https": 443, "wss": 443, "http": 80, "ws": 80}[parts.scheme]
        hosts = ANY_PUBLIC if leg.doh else (leg.pin or str(parts.hostname),)
        found += [Target(host, port) for host in hosts]
    return found


@pytest.mark.parametrize("path", [JOB, WATCH], ids=["job", "watch"])
def test_the_stored_policy_is_current(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second line is the command that writes it."""
    words = shlex.split(path.read_text().splitlines()[1].removeprefix("#"))
    assert words[:3] == ["t3probe", "manifests", "networkpolicy"]
    assert main(words[2:]) == 0
    assert capsys.readouterr() == (path.read_text(), "")


@pytest.mark.parametrize("path", [JOB, WATCH], ids=["job", "watch"])
@pytest.mark.parametrize("leg", legs_for(DEPLOYMENT, "cluster")[0], ids=lambda leg: leg.name)
def test_every_leg_gets_out(leg: Leg, path: Path) -> None:
    wanted = targets(leg)
    assert wanted
    for one in wanted:
        assert allowed(spec(path), "egress", one), one


@pytest.mark.parametrize("vantage", ["zone-a", "zone-b", "outside"])
def test_every_leg_of_every_vantage_gets_out(vantage: str) -> None:
    objects = built("vantages")
    (rules,) = [one["spec"] for one in of_kind(objects, "NetworkPolicy")]
    for leg in legs_for(DEPLOYMENT, "cluster" if vantage != "outside" else vantage)[0]:
        for one in targets(leg):
            assert allowed(rules, "egress", one), one


def test_names_the_gateway_and_the_balancers_pods_are_reached() -> None:
    for one in (*DNS, TRAEFIK):
        assert allowed(spec(JOB), "egress", one), one
        assert allowed(spec(WATCH), "egress", one), one
    assert allowed(spec(JOB), "egress", GATEWAY)
    assert not allowed(spec(WATCH), "egress", GATEWAY), "the held mode pushes nothing"


@pytest.mark.parametrize(
    "target",
    [
        *(Target("10.0.10.10", port) for port in (22, 80, 443, 3772, 9091, 9101)),
        Target("10.0.10.10", 3780, "UDP"),
        Target("10.0.10.11", 3780),
        Target("10.0.20.203", 80),
        Target("10.0.20.203", 8443),
        Target("10.0.20.204", 443),
        Target("1.1.1.1", 53, "UDP"),
        Target("1.1.1.1", 80),
        Target("8.8.4.4", 853),
        *(Target(address, 80) for address in ANY_PUBLIC),
        Target(ANY_PUBLIC[0], 443, "UDP"),
        Target("169.254.169.254", 80),
        Target("169.254.169.254", 443),
        Target("10.96.0.1", 443),
        Target("172.16.0.1", 443),
        Target("192.168.1.1", 443),
        Target("100.64.0.1", 443),
        Target("127.0.0.1", 443),
        Target("fd00::1", 443),
        Target("fe80::1", 443),
        Target("::1", 443),
        Target("224.0.0.1", 443),
        pod("monitoring", 9090, name="prometheus-pushgateway"),
        pod("monitoring", 9091, name="prometheus"),
        pod("default", 9091, name="prometheus-pushgateway"),
        pod("default", 8443, name="traefik"),
        pod("traefik", 8080, name="traefik"),
        pod("kube-system", 9153, k8s_app="kube-dns"),
        pod("kube-system", 53, k8s_app="other"),
        pod("default", 443, name="anything"),
        pod("t3probe", 9108, name="t3probe"),
    ],
    ids=lambda one: f"{one.namespace or one.address}-{one.port}-{one.protocol}",
)
@pytest.mark.parametrize("path", [JOB, WATCH], ids=["job", "watch"])
def test_nothing_else_gets_out(target: Target, path: Path) -> None:
    assert not allowed(spec(path), "egress", target)


def test_nothing_comes_in_but_scrapes() -> None:
    scraper = pod("monitoring", 9108, name="prometheus")
    assert allowed(spec(WATCH), "ingress", scraper)
    assert not allowed(spec(JOB), "ingress", scraper)
    for one in (
        pod("monitoring", 9109, name="prometheus"),
        pod("monitoring", 9108, name="grafana"),
        pod("default", 9108, name="prometheus"),
        Target("10.0.10.10", 9108),
    ):
        assert not allowed(spec(WATCH), "ingress", one), one


@pytest.mark.parametrize("overlay", ["t3", "vantages", "sharded", "watch"])
def test_the_gateway_of_the_settings_is_the_one_that_is_let_out(overlay: str) -> None:
    """Change the one and the other has to follow."""
    objects = built(overlay)
    (settings,) = [
        one["data"]["T3PROBE__DELIVERY__GATEWAY"]
        for one in of_kind(objects, "ConfigMap")
        if "T3PROBE__DELIVERY__GATEWAY" in one["data"]
    ]
    host = str(urlsplit(settings).hostname)
    assert host.split(".")[:3] == ["prometheus-pushgateway", "monitoring", "svc"]
    assert f"--gateway {settings} " in JOB.read_text()


@given(st.ip_addresses(v=4))
def test_public_is_what_is_routed_in_public(address: ipaddress.IPv4Address) -> None:
    """Against the standard library's table, which lets a few protocol addresses pass."""
    block = {"cidr": PUBLIC[0].cidr, "except": list(PUBLIC[0].without)}
    rules = {"policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": block}]}]}
    routed = address.is_global and not address.is_multicast
    if address not in ipaddress.ip_network("192.0.0.0/24") and str(address) != "168.63.129.16":
        routed = routed and address not in ipaddress.ip_network("192.88.99.0/24")
        assert allowed(rules, "egress", Target(str(address), 443)) == routed


PRIVATE = (
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "100.100.100.200", "127.0.0.1",
    "169.254.169.254", "168.63.129.16", "192.0.0.192", "192.88.99.1",
)  # fmt: skip


@pytest.mark.parametrize("path", [JOB, WATCH], ids=["job", "watch"])
@pytest.mark.parametrize("address", PRIVATE)
def test_no_way_of_writing_a_private_address_is_public(address: str, path: Path) -> None:
    """As itself, 6to4, mapped, NAT64 and Teredo, each at both ends of its range."""
    number = int(ipaddress.IPv4Address(address))
    ipv6 = [
        (0x2002 << 112) | (number << 80), (0x2002 << 112) | (number << 80) | (2**80 - 1),
        (0xFFFF << 32) | number, (0x64FF9B << 96) | number, number,
        (0x20010000 << 96) | (number ^ 0xFFFFFFFF), (0x20010000 << 96) | (number << 64),
    ]  # fmt: skip
    for one in (address, *(str(ipaddress.IPv6Address(number)) for number in ipv6)):
        assert not allowed(spec(path), "egress", Target(one, 443)), one


@pytest.mark.parametrize(
    "address", ["fe80::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "ff02::1", "::1", "3fff::1"]
)
def test_no_local_address_is_public(address: str) -> None:
    assert not allowed(spec(JOB), "egress", Target(address, 443))


def test_public_ipv6_is_let_out() -> None:
    for one in ("2606:4700::1111", "2a00:1450:4001::1", "2400:cb00::1", "2001:4860:4860::8888"):
        assert allowed(spec(JOB), "egress", Target(one, 443)), one


def test_an_empty_deployment_dials_dns_alone() -> None:
    made = policy(Deployment(name="x", file="x", segments=(), legs=()))
    assert [rule.ports for rule in made.egress] == [(("UDP", 53), ("TCP", 53))]
    assert made.ingress == ()


def test_a_gate_needs_its_two_ports_and_no_more() -> None:
    made = loads(
        """
name = "x"
segments = ["gate", "store"]
[[ingest]]
name = "m"
kind = "remote_write"
url = "https://in.example/api/v1/write"
doh = ["https://9.9.9.9/dns-query"]
path = ["gate", "store"]
[[ingest]]
name = "pinned"
kind = "otlp"
url = "https://in.example:4318/v1/traces"
pin = "10.0.0.7"
plain_port = 8080
path = ["gate", "store"]
""",
        environ={},
        now=0.0,
    )
    open_to = {
        (peer.cidr, port)
        for rule in policy(made).egress
        for peer in rule.peers
        if isinstance(peer, Block)
        for _, port in rule.ports
    }
    assert open_to == {
        *((one.cidr, port) for one in PUBLIC for port in (443, 80)),
        ("9.9.9.9/32", 443),
        ("10.0.0.7/32", 4318),
        ("10.0.0.7/32", 8080),
    }


def test_the_job_gets_out_to_the_receivers_of_remote_write() -> None:
    text = (ROOT / "deployments" / "t3.toml").read_text()
    text += '\n[[delivery.remote_write]]\nurl = "https://10.7.7.7:8427/api/v1/write"\n'
    deployment = loads(text, file="x.toml", environ={}, now=0.0)
    places = {host: NetworkPlace((), public=True) for host in _cluster_hosts(deployment)}
    rules = rendered(policy(deployment, at=places), name="t3", component="job", command="x")
    spec_ = yaml.safe_load(rules)["spec"]
    assert allowed(spec_, "egress", Target("10.7.7.7", 8427))
    assert not allowed(spec_, "egress", Target("10.7.7.7", 443))
    assert not allowed(spec_, "egress", Target("10.7.7.8", 8427))
    assert "# remote_write\n" in rules


def test_the_job_gets_out_to_whom_it_tells() -> None:
    text = (ROOT / "deployments" / "t3.toml").read_text()
    text += '\n[delivery.mail]\nhost = "10.7.7.7"\nsender = "a@b"\nto = ["c@d"]\n'
    text += '[[delivery.webhook]]\nurl = "https://10.7.7.8:8443/hook"\n'
    deployment = loads(text, file="x.toml", environ={}, now=0.0)
    places = {host: NetworkPlace((), public=True) for host in _cluster_hosts(deployment)}
    rules = rendered(policy(deployment, at=places), name="t3", component="job", command="x")
    spec_ = yaml.safe_load(rules)["spec"]
    assert allowed(spec_, "egress", Target("10.7.7.7", 587))
    assert allowed(spec_, "egress", Target("10.7.7.8", 8443))
    assert not allowed(spec_, "egress", Target("10.7.7.7", 25))


def _cluster_hosts(deployment: Deployment) -> list[str]:
    return [one.host for one in dials(deployment) if one.found == "cluster"]


def test_whoever_is_asked_for_an_opinion_is_dialled() -> None:
    asked = [
        OpinionSource(
            name=name, kind="cloudflared", segment="a", url=f"http://{host}:20241",
            vantages=vantages,
        )
        for name, host, vantages in (("one", "10.0.3.2", ()), ("two", "10.0.3.3", ("lan",)))
    ]  # fmt: skip
    made = Deployment(name="x", file="x", segments=("a",), legs=(), opinion=tuple(asked))
    assert [(one.host, one.port, one.who) for one in dials(made, "cloud")] == [
        ("10.0.3.2", 20241, "opinion one")
    ]
    assert len(dials(made)) == 2
