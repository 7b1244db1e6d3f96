"""What must come of faults at the balancer and behind it, and of two faults at once.

See `table_outside` for the rules.
"""

from __future__ import annotations

from realpath.configs import SSO, TO_SERVE, answers
from realpath.faults import (
    SERVFAIL,
    Fault,
    balancer,
    balancer_certificate,
    behave,
    kill,
    node,
    resolvers,
    restart,
    rules,
    stop,
    tunnel,
)
from realpath.line import MID, START, Line, line

__all__ = ["BALANCER_LINES", "DISPATCH", "MACHINE", "PAIRS"]

BEHIND = "cf-edge tunnel carve-out wall"
"""What stays closed when Envoy refuses: haproxy then answers 503."""
SILENT = "tunnel carve-out wall"
"""What stays closed when Envoy is silent."""
HELD = "tunnel carve-out"
"""What stays closed when dispatch is silent, or cuts: no other leg goes through these."""
BEFORE = "cf-edge traefik devvm"
"""What may stay closed beside these when dispatch refuses or answers wrongly."""
CHANCE_ORDER = (
    "first written: cf-edge and traefik closed, devvm open. Envoy's 503 may be its own, so whoever"
    " crosses through them has to be asked with each leg's second look; the wall's leg is asked"
    " with the first of them only, once a heartbeat"
)
CHANCE_WALL = "the wall's leg asks once a heartbeat: it may have met the outage or not"
CHANCE_RULE = (
    "first written: carve-out convicted, the three before it closed. It is when the leg inside"
    " notices first, and the wall's leg, asked with that, shows that Envoy works; when the leg"
    " outside does, the other's 404 or redirect may be Envoy's own"
)
HEALTHY = (
    "first written: tunnel and carve-out closed. Its pages go on working, so the public path clears"
    " them where it was asked with the second look"
)

BALANCER_LINES: list[Line] = [
    line(START, kill("envoy"), convicted="traefik", closed=BEHIND),
    line(MID, kill("envoy"), convicted="traefik", closed=BEHIND),
    line(MID, kill("envoy"), convicted="traefik", closed=BEHIND, gate="dispatch,serve"),
    *(
        line(
            at,
            restart("envoy", seconds),
            convicted="traefik",
            closed="cf-edge tunnel carve-out",
            chance="wall",
            hold=hold,
            why=CHANCE_WALL,
        )
        for at, seconds, hold in (
            (MID, 0.09, "3500ms"),
            (START, 1.0, "4s"),
            (MID, 1.0, "4s"),
            (MID, 5.0, "8s"),
        )
    ),
    line(START, stop("envoy"), convicted="traefik", closed=SILENT),
    line(MID, stop("envoy"), convicted="traefik", closed=SILENT),
    line(
        MID,
        stop("envoy", seconds=2.0),
        convicted="traefik",
        closed=HELD,
        chance="wall",
        why=CHANCE_WALL,
    ),
    line(MID, stop("envoy", seconds=0.6)),
    line(MID, stop("envoy", seconds=0.1)),
    line(START, balancer("/drain_listeners"), convicted="traefik", closed=BEHIND),
    line(MID, balancer("/drain_listeners"), convicted="traefik", closed=BEHIND),
    line(MID, balancer("/drain_listeners?graceful"), convicted="traefik", closed=BEHIND, hold="4s"),
    line(
        START,
        rules("404 for the public path", public=answers(404)),
        suspect="carve-out",
        chance="cf-edge tunnel traefik",
        why=CHANCE_RULE,
    ),
    line(
        MID,
        rules("404 for the public path", public=answers(404)),
        suspect="carve-out",
        chance="cf-edge tunnel traefik",
        why=CHANCE_RULE,
    ),
    line(
        START,
        rules("the public path goes to the SSO", public=SSO),
        suspect="carve-out",
        chance="cf-edge tunnel traefik",
        why=CHANCE_RULE,
    ),
    line(
        MID,
        rules("the public path goes to the SSO", public=SSO),
        suspect="carve-out",
        chance="cf-edge tunnel traefik",
        why=CHANCE_RULE,
    ),
    line(START, rules("no wall", walled=TO_SERVE), convicted="wall"),
    line(MID, rules("no wall", walled=TO_SERVE), convicted="wall"),
    line(MID, rules("no wall", walled=TO_SERVE), convicted="wall", gate="traefik,carve-out"),
    line(MID, rules("no wall", walled=TO_SERVE), convicted="wall", gate="wall"),
    line(START, rules("404 for walled paths", walled=answers(404)), closed="wall"),
    line(START, rules("503 for walled paths", walled=answers(503)), closed="wall", code=1),
    line(START, balancer_certificate("host-expired-cert"), convicted="traefik", closed=BEHIND),
    line(MID, balancer_certificate("host-expired-cert"), convicted="traefik", closed=BEHIND),
    line(MID, balancer_certificate("foreign-host"), convicted="traefik", closed=BEHIND),
    *(
        line(
            at,
            fault,
            convicted=upstream,
            suspect="dispatch",
            chance="cf-edge tunnel traefik carve-out devvm",
            both=True,
            why="chance decides which connections the broken machine gets, and so which legs drop;"
            " first written without the upstream, which Envoy names and a connect finds refused",
        )
        for at, fault, upstream in (
            (START, kill("second"), "upstream-dispatch"),
            (MID, kill("second"), "upstream-dispatch"),
            (START, stop("second"), ""),
            (MID, stop("second"), ""),
        )
    ),
    line(MID, both=True),
]


