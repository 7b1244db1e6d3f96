"""What stands above everything: never more than the legs can tell."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from t3probe.ask.mcp_server.of_run import OfRun
from t3probe.observation import Observation, RunRecord
from t3probe.record.facts import Recording
from t3probe.show.annotations import of_run
from t3probe.show.markdown import run_markdown
from t3probe.show.page.history import History
from t3probe.show.page.page import render_page
from t3probe.show.summary import headline, render
from t3probe.verdict.incident.run import judge_run

RUN = RunRecord(segments=("a", "b"), started_at=1e9, duration_seconds=30)


def leg(name: str, outcome: Any = "passed", **more: Any) -> Observation:
    return Observation(
        leg=name, kind="http", path=("a", "b"), outcome=outcome, observed_seconds=30,
        reason="leg_collapsed" if outcome == "inconclusive" else None, **more,
    )  # fmt: skip


def surfaces(*seen: Observation) -> dict[str, str]:
    judged = judge_run(RUN, seen)
    recording = Recording(RUN, seen)
    of = OfRun(recording, "x")
    return {
        "terminal": "\n".join(line for _, line in render(RUN, seen, judged)),
        "markdown": "\n".join(run_markdown(RUN, seen, judged)),
        "annotations": "\n".join(of_run(seen, judged)),
        "page": render_page(History.of([recording])).decode(),
        "assistant": msgspec.json.encode(of.verdict(of.source(1e9 + 60))).decode(),
    }


@pytest.mark.parametrize("surface", ["terminal", "markdown", "annotations", "page", "assistant"])
def test_a_leg_that_could_not_tell_is_said_above(surface: str) -> None:
    well, vague = surfaces(leg("x"), leg("y")), surfaces(leg("x"), leg("y", "inconclusive"))
    for text, sound in ((well[surface], True), (vague[surface], False)):
        assert ("every segment is cleared" in text.lower()) == sound
        assert ("nothing failed, but y could not tell" in text.lower()) != sound
    assert judge_run(RUN, [leg("x"), leg("y", "inconclusive")]).verdict.status == "clean"


def test_planned_downtime_is_no_doubt() -> None:
    seen = [leg("x"), leg("y", "inconclusive", planned="until noon")]
    assert headline(judge_run(RUN, seen))[1] == "clean: every segment is cleared"


def test_many_that_could_not_tell() -> None:
    seen = [leg("x"), *(leg(f"y{n}", "inconclusive") for n in range(9))]
    said = "nothing failed, but y0, y1, y2, y3, y4 and 4 more could not tell"
    assert headline(judge_run(RUN, seen)) == ("yellow", said)
