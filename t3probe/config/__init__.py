"""The deployment file: read, checked, and turned into types.

`load(path, now=...)` gives a `Deployment` or raises `DeploymentError`, whose `str()` is one
sentence for people. Nothing here opens a socket.
"""

from __future__ import annotations

from t3probe.config.shard import legs_for

from .delivery import Delivery
from .downtime import planned
from .durations import parse_duration
from .endpoints import parse_address, parse_pin, parse_url
from .errors import DeploymentError, Wrong
from .load import load, loads
from .secrets import secret
from .table import Duration
from .types import (
    Deployment,
    Downtime,
    Ingest,
    Leg,
    LegKind,
    Sso,
    Timing,
    Upstream,
    UpstreamPlace,
    UpstreamShare,
    UpstreamSource,
)

__all__ = [
    "Delivery",
    "Deployment",
    "DeploymentError",
    "Downtime",
    "Duration",
    "Ingest",
    "Leg",
    "LegKind",
    "Sso",
    "Timing",
    "Upstream",
    "UpstreamPlace",
    "UpstreamShare",
    "UpstreamSource",
    "Wrong",
    "legs_for",
    "load",
    "loads",
    "parse_address",
    "parse_duration",
    "parse_pin",
    "parse_url",
    "planned",
    "secret",
]
