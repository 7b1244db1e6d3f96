"""What is special about the gateway's groups: upstreams beside them, other writers, and marks."""

from __future__ import annotations

from typing import Any

import pytest

from t3probe.deliver.metrics import carry as going
from t3probe.deliver.metrics.carry import Family, Group
from t3probe.deliver.sinks.gateway import older, overlapped, split
from t3probe.deliver.sinks.spool import MARK, read_marks

# -- groups ---------------------------------------------------------------------------------------


def gauge(*labels: str, name: str = "g") -> Group:
    return {name: Family("gauge", "Help.", {(("leg", one),): 1.0 for one in labels})}


def test_gauges_of_upstreams_lie_beside_the_others() -> None:
    main, beside = split(gauge("edge", "envoy-a", "x-envoy-b"))
    assert main == gauge("edge", "x-envoy-b")
    assert beside == gauge("envoy-a")
    check = {"g": Family("gauge", "", {(("check", "envoy-a"),): 1.0, (("path", "envoy-b"),): 1.0})}
    main, beside = split(check)
    assert list(main["g"].series) == [(("path", "envoy-b"),)]
    assert list(beside["g"].series) == [(("check", "envoy-a"),)]


def test_families_without_a_series_stay_where_they_belong() -> None:
    assert split(gauge()) == (gauge(), {})
    assert split(gauge(name="t3probe_backend_x")) == ({}, {})
    assert split(gauge("edge", name="t3probe_backend_x")) == (
        {}, gauge("edge", name="t3probe_backend_x"),
    )  # fmt: skip
    counts = {"c": Family("counter", "", {(("leg", "envoy-a"),): 1.0})}
    assert split(counts) == (counts, {})


def stamped(stamp: float | None, count: float, kind: going.Kind = "counter") -> Group:
    group: Group = {"c": Family(kind, "", {(): count})}
    if stamp is not None:
        group[going.RUN_TIMESTAMP] = Family("gauge", "", {(): stamp})
    return group


@pytest.mark.parametrize(
    ("before", "after", "newer", "back"),
    [
        (stamped(1, 1), stamped(1, 1), False, False),
        (stamped(1, 1), stamped(2, 1), True, False),
        (stamped(2, 1), stamped(1, 1), False, False),
        (stamped(None, 1), stamped(1, 1), True, False),
        (stamped(1, 1), stamped(1, 2), True, False),
        (stamped(1, 2), stamped(1, 1), False, True),
        (stamped(1, 2), {}, False, False),
        (stamped(1, 1, "gauge"), stamped(1, 2, "gauge"), False, False),
        (stamped(1, 1), stamped(1, 2, "gauge"), False, False),
        (stamped(1, 2), {"c": Family("counter", "", {(("a", "b"),): 1.0})}, False, False),
    ],
)
def test_who_wrote_meanwhile(before: Group, after: Group, newer: bool, back: bool) -> None:
    assert (overlapped(before, after), older(before, after)) == (newer, back)


@pytest.mark.parametrize(
    ("folder", "number", "known"),
    [(0.0, 0.0, True), (2.0**53 - 1, 1.0, True), (2.0**53, 1.0, False), (-1.0, 1.0, False)],
)
def test_only_what_can_be_a_mark_is_one(folder: float, number: float, known: bool) -> None:
    series: dict[Any, Any] = {
        (("slot", "0"), ("what", "folder")): folder,
        (("slot", "0"), ("what", "number")): number,
        (("slot", "1"), ("what", "number")): 7.0,
    }
    found = read_marks({MARK: Family("gauge", "", series)})
    assert found == ({int(folder): int(number)} if known else {})
