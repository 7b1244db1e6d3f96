"""The probes: one file per kind, one signature (`base.Open`), and this registry.

Modules are imported when a run first needs them; a run over TCP legs never loads websockets.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import cast

from t3probe.config.types import Leg
from t3probe.probes.base import Open

__all__ = ["KINDS", "ONE_SHOT", "opener", "preload"]

KINDS = {
    "ws_echo": ("t3probe.probes.ws_echo", "open"),
    "ws": ("t3probe.probes.ws", "open"),
    "ws_upgrade": ("t3probe.probes.ws", "open_upgrade"),
    "http": ("t3probe.probes.http", "open"),
    "doh": ("t3probe.probes.doh", "open"),
    "tcp": ("t3probe.probes.tcp", "open"),
    "walloff": ("t3probe.probes.walls", "open_walloff"),
    "walled": ("t3probe.probes.walls", "open_walled"),
    "ingest": ("t3probe.probes.ingest", "open_ingest"),
    "ingest_gate": ("t3probe.probes.ingest", "open_gate"),
}

ONE_SHOT = frozenset({"tcp", "ws_upgrade", "walloff", "walled", "ingest", "ingest_gate"})
"""Kinds whose every beat is an attempt of its own: nothing is held."""


def opener(kind: str) -> Open:
    """The probe for a leg's kind. Raises KeyError for an unknown kind."""
    module, name = KINDS[kind]
    return cast(Open, getattr(importlib.import_module(module), name))


def preload(legs: Iterable[Leg]) -> None:
    """Import whatever these legs will need, also to find their addresses.

    No beat then waits for an import, and none needs a descriptor when there is none left.
    """
    for leg in legs:
        opener(leg.kind)
        if leg.doh:
            opener("doh")
        # What `ssl` and `getaddrinfo` read a name with, and the thread in which the system looks
        # it up.
        for module in ("encodings.idna", "concurrent.futures.thread"):
            importlib.import_module(module)
