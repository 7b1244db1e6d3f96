"""Faults of the lab as text: `SEGMENT:KIND[:ARG][@AFTER][+FOR]`.

    tunnel:blackhole          from the start, for ever
    dispatch:slow:300ms       each answer 300 ms later
    tunnel:cut@3s             established connections die once, 3 s after the first client
    wan:blackhole@2s+1s       for one second, two seconds after the first client
    serve:exit@2s+1s          the process ends then, and starts again a second later
    doh:refuse:1              the first DoH provider only

`FAULTS` says which kinds can befall which segment; `parse_fault` reads the text. Nothing here
does I/O.
"""

from __future__ import annotations

import difflib
import re

import msgspec

from t3probe.lab.rig_faults import kinds_of
from t3probe.text.names import UPSTREAM_SEGMENT

SEGMENTS: tuple[str, ...] = (
    "wan",
    "doh",
    "cf-edge",
    "tunnel",
    "traefik",
    "carve-out",
    "wall",
    "devvm",
    "dispatch",
    "serve",
)
"""The lab's declared segments, in the order of its deployment file."""

UPSTREAMS: tuple[str, ...] = ("orders", "billing", "search")
"""Names of the lab's upstreams; each has the segment `upstream-NAME`."""

KINDS: dict[str, str] = {
    "refuse": "the listener is closed; established connections are reset",
    "blackhole": "a connect gets no answer; established connections stay open, nothing flows",
    "reset": "connections are accepted and reset; established ones are reset",
    "cut": "established connections are reset once; new ones work",
    "stall": "it accepts, shakes hands and upgrades, then is silent",
    "slow": "each answer is late by the argument (300ms)",
    "close": "each connection is closed politely, the argument (1s) after it was accepted",
    "exit": "the process ends: established connections get FIN, connects are refused; when the"
    " fault ends, it listens on the same port again",
    "drain": "connects are refused; established connections live on",
    "half": "every second new connection meets the broken one of two machines: the balancer in"
    " front takes it, no byte comes back, and it is reset when the fault ends; established"
    " connections live on",
    "idle": "each connection is closed politely once it was silent for the argument (5s)",
    "http502": "each request is answered 502",
    "new-502": "requests on new connections are answered 502; established ones, WebSockets and"
    " kept-alive HTTP, get good answers",
    "new-404": "the same with 404",
    "new-sso": "the same with a redirect to the single sign-on",
    "wrong-echo": "the WebSocket echo differs from what was sent",
    "expired-cert": "the certificate has expired",
    "wrong-host-cert": "the certificate is for another host",
    "sso": "public paths are redirected to the single sign-on",
    "login": "public paths are answered with the login page and 200",
    "challenge": "public paths are answered with a challenge page and 401",
    "unauthorized": "public paths are answered with the forward-auth's bare 401",
    "open": "walled paths are served without a session",
    "too-wide": "ways out of the carve-out, such as /probe/../, reach walled paths",
    "garbage": "DoH answers hold no DNS message",
    "nxdomain": "DoH answers that the name does not exist",
    "servfail": "DoH answers SERVFAIL",
    "internal": "DoH answers the internal address: legs collapse",
    "empty": "DoH answers no address",
}
"""Each kind of fault and what it does."""

_TCP = ("refuse", "blackhole", "reset", "cut", "stall", "slow", "close")
_PROCESS = ("exit", "drain", "idle")
_CERTIFICATE = ("expired-cert", "wrong-host-cert")
NEW = ("new-502", "new-404", "new-sso")
"""What a hop answers to new connections only."""

FAULTS: dict[str, tuple[str, ...]] = {
    # A network ends no connection: it cannot refuse one, or accept it and then stay silent.
    "wan": ("blackhole", "cut", "slow"),
    "doh": (
        *(*_TCP, *_PROCESS, "new-502", *_CERTIFICATE),
        *("garbage", "nxdomain", "servfail", "internal", "empty"),
    ),
    # Its own page is never behind the sign-on: what the CDN does with the app's path is `tunnel`.
    "cf-edge": (*_TCP, *_PROCESS, "http502", "new-502", *_CERTIFICATE),
    "tunnel": (*_TCP, *_PROCESS, "half", "http502", *NEW),
    # The rules decide who is sent to the sign-on: `carve-out` and `wall`.
    "traefik": (*_TCP, *_PROCESS, "half", "http502", "new-502", "new-404", *_CERTIFICATE),
    # A rule holds no listener and no connection of its own.
    "carve-out": (
        *("reset", "cut", "stall", "slow", "close", "http502", *NEW),
        *("sso", "login", "challenge", "unauthorized"),
    ),
    "wall": ("open", "too-wide", "http502", "new-502", "new-404"),
    # A machine is no process: while it answers a connect with a refusal, it is up.
    "devvm": tuple(one for one in _TCP if one != "refuse"),
    "dispatch": (*_TCP, *_PROCESS, "half", "http502", *NEW, "wrong-echo"),
    "serve": (*_TCP, *_PROCESS, "http502", *NEW),
    **{f"{UPSTREAM_SEGMENT}{name}": ("refuse", "blackhole", "exit", "drain") for name in UPSTREAMS},
}
"""segment -> the kinds that can befall it. `SEGMENT:KIND` is valid text for each pair."""

DEFAULT_DELAY: dict[str, float] = {"slow": 0.3, "close": 1.0, "idle": 5.0}
"""Kinds with a duration as argument, and its default in seconds."""

DEFAULT_CUT_AFTER = 3.0
"""Seconds after which a cut without `@AFTER` happens."""

