"""What is special about a group of the gateway: others may write it, upstreams lie beside it. Pure.

How its counts go on is `t3probe.metrics.carry`.
"""

from __future__ import annotations

from t3probe.metrics.carry import RUN_TIMESTAMP, Family, Group, size

__all__ = ["older", "overlapped", "split"]

UPSTREAM_FAMILIES = "t3probe_backend_"
UPSTREAM_PREFIX = "envoy-"
NAMING = frozenset({"leg", "check"})
"""Labels whose value names a leg."""


def overlapped(before: Group, after: Group) -> bool:
    """Whether somebody counted into the group between these two looks at it."""
    stamps = [one.get(RUN_TIMESTAMP, Family("gauge")).series for one in (before, after)]
    newest = [max(map(size, one.values()), default=0.0) for one in stamps]
    return newest[1] > newest[0] or _any_above(after, before)


def older(before: Group, after: Group) -> bool:
    """Whether a count stepped back between these two looks: the gateway has older state."""
    return _any_above(before, after)


def _any_above(high: Group, low: Group) -> bool:
    for name, family in high.items():
        there = low.get(name)
        if family.kind == "gauge" or there is None or there.kind != family.kind:
            continue
        for key, value in family.series.items():
            other = there.series.get(key)
            if other is not None and size(value) > size(other):
                return True
    return False


def split(group: Group) -> tuple[Group, Group]:
    """The group's own series, and the gauges of upstreams, which go into a group beside it.

    Counts never do: one group carries all of them, so that one write delivers them.
    """
    main: Group = {}
    beside: Group = {}
    for name, family in group.items():
        if family.kind != "gauge":
            main[name] = family
            continue
        whole = name.startswith(UPSTREAM_FAMILIES)
        for key, value in family.series.items():
            upstream = whole or any(k in NAMING and v.startswith(UPSTREAM_PREFIX) for k, v in key)
            into = (beside if upstream else main).setdefault(name, Family(family.kind, family.help))
            into.series[key] = value
        if not family.series and not whole:
            main.setdefault(name, Family(family.kind, family.help))
    return main, beside
