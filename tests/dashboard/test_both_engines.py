"""Every rule and every panel's query on a real Prometheus and a real VictoriaMetrics.

Both hold one history. No expression may fail on either. Where the answers differ, it stands in
`DIFFERENCES` of `docs/make/metrics.py`, with the reason; any other difference fails here.
"""

from __future__ import annotations

import json
import math
import runpy
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from dashboard_file import ROOT, substituted, targets
from dashboard_prometheus import prometheus
from deliver.delivery_programs import DIRECT
from engines_history import END, FIRST, SCRAPE_SECONDS, exposition, openmetrics, samples
from probes.ingest_programs import VictoriaMetrics

RULES = yaml.safe_load((ROOT / "cronjob" / "rules" / "t3probe.rules.yml").read_text())
DOCUMENT = ROOT / "docs" / "metrics.md"
STEP = 60
TOLERANCE = 0.02
MOST = 0.02
"""So great a share of the points may be on one engine alone, or differ, before two answers do: the
edges of windows."""


@dataclass(frozen=True)
class Expression:
    """One expression, its variables filled in."""

    name: str
    title: str
    """The alert, the record, or the panel."""
    query: str


def expressions() -> list[Expression]:
    found = [
        Expression(name, name, rule["expr"].strip())
        for group in RULES["groups"]
        for rule in group["rules"]
        for name in (rule.get("alert") or rule["record"],)
    ]
    for one in targets():
        values = {
            "vantage": "cluster",
            "leg": ".+",
            "__interval": f"{one.interval}s",
            "__interval_ms": f"{one.interval * 1000}",
            "__rate_interval": "240s",  # timeInterval: 60s
            "__range": f"{END - FIRST}s",
        }
        found.append(Expression(str(one), one.title, substituted(one.expr, values)))
    return found


EXPRESSIONS = expressions()
Points = dict[tuple[tuple[str, str], ...], dict[int, float]]


class Engine:
    """The query API that both have."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, query: str) -> Points:
        """Every series, by its labels. NaN is left out, as a graph does. Raises AssertionError."""
        words = urllib.parse.urlencode({"query": query, "start": FIRST, "end": END, "step": STEP})
        try:
            with DIRECT.open(f"{self.url}/api/v1/query_range?{words}", timeout=30) as answer:
                data = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None
        return {
            tuple(sorted(one["metric"].items())): points
            for one in data
            if (points := _numbers(one["values"]))
        }


def _numbers(values: list[Any]) -> dict[int, float]:
    pairs = ((int(at), float(value)) for at, value in values)
    return {at: value for at, value in pairs if math.isfinite(value)}


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Engine]]:
    folder = tmp_path_factory.mktemp("engines")
    (folder / "history.txt").write_text(openmetrics())
    receiver = VictoriaMetrics(folder)
    receiver.start()
    try:
        body = exposition().encode()
        request = urllib.request.Request(f"{receiver.url}/api/v1/import/prometheus", body)
        with DIRECT.open(request, timeout=60) as answer:
            assert answer.status == 204
        with DIRECT.open(f"{receiver.url}/internal/force_flush", timeout=60):
            pass
        with prometheus(folder, folder / "history.txt", 300) as running:
            yield Engine(running.url), Engine(receiver.url)
    finally:
        receiver.stop()


def difference(ours: Points, theirs: Points) -> str:
    """How two answers differ, in words; empty where they do not."""
    every = {(key, at) for one in (ours, theirs) for key, row in one.items() for at in row}
    if not every:
        return ""
    alone = {"Prometheus": 0, "VictoriaMetrics": 0}
    other = 0
    for key, at in every:
        a, b = ours.get(key, {}).get(at), theirs.get(key, {}).get(at)
        if a is None or b is None:
            alone["VictoriaMetrics" if a is None else "Prometheus"] += 1
        elif not math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=1e-9):
            other += 1
    if sum(alone.values()) + other <= MOST * len(every):
        return ""
    return f"{alone} alone, {other} other values, of {len(every)} points"


MADE = runpy.run_path(str(ROOT / "docs" / "make" / "metrics.py"))
DIFFER = {title for title, _, _ in MADE["DIFFERENCES"]}
"""The alerts and panels of which `docs/metrics.md` says how the answers differ, and why."""
MOST_OFF = 0.15
"""So much the values of such an expression may differ."""


@pytest.mark.parametrize("one", EXPRESSIONS, ids=lambda one: one.name)
def test_both_answer_alike(one: Expression, engines: tuple[Engine, Engine]) -> None:
    ours, theirs = (engine.ask(one.query) for engine in engines)
    found = difference(ours, theirs)
    if one.title not in DIFFER:
        assert not found, found
        return
    assert found, f"{one.title} does not differ any more: take it out of DIFFER"
    for key, row in ours.items():
        both = [at for at in row if at in theirs.get(key, {})]
        assert all(
            math.isclose(row[at], theirs[key][at], rel_tol=MOST_OFF, abs_tol=1e-9) for at in both
        )


def test_the_history_is_what_it_says(engines: tuple[Engine, Engine]) -> None:
    for engine in engines:
        assert engine.ask('t3probe_connected{leg="cloudflare"} == 0')
        assert engine.ask("resets(t3probe_observed_seconds_total[2h]) > 0")
        assert engine.ask("time() - t3probe_run_timestamp_seconds > 600")
    assert len(samples()) > 400
    assert SCRAPE_SECONDS < STEP


def test_each_that_differs_is_there() -> None:
    assert {one.title for one in EXPRESSIONS} >= DIFFER
    assert all(f"| `{title}` |" in DOCUMENT.read_text(encoding="utf-8") for title in DIFFER)
