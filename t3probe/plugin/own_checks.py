"""Checks with a body of their own: what their marker says, and what they saw."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from t3probe.observation import REASONS, Drop, Observation, Outcome
from t3probe.text import masked, showable, without_secrets
from t3probe.text.names import MADE_LEGS, made_prefix


def _marker(item: pytest.Item) -> pytest.Mark:
    marker = item.get_closest_marker("segments")
    assert marker is not None
    return marker


def own_name(item: pytest.Item) -> str:
    """The check's name in the verdict: its marker's `leg`, or the test's own."""
    return str(_marker(item).kwargs.get("leg") or item.name)


def segments_of(item: pytest.Item, taken: Iterable[str]) -> tuple[str, ...]:
    """The segments that the check crosses. Raises UsageError for what would spoil the record."""
    marker, name = _marker(item), own_name(item)
    reason = marker.kwargs.get("reason", "io_error")
    problem = ""
    if not marker.args:
        problem = "expected segments('NAME', ...), found none; name what the check crosses"
    elif reason not in REASONS:
        problem = f"expected one of the reasons {', '.join(REASONS)}, found {reason!r}"
    elif name in set(taken):
        problem = f"a leg or another check is called {name!r}, too; name this one with leg='NAME'"
    elif made := made_prefix(name, MADE_LEGS):
        problem = (
            f"expected a name that does not begin with {made}, found {name!r}: the deployment "
            "file's tables make such names; choose another with leg='NAME'"
        )
    if problem:
        raise pytest.UsageError(f"{item.nodeid}: {problem}")
    return tuple(marker.args)


def hush(report: pytest.TestReport) -> None:
    """Take secrets out of what the report of a check would show: its error, and what it printed."""
    report.sections = [(name, masked(text)) for name, text in report.sections]
    if report.longrepr is None:
        return
    if isinstance(report.longrepr, tuple):  # a skip: file, line, why
        file, line, why = report.longrepr
        report.longrepr = file, line, masked(why)
        return
    text = str(report.longrepr)
    lines = (
        masked(one) if one.startswith("E ") else without_secrets(one) for one in text.split("\n")
    )
    hushed = "\n".join(lines)
    if hushed != text:
        report.longrepr = hushed


def observed(
    item: pytest.Item,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
    ended: float,
    common_beat: int,
) -> Observation:
    """What the check saw, `ended` seconds after the run's start.

    A failed check is `down` over its own time and calls the common beat of that number. One that
    was skipped, or could not be set up, is inconclusive.
    """
    marker = _marker(item)
    started = max(0.0, round(ended - (call.stop - call.start), 6))
    ran = call.when == "call" and not report.skipped
    outcome: Outcome = "inconclusive"
    if ran:
        outcome = "failed" if report.failed else "passed"
    detail = ""
    if call.excinfo:
        detail = showable(str(call.excinfo.value).partition("\n")[0], 200, ascii=False)
    reason = marker.kwargs.get("reason", "io_error") if outcome == "failed" else None
    drops: tuple[Drop, ...] = ()
    if reason is not None:
        drops = (
            Drop(
                began=started,
                noticed=ended,
                reason=reason,
                symptom="down",
                stage="ask",
                call=common_beat,
                strand="fresh",
                asked=started,
                detail=detail,
            ),
        )
    return Observation(
        leg=own_name(item),
        kind="check",
        path=tuple(marker.args),
        outcome=outcome,
        reason=reason,
        detail=detail,
        started=started,
        ended=ended,
        observed_seconds=round(ended - started, 6),
        drops=drops,
        after_hold=True,
    )
