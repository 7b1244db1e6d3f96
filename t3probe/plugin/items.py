"""One result per upstream, or rig's stream, in pytest, at a fraction of what a parametrised test
costs.

A check that asks for nothing but `leg` and has one mark, such as `legs("upstream")`, becomes one
light item per upstream, with the ids that parametrising gives: names, `-k`, `-m`, deselecting and
collecting are pytest's own; any other check is parametrised. Running one is only judging what the
sweep saw, so the item's reports are made here and handed to `pytest_runtest_logreport`, without
fixtures and phases: one report for an upstream that is well, two for any other. Plugins that wrap
phases or fixtures do not see these items.

On the terminal those that are well are only counted, and of all others the first `LISTED` are
shown; `-v` shows all. The JUnit file has every one.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any, Literal

import pytest

from t3probe.judge import require_conclusive
from t3probe.observation import Observation

if TYPE_CHECKING:
    from t3probe.config.types import Leg
    from t3probe.run.session import Session

LISTED = 20
"""How many upstreams that are not well the terminal shows."""
MANY = frozenset({"upstream", "stream", "jump"})
"""The kinds of which there are hundreds."""
_PYTESTS = {"skip", "skipif", "xfail", "usefixtures"}
"""Marks of a file or a class that pytest alone can heed."""
_PROBLEMS = (Exception, pytest.fail.Exception, pytest.skip.Exception)
When = Literal["setup", "call", "teardown"]


def kind_of(leg: Leg) -> str:
    """What a marker calls it."""
    return "upstream" if leg.upstream else leg.kind


class Check:
    """One function of the checks, and what is the same in all of its items."""

    def __init__(self, function: Callable[[Observation], None], marks: list[pytest.Mark]) -> None:
        self.function, self.marks = function, marks
        self.line = function.__code__.co_firstlineno - 1
        """Counted from 0."""
        self.keywords: dict[str, Any] = {one.name: 1 for one in marks}
        self.file = ""
        """As pytest writes it; its first item says so."""


class UpstreamItem(pytest.Item):
    """The check of one upstream."""

    leg: str
    plugin: UpstreamItems
    check: Check

    def setup(self) -> None:
        require_conclusive(self.plugin.seen(self.leg))

    def runtest(self) -> None:
        self.check.function(self.plugin.seen(self.leg))

    def reportinfo(self) -> tuple[Any, int | None, str]:
        return self.path, self.check.line, self.name


class UpstreamItems:
    """The hooks of these items."""

    def __init__(self, config: pytest.Config, session: Session) -> None:
        self._config, self._session = config, session
        self._listed = dict.fromkeys(("failed", "error", "skipped"), 0)

    def seen(self, leg: str) -> Observation:
        """What was seen on a leg; fails the test when it was not probed."""
        found = self._session.observations.get(leg)
        if found is None:
            pytest.fail(f"{leg}: not probed, the run was interrupted", pytrace=False)
        return found

    # -- collecting ----------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makeitem(
        self, collector: pytest.Collector, name: str, obj: object
    ) -> list[UpstreamItem] | None:
        if not isinstance(obj, FunctionType):
            return None
        marks = [one for one in getattr(obj, "pytestmark", ()) if isinstance(one, pytest.Mark)]
        if len(marks) != 1 or marks[0].name != "legs" or len(marks[0].args) != 1:
            return None
        kind = marks[0].args[0]
        if kind not in MANY:
            return None
        code = obj.__code__
        if code.co_varnames[: code.co_argcount] != ("leg",) or code.co_kwonlyargcount:
            return None  # it asks for fixtures: pytest knows them
        if any(one.name in _PYTESTS for one in collector.iter_markers()):
            return None
        check = Check(obj, marks)
        wanted = bool(self._config.option.keyword)
        return [
            self._item(collector, f"{name}[{leg.name}]", check, leg, wanted)
            for leg in self._session.available
            if kind_of(leg) == kind
        ]

    def _item(
        self, collector: pytest.Collector, name: str, check: Check, leg: Leg, keywords: bool
    ) -> UpstreamItem:
        item: UpstreamItem = UpstreamItem.from_parent(collector, name=name)
        item.leg, item.plugin, item.check = leg.name, self, check
        item.own_markers = check.marks
        if keywords:
            item.extra_keyword_matches.update(
                one for one in (leg.route, str(leg.listen_port or "")) if one
            )
        return item

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Light items come first, whoever put the others in order: pytest sets up and tears down
        nothing for them, so one between two others would leave the first one's module set up."""
        items.sort(key=lambda one: not isinstance(one, UpstreamItem))

    # -- judging -------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        if not isinstance(item, UpstreamItem):
            return None
        seen = self._session.observations.get(item.leg)
        if seen is not None and seen.outcome == "passed" and not seen.planned:
            try:
                item.check.function(seen)
            except _PROBLEMS as error:
                self._tell(item, seen, "call", error)
            else:
                item.ihook.pytest_runtest_logreport(report=self._report(item, seen, "call"))
            return True
        when: When = "setup"
        problem: BaseException | None = None
        try:
            item.setup()
            when = "call"
            item.runtest()
        except _PROBLEMS as error:
            problem = error
        self._tell(item, seen, when, problem)
        return True

    def _tell(
        self, item: UpstreamItem, seen: Observation | None, when: When, error: BaseException | None
    ) -> None:
        """Report what is not well, in the order of any other test."""
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        hook.pytest_runtest_logreport(report=self._report(item, seen, when, error))
        hook.pytest_runtest_logreport(report=self._report(item, None, "teardown"))
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _report(
        self,
        item: UpstreamItem,
        seen: Observation | None,
        when: When,
        error: BaseException | None = None,
    ) -> pytest.TestReport:
        """A test lasts as long as its probe did."""
        check = item.check
        check.file = check.file or item.location[0]
        outcome: Literal["passed", "failed", "skipped"] = "passed"
        longrepr: Any = None
        if isinstance(error, pytest.skip.Exception):
            outcome = "skipped"
            longrepr = str(item.path), check.line + 1, f"Skipped: {error}"
        elif error is not None:
            outcome = "failed"
            ours = isinstance(error, pytest.fail.Exception) and not error.pytrace
            about = pytest.ExceptionInfo.from_exception(error)
            longrepr = str(error) if ours else item.repr_failure(about)
        category: str = "" if outcome == "passed" else outcome
        if outcome == "failed" and when == "setup":
            category = "error"
        if category:
            self._listed[category] += 1
        return pytest.TestReport(
            item.nodeid,
            (check.file, check.line, item.name),
            check.keywords,
            outcome,
            longrepr,
            when,
            duration=0.0 if seen is None else max(0.0, seen.ended - seen.started),
            upstream=category if category and self._listed[category] > LISTED else "shown",
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport | pytest.CollectReport
    ) -> tuple[str, str, str] | None:
        upstream = getattr(report, "upstream", None)
        if upstream is None or report.when == "teardown" or self._config.option.verbose > 0:
            return None
        if report.passed:
            return "passed", "", ""
        # What is not well goes by its own word, or the list of them would have no end.
        more = {"failed": "more failed", "error": "more errors", "skipped": "more skipped"}
        return None if upstream == "shown" else (more[upstream], "", "")


def leg_of(item: pytest.Item) -> str | None:
    """The leg that this item judges; None for any other item."""
    if isinstance(item, UpstreamItem):
        return item.leg
    callspec = getattr(item, "callspec", None)
    if callspec is None or item.get_closest_marker("legs") is None:
        return None
    name = callspec.params.get("leg")
    return name if isinstance(name, str) else None


def own_body(item: pytest.Item) -> bool:
    """Whether this is a check with a body of its own, which names the segments it crosses."""
    return not isinstance(item, UpstreamItem) and item.get_closest_marker("segments") is not None
