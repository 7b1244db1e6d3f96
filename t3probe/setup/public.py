"""A deployment from one URL: the public legs that `init` would write, as far as they answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import urlsplit

from t3probe.config import Deployment, Wrong
from t3probe.config.endpoints import parse_doh
from t3probe.setup import ask
from t3probe.setup.ask import DOH, Answers
from t3probe.setup.draft import Draft, Entry, draft, render

ECHO_PATH = "/probe/ws"
"""Where `init`, too, looks for a WebSocket echo."""
_LOGIN = re.compile(r"HTTP (401|403)\b")
Look = Callable[[Deployment], Mapping[str, "Tried"]]


class Tried(NamedTuple):
    """What one beat of a leg showed."""

    works: bool
    detail: str
    """What was answered in its place."""
    words: str
    """One line for people."""


class PublicLegs(NamedTuple):
    """A deployment that was made from a URL."""

    text: str
    """As TOML."""
    notes: tuple[str, ...]
    """What was found while it was made."""
    words: str
    """How `t3probe init` is told of more."""


def asked(url: str, doh: Sequence[str], ca: str) -> Answers:
    """What a URL says. Raises Wrong: expected https:// or wss://, and a public name in it."""
    parts = urlsplit(url)
    expected = "a URL such as https://app.example.org/"
    if parts.scheme not in ("https", "wss"):
        raise Wrong(expected, "write https://, or wss:// for a WebSocket that echoes")
    ask.url(url, ("https", "wss"))
    if parts.query:
        raise Wrong(expected, "leave out what follows the ?")
    for one in doh:
        parse_doh(one)
    page = ask.path(parts.path or "/")
    echo = parts.scheme == "wss"
    return Answers(
        host=ask.host(parts.netloc),
        ws_path=page if echo else ECHO_PATH,
        page="" if echo else page,
        doh=tuple(doh) or DOH,
        ca=ca,
    )


def public(given: Answers, load: Callable[[str], Deployment], look: Look | None) -> PublicLegs:
    """The deployment for what a URL said; each leg is tried once with `look`, None: not at all.

    A leg for a CDN or an echo that does not answer is left out: one look cannot tell one that is
    missing from one that is broken, and a missing one would be called broken in every run.
    """
    host = f"t3probe init --host {given.host}"
    if look is None:
        alone = replace(given, ws_path="" if given.page else given.ws_path)
        return PublicLegs(render(draft(alone, cdn=False)), (), host)
    made = draft(given, cdn=True)
    seen = look(load(render(made)))
    cdn = seen["edge"].works
    notes = [] if cdn else [f"no CDN was recognised: its page {seen['edge'].words}"]
    if given.page and not seen["cloudflare"].works:
        notes.append(f"no WebSocket is echoed at {given.ws_path}: it {seen['cloudflare'].words}")
        given = replace(given, ws_path="")
    made = draft(given, cdn=cdn)
    if given.page and (login := _LOGIN.search(seen["page"].detail)):
        notes.append(f"{given.page} asks for a login: HTTP {login[1]} is expected from it")
        made = replace(made, entries=tuple(_expecting(made, int(login[1]))))
    return PublicLegs(
        render(made), tuple(notes), host + ("" if given.ws_path else " --ws-path PATH")
    )


def _expecting(made: Draft, status: int) -> list[Entry]:
    """The entries of which the page's own expects this status."""
    own = "page" if any(one.leg == "page" for one in made.entries) else ""
    names = {own} if own else {"cloudflare", "public"}
    return [
        replace(one, keys={**one.keys, "expect_status": (status,)}) if one.leg in names else one
        for one in made.entries
    ]
