"""What the held mode must show while an outage goes on and after it, and what `explain` must say
of two outages that follow one another.

Written down before the first run, as the other tables. Whatever was changed afterwards has its
reason in `why`.

A leg that is named in `cut` shows `t3probe_connected` 0 while the outage goes on, one in `refused`
shows `t3probe_accepting` 0. What else one in `chance` shows is not asked; every other gauge is 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from realpath import configs
from realpath.configs import SSO, TO_SERVE, answers
from realpath.faults import (
    SERVFAIL,
    Fault,
    balancer,
    edge,
    kill,
    resolvers,
    restart,
    rules,
    stop,
    tunnel,
)
from realpath.line import Line, line
from realpath.stack import Stack

__all__ = ["EXPLAINED", "HELD", "HeldLine", "Two"]

LEGS = (
    *("egress", "resolver", "edge", "cloudflare", "internal", "traefik", "dispatch", "devvm"),
    *("t3serve", "walloff-probe", "walled-home"),
)


# Repairs by hand, so that nothing else is touched


def start(*names: str) -> Callable[[Stack], None]:
    """Start programs that were killed; one that still runs is killed before."""

    def act(stack: Stack) -> None:
        for name in names:
            stack.programs[name].kill()
            stack.programs[name].start()

    return act


def answering(stack: Stack) -> None:
    """The public resolvers know the edge's address again."""
    for number in (1, 2):
        stack.tell_dnsdist(number, f'SpoofAction("{stack.places.edge}")')


def routed(stack: Stack) -> None:
    """Envoy has its own routes again."""
    stack.discover("routes", configs.routes())
    stack.await_envoy("rds.routes.config_reload")


def enabled(stack: Stack) -> None:
    """haproxy uses its server again."""
    stack.tell_haproxy("enable server cluster/balancer")


def nothing(stack: Stack) -> None:
    """There is nothing to repair."""


@dataclass(frozen=True)
class HeldLine:
    """An outage, and what the held mode must show."""

    written: Line
    """Who is convicted, suspect, in a "one of"; `closed`: who must not be exonerated."""
    repair: Callable[[Stack], None]
    cut: frozenset[str]
    refused: frozenset[str]
    chance: frozenset[str]
    lasts: float
    """So many seconds the outage goes on once it shows."""
    brief: bool
    """It ends by itself: what it does to connections may be over before anybody asks."""
    minute: bool
    """The window is the real one, a minute."""

    @property
    def key(self) -> str:
        """What a test is called."""
        minute = "-minute" if self.minute else ""
        return self.written.key.removeprefix("mid-") + (f"-{self.lasts:g}-s" + minute)


def held(
    fault: Fault,
    repair: Callable[[Stack], None],
    *more: Fault,
    cut: str = "",
    refused: str = "",
    chance: str = "",
    convicted: str = "",
    suspect: str = "",
    one_of: tuple[str, ...] = (),
    closed: str = "",
    or_clean: bool = False,
    both: bool = False,
    lasts: float = 1.5,
    minute: bool = False,
    why: str = "",
) -> HeldLine:
    """A line of this table; legs and segments as words."""
    for name in f"{cut} {refused} {chance}".split():
        assert name in LEGS, name
    return HeldLine(
        line(
            "mid", fault, *more, convicted=convicted, suspect=suspect, one_of=one_of,
            closed=closed, or_clean=or_clean, both=both, why=why,
        ),
        repair,
        frozenset(cut.split()),
        frozenset(refused.split()),
        frozenset(chance.split()),
        lasts,
        fault.end is not None,
        minute,
    )  # fmt: skip


ECHOES = "dispatch internal cloudflare"
INSIDE = "tunnel carve-out"
ROUTED = "cloudflare internal"

