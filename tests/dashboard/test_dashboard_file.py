"""The dashboard as a file. Needs none of the real programs."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from dashboard_file import ROOT, Target, dashboard, panel, panels, targets

from t3probe.config import load
from t3probe.deliver.metrics.table import BY_NAME, STATES

SELECTOR = re.compile(r"\b(t3probe_\w+)(\{[^}]*\})?")
each_panel = pytest.mark.parametrize("one", panels(), ids=lambda one: one["title"])
each_target = pytest.mark.parametrize("one", targets(), ids=str)


def families(metric: str) -> set[str]:
    """The names that a family's series can have in a query."""
    histogram = BY_NAME[metric].type == "histogram"
    return {f"{metric}_bucket", f"{metric}_count", f"{metric}_sum"} if histogram else {metric}


KNOWN = {name: metric for metric in BY_NAME for name in families(metric)}


def test_grafana_finds_it_under_its_name() -> None:
    board = dashboard()
    assert board["uid"] == "t3probe"
    assert board["title"]
    assert "id" not in board, "an id belongs to one Grafana"
    assert "__inputs" not in board, "provisioning fills in no inputs"
    assert [one["name"] for one in board["templating"]["list"]] == ["datasource", "vantage", "leg"]
    assert board["templating"]["list"][0]["type"] == "datasource"


def test_ids_are_unique() -> None:
    ids = [one["id"] for one in panels()]
    assert len(set(ids)) == len(ids)
    assert len({one["title"] for one in panels()}) == len(ids)
    for one in panels():
        refs = [query["refId"] for query in one["targets"]]
        assert len(set(refs)) == len(refs), one["title"]


def test_no_panel_lies_over_another() -> None:
    for one, other in itertools.combinations(panels(), 2):
        a, b = one["gridPos"], other["gridPos"]
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, f"{one['title']} and {other['title']} overlap"


@each_panel
def test_says_what_it_must(one: dict[str, Any]) -> None:
    assert one["title"].strip()
    assert one["description"].endswith(".")
    assert one["fieldConfig"]["defaults"]["unit"]
    assert one["targets"]
    place = one["gridPos"]
    assert place["x"] >= 0
    assert place["w"] > 0
    assert place["h"] > 0
    assert place["x"] + place["w"] <= 24, "Grafana's grid has 24 columns"


@each_panel
def test_asks_the_chosen_data_source(one: dict[str, Any]) -> None:
    for asked in (one, *one["targets"]):
        assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@each_target
def test_every_metric_is_in_the_table(one: Target) -> None:
    names = [match[1] for match in SELECTOR.finditer(one.expr)]
    assert names
    assert set(names) <= KNOWN.keys()


@each_target
def test_every_selector_names_the_job_and_the_vantage(one: Target) -> None:
    """Or runs by hand and in CI, and other places, would be mixed in."""
    for match in SELECTOR.finditer(one.expr):
        labels = match[2] or ""
        assert 'job="t3-probe"' in labels, match[0]
        assert 'vantage=~"$vantage"' in labels, match[0]


@each_target
def test_every_label_of_a_selector_and_legend_exists(one: Target) -> None:
    sinks = {"job", "vantage", "shard", "le"}
    known = set(sinks)
    for match in SELECTOR.finditer(one.expr):
        own = {*BY_NAME[KNOWN[match[1]]].labels, *sinks}
        assert set(re.findall(r'(\w+)=~?"', match[2] or "")) <= own, match[0]
        known |= own
    assert set(re.findall(r"\{\{(\w+)\}\}", one.legend)) <= known


def test_each_state_of_a_segment_has_a_colour_of_its_own() -> None:
    one = panel("Path: the state of each segment")
    codes = re.findall(
        r'(\d) \* t3probe_segment_state\{[^}]*state="(\w+)"', one["targets"][0]["expr"]
    )
    (mapping,) = one["fieldConfig"]["defaults"]["mappings"]
    shown = {code: option["text"] for code, option in mapping["options"].items()}
    # People read "cleared", here as everywhere.
    assert {code: state.replace("exonerated", "cleared") for code, state in codes} == shown
    assert sorted(dict(codes).values()) == sorted(STATES)
    assert len({option["color"] for option in mapping["options"].values()}) == len(STATES)


def test_segments_stand_in_the_order_of_the_deployment() -> None:
    order = panel("Path: the state of each segment")["transformations"][1]["options"]["indexByName"]
    segments = load(ROOT / "deployments" / "t3.toml", {}, now=0.0).segments
    assert sorted(order, key=lambda name: int(order[name])) == ["Time", *segments]


def linked() -> list[dict[str, Any]]:
    return [one for one in panels() if "links" in one["fieldConfig"]["defaults"]]


def test_a_legs_panel_leads_to_its_traces() -> None:
    """Grafana fills in the variables and then reads the panes as JSON."""
    assert {"Drops by leg and reason", "Errors: share of exchanges that dropped"} <= {
        one["title"] for one in linked()
    }
    for one in linked():
        (link,) = one["fieldConfig"]["defaults"]["links"]
        assert all("{{leg}}" in target["legendFormat"] for target in one["targets"])
        for labels in re.findall(r"by \(([^)]*)\)", one["targets"][0]["expr"])[:1]:
            assert "leg" in labels.split(", "), "a series without a leg has no traces"
        url = link["url"]
        for name, value in (
            ("__field.labels.leg", "cloudflare"),
            ("vantage", "cluster"),
            ("__from", "1700000000000"),
            ("__to", "1700000060000"),
        ):
            assert f"${{{name}}}" in url
            url = url.replace(f"${{{name}}}", value)
        asked = parse_qs(urlsplit(url).query)
        (pane,) = json.loads(asked["panes"][0]).values()
        (query,) = pane["queries"]
        assert (pane["datasource"], query["queryType"]) == ("jaeger", "search")
        assert query["service"] == "t3probe"
        assert query["tags"] == "t3probe.leg=cloudflare t3probe.vantage=cluster"
        assert pane["range"] == {"from": "1700000000000", "to": "1700000060000"}
