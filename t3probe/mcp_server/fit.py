"""Cuts an answer to a bounded size, and says how many entries of which list it left out. Pure."""

from __future__ import annotations

import json
import math
from typing import Any

from t3probe.columns import cut
from t3probe.mcp_server.answers import short
from t3probe.showing import plain

__all__ = ["ANSWER_BYTES", "LIST_LIMIT", "fitted"]

ANSWER_BYTES = 64 << 10
"""How long an answer's JSON may be: about 20,000 tokens. Assistants refuse much longer ones."""
LIST_LIMIT = 100
"""Entries of a list; the rows of the list that was asked for have their own limit."""
TEXT_LIMIT = 2_000
SHORTEST_TEXT = 20
KEYS = 32
"""A table with no more keys than this is never cut: it may be a row, whose keys are promised."""
ROWS = ("upstreams", "legs")


def fitted(answer: dict[str, Any], rows: int) -> dict[str, Any]:
    """`answer`, plain data, with every list and table cut so that its JSON has at most
    `ANSWER_BYTES`; `left_out` counts what is missing, by the list's name.

    `rows` bounds the lists that are the answer's own rows. Numbers that JSON does not have become
    null, and what is no plain text is made so.
    """
    most, longest = LIST_LIMIT, TEXT_LIMIT
    while True:
        left_out: dict[str, int] = {}
        out = {
            key: _cut(value, rows if key in ROWS else most, (most, longest), key, left_out)
            for key, value in answer.items()
        }
        if "not_listed" in out:
            out["not_listed"] += sum(left_out.pop(name, 0) for name in ROWS)
        if left_out:
            out["left_out"] = left_out
        small = len(json.dumps(out, ensure_ascii=False).encode()) <= ANSWER_BYTES
        if small or longest <= SHORTEST_TEXT:
            return out
        if most == rows == 1:
            longest //= 2
        most, rows = max(1, most // 2), max(1, rows // 2)


def _cut(
    value: Any, mine: int, limits: tuple[int, int], name: str, left_out: dict[str, int]
) -> Any:
    most, longest = limits
    if isinstance(value, str):
        return cut(plain(value[: 4 * longest], ascii=False), longest)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        mine = max(mine, KEYS)
        kept = list(value.items())[:mine]
        if len(value) > mine:
            left_out[name] = left_out.get(name, 0) + len(value) - mine
        return {
            short(key): _cut(one, most, limits, f"{name}.{key}" if _named(key) else name, left_out)
            for key, one in kept
        }
    if isinstance(value, (list, tuple)):
        if len(value) > mine:
            left_out[name] = left_out.get(name, 0) + len(value) - mine
        return [_cut(one, most, limits, name, left_out) for one in value[:mine]]
    return value


def _named(key: object) -> bool:
    """Whether a key is one of ours; a leg's name would make `left_out` itself long."""
    return isinstance(key, str) and key.isidentifier() and len(key) <= 40
