"""What must come of faults at the public resolvers, the CDN and the tunnel.

Written down before the first run, from the rules of the verdict alone. Whatever was changed
afterwards has its reason in `why`.

Rules that many lines rest on:

- what lies behind a broken segment, and is crossed by no leg that worked, cannot be cleared:
  `closed` names it;
- haproxy and Envoy say 503 when what lies behind them does not answer. An answer with 503 accuses
  whoever made it, so every segment from the last mark on stays closed, up to the first that another
  leg crossed through.
"""

from __future__ import annotations

from realpath.faults import (
    BALANCER,
    NXDOMAIN,
    SERVFAIL,
    edge,
    edge_certificate,
    kill,
    resolver_certificate,
    resolvers,
    restart,
    stop,
    tunnel,
)
from realpath.line import MID, START, Line, line

__all__ = ["CDN", "RESOLVERS", "TUNNEL"]

BOTH = ("dnsdist-1", "dnsdist-2")
NAME = (
    "first written: doh convicted. Providers that all know no such name speak about the name, not"
    " about themselves: the legs are inconclusive, and nobody is convicted"
)

RESOLVERS: list[Line] = [
    line(START),
    line(START, kill(*BOTH), convicted="doh", closed="tunnel"),
    line(MID, kill(*BOTH), convicted="doh"),
    line(START, kill("dnsdist-1")),
    line(MID, kill("dnsdist-2")),
    *(
        line(
            MID,
            fault,
            one_of=("wan doh",),
            or_clean=True,
            why="first written: doh convicted. Only this leg holds a connection to that address, so"
            " the network to it may have cut it, too; and what ends between two requests is no"
            " drop, the other provider answers the next one",
        )
        for fault in (kill("dnsdist-1"), restart("dnsdist-1", 0.09), restart("dnsdist-1", 1.0))
    ),
    line(START, stop(*BOTH), convicted="doh", closed="tunnel"),
    line(MID, stop(*BOTH), convicted="doh"),
    line(MID, stop(*BOTH, seconds=2.0), convicted="doh"),
    line(MID, stop(*BOTH, seconds=0.6)),
    line(MID, stop(*BOTH, seconds=0.1)),
    line(MID, stop("dnsdist-1"), convicted="doh"),
    line(START, resolvers(SERVFAIL), convicted="doh", closed="tunnel"),
    line(MID, resolvers(SERVFAIL), convicted="doh"),
    line(START, resolvers(SERVFAIL, 1)),
    line(MID, resolvers(SERVFAIL, 1), convicted="doh"),
    line(MID, resolvers(SERVFAIL, 2)),
    line(START, resolvers(NXDOMAIN), closed="doh cf-edge tunnel", code=1, why=NAME),
    line(MID, resolvers(NXDOMAIN), closed="doh", code=1, why=NAME),
    line(START, resolvers(BALANCER), closed="doh cf-edge tunnel", code=1),
    line(MID, resolvers(BALANCER), closed="doh", code=1),
    line(START, resolvers(BALANCER, 2), closed="doh", code=1),
    line(START, resolvers(BALANCER), closed="doh cf-edge tunnel", gate="cf-edge"),
    line(START, resolvers(BALANCER), closed="doh cf-edge tunnel", gate="traefik,dispatch"),
    line(START, resolver_certificate("address-expired-cert"), convicted="doh", closed="tunnel"),
    line(MID, resolver_certificate("address-expired-cert"), convicted="doh"),
    line(MID, resolver_certificate("foreign-address"), convicted="doh"),
]

