"""The NetworkPolicy of a deployment: what its legs dial, and nothing else. Pure.

`policy` gives the rules, `rendered` their YAML. Nothing may come in but scrapes, where a port
for them is given. `dials` are the hosts and ports, and how their addresses are found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from t3probe.config import Deployment, Leg, legs_for, parse_address, parse_pin, parse_url
from t3probe.config.delivery import MAIL_PORTS, Mail
from t3probe.config.endpoints import is_address, plain_host
from t3probe.config.opinions import opinions_for
from t3probe.setup.cluster.places import (
    PUBLIC,
    Block,
    ClusterError,
    NetworkPlace,
    Peer,
    Pods,
    one_address,
)
from t3probe.text.names import BOOK, JUMP_API, RELAY_API, SOURCE_LEG

DNS_PODS = Pods("kube-system", (("k8s-app", "kube-dns"),))
"""CoreDNS and kube-dns alike carry this label."""
Port = tuple[str, int]


@dataclass(frozen=True)
class Rule:
    """Peers, the ports that are open towards them, and who needs it."""

    why: str
    peers: tuple[Peer, ...]
    ports: tuple[Port, ...]


@dataclass(frozen=True)
class Policy:
    """What may go out and what may come in."""

    egress: tuple[Rule, ...]
    ingress: tuple[Rule, ...] = ()


def policy(
    deployment: Deployment,
    *,
    vantage: str = "",
    at: Mapping[str, NetworkPlace] | None = None,
    public: Sequence[Block] = PUBLIC,
    dns: Sequence[Block] = (),
    listen: int | None = None,
    scrapers: Sequence[Peer] = (),
) -> Policy:
    """The rules for a deployment run from `vantage`.

    `at` says where hosts stand that the cluster's DNS resolves, and may add pods to an address.
    Raises ClusterError when such a host is missing, or one is named that nothing dials.
    """
    at = dict(at or {})
    found = dials(deployment, vantage)
    unknown = [host for host in at if host not in {dial.host for dial in found}]
    if unknown:
        known = ", ".join(dict.fromkeys(dial.host for dial in found))
        raise ClusterError(
            f"--at: expected a host that the deployment dials, found {unknown[0]!r}; "
            f"it dials {known}"
        )
    open_ports: dict[int, list[str]] = {}
    beside: dict[str, list[Dial]] = {}
    for dial in found:
        place = at.get(dial.host)
        if dial.found == "public" or (place is not None and place.public):
            open_ports.setdefault(dial.port, []).append(dial.who)
        elif dial.found == "cluster" and place is None:
            raise ClusterError(
                f"{dial.who}: the cluster's own DNS resolves {dial.host!r}, and a NetworkPolicy "
                f"cannot hold names: expected --at {dial.host}=WHERE (a block such as "
                "10.0.0.0/24, NAMESPACE/LABEL=VALUE, or public), found none"
            )
        else:
            beside.setdefault(dial.host, []).append(dial)
    rules = [_rule("names", [DNS_PODS, *dns], [("UDP", 53), ("TCP", 53)])]
    for port, who in open_ports.items():
        rules.append(_rule(", ".join(dict.fromkeys(who)), public, [("TCP", port)]))
    for host, targets in beside.items():
        rules += _host(host, targets, at.get(host, NetworkPlace(())).peers)
    ingress = []
    if listen is not None:
        ingress.append(_rule("scrapes", scrapers, [("TCP", listen)]))
    return Policy(tuple(_merged(rules)), tuple(ingress))


def _host(host: str, targets: list[Dial], peers: Iterable[Peer]) -> list[Rule]:
    why = ", ".join(dict.fromkeys(dial.who for dial in targets))
    ports = [("TCP", dial.port) for dial in targets]
    direct: list[Peer] = [one_address(host)] if targets[0].found == "address" else []
    rules = []
    for peer in peers:
        if isinstance(peer, Pods) and peer.port is not None:
            pods = Pods(peer.namespace, peer.labels)
            rules.append(_rule(f"{why}: behind {host}", [pods], [("TCP", peer.port)]))
        else:
            direct.append(peer)
    return ([_rule(why, direct, ports)] if direct else []) + rules


def _rule(why: str, peers: Iterable[Peer], ports: Iterable[Port]) -> Rule:
    return Rule(why, tuple(dict.fromkeys(peers)), tuple(dict.fromkeys(ports)))


def _merged(rules: list[Rule]) -> list[Rule]:
    """Rules over the same ports for the same reason become one."""
    found: dict[tuple[str, tuple[Port, ...]], Rule] = {}
    for one in rules:
        key = one.why, one.ports
        before = found.get(key)
        found[key] = one if before is None else _rule(one.why, before.peers + one.peers, one.ports)
    return list(found.values())


_HEAD = """\
# Generated from the deployment {name}; do not edit, generate it anew:
#   {command}
# What stands here may be dialled and nothing else, and nothing but scrapes may come in. A
# load balancer's pods stand beside its address: whether a policy sees the address before or
# after the translation differs from one network plugin to the next.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: t3probe-{component}
  labels:
    app.kubernetes.io/name: t3probe
    app.kubernetes.io/component: {component}
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: t3probe
      app.kubernetes.io/component: {component}
  policyTypes: [Ingress, Egress]