HELD: list[HeldLine] = [
    held(kill("serve"), start("serve"), convicted="serve", cut="t3serve", refused="t3serve"),
    held(
        kill("dispatch"),
        start("dispatch"),
        convicted="dispatch",
        closed=INSIDE,
        cut=ECHOES,
        refused=ECHOES,
        chance="walloff-probe",
    ),
    held(restart("dispatch", 1.0), nothing, convicted="dispatch", closed=INSIDE),
    held(kill("node_exporter"), start("node_exporter")),
    held(
        balancer("/drain_listeners"),
        start("envoy"),
        convicted="traefik",
        closed="tunnel carve-out wall",
        refused="cloudflare internal traefik",
        chance="traefik walloff-probe walled-home",
        why="first written: traefik connected. Envoy closes kept-alive connections politely after"
        " a while, and then the last fresh beat counts",
    ),
    held(
        kill("envoy"),
        start("envoy"),
        convicted="traefik",
        closed="tunnel carve-out wall",
        cut="cloudflare internal traefik",
        refused="cloudflare internal traefik",
        chance="walloff-probe walled-home",
    ),
    held(
        kill("nginx"),
        start("nginx"),
        convicted="cf-edge",
        closed="tunnel",
        cut="edge cloudflare",
        refused="edge cloudflare",
        chance="walloff-probe",
    ),
    held(
        kill("nginx"),
        start("nginx"),
        convicted="cf-edge",
        closed="tunnel",
        cut="edge cloudflare",
        refused="edge cloudflare",
        chance="walloff-probe",
        lasts=7.0,
        why="longer than the window: what began it is forgotten, newer attempts are judged",
    ),
    held(
        kill("haproxy"),
        start("haproxy"),
        convicted="tunnel",
        cut="cloudflare",
        refused="cloudflare",
        chance="walloff-probe",
    ),
    held(
        stop("haproxy"),
        start("haproxy"),
        convicted="tunnel",
        cut="cloudflare",
        refused="cloudflare",
        chance="walloff-probe",
        lasts=7.0,
        why="longer than the window, and silent",
    ),
    held(
        tunnel("disable server cluster/balancer"),
        enabled,
        one_of=("cf-edge tunnel",),
        refused="cloudflare",
        chance="walloff-probe",
    ),
    held(
        stop("dispatch"),
        start("dispatch"),
        convicted="dispatch",
        closed=INSIDE,
        cut=ECHOES,
        refused=ECHOES,
        chance="walloff-probe",
    ),
    held(
        rules("404 for the public path", public=answers(404)),
        routed,
        suspect="carve-out",
        refused=ROUTED,
    ),
    held(
        rules("the public path goes to the SSO", public=SSO),
        routed,
        suspect="carve-out",
        cut="walloff-probe",
        refused=f"{ROUTED} walloff-probe",
    ),
    held(
        rules("no wall", walled=TO_SERVE),
        routed,
        convicted="wall",
        cut="walled-home",
        refused="walled-home",
    ),
    held(
        resolvers(SERVFAIL),
        answering,
        convicted="doh",
        cut="resolver",
        refused="resolver",
        chance="walloff-probe",
    ),
    held(
        kill("dnsdist-1"),
        start("dnsdist-1"),
        one_of=("wan doh",),
        or_clean=True,
        why="as in the runs: what ends between two requests is no drop",
    ),
    held(
        kill("dnsdist-1", "dnsdist-2"),
        start("dnsdist-1", "dnsdist-2"),
        convicted="doh",
        cut="resolver",
        refused="resolver",
        chance="walloff-probe",
    ),
    held(
        kill("second"),
        start("second"),
        suspect="dispatch",
        chance=f"{ROUTED} walloff-probe",
        both=True,
        why="chance decides which connections the dead machine gets; what works meanwhile met the"
        " other one",
    ),
    held(edge("reload"), nothing),
    held(
        kill("nginx"),
        start("nginx", "serve"),
        kill("serve"),
        convicted="cf-edge serve",
        closed="tunnel",
        cut="edge cloudflare t3serve",
        refused="edge cloudflare t3serve",
        chance="walloff-probe",
    ),
    held(
        kill("serve"),
        start("serve"),
        convicted="serve",
        cut="t3serve",
        refused="t3serve",
        minute=True,
        why="the window as it is: convicted for a minute after it is over",
    ),
]


@dataclass(frozen=True)
class Two:
    """An outage, its repair, and another outage right behind it, in one run."""

    first: Fault
    first_repair: Callable[[Stack], None]
    first_broken: frozenset[str]
    """Who broke, for whoever asks about the time of the first: one name is convicted, of several
    one broke."""
    second: Fault
    second_repair: Callable[[Stack], None]
    second_broken: frozenset[str]
    leg: str = ""
    """Of whoever asks; empty: the public one."""
    why: str = ""

    @property
    def key(self) -> str:
        """What a test is called."""
        return re.sub(r"[^a-zA-Z0-9.+,]+", "-", f"{self.first} then {self.second}").strip("-")


def one(*names: str) -> frozenset[str]:
    return frozenset(names)


DISABLED = tunnel("disable server cluster/balancer")
EITHER = one("cf-edge", "tunnel")

EXPLAINED: list[Two] = [
    Two(
        *(kill("haproxy"), start("haproxy"), one("tunnel")),
        *(kill("dispatch"), start("dispatch"), one("dispatch")),
    ),
    Two(
        *(kill("nginx"), start("nginx"), one("cf-edge")),
        *(kill("serve"), start("serve"), one("serve")),
    ),
    Two(
        *(kill("dispatch"), start("dispatch"), one("dispatch")),
        *(DISABLED, enabled, EITHER),
    ),
    Two(
        *(DISABLED, enabled, EITHER),
        *(kill("envoy"), start("envoy"), one("traefik")),
    ),
    Two(
        *(kill("serve"), start("serve"), one("serve")),
        *(DISABLED, enabled, EITHER),
    ),
    Two(
        *(resolvers(SERVFAIL), answering, one("doh")),
        *(kill("dnsdist-1", "dnsdist-2"), start("dnsdist-1", "dnsdist-2"), one("doh")),
        leg="resolver",
    ),
]
