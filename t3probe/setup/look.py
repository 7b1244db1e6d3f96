"""Looks once at every leg of a new deployment, with the suite's own probes.

One beat each, all at once, ended after `DEADLINE_SECONDS`; nothing is judged here but whether
what was answered is what the leg is for.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import msgspec

from t3probe.config import Deployment, Duration
from t3probe.observation import Observation
from t3probe.probes import preload
from t3probe.run.controller import Run
from t3probe.text import showable

DEADLINE_SECONDS = 12.0

WORKS = {
    "ws_echo": "answers 101 and echoes",
    "ws": "answers 101, and what is sent",
    "ws_upgrade": "answers 101",
    "http": "answers as expected",
    "doh": "answers",
    "tcp": "accepts a connection",
    "walloff": "is not sent to the SSO",
    "walled": "asks for a session",
}

BROKEN = {
    "upgrade_rejected": "answers, but not by WebSocket",
    "walled_off": "is answered by the SSO",
    "not_walled": "is served without a session",
    "http_4xx": "answers, but not as expected",
    "http_5xx": "answers, but not as expected",
    "http_other": "answers, but not as expected",
    "wrong_echo": "answers, but not with what was sent",
    "protocol_error": "answers, but breaks the protocol",
    "connect_refused": "refuses the connection",
    "connect_timeout": "does not accept a connection",
    "connect_failed": "cannot be reached",
    "tls_failed": "fails at TLS",
    "rtt_timeout": "does not answer in time",
    "leg_collapsed": "takes another way than its own",
    "resolver_failed": "cannot be looked up",
    "token_refused": "does not let us in",
}

ADVICE = {
    "upgrade_rejected": "check the path; where nothing echoes yet, `t3probe echo` does",
    "walled_off": "let the path past the SSO, or take it out of the public ones",
    "not_walled": "put the SSO before it, or take it out of the walled ones",
    "http_4xx": "check the path",
    "http_5xx": "look at the server's log",
    "http_other": "check the path",
    "connect_refused": "check the address and the port",
    "connect_timeout": "check the address and the port, and the firewalls on the way",
    "connect_failed": "check the address, and whether this machine has a route to it",
    "tls_failed": "check the host name; name an authority of your own with --ca FILE",
    "leg_collapsed": "check whether this network's DNS answers something else than public DNS",
    "resolver_failed": "check the host name; `t3probe doctor` looks at the resolvers",
}
OTHERWISE = "look again with `pytest --hold 0 --deployment FILE`"


class Finding(NamedTuple):
    """What was seen on one leg."""

    works: bool
    words: str
    """One printable line, which fits a comment."""
    advice: str = ""


def look(deployment: Deployment) -> dict[str, Observation]:
    """One beat of every leg: leg -> what was seen.

    Raises LoopbackOnlyError when the process may not leave loopback and a leg tried to.
    """
    timing = msgspec.structs.replace(
        deployment.timing,
        connect_timeout=Duration(3),
        watchdog=Duration(5),
        deadline=Duration(DEADLINE_SECONDS),
    )
    quick = msgspec.structs.replace(deployment, timing=timing)
    preload(quick.legs)

    async def measured() -> list[Observation]:
        return await Run(quick, quick.legs, hold=0.0).measure()

    return {seen.leg: seen for seen in asyncio.run(measured())}


def finding(seen: Observation) -> Finding:
    """An observation in words that somebody who has never seen a run understands."""
    if seen.outcome in {"passed", "degraded"}:
        good, tried = seen.answered
        some = f", {good} of {tried} addresses" if good < tried else ""
        return Finding(True, WORKS.get(seen.kind, "answers") + some)
    reason = seen.reason or ""
    words = BROKEN.get(reason, "does not work" if seen.outcome == "failed" else "could not be told")
    detail = f": {showable(seen.detail)}" if seen.detail else ""
    return Finding(False, words + detail, ADVICE.get(reason, OTHERWISE))