def refusing(at: str, fault: Fault, gate: str = "", hold: str = "3500ms") -> Line:
    """A line of a dispatch that refuses, or answers with a status of its own. One that comes back
    may be back at a later leg's second look."""
    return line(
        at,
        fault,
        convicted="dispatch",
        closed=HELD,
        chance=f"{BEFORE} {HELD}" if fault.end else BEFORE,
        why=CHANCE_ORDER,
        gate=gate,
        hold=hold,
    )


DISPATCH: list[Line] = [
    line(
        START, kill("dispatch"), convicted="dispatch", closed=HELD, chance=BEFORE, why=CHANCE_ORDER
    ),
    refusing(MID, kill("dispatch")),
    line(
        MID,
        kill("dispatch"),
        convicted="dispatch",
        closed=HELD,
        chance=BEFORE,
        why=CHANCE_ORDER,
        gate="serve,devvm,wall",
    ),
    line(
        MID,
        restart("dispatch", 0.09),
        convicted="dispatch",
        closed=HELD,
        chance=BEFORE,
        why=CHANCE_ORDER,
    ),
    line(
        START,
        restart("dispatch", 1.0),
        convicted="dispatch",
        closed=HELD,
        chance=BEFORE,
        why=CHANCE_ORDER,
    ),
    line(
        MID,
        restart("dispatch", 1.0),
        convicted="dispatch",
        closed=HELD,
        chance=BEFORE,
        why=CHANCE_ORDER,
    ),
    line(
        MID,
        restart("dispatch", 5.0),
        convicted="dispatch",
        closed=HELD,
        chance=BEFORE,
        why=CHANCE_ORDER,
        hold="8s",
    ),
    line(START, stop("dispatch"), convicted="dispatch", closed=HELD),
    line(MID, stop("dispatch"), convicted="dispatch", closed=HELD),
    line(MID, stop("dispatch", seconds=2.0), convicted="dispatch", closed=HELD),
    line(MID, stop("dispatch", seconds=0.6)),
    line(MID, stop("dispatch", seconds=0.1)),
    line(MID, node("dispatch", close=1001), convicted="dispatch", closed=HELD),
    line(MID, node("dispatch", close=1011), convicted="dispatch", closed=HELD),
    line(MID, node("dispatch", close=4000), convicted="dispatch", closed=HELD),
    line(MID, node("dispatch", terminate=True), convicted="dispatch", closed=HELD),
    line(MID, node("dispatch", ping=3)),
    line(START, behave("dispatch", ping=50)),
    line(START, behave("dispatch", late=300)),
    line(MID, behave("dispatch", late=300)),
    line(MID, behave("dispatch", late=2000), convicted="dispatch", closed=HELD),
    *(
        line(at, fault, convicted="dispatch", chance=HELD, why=HEALTHY)
        for at in (START, MID)
        for fault in (behave("dispatch", mute=True), behave("dispatch", wrong=True))
    ),
    line(MID, node("dispatch", block=100)),
    line(MID, node("dispatch", block=600)),
    line(MID, node("dispatch", block=2000), convicted="dispatch", closed=HELD),
    line(
        START,
        behave("dispatch", status=404),
        convicted="dispatch",
        closed=HELD,
        chance=BEFORE,
        why=CHANCE_ORDER,
    ),
    line(
        MID,
        behave("dispatch", status=404),
        convicted="dispatch",
        closed=HELD,
        chance=BEFORE,
        why=CHANCE_ORDER,
    ),
    line(
        MID,
        behave("dispatch", status=503),
        convicted="dispatch",
        closed=HELD,
        chance=BEFORE,
        why=CHANCE_ORDER,
    ),
]

