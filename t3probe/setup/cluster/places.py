"""Where hosts stand, as a NetworkPolicy can say it, and the alert rules as a PrometheusRule.

A NetworkPolicy has address blocks and pods by their labels, and cannot name hosts. An address
speaks for itself; of a name that is resolved inside the cluster somebody has to say where it leads:
`--at HOST=WHERE`. A PrometheusRule is the object that the Prometheus operator reads: the groups'
text is moved in by two columns and otherwise kept, so what promtool tested is what the cluster
gets.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from t3probe.config.endpoints import plain_host

_NAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_LABEL = re.compile(rf"(?:{_NAME}(?:\.{_NAME})*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_WHERE = "a block such as 10.0.0.0/24, or NAMESPACE/LABEL=VALUE[,...][:PORT]"


class ClusterError(ValueError):
    """What keeps a manifest from being made, as one sentence."""


@dataclass(frozen=True)
class Block:
    """An `ipBlock`: a network, and the parts of it that are left out."""

    cidr: str
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pods:
    """Pods of a namespace; without labels all of them."""

    namespace: str
    labels: tuple[tuple[str, str], ...] = ()
    port: int | None = None
    """The port the pods listen on, where it differs from the one that is dialled: policies are
    applied behind a service's translation as often as before it."""


Peer = Block | Pods

PUBLIC: tuple[Block, ...] = (
    Block(
        "0.0.0.0/0",
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
        ),
    ),
    Block("2000::/3", ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")),
)
"""Everything but the ranges that are not routed in public (RFC 6890), and what leads into a private
network all the same: 6to4 (2002::/16, and its relays at 192.88.99.0/24) and Teredo (in 2001::/23)
hold an IPv4 address, which may be any, and 168.63.129.16 is a cloud's metadata. Mapped addresses
(::ffff:0:0/96), NAT64 (64:ff9b::/96), unique local and link-local ones lie outside 2000::/3."""


@dataclass(frozen=True)
class NetworkPlace:
    """What `--at` says of one host."""

    peers: tuple[Peer, ...]
    public: bool = False
    """The host's address is a public one, whichever."""


def parse_block(text: str) -> Block:
    """A network in CIDR notation. Raises ClusterError."""
    try:
        return Block(str(ipaddress.ip_network(text)))
    except ValueError:
        raise ClusterError(
            f"expected a network such as 10.0.0.0/24 without host bits, found {text!r}"
        ) from None


def one_address(host: str) -> Block:
    """The block that is one address."""
    address = ipaddress.ip_address(plain_host(host))
    return Block(f"{address}/{address.max_prefixlen}")


def parse_at(text: str) -> tuple[str, NetworkPlace]:
    """`HOST=WHERE` as host and place. Raises ClusterError."""
    host, equals, where = text.partition("=")
    host = plain_host(host.removeprefix("[").removesuffix("]"))
    if not equals or not host or not where:
        raise ClusterError(
            f"--at: expected HOST=WHERE, WHERE being public, {_WHERE}, found {text!r}"
        )
    if where == "public":
        return host, NetworkPlace((), public=True)
    return host, NetworkPlace((parse_where(where, "--at", "public, "),))


def parse_where(where: str, option: str, also: str = "") -> Peer:
    """A block, or a namespace with labels and perhaps a port. Raises ClusterError, whose
    sentence names `also` among what was expected."""
    match = re.fullmatch(rf"({_NAME})/([^:]*)(?::([0-9]{{1,5}}))?", where)
    if match is None or re.fullmatch(r"[0-9a-fA-F.:]+/[0-9]{1,3}", where):
        try:
            return parse_block(where)
        except ClusterError:
            raise ClusterError(f"{option}: expected {also}{_WHERE}, found {where!r}") from None
    namespace, labels, port = match[1], match[3], match[4]
    pairs = [_pair(one, option) for one in labels.split(",")] if labels else []
    if port is not None and not 0 < int(port) <= 65535:
        raise ClusterError(f"{option}: expected a port from 1 to 65535, found {port}")
    return Pods(namespace, tuple(pairs), None if port is None else int(port))


def _pair(text: str, option: str) -> tuple[str, str]:
    label, equals, value = text.partition("=")
    if not equals or not _LABEL.fullmatch(label) or not _VALUE.fullmatch(value):
        raise ClusterError(f"{option}: expected LABEL=VALUE, found {text!r}")
    return label, value


_HEAD = """\
# Generated from {source}; do not edit, generate it anew:
#   {command}
# The operator takes the object where its ruleSelector and ruleNamespaceSelector allow it; some
# installations ask for a label of their own, such as release: kube-prometheus-stack.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: t3probe
  labels:
    app.kubernetes.io/name: t3probe
    app.kubernetes.io/component: alerts
spec:
"""


def prometheusrule(rules: str, *, source: str, command: str) -> str:
    """The object for the text of a rules file. Raises ClusterError when it has no groups."""
    before, groups, body = rules.partition("groups:\n")
    if not groups or any(line and not line.startswith("#") for line in before.splitlines()):
        raise ClusterError(
            f"{source}: expected Prometheus rules that begin with a line groups:, found none"
        )
    lines = (groups + body).splitlines()
    moved = "".join(f"  {line}\n" if line.strip() else "\n" for line in lines)
    return _HEAD.format(source=source, command=command) + moved
