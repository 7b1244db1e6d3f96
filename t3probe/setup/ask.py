"""The questions of `t3probe init`, and asking them on a terminal."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from t3probe.config import Wrong
from t3probe.config.endpoints import parse_doh
from t3probe.setup import choices
from t3probe.setup.choices import Answers

__all__ = ["QUESTIONS", "Prompt", "Refused", "checked", "gather"]

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
    return choices.url(text, ("http", "https"))


def _socket(text: str) -> str:
    return choices.url(text, ("ws", "wss"))


def _machine(text: str) -> str:
    return _web(text) if "://" in text else choices.address(text)


def _ws_path(text: str) -> str:
    return "" if text in {"", "none"} else choices.path(text)


def _public(said: Mapping[str, Any]) -> str:
    return "/probe" if said["sso"] and str(said["ws_path"]).startswith("/probe/") else ""


QUESTIONS = (
    Prompt(
        "host", "Public host", "The name that people type, such as t3.example.org.", "HOST",
        choices.host, needed=True,
    ),
    Prompt(
        "internal", "Internal address of the load balancer",
        "The same URL is probed there, too, which tells the inside from the outside.",
        "ADDRESS[:PORT]", choices.internal,
    ),
    Prompt(
        "ws_path", "Path of a WebSocket echo",
        "Messages are sent there, and expected back.", "PATH", _ws_path,
        default=lambda said: "/probe/ws",
    ),
    Prompt(
        "sso", "Host of the single sign-on",
        "A redirect to it is its answer; such as login.example.org.", "HOST",
        choices.sso, many=True,
    ),
    Prompt(
        "public", "Paths that need no session", "The check: they are never sent to the SSO.",
        "PATH", choices.path, many=True, default=_public,
    ),
    Prompt(
        "walled", "Paths that need a session",
        "The check: they are never served without one.", "PATH", choices.path, many=True,
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
        "HOST:PORT", choices.address, many=True,
    ),
)  # fmt: skip
"""In the order in which they are asked."""

FLAGS_ONLY = (
    Prompt(
        "doh", "", "resolvers to ask, better two; default: 1.1.1.1 and 8.8.8.8", "URL", _doh,
        many=True, default=lambda said: ",".join(choices.DOH),
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
        raise Refused(choices.refused(question.flag, text, wrong)) from None


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
