"""Unit tests of rules as promtool runs them: input series, and what must fire when.

Time is promtool's own: every series has a value a minute, from Unix time 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rules_file import RULES
from rules_programs import program, run

END = 100
"""Minutes that a case lasts."""
HOME = {"job": "t3-probe", "vantage": "cluster"}
Labels = Mapping[str, str]
Series = dict[str, str]


def _text(labels: Labels) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def series(metric: str, values: str, **labels: str) -> Series:
    """One input series of the usual job and vantage; a label given as "" is left out."""
    known = {name: value for name, value in {**HOME, **labels}.items() if value}
    return {metric + _text(known): values}


def steady(value: float, minutes: int = END) -> str:
    """`value`, for so many minutes more."""
    return f"{value:g}+0x{minutes - 1}"


def step(before: float, at: int, after: float, until: int = END, then: float | None = None) -> str:
    """`before` up to minute `at`, `after` from there on, `then` from minute `until` on."""
    parts = [steady(before, at), steady(after, until - at)]
    if until < END:
        parts.append(steady(before if then is None else then, END - until))
    return " ".join(parts)


RUNS = series("t3probe_run_timestamp_seconds", f"0+60x{END}")
"""A run a minute."""
OLD = series("t3probe_run_timestamp_seconds", steady(-3600))
"""The last run was an hour before."""


@dataclass(frozen=True)
class Case:
    """One story about one alert."""

    alert: str
    story: str
    data: Series
    """What the story is about."""
    at: Mapping[float, Iterable[Labels]] = field(default_factory=dict)
    """Minute → labels (without alertname and severity) of what fires; nothing else does."""
    runs: Series = field(default_factory=lambda: RUNS)
    """When runs ended."""

    @property
    def name(self) -> str:
        return f"{self.alert}: {self.story}"

    def story_test(self) -> Story:
        """As promtool's test; without checks of its own, the alert must never fire."""
        return Story(self.name, self.runs | self.data, self._exprs())

    def _exprs(self) -> list[dict[str, object]]:
        which = f'ALERTS{{alertname="{self.alert}", alertstate="firing"}}'
        if not self.at:
            return [expect(f"count(max_over_time({which}[{END}m]))", END, {})]
        bare = f"sum without (alertname, alertstate, severity) ({which})"
        return [
            expect(bare, minute, {_text(labels): 1 for labels in firing})
            for minute, firing in self.at.items()
        ]


def expect(expr: str, minute: float, samples: Mapping[str, float]) -> dict[str, object]:
    """A check that `expr` gives exactly `samples` at `minute`."""
    return {
        "expr": expr,
        "eval_time": f"{int(minute * 60)}s",
        "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
    }


@dataclass(frozen=True)
class Story:
    """One test of promtool's: series, and what must be seen of them."""

    name: str
    data: Series
    exprs: list[dict[str, object]] = field(default_factory=list)
    """Made by `expect`."""
    texts: list[dict[str, object]] = field(default_factory=list)
    """Whole alerts, with their annotations."""


def check(folder: Path, *stories: Story) -> None:
    """Run stories through promtool; fails with what promtool says."""
    promtool = program("promtool")
    file = folder / "test.yml"
    tests = [
        {
            "name": one.name,
            "interval": "1m",
            "input_series": [{"series": key, "values": one.data[key]} for key in one.data],
            "promql_expr_test": one.exprs,
            "alert_rule_test": one.texts,
        }
        for one in stories
    ]
    whole = {"rule_files": [str(RULES)], "evaluation_interval": "30s", "tests": tests}
    file.write_text(json.dumps(whole))  # JSON is YAML
    code, said = run(promtool, "test", "rules", str(file))
    assert code == 0, f"{', '.join(one.name for one in stories)}\n{said}"
