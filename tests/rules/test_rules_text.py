"""The rules file as people and Alertmanager read it. Needs none of the real programs."""

from __future__ import annotations

import re
import tomllib

import pytest
from rules_file import FRAGMENT, RULES, RUNBOOK, Alert, alerts
from rules_programs import program

from t3probe.deliver.metrics.table import BY_NAME

ALERTS = alerts()
FRESH = 'time() - t3probe_run_timestamp_seconds{job="t3-probe"} < bool 240) == 1'
PAGES = {"T3ProbeSegmentConvicted", "T3ProbeWalledPathOpen", "T3ProbeIngestOpen"}
OF_OTHERS = {
    "push_time_seconds",
    "push_failure_time_seconds",
    "t3probe_backend_disagreement",
    "ALERTS",
}
BURST_SECONDS = 15 * 60
each = pytest.mark.parametrize("alert", ALERTS.values(), ids=list(ALERTS))


@each
def test_says_what_it_must(alert: Alert) -> None:
    assert alert.labels.keys() == {"severity"}
    severities = {"critical"} if alert.name in PAGES else {"warning", "info", "none"}
    assert alert.labels["severity"] in severities
    assert alert.annotations.keys() == {"summary", "description", "runbook_url"}
    assert all(text.strip() for text in alert.annotations.values())
    assert len(alert.annotations["summary"]) <= 200


@each
def test_its_page_of_the_runbook_exists(alert: Alert) -> None:
    link = alert.annotations["runbook_url"]
    urls = tomllib.loads((RUNBOOK.parents[1] / "pyproject.toml").read_text())["project"]["urls"]
    assert urls["Runbook"].startswith("https://")
    assert link == f"{urls['Runbook']}#{alert.name.lower()}"
    headings = re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert alert.name in headings


def test_the_runbook_speaks_of_no_other_alert() -> None:
    text = RUNBOOK.read_text()
    assert set(re.findall(r"T3Probe\w+", text)) == set(ALERTS)
    assert re.findall(r"^## (T3Probe\w+)$", text, re.MULTILINE) == list(ALERTS)


@each
def test_holds_only_while_runs_are_new(alert: Alert) -> None:
    if alert.name not in {"T3ProbeSilent", "T3ProbeWatchdog"}:
        assert FRESH in alert.expr


@each
def test_every_selector_names_the_job(alert: Alert) -> None:
    """Or runs by hand and in CI would raise alerts."""
    for metric, labels in re.findall(r"(\w+)\{(.*?)\}", alert.expr):
        assert 'job="t3-probe"' in labels or metric == "ALERTS"
    selected = set(re.findall(r"\b(\w+)\{", alert.expr))
    bare = set(re.findall(r"\b((?:t3probe|push)_\w+)", alert.expr)) - selected
    assert not bare


@each
def test_every_metric_exists(alert: Alert) -> None:
    for metric, labels in re.findall(r"(\w+)\{(.*?)\}", alert.expr):
        if metric in OF_OTHERS:
            continue
        assert metric in BY_NAME
        used = set(re.findall(r"(\w+)=", labels)) - {"job"}
        assert used <= set(BY_NAME[metric].labels)


def targets_of(source: str) -> set[str]:
    """The alerts that `source` mutes by the fragment."""
    found = set()
    for block in FRAGMENT.read_text().split("  - source_matchers:\n")[1:]:
        first, _, second = block.partition("target_matchers")
        if f'alertname="{source}"' in first:
            match = re.search(r'alertname=~?"(.*?)"', second)
            assert match
            found |= set(match[1].split("|"))
    return found


def test_a_convicted_segment_is_sooner_than_its_targets_and_outlives_a_burst() -> None:
    source = ALERTS["T3ProbeSegmentConvicted"]
    muted = targets_of(source.name)
    assert len(muted) == 6
    for name in muted:
        assert 0 < source.wait < ALERTS[name].wait
        assert ALERTS[name].keep == 0
    assert source.keep > BURST_SECONDS


@pytest.mark.parametrize("source", ["T3ProbeLegDown", "T3ProbeLegRefusing"])
def test_a_leg_in_an_outage_keeps_its_bursts_quiet_by_expression(source: str) -> None:
    """Its five minutes are longer than a burst's three, so the order is not left to `for`."""
    assert targets_of(source) == {"T3ProbeDropBurst"}
    burst = ALERTS["T3ProbeDropBurst"]
    assert "unless on (job, vantage, leg)" in burst.expr
    kept = re.search(r'ALERTS\{alertname=~"([^"]+)", alertstate="firing"\}\[16m\]', burst.expr)
    assert kept
    assert source in kept[1].split("|")


def test_the_reader_of_the_rules_refuses_what_it_does_not_know() -> None:
    with pytest.raises(AssertionError):
        alerts(RULES.read_text().replace("        for: 5m", "        fro: 5m"))


def test_a_missing_program_skips_here_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = "promtool is not installed; on Debian: apt install prometheus"
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=sentence):
        program("promtool")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=sentence):
        program("promtool")
