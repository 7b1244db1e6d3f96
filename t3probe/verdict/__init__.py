"""Which segment broke: pure functions from outcomes, or from observations, to a verdict.

- `solve` labels the segments of a `Case`; `parse_cases` reads cases from JSON.
- `judge_run` judges a run's observations, incident by incident.

Names load their module when they are first used: a clean run needs no search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from t3probe.verdict.case import Case, CaseError, parse_cases
    from t3probe.verdict.labels import LABELS, Label, Status, Verdict, solve
    from t3probe.verdict.run import Incident, RunVerdict, judge_run

__all__ = [
    "LABELS",
    "Case",
    "CaseError",
    "Incident",
    "Label",
    "RunVerdict",
    "Status",
    "Verdict",
    "judge_run",
    "parse_cases",
    "solve",
]

_HOMES = {
    "Case": "case",
    "CaseError": "case",
    "parse_cases": "case",
    "LABELS": "labels",
    "Label": "labels",
    "Status": "labels",
    "Verdict": "labels",
    "solve": "labels",
    "Incident": "run",
    "RunVerdict": "run",
    "judge_run": "run",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{home}"), name)
