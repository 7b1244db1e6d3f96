"""What is done to the programs of a path. Each fault is a thing that happens to real ones.

A fault has a text, which is its name in the table, what begins it, and what ends it by itself
after a while, where it does not last.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass

from realpath import configs
from realpath.stack import Stack

__all__ = ["Fault"]

Act = Callable[[Stack], object]


@dataclass(frozen=True)
class Fault:
    """One thing that happens."""

    text: str
    begin: Act
    end: Act | None = None
    """What ends it by itself; None: it lasts until the stack is reset."""
    lasts: float = 0.0
    """Seconds until `end`; from the start of a run: counted from when the run has met it."""
    met: tuple[str, str] = ("", "")
    """A log and the words in it by which the run has met this; without them the first request that
    anybody notes."""

    def __str__(self) -> str:
        return self.text


# A process


def kill(*names: str) -> Fault:
    """SIGKILL to a program and its workers."""

    def begin(stack: Stack) -> None:
        for name in names:
            stack.touch(name).kill()

    return Fault(f"kill {' '.join(names)}", begin)


MET = {
    "haproxy": ("nginx-access.log", '" 502 '),
    "envoy": ("haproxy.out", " 503 "),
    "dispatch": ("envoy-access.log", '" 503 '),
}


def restart(name: str, seconds: float) -> Fault:
    """SIGKILL, and a new start after a while."""
    return Fault(
        f"kill {name} and start it after {_text(seconds)}",
        lambda stack: stack.touch(name).kill(),
        lambda stack: stack.programs[name].start(),
        seconds,
        MET.get(name, ("", "")),
    )


def stop(*names: str, seconds: float = 0.0) -> Fault:
    """SIGSTOP, and SIGCONT after a while where `seconds` are given."""

    def each(number: int) -> Act:
        def act(stack: Stack) -> None:
            for name in names:
                stack.touch(name).signal(number)

        return act

    begin, end = each(signal.SIGSTOP), each(signal.SIGCONT)
    if not seconds:
        return Fault(f"stop {' '.join(names)}", begin)
    return Fault(f"stop {' '.join(names)} for {_text(seconds)}", begin, end, seconds)


# The Node processes, by their control socket


def node(name: str, **what: object) -> Fault:
    """A WebSocket server that closes, pings, or whose loop is blocked; see app.js."""
    said = " ".join(f"{key} {value}" for key, value in what.items())
    return Fault(f"{name}: {said}", lambda stack: stack.order(name, **what))


def behave(name: str, **mode: object) -> Fault:
    """A Node process that goes on answering wrongly, late or not at all; see app.js."""
    said = " ".join(f"{key} {value}" for key, value in mode.items())
    return Fault(f"{name}: {said}", lambda stack: stack.order(name, mode=mode))


# nginx


def edge(text: str, **changes: str) -> Fault:
    """Another configuration of nginx, put in force by a reload: old workers keep what is open."""

    def begin(stack: Stack) -> None:
        stack.touch("nginx")
        stack.write("nginx.conf", configs.nginx(stack.places, **changes))
        stack.reload_nginx()

    return Fault(f"nginx: {text}", begin)


def edge_certificate(leaf: str) -> Fault:
    """Another certificate for nginx, put in force by a reload."""

    def begin(stack: Stack) -> None:
        stack.touch("nginx")
        stack.certify("edge.pem", leaf)
        stack.reload_nginx()

    return Fault(f"nginx: certificate {leaf}", begin)


# haproxy


def tunnel(*commands: str) -> Fault:
    """Commands at haproxy's admin socket."""

    def begin(stack: Stack) -> None:
        for command in commands:
            stack.tell_haproxy(command)

    return Fault(f"haproxy: {'; '.join(commands)}", begin)


# Envoy


def balancer(path: str) -> Fault:
    """An order at Envoy's admin interface."""
    return Fault(f"envoy: {path}", lambda stack: stack.tell_envoy(path))


def rules(text: str, **changes: dict[str, object]) -> Fault:
    """Other routes of Envoy, by their file."""

    def begin(stack: Stack) -> None:
        stack.discover("routes", configs.routes(**changes))
        stack.await_envoy("rds.routes.config_reload")

    return Fault(f"envoy: {text}", begin)


def balancer_certificate(leaf: str) -> Fault:
    """Another certificate for Envoy, by its file."""

    def begin(stack: Stack) -> None:
        stack.discover("leaf", configs.secret(stack.leaf(leaf)))
        stack.await_envoy("ssl_context_update_by_sds")

    return Fault(f"envoy: certificate {leaf}", begin)


# dnsdist

SERVFAIL = "RCodeAction(DNSRCode.SERVFAIL)"
NXDOMAIN = "RCodeAction(DNSRCode.NXDOMAIN)"
BALANCER = "the balancer's address"


def resolvers(answer: str, *numbers: int) -> Fault:
    """Another answer of the public resolvers for the public name."""
    numbers = numbers or (1, 2)

    def begin(stack: Stack) -> None:
        action = f'SpoofAction("{stack.places.balancer}")' if answer == BALANCER else answer
        for number in numbers:
            stack.tell_dnsdist(number, action)

    return Fault(f"dnsdist {' '.join(map(str, numbers))}: {answer}", begin)


def resolver_certificate(leaf: str) -> Fault:
    """Another certificate for both public resolvers."""

    def begin(stack: Stack) -> None:
        for number in (1, 2):
            stack.touch(f"dnsdist-{number}")
            stack.certify(f"doh-{number}.pem", leaf)
            stack.order_dnsdist(number, "reloadAllCertificates()")

    return Fault(f"dnsdist: certificate {leaf}", begin)


def _text(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"
