"""Switching a running lab's faults: one line of JSON each way over a loopback socket.

    {"token": "...", "faults": ["tunnel:cut@0s"]}   replaces all faults
    {"token": "...", "add": ["dispatch:slow"]}      puts more in force
    {"token": "...", "clear": true}                 ends all
    {"token": "...", "status": true}                changes nothing

The token stands beside the address in the lab's file, which only its owner can read: a web page can
send lines to a loopback port, too. The answer is `{"ok": true, "faults": [...], "active": [...],
...}` or `{"ok": false, "error": "one sentence"}`; after a line that is no JSON object the
connection ends without one. This module is the client, with the lab's exceptions, each of which
prints as one sentence, and imports little.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from t3probe.exchange.bounds import CONTROL_LINE_BYTES
from t3probe.text import keep, showable

ANSWER_SECONDS = 10.0


def switch(control: str, token: str, faults: Sequence[str]) -> dict[str, Any]:
    """Replace the faults of the lab whose control socket is `control` (host:port).

    Returns when those without AFTER are in force. Raises ControlError.
    """
    wanted = [faults] if isinstance(faults, str) else list(faults)
    return ask(control, token, {"faults": wanted} if wanted else {"clear": True})


def ask(control: str, token: str, message: Mapping[str, object]) -> dict[str, Any]:
    """Send one message to a lab and return its answer. Raises ControlError."""
    keep(str(token))
    host, _, port = control.rpartition(":")
    if not host.startswith("127.") or not port.isdecimal():
        raise ControlError(f"expected a lab's control socket as 127.x.x.x:port, got {control!r}.")
    try:
        with socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS) as sock:
            sock.sendall(json.dumps({"token": token, **message}).encode("ascii") + b"\n")
            with sock.makefile("rb") as file:
                line = file.readline(CONTROL_LINE_BYTES)
    except OSError as error:
        raise ControlError(f"no lab answers at {control} ({error}); is it still running?") from None
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ControlError(
            f"what listens at {control} is no lab: it answered {showable(line, 80)!r}."
        )
    if not answer.get("ok"):
        raise ControlError(
            showable(answer.get("error", "the lab gave no reason."), 500, ascii=False)
        )
    return answer


class LabError(Exception):
    """The lab could not be started, or a part of it did not come up."""


class ControlError(Exception):
    """The control socket could not be reached, or refused what it was asked."""