"""


def rendered(made: Policy, *, name: str, component: str, command: str) -> str:
    """The object as YAML. `component` is the label of the pods it is for."""
    head = _HEAD.format(name=name, component=component, command=command)
    return head + _side("ingress", "from", made.ingress) + _side("egress", "to", made.egress)


def _side(side: str, peers: str, rules: Sequence[Rule]) -> str:
    if not rules:
        return f"  {side}: []\n"
    lines = [f"  {side}:"]
    for rule in rules:
        lines.append(f"    # {rule.why}")
        lines.append(f"    - {peers}:")
        for peer in rule.peers:
            lines += _block(peer) if isinstance(peer, Block) else _pods(peer)
        lines.append("      ports:")
        lines += [f"        - {{protocol: {kind}, port: {port}}}" for kind, port in rule.ports]
    return "\n".join(lines) + "\n"


def _block(peer: Block) -> list[str]:
    lines = ["        - ipBlock:", f"            cidr: {json.dumps(peer.cidr)}"]
    if peer.without:
        lines.append("            except:")
        lines += [f"              - {json.dumps(one)}" for one in peer.without]
    return lines


def _pods(peer: Pods) -> list[str]:
    lines = [
        "        - namespaceSelector:",
        "            matchLabels:",
        f"              kubernetes.io/metadata.name: {json.dumps(peer.namespace)}",
    ]
    if peer.labels:
        lines += ["          podSelector:", "            matchLabels:"]
        lines += [f"              {label}: {json.dumps(value)}" for label, value in peer.labels]
    return lines


Found = Literal["address", "public", "cluster"]


@dataclass(frozen=True)
class Dial:
    """One target."""

    host: str
    port: int
    found: Found
    """`address`: the host is one; `public`: a name that DoH resolves; `cluster`: a name that the
    cluster's own DNS resolves."""
    who: str
    """The leg, or the place in the deployment that names it."""


def dials(deployment: Deployment, vantage: str = "") -> list[Dial]:
    """All targets of the legs that run from `vantage` (empty: the deployment's own), and of the
    delivery, the sources of upstreams, whoever is asked for an opinion, and the services of remote
    rigs, in order. What those will
    name is not known here."""
    legs = legs_for(deployment, vantage)[0]
    found = [dial for leg in legs for dial in (*_leg(leg), *_plain(leg))]
    otlp, mail = deployment.delivery.otlp, deployment.delivery.mail
    named = (
        ("gateway", deployment.delivery.gateway),
        *(
            (f"remote_write {one.name}".strip(), one.url)
            for one in deployment.delivery.remote_write
        ),
        ("heartbeat_url", deployment.delivery.heartbeat_url),
        ("otlp", None if otlp is None else otlp.endpoint),
        ("mail", None if mail is None else _mail_url(mail)),
        *((f"webhook {one.name}".strip(), one.url) for one in deployment.delivery.webhook),
    )
    at = vantage or deployment.vantage
    sources = (
        (f"{SOURCE_LEG}{one.name}", one.url)
        for one in deployment.upstream_source
        if not one.vantages or not at or at in one.vantages
    )
    opinions = ((f"opinion {one.name}", one.url) for one in opinions_for(deployment.opinion, at))
    table = deployment.experiments
    services = () if table is None else (
        (RELAY_API, table.relay), (JUMP_API, table.jump), (BOOK, table.book)
    )  # fmt: skip
    for who, url in (*named, *sources, *opinions, *services):
        if url is not None:
            parts = parse_url(url, ("http", "https"))
            found.append(_direct(parts.host, parts.port, who))
    return found


def _mail_url(mail: Mail) -> str:
    """Where the mail server is, in the form of the others."""
    port = mail.port or MAIL_PORTS[mail.tls]
    return f"https://[{mail.host}]:{port}/" if ":" in mail.host else f"https://{mail.host}:{port}/"


def _leg(leg: Leg) -> Iterator[Dial]:
    for provider in leg.doh:
        url = parse_url(provider, ("https",))
        yield _direct(url.host, url.port, leg.name)
    for address in (*leg.addresses, *([leg.address] if leg.address else [])):
        yield _direct(*parse_address(address), leg.name)
    if leg.url is None:
        return
    url = parse_url(leg.url, ("http", "https", "ws", "wss"))
    if leg.pin is not None:
        pinned, port = parse_pin(leg.pin)
        yield _direct(pinned, url.port if port is None else port, leg.name)
        return
    direct = _direct(url.host, url.port, leg.name)
    if direct.found == "cluster" and leg.doh:
        yield Dial(url.host, url.port, "public", leg.name)
        for text in leg.fallback:
            host, port = parse_pin(text)
            yield _direct(host, url.port if port is None else port, leg.name)
    else:
        yield direct


def _plain(leg: Leg) -> Iterator[Dial]:
    """Where a gate is asked over plain http: at the addresses of its leg, at another port."""
    if leg.kind == "ingest_gate" and leg.ingest is not None and leg.ingest.plain_port:
        for one in list(_leg(leg))[len(leg.doh) :]:
            yield replace(one, port=leg.ingest.plain_port)


def _direct(host: str, port: int, who: str) -> Dial:
    return Dial(plain_host(host), port, "address" if is_address(host) else "cluster", who)
