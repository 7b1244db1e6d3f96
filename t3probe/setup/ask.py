"""The questions of `t3probe init`, and asking them on a terminal.

`Answers` is what a deployment file is made of, each value checked by itself.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from t3probe.config import Wrong, parse_address, parse_pin, parse_url
from t3probe.config.endpoints import check_host, is_address, parse_doh
from t3probe.config.errors import quote

DOH = ("https://1.1.1.1/dns-query", "https://8.8.8.8/dns-query")
"""Public resolvers by address (RFC 8484), as in `deployments/t3.toml`."""

Cdn = Literal["auto", "cloudflare", "none"]
LONGEST_NAME = 40


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Everything that was said. Each value has passed its own check below."""

    host: str
    """The public host, with a port if it is not 443."""
    internal: str = ""
    """addr[:port] of the load balancer; empty: there is none, or it cannot be reached."""
    ws_path: str = "/probe/ws"
    """Where a WebSocket is echoed; empty: nowhere."""
    page: str = ""
    """A path that answers; nothing is said about sessions."""
    public: tuple[str, ...] = ()
    """Paths that must work without a session."""
    walled: tuple[str, ...] = ()
    """Paths that must ask for one."""
    sso: tuple[str, ...] = ()
    """Hosts of the single sign-on."""
    dispatch: str = ""
    """ws:// or wss:// URL of the process that takes WebSockets."""
    serve: str = ""
    """http:// or https:// URL of the process that serves the app."""
    machine: str = ""
    """http:// or https:// URL on the machine, or its host:port."""
    upstreams: tuple[str, ...] = ()
    """host:port of each."""
    cdn: Cdn = "auto"
    doh: tuple[str, ...] = field(default=DOH)
    envoy_admin: tuple[str, ...] = ()
    """http:// or https:// URLs of Envoys' admin interfaces, which name their upstreams."""
    ca: str = ""
    """A PEM file of certificate authorities; empty: the system's."""


def host(text: str) -> str:
    """A public host name, `name` or `name:port`. Raises Wrong."""
    expected = "a host name such as t3.example.org"
    if "/" in text:
        raise Wrong(expected, "leave out the scheme and the path")
    found = parse_url(f"https://{text}/", ("https",)).host
    check_host(found)
    if is_address(found):
        raise Wrong(expected, "an address has no public DNS; give it as --internal")
    return text


def internal(text: str) -> str:
    """addr[:port] of a load balancer. Raises Wrong."""
    parse_pin(text)
    return text


def path(text: str) -> str:
    """The path of a URL, which begins with a slash. Raises Wrong."""
    expected = "a path that begins with /, such as /probe"
    if not text.startswith("/") or "?" in text or "#" in text:
        raise Wrong(expected)
    parse_url(f"https://host.invalid{text}", ("https",))
    return text


def url(text: str, schemes: tuple[str, ...]) -> str:
    """A URL with one of `schemes`. Raises Wrong."""
    parse_url(text, schemes)
    return text


def address(text: str) -> str:
    """host:port. Raises Wrong."""
    parse_address(text)
    return text


def sso(text: str) -> str:
    """The host of a single sign-on, without port. Raises Wrong."""
    check_host(text)
    return text