CDN: list[Line] = [
    line(START, kill("nginx"), convicted="cf-edge", closed="tunnel"),
    line(MID, kill("nginx"), convicted="cf-edge", closed="tunnel"),
    line(
        MID,
        restart("nginx", 0.09),
        suspect="cf-edge",
        closed="tunnel",
        chance="wan",
        why="first written: cf-edge convicted. That is so when the edge's leg dials in time; if it"
        " does not, no other connection to that address lived through, and the wan may be it",
    ),
    line(START, restart("nginx", 2.0), convicted="cf-edge", closed="tunnel", hold="5s"),
    line(MID, restart("nginx", 1.0), convicted="cf-edge", closed="tunnel"),
    line(MID, restart("nginx", 5.0), convicted="cf-edge", closed="tunnel", hold="8s"),
    line(START, stop("nginx"), convicted="cf-edge", closed="tunnel"),
    line(MID, stop("nginx"), convicted="cf-edge", closed="tunnel"),
    line(MID, stop("nginx", seconds=2.0), convicted="cf-edge", closed="tunnel"),
    line(MID, stop("nginx", seconds=0.6)),
    line(MID, stop("nginx", seconds=0.1)),
    line(MID, edge("reload")),
    line(START, edge("502 for the app", app="return 502;"), convicted="tunnel"),
    line(MID, edge("502 for the app", app="return 502;"), convicted="tunnel"),
    line(
        START,
        edge("a redirect of its own", app="return 301 https://www.real.test/;"),
        one_of=("cf-edge tunnel",),
    ),
    line(
        MID,
        edge("a redirect of its own", app="return 301 https://www.real.test/;"),
        one_of=("cf-edge tunnel",),
    ),
    line(
        MID,
        edge("a redirect of its own", app="return 301 https://www.real.test/;"),
        one_of=("cf-edge tunnel",),
        gate="cf-edge",
    ),
    line(MID, edge("403 for the app", app="return 403;"), one_of=("cf-edge tunnel",)),
    line(
        START,
        edge("read timeout 150 ms", read_timeout="150ms"),
        convicted="tunnel",
        chance="wan cf-edge traefik carve-out devvm dispatch",
        why="each held connection is silent for longer, between two beats. First written: all"
        " others open. They stay closed when one dies before any other leg's connection is as old",
    ),
    line(START, edge_certificate("host-expired-cert"), convicted="cf-edge", closed="tunnel"),
    line(MID, edge_certificate("host-expired-cert"), convicted="cf-edge", closed="tunnel"),
    line(MID, edge_certificate("foreign-host"), convicted="cf-edge", closed="tunnel"),
    line(START, edge_certificate("wrong-host-cert"), convicted="cf-edge", closed="tunnel"),
]

TUNNEL: list[Line] = [
    line(START, kill("haproxy"), convicted="tunnel"),
    line(MID, kill("haproxy"), convicted="tunnel"),
    line(MID, kill("haproxy"), convicted="tunnel", gate="dispatch,serve,traefik"),
    line(MID, kill("haproxy"), convicted="tunnel", gate="tunnel"),
    line(
        START,
        restart("haproxy", 0.09),
        convicted="tunnel",
        or_clean=True,
        why="a first attempt that fails alone is a lone blip, and the second look may come late",
    ),
    line(MID, restart("haproxy", 0.09), convicted="tunnel"),
    line(START, restart("haproxy", 1.0), convicted="tunnel"),
    line(MID, restart("haproxy", 1.0), convicted="tunnel"),
    line(MID, restart("haproxy", 5.0), convicted="tunnel", hold="8s"),
    line(START, stop("haproxy"), convicted="tunnel"),
    line(MID, stop("haproxy"), convicted="tunnel"),
    line(MID, stop("haproxy", seconds=2.0), convicted="tunnel"),
    line(MID, stop("haproxy", seconds=0.6)),
    line(MID, stop("haproxy", seconds=0.1)),
    line(MID, tunnel("shutdown sessions server cluster/balancer"), convicted="tunnel"),
    line(START, tunnel("disable server cluster/balancer"), one_of=("cf-edge tunnel",)),
    line(MID, tunnel("disable server cluster/balancer"), one_of=("cf-edge tunnel",)),
    line(MID, tunnel("set server cluster/balancer state drain"), one_of=("cf-edge tunnel",)),
    line(
        MID,
        tunnel("set maxconn frontend tunnel 1"),
        convicted="tunnel",
        why="the kernel accepts, and nobody takes what it accepted",
    ),
    line(
        MID,
        tunnel("set maxconn server cluster/balancer 1"),
        one_of=("cf-edge tunnel",),
        why="haproxy answers 503 when its queue's time is over",
    ),
]
