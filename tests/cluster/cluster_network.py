"""What a NetworkPolicy lets through: a simulator of the object's own rules, and nothing else."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """The other end of a connection. `labels` is None for what is no pod."""

    address: str
    port: int
    protocol: str = "TCP"
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] | None = field(default=None)


def pod(namespace: str, port: int, protocol: str = "TCP", /, **labels: str) -> Target:
    """A pod by its labels; `name` stands for app.kubernetes.io/name, `_` for `-`."""
    named = tuple(
        ("app.kubernetes.io/name" if key == "name" else key.replace("_", "-"), value)
        for key, value in labels.items()
    )
    return Target("10.42.0.7", port, protocol, namespace, named)


def allowed(spec: Object, side: str, target: Target) -> bool:
    """Whether the `egress` or `ingress` rules of a policy's specification allow `target`."""
    peers = "to" if side == "egress" else "from"
    if side.capitalize() not in spec["policyTypes"]:
        return True
    return any(
        _port(rule.get("ports"), target)
        and (not rule.get(peers) or any(_peer(one, target) for one in rule[peers]))
        for rule in spec.get(side) or []
    )


def _port(ports: list[Object] | None, target: Target) -> bool:
    if not ports:
        return True
    for one in ports:
        assert set(one) <= {"protocol", "port"}, one
        if one.get("protocol", "TCP") == target.protocol and one.get("port") == target.port:
            return True
    return False


def _peer(peer: Object, target: Target) -> bool:
    if "ipBlock" in peer:
        assert set(peer) == {"ipBlock"}, "an ipBlock goes with no selector"
        block = peer["ipBlock"]
        # Pods' addresses come and go: blocks are not for them.
        return (
            target.labels is None
            and _within(target, block["cidr"])
            and not any(_within(target, one) for one in block.get("except", []))
        )
    assert set(peer) <= {"namespaceSelector", "podSelector"}, peer
    if target.labels is None:
        return False
    space = {"kubernetes.io/metadata.name": target.namespace}
    return _matches(peer.get("namespaceSelector", {}), space) and _matches(
        peer.get("podSelector", {}), dict(target.labels)
    )


def _matches(selector: Object, labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, selector
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()


def _within(target: Target, cidr: str) -> bool:
    address, network = ipaddress.ip_address(target.address), ipaddress.ip_network(cidr)
    return address.version == network.version and address in network
