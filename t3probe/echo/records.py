"""Records that people sent from their browsers: checked, kept in memory for an hour, handed out by
their code.

Nothing of a person's address is kept but its family and network. Whoever sends much pushes out
their own: when all places are taken, the oldest record of the network with the most goes; when
every network has one, the newcomer is refused, so that a code that was given stays good.
"""

from __future__ import annotations

import ipaddress
import json
import re
import secrets
from collections import Counter
from dataclasses import dataclass
from typing import Any, NoReturn

from t3probe.echo.head import Refusal
from t3probe.exchange.bounds import (
    ECHO_RECORD_BYTES,
    ECHO_RECORD_LEVELS,
    ECHO_RECORD_SECONDS,
    ECHO_RECORDS,
    ECHO_RECORDS_BYTES,
    ECHO_RECORDS_NETWORK,
)

VERSION = 1
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's: no I, L, O and U, so that a code can be read out."""
CODE_CHARACTERS = 8
KEYS = (
    *("t3probe_client", "page", "browser", "began", "made", "heartbeat_seconds"),
    *("watchdog_seconds", "clock", "connections", "beats", "drops", "gaps", "edges", "left_out"),
)
"""What a record has; `seen` is added here."""

_CODE = re.compile(f"[{ALPHABET}]{{{CODE_CHARACTERS}}}")
# A text without an end reaches to the end, so that no other search begins in it.
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """One record, as it is handed out."""

    content: bytes
    network: str
    expires: float
    """Monotonic seconds."""


class Records:
    """All of them; bounded."""

    def __init__(self) -> None:
        self._kept: dict[str, KeptRecord] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, body: bytes, client: str, now: float, wall: float) -> str:
        """The code of a new record. `client`: the group of its sender's address, as `Proxies` has
        it; `now` and `wall`: monotonic and Unix seconds. Raises Refusal."""
        record = checked(body)
        family, network = network_of(client)
        record["seen"] = {"at": round(wall, 3), "family": family, "network": network}
        content = json.dumps(record, separators=(",", ":"), allow_nan=False).encode()
        if len(content) > ECHO_RECORD_BYTES + 256:  # escapes that it did not have
            raise Refusal(413, f"a record has at most {ECHO_RECORD_BYTES} bytes")
        self.sweep(now)
        mine = sum(one.network == network for one in self._kept.values())
        if mine >= ECHO_RECORDS_NETWORK:
            raise Refusal(429, "your network has sent enough records for now", "Retry-After: 600")
        while len(self) >= ECHO_RECORDS or self._bytes + len(content) > ECHO_RECORDS_BYTES:
            self._make_room(mine)
        code = self._new_code()
        self._kept[code] = KeptRecord(content, network, now + ECHO_RECORD_SECONDS)
        self._bytes += len(content)
        return code

    def get(self, code: str, now: float) -> bytes | None:
        """The record with this code; None: there is none, or none any more."""
        self.sweep(now)
        found = self._kept.get(code)
        return None if found is None else found.content

    def sweep(self, now: float) -> None:
        """Let go of what is older than an hour; the oldest stand first."""
        while self._kept:
            code, first = next(iter(self._kept.items()))
            if now < first.expires:
                return
            self._remove(code)

    def _make_room(self, mine: int) -> None:
        counts = Counter(one.network for one in self._kept.values())
        network, most = counts.most_common(1)[0]
        if most <= mine + 1:
            raise Refusal(503, "no more records can be kept for now", "Retry-After: 600")
        self._remove(next(code for code, one in self._kept.items() if one.network == network))

    def _remove(self, code: str) -> None:
        self._bytes -= len(self._kept.pop(code).content)

    def _new_code(self) -> str:
        while True:
            code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_CHARACTERS))
            if code not in self._kept:
                return code


def code_in(text: str) -> str | None:
    """The code that stands there, in capitals; None when it is none."""
    code = text.upper()
    return code if text.isascii() and _CODE.fullmatch(code) else None


def checked(body: bytes) -> dict[str, Any]:
    """The record in a body, with the keys that one has and no others. Raises Refusal.

    Only its form is looked at. Whoever reads it must take it for what it is: a stranger's word.
    """
    if len(body) > ECHO_RECORD_BYTES:
        raise Refusal(413, f"a record has at most {ECHO_RECORD_BYTES} bytes")
    level = 0
    for found in _BRACKETS.finditer(body):
        mark = found[0]
        level += 1 if mark in b"[{" else -1 if mark in b"]}" else 0
        if level > ECHO_RECORD_LEVELS:
            raise Refusal(400, f"a record is nested at most {ECHO_RECORD_LEVELS} deep")
    try:
        record = json.loads(body.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Refusal(400, "expected a record in JSON") from None
    if not isinstance(record, dict) or type(record.get("t3probe_client")) is not int:
        raise Refusal(400, "expected an object with t3probe_client")
    if record["t3probe_client"] != VERSION:
        raise Refusal(400, f"expected a record of version {VERSION}")
    try:
        json.dumps(record, allow_nan=False)
    except ValueError:  # 1e999
        raise Refusal(400, "expected finite numbers") from None
    return {key: record[key] for key in KEYS if key in record}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def network_of(client: str) -> tuple[int | None, str]:
    """Family and network of a client's group: a /24 of IPv4, a /48 of IPv6."""
    try:
        network = ipaddress.ip_network(client, strict=False)
    except ValueError:
        return None, "unknown"
    bits = 24 if network.version == 4 else 48
    return network.version, str(network.supernet(new_prefix=bits))
