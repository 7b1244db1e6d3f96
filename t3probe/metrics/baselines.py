"""What is usual for each leg, read out of what earlier runs delivered. Pure."""

from __future__ import annotations

import math

from t3probe.baseline import from_buckets
from t3probe.metrics.carry import Family, Group, Histogram
from t3probe.observation import Baseline

__all__ = ["BASELINE", "RTT", "baselines"]

RTT = "t3probe_rtt_seconds"
BASELINE = "t3probe_rtt_baseline_seconds"


def baselines(group: Group | None) -> dict[str, Baseline]:
    """The baseline of every leg that has a histogram there; empty when nothing could be read."""
    if group is None:
        return {}
    gauges: dict[str, float] = {}
    for key, value in group.get(BASELINE, Family("gauge")).series.items():
        if not isinstance(value, Histogram) and math.isfinite(value) and value > 0:
            gauges[dict(key).get("leg", "")] = value
    found: dict[str, Baseline] = {}
    for key, value in group.get(RTT, Family("histogram")).series.items():
        leg = dict(key).get("leg")
        if leg is not None and isinstance(value, Histogram):
            found[leg] = from_buckets(value.bounds, value.cumulative, value.count, gauges.get(leg))
    return found
