"""Metrics of a run: what there is, from observations to families, and how counters continue.

Nothing here does I/O or reads a clock, or imports `prometheus_client`: 32 ms of CPU by itself.
"""

from __future__ import annotations

from t3probe.deliver.metrics.build import (
    CHECK_NAME_LIMIT,
    CHECKS_LIMIT,
    check_families,
    families,
    gauges,
    zeros,
)
from t3probe.deliver.metrics.carry import baselines
from t3probe.deliver.metrics.exposition import rendered
from t3probe.deliver.metrics.table import BY_NAME, TABLE, Spec

__all__ = [
    "BY_NAME",
    "CHECKS_LIMIT",
    "CHECK_NAME_LIMIT",
    "TABLE",
    "Spec",
    "baselines",
    "check_families",
    "families",
    "gauges",
    "rendered",
    "zeros",
]