def name_of(text: str, taken: set[str], otherwise: str) -> str:
    """A label-safe name made from a path or an address, that is not in `taken`; it is put
    there."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower())[:LONGEST_NAME].strip("-") or otherwise
    found, number = words, 2
    while found in taken:
        found, number = f"{words}-{number}", number + 1
    taken.add(found)
    return found


def refused(what: str, text: str, wrong: Wrong) -> str:
    """The sentence about an answer that is none."""
    hint = f"; {wrong.hint}" if wrong.hint else ""
    return f"{what}: expected {wrong.expected}, found {wrong.found or quote(text)}{hint}"


TRIES = 3


class Refused(Exception):
    """An answer that cannot be used, or none where one is needed; one sentence."""


@dataclass(frozen=True)
class Prompt:
    """One thing to know."""

    key: str
    """The field of `Answers`; the flag is `--key`."""
    prompt: str
    why: str
    """One sentence."""
    metavar: str
    check: Callable[[str], str]
    """Raises Wrong."""
    many: bool = False
    default: Callable[[Mapping[str, Any]], str] = lambda said: ""
    """From what was said before; many values are separated by commas."""
    needed: bool = False

    @property
    def flag(self) -> str:
        """Its option."""
        return "--" + {"upstreams": "upstream"}.get(self.key, self.key).replace("_", "-")


def _doh(text: str) -> str:
    parse_doh(text)
    return text


def _web(text: str) -> str:
    return url(text, ("http", "https"))


def _socket(text: str) -> str:
    return url(text, ("ws", "wss"))


def _machine(text: str) -> str:
    return _web(text) if "://" in text else address(text)


def _ws_path(text: str) -> str:
    return "" if text in {"", "none"} else path(text)


def _public(said: Mapping[str, Any]) -> str:
    return "/probe" if said["sso"] and str(said["ws_path"]).startswith("/probe/") else ""


QUESTIONS = (
    Prompt(
        "host", "Public host", "The name that people type, such as t3.example.org.", "HOST",
        host, needed=True,
    ),
    Prompt(
        "internal", "Internal address of the load balancer",
        "The same URL is probed there, too, which tells the inside from the outside.",
        "ADDRESS[:PORT]", internal,
    ),
    Prompt(
        "ws_path", "Path of a WebSocket echo",
        "Messages are sent there, and expected back.", "PATH", _ws_path,
        default=lambda said: "/probe/ws",
    ),
    Prompt(
        "sso", "Host of the single sign-on",
        "A redirect to it is its answer; such as login.example.org.", "HOST",
        sso, many=True,
    ),
    Prompt(
        "public", "Paths that need no session", "The check: they are never sent to the SSO.",
        "PATH", path, many=True, default=_public,
    ),
    Prompt(
        "walled", "Paths that need a session",
        "The check: they are never served without one.", "PATH", path, many=True,
        default=lambda said: "/" if said["sso"] else "",
    ),
    Prompt(
        "dispatch", "The process that takes WebSockets, directly",
        "Past the balancer, such as ws://10.0.0.7:3780/probe/ws.", "URL", _socket,
    ),
    Prompt(
        "serve", "The process that serves the app, directly",
        "Any page of it that answers 200.", "URL", _web,
    ),
    Prompt(
        "machine", "Something on the machine that is neither of the two",
        "A page such as node_exporter's, or host:port: is the machine itself there?",
        "URL|HOST:PORT", _machine,
    ),
    Prompt(
        "upstreams", "Upstreams behind Envoy", "Each is connected to by itself, as HOST:PORT.",
        "HOST:PORT", address, many=True,
    ),
)  # fmt: skip
"""In the order in which they are asked."""

FLAGS_ONLY = (
    Prompt(
        "doh", "", "resolvers to ask, better two; default: 1.1.1.1 and 8.8.8.8", "URL", _doh,
        many=True, default=lambda said: ",".join(DOH),
    ),
    Prompt(
        "envoy_admin", "", "admin interface of an Envoy, which names its upstreams itself", "URL",
        _web, many=True,
    ),
)  # fmt: skip


def checked(question: Prompt, text: str) -> str:
    """One answer as it is kept. Raises Refused."""
    try:
        return question.check(text)
    except Wrong as wrong:
        raise Refused(refused(question.flag, text, wrong)) from None


def gather(
    given: argparse.Namespace, asked: Callable[[Prompt, str], str] | None, ca: str
) -> Answers:
    """All answers: from the flags, else from `asked(question, default)`, else the defaults.

    Raises Refused.
    """
    said: dict[str, Any] = {}
    for question in (*QUESTIONS, *FLAGS_ONLY):
        value = getattr(given, question.key)
        if value is None:
            value = question.default(said)
            if asked is not None and question.prompt:
                value = asked(question, value)
            value = _split(value) if question.many else value
            if question.needed and not value:
                raise Refused(
                    f"expected {question.flag}, found none and no terminal to ask on; name the "
                    f"public host: t3probe init {question.flag} t3.example.org"
                )
        if question.many:
            said[question.key] = tuple(dict.fromkeys(checked(question, one) for one in value))
        else:
            optional = not value and not question.needed
            said[question.key] = "" if optional else checked(question, value)
    if not said["ws_path"] and not said["public"]:
        raise Refused(
            "expected --ws-path or --public, found neither; name a path that answers without a "
            "session, or leave --ws-path out for /probe/ws"
        )
    if not said["doh"]:
        raise Refused("--doh: expected a resolver, better two, found none; name one")
    return Answers(**said, cdn=given.cdn, ca=ca)


def _split(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def on_terminal(
    read: Callable[[str], str], say: Callable[[str], None]
) -> Callable[[Prompt, str], str]:
    """How a question is asked of a person; what cannot be used is asked again.

    The callable raises Refused after `TRIES` answers that cannot be used, and EOFError.
    """

    def asked(question: Prompt, default: str) -> str:
        for _ in range(TRIES):
            shown = f" [{default}]" if default else "" if question.needed else " [none]"
            several = " Several: with commas." if question.many else ""
            several += " Or `none`." if default and not question.needed else ""
            say(f"\n{question.why}{several}")
            answer = read(f"{question.prompt}{shown}: ").strip() or default
            answer = "" if answer == "none" and not question.needed else answer
            try:
                if question.needed and not answer:
                    raise Refused(f"{question.flag}: expected {question.metavar}, found nothing")
                for one in _split(answer) if question.many else [answer] if answer else []:
                    checked(question, one)
            except Refused as problem:
                say(str(problem))
            else:
                return answer
        raise Refused(f"{question.flag}: no answer that can be used; give it as an option")

    return asked