MACHINE: list[Line] = [
    line(START, kill("serve"), convicted="serve"),
    line(MID, kill("serve"), convicted="serve"),
    line(MID, kill("serve"), convicted="serve", gate="tunnel,traefik,dispatch"),
    line(
        MID,
        restart("serve", 0.09),
        convicted="serve",
        or_clean=True,
        why="a kept-alive connection that ends between beats is no drop, and it may be back",
    ),
    line(MID, restart("serve", 1.0), convicted="serve"),
    line(START, stop("serve"), convicted="serve"),
    line(MID, stop("serve"), convicted="serve"),
    line(MID, stop("serve", seconds=0.6)),
    line(MID, node("serve", block=2000), convicted="serve"),
    line(MID, behave("serve", late=2000), convicted="serve"),
    line(MID, behave("serve", status=500), convicted="serve"),
    line(START, kill("node_exporter")),
    line(MID, kill("node_exporter")),
    line(START, stop("node_exporter")),
    line(MID, stop("node_exporter")),
    line(
        MID,
        kill("dispatch", "serve", "node_exporter"),
        convicted="dispatch serve",
        closed=HELD,
        chance=BEFORE,
        why=CHANCE_ORDER,
    ),
    line(
        MID,
        stop("dispatch", "serve", "node_exporter"),
        one_of=("devvm dispatch", "devvm serve"),
        closed=HELD,
    ),
    line(START, kill("orders"), convicted="upstream-orders"),
    line(MID, kill("orders"), convicted="upstream-orders"),
]

PAIRS: list[Line] = [
    line(MID, kill("nginx"), kill("serve"), convicted="cf-edge serve", closed="tunnel"),
    line(MID, kill("haproxy"), kill("dnsdist-1", "dnsdist-2"), convicted="doh tunnel"),
    line(
        MID,
        kill("dispatch"),
        kill("serve"),
        convicted="dispatch serve",
        closed=HELD,
        chance=BEFORE,
        why=CHANCE_ORDER,
    ),
    line(
        MID,
        stop("dispatch"),
        kill("haproxy"),
        convicted="dispatch",
        closed=HELD,
        why="what is behind the tunnel is broken, too: its own fault cannot be told from that. It"
        " is stopped first: an answer in between would clear it of what the tunnel's leg met",
    ),
    line(MID, kill("envoy"), kill("serve"), convicted="traefik serve", closed=BEHIND),
    line(
        MID,
        kill("nginx"),
        kill("envoy"),
        convicted="cf-edge traefik",
        closed="tunnel carve-out wall",
    ),
    line(MID, stop("nginx"), stop("serve"), convicted="cf-edge serve", closed="tunnel"),
    line(
        MID,
        resolvers(SERVFAIL),
        tunnel("shutdown sessions server cluster/balancer"),
        convicted="doh tunnel",
    ),
    line(MID, kill("node_exporter"), kill("serve"), convicted="serve"),
    line(MID, kill("orders"), kill("haproxy"), convicted="tunnel upstream-orders"),
    line(
        MID,
        rules("the public path goes to the SSO", public=SSO),
        kill("serve"),
        convicted="serve",
        suspect="carve-out",
        chance="cf-edge tunnel traefik devvm dispatch",
        why=CHANCE_RULE,
    ),
]
