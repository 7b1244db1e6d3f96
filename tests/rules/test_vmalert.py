"""The rules for vmalert: the same as for Prometheus, and read by the real vmalert."""

from __future__ import annotations

import runpy
from pathlib import Path

import yaml
from rules_file import ROOT, RULES
from rules_programs import program, run

VMALERT = ROOT / "cronjob" / "rules" / "t3probe.vmalert.yml"


def test_they_are_current() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make" / "vmalert_rules.py"))
    assert VMALERT.read_text() == made["text"](RULES.read_text()), "run make documents"


def test_they_differ_in_one_thing_alone() -> None:
    ours, theirs = (yaml.safe_load(one.read_text()) for one in (RULES, VMALERT))
    kept = [rule.pop("keep_firing_for", None) for one in ours["groups"] for rule in one["rules"]]
    assert sum(one is not None for one in kept) >= 3
    assert ours == theirs


def test_the_real_vmalert_reads_them(tmp_path: Path) -> None:
    vmalert = program("vmalert")
    code, said = run(vmalert, "-dryRun", f"-rule={VMALERT}")
    assert code == 0, said
    broken = tmp_path / "broken.yml"
    broken.write_text(VMALERT.read_text().replace("last_over_time(", "last_over_time((", 1))
    assert run(vmalert, "-dryRun", f"-rule={broken}")[0] != 0
