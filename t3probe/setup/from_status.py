"""A deployment file from the `STATUS_*` variables of a status server of remote rigs. Pure.

Secrets are not written: the notes say which variable each of them goes to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from t3probe.config.durations import LONGEST, SHORTEST, meant_seconds, written
from t3probe.config.errors import Wrong

_SERVICES = ("relay", "jump", "book")
_DURATIONS = {
    "active": ("STATUS_HEALTH_LAST_ACTIVE", "STATUS_HEALTH_LAST"),
    "reported": ("STATUS_HEALTH_LAST_CHECKED",),
    "startup": ("STATUS_HEALTH_STARTUP",),
    "query_book": ("STATUS_QUERY_BOOK_EVERY",),
}
"""Key of the table → the variables that say it, the first one first."""
LEAST_REPORTED_SECONDS = 15
"""The relay reports every 6 s: with less than two reports' time one that is late is an outage."""


def from_status(environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """The file's text, and what is to be done about the rest. Raises Wrong."""
    notes: list[str] = []
    table: dict[str, object] = {one: _base(one, environ) for one in _SERVICES}
    for key, names in _DURATIONS.items():
        found = [name for name in names if environ.get(name, "").strip()]
        if found:
            table[key] = written(_seconds(found[0], environ[found[0]]))
    reported = meant_seconds(str(table.get("reported", "30s"))) or 0.0
    if reported < LEAST_REPORTED_SECONDS:
        table["reported"] = "30s"
        notes.append(
            f"{_DURATIONS['reported'][0]} is less than two reports of the relay take; reported is "
            "30s in its place"
        )
    table["manage"] = False
    lines = ['name = "experiments"', "segments = []", "", "[experiments]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    for one in _SERVICES:
        name = f"STATUS_SECRET_{one.upper()}"
        state = "" if environ.get(name) else ", which is not set"
        notes.append(f"set T3PROBE_{one.upper()}_SECRET to what {name} holds{state}")
    notes.append("manage is false: book is not written to until you set it to true")
    return "\n".join(lines) + "\n", notes


def _base(service: str, environ: Mapping[str, str]) -> str:
    upper = service.upper()
    host = environ.get(f"STATUS_HOST_{upper}", "").strip()
    if not host:
        raise Wrong(
            f"expected STATUS_HOST_{upper}, the host of {service}, found nothing; export the "
            "variables of the status server first"
        )
    scheme = environ.get(f"STATUS_SCHEME_{upper}", "").strip() or "https"
    path = environ.get(f"STATUS_BASEPATH_{upper}", "").strip()
    path = path if path.startswith("/") or not path else f"/{path}"
    return f"{scheme}://{host}{path}"


def _seconds(name: str, text: str) -> float:
    seconds = meant_seconds(text.strip())
    if seconds is None or not SHORTEST <= seconds <= LONGEST:
        raise Wrong(
            f"expected a duration from 0.1ms to 24h in {name}, such as 10s or 1d, found "
            f"{text[:40]!r}; correct it"
        )
    return seconds
