"""A JSON HTTP API of nodes and their routes, of which those of one node are probed.

The answer is an array of objects, or an object that holds one as `routes`, `items` or `data`:

    {"node": "edge-1", "route": "orders", "listen_port": 8443,
     "backend_host": "10.0.0.7", "backend_port": 9000, "active": true}

Only active routes of the node that the file names are taken. A row that cannot be read is
counted and said, and the good ones are kept.

Names of upstreams and legs are looked up before the run where they could be one machine.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from t3probe.config.dialled import joined, to_look_up
from t3probe.config.endpoints import plain_host
from t3probe.config.types import Deployment, UpstreamPlace, UpstreamSource
from t3probe.exchange.bounds import NAMES, NAMES_SECONDS, UPSTREAMS
from t3probe.exchange.json_stream import Into, typed
from t3probe.guard import LoopbackOnlyError
from t3probe.upstreams.sources import (
    Backend,
    Fetch,
    NamedUpstreams,
    Notes,
    SourceAnswer,
    SourceError,
    dialled,
    label,
)

_HOLDERS = ("routes", "items", "data")
_NAMED = 5
"""So many nodes are named where ours is not among them."""
_BACKEND_BYTES = 500
_ROW: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_KEYS: dict[str, type] = {
    "node": str,
    "route": str,
    "listen_port": int,
    "backend_host": str,
    "backend_port": int,
    "active": bool,
}


async def find(source: UpstreamSource, fetch: Fetch) -> NamedUpstreams:
    """The active routes of the source's node. Raises SourceError."""
    answer = Routes(source)
    await fetch(None, answer)
    return answer.found()


class _Rows:
    """One list of rows, as far as it has come."""

    def __init__(self) -> None:
        self.number = self.off = 0
        self.bad, self.backends = Notes(), list[Backend]()
        self.nodes: list[str] = []
        """The first of the nodes that there are."""
        self.has_ours = False


class Routes(SourceAnswer):
    """The answer of such an API."""

    def __init__(self, source: UpstreamSource) -> None:
        self._source = source
        self._lists: dict[str, _Rows] = {}
        """By the key that holds it; empty for the answer itself."""
        holders = {name: self._list(name) for name in _HOLDERS}
        super().__init__(self._list("", holders))

    def _list(self, name: str, holders: Mapping[str, Into] | None = None) -> Into:
        def opened(is_object: bool) -> None:
            if not is_object:
                self._lists[name] = _Rows()

        def wrong() -> None:
            self._lists.pop(name, None)

        return Into(holders, lambda raw: self._row(self._lists[name], raw), opened, wrong=wrong)

    def _row(self, rows: _Rows, raw: bytes) -> None:
        rows.number += 1
        row: Any = typed(raw, _ROW)
        wrong = _wrong(row)
        if wrong:
            rows.bad.add(wrong, _example(row))
            return
        node = str(row["node"])
        if len(rows.nodes) < _NAMED and (short := label(node)) not in rows.nodes:
            rows.nodes.append(short)
        if node != self._source.node:
            return
        rows.has_ours = True
        if not row["active"]:
            rows.off += 1
            return
        place = UpstreamPlace(
            source=self._source.name, route=label(row["route"]), listen_port=row["listen_port"]
        )
        rows.backends.append(Backend(row["backend_host"].lower(), row["backend_port"], place))
        self.kept += _BACKEND_BYTES + len(row["backend_host"])
        if len(rows.backends) > UPSTREAMS:
            raise SourceError(
                f"names more than {UPSTREAMS:,} upstreams, which are the most of one source; let "
                "it name the routes of fewer nodes"
            )

    def found(self) -> NamedUpstreams:
        """What the whole answer names. Raises SourceError."""
        rows = next((self._lists[one] for one in ("", *_HOLDERS) if one in self._lists), None)
        if rows is None:
            raise SourceError("answers with JSON that holds no list of routes")
        warnings = [
            f"rows of {rows.number} that cannot be read, {words}" for words in rows.bad.sentences()
        ]
        if rows.number and not rows.nodes:
            raise SourceError(f"answers with {warnings[0]}, and no other row")
        if rows.nodes and not rows.has_ours:
            node = label(self._source.node or "")
            warnings.append(f'no route of the node "{node}"; there are {", ".join(rows.nodes)}')
        notes = [f"routes that are not active: {rows.off}"] if rows.off else []
        return NamedUpstreams(tuple(rows.backends), None, tuple(notes), tuple(warnings))


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


Name = tuple[str, int]


def _system(name: Name) -> frozenset[str]:
    found = socket.getaddrinfo(*name, type=socket.SOCK_STREAM)
    return frozenset(plain_host(str(one[4][0])) for one in found)


def with_names(
    deployment: Deployment, resolve: Callable[[Name], frozenset[str]] = _system
) -> Deployment:
    """The deployment with upstreams on the paths of legs whose names lead to the same machine.

    All names are looked up at once, within a second. One that is not found changes nothing.
    """
    names = to_look_up(deployment)[:NAMES]
    return joined(deployment, _looked_up(names, resolve)) if names else deployment


def _looked_up(
    names: Sequence[Name], resolve: Callable[[Name], frozenset[str]]
) -> dict[Name, frozenset[str]]:
    found: dict[Name, frozenset[str]] = {}
    asked, over = len(names), threading.Semaphore(0)

    def look_up(name: Name) -> None:
        with suppress(OSError, UnicodeError, LoopbackOnlyError):
            found[name] = resolve(name)
        over.release()

    def all_over() -> None:
        for _ in range(asked):
            over.acquire()

    # Not of a pool: a resolver that never answers is not waited for.
    for name in names:
        threading.Thread(target=look_up, args=(name,), daemon=True).start()
    waiting = threading.Thread(target=all_over, daemon=True)
    waiting.start()
    waiting.join(NAMES_SECONDS)
    return dict(found)
