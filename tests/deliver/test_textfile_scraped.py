"""The README's scrape configuration for the textfile: alerts and dashboard find our series."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest
from delivery_programs import RealPrometheus, program
from delivery_runs import LEGS, REASONS, run_families
from delivery_servers import answering, serving

from t3probe.deliver.metrics.carry import Family
from t3probe.deliver.sinks import Batch, textfile
from t3probe.timing import SystemClock

ROOT = Path(__file__).resolve().parents[2]
TARGET = '"attic:9100"'
OTHERS = """\
# TYPE node_load1 gauge
node_load1 0.5
# TYPE node_textfile_scrape_error gauge
node_textfile_scrape_error 0
"""
TEXT = "Content-Type: text/plain; version=0.0.4"


def documented() -> str:
    """The configuration as the README shows it."""
    blocks: list[str] = re.findall(
        r"```yaml\n(scrape_configs:.*?)```", (ROOT / "README.md").read_text(), re.S
    )
    (block,) = blocks
    assert TARGET in block
    return block


def exposed(file: Path, vantage: dict[str, str]) -> bytes:
    """What node_exporter shows when a run wrote the file: its own metrics, and the file's."""
    state = Family("gauge", "State.", {(("segment", "tunnel"), ("state", "convicted")): 1.0})
    deliver = textfile.sink(file, vantage)
    assert deliver(Batch(run_families(), opening=True)).ok
    now = SystemClock().wall()
    families = {**run_families({(LEGS[0], REASONS[0]): 2}, {}, now), "t3probe_segment_state": state}
    assert deliver(Batch(families)).ok
    return OTHERS.encode() + file.read_bytes()


def test_the_documented_configuration_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(documented())
    command = [program("promtool"), "check", "config", str(file)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize("vantage", ["lan", ""])
def test_scraped_series_have_the_job_and_the_vantage_that_the_rules_ask_for(
    vantage: str, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yml"
    text = (ROOT / "cronjob" / "rules" / "t3probe.rules.yml").read_text()
    rules.write_text(text.replace("interval: 30s", "interval: 250ms"))
    content = exposed(tmp_path / "t3.prom", {"vantage": vantage} if vantage else {})
    with serving(answering("200 OK", content, TEXT)) as node:
        target = f"127.0.0.1:{node.port}"
        prometheus = RealPrometheus(tmp_path, target, "250ms")
        (tmp_path / "prometheus.yml").write_text(
            "global: {scrape_interval: 250ms, scrape_timeout: 250ms}\n"
            f"rule_files: [{rules}]\n" + documented().replace(TARGET, f'"{target}"')
        )
        prometheus.start()
        try:
            prometheus.scraped()
            where = {"job": "t3-probe", "vantage": vantage or "127.0.0.1"}
            ours = [one["metric"] for one in prometheus.query('{__name__=~"t3probe_.*"}')]
            assert len(ours) > len(LEGS)
            assert all(where.items() <= one.items() for one in ours)
            # node_exporter's own stay its own.
            (load,) = prometheus.query("node_load1")
            assert load["metric"] == {"__name__": "node_load1", "job": "node", "instance": target}
            # And so a rule finds what it asks for.
            alert = 'ALERTS{alertname="T3ProbeSegmentConvicted", segment="tunnel"}'
            for _ in range(500):
                if found := prometheus.query(alert):
                    break
                time.sleep(0.02)
            assert where.items() <= found[0]["metric"].items()
        finally:
            prometheus.stop()
