"""A JSON HTTP API of nodes and their routes, of which those of one node are probed.

The answer is an array of objects, or an object that holds one as `routes`, `items` or `data`:

    {"node": "edge-1", "route": "orders", "listen_port": 8443,
     "backend_host": "10.0.0.7", "backend_port": 9000, "active": true}

Only active routes of the node that the file names are taken. A row that cannot be read is
counted and said, and the good ones are kept.
"""

from __future__ import annotations

from typing import Any

import msgspec

from t3probe.config.types import Place, UpstreamSource
from t3probe.upstreams.sources import (
    MOST_UPSTREAMS,
    Backend,
    Body,
    Fetch,
    Found,
    Notes,
    SourceError,
    dialled,
    label,
)

__all__ = ["find", "read_rows"]

_HOLDERS = ("routes", "items", "data")
_KEYS: dict[str, type] = {
    "node": str,
    "route": str,
    "listen_port": int,
    "backend_host": str,
    "backend_port": int,
    "active": bool,
}


async def find(source: UpstreamSource, fetch: Fetch) -> Found:
    """The active routes of the source's node. Raises SourceError."""
    return read_rows(await fetch(None), source)


def read_rows(body: Body, source: UpstreamSource) -> Found:
    """The same from an answer that is there already. Raises SourceError."""
    rows = _rows(body)
    bad, nodes, off = Notes(), dict[str, None](), 0
    backends: list[Backend] = []
    for row in rows:
        wrong = _wrong(row)
        if wrong:
            bad.add(f"rows of {len(rows)} that cannot be read, {wrong}", _example(row))
            continue
        nodes[str(row["node"])] = None
        if str(row["node"]) != source.node:
            continue
        if not row["active"]:
            off += 1
            continue
        place = Place(source=source.name, route=label(row["route"]), listen_port=row["listen_port"])
        backends.append(Backend(row["backend_host"].lower(), row["backend_port"], place))
    warnings = list(bad.sentences())
    if rows and not nodes:
        raise SourceError(f"answers with {warnings[0]}, and no other row")
    if len(backends) > MOST_UPSTREAMS:
        raise SourceError(f"names {len(backends)} upstreams, and {MOST_UPSTREAMS} are the most")
    if nodes and source.node not in nodes:
        named = ", ".join(label(one) for one in list(nodes)[:5])
        warnings.append(f'no route of the node "{label(source.node or "")}"; there are {named}')
    notes = [f"routes that are not active: {off}"] if off else []
    return Found(tuple(backends), None, tuple(notes), tuple(warnings))


def _rows(body: Body) -> list[Any]:
    try:
        data = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SourceError("answers with something that is not JSON") from None
    if isinstance(data, dict):
        data = next((data[one] for one in _HOLDERS if isinstance(data.get(one), list)), None)
    if not isinstance(data, list):
        raise SourceError("answers with JSON that holds no list of routes")
    return data


def _wrong(row: Any) -> str:
    """What is wrong with a row; empty when it is a good one."""
    if not isinstance(row, dict):
        return "not an object"
    for key, kind in _KEYS.items():
        if key not in row:
            return f"no {key}"
        value = row[key]
        # A node's id may be a number; a bool is an int in Python, but not in JSON.
        kinds = (str, int) if key == "node" else kind
        if not isinstance(value, kinds) or (isinstance(value, bool) and kind is not bool):
            return f"{key} of another type"
    if not row["route"]:
        return "an empty route"
    if not 0 <= row["listen_port"] <= 65535:
        return "listen_port out of range"
    if not dialled(row["backend_host"], row["backend_port"]):
        return "no host and port that can be dialled"
    return ""


def _example(row: Any) -> str:
    name = row.get("route") if isinstance(row, dict) else None
    return name if isinstance(name, str) else ""
