"""Where there is no room for all, what is left out is the good ones, and it is said how many."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from t3probe.ask.mcp_server.answers import fitted
from t3probe.ask.mcp_server.of_run import OfRun
from t3probe.observation import WORST_FIRST, Beat, Drop, Observation, RunRecord, badness, worst
from t3probe.record.facts import Recording
from t3probe.show.compare.difference import compare
from t3probe.show.compare.lines import to_lines, to_markdown
from t3probe.show.markdown import run_markdown
from t3probe.show.page.history import History
from t3probe.show.page.page import render_page
from t3probe.show.progress import lines
from t3probe.show.summary import render
from t3probe.text.words import some
from t3probe.timing import RunClock
from t3probe.verdict.incident.run import judge_run


def leg(name: str, outcome: Any = "passed", kind: str = "http") -> Observation:
    failed = outcome == "failed"
    drop = Drop(began=1, noticed=2, reason="connect_refused", symptom="down", stage="hold", call=1)
    return Observation(
        leg=name,
        kind=kind,
        path=("a", name),
        outcome=outcome,
        reason="connect_refused" if failed else "leg_collapsed" if outcome != "passed" else None,
        connected=not failed,
        observed_seconds=30,
        ended=30,
        phases={"connect": 0.1},
        beats=(Beat(sent=0, ended=0.02, ok=True, conn=0),),
        drops=(drop,) if failed else (),
    )


def run_of(*seen: Observation) -> Recording:
    names = tuple(one.leg for one in seen)
    run = RunRecord(
        segments=("a", *names), own_segments=names, started_at=1e9, duration_seconds=30,
        hold_seconds=30, heartbeat_seconds=10,
    )  # fmt: skip
    return Recording(run, seen)


MANY = [leg(f"good-{n}") for n in range(300)]
VAGUE = [leg(f"vague-{n}", "inconclusive") for n in range(120)]
LAST = leg("the-last", "failed")


@given(st.lists(st.sampled_from([*WORST_FIRST, "odd"]), max_size=40), st.integers(1, 20))
def test_the_worst_are_kept_in_their_order(outcomes: list[str], most: int) -> None:
    things = list(enumerate(outcomes))
    kept = worst(things, most, lambda one: badness(one[1]))
    assert list(kept) == sorted(kept)
    assert len(kept) == min(most, len(things))
    left = [badness(one[1]) for one in things if one not in kept]
    assert not left or min(left) >= max(badness(one[1]) for one in kept)


@given(st.integers(0, 30), st.integers(1, 10))
def test_some_names_say_how_many_more(number: int, most: int) -> None:
    said = some([f"n{one}" for one in range(number)], most)
    assert len(said) <= most
    more = re.fullmatch(r"([\d,]+) more", said[-1]) if said else None
    assert number == (len(said) - 1 + int(more[1]) if more else len(said))


def test_the_summary() -> None:
    seen = [leg(one.leg, one.outcome, "tcp") for one in (*MANY, *VAGUE, LAST)]
    found = run_of(*seen)
    text = "\n".join(line for _, line in render(found.run, seen, judge_run(found.run, seen)))
    assert re.search(r"^the-last +FAILED", text, re.M)
    assert "... and 101 more (101 inconclusive); the JUnit file has all" in text
    assert "... and 300 TCP legs that passed" in text


def test_markdown() -> None:
    found = run_of(*VAGUE, LAST)
    text = "\n".join(
        run_markdown(found.run, found.observations, judge_run(found.run, found.observations))
    )
    assert "| the-last | failed: down |" in text
    assert "| and 81 more |" in text


def test_a_comparison() -> None:
    before = run_of(*(leg(one.leg, "failed") for one in MANY[:40]), leg("the-last"))
    after = run_of(*MANY[:40], LAST)
    found = compare(before, after, ())
    for text in ("\n".join(to_lines(found)), "\n".join(to_markdown(found))):
        assert re.search(r"the-last\W+passed -\\?(>|&gt;) failed", text)
        assert "and 21 more" in text


def test_the_progress_of_a_hold() -> None:
    def fake(name: str, drops: int) -> Any:
        book = SimpleNamespace(beats=[SimpleNamespace(ok=True)], drops=[1] * drops)
        return SimpleNamespace(leg=SimpleNamespace(name=name), book=book)

    legs = [*(fake(f"good-{n}", 0) for n in range(200)), fake("the-last", 2)]
    shown = lines(SimpleNamespace(hold=60, clock=RunClock(), legs=legs), 80)  # type: ignore[arg-type]
    assert len(shown) == 13
    assert "the-last 1 2 drops" in shown[1]
    told = re.search(r"\.\.\. and (\d+) more", shown[-1])
    assert told
    assert int(told[1]) + sum(line.count("good-") + line.count("the-last") for line in shown) == 201


def test_the_page() -> None:
    history = History.of([run_of(*MANY, *VAGUE, LAST)])
    page = str(render_page(history))
    for part in ("path", "timeline", "legs", "phases"):
        begin = page.index(f'id="{part}"')
        section = page[begin : page.index("</section>", begin)]
        assert "the-last" in section, part
        assert re.search(r"not (shown|drawn)|Not drawn", section), part


def test_the_page_of_many_runs() -> None:
    quiet = [leg(f"good-{n}") for n in range(100)]
    runs = []
    for number in range(400):
        found = run_of(*quiet, LAST if number == 3 else leg("the-last"))
        run = found.run
        runs.append(
            Recording(
                msgspec.structs.replace(run, started_at=1e9 + 60 * number), found.observations
            )
        )
    page = str(render_page(History.of(runs)))
    begin = page.index('id="history"')
    section = page[begin : page.index("</section>", begin)]
    assert "the-last (1)" in section, "the run that failed is listed, though it is old"
    assert "100 are not listed, those that were well first." in section
    assert "41 legs are not drawn." in section
    assert re.search(r"<th[^>]*>the-last", section)


def test_an_assistants_answer() -> None:
    of_run = OfRun(run_of(*MANY, *VAGUE, LAST), "x")
    told = msgspec.to_builtins(of_run.legs(of_run.source(1e9 + 60)))
    small = fitted(told, 10)
    assert small["legs"][0]["name"] == "the-last"
    assert small["not_listed"] == 411
    assert len(json.dumps(small)) < 64 << 10