PROVIDERS = (1, 2)
"""DoH providers, by which a fault of `doh` can be narrowed."""

_ALIASES = {("carve-out", "too-wide"): "wall"}
"""A breach through the carve-out is a breach of the wall."""

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h)\Z", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_FORM = "SEGMENT:KIND[:ARG][@AFTER][+FOR], such as tunnel:blackhole or dispatch:slow:300ms@3s"


class FaultError(ValueError):
    """Text that names no fault the lab has. `text` is what stood there, `problem` why not."""

    def __init__(self, text: str, problem: str) -> None:
        super().__init__(text, problem)
        self.text = text
        self.problem = problem

    def __str__(self) -> str:
        return f"fault {self.text!r}: {self.problem}"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of one segment."""

    segment: str
    kind: str
    delay: float | None = None
    """Argument of `slow`, `close` and `idle`, in seconds; None for other kinds."""
    provider: int | None = None
    """`doh`: the one provider it befalls, 1 or 2; None: both."""
    after: float = 0.0
    """Seconds from the first client connection, or from switching while the lab runs."""
    lasts: float | None = None
    """Seconds it stays in force; None: until it is switched off."""

    def __str__(self) -> str:
        """The canonical text; `parse_fault` reads it back."""
        text = f"{self.segment}:{self.kind}"
        if self.delay is not None:
            text += f":{duration_text(self.delay)}"
        if self.provider is not None:
            text += f":{self.provider}"
        if self.after or self.kind == "cut":
            text += f"@{duration_text(self.after)}"
        if self.lasts is not None:
            text += f"+{duration_text(self.lasts)}"
        return text


def parse_duration(text: str) -> float:
    """Seconds from text such as `500ms`, `3s`, `2m` or `1h`. Raises ValueError."""
    found = _DURATION.match(text)
    if not found:
        raise ValueError(f"{text!r} is not a duration such as 500ms, 3s or 2m")
    return round(float(found[1]) * _UNITS[found[2]], 6)


def duration_text(seconds: float) -> str:
    """The shortest text that `parse_duration` reads as `seconds`."""
    if seconds == int(seconds):
        return f"{int(seconds)}s"
    return f"{round(seconds * 1000, 3):.3f}".rstrip("0").rstrip(".") + "ms"


def parse_fault(text: str) -> Fault:
    """The fault that `text` names. Raises FaultError, whose text is one sentence."""
    rest, plus, lasts_text = text.strip().partition("+")
    rest, at, after_text = rest.partition("@")
    segment, *more = rest.split(":")
    if not more or not segment or not all(more):
        raise FaultError(text, f"expected {_FORM}.")
    kind, *arguments = more
    segment = _ALIASES.get((segment, kind), segment)
    _check_pair(text, segment, kind)
    delay, provider = _arguments(text, segment, kind, arguments)
    after = _duration(text, after_text) if at else 0.0
    lasts = _duration(text, lasts_text) if plus else None
    if kind == "cut":
        if lasts is not None:
            problem = f"a cut happens once and lasts no time; leave '+{lasts_text}' out."
            raise FaultError(text, problem)
        after = after if at else DEFAULT_CUT_AFTER
    if lasts == 0:
        raise FaultError(text, "it would last no time at all; write a duration such as +2s.")
    return Fault(
        segment=segment, kind=kind, delay=delay, provider=provider, after=after, lasts=lasts
    )


def _check_pair(text: str, segment: str, kind: str) -> None:
    """Raise FaultError when `kind` cannot befall `segment`, naming the nearest pairs."""
    of_rigs = kinds_of(segment)
    if kind in of_rigs:
        return
    if of_rigs:
        raise FaultError(
            text, f"{kind!r} cannot befall {segment}; these can: {', '.join(of_rigs)}."
        )
    if segment not in FAULTS:
        near = difflib.get_close_matches(segment, FAULTS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}? The" if near else "the"
        known = ", ".join(FAULTS)
        raise FaultError(text, f"there is no segment {segment!r}; {hint} lab has {known}.")
    if kind in FAULTS[segment]:
        return
    pairs = [f"{one}:{kind}" for one, kinds in FAULTS.items() if kind in kinds][:3]
    if not pairs:
        near = difflib.get_close_matches(kind, FAULTS[segment], n=2, cutoff=0.5)
        pairs = [f"{segment}:{one}" for one in near]
    hint = f"did you mean {' or '.join(pairs)}? These" if pairs else "these"
    known = ", ".join(FAULTS[segment])
    raise FaultError(text, f"{kind!r} cannot befall {segment}; {hint} can: {known}.")


def _arguments(
    text: str, segment: str, kind: str, arguments: list[str]
) -> tuple[float | None, int | None]:
    """(delay in seconds, provider) from what stands after the kind."""
    delay = DEFAULT_DELAY.get(kind)
    provider: int | None = None
    left = list(arguments)
    if delay is not None and left and not (segment == "doh" and left[0].isdecimal()):
        delay = _duration(text, left.pop(0))
    if segment == "doh" and left:
        number = left.pop(0)
        if number not in {str(one) for one in PROVIDERS}:
            raise FaultError(text, f"the lab has the DoH providers 1 and 2, not {number!r}.")
        provider = int(number)
    if left:
        after = f"; write {segment}:{kind}@{left[0]} for one after {left[0]}"
        hint = after if _DURATION.match(left[0]) else ""
        raise FaultError(text, f"{kind} takes no argument {left[0]!r} here{hint}.")
    return delay, provider


def _duration(text: str, part: str) -> float:
    try:
        return parse_duration(part)
    except ValueError as error:
        raise FaultError(text, f"{error}.") from None
